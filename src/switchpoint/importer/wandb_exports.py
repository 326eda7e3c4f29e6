"""Weights & Biases: the history of a run, and the charts that its page exports as csv.

- A history (``run.history()`` as csv; ``scan_history()`` as JSON, a list or lines) has a row per call of
  ``log`` and the columns ``_step``, ``_runtime``, ``_timestamp``; several runs where a column names them.
- A chart has the x axis first, then columns ``RUN - TAG`` with their ``__MIN`` and ``__MAX``.

The step of a row is the trainer's own where the run logged one (``STEPS``), in that call or in one before: ``_step``
counts the calls of ``log``.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import tables
from switchpoint.errors import InputError
from switchpoint.importer.records import in_updates, json_records, of_data_set
from switchpoint.importer.values import CLOCK, Record

STEPS = (
    "train/global_step", "eval/global_step", "trainer/global_step", "training/global_step", "global_step", "step",
    "Step", "_step",
)  # fmt: skip
RUNS = ("run", "run_name", "name", "run_id")
OWN = ("_step", "_timestamp", *RUNS)
"""Columns that nobody logged."""
TIMES = ("Relative Time (Process)", "Relative Time (Wall)", "Relative Time", "Wall Time")
Runs = dict[str | None, list[Record]]
"""The records of each run, by its name; by None where the file has no name."""


def kind_of(header: list[str]) -> str | None:
    """``history`` or ``chart``, by the columns of a csv file; None for another table."""
    if "_step" in header:
        return "history"
    charted = any(" - " in name for name in header[1:]) and header[0] in (*STEPS, *TIMES)
    return "chart" if charted else None


def read_export(path: Path, counts: Counter) -> Runs:
    """The records of each run of a history, as logged, or of a chart.  InputError names the file and its lack."""
    if path.suffix in (".json", ".jsonl"):
        rows = [(where, row) for where, row in json_records(path, counts) if isinstance(row, dict)]
    else:
        table = tables.read_csv(path)
        if kind_of(list(table)) != "history":
            return chart_runs(table, path, counts)
        given = table.notna().to_numpy()
        rows = [
            (
                f"{path}: line {line}",
                {tag: row[tag] for tag, there in zip(table, known, strict=True) if there},
            )
            for line, row, known in zip(table.index, table.to_dict("records"), given, strict=True)
        ]
    of_runs: dict[str | None, list[tuple[str, dict]]] = {}
    for where, row in sorted(rows, key=lambda one: call_of(one[1])):
        name = next((str(row[column]) for column in RUNS if column in row), None)
        of_runs.setdefault(name, []).append((where, row))
    return {name: list(history_records(calls, counts)) for name, calls in of_runs.items()}


def history_records(calls: list[tuple[str, dict]], counts: Counter) -> Iterator[Record]:
    """The records of a run of W&B or trackio, by its calls of ``log`` in their order; calls before any step are of step 0."""
    of_trainer = [tag for tag in STEPS[:-1] if any(number_in(row, tag) is not None for _, row in calls)]
    counts["runs_in_trainer_steps"] += bool(of_trainer)
    step = 0.0
    for where, row in calls:
        found = (number_in(row, tag) for tag in of_trainer or STEPS[-1:])
        own = next((number for number in found if number is not None), None)
        if own is None and not of_trainer:
            counts["records_without_step"] += 1
            continue
        step = step if own is None else own
        values = of_data_set({tag: as_float(value) for tag, value in row.items() if tag not in OWN})
        counts["steps_of_before"] += own is None and bool(values)
        if (clock := number_in(row, "_timestamp")) is not None:
            values[CLOCK] = clock
        yield where, in_updates(step, values, counts), values


def number_in(row: dict, tag: str) -> float | None:
    """The number that a row has of a tag, None where it has none."""
    value = row.get(tag)
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if is_number and not np.isnan(value) else None


def call_of(row: dict) -> float:
    """Which call of ``log`` made a row; 0 of all where that is not known."""
    return number_in(row, "_step") or 0.0


def as_float(value) -> object:
    """A number as Python's float, another value as it is."""
    return float(value) if isinstance(value, int | float | np.number) else value


def chart_runs(table: pd.DataFrame, path: Path, counts: Counter) -> Runs:
    """The records of each run of a chart."""
    axis, *columns = table
    runs: Runs = {}
    series = [column for column in columns if not column.endswith(("__MIN", "__MAX")) and " - " in column]
    for column in series:
        name, _, tag = column.rpartition(" - ")
        if tag == "_step":
            continue
        steps = table[f"{name} - _step"] if axis in TIMES and f"{name} - _step" in table else table[axis]
        if axis in TIMES and f"{name} - _step" not in table:
            raise InputError(f"{path}: its x axis is {axis}; export the chart with Step as its x axis")
        low, high = (table.get(f"{column}{end}", table[column]) for end in ("__MIN", "__MAX"))
        counts["values_averaged"] += int((low < high)[table[column].notna()].sum())
        runs.setdefault(name, []).extend(points_of(path, steps, table[column], tag))
    return {name: sorted(records, key=lambda record: record[1]) for name, records in runs.items()}


def points_of(path: Path, steps: pd.Series, values: pd.Series, tag: str) -> Iterator[Record]:
    """A record of every cell of a chart's column that has a value."""
    for line, value in values.dropna().items():
        yield f"{path}: line {line}", as_float(steps[line]), {tag: as_float(value)}
