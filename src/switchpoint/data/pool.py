"""The pool: the sources that training data are drawn from, without duplicates, in the order of draws."""

from pathlib import Path

from duckdb import DuckDBPyRelation

from switchpoint.data import relations
from switchpoint.study.sources import SOLVERS

FIELDS = ("id", "key", "problem", "answer", "solution", "source", "origin", "teacher")
RATES = tuple(f"win_rate_{solver}" for solver in SOLVERS)


def deduplicate(paths: list[str], seed: int, out: str) -> dict:
    """Writes the pool: of the rows of one problem (normalised) the first, by table, preference and row.

    A win rate that the chosen row does not give is that of the first of the others that does; ``has_solution`` tells
    without reading the solutions.  The rows stand in the order of a hash of (seed, id): what is drawn by that order are
    the first that fit.  InputError for an id of two problems.  Returns how many rows there were, how many were dropped (repeated exactly, and normalised), and
    how many of each table are in the pool.
    """
    with relations.connect(out) as connection:
        tables = [relations.rows(connection, path, number) for number, path in enumerate(paths)]
        rates = [name for name in RATES if any(name in table.columns for table in tables)]
        rows = narrow(tables, rates)
        firsts = "".join(f", arg_min({name}, rank) AS {name}" for name in rates)
        one = rows.aggregate(f"arg_min(row, rank) AS row, arg_min(id, rank) AS id{firsts}", "key")
        place = f"row_number() OVER (ORDER BY {relations.drawn_by(seed)}) - 1 AS place"
        one.project(f"* EXCLUDE (id), hash(id) AS name, {place}").create("chosen")
        chosen = connection.table("chosen")
        [(n_rows, n_exact)] = rows.aggregate("count(*), count(DISTINCT exact)").fetchall()
        kept = dict(chosen.aggregate(f"row // {relations.TABLE} AS number, count(*)", "number").fetchall())
        [(n_kept, n_names)] = chosen.aggregate("count(*), count(DISTINCT name)").fetchall()
        if n_names < n_kept:  # or two hashes are the same by chance
            relations.check_ids(one.project("id, row AS key"), "data.pool")  # a row for each problem
        rows = whole(tables).join(chosen, "row")
        pool = rows.project("* EXCLUDE (row, name), solution IS NOT NULL AS has_solution")
        relations.save_placed(pool, n_kept, paths, out, seed)
    return {
        "rows": n_rows, "exact": n_rows - n_exact, "normalised": n_exact - n_kept,
        "kept": {Path(path).stem: kept.get(number, 0) for number, path in enumerate(paths)},
    }  # fmt: skip


def narrow(tables: list[DuckDBPyRelation], rates: list[str]) -> DuckDBPyRelation:
    """What tells the rows of all tables apart: ``key`` and ``exact`` (hashes), ``rank``, ``row``, ``id``, and the given win rates."""
    parts = []
    for number, table in enumerate(tables):
        given = [name if name in table.columns else f"NULL::DOUBLE AS {name}" for name in rates]
        hashes = "md5_number(key) AS key, md5_number(problem) AS exact"
        parts.append(
            table.project(
                ", ".join([hashes, f"{relations.rank(table, number)} AS rank", "row", "id", *given])
            )
        )
    return relations.union(parts)


def whole(tables: list[DuckDBPyRelation]) -> DuckDBPyRelation:
    """``row`` and the fields of the rows of all tables, those that some table has."""
    fields = [name for name in FIELDS if any(name in table.columns for table in tables)]
    parts = []
    for table in tables:
        there = [name if name in table.columns else f"NULL::VARCHAR AS {name}" for name in fields]
        parts.append(table.project(", ".join(["row", *there])))
    return relations.union(parts)
