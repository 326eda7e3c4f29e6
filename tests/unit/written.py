"""Small files of logs and tables, written for a test."""

import json
from pathlib import Path

import pandas as pd


def rows_of(points: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(points[list(columns)].itertuples(index=False, name=None))


def write_lines(path: Path, records: list, end: str = "\n") -> str:
    path.write_text("\n".join(json.dumps(record) for record in records) + end)
    return str(path)


def write_table(path: Path, **columns) -> str:
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)
