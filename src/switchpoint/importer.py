"""Points from other people's logs and tables, as ``curves.csv``.

The formats: any csv; the logs of ``importer_logs`` (verl, TRL and transformers, TensorBoard); RETU's
released caches and tables (``importer_retu``).  Nothing is guessed: tags become benchmarks, and a
tag or a cost per step becomes compute, as the user maps them.  A score logged at step n is that of
the model after n steps; compute counts from the run's own start, step 0.  What is read and not used
is counted in the summary.

Deviations
----------
Compute from logged tokens charges RL four forward passes for every trained token (Eq. 23).  Dynamic
sampling also generates groups that it does not train on (Eq. 22); logs do not count their tokens.
"""

from collections import Counter
from dataclasses import dataclass, field, fields
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import checks, files, flops, importer_logs, importer_retu
from switchpoint.errors import InputError
from switchpoint.points import MAX_SCORE, check_points

COLUMNS = ["run", "phase", "step", "exaflops", "exaflops_total", "benchmark", "score", "se", "n"]
PASSES = {"sft": 3, "rl": 4}
"""Forward passes that a trained token costs: Eq. 21 (SFT) and Eq. 23 (GRPO: it was generated, too)."""


@dataclass(frozen=True)
class Options:
    """What the files do not say; ``USES`` lists the options that each format takes."""

    run: str | None = None
    phase: str | None = None
    column: dict[str, str] = field(default_factory=dict)
    score: dict[str, str] = field(default_factory=dict)
    exaflops: str | None = None
    exaflops_per_step: float | None = None
    tokens: str | None = None
    model: str | None = None
    mean_length: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    scale: float | None = None
    p_start: dict[str, float] = field(default_factory=dict)
    sft_exaflops: float | None = None


COMMON = {"run", "phase", "score", "exaflops_per_step", "weights", "scale", "p_start", "sft_exaflops"}
TOKENS = {"tokens", "model", "mean_length"}
USES = {
    "csv": COMMON | {"column"},
    "verl": COMMON | TOKENS | {"exaflops"},
    "trl": COMMON | TOKENS | {"exaflops"},
    "tensorboard": COMMON | {"exaflops"},
    "retu": {"weights"},
    "published": {"weights"},
}
CHOICES = f"give --format {', '.join(USES)}"


def pairs(texts: list[str], option: str) -> dict[str, str]:
    """``["a=x", ..]`` as ``{"a": "x"}``, split at the last ``=``; InputError naming the option."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if not (name.strip() and value.strip()) or name in found:
            raise InputError(f"{option} {text}: give {option} NAME=VALUE, each name once")
        found[name] = value
    return found


def numbers(texts: list[str], option: str) -> dict[str, float]:
    """``pairs`` with numbers; a bare number belongs to ``overall``."""
    found = pairs([text if "=" in text else f"overall={text}" for text in texts], option)
    try:
        return {name: float(value) for name, value in found.items()}
    except ValueError as error:
        raise InputError(f"{option}: {error}; give {option} NAME=NUMBER") from error


def guess_format(path: str) -> str:
    """The format, where the file's name leaves no doubt."""
    file = Path(path)
    if file.suffix in (".pkl", ".pickle"):
        return "retu"
    if "tfevents" in file.name or importer_logs.event_files(file):
        return "tensorboard"
    if file.name == "trainer_state.json":
        return "trl"
    if file.suffix == ".csv":
        return "csv"
    raise InputError(f"{path}: its name does not tell the format; {CHOICES}")


def import_files(paths: list[str], out: str, file_format: str | None, options: Options) -> dict:
    """Writes the points of ``paths`` to the csv file ``out``; returns the summary of ``import_points``."""
    points, summary = import_points(paths, file_format or guess_format(paths[0]), options)
    files.write_text(out, points.to_csv(index=False))
    return summary


