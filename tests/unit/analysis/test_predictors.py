import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_rank import CANDIDATES
from typer.testing import CliRunner

from switchpoint.analysis.predictors import (
    fit_lines,
    intervals,
    leave_one_out,
    loss_against_ceiling,
    mean_defined,
    predict,
    regret,
    split_r2,
)
from switchpoint.analysis.ranking import rank
from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.report.predictors_text import show_predict, show_rank


def models(n: int = 12, n_rl: int = 12, noise: float = 1.0, seed: int = 0, r: float = 0.6) -> pd.DataFrame:
    """Models whose score after RL is 60 + 4 a + 4 b + noise; pass_64 sees a, val_loss b, correlated by r."""
    rng = np.random.default_rng(seed)
    a, other, c = rng.normal(size=(3, n))
    b = r * a + math.sqrt(1 - r**2) * other
    table = pd.DataFrame({"model": [f"m{i:03}" for i in range(n)]})
    table["pass_1"] = 40 + 3 * c
    table["pass_64"] = 60 + 5 * a
    table["val_loss"] = 0.5 - 0.03 * b
    table["rl_score"] = np.where(np.arange(n) < n_rl, 60 + 4 * a + 4 * b + noise * rng.normal(size=n), np.nan)
    return table


def line(x: list[float], y: list[float]) -> pd.DataFrame:
    names = [f"m{i}" for i in range(len(x))]
    return pd.DataFrame({"model": names, "pass_1": 1.0, "pass_8": x, "rl_score": y})


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(1000 + seed).uniform(40, 60, n)


# --- the published figures


def pairs(loss: list[float], ceiling: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"set": [f"s{i}" for i in range(len(loss))], "val_loss": loss, "ceiling": ceiling})


def test_published_pairs_of_loss_and_ceiling():
    # RETU's figure of minimum loss and highest ceiling: S1K, Easy, Uniform, Hard, SFT889K.
    found = loss_against_ceiling(pairs([0.51, 0.44, 0.42, 0.40, 0.37], [77.3, 78.8, 79.7, 82.8, 84.0]))
    assert found["n"] == 5
    assert found["verdict"] == "ok"
    assert found["pearson"] == pytest.approx(-0.923, abs=5e-4)
    assert found["p"] == pytest.approx(0.025, abs=5e-4)
    z, half = math.atanh(found["pearson"]), 1.959964 / math.sqrt(5 - 3)
    assert found["ci95"] == pytest.approx([math.tanh(z - half), math.tanh(z + half)], abs=1e-6)
    assert found["ci95"] == pytest.approx([-0.995, -0.20], abs=0.025)  # printed for r = -.92
    assert found["spearman"] == pytest.approx(-1.0)
    assert found["spearman_p"] == pytest.approx(2 / 120)  # of 5! orders only two are as extreme


def test_published_pairs_of_llama():
    # RETU Table 1, Llama-3.2-3B, printed with r = -.98: S1K, Easy, Uniform, Hard, SFT889K.
    loss, score = [0.70, 0.59, 0.54, 0.50, 0.40], [24.9, 53.7, 55.1, 56.3, 70.1]
    found = loss_against_ceiling(pairs(loss, score))
    assert found["pearson"] == pytest.approx(-0.950, abs=5e-4)
    assert found["p"] == pytest.approx(0.013, abs=5e-4)
    without_easy = loss_against_ceiling(pairs(loss[:1] + loss[2:], score[:1] + score[2:]))
    assert without_easy["pearson"] == pytest.approx(-0.988, abs=5e-4)


