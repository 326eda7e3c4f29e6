import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint.errors import InputError
from switchpoint.phases import label_phases, min_val_loss_step

# Validation losses read from the published figure, by SFT step.
PUBLISHED = {
    "S1K": {0: 0.71, 62: 0.52, 124: 0.51, 186: 0.53, 248: 0.55, 310: 0.56},
    "Easy": {0: 0.71, 360: 0.45, 720: 0.44, 1080: 0.46, 1440: 0.47, 1800: 0.47, 6120: 0.87},
    "Uniform": {0: 0.71, 360: 0.43, 720: 0.42, 1080: 0.43, 1440: 0.44, 1800: 0.44},
    "Hard": {0: 0.71, 360: 0.42, 720: 0.40, 1080: 0.40, 1440: 0.40, 1800: 0.40},
}


def table(runs: dict) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"run": run, "step": step, "loss": loss}
            for run, losses in runs.items()
            for step, loss in losses.items()
        ]
    )


def label(losses: dict) -> dict:
    return label_phases(table({"r": losses}))["runs"]["r"]


def test_published_losses():
    runs = label_phases(table(PUBLISHED))["runs"]
    labels = {run: " ".join(found["labels"].values()) for run, found in runs.items()}
    assert labels == {
        "S1K": "adaptive stable stable mild mild mild",
        # The figure shades Easy at 360 stable; its two decimals (.45/.44 = 1.023) do not.
        "Easy": "adaptive adaptive stable mild mild mild severe",
        "Uniform": "adaptive adaptive stable mild mild mild",
        "Hard": "adaptive adaptive stable stable stable stable",
    }
    assert runs["S1K"]["stable"] == [62, 124]
    assert (runs["Hard"]["loss_min"], runs["Hard"]["step_min"]) == (0.40, 720)
    assert runs["Easy"]["guarded"] == runs["Easy"]["labels"]  # severe at the end needs no second point
    json.dumps(runs, allow_nan=False)


def test_gap_inside_the_stable_window():
    found = label({0: 2.0, 10: 1.0, 20: 1.05, 30: 1.2, 40: 1.01, 50: 1.05})
    assert list(found["labels"].values()) == ["adaptive", "stable", "gap", "gap", "stable", "mild"]
    assert found["stable"] == [10, 40]


def test_thresholds_are_taken_as_written():
    """0.44 is 1.10 times 0.40, and 0.408 is 1.02 times it, whatever binary floats say."""
    assert label({1: 0.40, 2: 0.408, 3: 0.44})["labels"] == {"1": "stable", "2": "stable", "3": "severe"}
    assert label({1: 0.40, 2: 0.4081, 3: 0.4399})["labels"] == {"1": "stable", "2": "mild", "3": "mild"}


def test_lone_spike_is_guarded():
    losses = {1: 1.0, 2: 1.2, 3: 1.05, 4: 1.2, 5: 1.3, 6: 1.05, 7: 1.2}
    found = label(losses)
    assert list(found["labels"].values()) == [
        "stable",
        "severe",
        "mild",
        "severe",
        "severe",
        "mild",
        "severe",
    ]
    assert list(found["guarded"].values()) == ["stable", "mild", "mild", "severe", "severe", "mild", "severe"]


def test_one_point_and_stable_start():
    assert label({0: 1.5}) == {
        "loss_min": 1.5, "step_min": 0, "stable": [0, 0], "labels": {"0": "stable"}, "guarded": {"0": "stable"},
    }  # fmt: skip
    assert label({0: 1.01, 5: 1.0})["labels"]["0"] == "stable"


def test_rows_in_any_order_and_first_of_equal_minima():
    shuffled = table({"a": {30: 0.5, 0: 0.9, 20: 0.5}, "b": {3: 1.0}}).iloc[[2, 0, 3, 1]]
    runs = label_phases(shuffled)["runs"]
    assert list(runs["a"]["labels"]) == ["0", "20", "30"]
    assert runs["a"]["step_min"] == 20
    assert min_val_loss_step(shuffled[shuffled["run"] == "a"]) == 20
    with pytest.raises(InputError, match="2 runs"):
        min_val_loss_step(shuffled)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("loss", np.nan, "row 2 .line 3, run r.: loss is .*nan"),
        ("loss", "high", "row 2 .*'high'; give a finite number"),
        ("loss", 0.0, "row 2 .*positive"),
        ("step", 1.5, "row 2 .*whole number"),
        ("step", -1, "row 2 .*whole number"),
        ("step", 0, "row 2 .*keep one row"),
        ("run", None, "row 2 .*name the run"),
    ],
)
def test_bad_row_is_named(column, value, message):
    losses = table({"r": {0: 1.0, 10: 0.8, 20: 0.7}}).astype(object)
    losses.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        label_phases(losses)


def test_bad_table():
    with pytest.raises(InputError, match="no column loss"):
        label_phases(pd.DataFrame({"run": ["r"], "step": [1]}))
    with pytest.raises(InputError, match="no rows"):
        label_phases(pd.DataFrame(columns=["run", "step", "loss"]))


losses_strategy = st.lists(st.floats(0.1, 3.0), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(losses_strategy)
def test_labels_partition_the_steps_in_order(losses):
    found = label(dict(enumerate(losses)))
    order = " ".join(found["labels"].values())
    assert list(found["labels"]) == [str(step) for step in range(len(losses))]
    stable = [int(step) for step, name in found["labels"].items() if name == "stable"]
    assert found["stable"] == [stable[0], stable[-1]]
    assert found["step_min"] in stable
    for step, name in enumerate(order.split()):
        where = "adaptive" if step < stable[0] else "gap" if step < stable[-1] else None
        allowed = {"stable", where} if where else {"stable", "mild", "severe"}
        assert name in allowed
    changed = {step for step, name in found["labels"].items() if name != found["guarded"][step]}
    assert all(found["labels"][s] == "severe" and found["guarded"][s] == "mild" for s in changed)


@settings(max_examples=50, deadline=None)
@given(losses_strategy, st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**20]))
def test_labels_do_not_depend_on_the_unit_of_loss(losses, scale):
    assert (
        label(dict(enumerate(losses)))["labels"]
        == label({s: v * scale for s, v in enumerate(losses)})["labels"]
    )
