import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scored_starts import study
from typer.testing import CliRunner

from switchpoint.analysis.advice import advise, crossing_of
from switchpoint.analysis.documents import read_document
from switchpoint.analysis.starts import RUN_COLUMNS
from switchpoint.cli.commands import app
from switchpoint.errors import InputError

PHASES = {
    "runs": {f"sft/a/seed_{s}": {"guarded": {"10": "adaptive", "20": "stable", "30": "mild", "90": "severe"}}
             for s in (0, 1)}
}  # fmt: skip


def run(*arguments, fits: dict | None = None, **options) -> dict:
    advice = advise(*study(*arguments, **options), {"runs": fits or {}}, PHASES)
    json.dumps(advice, allow_nan=False)
    return advice


def test_cheapest_of_the_tied_starts():
    advice = run({10: [60], 20: [69.5], 30: [70]}, se=0.2)
    assert advice["verdict"] == "start_here"
    assert (advice["best"], advice["recommended"]) == ("a-30", "a-20")
    assert advice["tied"] == ["a-30", "a-20"]
    assert "a-20 is the cheapest of these: 6 exaFLOPs (2 SFT, 4 RL)." in advice["reasons"]
    assert "a-20 lies at most 2.9 points below the best (95 % bound)." in advice["reasons"]
    assert any(reason.startswith("a-20 (stable phase): final score 69.5") for reason in advice["reasons"])


@pytest.mark.parametrize(("gap", "tied"), [(2.59, 2), (2.61, 1)])
def test_two_starts_tie_within_one_sided_5_percent(gap, tied):
    assert len(run({20: [70 - gap], 30: [70]})["tied"]) == tied  # 1.645 * sqrt(2 * (.5² + 1²)) = 2.601


def test_more_starts_need_a_larger_gap():
    scores = {20: [70 - 2.7], 30: [70]}
    assert run(scores)["tied"] == ["a-30"]
    rivals = {step: [66] for step in (40, 50, 60)}
    assert run(scores | rivals)["tied"] == ["a-30", "a-20"]  # 2.16 * sqrt(2.5) = 3.41 of five


def test_final_score_is_the_last_point_not_the_best():
    assert [start["final"] for start in run({20: [60], 30: [70]})["candidates"]] == [70, 60]


def test_seeds_are_pooled():
    advice = run({20: [60, 64], 30: [70, 70]})
    low = advice["candidates"][1]
    assert low["final"] == 62
    assert len(low["runs"]) == 2
    # The seeds of both starts: squares of 8 and 0 on one degree of freedom each, and 1 point on another one.
    spread = ((8 + 0 + 1) / 3) ** 0.5
    for start in advice["candidates"]:
        assert start["final_sd"] == pytest.approx(spread)
        assert start["final_dof"] == 3
        assert start["final_se"] == pytest.approx(spread / 2**0.5)
        half = stats.t.ppf(0.975, 3) * spread / 2**0.5
        assert start["estimate_ci95"] == pytest.approx([start["final"] - half, start["final"] + half])
    large = run({20: [60, 64], 30: [70, 70]}, se=3.0)["candidates"][0]
    assert large["final_se"] == pytest.approx(3.0)  # shared problems: not averaged out


def test_the_spread_of_one_seed_is_assumed():
    one, mixed = run({20: [60], 30: [70]}), run({20: [60], 30: [70, 72, 74]})
    assert [one["candidates"][0][f"final_{key}"] for key in ("sd", "dof")] == [1.0, None]
    assert one["candidates"][0]["final_se"] == pytest.approx((0.5**2 + 1) ** 0.5)
    assert "one seed, and another would give a score that differs by 1.0 points" in one["summary"]["sure"]
    three, single = mixed["candidates"]
    assert single["final_se"] == pytest.approx(3**0.5)  # (8 + 1) / (2 + 1)
    assert three["final_se"] == pytest.approx(1.0)
    assert "on 3 degrees of freedom), and a-20 has one" in mixed["summary"]["sure"]


