"""What compute is counted in, and how it is said: FLOPs with a prefix that suits the number, steps, or seconds.

A table counts compute in exaFLOPs, in its columns ``exaflops`` and ``exaflops_total`` (``runs.csv``: ``sft_exaflops``); or in
what its column ``unit`` says, in ``compute`` and ``compute_total`` (``sft_compute``).  Within the program the columns have
their first names, whatever they count.
"""

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from switchpoint.errors import InputError
from switchpoint.tables import file_of, numbers, refuse

EXAFLOPS = "exaFLOPs"
UNITS = (EXAFLOPS, "steps", "seconds")
PREFIXES = {"zetta": 1e-3, "exa": 1.0, "peta": 1e3, "tera": 1e6, "giga": 1e9, "mega": 1e12}
NAMES = {"exaflops": "compute", "exaflops_total": "compute_total", "sft_exaflops": "sft_compute"}


def scale_of(values: Iterable[float], unit: str = EXAFLOPS) -> tuple[float, str]:
    """The factor from ``unit`` to the unit in which the largest value is 1 to 1000, and its name."""
    if unit != EXAFLOPS:
        return 1.0, unit
    largest = max((value for value in values if value is not None and not math.isnan(value)), default=0.0)
    for prefix, factor in PREFIXES.items():
        if largest * factor >= 1:
            return factor, f"{prefix}FLOPs"
    return (1.0, EXAFLOPS) if not largest > 0 else (PREFIXES["mega"], "megaFLOPs")


def say(value: float, unit: str = EXAFLOPS) -> str:
    """An amount of compute in words: ``761 gigaFLOPs``, ``1,200 steps``."""
    return say_range(value, value, unit)


def say_range(low: float | None, high: float | None, unit: str = EXAFLOPS) -> str:
    """An interval of compute in words, both ends in one unit; an end that is None is open, equal ends are one amount."""
    factor, name = scale_of([low, high], unit)
    first, last = (None if end is None else end * factor for end in (low, high))
    if first is None or last is None:
        words = (
            "open" if last is first else f"from {shown(first)}" if last is None else f"up to {shown(last)}"
        )
        return words if last is first else f"{words} {name}"
    return f"{shown(last)} {name}" if first == last else f"{shown(first)} to {shown(last)} {name}"


def shown(value: float) -> str:
    """A number with three significant digits, or whole."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def unit_of(entry: Mapping) -> str:
    """The unit of a fit, a curve or a start."""
    return entry.get("unit") or EXAFLOPS


def column_of(unit: str, own: str = "exaflops") -> str:
    """What a file in this unit calls the column that the program calls ``own``."""
    return own if unit == EXAFLOPS else NAMES[own]


def amounts(table: pd.DataFrame, unit: str) -> pd.Series:
    """The compute of every row of a table with ``own_names``; InputError, in the table's names, where it is none."""
    named = in_names_of(unit, table)
    values = numbers(named, column_of(unit))
    refuse(named, values < 0, column_of(unit), "give the compute since the run's start, 0 or more")
    return values


def in_names_of(unit: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns of compute as a file in this unit calls them."""
    return table if unit == EXAFLOPS else table.rename(columns=NAMES)


def as_written(unit: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table as a file has it: its compute named by the unit, which stands in a column behind it unless it is exaFLOPs."""
    named = in_names_of(unit, table)
    spent = [name for name in ("compute", "compute_total") if name in named]
    if unit != EXAFLOPS and spent:
        named.insert(named.columns.get_loc(spent[-1]) + 1, "unit", unit)
    return named


def own_names(table: pd.DataFrame, name: str) -> tuple[pd.DataFrame, str]:
    """The table with its columns of compute as the program calls them, and its unit; ``name`` is what errors call it.

    InputError where a column stands there by both names, or its unit is unknown or not the same in all rows.
    """
    given = [own for own, column in NAMES.items() if column in table]
    where = file_of(table) or f"{name}: "
    if twice := [own for own in given if own in table]:
        raise InputError(f"{where}has both {twice[0]} and {NAMES[twice[0]]}; keep one")
    if "unit" not in table and given == ["sft_exaflops"]:  # a table of runs has that of its curves
        return table.rename(columns={NAMES["sft_exaflops"]: "sft_exaflops"}), EXAFLOPS
    found = set(table["unit"]) if "unit" in table else set() if given else {EXAFLOPS}
    if len(found) != 1 or not found <= set(UNITS):
        known = ", ".join(UNITS)
        raise InputError(
            f"{where}the column unit has to say what compute counts, the same in all rows: {known}"
        )
    return table.rename(columns={NAMES[own]: own for own in given}), found.pop()
