"""Ranking SFT models before any RL."""

import json
import math
import random

import numpy as np
import pandas as pd
import pytest
import sft_models
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from switchpoint.analysis.ranking import FILTER_REGRET, error_of, rank
from switchpoint.errors import InputError
from switchpoint.report.predictors_text import show_rank

CANDIDATES = pd.DataFrame(
    {
        "model": ["a", "b", "c", "d", "e"],
        "pass_1": [50, 45, 55, 45, 40],
        "pass_8": [60, 61, 62, 63, 64],
        "pass_64": [80, 90, 85, 85, 70],
        "val_loss": [0.40, 0.40, 0.45, 0.50, 0.35],
        "exaflops": [1, 2, 9, 4, 5],
    }
)


def test_rank_by_hand():
    found = rank(CANDIDATES)
    # d (45, .50) is worse than a (50, .40) on both counts; b only equals a's loss; e has the lowest loss.
    assert found["predictor"] == "pass_64"
    assert [(m["model"], m["place"]) for m in found["models"]] == [
        ("b", 1), ("c", 2), ("a", 3), ("e", 4), ("d", None),
    ]  # fmt: skip
    assert found["models"][-1]["dropped"] == "pass_1 45 < 50 and val_loss 0.5 > 0.4 of a"
    assert (found["n_kept"], found["n_dropped"], found["favourites"]) == (4, 1, ["b"])
    assert found["notes"] == [
        "ties in pass_64 and pass_1 could not be told, and any difference counts: add pass_64_se and pass_1_se, standard "
        "errors in points, or n, the number of problems"
    ]
    assert found["noise"] == {"level": 0.95, "errors": {"pass_64": None, "pass_1": None, "val_loss": None}}
    assert "Run RL on b: highest pass_64 of 4." in show_rank(found)


def test_what_the_filter_costs_is_said_where_it_is_applied():
    found = rank(CANDIDATES)
    for regret in found["filter_regret"].values():
        assert f"{regret['with_filter']:g} and {regret['pass_64_alone']:g} where " in show_rank(found)
    found = rank(CANDIDATES.drop(columns="val_loss"))
    assert found["filter_regret"] is None
    assert "simulations" not in show_rank(found)


@pytest.mark.parametrize(("world", "case"), [("Quagmires", 0), ("one good, two of noise", 1)])
def test_the_regret_that_is_said_is_that_of_simulations(world, case):
    rng, lost = np.random.default_rng(1), []
    for _ in range(60):
        table = sft_models.models(rng, 12, world)
        scores = table.set_index("model")["rl_score"]
        given = table.drop(columns="rl_score")
        first = [rank(one)["models"][0]["model"] for one in (given, given.drop(columns="val_loss"))]
        lost.append(scores.max() - scores[first])
    said = list(FILTER_REGRET.values())[case]
    error = np.std(lost, axis=0) / math.sqrt(60)
    assert np.all(np.abs(np.mean(lost, axis=0) - list(said.values())) < 3 * error + 0.05)


def test_rank_by_a_given_k_notes_a_dropped_favourite():
    table = CANDIDATES.assign(pass_8=[60, 61, 62, 65, 64])
    found = rank(table, k=8)
    assert found["favourites"] == ["e"]
    assert found["notes"][1:] == ["d was dropped although its pass_8 is higher than that of every model kept"]


def test_rank_ties_share_a_place_and_the_cheaper_comes_first():
    table = CANDIDATES.drop(columns="val_loss")
    found = rank(table)
    assert [(m["model"], m["place"], m["tied_with"]) for m in found["models"]] == [
        ("b", 1, []), ("d", 2, ["c"]), ("c", 2, ["d"]), ("a", 4, []), ("e", 5, []),
    ]  # fmt: skip
    assert found["filter"] == {"applied": False, "reason": "no column val_loss"}
    both = rank(table.assign(pass_64=90))
    assert len(both["favourites"]) == 5
    assert "Run RL on a, b, d, e or c" in show_rank(both)


def test_rank_filters_nothing_where_the_loss_says_nothing():
    found = rank(CANDIDATES.assign(set=list("aabbc")))
    assert found["n_dropped"] == 0
    assert found["filter"]["applied"] is False
    assert found["filter"]["reason"].startswith("the training sets differ (a, b, c)")
    assert "not applied (the training sets differ" in show_rank(found)
    assert rank(CANDIDATES.drop(columns="pass_1"))["filter"]["reason"] == "no column pass_1"


