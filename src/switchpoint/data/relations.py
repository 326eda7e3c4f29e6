"""DuckDB relations in and out of everything that may be large: tables are streamed, and what outgrows memory spills to disk.

A table of records has a column ``key``, the hash of the normalised problem, by which two problems are the same.
"""

import contextlib
import errno
import functools
import glob
import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pyarrow
import pyarrow.parquet
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.grading.extraction import last_boxed

MEMORY = "1500MB"  # of DuckDB's buffers; beyond, it spills
REPEATED = ("source", "origin", "teacher")  # columns of few values
ROWS = 4_000  # of a batch
PART = 64 * 2**20  # bytes of rows that are brought into order at once
SCATTERED = 32 * 2**20  # bytes of rows that are put into their parts at once
BUFFER = 64 * 2**10  # bytes that a part's file is written by
PARTS = 500  # files that are open at once, at most
TABLE = 2**40  # rows of a table, at most
PREFERENCE = 2**62  # more than any
GROUP = 8 * 2**20  # bytes of a row group, before it is compressed
AHEAD = "128MB"  # of rows that one thread may make while another's are taken
DRAWN_BY = b"switchpoint.drawn_by"  # the seed of the draws in whose order a table stands
# A problem of ASCII letters is normalised in SQL, and most of them have single spaces alone; the class holds what Python
# takes for white space among them.
KEY = r"""
CREATE TEMP MACRO key_of(problem) AS md5(CASE
    WHEN strlen(problem) <> length(problem) THEN normalise(problem)
    WHEN regexp_matches(problem, '[\x09-\x0d\x1c-\x1f]|  |^ | $')
    THEN trim(regexp_replace(lower(problem), '[\x09-\x0d\x1c-\x20]+', ' ', 'g'))
    ELSE lower(problem) END)
"""


def normalise(problem: str) -> str:
    """NFKC, white space collapsed, case folded: what makes two problems the same."""
    return " ".join(unicodedata.normalize("NFKC", problem).split()).casefold()


def key(problem: str) -> str:
    """The MD5 hash of the normalised problem, as ``key_of`` of a relation has it."""
    return hashlib.md5(normalise(problem).encode(), usedforsecurity=False).hexdigest()


def spill_of(path: str | Path) -> Path:
    """The folder of what is spilled while a table is made."""
    return Path(path).with_name(f".{Path(path).name}.spill")