def test_two_names_of_one_start_are_one_run():
    curves, runs = study({20: [60], 30: [70]})
    again = "rl/grpo/a-min_val_loss/seed_0"
    same = curves[curves["run"] == "rl/grpo/a-20/seed_0"].assign(run=again)
    row = runs[runs["run"] == "rl/grpo/a-20/seed_0"].assign(run=again)
    advice = advise(pd.concat([curves, same]), pd.concat([runs, row]), {"runs": {}}, PHASES)
    assert [len(start["runs"]) for start in advice["candidates"]] == [1, 1]


def ceiling(a: float, half: float = 1.96, **more) -> dict:
    return {"a": a, "a_ci95": [a - half, a + half], "status": "identified"} | more


UNIDENTIFIED = {"a": None, "a_ci95": [70.0, None], "status": "unidentified"}


def test_ceilings_are_compared_when_all_are_identified():
    fits = {"rl/grpo/a-20/seed_0": ceiling(76), "rl/grpo/a-30/seed_0": ceiling(72)}
    advice = run({20: [60], 30: [70]}, fits=fits)
    assert (advice["basis"], advice["recommended"], advice["tied"]) == ("ceiling", "a-20", ["a-20"])
    assert [start["estimate"] for start in advice["candidates"]] == [76, 72]
    assert advice["candidates"][0]["estimate_own"] == pytest.approx(1.0, abs=1e-4)


def test_no_ceiling_is_compared_with_a_last_score():
    fits = {"rl/grpo/a-20/seed_0": ceiling(75), "rl/grpo/a-30/seed_0": UNIDENTIFIED}
    advice = run({20: [60], 30: [70]}, fits=fits)
    assert (advice["basis"], advice["recommended"]) == ("final score", "a-30")
    assert [start["estimate"] for start in advice["candidates"]] == [70, 60]
    assert any(
        reason.startswith(
            "The ceiling of a-30 is unidentified, so all starts are compared on their final score"
        )
        for reason in advice["reasons"]
    )


def test_a_collapsed_run_is_judged_by_its_peak_and_so_are_all():
    fits = {"rl/grpo/a-20/seed_0": UNIDENTIFIED | {"status": "collapsed"}}
    curves, runs = study({20: [60], 30: [70]})
    more = [
        curves[curves["run"].str.contains("a-[23]0")].assign(exaflops=x, score=y)
        for x, y in ((1, 80), (3, 75))
    ]
    curves = pd.concat([curves, *more]).drop_duplicates(["run", "exaflops", "benchmark"])
    advice = advise(curves, runs, {"runs": fits}, PHASES)
    assert advice["basis"] == "smoothed peak"
    # 80, 99, 75 and the last: the middle of the first three is 80 for both.
    assert [start["estimate"] for start in advice["candidates"]] == [80, 80]
    assert advice["candidates"][0]["estimate_own"] == 0.5
    assert advice["recommended"] == "a-20"


def test_insufficient_data():
    one = run({20: [60]})
    assert one["verdict"] == "insufficient_data"
    assert "at least 2 SFT checkpoints" in one["needed"]
    blind = run({20: [60], 30: [70]}, se=None)
    assert blind["verdict"] == "insufficient_data"
    assert "for a-30, a-20" in blind["needed"]
    for advice in (one, blind):
        assert advice["recommended"] is None
        assert advice["best"] is None
        assert advice["tied"] == []
        assert advice["headline"] == "Insufficient data."
    assert run({}, base=60.0)["candidates"] == []


def test_the_scatter_of_a_fit_stands_in_for_errors_and_is_said():
    fits = {f"rl/grpo/a-{step}/seed_0": {"noise_sd": 0.5} for step in (20, 30)}
    advice = run({20: [60], 30: [70]}, se=None, fits=fits)
    assert advice["recommended"] == "a-30"
    assert any("judged by the scatter around their fitted curve" in reason for reason in advice["reasons"])


