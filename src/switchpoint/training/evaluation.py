"""Evaluation: models in, per-sample records out; ``scores`` derives the rest.

Generation runs in fixed blocks: one sample index, at most ``BLOCK`` problems, the shortest
prompts first.  A block depends on nothing outside it, so an evaluation that is resumed, split
into parts or extended by more samples repeats exactly.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from switchpoint import files, flops, scores, tables
from switchpoint.data import relations
from switchpoint.errors import DivergedError, InputError
from switchpoint.grading import grader
from switchpoint.study.jobs import EvaluateJob, EvaluationSettings, Sampling, Template
from switchpoint.training import models
from switchpoint.training.engine import ranks
from switchpoint.training.engine.torch import configure
from switchpoint.training.job_run import JobRun, Progress
from switchpoint.training.limit import Limit
from switchpoint.training.rollouts.sampler import Prompt, Rollout, Sampler, open_sampler
from switchpoint.training.tokenizer import Tokenizer

BLOCK = 512  # problems sampled together


@dataclasses.dataclass(frozen=True)
class Answer:
    """A response, its text, and the verdict on it."""

    rollout: Rollout
    text: str
    verdict: grader.Verdict


def answer(
    sampler: Sampler,
    tokenizer: Tokenizer,
    prompts: list[Prompt],
    golds: list,
    sampling: Sampling,
    extraction: str,
) -> list[Answer]:
    """A graded response to each prompt, in order; every rank samples and grades its share."""
    with ranks.together(DivergedError):
        rollouts = sampler.sample(ranks.share(prompts), sampling)
    texts = tokenizer.decode([rollout.token_ids for rollout in rollouts])
    verdicts = grader.shared().grade(ranks.share(golds), texts, extraction)
    return ranks.gather([Answer(*fields) for fields in zip(rollouts, texts, verdicts, strict=True)])


@dataclasses.dataclass(frozen=True)
class Block:
    """One sample of each of some problems; ``name`` holds split, sample and a hash of the problems."""

    name: str
    split: str
    sample: int
    problems: pd.DataFrame  # with token_ids, the rendered prompts


def rendered(tokenizer: Tokenizer, problems: pd.DataFrame, template: Template) -> pd.DataFrame:
    """The problems with their prompts' token_ids."""
    token_ids = [tokenizer.render_prompt(problem, template) for problem in problems["problem"]]
    return problems.assign(token_ids=token_ids)


def make_blocks(problems: pd.DataFrame, split: str, samples: dict[str, int]) -> list[Block]:
    """The blocks of a split of rendered problems; ``samples`` per problem, by benchmark."""
    chosen = problems[problems["split"] == split].copy()
    chosen["samples"] = chosen["benchmark"].map(samples)
    chosen["length"] = chosen["token_ids"].map(len)
    chosen = chosen.sort_values(["length", "id"])
    result = []
    for sample in range(int(chosen["samples"].max())):
        rows = chosen[chosen["samples"] > sample]
        for first in range(0, len(rows), BLOCK):
            block = rows.iloc[first : first + BLOCK]
            result.append(Block(f"{split}_{sample}_{files.digest(list(block['id']))}", split, sample, block))
    return result


def evaluate_block(
    sampler: Sampler, tokenizer: Tokenizer, block: Block, settings: EvaluationSettings, run: str, step: int
) -> pd.DataFrame:
    """The graded samples of a block, one row each; a row's randomness depends on (seed, problem, sample) alone."""
    problems = list(block.problems.itertuples())
    prompts = [Prompt(problem.token_ids, f"{problem.id}/{block.sample}") for problem in problems]
    golds = [gold(problem.answer) for problem in problems]
    answers = answer(sampler, tokenizer, prompts, golds, settings.sampling, settings.extraction)
    records = []
    for problem, one in zip(problems, answers, strict=True):
        where = run, step, block.split, problem.benchmark, problem.id, block.sample
        length = len(one.rollout.token_ids), one.rollout.truncated
        graded = one.verdict.extracted, one.verdict.status, one.verdict.correct
        records.append((*where, *length, *graded, one.text))
    return pd.DataFrame(records, columns=scores.SAMPLE_COLUMNS)


