import io
import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from switchpoint.analysis import phases
from switchpoint.analysis.phases import label_phases, provisional, watch_losses
from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.report.terminal import span

# Validation losses by SFT step, read from the pixels of RETU's camera-ready figure (+-0.002).
PUBLISHED = {
    "SFT889K": {
        0: 0.71, 360: 0.46, 720: 0.43, 1080: 0.42, 1440: 0.41, 1800: 0.40, 3600: 0.38, 5400: 0.373,
        7200: 0.37, 9000: 0.37, 10800: 0.37, 12600: 0.37, 14080: 0.37,
    },
    "S1K": {0: 0.71, 62: 0.52, 124: 0.51, 186: 0.53, 248: 0.55, 310: 0.56},
    "Easy": {0: 0.71, 360: 0.45, 720: 0.44, 1080: 0.46, 1440: 0.47, 1800: 0.47, 6120: 0.87},
    "Uniform": {0: 0.71, 360: 0.43, 720: 0.42, 1080: 0.43, 1440: 0.44, 1800: 0.44},
    "Hard": {0: 0.71, 360: 0.42, 720: 0.40, 1080: 0.40, 1440: 0.40, 1800: 0.40},
}  # fmt: skip
# The shading of the same figure; step 0 is adaptive by definition.
SHADED = {
    "SFT889K": "adaptive " * 8 + "stable " * 5,
    "S1K": "adaptive stable stable mild mild mild",
    "Easy": "adaptive stable stable mild mild mild severe",
    "Uniform": "adaptive adaptive stable stable mild mild",
    "Hard": "adaptive adaptive stable stable stable stable",
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


def test_the_sequence_mean_stands_beside_the_token_mean():
    """By hand: 8 nats on 2 tokens and 6 on 6 are 14 / 8 = 1.75 a token, and (4 + 1) / 2 = 2.5 by example."""
    examples = pd.DataFrame(
        [("r", 0, "a", 8.0, 2), ("r", 0, "b", 6.0, 6), ("r", 5, "a", 2.0, 2), ("r", 5, "b", 6.0, 6)],
        columns=["run", "step", "example", "nll", "tokens"],
    )
    found = label_phases(table({"r": {0: 1.75, 5: 1.0}}), examples)["runs"]["r"]
    assert found["sequence_loss"] == {"0": 2.5, "5": 1.0}
    assert "sequence_loss" not in label({0: 1.75, 5: 1.0})


def test_published_losses():
    runs = label_phases(table(PUBLISHED))["runs"]
    disagreements = {
        (run, step): (label, shade)
        for run, found in runs.items()
        for (step, label), shade in zip(found["labels"].items(), SHADED[run].split(), strict=True)
        if label != shade
    }
    assert disagreements == {
        ("SFT889K", "5400"): ("stable", "adaptive"),  # .373 / .37 = 1.008
        ("Easy", "360"): ("adaptive", "stable"),  # .45 / .44 = 1.023
        ("Uniform", "1080"): ("mild", "stable"),  # .43 / .42 = 1.024; at 360 the same loss is adaptive
    }
    assert runs["S1K"]["stable"] == [62, 124]
    assert (runs["Hard"]["loss_min"], runs["Hard"]["step_min"]) == (0.40, 720)
    assert runs["Easy"]["guarded"] == runs["Easy"]["labels"]  # severe at the end needs no second point
    json.dumps(runs, allow_nan=False)


def test_gap_inside_the_stable_window():
    found = label({0: 2.0, 10: 1.0, 20: 1.05, 30: 1.2, 40: 1.01, 50: 1.05})
    assert list(found["labels"].values()) == ["adaptive", "stable", "gap", "gap", "stable", "mild"]
    assert found["stable"] == [10, 40]
    assert (found["windows"], found["first_window_end"]) == ([[10, 10], [40, 40]], 10)


def test_every_stable_window_is_listed():
    found = label({0: 1.01, 5: 1.0, 10: 1.3, 15: 1.0, 20: 1.05, 25: 1.02, 30: 1.01, 35: 1.0})
    assert found["windows"] == [[0, 5], [15, 15], [25, 35]]
    assert (found["stable"], found["first_window_end"]) == ([0, 35], 5)


def test_a_step_without_a_loss_is_excluded_and_counted():
    gaps = {0: None, 10: 1.0, 20: None, 30: 1.01, 40: 1.05}
    found = label(gaps)
    kept = label({step: loss for step, loss in gaps.items() if loss})
    assert found == kept | {"n_excluded": 2, "excluded": [0, 20]}
    assert found["windows"] == [[10, 30]]  # what is missing interrupts nothing
    with pytest.raises(InputError, match=r"row 3 .*run b.: loss is nan; no step of the run has a loss"):
        label_phases(table({"a": gaps, "b": {0: None, 5: None}}).iloc[[0, 1, 5, 6]])


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
        "loss_min": 1.5, "step_min": 0, "stable": [0, 0], "labels": {"0": "stable"},
        "guarded": {"0": "stable"},
        "windows": [[0, 0]], "first_window_end": 0, "n_excluded": 0, "excluded": [],
    }  # fmt: skip
    assert label({0: 1.01, 5: 1.0})["labels"]["0"] == "stable"


