"""Evaluation: per-sample records first, every score derived from them.

``overall`` weights the in-distribution slices by their number of problems, ``macro``
is their plain mean (RETU §5.1); out-of-distribution slices are in neither.  Standard
errors are over problems (a problem's samples are one cluster), slice by slice.
"""

import math
from pathlib import Path

import pandas as pd

from switchpoint import files, grading, models

SAMPLE_COLUMNS = [
    "step", "split", "benchmark", "id", "sample", "n_tokens", "truncated", "extracted", "verdict", "correct", "text",
]  # fmt: skip


def answer(model, tokenizer, prompts: list, golds: list, job: dict) -> list[tuple]:
    """(rollout, text, verdict) of each prompt; ``job`` has max_new_tokens, temperature, seed."""
    from switchpoint.rollouts import torch as rollouts

    sampled = rollouts.sample(
        model,
        prompts,
        max_new_tokens=job["max_new_tokens"],
        temperature=job["temperature"],
        seed=job["seed"],
        eos=models.end_tokens(model, tokenizer),
    )
    texts = tokenizer.batch_decode([rollout.token_ids for rollout in sampled], skip_special_tokens=True)
    verdicts = [grading.grade(gold, text) for gold, text in zip(golds, texts, strict=True)]
    return list(zip(sampled, texts, verdicts, strict=True))


def evaluate(model, tokenizer, problems: pd.DataFrame, split: str, job: dict, step: int) -> pd.DataFrame:
    """Samples and grades every problem of a split; one row per (problem, sample).

    ``problems`` has id, problem, answer, benchmark, split.  The randomness of a row
    depends on (evaluation seed, problem, sample) alone.
    """
    from switchpoint.rollouts import torch as rollouts

    chosen = problems[problems["split"] == split]
    pairs = [(row, sample) for row in chosen.itertuples() for sample in range(job[f"{split}_samples"])]
    prompts = [
        rollouts.Prompt(models.render_prompt(tokenizer, row.problem), f"{row.id}/{sample}")
        for row, sample in pairs
    ]
    answers = answer(model, tokenizer, prompts, [gold(row.answer) for row, _ in pairs], job)
    records = []
    for (row, sample), (rollout, text, verdict) in zip(pairs, answers, strict=True):
        graded = verdict.extracted, verdict.status, verdict.correct
        where = step, split, row.benchmark, row.id, sample
        records.append((*where, len(rollout.token_ids), rollout.truncated, *graded, text))
    return pd.DataFrame(records, columns=SAMPLE_COLUMNS)


def gold(answer) -> str | list[str]:
    """The gold answer of a record: a string, or a list of strings."""
    return answer if isinstance(answer, str) else list(answer)


def scores(samples: pd.DataFrame, out_of_distribution: list[str]) -> pd.DataFrame:
    """benchmark, score, se, n, truncated of one evaluation: slices, then overall and macro.

    ``score`` and ``se`` in points 0..100, ``n`` problems, ``truncated`` in percent of samples.
    """
    problems = samples.groupby(["benchmark", "id"], sort=False)["correct"].mean().mul(100.0)
    slices = problems.groupby("benchmark", sort=False).agg(score="mean", sd="std", n="count")
    slices["se"] = slices["sd"].fillna(0.0) / slices["n"] ** 0.5
    slices["truncated"] = samples.groupby("benchmark", sort=False)["truncated"].mean() * 100.0
    inside = slices[~slices.index.isin(out_of_distribution)]
    weights = {"overall": inside["n"] / inside["n"].sum(), "macro": inside["n"] * 0 + 1 / len(inside)}
    for name, weight in weights.items():
        slices.loc[name] = {
            "score": (inside["score"] * weight).sum(),
            "se": math.sqrt(((inside["se"] * weight) ** 2).sum()),
            "n": inside["n"].sum(),
            "truncated": (inside["truncated"] * weight).sum(),
        }
    table = slices[["score", "se", "n", "truncated"]].rename_axis("benchmark").reset_index()
    return table.astype({"n": int})


def points(
    samples: pd.DataFrame, run: str, phase: str, exaflops: float, exaflops_total: float, ood: list[str]
) -> pd.DataFrame:
    """The rows of ``curves.csv`` of one evaluation."""
    table = scores(samples, ood).drop(columns="truncated")
    table.insert(0, "run", run)
    table.insert(1, "phase", phase)
    table.insert(2, "step", int(samples["step"].iloc[0]))
    table.insert(3, "exaflops", exaflops)
    table.insert(4, "exaflops_total", exaflops_total)
    return table


def write_parquet(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a table atomically."""
    with files.atomic(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a table atomically."""
    with files.atomic(path) as temporary:
        table.to_csv(temporary, index=False)


def run_group(
    job: dict, checkpoints: list[str], losses: str | None, benchmarks: str, out: str, state: str
) -> None:
    """Evaluates a group of checkpoints of one run on both splits; resumes at the next checkpoint.

    Writes ``samples.parquet``, ``points.csv`` (monitoring problems) and ``run.json``.
    """
    from switchpoint import engine
    from switchpoint.run import Progress, Run

    inputs = {f"model_{index}": f"{path}/model.safetensors" for index, path in enumerate(checkpoints)}
    this = Run(job, inputs | {"benchmarks": benchmarks}, state)
    engine.configure(job["seed"])
    problems = pd.read_parquet(benchmarks)
    show = Progress("evaluate", len(checkpoints))
    for index, (step, path) in enumerate(zip(job["steps"], checkpoints, strict=True), start=1):
        part = this.state / f"samples_{step}.parquet"
        if not part.exists():
            model, tokenizer = models.load(path)
            splits = [evaluate(model, tokenizer, problems, split, job, step) for split in ("monitor", "test")]
            write_parquet(pd.concat(splits), part)
        show(index, checkpoint=step)
    samples = pd.concat([pd.read_parquet(this.state / f"samples_{step}.parquet") for step in job["steps"]])
    spent = {0: 0.0} if losses is None else pd.read_csv(losses).set_index("step")["exaflops"].to_dict()
    phase = "base" if losses is None else "sft"
    monitored = samples[samples["split"] == "monitor"]
    table = pd.concat(
        points(group, job["run"], phase, spent[step], spent[step], job["out_of_distribution"])
        for step, group in monitored.groupby("step")
    )
    write_parquet(samples, f"{out}/samples.parquet")
    write_csv(table, f"{out}/points.csv")
    this.finish(f"{out}/run.json", "finished", verdicts=samples["verdict"].value_counts().to_dict())
