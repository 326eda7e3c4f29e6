"""The user's data files and their locks: what is wrong is said in one line; what is right is read."""

import gzip
import json

import pandas as pd
import pytest

from switchpoint import files, tables
from switchpoint.data import adapters, locks, pool, records, relations, sources
from switchpoint.errors import InputError
from switchpoint.study.jobs import IngestJob
from switchpoint.study.sources import File, StepLists

ROW = {"id": "a", "problem": "1 + 1?", "answer": "2", "solution": "1 + 1 = 2"}
LINES = "".join(json.dumps(ROW | {"id": str(number)}) + "\n" for number in range(3))


def refused(call, *arguments) -> str:
    """The message of the InputError, one line with a fix."""
    with pytest.raises(InputError) as error:
        call(*arguments)
    message = str(error.value)
    assert "\n" not in message
    assert "; " in message or ": " in message
    assert len(message) < 500
    return message


NO_TEXT = {
    "missing": (None, "no such file; give a"),
    "directory": (..., "is a directory; give a"),
    "gzip": (gzip.compress(LINES.encode()), "is gzip-compressed; decompress it"),
    "zip": (b"PK\x03\x04" + b"x" * 50, "is zip-compressed; decompress it"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 50, "is zstd-compressed; decompress it"),
    "UTF-16": (LINES.encode("utf-16"), "binary, or UTF-16; save the"),
    "UTF-16 without a mark": (LINES.encode("utf-16-le"), "binary, or UTF-16; save the"),
    "Latin-1": (LINES.replace("?", "\xe9").encode("latin-1"), "is not UTF-8; save the"),
    "parquet": (b"PAR1" + b"x" * 50, "is a parquet file; name it .parquet"),
    "empty": (b"", ""),
    "cut": (LINES[:-9].encode(), "not JSON"),
    "deep": (b"[" * 100_000, "not JSON (maximum recursion depth exceeded"),
    "a huge integer": (b'{"a": ' + b"9" * 5000 + b"}", "not JSON (Exceeds the limit"),
    "a key twice": (b'{"id": 1, "id": 2}', "not JSON (the key 'id' stands twice)"),
    "a list": (b"[1, 2]", "object"),
    "a number": (b"3", "object"),
    "a text": (b'"abc"', "object"),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
@pytest.mark.parametrize("how", NO_TEXT)
def test_a_file_that_is_no_such_text(tmp_path, how, suffix):
    content, words = NO_TEXT[how]
    path = tmp_path / f"mine{suffix}"
    if content is ...:
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    message = refused(lambda: records.validate(tables.read_objects(path), str(path)))
    assert message.startswith(str(path))
    assert words in message


NO_PARQUET = {
    "text": LINES.encode(),
    "empty": b"",
    "gzip": gzip.compress(LINES.encode()),
    "marks alone": b"PAR1PAR1",
    "half": ...,
}


@pytest.mark.parametrize("how", NO_PARQUET)
def test_a_file_that_is_no_parquet(tmp_path, how):
    path = tmp_path / "mine.parquet"
    pd.DataFrame([ROW]).to_parquet(path)
    content = NO_PARQUET[how]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if content is ... else content)
    assert "not a parquet file" in refused(tables.read_parquet, path)
    path.unlink()
    assert "does not exist" in refused(tables.read_parquet, path)
    path.mkdir()
    assert "is no file" in refused(tables.read_parquet, path)


def test_any_flipped_byte_of_a_parquet_file_is_refused_or_read(tmp_path):
    path = tmp_path / "mine.parquet"
    pd.DataFrame([ROW | {"id": str(number)} for number in range(5)]).to_parquet(path)
    whole, refusals = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            records.read(path)
        except InputError:
            refusals += 1
    assert refusals > 20


COLUMNS = [
    ({"win_rate": 0.5}, "has a column 'win_rate', which the study computes itself; rename it"),
    ({"source": "x"}, "has a column 'source'"),
    ({"split": "test"}, "has a column 'split'"),
    ({"solution": 5}, "row 1: solution is 5; give a non-empty string"),
    ({"solution": ["a"]}, "row 1: solution is ['a']; give a non-empty string"),
    ({"solution": " "}, "row 1: solution is ' '; give a non-empty string"),
    ({"problem": "\ud800"}, "row 1 holds half a character"),
    ({"answer": ["\ud800"]}, "row 1: answer holds half a character"),
    ({"answer": ["1", 2]}, "row 1: answer is 2; give a non-empty string"),
    ({"answer": {"a": 1}}, "row 1: answer is {'a': 1}"),
    ({"problem": ["x"] * 1000}, "row 1: problem is ['x', "),
]


@pytest.mark.parametrize(("change", "words"), COLUMNS, ids=[f"{c[0]}"[:30] for c in COLUMNS])
def test_a_column_that_a_source_cannot_have(tmp_path, change, words):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(ROW | change) + "\n")
    assert words in refused(records.read, path)


