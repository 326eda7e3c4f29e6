# One rule per data set (`made.sft_rules`): its checkpoints are listed in the configuration, so every RL job
# that starts from one is known before anything runs.
for sft_rule in made.sft_rules(expansion):

    rule:
        name:
            sft_rule.name
        input:
            lambda wildcards, name=sft_rule.set: job_file(
                expansion.sft_job(name, wildcards.seed)
            ),
            base=model_inputs(expansion.base),
            data=out(paths.SET, set=sft_rule.set),
            validation=out(paths.VALIDATION),
        output:
            models(
                out(paths.CHECKPOINT, set=sft_rule.set, seed="{seed}", step=step)
                for step in sft_rule.steps
            ),
            (
                outs(paths.SFT, *paths.SFT_FILES, set=sft_rule.set, seed="{seed}")
                if sft_rule.whole
                else []
            ),
        log:
            log_file(paths.SFT.format(set=sft_rule.set, seed="{seed}")),
        wildcard_constraints:
            seed="|".join(map(str, sft_rule.seeds)),
        priority: 2  # every RL run waits for one of these
        conda:
            "../../envs/train.yaml"
        resources:
            # No parameter: one step more must not train the others again.
            save_steps=repeat("save-step", study.sft[sft_rule.set].save_steps),
            launcher=expansion.launcher,
        params:
            job=lambda wildcards, name=sft_rule.set: expansion.sft_job(
                name, wildcards.seed
            ).model_dump_json(),
            base=directory_of("base"),
            out=subpath(output[0], ancestor=2),
            state=state(paths.SFT.format(set=sft_rule.set, seed="{seed}")),
        shell:
            "{resources.launcher} sft --job {params.job:q} --base {params.base:q} --data {input.data}"
            " --validation {input.validation} --out {params.out} --state {params.state}"
            " {resources.save_steps} > {log} 2>&1"
