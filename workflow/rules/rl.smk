RUN = out(paths.RL, algorithm="{algorithm}", start="{start}", seed="{seed}")


rule rl:
    input:
        start=start_inputs,
        base=f"{study.base}/model.safetensors",
        prompts=out(paths.PROMPTS),
        benchmarks=out(paths.BENCHMARKS),
    output:
        paths.model_files(f"{RUN}/model"),
        f"{RUN}/samples.parquet",
        f"{RUN}/points.csv",
        f"{RUN}/run.json",
    log:
        log_file(paths.RL),
    params:
        job=lambda wildcards: study.rl_job(**wildcards),
        base=study.base,
        sft=sft_option,
        out=RUN,
        state=state(paths.RL),
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m switchpoint rl --job {params.job:q} --base {params.base} {params.sft}"
        " --prompts {input.prompts} --benchmarks {input.benchmarks} --out {params.out}"
        " --state {params.state} > {log} 2>&1"
