"""The default fit on RETU's released curves: 17 branches and the base model's run."""

import json

import numpy as np
import pandas as pd
import pytest
from reference import reference

from switchpoint.analysis.ceilings import fit_curves


@pytest.fixture(scope="module")
def points():
    table = pd.read_csv(reference("published", "rl_points.csv"))
    table["run"] = table["dataset"] + "-" + table["sft_step"].astype(str)
    table = table.rename(columns={"rl_exaflops": "exaflops", "overall": "score", "p_sft": "p_start"})
    return table[["run", "exaflops", "score", "p_start"]]


@pytest.fixture(scope="module")
def whole(points):
    """The fits of all points."""
    return fit_curves(points)["runs"]


@pytest.fixture(scope="module")
def errors(points):
    """RMSE on the last 15 % of each run's points, by method, forecast from the others as a user would."""
    first, rest = [], []
    for _, rows in points.groupby("run", sort=False):
        n = int(np.ceil(0.85 * len(rows)))
        first.append(rows.iloc[:n])
        rest.append(rows.iloc[n:])
    first, rest = pd.concat(first), pd.concat(rest)
    plain = pd.DataFrame({"run": first["run"].unique(), "alpha": np.nan, "tau": np.nan, "cap": np.nan})
    found = {
        "ours": fit_curves(first, rest),
        "paper": fit_curves(first, rest, "paper"),
        "least squares": fit_curves(first, rest, "paper", plain),
    }
    table = {
        name: {
            run: np.sqrt(np.mean([(p["score"] - s) ** 2 for p,
                s in zip(fits["runs"][run]["predictions"], rows, strict=True)]))
            for run, rows in rest.groupby("run")["score"]
        }
        for name, fits in found.items()
    }  # fmt: skip
    naive = first.groupby("run")["score"].agg(lambda scores: scores.tail(8).median())
    off = (rest["score"] - rest["run"].map(naive)) ** 2
    table["naive"] = off.groupby(rest["run"]).mean() ** 0.5
    return pd.DataFrame(table)


def test_forecast_beats_the_paper_least_squares_and_the_naive_constant(errors):
    assert len(errors) == 18
    assert errors["ours"].mean() < errors.drop(columns="ours").mean().min()
    assert errors["ours"].median() <= errors["naive"].median() + 0.02


def test_held_out_error_is_that_of_the_forecast(whole, errors):
    for run, row in errors.iterrows():
        assert whole[run]["heldout_rmse"] == pytest.approx(row["ours"])
        assert whole[run]["heldout_rmse_naive"] == pytest.approx(row["naive"])


def test_statuses(whole):
    runs = whole
    json.dumps(runs, allow_nan=False)
    assert runs["S1K-62"]["status"] == "collapsed"
    assert [run for run in runs if runs[run]["status"] == "collapsed"] == ["S1K-62"]
    for fit in runs.values():
        low, high = fit["a_ci95"]
        assert 0 <= low <= fit["a_point"] <= (high or 100) <= 100
        if fit["a"] is not None:
            assert high - low <= 5
    # Most of the runs were stopped as they bent: other forms than the sigmoid leave their ceilings open.
    assert all(runs[f"SFT889K-{step}"]["a"] is not None for step in (1080, 12600))
    assert all(runs[f"S1K-{step}"]["a"] is None for step in (124, 186, 248, 310))
    for fit in runs.values():
        assert sum(fit["forms"].values()) == pytest.approx(1)
        assert fit["form"] == max(fit["forms"], key=fit["forms"].get)


# Share of the points to come within the 95 % interval of one new evaluation.
@pytest.mark.parametrize(("cut", "share"), [(0.5, 0.88), (0.7, 0.90), (0.85, 0.92)])
def test_later_points_lie_in_the_prediction_intervals(points, whole, cut, share):
    """And no ceiling that the first points identify lies outside what all points leave possible, but for one at half."""
    n = points.groupby("run")["run"].transform("size")
    early = points.groupby("run").cumcount() < np.ceil(cut * n)
    first, rest = points[early], points[~early]
    fits = fit_curves(first, rest)["runs"]
    inside, contradicted = [], 0
    for run, rows in rest.groupby("run"):
        ends = [prediction["ci95"] for prediction in fits[run]["predictions"]]
        inside += [low <= score <= high for (low, high), score in zip(ends, rows["score"], strict=True)]
        if fits[run]["a"] is not None:
            low, high = whole[run]["a_ci95"]
            contradicted += not (low or 0) <= fits[run]["a"] <= (high or 100)
    assert np.mean(inside) >= share
    assert contradicted <= (cut == 0.5)
