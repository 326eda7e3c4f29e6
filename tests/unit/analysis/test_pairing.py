"""Starts that are tested on the same problems: their errors, what these tell, and tables that are refused."""

import math

import numpy as np
import pandas as pd
import pytest
from paired_studies import advised, drawn, tables
from typer.testing import CliRunner

from switchpoint.analysis.comparisons import critical, error_of_mean
from switchpoint.analysis.pairing import errors_of_starts, individual, sampling_variances
from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.report.page import starts_caption
from switchpoint.scores import standard_error

MANY = 1e12  # samples: then sampling adds nothing


def problems_of(values, n=MANY, benchmarks=None) -> pd.DataFrame:
    names = benchmarks or ["math"] * len(values)
    index = pd.MultiIndex.from_arrays(
        [names, [str(i) for i in range(len(values))]], names=["benchmark", "id"]
    )
    value = pd.Series(np.asarray(values, dtype=float), index)
    samples = pd.Series(n, index)
    columns = {"value": value, "sampling": sampling_variances(value, samples), "samples": samples.fillna(1)}
    return pd.DataFrame(columns)


def errors(*columns, **options) -> list[float]:
    """Of starts of one seed with these values."""
    found = errors_of_starts(
        [{"start": str(i), "problems": problems_of(column, **options)} for i, column in enumerate(columns)]
    )
    return [error for error, _ in found.values()]


def test_two_starts_have_half_of_the_paired_variance_each():
    # Differences 50, 0, 0, -50: variance 5000 / 3, of the mean of four 1250 / 3, half of it 625 / 3.
    columns = [100, 50, 0, 50], [50, 50, 0, 100]
    assert errors(*columns) == pytest.approx([(625 / 3) ** 0.5] * 2)
    # By benchmark: variances 1250 in both, of half the weight and two problems; 312.5 in all.
    halves = errors(*columns, benchmarks=["a", "a", "b", "b"])
    assert halves == pytest.approx([156.25**0.5] * 2)
    slices = {"a": np.array([50.0, 0.0]), "b": np.array([0.0, -50.0])}
    assert math.hypot(*halves) == pytest.approx(standard_error(slices, {"a": 0.5, "b": 0.5}))
    # A slice of one problem has no error, as elsewhere.
    assert errors([10, 50], [20, 90], benchmarks=["a", "b"]) == pytest.approx([0, 0], abs=1e-3)


def test_three_starts_are_solved_for():
    # All three differences have squares of 200, so variances 200 / 3 / 4 of the mean: half of that each.
    assert errors([10, 20, 30, 40], [20, 20, 30, 30], [20, 10, 30, 40]) == pytest.approx(
        [(25 / 3) ** 0.5] * 3
    )
    # Squares 200, 100, 500: (200 + 100 - 500) / 2 is negative, and 0; (200 + 500 - 100) / 2 / 12; (100 + 500 - 200) / 2 / 12.
    assert errors([10, 20, 30, 40], [20, 20, 30, 30], [10, 30, 30, 50]) == pytest.approx(
        [0, 5, (50 / 3) ** 0.5], abs=1e-3
    )


def test_more_starts_are_grubbs_and_no_pair_is_below_its_own_error():
    rng, k = np.random.default_rng(0), 5
    values = rng.normal(50, 10, (200, 1)) + rng.normal(0, [5, 1, 2, 3, 4], (200, k))
    covariance = np.cov(values.T)
    alone = np.diag(covariance)
    apart = alone[:, None] + alone - 2 * covariance
    found = individual(apart, np.zeros(k))
    pairs = found[:, None] + found - apart
    assert pairs[~np.eye(k, dtype=bool)].min() >= -1e-9
    for i in range(k):
        others = np.delete(np.arange(k), i)
        among = covariance[np.ix_(others, others)]
        grubbs = alone[i] - 2 / (k - 1) * covariance[i, others].sum()
        grubbs += 2 / ((k - 1) * (k - 2)) * (among.sum() - np.trace(among)) / 2
        assert grubbs <= found[i] <= grubbs + 4  # it is raised where a pair needs it
    assert np.argsort(found).tolist() == [1, 2, 3, 4, 0]


def test_no_error_is_below_that_of_sampling():
    # Shares of .5 of 2 samples: .25 / 1 each, 2500 in squares of points, and a quarter of it for the mean.
    assert errors([50] * 4, [50] * 4, n=2) == [25.0, 25.0]
    assert errors([50] * 4, [50] * 4) == pytest.approx([0, 0], abs=1e-3)


