"""The published data in a folder: its files checked, its curves fitted, and the rows that claims need.

Deviations
----------
The released fit scripts bound A at 100 points above the start; ``shipped`` here at 100 points.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import tables
from switchpoint.analysis.ceilings import fit_curves
from switchpoint.errors import InputError
from switchpoint.importer.points import Options, import_points
from switchpoint.importer.retu import WEIGHTS
from switchpoint.published.figures import CAMERA_READY, SCRIPTS, SEVERE

RL, SFT, TABLE4 = "rl_points.csv", "sft_points.csv", "table4_v1.csv"
SCORES = [*WEIGHTS, "overall"]
COLUMNS = {
    RL: ["dataset", "sft_step", "p_sft", "rl_exaflops", *SCORES],
    SFT: ["dataset", "sft_step", "sft_exaflops", *SCORES],
    TABLE4: ["dataset", "sft_step", "sft_exaflops", "pl_rl", "c_mid", "p_sft", "a_post"],
}


class Missing(Exception):
    """The folder lacks rows that a claim needs; the message says which."""


def check_folder(folder: str | Path) -> None:
    """InputError unless the folder has one of the published tables."""
    if not Path(folder).is_dir():
        raise InputError(
            f"{folder}: {'is no folder' if Path(folder).exists() else 'does not exist'}; give the folder of {', '.join(COLUMNS)}"
        )
    if not any(Path(folder, name).is_file() for name in COLUMNS):
        layout = "; ".join(f"{name} ({', '.join(columns)})" for name, columns in COLUMNS.items())
        raise InputError(
            f"{folder}: holds none of the tables, csv files made of the data in the repository of arXiv 2512.11470: {layout}"
        )


def read(folder: Path) -> dict:
    """What the claims are checked on.

    By file name, None where there is none: of the points ``run, step, exaflops, score`` of the overall score,
    Table 4 as it is.  ``benchmarks``: the scores of every evaluation, a row each.  ``pipeline``, ``shipped``
    and ``ours``: what ``fits`` returns.  InputError names the file, and its row or the columns that it lacks.
    """
    data = {name: read_table(folder / name) if (folder / name).exists() else None for name in COLUMNS}
    for name in (RL, SFT):
        if data[name] is not None:
            data["benchmarks"] = pd.concat([data.get("benchmarks"), scores_by_benchmark(data[name])])
            data[name] = data[name][data[name]["benchmark"] == "overall"]
    return data | fits(data[RL])


def fits(points: pd.DataFrame | None) -> dict[str, dict]:
    """The entries of ``fit_curves`` by run, in three ways.

    ``pipeline`` is Appendix D with the settings of the released scripts, ``shipped`` what these scripts
    do: neither z-scores nor LTS, nor a bound below 100.  Both cover the curves that have all points
    that the scripts fit; their ``rmse`` is that on the points behind these, None without any.
    ``ours`` is the default on every curve.
    """
    if points is None:
        return {"pipeline": {}, "shipped": {}, "ours": {}}
    settings = SCRIPTS[SCRIPTS["last"] <= SCRIPTS["run"].map(points.groupby("run").size())]
    off = settings.assign(alpha=np.nan, tau=np.nan, cap=np.nan)
    return {
        "pipeline": fit_by_scripts(points, settings),
        "shipped": fit_by_scripts(points, off),
        "ours": fit_curves(points)["runs"],
    }


def v1(data: dict, name: str, column: str) -> pd.Series:
    """A column of a set's rows in Table 4, by SFT step; Missing unless every checkpoint is there."""
    rows = data[TABLE4][data[TABLE4]["dataset"] == name].set_index("sft_step").sort_index()
    absent = camera_ready(name).index.difference(rows.index)
    if len(absent):
        raise Missing(f"{TABLE4} has no row of {name} at step {absent[0]}")
    return rows[column]


def camera_ready(name: str) -> pd.DataFrame:
    """p, a and pl = a - p of a set's checkpoints in the camera-ready, by SFT step."""
    printed = {step: pair for step, pair in CAMERA_READY[name].items() if (name, step) != SEVERE}
    table = pd.DataFrame.from_dict(printed, orient="index", columns=["p", "a"])
    return table.assign(pl=table["a"] - table["p"])


def fit(data: dict, method: str, run: str) -> dict:
    """The entry of one run among the fits; Missing when its curve, or a part, is not there."""
    if run not in data[method]:
        raise Missing(f"{RL} has no curve of {run}, or fewer points than the scripts fit")
    return data[method][run]


def scripted(data: dict) -> dict[str, dict]:
    """The fits by the released scripts' settings; Missing when there are none."""
    if not data["pipeline"]:
        raise Missing(f"{RL} has no curve with all points that the scripts fit")
    return data["pipeline"]


def read_table(path: Path) -> pd.DataFrame:
    """One of the files, checked: the rows of Table 4, or points as ``import_points`` gives them."""
    try:
        table = tables.read_csv(path)
        table["run"] = table.get("dataset")
        tables.check_columns(table, COLUMNS[path.name], path.name)
        unknown = ~table["dataset"].isin(CAMERA_READY)
        tables.refuse(table, unknown, "dataset", f"the published sets are {', '.join(CAMERA_READY)}")
        for column in COLUMNS[path.name][1:]:
            table[column] = tables.numbers(table, column)
        tables.refuse(table, table["sft_step"] % 1 != 0, "sft_step", "give a whole number")
        if path.name != TABLE4:
            return import_points([str(path)], "published", Options())[0]
        table["sft_step"] = table["sft_step"].astype(int)
        again = table.duplicated(["dataset", "sft_step"])
        tables.refuse(table, again, "sft_step", "its set has this step already; keep one row")
        return table
    except InputError as error:
        message = str(error)
        raise InputError(message if str(path) in message else f"{path}: {message}") from error


def scores_by_benchmark(points: pd.DataFrame) -> pd.DataFrame:
    """The scores of every evaluation, a row each; the start of an RL run has its overall score only."""
    return points.pivot(index=["run", "exaflops"], columns="benchmark", values="score").dropna()


def fit_by_scripts(points: pd.DataFrame, settings: pd.DataFrame) -> dict:
    """The paper's fit with these settings, and its error on the points behind those fitted."""
    if settings.empty:
        return {}
    rows = points[points["run"].isin(settings["run"])]
    last = rows["run"].map(settings.set_index("run")["last"])
    behind = rows[rows.groupby("run").cumcount() >= last]
    asked = behind[["run", "exaflops"]] if len(behind) else None
    entries = fit_curves(rows, asked, "paper", settings)["runs"]
    for run, entry in entries.items():
        off = behind.loc[behind["run"] == run, "score"] - [
            prediction["score"] for prediction in entry["predictions"]
        ]
        entry["rmse"] = float(np.sqrt((off**2).mean())) if len(off) else None
    return entries
