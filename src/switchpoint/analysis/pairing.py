"""Standard errors for comparing starts that were evaluated on the same problems, of which the difficulty cancels out.

The model is additive: start i scores mu_i + theta_p + e_ip on problem p.  The difficulties theta are common to all starts, and
in no difference of two; the errors e are independent, of variance v_i, from sampling and from what suits one start and not
another.  Instruments that measure the same items are judged so (Grubbs 1948, Journal of the American Statistical Association
43:243): for k >= 3 starts his v_i are the least-squares fit of v_i + v_j to the variances of all differences; of two starts
each has half.

Estimates may be negative, or too small together for a pair: no error is below that of sampling alone, nor below what one
problem more would add on which two starts differ by one sample of all, and of no pair is the
error of the difference below the paired one.  Without the second, few problems exclude the best too often, and on five that
both solve alike two starts would be known to be equal.
"""

import math

import numpy as np
import pandas as pd

from switchpoint.errors import InputError
from switchpoint.tables import check_columns, file_of, numbers, refuse

COLUMNS = ["run", "benchmark", "id", "value"]
PROBLEM = ["benchmark", "id"]
ROUNDING = 1e-3  # points, of scores as they are written


def check_problems(
    problems: pd.DataFrame, runs: pd.DataFrame, tests: dict[str, dict]
) -> dict[str, pd.DataFrame]:
    """value (points), ``sampling_variances`` and samples (1 if not known) of every problem, by (benchmark, id), of every run of the table.

    ``problems`` has ``COLUMNS`` and optionally n, ``tests`` the runs' scores (``starts.final_tests``).  InputError names the row, or the
    run: of a run that ``runs`` lacks, of other problems than the first run's, with another mean than its test score.
    """
    table, file = check_rows(problems, runs), file_of(problems)
    found = {run: rows[["value", "sampling", "samples"]].sort_index() for run, rows in table.groupby("run")}
    first, its = next(iter(found.items()))
    for run, rows in found.items():
        differing = its.index.symmetric_difference(rows.index)
        if len(differing):
            having, lacking = (first, run) if differing[0] in its.index else (run, first)
            raise InputError(
                f"{file}{lacking} has no problem {' '.join(differing[0])}, and {having} has; give the same problems of every run"
            )
        mean, score = float(rows["value"].mean()), tests.get(run, {}).get("score")
        if score is not None and not math.isclose(mean, score, rel_tol=1e-6, abs_tol=ROUNDING):
            raise InputError(
                f"{file}the problems are of other evaluations: {run} has a mean of {mean:g} on them, and a test score of "
                f"{score:g} in results"
            )
    return found


def check_rows(problems: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """run, value and sampling of every row, by (benchmark, id); InputError names a bad one."""
    check_columns(problems, COLUMNS, "problems")
    for column in PROBLEM:
        refuse(problems, problems[column].isna(), column, f"name the {column}")
    value = numbers(problems, "value")
    refuse(problems, ~value.between(0, 100), "value", "give points from 0 to 100")
    n = pd.Series(np.nan, problems.index)
    if "n" in problems:
        n = pd.to_numeric(problems["n"], errors="coerce").astype(float)
        bad = problems["n"].notna() & ~((n >= 1) & (n % 1 == 0) & np.isfinite(n))
        refuse(problems, bad, "n", "give the number of samples, or leave it blank")
    table = problems[["run", *PROBLEM]].astype(str)
    refuse(problems, ~table["run"].isin(runs["run"].astype(str)), "run", "give its row in runs")
    refuse(problems, table.duplicated(), "id", "its run has this problem already; keep one row")
    known = {"value": value, "sampling": sampling_variances(value, n), "samples": n.fillna(1.0)}
    return table.assign(**known).set_index(PROBLEM)


def errors_of_starts(seeds: list[dict]) -> dict[str, tuple[float, float]]:
    """(error, lasting) in points of every start, whose value on a problem is the mean over its seeds.

    ``seeds`` are ``starts.seed_result`` with their ``problems``.  ``error`` is the standard error over problems, for
    comparisons; ``lasting`` the part of it that more seeds would not lessen, and that is in no difference of seeds.  Empty
    where there is nothing to compare, or a run without problems.
    """
    groups = {}
    for seed in seeds:
        groups.setdefault(seed["start"], []).append(seed["problems"])
    if len(groups) < 2 or any(rows is None for group in groups.values() for rows in group):
        return {}
    slices = seeds[0]["problems"].index.get_level_values("benchmark")
    apart = [
        within_slices(np.column_stack([rows["value"] for rows in group]), slices) for group in groups.values()
    ]
    means = np.column_stack([columns.mean(axis=1) for columns in apart])
    covariance = means.T @ means
    alone = np.diag(covariance)
    least = [
        sum(float(rows["sampling"].sum()) for rows in group) / (len(group) * len(slices)) ** 2
        for group in groups.values()
    ]
    fewest = min(float(rows["samples"].min()) for group in groups.values() for rows in group)
    one_more = 100**2 / 2 / fewest / (len(slices) * (len(slices) + 1))
    least = [max(variance, one_more) for variance in least]
    variances = individual(alone[:, None] + alone - 2 * covariance, np.array(least))
    freedom = sum(columns.shape[1] - 1 for columns in apart)
    squares = sum(float(((columns.T - columns.mean(axis=1)) ** 2).sum()) for columns in apart)
    of_seeds = squares / freedom if freedom else 0.0
    return {
        start: (math.sqrt(variance), math.sqrt(max(variance - of_seeds / len(group), 0.0)))
        for (start, group), variance in zip(groups.items(), variances.tolist(), strict=True)
    }


def within_slices(values: np.ndarray, benchmarks: pd.Index) -> np.ndarray:
    """What ``values`` (problems, runs) differ by from the means of their benchmarks, scaled: the squares of a column sum to the
    squared standard error over problems of its mean, as ``scores.standard_error`` has it of ``overall``."""
    slices, _ = pd.factorize(benchmarks)
    sizes = np.bincount(slices)
    means = np.stack([np.bincount(slices, column) / sizes for column in values.T], axis=1)
    scale = np.sqrt(sizes / np.maximum(sizes - 1, 1)) / len(values)
    return (values - means[slices]) * scale[slices, None]


def sampling_variances(value: pd.Series, n: pd.Series) -> pd.Series:
    """The variances of the problems' values that sampling alone gives: of shares p of n samples, p (1 - p) / (n - 1).

    It cannot be told of one sample, nor of an unknown number: these count 0.
    """
    return (value * (100 - value) / (n - 1).where(n > 1)).fillna(0.0)


def individual(differences: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The starts' own variances, shape (k,), from those of all differences, shape (k, k), and the ``least`` that they can be."""
    k, sums = len(differences), differences.sum(axis=1)
    fitted = sums / 2 if k == 2 else (sums - differences.sum() / 2 / (k - 1)) / (k - 2)
    fitted = np.maximum(fitted, least)
    short = differences - fitted[:, None] - fitted
    return fitted + short.max(axis=1, initial=0.0) / 2
