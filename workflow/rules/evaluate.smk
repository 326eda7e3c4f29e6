PARTS = study.evaluation.parts
EVALUATED = paths.EVALUATION if PARTS == 1 else paths.PART


# One job evaluates all checkpoints of a run, or every n-th block of their problems.
rule:
    name:
        "evaluate" if PARTS == 1 else "evaluate_part"
    input:
        job=lambda wildcards: job_file(expansion.evaluate_job(wildcards.group)),
        models=lambda wildcards: [
            file
            for directory in expansion.groups[wildcards.group]
            for file in expansion.model_inputs(directory)
        ],
        benchmarks=expansion.benchmarks(),
    output:
        samples=out(EVALUATED, "samples.parquet"),
        run=out(EVALUATED, "run.json"),
    log:
        log_file(EVALUATED),
    benchmark:
        benchmark_file(EVALUATED)
    priority: 1  # as RL: of equals the one with the larger inputs starts first, and short ones fill the gaps
    retries: retries("evaluation")
    conda:
        environment
    threads: expansion.cpus("evaluation")
    resources:
        **needs("evaluation"),
    params:
        checkpoints=lambda wildcards: repeat(
            "checkpoint", expansion.groups[wildcards.group]
        ),
        part=lambda wildcards: f"{wildcards.get('part', 0)}/{PARTS}",
        benchmarks=repeat("benchmarks", expansion.benchmarks()),
        out=subpath(output.run, parent=True),
        state=state(EVALUATED),
        deadline=deadline,
    shell:
        "python -m switchpoint evaluate --job {input.job} {params.checkpoints} --part {params.part}"
        " {params.benchmarks} --out {params.out} --state {params.state} {params.deadline} > {log} 2>&1"


if PARTS > 1:

    rule merge_parts:
        input:
            job=lambda wildcards: job_file(expansion.evaluate_job(wildcards.group)),
            samples=[
                out(paths.PART, "samples.parquet", part=part, group="{group}")
                for part in range(PARTS)
            ],
            runs=[
                out(paths.PART, "run.json", part=part, group="{group}")
                for part in range(PARTS)
            ],
            benchmarks=expansion.benchmarks(),
        output:
            samples=out(paths.EVALUATION, "samples.parquet"),
            run=out(paths.EVALUATION, "run.json"),
        log:
            log_file(paths.EVALUATION),
        benchmark:
            benchmark_file(paths.EVALUATION)
        retries: retries("data")
        conda:
            environment
        threads: expansion.cpus("data")
        resources:
            **needs("data"),
        params:
            parts=repeat(
                "part",
                [out(paths.PART, part=part, group="{group}") for part in range(PARTS)],
            ),
            benchmarks=repeat("benchmarks", expansion.benchmarks()),
            out=subpath(output.run, parent=True),
        shell:
            "python -m switchpoint merge-parts --job {input.job} {params.parts}"
            " {params.benchmarks} --out {params.out} > {log} 2>&1"
