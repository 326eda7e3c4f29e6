"""What further RL compute buys: stop or continue, equal compute, compute to reach a score, crossovers.

All of it reads fitted curves with their 95 % bands, as ``fit_curves`` gives them, at points that
are joined by straight lines.  A curve is a dict of arrays ``x`` (exaFLOPs, increasing), ``score``,
``low`` and ``high`` (points), ``x_last``, the end of the data, and ``unit``, if not exaFLOPs; beyond it a value is marked
``extrapolated``, and beyond the last ``x`` there is none.

Deviations
----------
The papers compare final scores, at RL budgets that differ between data sets by a factor of 4 to 5.
"""

import itertools
import math

import numpy as np
import pandas as pd

from switchpoint.analysis.comparisons import Z95, error_of_mean, possible_bests
from switchpoint.units import say, scale_of, unit_of

THRESHOLD = 0.5  # points by doubling the RL compute; less is not worth it
HORIZONS = (1.25, 2.0)  # times the RL compute spent
MAX_FURTHER = 2  # times the evaluations there are; more is no advice
APART = 1.2  # times; budgets nearer than this say the same
SUBDIVISIONS = 16  # of every stretch of two curves, to find where their bands part


def smoothed_peak(x: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """(exaFLOPs, score) of the highest running median of three; of one or two points the higher."""
    if len(x) > 2:
        x, score = x[1:-1], np.median(np.lib.stride_tricks.sliding_window_view(score, 3), axis=1)
    highest = int(np.argmax(score))
    return float(x[highest]), float(score[highest])


def continue_or_stop(run: str, fit: dict, points: pd.DataFrame, status: str = "finished") -> dict:
    """Whether to give an RL run more compute.

    ``stop`` when the upper end of the 95 % interval of the gain by doubling the compute is below 0.5
    points, ``continue`` when the lower end is above, else ``unclear``; ``collapsed`` when the run
    collapsed or diverged: go back to its peak.

    ``fit`` is the run's entry of ``fit_curves`` (its ``gains`` may be missing), ``points`` its exaflops and
    scores, sorted, at least one row; ``status`` says how it ended (``runs.csv``).  Returns ``run``,
    ``verdict``, ``gains`` ([{times, exaflops, gain, ci95, per_exaflop, per_exaflop_ci95}], exaflops beyond
    those spent), ``back_to`` ({exaflops, score} of a collapsed run's smoothed peak), ``caveats``, ``words``.
    """
    gains = [with_rate(gain) for gain in fit.get("gains") or [] if gain["times"] in HORIZONS]
    known = [gain for gain in gains if gain["gain"] is not None and None not in gain["ci95"]]
    doubling = next((gain for gain in known if gain["times"] == 2), None)
    unit, back_to = unit_of(fit), None
    if status == "diverged" or fit.get("status") == "collapsed":
        verdict = "collapsed"
        at, peak = smoothed_peak(*points[["exaflops", "score"]].to_numpy().T)
        back_to = {"exaflops": at, "score": peak}
        words = (
            f"{run} {'diverged' if status == 'diverged' else 'collapsed'}: go back to the checkpoint of "
            f"its peak, {back_to['score']:.1f} at {say(back_to['exaflops'], unit)}"
        )
    elif doubling is None:
        verdict, words = "unclear", f"{run}: its {len(points)} points give no interval of what more RL gains"
    else:
        verdict, words = weigh_gain(run, doubling, len(points), unit)
    caveats = forecast_caveats(fit, status)
    return {
        "run": run,
        "verdict": verdict,
        "gains": known,
        "back_to": back_to,
        "caveats": caveats,
        "words": f"{'; but '.join([words, *caveats])}.",
    }


def with_rate(gain: dict) -> dict:
    """The gain with its rate."""
    rates = [None if value is None else value / gain["exaflops"] for value in (gain["gain"], *gain["ci95"])]
    return {**gain, "per_exaflop": rates[0], "per_exaflop_ci95": rates[1:]}


def weigh_gain(run: str, doubling: dict, n: int, unit: str) -> tuple[str, str]:
    """The verdict on a run with a forecast, and its sentence."""
    gain, (low, high), more = doubling["gain"], doubling["ci95"], doubling["exaflops"]
    factor, name = scale_of([more], unit)
    words = (
        f"{run}: twice the RL compute ({say(more, unit)} more) gains {gain:+.1f} points "
        f"(95 % {low:+.1f} to {high:+.1f}), {gain / (more * factor):.3g} per {name.removesuffix('s')}"
    )
    if high < THRESHOLD:
        return "stop", f"stop {words}"
    if low > THRESHOLD:
        return "continue", f"continue {words}"
    # The interval narrows with the square root of the points, until it leaves the threshold out.
    side = high - gain if gain < THRESHOLD else gain - low
    margin = abs(gain - THRESHOLD)
    further = math.inf if margin == 0 else n * ((side / margin) ** 2 - 1)
    about = f"about {math.ceil(further)} more evaluations, or " if further <= MAX_FURTHER * n else ""
    return "unclear", (
        f"unclear {words}; to settle it: {about}a quarter more compute ({say(more / 4, unit)}) and a new fit"
    )


def forecast_caveats(fit: dict, status: str) -> list[str]:
    """Why not to trust the forecast, or not to be able to follow it."""
    caveats = []
    rmse, naive = fit.get("heldout_rmse"), fit.get("heldout_rmse_naive")
    if rmse is not None and naive is not None and rmse > naive:
        caveats.append(
            "the fit forecast the last points worse than a constant "
            f"(error {rmse:.2f} against {naive:.2f} points)"
        )
    if status == "exhausted":
        caveats.append("no prompt with both right and wrong answers was left: more RL needs other prompts")
    return caveats


def curve_of(fit: dict) -> dict | None:
    """The curve of a run's entry of ``fit_curves``; None when it has none with a band."""
    rows = [row for row in fit.get("curve") or [] if row["score"] is not None and None not in row["ci95"]]
    if len(rows) < 2 or fit.get("x_last") is None:
        return None
    columns = {
        "x": [row["exaflops"] for row in rows],
        "score": [row["score"] for row in rows],
        "low": [row["ci95"][0] for row in rows],
        "high": [row["ci95"][1] for row in rows],
    }
    end, gains = fit["x_last"], fit.get("gains")
    if fit.get("status") == "collapsed" and gains:
        # What was fitted, and so measured, ends where the gains start.
        end = gains[0]["exaflops"] / (gains[0]["times"] - 1)
    arrays = {name: np.array(values, dtype=float) for name, values in columns.items()}
    return arrays | {"x_last": end, "unit": unit_of(fit)}


def pool_curves(curves: list[dict], sd: float, dof: float, offset: float = 0.0) -> dict:
    """The mean curve of a start's seeds as far as all go, its compute ``offset`` by that of SFT.

    Its band is that of ``error_of_mean`` at every point, the seeds' mean band being their own; ``sd`` and ``dof`` are the
    spread of seeds.
    """
    end = min(curve["x"][-1] for curve in curves)
    x = np.unique(np.concatenate([curve["x"] for curve in curves]))
    x = x[x <= end]
    score, low, high = (
        np.array([np.interp(x, curve["x"], curve[name]) for curve in curves])
        for name in ("score", "low", "high")
    )
    mean, n = score.mean(axis=0), len(curves)

    def widened(own: np.ndarray) -> np.ndarray:
        """Half a band with the spread of seeds."""
        return Z95 * np.array([error_of_mean(error, n, sd, dof) for error in own / Z95])

    return {
        "x": x + offset,
        "score": mean,
        "low": mean - widened((score - low).mean(axis=0)),
        "high": mean + widened((high - score).mean(axis=0)),
        "x_last": min(curve["x_last"] for curve in curves) + offset,
        "unit": unit_of(curves[0]),
    }


def compute_to_reach(curve: dict, score: float) -> dict:
    """The compute at which the curve first reaches ``score`` (points).

    Returns {exaflops, ci95, extrapolated}.  The interval is where the band's upper and lower edges
    reach it; what is not reached on the curve is None.
    """
    at, early, late = (first_crossing(curve["x"], curve[name], score) for name in ("score", "high", "low"))
    return {
        "exaflops": at,
        "ci95": [early, late],
        "extrapolated": None if at is None else at > curve["x_last"],
    }


def first_crossing(x: np.ndarray, y: np.ndarray, level: float) -> float | None:
    """Where the line through the points first reaches the level from below."""
    reached = np.flatnonzero(y >= level)
    if not len(reached):
        return None
    i = reached[0]
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (x[i] - x[i - 1]) * (level - y[i - 1]) / (y[i] - y[i - 1]))


