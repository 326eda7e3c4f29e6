if study.model.base is None:

    rule make_base:
        output:
            paths.model_files(expansion.base),
        log:
            log_file("make_base"),
        conda:
            "../../envs/train.yaml"
        params:
            job=expansion.base_job().model_dump_json(),
            out=subpath(output[0], parent=True),
            state=state("make_base"),
            deadline=deadline,
        shell:
            "python -m switchpoint make-base --job {params.job:q} --out {params.out} --state {params.state}"
            " {params.deadline} > {log} 2>&1"


if study.model.converted:

    rule convert_base:
        input:
            job_file(expansion.convert_job()),
            lock=study.model.converted.lock,
        output:
            paths.model_files(expansion.base),
        log:
            log_file("convert_base"),
        conda:
            "../../envs/train.yaml"
        params:
            job=expansion.convert_job().model_dump_json(),
            out=subpath(output[0], parent=True),
            state=state("convert_base"),
        shell:
            "python -m switchpoint convert-base --job {params.job:q} --out {params.out} --state {params.state}"
            " > {log} 2>&1"


rule ingest:
    input:
        lambda wildcards: job_file(expansion.ingest_job(wildcards.source)),
        lock=lambda wildcards: study.data.sources[wildcards.source].lock,
    output:
        out(paths.SOURCE, source="{source}"),
    log:
        log_file("ingest/{source}"),
    conda:
        "../../envs/data.yaml"
    params:
        job=lambda wildcards: expansion.ingest_job(wildcards.source).model_dump_json(),
    shell:
        "python -m switchpoint ingest --job {params.job:q} --out {output} > {log} 2>&1"


rule deduplicate:
    input:
        [out(paths.SOURCE, source=name) for name in study.data.pool],
    output:
        pool=out(paths.POOL),
        counts=out("data/duplicates.json"),
    log:
        log_file("deduplicate"),
    conda:
        "../../envs/data.yaml"
    params:
        sources=repeat(
            "source", [out(paths.SOURCE, source=name) for name in study.data.pool]
        ),
    shell:
        "python -m switchpoint pool {params.sources} --out {output.pool} --counts {output.counts} > {log} 2>&1"


rule hold_out_validation:
    input:
        job_file(expansion.validation_job()),
        pool=out(paths.POOL),
    output:
        out(paths.VALIDATION),
    log:
        log_file("hold_out_validation"),
    conda:
        "../../envs/data.yaml"
    params:
        job=expansion.validation_job().model_dump_json(),
    shell:
        "python -m switchpoint validation --job {params.job:q} --pool {input.pool} --out {output} > {log} 2>&1"


if study.data.solver.model is None:

    rule train_solver:
        input:
            job_file(expansion.solver_job()),
            base=model_inputs(expansion.base),
            data=out(paths.SOURCE, source=study.data.solver.source),
            validation=out(paths.VALIDATION),
        output:
            paths.model_files(expansion.solver),
            outs(paths.SOLVER, "losses.csv", "selection.json", "validation.parquet"),
            run=out(paths.SOLVER, "run.json"),
        log:
            log_file("train_solver"),
        conda:
            "../../envs/train.yaml"
        params:
            job=expansion.solver_job().model_dump_json(),
            base=directory_of("base"),
            steps=expansion.study.data.solver.steps,
            out=subpath(output.run, parent=True),
            state=state("train_solver"),
            deadline=deadline,
        shell:
            "python -m switchpoint sft --job {params.job:q} --save-step {params.steps} --base {params.base:q}"
            " --data {input.data} --validation {input.validation} --out {params.out} --state {params.state}"
            " --log {log} {params.deadline} > {log} 2>&1"


rule measure_win_rates:
    input:
        job_file(expansion.win_rates_job()),
        model=model_inputs(expansion.solver),
        pool=out(paths.POOL),
    output:
        out(paths.WIN_RATES),
    log:
        log_file("measure_win_rates"),
    conda:
        "../../envs/train.yaml"
    params:
        job=expansion.win_rates_job().model_dump_json(),
        model=directory_of("model"),
        state=state("measure_win_rates"),
        deadline=deadline,
    shell:
        "python -m switchpoint win-rates --job {params.job:q} --model {params.model:q} --pool {input.pool}"
        " --out {output} --state {params.state} {params.deadline} > {log} 2>&1"


