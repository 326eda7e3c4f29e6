"""The rows of a source: generated, or read from a file that its lock names."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from switchpoint import tables
from switchpoint.data import adapters, raw, records, relations, step_lists, toy, word_problems
from switchpoint.data.locks import check_lock, read_lock, write_lock
from switchpoint.data.records import Lengths
from switchpoint.study.jobs import IngestJob
from switchpoint.study.sources import BenchmarkFile, Dataset, File, Generated


def ingest(job: IngestJob, out: str, n_tokens: Lengths | None = None) -> dict:
    """Writes the checked rows of one source and returns what became of its rows (``raw.Census``).

    ``n_tokens`` counts tokens, where the source is filtered by them.
    """
    source = job.source
    if getattr(source, "toy", None):
        return ingest_toy(job, out, n_tokens)
    if isinstance(source, Dataset):
        check_dataset(source)
        return raw.ingest(source, job.name, n_tokens, out).summary()
    rows = read_rows(job)
    rows = rows.assign(key=rows["problem"].map(relations.key), source=job.name)
    if isinstance(source, File):
        rows = records.named_by_problem(rows, source.path)
    tables.write_parquet(rows, out)
    return raw.Census(rows=len(rows), kept=len(rows)).summary()


def ingest_toy(job: IngestJob, out: str, n_tokens: Lengths | None) -> dict:
    """As ``ingest``, of generated rows in the source's schema."""
    with tempfile.TemporaryDirectory(dir=Path(out).parent) as folder:
        path, lock = Path(folder, "rows.jsonl"), Path(folder, "lock")
        toy.write_rows(job.source, job.name, path)
        write_lock(str(path), str(lock), None)
        place = {"path": [str(path)], "hub": None} if isinstance(job.source, Dataset) else {"path": str(path)}
        source = job.source.model_copy(update={"toy": None, "lock": str(lock), **place})
        return ingest(job.model_copy(update={"source": source}), out, n_tokens)


def check_dataset(source: Dataset) -> None:
    """InputError unless the files are those that the lock names; of the hub the revision is asked for."""
    if source.path is not None:
        check_lock([str(path) for path in raw.files_of(source.path)], source.lock)
    else:
        read_lock(source.lock)


def read_rows(job: IngestJob) -> pd.DataFrame:
    """The checked rows of a generated source, of a user's file or of a benchmark."""
    source = job.source
    if not isinstance(source, Generated):
        return read(source)
    read_lock(source.lock)
    frame = pd.DataFrame(generate(job))
    if not source.solutions:
        frame["solution"] = None
    return records.validate(frame, job.name)


def generate(job: IngestJob) -> Iterator[dict]:
    """The records of a generated source."""
    source = job.source
    if source.kind == "word_problems":
        return word_problems.make_problems(job.seed, job.name, source.size, source.operations)
    return step_lists.make_problems(job.seed, job.name, source.size, source.n_steps, source.tiers)


def read(source: File | BenchmarkFile) -> pd.DataFrame:
    """The checked rows of a file, or of a benchmark in its own schema; its lock must fit."""
    if source.kind == "file":
        check_lock(source.path, source.lock)
        return records.read(source.path)
    if adapters.is_file(source.path):
        check_lock(source.path, source.lock)
    revision = read_lock(source.lock).revision
    rows = adapters.read(source.path, source.split, revision)
    return adapters.adapt(rows, source.benchmark, source.path)
