"""What the paths of an import hold: scores and validation losses of runs, with their compute."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint.errors import InputError
from switchpoint.importer import curves, logs, retu
from switchpoint.importer.compute import Axis, Spending, parse_axis, spending
from switchpoint.importer.csv_tables import csv_rows
from switchpoint.importer.options import ALL, Options, check_options, of_run, spelled
from switchpoint.importer.runs import is_called_sft, named_logs
from switchpoint.importer.tags import SCORE_LIKE, Score, is_rl, likest_scores, validation_losses
from switchpoint.importer.values import Log
from switchpoint.tables import listed

TABLES = ("csv", "retu", "published")
SENTENCES = {
    "cut_off": "{n} records were cut off by the end of their file, and left.",
    "restarts": "{n} times a log went back in steps: what was logged later counts, and what stood beyond is left.",
    "values_damaged": "{n} numbers have something else printed into them, and were left.",
    "values_averaged": "{n} cells of charts are means of several logged values (their __MIN and __MAX differ).",
    "runs_in_trainer_steps": "The steps of {n} runs are the trainer's own, which they logged (as train/global_step): those of W&B and "
    "trackio may count the calls of log.",
    "steps_of_before": "{n} records of W&B or trackio have no step of the trainer, and were taken at the last one before.",
    "steps_from_0": "prime-rl counts steps from 0: its step n is after n + 1 updates here.",
    "evaluations_without_step": "{n} evaluations name no checkpoint's step, and were left.",
    "scores_again": "{n} scores were logged with another value before at their step: the last counts, "
    "which is right unless they are of several data sets.",
    "phases_guessed": "{n} runs of tables have no phase, and are taken as RL: a guess that --phase RUN=sft corrects.",
    "scores_nan": "{n} scores are NaN, and were left.",
    "losses_not_finite": "{n} validation losses are no positive numbers, and were left.",
    "steps_interpolated": "The compute of {n} steps lies between two logged ones, in proportion.",
    "runs_without_compute": "The losses of {n} runs have no compute: their logs lack the tag.",
}
"""What to say of a count that is not 0."""


@dataclass
class Gathered:
    """What was read: rows of scores and of losses, what each run's log says of it, and what to tell; last what is ``needed``."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    losses: list[pd.DataFrame] = field(default_factory=list)
    phases: dict[str, str] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    spent: dict[str, Spending] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)
    unit: str = "exaflops"


