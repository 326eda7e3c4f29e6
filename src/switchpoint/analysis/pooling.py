"""Scores pooled over the seeds of a model, with their 95 % intervals, as the report shows them.

The standard error of a pooled score is the larger of the seeds' mean own error (they share their problems,
so it does not average out) and of their spread.
"""

import pandas as pd

from switchpoint.analysis.identity import of_runs

HALF_WIDTH = 1.96  # standard errors in half of a 95 % interval
CURVE_COLUMNS = [
    "run", "phase", "set", "algorithm", "start", "step", "exaflops", "exaflops_total", "benchmark",
    "score", "se", "low", "high", "seeds",
]  # fmt: skip
RESULT_KEYS = ["phase", "set", "algorithm", "start", "step", "metric", "benchmark"]


def pool_over_seeds(
    rows: pd.DataFrame, keys: list[str], score: str = "score", se: str = "se"
) -> pd.DataFrame:
    """Means over seeds, groups in the order of their first rows; ``seeds`` counts the rows of a group.

    The standard error is missing where neither the seeds' own errors nor their spread are known.
    """
    groups = rows.groupby(keys, sort=False, dropna=False)
    table = groups.mean(numeric_only=True)
    table["seeds"] = groups.size()
    own = groups[se].agg(lambda errors: errors.mean() if errors.notna().all() else float("nan"))
    spread = groups[score].std() / table["seeds"] ** 0.5
    table[se] = pd.concat([own, spread], axis=1).max(axis=1)
    return table.reset_index()


def interval_ends(score: pd.Series, se: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The ends of the 95 % intervals, in the unit of the scores; missing where the error is."""
    return score - HALF_WIDTH * se, score + HALF_WIDTH * se


def pool_curves(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The points of ``curves.csv`` with their 95 % intervals (``CURVE_COLUMNS``), SFT pooled over seeds; ``runs`` is ``runs.csv``.

    Every checkpoint of an SFT set is one row, without a run; the points of the base model and of RL, whose
    seeds differ in compute, stay run by run.
    """
    curves = of_runs(curves, runs, ["set", "algorithm", "start"])
    base, sft, rl = (curves[curves["phase"] == phase] for phase in ("base", "sft", "rl"))
    sft = pool_over_seeds(sft, ["phase", "set", "step", "benchmark"])
    parts = [base.assign(seeds=1), sft, rl.assign(seeds=1)]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    low, high = interval_ends(table["score"], table["se"])
    return table.assign(low=low, high=high).reindex(columns=CURVE_COLUMNS)


def pool_results(results: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The test scores of ``results.csv`` by model, metric and benchmark, pooled over seeds; ``runs`` is ``runs.csv``.

    Columns ``RESULT_KEYS``, score, se, low, high, seeds.  The interval of one seed is its own, that of
    several spans 1.96 pooled standard errors on either side, within 0..100.  ``step`` is that of an SFT
    checkpoint, missing for RL, whose seeds may end at different steps.
    """
    results = of_runs(results, runs, ["set", "algorithm", "start"])
    named = results.assign(step=results["step"].astype("Int64").where(results["phase"] != "rl"))
    table = pool_over_seeds(named, RESULT_KEYS)
    several = table["seeds"] > 1
    low, high = interval_ends(table["score"], table["se"])
    table["low"] = table["low"].where(~several, low.clip(lower=0.0))
    table["high"] = table["high"].where(~several, high.clip(upper=100.0))
    return table[[*RESULT_KEYS, "score", "se", "low", "high", "seeds"]]
