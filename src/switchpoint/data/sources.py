"""The rows of a source: generated, or read from a file that its lock names."""

from collections.abc import Iterator

import pandas as pd

from switchpoint.data import adapters, records, step_lists, word_problems
from switchpoint.data.locks import check_lock, read_lock
from switchpoint.study.jobs import IngestJob
from switchpoint.study.sources import BenchmarkFile, File, Generated


def ingest(job: IngestJob) -> pd.DataFrame:
    """The checked rows of one source; column ``source`` is its name."""
    source = job.source
    if not isinstance(source, Generated):
        return read(source).assign(source=job.name)
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