def test_noise_is_insufficient_and_what_settles_it_is_said():
    advice = run({20: [69], 30: [70]}, se=2.0)
    # The gap may be 1 + 1.645 * 3.16 = 6.2; 2 points, to be significant or bounded, take an error of 1.22.
    assert advice["verdict"] == "insufficient_data"
    assert advice["tied"] == ["a-30", "a-20"]
    assert (advice["recommended"], advice["best"]) == (None, None)
    assert advice["max_loss"] == pytest.approx(1 + 1.6449 * 10**0.5, abs=1e-2)
    assert advice["needed"] == (
        "a-20, the cheapest that is not excluded, may lie 6.2 points below a-30; the standard error of "
        "their difference, now 3.16, has to fall to 1.22 points: about 3 seeds per start (now 1) and evaluations of 10.8 times "
        "the size, or RL twice as long to identify the ceilings (a-20 to 8 exaFLOPs, a-30 to 8 exaFLOPs)"
    )


def test_what_settles_it_in_problems_seeds_or_evaluations():
    curves, runs = study({20: [69], 30: [70]}, se=2.0)
    needed = advise(curves.assign(n=300), runs, {"runs": {}}, PHASES)["needed"]
    assert "evaluations of about 3247 problems (now 300)" in needed
    assert "points: about 5 seeds per start (now 1), or RL" in run({20: [69], 30: [70]}, se=0.7)["needed"]
    assert "about 9 seeds per start (now 2)" in run({20: [67, 71], 30: [70, 70]})["needed"]
    wide = {f"rl/grpo/a-{step}/seed_0": ceiling(70, 4) for step in (20, 30)}
    assert run({20: [69], 30: [70]}, fits=wide)["needed"].endswith(
        "points: about 2 seeds per start (now 1) and about 11 evaluations per RL run (now 2)"
    )


def test_a_bounded_difference_decides():
    advice = run({20: [69.9], 30: [70]})
    assert (advice["recommended"], len(advice["tied"])) == ("a-20", 2)
    assert advice["max_loss"] == pytest.approx(0.1 + 1.6449 * 2.5**0.5, abs=1e-2)


def test_pure_rl_needs_no_start_step():
    curves, runs = study({20: [60], 30: [70]}, base=50.0)
    runs.loc[runs["parent"] == "base", ["start_step", "sft_exaflops"]] = None
    assert advise(curves, runs, {"runs": {}}, PHASES)["comparison"]["difference"] == 20


def test_comparison_with_pure_rl():
    comparison = run({20: [60], 30: [70]}, base=50.0)["comparison"]
    assert (comparison["difference"], comparison["significant"]) == (20, True)
    assert comparison["se"] == pytest.approx(2.5**0.5)
    assert run({20: [60], 30: [70]}, base=70.5)["comparison"]["significant"] is False
    assert run({20: [60], 30: [70]})["comparison"] is None


def test_comparison_with_pure_rl_allows_for_the_pick():
    assert run({30: [70]}, base=66.8)["comparison"]["significant"] is True  # 1.96 * sqrt(2.5) = 3.10
    many = {step: [70] for step in (30, 40, 50)}
    assert run(many, base=66.8)["comparison"]["significant"] is False


def test_diagnoses():
    fits = {"rl/grpo/a-30/seed_0": {"a": None, "a_ci95": [None, None], "status": "collapsed"}}
    found = run({10: [60], 20: [70], 30: [65], 90: [50]}, fits=fits)["diagnoses"]
    assert [(diagnosis["name"], diagnosis["start"]) for diagnosis in found] == [
        ("collapsed_tail", "a-30"),
    ]  # on the peaks, 99 in every run, the first and the last are no worse
    found = run({10: [60], 20: [70], 30: [65], 90: [50]})["diagnoses"]
    assert [(diagnosis["name"], diagnosis["start"]) for diagnosis in found] == [
        ("premature_saturation", "a-10"), ("plasticity_collapse", "a-90"),
    ]  # fmt: skip
    assert found[0]["evidence"] == "a-10 (adaptive) reaches 60.0, 10.0 points (se 1.6) below a-20 (stable)"
    assert run({10: [69], 20: [70], 90: [69.5]})["diagnoses"] == []


