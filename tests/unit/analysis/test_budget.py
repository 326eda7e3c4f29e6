import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.analysis import budget

POINTS = pd.DataFrame({"exaflops": [1.0, 2.0, 3.0, 4.0], "score": [60.0, 70.0, 66.0, 50.0]})


def fit(gain=1.0, ci95=(0.8, 1.2), **more) -> dict:
    gains = [
        {"times": times, "exaflops": 4 * (times - 1), "gain": gain * (times - 1),
         "ci95": [end and end * (times - 1) for end in ci95]}
        for times in (1.25, 1.5, 2.0, 4.0)
    ]  # fmt: skip
    return {"status": "identified", "gains": gains, "x_last": 4.0} | more


def line(*points, half=1.0, x_last=None) -> dict:
    x, score = np.array(points, dtype=float).T
    return {"x": x, "score": score, "low": score - half, "high": score + half, "x_last": x_last or x[-1]}


@pytest.mark.parametrize(
    ("gain", "ci95", "verdict"),
    [
        (0.2, (-0.1, 0.49), "stop"),
        (0.2, (-0.1, 0.5), "unclear"),
        (1.0, (0.5, 2.0), "unclear"),
        (1.0, (0.51, 2.0), "continue"),
        (1.0, (None, 2.0), "unclear"),
        (-3.0, (-5.0, -1.0), "stop"),
    ],
)
def test_verdict_by_the_interval_of_a_doubling(gain, ci95, verdict):
    found = budget.continue_or_stop("r", fit(gain, ci95), POINTS)
    assert found["verdict"] == verdict
    json.dumps(found, allow_nan=False)


def test_gain_per_exaflop_of_the_next_quarter_and_of_a_doubling():
    found = budget.continue_or_stop("r", fit(), POINTS)
    assert [gain["times"] for gain in found["gains"]] == [1.25, 2.0]
    assert [gain["per_exaflop"] for gain in found["gains"]] == [0.25, 0.25]
    assert found["gains"][1]["per_exaflop_ci95"] == [0.2, 0.3]
    assert found["words"] == (
        "continue r: twice the RL compute (4 exaFLOPs more) gains +1.0 points (95 % +0.8 to +1.2), "
        "0.25 per exaFLOP."
    )


def test_what_settles_an_unclear_run():
    # Half an interval of 0.4 has to halve to leave 0.5 out: four times the four points, so 12 more; too many.
    words = budget.continue_or_stop("r", fit(0.7, (0.3, 1.1)), POINTS)["words"]
    assert words.endswith("to settle it: a quarter more compute (1 exaFLOPs) and a new fit.")
    # 0.3 has to fall to 0.2: 2.25 times the points.
    words = budget.continue_or_stop("r", fit(0.7, (0.4, 1.0)), POINTS)["words"]
    assert "to settle it: about 5 more evaluations, or" in words
    words = budget.continue_or_stop("r", fit(0.5, (0.4, 1.0)), POINTS)["words"]
    assert "more evaluations" not in words  # no number of them settles a gain at the threshold


def test_too_few_points_are_unclear():
    for entry in ({}, {"gains": None}, {"gains": []}, fit(1.0, (None, None)), fit(0.0, (0.0, None))):
        found = budget.continue_or_stop("r", entry, POINTS[:2])
        assert (found["verdict"], found["gains"]) == ("unclear", [])
        assert found["words"] == "r: its 2 points give no interval of what more RL gains."


def test_collapsed_and_diverged_go_back_to_the_peak():
    collapsed = budget.continue_or_stop("r", fit(status="collapsed"), POINTS)
    diverged = budget.continue_or_stop("r", fit(), POINTS, "diverged")
    for found in (collapsed, diverged):
        assert found["verdict"] == "collapsed"
        assert found["back_to"] == {"exaflops": 2.0, "score": 66.0}
    assert collapsed["words"] == ("r collapsed: go back to the checkpoint of its peak, 66.0 at 2 exaFLOPs.")
    assert diverged["words"].startswith("r diverged: go back")
    assert budget.continue_or_stop("r", fit(), POINTS)["back_to"] is None


def test_caveats():
    worse = budget.continue_or_stop("r", fit(heldout_rmse=1.2, heldout_rmse_naive=0.8), POINTS)
    assert worse["words"].endswith(
        "; but the fit forecast the last points worse than a constant (error 1.20 against 0.80 points)."
    )
    assert not budget.continue_or_stop("r", fit(heldout_rmse=0.8, heldout_rmse_naive=0.8), POINTS)["caveats"]
    assert not budget.continue_or_stop("r", fit(heldout_rmse=1.2), POINTS)["caveats"]
    spent = budget.continue_or_stop("r", fit(), POINTS, "exhausted")
    assert spent["verdict"] == "continue"
    assert "more RL needs other prompts" in spent["caveats"][0]


@pytest.mark.parametrize(
    ("score", "peak"),
    [([5.0], (1, 5)), ([5.0, 7.0], (2, 7)), ([5.0, 99.0, 6.0], (2, 6)), ([1, 4, 5, 9, 2, 3.0], (3, 5))],
)
def test_smoothed_peak_ignores_one_lucky_score(score, peak):
    assert budget.smoothed_peak(np.arange(1.0, len(score) + 1), np.array(score)) == peak


