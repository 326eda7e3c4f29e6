"""Data cards: what is in every set (RETU Table 3), what became of every source's rows, and which tables overlap."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import files
from switchpoint.data import relations
from switchpoint.data.pool import RATES
from switchpoint.data.records import Lengths

SAMPLE = 10_000  # rows whose tokens are counted; a set is in random order
ORDERED = ("easy", "uniform", "hard")


def statistics(
    sets: dict[str, str], win_rates: str | None, pool: str, n_tokens: Lengths, max_length: int
) -> pd.DataFrame:
    """One row per table: rows, distinct problems, mean tokens of (at most ``SAMPLE``) problems and solutions, the share
    of them that training would truncate, the mean win rates where they are known, the sources, and the file's hash."""
    rows = []
    with relations.connect(pool) as connection:
        given = relations.read(connection, pool)
        known = [name for name in RATES if name in given.columns]
        rates = given.project(", ".join(["id", "key", *known]))
        if win_rates is None:
            rates = rates.project("*, NULL::DOUBLE AS win_rate")
        else:
            study = relations.read(connection, win_rates).project("id, win_rate").set_alias("study")
            rates = rates.join(study, "id", "left")
        for name, path in sets.items():
            table = relations.read(connection, path)
            tokens = sampled_tokens(table, n_tokens)
            columns = ["win_rate", *known]
            shares = {column: f"rates.{column}" for column in columns}
            if "win_rate" in table.columns:  # of the prompts, which need not be in the pool
                shares["win_rate"] = "own"
            means = ", ".join(f"avg({share}), count({share})" for share in shares.values())
            own = "win_rate" if "win_rate" in table.columns else "NULL::DOUBLE"
            ids = table.project(f"id, key, source, {own} AS own")
            [(n, unique, *values)] = ids.join(rates.set_alias("rates"), "key", "left").aggregate(
                f"count(*), count(DISTINCT key), {means}"
            ).fetchall()  # fmt: skip
            origins = ids.aggregate("source, count(*) AS n", "source").order("source").fetchall()
            row = {"set": name, "n": n, "unique": unique, **tokens(max_length)}
            for column, mean, count in zip(columns, values[::2], values[1::2], strict=True):
                row |= {column: mean, f"{column}_n": count}
            row["sources"] = " ".join(f"{source}:{count}" for source, count in origins)
            rows.append(row | {"sha256": recorded_hash(path)})
    return pd.DataFrame(rows)


def sampled_tokens(table, n_tokens: Lengths) -> Callable[[int], dict]:
    """Mean tokens of the first rows' problems and solutions, and the share of rows with more tokens than a limit."""
    first = table.limit(SAMPLE).project("problem, solution").fetchall()
    problems = np.array(n_tokens([problem for problem, _ in first]))
    solved = np.array([solution is not None for _, solution in first])
    solutions = np.array(n_tokens([solution for _, solution in first if solution is not None]))

    def measured(max_length: int) -> dict:
        some = len(solutions) > 0
        return {
            "prompt_tokens": problems.mean(),
            "response_tokens": solutions.mean() if some else None,
            "truncated": (problems[solved] + solutions > max_length).mean() if some else None,
        }

    return measured


def strata_table(statistics: pd.DataFrame, strata: dict[str, str]) -> pd.DataFrame:
    """Mean of every known win rate in the first set of each stratum, and whether it falls from Easy over Uniform to Hard.

    ``strata`` names the stratum of each set.  No rows unless there is a set of each.
    """
    rows = statistics.set_index("set")
    first = {stratum: name for name, stratum in reversed(strata.items())}
    columns = ["win_rate", *ORDERED, "ordered"]
    if not all(stratum in first for stratum in ORDERED):
        return pd.DataFrame(columns=columns)
    means = {
        name: [rows.loc[first[stratum], name] for stratum in ORDERED]
        for name in ("win_rate", *RATES)
        if name in rows
    }
    known = {name: values for name, values in means.items() if pd.notna(values).all()}
    table = [[name, *values, values[0] > values[1] > values[2]] for name, values in known.items()]
    return pd.DataFrame(table, columns=columns)


def source_table(records: dict[str, str], pool: str, counts: str) -> pd.DataFrame:
    """One row per source and one of the pool: what became of its rows, from the records of the tables that hold them."""
    rows = []
    for name, path in records.items():
        record = files.read_record(f"{path}{files.RECORD}")
        census, sha256 = record["census"], recorded_hash(path)
        dropped, rejected = counted(census["dropped"]), counted(census["rejected"])
        rows.append((name, census["rows"], census["kept"], dropped, rejected, sha256))
    joined = files.read_json(counts)
    again = {"repeated exactly": joined["exact"], "repeated": joined["normalised"]}
    rows.append(
        ("pool", joined["rows"], sum(joined["kept"].values()), counted(again), "", recorded_hash(pool))
    )
    return pd.DataFrame(rows, columns=["source", "rows", "kept", "dropped", "rejected", "sha256"])


def recorded_hash(path: str) -> str:
    """The hash of a table, from the record of its making."""
    return files.read_record(f"{path}{files.RECORD}")["outputs"][Path(path).name]["sha256"]


def counted(reasons: dict[str, int]) -> str:
    """Counts by reason, in words."""
    return ", ".join(f"{reason}: {n}" for reason, n in reasons.items() if n)


def overlaps(tables: dict[str, str], benchmarks: list[str]) -> pd.DataFrame:
    """How many problems each pair of tables shares (normalised); benchmarks are tables of several slices."""
    with relations.connect(next(iter(tables.values()))) as connection:
        keys = {name: relations.read(connection, path).project("key") for name, path in tables.items()}
        for path in benchmarks:
            slices = relations.read(connection, path)
            for (name,) in slices.project("benchmark").distinct().order("benchmark").fetchall():
                where = f"benchmark = {relations.text(name)}"
                keys[f"benchmark:{name}"] = slices.filter(where).project("key")
        keys = {name: rows.distinct() for name, rows in keys.items()}
        cells = {
            name: {other: shared(mine, theirs) for other, theirs in keys.items()}
            for name, mine in keys.items()
        }
    return pd.DataFrame(cells).T.rename_axis("table")


def shared(mine, theirs) -> int:
    """Problems of both."""
    return relations.size(mine.join(theirs.set_alias("theirs"), "key", "semi"))


def forbidden(table: pd.DataFrame) -> list[str]:
    """The pairs that must share nothing and do: validation or a benchmark with anything else.

    Training sets, RL prompts and the mix set may overlap.
    """
    apart = [name for name in table.index if name == "validation" or name.startswith("benchmark:")]
    return [
        f"{name} and {other} share {table.loc[name, other]} problems"
        for name in apart
        for other in table.index
        if other != name and table.loc[name, other] > 0
    ]
