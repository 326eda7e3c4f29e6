"""The RL run: rollouts, rewards, dynamic sampling, updates, monitoring, one model at the end.

Everything random is a function of (seed, step, prompt, sample), and the prompt cursor is
saved with the step, so a killed run resumes and ends where an uninterrupted one would.

Deviations: see ``objectives``.  With one update per step the old policy is the new one,
the ratio is 1 and the clip range cannot act; the log says so.
"""

import dataclasses
import itertools
import time
from pathlib import Path

import pandas as pd
import torch

from switchpoint import files, flops, scores, tables
from switchpoint.data import order
from switchpoint.errors import DivergedError, InputError
from switchpoint.grading import grader
from switchpoint.study.jobs import RlJob
from switchpoint.study.names import Start
from switchpoint.training import evaluation, models, step_log
from switchpoint.training.engine import ranks
from switchpoint.training.engine.batch import Sequence, TokenBatch
from switchpoint.training.engine.open import open_engine
from switchpoint.training.engine.torch import Engine, configure
from switchpoint.training.job_run import JobRun, Progress
from switchpoint.training.limit import Limit
from switchpoint.training.rl import batches, objectives
from switchpoint.training.rl.dynamic_sampling import Batch, Group, Question, fill_batch
from switchpoint.training.rollouts.sampler import Prompt, open_sampler

IMITATION = ("sft", "off")  # the terms of a loss that learn from the expert
MAX_EMPTY_STEPS = 5  # in a row that kept no group, after which a run is exhausted


@dataclasses.dataclass(frozen=True)
class StartPoint:
    """The model that a run starts from, and what its SFT cost; the base model took none."""

    model: str
    start_step: int
    sft_exaflops: float
    val_loss: float | None


@dataclasses.dataclass
class RlState:
    """How far a run has got; saved with the weights."""

    step: int = 0
    cursor: int = 0  # prompts taken from the endless stream
    carried: list[Group] = dataclasses.field(default_factory=list)  # over to the next step
    flops: float = 0.0
    work: step_log.Work = dataclasses.field(default_factory=lambda: dict(step_log.NO_WORK))
    log: list[dict] = dataclasses.field(default_factory=list)
    evaluated: dict[str, float] = dataclasses.field(default_factory=dict)  # step to exaFLOPs
    empty_steps: int = 0  # steps in a row, up to the last one, that kept no group
    status: str = "running"

    @classmethod
    def read(cls, saved: dict) -> "RlState":
        """The state that ``dataclasses.asdict`` took apart."""
        return cls(**saved | {"carried": [Group.read(one) for one in saved["carried"]]})


@dataclasses.dataclass(frozen=True)
class Options:
    """What a run is told beside its job: it changes nothing that is learned.

    ``save_every``: steps between two states; ``out_of_distribution``: the benchmarks that the overall score leaves out;
    ``max_logprob_gap``, ``on_logprob_gap``: as in the study's configuration; ``log``, ``tensorboard``: where the steps'
    figures are shown (``StepLog``).
    """

    save_every: int = 10
    out_of_distribution: tuple[str, ...] = ()
    max_logprob_gap: float | None = None
    on_logprob_gap: str = "warn"
    log: str | None = None
    tensorboard: str | None = None


class LogprobGapError(InputError):
    """Trainer and sampler differ by more than the limit, and the run says ``on_logprob_gap: fail``."""


def run(
    job: RlJob, start: str, prompts: str, benchmarks: str, out: str, state: str,
    options: Options = Options(), limit: Limit | None = None,
) -> None:  # fmt: skip
    """Trains; writes ``model/``, ``samples.parquet``, ``points.csv`` and ``run.json``, whatever the end.

    ``start`` is the directory of the model that it starts from, or of the SFT run whose selection says which one.
    A run that keeps no group in ``MAX_EMPTY_STEPS`` steps in a row ends as ``exhausted``, one whose loss,
    gradient or output is not finite as ``diverged``; both keep the last good model and exit well.
    ``points.csv`` is in the state, too, as far as the run has got.
    """
    begin = resolve_start(job.start, start)
    inputs = {"start": begin.model, "prompts": prompts, "benchmarks": benchmarks}
    job_run = JobRun(job, inputs, state, limit=limit)
    tables_read = tables.read_made(prompts), tables.read_made(benchmarks)
    RlRun(job, job_run, begin, *tables_read, options).train(out)


