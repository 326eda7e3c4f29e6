"""trackio: the sqlite file of a project, with the metrics of all its runs.

Its own step may count the calls of ``log``, as W&B's does, so the step of a call is found as there.
"""

import json
import sqlite3
from collections import Counter
from datetime import datetime
from pathlib import Path

from switchpoint.errors import InputError
from switchpoint.importer.values import Record
from switchpoint.importer.wandb_exports import history_records

MAGIC = b"SQLite format 3\0"
FIX = "give the PROJECT.db of trackio's folder"


def read_project(path: Path, counts: Counter) -> dict[str | None, list[Record]]:
    """The records of each run by its name, in the order in which they were logged.

    Of runs that share a name all but the first get the beginning of their id behind it.  InputError when the file
    is no such database, or an entry of it no JSON object.
    """
    runs: dict[str, tuple[str, list[tuple[str, dict]]]] = {}
    for number, run, name, time, step, text in rows_of(path):
        where = f"{path}: metrics {number}"
        try:
            values, clock = json.loads(text), datetime.fromisoformat(time).timestamp()
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{where}: is damaged ({error}); delete the row") from None
        if not isinstance(values, dict):
            raise InputError(f"{where}: is no object of tags and values; delete the row")
        taken = {other for key, (other, _) in runs.items() if key != run}
        name, calls = runs.setdefault(run, (f"{name}-{run[:8]}" if name in taken else name, []))
        values = {tag: float_of(value) for tag, value in values.items()}
        calls.append((where, values | {"_step": float(step), "_timestamp": clock}))
    return {name: list(history_records(calls, counts)) for name, calls in runs.values()}


def rows_of(path: Path) -> list[tuple]:
    """(id, run's id, run's name, time, step, metrics) of every call of ``log``; older files have no run's id."""
    # What is still in a journal beside the file is read only by a connection that may use it.
    journal = path.with_name(f"{path.name}-wal")
    mode = "mode=ro" if journal.exists() and journal.stat().st_size else "immutable=1"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
        try:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(metrics)")]
            run = "run_id" if "run_id" in columns else "run_name"
            query = f"SELECT id, {run}, run_name, timestamp, step, metrics FROM metrics ORDER BY id"
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise InputError(f"{path}: no project of trackio's ({error}); {FIX}") from None


def float_of(value: object) -> object:
    """A number as a float; trackio writes what JSON lacks as texts."""
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return float(value) if type(value) in (int, float) else value