def test_other_columns_are_left_and_answers_are_of_one_kind(tmp_path):
    """Columns of any kind beside the study's would not fit the table of another source."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW | {"meta": 1}).encode() + b"\n"
                     + json.dumps({"problem": "p", "answer": ["1", "2"], "meta": {"a": []}, "id": "b"}).encode())  # fmt: skip
    rows = records.read(path)
    assert list(rows) == ["id", "problem", "answer", "solution"]
    assert rows["answer"].tolist() == [["2"], ["1", "2"]]
    tables.write_parquet(rows, tmp_path / "mine.parquet")
    again = records.read(tmp_path / "mine.parquet")
    assert [list(answer) for answer in again["answer"]] == [["2"], ["1", "2"]]
    text = records.validate(pd.DataFrame([ROW | {"problem": "other", "id": "c"}]), "other")
    for name, frame in {"again": again, "text": text}.items():
        frame = frame.assign(key=frame["problem"].map(relations.key), source=name)
        tables.write_parquet(frame, tmp_path / f"{name}.parquet")
    paths = [str(tmp_path / "again.parquet"), str(tmp_path / "text.parquet")]
    pool.deduplicate(paths, 0, str(tmp_path / "pool.parquet"))
    joined = tables.read_made(tmp_path / "pool.parquet").sort_values(["source", "id"])
    assert [list(answer) for answer in joined["answer"]] == [["2"], ["1", "2"], ["2"]]
    pool.deduplicate(paths[1:], 0, str(tmp_path / "pool.parquet"))
    assert tables.read_made(tmp_path / "pool.parquet")["answer"].tolist() == ["2"]


def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "no data set" in refused(adapters.read, str(tmp_path / "none"), "test", None)


LOCK = {"name": "mine", "revision": None, "sha256": "0" * 64}
LOCKS = {
    "missing": (None, "no such file"),
    "directory": (..., "is a directory"),
    "empty": ("", "Invalid JSON"),
    "no JSON": ("sha256", "Invalid JSON"),
    "binary": (bytes(range(256)), "binary, or UTF-16"),
    "Latin-1": (b'{"name": "\xe9"}', "is not UTF-8"),
    "gzip": (gzip.compress(b"{}"), "is gzip-compressed"),
    "a list": ("[]", "Input should be an object"),
    "a number": ("3", "Input should be an object"),
    "null": ("null", "Input should be an object"),
    "deep": ("[" * 100_000, "recursion limit"),
    "no keys": ("{}", "sha256: missing key"),
    "no hash": (json.dumps({"name": "mine", "revision": None}), "sha256: missing key"),
    "no revision": (json.dumps({"name": "mine", "sha256": "0" * 64}), "revision: missing key"),
    "a number as hash": (json.dumps(LOCK | {"sha256": 5}), "sha256: Input should be a valid string, but it is 5"),
    "half a hash": (json.dumps(LOCK | {"sha256": "0" * 32}), "sha256: String should match pattern"),
    "a list as revision": (json.dumps(LOCK | {"revision": [1]}), "revision"),
    "another key": (json.dumps(LOCK | {"hash": "x"}), "hash: unknown key"),
    "no name": (json.dumps(LOCK | {"name": None}), "name: Input should be a valid string, but it is None"),
}  # fmt: skip


@pytest.mark.parametrize("how", LOCKS)
def test_a_lock_that_is_none(tmp_path, how):
    content, words = LOCKS[how]
    lock, data = tmp_path / "mine.lock", tmp_path / "mine.jsonl"
    data.write_text(LINES)
    if content is ...:
        lock.mkdir()
    elif content is not None:
        lock.write_bytes(content if isinstance(content, bytes) else content.encode())
    generated = {"kind": "step_lists", "size": 3, "n_steps": (2, 3), "tiers": [1], "lock": str(lock)}
    for source in (File(kind="file", path=str(data), lock=str(lock)), StepLists(**generated)):
        with pytest.raises(InputError) as error:
            sources.read_rows(IngestJob(recipe=1, name="mine", seed=0, source=source))
        assert str(lock) in str(error.value)
        assert words in str(error.value)
        assert str(error.value).endswith(f"; write it with `python -m switchpoint lock PATH --out {lock}`")
        assert how in ("no keys", "no hash", "a list as revision") or "\n" not in str(error.value)


def test_a_lock_that_is_one(tmp_path):
    data, lock = tmp_path / "mine.jsonl", tmp_path / "mine.lock"
    data.write_text(LINES)
    locks.write_lock(str(data), str(lock), None)
    source = File(kind="file", path=str(data), lock=str(lock))
    assert len(sources.read_rows(IngestJob(recipe=1, name="mine", seed=0, source=source))) == 3
    files.write_json(lock, LOCK)
    with pytest.raises(InputError, match="if the change is meant"):
        sources.read(source)


def test_what_a_users_file_gives_does_not_depend_on_the_order_of_its_rows(tmp_path):
    """Ids hang on the problems where the file has none, and the shortest solution of a problem is taken."""
    own = [
        {"problem": "a?", "answer": "1", "solution": "long"}, {"problem": "A?", "answer": "2", "solution": "st"},
        {"problem": "a?", "answer": "3", "solution": "st"}, {"problem": "a?", "answer": "1"},
        {"problem": "b?", "answer": ["1", "2"]}, {"problem": "b?", "answer": ["2"]},
    ]  # fmt: skip
    found = set()
    for turn in range(len(own)):
        path, out = tmp_path / "mine.jsonl", tmp_path / "source.parquet"
        path.write_text("".join(json.dumps(row) + "\n" for row in own[turn:] + own[:turn]))
        locks.write_lock(str(path), str(tmp_path / "lock"), None)
        source = File(kind="file", path=str(path), lock=str(tmp_path / "lock"))
        sources.ingest(IngestJob(recipe=1, name="mine", seed=0, source=source), str(out))
        pool.deduplicate([str(out)], 0, str(tmp_path / "pool.parquet"))
        found.add(files.sha256(tmp_path / "pool.parquet"))
    assert len(found) == 1
    kept = tables.read_made(tmp_path / "pool.parquet").sort_values("problem")
    assert kept["id"].tolist() == [f"mine-{relations.key(text)[:20]}" for text in ("a?", "b?")]
    assert kept["solution"].tolist()[0] == "st"