def test_no_phase_is_blamed_for_its_set():
    curves, runs = study({10: [60], 20: [70]})
    other = runs["run"].str.contains("a-20")
    runs.loc[other, "set"] = "b"
    assert advise(curves, runs, {"runs": {}}, PHASES)["diagnoses"] == []


def test_exhausted_and_diverged_runs_are_diagnosed():
    curves, runs = study({20: [60], 30: [70]}, base=50)
    runs.loc[[0, 2], "status"] = ["exhausted", "diverged"]
    found = {
        diagnosis["name"]: diagnosis for diagnosis in advise(curves, runs, {"runs": {}}, PHASES)["diagnoses"]
    }
    assert found["exhausted"]["evidence"] == (
        "rl/grpo/a-20/seed_0 ran out of prompts with both right and wrong answers, at 60.0 at 4 exaFLOPs"
    )
    assert found["diverged"]["start"] == "base (grpo)"


def test_the_algorithm_with_most_starts():
    tables = [study({20: [60], 30: [70]}), study({10: [60], 20: [61], 30: [62]}, algorithm="dapo")]
    curves, runs = (pd.concat(parts).drop_duplicates() for parts in zip(*tables, strict=True))
    advice = advise(curves, runs, {"runs": {}}, PHASES)
    assert advice["algorithm"] == "dapo"
    assert sorted(start["start"] for start in advice["candidates"]) == ["a-10", "a-20", "a-30"]


def test_order_of_rows_does_not_matter():
    curves, runs = study({10: [60, 61], 20: [69.5, 70], 30: [70, 70]}, base=50.0)
    shuffled = curves.sample(frac=1, random_state=0), runs.sample(frac=1, random_state=0)
    assert advise(*shuffled, {"runs": {}}, PHASES) == advise(curves, runs, {"runs": {}}, PHASES)


def test_unfinished_runs_and_unequal_budgets_are_said():
    curves, runs = study({20: [60], 30: [70]})
    runs.loc[0, "status"] = "failed"
    curves.loc[(curves["run"] == "rl/grpo/a-30/seed_0") & (curves["exaflops"] == 4), "exaflops"] = 8.0
    advice = advise(curves, runs, {"runs": {}}, PHASES)
    assert "rl/grpo/a-20/seed_0 (failed) has not finished." in advice["reasons"]
    assert (
        "RL budgets differ, 4 to 8 exaFLOPs: compared at 4 exaFLOPs, which all reach; final scores at other budgets "
        "are no evidence." in advice["reasons"]
    )
    # Of a-30 the evaluation nearest to 4 is that at 2; a final score of 70 at 8 is shown, and no more.
    assert advice["basis"] == "score at equal RL compute"
    assert [(start["estimate"], start["final"]) for start in advice["candidates"]] == [(99, 70), (60, 60)]
    fits = {"rl/grpo/a-30/seed_0": curve(50, 66) | {"x_last": 8.0}}
    advice = advise(curves, runs, {"runs": fits}, PHASES)
    assert [start["estimate"] for start in advice["candidates"]] == [60, 58]  # the curve at 4


