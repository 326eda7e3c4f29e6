rule write_report:
    input:
        [f"{ANALYSIS}/{name}.csv" for name in ("curves", "runs", "losses", "results")],
        [f"{ANALYSIS}/{name}.json" for name in ("phases", "ceilings", "advice")],
        out(paths.STATISTICS),
        out(paths.OVERLAPS),
    output:
        page=report(out(paths.REPORT), caption="../report/page.rst", category="Study"),
        results=out("results.md"),
    log:
        log_file("report"),
    params:
        job=study.report_job(),
        analysis=ANALYSIS,
        data=out("data"),
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m switchpoint report --job {params.job:q} --analysis {params.analysis} --data {params.data}"
        " --out {output.page} --results {output.results} > {log} 2>&1"