@pytest.mark.parametrize(
    ("by_budget", "mean"),
    [
        ([0.77, 0.60, 0.70], 0.69),  # Quagmires Table 8, Llama3-8B, pass@1; budgets <2B, 2-5B, 5-20B tokens
        ([0.99, 0.90, 0.94], 0.943),  # Table 8, pass@64
        ([0.80, 0.80, 0.50], 0.70),  # Table 10, Mistral-NeMo-12B, pass@1
        ([0.95, 1.00, 1.00], 0.983),  # Table 10, pass@64
    ],
)
def test_published_spearman_is_the_mean_over_budgets(by_budget, mean):
    assert mean_defined(by_budget) == pytest.approx(mean, abs=5e-4)
    assert mean_defined([*by_budget, None]) == mean_defined(by_budget)
    assert mean_defined([None]) is None


def test_loss_against_ceiling_that_says_nothing():
    flat = loss_against_ceiling(pairs([0.4, 0.4, 0.4], [70, 71, 72]))
    assert flat == {"n": 3, "verdict": "undefined: val_loss is the same in all sets"}
    assert "ceiling is the same" in loss_against_ceiling(pairs([0.4, 0.5, 0.6], [70, 70, 70]))["verdict"]
    three = loss_against_ceiling(pairs([0.4, 0.5, 0.6], [72, 70, 71]))
    assert three["ci95"] == [-1.0, 1.0]  # Fisher's z has no error with three pairs
    with pytest.raises(InputError, match="sets: 2; a correlation needs at least 3"):
        loss_against_ceiling(pairs([0.4, 0.5], [70, 71]))
    with pytest.raises(InputError, match=r"row 2 .*set is 's0'; it has a row already"):
        loss_against_ceiling(pairs([0.4, 0.5, 0.6], [70, 71, 72]).assign(set=["s0", "s0", "s1"]))
    with pytest.raises(InputError, match="no column set"):
        loss_against_ceiling(pairs([0.4], [70]).drop(columns="set"))


# --- goldens by hand


def test_r2_of_two_splits_by_hand():
    x, y = np.array([[0.0, 1, 2, 3]]), np.array([0.0, 1, 4, 2])
    found = split_r2(x, y, np.array([[0, 1, 2, 3], [2, 3, 0, 1]]), 2)
    # First split: y = x predicts 2, 3 for 4, 2: 1 - 5/2.
    # Second: y = 8 - 2x predicts 8, 6 for 0, 1: 1 - 89/.5.
    assert found["mean"] == pytest.approx((-1.5 - 177) / 2)
    assert found["standard_deviation"] == pytest.approx(175.5 / math.sqrt(2))
    assert found["standard_error"] == pytest.approx(175.5 / 2)
    assert (found["calibration"], found["held_out"], found["used"]) == (2, 2, 2)


def test_skipped_repeats_are_counted_with_their_reason():
    order = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [2, 3, 0, 1]])
    found = split_r2(np.array([[1.0, 1, 2, 3]]), np.array([0.0, 1, 5, 5]), order, 2)
    assert found["skipped"] == {"held-out scores equal": 1, "predictor constant": 0}
    assert found["used"] == 2
    found = split_r2(np.array([[1.0, 1, 2, 3]]), np.array([0.0, 1, 5, 6]), order, 2)
    assert found["skipped"] == {"held-out scores equal": 0, "predictor constant": 1}
    one = split_r2(np.array([[1.0, 1, 2, 3]]), np.array([0.0, 1, 5, 6]), order[1:2], 2)
    assert one["used"] == 1
    assert one["standard_deviation"] is one["standard_error"] is None
    none = split_r2(np.array([[1.0, 1, 2, 3]]), np.array([0.0, 1, 5, 6]), order[:1], 2)
    assert none["mean"] is None
    assert none["verdict"] == "undefined: every repeat was skipped"


def test_leave_one_out_by_hand():
    # The line through the other two misses by 2, -1, 2.
    found = leave_one_out(np.array([[0.0, 1, 2]]), np.array([0.0, 1, 4]))
    assert found["rmse"] == pytest.approx(math.sqrt(3))
    assert found["r2"] == pytest.approx(1 - 9 / (78 / 9))
    alone = leave_one_out(np.array([[1.0, 1, 2]]), np.array([0.0, 1, 4]))
    assert alone["verdict"] == "undefined: without one model the predictor is constant"
    assert alone["rmse"] is alone["r2"] is None


