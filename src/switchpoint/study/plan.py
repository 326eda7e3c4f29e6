"""``switchpoint plan``: what is pending, what of it can be resumed, what it costs (`forecast`), and the disk that it takes.

Models are in float32, those that DeepSpeed trains in bfloat16 in this.  A training job keeps its checkpoints, which until it
ends are links to those in its state; this holds the float32 weights and both of AdamW's moments, in the last two saves.  An evaluation keeps
its samples twice, as its state stays, so that more can be added.
"""

import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from switchpoint import files, flops
from switchpoint.errors import InputError
from switchpoint.study import config, made, paths
from switchpoint.study.expand import Expansion
from switchpoint.study.forecast import Cost, Forecast, makespan
from switchpoint.study.jobs import EvaluationSettings
from switchpoint.study.names import RunName

FINISHED = "finished"  # the last line in the log of a job that ended well
PROGRESS = ("attempts", "losses.csv", "points.csv")  # files of a state that nothing resumes from
WEIGHT = {"float32": 4, "bfloat16": 2}  # bytes
STATE = 2 * 3 * WEIGHT["float32"]  # of a weight: two saves of it and of two moments
TOKEN, SAMPLE = 4, 100  # bytes of a sampled token's text, and of what else a sample has, before compression
TAIL = 2**16  # bytes of a log that its last lines are in
UNITS = ("B", "kB", "MB", "GB", "TB")
JOB = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<fields>(?:    .*\n)+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A job of ``snakemake -n``."""

    rule: str
    log: Path
    outputs: list[str]
    wildcards: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its rule and wildcards, as in the comment of its job in SLURM."""
        return " ".join(
            [self.rule, *(["_".join(self.wildcards).replace("/", "_")] if self.wildcards else [])]
        )

    @property
    def ran_well(self) -> bool:
        """Whether the last attempt ended well: its log ends with ``FINISHED``."""
        return ended_well(self.log)


@dataclasses.dataclass(frozen=True)
class Pending:
    """A pending job by its name, its state (``pending_jobs``), and the bytes that it ``keeps`` and that it ``holds``
    while it runs; None where they hang on what is not made yet."""

    rule: str
    name: str
    state: str
    keeps: int | None
    holds: int | None
    cost: Cost | None = None  # of a training run
    evaluation: Cost | None = None  # of the samples that a training run or an evaluation is to take


def ended_well(log: Path) -> bool:
    """Whether the job that wrote a log ended well."""
    return any(line.rstrip().endswith(FINISHED) for line in last_lines(log, 1))


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log that hold something."""
    if not count or not log.is_file():
        return []
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - TAIL, 0))
        text = file.read().decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()][-count:]


def name_of(job: Planned, study: Expansion) -> str:
    """A job's name, which its log has."""
    return str(job.log.relative_to(study.path("logs")).with_suffix(""))


def dry_run(study_file: str, scale: str | None = None) -> list[Planned]:
    """Every job of ``snakemake -n``."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--nolock",
        "--nocolor",
        "--configfile",
        study_file,
        *(["--config", f"scale={scale}"] if scale else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"snakemake could not plan the study:\n{(done.stdout + done.stderr).strip()}")
    jobs = []
    for found in JOB.finditer(done.stdout + done.stderr):
        fields = dict(line.strip().split(": ", 1) for line in found["fields"].splitlines() if ": " in line)
        if "log" in fields:  # rule all has none, and does nothing
            wildcards = [one.partition("=")[2] for one in fields.get("wildcards", "").split(", ") if one]
            outputs = fields["output"].split(", ")
            jobs.append(Planned(found["rule"], Path(fields["log"]), outputs, tuple(wildcards)))
    return jobs


def pending_jobs(
    study_file: str, count_weights: Callable[[str], int], scale: str | None = None
) -> list[Pending]:
    """Every pending job and its state; ``count_weights`` of a model directory.

    ``outdated``: its outputs are there and have to be made anew; ``pending``: it has run well, and
    outputs were taken away since; ``resumable``: it stopped and has a state to go on from; ``failed``:
    it stopped and has none; ``waiting``: it has not run.
    """
    study = Expansion(config.load(study_file, scale))
    forecast = Forecast(study)
    if Path(study.base, "config.json").is_file():
        weights = count_weights(study.base)
    else:
        weights = forecast.architecture and flops.n_parameters(forecast.architecture)
    result = []
    for job in dry_run(study_file, scale):
        name = name_of(job, study)
        said, sizes = state_of(job, study, name), disk(job, study, name, weights)
        costs = cost_of(name, job, study, forecast), evaluation_of(name, job, study, forecast)
        result.append(Pending(job.rule, name, said, *sizes, *costs))
    return result


def cost_of(name: str, job: Planned, study: Expansion, forecast: Forecast) -> Cost | None:
    """What a training job costs: a run's, of a segment the share of its checkpoints' steps; None of another job."""
    run, _, segment = name.partition("/segment_")
    if not run.startswith(("sft/", "rl/")):
        return None
    parsed = RunName.parse(run)
    if parsed.phase == "rl" or study.study.sft[parsed.set].segments == 1:
        return forecast.of(parsed)
    steps = [int(found) for found in re.findall(r"/step_(\d+)/config\.json", " ".join(job.outputs))]
    configured = study.study.sft[parsed.set]
    before = max((step for step in configured.save_steps if step < min(steps, default=0)), default=0)
    end = int(segment) if segment else configured.steps
    return forecast.of(parsed, (end - before) / configured.steps)


def evaluation_of(name: str, job: Planned, study: Expansion, forecast: Forecast) -> Cost | None:
    """What the samples of an RL run's monitoring or of an evaluation cost; None of another job."""
    if name.startswith("rl/"):
        return forecast.evaluation(monitored(study, name)[1])
    if job.rule in ("evaluate", "evaluate_part"):
        samples = evaluated(study, name)[1]
        return forecast.evaluation(None if samples is None else samples / parts_of(study, job.rule))
    return None


