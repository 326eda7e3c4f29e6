"""Points and test scores, pooled over seeds."""

import numpy as np
import pandas as pd
import pytest
from named_runs import runs_of

from switchpoint.analysis.pooling import CURVE_COLUMNS, pool_curves, pool_over_seeds, pool_results


def points(run: str, phase: str, step: int, score: float, se: float, exaflops: float = 1.0) -> dict:
    return {
        "run": run, "phase": phase, "step": step, "exaflops": exaflops, "exaflops_total": exaflops,
        "benchmark": "overall", "score": score, "se": se, "n": 100,
    }  # fmt: skip


def result(run: str, phase: str, score: float, seed: int, step: int = 40, low: float = 0.0, **names) -> dict:
    return {
        "run": run, "phase": phase, "set": None, "algorithm": None, "start": None, "seed": seed, "step": step,
        "metric": "avg", "benchmark": "overall", "score": score, "se": 2.0, "low": low, "high": 100.0,
        "n": 100,
        "truncated": 0.0,
    } | names  # fmt: skip


def test_pooling_takes_the_larger_error():
    rows = pd.DataFrame({"g": ["a", "a", "b", "c"], "score": [10.0, 20, 5, 5], "se": [1.0, 1, np.nan, 2]})
    table = pool_over_seeds(rows, ["g"])
    assert table["se"].iloc[[0, 2]].tolist() == pytest.approx([5, 2])
    assert np.isnan(table["se"].iloc[1])
    assert table["seeds"].tolist() == [2, 1, 1]


def test_sft_is_pooled_and_rl_is_not():
    curves = pd.DataFrame([
        points("base", "base", 0, 30.0, 2.0),
        points("sft/S/seed_0", "sft", 10, 50.0, 1.0, 2.0),
        points("sft/S/seed_1", "sft", 10, 54.0, 1.0, 4.0),
        points("rl/grpo/S-10/seed_0", "rl", 3, 60.0, 1.0),
        points("rl/grpo/S-10/seed_1", "rl", 3, 62.0, np.nan),
        points("rl/grpo/base/seed_0", "rl", 3, 40.0, 1.0),
    ])  # fmt: skip
    table = pool_curves(curves, runs_of(curves["run"]))
    assert list(table) == CURVE_COLUMNS
    assert table["seeds"].tolist() == [1, 2, 1, 1, 1]
    assert table["set"].fillna("").tolist() == ["", "S", "S", "S", ""]
    assert table["algorithm"].fillna("").tolist() == ["", "", "grpo", "grpo", "grpo"]
    sft = table.iloc[1]
    assert (sft["score"], sft["exaflops"], sft["se"]) == (52.0, 3.0, pytest.approx(2.0))
    assert [sft["low"], sft["high"]] == pytest.approx([52 - 1.96 * 2, 52 + 1.96 * 2])
    assert table.iloc[3][["low", "high"]].isna().all()


def test_one_seed_keeps_its_interval_and_several_stay_within_0_to_100():
    sft = {"set": "S", "low": 48.5}
    rl = {"set": "S", "algorithm": "grpo", "start": "S-40"}
    results = pd.DataFrame([
        result("sft/S/seed_0", "sft", 50.0, 0, **sft),
        result("rl/grpo/S-40/seed_0", "rl", 99.0, 0, step=12, **rl),
        result("rl/grpo/S-40/seed_1", "rl", 98.0, 1, step=24, **rl),
    ])  # fmt: skip
    one, several = pool_results(results, runs_of(results["run"])).to_dict("records")
    assert (one["step"], one["low"], one["seeds"]) == (40, 48.5, 1)
    assert pd.isna(several["step"])  # of seeds that ended at different steps
    assert (several["score"], several["seeds"], several["high"]) == (98.5, 2, 100.0)
    assert several["low"] == pytest.approx(98.5 - 1.96 * 2)