def import_points(paths: list[str], file_format: str, options: Options) -> tuple[pd.DataFrame, dict]:
    """Points of the files, checked, with a summary of what was read and left.

    Parameters
    ----------
    paths : list of str
        Several logs are parts of one, in order: a value that a later one has again replaces the
        earlier.  TensorBoard's and RETU's may be directories.
    file_format : str
        A key of ``USES``.
    options : Options
        ``score`` maps tags (csv: columns) to benchmarks, ``column`` fields of a point to columns.
        ``p_start`` is in the unit of the scores; ``scale`` multiplies both.

    Returns
    -------
    points : DataFrame
        The columns of ``curves.csv``, sorted by run (as they came), exaflops and benchmark.
    summary : dict
        ``format``; ``runs`` and ``benchmarks``, with their numbers of points; ``counts`` of what
        was read and left; ``not_fittable``: benchmarks that ``check_points`` refuses, and why.

    Raises
    ------
    InputError
        Naming the file, the row or step, and the fix.
    """
    _check_options(file_format, options)
    if missing := [path for path in paths if not Path(path).exists()]:
        raise InputError(f"{missing[0]}: no such file")
    counts: Counter = Counter()
    weights, scale = options.weights, options.scale
    if file_format == "csv":
        rows = pd.concat([_csv_rows(path, options, counts) for path in paths], ignore_index=True)
        rows = _with_own_starts(rows) if "p_start" in rows else rows
    elif file_format in ("retu", "published"):
        read = importer_retu.read_caches if file_format == "retu" else importer_retu.read_tables
        rows, scale = read(paths), 1.0
        if not weights and importer_retu.WEIGHTS.keys() <= set(rows["benchmark"]):
            weights = importer_retu.WEIGHTS
    else:
        log = importer_logs.read_log(paths, file_format, counts)
        rows = _log_rows(log, paths[0], file_format, options, counts)
    counts["scores"] += len(rows)
    rows = _scaled(_with_given_starts(rows, options), scale)
    points = _curves(_with_overall(rows, weights, counts), weights, options.sft_exaflops)
    return points, {
        "format": file_format,
        "runs": _sizes(points["run"]),
        "benchmarks": _sizes(points["benchmark"]),
        "counts": dict(sorted(counts.items())),
        "not_fittable": _not_fittable(points, file_format),
    }


def _check_options(file_format: str, options: Options) -> None:
    if file_format not in USES:
        raise InputError(f"format is {file_format!r}; {CHOICES}")
    given = {f.name: getattr(options, f.name) for f in fields(options)}
    given = {name: value for name, value in given.items() if value not in (None, {})}
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if name not in USES[file_format]:
            raise InputError(f"{option} has no meaning with --format {file_format}; leave it out")
        if isinstance(value, str) and not value.strip():
            raise InputError(f"{option} is empty; give it a value or leave it out")
        lowest = 0 if name == "sft_exaflops" else np.nextafter(0, 1)
        if isinstance(value, int | float) and not lowest <= value < np.inf:
            raise InputError(f"{option} is {value:g}; give a positive number")
        if name == "weights" and (
            bad := [key for key, weight in value.items() if not (weight > 0 and weight % 1 == 0)]
        ):
            raise InputError(f"{option} {bad[0]}={value[bad[0]]:g}: give the number of problems")
        if name == "score" and len(set(value.values())) < len(value):
            raise InputError(f"{option}: two of {', '.join(value)} have the same benchmark; name them apart")


def _sizes(column: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.value_counts(sort=False).items()}


def _refuse(rows: pd.DataFrame, bad: pd.Series, problem: str) -> None:
    """Raises InputError that says where the first bad row stands; ``problem`` may name its fields."""
    if bad.any():
        row = rows[bad].iloc[0]
        raise InputError(f"{row['where']}: {problem.format(**row)}")


def _with_given_starts(rows: pd.DataFrame, options: Options) -> pd.DataFrame:
    """The rows and, at exaflops 0 of the only run, ``--p-start``."""
    if not options.p_start or rows.empty:
        return rows
    known = sorted({*rows["benchmark"], *(["overall"] if options.weights else [])})
    if unknown := [name for name in options.p_start if name not in known]:
        raise InputError(f"--p-start {unknown[0]}=..: there is no such benchmark, but {', '.join(known)}")
    if rows["run"].nunique() > 1:
        raise InputError("--p-start is for one run; for several, map a column to p_start")
    start = _moved_to_start(rows.iloc[[0]])
    starts = [
        start.assign(benchmark=name, score=score, where=f"--p-start {name}={score:g}")
        for name, score in options.p_start.items()
    ]
    return pd.concat([rows, *starts], ignore_index=True)


