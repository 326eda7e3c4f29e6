"""Points of training curves: the score of a run against its compute, one row each."""

import shlex
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import units
from switchpoint.errors import InputError
from switchpoint.tables import check_columns, file_of, numbers, read_csv, refuse

MAX_SCORE = 100.0
FRACTIONS = "no score is above 1, as if they were fractions; multiply them all by 100, and a p_start too"

MIXED = "the run's start and its scores seem to be in different units, points (0 to 100) and fractions (0 to 1); give points for both"
HIGH_START = 5.0  # points; no run that begins above it stays below 1
AS_FRACTION = 50, 200  # a score in points is so many times a start in fractions


def read_points(path: str | Path, benchmark: str = "overall") -> pd.DataFrame:
    """Points of the csv file at ``path``, checked: ``check_points`` on it."""
    return check_points(read_csv(path), benchmark)


def check_points(table: pd.DataFrame, benchmark: str = "overall") -> pd.DataFrame:
    """The points of one benchmark, every row checked.

    ``table`` is a ``curves.csv`` (it has a ``phase`` column: base, sft or rl), or has the columns ``run,
    exaflops, score, p_start`` and optionally ``se``.  A row at exaflops 0 is the run's anchor: its score is
    P_start, and ``p_start`` may be left out.  An SFT run of a ``curves.csv`` without an anchor starts at the
    base model's score.  Rows come in any order; with a column ``step``, the compute of a run must not fall
    from one step to the next.  ``benchmark`` names the rows to keep, where the table has several.

    Returns run, exaflops, score, p_start and unit (what ``exaflops`` counts), anchors included, sorted by
    exaflops within a run; of a ``curves.csv`` also phase and p_0, the base model's score (NaN without one).  InputError names the row,
    or the run without a start.
    """
    points = check_rows(table, benchmark)
    if without := without_start(points):
        run, reason = next(iter(without.items()))
        raise InputError(f"{file_of(table)}run {run}: {reason}")
    return points


def without_start(points: pd.DataFrame) -> dict[str, str]:
    """The runs that ``check_points`` refuses for their lack of a start, with the reason and the fix."""
    column = units.column_of(points["unit"].iloc[0])
    reason = f"no start; add its row at {column} 0, or p_start to its rows"
    return dict.fromkeys(points.loc[points["p_start"].isna(), "run"].unique(), reason)


def check_rows(table: pd.DataFrame, benchmark: str = "overall") -> pd.DataFrame:
    """What ``check_points`` returns, where runs may lack a start: their p_start is NaN."""
    table, unit = units.own_names(table, "points")
    points, chosen = check_scores(table, unit, benchmark, "points")
    points["p_start"] = start_scores(table, points, chosen, unit)
    # Of a curves.csv all runs count together: the scores of a weak model may stay below one point.
    owner = (chosen if "phase" in table else points["run"]).where(chosen)
    refuse(table, fractions(points[["score", "p_start"]], owner), "score", FRACTIONS)
    refuse(table, mixed_units(points, owner), "p_start" if "p_start" in table else "score", MIXED)
    if "phase" in table:
        points = points.assign(phase=table["phase"], p_0=base_score(table, points, chosen))
    points = points[chosen].assign(unit=unit)
    return pd.concat([rows.sort_values("exaflops") for _, rows in points.groupby("run", sort=False)])


