import json

import pandas as pd
import pytest

from switchpoint.advice import advise
from switchpoint.errors import InputError

PHASES = {
    "runs": {f"sft/a/seed_{s}": {"guarded": {"10": "adaptive", "20": "stable", "30": "mild", "90": "severe"}}
             for s in (0, 1)}
}  # fmt: skip


def study(scores: dict, se: float | None = 0.5, base: float | None = None, algorithm: str = "grpo"):
    """Curves and runs; ``scores`` maps a start step to its seeds' final scores."""
    starts = [(step, seed, score) for step, found in scores.items() for seed, score in enumerate(found)]
    starts += [] if base is None else [(0, 0, base)]
    curves, runs = [], []
    for step, seed, score in starts:
        run = f"rl/{algorithm}/{f'a-{step}' if step else 'base'}/seed_{seed}"
        for exaflops, value in ((0.0, 20.0), (2.0, 99.0), (4.0, score)):
            row = {
                "run": run,
                "phase": "rl",
                "exaflops": exaflops,
                "benchmark": "overall",
                "score": value,
                "se": se,
            }
            curves += [row, row | {"benchmark": "math", "score": 1.0}]
        runs.append(
            {"run": run, "parent": f"sft/a/seed_{seed}" if step else "base", "set": "a" if step else None,
             "algorithm": algorithm, "seed": seed, "start_step": step, "sft_exaflops": step / 10, "val_loss": 1.0,
             "status": "finished"}
        )  # fmt: skip
    sft = {"run": "sft/a/seed_0", "parent": "base", "set": "a", "algorithm": "sft", "seed": 0, "start_step": 0,
           "sft_exaflops": 9.0, "val_loss": 1.0, "status": "finished"}  # fmt: skip
    curves.append(
        {"run": "sft/a/seed_0", "phase": "sft", "exaflops": 9.0, "benchmark": "overall", "score": 50.0}
    )
    return pd.DataFrame(curves), pd.DataFrame([*runs, sft])


def run(*arguments, fits: dict | None = None, **options) -> dict:
    advice = advise(*study(*arguments, **options), {"runs": fits or {}}, PHASES)
    json.dumps(advice, allow_nan=False)
    return advice


def test_cheapest_of_the_tied_starts():
    advice = run({10: [60], 20: [69.5], 30: [70]})
    assert advice["verdict"] == "start_here"
    assert (advice["best"], advice["recommended"]) == ("a-30", "a-20")
    assert advice["tied"] == ["a-30", "a-20"]
    assert "a-20 is the cheapest of these: 6 exaFLOPs (2 SFT, 4 RL)." in advice["reasons"]
    assert any(reason.startswith("a-20 (stable phase): final score 69.5") for reason in advice["reasons"])


@pytest.mark.parametrize(("gap", "tied"), [(1.38, 2), (1.39, 1)])
def test_tie_is_1_96_combined_standard_errors(gap, tied):
    assert len(run({20: [70 - gap], 30: [70]})["tied"]) == tied  # 1.96 * sqrt(.5) = 1.386


def test_final_score_is_the_last_point_not_the_best():
    assert [start["final"] for start in run({20: [60], 30: [70]})["candidates"]] == [70, 60]


def test_seeds_are_pooled():
    advice = run({20: [60, 64], 30: [70, 70]})
    low = advice["candidates"][1]
    assert low["final"] == 62
    assert len(low["runs"]) == 2
    assert low["final_se"] == pytest.approx(2.0)  # the spread, larger than .5
    assert advice["candidates"][0]["final_se"] == pytest.approx(0.5)  # shared problems: not averaged out


def test_two_names_of_one_start_are_one_run():
    curves, runs = study({20: [60], 30: [70]})
    again = "rl/grpo/a-min_val_loss/seed_0"
    same = curves[curves["run"] == "rl/grpo/a-20/seed_0"].assign(run=again)
    row = runs[runs["run"] == "rl/grpo/a-20/seed_0"].assign(run=again)
    advice = advise(pd.concat([curves, same]), pd.concat([runs, row]), {"runs": {}}, PHASES)
    assert [len(start["runs"]) for start in advice["candidates"]] == [1, 1]


def test_identified_ceiling_replaces_the_final_score():
    fits = {
        "rl/grpo/a-20/seed_0": {"a": 75.0, "a_ci95": [74.0, 77.92], "status": "identified"},
        "rl/grpo/a-30/seed_0": {"a": None, "a_ci95": [70.0, None], "status": "unidentified"},
    }
    advice = run({20: [60], 30: [70]}, fits=fits)
    best, other = advice["candidates"]
    assert (best["start"], best["estimate"], best["basis"]) == ("a-20", 75.0, "ceiling")
    assert best["estimate_se"] == pytest.approx(1.0)
    assert (other["estimate"], other["basis"]) == (70, "final score")
    assert any("bounds its ceiling from below" in reason for reason in advice["reasons"])