def evaluate(
    sampler: Sampler,
    tokenizer: Tokenizer,
    problems: pd.DataFrame,
    settings: EvaluationSettings,
    run: str,
    step: int,
) -> pd.DataFrame:
    """Samples and grades the rendered problems of every split that the settings have, in their order.

    ``problems`` has id, problem, answer, benchmark, split, token_ids; ``run`` and ``step`` say whose model
    it is.
    """
    parts = [
        evaluate_block(sampler, tokenizer, block, settings, run, step)
        for split, samples in settings.samples.items()
        for block in make_blocks(problems, split, samples)
    ]
    return ordered(pd.concat(parts), problems)


def ordered(samples: pd.DataFrame, problems: pd.DataFrame) -> pd.DataFrame:
    """Samples by run, step, split, the order of the problems, and sample."""
    position = samples["id"].map({name: index for index, name in enumerate(problems["id"])})
    order = samples.assign(position=position).sort_values(["run", "step", "split", "position", "sample"])
    return order.drop(columns="position").reset_index(drop=True)


def forward_exaflops(arch: flops.Architecture, samples: pd.DataFrame, problems: pd.DataFrame) -> float:
    """What the samples took: a forward pass over every prompt and response (RETU Eq. 19 over the real lengths).

    ``problems`` are the rendered ones.  Training's compute, that of the curves, has none of it.
    """
    prompts = problems.drop_duplicates("id").set_index("id")["token_ids"].map(len)
    lengths = samples["n_tokens"] + samples["id"].map(prompts)
    return flops.forward_tokens(arch, int(lengths.sum()), int((lengths**2).sum())) / flops.EXA


def gold(answer) -> str | list[str]:
    """The gold answer of a record: a string, or a list of strings."""
    return answer if isinstance(answer, str) else list(answer)


def run(
    job: EvaluateJob,
    checkpoints: list[str],
    benchmarks: list[str],
    out: str,
    state: str,
    part: tuple[int, int] = (0, 1),
    limit: Limit | None = None,
) -> None:
    """Evaluates a group of checkpoints; writes ``samples.parquet`` and ``run.json``.

    With ``part`` (i, n) only every n-th block from the i-th; ``merge`` makes the whole of the parts.
    """
    tables_read = {f"benchmarks/{Path(path).stem}": path for path in benchmarks}
    job_run = open_run(job, checkpoints, tables_read, state, limit)
    records = [checkpoint_record(job, path) for path in checkpoints]
    problems = pd.concat([tables.read_made(path) for path in benchmarks])
    samples, exaflops = evaluate_checkpoints(job_run, job, records, checkpoints, problems, part)
    tables.write_parquet(samples, f"{out}/samples.parquet")
    figures = {"checkpoints": records, "verdicts": counts(samples), "evaluation_exaflops": exaflops}
    grader.close_shared()
    outputs = files.measure(out, ["samples.parquet"])
    job_run.finish(f"{out}/run.json", "finished", outputs, keep_state=True, **figures)


def part_of(text: str) -> tuple[int, int]:
    """The i and the n of `i/n`; InputError when it is none."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise InputError(f"--part is {text!r}; give i/n, with i from 0 to n - 1")
    return int(index), int(count)


def measure_win_rates(
    job: EvaluateJob,
    model: str,
    pool: str,
    state: str,
    part: tuple[int, int] = (0, 1),
    limit: Limit | None = None,
) -> tuple[JobRun, pd.DataFrame]:
    """The weak solver's graded samples on every problem of the pool (or of one of n parts), and the job to finish."""
    job_run = open_run(job, [model], {"pool": pool}, state, limit)
    with relations.connect(state) as connection:
        problems = relations.read(connection, pool).project("id, problem, answer").df()
    problems = problems.assign(split="test", benchmark="pool")
    record = {"run": "solver", "step": 0}
    samples, _ = evaluate_checkpoints(job_run, job, [record], [model], problems, part)
    grader.close_shared()
    return job_run, samples


def open_run(
    job: EvaluateJob, checkpoints: list[str], inputs: dict[str, str], state: str, limit: Limit | None
) -> JobRun:
    """The job; its state holds blocks, which outlive it: more samples or checkpoints add to them."""
    models_read = {path: path for path in checkpoints}
    exclude = {"settings": {"samples"}}
    job_run = JobRun(
        job, models_read | inputs, state, exclude=exclude, exclude_inputs=checkpoints, limit=limit
    )
    configure(job.settings.sampling.seed)
    return job_run


