"""The SFT run: checkpoints at the listed steps, the validation loss at step 0 and at each.

The order of the examples is a function of (seed, epoch) and every state is saved with
its step, so a killed run resumes and ends where an uninterrupted one would.

Deviations: the loss is the token mean over the whole optimizer batch (RETU Eq. 1 sums;
the official code averages per micro-batch); the validation loss is the exact token mean
over all validation examples, with its standard error over examples.
"""

import math
import time
from pathlib import Path

import pandas as pd
import torch

from switchpoint import files, flops, tables
from switchpoint.data import order
from switchpoint.errors import InputError
from switchpoint.study import made
from switchpoint.study.jobs import Sampling, SftJob
from switchpoint.training import models, step_log
from switchpoint.training.engine import ranks
from switchpoint.training.engine.batch import Sequence, TokenBatch
from switchpoint.training.engine.open import open_engine
from switchpoint.training.engine.torch import Engine, configure
from switchpoint.training.job_run import JobRun, Progress
from switchpoint.training.limit import Limit
from switchpoint.training.rl.objectives import sft_loss
from switchpoint.training.rollouts.sampler import Prompt, Sampler
from switchpoint.training.tokenizer import Tokenizer

STOP_CHECKS = 16  # responses sampled after training, of which one has to end


def run(
    job: SftJob, save_steps: list[int], base: str, data: str, validation: str, out: str, state: str,
    *, save_every: int = 50, until: int | None = None, limit: Limit | None = None,
    log: str | None = None, tensorboard: str | None = None,
) -> None:  # fmt: skip
    """Trains and publishes.

    Writes ``step_<n>/`` model directories for the steps to save, ``losses.csv``, ``validation.parquet`` (the loss
    of each example), ``selection.json`` and ``run.json``; ``losses.csv`` is in the state, too, as far as the run
    has got.  A checkpoint that is there already, made by this job of these inputs, stays.  The steps' figures are
    shown beside ``log`` and in ``tensorboard`` (``StepLog``).

    A segment of the run ends at the step ``until``: it writes the checkpoints up to there and its record, and
    leaves the state to the next one.  Which segments there are changes no result.
    """
    inputs = {"data": data, "validation": validation, "base": base}
    job_run = JobRun(job, inputs, state, settings={"save_steps": save_steps}, limit=limit)
    sft_run = SftRun(job, save_steps, job_run, base, data, validation, log, tensorboard)
    sft_run.train(until or max(save_steps), save_every)
    if until is None:
        sampler = Sampler(sft_run.policy.model, sft_run.policy.ends, engine=sft_run.engine)
        check_stops(sampler, [one.prompt for one in sft_run.held_out], job)
    if ranks.is_main():
        sft_run.publish(Path(out)) if until is None else sft_run.hand_on(Path(out), until)


