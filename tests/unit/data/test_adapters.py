"""Benchmarks in the field's file schemas, from files and through the datasets library."""

import json
from pathlib import Path

import pandas as pd
import pytest
from reference import reference

from switchpoint import files
from switchpoint.data import adapters, sources
from switchpoint.errors import InputError
from switchpoint.study import jobs
from switchpoint.study.sources import BENCHMARK_SCHEMAS, BenchmarkFile, File

ROWS = {
    "gsm8k": ({"question": "2 + 2?", "answer": "It is <<2+2=4>>4.\n#### 1,004"}, "1004"),
    "math500": ({"problem": "p", "solution": "s", "answer": "\\frac{1}{2}", "level": 3}, "\\frac{1}{2}"),
    "olympiadbench": ({"question": "q", "final_answer": ["2", "$3$"], "unit": None}, ["2", "$3$"]),
    "minerva": (
        {"problem": "p", "solution": "So \\boxed{1} or rather \\boxed{\\frac{a}{b}}."},
        "\\frac{a}{b}",
    ),
    "aime24": ({"ID": "2024-I-1", "Problem": "p", "Answer": 204}, "204"),
    "aime25": ({"problem": "p", "answer": "70"}, "70"),
    "aime_1983_2024": ({"ID": "1983-1", "Question": "q", "Answer": 60}, "60"),
    "amc": ({"id": 0, "problem": "p", "answer": 142.0}, "142"),
    "records": ({"problem": "p", "answer": ["1", "2"]}, ["1", "2"]),
}


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def job(benchmark: str, path: str, revision: str | None = None) -> jobs.IngestJob:
    """The job that reads a source of that benchmark, with its lock beside it."""
    lock = f"{path}.lock"
    sha256 = files.sha256(path) if Path(path).is_file() else "unresolved"
    files.write_json(lock, {"name": benchmark, "revision": revision, "sha256": sha256})
    source = BenchmarkFile(kind="benchmark", benchmark=benchmark, path=path, lock=lock)
    return jobs.IngestJob(recipe=1, name=benchmark, seed=0, source=source)


def test_every_adapter_is_tested():
    assert ROWS.keys() == adapters.ADAPTERS.keys()


def test_a_study_names_exactly_the_benchmarks_that_can_be_read():
    assert tuple(adapters.ADAPTERS) == BENCHMARK_SCHEMAS


@pytest.mark.parametrize("benchmark", ROWS)
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_a_row_becomes_a_record(benchmark, suffix, tmp_path):
    row, gold = ROWS[benchmark]
    path = tmp_path / f"test.{suffix}"
    if suffix == "parquet":
        pd.DataFrame([row]).to_parquet(path)
    else:
        path.write_text(json.dumps(row) + "\n" if suffix == "jsonl" else json.dumps([row]))
    (record,) = sources.read_rows(job(benchmark, str(path))).to_dict("records")
    assert record["answer"] == gold
    assert record["problem"] in ("p", "q", "2 + 2?")
    assert record["id"] == f"{benchmark}-0"


def test_a_folder_is_read_as_the_hub_is(tmp_path):
    write(tmp_path / "test.jsonl", [ROWS["gsm8k"][0]])
    write(tmp_path / "train.jsonl", [ROWS["gsm8k"][0]] * 3)
    frame = sources.read_rows(job("gsm8k", str(tmp_path)))
    assert frame["answer"].tolist() == ["1004"]


@pytest.mark.parametrize(
    ("benchmark", "row", "words"),
    [
        ("gsm8k", {"question": "q"}, "none of the columns"),
        ("gsm8k", {"question": "q", "answer": None}, "row 2: answer is"),
        ("gsm8k", {"question": None, "answer": "#### 3"}, "row 2: problem is"),
        ("minerva", {"problem": "p", "solution": "no box"}, "row 2: answer is ''"),
        ("aime24", {"Problem": "p", "Answer": float("nan")}, "row 2: answer is"),
        ("olympiadbench", {"question": "q", "final_answer": []}, "row 2: answer is"),
    ],
)
def test_a_wrong_row_is_named(benchmark, row, words, tmp_path):
    rows = [ROWS[benchmark][0], row] if words != "none of the columns" else [row]
    path = write(tmp_path / "test.jsonl", rows)
    with pytest.raises(InputError, match=words):
        sources.read_rows(job(benchmark, path))


def test_a_changed_file_is_refused(tmp_path):
    path = write(tmp_path / "test.jsonl", [ROWS["gsm8k"][0]])
    made = job("gsm8k", path)
    write(tmp_path / "test.jsonl", [ROWS["gsm8k"][0]] * 2)
    with pytest.raises(InputError, match="sha256"):
        sources.read_rows(made)


def test_the_real_files_have_their_published_sizes(tmp_path):
    sizes = {"aime24": 30, "aime25": 30, "gsm8k": 1319, "math500": 500, "olympiadbench": 675}
    for name, size in sizes.items():
        copy = tmp_path / f"{name}.jsonl"
        copy.write_bytes(reference("benchmarks", f"{name}.jsonl").read_bytes())
        # These files hold plain records already.
        assert len(sources.read_rows(job("records", str(copy)))) == size


@pytest.mark.parametrize("text", ["{}", "[]", "not json", '{"sha256": "0"}'])
def test_a_lock_that_is_none_is_named(text, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "problem": "1 + 1?", "answer": "2"}\n')
    lock = tmp_path / "rows.lock"
    lock.write_text(text)
    source = File(kind="file", path=str(tmp_path / "rows.jsonl"), lock=str(lock))
    with pytest.raises(InputError, match="switchpoint lock"):
        sources.read(source)