def test_rank_needs_a_large_k():
    assert rank(CANDIDATES.assign(pass_128=100))["predictor"] == "pass_128"
    with pytest.raises(
        InputError, match="no pass_16 to rank by; the columns with k above 1 are: pass_8, pas"
    ):
        rank(CANDIDATES, k=16)
    with pytest.raises(InputError, match="no pass_1 to rank by"):
        rank(CANDIDATES, k=1)
    with pytest.raises(InputError, match="no pass_<k> to rank by; the columns with k above 1 are: none"):
        rank(CANDIDATES[["model", "val_loss"]])


def test_rank_without_a_large_k_falls_back_on_pass_at_1_and_says_so():
    found = rank(CANDIDATES[["model", "pass_1", "val_loss"]])
    assert found["predictor"] == "pass_1"
    assert found["favourites"] == [CANDIDATES["model"][CANDIDATES["pass_1"].argmax()]]
    assert found["notes"][0].startswith("ranked by pass_1, which foretells RL poorly")


def test_a_pass_at_k_below_that_of_a_smaller_k_is_said():
    table = CANDIDATES.assign(pass_64=CANDIDATES["pass_8"].where(CANDIDATES["model"] != "c", 0.5))
    assert rank(table)["notes"][-1].startswith(
        "pass_64 lies below pass_8 for c: on the same samples it cannot"
    )
    assert not any("lies below" in note for note in rank(CANDIDATES)["notes"])


# --- noise


def places(found: dict) -> list[tuple]:
    return [(model["model"], model["place"]) for model in found["models"]]


def test_two_models_by_hand():
    """With two models Dunnett's value is the normal's: 1.645 standard errors of the difference."""
    table = pd.DataFrame({"model": ["a", "b"], "pass_64": [80.0, 84.0], "pass_64_se": [1.5, 2.0]})
    limit = stats.norm.ppf(0.95) * 2.5
    assert limit == pytest.approx(4.112, abs=1e-3)
    found = rank(table)
    assert places(found) == [("b", 1), ("a", 1)]
    assert found["favourites"] == ["b", "a"]
    assert [model["tied_with"] for model in found["models"]] == [["a"], ["b"]]
    assert [model["pass_64_se"] for model in found["models"]] == [2.0, 1.5]
    assert found["noise"]["errors"] == {"pass_64": "pass_64_se"}
    assert found["notes"] == []
    assert "Run RL on b or a: highest pass_64 of 2, and what cannot be told from it." in show_rank(found)
    apart = rank(table.assign(pass_64=[80.0, 80.0 + 1.01 * limit]))
    assert places(apart) == [("b", 1), ("a", 2)]
    assert [model["tied_with"] for model in apart["models"]] == [[], []]
    assert places(rank(table.assign(pass_64=[80.0, 80.0 + 0.99 * limit]))) == [("b", 1), ("a", 1)]


def test_only_what_is_worse_beyond_noise_is_dropped():
    # d is 5 below a and 10 below c on pass_1, and of a higher loss than both.
    large, small = rank(CANDIDATES.assign(se=4.0)), rank(CANDIDATES.assign(se=1.0))
    assert (large["n_dropped"], small["n_dropped"]) == (0, 1)
    spared = {model["model"]: model["spared"] for model in large["models"]}
    assert spared == dict.fromkeys("abce") | {"d": "pass_1 45 < 50 and val_loss 0.5 > 0.4 of a"}
    assert "d is kept, within noise: pass_1 45 < 50 and val_loss 0.5 > 0.4 of a." in show_rank(large)
    assert small["models"][-1]["dropped"] == "pass_1 45 < 50 and val_loss 0.5 > 0.4 of a"
    assert all(model["spared"] is None for model in small["models"])
    assert small["notes"] == ["val_loss has no standard error and counts as exact; add val_loss_se"]
    # Between the two only c, which is 10 higher, is clearly better.
    middle = rank(CANDIDATES.assign(se=2.5))
    assert middle["models"][-1]["dropped"] == "pass_1 45 < 55 and val_loss 0.5 > 0.45 of c"
    # The loss has noise, too.
    assert rank(CANDIDATES.assign(se=1.0, val_loss_se=0.1))["n_dropped"] == 0
    assert rank(CANDIDATES.assign(se=1.0, val_loss_se=0.001))["n_dropped"] == 1
    # An own error wins over the common one.
    assert rank(CANDIDATES.assign(se=4.0, pass_1_se=1.0))["n_dropped"] == 1