class SftRun:
    """One run: its examples, its engine, and what it has measured so far."""

    def __init__(
        self, job: SftJob, save_steps: list[int], job_run: JobRun, base: str, data: str, validation: str,
        log: str | None = None, tensorboard: str | None = None,
    ):  # fmt: skip
        configure(job.seed)
        self.step_log = step_log.StepLog(job.run_name, log, tensorboard)
        self.job, self.save_steps, self.job_run, self.base = job, save_steps, job_run, base
        self.policy = models.load(base)
        self.architecture = flops.architecture(base)
        self.examples, self.truncated = encode(self.policy.tokenizer, tables.read_made(data), job)
        held_out = tables.read_made(validation)
        self.held_out_ids = list(held_out["id"])
        self.held_out, self.held_out_truncated = encode(self.policy.tokenizer, held_out, job)
        self.engine = open_engine(
            job.engine,
            self.policy.model,
            job.optimizer,
            self.policy.tokenizer.pad_token_id,
            schedule=lambda step: learning_rate_factor(job, step),
        )
        self.progress = {"losses": [], "nll": [], "tokens": 0, "squared": 0, "clipped": 0}
        self.progress |= {"log": [], "work": dict(step_log.NO_WORK)}
        if job_run.checkpoint:
            self.progress |= self.engine.load(job_run.checkpoint)
            print(f"resumed at step {self.engine.steps}", flush=True)

    def train(self, last: int, save_every: int) -> None:
        """The steps up to ``last``, with a validation and a model at every checkpoint.

        A resumable state is saved there, after every ``save_every`` steps, and at the end.
        """
        show = Progress("sft", self.job.steps)
        if not self.progress["losses"]:
            self.validate()
        while (step := self.engine.steps) < last:
            self.job_run.stop_if_due(f"step {step}", self.write)
            figures = self.step()
            step += 1
            show(step, loss=figures["loss"], norm=figures["norm"])
            if step in self.save_steps:
                self.validate()
                self.save_model()
            if step in self.save_steps or step % save_every == 0 or step == last:
                self.job_run.save(self.write)

    def write(self, path: Path) -> None:
        """What the run resumes from; the log of its steps is shown with it."""
        self.engine.save(path, self.progress)
        self.step_log.write(self.progress["log"])

    def step(self) -> dict[str, float]:
        """One update on the next examples of the shuffled stream."""
        started = time.monotonic()
        first = self.engine.steps * self.job.batch_size
        rows = order.rows(len(self.examples), self.job.seed, first, self.job.batch_size)
        batch = [self.examples[row] for row in rows]
        learning_rate = self.job.optimizer.learning_rate * self.engine.schedule(self.engine.steps)
        figures = self.engine.step(batch, LOSSES[self.job.loss_norm])
        trained = sum(map(len, batch)), sum(len(one) ** 2 for one in batch)
        self.progress["clipped"] += figures["norm"] > self.job.optimizer.max_grad_norm
        self.progress["tokens"] += trained[0]
        self.progress["squared"] += trained[1]
        line = {"step": self.engine.steps, **figures, "learning_rate": learning_rate}
        line |= {"tokens": self.progress["tokens"], "exaflops": self.exaflops}  # so far
        strict = flops.step(self.architecture, (0, 0), trained, "strict")
        self.progress["log"].append(line)
        self.step_log.add(line, self.progress["work"], started, trained[0], strict)
        return figures

    @property
    def exaflops(self) -> float:
        """What the training has cost so far (RETU Eq. 21 over the real lengths)."""
        trained = self.progress["tokens"], self.progress["squared"]
        return flops.step(self.architecture, (0, 0), trained) / flops.EXA

    def validate(self) -> None:
        """Adds the validation loss at this step, and shows all so far in the state."""
        loss, error, nll = validation_loss(self.engine, self.held_out)
        self.progress["losses"].append([self.engine.steps, loss, error, self.exaflops])
        self.progress["nll"].append(nll)
        if ranks.is_main():
            tables.write_csv(self.losses(), self.job_run.state / "losses.csv")

    def losses(self) -> pd.DataFrame:
        """``losses.csv``: run, step, loss, se, exaflops."""
        table = pd.DataFrame(self.progress["losses"], columns=["step", "loss", "se", "exaflops"])
        table.insert(0, "run", self.job.run_name)
        return table

    def save_model(self) -> None:
        """The model directory of this step, in the state."""
        name, step = self.job.run_name, self.engine.steps
        card = f"# {name}, step {step}\n\nMade by Switchpoint from {self.base}.\n"
        figures = {
            "exaflops": self.exaflops,
            "exaflops_total": self.exaflops,
            "val_loss": self.progress["losses"][-1][1],
        }
        record = {"run": name, "phase": "sft", "step": step, **figures, **self.job_run.origin()}
        directory = self.job_run.state / f"step_{step}"
        models.save(self.policy, directory, card, record, self.engine.weights())
        self.job_run.cover(f"step_{step}")

    def publish_models(self, out: Path, last: int) -> files.Record:
        """The checkpoints up to the step ``last``; returns their record.

        One that a segment had made, and that is made again here, is no longer that segment's.
        """
        outputs: files.Record = {}
        for step in [step for step in self.save_steps if step <= last]:
            directory = f"step_{step}"
            record = self.job_run.made(out / directory)
            if record is None:
                record = self.job_run.publish(directory, out / directory)
                for end, steps in made.segments(out, self.job_run.job).items():
                    if step in steps:
                        self.write_segment(out, end, [other for other in steps if other != step])
            outputs |= {f"{directory}/{name}": measured for name, measured in record.items()}
        return outputs

    def hand_on(self, out: Path, end: int) -> None:
        """The outputs of a segment that ends at this step: the checkpoints that no other one made, and its record."""
        self.publish_models(out, end)
        others = made.segments(out, self.job_run.job)
        others.pop(end, None)
        listed = [step for steps in others.values() for step in steps]
        self.write_segment(out, end, [step for step in self.save_steps if step <= end and step not in listed])

    def write_segment(self, out: Path, end: int, steps: list[int]) -> None:
        """The record of a segment, which says what steps' checkpoints it made."""
        record = {"end": end, "steps": steps, **self.job_run.origin()}
        files.write_record(out / made.segment_file(end), record)

    def publish(self, out: Path) -> None:
        """Every output of the run as a whole."""
        outputs = self.publish_models(out, max(self.save_steps))
        losses = self.losses()
        tables.write_csv(losses, out / "losses.csv")
        tables.write_parquet(self.example_losses(), out / "validation.parquet")
        saved = losses[losses["step"] > 0]  # step 0 is no start
        lowest = saved.loc[saved["loss"].idxmin(), "step"]
        files.write_json(out / "selection.json", {"min_val_loss": int(lowest)})
        self.step_log.write(self.progress["log"])
        self.job_run.finish(
            out / "run.json",
            "finished",
            outputs | files.measure(out, ["losses.csv", "validation.parquet", "selection.json"]),
            exaflops=self.progress["losses"][-1][3],
            tokens=self.progress["tokens"],
            clipped_updates=self.progress["clipped"] / self.engine.steps,
            truncated_examples=self.truncated,
            truncated_validation=self.held_out_truncated,
            throughput=step_log.throughput(self.progress["work"]),
            log=self.progress["log"],
        )

    def example_losses(self) -> pd.DataFrame:
        """``validation.parquet``: run, step, example, nll (the sum over its tokens, nats), tokens."""
        tokens = [len(one.response) for one in self.held_out]
        columns = {"run": self.job.run_name, "example": self.held_out_ids, "tokens": tokens}
        by_step = [
            pd.DataFrame(columns | {"step": step, "nll": nll})
            for (step, *_), nll in zip(self.progress["losses"], self.progress["nll"], strict=True)
        ]
        return pd.concat(by_step)[["run", "step", "example", "nll", "tokens"]]


