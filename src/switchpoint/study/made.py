"""What of a study is made already: the records of its jobs beside their outputs."""

import base64
import dataclasses
import json
import os
import re
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.study.expand import Expansion
from switchpoint.study.jobs import Job

OLD = 86_400  # seconds since 1970: before any output
MEMORY = ".snakemake/metadata"  # a file for each output, named by its path in base 64


def record(path: str | Path) -> dict:
    """The object in a ``run.json``; empty where there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_foreign(recorded: dict, job: dict, directory: str | Path) -> bool:
    """Whether a record is that of another job (as JSON has it) or, in the directory of a checkpoint, of another step."""
    step = re.fullmatch(r"step_(\d+)", Path(directory).name)
    return recorded.get("job") != job or (step is not None and recorded.get("step") != int(step[1]))


def is_made(directory: str | Path, job: dict) -> bool:
    """Whether a whole model directory of this job (as JSON has it) is there."""
    whole = all(Path(file).is_file() for file in paths.model_files(str(directory)))
    return whole and not is_foreign(record(f"{directory}/run.json"), job, directory)


def segment_file(end: int | str) -> str:
    """The name of the record of the segment that ended at a step."""
    return f"segment_{end}.json"


def segments(directory: str | Path, job: dict) -> dict[int, list[int]]:
    """The segments of an SFT run of this job (as JSON has it) that are made: the step that each ended at, in order,
    and the steps whose checkpoints it made."""
    recorded = map(record, Path(directory).glob(segment_file("*")))
    found = {one["end"]: one["steps"] for one in recorded if one.get("job") == job}
    return dict(sorted(found.items()))


@dataclasses.dataclass(frozen=True)
class SftRule:
    """A rule that makes checkpoints of the SFT on a set, and ``files``, which lie beside them.

    That of a segment follows the segments that ended at the steps ``after``, and ends at the step ``end`` itself.
    """

    name: str
    set: str
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    after: tuple[int, ...] = ()
    end: int | None = None
    files: tuple[str, ...] = ()

    @property
    def job(self) -> str:
        """The name of its jobs, for their logs: a segment has one of its own."""
        run = paths.SFT.format(set=self.set, seed="{seed}")
        return run if self.end is None else f"{run}/segment_{self.end}"


def sft_rules(study: Expansion) -> list[SftRule]:
    """The rules of SFT: one for each segment of the runs on a set, that of the last one named as without segments.

    Where a finished run lacks a checkpoint, since another step is to be saved or a file was deleted, the checkpoints
    that are there keep their rule and a second one makes the others: what starts from the former does not run again.
    Segments that are made keep theirs, too, whatever ``segments`` is by now: Snakemake runs a job again whose set of
    inputs is another than it was.
    """
    rules = []
    for name, run in study.study.sft.items():
        by_rules: dict[tuple[SftRule, ...], list[int]] = {}
        for seed in run.seeds:
            by_rules.setdefault(tuple(rules_of_run(study, name, seed)), []).append(seed)
        for parts, seeds in by_rules.items():
            suffix = "" if len(by_rules) == 1 else "_seed_" + "_".join(map(str, seeds))
            rules += [
                dataclasses.replace(part, name=part.name + suffix, seeds=tuple(seeds)) for part in parts
            ]
    return rules


def rules_of_run(study: Expansion, name: str, seed: int) -> list[SftRule]:
    """The rules of one run: of the segments that are made, of those to be made, and of the rest."""
    run, job = study.study.sft[name], study.sft_job(name, seed).model_dump(mode="json")
    directory, there = study.path(paths.SFT, set=name, seed=seed), steps_made(study, name, seed)
    parts = [
        (end, [step for step in steps if step in there])
        for end, steps in (segments(directory, job) if there else {}).items()
    ]
    rest = sorted(set(run.save_steps).difference(*(steps for _, steps in parts)))
    finished = there and record(f"{directory}/run.json").get("job") == job
    if not finished:
        behind = max((end for end, _ in parts), default=0)
        *groups, rest = divide(rest, run.segments - len(parts), behind)
        parts += [(group[-1], group) for group in groups]
    ends, rules = tuple(end for end, _ in parts), []
    for number, (end, steps) in enumerate(parts, start=1):
        title, own = f"sft_{name}_segment_{number}", (segment_file(end),)
        rules.append(SftRule(title, name, (), tuple(steps), ends[: number - 1], end, own))
    kept = tuple(step for step in rest if finished and step in there)
    missing = tuple(step for step in rest if step not in kept)
    last = f"sft_{name}"
    if kept and missing:
        rules.append(SftRule(last, name, (), kept, ends))
        last, rest = f"extend_{last}", missing
    return [*rules, SftRule(last, name, (), tuple(rest), ends, files=tuple(paths.SFT_FILES))]


def divide(steps: list[int], count: int, behind: int) -> list[list[int]]:
    """Steps in order as ``count`` groups of nearly equal size, at least one and at most as many as there are steps.

    Those up to ``behind`` are in the first group beside its own.  Without its first group the rest divides as before:
    a job on a cluster plans again while others go on.
    """
    first = [step for step in steps if step <= behind]
    groups, ahead = [], steps[len(first) :]
    for left in range(min(count, len(ahead)), 1, -1):
        size = len(ahead) // left
        groups.append(ahead[:size])
        ahead = ahead[size:]
    groups.append(ahead)
    return [first + groups[0], *groups[1:]]


def steps_made(study: Expansion, name: str, seed: int) -> tuple[int, ...]:
    """The listed steps whose checkpoints this very job has left; none where others are among them."""
    job = study.sft_job(name, seed).model_dump(mode="json")
    steps, directories = study.study.sft[name].save_steps, study.checkpoints(name, seed)
    found = [record(f"{path}/run.json") for path in directories]
    if any(one and is_foreign(one, job, path) for one, path in zip(found, directories, strict=True)):
        return ()
    return tuple(step for step, path in zip(steps, directories, strict=True) if is_made(path, job))


def job_file(study: Expansion, job: Job) -> str:
    """The file of a job's text, named by its content: an input of the job."""
    return study.path(paths.JOB, digest=files.text_digest(job.text))