def test_regret_is_the_mean_over_tied_favourites():
    y = np.array([60.0, 70, 80])
    assert regret(np.array([3.0, 3, 1]), y, ["a", "b", "c"]) == {"points": 15.0, "favourites": ["a", "b"]}
    found = predict(line([1, 7, 7, 3], [80, 70, 60, 50]))["predictors"]["pass_8"]["regret"]
    assert found == {"points": 15.0, "favourites": ["m1", "m2"]}
    assert regret(np.array([1.0, 2, 3]), y, ["a", "b", "c"]) == {"points": 0.0, "favourites": ["c"]}


def test_average_is_the_mean_of_two_lines():
    x, y = np.array([[0.0, 1, 2, 5], [3.0, 1, 2, 2]]), np.array([1.0, 2, 4, 3])
    new = np.array([[7.0, 0.5], [1.5, 2.5]])
    lines = [np.polyval(np.polyfit(x[i], y, 1), new[i]) for i in range(2)]
    assert fit_lines(x, y, new) == pytest.approx(np.mean(lines, axis=0))


def test_interval_of_one_line_is_the_textbook_one():
    x, y, new = np.array([1.0, 2, 4, 5, 9]), np.array([2.0, 4, 3, 7, 8]), np.array([0.0, 4.2, 20])
    fit = stats.linregress(x, y)
    s = math.sqrt(((y - fit.intercept - fit.slope * x) ** 2).sum() / 3)
    leverage = 1 / 5 + (new - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    half = stats.t.ppf(0.975, 3) * s * np.sqrt(1 + leverage)
    score, low, high = intervals(x[None], y, new[None])
    assert score == pytest.approx(fit.intercept + fit.slope * new)
    assert high - score == pytest.approx(half)
    assert score - low == pytest.approx(half)
    twice = intervals(np.stack([x, x]), y, np.stack([new, new]))  # the average of one line with itself
    assert np.array(twice) == pytest.approx(np.array([score, low, high]))


@pytest.mark.parametrize("scores", [[10, 20, 30, 40], [10, 20, 20, 40], [40, 10, 30, 20]])
def test_spearman_and_its_exact_p(scores):
    table = line([1, 2, 4, 8], scores)
    found = predict(table)["predictors"]["pass_8"]["spearman"]
    rho = stats.spearmanr(table["pass_8"], scores).statistic
    others = [stats.spearmanr(table["pass_8"], order).statistic for order in itertools.permutations(scores)]
    assert found["rho"] == pytest.approx(rho)
    assert found["p"] == pytest.approx(np.mean(np.abs(others) >= abs(rho) - 1e-9))
    assert found["method"] == "exact"


def test_permutation_p_agrees_with_the_exact_one():
    scores = [3, 1, 4, 6, 5, 9, 2, 8]
    exact = predict(line(list(range(8)), scores))["predictors"]["pass_8"]["spearman"]
    nine = predict(line(list(range(9)), [*scores, 7]))["predictors"]["pass_8"]["spearman"]
    assert exact["method"] == "exact"
    assert nine["method"] == "9999 permutations"
    assert nine["p"] == pytest.approx(stats.spearmanr(range(9), [*scores, 7]).pvalue, abs=0.02)
    perfect = predict(line(list(range(12)), list(range(12))))["predictors"]["pass_8"]["spearman"]
    assert perfect["p"] == pytest.approx(1 / 10000)  # never 0


def test_p_of_the_average_allows_for_its_fit():
    # Lines fitted to pure noise follow it: their rho is high, and the p must not be.
    found = [predict(models(6, 6, seed=s).assign(rl_score=noise(6, s)))["predictors"] for s in range(60)]
    rho = [entry["average"]["spearman"]["rho"] for entry in found]
    p = np.array([entry["average"]["spearman"]["p"] for entry in found])
    assert np.mean(rho) > 0.2
    assert np.mean(p <= 0.2) == pytest.approx(0.2, abs=0.13)
    assert np.mean(p) == pytest.approx(0.5, abs=0.13)


# --- simulations


def test_r2_and_spearman_agree_with_theory():
    r, deviation = 0.6, 3.0
    found = predict(models(250, 250, noise=deviation, seed=1, r=r))["predictors"]
    variance = 16 * (2 + 2 * r) + deviation**2
    one = (4 + 4 * r) ** 2 / variance  # squared correlation of one predictor with the outcome
    # The two lines have slope 4 + 4 r each, so the average predicts (2 + 2 r) (a + b).
    slope = 2 + 2 * r
    average = 1 - ((4 - slope) ** 2 * (2 + 2 * r) + deviation**2) / variance
    corr = 4 * (2 + 2 * r) / math.sqrt((2 + 2 * r) * variance)
    for name, r2, rho in (
        ("pass_64", one, math.sqrt(one)),
        ("val_loss", one, math.sqrt(one)),
        ("average", average, corr),
        ("pass_1", 0.0, 0.0),
    ):
        entry = found[name]
        assert entry["r2"]["mean"] == pytest.approx(r2, abs=0.06), name
        assert entry["leave_one_out"]["r2"] == pytest.approx(r2, abs=0.06), name
        assert entry["spearman"]["rho"] == pytest.approx(6 / math.pi * math.asin(rho / 2), abs=0.1), name
    assert found["pass_64"]["slope"] == pytest.approx((4 + 4 * r) / 5, rel=0.15)
    assert found["val_loss"]["slope"] == pytest.approx(-(4 + 4 * r) / 0.03, rel=0.15)
    assert found["average"]["r2"]["mean"] > found["pass_64"]["r2"]["mean"]


def test_r2_of_a_useless_predictor_is_negative_and_not_clipped():
    found = predict(models(10, 10, seed=3).assign(rl_score=noise(10, 3)))["predictors"]["pass_1"]
    assert found["r2"]["mean"] < 0
    assert min(entry["mean"] for entry in found["sweep"]) < -1
    assert found["r2"]["standard_error"] == pytest.approx(found["r2"]["standard_deviation"] / 10)


def test_sweep_covers_every_calibration_size():
    sweep = predict(models(10, 10))["predictors"]["pass_64"]["sweep"]
    assert [entry["calibration"] for entry in sweep] == list(range(2, 9))
    assert [entry["held_out"] for entry in sweep] == list(range(8, 1, -1))
    assert predict(models(10, 10))["predictors"]["pass_64"]["r2"] == sweep[3]


@pytest.mark.parametrize(
    ("n", "share", "size"),
    [(17, 0.5, 8), (12, 0.5, 6), (11, 0.5, 5), (10, 0.7, 7), (10, 0.01, 2), (10, 0.99, 9), (3, 0.5, 2)],
)
def test_calibration_share_is_rounded_down(n, share, size):
    # Quagmires' halves of 17 and 12 models (Tables 7 and 9) fit 8 and 6.
    assert predict(models(n, n), calibration=share)["predictors"]["pass_64"]["r2"]["calibration"] == size


@pytest.mark.parametrize("columns", [["pass_64"], ["val_loss", "pass_64"]])
@pytest.mark.parametrize("n", [4, 10])
def test_prediction_intervals_cover(columns, n):
    inside = []
    for seed in range(250):
        table = models(n + 1, n + 1, noise=2.0, seed=seed)
        x, y = table[columns].to_numpy().T, table["rl_score"].to_numpy()
        _, low, high = intervals(x[:, :n], y[:n], x[:, n:])
        inside.append(low[0] <= y[n] <= high[0])
    assert 0.92 <= np.mean(inside) <= 0.99


# --- predict


def test_predicts_the_models_without_rl_in_the_order_of_the_table():
    table = models(8, 5, noise=0.3).assign(exaflops=[1.0, 2, 3, 4, 5, 6, 7, 8])
    found = predict(table.iloc[::-1])
    assert (found["n_calibration"], found["n_predicted"]) == (5, 3)
    assert [entry["model"] for entry in found["models"]] == ["m007", "m006", "m005"]
    assert [entry["exaflops"] for entry in found["models"]] == [8.0, 7.0, 6.0]
    runs = table[:5]
    slope, intercept = np.polyfit(runs["pass_64"], runs["rl_score"], 1)
    for entry, row in zip(found["models"], table.iloc[:4:-1].itertuples(), strict=True):
        prediction = entry["predictions"]["pass_64"]
        assert prediction["score"] == pytest.approx(intercept + slope * row.pass_64)
        assert prediction["pi95"][0] < prediction["score"] < prediction["pi95"][1]
        outside = not runs["pass_64"].min() <= row.pass_64 <= runs["pass_64"].max()
        assert prediction["extrapolated"] is outside
        parts = [entry["predictions"][name]["score"] for name in ("val_loss", "pass_64")]
        assert entry["predictions"]["average"]["score"] == pytest.approx(np.mean(parts))
    errors = {name: entry["leave_one_out"]["rmse"] for name, entry in found["predictors"].items()}
    assert found["best"] == min(errors, key=errors.get)
    assert f"{found['best']} has the lowest leave-one-out error" in found["notes"][0]


def test_predictions_are_clipped_to_the_scores_that_there_are():
    table = line([10, 20, 30, 40, 10, 45, 25, 0], [40, 61, 79, 99, None, None, None, None])
    table["val_loss"] = 0.5
    raw = intervals(
        np.array([[10.0, 20, 30, 40]]), np.array([40.0, 61, 79, 99]), np.array([[10.0, 45, 25, 0]])
    )
    found = predict(table)
    entries = [model["predictions"]["pass_8"] for model in found["models"]]
    assert np.array(raw).max() > 100
    for entry, *ends in zip(entries, *raw, strict=True):
        assert [entry["score"], *entry["pi95"]] == pytest.approx(np.clip(ends, 0, 100).tolist())
        assert entry["clipped"] == (min(ends) < 0 or max(ends) > 100)
    assert [entry["clipped"] for entry in entries] == [False, True, False, False]
    assert found["notes"][-1] == (
        "clipped to 0..100, since its prediction or an end of its interval lay outside 0 to 100: m5"
    )
    assert "clipped to 0..100" in show_predict(found)
    low = predict(line([10, 20, 30, 0], [1, 20, 40, None]))["models"][0]["predictions"]["pass_8"]
    assert (low["score"], low["pi95"][0], low["clipped"]) == (0.0, 0.0, True)
    none = predict(models(8, 5, noise=0.3))
    assert not any(entry["clipped"] for model in none["models"] for entry in model["predictions"].values())
    assert "clipped" not in "".join(none["notes"])


def test_a_loss_that_runs_the_wrong_way_has_a_negative_spearman():
    table = models(10, 10, noise=0.1)
    assert predict(table)["predictors"]["val_loss"]["spearman"]["rho"] > 0.5
    table["val_loss"] = 1 - table["val_loss"]
    assert predict(table)["predictors"]["val_loss"]["spearman"]["rho"] < -0.5


def test_three_runs_are_enough_for_a_line_but_not_for_r2():
    found = predict(models(4, 3))
    json.dumps(found, allow_nan=False)
    entry = found["predictors"]["pass_64"]
    assert entry["r2"]["mean"] is None
    assert entry["r2"]["skipped"]["held-out scores equal"] == 100
    assert entry["sweep"] == []
    assert entry["leave_one_out"]["rmse"] > 0
    low, high = found["models"][0]["predictions"]["pass_64"]["pi95"]
    assert high > low


def test_constant_predictor_has_a_verdict():
    found = predict(line([1, 2, 3, 4], [10, 20, 35, 40]))
    verdict = "undefined: pass_1 is 1 in all calibration runs"
    assert found["predictors"]["pass_1"] == {"verdict": verdict, "of": ["pass_1"]}
    assert found["predictors"]["average"]["verdict"] == "not applicable: no column val_loss"
    assert found["best"] == "pass_8"
    nothing = predict(line([5, 5, 5], [10, 20, 30]))
    assert (nothing["best"], len(nothing["notes"])) == (None, 1)
    assert "pass_8: undefined: pass_8 is 5" in show_predict(nothing)


def test_no_large_k_no_average():
    found = predict(models().drop(columns="pass_64"))["predictors"]
    assert found["average"]["verdict"] == "not applicable: no column pass_<k>, k above 1"
    with_more = predict(models().assign(pass_128=lambda t: t["pass_64"] + 2))["predictors"]
    assert with_more["average"]["of"] == ["val_loss", "pass_128"]


def test_no_predictor_beats_the_mean():
    found = predict(line([1, 2, 3, 4, 5, 6], [10, 20, 10, 20, 10, 20]))
    assert "no predictor beats the mean of the calibration runs" in found["notes"]


def test_spearman_by_budget():
    table = line([1, 2, 3, 4, 5, 6, 7, 8, 8], [10, 20, 30, 40, 60, 1, 50, 2, 5])
    table["budget"] = ["low"] * 4 + ["mid"] * 3 + ["high"] * 2
    found = predict(table)["predictors"]["pass_8"]["spearman"]
    assert found["budgets"]["low"] == {"n": 4, "rho": pytest.approx(1.0), "verdict": "ok"}
    assert found["budgets"]["mid"]["rho"] == pytest.approx(-0.5)
    assert found["budgets"]["high"] == {"n": 2, "rho": None, "verdict": "undefined: 2 models, fewer than 3"}
    assert found["mean_over_budgets"] == pytest.approx(0.25)
    table["pass_8"] = [1, 2, 3, 4, 5, 5, 5, 8, 8]
    found = predict(table)["predictors"]["pass_8"]["spearman"]
    assert found["budgets"]["mid"]["verdict"] == "undefined: all models rank the same"
    assert found["mean_over_budgets"] == pytest.approx(1.0)


# --- validation losses of different training sets


def test_losses_across_training_sets():
    table = models(9, 9).assign(set=["a", "b", "c"] * 3)
    found = predict(table)
    assert found["val_loss"]["applicable"] is False
    verdict = found["predictors"]["val_loss"]["verdict"]
    assert verdict.startswith("not applicable: the training sets differ (a, b, c)")
    assert found["predictors"]["average"]["verdict"] == verdict
    assert found["val_loss"]["retu"] is None

    common = predict(table.assign(val_set="common"))
    assert common["predictors"]["val_loss"]["verdict"] == "ok"
    assert "the training sets differ" in common["val_loss"]["warning"]
    retu = common["val_loss"]["retu"]
    lowest = table.groupby("set")["val_loss"].min().sort_values()
    assert [row["set"] for row in retu["sets"]] == lowest.index.tolist()
    best = table.groupby("set")["rl_score"].max()
    assert [row["best_rl_score"] for row in retu["sets"]] == best[lowest.index].tolist()
    assert retu["correlation"]["pearson"] == pytest.approx(np.corrcoef(lowest, best[lowest.index])[0, 1])
    assert "Warning: the training sets differ" in show_predict(common)
    assert "RETU: lower is more promising" in show_predict(common)

    one_blank = table.assign(val_set=["common"] * 8 + [None])
    assert predict(one_blank)["val_loss"]["applicable"] is False
    two = predict(table.assign(set="a", val_set=["v"] * 8 + ["w"]))["val_loss"]
    assert two["reason"] == "the losses were measured on different validation sets (v, w)"
    assert predict(table.assign(set="a"))["val_loss"]["reason"] == "one training set, a"


def test_retu_reading_without_rl():
    retu = rank(models(6, 0).assign(set=list("aabbcc"), val_set="v"))["val_loss"]["retu"]
    assert retu["correlation"] is None
    assert [row["best_rl_score"] for row in retu["sets"]] == [None] * 3


# --- bad tables


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("model", "m000", r"row 3 \(line 4, model m000\): model is 'm000'; it has a row already; keep one"),
        ("model", None, "row 3 .*name the model"),
        ("pass_64", 100.5, r"row 3 \(line 4, model m002\): pass_64 is 100.5; give points from 0 to 100"),
        ("pass_64", np.nan, "row 3 .*pass_64 is nan; give a finite number"),
        ("pass_1", "high", "row 3 .*pass_1 is 'high'; give a finite number"),
        ("val_loss", 0.0, "row 3 .*val_loss is 0.0; give the validation loss, a positive number"),
        ("val_loss", np.inf, "row 3 .*val_loss is inf"),
        ("rl_score", "running", "row 3 .*rl_score is 'running'; .*leave it blank where no RL was run"),
        ("rl_score", -1.0, "row 3 .*rl_score is -1.0; give points"),
        ("exaflops", -1.0, "row 3 .*exaflops is -1.0"),
        ("set", None, "row 3 .*set is None; name it in every row"),
        ("budget", None, "row 3 .*budget is None; name it in every row"),
    ],
)
def test_bad_row_is_named(column, value, message):
    table = models(6, 6).assign(exaflops=1.0, set="s", budget="b").astype(object)
    table.loc[2, column] = value
    for command in (rank, predict):
        with pytest.raises(InputError, match=message):
            command(table)


