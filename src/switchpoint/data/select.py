"""Selection: held-out validation, strata, RL prompts and the mix set.

Draws follow the order of a hash of (seed, id), so they do not depend on the order of the rows, and a larger draw extends
a smaller one.  What is drawn is decided on the narrow columns alone; then the chosen rows are fetched.
"""

import numpy as np
import pyarrow
import pyarrow.parquet
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from switchpoint.data import relations
from switchpoint.data.difficulty import STRATA
from switchpoint.data.records import Lengths
from switchpoint.errors import InputError
from switchpoint.study.jobs import MixJob, PromptsJob, SelectJob, ValidationJob

COLUMNS = "id, key, problem, answer, solution, source"


def draw(
    connection: DuckDBPyConnection, rows: DuckDBPyRelation, size: int | None, order: str, what: str,
    keep: str = "NULL",
) -> DuckDBPyRelation:  # fmt: skip
    """``row`` and ``place`` of ``size`` rows (all when None) in this order; InputError, beginning with ``what``, for fewer."""
    rows.project(f"row, row_number() OVER (ORDER BY {order}) AS place, {keep}").create("drawn")
    there = relations.size(connection.table("drawn"))
    if size is not None and size > there:
        raise InputError(f"{what}: {size} rows are asked for, {there} are there; lower the size or add data")
    return connection.table("drawn").filter(f"place <= {there if size is None else size}")


def fetch_of(connection: DuckDBPyConnection, paths: list[str], chosen: DuckDBPyRelation, out: str) -> int:
    """As ``fetch``, from several tables together."""
    if len(paths) == 1:
        return fetch(connection, paths[0], chosen, out)
    every = [relations.rows(connection, path, number) for number, path in enumerate(paths)]
    placed = chosen.project("row, place - 1 AS place").set_alias("chosen")
    rows = relations.union(every, f"row, {COLUMNS}").join(placed, "row").project("* EXCLUDE (row)")
    return relations.save_placed(rows, relations.size(chosen), paths, out)


def fetch(connection: DuckDBPyConnection, path: str, chosen: DuckDBPyRelation, out: str) -> int:
    """Writes the chosen rows of a table, whole, in their order, and returns how many."""
    rows = chosen.order("place").project("row").fetchnumpy()["row"]
    if (np.diff(rows) > 0).all():  # as the pool stands: nothing is to be sorted, and its end need not be read
        schema = pyarrow.parquet.read_schema(path)
        return relations.write(relations.take(path, rows), schema, out)
    every = relations.rows(connection, path).join(
        chosen.project("row, place - 1 AS place").set_alias("chosen"), "row"
    )
    return relations.save_placed(every.project("* EXCLUDE (row)"), len(rows), [path], out)


def outside(rows: DuckDBPyRelation, *others: DuckDBPyRelation) -> DuckDBPyRelation:
    """The rows whose problem is in none of the other tables."""
    for other in others:
        rows = rows.join(other.project("key").distinct().set_alias("other"), "key", "anti")
    return rows


def hold_out(job: ValidationJob, pool: str, out: str) -> int:
    """Writes the held-out examples: of the pool, or of a source of their own, with an expert trajectory."""
    with relations.connect(out) as connection:
        rows = examples(connection, pool)
        chosen = draw(connection, rows, job.size, relations.drawn_by(job.seed, pool), "data.validation")
        return fetch(connection, pool, chosen, out)


def examples(connection: DuckDBPyConnection, path: str, number: int = 0) -> DuckDBPyRelation:
    """``row``, ``id`` and ``key`` of the rows with an expert trajectory, one a problem: of the pool, or of a single source.

    A source may repeat a problem.
    """
    rows = relations.rows(connection, path, number)
    if "has_solution" in rows.columns:
        return rows.filter("has_solution").project("row, id, key")
    order = relations.rank(rows, number)
    return rows.filter("solution IS NOT NULL").query(
        "rows",
        f"SELECT row, id, key FROM rows QUALIFY row_number() OVER (PARTITION BY key ORDER BY {order}) = 1",
    )


def examples_of(connection: DuckDBPyConnection, paths: list[str], what: str) -> DuckDBPyRelation:
    """As ``examples``, of several tables together: a problem that two have is the earlier one's.

    InputError, beginning with ``what``, for an id of two problems.
    """
    every = relations.union([examples(connection, path, number) for number, path in enumerate(paths)])
    if len(paths) == 1:
        return every
    relations.check_ids(every, what)
    return every.query(
        "every", "SELECT * FROM every QUALIFY row_number() OVER (PARTITION BY key ORDER BY row) = 1"
    )


