# One rule per data set, or per segment of its runs (`made.sft_rules`): the checkpoints are listed in the
# configuration, so every RL job that starts from one is known before anything runs.
for sft_rule in made.sft_rules(expansion):

    rule:
        name:
            sft_rule.name
        input:
            job=lambda wildcards, name=sft_rule.set: job_file(
                expansion.sft_job(name, wildcards.seed)
            ),
            base=model_inputs(expansion.base),
            data=out(paths.SET, set=sft_rule.set),
            validation=out(paths.VALIDATION),
            # A segment that is made again leaves the later ones alone: what it hands on is the state.
            segments=ancient(
                outs(
                    paths.SFT,
                    *map(made.segment_file, sft_rule.after),
                    set=sft_rule.set,
                    seed="{seed}",
                )
            ),
        output:
            models(
                out(paths.CHECKPOINT, set=sft_rule.set, seed="{seed}", step=step)
                for step in sft_rule.steps
            ),
            outs(paths.SFT, *sft_rule.files, set=sft_rule.set, seed="{seed}"),
        log:
            log_file(sft_rule.job),
        benchmark:
            benchmark_file(sft_rule.job)
        wildcard_constraints:
            seed="|".join(map(str, sft_rule.seeds)),
        priority: 2  # every RL run waits for one of these
        retries: retries("sft")
        conda:
            environment
        threads: expansion.cpus("sft")
        resources:
            **needs("sft"),
            # No parameters: they change nothing that is learned.
            save_steps=repeat("save-step", study.sft[sft_rule.set].save_steps),
            launcher=launcher("sft"),
            save_every=study.sft[sft_rule.set].save_every,
            until=repeat("until", [] if sft_rule.end is None else [sft_rule.end]),
            tensorboard=repeat("tensorboard", [expansion.tensorboard]),
        params:
            base=directory_of("base"),
            out=subpath(output[0], ancestor=2 if sft_rule.steps else 1),
            deadline=deadline,
            state=state(paths.SFT.format(set=sft_rule.set, seed="{seed}")),
        shell:
            "{resources.launcher} sft --job {input.job} --base {params.base:q} --data {input.data}"
            " --validation {input.validation} --out {params.out} --state {params.state}"
            " {resources.save_steps} --save-every {resources.save_every} {resources.until} {params.deadline}"
            " --log {log} {resources.tensorboard} > {log} 2>&1"