def crossovers(first: dict, second: dict) -> list[dict]:
    """Where two curves cross, in order; empty when they do not in the range of both.

    Each is {exaflops, ci95, extrapolated, leads}: ``leads`` is 1 or 2, the curve ahead after it.  The
    interval is the stretch around it in which the 95 % band of their difference holds 0, an end
    None where that stretch does not end.
    """
    low, high = max(first["x"][0], second["x"][0]), min(first["x"][-1], second["x"][-1])
    nodes = np.unique(np.concatenate([first["x"], second["x"], [low, high]]))
    nodes = nodes[(nodes >= low) & (nodes <= high)]
    if len(nodes) < 2:
        return []
    x = np.interp(np.arange((len(nodes) - 1) * SUBDIVISIONS + 1) / SUBDIVISIONS, np.arange(len(nodes)), nodes)
    first_at, second_at = (
        {name: np.interp(x, curve["x"], curve[name]) for name in ("score", "low", "high")}
        for curve in (first, second)
    )
    lead = first_at["score"] - second_at["score"]
    up = np.hypot(first_at["high"] - first_at["score"], second_at["score"] - second_at["low"])
    down = np.hypot(first_at["score"] - first_at["low"], second_at["high"] - second_at["score"])
    apart = x[(lead - down > 0) | (lead + up < 0)]
    told = np.flatnonzero(lead)
    crossings = []
    for a, b in itertools.pairwise(told):
        if lead[a] * lead[b] < 0:
            at = float(x[a] + (x[b] - x[a]) * lead[a] / (lead[a] - lead[b]))
            before, after = apart[apart < at], apart[apart > at]
            ends = [float(before[-1]) if len(before) else None, float(after[0]) if len(after) else None]
            crossings.append(
                {
                    "exaflops": at,
                    "ci95": ends,
                    "extrapolated": at > min(first["x_last"], second["x_last"]),
                    "leads": 1 if lead[b] > 0 else 2,
                }
            )
    return crossings