def test_bad_tables_are_named():
    curves, runs = study({20: [60], 30: [70]})
    with pytest.raises(InputError, match="runs: no column parent"):
        advise(curves, runs.drop(columns="parent"), {"runs": {}}, PHASES)
    with pytest.raises(
        InputError, match=r"curves: no column score; it needs run, exaflops, score and has run"
    ):
        advise(curves.drop(columns="score"), runs, {"runs": {}}, PHASES)
    with pytest.raises(InputError, match="score is nan"):
        advise(curves.assign(score=float("nan")), runs, {"runs": {}}, PHASES)
    runs.loc[1, "start_step"] = None
    with pytest.raises(InputError, match=r"row 2 .*start_step is nan"):
        advise(curves, runs, {"runs": {}}, PHASES)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (1, "start_step", None, r"row 2 \(line 3, run rl/grpo/a-30/seed_0\): start_step is None"),
        (1, "seed", None, r"row 2 .*seed is None; number the runs of a start"),
        (0, "set", None, r"row 1 .*set is None; name the SFT set"),
        (0, "parent", None, r"row 1 .*parent is None; name the SFT run, or base"),
        (1, "run", "rl/grpo/a-20/seed_0", r"row 2 .*it has a row already; keep one"),
    ],
)
def test_bad_rows_of_runs_are_named(row, column, value, message):
    curves, runs = study({20: [60], 30: [70]})
    curves = curves[curves["run"] == runs.loc[0, "run"]]
    runs[column] = runs[column].astype(object)
    runs.loc[row, column] = value
    with pytest.raises(InputError, match=message):
        advise(curves, runs, {"runs": {}}, PHASES)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("exaflops", -1.0, "row 1 .*exaflops is -1.0; give the compute since"),
        ("score", 101.0, "row 1 .*give points from 0 to 100"),
        ("se", "x", "row 1 .*se is 'x'; give a number of 0 or more"),
        ("run", "rl/nowhere", "row 1 .*run is 'rl/nowhere'; give its row in runs"),
        ("exaflops", 4.0, "row 5 .*its run has a point there already"),
    ],
)
def test_bad_rows_of_curves_are_named(column, value, message):
    curves, runs = study({20: [60], 30: [70]})
    curves[column] = curves[column].astype(object)
    curves.loc[0, column] = value
    with pytest.raises(InputError, match=message):
        advise(curves, runs, {"runs": {}}, PHASES)


def test_plain_tables_without_phases():
    curves, runs = study({20: [60], 30: [70]}, base=50.0)
    plain = curves[(curves["benchmark"] == "overall") & (curves["phase"] == "rl")][
        ["run", "exaflops", "score", "se"]
    ]
    full, advice = advise(curves, runs, {"runs": {}}), advise(plain, runs[RUN_COLUMNS], {"runs": {}})
    assert advice == full
    assert advice["recommended"] == "a-30"
    assert any(reason.startswith("a-30: final score 70.0") for reason in advice["reasons"])


def test_runs_without_points_and_second_names_are_said():
    curves, runs = study({20: [60, 61], 30: [70, 70]})
    gone = "rl/grpo/a-20/seed_1"
    runs.loc[runs["run"] == gone, "status"] = "diverged"
    again = runs[runs["run"] == "rl/grpo/a-30/seed_0"].assign(run="rl/grpo/z/seed_0")
    advice = advise(curves[curves["run"] != gone], pd.concat([runs, again]), {"runs": {}}, PHASES)
    assert f"{gone} (diverged) has no RL points." in advice["reasons"]
    assert "rl/grpo/z/seed_0 is rl/grpo/a-30/seed_0 under another name, and counts once." in advice["reasons"]
    assert any(reason.startswith("1 of 2 seeds of grpo from a-20 diverged") for reason in advice["reasons"])


RANKING = {
    "predictor": "pass_64",
    "favourites": ["a-30", "a-20"],
    "n_dropped": 1,
    "models": [
        {
            "model": "a-30",
            "place": 1,
            "tied_with": ["a-20"],
            "dropped": None,
            "pass_64": 80.0,
            "exaflops": 3.0,
        },
        {
            "model": "a-20",
            "place": 1,
            "tied_with": ["a-30"],
            "dropped": None,
            "pass_64": 80.0,
            "exaflops": 2.0,
        },
        {"model": "a-40", "place": 3, "tied_with": [], "dropped": None, "pass_64": 79.0, "exaflops": 4.0},
        {
            "model": "a-10",
            "place": None,
            "tied_with": [],
            "dropped": "worse",
            "pass_64": 70.0,
            "exaflops": 1.0,
        },
    ],
}