def test_curve_of_a_fit():
    rows = [{"exaflops": x, "score": 50.0 + x, "ci95": [49.0 + x, 52.0 + x]} for x in (0, 4, 16)]
    curve = budget.curve_of(fit(curve=rows))
    assert curve["x_last"] == 4
    assert curve["low"].tolist() == [49, 53, 65]
    # 10 exaFLOPs were spent, the last of them after the collapse; what was fitted ends at 4.
    assert budget.curve_of(fit(curve=rows, x_last=10.0, status="collapsed"))["x_last"] == 4
    blind = [row | {"ci95": [None, None]} for row in rows]
    for nothing in ({}, fit(curve=None), fit(curve=[]), fit(curve=blind), fit(curve=rows, x_last=None)):
        assert budget.curve_of(nothing) is None


def test_pool_of_seeds():
    pooled = budget.pool_curves(
        [line((0, 60), (4, 70)), line((0, 60), (2, 69), x_last=1.0)], 8**0.5, 2.0, offset=10
    )
    assert pooled["x"].tolist() == [10, 12]
    assert pooled["score"].tolist() == [60, 67]
    assert pooled["high"].tolist() == pytest.approx(
        [60 + 1.96 * 2, 67 + 1.96 * 2], abs=0.001
    )  # more than their own
    assumed = budget.pool_curves([line((0, 60), (4, 70))], 1.0, math.inf)
    assert assumed["high"][0] - 60 == pytest.approx(np.hypot(1, 1.96), abs=0.001)
    assert pooled["x_last"] == 11


def test_compute_to_reach():
    curve = line((0, 50), (10, 60), (20, 62), (40, 63), x_last=20)
    assert budget.compute_to_reach(curve, 60) == {
        "exaflops": 10, "ci95": [9, 15], "extrapolated": False,
    }  # fmt: skip
    assert budget.compute_to_reach(curve, 62.5) == {
        "exaflops": 30, "ci95": [17.5, None], "extrapolated": True,
    }  # fmt: skip
    assert budget.compute_to_reach(curve, 64)["exaflops"] is None
    assert budget.compute_to_reach(curve, 64) == {"exaflops": None, "ci95": [40, None], "extrapolated": None}
    assert budget.compute_to_reach(curve, 65)["ci95"] == [None, None]
    assert budget.compute_to_reach(curve, 40) == {"exaflops": 0, "ci95": [0, 0], "extrapolated": False}


@given(st.floats(40, 70))
def test_reaching_is_the_inverse_of_the_curve(score):
    curve = line((0, 50), (3, 58), (10, 60), (40, 63), half=0.7)
    reached = budget.compute_to_reach(curve, score)
    early, late = reached["ci95"]
    if reached["exaflops"] is not None:
        assert budget.value_at(curve, reached["exaflops"])["score"] >= score - 1e-9
        assert early <= reached["exaflops"]
        assert late is None or late >= reached["exaflops"]
    else:
        assert score > 63
        assert late is None


def test_crossover():
    first, second = line((0, 50), (10, 60), half=0.6), line((0, 54), (10, 56), half=0.8)
    (crossing,) = budget.crossovers(first, second)  # the difference is .8 x - 4, its half width 1
    assert crossing["exaflops"] == pytest.approx(5)
    low, high = crossing["ci95"]
    step = 10 / budget.SUBDIVISIONS
    assert 3.75 - step <= low <= 3.75
    assert 6.25 <= high <= 6.25 + step
    assert (crossing["leads"], crossing["extrapolated"]) == (1, False)
    (mirrored,) = budget.crossovers(second, first)
    assert mirrored == crossing | {"leads": 2}


def test_crossover_ends_are_open_where_the_bands_never_part():
    first, second = line((0, 50), (10, 60), half=9), line((0, 54), (10, 56), half=9)
    assert budget.crossovers(first, second)[0]["ci95"] == [None, None]


def test_no_crossover_in_range():
    rising = line((0, 50), (10, 60))
    assert budget.crossovers(rising, line((0, 49), (10, 59))) == []
    assert budget.crossovers(rising, rising) == []
    assert budget.crossovers(rising, line((11, 70), (20, 40))) == []  # no compute in common
    assert budget.crossovers(rising, line((10, 70), (20, 40))) == []  # one point in common


def test_two_crossovers_and_one_beyond_the_data():
    bent = line((0, 50), (5, 60), (10, 50), half=0.1, x_last=6)
    found = budget.crossovers(bent, line((0, 54), (10, 54), half=0.1))
    assert [(round(one["exaflops"], 6), one["leads"], one["extrapolated"]) for one in found] == [
        (2, 1, False), (8, 2, True),
    ]  # fmt: skip


def test_touching_is_no_crossover():
    assert budget.crossovers(line((0, 50), (5, 54), (10, 50)), line((0, 54), (10, 54))) == []