def _scaled(rows: pd.DataFrame, scale: float | None) -> pd.DataFrame:
    """The rows with scores in points, each checked."""
    if rows.empty:
        raise InputError("no scores there; map the tags or columns that hold them")
    rows = rows.astype({"score": float, "exaflops": float})
    _refuse(rows, ~np.isfinite(rows["score"]), "score is {score}; give a finite number or delete it")
    _refuse(
        rows,
        ~np.isfinite(rows["exaflops"]) | (rows["exaflops"] < 0),
        "exaflops is {exaflops}; give 0 or more",
    )
    if scale is None and rows["score"].between(0, 1).all():
        raise InputError(
            "all scores lie within 0..1; if they are fractions give --scale 100, if they are points --scale 1"
        )
    rows = rows.assign(**{name: rows[name] * (scale or 1.0) for name in ("score", "se") if name in rows})
    outside = (rows["score"] < 0) | (rows["score"] > MAX_SCORE)
    _refuse(rows, outside, "score is {score:g} points; they go from 0 to 100, mend it or --scale")
    again = rows.duplicated(["run", "exaflops", "benchmark"])
    _refuse(rows, again, "run {run} has a point of {benchmark} at {exaflops:g} exaflops already; keep one")
    return rows


def _with_overall(rows: pd.DataFrame, weights: dict[str, float], counts: Counter) -> pd.DataFrame:
    """The rows and, where it was not given, the weighted mean of the benchmarks as ``overall``."""
    if not weights:
        return rows
    wide = rows.pivot(index=["run", "exaflops"], columns="benchmark", values="score")
    if unknown := [name for name in weights if name not in wide]:
        raise InputError(
            f"--weights {unknown[0]}=..: there is no such benchmark, but {', '.join(wide.columns)}"
        )
    if "overall" in wide:
        wide = wide[wide["overall"].isna()]
    mean = (wide[list(weights)] * pd.Series(weights)).sum(axis=1, skipna=False) / sum(weights.values())
    counts["points_without_overall"] += int(mean.isna().sum())
    shared = [name for name in ("run", "exaflops", "phase", "step", "exaflops_total") if name in rows]
    overall = rows[shared].drop_duplicates(["run", "exaflops"])
    overall = overall.merge(mean.dropna().rename("score").reset_index(), on=["run", "exaflops"])
    return pd.concat([rows, overall.assign(benchmark="overall")], ignore_index=True)


def _curves(rows: pd.DataFrame, weights: dict[str, float], sft_exaflops: float | None) -> pd.DataFrame:
    """The rows with the columns and in the order of ``curves.csv``."""
    rows = rows.reindex(columns=COLUMNS)
    spent = rows["phase"].eq("rl").map({True: sft_exaflops, False: 0.0}).astype(float)
    problems = rows["benchmark"].map({**weights, "overall": sum(weights.values()) or None})
    rows["exaflops_total"] = rows["exaflops_total"].astype(float).fillna(rows["exaflops"] + spent)
    rows["step"] = rows["step"].astype(float).astype("Int64")
    rows["n"] = rows["n"].astype(float).fillna(problems.astype(float)).astype("Int64")
    rows["run"] = rows["run"].astype(str)
    position = rows["run"].map({run: place for place, run in enumerate(rows["run"].unique())})
    rows = rows.assign(position=position).sort_values(
        ["position", "exaflops", "benchmark"], ignore_index=True
    )
    return rows[COLUMNS]


def _not_fittable(points: pd.DataFrame, file_format: str) -> dict[str, str]:
    """Benchmarks that lack a start, with the reason; InputError if all do."""
    reasons = {}
    benchmarks = list(points["benchmark"].unique())
    for name in benchmarks:
        try:
            check_points(points, name)
        except InputError as error:
            reasons[name] = str(error)
    if len(reasons) == len(benchmarks):
        released = file_format in ("retu", "published")
        fix = "import the SFT sweep of its set with it" if released else "give --p-start"
        raise InputError(f"{reasons[benchmarks[0]]}, or {fix}")
    return reasons


