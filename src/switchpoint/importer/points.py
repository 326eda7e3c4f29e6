"""Points from other people's logs and tables, as ``curves.csv``.

The formats: any csv; the logs of ``logs`` (verl, TRL and transformers, TensorBoard); RETU's
released caches and tables (``retu``).  Nothing is guessed: tags become benchmarks, and a
tag or a cost per step becomes compute, as the user maps them.  A score logged at step n is that of
the model after n steps; compute counts from the run's own start, step 0.  What is read and not used
is counted in the summary.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import files, tables
from switchpoint.analysis.points import MAX_SCORE, check_points
from switchpoint.errors import InputError
from switchpoint.importer import logs, retu

COLUMNS = ["run", "phase", "step", "exaflops", "exaflops_total", "benchmark", "score", "se", "n"]
NUMBERS = ["step", "exaflops", "exaflops_total", "score", "se", "n", "p_start"]
POINT = ["run", "exaflops", "benchmark"]


@dataclass(frozen=True)
class Options:
    """What the files do not say; ``USES`` lists the options that each format takes."""

    run: str | None = None
    phase: str | None = None
    column: dict[str, str] = field(default_factory=dict)
    score: dict[str, str] = field(default_factory=dict)
    exaflops: str | None = None
    exaflops_per_step: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    scale: float | None = None
    p_start: dict[str, float] = field(default_factory=dict)
    sft_exaflops: float | None = None


COMMON = {"run", "phase", "score", "exaflops_per_step", "weights", "scale", "p_start", "sft_exaflops"}
USES = {
    "csv": COMMON | {"column"},
    "verl": COMMON | {"exaflops"},
    "trl": COMMON | {"exaflops"},
    "tensorboard": COMMON | {"exaflops"},
    "retu": {"weights"},
    "published": {"weights"},
}
CHOICES = f"give --format {', '.join(USES)}"


def parse_pairs(texts: list[str], option: str) -> dict[str, str]:
    """``["a=x", ..]`` as ``{"a": "x"}``, split at the last ``=``; InputError naming the option."""
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if not (name.strip() and value.strip()) or name in values:
            raise InputError(f"{option} {text}: give {option} NAME=VALUE, each name once")
        values[name] = value
    return values


def parse_numbers(texts: list[str], option: str) -> dict[str, float]:
    """``parse_pairs`` with numbers; a bare number belongs to ``overall``."""
    values = parse_pairs([text if "=" in text else f"overall={text}" for text in texts], option)
    try:
        return {name: float(value) for name, value in values.items()}
    except ValueError as error:
        raise InputError(f"{option}: {error}; give {option} NAME=NUMBER") from error


def guess_format(path: str) -> str:
    """The format, where the file's name leaves no doubt."""
    file = Path(path)
    if "tfevents" in file.name or any(file.glob("*tfevents*")):
        return "tensorboard"
    known = {".pkl": "retu", ".pickle": "retu", ".csv": "csv"}
    file_format = "trl" if file.name == "trainer_state.json" else known.get(file.suffix)
    if file_format is None:
        raise InputError(f"{path}: its name does not tell the format; {CHOICES}")
    return file_format


def import_files(paths: list[str], out: str, file_format: str | None, options: Options) -> dict:
    """Writes the points of ``paths`` to the csv file ``out``; returns the summary of ``import_points``."""
    points, summary = import_points(paths, file_format or guess_format(paths[0]), options)
    files.write_text(out, points.to_csv(index=False))
    return summary