def test_bad_tables_are_named():
    with pytest.raises(InputError, match="no predictor; give columns pass_<k> or val_loss"):
        predict(models()[["model", "rl_score"]])
    with pytest.raises(InputError, match="no column model; it needs model and has run, pass_64"):
        rank(pd.DataFrame({"run": ["a"], "pass_64": [1.0]}))
    with pytest.raises(InputError, match="models: no rows"):
        rank(CANDIDATES[:0])
    for options in ({"repeats": 0}, {"calibration": 0.0}, {"calibration": 1.0}, {"calibration": math.nan}):
        with pytest.raises(InputError, match="calibration as a share between 0 and 1"):
            predict(models(), **options)


@pytest.mark.parametrize(
    ("table", "verdict"),
    [
        (models(5, 2), "undefined: 2 calibration models, fewer than 3"),
        (models().drop(columns="rl_score"), "undefined: 0 calibration models, fewer than 3"),
        (line([1, 2, 3, 4], [50, 50, 50, 50]), "undefined: rl_score is 50 in all 4 calibration models"),
    ],
)
def test_without_calibration_there_is_a_verdict_and_no_prediction(table, verdict):
    found = json.loads(json.dumps(predict(table), allow_nan=False))
    assert found["verdict"] == verdict
    assert {entry["verdict"] for entry in found["predictors"].values()} == {verdict}
    assert (found["best"], found["notes"]) == (None, [])
    assert [model["predictions"] for model in found["models"]] == [{}] * found["n_predicted"]
    assert f"{verdict}; run RL on more of the models." in show_predict(found)


