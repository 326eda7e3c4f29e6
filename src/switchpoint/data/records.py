"""The row of data: ``id, problem, answer, solution, source, ...``, read and checked."""

from pathlib import Path

import pandas as pd

from switchpoint import tables
from switchpoint.errors import InputError


def validate(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """The same rows, with an ``id`` each; InputError names the first wrong row and the fix.

    ``answer`` is a string or a list of strings (any may match); ``solution`` may be missing.
    """
    for column in ("problem", "answer"):
        if column not in frame:
            raise InputError(f"{where}: no column {column!r}; it has {list(frame.columns)}: rename or add it")
    if frame.empty:
        raise InputError(f"{where}: no rows; give at least one record")
    frame = frame.copy()
    if "id" not in frame:
        frame["id"] = [f"{Path(where).stem}-{row}" for row in range(len(frame))]
    if "solution" not in frame:
        frame["solution"] = None
    frame["id"] = frame["id"].astype(str)
    duplicated = frame["id"].duplicated()
    if duplicated.any():
        row = int(duplicated.to_numpy().argmax())
        raise InputError(
            f"{where}, row {row + 1}: id {frame['id'].iloc[row]!r} stands twice; make ids unique"
        )
    for number, row in enumerate(frame.itertuples(index=False), start=1):
        check_row(row, f"{where}, row {number}")
    return frame


def check_row(row, where: str) -> None:
    """InputError when the problem, an answer or a given solution is not a non-blank string."""
    answers = (
        row.answer if isinstance(row.answer, (list, tuple)) or hasattr(row.answer, "tolist") else [row.answer]
    )
    texts = {"problem": [row.problem], "answer": list(answers) or [""]}
    if isinstance(row.solution, str):
        texts["solution"] = [row.solution]
    for column, values in texts.items():
        for value in values:
            if not isinstance(value, str) or not value.strip():
                raise InputError(
                    f"{where}: {column} is {value!r}; give a non-empty string (numbers too are written as strings)"
                )


def read(path: str | Path) -> pd.DataFrame:
    """The checked rows of a ``.jsonl`` or ``.parquet`` file."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; correct the path")
    if path.suffix == ".parquet":
        frame = tables.read_parquet(path)
    elif path.suffix == ".jsonl":
        frame = pd.DataFrame(list(tables.read_json_lines(path)))
    else:
        raise InputError(f"{path} is neither .jsonl nor .parquet; convert it")
    return validate(frame, str(path))
