"""What RL made of every start, and whether the validation loss foretells it."""

import numpy as np
import pandas as pd
import pytest
from named_runs import runs_of

from switchpoint.analysis.outcomes import highest_outcomes, loss_correlation, rl_outcomes, stable_starts

RUNS = ["run", "parent", "set", "algorithm", "seed", "start_step"]


def study(starts: dict[tuple[str, int, int], list[float]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points and runs of RL from (set, step, seed) with these scores, in the order of their compute."""
    rows, runs = [], []
    for (name, step, seed), scores in starts.items():
        run = f"rl/grpo/{name}-{step}/seed_{seed}"
        runs.append((run, f"sft/{name}/seed_{seed}", name, "grpo", seed, step))
        rows += [
            {"run": run, "phase": "rl", "benchmark": "overall", "exaflops": k, "score": score, "se": 1.0}
            for k, score in enumerate(scores)
        ]
    return pd.DataFrame(rows), pd.DataFrame(runs, columns=RUNS)


def fits(**ceilings: tuple[float | None, list]) -> dict:
    """Entries of ``fit_curves`` by <set>_<step>_<seed>."""
    entries = {}
    for key, (a, ends) in ceilings.items():
        name, step, seed = key.split("_")
        entries[f"rl/grpo/{name}-{step}/seed_{seed}"] = {"a": a, "a_ci95": ends}
    return {"runs": entries}


def test_a_ceiling_counts_where_every_seed_has_one():
    points, runs = study({("S", 10, 0): [50, 60], ("S", 10, 1): [52, 64], ("S", 20, 0): [50, 70]})
    found = fits(S_10_0=(70.0, [68.0, 72.0]), S_10_1=(74.0, [72.0, 76.0]), S_20_0=(None, [66.0, None]))
    first, second = rl_outcomes(points, found, runs).to_dict("records")
    assert (first["basis"], first["value"], first["p_start"], first["gain"]) == ("ceiling", 72.0, 51.0, 21.0)
    assert first["low"] == pytest.approx(72 - 1.96 * 2)  # the seeds' spread, 2, exceeds their own errors
    assert (first["final"], first["final_low"]) == (62.0, pytest.approx(62 - 1.96 * 2))
    assert (second["basis"], second["value"], second["gain"]) == ("final score", 70.0, 20.0)
    assert (second["low"], second["high"]) == pytest.approx((70 - 1.96, 70 + 1.96))


def test_two_names_of_one_start_count_once():
    points, runs = study({("S", 10, 0): [50, 60]})
    again = "rl/grpo/S-min_val_loss/seed_0"
    points = pd.concat([points, points.assign(run=again, score=points["score"] + 8)])
    runs = pd.concat([runs, runs.assign(run=again)])
    assert rl_outcomes(points, {"runs": {}}, runs)["final"].tolist() == [60.0]


def test_without_rl_there_is_no_outcome():
    points, runs = study({("S", 10, 0): [50, 60]})
    outcomes = rl_outcomes(points[:0], {"runs": {}}, runs)
    assert outcomes.empty
    highest = highest_outcomes(
        pd.DataFrame({"run": ["sft/S/seed_0"], "step": [10], "loss": [0.5]}), outcomes, runs
    )
    assert highest.empty
    assert loss_correlation(highest)["n"] == 0


LOSSES = pd.DataFrame(
    {
        "run": ["sft/A/seed_0", "sft/A/seed_0", "sft/A/seed_1", "sft/B/seed_0"],
        "step": [10, 20, 20, 10],
        "loss": [0.5, 0.4, 0.6, 0.3],
    }
)


def with_sft(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs and those whose losses there are."""
    return pd.concat([runs, runs_of(LOSSES["run"])])


def test_sets_are_compared_on_ceilings_if_all_have_one():
    points, runs = study({("A", 10, 0): [50, 60], ("A", 20, 0): [50, 62], ("B", 10, 0): [50, 58]})
    both = fits(A_10_0=(70.0, [68.0, 72.0]), A_20_0=(66.0, [64.0, 68.0]), B_10_0=(68.0, [66.0, 70.0]))
    highest = highest_outcomes(LOSSES, rl_outcomes(points, both, runs), with_sft(runs))
    assert highest[["set", "start_step", "value"]].to_numpy().tolist() == [["A", 10, 70.0], ["B", 10, 68.0]]
    assert highest["loss"].tolist() == pytest.approx([0.5, 0.3])  # of A the mean of its seeds' lowest
    assert set(highest["basis"]) == {"ceiling"}
    of_one = fits(A_10_0=(70.0, [68.0, 72.0]))
    highest = highest_outcomes(LOSSES, rl_outcomes(points, of_one, runs), with_sft(runs))
    assert highest[["start_step", "value"]].to_numpy().tolist() == [[20, 62.0], [10, 58.0]]
    assert set(highest["basis"]) == {"final score"}


def test_a_correlation_needs_four_sets():
    losses, sets = np.array([0.1, 0.2, 0.3, 0.5]), list("ABCD")
    highest = pd.DataFrame({"set": sets, "loss": losses, "value": 70 - losses})
    highest["stable_value"] = np.nan
    assert loss_correlation(highest)["pearson"] == pytest.approx(-1)
    few = {"of": "highest", "n": 3, "verdict": "undefined: 3 sets, fewer than 4"}
    assert loss_correlation(highest[:3]) == few
    assert "same in all sets" in loss_correlation(highest.assign(value=70.0))["verdict"]


def test_the_mean_over_stable_starts_leads_where_every_set_has_one():
    highest = pd.DataFrame({"set": list("ABCD"), "loss": [0.1, 0.2, 0.3, 0.5], "value": [70, 75, 71, 80]})
    found = loss_correlation(highest.assign(stable_value=70 - highest["loss"]))
    assert (found["of"], found["pearson"]) == ("mean over stable starts", pytest.approx(-1))
    assert found["highest"]["pearson"] == pytest.approx(np.corrcoef(highest["loss"], highest["value"])[0, 1])
    one_without = loss_correlation(highest.assign(stable_value=[70, 71, 72, np.nan]))
    assert (one_without["of"], one_without["pearson"]) == ("highest", found["highest"]["pearson"])


def test_the_mean_over_stable_starts_stands_beside_the_highest():
    """By hand: steps 20 and 30 are stable (0.4 and 0.405); their last scores are 62 and 60, that of step 10 is 66."""
    points, runs = study(
        {("A", 10, 0): [50, 66], ("A", 20, 0): [50, 62], ("A", 30, 0): [50, 60], ("B", 10, 0): [50, 58]}
    )
    losses = pd.DataFrame({
        "run": ["sft/A/seed_0"] * 3 + ["sft/B/seed_0"] * 2, "step": [10, 20, 30, 10, 20],
        "loss": [0.5, 0.4, 0.405, 0.5, 0.3],
    })  # fmt: skip
    named = pd.concat([runs, runs_of(losses["run"])])
    assert stable_starts(losses, named) == {("A", 20), ("A", 30), ("B", 20)}
    first, second = highest_outcomes(losses, rl_outcomes(points, {"runs": {}}, runs), named).to_dict(
        "records"
    )
    assert (first["start_step"], first["value"]) == (10, 66.0)
    assert (first["n_stable"], first["stable_value"]) == (2, 61.0)
    assert first["stable_low"] == pytest.approx(
        61 - 1.96
    )  # errors of 1, which shared problems do not average out
    assert (second["value"], second["n_stable"]) == (58.0, 0)
    assert np.isnan(second["stable_value"])


def test_stable_is_judged_on_the_mean_loss_of_the_seeds():
    losses = pd.DataFrame({"run": [f"sft/A/seed_{seed}" for seed in (0, 0, 1, 1)], "step": [10, 20] * 2,
                           "loss": [0.5, 0.3, 0.3, 0.49]})  # fmt: skip
    assert stable_starts(losses, runs_of(losses["run"])) == {("A", 20), ("A", 10)}  # 0.4 and 0.395


def test_scores_on_the_test_problems_count_where_there_are_any():
    points, runs = study({("A", 10, 0): [50, 60], ("B", 10, 0): [50, 58]})
    both = fits(A_10_0=(70.0, [68.0, 72.0]), B_10_0=(68.0, [66.0, 70.0]))
    results = pd.DataFrame(
        [("sft/A/seed_0", "sft", 10, 41.0), ("sft/B/seed_0", "sft", 10, 42.0),
         ("rl/grpo/A-10/seed_0", "rl", 7, 51.0), ("rl/grpo/B-10/seed_0", "rl", 7, 55.0)],
        columns=["run", "phase", "step", "score"],
    ).assign(metric="avg", benchmark="overall", se=1.0)  # fmt: skip
    outcomes = rl_outcomes(points, both, runs, results)
    assert outcomes[["p_start", "basis", "value", "gain"]].to_numpy().tolist() == [
        [41.0, "test score", 51.0, 10.0],
        [42.0, "test score", 55.0, 13.0],
    ]
    highest = highest_outcomes(LOSSES, outcomes, with_sft(runs))
    assert set(highest["basis"]) == {"test score"}
    assert highest["value"].tolist() == [51.0, 55.0]
