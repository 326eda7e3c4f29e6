"""Records by which damaged files are known, and files that are placed where links cannot be."""

import errno
import os
from pathlib import Path

import pandas as pd
import pytest
from damages import DAMAGES, damage

from switchpoint import files, tables
from switchpoint.errors import InputError

AGAIN = "run snakemake again: it will be made anew"


def published(directory: Path) -> Path:
    """A small job's outputs with their record."""
    files.write_text(
        directory / "points.csv", "run,score\nrl/grpo/base/seed_0,1.5\nrl/grpo/base/seed_0,2.5\n"
    )
    files.write_text(directory / "model/config.json", "{}\n")
    outputs = files.measure(directory, ["points.csv", "model/config.json"])
    files.write_record(directory / "run.json", {"status": "finished", "steps": 3, "outputs": outputs})
    return directory


def refusal(directory: Path, names=None) -> str:
    with pytest.raises(InputError) as caught:
        files.read_run(directory, names)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(AGAIN)
    return message


def test_a_record_is_read_as_it_was_written(tmp_path):
    record = files.read_run(published(tmp_path))
    assert record["status"] == "finished"
    assert record["outputs"]["model/config.json"]["size"] == 3
    assert "digest" not in record


@pytest.mark.parametrize("name", ["points.csv", "model/config.json", "run.json"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_output_is_named_with_the_fix(tmp_path, name, kind):
    damage(published(tmp_path) / name, kind)
    message = refusal(tmp_path)
    assert str(tmp_path / name) in message
    assert ("delete it" in message) == (kind != "delete")


def test_a_table_that_ends_at_a_whole_line_is_known_to_be_cut(tmp_path):
    path = published(tmp_path) / "points.csv"
    size = path.stat().st_size
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert f"{path} has {path.stat().st_size} bytes instead of {size}" in refusal(tmp_path)


def test_only_what_is_read_is_verified(tmp_path):
    (published(tmp_path) / "model/config.json").unlink()
    files.read_run(tmp_path, ["points.csv"])
    refusal(tmp_path, ["model/config.json"])


def test_large_outputs_are_compared_by_size_alone(tmp_path, monkeypatch):
    path = published(tmp_path) / "points.csv"
    monkeypatch.setattr(files, "HASHED", 10)
    damage(path, "flip")
    files.read_run(tmp_path)
    damage(path, "truncate")
    assert "points.csv" in refusal(tmp_path)


def test_every_flipped_bit_of_a_record_is_seen(tmp_path):
    path = published(tmp_path) / "run.json"
    data = path.read_bytes()
    for place, byte in enumerate(data):
        path.write_bytes(data[:place] + bytes([byte ^ 4]) + data[place + 1 :])
        refusal(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        "[" * 100_000,
        '{"status": NaN, "digest": ""}',
        "{}",
        '{"status": "finished"}',
    ],
)
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert "run.json" in refusal(tmp_path)


def test_an_edited_record_and_one_of_an_older_version_are_refused(tmp_path):
    record = files.read_json(published(tmp_path) / "run.json")
    files.write_json(tmp_path / "run.json", record | {"steps": 4})
    assert "not as it was written" in refusal(tmp_path)
    files.write_json(tmp_path / "run.json", {"status": "finished", "steps": 3})
    assert "an older version" in refusal(tmp_path)


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS])
def test_where_a_link_cannot_be_there_is_a_copy(tmp_path, monkeypatch, code):
    source, target = tmp_path / "state/model.safetensors", tmp_path / "out/model.safetensors"
    files.write_text(source, "weights")

    def refuse(*_paths):
        raise OSError(code, os.strerror(code))

    files.place(source, target)
    assert target.samefile(source)
    monkeypatch.setattr(os, "link", refuse)
    files.place(source, target)
    assert target.read_text() == "weights"
    assert not target.samefile(source)
    assert [path.name for path in target.parent.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["table.parquet", "table.csv", "table.json"])
def test_a_damaged_table_of_another_job_is_named_with_the_fix(tmp_path, name, kind):
    """The byte in the middle: of a parquet file that of a page, whose checksum is wrong then."""
    path = tmp_path / name
    table = pd.DataFrame({"n": range(5000)})
    if name == "table.json":
        files.write_json(path, table["n"].tolist())
    else:
        (tables.write_csv if name == "table.csv" else tables.write_parquet)(table, path)
    tables.read_made(path)
    damage(path, kind)
    if kind == "flip" and name != "table.parquet":
        return  # another digit is a table, too
    with pytest.raises(InputError, match=AGAIN) as caught:
        tables.read_made(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_flipped_byte_of_a_parquet_file_is_seen_or_changes_nothing(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "answer": ["1", None], "win_rate": [0.25, 0.5]})
    path, seen = tmp_path / "pool.parquet", 0
    tables.write_parquet(table, path)
    before, data = tables.read_made(path), path.read_bytes()
    for place, byte in enumerate(data):
        path.write_bytes(data[:place] + bytes([byte ^ 0x11]) + data[place + 1 :])
        try:
            pd.testing.assert_frame_equal(tables.read_made(path), before)
        except InputError:
            seen += 1
    assert len(data) / 2 < seen < len(data)


@pytest.mark.parametrize("kind", ["truncate", "flip"])
@pytest.mark.parametrize("name", ["curves.csv", "samples.parquet"])
def test_a_table_is_verified_wherever_its_record_lies_beside_it(tmp_path, name, kind):
    path = tmp_path / name
    table = pd.DataFrame({"run": ["a", "a"], "score": [1.5, 2.5]})
    write, read = {
        "curves.csv": (tables.write_csv, tables.read_csv),
        "samples.parquet": (tables.write_parquet, tables.read_parquet),
    }[name]
    write(table, path)
    files.write_record(tmp_path / "run.json", {"outputs": files.measure(tmp_path, [name])})
    assert read(path)["score"].tolist() == [1.5, 2.5]
    damage(path, kind)
    with pytest.raises(InputError, match=AGAIN):
        read(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        '{"outputs": 3}',
        '{"outputs": {}}',
        '{"outputs": {"mine.csv": 3}}',
        "\xff",
        "[" * 100_000,
    ],
)
def test_other_programs_may_have_a_run_json_beside_a_table(tmp_path, text):
    (tmp_path / "run.json").write_text(text, encoding="latin-1")
    (tmp_path / "mine.csv").write_text("run,score\na,1")
    assert tables.read_csv(tmp_path / "mine.csv")["score"].tolist() == [1]
