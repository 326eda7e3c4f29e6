"""Evaluation: checkpoints in, per-sample records out; ``scores`` derives the rest.

Generation runs in fixed blocks: one sample index, at most ``BLOCK`` problems, the shortest
prompts first.  A block depends on nothing outside it, so an evaluation that is resumed, split
into parts or extended by more samples repeats exactly.
"""

import dataclasses

import pandas as pd

from switchpoint import files, scores, tables
from switchpoint.errors import InputError
from switchpoint.grading import grader as grading
from switchpoint.training import models

BLOCK = 512  # problems sampled together
SPLITS = ("monitor", "test")


def answer(model, tokenizer, prompts: list, golds: list, job: dict) -> list[tuple]:
    """(rollout, text, verdict) of each prompt; ``job`` has max_new_tokens, temperature, top_p, seed, extraction."""
    from switchpoint.training.rollouts import torch as rollouts

    sampled = rollouts.sample(
        model,
        prompts,
        max_new_tokens=job["max_new_tokens"],
        temperature=job["temperature"],
        top_p=job["top_p"],
        seed=job["seed"],
        eos=models.end_tokens(model, tokenizer),
    )
    texts = tokenizer.batch_decode([rollout.token_ids for rollout in sampled], skip_special_tokens=True)
    verdicts = grading.shared().grade(golds, texts, job["extraction"])
    return list(zip(sampled, texts, verdicts, strict=True))


@dataclasses.dataclass(frozen=True)
class Block:
    """One sample of each of some problems; ``name`` holds split, sample and a hash of the problems."""

    name: str
    sample: int
    rows: pd.DataFrame  # with token_ids, the rendered prompts


def blocks(tokenizer, problems: pd.DataFrame, split: str, job: dict) -> list[Block]:
    """The blocks of a split; ``job[split]`` is the number of samples per problem of each benchmark."""
    chosen = problems[problems["split"] == split].copy()
    chosen["token_ids"] = [
        models.render_prompt(tokenizer, problem, job["template"]) for problem in chosen["problem"]
    ]
    chosen["samples"] = chosen["benchmark"].map(job[split])
    chosen["length"] = chosen["token_ids"].map(len)
    chosen = chosen.sort_values(["length", "id"])
    result = []
    for sample in range(int(chosen["samples"].max())):
        rows = chosen[chosen["samples"] > sample]
        for first in range(0, len(rows), BLOCK):
            block = rows.iloc[first : first + BLOCK]
            result.append(Block(f"{split}_{sample}_{files.digest(list(block['id']))}", sample, block))
    return result


def evaluate_block(
    model, tokenizer, block: Block, split: str, job: dict, run: str, step: int
) -> pd.DataFrame:
    """The graded samples of a block, one row each; a row's randomness depends on (seed, problem, sample) alone."""
    from switchpoint.training.rollouts import torch as rollouts

    rows = list(block.rows.itertuples())
    prompts = [rollouts.Prompt(row.token_ids, f"{row.id}/{block.sample}") for row in rows]
    answers = answer(model, tokenizer, prompts, [gold(row.answer) for row in rows], job)
    records = []
    for row, (rollout, text, verdict) in zip(rows, answers, strict=True):
        graded = verdict.extracted, verdict.status, verdict.correct
        where = run, step, split, row.benchmark, row.id, block.sample
        records.append((*where, len(rollout.token_ids), rollout.truncated, *graded, text))
    return pd.DataFrame(records, columns=scores.SAMPLE_COLUMNS)


def evaluate(
    model, tokenizer, problems: pd.DataFrame, split: str, job: dict, run: str, step: int
) -> pd.DataFrame:
    """Samples and grades every problem of a split, in the order of the problems.

    ``problems`` has id, problem, answer, benchmark, split; ``run`` and ``step`` say whose model it is.
    """
    parts = [
        evaluate_block(model, tokenizer, block, split, job, run, step)
        for block in blocks(tokenizer, problems, split, job)
    ]
    return ordered(pd.concat(parts), problems)