def resolve_start(name: str, directory: str) -> StartPoint:
    """The start's model directory and cost; a named start is resolved by the SFT run's selection file.

    InputError when the SFT run's outputs are not as they were written.
    """
    start = Start.parse(name)
    if start.set is None:
        return StartPoint(directory, 0, 0.0, None)
    if start.step is None:
        files.read_run(directory, ["selection.json"])
        directory += f"/step_{files.read_json(f'{directory}/selection.json')[start.name]}"
    record = files.read_run(directory)
    if start.step not in (None, record.get("step")):
        raise InputError(f"{directory}: not the checkpoint that {name} names; give its own directory")
    return StartPoint(directory, record["step"], record["exaflops"], record["val_loss"])


class RlRun:
    """One run: its policy, sampler and prompts, and how far it has got."""

    def __init__(
        self, job: RlJob, job_run: JobRun, start: StartPoint, prompts: pd.DataFrame, problems: pd.DataFrame,
        options: Options,
    ):  # fmt: skip
        configure(job.seed)
        self.job, self.job_run, self.start, self.options = job, job_run, start, options
        self.step_log = step_log.StepLog(job.run_name, options.log, options.tensorboard)
        self.policy = models.load(start.model)
        self.architecture = flops.architecture(start.model)
        self.tokenizer, model = self.policy.tokenizer, self.policy.model
        pad = self.tokenizer.pad_token_id
        temperature = job.sampling.temperature
        self.engine = open_engine(job.engine, model, job.optimizer, pad, temperature=temperature)
        self.sampler = open_sampler(job.sampling, self.policy, start.model, self.engine)
        prompts = evaluation.rendered(self.tokenizer, prompts, job.template)
        self.questions = [self.question(row) for row in prompts.itertuples()]
        if not self.questions:
            raise InputError(
                f"no prompt to train on; {job.algorithm} takes those of the mix set: raise data.prompts.mix_max_tokens, "
                "or give prompts that have solutions"
            )
        self.problems = evaluation.rendered(self.tokenizer, problems, job.evaluation.template)
        self.state = RlState()
        if job_run.checkpoint:
            self.state = RlState.read(self.engine.load(job_run.checkpoint))
            self.sampler.sync(self.engine)
            print(f"resumed at step {self.state.step}", flush=True)
        self.last_good = self.engine.snapshot()
        if job.numbers.updates_per_step == 1 and job.numbers.clip_low is not None:
            print("one update per step: the ratio is 1 and the clip range cannot act", flush=True)

    def question(self, row) -> Question:
        """One RL prompt; with its expert trajectory where the algorithm uses it: whole, or its end would not be learned."""
        asked = Question(row.id, evaluation.gold(row.answer), row.token_ids)
        if self.job.numbers.experts == "none":
            return asked
        if not isinstance(row.solution, str):
            raise InputError(f"the prompt {row.id!r} has no solution; {self.job.algorithm} needs the mix set")
        tokens, most = self.tokenizer.render_response(row.solution), self.job.sampling.max_new_tokens
        if len(tokens) > most:
            raise InputError(
                f"the expert trajectory of the prompt {row.id!r} has {len(tokens)} tokens, more than rl.max_new_tokens {most}; "
                f"raise it, or lower data.prompts.mix_max_tokens to that"
            )
        return dataclasses.replace(asked, solution=row.solution, expert=tokens)

    def train(self, out: str) -> None:
        """All steps, with the monitoring evaluations that are due and a resumable state; then the outputs."""
        state, show = self.state, Progress("rl", self.job.steps)
        while state.status == "running":
            try:
                self.advance(show)
            except DivergedError as error:
                if not state.evaluated:  # the start itself is broken
                    raise
                print(error, flush=True)
                self.engine.restore(self.last_good)
                state.status = "diverged"
            self.job_run.save(self.write)
        self.publish(out)

    def write(self, path: Path) -> None:
        """What the run resumes from; the log of its steps is shown with it."""
        self.engine.save(path, dataclasses.asdict(self.state))
        self.step_log.write(self.state.log)

    def advance(self, show: Progress) -> None:
        """The monitoring evaluation, if it is due, and the steps until the state is to be saved."""
        state, job = self.state, self.job
        due = state.step % job.eval_every == 0 or state.step == job.steps
        if due and str(state.step) not in state.evaluated:
            self.job_run.stop_if_due(f"step {state.step}", self.write)
            self.monitor()
        if state.step == job.steps:
            state.status = "finished"
        for _ in range(self.steps_until_save()):
            self.job_run.stop_if_due(f"step {state.step}", self.write)
            self.step()
            line = state.log[-1]
            show(
                state.step,
                **{key: line[key] for key in ("reward", "rounds", "response_tokens") if key in line},
            )
            if state.status != "running":
                break

    def steps_until_save(self) -> int:
        """Steps until the state is to be saved: the run's end, an evaluation, or ``save_every`` of them."""
        job, step = self.job, self.state.step
        return min(self.options.save_every, job.steps - step, job.eval_every - step % job.eval_every)

    def step(self) -> None:
        """One RL step: sample groups until the batch is full, train on them, log."""
        started, state, job = time.monotonic(), self.state, self.job
        batch = fill_batch(
            self.sample_groups,
            state.cursor,
            batch_size=job.batch_size,
            generation_batch=job.numbers.generation_batch,
            max_rounds=job.max_rounds,
            filtered=job.numbers.dynamic_sampling,
            on_unfilled=job.on_unfilled,
            carried=state.carried,
            carry_over=job.carry_over,
        )
        self.last_good = self.engine.snapshot()  # the batch was sampled with these
        rows = batches.rows(batch.groups, job.numbers) if batch.groups else []
        sequences = batches.without_truncated(rows) if job.mask_truncated else rows
        figures = self.update(sequences) if sequences else {}
        self.check_gap(figures)
        self.sampler.sync(self.engine)
        if job.mask_truncated:
            figures["masked"] = len(rows) - len(sequences)
        if job.carry_over:
            figures |= {"carried_groups": batch.n_carried, "surplus_groups": len(batch.surplus)}
        self.record(batch, sequences, figures, started)

    def record(
        self, batch: Batch, sequences: list[Sequence], figures: dict[str, float], started: float
    ) -> None:
        """The state behind a step: its place in the stream, its compute, its line in the log."""
        state, job = self.state, self.job
        state.step, state.cursor, state.carried = state.step + 1, batch.cursor, batch.surplus
        generated = token_sums(generated_lengths(batch.generated, job.numbers.n_experts))
        sampled = token_sums(generated_lengths(batch.generated, 0))
        trained = token_sums([len(one) for one in sequences])
        state.flops += flops.step(self.architecture, generated, trained)
        state.log.append(log_line(state.step, batch, figures) | {"exaflops": state.flops / flops.EXA})
        again = job.numbers.updates_per_step > 1  # with_old_logprobs
        strict = flops.step(self.architecture, sampled, trained, "strict", again)
        self.step_log.add(state.log[-1], state.work, started, sampled[0] + trained[0], strict)
        state.empty_steps = 0 if batch.groups else state.empty_steps + 1
        if state.empty_steps == MAX_EMPTY_STEPS:
            state.status = "exhausted"

    def sample_groups(self, first: int, count: int) -> list[Group]:
        """G graded rollouts for ``count`` prompts of the endless stream, from position ``first``."""
        job = self.job
        rows = order.rows(len(self.questions), job.seed, first, count)
        questions = [self.questions[row] for row in rows]
        samples = range(job.rollouts - job.numbers.n_experts)
        prompts = [
            Prompt(question.token_ids, f"{self.state.step}/{first + index}/{sample}")
            for index, question in enumerate(questions)
            for sample in samples
        ]
        golds = [question.answer for question in questions for _ in samples]
        answers = iter(
            evaluation.answer(
                self.sampler, self.tokenizer, prompts, golds, job.sampling, job.numbers.extraction
            )
        )
        groups = [make_group(question, [next(answers) for _ in samples]) for question in questions]
        if job.numbers.n_experts:
            solutions = [question.solution for question in questions]
            golds = [question.answer for question in questions]
            verdicts = grader.shared().grade(golds, solutions, job.numbers.extraction)
            for group, verdict in zip(groups, verdicts, strict=True):
                group.expert_reward = int(verdict.correct)
        return groups

    def update(self, sequences: list[Sequence]) -> dict[str, float]:
        """The optimizer updates of one step on its rows; returns the log's figures, their means over the updates."""
        if self.job.numbers.updates_per_step > 1:
            sequences = with_old_logprobs(sequences, self.engine)
        count, total = min(self.job.numbers.updates_per_step, len(sequences)), len(sequences)
        bounds = [total * part // count for part in range(count + 1)]
        parts = [sequences[first:end] for first, end in itertools.pairwise(bounds)]
        conflict = self.conflict(parts[0])
        updates = [self.engine.step(part, self.loss_of) for part in parts]
        self.engine.check_finite(min(sequences, key=len))
        return conflict | means(updates)

    def is_above_gap(self, figures: dict[str, float]) -> bool:
        """Whether trainer and sampler differ by more than the limit in a step with these figures."""
        limit = self.options.max_logprob_gap
        return limit is not None and figures.get("logprob_gap", 0.0) > limit

    def check_gap(self, figures: dict[str, float]) -> None:
        """Says so, or raises LogprobGapError, where trainer and sampler differ by more than the limit."""
        if not self.is_above_gap(figures):
            return
        problem = (
            f"step {self.state.step + 1}: the log-probabilities of trainer and sampler differ by "
            f"{figures['logprob_gap']:.3g} on average, rl.max_logprob_gap is {self.options.max_logprob_gap:g}"
        )
        if self.options.on_logprob_gap == "fail":
            raise LogprobGapError(
                f"{problem}; give both the same weights and precision, or raise the limit (and set rl.importance_cap)"
            )
        print(problem, flush=True)

    def conflict(self, sequences: list[Sequence]) -> dict[str, float]:
        """At steps that are evaluated: the gradient's norm of each term, and the cosine of imitation and the rest.

        Of the algorithms with experts alone; it costs a backward pass for each term.
        """
        if self.job.numbers.experts == "none" or self.state.step % self.job.eval_every:
            return {}
        return self.engine.term_gradients(sequences, lambda batch: self.terms_of(batch)[0], IMITATION)

    def loss_of(self, batch: TokenBatch):
        """The sum of the loss's terms, and what is logged of it."""
        numbers = self.job.numbers
        terms, old, entropy = self.terms_of(batch)
        shares = {
            "entropy": entropy,
            "clip_fraction": objectives.clipped_tokens(
                batch.logprobs, old, batch.advantages, numbers.clip_low, numbers.clip_high
            ),
        }
        if batch.sampling_logprobs is not None:
            shares["logprob_gap"] = (old - batch.sampling_logprobs).abs()
        if (weights := objectives.importance_weights(batch, old, self.job.importance_cap)) is not None:
            shares["importance_weight"] = weights
            shares["importance_capped"] = (weights == self.job.importance_cap).float()
        figures = {name: batch.sampled_mean(values) for name, values in shares.items()}
        if len(terms) > 1:
            figures |= {f"loss_{name}": term.item() for name, term in terms.items()}
        return sum(terms.values()), figures

    def terms_of(self, batch: TokenBatch) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """The terms of the loss, the log-probabilities before the step's first update, and the entropies."""
        job, numbers = self.job, self.job.numbers
        old = batch.logprobs.detach() if batch.old_logprobs is None else batch.old_logprobs
        with torch.set_grad_enabled(numbers.entropy_coef != 0 and torch.is_grad_enabled()):
            entropy = batch.pad(objectives.token_entropy(batch.logits))
        terms = objectives.components(
            batch, old, entropy, numbers, job.sampling.max_new_tokens, job.importance_cap
        )
        return terms, old, entropy

    def monitor(self) -> None:
        """Evaluates the policy on the monitoring problems, and shows all points so far in the state."""
        state, name = self.state, self.job.run_name
        samples = evaluation.evaluate(
            self.sampler, self.tokenizer, self.problems, self.job.evaluation, name, state.step
        )
        state.evaluated[str(state.step)] = state.flops / flops.EXA
        record = self.checkpoint_record(state.step, state.evaluated[str(state.step)])
        points = scores.points(samples, record, self.options.out_of_distribution)
        if not ranks.is_main():
            return
        tables.write_parquet(samples, self.job_run.state / f"monitor_{state.step}.parquet")
        tables.write_csv(points, self.job_run.state / f"points_{state.step}.csv")
        self.job_run.cover(f"monitor_{state.step}.parquet", f"points_{state.step}.csv")
        tables.write_csv(self.points(), self.job_run.state / "points.csv")

    def points(self) -> pd.DataFrame:
        """The rows of ``curves.csv`` of every evaluation so far."""
        steps = self.state.evaluated
        return pd.concat([pd.read_csv(self.job_run.verified(f"points_{step}.csv")) for step in steps])

    def samples(self) -> pd.DataFrame:
        """The graded samples of every evaluation so far."""
        names = [f"monitor_{step}.parquet" for step in self.state.evaluated]
        return pd.concat([pd.read_parquet(self.job_run.verified(name)) for name in names])

    def checkpoint_record(self, step: int, exaflops: float) -> dict:
        """What a checkpoint of the run is, and the compute it took."""
        spent = {"exaflops": exaflops, "exaflops_total": exaflops + self.start.sft_exaflops}
        return {"run": self.job.run_name, "phase": "rl", "step": step, **spent}

    def publish(self, out: str) -> None:
        """Every declared output."""
        state, job_run = self.state, self.job_run
        card = f"# {self.job.run_name}, step {state.step}\n\nMade by Switchpoint from {self.start.model}.\n"
        exaflops = state.flops / flops.EXA
        record = self.checkpoint_record(state.step, exaflops) | job_run.origin()
        models.save(self.policy, job_run.state / "model", card, record, self.engine.weights())
        grader.close_shared()
        if not ranks.is_main():
            return
        points, samples = self.points(), self.samples()
        job_run.cover("model")
        published = job_run.publish("model", f"{out}/model")
        tables.write_parquet(samples, f"{out}/samples.parquet")
        tables.write_csv(points, f"{out}/points.csv")
        self.step_log.write(state.log)
        job_run.finish(
            f"{out}/run.json",
            state.status,
            {f"model/{name}": measured for name, measured in published.items()}
            | files.measure(out, ["samples.parquet", "points.csv"]),
            start=dataclasses.asdict(self.start),
            steps=state.step,
            exaflops=exaflops,
            evaluation_exaflops=evaluation.forward_exaflops(self.architecture, samples, self.problems),
            verdicts=evaluation.counts(samples),
            steps_above_max_logprob_gap=sum(map(self.is_above_gap, state.log)),
            steps_without_update=sum("loss" not in line for line in state.log),
            throughput=step_log.throughput(state.work),
            log=state.log,
        )


def make_group(question: Question, answers: list[evaluation.Answer]) -> Group:
    """The graded responses to one prompt."""
    rewards = [int(one.verdict.correct) for one in answers]
    statuses = [one.verdict.status for one in answers]
    return Group(question, [one.rollout for one in answers], rewards, statuses)


def with_old_logprobs(sequences: list[Sequence], engine: Engine) -> list[Sequence]:
    """The sequences with their tokens' log-probabilities before the step's first update."""
    logprobs = engine.logprobs(sequences)
    return [
        dataclasses.replace(one, old_logprobs=old.tolist())
        for one, old in zip(sequences, logprobs, strict=True)
    ]


def means(updates: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over the updates that have it; one of experts alone has none of a sampler."""
    values: dict[str, list[float]] = {}
    for figures in updates:
        for name, value in figures.items():
            values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}


def generated_lengths(groups: list[Group], n_experts: int) -> list[int]:
    """Lengths of the sequences that are charged a generation pass: all rollouts, and experts in a group (Eq. 24)."""
    responses = [
        (group, tokens)
        for group in groups
        for tokens in [rollout.token_ids for rollout in group.rollouts] + [group.prompt.expert] * n_experts
    ]
    return [len(group.prompt.token_ids) + len(tokens) for group, tokens in responses]


def token_sums(lengths: list[int]) -> tuple[int, int]:
    """Sum of the sequence lengths, and of their squares (for the FLOPs)."""
    return sum(lengths), sum(length**2 for length in lengths)


def log_line(step: int, batch: Batch, figures: dict[str, float]) -> dict:
    """One line of the run's log; without what is known of generated responses where there are none."""
    rollouts = [rollout for group in batch.generated for rollout in group.rollouts]
    statuses = [status for group in batch.generated for status in group.statuses]
    generated = {}
    if rollouts:
        generated = {
            "reward": sum(sum(group.rewards) for group in batch.generated) / len(rollouts),
            "response_tokens": sum(len(rollout.token_ids) for rollout in rollouts) / len(rollouts),
            "truncated": sum(rollout.truncated for rollout in rollouts) / len(rollouts),
        }
    return {
        "step": step,
        **generated,
        "rounds": batch.rounds,
        **batch.counts,
        "trained_groups": len(batch.groups),
        **{status: statuses.count(status) for status in scores.STATUSES},
        **figures,
    }
