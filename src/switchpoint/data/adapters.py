"""The usual benchmarks in the file schemas the field gives them in, turned into records.

A file (.jsonl, .json, .parquet) or a data set on the hub; each row becomes ``problem, answer``.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from switchpoint import tables
from switchpoint.data import records
from switchpoint.errors import InputError
from switchpoint.grading.extraction import last_boxed


def as_text(value) -> str | list[str]:
    """The gold as a string, or as a list of strings; whole numbers lose their point."""
    if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
        return [str(as_text(item)) for item in list(value)]
    return str(int(value)) if isinstance(value, (int, float)) and float(value).is_integer() else str(value)


def after_hashes(value: str) -> str:
    """GSM8K's gold: what follows ``####``, without thousands separators."""
    return str(value).rpartition("####")[2].strip().replace(",", "")


def boxed(value: str) -> str:
    """The last boxed answer of a solution."""
    return last_boxed(str(value)) or ""


# The columns that may hold the problem and the gold, in this order, and how the gold is read.
ADAPTERS: dict[str, tuple[list[str], list[str], Callable]] = {
    "gsm8k": (["question", "problem"], ["answer"], after_hashes),
    "math500": (["problem"], ["answer"], as_text),
    "olympiadbench": (["question", "problem"], ["final_answer", "answer"], as_text),
    "minerva": (["problem", "question"], ["solution"], boxed),
    "aime24": (["problem", "Problem", "question"], ["answer", "Answer"], as_text),
    "aime25": (["problem", "question"], ["answer"], as_text),
    "aime_1983_2024": (["Question", "problem"], ["Answer", "answer"], as_text),
    "amc": (["problem", "question"], ["answer"], as_text),
    "records": (["problem"], ["answer"], as_text),
}


def adapt(rows: pd.DataFrame, name: str, where: str) -> pd.DataFrame:
    """The checked records of a benchmark; InputError names a missing column or a wrong row."""
    problems, golds, read = ADAPTERS[name]
    frame = pd.DataFrame(
        {
            "problem": rows[column(rows, problems, where)].map(present(str)),
            "answer": rows[column(rows, golds, where)].map(present(read)),
        }
    )
    frame["id"] = [f"{name}-{row}" for row in range(len(frame))]
    return records.validate(frame, where)


def present(read: Callable) -> Callable:
    """``read`` for values that are there; a missing one stays missing, and is refused with its row."""
    return lambda value: value if pd.api.types.is_scalar(value) and pd.isna(value) else read(value)


def column(rows: pd.DataFrame, names: list[str], where: str) -> str:
    """The first of the names that is a column."""
    for name in names:
        if name in rows:
            return name
    raise InputError(
        f"{where}: none of the columns {names}; it has {tables.listed(rows.columns)}: rename one"
    )


def is_file(path: str) -> bool:
    """Whether the path names a file (by its suffix), and no data set on the hub."""
    return Path(path).suffix in (".jsonl", ".json", ".parquet")


def read(path: str, split: str, revision: str | int | None) -> pd.DataFrame:
    """The raw rows of a local file, or of a data set on the hub (or in a folder) at a revision."""
    if is_file(path):
        return tables.read_objects(path)
    from datasets import exceptions, load_dataset

    try:
        return load_dataset(path, split=split, revision=revision).to_pandas()
    except (exceptions.DatasetsError, OSError, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no data set ({problem}); correct its path, split or revision") from error
