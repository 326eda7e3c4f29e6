"""TensorBoard: the scalars of an event file, or of all event files of a directory.

A directory's files are read in the order of their names, which begin with their time.  Half an event at the
end of a file, which a killed run leaves, is counted and left.  Damage anywhere else is an error.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from switchpoint.errors import InputError, installing
from switchpoint.importer.values import CLOCK, Record


def read_events(path: Path, counts: Counter) -> Iterator[Record]:
    """The records of an event file or of a directory of them; counts half an event at the end."""
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
        from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
    except ImportError as error:
        raise InputError(
            f"TensorBoard files need the package tensorboard: {installing('tensorboard')}"
        ) from error
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
                    problem = f"event {position} is none, or damaged ({error}); copy the file again"
                    raise InputError(f"{file}: {problem}") from error
                counts["cut_off"] += 1
                break
            if event.summary.value:
                values = {value.tag: scalar_of(value) for value in event.summary.value}
                yield f"{file}: event {position}", event.step, values | {CLOCK: float(event.wall_time)}


def scalar_of(value) -> float | None:
    """The number of a summary value, None for images, texts and the like."""
    from tensorboard.util.tensor_util import make_ndarray

    if not (value.HasField("simple_value") or value.HasField("tensor")):
        return None
    number = make_ndarray(value.tensor) if value.HasField("tensor") else np.array([value.simple_value], "f4")
    # By way of its shortest text, so that a 32-bit 0.1 does not become 0.10000000149.
    return float(str(number.reshape(-1)[0])) if number.size == 1 and number.dtype.kind == "f" else None
