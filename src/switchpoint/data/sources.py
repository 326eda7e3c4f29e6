"""Raw sources: generated step lists, and local files named by a lock.

A lock is a small committed file (name, revision, sha256); it is the workflow's input, so
that touching a large raw file reruns nothing, and a changed one is refused until its lock
says so.
"""

from pathlib import Path

import pandas as pd

from switchpoint import files
from switchpoint.data import adapters, records, step_lists
from switchpoint.errors import InputError


def ingest(job: dict) -> pd.DataFrame:
    """The checked rows of one source; column ``source`` is its name."""
    if job["kind"] == "step_lists":
        rows = step_lists.make_problems(
            job["seed"], job["name"], job["size"], tuple(job["n_steps"]), job["tiers"]
        )
        frame = pd.DataFrame(rows)
        if not job["solutions"]:
            frame["solution"] = None
        return records.validate(frame, job["name"])
    return read(job).assign(source=job["name"])


def read(source: dict) -> pd.DataFrame:
    """The checked rows of a file, or of a benchmark in its own schema; its lock must fit."""
    path = source["path"]
    if source["kind"] == "file":
        check_lock(path, source["lock"])
        return records.read(path)
    if adapters.is_file(path):
        check_lock(path, source["lock"])
    revision = files.read_json(source["lock"])["revision"]
    return adapters.adapt(adapters.read(path, source["split"], revision), source["benchmark"], path)


def check_lock(path: str, lock: str) -> None:
    """InputError unless the file's content is the one that its lock names."""
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; correct the path in data.sources")
    expected, found = files.read_json(lock)["sha256"], files.sha256(path)
    if expected != found:
        raise InputError(
            f"{path} has sha256 {found[:12]}..., its lock {lock} says {expected[:12]}...; "
            f"if the change is meant, run `python -m switchpoint lock {path} --out {lock}`"
        )


def check_source(source: dict) -> None:
    """InputError when a local source does not fit its lock or a row is wrong; the hub is asked by its job."""
    if adapters.is_file(source["path"]):
        read(source)


def write_lock(path: str, lock: str, revision: str | None) -> None:
    """Writes the lock of a file, or of a data set's revision; rows are checked when the study is read."""
    if not Path(path).is_file() and revision is None:
        raise InputError(
            f"{path} does not exist; correct the path, or give the revision of a data set on the hub"
        )
    sha256 = files.sha256(path) if Path(path).is_file() else "unresolved"
    files.write_json(lock, {"name": Path(path).name, "revision": revision, "sha256": sha256})
