"""The sub-phases of SFT from its validation losses (Eq. 13-17).

With L_min the lowest loss of the run, a checkpoint is *stable* when L <= 1.02 L_min; before the
first stable one it is *adaptive*; after the last one *mild* (L < 1.10 L_min) or *severe*.

Deviations
----------
- Eq. 13-17 leave a point above 2 % between two stable points without a phase: here ``gap``.
- ``guarded`` labels are the same, except that *severe* takes two neighbouring points, or the
  run's last one; a spike on its own is *mild*.
- A loss at a threshold to within rounding (1e-9) counts as at it, so that losses typed as
  decimals are labelled as written.
"""

import numpy as np
import pandas as pd

from switchpoint.checks import check_columns, numbers, refuse
from switchpoint.errors import InputError

STABLE_TOLERANCE = 0.02
SEVERE_TOLERANCE = 0.10
ROUNDING = 1e-9


def label_phases(losses: pd.DataFrame) -> dict:
    """Sub-phase of every checkpoint of every run.

    Parameters
    ----------
    losses : DataFrame
        Columns ``run``, ``step`` (integer) and ``loss`` (validation loss, positive), in any
        order of rows; other columns are ignored.

    Returns
    -------
    dict
        ``{"runs": {run: {"loss_min", "step_min", "stable": [first, last], "labels", "guarded"}}}``
        with ``labels`` and ``guarded`` from step (a string) to ``adaptive``, ``stable``, ``gap``,
        ``mild`` or ``severe``.  Of equal minima, ``step_min`` is the first.

    Raises
    ------
    InputError
        Naming the row of a missing, non-numeric or repeated entry.
    """
    losses = _checked(losses)
    return {"runs": {str(run): _label_run(rows) for run, rows in losses.groupby("run", sort=False)}}


def min_val_loss_step(losses: pd.DataFrame) -> int:
    """The step of the lowest validation loss of the one run in ``losses``; of equals the first.

    Raises
    ------
    InputError
        As ``label_phases``, and when ``losses`` holds several runs.
    """
    losses = _checked(losses)
    runs = losses["run"].unique()
    if len(runs) > 1:
        raise InputError(f"losses of {len(runs)} runs ({', '.join(map(str, runs))}); keep the rows of one")
    return int(losses["step"].iloc[losses["loss"].to_numpy().argmin()])


def label_losses(loss: np.ndarray) -> list[str]:
    """Eq. 13-17 on the losses of one run, shape (n,), in the order of its steps."""
    ratio = loss / loss.min()
    stable = ratio <= (1 + STABLE_TOLERANCE) * (1 + ROUNDING)
    severe = ratio >= (1 + SEVERE_TOLERANCE) * (1 - ROUNDING)
    index = np.arange(len(loss))
    first, last = index[stable][[0, -1]]
    conditions = [stable, index < first, index < last, severe]
    return np.select(conditions, ["stable", "adaptive", "gap", "severe"], "mild").tolist()


def guard(labels: list[str]) -> list[str]:
    """The labels with every lone ``severe`` point before the last one turned ``mild``."""
    severe = [label == "severe" for label in labels]
    last = len(labels) - 1
    return [
        "mild" if severe[i] and i < last and not (severe[i - 1] or severe[i + 1]) else label
        for i, label in enumerate(labels)
    ]


def _label_run(rows: pd.DataFrame) -> dict:
    loss, steps = rows["loss"].to_numpy(), rows["step"].tolist()
    labels = label_losses(loss)
    stable = [step for step, label in zip(steps, labels, strict=True) if label == "stable"]
    keys = [str(step) for step in steps]
    return {
        "loss_min": float(loss.min()),
        "step_min": steps[int(loss.argmin())],
        "stable": [stable[0], stable[-1]],
        "labels": dict(zip(keys, labels, strict=True)),
        "guarded": dict(zip(keys, guard(labels), strict=True)),
    }


def _checked(losses: pd.DataFrame) -> pd.DataFrame:
    """The rows, all valid, by step; runs keep the order of their first rows."""
    check_columns(losses, ["run", "step", "loss"], "losses")
    step, loss = numbers(losses, "step"), numbers(losses, "loss")
    refuse(losses, (step < 0) | (step % 1 != 0), "step", "give a whole number of 0 or more")
    refuse(losses, loss <= 0, "loss", "give the validation loss, a positive number")
    table = pd.DataFrame({"run": losses["run"], "step": step.astype(int), "loss": loss})
    refuse(losses, table.duplicated(["run", "step"]), "step", "its run has this step already; keep one row")
    return pd.concat([rows.sort_values("step") for _, rows in table.groupby("run", sort=False)])
