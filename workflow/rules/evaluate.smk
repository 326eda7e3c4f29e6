rule evaluate_base:
    input:
        model=f"{study.base}/model.safetensors",
        benchmarks=out(paths.BENCHMARKS),
    output:
        outs(paths.EVALUATION, "samples.parquet", "points.csv", group="base"),
        run=out(paths.EVALUATION, "run.json", group="base"),
    log:
        log_file("evaluations/base"),
    conda:
        "../../envs/train.yaml"
    params:
        job=study.evaluate_job("base", [0]),
        model=subpath(input.model, parent=True),
        out=subpath(output.run, parent=True),
        state=state("evaluations/base"),
    shell:
        "python -m switchpoint evaluate --job {params.job:q} --checkpoint {params.model}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state} > {log} 2>&1"


rule evaluate_sft:
    input:
        models=lambda wildcards: [
            f"{path}/model.safetensors" for path in checkpoints(**wildcards)
        ],
        losses=out(paths.SFT, "losses.csv"),
        benchmarks=out(paths.BENCHMARKS),
    output:
        outs(paths.EVALUATION, "samples.parquet", "points.csv", group=paths.SFT),
        run=out(paths.EVALUATION, "run.json", group=paths.SFT),
    log:
        log_file(f"evaluations/{paths.SFT}"),
    conda:
        "../../envs/train.yaml"
    params:
        job=lambda wildcards: study.evaluate_job(
            paths.SFT.format(**wildcards), study.sft[wildcards.set].save_steps
        ),
        checkpoints=lambda wildcards: repeat("checkpoint", checkpoints(**wildcards)),
        out=subpath(output.run, parent=True),
        state=state(f"evaluations/{paths.SFT}"),
    shell:
        "python -m switchpoint evaluate --job {params.job:q} {params.checkpoints} --losses {input.losses}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state} > {log} 2>&1"
