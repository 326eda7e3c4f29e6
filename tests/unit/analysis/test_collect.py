"""The tables of all runs, and that of SFT checkpoints that predictors are judged on."""

import numpy as np
import pandas as pd
import pytest
from named_runs import runs_of

from switchpoint import files
from switchpoint.analysis.collect import models_table, problems, result_rows, rl_row, sft_row
from switchpoint.analysis.identity import identify

RUN = ["run", "parent", "set", "algorithm", "seed", "start_step"]


def results(rows: list[tuple]) -> pd.DataFrame:
    columns = ["run", "phase", "set", "step", "metric", "benchmark", "score"]
    return pd.DataFrame(rows, columns=columns).assign(se=0.5)


def test_checkpoints_with_their_predictors_and_scores_after_rl():
    rows = []
    for seed, shift in ((0, -1.0), (1, 1.0)):
        for step in (10, 20):
            run = f"sft/S/seed_{seed}"
            rows += [(run, "sft", "S", step, "avg", "overall", 40 + step + shift),
                     (run, "sft", "S", step, "avg", "math", 0.0),
                     (run, "sft", "S", step, "pass@4", "overall", 60 + step + shift)]  # fmt: skip
    scores = {"rl/dapo_dc/S-10/seed_0": 70.0, "rl/dapo_dc/S-10/seed_1": 74.0,
     "rl/dapo_dc/S-min_val_loss/seed_0": 99.0,
              "rl/grpo/S-20/seed_0": 50.0, "rl/dapo_dc/base/seed_0": 10.0}  # fmt: skip
    rows += [(run, "rl", "S", 3, "avg", "overall", score) for run, score in scores.items()]
    runs = pd.DataFrame(
        [
            ("sft/S/seed_0", "base", "S", "sft", 0, 0),
            ("sft/S/seed_1", "base", "S", "sft", 1, 0),
            ("rl/dapo_dc/S-10/seed_0", "sft/S/seed_0", "S", "dapo_dc", 0, 10),
            ("rl/dapo_dc/S-10/seed_1", "sft/S/seed_1", "S", "dapo_dc", 1, 10),
            (
                "rl/dapo_dc/S-min_val_loss/seed_0",
                "sft/S/seed_0",
                "S",
                "dapo_dc",
                0,
                10,
            ),  # S-10 by another name
            ("rl/grpo/S-20/seed_0", "sft/S/seed_0", "S", "grpo", 0, 20),
            ("rl/dapo_dc/base/seed_0", "base", None, "dapo_dc", 0, 0),
        ],
        columns=RUN,
    )
    losses = pd.DataFrame(
        {"run": [f"sft/S/seed_{seed}" for seed in (0, 0, 0, 1, 1, 1)], "step": [0, 10, 20] * 2,
         "loss": [9, 0.5, 0.4, 9, 0.7, 0.6], "exaflops": [0, 1.0, 2.0] * 2}
    )  # fmt: skip
    table = models_table(results(rows), losses, runs).set_index("model")
    assert table.index.tolist() == ["S-10", "S-20"]
    assert table.loc["S-10", ["pass_1", "pass_4", "exaflops", "rl_score"]].tolist() == [50.0, 70.0, 1.0, 72.0]
    assert table["val_loss"].tolist() == pytest.approx([0.6, 0.5])
    # Two seeds, one point above and one below: their spread is more than the error over problems.
    assert table[["pass_1_se", "pass_4_se"]].values.tolist() == [[1.0, 1.0]] * 2
    assert np.isnan(table.loc["S-20", "rl_score"])  # only GRPO, which has as many starts and comes second
    assert set(table["val_set"]) == {"validation"}


def test_problems_of_the_last_tests_of_rl():
    runs = runs_of(["base", "sft/S/seed_0", "rl/grpo/S-10/seed_0"])
    rows = [
        (run, step, benchmark, 7, correct)
        for run, step in (("sft/S/seed_0", 10), ("rl/grpo/S-10/seed_0", 2), ("rl/grpo/S-10/seed_0", 4))
        for benchmark in ("math", "trivia")
        for correct in (True, step == 2, True, False)
    ]
    samples = pd.DataFrame(rows, columns=["run", "step", "benchmark", "id", "correct"])
    table = problems(samples, runs, ["trivia"])
    assert table.to_dict("records") == [
        {"run": "rl/grpo/S-10/seed_0", "benchmark": "math", "id": "7", "n": 4, "c": 2, "value": 50.0}
    ]
    none = problems(samples, runs[:2], [])
    assert none.empty
    assert list(none) == list(table)


def test_a_study_without_rl_has_no_scores_after_it():
    rows = [("sft/S/seed_0", "sft", "S", 10, "avg", "overall", 50.0)]
    runs = pd.DataFrame([("sft/S/seed_0", "base", "S", "sft", 0, 0)], columns=RUN)
    losses = pd.DataFrame({"run": ["sft/S/seed_0"], "step": [10], "loss": [0.5], "exaflops": [1.0]})
    table = models_table(results(rows), losses, runs)
    assert table["rl_score"].isna().all()
    assert table["pass_1_se"].tolist() == [0.5]


def test_a_runs_name_says_what_it_is(tmp_path):
    points = pd.DataFrame({"run": ["rl/grpo/S-min_val_loss/seed_2"], "step": [0]})
    losses = pd.DataFrame(
        {"run": "sft/S/seed_2", "step": [0, 10], "loss": [0.9, 0.5], "exaflops": [0.0, 2.0]}
    )
    points.to_csv(tmp_path / "points.csv", index=False)
    losses.to_csv(tmp_path / "losses.csv", index=False)
    start = {"start_step": 10, "sft_exaflops": 2.0, "val_loss": 0.5}
    files.write_record(tmp_path / "run.json", {"status": "finished", "start": start, "outputs": {}})
    rl, sft = rl_row(str(tmp_path)), sft_row(str(tmp_path))
    assert rl == {
        "run": "rl/grpo/S-min_val_loss/seed_2", "parent": "sft/S/seed_2", "set": "S", "algorithm": "grpo",
        "seed": 2, "start_step": 10, "sft_exaflops": 2.0, "val_loss": 0.5, "status": "finished",
    }  # fmt: skip
    assert list(sft) == list(rl)
    assert (sft["parent"], sft["set"], sft["algorithm"], sft["seed"]) == ("base", "S", "sft", 2)
    assert (sft["sft_exaflops"], sft["val_loss"]) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("run", "fields"),
    [
        ("base", ["base", None, None, None, None]),
        ("sft/S/seed_1", ["sft", "S", None, "base", 1]),
        ("rl/grpo/S-10/seed_1", ["rl", "S", "grpo", "S-10", 1]),
        ("rl/grpo/base/seed_0", ["rl", None, "grpo", "base", 0]),
    ],
)
def test_results_carry_the_parts_of_the_runs_name(run, fields):
    samples = pd.DataFrame(
        {"benchmark": "math", "id": [0, 0, 1, 1], "correct": [True, False, True, True], "n_tokens": 5,
         "truncated": False, "verdict": "graded"}
    )  # fmt: skip
    table = result_rows(run, 10, samples, identify(runs_of([run])).loc[run], [], {"math": "easy"}, [2])
    first = table.iloc[0]
    found = first[["phase", "set", "algorithm", "start", "seed"]]
    assert found.where(found.notna(), None).tolist() == fields
    assert table["metric"].unique().tolist() == ["avg", "pass@2"]
    scores = table[table["benchmark"] == "overall"].set_index("metric")["score"]
    assert scores.to_dict() == {"avg": 75.0, "pass@2": 100.0}
