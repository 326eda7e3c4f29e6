RL_OPTIONS = " ".join(
    [
        repeat("save-every", [study.rl.save_every]),
        repeat("out-of-distribution", expansion.out_of_distribution),
        repeat("max-logprob-gap", [study.rl.max_logprob_gap]),
        repeat("on-logprob-gap", [study.rl.on_logprob_gap]),
        repeat("tensorboard", [expansion.tensorboard]),
    ]
)


rule rl:
    input:
        unpack(rl_inputs),
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
        environment
    threads: expansion.cpus("rl")
    resources:
        **needs("rl"),
        # No parameters: they change nothing that is learned.
        launcher=launcher("rl"),
        options=RL_OPTIONS,
    params:
        state=state(paths.RL),
        deadline=deadline,
    shell:
        "{resources.launcher} rl --job {input.job} --start {input.start[0]:q} --prompts {input.prompts}"
        " --benchmarks {input.benchmarks} --out $(dirname {output.run}) --state {params.state}"
        " {resources.options} {params.deadline} --log {log} > {log} 2>&1"
