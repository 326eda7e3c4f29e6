"""Atomic writes and content hashes."""

import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from switchpoint.errors import InputError


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well.

    A reader sees the old file or the whole new one, never a part; a failed block leaves
    the old file as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Content hash of a file."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value) -> str:
    """Short hash of a JSON value, the same whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