def test_the_error_of_the_number_of_problems():
    table = pd.DataFrame({"pass_1": [50.0, 90.0, 0.0, 100.0], "n": [400.0, 400, 400, 400]})
    source, errors = error_of(table, "pass_1")
    assert source == "n"
    assert errors[:2] == pytest.approx([2.5, 100 * math.sqrt(362 / 404 * 42 / 404 / 400)])
    assert errors[2:] == pytest.approx([100 * math.sqrt(2 / 404 * 402 / 404 / 400)] * 2)
    assert error_of(table.assign(se=1.0), "pass_1")[0] == "se"
    assert error_of(table, "val_loss") == (None, None)
    # With 60 problems 45 and 55 cannot be told apart, with 5,000 times as many they can.
    assert rank(CANDIDATES.assign(n=60))["n_dropped"] == 0
    assert rank(CANDIDATES.assign(n=300_000))["n_dropped"] == 1


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("pass_1_se", -1, "row 2 .*pass_1_se is -1.0; give the standard error in points, 0 or more"),
        ("se", 101, "row 2 .*se is 101.0; give the standard error in points"),
        ("se", None, "row 2 .*se is nan; give a finite number"),
        ("n", 0, "row 2 .*n is 0.0; give the number of problems"),
        ("n", 1.5, "row 2 .*n is 1.5; give the number of problems"),
        ("val_loss_se", -0.1, "row 2 .*val_loss_se is -0.1; give the standard error of the loss"),
    ],
)
def test_a_bad_error_is_named(column, value, message):
    table = CANDIDATES.assign(**{column: 1.0})
    table.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        rank(table)


def test_the_best_is_kept_95_times_in_100():
    """Five models of one pass@1, and losses that all say the same: nothing may be dropped."""
    rng, kept = np.random.default_rng(0), []
    for _ in range(300):
        scores = 50 + 2 * rng.normal(size=5)
        table = pd.DataFrame({"model": list("abcde"), "pass_1": scores, "pass_1_se": 2.0})
        table["val_loss"] = [0.5, 0.4, 0.4, 0.4, 0.4]  # a has the highest
        kept.append(rank(table)["models"][-1]["dropped"] is None)
    assert np.mean(kept) >= 0.93
    assert not all(kept)


points = st.integers(0, 100).map(float)
candidates = st.lists(
    st.tuples(points, points, st.integers(1, 4), st.sampled_from([0.0, 0.5, 2.0, 9.0])),
    min_size=1,
    max_size=7,
)


def made(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["pass_1", "pass_8", "val_loss", "se"], dtype=float)
    table["pass_8"] = table[["pass_1", "pass_8"]].max(axis=1)
    return table.assign(model=[f"m{i}" for i in range(len(table))]).pipe(above_fractions)


def above_fractions(table: pd.DataFrame) -> pd.DataFrame:
    """With one more model whose scores are points for sure, and the lowest."""
    return pd.concat(
        [table, pd.DataFrame([(2.0, 2.0, 9.0, 1.0, "z")], columns=table.columns)], ignore_index=True
    )


@settings(max_examples=60, deadline=None)
@given(candidates, st.floats(1, 10))
def test_larger_errors_never_drop_or_rank_more(rows, factor):
    table = made(rows)
    few, many = rank(table), rank(table.assign(se=factor * table["se"]))
    json.dumps(few, allow_nan=False)
    dropped = [{m["model"] for m in found["models"] if m["dropped"]} for found in (few, many)]
    assert dropped[1] <= dropped[0]
    assert many["n_kept"] + many["n_dropped"] == len(table)
    exact = rank(table.drop(columns="se"))
    assert dropped[0] <= {m["model"] for m in exact["models"] if m["dropped"]}
    # Whom noise spares is said, and stands in no two lists.
    for found in (few, many):
        spared = {m["model"] for m in found["models"] if m["spared"]}
        assert spared | {m["model"] for m in found["models"] if m["dropped"]} == {
            m["model"] for m in exact["models"] if m["dropped"]
        }
    # The kept model of the highest score is always first.
    best = max((m for m in few["models"] if not m["dropped"]), key=lambda m: m["pass_8"])
    assert best["place"] == 1
    for entry in few["models"]:
        assert all(
            entry["model"] in next(m for m in few["models"] if m["model"] == other)["tied_with"]
            for other in entry["tied_with"]
        )


@settings(max_examples=40, deadline=None)
@given(candidates, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows, shuffle: random.Random):
    table = made(rows)
    order = list(range(len(table)))
    shuffle.shuffle(order)
    assert rank(table.iloc[order]) == rank(table)
