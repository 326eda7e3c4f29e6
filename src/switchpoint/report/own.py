"""The page of anybody's runs: what it is made of, analysed here from their curves, and from runs and losses if there are any."""

import pandas as pd

from switchpoint import units
from switchpoint.analysis.advice import advise
from switchpoint.analysis.arms import arm_curves, compare_arms
from switchpoint.analysis.ceilings import fit_curves, unfitted
from switchpoint.analysis.outcomes import highest_outcomes, loss_correlation, rl_outcomes
from switchpoint.analysis.phases import label_phases
from switchpoint.analysis.points import check_rows, without_start
from switchpoint.analysis.pooling import pool_curves
from switchpoint.analysis.starts import check_runs
from switchpoint.tables import refuse

NUMBERS = ["step", "exaflops", "exaflops_total", "score", "se", "n"]


def inputs_of(
    curves: pd.DataFrame, runs: pd.DataFrame | None = None, losses: pd.DataFrame | None = None
) -> dict:
    """What ``page.render`` takes.

    ``curves`` is a ``curves.csv`` or has run, exaflops, score and p_start; ``runs`` is a ``runs.csv``: without it nothing
    is known of what the runs start from, and there is no advice; ``losses`` has run, step, loss of SFT runs.  A run
    without a start is drawn and not fitted.  InputError names the row of what is wrong.
    """
    points = check_rows(curves)
    curves, unit = units.own_names(curves, "curves")
    known = None if runs is None else check_runs(runs).astype({"run": str})
    table = whole_curves(curves.astype({"run": str}), points, known)
    named = each_its_own(table) if known is None else with_every_run(known, table)
    ceilings, phases = fits_of(points), None if losses is None else label_phases(losses)
    inputs = {
        "unit": unit, "runs": known, "losses": losses, "phases": phases, "ceilings": ceilings,
        "pooled_curves": pool_curves(table, named),
    }  # fmt: skip
    if known is None:
        return inputs
    compared, sft_known = arm_curves(table, named), knows_sft(known)
    outcomes = rl_outcomes(inputs["pooled_curves"], ceilings, named)
    inputs |= {
        "advice": advise(curves, named, ceilings, phases), "arm_curves": compared, "sft_known": sft_known,
        "outcomes": outcomes.dropna(subset="p_start"),  # without a start there is no gain
        "arm_comparisons": compare_arms(compared if sft_known else compared[:0]),
    }  # fmt: skip
    if losses is None:
        return inputs
    refuse(losses, ~losses["run"].astype(str).isin(named["run"]), "run", "give its row in runs")
    highest = highest_outcomes(losses, outcomes, named)
    return inputs | {"highest_outcomes": highest, "loss_correlation": loss_correlation(highest)}


def fits_of(points: pd.DataFrame) -> dict:
    """What ``fit_curves`` returns, with the runs that lack a start, each with the reason and the fix."""
    lacking = without_start(points)
    started = points[~points["run"].isin(lacking)]
    fits = fit_curves(started)["runs"] if len(started) else {}
    fits |= {run: unfitted(points[points["run"] == run], reason) for run, reason in lacking.items()}
    return {"runs": {run: fits[run] for run in points["run"].unique()}}


def not_fitted_words(ceilings: dict) -> list[str]:
    """A sentence for every run that is drawn and could not be fitted."""
    lacking = {run: fit["reason"] for run, fit in ceilings["runs"].items() if fit["p_start"] is None}
    return [f"{run} is drawn and not fitted: {reason}." for run, reason in lacking.items()]


def whole_curves(curves: pd.DataFrame, points: pd.DataFrame, runs: pd.DataFrame | None) -> pd.DataFrame:
    """The curves with every column of ``curves.csv``: the start of every run that has one at 0, and all compute, as far as it
    is known."""
    absent = {"phase": "rl", "benchmark": "overall"} | dict.fromkeys(NUMBERS, float("nan"))
    table = curves.assign(**{name: value for name, value in absent.items() if name not in curves})
    overall = table[table["benchmark"] == "overall"]
    begun = overall.loc[overall["exaflops"] == 0, "run"]
    first = overall[~overall["run"].isin(begun)].drop_duplicates("run")
    start = first["run"].map(points.drop_duplicates("run").set_index("run")["p_start"])
    first = first.assign(exaflops=0.0, exaflops_total=float("nan"), step=0, se=float("nan"), score=start)
    table = pd.concat([first[start.notna()], table], ignore_index=True)
    table[NUMBERS] = table[NUMBERS].apply(pd.to_numeric, errors="coerce").astype(float)
    of_run = {} if runs is None else runs.set_index("run")["sft_exaflops"].to_dict()
    before = (
        pd.to_numeric(table["run"].map(of_run), errors="coerce").where(table["phase"] == "rl").fillna(0.0)
    )
    return table.assign(exaflops_total=table["exaflops_total"].fillna(table["exaflops"] + before))


def knows_sft(runs: pd.DataFrame) -> bool:
    """Whether it is known what SFT had cost before every RL run."""
    after = runs["algorithm"].notna() & (runs["algorithm"] != "sft") & (runs["parent"] != "base")
    return bool(runs.loc[after, "sft_exaflops"].notna().all())


def each_its_own(table: pd.DataFrame) -> pd.DataFrame:
    """A table of runs of which nothing is known: each is its own start."""
    firsts = table.drop_duplicates("run")
    algorithm = firsts["phase"].map({"base": None, "sft": "sft"}).where(firsts["phase"] != "rl", "RL")
    return pd.DataFrame(
        {"run": firsts["run"], "parent": firsts["run"] + " before", "set": firsts["run"], "algorithm": algorithm, "seed": 0,
         "start_step": 0, "sft_exaflops": 0.0, "status": "finished"}
    )  # fmt: skip


def with_every_run(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The runs, and the base model of the curves; InputError when another run of the curves has no row."""
    missing = table[~table["run"].isin(runs["run"])]
    refuse(missing, missing["phase"] != "base", "run", "give its row in runs")
    base = pd.DataFrame({"run": missing["run"].unique(), "sft_exaflops": 0.0, "status": "finished"})
    return pd.concat([runs, base], ignore_index=True) if len(base) else runs
