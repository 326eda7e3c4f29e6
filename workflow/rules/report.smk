rule browse_samples:
    input:
        expansion.benchmarks(),
        job=job_file(expansion.browse_job()),
        records=files_of(expansion.evaluations, "run.json"),
    output:
        page=out(paths.SAMPLES),
        blocks=directory(out(paths.BLOCKS)),
    log:
        log_file("samples"),
    benchmark:
        benchmark_file("samples")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    shell:
        "python -m switchpoint browse-samples --job {input.job} --out {output.page} > {log} 2>&1"


rule write_report:
    input:
        outs(paths.ANALYSIS, "runs.csv", "losses.csv", "verdicts.csv", "gains.csv"),
        outs(
            paths.ANALYSIS,
            "pooled_results.csv",
            "outcomes.csv",
            "highest_outcomes.csv",
        ),
        outs(paths.ANALYSIS, "arms.csv", "arm_curves.csv", "arm_comparisons.csv"),
        out(paths.ANALYSIS, "loss_correlation.json"),
        outs(paths.ANALYSIS, "phases.json", "ceilings.json", "advice.json"),
        out(paths.ANALYSIS, "predictors.json"),
        outs("data", "overlaps.csv", "strata.csv", "sources.csv"),
        job=job_file(expansion.report_job()),
        points=out(paths.ANALYSIS, "pooled_curves.csv"),
        statistics=out(paths.STATISTICS),
        samples=out(paths.SAMPLES),  # a link leads to it
    output:
        page=report(
            out(paths.REPORT),
            caption="../report/page.rst",
            category="0. All on one page",
            labels={"finding": "The report"},
        ),
        parts=report(
            directory(out(paths.PARTS)),
            patterns=["figures/{name}.svg", "tables/{name}.html"],
            caption="../report/part.rst",
            category=told("category"),
            labels=told("labels"),
        ),
        results=out("results.md"),
    log:
        log_file("report"),
    benchmark:
        benchmark_file("report")
    retries: retries("analysis")
    conda:
        environment
    threads: expansion.cpus("analysis")
    resources:
        **needs("analysis"),
    params:
        analysis=subpath(input.points, parent=True),
        data=subpath(input.statistics, parent=True),
    shell:
        "python -m switchpoint write-report --job {input.job} --analysis {params.analysis} --data {params.data}"
        " --out {output.page} --parts {output.parts} --results {output.results} > {log} 2>&1"
