"""Locks: what a data file or a pretrained model has to be.

A lock is a small committed file (name, revision, sha256); it is the workflow's input, so that touching a large raw file
reruns nothing, and a changed one is refused until its lock says so.
"""

import hashlib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.study.strict import Strict


class Lock(Strict):
    """A file's or a model directory's hash, or the revision of what is on the hub."""

    name: str
    revision: str | int | None
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64}|unresolved|generated)$")]


def read_lock(lock: str) -> Lock:
    """The lock of a file; InputError unless it holds what ``write_lock`` writes."""
    try:
        return Lock.read(files.read_text(lock, "lock file"), lock)
    except InputError as error:
        raise InputError(f"{error}; write it with `python -m switchpoint lock PATH --out {lock}`") from None


def check_lock(path: str | Path, lock: str) -> None:
    """InputError unless the content of the file or model directory is the one that its lock names."""
    if not Path(path).exists():
        raise InputError(f"{path} does not exist; correct the path in the study")
    expected, found = read_lock(lock).sha256, content_hash(path)
    if expected != found:
        raise InputError(
            f"{path} has sha256 {found[:12]}..., its lock {lock} says {expected[:12]}...; "
            f"if the change is meant, run `python -m switchpoint lock {path} --out {lock}`"
        )


def write_lock(path: str, lock: str, revision: str | None) -> None:
    """Writes the lock of a file, of a model directory, or of a revision on the hub.

    Rows are checked by the job that reads them.
    """
    there = Path(path).is_file() or paths.given_model(path)
    if not there and revision is None:
        raise InputError(
            f"{path} is no file and no model directory; correct the path, or give the revision of what is on the hub"
        )
    sha256 = content_hash(path) if there else "unresolved"
    files.write_json(lock, {"name": Path(path).name, "revision": revision, "sha256": sha256})


def content_hash(path: str | Path) -> str:
    """The sha256 of a file; of a model directory, that of the ``sha256sum`` of the files that the model is made of."""
    if Path(path).is_file():
        return files.sha256(path)
    lines = [f"{files.sha256(file)}  {Path(file).name}\n" for file in paths.given_model(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
