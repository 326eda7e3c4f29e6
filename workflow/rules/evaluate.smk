PARTS = study.evaluation.parts
EVALUATED = paths.EVALUATION if PARTS == 1 else paths.PART


# One job evaluates all checkpoints of a run, or every n-th block of their problems.
rule:
    name:
        "evaluate" if PARTS == 1 else "evaluate_part"
    input:
        models=lambda wildcards: files_of(
            expansion.groups[wildcards.group], "model.safetensors"
        ),
        benchmarks=out(paths.BENCHMARKS),
    output:
        samples=out(EVALUATED, "samples.parquet"),
        run=out(EVALUATED, "run.json"),
    log:
        log_file(EVALUATED),
    priority: 1  # as RL: of equals the one with the larger inputs starts first, and short ones fill the gaps
    conda:
        "../../envs/train.yaml"
    params:
        job=lambda wildcards: expansion.evaluate_job(wildcards.group).model_dump_json(),
        checkpoints=lambda wildcards: repeat(
            "checkpoint", expansion.groups[wildcards.group]
        ),
        part=lambda wildcards: f"{wildcards.get('part', 0)}/{PARTS}",
        out=subpath(output.run, parent=True),
        state=state(EVALUATED),
    shell:
        "python -m switchpoint evaluate --job {params.job:q} {params.checkpoints} --part {params.part}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state} > {log} 2>&1"


if PARTS > 1:

    rule merge_parts:
        input:
            samples=[
                out(paths.PART, "samples.parquet", part=part, group="{group}")
                for part in range(PARTS)
            ],
            runs=[
                out(paths.PART, "run.json", part=part, group="{group}")
                for part in range(PARTS)
            ],
            benchmarks=out(paths.BENCHMARKS),
        output:
            samples=out(paths.EVALUATION, "samples.parquet"),
            run=out(paths.EVALUATION, "run.json"),
        log:
            log_file(paths.EVALUATION),
        conda:
            "../../envs/data.yaml"
        params:
            job=lambda wildcards: expansion.evaluate_job(
                wildcards.group
            ).model_dump_json(),
            parts=repeat(
                "part",
                [out(paths.PART, part=part, group="{group}") for part in range(PARTS)],
            ),
            out=subpath(output.run, parent=True),
        shell:
            "python -m switchpoint merge-parts --job {params.job:q} {params.parts}"
            " --benchmarks {input.benchmarks} --out {params.out} > {log} 2>&1"
