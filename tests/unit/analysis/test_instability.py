import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.analysis.instability import instability, ratio, roughness, wilson
from switchpoint.errors import InputError


def tables(scores: dict, statuses: dict | None = None) -> tuple[dict, pd.DataFrame]:
    points = {
        run: pd.DataFrame({"exaflops": np.arange(1.0, len(score) + 1), "score": score})
        for run, score in scores.items()
        if len(score)
    }
    runs = [
        {"run": run, "algorithm": "grpo", "start": run.rsplit("/", 1)[0],
         "status": (statuses or {}).get(run, "finished")}
        for run in scores
    ]  # fmt: skip
    return points, pd.DataFrame(runs)


def noisy(sd: float, n: int, seed: int) -> np.ndarray:
    return 50 + np.random.default_rng(seed).normal(0, sd, n)


def test_sd_of_equally_spaced_scores_by_hand():
    # Second differences over 2: 0 - 6/2 = -3, 6, -3; their mean square 18 over 1.5 is 12.
    found = roughness(np.arange(5.0), np.array([0.0, 0, 6, 0, 0]))
    assert found["sd"] == pytest.approx(math.sqrt(12))
    # Unit rows overlap by -2/3 and 1/6: tr = 3 + 4 * 4/9 + 2 / 36.
    assert found["degrees"] == pytest.approx(9 / (3 + 16 / 9 + 1 / 18))


def test_sd_of_unequally_spaced_scores_by_hand():
    x, score = np.array([0.0, 3, 4, 5, 6]), np.array([0.0, 3, 0, 0, 0])
    # 3 - (0/4 + 3 * 0/4) over 1 + 1/16 + 9/16; -3/2 over 1.5; 0.
    assert roughness(x, score)["sd"] ** 2 == pytest.approx((9 / (1 + 10 / 16) + 2.25 / 1.5 + 0) / 3)


@given(
    st.lists(st.floats(0.01, 9), min_size=5, max_size=30),
    st.floats(-5, 5),
    st.floats(0.01, 100),
    st.integers(0, 99),
)
def test_a_trend_adds_nothing_and_units_of_compute_do_not_matter(steps, slope, unit, seed):
    x = np.cumsum(steps)
    score = noisy(2, len(x), seed)
    plain = roughness(x, score)
    other = roughness(unit * x, score + slope * x - 7)
    assert other["sd"] == pytest.approx(plain["sd"], abs=1e-6)
    assert other["degrees"] == pytest.approx(plain["degrees"])
    assert plain["ci95"][0] < plain["sd"] < plain["ci95"][1]


def test_variance_is_unbiased_on_a_saturating_curve():
    x = np.linspace(1, 40, 40)
    curve = 30 + 40 / (1 + (x / 5) ** -1.5)
    variances = [roughness(x, curve + noisy(2, 40, seed))["sd"] ** 2 for seed in range(400)]
    assert np.mean(variances) == pytest.approx(4, abs=0.25)  # standard error .06, bend of the curve .01


@pytest.mark.parametrize(("n", "m"), [(8, 8), (12, 40), (30, 30)])
def test_intervals_cover(n, m):
    rng, trials = np.random.default_rng(1), 500
    sds, ratios = 0, 0
    for trial in range(trials):
        x = np.sort(rng.uniform(0, 1, n))
        found = roughness(x, 20 * x + noisy(3, n, 2 * trial))
        low, high = ratio(found, roughness(np.arange(m), noisy(1, m, 2 * trial + 1)))["ratio_ci95"]
        sds += found["ci95"][0] <= 3 <= found["ci95"][1]
        ratios += low <= 3 <= high
    for hits in (sds, ratios):
        assert 0.925 <= hits / trials <= 0.985  # 95 to 96 %, and two to three standard errors


def test_ratio_to_the_reference():
    scores = {"s/0": 50 + 10 * (noisy(1, 30, 0) - 50), "s/1": noisy(1, 30, 0), "s/2": noisy(1, 30, 1)}
    found = instability(*tables(scores), "s/1")
    rough = found["runs"]["s/0"]
    assert rough["ratio"] == pytest.approx(10)
    assert rough["ratio_ci95"][0] > 1
    assert rough["ratio_ci95"][0] * rough["ratio_ci95"][1] == pytest.approx(100)  # equal degrees of freedom
    assert found["runs"]["s/1"]["ratio"] is None
    assert found["runs"]["s/1"]["reason"] == "the reference itself"
    assert len(found["words"]) == 1
    assert found["words"][0].startswith(
        "s/0 is less stable than s/1: its scores vary 10.00 times as much (95 %"
    )
    calm = instability(*tables(scores), "s/0")["words"]
    assert calm[0].startswith("s/1 is more stable than s/0")
    json.dumps(found, allow_nan=False)


def test_no_reference_no_ratios():
    found = instability(*tables({"s/0": noisy(1, 9, 0)}))
    assert found["reference"] is None
    assert found["runs"]["s/0"]["ratio"] is None
    assert found["words"] == []


def test_few_points_say_so():
    found = instability(*tables({"s/0": noisy(1, 9, 0), "s/1": np.arange(4.0), "s/2": np.empty(0)}), "s/0")
    assert found["runs"]["s/1"]["reason"] == "4 points, fewer than 5"
    assert found["runs"]["s/2"]["reason"] == "0 points, fewer than 5"
    assert found["runs"]["s/1"]["sd"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("x", "reference x: no RL run of this name; there are s/0, s/1, s/2"),
        ("s/1", "reference s/1: 4 points, fewer than 5; take another run"),
        ("s/2", "reference s/2: its scores do not vary; take another run"),
    ],
)
def test_a_reference_that_cannot_be_one(reference, message):
    scores = {"s/0": noisy(1, 9, 0), "s/1": np.arange(4.0), "s/2": np.full(9, 50.0)}
    with pytest.raises(InputError) as caught:
        instability(*tables(scores), reference)
    assert str(caught.value) == message


def test_diverged_seeds_count_with_points_or_without():
    scores = {"s/0": noisy(1, 9, 0), "s/1": np.empty(0), "s/2": noisy(1, 9, 2), "t/0": noisy(1, 9, 3)}
    found = instability(*tables(scores, {"s/1": "diverged", "s/2": "exhausted"}))
    group, other = found["groups"]
    assert (group["start"], group["diverged"], group["seeds"], group["share"]) == (
        "s",
        1,
        3,
        pytest.approx(1 / 3),
    )
    assert (other["start"], other["diverged"], other["ci95"][0]) == ("t", 0, 0)
    assert found["words"] == ["1 of 3 seeds of grpo from s diverged (95 % 6 to 79 %)."]


def test_wilson():
    assert wilson(1, 10) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert wilson(0, 1) == pytest.approx((0, 0.7935), abs=1e-4)
    assert wilson(5, 5)[1] == 1


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_holds_the_share_and_mirrors(k, n):
    k = min(k, n)
    low, high = wilson(k, n)
    assert -1e-12 <= low <= k / n + 1e-12
    assert k / n - 1e-12 <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))