def import_points(paths: list[str], file_format: str, options: Options) -> tuple[pd.DataFrame, dict]:
    """Points of the files, checked, with a summary of what was read and left.

    Several logs are parts of one, in order: a value that a later one has again replaces the earlier.
    TensorBoard's and RETU's ``paths`` may be directories.  ``file_format`` is a key of ``USES``.  Of the
    ``options``, ``score`` maps tags (csv: columns) to benchmarks, ``column`` fields of a point to columns;
    ``p_start`` is in the unit of the scores, and ``scale`` multiplies both.

    Returns the points (the columns of ``curves.csv``, sorted by run, exaflops and benchmark) and a summary:
    ``format``; ``runs`` and ``benchmarks``, with their numbers of points; ``counts`` of what was read and
    left; ``not_fittable``: benchmarks that ``check_points`` refuses, and why.  InputError names the file, the
    row or step, and the fix.
    """
    check_options(file_format, options)
    if missing := [path for path in paths if not Path(path).exists()]:
        raise InputError(f"{missing[0]}: no such file")
    counts: Counter = Counter()
    weights, scale = options.weights, options.scale
    if file_format == "csv":
        rows = pd.concat([csv_rows(path, options, counts) for path in paths], ignore_index=True)
    elif file_format in ("retu", "published"):
        read = retu.read_caches if file_format == "retu" else retu.read_tables
        rows, scale = read(paths), 1.0
        if not weights and retu.WEIGHTS.keys() <= set(rows["benchmark"]):
            weights = retu.WEIGHTS
    else:
        rows = log_rows(paths, file_format, options, counts)
    if rows.empty:
        raise InputError(f"{paths[0]}: no scores there; map the tags or columns that hold them")
    counts["scores"] = len(rows)
    rows = with_starts(check_rows(rows), options.p_start, weights)
    points = curves_table(
        with_overall(scale_scores(rows, scale), weights, counts), weights, options.sft_exaflops
    )
    return points, {
        "format": file_format,
        "runs": {str(name): int(count) for name, count in points["run"].value_counts(sort=False).items()},
        "benchmarks": {str(name): int(count) for name, count in points["benchmark"].value_counts().items()},
        "counts": dict(sorted(counts.items())),
        "not_fittable": unfittable_benchmarks(points),
    }


def check_options(file_format: str, options: Options) -> None:
    """Raises InputError unless the format is known, takes the options given, and these are in range."""
    if file_format not in USES:
        raise InputError(f"format is {file_format!r}; {CHOICES}")
    for name, value in vars(options).items():
        option = f"--{name.replace('_', '-')}"
        if value not in (None, {}) and name not in USES[file_format]:
            raise InputError(f"{option} has no meaning with --format {file_format}; leave it out")
        lowest = 0 if name == "sft_exaflops" else np.nextafter(0, 1)
        if isinstance(value, int | float) and not lowest <= value < np.inf:
            raise InputError(f"{option} is {value:g}; give a positive number")
    if bad := [name for name, problems in options.weights.items() if not problems > 0 or problems % 1]:
        raise InputError(f"--weights {bad[0]}={options.weights[bad[0]]:g}: give the number of problems")


def check_benchmarks(names: dict[str, float], known: set[str], option: str) -> None:
    """Raises InputError unless the points have every benchmark that the option names."""
    if unknown := [name for name in names if name not in known]:
        seen = ", ".join(sorted(known))
        raise InputError(f"{option} {unknown[0]}=..: there is no such benchmark, but {seen}")


def refuse_row(rows: pd.DataFrame, bad: pd.Series, problem: str) -> None:
    """Raises InputError that says where the first bad row stands; ``problem`` may name its fields."""
    if bad.any():
        row = rows[bad].iloc[0]
        raise InputError(f"{row['where']}: {problem.format(**row)}")


