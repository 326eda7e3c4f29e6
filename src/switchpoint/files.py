"""Atomic writes, content hashes, and records by which readers tell that files are as they were written."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from switchpoint.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)  # no space is left, on the disk or of the user's share
RECORD = ".run.json"  # behind a table's name: what its job was told, and its measure
HASHED = 64 * 2**20  # bytes; readers compare larger outputs by size alone

Record = dict[str, dict]
"""Relative file name to its ``size`` (bytes) and ``sha256`` (hex)."""


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well.

    A reader sees the old file or the whole new one, never a part; a failed block leaves
    the old file as it was.  Both the content and the name are on disk when this returns.
    OSError of a full disk names ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        if error.errno in FULL:
            error.filename = str(path)  # a failed write does not say of which file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Returns when the file's content, or the directory's names, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place(source: Path, target: Path) -> None:
    """Puts a file at ``target``, too, atomically: by a hard link, or as a copy where there can be none."""
    with atomic(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:  # another device, no such links there, or too many of them
            shutil.copyfile(source, temporary)


def remove(path: Path) -> None:
    """Removes a file or a directory, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value) -> None:
    """Writes strict JSON (no NaN) atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path):
    """The value of a JSON file; InputError when it cannot be read or is no strict JSON (``parse_json``)."""
    return parse_json(read_text(path, "JSON file"), str(path))


def parse_json(text: str, where: str, **options):
    """The value of a JSON text; InputError names ``where``.

    A key that stands twice and a number that is none (NaN, Infinity) are refused, as are texts nested too deep.
    ``options`` are ``json.loads``'s.
    """
    try:
        return json.loads(
            text, **{"object_pairs_hook": object_of, "parse_constant": refuse_constant, **options}
        )
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}); mend it") from None


def object_of(pairs: list[tuple[str, object]]) -> dict:
    """The object of these pairs; ValueError where a key stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return found


def refuse_constant(name: str):
    """ValueError: what JSON does not have."""
    raise ValueError(f"{name} is no number of JSON's")


def read_text(path: str | Path, kind: str) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; InputError says what else it is."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error, kind) from error
    check_bytes(data, path, kind)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}: line {line} is not UTF-8; save the {kind} as UTF-8") from error


def unreadable(path: str | Path, error: OSError, kind: str) -> InputError:
    """What to raise where a file cannot be read."""
    return InputError(f"{path}: {str(error.strerror).lower().removesuffix(' or directory')}; give a {kind}")


PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def check_bytes(data: bytes, path: str | Path, kind: str) -> None:
    """InputError when a text file's data (or their beginning) are compressed, a parquet file, binary or UTF-16."""
    for mark, name in PACKED.items():
        if data.startswith(mark):
            raise InputError(f"{path}: is {name}-compressed; decompress it and give the {kind} itself")
    if data.startswith(b"PAR1"):
        raise InputError(f"{path}: is a parquet file; name it .parquet, or give a {kind}")
    if b"\0" in data or data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: binary, or UTF-16; save the {kind} as UTF-8")


def sha256(path: str | Path) -> str:
    """Content hash of a file; InputError for one that may not be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise unreadable(path, error, "readable file") from error


def digest(value) -> str:
    """Short hash of a JSON value, the same whatever the order of its keys."""
    return text_digest(json.dumps(value, sort_keys=True, allow_nan=False))


def text_digest(text: str) -> str:
    """Short hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure(directory: str | Path, names: Iterable[str]) -> Record:
    """The record of these files of a directory."""
    paths = {name: Path(directory, name) for name in names}
    return {name: {"size": path.stat().st_size, "sha256": sha256(path)} for name, path in paths.items()}


def absence(path: str | Path) -> str:
    """What there is in place of a file, in words."""
    return f"{path} {'is no file' if Path(path).exists() else 'does not exist'}"


def damage(path: Path, measured: dict, hashed: float = float("inf")) -> str | None:
    """What is wrong with a file that was measured, in words; None when it is as it was.

    A file of more than ``hashed`` bytes is compared by size alone.
    """
    if not path.is_file():
        return absence(path)
    size = path.stat().st_size
    if size != measured["size"]:
        return f"{path} has {size} bytes instead of {measured['size']}"
    if size <= hashed and sha256(path) != measured["sha256"]:
        return f"{path} is not as it was written"
    return None


def write_record(path: str | Path, record: dict) -> None:
    """Writes a JSON object that ``read_record`` knows again: it holds its own digest."""
    write_json(path, record | {"digest": digest(record)})


def read_record(path: str | Path) -> dict:
    """The object that ``write_record`` wrote; InputError when the file is missing, damaged or edited."""
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        written = record.pop("digest", None) if isinstance(record, dict) else None
        whole = written == digest(record)
    except OSError as error:
        raise InputError(f"{path}: {str(error.strerror).lower()}; {remake(path)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); {remake(path)}") from None
    if written is None:
        raise InputError(f"{path} has no digest, as if an older version had made it; {remake(path)}")
    if not whole:
        raise InputError(f"{path} is not as it was written; {remake(path)}")
    return record


def read_run(directory: str | Path, names: Iterable[str] | None = None) -> dict:
    """A job's ``run.json``, after these of its outputs (all without ``names``) were found as they were written.

    InputError names the first file that is not, and the fix.  Outputs over ``HASHED`` bytes are compared by size.
    """
    record = read_record(Path(directory, "run.json"))
    for name in record["outputs"] if names is None else names:
        path = Path(directory, name)
        if problem := damage(path, record["outputs"][name], HASHED):
            raise InputError(f"{problem}; {remake(path)}")
    return record


def recorded(path: str | Path) -> dict | None:
    """Size and sha256 of a file by a record beside it: its own (its name and ``RECORD``), or the directory's ``run.json``."""
    path = Path(path)
    try:
        own = path.with_name(f"{path.name}{RECORD}")
        measured = read_json(own if own.is_file() else path.with_name("run.json"))["outputs"][path.name]
        return {"size": measured["size"], "sha256": measured["sha256"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None  # of another program, or of nobody (as of / or .)


def check_recorded(path: str | Path) -> None:
    """InputError when a record beside the file measured it otherwise; where none did, nothing is known."""
    path, measured = Path(path), recorded(path)
    if measured and (problem := damage(path, measured, HASHED)):
        raise InputError(f"{problem}; {remake(path)}")


def remake(path: Path) -> str:
    """How an output of a job that is missing or damaged comes back."""
    return f"{'delete it and ' if path.exists() else ''}run snakemake again: it will be made anew"
