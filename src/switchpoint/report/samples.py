"""The browser of samples: a page of problems by checkpoints, and beside it the responses, which it loads when asked.

A page that is opened as a file may fetch nothing, but it may load scripts.  So the responses lie in blocks, a script
each, which hands them to the page's ``takeBlock``: one checkpoint's, to problems that follow one another.
"""

import base64
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from switchpoint import files, tables
from switchpoint.errors import InputError
from switchpoint.report.study_tables import model_of
from switchpoint.scores import STATUSES
from switchpoint.study import paths
from switchpoint.study.names import RunName

# What a response can be, with its mark: right or one of the others, and beside that truncated.
OUTCOMES = dict(zip(("right", "wrong", *STATUSES[1:], "truncated"), "✓✗?TE…", strict=True))
MODEL = ["run", "step"]
CELL = ["checkpoint", "problem"]  # by their places in the page's lists
COUNTED = ["verdict", "correct", "truncated"]
# Of a response in a block.
FIELDS = ["sample", "verdict", "correct", "extracted", "n_tokens", "truncated", "text"]
BLOCK = 256 * 1024  # bytes of a block, unless one cell takes more
MOST = 400_000  # responses that can be read; where there are more, the first ones of every cell


def write(evaluations: Sequence[str], benchmarks: Sequence[str], study: str, out: str | Path) -> None:
    """Writes the page ``out`` (.html) of a study's test samples, and their blocks into the folder of its name.

    ``evaluations`` are directories of evaluations, whose order the checkpoints have; ``benchmarks`` the tables of their
    problems.  The page comes last, and blocks that an earlier one left are removed.  Equal inputs give equal bytes.
    InputError when an evaluation is not as it was written, or a problem of it is in no table.
    """
    records = [files.read_run(directory) for directory in evaluations]
    checkpoints, problems = describe_checkpoints(records), read_problems(benchmarks)
    samples = [Samples(f"{directory}/samples.parquet", checkpoints, problems) for directory in evaluations]
    counts = pd.concat([count(one.read(COUNTED)) for one in samples])
    totals = counts.drop(columns="truncated").sum(axis="columns")
    shown, folder = responses_shown(totals), Path(out).with_suffix("")
    key = files.digest([record["outputs"]["samples.parquet"]["sha256"] for record in records])
    readable = (one.read(FIELDS, ("sample", "<", shown)) for one in samples)
    blocks = write_blocks(itertools.chain.from_iterable(map(divide, readable)), key, folder)
    legend, cells = encode(counts, len(checkpoints), len(problems))
    data = {
        "key": key, "folder": folder.name, "blocks": blocks, "fields": FIELDS,
        "outcomes": list(OUTCOMES.items()), "counts": legend, "cells": cells,
        "checkpoints": checkpoints, "problems": problems,
    }  # fmt: skip
    files.write_text(out, render(data, study, shown, int(totals.max())))


# What is read


def describe_checkpoints(records: list[dict]) -> list[dict]:
    """id, label and group of the checkpoints of evaluations (their ``run.json``), in order."""
    found = [one for record in records for one in record["checkpoints"]]
    names = [RunName.parse(one["run"]) for one in found]
    labels = [model_of({**vars(name), **one}) for name, one in zip(names, found, strict=True)]
    return [
        {
            "id": checkpoint_id(one["run"], one["step"]),
            "label": f"{label}, seed {name.seed}" if labels.count(label) > 1 else label,
            "group": group_of(name),
        }
        for one, name, label in zip(found, names, labels, strict=True)
    ]


def group_of(name: RunName) -> str:
    """What of a study a run's checkpoints are shown with."""
    if name.phase == "rl":
        return f"RL by {name.algorithm}"
    return "Base model" if name.phase == "base" else f"SFT on {name.set}"


def checkpoint_id(run: str, step: int) -> str:
    """What the page's address calls a checkpoint."""
    return f"{run}/step_{step}"


def read_problems(benchmarks: Sequence[str]) -> list[dict]:
    """id, benchmark, problem and answer (a list: any may match) of the test problems, benchmark by benchmark."""
    rows = pd.concat([tables.read_made(path) for path in benchmarks])
    rows = rows.loc[rows["split"] == "test", ["id", "benchmark", "problem", "answer"]]
    slices = [part for _, part in rows.groupby("benchmark", sort=False)]
    return [
        row | {"answer": [row["answer"]] if isinstance(row["answer"], str) else list(row["answer"])}
        for row in pd.concat(slices).to_dict("records")
    ]


