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
        problem = " ".join(str(error).split())
        raise InputError(f"{problem}; write it with `python -m switchpoint lock PATH --out {lock}`") from None


def check_lock(given: str | Path | list[str], lock: str) -> None:
    """InputError unless the content of the file, the files or the model directory is the one that the lock names."""
    several = given if isinstance(given, list) else [str(given)]
    for path in several:
        if not Path(path).exists():
            raise InputError(f"{path} does not exist; correct the path in the study")
    expected, found = read_lock(lock).sha256, content_hash(*several)
    if expected != found:
        shown = " ".join(several)
        raise InputError(
            f"{shown} has sha256 {found[:12]}..., its lock {lock} says {expected[:12]}...; "
            f"if the change is meant, run `python -m switchpoint lock {shown} --out {lock}`"
        )


def write_lock(given: str | list[str], lock: str, revision: str | None) -> None:
    """Writes the lock of files, of a model directory, or of a revision on the hub.

    Rows are checked by the job that reads them.
    """
    several = given if isinstance(given, list) else [given]
    there = all(Path(path).is_file() for path in several) or (
        len(several) == 1 and paths.given_model(several[0])
    )
    if not there and (revision is None or len(several) > 1):
        raise InputError(
            f"{' '.join(several)} is no file and no model directory; correct the path, or give the revision of what is "
            "on the hub"
        )
    sha256 = content_hash(*several) if there else "unresolved"
    name = " ".join(Path(path).name for path in several)
    files.write_json(lock, {"name": name, "revision": revision, "sha256": sha256})


def content_hash(*given: str | Path) -> str:
    """The sha256 of a file; of several, and of what a model directory is made of, that of their ``sha256sum``."""
    [first, *others] = given
    if Path(first).is_file() and not others:
        return files.sha256(first)
    several = given if others else paths.given_model(first)
    lines = [f"{files.sha256(file)}  {Path(file).name}\n" for file in several]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
