if study.model.base is None:

    rule make_base:
        input:
            job=job_file(expansion.base_job()),
        output:
            paths.model_files(expansion.base),
        log:
            log_file("make_base"),
        benchmark:
            benchmark_file("make_base")
        retries: retries("base")
        conda:
            environment
        threads: expansion.cpus("base")
        resources:
            **needs("base"),
        params:
            out=subpath(output[0], parent=True),
            state=state("make_base"),
            deadline=deadline,
        shell:
            "python -m switchpoint make-base --job {input.job} --out {params.out} --state {params.state}"
            " {params.deadline} > {log} 2>&1"


if study.model.converted:

    rule convert_base:
        input:
            job=job_file(expansion.convert_job()),
            lock=study.model.converted.lock or [],
            template=study.model.converted.chat_template or [],
        output:
            paths.model_files(expansion.base),
        log:
            log_file("convert_base"),
        benchmark:
            benchmark_file("convert_base")
        retries: retries("base")
        conda:
            environment
        threads: expansion.cpus("base")
        resources:
            **needs("base"),
        params:
            out=subpath(output[0], parent=True),
            state=state("convert_base"),
        shell:
            "python -m switchpoint convert-base --job {input.job} --out {params.out} --state {params.state}"
            " > {log} 2>&1"


rule ingest:
    input:
        job=lambda wildcards: job_file(expansion.ingest_job(wildcards.source)),
        base=lambda wildcards: (
            model_inputs(expansion.base)
            if expansion.counts_tokens(wildcards.source)
            else []
        ),
        lock=lambda wildcards: study.data.sources[wildcards.source].lock,
    output:
        out(paths.SOURCE, source="{source}"),
    log:
        log_file("ingest/{source}"),
    benchmark:
        benchmark_file("ingest/{source}")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        base=lambda wildcards: repeat(
            "base",
            [expansion.base] if expansion.counts_tokens(wildcards.source) else [],
        ),
    shell:
        "python -m switchpoint ingest --job {input.job} {params.base} --out {output} > {log} 2>&1"


rule deduplicate:
    input:
        [out(paths.SOURCE, source=name) for name in study.data.pool],
    output:
        pool=out(paths.POOL),
        counts=out("data/duplicates.json"),
    log:
        log_file("deduplicate"),
    benchmark:
        benchmark_file("deduplicate")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        seed=study.seed,
        sources=repeat(
            "source", [out(paths.SOURCE, source=name) for name in study.data.pool]
        ),
    shell:
        "python -m switchpoint pool {params.sources} --seed {params.seed} --out {output.pool} --counts {output.counts}"
        " > {log} 2>&1"


rule hold_out_validation:
    input:
        job=job_file(expansion.validation_job()),
        pool=expansion.source(study.data.validation_source),
    output:
        out(paths.VALIDATION),
    log:
        log_file("hold_out_validation"),
    benchmark:
        benchmark_file("hold_out_validation")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    shell:
        "python -m switchpoint validation --job {input.job} --pool {input.pool} --out {output} > {log} 2>&1"


if study.data.trains_solver:

    rule train_solver:
        input:
            job=job_file(expansion.solver_job()),
            base=model_inputs(expansion.base),
            data=out(paths.SOURCE, source=study.data.solver.source),
            validation=out(paths.VALIDATION),
        output:
            paths.model_files(expansion.solver),
            outs(paths.SOLVER, "losses.csv", "selection.json", "validation.parquet"),
            run=out(paths.SOLVER, "run.json"),
        log:
            log_file("train_solver"),
        benchmark:
            benchmark_file("train_solver")
        retries: retries("solver")
        conda:
            environment
        threads: expansion.cpus("solver")
        resources:
            **needs("solver"),
            launcher=launcher("solver"),
        params:
            base=directory_of("base"),
            steps=expansion.study.data.solver.steps,
            out=subpath(output.run, parent=True),
            state=state("train_solver"),
            deadline=deadline,
        shell:
            "{resources.launcher} sft --job {input.job} --save-step {params.steps} --base {params.base:q}"
            " --data {input.data} --validation {input.validation} --out {params.out} --state {params.state}"
            " --log {log} {params.deadline} > {log} 2>&1"


