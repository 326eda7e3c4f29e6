"""What commands share: where they may write (never over what they read), and how their help ends."""

import os
import tempfile
from pathlib import Path

from switchpoint.errors import InputError


def example(words: str) -> str:
    """The end of a command's help."""
    return f"Example: `switchpoint {words}`"


def check_out(out: str | None, *inputs: str | None) -> None:
    """InputError unless the file ``out`` can be written and is none of the inputs (nor of a folder that is one).

    Asked before anything is computed.  Folders that are missing are made when the file is written.
    """
    if out is None:
        return
    path = Path(out)
    try:
        taken = [file for file in inputs if file is not None and path.exists() and holds(Path(file), path)]
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir():
            problem = "is a directory"
        elif taken:
            problem = f"is {'' if Path(taken[0]).is_file() else 'there, in '}the input {taken[0]}"
        elif (path.exists() and not path.is_file()) or above == Path("/dev"):
            problem = "is no regular file"
        elif path.exists() and not os.access(path, os.W_OK):
            problem = "is write-protected"
        else:
            with tempfile.NamedTemporaryFile(dir=above, prefix=f".{path.name}.", suffix=".tmp"):
                return
    except OSError as error:
        problem = f"cannot be written ({str(error.strerror).lower()})"
    raise InputError(f"--out {out}: {problem}; name another file")


def holds(given: Path, path: Path) -> bool:
    """Whether an existing path is the input or a file in it, by whatever name, or lies in it."""
    inside = given.is_dir() and path.resolve().is_relative_to(given.resolve())
    files_of = given.rglob("*") if given.is_dir() else [given]
    return inside or any(file.exists() and path.samefile(file) for file in files_of)