def equal_compute(starts: list[dict], curves: dict, totals: dict, dof: float = math.inf) -> dict:
    """The data sets compared at equal RL compute and at equal total compute.

    ``starts`` have ``start`` (a name) and ``set``; with one set, the starts themselves are compared.
    ``curves`` and ``totals`` map a start to its curve against RL compute, and against all compute, SFT
    included; ``dof`` the degrees of freedom of their errors.  At equal total compute a start has its best so far, also
    where its data end earlier: RL may always stop.

    Returns ``rl`` and ``total``: where at least two groups are measured, at the ends of the starts' data (of
    those within a fifth of each other the highest), {exaflops, scores, n_measured, leader, significant,
    words}; ``scores``, highest first, is [{group, start, score, ci95, extrapolated, ends (of its data), n_starts}], the best
    start of every group there.  Only scores within the data lead; the lead is ``significant`` when no start
    of another group may be the best there, with family error 5 % (``possible_bests``).
    """
    key = "set" if len({start["set"] for start in starts}) > 1 else "start"
    groups = {start["start"]: start[key] for start in starts}
    return {
        "rl": compare_at_budgets(groups, curves, dof),
        "total": compare_at_budgets(groups, totals, dof, carry=True),
    }


def compare_at_budgets(groups: dict[str, str], curves: dict, dof: float, carry: bool = False) -> list[dict]:
    """The comparisons along one axis of compute."""
    compared = []
    for end in sorted({curve["x_last"] for curve in curves.values()}, reverse=True):
        if not compared or end <= compared[-1]["exaflops"] / APART:
            comparison = compare_at(end, groups, curves, dof, carry)
            compared += [comparison] if comparison else []
    return compared[::-1]


