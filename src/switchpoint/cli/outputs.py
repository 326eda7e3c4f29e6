"""What commands share: where they may write (never over what they read or did not write), and how their help ends."""

import os
import re
import tempfile
from pathlib import Path

from switchpoint.errors import InputError

EARLIER = {
    "fit": r'\{\s*"runs": ',
    "phases": r'\{\s*"runs": ',
    "rank": r'\{\s*"predictor": ',
    "predict": r'\{\s*"verdict": .*\s*"n_calibration": ',
    "advise": r'\{\s*"verdict": .*\s*"headline": ',
    "report": r'<!DOCTYPE html>(?s:.)*<a class="skip" href="#main">Skip to the findings</a>',
    "import": r"run,phase,step,(exaflops|compute),",
    "grade": r'\{"correct": ',
    "published": r'\{\s*"claims": |id,claim,|\| # \| claim \|',
    "lock": r'\{\s*"name": .*\s*"revision": ',
    "decontaminate": r"benchmark,n,",
}
"""How a file begins that a command wrote before, which it may replace; decontaminate's is its sweep.csv."""
BEGINNING = 2**20  # bytes


def example(words: str) -> str:
    """The end of a command's help."""
    return f"Example: `switchpoint {words}`"


def check_out(command: str | None, out: str | None, *inputs: str | None) -> None:
    """InputError unless the file ``out`` can be written and is none of the inputs (nor of a folder that is one).

    What is there has to be empty or of an earlier call of ``command``; None replaces any file.  Asked before anything
    is computed.  Folders that are missing are made when the file is written.
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
        elif command and path.exists() and not is_earlier(command, path):
            problem = f"is there, and is no earlier output of {command}"
        else:
            with tempfile.NamedTemporaryFile(dir=above, prefix=f".{path.name}.", suffix=".tmp"):
                return
    except OSError as error:
        problem = f"cannot be written ({str(error.strerror).lower()})"
    raise InputError(f"--out {out}: {problem}; name another file")


def is_earlier(command: str, path: Path) -> bool:
    """Whether an existing file is empty or seems to be what an earlier call of the command wrote."""
    proof = path.with_name("sweep.csv") if command == "decontaminate" else path
    if not proof.exists():
        return False
    with proof.open("rb") as file:
        head = file.read(BEGINNING).decode("utf-8", errors="replace")
    return not head or re.match(EARLIER[command], head) is not None


def holds(given: Path, path: Path) -> bool:
    """Whether an existing path is the input or a file in it, by whatever name, or lies in it."""
    inside = given.is_dir() and path.resolve().is_relative_to(given.resolve())
    files_of = given.rglob("*") if given.is_dir() else [given]
    return inside or any(file.exists() and path.samefile(file) for file in files_of)