@pytest.mark.parametrize("n", [np.nan, 1, 4])
def test_problems_that_all_solve_alike_leave_an_error(n):
    # One problem more on which two starts differ by a sample of n: 100² / n / 2 each, in the mean of five over 4 * 5.
    samples = 1 if np.isnan(n) else n
    expected = (100**2 / samples / 2 / (4 * 5)) ** 0.5
    assert errors([100, 0, 100, 0], [100, 0, 100, 0], n=n) == pytest.approx([expected] * 2)


def test_what_seeds_have_in_common_lasts():
    # Seeds differ by noise: nothing lasts.  They differ in nothing: all of the error does.
    one, other = problems_of([100, 50, 0, 50]), problems_of([50, 50, 0, 100])
    same = errors_of_starts(
        [
            {"start": start, "problems": rows}
            for start, rows in zip("aabb", (one, one, other, other), strict=True)
        ]
    )
    assert all(
        error == pytest.approx(lasting) == pytest.approx((625 / 3) ** 0.5) for error, lasting in same.values()
    )
    mixed = errors_of_starts(
        [
            {"start": start, "problems": rows}
            for start, rows in zip("aabb", (one, other, one, other), strict=True)
        ]
    )
    for found in mixed.values():
        assert found == pytest.approx((0, 0), abs=1e-3)
    assert error_of_mean(1.0, 2, 2.0, 3.0, lasting=1.0) == pytest.approx(3**0.5)
    assert error_of_mean(2.0, 2, 1.0, 3.0, lasting=1.0) == 2.0
    assert error_of_mean(1.0, 1, 1.0, math.inf, lasting=1.0) == pytest.approx(2**0.5)


@pytest.mark.parametrize("n_starts", [3, 8])
def test_pairing_excludes_what_problems_would_hide(n_starts):
    rng, n = np.random.default_rng(n_starts), 20
    last = f"a-{10 * n_starts}"
    studies = [drawn(rng, n_starts, worse=6.0, n_problems=250, seed_sd=0.5) for _ in range(n)]
    out = [[last not in advised(study, paired)["tied"] for study in studies] for paired in (False, True)]
    assert np.mean(out[0]) <= 0.3
    assert np.mean(out[1]) >= 0.7


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("n_starts", [2, 3, 8])
def test_the_best_of_equal_starts_is_rarely_excluded(n_starts, seeds):
    rng, n = np.random.default_rng([n_starts, seeds]), 20
    studies = (drawn(rng, n_starts, seeds, n_problems=100, taste=10.0) for _ in range(n))
    out = np.mean(["a-10" not in advised(study)["tied"] for study in studies])
    assert out <= 0.07 + 2 * math.sqrt(0.07 * 0.93 / n)


@pytest.mark.parametrize("n_starts", [2, 3, 5, 8])
def test_nor_on_few_problems_with_one_sample(n_starts):
    """The errors by themselves, without the spread of seeds, which covers much."""
    rng, n, out = np.random.default_rng(n_starts), 300, 0
    for _ in range(n):
        shares = np.clip(50 + 40 * rng.standard_normal((30, 1)), 0, 100) / 100
        values = 100.0 * rng.binomial(1, np.repeat(shares, n_starts, axis=1))
        found, means = np.array(errors(*values.T, n=1)), values.mean(axis=0)
        ahead = (means - means[0])[1:] / np.hypot(found[0], found[1:]).clip(1e-9)
        out += ahead.max() > critical(found, 0)
    assert out / n <= 0.07 + 2 * math.sqrt(0.07 * 0.93 / n)


def small(n: float = MANY, base: bool = False) -> tuple:
    """Three starts on the same four problems, without chance."""
    values = {"a-10": [90, 80, 10, 20], "a-20": [95, 80, 10, 25], "a-30": [95, 85, 15, 25]}
    values |= {"base": [85, 75, 5, 10]} if base else {}
    rows = {"benchmark": ["math", "math", "code", "code"], "id": ["1", "2", "1", "2"], "n": n}
    return tables(
        {f"rl/grpo/{start}/seed_0": pd.DataFrame(rows | {"value": found}) for start, found in values.items()}
    )