def gather(paths: list[str], file_format: str | None, options: Options) -> tuple[list[str], Gathered]:
    """The formats of the paths, and what they hold."""
    if missing := [path for path in paths if not Path(path).exists()]:
        raise InputError(f"{missing[0]}: no such file or directory; correct the path")
    places = [Path(path).resolve() for path in paths]
    if twice := [path for path, place in zip(paths, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"{twice[-1]}: is given twice; give it once")
    if file_format:
        check_options([file_format], options)
    if unknown := [path for path in options.step if path and not Path(path).exists()]:
        raise InputError(f"--step {unknown[0]}=..: no such file; name it as the path is given")
    formats = [file_format or logs.format_of(path) for path in paths]
    check_options(formats, options)
    found = Gathered(weights=options.weights, unit=unit_of(options))
    gather_tables(paths, formats, options, found)
    read = [
        log
        for path, name in zip(paths, formats, strict=True)
        if name not in TABLES
        for log in logs.read_runs(path, name, options.step, found.counts)
    ]
    runs = named_logs(read, options)
    check_score_tags(runs, options)
    for run, log in runs.items():
        if run in found.phases:
            raise InputError(f"{log.path}: run {run} is in another file, too; rename one with --run")
        gather_log(run, log, options, found)
    return list(dict.fromkeys(formats)), found


def unit_of(options: Options) -> str:
    """The unit of all runs' compute; InputError where they have several."""
    given = options.compute.values() if isinstance(options.compute, dict) else [options.compute]
    axes = [parse_axis(text) for text in given if text is not None]
    units = sorted({axis.unit for axis in axes})
    if len(units) > 1:
        raise InputError(f"--compute: is in {' and in '.join(units)}; measure all runs in one unit")
    for option, kind in (("gpus", "gpu-hours"), ("mean_length", "tokens")):
        if getattr(options, option) and kind not in {axis.kind for axis in axes}:
            raise InputError(f"--{option.replace('_', '-')} is of --compute {kind}:..; leave it out")
    return (units or ["exaflops"])[0]


def axis_of(run: str, options: Options) -> Axis | None:
    """The axis of a run's compute that the options name, if any."""
    if options.exaflops is not None:
        return Axis("exaflops", options.exaflops)
    text = of_run(options.compute, run)
    return None if text is None else parse_axis(text)


def gather_tables(paths: list[str], formats: list[str], options: Options, found: Gathered) -> None:
    """Reads the csv files, caches and published tables."""
    of = {name: [path for path, its in zip(paths, formats, strict=True) if its == name] for name in TABLES}
    read = [csv_rows(path, options, axis_of(ALL, options), found.counts) for path in of["csv"]]
    for name, reader in (("retu", retu.read_caches), ("published", retu.read_tables)):
        if of[name]:
            rows = reader(of[name])
            read.append(rows.assign(source=of[name][0]).assign(fraction=False))
            if not found.weights and retu.WEIGHTS.keys() <= set(rows["benchmark"]):
                found.weights = retu.WEIGHTS
    for rows in read:
        if rows.empty:
            raise InputError(f"{paths[0]}: no scores there; map the tags or columns that hold them")
        owner = rows.drop_duplicates("run").set_index("run")
        both = [run for run in owner.index if run in found.phases]
        if both and not options.one_run:
            source = next(part["source"].iloc[0] for part in found.rows if both[0] in set(part["run"]))
            fix = "rename one, or give --one-run if they are its parts"
            raise InputError(f"{source} and {rows['source'].iloc[0]}: run {both[0]} is in both; {fix}")
        found.rows.append(rows)
        found.phases |= owner["phase"].to_dict()
        steps = pd.to_numeric(rows["step"], errors="coerce") if "step" in rows else pd.Series(dtype=float)
        found.last |= {run: int(step) for run, step in steps.groupby(rows["run"]).max().dropna().items()}


def check_score_tags(runs: dict[str, Log], options: Options) -> None:
    """Raises InputError where no log has a tag that ``--score`` or ``--loss`` names."""
    logged = {tag for log in runs.values() for tag in log.tags}
    wanted = [tag for tag in (*options.score, options.loss, options.exaflops) if tag is not None]
    if runs and (absent := [tag for tag in wanted if tag not in logged]):
        path = next(iter(runs.values())).path
        raise InputError(f"{path}: no tag {min(absent)}; the tags are {tags_text(logged)}")


def tags_text(tags: set[str]) -> str:
    """The tags for a message."""
    return listed(likest_scores(tags)) if tags else "none (is it another --format?)"


def gather_log(run: str, log: Log, options: Options, found: Gathered) -> None:
    """Takes the scores and validation losses of a run's log, with their compute."""
    scores = chosen_scores(run, log, options, found)
    loss = loss_tag(run, log, options, found)
    if not scores and loss is None:
        losses = validation_losses(log.tags)
        fix = f"give --loss TAG, of {listed(losses)}, or" if losses else "give"
        if lost := found.counts["evaluations_without_step"]:
            fix = f"{lost} evaluations stand without prime-rl's line `Running evals for checkpoint step N` before them; {fix}"
        raise InputError(f"{log.path}: {fix} --score TAG=BENCHMARK; the tags are {tags_text(log.tags)}")
    phase = phase_of(run, log, loss, options, found)
    found.phases[run], found.last[run] = phase, int(log.values["step"].max())
    beside = {tag for score in scores.values() for tag in (score.error, score.number)}
    wanted = {*scores, *beside, loss, options.exaflops} - {None}
    steps = log.values.loc[log.values["tag"].isin([*scores]), "step"].nunique()
    found.counts["steps"] += log.values["step"].nunique()
    found.counts["steps_without_score"] += log.values["step"].nunique() - steps
    found.counts["unused_tags"] += len(log.tags - wanted)
    found.unused |= log.tags - wanted
    spent = spending_of(run, log, bool(scores), phase, options, found)
    if scores:
        rows = score_rows(log, scores, options, found).assign(run=run, phase=phase, source=log.path)
        found.rows.append(rows.assign(exaflops=compute_of(rows, spent, options, found)))
    if loss is not None:
        rows = loss_rows(log, loss, found)
        cost = compute_of(rows, spent, options, found, partly=True)
        table = rows.assign(run=run, loss=rows["value"], exaflops=cost)[["run", "step", "loss", "exaflops"]]
        found.losses.append(table if cost.notna().any() else table.drop(columns="exaflops"))


def chosen_scores(run: str, log: Log, options: Options, found: Gathered) -> dict[str, Score]:
    """The tags of a run's scores: those that ``--score`` maps, where the log has any, else the known ones."""
    mapped = {tag: name for tag, name in options.score.items() if tag in log.tags}
    if not mapped:
        for tag, score in log.scores.items():
            how = f"a fraction, times {options.scale or 100:g}"
            if options.score_range is not None:
                how = "from {:g} to {:g}, as you say".format(*options.score_range)
            found.said.append(f"{run}: {tag} is {score.benchmark}, {how}.")
            if score.is_reward and options.score_range is None:
                found.said[-1] += (
                    " It is a mean reward: a score where the reward is 1 or 0, else give --score-range LOW:HIGH."
                )
        return log.scores
    chosen = {
        tag: log.scores.get(tag, Score(name, True))._replace(benchmark=name) for tag, name in mapped.items()
    }
    if (
        options.scale is None
        and options.score_range is None
        and (known := [tag for tag, score in chosen.items() if not score.is_reward])
    ):
        found.said.append(f"{run}: {', '.join(known)} are fractions by their format, times 100.")
    return chosen


def loss_tag(run: str, log: Log, options: Options, found: Gathered) -> str | None:
    """The tag of a run's validation loss, if it has one."""
    if options.loss in log.tags:
        return options.loss
    tags = validation_losses(log.tags)
    if len(tags) > 1:
        found.said.append(f"{run}: none of the losses {listed(tags)} is taken; --loss TAG takes one.")
    elif tags:
        found.said.append(f"{run}: {tags[0]} is its validation loss.")
    return tags[0] if len(tags) == 1 else None


def phase_of(run: str, log: Log, loss: str | None, options: Options, found: Gathered) -> str:
    """The phase of a run: as given, RL by its tags, SFT by its validation loss or its name, else RL as a guess."""
    given = of_run(options.phase, run)
    if given is not None:
        return given
    if is_rl(log.tags):
        found.said.append(f"{run} is RL, by its tags.")
        return "rl"
    is_sft = loss is not None or bool(validation_losses(log.tags))
    reason = "SFT, by its validation loss"
    if not is_sft and is_called_sft(run):
        found.said.append(
            f"{run} is SFT, by its name: a guess that {spelled('--phase', f'{run}=rl')} corrects."
        )
        return "sft"
    if not is_sft:
        reason = f"taken as RL: a guess that {spelled('--phase', f'{run}=sft')} corrects"
    found.said.append(f"{run} is {reason}.")
    return "sft" if is_sft else "rl"


def spending_of(
    run: str, log: Log, has_scores: bool, phase: str, options: Options, found: Gathered
) -> Spending | None:
    """What a run had spent by its steps; None where nothing says it, which only losses may lack."""
    axis, per_step = axis_of(run, options), options.exaflops_per_step
    if per_step is not None:
        steps = np.unique(log.values["step"]).astype(float)
        found.spent[run] = Spending(steps, steps * per_step, "")
        return found.spent[run]
    if axis is None:
        if has_scores:
            raise InputError(
                f"{log.path}: its scores have no compute; give the compute in one way: --exaflops TAG or "
                "--exaflops-per-step X, or --compute steps, seconds, tokens:TAGxMODEL, gpu-hours:PEAKxMFU"
            )
        return None
    if not has_scores and axis.tag and axis.tag not in log.tags:
        found.counts["runs_without_compute"] += 1
        return None
    nature = "cumulative" if options.exaflops is not None else options.nature
    spent = spending(
        log.values, axis, phase == "sft", nature, options.gpus, options.mean_length, f"{log.path}"
    )
    found.spent[run] = spent
    if options.compute and axis.kind != "steps":
        found.said.append(f"{run}: its compute is {spent.said}.")
    return spent


def compute_of(
    rows: pd.DataFrame, spent: Spending | None, options: Options, found: Gathered, partly: bool = False
) -> pd.Series:
    """The compute of the rows since the run's start; NaN where it is not known, which is an error unless ``partly``."""
    if spent is None:
        return pd.Series(np.nan, rows.index)
    values = spent.at(rows["step"])
    found.counts["steps_interpolated"] += len({*rows["step"]} - {0, *spent.steps})
    if not partly:
        fix = "--exaflops-per-step" if unit_of(options) == "exaflops" else "another --compute"
        problem = f"step {{step}} has no {unit_of(options)}; log them there, or give {fix}"
        curves.refuse_row(rows, values.isna(), problem)
    return values


def score_rows(log: Log, scores: dict[str, Score], options: Options, found: Gathered) -> pd.DataFrame:
    """The scores of a log, with their standard errors and numbers of problems where it has them."""
    rows = log.values[log.values["tag"].isin([*scores])]
    rows = rows.assign(task=rows["tag"].map(lambda tag: scores[tag].task or scores[tag].benchmark))
    blank = rows["value"].isna()
    if len(rows) > blank.sum():
        found.counts["scores_nan"] += int(blank.sum())
        rows = rows[~blank]
    found.counts["scores_again"] += int(rows["again"].sum())
    beyond = rows["tag"].map(lambda tag: scores[tag] == log.scores.get(tag) and scores[tag].is_reward)
    beyond &= ~rows["value"].between(0, 1) & (options.score_range is None)
    fix = "give --score-range LOW:HIGH, as --score-range -1:1"
    curves.refuse_row(rows, beyond, f"the reward {{value:g}} is no share of right answers; {fix}")
    logged = zip(log.values["tag"], log.values["step"], strict=True)
    beside = dict(zip(logged, log.values["value"], strict=True))
    extra = {
        name: [beside.get((getattr(scores[row.tag], of), row.step), np.nan) for row in rows.itertuples()]
        for name, of in (("se", "error"), ("n", "number"))
    }
    is_fraction = {
        tag: tag in log.scores and (not score.is_reward or score == log.scores[tag])
        for tag, score in scores.items()
    }
    return rows.assign(
        benchmark=rows["tag"].map({tag: score.benchmark for tag, score in scores.items()}),
        score=rows["value"], fraction=rows["tag"].map(is_fraction), **extra,
    )  # fmt: skip


def loss_rows(log: Log, tag: str, found: Gathered) -> pd.DataFrame:
    """The validation losses of a log that are positive numbers."""
    rows = log.values[log.values["tag"] == tag]
    good = rows["value"].between(0, np.inf, inclusive="neither")
    found.counts["losses_not_finite"] += int((~good).sum())
    curves.refuse_row(rows, ~good & (not good.any()), f"{tag} is {{value:g}}; give a positive loss")
    return rows[good]


def prepared(found: Gathered, options: Options) -> pd.DataFrame:
    """All rows of scores, checked and in points, with the starts that are given."""
    rows = pd.concat(found.rows, ignore_index=True)
    if options.one_run:
        rows = rows.drop_duplicates([*curves.POINT, "score"])
        refuse_conflict(rows)
    found.counts["scores"] = len(rows)
    rows = curves.check_rows(rows, found.unit)
    rows = curves.with_starts(rows, options.p_start, found.weights, found.unit)
    return curves.scale_scores(rows, options.scale, options.score_range)


def refuse_conflict(rows: pd.DataFrame) -> None:
    """Raises InputError where two tables give a run another score at a point, naming both."""
    twice = rows[rows.duplicated(curves.POINT, keep=False)].sort_values(curves.POINT, kind="stable")
    if len(twice) and twice["source"].nunique() > 1:
        one, other = twice.iloc[0], twice.iloc[1]
        raise InputError(
            f"{one['where']}: the score is {one['score']} and {other['where']}: it is {other['score']}; keep one"
        )


def unused_words(tags: set[str]) -> list[str]:
    """What to say of the tags that were not used: the likest to scores."""
    like = [tag for tag in likest_scores(tags) if SCORE_LIKE.search(tag)]
    return [f"Not used, and taken by --score TAG=BENCHMARK: {listed(like)}."] if like else []


def summary_of(formats: list[str], found: Gathered, points: pd.DataFrame | None) -> dict:
    """What was read and left, as the command prints it."""
    counts = {name: count for name, count in sorted(found.counts.items()) if count or name not in SENTENCES}
    said = [text.format(n=counts[name]) for name, text in SENTENCES.items() if counts.get(name)]
    numbers = {} if points is None else points["run"].value_counts(sort=False).to_dict()
    reasons = {} if points is None else curves.unfittable_benchmarks(points, found.unit)
    benchmarks = {} if points is None else points["benchmark"].value_counts().to_dict()
    return {
        "format": ", ".join(formats),
        "unit": found.unit,
        "runs": {
            str(run): int(numbers.get(run, 0))
            for run in (found.phases if points is None else {**numbers, **found.phases})
        },
        "benchmarks": {str(name): int(count) for name, count in benchmarks.items()},
        "counts": counts,
        "not_fittable": reasons,
        "said": [*found.said, *unused_words(found.unused), *said],
    }
