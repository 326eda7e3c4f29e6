"""What logs are read into: one table of the numbers that a run logged, by step and tag.

A restart goes back in steps.  What it logs again replaces what was there, and what the attempt before it had
logged beyond that step belongs to no model that was kept: both are counted and left.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from switchpoint.errors import InputError
from switchpoint.importer.tags import Score

Record = tuple[str, object, dict]
"""(where it stands, for errors; step; {tag: value})."""
CLOCK = "wall clock"
"""The tag of the seconds at which a record was written, where the format keeps them; nobody logged it."""
TIMES = (CLOCK, "_runtime")
"""Tags of every record, which say nothing of whether two records are of one attempt or one run."""
NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf(?:inity)?)"
WRAPPED = re.compile(
    rf"\s*(?:(?:np|numpy)\.\w+\(|tensor\()?({NUMBER})(?:,[^()]*)?\)?\s*", re.IGNORECASE
)  # as Python writes it, numpy's and torch's numbers too


class Log(NamedTuple):
    """One run's log: ``values`` is what ``table_of`` returns.

    ``name`` is the run's by the content, or None; ``scores`` the tags that the format itself defines as scores.
    """

    path: str
    name: str | None
    values: pd.DataFrame
    scores: dict[str, Score]

    @property
    def tags(self) -> set[str]:
        """What the run logged."""
        return {*self.values["tag"]} - {CLOCK}


def number_of(text: str) -> float | None:
    """The number that a text is: ``0.3``, ``1e-06``, ``nan``, ``np.float64(0.3)``; None for another text."""
    found = WRAPPED.fullmatch(text)
    return float(found[1]) if found else None


def table_of(records: Iterable[Record], path: str, counts: Counter) -> pd.DataFrame:
    """step, tag, value, where (its place, for errors) and ``again``, sorted by step.

    Of a tag logged twice at a step the last counts; ``again`` is whether another value was there.  ``records`` come
    in the order in which they were logged; ``counts`` takes what was read and left.
    InputError names the record whose step is no whole number of 0 or more.
    """
    rows: list[tuple] = []
    highest: dict[str, int] = {}  # by tag, in this attempt
    for where, step, values in records:
        if type(step) not in (int, float) or not 0 <= step < 2**53 or step % 1:
            raise InputError(f"{where}: step is {step!r:.40}; give a whole number of 0 or more")
        numbers = {on_one_line(tag): value for tag, value in values.items() if isinstance(value, float)}
        step = int(step)
        counts["records"] += 1
        counts["values_not_numbers"] += len(values) - len(numbers)
        if any(highest.get(tag, 0) > step for tag in numbers if tag not in TIMES):
            kept = [row for row in rows if row[0] <= step]
            counts["restarts"] += 1
            counts["values_abandoned"] += len(rows) - len(kept)
            rows, highest = kept, {tag: min(last, step) for tag, last in highest.items()}
        highest |= dict.fromkeys(numbers, step)
        rows += [(step, tag, value, f"{where}, {tag}") for tag, value in numbers.items()]
    try:
        log = pd.DataFrame(rows, columns=["step", "tag", "value", "where"])
    except UnicodeEncodeError:
        raise InputError(f"{path}: a tag holds half a character (a lone surrogate); delete it") from None
    log = log.astype({"step": int, "value": float})
    key = ["step", "tag"]
    replaced = log.duplicated(key, keep="last")
    log["again"] = log.duplicated(key, keep=False) & ~log.duplicated([*key, "value"], keep=False)
    counts["values_replaced"] += int((replaced & (log["tag"] != CLOCK)).sum())
    return log[~replaced].sort_values("step", kind="stable", ignore_index=True)


def on_one_line(tag: str) -> str:
    """The tag, without the breaks of a line that would break messages."""
    return tag if tag.isprintable() else " ".join(tag.split())


def merged(logs: list[Log]) -> Log:
    """The parts of one run as one log; InputError where two give a tag another value at a step, naming both."""
    values = pd.concat([log.values for log in logs], ignore_index=True)
    values["path"] = [log.path for log in logs for _ in range(len(log.values))]
    key = ["step", "tag"]
    values = values.drop_duplicates([*key, "value"])
    twice = values[~values["tag"].isin(TIMES)].sort_values("step", kind="stable")
    twice = twice[twice.duplicated(key, keep=False)]
    if len(twice):
        one = twice.iloc[0]
        other = twice[(twice["step"] == one["step"]) & (twice["tag"] == one["tag"])].iloc[1]
        raise InputError(
            f"{one['path']} has {one['tag']} = {one['value']:g} at step {one['step']} and {other['path']} has "
            f"{other['value']:g}; import two runs as two, and join the parts of a restarted one: "
            f"cat {one['path']} {other['path']}"
        )
    values = values.drop_duplicates(key, keep="last").drop(columns="path")
    known = {tag: score for log in logs for tag, score in log.scores.items()}
    return logs[0]._replace(values=values.sort_values("step", kind="stable", ignore_index=True), scores=known)
