import json

import numpy as np
import pandas as pd
import pytest

from switchpoint.analysis.ceilings import collapse_start, decompose, fit_curves
from switchpoint.analysis.points import check_points, read_points
from switchpoint.analysis.sigmoid import rise
from switchpoint.errors import InputError

A, P_START, C_MID, B = 80.0, 60.0, 2.0, 1.5


def curve(
    n: int = 30, x_max: float = 20.0, noise: float = 0.4, seed: int = 0, run: str = "r"
) -> pd.DataFrame:
    x = np.linspace(x_max / n, x_max, n)
    score = P_START + (A - P_START) * rise(x, C_MID, B) + np.random.default_rng(seed).normal(0, noise, n)
    return pd.DataFrame({"run": run, "exaflops": x, "score": score, "p_start": P_START})


def fit(points: pd.DataFrame, predict: pd.DataFrame | None = None) -> dict:
    return fit_curves(points, predict)["runs"]["r"]


def test_known_ceiling_without_noise():
    found = fit(curve(noise=0.0))
    assert found["status"] == "identified"
    assert found["reason"] is None
    assert found["a"] == pytest.approx(A, abs=1e-2)
    assert found["c_mid"] == pytest.approx(C_MID, rel=1e-3)
    assert found["b"] == pytest.approx(B, rel=1e-3)
    assert found["plasticity"] == pytest.approx(A - P_START, abs=1e-2)
    assert found["a_ci95"][0] <= A <= found["a_ci95"][1]
    assert found["r2_train"] == pytest.approx(1)
    assert found["heldout_rmse"] < found["heldout_rmse_naive"] / 2  # the naive constant is averaged in
    assert (found["n_used"], found["n_dropped"]) == (30, 0)


@pytest.mark.parametrize("seed", range(3))
def test_well_covered_curve_is_identified(seed):
    found = fit(curve(seed=seed))
    low, high = found["a_ci95"]
    assert found["status"] == "identified"
    assert low <= A <= high
    assert high - low < 3
    assert found["a"] == pytest.approx(A, abs=1)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.4])
def test_curve_that_ends_at_half_of_c_mid_is_unidentified(noise):
    found = fit(curve(x_max=C_MID / 2, noise=noise))
    assert found["status"] == "unidentified"
    assert found["a"] is None
    assert found["plasticity"] is None
    assert found["reason"]


def test_an_end_that_the_data_leave_open_is_null():
    found = fit(curve(n=12, x_max=C_MID / 2, noise=1.0))
    assert found["a_ci95"][1] is None
    assert found["plasticity_ci95"][1] is None
    assert "a curve without a ceiling is not ruled out (posterior weight" in found["reason"]
    assert {"no_ceiling", "open_interval", "wide_interval"} <= set(found["flags"])
    assert found["a"] is None


def test_interval_covers_the_truth():
    covered = [low <= A <= high for low, high in (fit(curve(seed=seed))["a_ci95"] for seed in range(20))]
    assert sum(covered) >= 17


@pytest.mark.parametrize("scale", [1e-26, 1e18])
def test_unit_of_compute_does_not_matter(scale):
    points = curve()
    found, scaled = fit(points), fit(points.assign(exaflops=points["exaflops"] * scale))
    for key in ("a", "b", "heldout_rmse", "r2_train"):
        assert scaled[key] == pytest.approx(found[key], rel=1e-6)
    assert scaled["a_ci95"] == pytest.approx(found["a_ci95"], rel=1e-6)
    assert scaled["c_mid"] == pytest.approx(found["c_mid"] * scale, rel=1e-5)
    assert scaled["status"] == found["status"]


def test_deterministic_whatever_the_order_of_rows_and_runs():
    points = pd.concat([curve(run="other", seed=5), curve()])
    assert fit(points) == fit(points.sample(frac=1, random_state=1)) == fit(curve())


def test_outliers_are_dropped_and_counted():
    points = curve()
    points.loc[[4, 9, 17, 23], "score"] -= [12, 9, 15, 10]
    found = fit(points)
    assert found["n_dropped"] == 4
    assert found["n_used"] == 26
    assert found["a"] == pytest.approx(fit(curve())["a"], abs=0.5)


@pytest.mark.parametrize(("n", "late"), [(20, 2), (30, 3), (40, 8)])
def test_a_late_rise_is_no_outlier(n, late):
    """A step of twelve standard deviations at the end: the level before it is no ceiling, and the next score may be there."""
    x = np.arange(1, n + 1) / n
    for seed in range(3):
        score = 40 + 12 * (1 - np.exp(-x / 0.1)) + np.random.default_rng(seed).normal(0, 0.5, n)
        score[-late:] += 6
        points = pd.DataFrame({"run": "r", "exaflops": x, "score": score, "p_start": 40.0})
        found = fit(points, pd.DataFrame({"run": ["r"], "exaflops": [1.01]}))
        assert found["a"] is None
        low, high = found["predictions"][0]["ci95"]
        assert low <= 58 <= high