def ordered(samples: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    """Samples by run, step, split, the order of the problems, and sample."""
    position = samples["id"].map({name: index for index, name in enumerate(problems["id"])})
    order = samples.assign(position=position).sort_values(["run", "step", "split", "position", "sample"])
    return order.drop(columns="position").reset_index(drop=True)


def gold(answer) -> str | list[str]:
    """The gold answer of a record: a string, or a list of strings."""
    return answer if isinstance(answer, str) else list(answer)


def run_group(
    job: dict, checkpoints: list[str], benchmarks: str, out: str, state: str, part: tuple[int, int] = (0, 1)
) -> None:
    """Evaluates a group of checkpoints; resumes at the next block.

    Writes ``samples.parquet`` and ``run.json``.  With ``part`` (i, n) only every n-th block from
    the i-th; ``merge`` makes the whole of the parts.  The blocks stay in the state, so that more
    samples per problem, or more checkpoints, add to an earlier evaluation.
    """
    from switchpoint.training.engine import torch as engine
    from switchpoint.training.job_run import Progress, Run

    weights = {path: f"{path}/model.safetensors" for path in checkpoints}
    this = Run(job, weights | {"benchmarks": benchmarks}, state, (*SPLITS, *checkpoints))
    engine.configure(job["seed"])
    problems = pd.read_parquet(benchmarks)
    show = Progress("evaluate", len(checkpoints))
    records = [checkpoint_record(job, path) for path in checkpoints]
    blocks_kept = []
    for index, (record, path) in enumerate(zip(records, checkpoints, strict=True), start=1):
        model, tokenizer = models.load(path)
        for split in splits(job):
            for block in blocks(tokenizer, problems, split, job)[part[0] :: part[1]]:
                kept = this.state / f"{this.inputs[path][:16]}_{block.name}.parquet"
                if not kept.exists():
                    where = record["run"], record["step"]
                    tables.write_parquet(evaluate_block(model, tokenizer, block, split, job, *where), kept)
                blocks_kept.append(kept)
        show(index, checkpoint=record["step"])
    made = [pd.read_parquet(kept) for kept in blocks_kept]
    # A part may be empty where there are more parts than blocks.
    samples = ordered(pd.concat(made), problems) if made else pd.DataFrame(columns=scores.SAMPLE_COLUMNS)
    tables.write_parquet(samples, f"{out}/samples.parquet")
    for old in set(this.state.glob("*.parquet")) - set(blocks_kept):
        old.unlink()
    this.finish(f"{out}/run.json", "finished", keep_state=True, checkpoints=records, verdicts=counts(samples))


def splits(job: dict) -> list[str]:
    """The splits that the job evaluates."""
    return [split for split in SPLITS if split in job]


def checkpoint_record(job: dict, path: str) -> dict:
    """Which run's model this is, and the compute it took: from its ``run.json``; the base model took none."""
    base = {"run": "base", "phase": "base", "step": 0, "exaflops": 0.0, "exaflops_total": 0.0}
    record = base if job["group"] == "base" else files.read_json(f"{path}/run.json")
    return {name: record[name] for name in base}


def counts(samples: pd.DataFrame) -> dict[str, int]:
    """Number of samples of each verdict."""
    return {str(status): int(n) for status, n in samples["verdict"].value_counts().items()}


def merge(job: dict, parts: list[str], benchmarks: str, out: str) -> None:
    """Puts the parts of a split evaluation (their directories) together, as if it had not been split."""
    read = [pd.read_parquet(f"{part}/samples.parquet") for part in parts]
    samples = pd.concat([table for table in read if len(table)])
    problems, records = pd.read_parquet(benchmarks), [files.read_json(f"{part}/run.json") for part in parts]
    per_checkpoint = sum(
        problems.loc[problems["split"] == split, "benchmark"].map(job[split]).sum() for split in splits(job)
    )
    expected = int(per_checkpoint) * len(records[0]["checkpoints"])
    if len(samples) != expected or samples.duplicated(scores.SAMPLE_COLUMNS[:6]).any():
        raise InputError(
            f"the parts hold {len(samples)} samples, the evaluation has {expected}; give every part, once"
        )
    samples = ordered(samples, problems)
    tables.write_parquet(samples, f"{out}/samples.parquet")
    sums = {name: sum(record[name] for record in records) for name in ("seconds", "cpu_seconds")}
    files.write_json(f"{out}/run.json", records[0] | sums | {"verdicts": counts(samples)})
