# One rule per data set: its checkpoints are listed in the configuration, so every RL job
# that starts from one is known before anything runs.
for name in study.sft:

    rule:
        name:
            f"sft_{name}"
        input:
            base=f"{expansion.base}/model.safetensors",
            data=out(paths.SET, set=name),
            validation=out(paths.VALIDATION),
        output:
            [
                file
                for directory in expansion.checkpoints(name, "{seed}")
                for file in paths.model_files(directory)
            ],
            outs(paths.SFT, "losses.csv", "selection.json", set=name, seed="{seed}"),
            out(paths.SFT, "validation.parquet", set=name, seed="{seed}"),
            run=out(paths.SFT, "run.json", set=name, seed="{seed}"),
        log:
            log_file(f"sft/{name}/seed_{{seed}}"),
        priority: 2  # every RL run waits for one of these
        conda:
            "../../envs/train.yaml"
        params:
            job=lambda wildcards, name=name: expansion.sft_job(
                name, wildcards.seed
            ).model_dump_json(),
            base=subpath(input.base, parent=True),
            out=subpath(output.run, parent=True),
            state=state(paths.SFT.format(set=name, seed="{seed}")),
        shell:
            "python -m switchpoint sft --job {params.job:q} --base {params.base:q} --data {input.data}"
            " --validation {input.validation} --out {params.out} --state {params.state} > {log} 2>&1"
