"""Raw sources: generated step lists, and local files named by a lock.

A lock is a small committed file (name, revision, sha256); it is the workflow's input, so
that touching a large raw file reruns nothing, and a changed one is refused until its lock
says so.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from switchpoint import files
from switchpoint.data import adapters, records, step_lists
from switchpoint.errors import InputError
from switchpoint.study.config import BenchmarkFile, File
from switchpoint.study.jobs import IngestJob
from switchpoint.study.strict import Strict


class Lock(Strict):
    """What a raw source is: its file's hash, or the revision of a data set on the hub."""

    name: str
    revision: str | int | None
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64}|unresolved|generated)$")]


def ingest(job: IngestJob) -> pd.DataFrame:
    """The checked rows of one source; column ``source`` is its name."""
    source = job.source
    if source.kind != "step_lists":
        return read(source).assign(source=job.name)
    read_lock(source.lock)
    rows = step_lists.make_problems(job.seed, job.name, source.size, source.n_steps, source.tiers)
    frame = pd.DataFrame(rows)
    if not source.solutions:
        frame["solution"] = None
    return records.validate(frame, job.name)


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


def read_lock(lock: str) -> Lock:
    """The lock of a file; InputError unless it holds what ``write_lock`` writes."""
    try:
        return Lock.read(files.read_text(lock, "lock file"), lock)
    except InputError as error:
        raise InputError(f"{error}; write it with `python -m switchpoint lock PATH --out {lock}`") from None


def check_lock(path: str, lock: str) -> None:
    """InputError unless the file's content is the one that its lock names."""
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; correct the path in data.sources")
    expected, found = read_lock(lock).sha256, files.sha256(path)
    if expected != found:
        raise InputError(
            f"{path} has sha256 {found[:12]}..., its lock {lock} says {expected[:12]}...; "
            f"if the change is meant, run `python -m switchpoint lock {path} --out {lock}`"
        )


def write_lock(path: str, lock: str, revision: str | None) -> None:
    """Writes the lock of a file, or of a data set's revision; rows are checked by the job that reads them."""
    if not Path(path).is_file() and revision is None:
        raise InputError(
            f"{path} does not exist; correct the path, or give the revision of a data set on the hub"
        )
    sha256 = files.sha256(path) if Path(path).is_file() else "unresolved"
    files.write_json(lock, {"name": Path(path).name, "revision": revision, "sha256": sha256})
