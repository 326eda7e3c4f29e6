"""Decontamination: benchmark problems too near to a training problem are dropped (RETU section 5.1).

Deviations: the paper drops on cosine alone; problems of one template then all look alike, so ``match_numbers`` also asks
for the same ordered sequence of numbers, without signs; ``1,000``, LaTeX's ``1{,}000`` and ``1\\,000`` and ``1000`` are one, so that
``100,200`` is one too, and ``1,2,3``, ``1, 000`` and ``0,123`` are several.  The same text (normalised) is always dropped.
Training data stay as they are; they are all that sets and prompts may be drawn from, so that another recipe of a set leaves
the benchmarks alone.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from switchpoint import tables
from switchpoint.data import embeddings, raw, records, relations
from switchpoint.data.schemas import TEXT, Schema
from switchpoint.errors import InputError

BLOCK = 4096  # training rows of a block of the similarity matrix
GRAM = 13  # words (GPT-3's test)
SWEEP = [round(0.70 + 0.01 * step, 2) for step in range(26)]
TRAINING = Schema({"id": TEXT, "source": TEXT, "problem": TEXT}, "problem", "NULL", optional=("id", "source"))
FOUND = ["nearest_id", "nearest_source", "nearest_problem", "cosine", "exact", "gram", "reason"]
# SQL: a run of digits and commas is one number where these part thousands, else as many as it has parts.
NUMBERS = r"""array_to_string([
    CASE WHEN regexp_full_match(run, '[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?') THEN replace(run, ',', '') ELSE replace(run, ',', ' ') END
    FOR run IN regexp_extract_all(regexp_replace(problem, '\{,\}|,\\!|\\!,|\\,', ',', 'g'), '[0-9]+(?:,[0-9]+)*(?:\.[0-9]+)?')
], ' ')"""


@dataclass(frozen=True)
class Nearest:
    """Of each benchmark row the nearest training row's index (-1: none) and cosine."""

    index: np.ndarray
    cosine: np.ndarray


def nearest(benchmark: np.ndarray, training: np.ndarray, same: np.ndarray | None = None) -> Nearest:
    """The nearest training row of each benchmark row by the cosine of unit vectors, block by block; exact.

    ``same`` (benchmark rows, training rows) allows pairs; shapes (n, d) and (m, d).
    """
    best, index = np.full(len(benchmark), -np.inf, np.float32), np.full(len(benchmark), -1)
    for first in range(0, len(training), BLOCK):
        cosine = benchmark @ training[first : first + BLOCK].T
        if same is not None:
            cosine[~same[:, first : first + BLOCK]] = -np.inf
        local = cosine.argmax(axis=1)
        value = np.take_along_axis(cosine, local[:, None], axis=1)[:, 0]
        nearer = value > best
        index[nearer], best[nearer] = local[nearer] + first, value[nearer]
    return Nearest(index, best)


def training_rows(connection: DuckDBPyConnection, path: str) -> DuckDBPyRelation:
    """key, id, source, problem, numbers of a table of the study, or of a user's file of records, which need a ``problem``."""
    stem = relations.text(Path(path).stem)
    rows = relations.read(connection, path) if path.endswith(".parquet") else of_lines(connection, path)
    names = rows.columns
    if "problem" not in names:
        raise InputError(f"{path}: no column problem; it has {tables.listed(names)}: rename one")
    if "BLOB" in str(dict(zip(names, rows.types, strict=True))["problem"]):
        raise InputError(f"{path}: the column problem is binary; write it as text")
    key = "key" if "key" in names else "key_of(problem::VARCHAR)"
    name = "id::VARCHAR" if "id" in names else f"{stem} || '-' || (row_number() OVER () - 1)"
    source = "source::VARCHAR" if "source" in names else stem
    rows = rows.project(f"{name} AS id, {source} AS source, {key} AS key, problem::VARCHAR AS problem")
    if blank := relations.size(rows.filter("problem IS NULL OR trim(problem) = ''")):
        raise InputError(f"{path}: {blank} rows have no problem; delete them")
    return rows.project(f"key, id, source, problem, {NUMBERS} AS numbers")


def of_lines(connection: DuckDBPyConnection, path: str) -> DuckDBPyRelation:
    """The rows of a file of JSON lines, each with an id."""
    file, *others = raw.files_of([path])
    if others:
        raise InputError(f"{path} names {len(others) + 1} files; name each")
    rows = raw.of_lines(connection, file, TRAINING)
    if broken := relations.size(rows.filter("NOT parsed")):
        raise InputError(f"{path}: {broken} lines are no JSON objects; mend or delete them")
    stem = relations.text(file.stem)
    name = f"coalesce(id, {stem} || '-' || (row_number() OVER () - 1)) AS id"
    return rows.project(f"{name}, coalesce(source, {stem}) AS source, problem")