def test_before_any_rl_the_predictor_ranks():
    curves, runs = study({})
    advice = advise(curves, runs, {"runs": {}}, PHASES, predictors=RANKING)
    assert (advice["verdict"], advice["recommended"], advice["tied"]) == (
        "start_here",
        "a-20",
        ["a-30", "a-20"],
    )
    assert advice["headline"] == "Start RL from a-20, by pass_64 alone: no RL was run."
    assert advice["basis"] == "predictor pass_64"
    assert advice["reasons"][0].endswith("By pass_64: a-30 80.0, a-20 80.0, a-40 79.0; 1 dropped.")
    json.dumps(advice, allow_nan=False)


def test_rl_outranks_the_predictor():
    advice = advise(*study({20: [60], 30: [70]}), {"runs": {}}, PHASES, predictors=RANKING)
    assert (advice["recommended"], advice["basis"]) == ("a-30", "final score")


def curve(p_start: float, a: float, half: float = 0.3) -> dict:
    """A fit of a run of 4 exaFLOPs that rises from ``p_start`` to ``a`` in 8."""
    rows = []
    for x in (0, 1, 2, 4, 8, 16):
        score = p_start + (a - p_start) * min(x, 8) / 8
        rows.append({"exaflops": x, "score": score, "ci95": [score - half, score + half]})
    gain = (a - p_start) / 2
    gains = [{"times": 2.0, "exaflops": 4.0, "gain": gain, "ci95": [gain - half, gain + half]}]
    return UNIDENTIFIED | {"x_last": 4.0, "curve": rows, "gains": gains}


def test_what_to_do_next_is_part_of_the_advice():
    fits = {"rl/grpo/a-20/seed_0": curve(40, 80), "rl/grpo/a-30/seed_0": curve(60, 60.2, 0.1)}
    advice = run({20: [60], 30: [62], 40: [50]}, base=50.0, fits=fits)
    assert {one["run"]: one["verdict"] for one in advice["stop_continue"]} == {
        "rl/grpo/a-20/seed_0": "continue", "rl/grpo/a-30/seed_0": "stop", "rl/grpo/a-40/seed_0": "unclear",
        "rl/grpo/base/seed_0": "unclear",
    }  # fmt: skip
    assert advice["equal_compute"]["omitted"] == ["rl/grpo/a-40/seed_0", "rl/grpo/base/seed_0"]
    assert (
        "Continue, twice the RL compute gains more than 0.5 points: rl/grpo/a-20/seed_0." in advice["reasons"]
    )
    (rl,) = advice["equal_compute"]["rl"]
    assert (rl["exaflops"], rl["leader"], rl["significant"]) == (4, "a-30", False)
    pairs = {pair["axis"]: pair for pair in advice["crossovers"]}
    assert pairs["RL"]["starts"] == ["a-30", "a-20"]
    # a-30 starts its RL after 3 exaFLOPs of SFT, a-20 after 2: 40 + 5 (x - 2) = 60 + .025 (x - 3).
    assert pairs["total"]["crossings"][0]["exaflops"] == pytest.approx(6.0151, abs=1e-3)
    assert pairs["total"]["words"] == "a-30 and a-20 in total compute: none that can be told within the data."
    reach = advice["compute_to_reach"]
    assert (reach["start"], reach["score"]) == ("a-30", pytest.approx(60.1))
    assert reach["starts"][0] | {"ci95": None} == {
        "start": "a-20", "exaflops": pytest.approx(4.02), "ci95": None, "extrapolated": True,
    }  # fmt: skip
    assert advice["instability"]["runs"]["rl/grpo/a-20/seed_0"]["reason"] == "2 points, fewer than 5"


