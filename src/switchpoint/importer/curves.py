"""From rows of scores to ``curves.csv``: checked, anchored at the start, in points, with the overall score.

Within the import a run's compute is called exaflops, whatever its unit; ``in_unit`` renames it in what is written.
"""

from collections import Counter

import numpy as np
import pandas as pd

from switchpoint import tables, units
from switchpoint.analysis.points import MAX_SCORE, check_points
from switchpoint.errors import InputError
from switchpoint.importer.options import of_run

COLUMNS = ["run", "phase", "step", "exaflops", "exaflops_total", "benchmark", "score", "se", "n"]
NUMBERS = ["step", "exaflops", "exaflops_total", "score", "se", "n", "p_start"]
POINT = ["run", "exaflops", "benchmark"]


def check_benchmarks(names: dict[str, float], known: set[str], option: str) -> None:
    """Raises InputError unless the points have every benchmark that the option names."""
    if unknown := [name for name in names if name not in known]:
        seen = ", ".join(sorted(known))
        raise InputError(f"{option} {unknown[0]}=..: there is no such benchmark, but {seen}")


def refuse_row(rows: pd.DataFrame, bad: pd.Series, problem: str) -> None:
    """Raises InputError that says where the first bad row stands; ``problem`` may name its fields."""
    if bad.any():
        row = rows[bad].iloc[0]
        raise InputError(f"{row['where']}: {problem.format(**row)}")


