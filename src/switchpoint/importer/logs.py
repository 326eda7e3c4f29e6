"""Training logs as tables of values: verl, TRL and transformers, TensorBoard.

- verl's file logger: a line ``{"step": .., "data": {tag: value}}`` per step.
- TRL and transformers: ``trainer_state.json`` (its ``log_history``), a JSON list, or a jsonl file
  of objects that have a ``step``.
- TensorBoard: the scalars of an event file, or of all event files of a directory in the order of
  their names, which begin with their time.

A run that was killed leaves half a line or half an event at the end of its log: it is counted and
left.  Damage anywhere else is an error.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import files
from switchpoint.errors import InputError

Record = tuple[str, object, dict]
"""(where it stands, for errors; step; {tag: value})."""


def read_log(paths: list[str], file_format: str, counts: Counter) -> pd.DataFrame:
    """The numbers that were logged; of a tag logged twice at a step, the last.

    ``paths`` are the parts of one run's log, in order; ``file_format`` is ``verl``, ``trl`` or
    ``tensorboard``; ``counts`` takes the numbers of records, of values replaced, and of what could not be
    used.  Returns step, tag, value and where (its place, for errors), sorted by step.  InputError names the
    file and the line or event.
    """
    reader = read_tensorboard if file_format == "tensorboard" else read_json_log
    rows = []
    for path in map(Path, paths):
        for where, step, values in reader(path, file_format, counts):
            if type(step) not in (int, float) or not 0 <= step < 2**53 or step % 1:
                raise InputError(f"{where}: step is {step!r:.40}; give a whole number of 0 or more")
            numbers = {tag: value for tag, value in values.items() if isinstance(value, float)}
            counts["records"] += 1
            counts["values_not_numbers"] += len(values) - len(numbers)
            rows += [(int(step), tag, value, f"{where}, {tag}") for tag, value in numbers.items()]
    try:
        log = pd.DataFrame(rows, columns=["step", "tag", "value", "where"])
    except UnicodeEncodeError:
        raise InputError(f"{paths[0]}: a tag holds half a character (a lone surrogate); delete it") from None
    replaced = log.duplicated(["step", "tag"], keep="last")
    counts["values_replaced"] += int(replaced.sum())
    return log[~replaced].sort_values("step", kind="stable", ignore_index=True)


def read_json_log(path: Path, file_format: str, counts: Counter) -> Iterator[Record]:
    """The records of a JSON log; counts those without a step."""
    for where, record in json_records(path, counts):
        values = record.get("data") if file_format == "verl" and isinstance(record, dict) else record
        if not isinstance(values, dict):
            raise InputError(f"{where}: no record of tags and values; is it --format {file_format}?")
        if "step" in record:
            yield where, record["step"], {tag: value for tag, value in values.items() if tag != "step"}
        else:
            counts["records_without_step"] += 1


def json_records(path: Path, counts: Counter) -> Iterator[tuple[str, object]]:
    """(where it stands, record): one a line, or in a .json file a list of them or a ``log_history``."""
    text = files.read_text(path, "log")
    if path.suffix == ".json":
        content = parse_json(text, str(path))
        records = content.get("log_history") if isinstance(content, dict) else content
        if not isinstance(records, list):
            raise InputError(f"{path}: no log_history; give trainer_state.json, or a list of records")
        yield from ((f"{path}: record {position}", record) for position, record in enumerate(records, 1))
        return
    *lines, last = text.split("\n")
    for position, line in enumerate(lines, 1):
        if line.strip():
            yield f"{path}: line {position}", parse_json(line, f"{path}: line {position}")
    if last.strip():
        try:
            record = parse_json(last, "")
        except InputError:
            counts["cut_off"] += 1
        else:
            yield f"{path}: line {len(lines) + 1}", record


def parse_json(text: str, where: str):
    """The JSON value with every number as a float, which even an endless one has, and NaN as trainers write it."""
    try:
        return files.parse_json(text, where, parse_int=float, parse_constant=float)
    except InputError as error:
        raise InputError(f"{error}, and name a file of lines .jsonl") from None


def read_tensorboard(path: Path, file_format: str, counts: Counter) -> Iterator[Record]:
    """The records of an event file or of a directory of them; counts half an event at the end."""
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
    except ImportError as error:
        fix = "pip install 'switchpoint[tensorboard]'"
        raise InputError(f"TensorBoard files need the package tensorboard: {fix}") from error
    files = sorted(path.glob("*tfevents*")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no event file in it; give the directory of one run")
    for file in files:
        reader = PyRecordReader_New(str(file))
        for position in count(1):
            try:
                reader.GetNext()
                event = Event.FromString(reader.record())
            except OutOfRangeError:
                break
            except (DataLossError, DecodeError) as error:
                if "has truncated record" not in str(error):
                    raise InputError(f"{file}: event {position} is none, or damaged ({error})") from error
                counts["cut_off"] += 1
                break
            if event.summary.value:
                values = {value.tag: scalar_of(value) for value in event.summary.value}
                yield f"{file}: event {position}", event.step, values


def scalar_of(value) -> float | None:
    """The number of a summary value, None for images, texts and the like."""
    from tensorboard.util.tensor_util import make_ndarray

    if not (value.HasField("simple_value") or value.HasField("tensor")):
        return None
    number = make_ndarray(value.tensor) if value.HasField("tensor") else np.array([value.simple_value], "f4")
    # By way of its shortest text, so that a 32-bit 0.1 does not become 0.10000000149.
    return float(str(number.reshape(-1)[0])) if number.size == 1 and number.dtype.kind == "f" else None
