"""The sub-phases of SFT from its validation losses (Eq. 13-17).

With L_min the lowest loss of the run, a checkpoint is *stable* when L <= 1.02 L_min; before the
first stable one it is *adaptive*; after the last one *mild* (L < 1.10 L_min) or *severe*.
While a run goes on L_min is not known: ``provisional`` labels what is there so far.

Deviations
----------
- Eq. 13-17 leave a point above 2 % between two stable points without a phase: here ``gap``.
- ``guarded`` labels are the same, except that *severe* takes two neighbouring points, or the
  run's last one; a spike on its own is *mild*.
- A loss at a threshold to within rounding (1e-9) counts as at it, so that losses typed as
  decimals are labelled as written.
- The paper labels without errors.  Validation sets are small (its own has 199 examples), so a
  bootstrap over the examples says how sure every label is.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint.errors import InputError
from switchpoint.tables import check_columns, file_of, numbers, read_csv, refuse

STABLE_TOLERANCE = 0.02
SEVERE_TOLERANCE = 0.10
ROUNDING = 1e-9
LABELS = ("adaptive", "stable", "gap", "mild", "severe")
DRAWS = 1000
BLOCK = 100  # draws at a time: bounds the memory
LEVEL = 0.95
AGREEMENT = 1e-4  # relative, of a loss and its examples' token mean
MAX_STEP = 2**53  # beyond, a float is no longer exact
PATIENCE = 2  # neighbouring checkpoints that make a running job's overfit severe


def label_phases(losses: pd.DataFrame, examples: pd.DataFrame | None = None) -> dict:
    """Sub-phase of every checkpoint of every run.

    ``losses`` has the columns ``run``, ``step`` (integer) and ``loss`` (validation loss, positive), in any
    order of rows; other columns are ignored, and a row whose loss is NaN or missing is excluded.
    ``examples`` has ``run``, ``step``, ``example``, ``nll`` and ``tokens``: summed negative log-likelihood
    and number of scored tokens of every validation example under every checkpoint of ``losses``; their
    token means are the losses.

    Returns ``{"runs": {run: {"loss_min", "step_min", "stable": [first, last], "labels", "guarded",
    "windows", "first_window_end", "n_excluded", "excluded"}}}`` with ``labels`` and ``guarded`` from step (a
    string) to a label of ``LABELS``.  Of equal minima, ``step_min`` is the first.  ``windows`` lists [first,
    last] of every series of neighbouring stable checkpoints, ``excluded`` the steps without a loss.  With
    ``examples`` also what ``label_stability`` returns, and ``sequence_loss`` {step: mean over the examples of
    each one's own token mean, nats}, in which short examples weigh as much as long ones: the labels are of the
    token mean over all.  InputError names the row of a missing, non-numeric,
    repeated or contradicting entry.
    """
    table = check_losses(losses)
    labelled = {run: label_run(rows) for run, rows in table.groupby("run", sort=False)}
    if examples is not None:
        for run, sums in example_sums(examples, table).items():
            labelled[run] |= label_stability(labelled[run]["labels"], sums["nll"], sums["tokens"])
            of_sequences = (sums["nll"] / sums["tokens"]).mean()
            labelled[run]["sequence_loss"] = {str(step): float(loss) for step, loss in of_sequences.items()}
    return {"runs": labelled}


def label_losses(loss: np.ndarray) -> np.ndarray:
    """Eq. 13-17 on the losses of one run in the order of its steps, shape (..., n): labels of that shape."""
    lowest = loss.min(axis=-1, keepdims=True)  # 0 in a draw of examples that are known by heart
    stable = loss <= lowest * (1 + STABLE_TOLERANCE) * (1 + ROUNDING)
    severe = loss >= lowest * (1 + SEVERE_TOLERANCE) * (1 - ROUNDING)
    index = np.arange(loss.shape[-1])
    first = stable.argmax(axis=-1, keepdims=True)
    last = index[-1] - stable[..., ::-1].argmax(axis=-1, keepdims=True)
    conditions = [stable, index < first, index < last, severe]
    return np.select(conditions, ["stable", "adaptive", "gap", "severe"], "mild")


def guard(labels: list[str]) -> list[str]:
    """The labels with every lone ``severe`` point before the last one turned ``mild``."""
    severe = [label == "severe" for label in labels]
    last = len(labels) - 1
    return [
        "mild" if severe[i] and i < last and not (severe[i - 1] or severe[i + 1]) else label
        for i, label in enumerate(labels)
    ]


def label_stability(labels: dict[str, str], nll: pd.DataFrame, tokens: pd.DataFrame) -> dict:
    """How sure the labels and the minimum of a run are: a bootstrap over validation examples.

    A draw takes the same examples for all checkpoints, so what is hard for all of them cancels.  ``labels``
    are the reported ones, by step; ``nll`` (nats, summed) and ``tokens`` (scored) have one row per example
    and one column per step.

    Returns ``stability`` {step: {label: share of the draws}}, ``certain`` {step: share of the reported
    label}, ``minimum`` {step: share of the draws with the lowest loss there}, and ``step_min_set95``, the
    fewest steps that hold the minimum in 95 % of the draws.
    """
    n, steps = len(nll), nll.columns.tolist()
    sums, rng, even = np.hstack([nll, tokens]), np.random.default_rng(0), np.full(n, 1 / n)
    drawn = np.concatenate([rng.multinomial(n, even, BLOCK) @ sums for _ in range(DRAWS // BLOCK)])
    losses = drawn[:, : len(steps)] / drawn[:, len(steps) :]
    relabelled = label_losses(losses)
    shares = {label: (relabelled == label).mean(axis=0).tolist() for label in LABELS}
    lowest = np.bincount(losses.argmin(axis=1), minlength=len(steps))
    order = np.argsort(-lowest, kind="stable")
    n_likely = int(np.searchsorted(lowest[order].cumsum(), LEVEL * DRAWS)) + 1
    keys = [str(step) for step in steps]
    return {
        "stability": {
            key: {label: shares[label][i] for label in LABELS if shares[label][i]}
            for i, key in enumerate(keys)
        },
        "certain": {key: shares[labels[key]][i] for i, key in enumerate(keys)},
        "minimum": dict(zip(keys, (lowest / DRAWS).tolist(), strict=True)),
        "step_min_set95": sorted(steps[i] for i in order[:n_likely]),
    }


def provisional(losses: pd.DataFrame) -> dict:
    """What the losses of unfinished runs say so far.

    The running minimum stands for L_min, so any label may change with the next checkpoint.  Returns what
    ``label_phases`` does, each run also with ``provisional`` (true) and ``verdict`` on its last checkpoint:
    the only one, still falling (the first within 2 % of the minimum), stable so far, past the minimum for n
    checkpoints, or severe (2 neighbouring ones at 1.10 L_min or above).
    """
    labelled = label_phases(losses)["runs"].items()
    return {
        "runs": {
            run: entry | {"provisional": True, "verdict": last_verdict(entry["labels"])}
            for run, entry in labelled
        }
    }


def watch_losses(path: str | Path, every: float, wait: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """Lines about the checkpoints of a running job as they come, and its labels when it has finished.

    ``path`` is its losses.csv, in the job's state or its output directory, replaced or extended
    by whole lines and looked at every ``every`` seconds.  A ``run.json`` beside the losses
    means that the job has finished.
    """
    path, shown = Path(path), set()
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give the losses.csv in it")
    if not (path.exists() or published_path(path).exists()):
        yield f"waiting for {path}"
    while True:
        source = path if path.exists() else published_path(path)
        finished = source.with_name("run.json").exists()
        yield from news_lines(read_so_far(source), shown)
        if finished:
            yield from final_lines(source)
            return
        if shown and not source.exists():
            yield f"{path} is gone: the job has ended; its final losses are in its output directory"
            return
        wait(every)


def label_run(rows: pd.DataFrame) -> dict:
    """The entry of one run, from its checked losses."""
    rows = rows.sort_values("step")
    excluded = rows.loc[rows["loss"].isna(), "step"].tolist()
    rows = rows.dropna(subset="loss")
    loss, steps = rows["loss"].to_numpy(), rows["step"].tolist()
    labels = label_losses(loss).tolist()
    windows = stable_windows(steps, labels)
    keys = [str(step) for step in steps]
    return {
        "loss_min": float(loss.min()),
        "step_min": steps[int(loss.argmin())],
        "stable": [windows[0][0], windows[-1][1]],
        "labels": dict(zip(keys, labels, strict=True)),
        "guarded": dict(zip(keys, guard(labels), strict=True)),
        "windows": windows,
        "first_window_end": windows[0][1],
        "n_excluded": len(excluded),
        "excluded": excluded,
    }


def stable_windows(steps: list[int], labels: list[str]) -> list[list[int]]:
    """[first, last] step of every series of neighbouring stable checkpoints."""
    windows: list[list[int]] = []
    for step, label, before in zip(steps, labels, [None, *labels[:-1]], strict=True):
        if label == "stable" and before == "stable":
            windows[-1][1] = step
        elif label == "stable":
            windows.append([step, step])
    return windows


def last_verdict(labels_by_step: dict[str, str]) -> str:
    """The verdict on the last checkpoint of one run's labels."""
    labels = list(labels_by_step.values())
    stable, severe = (trailing([label == name for label in labels]) for name in ("stable", "severe"))
    after = trailing([label != "stable" for label in labels])
    if len(labels) == 1:
        return "the only checkpoint so far"
    if severe >= PATIENCE:
        return f"severe: {severe} checkpoints at {1 + SEVERE_TOLERANCE:.2f} L_min or above"
    if after:
        plural = "s" if after > 1 else ""
        return f"past the minimum: {after} checkpoint{plural} above {1 + STABLE_TOLERANCE:.2f} L_min"
    if labels.count("stable") == 1:
        return "still falling"
    return f"stable so far: the last {stable} within {1 + STABLE_TOLERANCE:.2f} L_min"


def trailing(flags: list[bool]) -> int:
    """How many flags at the end are set."""
    return flags[::-1].index(False) if False in flags else len(flags)


def news_lines(losses: pd.DataFrame | None, shown: set[tuple[str, int]]) -> Iterator[str]:
    """A line on every checkpoint not ``shown`` yet, judged by what was there at its time."""
    if losses is None:
        return
    for run, rows in check_losses(losses).groupby("run", sort=False):
        for step, loss in rows.sort_values("step")[["step", "loss"]].itertuples(index=False):
            if (run, step) in shown:
                continue
            shown.add((run, step))
            if np.isnan(loss):
                yield f"{run} step {step}: no loss, excluded"
                continue
            entry = provisional(rows[rows["step"] <= step])["runs"][run]
            yield (
                f"{run} step {step}: loss {loss:.4f}, {entry['labels'][str(step)]}, {entry['verdict']}, "
                f"minimum {entry['loss_min']:.4f} at step {entry['step_min']} (provisional)"
            )


def final_lines(path: Path) -> Iterator[str]:
    """The labels of a finished job, a line per run."""
    yield f"the job has finished; its losses are in {path}"
    for run, entry in label_phases(read_csv(path))["runs"].items():
        labels = ", ".join(f"{step} {label}" for step, label in entry["labels"].items())
        yield f"{run}: minimum {entry['loss_min']:.4f} at step {entry['step_min']}; {labels} (final)"


def published_path(path: Path) -> Path:
    """Where a job publishes a file of its state: state/JOB/FINGERPRINT/FILE becomes JOB/FILE."""
    parts = path.parts
    if "state" not in parts:
        return path
    state = len(parts) - 1 - parts[::-1].index("state")
    return Path(*parts[:state], *parts[state + 1 : -2], path.name)


def read_so_far(path: Path) -> pd.DataFrame | None:
    """The rows of a csv file; None while it is not there or has none."""
    try:
        losses = pd.read_csv(path, dtype={"run": str})
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a csv table ({error}); give the losses of a job") from None
    return losses if len(losses) else None


def check_losses(losses: pd.DataFrame) -> pd.DataFrame:
    """run, step and loss (NaN where there is none) of every row, all valid, in the order given."""
    check_columns(losses, ["run", "step", "loss"], "losses")
    step, loss = check_steps(losses), pd.to_numeric(losses["loss"], errors="coerce").astype(float)
    unreadable = losses["loss"].notna() & ~np.isfinite(loss)
    refuse(losses, unreadable, "loss", "give a finite number, or none to exclude the step")
    refuse(losses, loss <= 0, "loss", "give the validation loss, a positive number")
    table = pd.DataFrame({"run": losses["run"].astype(str), "step": step, "loss": loss})
    refuse(losses, table.duplicated(["run", "step"]), "step", "its run has this step already; keep one row")
    without = table["loss"].groupby(table["run"]).transform("count") == 0
    refuse(losses, without, "loss", "no step of the run has a loss; add one or delete its rows")
    return table


def check_steps(table: pd.DataFrame) -> pd.Series:
    """The steps as integers; InputError names the row of any other."""
    step = numbers(table, "step")
    refuse(table, ~step.between(0, MAX_STEP) | (step % 1 != 0), "step", "give a whole number of 0 or more")
    return step.astype(int)


def example_sums(examples: pd.DataFrame, losses: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per run: ``nll`` and ``tokens`` of every example (rows) at every step that has a loss (columns)."""
    check_columns(examples, ["run", "step", "example", "nll", "tokens"], "examples")
    refuse(examples, examples["example"].isna(), "example", "name the validation example")
    rows = pd.DataFrame({
        "run": examples["run"].astype(str), "step": check_steps(examples),
        "example": examples["example"].astype(str),
        "nll": pd.to_numeric(examples["nll"], errors="coerce"), "tokens": numbers(examples, "tokens"),
    })  # fmt: skip
    repeated = rows.duplicated(["run", "step", "example"])
    refuse(examples, repeated, "example", "its step has this example already; keep one row")
    rows = rows.merge(losses, how="left", on=["run", "step"], indicator=True)
    unknown = rows["_merge"] == "left_only"
    refuse(examples, unknown, "step", "the losses have no such step of this run; keep rows of theirs")
    scored = rows["loss"].notna()  # examples of an excluded step are excluded with it
    bad = scored & ~((rows["nll"] >= 0) & np.isfinite(rows["nll"]))
    refuse(examples, bad, "nll", "give the summed negative log-likelihood, a number of 0 or more")
    bad = (rows["tokens"] < 1) | (rows["tokens"] % 1 != 0)
    refuse(examples, bad, "tokens", "give the number of scored tokens, a whole number of 1 or more")
    rows = rows[scored]
    check_agreement(rows, losses)
    file = file_of(examples)
    return {run: pair_examples(f"{file}run {run}", group) for run, group in rows.groupby("run", sort=False)}


def check_agreement(examples: pd.DataFrame, losses: pd.DataFrame) -> None:
    """Raises InputError unless every loss is the token mean of its examples."""
    totals = examples.groupby(["run", "step"])[["nll", "tokens"]].sum()
    means = losses.join(totals["nll"].div(totals["tokens"]).rename("mean"), on=["run", "step"])["mean"]
    refuse(losses, losses["loss"].notna() & means.isna(), "step", "the examples have no row of it; add them")
    off = (means / losses["loss"] - 1).abs() > AGREEMENT
    if off.any():
        fix = f"its examples' token mean is {means[off].iloc[0]:.6g}; give both from one validation"
        refuse(losses, off, "loss", fix)


def pair_examples(whose: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One run's examples, a row each, with nll and tokens of every step; the same ones at every step."""
    wide = rows.pivot(index="example", columns="step", values=["nll", "tokens"])
    missing = wide["nll"].isna().stack()
    if missing.any():
        example, step = missing.idxmax()
        raise InputError(
            f"{whose}, step {step}: the examples have no row of example {example!r}, which other steps have; "
            "give the same examples for every step"
        )
    return wide
