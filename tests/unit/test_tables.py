"""Tables on disk: whole or not at all, and what is wrong with a file is said."""

import pandas as pd
import pytest

from switchpoint import tables
from switchpoint.errors import InputError


def test_a_parquet_file_that_is_missing_or_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.parquet does not exist"):
        tables.read_parquet(tmp_path / "gone.parquet")
    (tmp_path / "text.parquet").write_text("run,step\n")
    with pytest.raises(InputError, match=r"text\.parquet: not a parquet file"):
        tables.read_parquet(tmp_path / "text.parquet")


def test_what_is_written_is_read(tmp_path):
    rows = [{"run": "a", "score": 1.5}, {"run": "b", "score": 2.5}]
    table = pd.DataFrame(rows)
    tables.write_parquet(table, tmp_path / "t.parquet")
    assert tables.read_parquet(tmp_path / "t.parquet").equals(table)
    tables.write_csv(table, tmp_path / "t.csv")
    assert tables.read_csv(tmp_path / "t.csv").to_dict("records") == rows
    tables.write_json_lines(iter(rows), tmp_path / "t.jsonl")
    assert list(tables.read_json_lines(tmp_path / "t.jsonl")) == rows


def test_rows_that_fail_halfway_leave_the_old_file(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"old": 1}\n')

    def rows():
        yield {"new": 1}
        raise InputError("row 2 is wrong")

    with pytest.raises(InputError, match="row 2"):
        tables.write_json_lines(rows(), path)
    assert path.read_text() == '{"old": 1}\n'
    assert list(tmp_path.iterdir()) == [path]
