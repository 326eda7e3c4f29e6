"""Logs of JSON records: verl's file logger, TRL and transformers, prime-rl.

- verl: a line ``{"step": .., "data": {tag: value}}`` per step.
- TRL and transformers: ``trainer_state.json`` (its ``log_history``), a JSON list, or a jsonl file
  of objects that have a ``step``.  Where several data sets are evaluated, only the loss and the times of a record
  have the set's name in their tags (``eval_math_runtime``): the others get it here.
- prime-rl: a jsonl file of objects, too; ``in_updates`` says how its steps are counted.

A run that was killed leaves half a line: it is counted and left.  Damage anywhere else is an error.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.importer.values import CLOCK, Record

RUNTIME = re.compile(r"(?P<kind>eval[_/])(?P<name>.+)_runtime")
PRIME_RL = ("progress/ckpt_step", "progress/total_tokens", "progress/total_samples")


def read_records(path: Path, file_format: str, counts: Counter) -> Iterator[Record]:
    """The records of a JSON log; counts those without a step."""
    for where, record in json_records(path, counts):
        values = record.get("data") if file_format == "verl" and isinstance(record, dict) else record
        if not isinstance(values, dict):
            raise InputError(f"{where}: no record of tags and values; is it --format {file_format}?")
        if "step" not in record:
            counts["records_without_step"] += 1
            continue
        values = of_data_set(flat({tag: value for tag, value in values.items() if tag != "step"}))
        yield where, in_updates(record["step"], values, counts), values


def flat(values: dict, before: str = "") -> dict:
    """The values with those of objects within, by tags as ``eval/acc``."""
    found: dict = {}
    for tag, value in values.items():
        found |= flat(value, f"{before}{tag}/") if isinstance(value, dict) else {f"{before}{tag}": value}
    return found


def of_data_set(values: dict) -> dict:
    """The values of an evaluation on one of several data sets, all tags with the set's name."""
    found = next((found for tag in values if (found := RUNTIME.fullmatch(tag))), None)
    if found is None:
        return values
    kind, name = found["kind"], f"{found['kind']}{found['name']}_"
    own = [tag for tag in values if tag.startswith(kind) and not tag.startswith(name)]
    return {name + tag.removeprefix(kind) if tag in own else tag: value for tag, value in values.items()}


def in_updates(step: object, values: dict, counts: Counter) -> object:
    """The step of a record as the number of updates of the model that it is about; takes prime-rl's own of ``values``.

    prime-rl's step n is the update after which a model has had n + 1; its evaluations are of the
    checkpoint that ``progress/ckpt_step`` says, whatever the step of their record.
    """
    if not isinstance(step, float) or not any(tag in values for tag in PRIME_RL):
        return step
    checkpoint, time = values.pop("progress/ckpt_step", None), values.pop("time", None)
    if isinstance(time, float):
        values[CLOCK] = time
    if checkpoint is not None and any(tag.startswith("eval/") for tag in values):
        return checkpoint
    counts["steps_from_0"] += 1
    return step + 1


def json_records(path: Path, counts: Counter) -> Iterator[tuple[str, object]]:
    """(where it stands, record): one a line, or in a .json file a list of them or a ``log_history``."""
    text = text_of(path)
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


def text_of(path: Path) -> str:
    """The text of a log, without the half of a character that a killed run may leave at its end."""
    try:
        return files.read_text(path, "log")
    except InputError as error:
        cause = error.__cause__
        if not isinstance(cause, UnicodeDecodeError) or cause.reason != "unexpected end of data":
            raise
        return cause.object[: cause.start].decode("utf-8-sig")


def parse_json(text: str, where: str):
    """The JSON value with every number as a float, which even an endless one has, and NaN as trainers write it."""
    try:
        return files.parse_json(text, where, parse_int=float, parse_constant=float)
    except InputError as error:
        raise InputError(f"{error}, and name a file of lines .jsonl") from None