if study.data.solver and study.data.solver.given:

    rule give_win_rates:
        input:
            job=job_file(expansion.given_job()),
            pool=out(paths.POOL),
        output:
            out(paths.WIN_RATES),
        log:
            log_file("give_win_rates"),
        benchmark:
            benchmark_file("give_win_rates")
        retries: retries("data")
        conda:
            environment
        threads: expansion.cpus("data")
        resources:
            **needs("data"),
        shell:
            "python -m switchpoint given-win-rates --job {input.job} --pool {input.pool} --out {output} > {log} 2>&1"

elif study.data.solver:
    SOLVER_PARTS = study.data.solver.parts
    MEASURED = paths.WIN_RATES if SOLVER_PARTS == 1 else paths.WIN_RATES_PART
    MEASUREMENT = (
        "measure_win_rates" if SOLVER_PARTS == 1 else "measure_win_rates/part_{part}"
    )

    rule:
        name:
            "measure_win_rates" if SOLVER_PARTS == 1 else "measure_win_rates_part"
        input:
            job=job_file(expansion.win_rates_job()),
            model=model_inputs(expansion.solver),
            pool=out(paths.POOL),
        output:
            out(MEASURED),
        log:
            log_file(MEASUREMENT),
        benchmark:
            benchmark_file(MEASUREMENT)
        retries: retries("win_rates")
        conda:
            environment
        threads: expansion.cpus("win_rates")
        resources:
            **needs("win_rates"),
        params:
            model=directory_of("model"),
            part=lambda wildcards: f"{wildcards.get('part', 0)}/{SOLVER_PARTS}",
            state=state(MEASUREMENT),
            deadline=deadline,
        shell:
            "python -m switchpoint win-rates --job {input.job} --model {params.model:q} --pool {input.pool}"
            " --part {params.part} --out {output} --state {params.state} {params.deadline} > {log} 2>&1"

    if SOLVER_PARTS > 1:

        rule merge_win_rates:
            input:
                job=job_file(expansion.win_rates_job()),
                parts=[
                    out(paths.WIN_RATES_PART, part=part)
                    for part in range(SOLVER_PARTS)
                ],
            output:
                out(paths.WIN_RATES),
            log:
                log_file("merge_win_rates"),
            benchmark:
                benchmark_file("merge_win_rates")
            retries: retries("data")
            conda:
                environment
            threads: expansion.cpus("data")
            resources:
                **needs("data"),
            params:
                parts=lambda wildcards, input: repeat("part", input.parts),
            shell:
                "python -m switchpoint merge-win-rates --job {input.job} {params.parts} --out {output} > {log} 2>&1"


if expansion.measured_lengths:

    rule count_tokens:
        input:
            base=model_inputs(expansion.base),
            tables=expansion.measured_lengths,
        output:
            out(paths.LENGTHS),
        log:
            log_file("count_tokens"),
        benchmark:
            benchmark_file("count_tokens")
        retries: retries("data")
        conda:
            environment
        threads: expansion.cpus("data")
        resources:
            **needs("data"),
        params:
            base=directory_of("base"),
            tables=repeat("table", expansion.measured_lengths),
        shell:
            "python -m switchpoint count-tokens {params.tables} --base {params.base:q} --out {output} > {log} 2>&1"


rule select_set:
    input:
        job=lambda wildcards: job_file(expansion.select_job(wildcards.set)),
        tables=lambda wildcards: list(
            itertools.chain(*expansion.set_inputs(wildcards.set).values())
        ),
    output:
        out(paths.SET, set="{set}"),
    log:
        log_file("select_set/{set}"),
    benchmark:
        benchmark_file("select_set/{set}")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        inputs=lambda wildcards: " ".join(
            repeat(option, files)
            for option, files in expansion.set_inputs(wildcards.set).items()
        ),
    shell:
        "python -m switchpoint select --job {input.job} {params.inputs} --out {output} > {log} 2>&1"