def state_of(job: Planned, study: Expansion, name: str) -> str:
    """The state of a pending job; the segments of an SFT run share theirs."""
    state = Path(study.path("state"), re.sub(r"/segment_\d+$", "", name))
    if all(Path(path).exists() for path in job.outputs):
        return "outdated"
    if job.ran_well:
        return "pending"
    if any(path.name not in PROGRESS for path in state.glob("*/*")):
        return "resumable"
    return "failed" if job.log.exists() else "waiting"


def disk(job: Planned, study: Expansion, name: str, weights: int | None) -> tuple[int | None, int | None]:
    """About how many bytes a job keeps, and how many more it holds while it runs, its samples as long as they may get.

    Its tables and logs are small.
    """
    models = sum(path.endswith("/model.safetensors") for path in job.outputs)
    if models and weights is None:
        return None, None
    kept, held = (models * weights * weight_of(study), weights * STATE) if models else (0, 0)
    if name.startswith("rl/"):
        sampled = samples_size(*monitored(study, name))
        return kept + sampled, held + sampled
    if job.rule == "measure_win_rates":
        settings = study.win_rates_job().settings
        return samples_size(settings, samples_of(study, settings, 1)), 0
    if job.rule in ("evaluate", "evaluate_part", "merge_parts"):
        size, times = samples_size(*evaluated(study, name)), 1 if job.rule == "merge_parts" else 2
        return None if size is None else times * size // parts_of(study, job.rule), 0
    return kept, held


def monitored(study: Expansion, name: str) -> tuple[EvaluationSettings, int | None]:
    """The settings of an RL run's monitoring evaluations, and their samples."""
    run = study.rl_job(*name.split("/")[1:3], 0)
    evaluations = run.steps // run.eval_every + 2  # at the start, and perhaps at the end, too
    return run.evaluation, samples_of(study, run.evaluation, evaluations)


def evaluated(study: Expansion, name: str) -> tuple[EvaluationSettings, int | None]:
    """The settings of an evaluation as a whole, and its samples."""
    group = re.sub(r"^evaluations/(parts/\d+/)?", "", name)
    settings = study.evaluate_job(group).settings
    return settings, samples_of(study, settings, len(study.groups[group]))


def parts_of(study: Expansion, rule: str) -> int:
    """Into how many an evaluation is split for the jobs of this rule."""
    return study.study.evaluation.parts if rule == "evaluate_part" else 1


def weight_of(study: Expansion) -> int:
    """The bytes of a published weight."""
    engine = study.study.model.engine_settings
    return WEIGHT[engine.dtype if engine.by == "deepspeed" else "float32"]


def samples_of(study: Expansion, settings: EvaluationSettings, models: int) -> int | None:
    """The samples of some models; None while it is not known how many test problems there are."""
    benchmarks, total = study.study.data.benchmarks, 0
    for split, by_benchmark in settings.samples.items():
        for name, samples in by_benchmark.items():
            sources = study.study.data.pool if name == "pool" else [benchmarks[name].source]
            rows = [rows_of(study, source) for source in sources]
            monitored = 0 if name == "pool" else benchmarks[name].monitor
            if split == "test" and None in rows:
                return None
            total += samples * (monitored if split == "monitor" else sum(rows) - monitored)
    return total * models


def samples_size(settings: EvaluationSettings, samples: int | None) -> int | None:
    """Bytes of so many samples at most."""
    return None if samples is None else samples * (settings.sampling.max_new_tokens * TOKEN + SAMPLE)


def rows_of(study: Expansion, source: str) -> int | None:
    """The rows of a source: those of a generated one, or as it was read."""
    table = study.path(paths.SOURCE, source=source)
    size = getattr(study.study.data.sources[source], "size", None)
    return size or made.record(f"{table}{files.RECORD}").get("rows")