def given_win_rates(pool: str, solver: str, out: str) -> int:
    """Writes the win rates that the sources give: id, win_rate (missing where none does)."""
    column = f"win_rate_{solver}"
    with relations.connect(out) as connection:
        rows = relations.read(connection, pool)
        if column not in rows.columns:
            raise InputError(
                f"data.solver.given is {solver}, but no source of the pool gives that win rate; name another, "
                "or a solver to measure it with"
            )
        return relations.save(rows.project(f"id, {column} AS win_rate"), out)


def select_set(
    job: SelectJob, pool: list[str], win_rates: str | None, rated: str | None, validation: str, prompts: str | None,
    lengths: str | None, out: str,
) -> int:  # fmt: skip
    """Writes an SFT set: rows of the stratum that have an expert trajectory, none of them held out.

    ``pool`` is the pool, or the sources that the set is drawn from alone; without ``win_rates`` all of it is the stratum.
    They are by the ids of the pool, which with sources is ``rated``: a problem has its win rate whatever source its row
    in the pool is of.  With ``prompts`` the RL prompts' problems are left out, with ``lengths`` the order may be that of
    the responses' tokens.
    """
    with relations.connect(out) as connection:
        rows = examples_of(connection, pool, f"data.sets.{job.name}.source")
        rows = outside(rows, *(relations.read(connection, path) for path in (validation, prompts) if path))
        if win_rates is not None:
            by, rates = "id", relations.read(connection, win_rates).project("id, win_rate")
            if rated is not None:
                problems = relations.read(connection, rated).project("id, key").set_alias("problems")
                by, rates = "key", rates.join(problems, "id").project("key, win_rate")
            rows = rows.join(rates.set_alias("rates"), by, "left").filter(STRATA[job.stratum])
        order = relations.drawn_by(job.seed, pool[0]) if len(pool) == 1 else relations.drawn_by(job.seed)
        if lengths is not None:
            counted = relations.read(connection, lengths)
            rows = rows.join(counted.project("id, response_tokens").set_alias("counted"), "id")
            first = {"shortest": "response_tokens", "longest": "-response_tokens"}[job.order]
            order = f"{first}, {order}"
        chosen = draw(connection, rows, job.size, order, f"data.sets.{job.name}")
        return fetch_of(connection, pool, chosen, out)


def unite(job: SelectJob, sets: list[str], out: str) -> int:
    """Writes the union of sets, every example once."""
    with relations.connect(out) as connection:
        every = [relations.rows(connection, path, number) for number, path in enumerate(sets)]
        relations.check_ids(relations.union(every, "id, key"), f"data.sets.{job.name}.union")
        narrow = relations.union(every, "row, id").query(
            "narrow", "SELECT min(row) AS row, id FROM narrow GROUP BY id"
        )
        place = f"row_number() OVER (ORDER BY {relations.drawn_by(job.seed)}) - 1 AS place"
        narrow.project(f"row, {place}").create("chosen")
        chosen = connection.table("chosen")
        united = relations.union(every, f"row, {COLUMNS}").join(chosen, "row").project("* EXCLUDE (row)")
        return relations.save_placed(united, relations.size(chosen), sets, out)