class Samples:
    """The test samples of one evaluation, with the places of their checkpoints and problems."""

    def __init__(self, path: str, checkpoints: list[dict], problems: list[dict]) -> None:
        self.path = path
        self.checkpoints = pd.Index([one["id"] for one in checkpoints])
        self.problems = pd.Index([one["id"] for one in problems])

    def read(self, columns: list[str], *filters: tuple) -> pd.DataFrame:
        """``CELL`` and these columns, in the order of ``CELL``; filters as pyarrow takes them."""
        table = pd.read_parquet(
            self.path, columns=[*MODEL, "id", *columns], filters=[("split", "==", "test"), *filters]
        )
        names = [checkpoint_id(*model) for model in table[MODEL].drop_duplicates().itertuples(index=False)]
        numbers = table.groupby(MODEL, sort=False).ngroup()  # in the order of these
        table["checkpoint"] = self.checkpoints.get_indexer(names)[numbers]
        table["problem"] = self.problems.get_indexer(table["id"])
        if len(unknown := table.loc[table["problem"] < 0, "id"]):
            raise InputError(f"{self.path}: {unknown.iloc[0]} is in no table of benchmarks; give all of them")
        return table.sort_values(CELL, kind="stable")[[*CELL, *columns]]


# Counts


def count(samples: pd.DataFrame) -> pd.DataFrame:
    """How many responses of every cell, the index, are of each of ``OUTCOMES``; all but the last add up to all."""
    graded, correct = samples["verdict"] == "graded", samples["correct"]
    marks = {"right": correct, "wrong": graded & ~correct}
    marks |= {status: samples["verdict"] == status for status in STATUSES[1:]}
    marks["truncated"] = samples["truncated"]
    return samples[CELL].assign(**marks).groupby(CELL, sort=False).sum()


def encode(counts: pd.DataFrame, checkpoints: int, problems: int) -> tuple[list, list]:
    """(the different counts, the most frequent ones first; their numbers in it: a list per checkpoint, by problem).

    A cell without a response has counts of 0.
    """
    values = np.zeros((checkpoints, problems, len(OUTCOMES)), dtype=int)
    values[tuple(counts.index.get_level_values(name) for name in CELL)] = counts[list(OUTCOMES)]
    legend, numbers, often = np.unique(
        values.reshape(-1, len(OUTCOMES)), axis=0, return_inverse=True, return_counts=True
    )
    order = np.argsort(-often, kind="stable")
    numbers = np.argsort(order)[numbers.reshape(checkpoints, problems)]
    return legend[order].tolist(), numbers.tolist()


def responses_shown(totals: pd.Series) -> int:
    """How many responses of a cell can be read: as many as keep all together below ``MOST``, at least one."""
    sizes = range(1, int(totals.max()) + 1)
    return max((size for size in sizes if totals.clip(upper=size).sum() <= MOST), default=1)


# Blocks


def divide(samples: pd.DataFrame) -> Iterator[tuple[int, int, str]]:
    """Checkpoint, first problem and JSON of every block: [[problem, [[a value per field], ...]], ...]."""
    samples["extracted"] = samples["extracted"].astype(object).where(samples["extracted"].notna(), None)
    rows = samples[[*CELL, *FIELDS]].itertuples(index=False, name=None)
    for checkpoint, responses in itertools.groupby(rows, key=lambda row: row[0]):
        first, cells, size = 0, [], 0
        for problem, of_cell in itertools.groupby(responses, key=lambda row: row[1]):
            text = to_json([problem, [row[2:] for row in of_cell]])
            if cells and size + len(text) > BLOCK:
                yield checkpoint, first, f"[{','.join(cells)}]"
                cells, size = [], 0
            first, size = first if cells else problem, size + len(text) + 1
            cells.append(text)
        yield checkpoint, first, f"[{','.join(cells)}]"


def write_blocks(blocks: Iterable[tuple[int, int, str]], key: str, folder: Path) -> list[list[int]]:
    """Writes blocks, numbered from 0, and removes those of an earlier page; returns [checkpoint, first problem] of each."""
    places = []
    for number, (checkpoint, first, cells) in enumerate(blocks):
        files.write_text(folder / block_name(number), f"takeBlock({to_json(key)},{number},{cells});\n")
        places.append([checkpoint, first])
    kept = {block_name(number) for number in range(len(places))}
    for old in folder.glob("[0-9]*.js"):
        if old.name not in kept:
            old.unlink()
    return places


def block_name(number: int) -> str:
    """A block's file; the page builds the same name."""
    return f"{number:04}.js"


def to_json(value: object) -> str:
    """Compact JSON in ASCII: whatever a text holds, a script can have it, half characters included."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


# The page


def render(data: dict, study: str, shown: int, most: int) -> str:
    """The page; ``shown`` of at most ``most`` responses of a cell can be read."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    script, style = template("samples.js"), template("samples.css")
    return environment.from_string(template("samples.html")).render(
        study=study, shown=shown, most=most, report=paths.REPORT, data=Markup(to_json(data).replace("<", "\\u003c")),
        benchmarks=Counter(problem["benchmark"] for problem in data["problems"]),
        checkpoints=data["checkpoints"], groups=Counter(one["group"] for one in data["checkpoints"]),
        outcomes=OUTCOMES, problems=len(data["problems"]), script=Markup(script), style=Markup(style),
        script_hash=content_hash(script), style_hash=content_hash(style),
    ) + "\n"  # fmt: skip


def template(name: str) -> str:
    """A file of the page, which lies beside this module."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def content_hash(text: str) -> str:
    """By which the page's policy knows the one script, or style, that it may use."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
