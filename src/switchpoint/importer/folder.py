"""The folder of an import: ``curves.csv``, ``losses.csv`` and ``runs.csv``, with which the analysis runs at once.

It knows more than the curves alone: an RL run begins at the score of the checkpoint that it starts from, where that
is imported too, and the only benchmark is the overall score.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.importer import curves
from switchpoint.importer.gathering import Gathered, gather, prepared, summary_of
from switchpoint.importer.options import Options, of_run, spelled, with_runs
from switchpoint.importer.runs import run_rows

OUTPUTS = ("curves.csv", "losses.csv", "runs.csv")


def check_folder(out: str, force: bool) -> None:
    """InputError where one of the outputs is there and is not to be replaced."""
    there = [name for name in OUTPUTS if Path(out, name).exists()]
    if there and not force:
        raise InputError(
            f"--out {out}: {there[0]} is there; name another folder, or give --force to replace it"
        )


def import_folder(paths: list[str], out: str, file_format: str | None, options: Options) -> dict:
    """Writes ``OUTPUTS`` into the folder ``out``, losses and curves where there are any.

    Returns the summary of ``import_points``, with the files ``written``; InputError as there.  An output that was there
    and has nothing in it now is removed.
    """
    formats, found = gather(paths, file_format, options)
    options = with_runs(found.phases, options)
    rows = prepared(found, options) if found.rows else None
    table, said = run_rows(found.phases, found.last, options)
    found.said += said
    table = with_costs(table, rows, found, options)
    written: dict[str, pd.DataFrame] = {}
    if rows is not None:
        rows = starts_of_parents(with_spent(rows, table), table, found)
        rows = with_overall(rows, found)
        written["curves.csv"] = curves.curves_table(rows, found.weights, None)
        found.said += lacking_starts(written["curves.csv"])
    if found.losses:
        written["losses.csv"] = pd.concat(found.losses, ignore_index=True)
    written["runs.csv"] = table
    for name, lacking in (("curves.csv", "scores"), ("losses.csv", "validation losses")):
        if name not in written:
            found.said.append(f"There is no {name}: no {lacking} are known in the logs.")
            files.remove(Path(out, name))
    for name, values in written.items():
        files.write_text(Path(out, name), curves.in_unit(values, found.unit).to_csv(index=False))
    summary = summary_of(formats, found, written.get("curves.csv"))
    summary["said"] += found.needed
    return summary | {"written": [str(Path(out, name)) for name in OUTPUTS if name in written]}


def with_costs(
    table: pd.DataFrame, rows: pd.DataFrame | None, found: Gathered, options: Options
) -> pd.DataFrame:
    """``runs.csv`` with what the SFT before each run had cost, and its lowest validation loss."""
    costs = []
    for row in table.itertuples():
        given = of_run(options.sft_exaflops, row.run) if row.algorithm not in (None, "sft") else None
        costs.append(sft_cost(row, rows, found) if given is None or row.parent == "base" else given)
        if pd.isna(costs[-1]):
            option = "--sft-exaflops" if found.unit == "exaflops" else "--sft-compute"
            fix = spelled(option, f"{row.run}=X")
            found.said.append(f"What {row.run}'s SFT had cost is not known: give {fix}.")
    lowest = {part["run"].iloc[0]: part["loss"].min() for part in found.losses}
    return table.assign(sft_exaflops=costs, val_loss=table["run"].map(lowest).astype(float))


def sft_cost(row, rows: pd.DataFrame | None, found: Gathered) -> float:
    """The compute of the SFT before a run: 0 without one, NaN where neither its rows nor its parent's say it."""
    if row.algorithm in (None, "sft") or row.parent == "base":
        return 0.0
    if rows is not None and "spent" in rows:
        spent = rows.loc[rows["run"] == row.run, "spent"].dropna()
        if len(spent):
            return float(spent.iloc[0])
    step = pd.Series([float(row.start_step)])
    if row.parent in found.spent:
        return float(found.spent[row.parent].at(step).iloc[0])
    if rows is None:
        return np.nan
    origin = rows[(rows["run"] == row.parent) & (rows.get("step", np.nan) == row.start_step)]
    return float(origin["exaflops"].iloc[0]) if len(origin) else np.nan