def compare_at(
    budget: float, groups: dict[str, str], curves: dict, dof: float, carry: bool = False
) -> dict | None:
    """The groups at one budget; None when fewer than two are measured there.

    ``carry``: each has its best so far, also what ended before, which the words say.
    """
    unit = unit_of(next(iter(curves.values())))
    rows = pd.DataFrame(
        [
            {
                "group": groups[start],
                "start": start,
                "ends": curve["x_last"],
                **value_at(curve, budget, carry),
            }
            for start, curve in curves.items()
            if curve["x"][0] <= budget and (carry or budget <= curve["x"][-1])
        ],
        columns=["group", "start", "ends", "score", "low", "high", "extrapolated"],
    ).sort_values(["extrapolated", "score"], ascending=[True, False], kind="stable")
    measured = rows[~rows["extrapolated"].astype(bool)]
    if measured["group"].nunique() < 2:
        return None
    errors = ((measured["high"] - measured["low"]) / (2 * Z95)).to_numpy()
    able = set(measured["group"][possible_bests(measured["score"].to_numpy(), errors, dof)])
    leader = measured["group"].iloc[0]
    counts = rows.groupby(["group", "extrapolated"]).size()
    scores = [
        {
            "group": row.group,
            "start": row.start,
            "score": row.score,
            "ci95": [row.low, row.high],
            "extrapolated": bool(row.extrapolated),
            "ends": row.ends,
            "n_starts": int(counts[row.group, row.extrapolated]),
        }
        for row in rows.drop_duplicates("group").sort_values("score", ascending=False).itertuples()
    ]
    listed = ", ".join(f"{row['group']} {row['score']:.1f}{told_of(row, budget, unit)}" for row in scores)
    only = " of those measured" if rows["extrapolated"].any() else ""
    verdict = (
        "significant" if able == {leader} else f"not significant against {', '.join(sorted(able - {leader}))}"
    )
    level = measured["group"][measured["score"] == measured["score"].max()].unique()
    lead = f"{leader} leads{only}, {verdict}"
    if len(level) > 1:
        lead = f"{', '.join(level[:-1])} and {level[-1]} are level"
    return {
        "exaflops": budget,
        "scores": scores,
        "n_measured": measured["group"].nunique(),
        "leader": leader,
        "significant": able == {leader},
        "words": f"At {say(budget, unit)}: {listed}; {lead}.",
    }


def told_of(row: dict, budget: float, unit: str) -> str:
    """Of a score at a budget, in brackets: that it lies beyond the data, or that these end well before."""
    if row["extrapolated"]:
        return " (extrapolated)"
    return f" (run to {say(row['ends'], unit)})" if row["ends"] < budget / APART else ""


def value_at(curve: dict, x: float, carry: bool = False) -> dict:
    """{score, low, high, extrapolated} of the curve at compute x, within its range.

    With ``carry`` the best of the curve up to x, within its data.
    """
    if carry:
        end = min(x, curve["x_last"])
        seen = curve["x"][curve["x"] < end]
        return max((value_at(curve, at) for at in (*seen, end)), key=lambda value: value["score"])
    # A budget that is the curve's own end may differ from it by rounding.
    beyond = x > curve["x_last"] * (1 + 1e-9)
    values = {name: float(np.interp(x, curve["x"], curve[name])) for name in ("score", "low", "high")}
    return values | {"extrapolated": beyond}