def _csv_rows(path: str, options: Options, counts: Counter) -> pd.DataFrame:
    """Points of a csv file: long, with a column of scores, or with a column per benchmark (``--score``)."""
    raw = checks.read_csv(path)
    table, used = _fields(raw, path, options)
    counts["rows"] += len(raw)
    counts["unused_columns"] += len(set(raw) - used)
    checks.check_columns(table, ["run"], path)
    checks.refuse(table, ~table["phase"].isin(["base", "sft", "rl"]), "phase", "give base, sft or rl")
    for name in {"exaflops_total", "se", "n", "p_start"} & set(table):
        table[name] = _or_blank(table, name)
    for name in {"step", "n"} & set(table):
        values = checks.numbers(table, "step") if name == "step" else table["n"]
        checks.refuse(table, (values < 0) | (values % 1 != 0) & values.notna(), name, "give a whole number")
        table[name] = values
    if options.exaflops_per_step is not None:
        table["exaflops"] = table["step"] * options.exaflops_per_step
    table["exaflops"] = checks.numbers(table, "exaflops")
    table["where"] = [f"{path}: row {i + 1} (line {i + 2}, run {run})" for i, run in enumerate(table["run"])]
    if not options.score:
        named = table.assign(benchmark=table.get("benchmark", "overall"))
        checks.refuse(named, named["benchmark"].isna(), "benchmark", "name the benchmark")
        parts = [named.assign(benchmark=named["benchmark"].astype(str), score=_or_blank(table, "score"))]
    else:
        parts = [
            table.assign(benchmark=name, score=_or_blank(table.assign(**{column: raw[column]}), column))
            for column, name in options.score.items()
        ]
    rows = pd.concat(parts, ignore_index=True)
    counts["blank_scores"] += int(rows["score"].isna().sum())
    return rows[rows["score"].notna()]


def _fields(raw: pd.DataFrame, path: str, options: Options) -> tuple[pd.DataFrame, set[str]]:
    """A csv file's columns by the names that points give them, with run and phase; and those used."""
    per_step = options.exaflops_per_step
    allowed = ["run", "phase", "step", "exaflops", "exaflops_total"]
    allowed += [] if options.score else ["benchmark", "score", "se", "n", "p_start"]
    if unknown := [name for name in options.column if name not in allowed]:
        raise InputError(f"--column {unknown[0]}=..: the fields to map are {', '.join(allowed)}")
    source = {name: options.column.get(name, name) for name in allowed}
    needed = [source["exaflops" if per_step is None else "step"], *(options.score or [source["score"]])]
    if absent := [column for column in [*options.column.values(), *needed] if column not in raw]:
        raise InputError(
            f"{path}: no column {absent[0]}; map the file's to the fields with --column FIELD=COLUMN "
            f"(it has {', '.join(map(str, raw.columns))})"
        )
    table = pd.DataFrame({name: raw[column] for name, column in source.items() if column in raw})
    given = {"run": options.run, "phase": options.phase, "exaflops": per_step}
    if twice := [name for name, value in given.items() if value is not None and name in table]:
        raise InputError(f"{path}: has a column {source[twice[0]]} for {twice[0]}; leave the option out")
    if options.run is None and "run" not in table:
        raise InputError(f"{path}: no column run; map one with --column run=COLUMN, or give --run NAME")
    table = table.assign(run=table.get("run", options.run), phase=table.get("phase", options.phase or "rl"))
    return table, {*source.values(), *options.score}


def _or_blank(table: pd.DataFrame, column: str) -> pd.Series:
    """The column as floats, NaN where it is blank; InputError at the first other text."""
    values = pd.to_numeric(table[column], errors="coerce").astype(float)
    bad = table[column].notna() & ~np.isfinite(values)
    checks.refuse(table, bad, column, "give a finite number, or leave it blank")
    return values


