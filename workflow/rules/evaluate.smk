rule evaluate_base:
    input:
        model=f"{study.base}/model.safetensors",
        benchmarks=out(paths.BENCHMARKS),
    output:
        [out(paths.EVALUATION, group="base") + f"/{name}" for name in ("samples.parquet", "points.csv", "run.json")],
    log:
        log_file("evaluations/base"),
    params:
        job=study.evaluate_job("base", [0]),
        model=study.base,
        out=out(paths.EVALUATION, group="base"),
        state=state("evaluations/base"),
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m switchpoint evaluate --job {params.job:q} --checkpoint {params.model}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state} > {log} 2>&1"


rule evaluate_sft:
    input:
        models=lambda wildcards: [f"{path}/model.safetensors" for path in checkpoints(**wildcards)],
        losses=out(paths.SFT, set="{set}", seed="{seed}") + "/losses.csv",
        benchmarks=out(paths.BENCHMARKS),
    output:
        [
            out(paths.EVALUATION, group=paths.SFT) + f"/{name}"
            for name in ("samples.parquet", "points.csv", "run.json")
        ],
    log:
        log_file("evaluations/" + paths.SFT),
    params:
        job=lambda wildcards: study.evaluate_job(
            paths.SFT.format(**wildcards), study.sft[wildcards.set].save_steps
        ),
        checkpoints=lambda wildcards: repeat("checkpoint", checkpoints(**wildcards)),
        out=out(paths.EVALUATION, group=paths.SFT),
        state=state("evaluations/" + paths.SFT),
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m switchpoint evaluate --job {params.job:q} {params.checkpoints} --losses {input.losses}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state} > {log} 2>&1"