def test_a_crossing_is_told_where_the_curves_part_on_both_sides():
    x, apart = np.array([0.0, 4.0, 8.0]), np.array([10.0, 0.0, -10.0])

    def drawn(lead: np.ndarray, half: float) -> dict:
        score = 60 + lead
        return {
            "x": x,
            "score": score,
            "low": score - half,
            "high": score + half,
            "x_last": 8.0,
            "unit": "exaFLOPs",
        }

    for half, said in (
        (2.0, "a passes b at 4 exaFLOPs of RL compute (95 % "),
        (9.0, "none that can be told"),
    ):
        found = crossing_of("b", "a", {"b": drawn(apart, half), "a": drawn(0 * apart, half)}, "RL")
        assert len(found["crossings"]) == 1
        assert said in found["words"]


def test_what_is_the_same_run_has_the_same_scores():
    """Seeds that nobody numbered are no second names."""
    curves, runs = study({20: [60, 61], 30: [70, 71]})
    with pytest.raises(
        InputError, match=r"seed is 0; a run of this start and seed has other scores; number the seeds"
    ):
        advise(curves, runs.assign(seed=0, parent="sft/a"), {"runs": {}}, PHASES)


def test_ceilings_of_other_curves_are_refused():
    curves, runs = study({20: [60], 30: [70]})
    for other in ({"x_last": 5.0}, {"score_last": 61.0}):
        with pytest.raises(InputError, match="the ceilings are of other curves: rl/grpo/a-20/seed_0 ends at"):
            advise(curves, runs, {"runs": {"rl/grpo/a-20/seed_0": curve(40, 80) | other}}, PHASES)


def test_what_rl_adds_is_said():
    fits = {f"rl/grpo/a-{step}/seed_0": {"p_start": before} for step, before in ((20, 40.0), (30, 69.0))}
    advice = run({20: [60], 30: [70]}, fits=fits)
    assert [start["estimate_before"] for start in advice["candidates"]] == [69, 40]
    assert "final score 70.0, 69.0 before RL" in advice["summary"]["why"]
    assert "RL adds nothing there that can be told from chance" in advice["summary"]["why"]
    gained = run({20: [60], 30: [50]}, fits=fits)["summary"]["why"]
    assert "60.0, 40.0 before RL" in gained
    assert "adds nothing" not in gained
    worse = {f"rl/grpo/a-{step}/seed_0": {"p_start": 75.0} for step in (20, 30)}
    assert "RL costs 5.0 points there" in run({20: [60], 30: [70]}, fits=worse)["summary"]["why"]


def test_a_run_that_failed_early_changes_nothing_among_the_others():
    curves, runs = study({20: [60], 30: [70]})
    row = runs.iloc[[0]].assign(run="x", start_step=40, status="failed")
    early = pd.DataFrame(
        {"run": ["x"], "phase": "rl", "exaflops": [0.4], "benchmark": "overall", "score": 11.0}
    )
    both = pd.concat([curves, early]), pd.concat([runs, row])
    alone, beside = advise(curves, runs, {"runs": {}}), advise(*both, {"runs": {}})
    for key in ("verdict", "recommended", "tied", "max_loss", "basis", "candidates"):
        assert beside[key] == alone[key]
    assert any(
        "x (failed) has less than half of the RL compute of the others" in said for said in beside["reasons"]
    )
    late = both[0].assign(exaflops=both[0]["exaflops"].where(both[0]["run"] != "x", 3.0))
    assert len(advise(late, both[1], {"runs": {}})["candidates"]) == 3


def test_without_an_error_nothing_is_said_to_be_near():
    curves, runs = study({20: [60], 30: [70]}, se=None)
    summary = advise(curves, runs, {"runs": {}})["summary"]
    assert "Nothing is known of the errors of a-30 and a-20" in summary["why"]
    assert summary["sure"] == "Nothing is excluded, and nothing recommended."
    assert "standard errors" in summary["next"]


def test_an_excluded_start_that_still_rises_is_named():
    fits = {"rl/grpo/a-20/seed_0": curve(40, 80)}
    assert "a-20 is excluded and still rises" in run({20: [60], 30: [70]}, fits=fits)["summary"]["sure"]
    assert "still rises" not in run({20: [60], 30: [70]})["summary"]["sure"]


