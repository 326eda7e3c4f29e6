"""Instability of RL runs: how much the scores of a run jump about, and how often seeds diverge.

The jumps are what is left of each score after the straight line through its two neighbours: no
curve is fitted, so a run that no curve fits has its instability measured too.  With unequal spacing
in compute, e_i = y_i - a_i y_(i-1) - b_i y_(i+1) and
S^2 = mean of e_i^2 / (1 + a_i^2 + b_i^2), which has the variance of independent errors as its
mean around any straight trend (Gasser, Sroka and Jennen-Steinmetz 1986, Biometrika 73:625).

Deviations
----------
The papers tell of instability and of diverged runs without a number for either.  Here the intervals
take the errors for normal and independent, S^2 for a multiple of chi-squared with Satterthwaite's
degrees of freedom, and a ratio for F.  The scores' error from the choice of problems is the same at
every point of a run, and does not count.
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from switchpoint.analysis.comparisons import Z95
from switchpoint.errors import InputError

MIN_POINTS = 5  # three jumps; fewer tell nothing
ROUNDING = 1e-9  # points


def instability(points: dict[str, pd.DataFrame], runs: pd.DataFrame, reference: str | None = None) -> dict:
    """The instability of every run, and the share of diverged seeds of every start.

    ``points`` maps a run to its table of exaflops (increasing) and score (points), without the row at
    exaflops 0, where the evaluation is another run's; ``runs`` has run, algorithm, start and status of
    every RL run, with points or without; ``reference`` is the run whose standard deviation divides the
    others'.

    Returns ``runs``: {run: {n, sd, ci95, degrees, ratio, ratio_ci95, reason}}, sd in points, ``reason`` why
    there is no sd or ratio; ``reference``; ``groups``: [{algorithm, start, diverged, seeds, share, ci95}],
    shares 0..1 with Wilson's interval; ``words``.  InputError when the reference is no run, or has no
    standard deviation.
    """
    empty = pd.DataFrame({"exaflops": [], "score": []})
    entries = {
        run: roughness(*points.get(run, empty)[["exaflops", "score"]].to_numpy(float).T)
        for run in runs["run"]
    }
    if reference is not None:
        if reference not in entries:
            raise InputError(f"reference {reference}: no RL run of this name; there are {', '.join(entries)}")
        if (entries[reference]["sd"] or 0.0) < ROUNDING:
            reason = entries[reference]["reason"] or "its scores do not vary"
            raise InputError(f"reference {reference}: {reason}; take another run")
        entries = {run: entry | ratio(entry, entries[reference]) for run, entry in entries.items()}
    groups = [
        {"algorithm": algorithm, "start": start, **diverged_share(rows["status"])}
        for (algorithm, start), rows in runs.groupby(["algorithm", "start"])
    ]
    return {
        "runs": entries,
        "reference": reference,
        "groups": groups,
        "words": instability_words(entries, groups, reference),
    }


def roughness(x: np.ndarray, score: np.ndarray) -> dict:
    """Standard deviation of the scores around their trend, with its 95 % interval.

    ``x`` (increasing) and ``score`` have shape (n,).  Returns {n, sd, ci95, degrees, ratio,
    ratio_ci95, reason}, the ratios None.
    """
    n = len(x)
    entry = {"n": n, **dict.fromkeys(["sd", "ci95", "degrees", "ratio", "ratio_ci95", "reason"])}
    if n < MIN_POINTS:
        return entry | {"reason": f"{n} points, fewer than {MIN_POINTS}"}
    jumps = jump_rows(x)
    variance = float(np.mean((jumps @ score) ** 2))
    # The quadratic form y' J'J y / m has mean 1 and variance 2 tr((J J')^2) / m^2 for unit errors.
    degrees = len(jumps) ** 2 / float(np.sum((jumps @ jumps.T) ** 2))
    ends = variance * degrees / stats.chi2.ppf([0.975, 0.025], degrees)
    return entry | {"sd": math.sqrt(variance), "ci95": np.sqrt(ends).tolist(), "degrees": degrees}


def ratio(entry: dict, reference: dict) -> dict:
    """What the ``reference``'s entry adds to another's: the ratio of the two sd, or why there is none.

    Its 95 % interval is that of F.
    """
    if entry is reference or entry["sd"] is None:
        return {"reason": entry["reason"] or "the reference itself"}
    times = entry["sd"] / reference["sd"]
    ends = stats.f.ppf([0.975, 0.025], entry["degrees"], reference["degrees"])
    return {"ratio": times, "ratio_ci95": (times / np.sqrt(ends)).tolist()}


def jump_rows(x: np.ndarray) -> np.ndarray:
    """The rows (n - 2, n) that turn scores into jumps of the variance of one score's error."""
    left, right = x[1:-1] - x[:-2], x[2:] - x[1:-1]
    before, after = right / (left + right), left / (left + right)
    rows = np.zeros((len(x) - 2, len(x)))
    index = np.arange(len(x) - 2)
    rows[index, index], rows[index, index + 1], rows[index, index + 2] = -before, 1.0, -after
    return rows / np.sqrt(1 + before**2 + after**2)[:, None]


def diverged_share(status: pd.Series) -> dict:
    """How many of a start's seeds diverged, with Wilson's interval of the share."""
    n, k = len(status), int((status == "diverged").sum())
    return {"diverged": k, "seeds": n, "share": k / n, "ci95": list(wilson(k, n))}


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of k in n trials, n >= 1."""
    centre = (k + Z95**2 / 2) / (n + Z95**2)
    half = Z95 / (n + Z95**2) * math.sqrt(k * (n - k) / n + Z95**2 / 4)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def instability_words(entries: dict, groups: list[dict], reference: str | None) -> list[str]:
    """What stands out, a sentence each: runs rougher or smoother than the reference, diverged seeds."""
    words = []
    for run, entry in entries.items():
        low, high = entry["ratio_ci95"] or (0.0, math.inf)
        if low > 1 or high < 1:
            words.append(
                f"{run} is {'less' if low > 1 else 'more'} stable than {reference}: its scores vary "
                f"{entry['ratio']:.2f} times as much (95 % {low:.2f} to {high:.2f})."
            )
    for group in groups:
        if group["diverged"]:
            low, high = (100 * end for end in group["ci95"])
            words.append(
                f"{group['diverged']} of {group['seeds']} seeds of {group['algorithm']} from "
                f"{group['start']} diverged (95 % {low:.0f} to {high:.0f} %)."
            )
    return words