def test_rows_in_any_order_and_first_of_equal_minima():
    shuffled = table({"a": {30: 0.5, 0: 0.9, 20: 0.5}, "b": {3: 1.0}}).iloc[[2, 0, 3, 1]]
    runs = label_phases(shuffled)["runs"]
    assert list(runs["a"]["labels"]) == ["0", "20", "30"]
    assert runs["a"]["step_min"] == 20


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("loss", np.inf, "row 2 .line 3, run r.: loss is inf; give a finite number"),
        ("loss", "high", "row 2 .*'high'; give a finite number, or none to exclude the step"),
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


# Per-example losses: {step: {example: (nll, tokens)}}.
TWO = {1: {"a": (1.0, 1), "b": (3.0, 1)}, 2: {"a": (3.0, 1), "b": (1.0, 1)}}


def by_example(runs: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The losses and the examples' table of {run: {step: {example: (nll, tokens)}}}."""
    examples = pd.DataFrame(
        [
            {"run": run, "step": step, "example": example, "nll": nll, "tokens": tokens}
            for run, steps in runs.items()
            for step, rows in steps.items()
            for example, (nll, tokens) in rows.items()
        ]
    )
    totals = examples.groupby(["run", "step"], sort=False)[["nll", "tokens"]].sum().reset_index()
    return totals.assign(loss=totals["nll"] / totals["tokens"])[["run", "step", "loss"]], examples


def test_stability_of_two_examples_by_hand():
    """Both losses are 2.  A draw takes a twice (1 in 4): 1 and 3; b twice: 3 and 1; or both: 2 and 2."""
    found = label_phases(*by_example({"r": TWO}))["runs"]["r"]
    assert found["labels"] == {"1": "stable", "2": "stable"}
    assert found["stability"]["1"] == pytest.approx({"stable": 0.75, "adaptive": 0.25}, abs=0.05)
    assert found["stability"]["2"] == pytest.approx({"stable": 0.75, "severe": 0.25}, abs=0.05)
    assert found["certain"] == {step: shares["stable"] for step, shares in found["stability"].items()}
    assert found["minimum"] == pytest.approx({"1": 0.75, "2": 0.25}, abs=0.05)
    assert found["step_min_set95"] == [1, 2]
    json.dumps(found, allow_nan=False)


def test_an_example_known_by_heart():
    """Its loss is 0 at both steps: a draw of nothing else (1 in 4) is stable at both, the others are not."""
    steps = {1: {"a": (0.0, 1), "b": (1.0, 1)}, 2: {"a": (0.0, 1), "b": (1.05, 1)}}
    found = label_phases(*by_example({"r": steps}))["runs"]["r"]
    assert found["stability"]["1"] == {"stable": 1.0}
    assert found["stability"]["2"] == pytest.approx({"stable": 0.25, "mild": 0.75}, abs=0.05)


def test_draws_weigh_examples_by_their_tokens():
    """a is long and its loss is 1 and 1.05; b is short and would turn the order round as an equal."""
    steps = {1: {"a": (99.0, 99), "b": (3.0, 1)}, 2: {"a": (103.95, 99), "b": (1.0, 1)}}
    found = label_phases(*by_example({"r": steps}))["runs"]["r"]
    # By token means step 2 is lowest only when b is drawn twice: (1.0 < 3.0), 1 in 4.
    assert found["minimum"] == pytest.approx({"1": 0.75, "2": 0.25}, abs=0.05)


def test_a_draw_is_the_same_for_all_steps():
    """Every example's loss rises by the same 1.5 %: certain, however much the examples differ."""
    losses = np.random.default_rng(0).lognormal(0, 2, 30)
    steps = {step: {i: (loss * 1.015**step, 7) for i, loss in enumerate(losses)} for step in (0, 1, 2)}
    found = label_phases(*by_example({"r": steps}))["runs"]["r"]
    assert found["stability"] == {"0": {"stable": 1.0}, "1": {"stable": 1.0}, "2": {"mild": 1.0}}
    assert found["minimum"] == {"0": 1.0, "1": 0.0, "2": 0.0}
    assert found["step_min_set95"] == [0]


def test_stability_agrees_with_a_bootstrap_written_out():
    rng = np.random.default_rng(1)
    tokens = rng.integers(5, 50, 20)
    loss = np.array([0.9, 0.5, 0.49, 0.5, 0.53]) * rng.lognormal(0, 0.15, (20, 5))
    steps = {10 * k: {i: (loss[i, k] * tokens[i], tokens[i]) for i in range(20)} for k in range(5)}
    found = label_phases(*by_example({"r": steps}))["runs"]["r"]
    drawn = []
    for _ in range(1000):
        chosen = rng.integers(0, 20, 20)
        drawn.append([sum(rows[i][0] for i in chosen) / tokens[chosen].sum() for rows in steps.values()])
    labels = np.array([phases.label_losses(np.array(one)) for one in drawn])
    for k, shares in enumerate(found["stability"].values()):
        expected = {name: (labels[:, k] == name).mean() for name in phases.LABELS}
        assert dict.fromkeys(phases.LABELS, 0.0) | shares == pytest.approx(expected, abs=0.07)


example_losses = st.lists(
    st.lists(st.floats(0.1, 3.0), min_size=4, max_size=4), min_size=1, max_size=6
)  # per example, at four steps


@settings(max_examples=15, deadline=None)
@given(example_losses, st.randoms(use_true_random=False))
def test_shares_are_shares_whatever_the_order_of_rows(values, random):
    steps = {step: {i: (row[step], 1 + i) for i, row in enumerate(values)} for step in range(4)}
    losses, examples = by_example({"r": steps, "s": steps})
    found = label_phases(losses, examples)["runs"]
    order = random.sample(range(len(examples)), len(examples))
    assert label_phases(losses, examples.iloc[order])["runs"] == found
    assert found["r"] == found["s"]  # the draw depends on the examples alone
    one = found["r"]
    for step, shares in one["stability"].items():
        assert sum(shares.values()) == pytest.approx(1)
        assert one["certain"][step] == shares.get(one["labels"][step], 0.0)
    assert sum(one["minimum"].values()) == pytest.approx(1)
    covered = sum(one["minimum"][str(step)] for step in one["step_min_set95"])
    assert covered >= 0.95 - 1e-9
    least = min(one["minimum"][str(step)] for step in one["step_min_set95"])
    assert covered - least < 0.95


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("example", None, "row 2 .*name the validation example"),
        ("example", "a", "row 2 .line 3, run r.: example is 'a'; its step has this example already"),
        ("step", 3, "row 2 .*step is 3; the losses have no such step of this run"),
        ("run", "other", "row 2 .*the losses have no such step of this run"),
        ("step", 2.5, "row 2 .*whole number"),
        ("nll", -1.0, "row 2 .*nll is -1.0; give the summed"),
        ("nll", np.nan, "row 2 .*nll is nan; give the summed"),
        ("tokens", 0, "row 2 .*tokens is 0; give the number of scored tokens"),
        ("tokens", 1.5, "row 2 .*tokens is 1.5"),
        ("tokens", 2, "row 1 .line 2, run r.: loss is 2.0; its examples' token mean is 1.33333; give both"),
    ],
)
def test_a_bad_example_is_named(column, value, message):
    losses, examples = by_example({"r": TWO})
    examples = examples.astype(object)
    examples.loc[1, column] = value
    with pytest.raises(InputError, match=message):
        label_phases(losses, examples)


