"""What the advice has to say beside its verdict, or a reader of the first lines would do the wrong thing."""

import pandas as pd
import pytest
from scored_starts import study

from switchpoint.analysis.advice import advise
from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.points import check_points
from switchpoint.errors import InputError

STEPS = 20


def curves_of(*starts: dict) -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    """Curves, runs and fits: each start has step, low, top, half (compute at half the gain) and optionally seeds, ends, status."""
    points, runs = [], []
    for start in starts:
        for seed, end in enumerate(start.get("ends", [STEPS])):
            run = f"S-{start['step']}/{seed}" if start["step"] else f"base/{seed}"
            for x in range(end + 1):
                wobble = 0.3 * ((7 * x + 3 * seed + start["step"]) % 5 - 2)
                gain = (start["top"] - start["low"]) * x / (x + start["half"])
                points.append((run, float(x), start["low"] + gain + wobble * (x > 0), 0.5))
            runs.append(
                {
                    "run": run, "parent": "sft" if start["step"] else "base", "set": "S" if start["step"] else None,
                    "algorithm": "grpo", "seed": seed, "start_step": start["step"], "sft_exaflops": start["step"] / 100,
                    "status": start.get("status", "finished") if end < STEPS else "finished",
                }
            )  # fmt: skip
    curves = pd.DataFrame(points, columns=["run", "exaflops", "score", "se"])
    return curves, pd.DataFrame(runs), fit_curves(check_points(curves))


def start(step: int, low: float, top: float, half: float = 8.0, **more) -> dict:
    return {"step": step, "low": low, "top": top, "half": half, **more}


def test_one_last_evaluation_far_off_decides_nothing():
    curves, runs, fits = curves_of(start(100, 50, 74), start(200, 50, 76), start(300, 52, 76))
    plain = advise(curves, runs, fits)
    last = curves.index[curves["run"] == "S-100/0"][-1]
    for off in (8.0, -8.0):
        changed = curves.copy()
        changed.loc[last, "score"] += off
        advice = advise(changed, runs, fit_curves(check_points(changed)))
        for key in ("verdict", "recommended", "tied", "basis"):
            assert advice[key] == plain[key]
        assert any("The last evaluation of S-100/0" in reason for reason in advice["reasons"])


def test_a_start_is_no_cheaper_for_less_rl():
    curves, runs, fits = curves_of(start(100, 50, 70, 2), start(400, 50, 70, 2, ends=[10]))
    advice = advise(curves, runs, fits)
    assert advice["recommended"] == "S-100"
    assert "S-100 is the cheapest of these: 11 exaFLOPs (1 SFT, 10 RL)." in advice["reasons"]


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_seed_that_is_behind_does_not_hold_up_the_others(status):
    whole = [start(200, 50, 76, ends=[STEPS] * 3), start(300, 52, 70, ends=[STEPS] * 3)]
    behind = advise(*curves_of(start(100, 50, 79, ends=[STEPS, STEPS, 5], status=status), *whole))
    without = advise(*curves_of(start(100, 50, 79, ends=[STEPS, STEPS]), *whole))
    for key in ("verdict", "recommended", "tied", "max_loss", "basis", "equal_compute"):
        assert behind[key] == without[key]
    assert f"S-100/2 ({status}) has less than half of the RL compute of the others" in " ".join(
        behind["reasons"]
    )


def test_long_rl_from_the_base_makes_no_run_from_a_checkpoint_short():
    base = [start(0, 20, 60, ends=[STEPS] * 3)]
    running = start(200, 50, 76, ends=[9], status="running")
    advice = advise(*curves_of(*base, start(100, 50, 70, ends=[9], status="running"), running))
    assert {one["start"] for one in advice["candidates"]} == {"S-100", "S-200"}
    assert "S-200/0 (running) has not finished." in advice["reasons"]


def test_a_diverged_seed_is_a_result_and_counts():
    whole = [start(200, 50, 76, ends=[STEPS] * 3), start(300, 52, 70, ends=[STEPS] * 3)]
    advice = advise(*curves_of(start(100, 50, 79, ends=[STEPS, STEPS, 5], status="diverged"), *whole))
    assert {len(one["runs"]) for one in advice["candidates"]} == {3}


