rule rl:
    input:
        start=lambda wildcards: expansion.start_inputs(wildcards.start, wildcards.seed),
        base=f"{expansion.base}/model.safetensors",
        prompts=out(paths.PROMPTS),
        benchmarks=out(paths.BENCHMARKS),
    output:
        paths.model_files(out(paths.RL, "model")),
        outs(paths.RL, "samples.parquet", "points.csv"),
        run=out(paths.RL, "run.json"),
    log:
        log_file(paths.RL),
    priority: 1
    conda:
        "../../envs/train.yaml"
    params:
        job=lambda wildcards: expansion.rl_job(**wildcards).model_dump_json(),
        base=subpath(input.base, parent=True),
        sft=lambda wildcards: option(
            "sft", expansion.sft_of(wildcards.start, wildcards.seed)
        ),
        out=subpath(output.run, parent=True),
        state=state(paths.RL),
    shell:
        "python -m switchpoint rl --job {params.job:q} --base {params.base:q} {params.sft}"
        " --prompts {input.prompts} --benchmarks {input.benchmarks} --out {params.out}"
        " --state {params.state} > {log} 2>&1"
