rule collect:
    input:
        job=job_file(expansion.collect_job()),
        # The hashes of all that is read stand in these.
        records=files_of(
            itertools.chain(expansion.evaluations, *expansion.runs.values()),
            "run.json",
        ),
    output:
        outs(paths.ANALYSIS, "runs.csv", "losses.csv", "results.csv"),
        outs(paths.ANALYSIS, "verdicts.csv", "gains.csv", "lm_eval.json", "run.json"),
        outs(paths.ANALYSIS, "models.csv", "validation.parquet", "problems.parquet"),
        outs(paths.ANALYSIS, "pooled_curves.csv", "pooled_results.csv"),
        outs(paths.ANALYSIS, "arms.csv", "arm_curves.csv", "arm_comparisons.csv"),
        curves=out(paths.ANALYSIS, "curves.csv"),
    log:
        log_file("collect"),
    benchmark:
        benchmark_file("collect")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        out=subpath(output.curves, parent=True),
    shell:
        "python -m switchpoint collect --job {input.job} --out {params.out} > {log} 2>&1"


rule label_phases:
    input:
        losses=out(paths.ANALYSIS, "losses.csv"),
        examples=out(paths.ANALYSIS, "validation.parquet"),
    output:
        out(paths.ANALYSIS, "phases.json"),
    log:
        log_file("label_phases"),
    benchmark:
        benchmark_file("label_phases")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        recipe=RECIPES["analyze"],
    shell:
        "python -m switchpoint phases {input.losses} --examples {input.examples} --out {output} > {log} 2>&1"


rule fit_ceilings:
    input:
        out(paths.ANALYSIS, "curves.csv"),
    output:
        out(paths.ANALYSIS, "ceilings.json"),
    log:
        log_file("fit_ceilings"),
    benchmark:
        benchmark_file("fit_ceilings")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        recipe=RECIPES["analyze"],
    shell:
        "python -m switchpoint fit {input} --out {output} > {log} 2>&1"


rule measure_outcomes:
    input:
        points=out(paths.ANALYSIS, "pooled_curves.csv"),
        runs=out(paths.ANALYSIS, "runs.csv"),
        losses=out(paths.ANALYSIS, "losses.csv"),
        ceilings=out(paths.ANALYSIS, "ceilings.json"),
        results=out(paths.ANALYSIS, "results.csv"),
    output:
        outs(paths.ANALYSIS, "highest_outcomes.csv", "loss_correlation.json"),
        outcomes=out(paths.ANALYSIS, "outcomes.csv"),
    log:
        log_file("measure_outcomes"),
    benchmark:
        benchmark_file("measure_outcomes")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        recipe=RECIPES["analyze"],
        out=subpath(output.outcomes, parent=True),
    shell:
        "python -m switchpoint outcomes --points {input.points} --runs {input.runs} --losses {input.losses}"
        " --ceilings {input.ceilings} --results {input.results} --out {params.out} > {log} 2>&1"


rule predict_models:
    input:
        out(paths.ANALYSIS, "models.csv"),
    output:
        out(paths.ANALYSIS, "predictors.json"),
    log:
        log_file("predict_models"),
    benchmark:
        benchmark_file("predict_models")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        recipe=RECIPES["analyze"],
    shell:
        "python -m switchpoint predict {input} --out {output} > {log} 2>&1"


rule advise:
    input:
        curves=out(paths.ANALYSIS, "curves.csv"),
        runs=out(paths.ANALYSIS, "runs.csv"),
        ceilings=out(paths.ANALYSIS, "ceilings.json"),
        phases=out(paths.ANALYSIS, "phases.json"),
        results=out(paths.ANALYSIS, "results.csv"),
        problems=out(paths.ANALYSIS, "problems.parquet"),
    output:
        out(paths.ANALYSIS, "advice.json"),
    log:
        log_file("advise"),
    benchmark:
        benchmark_file("advise")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        recipe=RECIPES["analyze"],
    shell:
        "python -m switchpoint advise --curves {input.curves} --runs {input.runs} --ceilings {input.ceilings}"
        " --phases {input.phases} --results {input.results} --problems {input.problems}"
        " --out {output} > {log} 2>&1"