rule select_prompts:
    input:
        job=job_file(expansion.prompts_job()),
        win_rates=expansion.prompt_win_rates,
        sources=[expansion.source(name) for name in study.data.prompts.sources],
        pool=out(paths.POOL),
        validation=out(paths.VALIDATION),
    output:
        out(paths.PROMPTS),
    log:
        log_file("select_prompts"),
    benchmark:
        benchmark_file("select_prompts")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        win_rates=repeat("win-rates", expansion.prompt_win_rates),
        sources=lambda wildcards, input: repeat("source", input.sources),
    shell:
        "python -m switchpoint prompts --job {input.job} {params.sources} {params.win_rates} --pool {input.pool}"
        " --validation {input.validation} --out {output} > {log} 2>&1"


rule select_mix:
    input:
        job=job_file(expansion.mix_job()),
        base=model_inputs(expansion.base),
        prompts=out(paths.PROMPTS),
    output:
        out(paths.MIX),
    log:
        log_file("select_mix"),
    benchmark:
        benchmark_file("select_mix")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        base=directory_of("base"),
    shell:
        "python -m switchpoint mix --job {input.job} --prompts {input.prompts} --base {params.base:q}"
        " --out {output} > {log} 2>&1"


# The benchmarks that RL monitors and those that are only tested, so that a change of the latter leaves RL alone.
rule decontaminate:
    input:
        job=lambda wildcards: job_file(expansion.benchmarks_job(wildcards.part)),
        train=expansion.training_tables,
        sources=lambda wildcards: expansion.benchmark_sources(wildcards.part),
        others=lambda wildcards: (
            expansion.benchmarks("monitored") if wildcards.part == "test_only" else []
        ),
    output:
        kept=out(paths.BENCHMARKS),
        dropped=out(paths.DROPPED),
        nearest=out(paths.NEAREST),
        sweep=out(paths.SWEEP),
    log:
        log_file("decontaminate/{part}"),
    benchmark:
        benchmark_file("decontaminate/{part}")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        train=repeat("train", expansion.training_tables),
        sources=lambda wildcards, input: repeat("source", input.sources),
        others=lambda wildcards, input: repeat("other", input.others),
        store=out(paths.EMBEDDINGS),
    shell:
        "python -m switchpoint benchmarks --job {input.job} {params.train} {params.sources} {params.others}"
        " --out {output.kept} --dropped {output.dropped} --nearest {output.nearest} --sweep {output.sweep}"
        " --store {params.store} > {log} 2>&1"


rule report_data:
    input:
        base=model_inputs(expansion.base),
        sets=[out(paths.SET, set=name) for name in study.data.sets],
        sources=[out(paths.SOURCE, source=name) for name in study.data.sources],
        pool=out(paths.POOL),
        counts=out("data/duplicates.json"),
        win_rates=expansion.win_rates,
        validation=out(paths.VALIDATION),
        prompts=out(paths.PROMPTS),
        mix=out(paths.MIX),
        benchmarks=expansion.benchmarks(),
    output:
        overlaps=out(paths.OVERLAPS),
        statistics=out(paths.STATISTICS),
        strata=out(paths.STRATA),
        sources=out(paths.SOURCES),
    log:
        log_file("report_data"),
    benchmark:
        benchmark_file("report_data")
    retries: retries("data")
    conda:
        environment
    threads: expansion.cpus("data")
    resources:
        **needs("data"),
    params:
        sets=repeat("sets", [out(paths.SET, set=name) for name in study.data.sets]),
        sources=lambda wildcards, input: repeat("source", input.sources),
        strata=repeat("stratum", expansion.strata),
        benchmarks=repeat("benchmarks", expansion.benchmarks()),
        base=directory_of("base"),
        win_rates=repeat("win-rates", expansion.win_rates),
        max_length=study.model.max_length,
    shell:
        "python -m switchpoint data-report {params.sets} {params.strata} {params.sources} --pool {input.pool} --counts {input.counts}"
        " {params.win_rates} --validation {input.validation} --prompts {input.prompts} --mix {input.mix}"
        " {params.benchmarks} --base {params.base:q} --max-length {params.max_length} --overlaps {output.overlaps}"
        " --statistics {output.statistics} --strata {output.strata} --sources {output.sources} > {log} 2>&1"
