"""Tables as csv, parquet and json lines: written atomically; read with every error naming file, row and fix.

A table with a record of its making beside it (``files.check_recorded``) has to be as it was made.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet

from switchpoint import files
from switchpoint.errors import InputError

# Columns of names: text as it is written, so that a run 1.0 is not the run 1.
NAMES = ("run", "parent", "set", "algorithm", "status", "phase", "benchmark", "model", "val_set", "budget",
         "example")  # fmt: skip
BLANK = ("", "na", "n/a", "nan", "null", "none")  # no value, in any other column and whatever the case
SHOWN, LISTED = 60, 200  # characters of a bad value, and of the names of columns, in a message
# What pandas and pyarrow raise on a damaged parquet file: its data, its schema, or the notes of pandas in it.
DAMAGED = (OSError, ValueError, TypeError, LookupError, AttributeError, pyarrow.ArrowException)


def read_csv(path: str | Path) -> pd.DataFrame:
    """The csv file at ``path``, its lines as the index; InputError when it is missing or no such table.

    Spaces around names are dropped, blank lines are no rows.  A column of other things than names
    holds numbers where all its cells that are not blank are numbers, else text.
    """
    header, lines, cells = read_cells(path)
    # `refuse` finds the file and the lines of a table in its index.
    table = pd.DataFrame(cells, columns=header, index=pd.Index(lines, name=f"{path}: "), dtype=object)
    for column in table:
        text = table[column].str.strip()
        if column not in NAMES:
            table[column] = numbers_or_text(text.mask(text.str.lower().isin(BLANK)))
            continue
        table[column] = text.mask(text == "")
        refuse(table, text.str.contains("[\r\n]", regex=True), column, "write the name on one line")
    return table


def read_cells(path: str | Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, the lines that the rows start at, and the rows, as many cells each as the header."""
    files.check_recorded(path)
    reader = csv.reader(io.StringIO(files.read_text(path, "csv file"), newline=""), strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            rows += [(line, cells)] if len(cells) > 1 or "".join(cells).strip() else []
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}: not a csv table ({error}, line {line}); mend the line") from error
    if not rows:
        raise InputError(f"{path}: not a csv table (it is empty); give a csv file with a header")
    header = [name.strip() or f"Unnamed: {place}" for place, name in enumerate(rows[0][1])]
    mark = next((mark for mark in ";\t|" if mark in header[0]), None)
    if len(header) == 1 and mark:
        raise InputError(f"{path}: the cells are separated by {mark!r}; separate them by commas")
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"{path}: two columns {twice[0]}; keep one")
    for line, cells in rows[1:]:
        if len(cells) != len(header):
            raise InputError(
                f"{path}: line {line} has {len(cells)} cells and the header {len(header)}; write 1,000 as 1000, "
                'a text with commas in "quotes", and an empty cell for what is missing'
            )
    return header, [line for line, _ in rows[1:]], [cells for _, cells in rows[1:]]


def numbers_or_text(text: pd.Series) -> pd.Series:
    """The column as numbers where all its cells are numbers or missing, else as it is."""
    try:
        values = pd.to_numeric(text)
    except ValueError:
        return text
    # Whole numbers beyond 64 bits come as objects; as floats they are infinite at worst, and refused as that.
    return pd.to_numeric(text, errors="coerce") if values.dtype == object else values


def check_columns(table: pd.DataFrame, columns: list[str], name: str) -> None:
    """Raises InputError unless the table has rows, these columns, and in every row the first of them: a name."""
    where = file_of(table) or f"{name}: "
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{where}no column {', '.join(missing)}; it needs {', '.join(columns)} "
            f"and has {listed(table.columns)}"
        )
    if table.empty:
        raise InputError(f"{where}no rows; give at least one")
    refuse(table, table[columns[0]].isna(), columns[0], f"name the {columns[0]}")


def listed(names: Iterable) -> str:
    """The names for a message, cut short where there is much of them."""
    text = ", ".join(map(str, names)) or "none"
    return text if len(text) <= LISTED else f"{text[:LISTED]}..."


def numbers(table: pd.DataFrame, column: str) -> pd.Series:
    """The column as floats; raises InputError at the first row that holds no finite number."""
    values = pd.to_numeric(table[column], errors="coerce").astype(float)
    refuse(table, ~np.isfinite(values), column, f"{number_fix(table[column])} or delete the row")
    return values


def number_fix(values: pd.Series) -> str:
    """How to mend a column of which some cells are no numbers, by how those are written."""
    texts = values[pd.to_numeric(values, errors="coerce").isna()].dropna().astype(str).str.strip()
    if len(texts) and texts.str.fullmatch(r"[-+]?[\d.,\s]*\d\s*%").all():
        return "write the numbers without %"
    if len(texts) and texts.str.fullmatch(r"[-+]?\d+,[\d,]*\d").all():
        return "write 30,5 as 30.5 and 1,000 as 1000"
    return "give a finite number"