def test_what_is_out_by_its_score_says_so_beside_ceilings():
    slow = start(100, 20, 95, 60, ends=[STEPS])
    advice = advise(*curves_of(slow, start(200, 50, 76, 1), start(300, 52, 78, 1)))
    assert advice["basis"] == "ceiling"
    (out,) = [one for one in advice["candidates"] if one["start"] == "S-100"]
    assert (out["estimate_basis"], out["ceiling"]) == ("final score", None)
    assert any(
        "S-100 (final score " in reason and "its ceiling is unidentified" in reason
        for reason in advice["reasons"]
    )
    assert "S-100 is excluded and still rises" in advice["summary"]["sure"]


def test_better_rl_from_the_base_is_in_the_first_lines():
    curves, runs = study({20: [60, 60.4], 30: [70, 70.4]}, se=0.2, base=80.0)
    advice = advise(curves, runs, {"runs": {}})
    assert advice["headline"] == "Start RL from a-30. RL from the base model reaches more."
    assert (
        "RL from the base model (grpo) reaches 9.8 points more than any of the starts"
        in advice["summary"]["why"]
    )
    worse = advise(*study({20: [60, 60.4], 30: [70, 70.4]}, se=0.2, base=40.0), {"runs": {}})
    assert worse["headline"] == "Start RL from a-30."


def test_at_equal_total_compute_it_is_said_whose_rl_ended_before():
    curves, runs, fits = curves_of(start(0, 20, 90), start(10000, 50, 70, 2))
    (total,) = [row for row in advise(curves, runs, fits)["equal_compute"]["total"] if row["exaflops"] > 100]
    assert "(run to 20 exaFLOPs)" in total["words"]
    assert {row["ends"] for row in total["scores"]} == {20.0, 120.0}


def test_equal_scores_are_level():
    advice = advise(*curves_of(start(100, 50, 70), start(200, 50, 70)))
    (words,) = {row["words"] for row in advice["equal_compute"]["rl"]}
    assert "S-100" in words
    equal = pd.concat([curves_of(start(100, 50, 70))[0].assign(run=run) for run in ("S-100/0", "S-200/0")])
    runs = curves_of(start(100, 50, 70), start(200, 50, 70))[1]
    advice = advise(equal, runs, fit_curves(check_points(equal)))
    assert advice["equal_compute"]["rl"][0]["words"].endswith("S-100 and S-200 are level.")
    assert not any("a little too high" in reason for reason in advice["reasons"])


def results_of(scores: dict[str, float], se: float | None = 0.5) -> pd.DataFrame:
    columns = {"phase": "rl", "step": 4, "metric": "avg", "benchmark": "overall", "se": se, "n": 300}
    return pd.DataFrame({"run": list(scores), "score": list(scores.values())}).assign(**columns)


def test_test_scores_that_are_not_compared_are_accounted_for():
    curves, runs = study({20: [60], 30: [70]})
    names = [f"rl/grpo/a-{step}/seed_0" for step in (20, 30)]

    def reasons(scores: dict, **options) -> str:
        return " ".join(advise(curves, runs, {"runs": {}}, results=results_of(scores, **options))["reasons"])

    assert f"Without a test score, so that none are compared: {names[1]}." in reasons({names[0]: 50})
    assert "Test scores of runs that are not compared: x." in reasons(dict.fromkeys([*names, "x"], 50))
    both = advise(curves, runs, {"runs": {}}, results=results_of(dict.fromkeys(names, 50), se=None))
    assert "column se of the results" in both["needed"]
    ceilings = curves_of(start(100, 50, 76, 1), start(200, 50, 70, 1))
    tested = results_of({"S-100/0": 50.0, "S-200/0": 80.0})
    advice = advise(*ceilings, results=tested)
    assert advice["basis"] == "ceiling"
    assert "Compared is the ceiling, not the test score." in advice["reasons"]