def encode(tokenizer: Tokenizer, rows: pd.DataFrame, job: SftJob) -> tuple[list[Sequence], int]:
    """Each row as a prompt and an expert response, cut to ``max_length`` tokens, and how many were cut."""
    if without := int(rows["solution"].isna().sum()):
        raise InputError(
            f"{job.set}: {without} of {len(rows)} rows have no solution to train on; give each one"
        )
    examples, truncated, longest = [], 0, job.max_length
    for problem, solution in zip(rows["problem"], rows["solution"], strict=True):
        prompt = tokenizer.render_prompt(problem, job.template)
        response = tokenizer.render_response(solution)
        truncated += len(prompt) + len(response) > longest
        examples.append(Sequence(prompt, response[: max(longest - len(prompt), 0)]))
    if any(not one.response for one in examples):
        raise InputError(f"a prompt fills all {longest} tokens; raise model.max_length")
    return examples, truncated


def learning_rate_factor(job: SftJob, step: int) -> float:
    """Warm-up over whole steps, at most to the peak; then constant, cosine to 0 over the whole run, or stable and
    linearly to 0 over the last steps (WSD)."""
    warmup = int(job.warmup * job.steps + 1e-9)  # as the official code: 15 of S1K's 310 steps at 0.05
    if step < warmup:
        return (step + 1) / warmup
    if job.schedule == "constant":
        return 1.0
    if job.schedule == "wsd":
        return min(1.0, (job.steps - step) / max(int(job.decay * job.steps + 1e-9), 1))
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(job.steps - warmup, 1)))


def mean_loss(batch: TokenBatch):
    """The token mean of the negative log-likelihood over the whole update (RETU Eq. 1)."""
    return sft_loss(batch.logprobs, batch.mask, batch.totals.tokens), {}


def mean_of_means(batch: TokenBatch):
    """The mean over micro-batches of their token means: the official code's, in which short sequences weigh more."""
    return sft_loss(batch.logprobs, batch.mask, int(batch.mask.sum()) * batch.totals.microbatches), {}


LOSSES = {"global_token": mean_loss, "microbatch_token": mean_of_means}


def validation_loss(engine: Engine, examples: list[Sequence]) -> tuple[float, float, list[float]]:
    """Exact token mean over all examples (nats), its standard error over them, and the sum of each."""
    negative = -torch.tensor([float(logprobs.double().sum()) for logprobs in engine.logprobs(examples)])
    tokens = torch.tensor([len(one.response) for one in examples])
    loss = float(negative.double().sum() / tokens.sum())
    residual = negative.double() - loss * tokens  # ratio estimator
    error = float(residual.std() * math.sqrt(len(examples)) / tokens.sum())
    return loss, error, negative.tolist()


def check_stops(sampler: Sampler, prompts: list[list[int]], job: SftJob) -> None:
    """InputError when no sampled response ends: RL and evaluation of such a model are wasted compute."""
    asked = [Prompt(prompt, str(row)) for row, prompt in enumerate(prompts[:STOP_CHECKS])]
    longest = job.max_length
    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=longest, seed=job.seed)
    responses = sampler.sample(asked, sampling)
    if all(response.truncated for response in responses):
        raise InputError(
            f"after SFT on {job.set} none of {len(responses)} responses ended within {longest} tokens, so "
            "nothing was published; check that the end token is in generation_config.json and closes every "
            "solution, train longer, or raise model.max_length"
        )
