"""The title of each figure: what it shows, in a sentence, of the same numbers that it is drawn from."""

import pandas as pd

from switchpoint.analysis.outcomes import STABLE
from switchpoint.report.figures import overall, rl_points
from switchpoint.report.formatting import absent, number, signed


def of_starts(advice: dict) -> str:
    """Of the forest plot."""
    if advice["recommended"]:
        tied = len(advice["tied"])
        if tied == 1:
            return f"{advice['recommended']} leads every other start"
        return f"{advice['recommended']} is the cheapest of {tied} starts that may be the best"
    if len(advice["candidates"]) < 2:
        return "There is nothing to compare yet"
    if 0 < len(advice["tied"]) < len(advice["candidates"]):
        return f"{len(advice['tied'])} of {len(advice['candidates'])} starts may be the best, too far apart to take the cheapest"
    return "No start can be told from the others"


def of_compute(pooled_curves: pd.DataFrame, problems: str) -> str:
    """Of score against compute."""
    points = overall(pooled_curves)
    rl = rl_points(points)
    if rl.empty:
        best = points.sort_values("score").iloc[-1]
        return f"SFT reaches {best['score']:.1f} at its highest on {problems}"
    last = rl.drop_duplicates("run", keep="last").groupby(["start", "algorithm"])["score"].mean()
    start, algorithm = last.idxmax()
    if len(last) == 1:
        return f"RL from {start} ({algorithm}) ends at {last.max():.1f} on {problems}"
    return f"RL from {start} ({algorithm}) ends highest, at {last.max():.1f} on {problems}"


def of_arms(curves: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Of the curves of all arms."""
    if comparisons.empty:
        ends = curves[curves["algorithm"] != "sft"].drop_duplicates("arm", keep="last")
        highest = ends.sort_values("score").iloc[-1].to_dict()
        return f"{name_of(highest)} ends highest of {len(ends)} arms, at {highest['score']:.1f}"
    at_most = comparisons[comparisons["exaflops_total"] == comparisons["exaflops_total"].max()]
    able = [name_of(row) for row in at_most[at_most["may_lead"]].to_dict("records")]
    if len(able) == 1:
        return f"At the compute that all algorithms of a start reach {able[0]} leads"
    return f"At the compute that all algorithms of a start reach {len(able)} of {len(at_most)} arms may be the best"


def name_of(row: dict) -> str:
    """What a title calls an arm."""
    return f"SFT on {row['set']}" if row["algorithm"] == "sft" else f"{row['algorithm']} from {row['start']}"


def of_gains(outcomes: pd.DataFrame, set_name: str, stable: set[tuple[str, int]]) -> str:
    """Of what RL adds after SFT on a set: from its ``stable_starts`` on average, then from all."""
    gains = outcomes.loc[outcomes["set"] == set_name].sort_values("start_step")
    if gains.empty:
        return f"SFT on {set_name}, without RL so far"
    most = gains.loc[gains["gain"].idxmax()]
    if len(gains) == 1:
        return f"RL adds {signed(most['gain'])} points after SFT on {set_name}"
    every = f"{number(gains['gain'].min())} to {number(most['gain'])}"
    chosen = [(set_name, int(step)) in stable for step in gains["start_step"]]
    if any(chosen):
        mean = signed(gains.loc[chosen, "gain"].mean())
        return (
            f"RL adds {mean} points from the stable starts after SFT on {set_name}, on average; {every} from all, most from step "
            f"{most['start_step']:.0f}"
        )
    return f"RL adds {every} points after SFT on {set_name}, most from step {most['start_step']:.0f}"


def of_fits(ceilings: dict, runs: list[str]) -> str:
    """Of the fitted curves."""
    known = [ceilings["runs"].get(run) or {} for run in runs]
    bound = sum(not absent(fit.get("a")) for fit in known)
    return f"{bound} of {len(runs)} ceilings {'is' if bound == 1 else 'are'} identified"


def above_ceilings(ceilings: dict, runs: list[str]) -> str:
    """A sentence on the runs whose peak lies above their ceiling, and a space; or nothing."""
    fits = {run: ceilings["runs"].get(run) or {} for run in runs}
    above = [run for run, fit in fits.items() if not absent(fit.get("a")) and fit["observed_peak"] > fit["a"]]
    if not above:
        return ""
    return f"A ceiling is that of the curve, and one lucky evaluation may lie above it, as the peak of {', '.join(above)} does. "


def of_losses(correlation: dict, n: int) -> str:
    """Of the validation loss against the outcome of RL."""
    if correlation["verdict"] != "ok":
        return f"Whether the validation loss foretells the outcome cannot be told from {n} data set{'s' * (n != 1)}"
    of = "the mean of RL from stable starts" if correlation["of"] == STABLE else "the highest outcome of RL"
    return (
        f"Lowest validation loss against {of}: Pearson r = {correlation['pearson']:.2f} "
        f"(p = {correlation['p']:.2g}, {correlation['n']} sets)"
    )