def test_scores_that_are_all_the_same_have_no_error():
    curves, runs, _ = curves_of(start(100, 50, 70), start(200, 50, 70))
    flat = curves.assign(score=0.0, se=float("nan"))
    advice = advise(flat, runs, fit_curves(check_points(flat)))
    assert advice["verdict"] == "insufficient_data"
    assert "standard errors" in advice["needed"]


def test_test_scores_in_fractions_beside_points_are_refused():
    curves, runs = study({20: [60], 30: [70]})
    results = results_of({f"rl/grpo/a-{step}/seed_0": 0.5 + step / 100 for step in (20, 30)})
    with pytest.raises(InputError, match="as if they were fractions"):
        advise(curves, runs, {"runs": {}}, results=results)


def test_a_run_may_be_called_before():
    curves, runs = study({20: [60], 30: [70]})
    curves, runs = (table.replace("rl/grpo/a-20/seed_0", "before") for table in (curves, runs))
    advice = advise(curves, runs, {"runs": {}}, results=results_of({"before": 50, "rl/grpo/a-30/seed_0": 60}))
    assert advice["basis"] == "final test score"


def test_rl_from_the_base_that_ended_early_is_no_headline():
    base = start(0, 20, 72, 0.2, ends=[4], status="stopped")
    advice = advise(*curves_of(base, start(100, 30, 90, 20), start(200, 30, 95, 20)))
    assert advice["comparison"]["difference"] < 0
    assert advice["comparison"]["significant"]
    assert "base model" not in advice["headline"] + advice["summary"]["why"]
    assert any(
        "score at equal RL compute at 4 exaFLOPs: significant" in reason for reason in advice["reasons"]
    )


def test_a_run_of_another_algorithm_that_ended_makes_none_short():
    runs_of = [start(step, 50, 70 + step / 100, ends=[9], status="running") for step in (100, 200)]
    curves, runs, fits = curves_of(*runs_of, start(300, 50, 70))
    runs.loc[runs["start_step"] == 300, "algorithm"] = "dapo"
    assert len(advise(curves, runs, fits)["candidates"]) == 2


def test_with_one_start_left_it_is_said_what_has_to_run_on():
    advice = advise(*curves_of(start(100, 50, 70), start(200, 50, 76, ends=[3], status="running")))
    assert advice["needed"].endswith("(so far 1); run S-200/0 on")


def test_an_error_that_is_lent_is_said_where_it_counts():
    curves, runs = study({20: [60], 30: [70]})
    names = [f"rl/grpo/a-{step}/seed_0" for step in (20, 30)]
    results = results_of(dict(zip(names, (50, 60), strict=True)))
    blank = results.assign(se=[1.0, None])
    said = "Nothing is known of the errors of"
    lent = advise(curves, runs, {"runs": {}}, results=blank)["reasons"]
    assert f"{said} {names[1]}, which are taken to be the largest of the others': 1.0 points." in lent
    curves.loc[curves["run"] == names[0], "se"] = None
    assert said not in " ".join(advise(curves, runs, {"runs": {}}, results=results)["reasons"])
    assert said in " ".join(advise(curves, runs, {"runs": {}})["reasons"])


def test_results_without_any_usable_score_are_said():
    curves, runs = study({20: [60], 30: [70]})
    of_sft = results_of({"sft/a/seed_0": 50.0}).assign(phase="sft")
    said = " ".join(advise(curves, runs, {"runs": {}}, results=of_sft)["reasons"])
    assert "no overall test score (metric avg, phase rl)" in said
    no_rl = advise(
        curves[curves["phase"] == "sft"], runs[runs["algorithm"] == "sft"], {"runs": {}}, results=of_sft
    )
    assert not any("test score" in reason for reason in no_rl["reasons"])


def test_what_is_far_below_is_named_where_nothing_else_can_be_said():
    curves, runs = study({20: [60], 30: [62], 40: [10]})
    names = [f"rl/grpo/a-{step}/seed_0" for step in (20, 30)]
    results = results_of(dict.fromkeys(names, 50.0), se=None)
    sure = advise(curves, runs, {"runs": {}}, results=results)["summary"]["sure"]
    assert sure == "Far below the others: a-40. Nothing else is excluded, and nothing recommended."
