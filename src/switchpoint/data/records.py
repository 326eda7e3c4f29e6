"""The row of data: ``id, problem, answer, solution, source, ...``, read and checked."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from switchpoint import files, tables
from switchpoint.errors import InputError
from switchpoint.tables import SHOWN

Lengths = Callable[[list[str]], list[int]]
"""Tokens of each text."""
COLUMNS = ("id", "problem", "answer", "solution")
RESERVED = ("source", "win_rate", "benchmark", "split", "key", "has_solution")  # columns that the study adds


def validate(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The same rows, with an ``id`` each; InputError names the first wrong row and the fix.

    ``answer`` is a string or a list of strings (any may match); ``solution`` may be missing.
    """
    for column in ("problem", "answer"):
        if column not in frame:
            raise InputError(
                f"{where}: no column {column!r}; it has {tables.listed(frame.columns)}: rename or add it"
            )
    if frame.empty:
        raise InputError(f"{where}: no rows; give at least one record")
    frame = frame.copy()
    if "id" not in frame:
        frame["id"] = numbered(where, len(frame))
    if "solution" not in frame:
        frame["solution"] = None
    if (missing := frame["id"].isna()).any():
        row = int(missing.to_numpy().argmax())
        raise InputError(f"{where}, row {row + 1}: no id; give every row one, or none of them")
    frame["id"] = frame["id"].astype(str)
    duplicated = frame["id"].duplicated()
    if duplicated.any():
        row = int(duplicated.to_numpy().argmax())
        raise InputError(
            f"{where}, row {row + 1}: id {frame['id'].iloc[row]!r} stands twice; make ids unique"
        )
    for number, row in enumerate(frame.itertuples(index=False), start=1):
        check_row(row, f"{where}, row {number}")
    return frame.assign(answer=alike(frame["answer"]))


def numbered(where: str | Path, n: int) -> list[str]:
    """The ids of rows that have none."""
    return [f"{Path(where).stem}-{row}" for row in range(n)]


def named_by_problem(frame: pd.DataFrame, where: str | Path) -> pd.DataFrame:
    """The rows with ids that hang on their problems, where they have none, so that draws depend on no file's order, and
    with ``preference``, by which the shortest solution of a problem is taken, whatever the order of the rows."""
    frame = frame.copy()
    if frame["id"].tolist() == numbered(where, len(frame)):
        frame["id"] = f"{Path(where).stem}-" + frame["key"].str[:20]
    answers = frame["answer"].map(str)
    content = frame[["solution", "problem", "id"]].fillna("").assign(answer=answers)
    lengths = frame["solution"].str.len().fillna(float("inf"))
    order = (
        content.assign(length=lengths).sort_values(["length", "solution", "problem", "answer", "id"]).index
    )
    frame.loc[order, "preference"] = range(len(frame))
    return frame.astype({"preference": "int64"})


def check_row(row, where: str) -> None:
    """InputError when the problem, an answer or a given solution is not a non-blank string."""
    answers = row.answer if isinstance(row.answer, list) or hasattr(row.answer, "tolist") else [row.answer]
    texts = {"problem": [row.problem], "answer": list(answers) or [""]}
    if not (pd.api.types.is_scalar(row.solution) and pd.isna(row.solution)):
        texts["solution"] = [row.solution]
    for column, values in texts.items():
        for value in values:
            if not isinstance(value, str) or not value.strip():
                raise InputError(
                    f"{where}: {column} is {repr(value)[:SHOWN]}; "
                    "give a non-empty string (numbers too are written as strings)"
                )
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise InputError(f"{where}: {column} holds half a character (a lone surrogate); delete it")


def alike(answers: pd.Series) -> pd.Series:
    """The answers, all as lists where some are: a column of a parquet file has one type."""
    texts = answers.map(lambda answer: isinstance(answer, str))
    return (
        answers
        if texts.all()
        else answers.map(lambda answer: [answer] if isinstance(answer, str) else list(answer))
    )


def read(path: str | Path) -> pd.DataFrame:
    """The checked rows of a ``.jsonl`` or ``.parquet`` file, ``COLUMNS`` alone; no column may be one of ``RESERVED``."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{files.absence(path)}; correct the path")
    if path.suffix not in (".jsonl", ".parquet"):
        raise InputError(f"{path} is neither .jsonl nor .parquet; convert it")
    frame = tables.read_objects(path)
    if taken := [name for name in RESERVED if name in frame]:
        raise InputError(f"{path}: has a column {taken[0]!r}, which the study computes itself; rename it")
    return validate(frame, str(path))[list(COLUMNS)]
