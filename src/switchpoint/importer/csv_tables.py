"""Points of any csv file: one row per point, or one per evaluation with a column per benchmark."""

from collections import Counter

import pandas as pd

from switchpoint import tables
from switchpoint.errors import InputError
from switchpoint.importer.compute import Axis, spending
from switchpoint.importer.curves import check_names
from switchpoint.importer.options import Options, of_run
from switchpoint.importer.runs import path_name


def csv_rows(path: str, options: Options, axis: Axis | None, counts: Counter) -> pd.DataFrame:
    """Points of a csv file: long, with a column of scores, or with a column per benchmark (``--score``)."""
    raw = tables.read_csv(path)
    if raw.empty:
        raise InputError(f"{path}: has a header and no rows; give a table that has some")
    axis = None if axis == Axis("exaflops") else axis  # its column is called so
    per_step = options.exaflops_per_step
    fields = ["run", "phase", "step", "exaflops", "exaflops_total"]
    fields += [] if options.score else ["benchmark", "score", "se", "n", "p_start"]
    if unknown := [name for name in options.column if name not in fields]:
        raise InputError(f"--column {unknown[0]}=..: the fields to map are {', '.join(fields)}")
    source = {name: options.column.get(name, name) for name in fields}
    needed = [source["exaflops" if axis is None and per_step is None else "step"]]
    needed += [*(options.score or [source["score"]]), *([axis.tag] if axis and axis.tag else [])]
    if absent := [column for column in [*options.column.values(), *needed] if column not in raw]:
        raise InputError(
            f"{path}: no column {absent[0]}; map the file's to the fields with --column FIELD=COLUMN "
            f"(it has {tables.listed(raw.columns)})"
        )
    columns = {name: raw[column] for name, column in source.items() if column in raw}
    given = {"run": options.run, "phase": options.phase, "exaflops": per_step}
    if twice := [name for name, value in given.items() if value not in (None, {}) and name in columns]:
        raise InputError(f"{path}: has a column {source[twice[0]]} for {twice[0]}; leave the option out")
    if axis is not None:
        columns = {name: column for name, column in columns.items() if not name.startswith("exaflops")}
    table = pd.DataFrame({"run": options.run or path_name(path), "benchmark": "overall"} | columns)
    if "phase" not in table:
        table["phase"] = [of_run(options.phase, run) or "rl" for run in table["run"]]
        counts["phases_guessed"] += sum(of_run(options.phase, run) is None for run in table["run"].unique())
    table["where"] = [f"{path}: line {line}, run {run}" for line, run in table["run"].items()]
    check_names(table)
    if per_step is not None:
        table["exaflops"] = pd.to_numeric(table["step"], errors="coerce") * per_step
    if axis is not None:
        table["exaflops"] = costs(table, raw[axis.tag] if axis.tag else None, axis, options)
    parts = [
        table.assign(benchmark=name, score=raw[column], tag=column) for column, name in options.score.items()
    ]
    rows = pd.concat(parts or [table], ignore_index=True)
    blank = rows["score"].isna()
    counts["rows"] += len(raw)
    counts["unused_columns"] += len(set(raw) - {*source.values(), *options.score})
    counts["blank_scores"] += int(blank.sum())
    return rows[~blank].assign(source=path)


def costs(table: pd.DataFrame, tag: pd.Series | None, axis: Axis, options: Options) -> pd.Series:
    """The compute of every row on an axis, each run's from its own column of costs."""
    if axis.kind != "steps" and tag is None:
        raise InputError(
            f"--compute {axis.kind}: a csv has no tags of its own; name the column, as in :COLUMN"
        )
    step = tables.numbers(table, "step")
    values = table.assign(
        step=step, tag=axis.tag, value=None if tag is None else pd.to_numeric(tag, "coerce")
    )
    parts = []
    for run, rows in values.groupby("run", sort=False):
        logged = rows.drop_duplicates("step").sort_values("step")
        is_sft = (rows["phase"] == "sft").all()
        where = rows["where"].iloc[0].rpartition(": line")[0] + f": run {run}"
        spent = spending(logged, axis, is_sft, options.nature, options.gpus, options.mean_length, where)
        parts.append(spent.at(rows["step"]))
    return pd.concat(parts)
