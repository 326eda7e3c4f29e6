"""Studies whose starts are tested on the same problems, of very different difficulty."""

import numpy as np
import pandas as pd
from scored_starts import study as scored

from switchpoint.analysis.advice import advise
from switchpoint.scores import standard_error

Study = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


def tables(found: dict[str, pd.DataFrame]) -> Study:
    """Curves, runs, results and problems; ``found`` has benchmark, id, value, n of every run rl/grpo/a-<step>/seed_<seed>."""
    ends = {}
    for run, rows in found.items():
        start = run.split("/")[2]
        step = 0 if start == "base" else int(start.removeprefix("a-"))
        ends.setdefault(step, []).append(rows["value"].mean())
    base = ends.pop(0, [None])[0]
    curves, runs = scored(ends, base=base)
    results = pd.DataFrame(
        {
            "run": run, "phase": "rl", "step": 4, "metric": "avg", "benchmark": "overall", "score": rows["value"].mean(),
            "se": standard_error({"": rows["value"].to_numpy(float)}, {"": 1.0}), "n": len(rows),
        }
        for run, rows in found.items()
    )  # fmt: skip
    return curves, runs, results, pd.concat([rows.assign(run=run) for run, rows in found.items()])


def drawn(
    rng: np.random.Generator,
    n_starts: int,
    seeds: int = 1,
    worse: float = 0.0,
    n_problems: int = 300,
    samples: int = 4,
    seed_sd: float = 1.0,
    taste: float = 0.0,
) -> Study:
    """``n_starts`` starts whose last is ``worse`` (points); difficulties have a standard deviation of 40 points.

    ``taste`` is the standard deviation of what a problem suits a start, ``seed_sd`` that of a seed's score.
    """
    difficulty = 50 + 40 * rng.choice([-1, 1], n_problems)
    found = {}
    for i in range(n_starts):
        suits = rng.choice([-taste, taste], n_problems)
        for seed in range(seeds):
            mean = difficulty + suits - worse * (i == n_starts - 1) + seed_sd * rng.standard_normal()
            value = 100 * rng.binomial(samples, np.clip(mean, 0, 100) / 100) / samples
            found[f"rl/grpo/a-{10 * (i + 1)}/seed_{seed}"] = pd.DataFrame(
                {"benchmark": "math", "id": np.arange(n_problems).astype(str), "value": value, "n": samples}
            )
    return tables(found)


def advised(study: Study, paired: bool = True) -> dict:
    """The advice on it, with its problems or without."""
    curves, runs, results, problems = study
    return advise(curves, runs, {"runs": {}}, results=results, problems=problems if paired else None)