def with_spent(rows: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The rows with what was spent before their run."""
    before = rows["run"].map(table.set_index("run")["sft_exaflops"])
    return rows.assign(spent=rows["spent"].fillna(before) if "spent" in rows else before)


def starts_of_parents(rows: pd.DataFrame, table: pd.DataFrame, found: Gathered) -> pd.DataFrame:
    """The rows and, for runs without a score at their start, that of the checkpoint that they start from."""
    anchored = set(rows.loc[rows["exaflops"] == 0, ["run", "benchmark"]].itertuples(index=False, name=None))
    starts = []
    for run in table[table["algorithm"].notna()].itertuples():
        origin = rows[(rows["run"] == run.parent) & (rows.get("step", np.nan) == run.start_step)]
        if run.parent == "base":
            origin = rows[rows["phase"] == "base"].drop_duplicates("benchmark", keep=False)
        mine = rows[rows["run"] == run.run].drop_duplicates("benchmark")
        lacking = [name for name in mine["benchmark"] if (run.run, name) not in anchored]
        origin = origin[origin["benchmark"].isin(lacking)]
        if len(origin):
            phase, spent = mine["phase"].iloc[0], mine["spent"].iloc[0]
            starts.append(origin.assign(run=run.run, phase=phase, spent=spent, step=0.0, exaflops=0.0))
            found.said.append(
                f"{run.run} begins at the score that {run.parent} has at step {run.start_step}."
            )
    return pd.concat([rows, *starts], ignore_index=True)


def lacking_starts(points: pd.DataFrame) -> list[str]:
    """What to say of runs without a score at their start, which a ceiling is counted from."""
    anchored = points.loc[points["exaflops"] == 0, "run"]
    lacking = [run for run in points["run"].unique() if run not in set(anchored)]
    if not lacking:
        return []
    fix = "give " + spelled("--p-start", f"{lacking[0]}:BENCHMARK=SCORE")
    return [f"fit needs the score before the first step, which {', '.join(lacking)} did not log: {fix}."]


def with_overall(rows: pd.DataFrame, found: Gathered) -> pd.DataFrame:
    """The rows with the overall score: by the weights given, else where the rows leave no doubt what it is."""
    benchmarks = list(rows["benchmark"].unique())
    if found.weights or "overall" in benchmarks:
        return curves.with_overall(rows, found.weights, found.counts)
    if len(benchmarks) == 1:
        found.said.append(f"overall is {benchmarks[0]}, the only benchmark.")
        return pd.concat([rows, rows.assign(benchmark="overall")], ignore_index=True)
    numbers = numbers_of_problems(rows)
    if len(tasks := tasks_of(rows)) == len(benchmarks) and numbers.keys() == set(benchmarks):
        found.said.append("overall is the mean of the benchmarks, weighted by their numbers of problems.")
        found.weights = numbers
        return curves.with_overall(rows, found.weights, found.counts)
    pairs = [f"{own[0]}={numbers.get(own[0], 'PROBLEMS')}" for own in tasks.values()]
    fix = " ".join(spelled("--weights", pair) for pair in pairs)
    several = [f"{task} ({', '.join(own)})" for task, own in tasks.items() if len(own) > 1]
    choice = f"; one metric a task, of {'; '.join(several)}" if several else ""
    found.needed.append(
        f"There is no overall score, which fit, advise and report read: import again (--force replaces what is there), and give "
        f"{fix}{choice}."
    )
    return rows


def tasks_of(rows: pd.DataFrame) -> dict[str, list[str]]:
    """The benchmarks that are metrics of one task, by task; a benchmark of a format without tasks is its own."""
    tasks: dict[str, list[str]] = {}
    for row in rows.drop_duplicates("benchmark").itertuples():
        task = getattr(row, "task", None)
        tasks.setdefault(row.benchmark if pd.isna(task) else task, []).append(row.benchmark)
    return tasks


def numbers_of_problems(rows: pd.DataFrame) -> dict[str, int]:
    """The number of problems of every benchmark that has the same wherever it was evaluated."""
    if "n" not in rows:
        return {}
    numbers = rows.groupby("benchmark")["n"].agg(["min", "max", "count", "size"])
    same = (numbers["min"] == numbers["max"]) & (numbers["count"] == numbers["size"])
    return numbers.loc[same, "max"].astype(int).to_dict()