def write_job_files(study: Expansion) -> None:
    """Writes the job files that are not there whole.

    Snakemake's own memory of inputs may be lost, or stay behind when results are copied, or when a job ends after
    Snakemake.  So a job file is newer than outputs whose record tells of another job, and other than it was; it is older
    than the others, of which no memory of another job stays.
    InputError for an output of its own that is damaged.
    """
    directory = Path(study.path(paths.JOB)).parent
    directory.mkdir(parents=True, exist_ok=True)
    outlived: set[str] = set()
    with os.scandir(directory) as entries:
        there = {f"{directory}/{one.name}": one.stat().st_size for one in entries}
    for path, output, job in jobs_recorded(study):
        text, file, recorded = job.text, job_file(study, job), record(path)
        found = recorded.get("job")
        outdated = found is not None and is_foreign(recorded, json.loads(text), Path(path).parent)
        if found is not None and not outdated:
            refuse_damaged(Path(path).parent, recorded)
            outlived |= {one for one in remembered(output) if one.startswith(f"{directory}/") and one != file}
        if there.get(file, 0) < (size := len(text.encode())):  # or cut short by a machine that went down
            there[file] = size
            temporary = Path(f"{file}.{os.getpid()}.tmp")
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(file)
            if not outdated and os.path.exists(output):
                os.utime(file, (OLD, OLD))
        elif outdated:
            with open(file, "a", encoding="utf-8") as old:
                old.write("\n")  # a touch would not do: Snakemake compares contents
    if outlived:
        forget(outlived)


def remembered(output: str) -> list[str]:
    """The inputs that Snakemake remembers of an output's last job."""
    name = base64.urlsafe_b64encode(output.encode()).decode()
    *folders, last = (name[i : i + 254] for i in range(0, len(name), 254))
    return record(Path(MEMORY, *(f"@{folder}" for folder in folders), last)).get("input") or []