def screen(
    training: list[str], benchmarks: pd.DataFrame, embedder: str, match_numbers: bool, store: str | Path, threshold: float
) -> pd.DataFrame:  # fmt: skip
    """The benchmark rows with, for each, its nearest training row, its cosine, and whether it is dropped.

    ``exact``: a training problem is the same, normalised; ``gram``: one shares 13 words in a row.  ``reason`` (none for
    rows that are kept) is ``exact``, or ``cosine``: above the threshold and, with ``match_numbers``, of a row with the same
    numbers in the same order, among which alone the nearest then is.  Embeddings are kept in ``store``.
    """
    # Two jobs may share a store; what they spill is apart.
    name = hashlib.sha256("\n".join(benchmarks["problem"]).encode()).hexdigest()[:16]
    with relations.connect(Path(store) / name) as connection:
        every = relations.union([training_rows(connection, path) for path in training])
        connection.from_df(benchmarks[["problem"]]).project(
            f"problem, key_of(problem) AS key, {NUMBERS} AS numbers"
        ).create("asked")
        asked = connection.table("asked")
        wanted = every
        if match_numbers:
            wanted = every.join(asked.project("numbers").distinct().set_alias("known"), "numbers", "semi")
        wanted.aggregate(
            "key, min(id) AS id, arg_min(source, id) AS source, arg_min(problem, id) AS problem, "
            "arg_min(numbers, id) AS numbers", "key",
        ).order("key").create("wanted")  # fmt: skip
        numbers = [value for (value,) in asked.project("numbers").fetchall()]
        found = nearest_rows(connection, benchmarks, numbers, embedder, match_numbers, Path(store))
        same = asked.project("key").distinct().set_alias("same")
        originals = every.join(same, "key", "semi").aggregate(
            "key, min(id), arg_min(source, id), arg_min(problem, id)", "key"
        ).fetchall()  # fmt: skip
        keys = [value for (value,) in asked.project("key").fetchall()]
        grams = shared_grams(benchmarks["problem"], (row[0] for row in every.project("problem").iter_rows()))
    return judge(benchmarks, keys, {row[0]: row[1:] for row in originals}, found, grams, threshold)


def nearest_rows(
    connection: DuckDBPyConnection, benchmarks: pd.DataFrame, numbers: list[str], embedder: str,
    match_numbers: bool, store: Path,
) -> list[tuple | None]:  # fmt: skip
    """(id, source, problem, cosine) of the nearest training row of each benchmark row, or None."""
    found: list[tuple | None] = [None] * len(benchmarks)
    ours = np.array(numbers)
    vectors = None
    for rows in embeddings.chunks(connection, "wanted"):
        if vectors is None:
            vectors = embeddings.stored(benchmarks["problem"].tolist(), embedder, store)
        theirs = embeddings.stored([row[3] for row in rows], embedder, store)
        same = ours[:, None] == np.array([row[4] for row in rows])[None] if match_numbers else None
        near = nearest(vectors, theirs, same)
        for position in np.flatnonzero(near.index >= 0):
            cosine = float(near.cosine[position])
            if found[position] is None or cosine > found[position][3]:
                row = rows[near.index[position]]
                found[position] = (row[1], row[2], row[3], cosine)
    return found


def grams(text: str) -> set[str]:
    """Every 13 words in a row, without case and punctuation."""
    words = re.findall(r"\w+", text.casefold())
    return {" ".join(words[first : first + GRAM]) for first in range(len(words) - GRAM + 1)}


def shared_grams(benchmark: Iterable[str], training: Iterable[str]) -> list[bool]:
    """Whether each benchmark problem shares 13 words in a row with a training problem."""
    ours = [grams(text) for text in benchmark]
    asked = set().union(*ours)
    hit = {gram for text in training for gram in grams(text) if gram in asked} if asked else set()
    return [bool(one & hit) for one in ours]


def judge(
    benchmarks: pd.DataFrame, keys: list[str], originals: dict[str, tuple], found: list[tuple | None],
    grams: list[bool], threshold: float,
) -> pd.DataFrame:  # fmt: skip
    """The rows with what was found of them."""
    records = []
    for key, near, gram in zip(keys, found, grams, strict=True):
        if key in originals:
            records.append((*originals[key], 1.0, True, gram, "exact"))
        elif near is None:
            records.append((None, None, None, None, False, gram, None))
        else:
            records.append((*near, False, gram, "cosine" if near[3] > threshold else None))
    return benchmarks.assign(**dict(zip(FOUND, map(list, zip(*records, strict=True)), strict=True)))


def split(screened: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Kept and dropped rows; a dropped row names its nearest training row, cosine and reason."""
    gone = screened["reason"].notna()
    return screened[~gone].drop(columns=FOUND).reset_index(drop=True), screened[gone].reset_index(drop=True)


def sweep(screened: pd.DataFrame) -> pd.DataFrame:
    """How many rows of each benchmark every threshold would drop; strictly above it."""
    names = screened["benchmark"] if "benchmark" in screened else pd.Series("all", index=screened.index)
    cosine = screened["cosine"].astype(float)
    columns = {
        f"{threshold:.2f}": ((cosine > threshold) | screened["exact"]).groupby(names).sum()
        for threshold in SWEEP
    }
    table = pd.DataFrame({"n": names.groupby(names).size()} | columns)
    table["exact"], table["gram"] = (
        screened["exact"].groupby(names).sum(),
        screened["gram"].groupby(names).sum(),
    )
    return table.rename_axis("benchmark").reset_index()


def screen_files(
    training: list[str], benchmarks: list[str], embedder: str, match_numbers: bool, out: str, threshold: float
) -> dict:
    """Screens files of records, writes kept.jsonl, dropped.csv, nearest.csv and sweep.csv, and counts."""
    read = [records.read(path).assign(benchmark=Path(path).stem) for path in benchmarks]
    rows = pd.concat(read, ignore_index=True)
    rows["answer"] = records.alike(rows["answer"])
    screened = screen(training, rows, embedder, match_numbers, Path(out, "embeddings"), threshold)
    kept, dropped = split(screened)
    plain = kept.astype(object).where(kept.notna(), None)
    tables.write_json_lines(plain.to_dict("records"), Path(out, "kept.jsonl"))
    tables.write_csv(dropped, Path(out, "dropped.csv"))
    tables.write_csv(screened[["id", "benchmark", *FOUND]], Path(out, "nearest.csv"))
    tables.write_csv(sweep(screened), Path(out, "sweep.csv"))
    reasons = {reason: int(n) for reason, n in screened["reason"].value_counts().items()}
    return {
        "rows": len(screened),
        "kept": len(kept),
        "dropped": reasons,
        "grams": int(screened["gram"].sum()),
    }
