"""The records of a real data set, streamed out of its files: filtered, every row that is left out counted with its reason.

A row that is *dropped* is one that the study does not want; one that is *rejected* is broken.  Rejects are listed, and more
of them than the source's limit end the job.
"""

import glob
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow
import pyarrow.compute
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from switchpoint import files, tables
from switchpoint.data import relations
from switchpoint.data.records import Lengths
from switchpoint.data.schemas import SCHEMAS, Schema, Structure, sql_type
from switchpoint.errors import InputError
from switchpoint.study.sources import Dataset

LISTED = 20  # rejected rows that are shown
SAMPLE = 1000  # lines whose keys are taken for the file's columns
LONGEST = 64 * 2**20  # bytes of a line
CHINESE = "[\u3400-\u4dbf\u4e00-\u9fff]"
NO_ANSWER = "answer IS NULL OR len(answer) = 0"
NO_SOLUTION = "solution IS NULL OR NOT regexp_matches(solution, '\\S')"
NO_TEXT = r"regexp_matches(problem, '^\s*([\[{]|true\s*$|false\s*$)')"  # a list, an object or a truth value, perhaps
TEXTS = (".jsonl", ".jsonl.zst", ".jsonl.gz")
# Of several rows of one problem that with the smallest is taken: the shortest solution (any before none), and of equally
# long ones that with the smaller hash of all that it has, whatever the order of the rows.
PREFERENCE = f"""
least(coalesce(strlen(solution), {2**28}), {2**28 - 1})::BIGINT * {2**34} + (hash({{all}}) % {2**34})::BIGINT
"""
PIECE = 4 * 2**20  # bytes that are read at once


@dataclass
class Census:
    """What became of a source's rows."""

    rows: int = 0
    kept: int = 0
    dropped: Counter = field(default_factory=Counter)
    rejected: Counter = field(default_factory=Counter)
    examples: list[dict] = field(default_factory=list)

    def summary(self) -> dict:
        """As JSON; kept, dropped and rejected rows are all rows."""
        return {
            "rows": self.rows, "kept": self.kept, "dropped": dict(sorted(self.dropped.items())),
            "rejected": dict(sorted(self.rejected.items())), "rejected_rows": self.examples,
        }  # fmt: skip


def files_of(paths: list[str]) -> list[Path]:
    """The files of paths and patterns, in their order; InputError for one that names none, or no such file."""
    found = []
    for path in paths:
        named = [Path(path)] if Path(path).exists() else sorted(map(Path, glob.glob(path)))
        if not named or not all(file.is_file() for file in named):
            raise InputError(f"{path} names no file; download it, or correct the path")
        found += named
    for file in found:
        if not file.name.endswith((*TEXTS, ".parquet")):
            raise InputError(f"{file} is none of {', '.join(TEXTS)} and .parquet; convert it")
    if twice := [str(file) for file, n in Counter(found).items() if n > 1]:
        raise InputError(f"{twice[0]} is named twice; name it once")
    return found


def ingest(source: Dataset, name: str, n_tokens: Lengths | None, out: str) -> Census:
    """Writes the records of a data set and returns what became of its rows.

    Columns: id, key, problem, answer (a list), solution, source, what the schema has of origin, teacher and win rates, and
    ``preference``, which orders the rows of one problem.
    An id hangs on the problem alone.  InputError for a file without the needed columns, and for too many rejects.
    """
    schema, census = SCHEMAS[source.dataset], Census()

    def parts(connection: DuckDBPyConnection) -> Iterator[pyarrow.RecordBatch]:
        for file, rows in raw_relations(connection, source, schema):
            yield from records(file, rows, schema, source, name, n_tokens, census)
        refuse_broken(census, source, name)
        if not census.kept:
            shown = json.dumps(census.summary())[:400]
            raise InputError(f"data.sources.{name}: no row is left ({shown}); correct its filters")

    with relations.connect(out) as connection:
        relations.write(parts(connection), arrow_schema(schema), out)
    return census