@pytest.mark.parametrize(("n", "off"), [(9, 4.0), (16, -4.0), (30, 3.0)])
def test_a_last_evaluation_far_off_moves_no_ceiling(n, off):
    """Noise of 0.4 points; an outlier or a change, which the next evaluation will tell: till then the others count."""
    points = curve(n=n)
    points.loc[n - 1, "score"] = A + off
    next_one = pd.DataFrame({"run": ["r"], "exaflops": [points["exaflops"].iloc[-1] * 1.1]})
    found, before = fit(points, next_one), fit(points.iloc[:-1], next_one)
    assert found["n_dropped"] == 1
    assert "last_apart" in found["flags"]
    assert found["status"] == before["status"]
    assert found["a_point"] == pytest.approx(before["a_point"], abs=0.3)
    assert found["a_ci95"][0] <= A <= (found["a_ci95"][1] or 100)
    assert found["predictions"][0]["score"] == pytest.approx(before["predictions"][0]["score"], abs=0.5)


def test_the_last_evaluation_of_a_clean_curve_seldom_stands_apart():
    found = [fit(curve(n=n, seed=seed)) for n in (8, 12, 20) for seed in range(10)]
    assert sum("last_apart" in one["flags"] for one in found) <= 2


def test_collapsed_tail():
    points = curve()
    points.loc[25:, "score"] -= [8, 15, 20, 22, 30]
    found = fit(points)
    assert found["status"] == "collapsed"
    assert "last 5 points" in found["reason"]
    assert found["a"] == pytest.approx(A, abs=1)
    assert found["n_used"] == 25
    assert found["observed_peak"] == points["score"].max()


def test_of_a_collapsed_run_the_points_before_count():
    """The numbers of points are of what was fitted, and the reason says which; the held-out error is of all points."""
    whole, collapsed = curve(), curve(n=45, x_max=30)
    whole.loc[9, "score"] = 40.0
    collapsed["score"] = [*whole["score"], *[2.0] * 15]
    before, found = fit(whole), fit(collapsed)
    for key in ("n_used", "a"):
        assert found[key] == before[key]
    assert found["heldout_rmse_naive"] == pytest.approx(0)  # the median of a tail of 2 s
    assert (found["n_used"], found["n_dropped"]) == (29, 16)
    assert found["reason"] == "the last 15 points collapsed; fitted on the 30 before, but for 1 outlier"


def test_collapse_needs_the_whole_tail_and_a_real_fall():
    flat = 70 + np.tile([0.2, -0.2, 0.1], 6)
    assert collapse_start(flat) == len(flat)
    assert collapse_start(np.append(flat, [60.0, 61.0])) == 20  # two points are no tail
    assert collapse_start(np.append(flat, [60.0, 61.0, 60.5])) == 18
    assert collapse_start(np.full(18, 70.0)) == 18
    assert collapse_start(np.append(np.full(15, 70.0), [69.5] * 3)) == 18  # less than a point


@pytest.mark.parametrize("n", range(12))
def test_short_curves(n):
    anchor = pd.DataFrame({"run": ["r"], "exaflops": [0.0], "score": [P_START]})
    points = pd.concat([anchor, curve(n=max(n, 1)).iloc[:n].drop(columns="p_start")])
    found = fit(points, pd.DataFrame({"run": ["r"], "exaflops": [30.0]}))
    json.dumps(found, allow_nan=False)
    assert found["n_used"] == n * (n >= 3)
    assert (found["predictions"][0]["score"] is None) == (n < 3)
    if n < 5:
        assert found["status"] == "unidentified"
        assert found["a_ci95"] == [None, None]
        assert f"{n} point" in found["reason"]
    assert (found["heldout_rmse"] is None) == (n < 7)


def test_flat_and_falling_curves_are_strict_json():
    flat, falling = curve(run="flat"), curve(run="falling")
    flat["score"], falling["score"] = P_START, P_START - 2.0 * falling["exaflops"]
    found = fit_curves(pd.concat([flat, falling]))
    json.dumps(found, allow_nan=False)
    assert found["runs"]["flat"]["r2_train"] is None
    assert found["runs"]["falling"]["status"] == "collapsed"
    assert found["runs"]["falling"]["a"] is None