rule select_set:
    input:
        lambda wildcards: job_file(expansion.select_job(wildcards.set)),
        pool=out(paths.POOL),
        win_rates=out(paths.WIN_RATES),
        validation=out(paths.VALIDATION),
    output:
        out(paths.SET, set="{set}"),
    log:
        log_file("select_set/{set}"),
    conda:
        "../../envs/data.yaml"
    params:
        job=lambda wildcards: expansion.select_job(wildcards.set).model_dump_json(),
    shell:
        "python -m switchpoint select --job {params.job:q} --pool {input.pool} --win-rates {input.win_rates}"
        " --validation {input.validation} --out {output} > {log} 2>&1"


rule select_prompts:
    input:
        job_file(expansion.prompts_job()),
        pool=out(paths.POOL),
        win_rates=out(paths.WIN_RATES),
        validation=out(paths.VALIDATION),
    output:
        out(paths.PROMPTS),
    log:
        log_file("select_prompts"),
    conda:
        "../../envs/data.yaml"
    params:
        job=expansion.prompts_job().model_dump_json(),
    shell:
        "python -m switchpoint prompts --job {params.job:q} --pool {input.pool} --win-rates {input.win_rates}"
        " --validation {input.validation} --out {output} > {log} 2>&1"


rule select_mix:
    input:
        job_file(expansion.mix_job()),
        base=model_inputs(expansion.base),
        prompts=out(paths.PROMPTS),
    output:
        out(paths.MIX),
    log:
        log_file("select_mix"),
    conda:
        "../../envs/data.yaml"
    params:
        job=expansion.mix_job().model_dump_json(),
        base=directory_of("base"),
    shell:
        "python -m switchpoint mix --job {params.job:q} --prompts {input.prompts} --base {params.base:q}"
        " --out {output} > {log} 2>&1"


# The benchmarks that RL monitors and those that are only tested, so that a change of the latter leaves RL alone.
rule decontaminate:
    input:
        lambda wildcards: job_file(expansion.benchmarks_job(wildcards.part)),
        pool=out(paths.POOL),
        sources=lambda wildcards: expansion.benchmark_sources(wildcards.part),
        others=lambda wildcards: (
            expansion.benchmarks("monitored") if wildcards.part == "test_only" else []
        ),
    output:
        kept=out(paths.BENCHMARKS),
        dropped=out(paths.DROPPED),
    log:
        log_file("decontaminate/{part}"),
    conda:
        "../../envs/data.yaml"
    params:
        job=lambda wildcards: expansion.benchmarks_job(wildcards.part).model_dump_json(),
        sources=lambda wildcards, input: repeat("source", input.sources),
        others=lambda wildcards, input: repeat("other", input.others),
    shell:
        "python -m switchpoint benchmarks --job {params.job:q} --pool {input.pool} {params.sources}"
        " {params.others} --out {output.kept} --dropped {output.dropped} > {log} 2>&1"


rule report_data:
    input:
        base=model_inputs(expansion.base),
        sets=[out(paths.SET, set=name) for name in study.data.sets],
        pool=out(paths.POOL),
        win_rates=out(paths.WIN_RATES),
        validation=out(paths.VALIDATION),
        prompts=out(paths.PROMPTS),
        mix=out(paths.MIX),
        benchmarks=expansion.benchmarks(),
    output:
        overlaps=out(paths.OVERLAPS),
        statistics=out(paths.STATISTICS),
    log:
        log_file("report_data"),
    conda:
        "../../envs/data.yaml"
    params:
        sets=repeat("sets", [out(paths.SET, set=name) for name in study.data.sets]),
        benchmarks=repeat("benchmarks", expansion.benchmarks()),
        base=directory_of("base"),
    shell:
        "python -m switchpoint data-report {params.sets} --pool {input.pool} --win-rates {input.win_rates}"
        " --validation {input.validation} --prompts {input.prompts} --mix {input.mix}"
        " {params.benchmarks} --base {params.base:q} --overlaps {output.overlaps}"
        " --statistics {output.statistics} > {log} 2>&1"
