"""Training logs as ``{step: {tag: value}}``: verl, TRL and transformers, TensorBoard.

- verl's file logger: a line ``{"step": .., "data": {tag: value}}`` per step.
- TRL and transformers: ``trainer_state.json`` (its ``log_history``), a JSON list, or a jsonl file
  of objects that have a ``step``.
- TensorBoard: the scalars of an event file, or of all event files of a directory in the order of
  their names, which begin with their time.

A run that was killed leaves half a line or half an event at the end of its log: it is counted and
left.  Damage anywhere else is an error.
"""

import json
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from switchpoint.errors import InputError

Record = tuple[str, object, dict]
"""(where it stands, for errors; step; {tag: value})."""
Log = dict[int, dict[str, object]]


def read_log(paths: list[str], file_format: str, counts: Counter) -> Log:
    """The values that were logged, by step and tag; of a tag logged twice at a step, the last.

    Parameters
    ----------
    paths : list of str
        The parts of one run's log, in order.
    file_format : str
        ``verl``, ``trl`` or ``tensorboard``.
    counts : Counter
        Takes the numbers of records, of values replaced, and of what could not be used.

    Raises
    ------
    InputError
        Naming the file and the line or event.
    """
    reader = {"verl": _verl, "trl": _trl, "tensorboard": _tensorboard}[file_format]
    log: Log = {}
    for path in map(Path, paths):
        for where, step, values in reader(path, counts):
            if type(step) is not int or not 0 <= step < 2**53:
                shown = step if type(step) in (int, float) else type(step).__name__
                raise InputError(f"{where}: step is {shown}; give a whole number of 0 or more")
            counts["records"] += 1
            known = log.setdefault(step, {})
            counts["values_replaced"] += sum(
                known[tag] != values[tag] for tag in known.keys() & values.keys()
            )
            known.update(values)
    if not log:
        raise InputError(f"{', '.join(paths)}: nothing logged with a step; is it --format {file_format}?")
    return log


def event_files(directory: Path) -> list[Path]:
    """The TensorBoard event files of a directory."""
    return sorted(directory.glob("*tfevents*")) if directory.is_dir() else []


def _verl(path: Path, counts: Counter) -> Iterator[Record]:
    for where, line in _json_lines(path, counts):
        if not (isinstance(line, dict) and "step" in line and isinstance(line.get("data"), dict)):
            raise InputError(f'{where}: wanted {{"step": .., "data": {{..}}}}; is it --format verl?')
        yield where, line["step"], line["data"]


def _trl(path: Path, counts: Counter) -> Iterator[Record]:
    for where, line in _json_records(path) if path.suffix == ".json" else _json_lines(path, counts):
        if not isinstance(line, dict):
            raise InputError(f"{where}: wanted an object of tags and values; is it --format trl?")
        if "step" in line:
            yield where, line["step"], {tag: value for tag, value in line.items() if tag != "step"}
        else:
            counts["records_without_step"] += 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no text file ({error}); give the log itself") from error


def _json_records(path: Path) -> Iterator[tuple[str, object]]:
    text = _text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no whole JSON ({error}); a file of lines is named .jsonl") from error
    records = content.get("log_history") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise InputError(f"{path}: no log_history; give trainer_state.json, or a list of records")
    for position, record in enumerate(records, 1):
        yield f"{path}: record {position}", record


def _json_lines(path: Path, counts: Counter) -> Iterator[tuple[str, object]]:
    lines = _text(path).split("\n")
    for position, line in enumerate(lines, 1):
        where = f"{path}: line {position}"
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if position < len(lines):
                raise InputError(f"{where} is no JSON ({error}); mend or delete it") from error
            counts["cut_off"] += 1
            return
        yield where, value


def _tensorboard(path: Path, counts: Counter) -> Iterator[Record]:
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        raise InputError(
            "TensorBoard files need the package tensorboard: pip install 'switchpoint[tensorboard]'"
        ) from error
    found = event_files(path) if path.is_dir() else [path]
    if not found:
        below = sorted({str(file.parent) for file in path.rglob("*tfevents*")})
        raise InputError(
            f"{path}: no event file in it" + (f"; give one of {', '.join(below)}" if below else "")
        )
    for file in found:
        for position, record in enumerate(_framed(file, counts), 1):
            try:
                event = Event.FromString(record)
            except DecodeError as error:
                raise InputError(f"{file}: record {position} is no TensorBoard event ({error})") from error
            scalars = {value.tag: _scalar(value, make_ndarray) for value in event.summary.value}
            values = {tag: number for tag, number in scalars.items() if number is not None}
            counts["values_not_scalar"] += len(scalars) - len(values)
            if values:
                yield f"{file}: event {position}", event.step, values


def _scalar(value, make_ndarray) -> float | None:
    """The number of a summary value, None for images, texts and the like."""
    if value.HasField("simple_value"):
        number = np.array(value.simple_value, np.float32)
    elif value.HasField("tensor"):
        number = make_ndarray(value.tensor)
    else:
        return None
    # By way of its shortest text, so that a 32-bit 0.1 does not become 0.10000000149.
    return float(str(number.reshape(-1)[0])) if number.size == 1 and number.dtype.kind == "f" else None


def _framed(file: Path, counts: Counter) -> Iterator[bytes]:
    """The records of a TFRecord file: length (8 bytes), its checksum (4), the record, its checksum (4)."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    data, at = file.read_bytes(), 0
    while at < len(data):
        header = data[at : at + 12]
        if len(header) == 12 and masked_crc32c(header[:8]) != struct.unpack("<I", header[8:])[0]:
            raise InputError(f"{file}: no event file, or damaged at byte {at}; copy it again")
        end = at + 12 + struct.unpack("<Q", header[:8])[0] if len(header) == 12 else len(data)
        record, check = data[at + 12 : end], data[end : end + 4]
        if len(check) < 4:
            counts["cut_off"] += 1
            return
        if masked_crc32c(record) != struct.unpack("<I", check)[0]:
            raise InputError(f"{file}: damaged at byte {at}; copy it again")
        yield record
        at = end + 4