def arrow_schema(schema: Schema) -> pyarrow.Schema:
    """The columns of the records."""
    text = pyarrow.string()
    columns = [("id", text), ("key", text), ("problem", text), ("answer", pyarrow.list_(text)),
               ("solution", text), ("source", text)]  # fmt: skip
    columns += [(name, text) for name in ("origin", "teacher") if getattr(schema, name)]
    columns += [(f"win_rate_{name}", pyarrow.float64()) for name in schema.win_rates]
    return pyarrow.schema([*columns, ("preference", pyarrow.int64())])


def raw_relations(
    connection: DuckDBPyConnection, source: Dataset, schema: Schema
) -> Iterator[tuple[str, DuckDBPyRelation]]:
    """(name, the needed columns) of each file, or of the data set on the hub."""
    if source.path is None:
        yield source.hub, of_table(connection, hub_table(source), schema, source.hub)
        return
    for file in files_of(source.path):
        if file.suffix == ".parquet":
            yield str(file), of_parquet(connection, file, schema)
        else:
            yield str(file), of_lines(connection, file, schema)


def hub_table(source: Dataset) -> pyarrow.Table:
    """A data set on the hub at its locked revision, mapped into memory."""
    from datasets import exceptions, load_dataset

    from switchpoint.data.locks import read_lock

    try:
        rows = load_dataset(
            source.hub, source.subset, split=source.split, revision=read_lock(source.lock).revision
        )
    except (exceptions.DatasetsError, OSError, ValueError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(
            f"{source.hub}: no data set ({problem}); correct its name, split or revision"
        ) from error
    return rows.data.table


def of_lines(connection: DuckDBPyConnection, file: Path, schema: Schema) -> DuckDBPyRelation:
    """The needed columns of a file of JSON lines, those that are lists or objects also where a text holds them.

    ``parsed`` is false where a line is no JSON object, ``fits`` where such a column is something else.
    """
    if file.suffix == ".jsonl":
        with file.open("rb") as stream:
            files.check_bytes(stream.read(4096), file, "jsonl file")
    if file.suffix == ".zst":
        check_zstd(file)
    lines = f"read_ndjson_objects({relations.text(str(file))}, ignore_errors = true, maximum_object_size = {LONGEST})"
    try:
        keys = connection.sql(
            f"SELECT DISTINCT unnest(json_keys(json)) AS name FROM (SELECT json FROM {lines} LIMIT {SAMPLE}) "
            "WHERE json_type(json) = 'OBJECT' ORDER BY name"
        ).fetchall()
    except duckdb.Error as error:
        raise InputError(f"{file}: {' '.join(str(error).split())[:200]}; download it again") from error
    if not keys:
        raise InputError(
            f"{file}: no JSON object in its first {SAMPLE} lines; give one a line, or drop the file"
        )
    columns = check_columns(schema, [name for (name,) in keys], str(file))
    structure = relations.text(json.dumps(columns))
    fits, chosen = ["true"], []
    for name, needed in columns.items():
        found = f'made."{name}"'
        if not isinstance(needed, str):
            found, fitting = member(name, needed)
            fits.append(fitting)
        chosen.append(f'{found} AS "{name}"')
    made = f"SELECT json, json_transform(json, {structure}) AS made FROM {lines}"
    read = f"SELECT json, coalesce(json_type(json) = 'OBJECT', false) AS parsed, {', '.join(chosen)} FROM ({made})"
    return connection.sql(f"SELECT * EXCLUDE (json), {' AND '.join(fits)} AS fits FROM ({read})")


def member(name: str, needed: Structure) -> tuple[str, str]:
    """A list or object of a line, which may be a text that holds it, and whether it is no other thing, in SQL."""
    path, made = relations.text(f'$."{name}"'), f'made."{name}"'
    text, nothing = f"json_extract_string(json, {path})", empty(made, needed)
    found = (
        f"CASE WHEN {nothing} AND json_type(json, {path}) = 'VARCHAR' THEN {from_text(text, needed)} "
        f"WHEN {nothing} AND json_type(json, {path}) <> '{kind(needed)}' THEN NULL ELSE {made} END"
    )
    there = f"json_type(json, {path}) <> 'NULL' AND {solid(text)}"
    return found, f'CASE WHEN "{name}" IS NULL THEN NOT coalesce({there}, false) ELSE true END'


def check_zstd(file: Path) -> None:
    """InputError for a file that ends before its data do, which DuckDB takes as it is."""
    try:
        with pyarrow.CompressedInputStream(pyarrow.OSFile(str(file)), "zstd") as stream:
            while stream.read(PIECE):
                pass
    except OSError as error:
        raise InputError(f"{file}: {error}; download it again") from error


def of_parquet(connection: DuckDBPyConnection, file: Path, schema: Schema) -> DuckDBPyRelation:
    """The needed columns of a parquet file."""
    try:
        names = pyarrow.parquet.read_schema(file).names
        table = connection.read_parquet(str(file))
    except (duckdb.Error, pyarrow.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: not a parquet file ({problem}); download it again") from error
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(f"{file}: two columns {twice[0]}; keep one")
    return of_table(connection, table, schema, str(file))


def of_table(
    connection: DuckDBPyConnection, table: DuckDBPyRelation | pyarrow.Table, schema: Schema, where: str
) -> DuckDBPyRelation:
    """The needed columns of a table, in the types that are needed; ``fits`` is false where one is something else."""
    relation = table if isinstance(table, DuckDBPyRelation) else connection.from_arrow(table)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    columns = check_columns(schema, relation.columns, where)
    fits, chosen = ["true"], []
    for name, needed in columns.items():
        column, found = f'"{name}"', f"NULL::{sql_type(needed)}"
        if name in types:
            found = adapted(column, types[name], needed, where)
            if not isinstance(needed, str):
                blank = f" OR NOT {solid(column)}" if types[name] in ("VARCHAR", "JSON") else ""
                fits.append(f"({column} IS NULL OR {found} IS NOT NULL{blank})")
        chosen.append(f"{found} AS {column}")
    try:
        return relation.project(f"true AS parsed, {' AND '.join(fits)} AS fits, {', '.join(chosen)}")
    except duckdb.BinderException as error:
        problem = " ".join(str(error).split())[:200]
        wanted = {name: sql_type(needed) for name, needed in columns.items()}
        has = {name: types[name] for name in columns if name in types}
        raise InputError(
            f"{where}: the columns do not fit ({problem}); it needs {wanted} and has {has}: name another schema"
        ) from error


def adapted(column: str, there: str, needed: Structure, where: str) -> str:
    """A column of a table in the needed type: texts that hold JSON are decoded."""
    if "BLOB" in there:
        raise InputError(f"{where}: the column {column} is binary; write it as text")
    if there in ("VARCHAR", "JSON") and not isinstance(needed, str):
        return from_text(column, needed)
    if needed == "VARCHAR" and there.endswith(("]", ")")):
        return f"to_json({column})::VARCHAR"
    return f"try_cast({column} AS {sql_type(needed)})"


def kind(needed: Structure) -> str:
    """What JSON calls a structure."""
    return "OBJECT" if isinstance(needed, dict) else "ARRAY"


def empty(value: str, needed: Structure) -> str:
    """Whether nothing was found: DuckDB makes an object of nothing of what is no object."""
    members = [f'{value}."{member}" IS NULL' for member in needed] if isinstance(needed, dict) else []
    return f"({value} IS NULL{' OR (' + ' AND '.join(members) + ')' if members else ''})"


def from_text(value: str, needed: Structure) -> str:
    """What a text that holds JSON says; NULL where it holds none of this structure."""
    whole = f"CASE WHEN json_valid({value}) THEN json_type({value}) END = '{kind(needed)}'"
    return f"json_transform(CASE WHEN {whole} THEN {value} END, {relations.text(json.dumps(needed))})"


def check_columns(schema: Schema, there: list[str], where: str) -> dict[str, Structure]:
    """The columns that are needed; InputError when one is not there."""
    needed = [name for name in schema.columns if name not in schema.optional]
    if missing := [name for name in needed if name not in there]:
        raise InputError(
            f"{where}: no column {', '.join(missing)}; it needs {', '.join(needed)} and has {tables.listed(there)}: "
            "correct the path, or name another schema"
        )
    return schema.columns


def records(
    where: str, rows: DuckDBPyRelation, schema: Schema, source: Dataset, name: str,
    n_tokens: Lengths | None, census: Census,
) -> Iterator[pyarrow.RecordBatch]:  # fmt: skip
    """The records of one file; what is left out is counted."""
    before = census.rows
    query = judged(rows, schema, source, name)
    try:
        for batch in query.to_arrow_reader(relations.ROWS):
            first = census.rows - before
            census.rows += batch.num_rows
            count(census, batch, where, first)
            kept = batch.filter(pyarrow.compute.is_null(batch["reason"])).drop_columns(["reason", "rejected"])
            kept = within_lengths(kept, source, n_tokens, census)
            census.kept += kept.num_rows
            yield kept
    except duckdb.OutOfMemoryException:
        raise  # the file is whole
    except duckdb.Error as error:
        raise InputError(f"{where}: {' '.join(str(error).split())[:300]}; download it again") from error


def refuse_broken(census: Census, source: Dataset, name: str) -> None:
    """InputError when more of all rows are rejected than the source allows; it shows the first of the first such file."""
    n_rejected = census.rejected.total()
    if n_rejected > source.max_rejects * census.rows:
        where = census.examples[0]["file"]
        first = [one for one in census.examples if one["file"] == where][:3]
        shown = "; ".join(f"row {one['row']}: {one['reason']}" for one in first)
        raise InputError(
            f"{where}: {n_rejected} of {census.rows} rows are broken ({shown}), more than data.sources.{name}.max_rejects "
            f"{source.max_rejects:g} allows; mend the file, or raise the limit"
        )


def count(census: Census, batch: pyarrow.RecordBatch, where: str, first: int) -> None:
    """Counts the rows that are left out, and lists the first rejected ones."""
    reasons, rejected = batch["reason"].to_numpy(False), batch["rejected"].to_numpy(False)
    for place in np.flatnonzero(reasons != None):  # noqa: E711 -- element by element
        (census.rejected if rejected[place] else census.dropped)[reasons[place]] += 1
        if rejected[place] and len(census.examples) < LISTED:
            census.examples.append({"file": where, "row": first + int(place) + 1, "reason": reasons[place]})


def judged(rows: DuckDBPyRelation, schema: Schema, source: Dataset, name: str) -> DuckDBPyRelation:
    """The record of every row with the ``reason`` to leave it out, if there is one; that row's texts are not kept."""
    rates = {f"win_rate_{solver}": given for solver, given in schema.win_rates.items()}
    given = {name: f"({sql})::VARCHAR" for name, sql in rates.items()}
    answer = schema.answer if schema.answer.startswith("CASE") else f"[{schema.answer}]"
    fields = {
        "problem": schema.problem,
        "answer": f"list_filter({answer}, lambda one: one IS NOT NULL AND {solid('one')})",
        "solution": schema.solution or "NULL::VARCHAR",
        "origin": schema.origin, "domain": schema.domain, "teacher": schema.teacher, "verified": schema.verified,
        **given,
    }  # fmt: skip
    read = rows.project(
        ", ".join(["parsed", "fits", *(f"{sql} AS {name}" for name, sql in fields.items() if sql)])
    )
    rejects = reject_reasons(schema, list(rates))
    drops = drop_reasons(source, schema)
    rejected = f"CASE {whens(rejects)} END"
    reason = f"coalesce(rejected_for, CASE {whens(drops)} END)" if drops else "rejected_for"
    marked = read.project(f"*, {rejected} AS rejected_for").project(f"*, {reason} AS reason")
    marked = marked.project("*, CASE WHEN reason IS NULL THEN key_of(problem) END AS key")
    prefix = relations.text(f"{name}-")
    content = {
        "id": f"{prefix} || key[:20]", "key": "key", "problem": "problem",
        "answer": "answer", "solution": "solution", "source": relations.text(name),
        **{name: name for name in ("origin", "teacher") if getattr(schema, name)},
        **{name: f"try_cast({name} AS DOUBLE)" for name in rates},
        "preference": PREFERENCE.format(all=", ".join(name for name in fields if fields[name])),
    }  # fmt: skip
    chosen = (f"CASE WHEN reason IS NULL THEN {sql} END AS {name}" for name, sql in content.items())
    return marked.project(", ".join([*chosen, "reason", "rejected_for IS NOT NULL AS rejected"]))


def whens(reasons: dict[str, str]) -> str:
    """The branches of a CASE that names the first reason that holds."""
    return " ".join(f"WHEN {holds} THEN {relations.text(reason)}" for reason, holds in reasons.items())


def solid(value: str) -> str:
    """Whether a text holds more than white space."""
    return f"regexp_matches({value}, '\\S')"


def reject_reasons(schema: Schema, rates: list[str]) -> dict[str, str]:
    """Why a row is broken, in words, and as SQL."""
    reasons = {
        "no JSON object": "NOT parsed",
        "a column of another kind": "NOT fits",
        "no problem": f"problem IS NULL OR NOT {solid('problem')}",
        "problem is no text": f"CASE WHEN {NO_TEXT} THEN json_valid(problem) ELSE false END",
    }
    if schema.gold_for_all:
        reasons["no answer"] = NO_ANSWER
    if schema.solution and "solution" not in schema.optional and schema.solution_for_all:
        reasons["no solution"] = NO_SOLUTION
    for name in rates:
        share = f"try_cast({name} AS DOUBLE)"
        reasons[f"{name} is no share"] = (
            f"{name} IS NOT NULL AND NOT coalesce({share} BETWEEN 0 AND 1, false)"
        )
    return reasons


def drop_reasons(source: Dataset, schema: Schema) -> dict[str, str]:
    """What the study does not want, in words, and as SQL."""
    keep, reasons = source.keep, {}
    for name, wanted in {"domain": keep.domains, "teacher": keep.teachers, "origin": keep.origins}.items():
        if wanted is not None:
            listed = ", ".join(map(relations.text, wanted))
            reasons[name] = f"{name} IS NULL OR {name} NOT IN ({listed})"
    if keep.verified:
        reasons["not verified"] = "NOT coalesce(verified, false)"
    if not keep.chinese:
        reasons["Chinese"] = f"regexp_matches(problem, '{CHINESE}')"
    if not schema.gold_for_all:
        reasons["no answer"] = NO_ANSWER
    if not schema.solution_for_all:
        reasons["no solution"] = NO_SOLUTION
    return reasons


def within_lengths(
    batch: pyarrow.RecordBatch, source: Dataset, n_tokens: Lengths | None, census: Census
) -> pyarrow.RecordBatch:
    """The rows whose problem and solution are not too long, in tokens; the others are counted."""
    limits = {"problem": source.keep.max_prompt_tokens, "solution": source.keep.max_response_tokens}
    for column, limit in limits.items():
        if limit is None or not batch.num_rows:
            continue
        texts = [text or "" for text in batch[column].to_pylist()]
        short = np.asarray(n_tokens(texts)) <= limit
        census.dropped[f"{column} too long"] += int((~short).sum())
        batch = batch.filter(pyarrow.array(short))
    return batch