@pytest.mark.parametrize(("column", "others"), [("rl_score", []), ("pass_64", ["pass_1"])])
def test_fractions_are_refused(column, others):
    table = models(6, 6)
    for name in (column, *others):
        table[name] /= 100
    with pytest.raises(InputError, match=f"row 1 .*{column} is .*multiply them all"):
        predict(table)


def test_columns_not_used_are_told():
    found = predict(models().assign(val_los=1, **{"pass@8": 2}))
    assert found["ignored_columns"] == ["val_los", "pass@8"]
    assert "Columns not used: val_los, pass@8." in show_predict(found)
    assert rank(CANDIDATES.assign(note=""))["ignored_columns"] == ["note"]
    noise = {"pass_64_se": 1.0, "se": 1.0, "n": 50, "val_loss_se": 0.1}
    assert predict(models().assign(**noise))["ignored_columns"] == []
    plain = predict(models())
    assert predict(models().assign(**noise)) == plain


# --- invariants


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 1.4), st.floats(0, 6), st.randoms(use_true_random=False))
def test_scale_of_a_predictor_and_order_of_rows_do_not_matter(factor, offset, random):
    table = models(9, 7, noise=3.0)
    found = predict(table, repeats=20)
    order = list(range(len(table)))
    random.shuffle(order)
    scaled = table.assign(pass_64=factor * table["pass_64"] + offset, val_loss=factor * table["val_loss"])
    other = predict(scaled.iloc[order], repeats=20)
    for name, entry in found["predictors"].items():
        for part in ("r2", "spearman", "leave_one_out", "regret"):
            for key, value in entry[part].items():
                assert other["predictors"][name][part][key] == (
                    pytest.approx(value, rel=1e-5, abs=1e-8) if isinstance(value, float) else value
                )
    by_name = {entry["model"]: entry for entry in other["models"]}
    for entry in found["models"]:
        for name, prediction in entry["predictions"].items():
            again = by_name[entry["model"]]["predictions"][name]
            assert [again["score"], *again["pi95"]] == pytest.approx(
                [prediction["score"], *prediction["pi95"]]
            )