@contextlib.contextmanager
def connect(beside: str | Path) -> Iterator[DuckDBPyConnection]:
    """A connection that spills into a folder beside the path and of its name, and into nothing else.

    What a killed job left there is removed.  What DuckDB finds wrong comes as InputError, a full disk as OSError.
    """
    path, spill = Path(beside), spill_of(beside)
    files.remove(spill)
    spill.mkdir(parents=True)
    settings = {
        "memory_limit": MEMORY,
        "temp_directory": str(spill),
        "threads": n_threads(),
        "autoinstall_known_extensions": False,
        "arrow_large_buffer_size": False,
        "disable_parquet_prefetching": True,  # a column of a row group may be larger than the memory
    }
    connection = duckdb.connect(config=settings)
    try:
        connection.execute(f"SET enable_progress_bar = false; SET streaming_buffer_size = '{AHEAD}'")
        for name, function in {"normalise": normalise, "boxed": last_boxed}.items():
            many = functools.partial(each, function)
            connection.create_function(
                name, many, ["VARCHAR"], "VARCHAR", type="arrow", null_handling="special"
            )
        connection.execute(KEY)
        yield connection
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
        raise  # the query is wrong, and no data
    except (duckdb.Error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise said(
            error, str(path.parent)
        ) from error  # an OSError without a number is DuckDB's, by way of Arrow
    finally:
        connection.close()
        files.remove(spill)


def n_threads() -> int:
    """Threads to use: as many as the rule has, else the CPUs that this process may use."""
    if (given := os.environ.get("OMP_NUM_THREADS", "")).isdigit():
        return max(int(given), 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(function: Callable[[str], str | None], texts: pyarrow.ChunkedArray) -> pyarrow.Array:
    """The function of each text that is there."""
    values = (None if text is None else function(text) for text in texts.to_pylist())
    return pyarrow.array(list(values), pyarrow.string())


def said(error: Exception, where: str) -> Exception:
    """A failure of DuckDB as one of ours."""
    text = " ".join(str(error).split())
    if "No space left" in text or ("disk" in text.lower() and "full" in text.lower()):
        return OSError(errno.ENOSPC, "no space left on the device", where)
    if "Out of Memory" in text:
        return InputError(
            f"{where}: out of memory or of disk to spill to ({text[:200]}); free some, and run again"
        )
    return InputError(f"{where}: {text[:300]}; correct the data")


def read(connection: DuckDBPyConnection, path: str | Path) -> DuckDBPyRelation:
    """A table that another job of the study made; InputError when it is missing or seen to be damaged."""
    path = Path(path)
    files.check_recorded(path)
    if not path.is_file():
        raise InputError(f"{files.absence(path)}; {files.remake(path)}")
    try:
        return connection.read_parquet(str(path))
    except duckdb.Error as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not as it was written ({problem}); {files.remake(path)}") from error


def rows(connection: DuckDBPyConnection, path: str | Path, number: int = 0) -> DuckDBPyRelation:
    """The rows of such a table with their ``row`` in it, from 0; that of the table ``number`` is no other table's."""
    read(connection, path)
    row = f"file_row_number + {number * TABLE} AS row"
    return connection.sql(f"SELECT *, {row} FROM read_parquet({text(str(path))})")


def size(rows: DuckDBPyRelation) -> int:
    """How many rows there are."""
    [(n,)] = rows.aggregate("count(*)").fetchall()
    return n


def check_ids(rows: DuckDBPyRelation, what: str) -> None:
    """InputError, beginning with ``what``, for an ``id`` that stands for problems of two ``key``s: draws and win rates are by it."""
    problems = rows.aggregate("id, count(DISTINCT key) AS n", "id").filter("n > 1")
    if found := problems.order("id").limit(1).fetchall():
        raise InputError(
            f"{what}: the id {found[0][0]!r} stands for {found[0][1]} problems; make the ids of the sources' files differ, "
            "or leave the ids out"
        )


def rank(table: DuckDBPyRelation, number: int = 0) -> str:
    """The order in which one of the rows of a problem is taken, in SQL, as one number of 128 bits: that of the earlier
    table, of the smaller ``preference`` where the table has one (the shortest solution's), of the earlier row."""
    preference = "preference::UHUGEINT" if "preference" in table.columns else "0::UHUGEINT"
    return f"({number}::UHUGEINT * {PREFERENCE} + {preference}) * {TABLE} + (row % {TABLE})::UHUGEINT"


def drawn_by(seed: int, path: str | Path | None = None) -> str:
    """The order of draws, in SQL: that of a hash of (seed, id).  A table that notes it stands in it."""
    noted = (pyarrow.parquet.read_schema(path).metadata or {}).get(DRAWN_BY) if path else None
    return "row" if noted == str(seed).encode() else f"sha256('{seed}/' || id), id"


def take(path: str | Path, rows: np.ndarray) -> Iterator[pyarrow.Table]:
    """The rows of a table with these numbers, which rise; other row groups than theirs are not read."""
    file = pyarrow.parquet.ParquetFile(path)
    first = 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        inside = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
        if len(inside):
            table = file.read_row_group(group)
            yield table if len(inside) == table.num_rows else table.take(inside)
        first = end


def union(tables: list[DuckDBPyRelation], columns: str = "*") -> DuckDBPyRelation:
    """The rows of all tables, one after another; answers are lists where those of one table are."""
    kinds = [dict(zip(one.columns, map(str, one.types), strict=True)).get("answer") for one in tables]
    if len(set(kinds)) > 1:
        tables = [
            one.project("* REPLACE ([answer] AS answer)") if kind == "VARCHAR" else one
            for one, kind in zip(tables, kinds, strict=True)
        ]
    return functools.reduce(DuckDBPyRelation.union, (one.project(columns) for one in tables))


def write(
    parts: Iterable[pyarrow.RecordBatch | pyarrow.Table], schema: pyarrow.Schema, path: str | Path,
    notes: dict[bytes, bytes] | None = None,
) -> int:  # fmt: skip
    """Writes a parquet table atomically and returns the number of its rows; a row group is written while the next is made."""
    # The notes of pandas hold the columns' names again, by which a reader tells that they are as they were written.
    for left in Path(path).parent.glob(glob.escape(f".{Path(path).name}.") + "*.tmp"):
        files.remove(left)  # of a job that was killed
    schema = schema.remove_metadata()
    empty = schema.empty_table().to_pandas()
    noted = pyarrow.Table.from_pandas(empty, schema=schema, preserve_index=False).schema
    noted = noted.with_metadata(noted.metadata | (notes or {}))
    how = {
        "compression": "zstd",
        "compression_level": 1,
        "write_page_checksum": True,
        "use_dictionary": [name for name in REPEATED if name in schema.names],
    }
    n_rows = 0
    with (
        files.atomic(path) as temporary,
        pyarrow.parquet.ParquetWriter(temporary, noted, **how) as writer,
        ThreadPoolExecutor(1) as thread,
    ):
        before = None
        for group in groups(parts, noted):
            n_rows += group.num_rows
            if before is not None:
                before.result()
            before = thread.submit(writer.write_table, group)
        if before is not None:
            before.result()
    return n_rows


def groups(
    parts: Iterable[pyarrow.RecordBatch | pyarrow.Table], schema: pyarrow.Schema, bytes_of_one: int = GROUP
) -> Iterator[pyarrow.Table]:
    """The parts, small ones together, as tables of this schema."""
    group, size = [], 0
    for part in parts:
        group.append(part if isinstance(part, pyarrow.Table) else pyarrow.Table.from_batches([part]))
        size += part.nbytes
        if size > bytes_of_one:
            yield joined(group, schema)
            group, size = [], 0
    if group:
        yield joined(group, schema)


def joined(parts: list[pyarrow.Table], schema: pyarrow.Schema) -> pyarrow.Table:
    """The parts as one table of this schema."""
    table = pyarrow.concat_tables(parts)
    same = table.schema.equals(schema)
    return table.replace_schema_metadata(schema.metadata) if same else table.cast(schema)


def save(relation: DuckDBPyRelation, path: str | Path) -> int:
    """Writes a relation's rows as they come."""
    reader = relation.to_arrow_reader(ROWS)
    return write(reader, reader.schema, path)


def save_placed(
    rows: DuckDBPyRelation, n: int, sources: list[str], path: str | Path, seed: int | None = None
) -> int:
    """Writes ``n`` rows in the order of ``place``, 0 to n - 1; they are taken from the tables ``sources``.

    Rows may be long, and all of them larger than the memory: they are scattered into parts by their places, and part by
    part brought into order.  Within a ``connect`` beside the path.
    """
    reader = rows.to_arrow_reader(ROWS)
    parts = [spill_of(path) / f"part-{number}" for number in range(n_parts(n, sources))]
    scatter(reader, n, parts)
    schema = pyarrow.schema([field for field in reader.schema if field.name != "place"])
    notes = None if seed is None else {DRAWN_BY: str(seed).encode()}
    return write(in_order(parts), schema, path, notes)


def n_parts(n: int, sources: list[str]) -> int:
    """Parts that fit in memory, by the mean size of the tables' rows."""
    known = [pyarrow.parquet.read_metadata(source) for source in sources]
    n_bytes = sum(
        one.row_group(group).total_byte_size for one in known for group in range(one.num_row_groups)
    )
    mean = n_bytes / max(sum(one.num_rows for one in known), 1)
    return min(int(n * mean / PART) + 1, PARTS)


def scatter(reader: pyarrow.RecordBatchReader, n: int, parts: list[Path]) -> None:
    """Puts every row into the file of its part of the places."""
    with contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(pyarrow.output_stream(str(part), buffer_size=BUFFER)) for part in parts]
        writers = [stack.enter_context(pyarrow.ipc.new_stream(sink, reader.schema)) for sink in sinks]
        for rows in groups(reader, reader.schema, SCATTERED):
            part = rows["place"].to_numpy() * len(parts) // n
            order = np.argsort(part, kind="stable")
            ends = np.searchsorted(part[order], np.arange(len(parts) + 1))
            rows = rows.take(order)
            for writer, first, end in zip(writers, ends, ends[1:], strict=False):
                if end > first:
                    writer.write_table(rows.slice(first, end - first))


def in_order(parts: list[Path]) -> Iterator[pyarrow.Table]:
    """The rows of all parts in their order; the next part is read while one is taken."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(placed, parts[0])
        for following in [*parts[1:], None]:
            table = coming.result()
            if following is not None:
                coming = thread.submit(placed, following)
            yield from (table.slice(first, ROWS) for first in range(0, len(table), ROWS))


def placed(part: Path) -> pyarrow.Table:
    """The rows of a part in their order; the file is removed."""
    with pyarrow.memory_map(str(part)) as file:
        table = pyarrow.ipc.open_stream(file).read_all().combine_chunks()
        table = table.take(np.argsort(table["place"].to_numpy())).drop_columns(["place"])
    part.unlink()
    return table


def text(value: str) -> str:
    """A text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