def check_scores(table: pd.DataFrame, unit: str, benchmark: str, name: str) -> tuple[pd.DataFrame, pd.Series]:
    """run, exaflops and score of every row, checked, and a mask of the rows of the benchmark.

    ``table`` has the program's names, the errors those of a file in ``unit``; ``name`` is what they call a table that
    is no file.
    """
    compute, shown = units.column_of(unit), units.in_names_of(unit, table)
    check_columns(shown, ["run", compute, "score"], name)
    chosen = pd.Series(True, table.index)
    if "benchmark" in table:
        refuse(table, table["benchmark"].isna(), "benchmark", "name the benchmark")
        chosen = table["benchmark"] == benchmark
        if not chosen.any():
            names = sorted(map(str, table["benchmark"].unique()))
            where = file_of(table) or f"{name}: "
            fix = ""
            if benchmark == "overall":
                weights = " ".join(f"--weights {shlex.quote(f'{known}=PROBLEMS')}" for known in names)
                fix = f": make it by `switchpoint import` again with {weights} (fit also takes --benchmark)"
            raise InputError(f"{where}no rows of benchmark {benchmark!r}; there are {', '.join(names)}{fix}")
    if "phase" in table:
        refuse(table, ~table["phase"].isin(["base", "sft", "rl"]), "phase", "give base, sft or rl")
    exaflops, score = units.amounts(table, unit), numbers(table, "score")
    refuse(table, (score < 0) | (score > MAX_SCORE), "score", "give points from 0 to 100")
    points = pd.DataFrame({"run": table["run"].astype(str), "exaflops": exaflops, "score": score})
    keys = points.assign(benchmark=table.get("benchmark", benchmark))[["run", "exaflops", "benchmark"]]
    refuse(shown, keys.duplicated(), compute, "its run has a point there already; keep one, or their mean")
    if "step" in table:
        falls = compute_falls(table, keys)
        refuse(shown, falls, compute, "its run had spent more by an earlier step; mend one")
    return points, chosen


def fractions(scores: pd.DataFrame, owner: pd.Series) -> pd.Series:
    """Mask of the rows whose owner's scores seem to be fractions: none is above 1, and not all are whole."""
    highest = scores.max(axis=1).groupby(owner).transform("max")
    broken = (scores % 1).max(axis=1).groupby(owner).transform("max")
    return (highest <= 1) & (broken > 0)


def mixed_units(points: pd.DataFrame, owner: pd.Series) -> pd.Series:
    """Mask of the rows whose owner's start is in points and the later scores in fractions, or the other way round.

    A start above 5 before scores that seem to be fractions; or a start that seems one, and all scores 50 to 200 times as high.
    """
    later, start = points["score"].where(points["exaflops"] > 0), points["p_start"]
    low, high = (later.groupby(owner).transform(which) for which in ("min", "max"))
    scores = fractions(later.to_frame(), owner) & (start > HIGH_START)
    least, most = AS_FRACTION
    starts = (start < 1) & (start % 1 > 0) & (low >= least * start) & (high <= most * start)
    return owner.notna() & (scores | starts)


def compute_falls(table: pd.DataFrame, keys: pd.DataFrame) -> np.ndarray:
    """Mask of the rows with less compute than their run had at an earlier step.

    ``keys`` has run, exaflops and benchmark of every row.
    """
    step = pd.to_numeric(table["step"], errors="coerce").astype(float)
    bad = table["step"].notna() & ~np.isfinite(step)
    refuse(table, bad, "step", "give the training step, a number, or leave it blank")
    rows = (
        keys.assign(step=step).reset_index(drop=True).dropna(subset="step").sort_values(["step", "exaflops"])
    )
    falls = rows.groupby(["run", "benchmark"])["exaflops"].diff() < 0
    return falls.reindex(range(len(keys)), fill_value=False).to_numpy()


def start_scores(table: pd.DataFrame, points: pd.DataFrame, chosen: pd.Series, unit: str) -> pd.Series:
    """P_start of every row: its run's anchor, else the p_start column, else the base for SFT runs."""
    anchors = points[chosen & (points["exaflops"] == 0)]
    start = points["run"].map(anchors.set_index("run")["score"])
    if "p_start" in table:
        given = pd.to_numeric(table["p_start"], errors="coerce").astype(float)
        bad = table["p_start"].notna() & ~given.between(0, MAX_SCORE)
        refuse(table, bad, "p_start", "give points from 0 to 100")
        first = given.groupby(points["run"]).transform("first")
        refuse(table, (given - first).abs() > 1e-9, "p_start", "its run began with another; give one")
        off = (first - start).abs() > 0.1
        at = f"{units.column_of(unit)} 0"
        refuse(table, off, "p_start", f"the run's row at {at} scores otherwise; make them agree")
        start = start.fillna(first)
    if "phase" in table:
        start = start.mask(start.isna() & (table["phase"] == "sft"), base_score(table, points, chosen))
    return start


def base_score(table: pd.DataFrame, points: pd.DataFrame, chosen: pd.Series) -> float:
    """The base model's score; NaN unless there is exactly one."""
    scores = points.loc[chosen & (table["phase"] == "base"), "score"]
    return scores.iloc[0] if len(scores) == 1 else float("nan")