@given(st.floats(0.1, 9.9), st.floats(0.2, 5), st.floats(0.01, 3))
def test_a_crossover_lies_in_its_interval(at, slope, half):
    first = line((0, 50 - slope * at), (10, 50 + slope * (10 - at)), half=half)
    (crossing,) = budget.crossovers(first, line((0, 50), (10, 50), half=half))
    low, high = crossing["ci95"]
    assert crossing["exaflops"] == pytest.approx(at)
    # The band of the difference is sqrt(2) half widths wide.
    assert low is None or low < at - math.sqrt(2) * half / slope
    assert high is None or high > at + math.sqrt(2) * half / slope


STARTS = [{"start": "e-1", "set": "e"}, {"start": "e-2", "set": "e"}, {"start": "h-1", "set": "h"}]
CURVES = {
    "e-1": line((0, 60), (10, 70), (40, 75), x_last=10),
    "e-2": line((0, 62), (20, 72), (80, 76), x_last=20),
    "h-1": line((0, 70), (20, 80), (80, 90), half=1.5, x_last=20),
}


def test_sets_at_equal_compute():
    found = budget.equal_compute(STARTS, CURVES, CURVES)["rl"]
    assert [row["exaflops"] for row in found] == [10, 20]
    first, last = found
    assert first["leader"] == "h"
    assert first["significant"] is True
    assert first["scores"] == [
        {"group": "h", "start": "h-1", "score": 75, "ci95": [73.5, 76.5], "extrapolated": False,
         "ends": 20, "n_starts": 1},
        {"group": "e", "start": "e-1", "score": 70, "ci95": [69, 71], "extrapolated": False, "ends": 10,
         "n_starts": 2},
    ]  # fmt: skip
    assert first["words"] == "At 10 exaFLOPs: h 75.0, e 70.0; h leads, significant."
    # At 20 exaFLOPs e-1 (71.7) is extrapolated and gives way to e-2, which is measured.
    assert [(score["start"], score["n_starts"]) for score in last["scores"]] == [("h-1", 1), ("e-2", 1)]


def test_an_extrapolated_score_is_marked_and_does_not_lead():
    curves = CURVES | {"p": line((0, 60), (5, 80), (30, 95), x_last=5)}
    found = budget.equal_compute([*STARTS, {"start": "p", "set": "p"}], curves, {})
    assert found["total"] == []
    assert [row["exaflops"] for row in found["rl"]] == [5, 10, 20]
    assert (found["rl"][0]["leader"], found["rl"][0]["n_measured"]) == ("p", 3)
    last = found["rl"][2]
    assert (last["scores"][0]["group"], last["scores"][0]["extrapolated"], last["leader"]) == ("p", True, "h")
    assert "p 89.0 (extrapolated), h 80.0, e 72.0; h leads of those measured, significant." in last["words"]
    json.dumps(found, allow_nan=False)


def test_leads_within_the_error_are_not_significant():
    curves = CURVES | {"h-1": line((0, 61), (20, 71.5), (80, 74), x_last=20)}
    row = budget.equal_compute(STARTS, curves, curves)["rl"][-1]
    assert (row["significant"], row["exaflops"]) == (False, 20)
    assert row["words"].endswith("e 72.0, h 71.5; e leads of those measured, not significant against h.")


def test_one_set_compares_its_starts():
    found = budget.equal_compute(STARTS[:2], {name: CURVES[name] for name in ("e-1", "e-2")}, {})
    assert [score["group"] for score in found["rl"][0]["scores"]] == ["e-1", "e-2"]
    assert budget.equal_compute(STARTS[:1], {"e-1": CURVES["e-1"]}, {}) == {"rl": [], "total": []}
    assert budget.equal_compute([], {}, {}) == {"rl": [], "total": []}


def test_a_start_is_not_compared_before_its_sft_is_paid():
    late = budget.pool_curves([CURVES["h-1"]], 0.0, math.inf, offset=30)  # 30 to 110 exaFLOPs, data to 50
    early = budget.pool_curves([line((0, 60), (40, 70), (60, 70))], 0.0, math.inf)
    found = budget.equal_compute(STARTS[1:], {}, {"e-2": early, "h-1": late})["total"]
    assert [row["exaflops"] for row in found] == [50, 60]
    for row in found:  # at 60 the data of h-1 have ended: it has its best so far
        assert [score["score"] for score in row["scores"]] == [80, 70]
        assert not any(score["extrapolated"] for score in row["scores"])


def test_budgets_close_together_are_one():
    curves = {
        f"s{i}": line((0, 60), (100, 70 + i), x_last=end) for i, end in enumerate((10, 49, 50, 55, 60, 61))
    }
    starts = [{"start": name, "set": name} for name in curves]
    assert [row["exaflops"] for row in budget.equal_compute(starts, curves, {})["rl"]] == [10, 50, 60]


def test_at_equal_total_compute_all_have_their_best_so_far():
    """RL that only lowers the scores loses no start what it had."""
    falling = {"e-1": line((1, 52), (21, 44)), "h-1": line((1, 50), (11, 40))}
    starts = [{"start": name, "set": name[0]} for name in falling]
    found = budget.equal_compute(starts, {}, falling)["total"]
    assert [[score["score"] for score in row["scores"]] for row in found] == [[52, 50], [52, 50]]
