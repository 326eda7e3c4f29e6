"""Logs of every format as tables of values: recognised by their content, one log per run."""

from collections import Counter
from pathlib import Path

import pandas as pd

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.importer import console, events, harness, records, trackio, wandb_exports
from switchpoint.importer.options import CHOICES
from switchpoint.importer.tags import known_scores
from switchpoint.importer.values import CLOCK, Log, merged, table_of
from switchpoint.tables import read_cells

EVENTS = b"brain.Event:"  # in the first record of an event file


def format_of(path: str) -> str:
    """The format of a file or folder by its content; InputError where it is none that is known."""
    place = Path(path)
    if place.is_dir():
        return format_of_folder(place)
    try:
        with place.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise files.unreadable(path, error, "log or table") from error
    if "tfevents" in place.name or EVENTS in head:
        return "tensorboard"
    if head.startswith(trackio.MAGIC):
        return "trackio"
    if place.suffix in (".pkl", ".pickle"):
        return "retu"
    if place.suffix == ".wandb":
        raise InputError(f"{path}: is wandb's own binary file; export its history: run.history().to_csv(..)")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return format_of_json(place)
    found = console.format_of(place)
    if found is None and place.suffix == ".csv":
        return "wandb" if wandb_exports.kind_of(read_cells(path)[0]) else "csv"
    if not head.strip():
        raise InputError(f"{path}: is empty; give a log that holds something")
    if found is None:
        raise InputError(f"{path}: its content is of no known format; {CHOICES}")
    return found


def format_of_folder(folder: Path) -> str:
    """The format of a folder by the files in it."""
    if trainer_state(folder):
        return "trl"
    if event_folders(folder):
        return "tensorboard"
    if any(folder.rglob("*.pkl")):
        return "retu"
    if found := harness.result_files(folder):
        return format_of(str(found[0]))
    raise InputError(
        f"{folder}: no trainer_state.json, event files, results*.json or caches in it; give the log itself"
    )


def event_folders(folder: Path) -> list[Path]:
    """The folder itself where it has event files, else every one below it that has."""
    if any(folder.glob("*tfevents*")):
        return [folder]
    return sorted({file.parent for file in folder.rglob("*tfevents*")})


def trainer_state(folder: Path) -> Path | None:
    """The ``trainer_state.json`` of an output folder of transformers: its own, or that of its last checkpoint."""
    checkpoints = sorted(
        folder.glob("checkpoint-*/trainer_state.json"), key=lambda path: (len(str(path)), path)
    )
    return next(
        (path for path in [folder / "trainer_state.json", *reversed(checkpoints)] if path.is_file()), None
    )


def format_of_json(path: Path) -> str:
    """The format of a file of JSON by its value, or by the first of its lines."""
    if path.suffix == ".json":
        content = records.parse_json(files.read_text(path, "log"), str(path))
        if found := harness.format_of(content):
            return found
        first = content[0] if isinstance(content, list) and content else content
        return "wandb" if isinstance(first, dict) and "_step" in first else "trl"
    first = next((record for _, record in records.json_records(path, Counter())), None)
    if not isinstance(first, dict):
        raise InputError(f"{path}: its first line is no object of tags and values; {CHOICES}")
    if isinstance(first.get("data"), dict):
        return "verl"
    if "_step" in first:
        return "wandb"
    return "prime-rl" if any(tag in first for tag in records.PRIME_RL) else "trl"


def read_runs(path: str, file_format: str, steps: dict[str, float], counts: Counter) -> list[Log]:
    """The logs in a file or folder, one per run; ``steps`` are those of evaluations, by path.

    InputError names the file and the line, event or record.
    """
    place = Path(path)
    if file_format in ("lm-eval", "lighteval"):
        return [harness.read_results(place, steps, counts)]
    if file_format in ("wandb", "trackio"):
        read = wandb_exports.read_export if file_format == "wandb" else trackio.read_project
        found = read(place, counts)
        return [log_of(path, name, table_of(rows, path, counts)) for name, rows in found.items()]
    if file_format == "trl" and place.is_dir():
        place = trainer_state(place) or place
    if file_format == "tensorboard":
        places = event_folders(place) if place.is_dir() else [place]
        return [
            log_of(str(one), None, table_of(events.read_events(one, counts), str(one), counts))
            for one in places or [place]
        ]
    if is_console(place, file_format):
        rows = console.read_console(place, file_format, counts)
    else:
        rows = records.read_records(place, file_format, counts)
    return [log_of(path, None, table_of(rows, path, counts))]


def log_of(path: str, name: str | None, values: pd.DataFrame) -> Log:
    """The log of a run, with the scores among its tags."""
    return Log(path, name, values, known_scores(values["tag"]))


def is_console(path: Path, file_format: str) -> bool:
    """Whether a log of a trainer that writes both is its console's, not of JSON."""
    if file_format not in ("verl", "openrlhf", "prime-rl"):
        return False
    return console.text_of(path).lstrip("\ufeff \t\r\n")[:1] not in ("{", "[")


def read_log(paths: list[str], file_format: str, counts: Counter) -> pd.DataFrame:
    """The numbers that one run logged, ``paths`` being the parts of its log: step, tag, value and where (its place)."""
    parts = [log for path in paths for log in read_runs(path, file_format, {}, counts)]
    values = merged(parts).values
    return values[values["tag"] != CLOCK].reset_index(drop=True)
