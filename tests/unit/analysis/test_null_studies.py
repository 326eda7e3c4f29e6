"""How often the advice excludes the best start: where all are equal, and where one is worse."""

import math

import null_studies
import numpy as np
import pandas as pd
import pytest

from switchpoint.analysis.advice import advise


def tied(rng: np.random.Generator, seeds: int, seed_sd: float, basis: str, worse: float) -> tuple[bool, bool]:
    """Whether the first and the last start may be the best, of 3 to 8 with known errors of 0.5 points, the last ``worse``."""
    n_starts, fits, points, runs = int(rng.integers(3, 9)), {}, [], []
    for start in range(n_starts):
        for seed in range(seeds):
            score = 70 - worse * (start == n_starts - 1) + np.hypot(seed_sd, 0.5) * rng.standard_normal()
            run = f"{start}/{seed}"
            ends = [score - 0.98, score + 0.98]
            fits |= {run: {"a": score, "a_ci95": ends, "status": "identified"}} if basis == "ceiling" else {}
            points.append((run, 1.0, score, 0.5))
            runs.append((run, "sft", "S", "grpo", seed, 100 * start, float(start), "finished"))
    columns = ["run", "parent", "set", "algorithm", "seed", "start_step", "sft_exaflops", "status"]
    curves = pd.DataFrame(points, columns=["run", "exaflops", "score", "se"])
    advice = advise(curves, pd.DataFrame(runs, columns=columns), {"runs": fits})
    assert advice["basis"].startswith(basis)
    return "S-0" in advice["tied"], f"S-{100 * (n_starts - 1)}" in advice["tied"]


@pytest.mark.parametrize("basis", ["ceiling", "final"])
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 1.0), (2, 1.0)])
def test_the_best_is_rarely_excluded_and_a_worse_one_often(basis, seeds, seed_sd):
    rng, n = np.random.default_rng(0), 40
    excluded = 1 - np.mean([tied(rng, seeds, seed_sd, basis, 0.0)[0] for _ in range(n)])
    assert excluded <= 0.07 + 2 * math.sqrt(0.07 * 0.93 / n)
    best, worse = np.transpose([tied(rng, seeds, seed_sd, basis, 6.0) for _ in range(10)])
    assert np.mean(worse) <= 0.2
    assert np.mean(best) >= 0.8


@pytest.mark.soak
@pytest.mark.parametrize("ratio", [1, 4])
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.5), (1, 1.0), (2, 0.0), (2, 1.0), (3, 0.5), (3, 1.0)])
def test_curves_of_equal_starts(seeds, seed_sd, ratio):
    """From curves, with equal and unequal budgets."""
    found = pd.DataFrame([null_studies.judged(i, seeds, seed_sd, ratio, True, 0.0) for i in range(100)])
    assert found["best excluded"].mean() <= 0.07 + 2 * math.sqrt(0.07 * 0.93 / 100)