def shown(count: int | None) -> str:
    """Bytes in a unit that suits them."""
    if count is None:
        return "?"
    power = min(max(len(str(count)) - 1, 0) // 3, len(UNITS) - 1)
    return f"{count / 1000**power:.3g} {UNITS[power]}"


def show(
    study_file: str,
    count_weights: Callable[[str], int],
    gpus: int | None,
    say: Callable[[float], str],
    scale: str | None = None,
    price: float | None = None,
) -> None:
    """Prints the pending jobs, what the training of each SFT set and each arm and all evaluation cost (in USD, too, at a ``price``
    of a GPU-hour), and what so many GPUs take; ``say`` words exaFLOPs."""
    jobs = pending_jobs(study_file, count_weights, scale)
    if not jobs:
        print("nothing is pending")
        return
    for job in jobs:
        size = f"keeps {shown(job.keeps)}" if job.keeps != 0 else ""
        size += f", holds {shown(job.holds)}" if job.holds != 0 else ""
        known = job.cost is not None and job.cost.exaflops is not None
        cost = f"{compute(job.cost.exaflops, say)}, {hours(job.cost.gpu_hours)}, " if known else ""
        print(f"{job.state:10} {job.rule:18} {job.name:40} {cost}{size}".rstrip())
    kept, held = sum(job.keeps or 0 for job in jobs), max(job.holds or 0 for job in jobs)
    unknown = (
        ", without what stands as ?, which is known when the data and the base model are made"
        if any(None in (job.keeps, job.holds) for job in jobs)
        else ""
    )
    free = shutil.disk_usage(".").free
    print(
        f"{len(jobs)} jobs pending, which keep about {shown(kept)} and hold up to {shown(held)} each while they run"
        f"{unknown}; {shown(free)} are free{', which is not enough' if free < kept + held else ''}"
    )
    show_costs({job.name: job.cost for job in jobs if job.cost is not None}, gpus, say, price)
    show_evaluations(jobs, say, price)


def show_evaluations(jobs: list[Pending], say: Callable[[float], str], price: float | None) -> None:
    """Prints what the samples of RL's monitoring and of the evaluations take, which training's numbers leave out."""
    for title, is_rl in (("monitoring of RL", True), ("evaluations", False)):
        costs = [job.evaluation for job in jobs if job.evaluation and job.name.startswith("rl/") == is_rl]
        if costs:
            print(f"{title:30} {said_of(costs, say, price)}")


def said_of(costs: list[Cost], say: Callable[[float], str], price: float | None) -> str:
    """What some jobs cost together: FLOPs, GPU-hours, and USD where a GPU-hour has a price."""
    spent = total([one.gpu_hours for one in costs])
    said = f"{compute(total([one.exaflops for one in costs]), say)}, {hours(spent)}"
    return said if price is None or spent is None else f"{said}, {spent * price:.4g} USD"


def show_costs(
    costs: dict[str, Cost], gpus: int | None, say: Callable[[float], str], price: float | None = None
) -> None:
    """Prints what the training takes by SFT set and RL algorithm and in all, and the bounds on its time."""
    if not costs:
        return
    if all(cost.exaflops is None for cost in costs.values()):
        print("what training costs is not known before the sets are made; plan.tokens and plan.device say it")
        return
    totals: dict[str, list[Cost]] = {}
    for name, cost in costs.items():
        totals.setdefault("/".join(name.split("/")[:2]), []).append(cost)
    for title, several in [*sorted(totals.items()), ("all training", list(costs.values()))]:
        print(f"{title:30} {said_of(several, say, price)}")
    if any(None in (cost.exaflops, cost.gpu_hours) for cost in costs.values()):
        print(
            "? is not known: FLOPs before the sets are made or plan.tokens says it, GPU-hours without plan.device"
        )
    if gpus is not None:
        bounds, counted = makespan(by_run(costs), gpus), "1 GPU" if gpus == 1 else f"{gpus} GPUs"
        if bounds is None:
            print(f"{counted}: hours are not known; give plan.device and plan.tokens")
        else:
            print(f"{counted}: at least {bounds[0]:.4g} hours, at most {bounds[1]:.4g}, evaluations left out")


def by_run(costs: dict[str, Cost]) -> dict[RunName, Cost]:
    """The costs of runs, those of segments added up."""
    found: dict[RunName, Cost] = {}
    for name, cost in costs.items():
        run = RunName.parse(name.partition("/segment_")[0])
        before = found.get(run, Cost(0.0, 0.0, cost.gpus))
        added = [total([getattr(one, key) for one in (before, cost)]) for key in ("exaflops", "hours")]
        found[run] = Cost(*added, gpus=cost.gpus)
    return found


def total(values: list[float | None]) -> float | None:
    """Their sum; None where one is not known."""
    return None if None in values else sum(value for value in values if value is not None)


def compute(value: float | None, say: Callable[[float], str]) -> str:
    """ExaFLOPs as the plan says them."""
    return "? FLOPs" if value is None else say(value)


def hours(value: float | None) -> str:
    """As the plan says it."""
    return "? GPU-hours" if value is None else f"{value:.4g} GPU-hours"