def select_prompts(
    job: PromptsJob, sources: list[str], pool: str, win_rates: str | None, validation: str, out: str
) -> dict:
    """Writes the RL prompts: problems of the sources within the win rates, none of them held out.

    The win rate is the one that the source gives (``job.given``), else that of the pool's row of the problem; where
    neither is known, all are taken.  A prompt has the expert trajectory of the pool's row, where there is one.
    Returns how many are written, and how many rows are left out by reason.
    """
    with relations.connect(out) as connection:
        rows = every = candidates(connection, job, sources)
        # The first source's row of a problem, in it the preferred one.
        rows = rows.query(
            "rows", "SELECT * FROM rows QUALIFY row_number() OVER (PARTITION BY key ORDER BY rank) = 1"
        )
        known = relations.read(connection, pool)
        experts = known.filter("has_solution").project("key, solution")
        if not job.given and win_rates is not None:
            rates = relations.read(connection, win_rates).project("id, win_rate")
            measured = known.project("id, key").join(rates, "id").project("key, win_rate")
            rows = rows.project("* EXCLUDE (win_rate)").join(measured.set_alias("measured"), "key", "left")
        once, rows = rows, outside(rows, relations.read(connection, validation))
        counts = {
            "repeated": relations.size(every) - relations.size(once),
            "held out": relations.size(once) - relations.size(rows),
        }
        if job.given or win_rates is not None:
            low, high = job.win_rate
            counts["no win rate"] = relations.size(rows.filter("win_rate IS NULL"))
            counts["win rate outside"] = relations.size(
                rows.filter(f"win_rate NOT BETWEEN {low!r} AND {high!r}")
            )
            rows = rows.filter(f"win_rate BETWEEN {low!r} AND {high!r}")
        there, order = relations.size(rows), relations.drawn_by(job.seed)
        chosen = draw(connection, rows, job.size, order, "data.prompts", keep="key, win_rate")
        texts = relations.union(
            [relations.rows(connection, path, number) for number, path in enumerate(sources)],
            "row, id, problem, answer, source",
        )
        prompts = chosen.join(texts, "row").join(experts, "key", "left")
        columns = "id, key, problem, answer, solution, source, win_rate, place - 1 AS place"
        kept = relations.size(chosen)
        relations.save_placed(prompts.project(columns), kept, [*sources, pool], out)
    counts["not drawn"] = there - kept
    return {"rows": kept, "dropped": {reason: n for reason, n in counts.items() if n}}


def candidates(connection: DuckDBPyConnection, job: PromptsJob, sources: list[str]) -> DuckDBPyRelation:
    """``row``, ``rank``, ``id``, ``key`` and the given ``win_rate`` of all rows of the sources."""
    given = job.given and f"win_rate_{job.given}"
    parts = []
    for number, path in enumerate(sources):
        rows = relations.rows(connection, path, number)
        if given and given not in rows.columns:
            raise InputError(
                f"data.prompts.given is {job.given}, but {path} has no such win rate; name another"
            )
        rank = relations.rank(rows, number)
        parts.append(rows.project(f"row, {rank} AS rank, id, key, {given or 'NULL::DOUBLE'} AS win_rate"))
    return relations.union(parts)


def mix(job: MixJob, prompts: str, prompt_tokens: Lengths, response_tokens: Lengths, out: str) -> int:
    """Writes the prompts that have an expert trajectory, neither of them too long in tokens (MIX37K).

    Both are counted as RL takes them: the problem in its template, the trajectory with the token that ends it.
    """
    with relations.connect(out) as connection:
        reader = (
            relations.read(connection, prompts).filter("solution IS NOT NULL").to_arrow_reader(relations.ROWS)
        )
        limits = {
            "problem": (prompt_tokens, job.max_prompt_tokens),
            "solution": (response_tokens, job.max_tokens),
        }
        parts = (short(batch, limits) for batch in reader)
        return relations.write(parts, reader.schema, out)


def short(batch: pyarrow.RecordBatch, limits: dict[str, tuple[Lengths, int]]) -> pyarrow.RecordBatch:
    """The rows whose texts in every column have at most so many tokens; ``limits``: how they are counted, and how many."""
    fits = np.ones(batch.num_rows, dtype=bool)
    for name, (n_tokens, most) in limits.items():
        fits &= np.asarray(n_tokens(batch[name].to_pylist()), dtype=int) <= most
    return batch.filter(pyarrow.array(fits))


def count_tokens(tables: list[str], n_tokens: Lengths, out: str) -> int:
    """Writes the tokens of the problem and of the expert trajectory of every row that a set may take, each id once.

    An id that the pool and a source have is the same row's.
    """
    schema = pyarrow.schema(
        [("id", pyarrow.string()), ("prompt_tokens", pyarrow.int64()), ("response_tokens", pyarrow.int64())]
    )
    with relations.connect(out) as connection:
        several = list(enumerate(tables))
        taken = relations.union([examples(connection, path, number) for number, path in several])
        once = taken.query("taken", "SELECT min(row) AS row FROM taken GROUP BY id").set_alias("once")
        every = [relations.rows(connection, path, number) for number, path in several]
        rows = relations.union(every, "row, id, problem, solution").join(once, "row", "semi")
        reader = rows.to_arrow_reader(relations.ROWS)
        parts = (
            pyarrow.RecordBatch.from_arrays(
                [
                    batch["id"],
                    *(
                        pyarrow.array(n_tokens(batch[name].to_pylist()), pyarrow.int64())
                        for name in ("problem", "solution")
                    ),
                ],
                schema=schema,
            )
            for batch in reader
        )
        return relations.write(parts, schema, out)
