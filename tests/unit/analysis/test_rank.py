"""Ranking SFT models before any RL."""

import pandas as pd
import pytest

from switchpoint.analysis.predictors import (
    rank,
)
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
    assert found["notes"] == []
    assert "Run RL on b: highest pass_64 of 4." in show_rank(found)


def test_rank_by_a_given_k_notes_a_dropped_favourite():
    table = CANDIDATES.assign(pass_8=[60, 61, 62, 65, 64])
    found = rank(table, k=8)
    assert found["favourites"] == ["e"]
    assert found["notes"] == ["d was dropped although its pass_8 is higher than that of every model kept"]


def test_rank_ties_share_a_place_and_the_cheaper_comes_first():
    table = CANDIDATES.drop(columns="val_loss")
    found = rank(table)
    assert [(m["model"], m["place"], m["tied_with"]) for m in found["models"]] == [
        ("b", 1, []), ("d", 2, ["c"]), ("c", 2, ["d"]), ("a", 4, []), ("e", 5, []),
    ]  # fmt: skip
    assert found["filter"] == {"applied": False, "reason": "no column val_loss"}
    both = rank(table.assign(pass_64=90))
    assert len(both["favourites"]) == 5
    assert "Run RL on a or b or d or e or c" in show_rank(both)


def test_rank_filters_nothing_where_the_loss_says_nothing():
    found = rank(CANDIDATES.assign(set=list("aabbc")))
    assert found["n_dropped"] == 0
    assert found["filter"]["applied"] is False
    assert found["filter"]["reason"].startswith("the training sets differ (a, b, c)")
    assert "not applied (the training sets differ" in show_rank(found)
    assert rank(CANDIDATES.drop(columns="pass_1"))["filter"]["reason"] == "no column pass_1"


def test_rank_needs_a_large_k():
    assert rank(CANDIDATES.assign(pass_128=1))["predictor"] == "pass_128"
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