def check_rows(rows: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The rows with a run, a phase and a benchmark, and numbers where numbers belong; ``unit`` is for the errors."""
    check_names(rows)
    refuse_row(rows, ~rows["phase"].isin(["base", "sft", "rl"]), "phase is {phase}; give base, sft or rl")
    refuse_row(rows, rows["benchmark"].isna(), "no benchmark; name it")
    rows = rows.astype({"run": str, "benchmark": str})
    for name in [name for name in NUMBERS if name in rows]:
        values = pd.to_numeric(rows[name], errors="coerce").astype(float)
        blank = rows[name].isna() & (name not in ("exaflops", "score"))
        called = unit if name == "exaflops" else name
        refuse_row(
            rows, ~np.isfinite(values) & ~blank, f"{called} is {{{name}}}; {tables.number_fix(rows[name])}"
        )
        if name in ("step", "n"):
            whole = values.isna() | ((values >= 0) & (values < 2**53) & (values % 1 == 0))
            refuse_row(rows, ~whole, f"{name} is {{{name}}}; give a whole number")
        rows[name] = values
    refuse_row(
        rows, rows["exaflops"] < 0, f"{unit} is {{exaflops:g}}; give what was spent since the run's start"
    )
    if "exaflops_total" in rows:
        rows["spent"] = rows["exaflops_total"] - rows["exaflops"]
    return rows


def check_names(rows: pd.DataFrame) -> None:
    """Raises InputError at the first row of no run."""
    unnamed = rows["run"].isna() | rows["run"].eq("")
    refuse_row(rows, unnamed, "no run; name it with --run NAME, or (csv) --column run=COLUMN")


def with_starts(
    rows: pd.DataFrame, p_start: dict[str, float], weights: dict[str, float], unit: str
) -> pd.DataFrame:
    """The rows and, at no compute, what their p_start and ``--p-start`` add."""
    own = rows.assign(p_start=rows.get("p_start", np.nan), where=rows["where"] + ", p_start")
    given = [given_start(rows, key, score, weights) for key, score in p_start.items()]
    starts = pd.concat([own, *given]).dropna(subset="p_start")
    starts = starts.assign(step=0.0, exaflops=0.0, score=starts["p_start"], se=np.nan, n=np.nan)
    key = [*POINT, "score"]
    there = pd.MultiIndex.from_frame(starts[key]).isin(pd.MultiIndex.from_frame(rows[key]))
    rows = pd.concat([rows, starts[~there].drop_duplicates(key)], ignore_index=True)
    again = rows.duplicated(POINT)
    refuse_row(
        rows, again, f"run {{run}} has a point of {{benchmark}} at {{exaflops:g}} {unit} already; keep one"
    )
    return rows


def given_start(rows: pd.DataFrame, key: str, score: float, weights: dict[str, float]) -> pd.DataFrame:
    """The row of a ``--p-start``, whose key is ``BENCHMARK`` or ``RUN:BENCHMARK``."""
    named = [run for run in rows["run"].unique() if key.startswith(f"{run}:")]
    if named:
        run = max(named, key=len)
        benchmark = key.removeprefix(f"{run}:")
    else:
        run, benchmark = rows["run"].iloc[0], key
        if rows["run"].nunique() > 1:
            fix = "map a column to p_start, or give RUN:BENCHMARK=SCORE"
            raise InputError(f"--p-start is for one run; for several, {fix}")
    check_benchmarks({benchmark: score}, {*rows["benchmark"], *(["overall"] if weights else [])}, "--p-start")
    mine = rows[rows["run"] == run]
    alike = mine[mine["benchmark"] == benchmark]
    first = (alike if len(alike) else mine).iloc[[0]]
    return first.assign(benchmark=benchmark, p_start=score, where="--p-start")


def scale_scores(
    rows: pd.DataFrame, scale: float | None, score_range: tuple[float, float] | None
) -> pd.DataFrame:
    """The rows with scores in points; ``fraction`` marks those that are fractions by definition."""
    no = pd.Series(False, rows.index)
    low, high = score_range or (0.0, np.nan)
    scale = scale if score_range is None else MAX_SCORE / (high - low)
    fraction = rows["fraction"].astype("boolean").fillna(False) if "fraction" in rows else no
    if scale is None:
        for source, of_source in rows[~fraction].groupby(rows.get("source", "scores"), sort=False):
            refuse_unclear(of_source, source)
    factor = pd.Series(scale or np.where(fraction, MAX_SCORE, 1.0), rows.index)
    # Rounded, so that 0.55 does not become 55.00000000000001.
    zero = {name: low if name == "score" else 0.0 for name in ("score", "se") if name in rows}
    scaled = {name: ((rows[name] - at) * factor).round(10) for name, at in zero.items()}
    same = (factor == 1) & (low == 0)
    rows = rows.assign(**{name: rows[name].where(same, column) for name, column in scaled.items()})
    outside = ~rows["score"].between(0, MAX_SCORE)
    fix = "mend it or --scale, or give --score-range LOW:HIGH"
    if scale is not None and score_range is None:
        fix = "mend it or --scale (with --scale 1 it is {given:g}), or give --score-range LOW:HIGH"
        rows = rows.assign(given=rows["score"] / scale)
    elif scale is None and (outside & fraction).any():
        fix = "its format has fractions: give --scale 1 if yours are points, else --score-range LOW:HIGH"
    refuse_row(rows, outside, f"score is {{score:g}} points; they go from 0 to 100, {fix}")
    return rows


def refuse_unclear(rows: pd.DataFrame, source: str) -> None:
    """Raises InputError where it is not clear whether the scores of a source are points."""
    no = pd.Series(False, rows.index)
    if rows["score"].between(0, 1).all():
        raise InputError(f"{source}: all scores lie within 0..1; if they are fractions give --scale 100")
    is_reward = rows["tag"].astype(str).str.contains("reward", case=False) if "tag" in rows else no
    fix = "give --score-range LOW:HIGH, as --score-range -1:1"
    refuse_row(rows, is_reward, f"the reward {{score:g}} has no scale of its own; {fix}")
    highest = rows.groupby("run")["score"].max()
    if (highest <= 1).any() and (highest > 1).any():
        raise InputError(
            f"{source}: the scores of {highest.index[highest <= 1][0]} lie within 0..1, those of "
            f"{highest.index[highest > 1][0]} do not; import fractions apart, with --scale 100 (or --scale 1 if they are points)"
        )


def with_overall(rows: pd.DataFrame, weights: dict[str, float], counts: Counter) -> pd.DataFrame:
    """The rows and, where it was not given, the weighted mean of the benchmarks as ``overall``.

    Its standard error follows from theirs, where all have one.
    """
    if not weights:
        return rows
    wide = rows.pivot(index=["run", "exaflops"], columns="benchmark", values="score")
    check_benchmarks(weights, set(wide), "--weights")
    wide = wide.reindex(columns=[*weights, "overall"])
    wide = wide[wide["overall"].isna()]
    mean = (wide[[*weights]] @ pd.Series(weights) / sum(weights.values())).dropna()
    counts["points_without_overall"] = len(wide) - len(mean)
    points = rows.drop_duplicates(["run", "exaflops"]).set_index(["run", "exaflops"]).loc[mean.index]
    error = np.nan
    if "se" in rows:
        errors = rows.pivot(index=["run", "exaflops"], columns="benchmark", values="se").reindex(mean.index)
        variance = errors.reindex(columns=[*weights]) ** 2 @ (pd.Series(weights) / sum(weights.values())) ** 2
        error = np.sqrt(variance)
    overall = points.assign(benchmark="overall", score=mean, se=error, n=np.nan).reset_index()
    return pd.concat([rows, overall], ignore_index=True)


def curves_table(rows: pd.DataFrame, weights: dict[str, float], sft_exaflops) -> pd.DataFrame:
    """The rows with the columns and in the order of ``curves.csv``.

    ``sft_exaflops`` is what the SFT before RL had cost, by run or for all, where the rows do not say it.
    """
    rows = rows.reindex(columns=[*COLUMNS, "spent"])
    before = rows["run"].map(lambda run: of_run(sft_exaflops, run)).astype(float)
    given = before.where(rows["phase"] == "rl", 0.0)
    problems = rows["benchmark"].map({**weights, "overall": sum(weights.values()) or np.nan}).astype(float)
    rows = rows.assign(
        exaflops_total=rows["exaflops"] + rows["spent"].fillna(given), n=rows["n"].fillna(problems)
    )
    return rows[COLUMNS].astype({"step": "Int64", "n": "Int64"}).sort_values(POINT, ignore_index=True)


def unfittable_benchmarks(points: pd.DataFrame, unit: str) -> dict[str, str]:
    """Benchmarks that lack a start, with the reason."""
    reasons, written = {}, in_unit(points, unit)
    for name in points["benchmark"].unique():
        try:
            check_points(written, name)
        except InputError as error:
            reasons[name] = str(error)
    return reasons


def in_unit(table: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The table with its compute named by the unit: columns of exaflops, or of compute and its unit."""
    return table if unit == "exaflops" else units.as_written(unit, table)
