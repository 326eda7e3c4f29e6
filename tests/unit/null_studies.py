"""Studies whose starts are equally good, or all but one, to see how often the advice excludes the best."""

from unittest import mock

import numpy as np
import pandas as pd

from switchpoint.analysis import ceilings
from switchpoint.analysis.advice import advise
from switchpoint.analysis.points import check_points

BEST = "S-100"


def study(
    rng: np.random.Generator, seeds: int, seed_sd: float, ratio: float, known: bool, worse: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and runs of 3 to 8 starts with the same ceiling, the last of which is ``worse`` (points).

    ``seed_sd`` is the standard deviation of a seed's ceiling, ``ratio`` that of the largest to the smallest RL budget,
    ``known`` whether scores have standard errors.  With equal budgets the data cover the curves, otherwise the
    shortest end where their scores still rise.
    """
    n_starts, points, runs = int(rng.integers(3, 9)), [], []
    top, noise = rng.uniform(60, 85), rng.uniform(0.4, 0.8)
    start, middle = top - rng.uniform(6, 15), rng.uniform(0.5, 0.9) if ratio > 1 else rng.uniform(0.08, 0.16)
    for i in range(n_starts):
        budget = ratio ** (i / (n_starts - 1))  # the first has the smallest
        for seed in range(seeds):
            ceiling = top - worse * (i == n_starts - 1) + seed_sd * rng.standard_normal()
            x = np.linspace(1 / 16, budget, int(16 * budget))
            score = (
                start + (ceiling - start) / (1 + (x / middle) ** -1.5) + noise * rng.standard_normal(len(x))
            )
            run = f"S-{100 * (i + 1)}/{seed}"
            points += [(run, 0.0, start), *((run, *point) for point in zip(x, score, strict=True))]
            runs.append((run, seed, 100 * (i + 1), float(i + 1)))
    curves = pd.DataFrame(points, columns=["run", "exaflops", "score"]).assign(se=noise if known else np.nan)
    table = pd.DataFrame(runs, columns=["run", "seed", "start_step", "sft_exaflops"])
    return curves, table.assign(parent="sft", set="S", algorithm="grpo", status="finished")


def judged(seed: int, *row: float) -> dict:
    """Whether the advice on one study excludes the best start and the last one, and what it says; ``row`` as of ``study``."""
    curves, runs = study(np.random.default_rng([seed, *(int(10 * value) for value in row)]), *row)
    # What a forecast would have missed by takes half of the time, and no part in the advice.
    missing = dict.fromkeys(["heldout_rmse", "heldout_rmse_naive"])
    with mock.patch.object(ceilings, "held_out_errors", return_value=missing):
        fits = ceilings.fit_curves(check_points(curves))
    advice = advise(curves, runs, fits)
    last = f"S-{runs['start_step'].max()}"
    return {
        "basis": advice["basis"],
        "best excluded": BEST not in advice["tied"],
        "last excluded": last not in advice["tied"],
        "start here": advice["verdict"] == "start_here",
        "loses more than said": advice["recommended"] == last and row[-1] > advice["max_loss"],
    }