def test_predictions_in_the_order_asked():
    asked = pd.DataFrame({"run": "r", "exaflops": [40.0, 0.0, 10.0]})
    predictions = fit(curve(), asked)["predictions"]
    assert [p["exaflops"] for p in predictions] == [40.0, 0.0, 10.0]
    truth = [P_START + (A - P_START) * float(rise(np.array(x), C_MID, B)) for x in asked["exaflops"]]
    assert [p["score"] for p in predictions] == pytest.approx(truth, abs=1)
    assert all(p["ci95"][0] < t < p["ci95"][1] for p, t in zip(predictions, truth, strict=True))


def test_held_out_error():
    points = curve(n=10, noise=0.0)
    points.loc[9, "score"] = 75.0
    found = fit(points)
    truth = P_START + (A - P_START) * rise(points["exaflops"].to_numpy(), C_MID, B)
    naive, weight = np.median(truth[1:9]), 0.5 * 9 / 10  # ceil(8.5) = 9 points fit
    assert found["heldout_rmse"] == pytest.approx(weight * naive + (1 - weight) * truth[9] - 75.0, abs=0.01)
    assert found["heldout_rmse_naive"] == pytest.approx(naive - 75.0)


def test_decompose():
    found = fit(curve(noise=0.0))
    parts = decompose(40.0, 60.0, found)
    assert parts["p_0"] + parts["delta_sft"] + parts["delta_rl"] == pytest.approx(parts["p_post"])
    assert parts["p_post"] == found["observed_peak"]
    assert parts["p_sft"] + parts["plasticity_rl"] == pytest.approx(parts["a_post"])
    assert decompose(40.0, 60.0, fit(curve(x_max=1.0)))["plasticity_rl"] is None


CURVES = """run,phase,step,exaflops,exaflops_total,benchmark,score,se,n
base,base,0,0,0,overall,40,1,100
base,base,0,0,0,math,30,1,100
sft/a,sft,10,1,1,overall,50,1,100
sft/a,sft,20,2,2,overall,55,1,100
sft/a,sft,20,2,2,math,45,1,100
rl/a,rl,0,0,2,overall,55,1,100
rl/a,rl,5,3,5,overall,60,1,100
"""


def test_reads_curves_csv(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text(CURVES)
    points = read_points(path).set_index(["run", "exaflops"])["p_start"]
    assert points["sft/a"].tolist() == [40, 40]
    assert points["rl/a"].tolist() == [55, 55]
    assert read_points(path, "math")["score"].tolist() == [30, 45]
    assert list(fit_curves(read_points(path))["runs"]) == ["base", "sft/a", "rl/a"]
    with pytest.raises(InputError, match="'aime'; there are math, overall"):
        read_points(path, "aime")
    path.write_text("\n".join(CURVES.splitlines()[:6] + CURVES.splitlines()[7:]))
    with pytest.raises(InputError, match="run rl/a: no start; add its row at exaflops 0"):
        read_points(path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("score", 132.0, "row 3 .line 4, run r.: score is 132.0; give points from 0 to 100"),
        ("score", "n/a", "row 3 .*score is 'n/a'"),
        ("score", np.nan, "row 3 .*score"),
        ("exaflops", -1.0, "row 3 .*exaflops is -1.0"),
        ("exaflops", np.inf, "row 3 .*exaflops"),
        ("exaflops", 1.0, "row 3 .*has a point there already"),
        ("p_start", 20.0, "row 3 .*p_start is 20.0; its run began with another"),
        ("p_start", "high", "row 3 .*p_start is 'high'; give points"),
        ("run", None, "row 3 .*name the run"),
    ],
)
def test_bad_row_is_named(column, value, message):
    points = curve(n=5, x_max=5.0).astype(object)
    points.loc[2, column] = value
    with pytest.raises(InputError, match=message):
        check_points(points)


def test_bad_tables_are_named(tmp_path):
    with pytest.raises(InputError, match="no column score"):
        check_points(curve().drop(columns="score"))
    with pytest.raises(InputError, match="run r: no start"):
        check_points(curve().drop(columns="p_start"))
    anchor = pd.DataFrame({"run": ["r"], "exaflops": [0.0], "score": [50.0], "p_start": [P_START]})
    with pytest.raises(InputError, match="make them agree"):
        check_points(pd.concat([anchor, curve()]))
    with pytest.raises(InputError, match=r"row 2 .*run is 'q'; the points have r"):
        fit_curves(curve(), pd.DataFrame({"run": ["r", "q"], "exaflops": [1, 2]}))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="not a csv table"):
        read_points(tmp_path / "empty.csv")