def test_an_unknown_reference_is_named():
    with pytest.raises(InputError, match="reference x: no RL run of this name"):
        advise(*study({20: [60], 30: [70]}), {"runs": {}}, PHASES, reference="x")


WRONG_RECORDS = [
    ("{", "Invalid JSON"),
    ("[]", "Input should be an object"),
    ("{}", "runs: Field required"),
    ('{"runs": []}', "runs: Input should be an object"),
    ('{"runs": {"a": {"guarded": {}}}}', "runs.a.a: Field required"),
    ('{"runs": {"a": {"a": "70", "a_ci95": [1, 2], "status": "identified"}}}', "runs.a.a: .* valid number"),
    ('{"runs": {"a": {"a": 70, "a_ci95": [1], "status": "identified"}}}', "runs.a.a_ci95.1: Field required"),
    ('{"runs": {"a": {"a": NaN, "a_ci95": [1, 2], "status": "identified"}}}', "runs.a.a: .* finite number"),
    ('{"runs": {"a": {"a": 70, "a_ci95": [1, 2], "status": "ok"}}}', "runs.a.status: .* 'identified'"),
]


def test_records_of_other_commands_are_checked(tmp_path):
    path = tmp_path / "fits.json"
    with pytest.raises(InputError, match=r"no such file; give what `switchpoint fit` writes"):
        read_document(path, "fit")
    for text, message in WRONG_RECORDS:
        path.write_text(text)
        with pytest.raises(InputError, match=rf"fits.json: {message}.*; give what `switchpoint fit` writes"):
            read_document(path, "fit")
    path.write_text('{"runs": {}}')
    assert read_document(path, "fit") == {"runs": {}}
    path.write_text(json.dumps(RANKING))
    assert read_document(path, "rank") == RANKING
    path.write_text(json.dumps(RANKING | {"predictor": "pass_8"}))
    with pytest.raises(InputError, match=r"a-30 has no pass_8; give what `switchpoint rank` writes"):
        read_document(path, "rank")


def test_the_command_on_plain_files(tmp_path):
    curves, runs = study({20: [60], 30: [70]})
    curves.to_csv(tmp_path / "curves.csv", index=False)
    runs[RUN_COLUMNS].to_csv(tmp_path / "runs.csv", index=False)
    (tmp_path / "fits.json").write_text('{"runs": {}}')
    files = [f"--{name}={tmp_path / file}" for name, file in
             {"curves": "curves.csv", "runs": "runs.csv", "ceilings": "fits.json",
              "out": "advice.json"}.items()]  # fmt: skip
    result = CliRunner().invoke(app, ["advise", *files])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Start RL from a-30.\n")
    assert json.loads((tmp_path / "advice.json").read_text())["recommended"] == "a-30"
    (tmp_path / "rank.json").write_text(json.dumps(RANKING))
    ranked = CliRunner().invoke(app, ["advise", *files, f"--predictors={tmp_path / 'rank.json'}"])
    assert ranked.stdout == result.stdout
    missing = CliRunner().invoke(app, ["advise", *files, f"--phases={tmp_path / 'none.json'}"])
    assert isinstance(missing.exception, InputError)
    assert str(missing.exception).endswith("none.json: no such file; give what `switchpoint phases` writes")


def test_the_algorithm_that_is_compared_is_named():
    assert "The starts are compared by their runs of grpo." in run({20: [60.0], 30: [70.0]})["reasons"]
    (curves, runs), (more, others) = study({20: [60.0], 30: [70.0]}), study({20: [65.0]}, algorithm="dapo")
    advice = advise(
        pd.concat([curves, more[more["phase"] == "rl"]]), pd.concat([runs, others[:1]]), {"runs": {}}
    )
    assert "The starts are compared by their runs of grpo, not those of dapo." in advice["reasons"]
