"""Training curves with a known ceiling: autocorrelated noise, outliers, any coverage, collapses."""

import numpy as np
import pandas as pd

from switchpoint.analysis.sigmoid import rise

WELL, BADLY = (6.0, 15.0), (0.15, 0.5)  # largest compute, in units of C_mid


def curve(
    seed: int, coverage: tuple[float, float], collapse: bool = False, steepness: tuple = (1.0, 3.0)
) -> dict:
    """One curve: its points (run, exaflops, score, p_start) and what they were made from.

    15 to 80 points; a gain of 5 to 25 points to a ceiling of 60 to 90; noise of 0.5 to 1 point with
    autocorrelation 0 to 0.5; up to 15 % outliers of 3 to 10 standard deviations; the start is
    measured with noise in every second curve.  A collapse takes up to a quarter of the points.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(15, 81))
    a, b, covered = rng.uniform(60, 90), rng.uniform(*steepness), rng.uniform(*coverage)
    start, unit = a - rng.uniform(5, 25), 10 ** rng.uniform(-8, 3)
    sd, rho = rng.uniform(0.5, 1.0), rng.uniform(0, 0.5)
    x = np.linspace(1 / n, 1, n) * covered
    score = start + (a - start) * rise(x, 1.0, b) + sd * autocorrelated(rng, n, rho)
    hit = rng.choice(n, int(rng.uniform(0, 0.15) * n), replace=False)
    score[hit] += sd * rng.choice([-1, 1], len(hit)) * rng.uniform(3, 10, len(hit))
    fallen = int(rng.integers(3, max(4, n // 4))) if collapse else 0
    if collapse:
        score[-fallen:] -= 3 + np.cumsum(rng.uniform(2, 8, fallen))
    measured = start + sd * rng.standard_normal() * (seed % 2)
    points = pd.DataFrame({"run": f"curve-{seed}", "exaflops": x * unit, "score": score.clip(0, 100)})
    return {"points": points.assign(p_start=measured), "a": a, "fallen": fallen, "outliers": len(hit)}


def autocorrelated(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """AR(1) noise of unit variance, shape (n,)."""
    noise = rng.standard_normal(n)
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def judge(curves: list[dict], fits: dict) -> dict:
    """How the fits (entries by run) of curves with a known ceiling did; width and error of the identified."""
    rows = []
    for one in curves:
        fit = fits[one["points"]["run"].iloc[0]]
        low, high = fit["a_ci95"]
        low, high = 0.0 if low is None else low, 100.0 if high is None else high
        rows.append(
            {
                "identified": fit["a"] is not None,
                "covered": low <= one["a"] <= high,
                "error": abs(fit["a_point"] - one["a"]),
                "width": high - low,
                "collapsed": fit["status"] == "collapsed",
            }
        )
    table = pd.DataFrame(rows)
    known = table[table["identified"]]
    return {
        "identified": table["identified"].mean(),
        "median error": known["error"].median(),
        "median width": known["width"].median(),
        "coverage": table["covered"].mean(),
        "claims that miss": (table["identified"] & ~table["covered"]).mean(),
        "collapsed": table["collapsed"].mean(),
    }