def test_insufficient_data():
    one = run({20: [60]})
    assert one["verdict"] == "insufficient_data"
    assert "at least 2 SFT checkpoints" in one["needed"]
    blind = run({20: [60], 30: [70]}, se=None)
    assert blind["verdict"] == "insufficient_data"
    assert "for a-20, a-30" in blind["needed"]
    for advice in (one, blind):
        assert advice["recommended"] is None
        assert advice["best"] is None
        assert advice["tied"] == []
    assert run({}, base=60.0)["candidates"] == []


def test_pure_rl_needs_no_start_step():
    curves, runs = study({20: [60], 30: [70]}, base=50.0)
    runs.loc[runs["parent"] == "base", ["start_step", "sft_exaflops"]] = None
    assert advise(curves, runs, {"runs": {}}, PHASES)["comparison"]["difference"] == 20


def test_comparison_with_pure_rl():
    comparison = run({20: [60], 30: [70]}, base=50.0)["comparison"]
    assert (comparison["difference"], comparison["significant"]) == (20, True)
    assert comparison["se"] == pytest.approx(0.5**0.5)
    assert run({20: [60], 30: [70]}, base=70.5)["comparison"]["significant"] is False
    assert run({20: [60], 30: [70]})["comparison"] is None


def test_diagnoses():
    fits = {"rl/grpo/a-30/seed_0": {"a": None, "a_ci95": [None, None], "status": "collapsed"}}
    found = run({10: [60], 20: [70], 30: [65], 90: [50]}, fits=fits)["diagnoses"]
    assert [(diagnosis["name"], diagnosis["start"]) for diagnosis in found] == [
        ("premature_saturation", "a-10"), ("plasticity_collapse", "a-90"), ("collapsed_tail", "a-30"),
    ]  # fmt: skip
    assert found[0]["evidence"] == "a-10 (adaptive) ends at 60.0, 10.0 points (se 0.7) below a-20 (stable)"
    assert run({10: [69], 20: [70], 90: [69.5]})["diagnoses"] == []


def test_the_algorithm_with_most_starts_unless_named():
    tables = [study({20: [60], 30: [70]}), study({10: [60], 20: [61], 30: [62]}, algorithm="dapo")]
    curves, runs = (pd.concat(parts) for parts in zip(*tables, strict=True))
    runs = runs.drop_duplicates("run")
    assert advise(curves, runs, {"runs": {}}, PHASES)["algorithm"] == "dapo"
    named = advise(curves, runs, {"runs": {}}, PHASES, algorithm="grpo")
    assert [start["start"] for start in named["candidates"]] == ["a-30", "a-20"]


def test_order_of_rows_does_not_matter():
    curves, runs = study({10: [60, 61], 20: [69.5, 70], 30: [70, 70]}, base=50.0)
    shuffled = curves.sample(frac=1, random_state=0), runs.sample(frac=1, random_state=0)
    assert advise(*shuffled, {"runs": {}}, PHASES) == advise(curves, runs, {"runs": {}}, PHASES)


def test_unfinished_runs_and_unequal_budgets_are_said():
    curves, runs = study({20: [60], 30: [70]})
    runs.loc[0, "status"] = "diverged"
    curves.loc[(curves["run"] == "rl/grpo/a-30/seed_0") & (curves["exaflops"] == 4), "exaflops"] = 8.0
    reasons = advise(curves, runs, {"runs": {}}, PHASES)["reasons"]
    assert "rl/grpo/a-20/seed_0 (diverged) did not finish." in reasons
    assert "RL budgets differ, 4 to 8 exaFLOPs: so may scores." in reasons


def test_bad_tables_are_named():
    curves, runs = study({20: [60], 30: [70]})
    with pytest.raises(InputError, match="runs: no column parent"):
        advise(curves, runs.drop(columns="parent"), {"runs": {}}, PHASES)
    with pytest.raises(InputError, match="score is nan"):
        advise(curves.assign(score=float("nan")), runs, {"runs": {}}, PHASES)
    runs.loc[1, "start_step"] = None
    with pytest.raises(InputError, match=r"row 2 .*start_step is nan"):
        advise(curves, runs, {"runs": {}}, PHASES)