def test_examples_have_to_be_complete():
    losses, examples = by_example({"r": TWO})
    fewer = examples[(examples["step"] == 1) | (examples["example"] == "a")]
    losses_of_fewer = losses.assign(loss=[2.0, 3.0])
    with pytest.raises(InputError, match="run r, step 2: the examples have no row of example 'b'"):
        label_phases(losses_of_fewer, fewer)
    with pytest.raises(InputError, match=r"row 2 .*step is 2; the examples have no row of it"):
        label_phases(losses, examples[examples["step"] == 1])
    with pytest.raises(InputError, match="examples: no column nll"):
        label_phases(losses, examples.drop(columns="nll"))
    label_phases(losses.assign(loss=losses["loss"] * 1.00009), examples)  # rounded figures agree
    with pytest.raises(InputError, match=r"row 1 .*token mean"):
        label_phases(losses.assign(loss=losses["loss"] * 1.00011), examples)


def test_examples_of_an_excluded_step_are_excluded_with_it():
    losses, examples = by_example({"r": TWO | {3: {"a": (9.0, 1), "b": (9.0, 1)}}})
    losses.loc[2, "loss"] = np.nan
    examples.loc[examples["step"] == 3, "nll"] = np.nan
    found = label_phases(losses, examples)["runs"]["r"]
    expected = label_phases(*by_example({"r": TWO}))["runs"]["r"]
    assert found == expected | {"n_excluded": 1, "excluded": [3]}


