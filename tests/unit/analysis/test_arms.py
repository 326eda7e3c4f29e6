"""Arms: their seeds pooled, compared at equal total compute, from start to end."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from named_runs import runs_of

from switchpoint.analysis import arms as of_arms
from switchpoint.analysis.arms import (
    COMPARISON_COLUMNS,
    CURVE_COLUMNS,
    SUMMARY_COLUMNS,
    arm_summaries,
    compare_arms,
)
from switchpoint.analysis.comparisons import Z95

RL_SEEDS = ("rl/grpo/S-10/seed_0", "rl/grpo/S-10/seed_1")


def curves(**runs: list[tuple]) -> pd.DataFrame:
    """A ``curves.csv``: of every run (``sft/S/seed_0`` and the like) points (all exaFLOPs, score, se)."""
    rows = [
        {"run": run, "phase": run.split("/")[0], "step": i, "exaflops_total": x, "benchmark": name,
         "score": score if name == "overall" else 99.0, "se": se}
        for run, points in runs.items()
        for i, (x, score, se) in enumerate(points)
        for name in ("overall", "gsm")
    ]  # fmt: skip
    return pd.DataFrame(rows)


def arm_curves(table: pd.DataFrame) -> pd.DataFrame:
    """Of these points."""
    return of_arms.arm_curves(table, runs_of(table["run"]))


def pooled(arms: dict[tuple[str, str], list[tuple]]) -> pd.DataFrame:
    """What ``arm_curves`` makes of one seed of every (algorithm, start)."""
    return arm_curves(curves(**{f"rl/{name}/{start}/seed_0": line for (name, start), line in arms.items()}))


def test_seeds_are_pooled_as_far_as_all_go():
    table = arm_curves(curves(**{
        RL_SEEDS[0]: [(1.0, 50.0, 2.0), (3.0, 60.0, 2.0), (5.0, 80.0, 2.0)],
        RL_SEEDS[1]: [(1.0, 54.0, 1.0), (4.0, 69.0, 1.0)],
    }))  # fmt: skip
    assert list(table) == CURVE_COLUMNS
    assert table["exaflops_total"].tolist() == [1, 3, 4]
    # At 3 the second seed is at 64, at 4 the first is at 70.
    assert table["score"].tolist() == pytest.approx([52, 62, 69.5])
    # At the end they differ by 1: a spread of sqrt((1/2 + 1) / 2), less than their own error.
    assert table["se"].tolist() == pytest.approx([1.5] * 3)
    assert table["dof"].tolist() == [2] * 3
    assert table["seeds"].tolist() == [2, 2, 2]


def test_sft_begins_with_the_base_and_rl_with_its_start():
    table = arm_curves(curves(
        base=[(0.0, 16.0, 1.5)], **{"sft/S/seed_0": [(2.0, 60.0, 2.0)], RL_SEEDS[0]: [(1.0, 50.0, 2.0)]},
    ))  # fmt: skip
    assert table[["arm", "exaflops_total", "score", "se"]].to_numpy().tolist() == [
        ["sft/S", 0.0, 16.0, pytest.approx(np.hypot(1.5, 1))],
        ["sft/S", 2.0, 60.0, pytest.approx(np.hypot(2, 1))],
        ["rl/grpo/S-10", 1.0, 50.0, pytest.approx(np.hypot(2, 1))],
    ]


def test_arms_are_compared_at_what_all_of_a_start_reach():
    found = compare_arms(pooled({
        ("grpo", "base"): [(0.0, 10.0, 3.0), (10.0, 50.0, 3.0)],
        ("luffy", "base"): [(0.0, 10.0, 4.0), (8.0, 50.0, 4.0)],
        ("upt", "base"): [(0.0, 10.0, 1.0), (16.0, 50.0, 1.0)],
        ("srft", "base"): [(0.0, 90.0, math.nan), (1.0, 90.0, math.nan)],  # without an error, left out
        ("grpo", "S-10"): [(6.0, 40.0, 1.0), (10.0, 42.0, 1.0)],  # alone from its start: no budget of its own
        ("grpo", "S-20"): [(9.0, 40.0, 1.0), (10.0, 42.0, 1.0)],  # not paid for at 8
    }))  # fmt: skip
    assert list(found) == COMPARISON_COLUMNS
    assert found["exaflops_total"].tolist() == [8] * 4
    assert found["arm"].tolist() == ["rl/luffy/base", "rl/grpo/base", "rl/grpo/S-10", "rl/upt/base"]
    assert found["score"].tolist() == pytest.approx([50, 42, 41, 30])
    assert found["difference"].tolist() == pytest.approx([0, -8, -9, -20])
    half = Z95 * np.sqrt(4**2 + 1 + np.array([3, 1, 1]) ** 2 + 1)  # a point for the seed of each
    assert found["difference_high"].tolist()[1:] == pytest.approx([-8 + half[0], -9 + half[1], -20 + half[2]])
    assert found["difference_low"].tolist()[1:] == pytest.approx([-8 - half[0], -9 - half[1], -20 - half[2]])
    assert found.loc[0, ["difference_low", "difference_high"]].isna().all()
    assert found["may_lead"].tolist() == [True, True, False, False]


def test_every_start_of_several_algorithms_has_its_budget():
    found = compare_arms(pooled({
        (name, start): [(x, 40.0, 1.0), (x + 10, 50.0 + i, 1.0)]
        for i, name in enumerate(("grpo", "upt"))
        for start, x in (("S-10", 30.0), ("base", 0.0))
    }))  # fmt: skip
    assert found.groupby("exaflops_total")["start"].agg(set).to_dict() == {10: {"base"}, 40: {"S-10", "base"}}
    # At 40 those from the base have ended, and have their best so far.
    assert found.loc[found["exaflops_total"] == 40, "score"].tolist() == [51, 51, 50, 50]
    assert found["algorithm"].tolist()[:2] == ["upt", "grpo"]


def test_without_several_algorithms_from_a_start_there_is_no_comparison():
    for arms in ({}, {("grpo", "base"): [(0.0, 10.0, 1.0), (1.0, 20.0, 1.0)]}):
        table = pooled(arms) if arms else arm_curves(curves(base=[(0.0, 10.0, 1.0)]))
        found = compare_arms(table)
        assert found.empty
        assert list(found) == COMPARISON_COLUMNS


LINES = st.lists(
    st.tuples(st.floats(0.5, 2), st.floats(1, 99), st.floats(1, 99), st.floats(0.1, 5)),
    min_size=2,
    max_size=6,
)


@given(LINES, st.floats(1e-8, 1e3), st.randoms())
def test_the_comparison_keeps_its_order_in_any_unit_and_any_order(lines, unit, random):
    names = ["grpo", "dapo_d", "dapo_dc", "luffy", "srft", "upt"]
    arms = [
        ((name, "base"), [(0.0, first, se), (end * unit, last, se)])
        for name, (end, first, last, se) in zip(names, lines, strict=False)
    ]
    found = compare_arms(pooled(dict(arms)))
    assert len(found) == len(arms)
    assert found["exaflops_total"].unique() == pytest.approx(min(line[-1][0] for _, line in arms))
    assert found["difference"].iloc[0] == 0
    assert found["difference"].is_monotonic_decreasing
    assert found["may_lead"].iloc[0]
    random.shuffle(arms)
    again = compare_arms(pooled(dict(arms))).set_index("arm")["difference"]
    assert again[found["arm"]].tolist() == pytest.approx(found["difference"].tolist())


def line_of_log(tokens: float, **figures) -> dict:
    return {"response_tokens": tokens, "graded": 5, "unparsable": 3, "timeout": 0, "error": 0} | figures


RUNS = runs_of([*RL_SEEDS, "sft/S/seed_0", "base"]).assign(
    status=["finished", "diverged", "finished", "finished"]
)
RESULTS = pd.DataFrame(
    [("sft/S/seed_0", 10, 60.0), ("sft/S/seed_0", 20, 99.0), ("sft/S/seed_1", 10, 62.0),
     (RL_SEEDS[0], 5, 70.0), (RL_SEEDS[1], 3, 66.0)],
    columns=["run", "step", "score"],
).assign(metric="avg", benchmark="overall")  # fmt: skip
GAINS = pd.DataFrame(
    [(RL_SEEDS[0], "overall", 10.0, 1.5, 7.0, 12.5), (RL_SEEDS[0], "gsm", 0.0, 9.0, -9.0, 9.0),
     (RL_SEEDS[1], "overall", 4.0, 1.5, 1.0, 7.5)],
    columns=["run", "benchmark", "difference", "se", "low", "high"],
)  # fmt: skip
RECORDS = {
    RL_SEEDS[0]: {"exaflops": 2.0, "log": [
        line_of_log(10, clip_fraction=0.1, norm=3.0, norm_sft=1.0, norm_rl=4.0, cosine=-0.5),
        line_of_log(20, clip_fraction=0.3, norm=3.0, norm_sft=0.0, norm_rl=4.0, cosine=0.0),
    ]},
    RL_SEEDS[1]: {"exaflops": 4.0, "log": [line_of_log(30)]},
}  # fmt: skip


def test_an_arm_from_its_start_to_its_end():
    (arm,) = arm_summaries(GAINS, RUNS, RESULTS, RECORDS).to_dict("records")
    assert [arm[name] for name in ("arm", "set", "algorithm", "start")] == [
        "rl/grpo/S-10",
        "S",
        "grpo",
        "S-10",
    ]
    assert (arm["start_score"], arm["end_score"], arm["difference"], arm["seeds"]) == (61, 68, 7, 2)
    assert arm["se"] == pytest.approx(3)  # the spread of 10 and 4 over sqrt(2); the seeds' own is less
    assert (arm["low"], arm["high"]) == pytest.approx((7 - 1.96 * 3, 7 + 1.96 * 3))
    assert (arm["exaflops"], arm["sampled_tokens"]) == (3, (8 * 30 + 8 * 30) / 2)
    logged = [arm[name] for name in ("clip_fraction", "norm_sft", "norm_rl", "cosine")]
    assert logged == pytest.approx(
        [0.2, 0.5, 4, -0.5]
    )  # means over the steps that logged them, with both sides
    assert "norm" not in arm
    assert arm["status"] == "1 finished, 1 diverged"


def test_a_run_that_diverges_in_its_first_step_has_an_arm():
    records = {RL_SEEDS[1]: {"exaflops": 0.0, "log": []}}
    (arm,) = arm_summaries(GAINS, RUNS, RESULTS, records).to_dict("records")
    assert (arm["sampled_tokens"], arm["exaflops"], arm["status"]) == (0, 0, "diverged")
    assert (arm["low"], arm["high"]) == (1.0, 7.5)  # of one seed its own interval


def test_no_rl_runs_make_an_empty_table():
    found = arm_summaries(GAINS[:0], RUNS, RESULTS, {})
    assert found.empty
    assert list(found) == SUMMARY_COLUMNS