def evaluate_checkpoints(
    job_run: JobRun,
    job: EvaluateJob,
    records: list[dict],
    checkpoints: list[str],
    problems: pd.DataFrame,
    part: tuple[int, int] = (0, 1),
) -> tuple[pd.DataFrame, float]:
    """The samples of model directories and their exaFLOPs; each block is kept in the state once it is graded.

    ``records`` say which run and step each checkpoint is.
    """
    show, sampler = Progress("evaluate", len(checkpoints)), None
    kept: dict[str, tuple[flops.Architecture, pd.DataFrame]] = {}  # by block: of whom, of what
    prompted: dict[tuple[str, str], pd.DataFrame] = {}  # checkpoints of one tokenizer share their prompts
    for number, (record, path) in enumerate(zip(records, checkpoints, strict=True), start=1):
        policy, arch = models.load(path), flops.architecture(path)
        if sampler is None:
            sampler = open_sampler(job.settings.sampling, policy, path)
        else:
            sampler.load(policy.model)
        renderer = files.sha256(f"{path}/tokenizer.json"), policy.tokenizer.template
        if renderer not in prompted:
            prompted[renderer] = rendered(policy.tokenizer, problems, job.settings.template)
        for split, samples in job.settings.samples.items():
            for block in make_blocks(prompted[renderer], split, samples)[part[0] :: part[1]]:
                name = f"{job_run.inputs[path][:16]}_{block.name}"
                if not job_run.holds(name):
                    job_run.stop_if_due(f"block {len(kept)}")
                    where = record["run"], record["step"]
                    graded = evaluate_block(sampler, policy.tokenizer, block, job.settings, *where)
                    tables.write_parquet(graded, job_run.state / f"{name}.parquet")
                    job_run.keep(f"{name}.parquet")
                kept[name] = arch, block.problems
        show(number, checkpoint=record["step"])
    for old in [*job_run.state.glob("*.json"), *job_run.state.glob("*.parquet")]:
        if old.stem not in kept:
            files.remove(old)
    made = {name: pd.read_parquet(job_run.verified(f"{name}.parquet")) for name in kept}
    exaflops = sum((forward_exaflops(arch, made[name], asked) for name, (arch, asked) in kept.items()), 0.0)
    # A part may be empty where there are more parts than blocks.
    empty = pd.DataFrame(columns=scores.SAMPLE_COLUMNS)
    return ordered(pd.concat(made.values()), problems) if made else empty, exaflops


def checkpoint_record(job: EvaluateJob, path: str) -> dict:
    """Which run's model this is, and the compute it took: from its ``run.json``; the base model took none.

    InputError when a file of the model is not as it was written; nothing is known of the base's.
    """
    base = {"run": "base", "phase": "base", "step": 0, "exaflops": 0.0, "exaflops_total": 0.0}
    record = base if job.group == "base" else files.read_run(path)
    return {name: record[name] for name in base}


def counts(samples: pd.DataFrame) -> dict[str, int]:
    """Number of samples of each verdict."""
    return {str(status): int(n) for status, n in samples["verdict"].value_counts().items()}


def merge(job: EvaluateJob, parts: list[str], benchmarks: list[str], out: str) -> None:
    """Puts the parts of a split evaluation (their directories) together, as if it had not been split."""
    records = [files.read_run(part) for part in parts]
    read = [pd.read_parquet(f"{part}/samples.parquet") for part in parts]
    samples = pd.concat([table for table in read if len(table)])
    problems = pd.concat([tables.read_made(path) for path in benchmarks])
    per_checkpoint = sum(
        problems.loc[problems["split"] == split, "benchmark"].map(by_benchmark).sum()
        for split, by_benchmark in job.settings.samples.items()
    )
    expected = int(per_checkpoint) * len(records[0]["checkpoints"])
    if len(samples) != expected or samples.duplicated(scores.SAMPLE_COLUMNS[:6]).any():
        raise InputError(
            f"the parts hold {len(samples)} samples, the evaluation has {expected}; give every part, once"
        )
    samples = ordered(samples, problems)
    tables.write_parquet(samples, f"{out}/samples.parquet")
    sums = {name: sum(record[name] for record in records) for name in ("seconds", "cpu_seconds")}
    made = {"outputs": files.measure(out, ["samples.parquet"]), "verdicts": counts(samples)}
    spent = [
        record.get("evaluation_exaflops") for record in records
    ]  # parts made by earlier versions have none
    made["evaluation_exaflops"] = None if None in spent else sum(spent)
    files.write_record(f"{out}/run.json", records[0] | sums | made)