# A run that falls, is stable, spikes, recovers, and is overfitted in the end.
HISTORY = {0: 2.0, 10: 1.5, 20: 1.01, 30: 1.0, 40: 1.2, 50: 1.01, 60: 1.05, 70: 1.12, 80: 1.15}
VERDICTS = [
    "the only checkpoint so far",
    "still falling",
    "still falling",
    "stable so far: the last 2 within 1.02 L_min",
    "past the minimum: 1 checkpoint above 1.02 L_min",
    "stable so far: the last 1 within 1.02 L_min",
    "past the minimum: 1 checkpoint above 1.02 L_min",
    "past the minimum: 2 checkpoints above 1.02 L_min",
    "severe: 2 checkpoints at 1.10 L_min or above",
]


def test_verdicts_on_every_prefix_are_provisional():
    final = label(HISTORY)
    labels = []
    for n, verdict in enumerate(VERDICTS, start=1):
        found = provisional(table({"r": dict(itertools.islice(HISTORY.items(), n))}))["runs"]["r"]
        assert (found["verdict"], found["provisional"]) == (verdict, True)
        labels.append(list(found["labels"].values())[-1])
    assert found == final | {"verdict": VERDICTS[-1], "provisional": True}
    # What the last label was at its time; 10 turned adaptive and 40 a gap.
    assert labels == ["stable", "stable", "stable", "stable", "severe", "stable", "mild", "severe", "severe"]
    assert list(final["labels"].values()) == (
        ["adaptive", "adaptive", "stable", "stable", "gap", "stable", "mild", "severe", "severe"]
    )


@settings(max_examples=50, deadline=None)
@given(losses_strategy)
def test_a_verdict_never_contradicts_the_labels(losses):
    found = provisional(table({"r": dict(enumerate(losses))}))["runs"]["r"]
    name, last = found["verdict"].split(":")[0], list(found["labels"].values())[-1]
    allowed = {
        "stable": {"the only checkpoint so far", "still falling", "stable so far"},
        "mild": {"past the minimum"},
        "severe": {"past the minimum", "severe"},
    }
    assert name in allowed[last]
    assert (name == "still falling") <= (found["step_min"] == len(losses) - 1)
    assert (name == "severe") <= (list(found["guarded"].values())[-2:] == ["severe"] * 2)


def replay(path, tables: list, wanted):
    """``watch`` on a file that holds one table after the other; ``wanted`` acts when they are used up."""
    tables = iter(tables)

    def wait(seconds):
        assert seconds == 7.0
        following = next(tables, None)
        if following is None:
            wanted()
        else:
            following.to_csv(path, index=False)

    return list(watch_losses(path, 7.0, wait))