def refuse(table: pd.DataFrame, bad: pd.Series, column: str, fix: str) -> None:
    """Raises InputError naming the first bad row (counted from 1), and its file and line where known."""
    where = np.flatnonzero(np.asarray(bad, dtype=bool))
    if len(where):
        row = where[0]
        file = file_of(table)
        line = table.index[row] if file else row + 2
        owner = next((name for name in ("run", "model", "set") if name in table), None)
        whose = f", {owner} {' '.join(str(table[owner].iloc[row]).split())}" if owner else ""
        value = repr(table[column].iloc[[row]].tolist()[0])
        value = value if len(value) <= SHOWN else f"{value[:SHOWN]}..."
        raise InputError(f"{file}row {row + 1} (line {line}{whose}): {column} is {value}; {fix}")


def file_of(table: pd.DataFrame) -> str:
    """The beginning of a message on a table that `read_csv` read; empty for another one."""
    name = table.index.name
    return name if isinstance(name, str) and name.endswith(": ") else ""


def read_json_lines(path: str | Path) -> Iterator[dict]:
    """The objects of a jsonl file, a line at a time; InputError names a line that is none (as a blank one)."""
    try:
        with Path(path).open("rb") as lines:
            number = 0
            for number, line in enumerate(lines, start=1):
                where = f"{path}, line {number}"
                files.check_bytes(line, path if number == 1 else where, "jsonl file")
                yield json_object(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line, where)
            if not number:
                raise InputError(f"{path}: is empty; give at least one object")
    except OSError as error:
        raise files.unreadable(path, error, "jsonl file") from error


def json_object(line: bytes, where: str) -> dict:
    """The object of a line; InputError when it holds none."""
    try:
        value = files.parse_json(line.decode("utf-8"), where, parse_constant=float)  # Python writes NaN
    except UnicodeDecodeError:
        raise InputError(f"{where}: is not UTF-8; save the file as UTF-8") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: {repr(value)[:SHOWN]} is no object; give one object per line")
    return value


def read_objects(path: str | Path) -> pd.DataFrame:
    """The objects of a .jsonl, .json (a list of them) or .parquet file, one a row; InputError when it holds none such."""
    if Path(path).suffix == ".parquet":
        return read_parquet(path)
    if Path(path).suffix == ".jsonl":
        return frame_of(list(read_json_lines(path)), path)
    rows = files.parse_json(files.read_text(path, "JSON file"), str(path), parse_constant=float)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(
            f"{path}: holds no list of objects; give [{{...}}, ...], or one object per line as .jsonl"
        )
    return frame_of(rows, path)


def frame_of(rows: list[dict], path: str | Path) -> pd.DataFrame:
    """The objects as a table; InputError where a text is none: JSON can escape half a character."""
    try:
        return pd.DataFrame(rows)
    except UnicodeEncodeError:
        texts = (json.dumps(row, ensure_ascii=False) for row in rows)
        number = next(n for n, text in enumerate(texts, start=1) if re.search("[\ud800-\udfff]", text))
        raise InputError(
            f"{path}: row {number} holds half a character (a lone surrogate); delete it"
        ) from None


def read_parquet(path: str | Path) -> pd.DataFrame:
    """The parquet file at ``path``; InputError when it is missing or no such table."""
    files.check_recorded(path)
    if not Path(path).is_file():
        raise InputError(f"{files.absence(path)}; correct the path")
    try:
        return pd.read_parquet(path, page_checksum_verification=True)
    except DAMAGED as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not a parquet file ({problem}); give a table saved as parquet") from error


def read_table(path: str | Path) -> pd.DataFrame:
    """The table at ``path``, csv or parquet by its name; InputError when it is missing or no table."""
    return read_parquet(path) if Path(path).suffix == ".parquet" else read_csv(path)


def read_made(path: str | Path):
    """What another job of the study made: a table (csv, parquet), or the value of a JSON file.

    InputError when the file is missing or seen to be damaged, with the fix.
    """
    path = Path(path)
    files.check_recorded(path)
    if not path.is_file():
        raise InputError(f"{files.absence(path)}; {files.remake(path)}")
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path, page_checksum_verification=True)  # of all but the columns' names
            written = json.loads(pyarrow.parquet.read_metadata(path).metadata[b"pandas"])["columns"]
            if [column["name"] for column in written] != list(table.columns):
                raise ValueError("its columns have other names")
            return table
        if path.suffix == ".json":
            return files.read_json(path)
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("its end is missing")
        return pd.read_csv(path)
    except DAMAGED as error:
        problem = " ".join(str(error).split())
        raise InputError(f"{path} is not as it was written ({problem}); {files.remake(path)}") from error


def write_json_lines(rows: Iterable[dict], path: str | Path) -> None:
    """Writes one JSON object per line atomically, a row at a time."""
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def write_parquet(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a table atomically."""
    with files.atomic(path) as temporary:
        table.to_parquet(temporary, index=False, write_page_checksum=True)


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Writes a table atomically."""
    with files.atomic(path) as temporary:
        table.to_csv(temporary, index=False)
