"""The pool: the sources that training data are drawn from, without duplicates."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from switchpoint.data import relations
from switchpoint.study.sources import SOLVERS

TEXT = pyarrow.string()
FIELDS = {"id": TEXT, "key": TEXT, "problem": TEXT, "answer": TEXT, "solution": TEXT, "source": TEXT, "origin": TEXT,
          "teacher": TEXT}  # fmt: skip
RATES = tuple(f"win_rate_{solver}" for solver in SOLVERS)
# The rows of one problem in order, as one number of 128 bits: of the earlier table, of the smaller ``preference`` where the
# table has one (a real data set's: that of the shortest solution), of the earlier row.
ROW, PREFERENCE = 2**40, 2**62


def deduplicate(paths: list[str], out: str) -> dict:
    """Writes the pool: of the rows of one problem (normalised) the first, by table, preference and row.

    A win rate that the chosen row does not give is that of the first of the others that does.  Returns how many rows
    there were, how many were dropped (repeated exactly, and normalised), and how many of each table are in the pool.
    """
    with relations.connect(out) as connection:
        rows = narrow(connection, paths)
        rates = [name for name in RATES if name in rows.columns]
        firsts = "".join(f", arg_min({name}, rank) AS {name}" for name in rates)
        chosen = rows.aggregate(f"arg_min(place, rank) AS place{firsts}", "key").order("place")
        places = chosen.fetchnumpy()
        [(n_rows, n_exact)] = rows.aggregate("count(*), count(DISTINCT exact)").fetchall()
        schema = pool_schema(paths, rates)
        n_kept = relations.write(parts(paths, places, rates, schema), schema, out)
    kept = np.bincount(places["place"] // ROW, minlength=len(paths))
    return {
        "rows": n_rows, "exact": n_rows - n_exact, "normalised": n_exact - n_kept,
        "kept": {Path(path).stem: int(n) for path, n in zip(paths, kept, strict=True)},
    }  # fmt: skip


def narrow(connection: DuckDBPyConnection, paths: list[str]) -> DuckDBPyRelation:
    """What tells the rows of all tables apart: ``key`` and ``exact`` (hashes), ``rank``, ``place``, and the given win rates."""
    tables = [relations.rows(connection, path) for path in paths]
    known = [name for name in RATES if any(name in table.columns for table in tables)]
    parts = []
    for number, table in enumerate(tables):
        preference = "preference::UHUGEINT" if "preference" in table.columns else "0::UHUGEINT"
        rank = f"({number}::UHUGEINT * {PREFERENCE} + {preference}) * {ROW} + row::UHUGEINT AS rank"
        place = f"row + {number * ROW} AS place"
        rates = [name if name in table.columns else f"NULL::DOUBLE AS {name}" for name in known]
        parts.append(
            table.project(
                ", ".join(["md5_number(key) AS key, md5_number(problem) AS exact", rank, place, *rates])
            )
        )
    return functools.reduce(lambda one, other: one.union(other), parts)


def pool_schema(paths: list[str], rates: list[str]) -> pyarrow.Schema:
    """The pool's columns; answers are lists where those of one table are: a column has one type.

    ``has_solution`` tells without reading the solutions.
    """
    schemas = [pyarrow.parquet.read_schema(path) for path in paths]
    names = [name for name in FIELDS if any(name in schema.names for schema in schemas)]
    listed = any(pyarrow.types.is_nested(schema.field("answer").type) for schema in schemas)
    types = FIELDS | ({"answer": pyarrow.list_(TEXT)} if listed else {})
    columns = [(name, types[name]) for name in names] + [(name, pyarrow.float64()) for name in rates]
    return pyarrow.schema([*columns, ("has_solution", pyarrow.bool_())])


def parts(
    paths: list[str], places: dict[str, np.ndarray], rates: list[str], schema: pyarrow.Schema
) -> Iterator[pyarrow.Table]:
    """The chosen rows of every table, in the order of the tables, with their win rates."""
    for number, path in enumerate(paths):
        first, end = np.searchsorted(places["place"], [number * ROW, (number + 1) * ROW])
        rows = places["place"][first:end] - number * ROW
        given = {name: places[name][first:end] for name in rates}
        offset = done = 0
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(relations.ROWS):
            upto = done + int(np.searchsorted(rows[done:], offset + batch.num_rows))
            wanted = np.zeros(batch.num_rows, bool)
            wanted[rows[done:upto] - offset] = True
            table = pyarrow.Table.from_batches([batch.filter(pyarrow.array(wanted))])
            yield conform(table, {name: given[name][done:upto] for name in rates}, schema)
            offset, done = offset + batch.num_rows, upto


def conform(table: pyarrow.Table, rates: dict[str, np.ndarray], schema: pyarrow.Schema) -> pyarrow.Table:
    """The table with the pool's columns."""
    columns = []
    for field in schema:
        if field.name == "has_solution":
            columns.append(pyarrow.compute.is_valid(table["solution"]))
        elif field.name in rates:
            columns.append(pyarrow.array(rates[field.name].astype(float), from_pandas=True))
        elif field.name not in table.column_names:
            columns.append(pyarrow.nulls(table.num_rows, field.type))
        elif pyarrow.types.is_list(field.type) and not pyarrow.types.is_nested(table[field.name].type):
            texts = table[field.name].combine_chunks().cast(TEXT)
            offsets = pyarrow.array(np.arange(table.num_rows + 1, dtype=np.int32))
            columns.append(pyarrow.ListArray.from_arrays(offsets, texts))
        else:
            there = table[field.name]
            columns.append(there if there.type == field.type else there.cast(field.type))
    return pyarrow.Table.from_arrays(columns, schema=schema)