def test_what_is_paired_is_said():
    alone, paired = advised(small(), paired=False), advised(small())
    assert paired["basis"] == "final test score"
    assert "Compared on the same 4 problems, problem by problem." in paired["reasons"]
    assert [start["paired"] for start in paired["candidates"]] == [True] * 3
    assert [start["paired"] for start in alone["candidates"]] == [False] * 3
    for one, other in zip(paired["candidates"], alone["candidates"], strict=True):
        assert one["estimate"] == other["estimate"]
        assert one["estimate_own"] < other["estimate_own"] / 3
    assert "compared problem by problem" in starts_caption(paired, {})
    assert "compared problem by problem" not in starts_caption(alone, {})
    with_base = advised(small(base=True))
    assert with_base["from_base"][0]["paired"]
    assert with_base["comparison"]["se"] < advised(small(base=True), paired=False)["comparison"]["se"] / 2


def test_a_run_without_problems_leaves_all_unpaired():
    curves, runs, results, problems = small()
    advice = advised((curves, runs, results, problems[problems["run"] != "rl/grpo/a-20/seed_0"]))
    assert advice["candidates"] == advised(small(), paired=False)["candidates"]
    assert any(
        reason == "Not known problem by problem, so that no scores are paired: rl/grpo/a-20/seed_0."
        for reason in advice["reasons"]
    )


def test_a_hopeless_start_changes_no_paired_error():
    curves, runs, results, problems = drawn(np.random.default_rng(0), 4, worse=45.0)
    last = runs["run"].str.contains("a-40")
    fewer = [table[~table["run"].str.contains("a-40")] for table in (curves, runs, results, problems)]
    assert last.sum() == 1
    assert advised((curves, runs, results, problems))["candidates"][:3] == advised(tuple(fewer))["candidates"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("run", "rl/x", r"row 1 .*run is 'rl/x'; give its row in runs"),
        ("run", None, r"row 1 .*name the run"),
        ("benchmark", None, r"row 1 .*name the benchmark"),
        ("id", None, r"row 1 .*name the id"),
        ("id", "2", r"row 2 .*its run has this problem already; keep one row"),
        ("id", "3", r"rl/grpo/a-10/seed_0 has no problem math 1, and rl/grpo/a-20/seed_0 has; give the same problems of every run"),
        ("value", 100.5, r"row 1 .*give points from 0 to 100"),
        ("value", "x", r"row 1 .*value is 'x'; give a finite number"),
        ("value", 91.0, r"the problems are of other evaluations: rl/grpo/a-10/seed_0 has a mean of 50.25 on them, and a test score of 50 "),
        ("n", 0.5, r"row 1 .*n is 0.5; give the number of samples, or leave it blank"),
        ("n", "few", r"row 1 .*n is 'few'; give the number of samples"),
    ],
)  # fmt: skip
def test_bad_problems_are_named(column, value, message):
    curves, runs, results, problems = small()
    problems = problems.reset_index(drop=True).astype({column: object})
    problems.loc[0, column] = value
    with pytest.raises(InputError, match=message):
        advised((curves, runs, results, problems))


def test_tables_that_do_not_do():
    curves, runs, results, problems = small()
    with pytest.raises(InputError, match="no column value; it needs run, benchmark, id, value"):
        advised((curves, runs, results, problems.drop(columns="value")))
    with pytest.raises(InputError, match="no rows; give at least one"):
        advised((curves, runs, results, problems[:0]))
    with pytest.raises(
        InputError, match="the problems need the test scores that they make up; give the results"
    ):
        advised((curves, runs, None, problems))
    without = advised((curves, runs, results, problems.drop(columns="n")))
    assert without["candidates"] == advised(small(np.nan))["candidates"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_command_takes_problems(tmp_path, kind):
    names = ("curves.csv", "runs.csv", "results.csv", f"problems.{kind}")
    for name, table in zip(names, small(), strict=True):
        write = table.to_parquet if name.endswith("parquet") else table.to_csv
        write(tmp_path / name, index=False)
    (tmp_path / "fits.json").write_text('{"runs": {}}')
    options = [f"--{name.split('.')[0]}={tmp_path / name}" for name in names]
    result = CliRunner().invoke(app, ["advise", *options, f"--ceilings={tmp_path / 'fits.json'}"])
    assert result.exit_code == 0, result.output
    assert "Compared on the same 4 problems, problem by problem." in result.stdout
