"""Raw sources: generated step lists, and local files named by a lock.

A lock is a small committed file (name, revision, sha256); it is the workflow's input, so
that touching a large raw file reruns nothing, and a changed one is refused until its lock
says so.
"""

from pathlib import Path

import pandas as pd

from switchpoint import files
from switchpoint.data import records, step_lists
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
    check_lock(job["path"], job["lock"])
    return records.read(job["path"]).assign(source=job["name"])


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


def check_file_source(path: str, lock: str) -> None:
    """InputError when a file source does not fit its lock or a row is wrong."""
    check_lock(path, lock)
    records.read(path)


def write_lock(path: str, lock: str) -> None:
    """Checks a file's rows and writes its lock."""
    rows = records.read(path)
    files.write_json(lock, {"name": Path(path).name, "revision": len(rows), "sha256": files.sha256(path)})