def check_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a run, a phase and a benchmark, and numbers where numbers belong."""
    unnamed = rows["run"].isna() | rows["run"].eq("")
    refuse_row(rows, unnamed, "no run; name it with --run NAME, or (csv) --column run=COLUMN")
    refuse_row(rows, ~rows["phase"].isin(["base", "sft", "rl"]), "phase is {phase}; give base, sft or rl")
    refuse_row(rows, rows["benchmark"].isna(), "no benchmark; name it")
    rows = rows.astype({"run": str, "benchmark": str})
    for name in [name for name in NUMBERS if name in rows]:
        values = pd.to_numeric(rows[name], errors="coerce").astype(float)
        blank = rows[name].isna() & (name not in ("exaflops", "score"))
        refuse_row(rows, ~np.isfinite(values) & ~blank, f"{name} is {{{name}}}; give a finite number")
        if name in ("step", "n"):
            refuse_row(rows, (values < 0) | (values % 1 > 0), f"{name} is {{{name}}}; give a whole number")
        rows[name] = values
    refuse_row(
        rows, rows["exaflops"] < 0, "exaflops is {exaflops:g}; give what was spent since the run's start"
    )
    if "exaflops_total" in rows:
        rows["spent"] = rows["exaflops_total"] - rows["exaflops"]
    return rows


def with_starts(rows: pd.DataFrame, p_start: dict[str, float], weights: dict[str, float]) -> pd.DataFrame:
    """The rows and, at exaflops 0, what their p_start and ``--p-start`` add."""
    check_benchmarks(p_start, {*rows["benchmark"], *(["overall"] if weights else [])}, "--p-start")
    if p_start and rows["run"].nunique() > 1:
        raise InputError("--p-start is for one run; for several, map a column to p_start")
    own = rows.assign(p_start=rows.get("p_start", np.nan), where=rows["where"] + ", p_start")
    given = rows.iloc[[0] * len(p_start)].assign(benchmark=[*p_start], p_start=[*p_start.values()])
    starts = pd.concat([own, given.assign(where="--p-start")]).dropna(subset="p_start")
    starts = starts.assign(step=0.0, exaflops=0.0, score=starts["p_start"], se=np.nan, n=np.nan)
    key = [*POINT, "score"]
    there = pd.MultiIndex.from_frame(starts[key]).isin(pd.MultiIndex.from_frame(rows[key]))
    rows = pd.concat([rows, starts[~there].drop_duplicates(key)], ignore_index=True)
    again = rows.duplicated(POINT)
    refuse_row(rows, again, "run {run} has a point of {benchmark} at {exaflops:g} exaflops already; keep one")
    return rows


def scale_scores(rows: pd.DataFrame, scale: float | None) -> pd.DataFrame:
    """The rows with scores in points."""
    if scale is None and rows["score"].between(0, 1).all():
        raise InputError("all scores lie within 0..1; if they are fractions give --scale 100")
    rows = rows.assign(**{name: rows[name] * (scale or 1.0) for name in ("score", "se") if name in rows})
    outside = ~rows["score"].between(0, MAX_SCORE)
    refuse_row(rows, outside, "score is {score:g} points; they go from 0 to 100, mend it or --scale")
    return rows


def with_overall(rows: pd.DataFrame, weights: dict[str, float], counts: Counter) -> pd.DataFrame:
    """The rows and, where it was not given, the weighted mean of the benchmarks as ``overall``."""
    if not weights:
        return rows
    wide = rows.pivot(index=["run", "exaflops"], columns="benchmark", values="score")
    check_benchmarks(weights, set(wide), "--weights")
    wide = wide.reindex(columns=[*weights, "overall"])
    wide = wide[wide["overall"].isna()]
    mean = (wide[[*weights]] @ pd.Series(weights) / sum(weights.values())).dropna()
    counts["points_without_overall"] = len(wide) - len(mean)
    points = rows.drop_duplicates(["run", "exaflops"]).set_index(["run", "exaflops"]).loc[mean.index]
    overall = points.assign(benchmark="overall", score=mean, se=np.nan, n=np.nan).reset_index()
    return pd.concat([rows, overall], ignore_index=True)


def curves_table(rows: pd.DataFrame, weights: dict[str, float], sft_exaflops: float | None) -> pd.DataFrame:
    """The rows with the columns and in the order of ``curves.csv``."""
    rows = rows.reindex(columns=[*COLUMNS, "spent"])
    given = rows["phase"].map({"base": 0.0, "sft": 0.0, "rl": sft_exaflops}).astype(float)
    problems = rows["benchmark"].map({**weights, "overall": sum(weights.values()) or np.nan}).astype(float)
    rows = rows.assign(
        exaflops_total=rows["exaflops"] + rows["spent"].fillna(given), n=rows["n"].fillna(problems)
    )
    return rows[COLUMNS].astype({"step": "Int64", "n": "Int64"}).sort_values(POINT, ignore_index=True)


def unfittable_benchmarks(points: pd.DataFrame) -> dict[str, str]:
    """Benchmarks that lack a start, with the reason; InputError if all do."""
    reasons = {}
    for name in points["benchmark"].unique():
        try:
            check_points(points, name)
        except InputError as error:
            reasons[name] = str(error)
    if len(reasons) == points["benchmark"].nunique():
        raise InputError(f"{next(iter(reasons.values()))}, or give --p-start, or its set's SFT sweep with it")
    return reasons


def csv_rows(path: str, options: Options, counts: Counter) -> pd.DataFrame:
    """Points of a csv file: long, with a column of scores, or with a column per benchmark (``--score``)."""
    raw = tables.read_csv(path)
    per_step = options.exaflops_per_step
    fields = ["run", "phase", "step", "exaflops", "exaflops_total"]
    fields += [] if options.score else ["benchmark", "score", "se", "n", "p_start"]
    if unknown := [name for name in options.column if name not in fields]:
        raise InputError(f"--column {unknown[0]}=..: the fields to map are {', '.join(fields)}")
    source = {name: options.column.get(name, name) for name in fields}
    needed = [source["exaflops" if per_step is None else "step"], *(options.score or [source["score"]])]
    if absent := [column for column in [*options.column.values(), *needed] if column not in raw]:
        raise InputError(
            f"{path}: no column {absent[0]}; map the file's to the fields with --column FIELD=COLUMN "
            f"(it has {tables.listed(raw.columns)})"
        )
    columns = {name: raw[column] for name, column in source.items() if column in raw}
    given = {"run": options.run, "phase": options.phase, "exaflops": per_step}
    if twice := [name for name, value in given.items() if value is not None and name in columns]:
        raise InputError(f"{path}: has a column {source[twice[0]]} for {twice[0]}; leave the option out")
    table = pd.DataFrame(
        {"run": options.run, "phase": options.phase or "rl", "benchmark": "overall"} | columns
    )
    if per_step is not None:
        table["exaflops"] = pd.to_numeric(table["step"], errors="coerce") * per_step
    table["where"] = [f"{path}: line {line}, run {run}" for line, run in table["run"].items()]
    parts = [table.assign(benchmark=name, score=raw[column]) for column, name in options.score.items()]
    rows = pd.concat(parts or [table], ignore_index=True)
    blank = rows["score"].isna()
    counts["rows"] += len(raw)
    counts["unused_columns"] += len(set(raw) - {*source.values(), *options.score})
    counts["blank_scores"] += int(blank.sum())
    return rows[~blank]


def log_rows(paths: list[str], file_format: str, options: Options, counts: Counter) -> pd.DataFrame:
    """Points of one run's log."""
    log = logs.read_log(paths, file_format, counts)
    tags = set(log["tag"])
    wanted = {*options.score, options.exaflops} - {None}
    if not options.score or not wanted <= tags:
        problem = f"no tag {min(wanted - tags)}" if wanted - tags else "give --score TAG=BENCHMARK"
        seen = ", ".join(sorted(tags)) or f"none (is it --format {file_format}?)"
        raise InputError(f"{paths[0]}: {problem}; the tags are {seen}")
    rows = log[log["tag"].isin([*options.score])]
    counts["steps"] = log["step"].nunique()
    counts["steps_without_score"] = counts["steps"] - rows["step"].nunique()
    counts["unused_tags"] = len(tags - wanted)
    rows = rows.assign(run=options.run, phase=options.phase or "rl", benchmark=rows["tag"].map(options.score))
    return rows.assign(score=rows["value"], exaflops=compute_of_rows(log, rows, options))


def compute_of_rows(log: pd.DataFrame, rows: pd.DataFrame, options: Options) -> pd.Series:
    """The exaFLOPs of the rows since the run's start, 0 at step 0."""
    if (options.exaflops is None) == (options.exaflops_per_step is None):
        raise InputError("give the compute in one way: --exaflops TAG or --exaflops-per-step X")
    if options.exaflops is None:
        return rows["step"] * options.exaflops_per_step
    spent = log[log["tag"] == options.exaflops]
    refuse_row(
        spent, spent["value"].diff() < 0, "it falls; the compute must be what was spent since the start"
    )
    at_steps = rows["step"].map({0: 0.0} | spent.set_index("step")["value"].to_dict())
    refuse_row(
        rows, at_steps.isna(), "step {step} has no exaflops; log them there, or give --exaflops-per-step"
    )
    return at_steps