def test_watch_follows_a_job_to_its_end(tmp_path):
    path = tmp_path / "losses.csv"
    prefixes = [table({"r": dict(itertools.islice(HISTORY.items(), n))}) for n in (1, 2, 2, 5, 9)]
    lines = replay(path, prefixes, lambda: (tmp_path / "run.json").write_text("{}"))
    assert lines[0] == f"waiting for {path}"
    for line, (step, loss), verdict in zip(lines[1:10], HISTORY.items(), VERDICTS, strict=True):
        assert line.startswith(f"r step {step}: loss {loss:.4f}, ")
        assert f", {verdict}, minimum " in line
        assert line.endswith("(provisional)")
    assert lines[10] == f"the job has finished; its losses are in {path}"
    labels = ", ".join(f"{step} {name}" for step, name in label(HISTORY)["labels"].items())
    assert lines[11:] == [f"r: minimum 1.0000 at step 30; {labels} (final)"]


def test_watch_started_late_says_the_same(tmp_path):
    path = tmp_path / "losses.csv"
    table({"r": HISTORY}).to_csv(path, index=False)
    (tmp_path / "run.json").write_text("{}")
    late = list(watch_losses(path, 7.0))
    assert [re.search("L_min|falling|only", line) is not None for line in late] == [True] * 9 + [False] * 2


def test_watch_of_a_state_goes_on_to_the_published_losses(tmp_path):
    state, out = tmp_path / "results/state/sft/S/f0", tmp_path / "results/sft/S"
    state.mkdir(parents=True)
    out.mkdir(parents=True)

    def publish():
        table({"r": HISTORY}).to_csv(out / "losses.csv", index=False)
        (out / "run.json").write_text("{}")
        (state / "losses.csv").unlink()

    lines = replay(state / "losses.csv", [table({"r": {0: 2.0, 10: None}})], publish)
    assert lines[2] == "r step 10: no loss, excluded"
    assert lines[-2] == f"the job has finished; its losses are in {out / 'losses.csv'}"
    assert lines[-1].endswith("80 severe (final)")


def test_watch_ends_when_the_losses_are_gone(tmp_path):
    path = tmp_path / "state/job/f0/losses.csv"
    path.parent.mkdir(parents=True)
    path.write_text("run,step,loss\n")  # no checkpoint yet
    lines = replay(path, [table({"r": {0: 2.0}})], path.unlink)
    assert len(lines) == 2
    assert lines[1] == f"{path} is gone: the job has ended; its final losses are in its output directory"
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match="no such file"):
        list(watch_losses(tmp_path / "losses.csv", 7.0))


def test_command(tmp_path):
    losses, examples = by_example({"r": TWO})
    paths = {name: str(tmp_path / name) for name in ("l.csv", "e.csv", "e.parquet", "out.json", "no.parquet")}
    losses.to_csv(paths["l.csv"], index=False)
    examples.to_csv(paths["e.csv"], index=False)
    examples.to_parquet(paths["e.parquet"])

    def run(*options):
        return CliRunner().invoke(app, ["phases", paths["l.csv"], *options])

    found = []
    for name in ("e.csv", "e.parquet"):
        assert run("--out", paths["out.json"], "--examples", paths[name]).exit_code == 0
        found.append((tmp_path / "out.json").read_text())
    assert found[0] == found[1]
    assert json.loads(found[0])["runs"]["r"]["step_min_set95"] == [1, 2]
    assert run("--out", paths["out.json"]).exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == label_phases(losses)
    (tmp_path / "run.json").write_text("{}")
    assert run("--watch").stdout.splitlines()[-1].endswith("1 stable, 2 stable (final)")
    assert "lowest loss" in run().stdout
    assert span(["0", "0"]) == "0"
    for options in (["--watch", "--out", paths["out.json"]], ["--watch", "--examples", paths["e.csv"]]):
        assert "leave --out and --examples out" in str(run(*options).exception)
    (tmp_path / "e.parquet").write_text("run,step")
    for name, problem in (("e.parquet", ": not a parquet file"), ("no.parquet", " does not exist")):
        message = str(run("--out", paths["out.json"], "--examples", paths[name]).exception)
        assert message.startswith(f"{paths[name]}{problem}")


def test_losses_without_an_entry_in_a_csv_file():
    found = label_phases(pd.read_csv(io.StringIO("run,step,loss\n7,0,0.9\n7,5,\n7,10,nan\n")))
    assert found["runs"]["7"]["excluded"] == [5, 10]
