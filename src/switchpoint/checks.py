"""Checks of the tables that people bring: every error names the row and the fix."""

from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint.errors import InputError


def read_csv(path: str | Path) -> pd.DataFrame:
    """The csv file at ``path``; InputError when it is missing or no table."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a csv file with a header") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a csv table ({error}); give a csv file with a header") from error


def check_columns(table: pd.DataFrame, columns: list[str], name: str) -> None:
    """Raises InputError unless the table has rows, these columns, and a run's name in every row."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{name}: no column {', '.join(missing)}; it needs {', '.join(columns)} "
            f"and has {', '.join(map(str, table.columns)) or 'none'}"
        )
    if table.empty:
        raise InputError(f"{name}: no rows; give at least one")
    refuse(table, table["run"].isna(), "run", "name the run")


def numbers(table: pd.DataFrame, column: str) -> pd.Series:
    """The column as floats; raises InputError at the first row that holds no finite number."""
    values = pd.to_numeric(table[column], errors="coerce").astype(float)
    refuse(table, ~np.isfinite(values), column, "give a finite number or delete the row")
    return values


def refuse(table: pd.DataFrame, bad: pd.Series, column: str, fix: str) -> None:
    """Raises InputError naming the first bad row (counted from 1; the header is line 1)."""
    where = np.flatnonzero(np.asarray(bad, dtype=bool))
    if len(where):
        row = where[0]
        run = table["run"].iloc[row] if "run" in table else "?"
        value = table[column].iloc[[row]].tolist()[0]
        raise InputError(f"row {row + 1} (line {row + 2}, run {run}): {column} is {value!r}; {fix}")