few = st.integers(0, 3)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(few, few, st.integers(1, 3), st.none() | few, few), min_size=1, max_size=7),
    st.booleans(),
)
def test_any_table_gives_strict_json_or_a_named_error(rows, one_validation_set):
    table = pd.DataFrame(rows, columns=["pass_1", "pass_8", "val_loss", "rl_score", "set"], dtype=float)
    table = table.assign(model=[f"m{i}" for i in range(len(table))], budget=table["set"].astype(str))
    if one_validation_set:
        table["val_set"] = "v"
    ranked = rank(table)
    json.dumps(ranked, allow_nan=False)
    assert "nan" not in show_rank(ranked)
    assert ranked["n_kept"] + ranked["n_dropped"] == len(table)
    assert ranked["favourites"]
    try:
        found = predict(table, repeats=5)
    except InputError as error:
        assert "rl_score" in str(error)  # noqa: PT017
        return
    json.dumps(found, allow_nan=False)
    assert "nan" not in show_predict(found)
    for entry in found["predictors"].values():
        assert entry["verdict"] == "ok" or entry["verdict"].startswith(("undefined: ", "not applicable: "))
        if entry["verdict"] == "ok":
            assert entry["r2"]["used"] + sum(entry["r2"]["skipped"].values()) == 5


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_filter_drops_exactly_the_dominated(rows):
    table = pd.DataFrame(rows, columns=["pass_1", "val_loss", "pass_8"], dtype=float)
    table["model"] = [f"m{i}" for i in range(len(table))]
    for entry in rank(table)["models"]:
        better = (table["pass_1"] > entry["pass_1"]) & (table["val_loss"] < entry["val_loss"])
        assert (entry["dropped"] is not None) == better.any()


# --- commands


def test_commands(tmp_path):
    path, out = tmp_path / "models.csv", tmp_path / "out.json"
    models(8, 6).to_csv(path, index=False)
    shown = CliRunner().invoke(app, ["predict", str(path), "--out", str(out), "--repeats", "7"])
    assert shown.exit_code == 0, shown.output
    assert "6 calibration runs, 2 models to predict." in shown.output
    assert "with 95 % prediction intervals" in shown.output
    written = json.loads(out.read_text())
    assert written == predict(pd.read_csv(path), repeats=7)
    assert written["predictors"]["pass_64"]["r2"]["used"] == 7
    out = out.with_name("rank.json")
    shown = CliRunner().invoke(app, ["rank", str(path), "--out", str(out), "--k", "64"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(out.read_text()) == rank(pd.read_csv(path), 64)
    assert f"Run RL on {json.loads(out.read_text())['favourites'][0]}" in shown.output
