# One rule per data set: its checkpoints are listed in the configuration, so every RL job
# that starts from one is known before anything runs.
for name in study.sft:

    rule:
        name:
            f"sft_{name}"
        input:
            base=f"{study.base}/model.safetensors",
            data=out(paths.SET, set=name),
            validation=out(paths.VALIDATION),
        output:
            [file for directory in checkpoints(name, "{seed}") for file in paths.model_files(directory)],
            [
                out(paths.SFT, set=name, seed="{seed}") + f"/{file}"
                for file in ("losses.csv", "selection.json", "run.json")
            ],
        log:
            log_file(f"sft/{name}/seed_{{seed}}"),
        params:
            job=lambda wildcards, name=name: study.sft_job(name, wildcards.seed),
            base=study.base,
            out=out(paths.SFT, set=name, seed="{seed}"),
            state=state(paths.SFT.format(set=name, seed="{seed}")),
        conda:
            "../../envs/train.yaml"
        shell:
            "python -m switchpoint sft --job {params.job:q} --base {params.base} --data {input.data}"
            " --validation {input.validation} --out {params.out} --state {params.state} > {log} 2>&1"
