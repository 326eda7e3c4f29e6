rule rl:
    input:
        lambda wildcards: job_file(expansion.rl_job(**wildcards)),
        lambda wildcards: expansion.start_inputs(wildcards.start, wildcards.seed),
        prompts=lambda wildcards: expansion.rl_prompts(
            wildcards.algorithm, wildcards.start
        ),
        benchmarks=expansion.benchmarks("monitored"),
    output:
        paths.model_files(out(paths.RL, "model")),
        outs(paths.RL, "samples.parquet", "points.csv"),
        run=out(paths.RL, "run.json"),
    log:
        log_file(paths.RL),
    benchmark:
        benchmark_file(paths.RL)
    priority: 1
    retries: retries("rl")
    conda:
        "../../envs/train.yaml"
    threads: expansion.cpus("rl")
    resources:
        **needs("rl"),
        # No parameters: they change nothing that is learned.
        save_every=study.rl.save_every,
        launcher=launcher("rl"),
        out_of_distribution=repeat("out-of-distribution", expansion.out_of_distribution),
        max_logprob_gap=repeat("max-logprob-gap", [study.rl.max_logprob_gap]),
        on_logprob_gap=study.rl.on_logprob_gap,
        tensorboard=repeat("tensorboard", [expansion.tensorboard]),
    params:
        job=lambda wildcards: expansion.rl_job(**wildcards).model_dump_json(),
        start=lambda wildcards: repeat(
            *expansion.start_option(wildcards.start, wildcards.seed)
        ),
        out=subpath(output.run, parent=True),
        state=state(paths.RL),
        deadline=deadline,
    shell:
        "{resources.launcher} rl --job {params.job:q} {params.start} --prompts {input.prompts}"
        " --benchmarks {input.benchmarks} --out {params.out} --state {params.state}"
        " --save-every {resources.save_every} {resources.out_of_distribution}"
        " {resources.max_logprob_gap} --on-logprob-gap {resources.on_logprob_gap} {params.deadline}"
        " --log {log} {resources.tensorboard} > {log} 2>&1"
