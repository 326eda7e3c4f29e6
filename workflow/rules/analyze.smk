ANALYSIS = out(paths.ANALYSIS)
SFT_RUNS = [out(paths.SFT, **run) for run in study.sft_runs()]
RL_RUNS = [out(paths.RL, **run) for run in study.rl_runs()]


rule collect:
    input:
        [f"{path}/{name}" for path in evaluations() for name in ("samples.parquet", "points.csv")],
        [f"{path}/{name}" for path in SFT_RUNS for name in ("losses.csv", "run.json")],
        [f"{path}/{name}" for path in RL_RUNS for name in ("samples.parquet", "points.csv", "run.json")],
    output:
        [f"{ANALYSIS}/{name}.csv" for name in ("curves", "runs", "losses", "results")],
    log:
        log_file("collect"),
    params:
        job=study.analyze_job(),
        runs=" ".join(
            [repeat("evaluation", evaluations()), repeat("sft-run", SFT_RUNS), repeat("rl-run", RL_RUNS)]
        ),
        out=ANALYSIS,
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m switchpoint collect --job {params.job:q} {params.runs} --out {params.out} > {log} 2>&1"


rule label_phases:
    input:
        f"{ANALYSIS}/losses.csv",
    output:
        f"{ANALYSIS}/phases.json",
    log:
        log_file("label_phases"),
    params:
        recipe=studies.RECIPES["analyze"],
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m switchpoint phases {input} --out {output} > {log} 2>&1"


rule fit_ceilings:
    input:
        f"{ANALYSIS}/curves.csv",
    output:
        f"{ANALYSIS}/ceilings.json",
    log:
        log_file("fit_ceilings"),
    params:
        recipe=studies.RECIPES["analyze"],
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m switchpoint fit {input} --out {output} > {log} 2>&1"


rule advise:
    input:
        curves=f"{ANALYSIS}/curves.csv",
        runs=f"{ANALYSIS}/runs.csv",
        ceilings=f"{ANALYSIS}/ceilings.json",
        phases=f"{ANALYSIS}/phases.json",
    output:
        f"{ANALYSIS}/advice.json",
    log:
        log_file("advise"),
    params:
        recipe=studies.RECIPES["analyze"],
    conda:
        "../../envs/analysis.yaml"
    shell:
        "python -m switchpoint advise --curves {input.curves} --runs {input.runs} --ceilings {input.ceilings}"
        " --phases {input.phases} --out {output} > {log} 2>&1"
