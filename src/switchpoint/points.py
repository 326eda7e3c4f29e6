"""Points of training curves: the score of a run against its compute, one row each."""

from pathlib import Path

import pandas as pd

from switchpoint.checks import check_columns, numbers, read_csv, refuse
from switchpoint.errors import InputError

MAX_SCORE = 100.0


def read_points(path: str | Path, benchmark: str = "overall") -> pd.DataFrame:
    """Points of the csv file at ``path``, checked: ``check_points`` on it."""
    return check_points(read_csv(path), benchmark)


def check_points(table: pd.DataFrame, benchmark: str = "overall") -> pd.DataFrame:
    """The points of one benchmark, every row checked.

    Parameters
    ----------
    table : DataFrame
        Either ``curves.csv`` (it has a ``phase`` column: base, sft or rl) or the columns
        ``run, exaflops, score, p_start`` and optionally ``se``.  A row at exaflops 0 is the
        run's anchor: its score is P_start, and ``p_start`` may be left out.  An SFT run of a
        ``curves.csv`` without an anchor starts at the base model's score.
    benchmark : str
        The rows to keep, where the table has a ``benchmark`` column.

    Returns
    -------
    DataFrame
        Columns run, exaflops, score, p_start, anchors included, sorted by exaflops within a run; of
        a ``curves.csv`` also phase and p_0, the base model's score (NaN without one).

    Raises
    ------
    InputError
        Naming the row, or the run without a start.
    """
    check_columns(table, ["run", "exaflops", "score"], "points")
    if "benchmark" in table:
        chosen = table["benchmark"] == benchmark
        if not chosen.any():
            known = ", ".join(sorted(map(str, table["benchmark"].unique())))
            raise InputError(f"points: no rows of benchmark {benchmark!r}; there are {known}")
    else:
        chosen = pd.Series(True, table.index)
    exaflops, score = numbers(table, "exaflops"), numbers(table, "score")
    refuse(table, exaflops < 0, "exaflops", "give the compute since the run's start, 0 or more")
    refuse(table, (score < 0) | (score > MAX_SCORE), "score", "give points from 0 to 100")
    points = pd.DataFrame({"run": table["run"].astype(str), "exaflops": exaflops, "score": score})
    keys = points.assign(benchmark=table.get("benchmark", benchmark))[["run", "exaflops", "benchmark"]]
    refuse(table, keys.duplicated(), "exaflops", "its run has a point there already; keep one, or their mean")
    points["p_start"] = _starts(table, points, chosen)
    if "phase" in table:
        points = points.assign(phase=table["phase"], p_0=_base_score(table, points, chosen))
    points = points[chosen]
    missing = points.loc[points["p_start"].isna(), "run"].unique()
    if len(missing):
        raise InputError(f"run {missing[0]}: no start; add its row at exaflops 0, or p_start to its rows")
    return pd.concat([rows.sort_values("exaflops") for _, rows in points.groupby("run", sort=False)])


def _starts(table: pd.DataFrame, points: pd.DataFrame, chosen: pd.Series) -> pd.Series:
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
        refuse(table, off, "p_start", "the run's row at exaflops 0 scores otherwise; make them agree")
        start = start.fillna(first)
    if "phase" in table:
        refuse(table, ~table["phase"].isin(["base", "sft", "rl"]), "phase", "give base, sft or rl")
        start = start.mask(start.isna() & (table["phase"] == "sft"), _base_score(table, points, chosen))
    return start


def _base_score(table: pd.DataFrame, points: pd.DataFrame, chosen: pd.Series) -> float:
    """The base model's score; NaN unless there is exactly one."""
    base = points.loc[chosen & (table["phase"] == "base"), "score"]
    return base.iloc[0] if len(base) == 1 else float("nan")