def _with_own_starts(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows and, where a run has none at exaflops 0, its ``p_start`` as one."""
    curve = ["run", "benchmark"]
    first = rows.groupby(curve)["p_start"].transform("first")
    _refuse(
        rows,
        rows["p_start"].notna() & (rows["p_start"] != first),
        "p_start is {p_start:g}, it was another; give one",
    )
    anchored = rows["exaflops"] == 0
    _refuse(
        rows,
        anchored & (rows["score"] - first).abs().gt(1e-9),
        "score is {score:g} at exaflops 0, p_start is not",
    )
    has_anchor = anchored.groupby([rows[name] for name in curve]).transform("any")
    starts = rows[~has_anchor & rows["p_start"].notna()].drop_duplicates(curve)
    return pd.concat([rows, _moved_to_start(starts).assign(score=starts["p_start"])], ignore_index=True)


def _moved_to_start(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows at their runs' start, without the errors of their scores."""
    if "exaflops_total" in rows:
        rows = rows.assign(exaflops_total=rows["exaflops_total"] - rows["exaflops"])
    return rows.drop(columns=["se", "n"], errors="ignore").assign(step=0, exaflops=0.0)


def _log_rows(
    log: importer_logs.Log, name: str, file_format: str, options: Options, counts: Counter
) -> pd.DataFrame:
    """Points of one run's log."""
    phase = options.phase or "rl"
    if phase not in PASSES:
        raise InputError(f"--phase is {phase!r}; give sft or rl")
    if options.run is None:
        raise InputError(f"{name}: name the run with --run NAME")
    tags = {tag for values in log.values() for tag in values}
    wanted = {*options.score, *(tag for tag in (options.exaflops, options.tokens) if tag)}
    if not options.score or not wanted <= tags:
        problem = f"no tag {sorted(wanted - tags)[0]}" if wanted - tags else "give --score TAG=BENCHMARK"
        raise InputError(f"{name}: {problem}; the tags are {', '.join(sorted(tags))}")
    scored = {step: log[step] for step in sorted(log) if log[step].keys() & options.score.keys()}
    counts["steps"] += len(log)
    counts["steps_without_score"] += len(log) - len(scored)
    counts["unused_tags"] += len(tags - wanted)
    exaflops = _compute(log, list(scored), phase, name, file_format, options)
    return pd.DataFrame(
        [
            {"run": options.run, "phase": phase, "step": step, "exaflops": exaflops[step], "benchmark": benchmark,
             "score": _value(values[tag], name, step, tag), "where": f"{name}: step {step}, {tag}"}
            for step, values in scored.items()
            for tag, benchmark in options.score.items()
            if tag in values
        ]
    )  # fmt: skip


def _value(value: object, name: str, step: int, tag: str) -> float:
    """The logged value as a float; InputError if it is not a finite number."""
    if type(value) not in (int, float) or not abs(value) < 1e300:
        shown = value if value is None or isinstance(value, float) else type(value).__name__
        raise InputError(f"{name}: step {step}: {tag} is {shown}; give a finite number or delete it")
    return float(value)


def _compute(
    log: importer_logs.Log, scored: list[int], phase: str, name: str, file_format: str, options: Options
) -> dict[int, float]:
    """Cumulative exaFLOPs at the scored steps; 0 at step 0."""
    ways = (options.exaflops, options.exaflops_per_step, options.tokens)
    token_options = (options.tokens, options.model, options.mean_length)
    if sum(way is not None for way in ways) != 1 or len({option is None for option in token_options}) != 1:
        raise InputError(
            "give the compute in one way: --exaflops TAG, or --exaflops-per-step X, "
            "or --tokens TAG with --model and --mean-length"
        )
    if options.exaflops_per_step is not None:
        return {step: step * options.exaflops_per_step for step in scored}
    tag, factor = options.exaflops or options.tokens, 1.0
    known = {step: _value(log[step][tag], name, step, tag) for step in sorted(log) if tag in log[step]}
    needed = scored
    if options.tokens:
        arch = flops.architecture(options.model)
        factor = PASSES[phase] * flops.forward_per_token(arch, options.mean_length) / flops.EXA
    if options.tokens and file_format == "verl":
        # verl logs the tokens of each step; TRL and transformers those so far.
        known = dict(zip(known, accumulate(known.values()), strict=True))
        needed = range(1, max(scored) + 1)
    known = {0: 0.0} | known
    if absent := [step for step in needed if step not in known]:
        raise InputError(f"{name}: step {absent[0]} has no {tag}; log it there, or give --exaflops-per-step")
    steps = sorted(known)
    if falls := [after for before, after in pairwise(steps) if known[after] < known[before]]:
        raise InputError(f"{name}: {tag} falls at step {falls[0]}; give what was spent since the run's start")
    return {step: known[step] * factor for step in scored}