def forget(outlived: set[str]) -> None:
    """Deletes Snakemake's memory of the outputs of jobs, by their files, that others have made anew unseen by Snakemake."""
    for path in Path(MEMORY).rglob("*"):
        if path.is_file() and outlived.intersection(record(path).get("input") or []):
            path.unlink(missing_ok=True)


def results_asked(study: Expansion) -> list[str]:
    """The files of all models, runs and evaluations that Snakemake is asked for, so that one that is missing is made again.

    Of a job's files that is the last one, its record, and those that are missing beside it: it has thousands of jobs.
    """
    made = [
        paths.model_files(directory)
        for name, group in study.groups.items()
        for directory in group
        if directory != study.study.model.base and not name.startswith("rl/")
    ]
    made += [[f"{run}/{name}" for name in paths.SFT_FILES] for run in study.runs["sft"]]
    made += [
        [*paths.model_files(f"{run}/model"), *(f"{run}/{name}" for name in paths.RL_FILES)]
        for run in study.runs["rl"]
    ]
    made += [[f"{directory}/samples.parquet", f"{directory}/run.json"] for directory in study.evaluations]
    asked = []
    for *others, record in made:
        asked.append(record)
        if os.path.exists(record):
            asked += [path for path in others if not os.path.exists(path)]
    return asked


def refuse_damaged(directory: Path, recorded: dict) -> None:
    """InputError for an output of another size than was recorded, which perhaps no job will read again.

    One that is missing is made again; of a record that is itself not as it was written nothing is believed.
    """
    written = recorded.pop("digest", None)
    if written is None or written != files.digest(recorded):
        return
    for name, measured in recorded.get("outputs", {}).items():
        path = directory / name
        if path.is_file() and (problem := files.damage(path, measured, hashed=-1)):
            raise InputError(f"{problem}; {files.remake(path)}")


def jobs_recorded(study: Expansion) -> list[tuple[str, str, Job]]:
    """(record, an output of its job, the job) of every job; the analysis and the report leave no record of it."""
    data = study.study.data
    made = [(study.path(paths.SOURCE, source=name), study.ingest_job(name)) for name in data.sources]
    made.append((study.path(paths.VALIDATION), study.validation_job()))
    if data.solver:
        job = study.given_job() if data.solver.given else study.win_rates_job()
        made.append((study.path(paths.WIN_RATES), job))
    made += [(study.path(paths.SET, set=name), study.select_job(name)) for name in data.sets]
    made += [(study.path(paths.PROMPTS), study.prompts_job()), (study.path(paths.MIX), study.mix_job())]
    made += [
        (study.path(paths.BENCHMARKS, part=part), study.benchmarks_job(part))
        for part in study.benchmark_parts
    ]
    rows = [(f"{table}{files.RECORD}", table, job) for table, job in made]
    rows.append(("", study.path(f"{paths.ANALYSIS}/run.json"), study.collect_job()))
    rows.append(("", study.path(paths.SAMPLES), study.browse_job()))
    rows.append(("", study.path(paths.REPORT), study.report_job()))
    if study.study.model.base is None or study.study.model.converted:
        path = f"{study.base}/run.json"
        job = study.convert_job() if study.study.model.converted else study.base_job()
        rows.append((path, path, job))
    if data.trains_solver:
        path = f"{study.solver}/run.json"
        rows.append((path, path, study.solver_job()))
    for run in study.sft_runs:
        job = study.sft_job(run.set, run.seed)
        rows += [
            (f"{path}/run.json", f"{path}/run.json", job) for path in study.checkpoints(run.set, run.seed)
        ]
    for run in study.rl_runs:
        path = study.path(f"{run}/model/run.json")  # shorter than the run's, which holds its log
        rows.append((path, path, study.rl_job(run.algorithm, str(run.start), run.seed)))
    for group in study.groups:
        path = study.path(f"{paths.EVALUATION}/run.json", group=group)
        rows.append((path, path, study.evaluate_job(group)))
    return rows
