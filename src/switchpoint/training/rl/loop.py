"""The RL run: rollouts, rewards, dynamic sampling, updates, monitoring, one model at the end.

Everything random is a function of (seed, step, prompt, sample), and the prompt cursor is
saved with the step, so a killed run resumes and ends where an uninterrupted one would.

Deviations: see ``objectives``.  With one update per step the old policy is the new one,
the ratio is 1 and the clip range cannot act; the log says so.
"""

import math

import pandas as pd
import torch

from switchpoint import files, flops, scores, tables
from switchpoint.data import order
from switchpoint.study import paths
from switchpoint.training import evaluation, models
from switchpoint.training.engine import torch as engine
from switchpoint.training.job_run import Progress, Run
from switchpoint.training.rl import objectives
from switchpoint.training.rl.advantages import group_advantages
from switchpoint.training.rl.dynamic_sampling import Batch, Group, fill_batch
from switchpoint.training.rollouts import torch as rollouts


def resolve_start(job: dict, base: str, sft: str | None) -> dict:
    """The start's model directory and what its SFT cost: ``base``, ``<set>-<step>`` or a named one."""
    if job["start"] == "base":
        return {"model": base, "start_step": 0, "sft_exaflops": 0.0, "val_loss": None}
    name = job["start"].rpartition("-")[2]
    step = int(name) if name.isdigit() else files.read_json(f"{sft}/selection.json")[name]
    row = pd.read_csv(f"{sft}/losses.csv").set_index("step").loc[step]
    return {
        "model": f"{sft}/step_{step}",
        "start_step": step,
        "sft_exaflops": float(row["exaflops"]),
        "val_loss": float(row["loss"]),
    }


def generate(
    model, tokenizer, prompts: list[dict], job: dict, step: int, first: int, count: int
) -> list[Group]:
    """G graded rollouts for ``count`` prompts of the endless stream, from position ``first``."""
    chosen = [prompts[row] for row in order.rows(len(prompts), job["seed"], first, count)]
    samples = range(job["rollouts"])
    requests = [
        rollouts.Prompt(prompt["token_ids"], f"{step}/{first + index}/{sample}")
        for index, prompt in enumerate(chosen)
        for sample in samples
    ]
    golds = [prompt["answer"] for prompt in chosen for _ in samples]
    answers = iter(evaluation.answer(model, tokenizer, requests, golds, job))
    groups = []
    for prompt in chosen:
        responses, _, verdicts = zip(*(next(answers) for _ in samples), strict=True)
        rewards = [int(verdict.correct) for verdict in verdicts]
        groups.append(Group(prompt, list(responses), rewards, [verdict.status for verdict in verdicts]))
    return groups


def update(trainer: engine.Engine, groups: list[Group], job: dict, pad_token_id: int) -> dict[str, float]:
    """The optimizer updates of one step on its groups; returns the log's figures."""
    rewards = torch.tensor([group.rewards for group in groups], dtype=torch.float32)
    advantages = group_advantages(rewards, job["advantage_std"]).flatten().tolist()
    sequences = [
        (group.prompt["token_ids"], rollout.token_ids, rollout.logprobs)
        for group in groups
        for rollout in group.rollouts
    ]
    several = job["updates_per_step"] > 1
    old = old_logprobs(trainer.model, sequences, job, pad_token_id) if several else None
    per_update = math.ceil(len(sequences) / job["updates_per_step"])
    figures: dict[str, float] = {"loss": 0.0, "entropy": 0.0, "logprob_gap": 0.0}
    for first in range(0, len(sequences), per_update):
        rows = list(range(first, min(first + per_update, len(sequences))))
        figures = train_on(trainer, [sequences[row] for row in rows], [advantages[row] for row in rows],
                           None if old is None else [old[row] for row in rows], job, pad_token_id)  # fmt: skip
        if not math.isfinite(figures["loss"]):
            return figures
        figures["norm"] = trainer.update()
    return figures


@torch.no_grad()
def old_logprobs(model, sequences, job: dict, pad_token_id: int) -> list[torch.Tensor]:
    """Log-probabilities of each sequence's tokens before the step's first update."""
    result: list[torch.Tensor] = [torch.empty(0)] * len(sequences)
    lengths = [len(prompt) + len(response) for prompt, response, _ in sequences]
    for rows in engine.by_length(lengths, job["microbatch_size"]):
        input_ids = engine.pad_right([sequences[row][0] + sequences[row][1] for row in rows], pad_token_id)
        for row, logprobs in zip(
            rows, engine.token_logprobs(model, input_ids, job["temperature"]), strict=True
        ):
            result[row] = logprobs
    return result


def train_on(trainer, sequences, advantages, old, job: dict, pad_token_id: int) -> dict[str, float]:
    """Gradients of one update, micro-batch by micro-batch; the loss is normalised over the whole update."""
    lengths = [len(prompt) + len(response) for prompt, response, _ in sequences]
    n_tokens = sum(len(response) for _, response, _ in sequences)
    figures = {"loss": 0.0, "entropy": 0.0, "logprob_gap": 0.0}
    for rows in engine.by_length(lengths, job["microbatch_size"]):
        input_ids = engine.pad_right([sequences[row][0] + sequences[row][1] for row in rows], pad_token_id)
        mask = engine.response_mask([len(sequences[row][0]) for row in rows], [lengths[row] for row in rows])
        logits = engine.policy_logits(trainer.model, input_ids, job["temperature"])
        logprobs = engine.chosen_logprobs(logits, input_ids)
        before = (
            logprobs.detach() if old is None else torch.stack([old[row][: mask.shape[1]] for row in rows])
        )
        losses = objectives.policy_loss(
            logprobs,
            before,
            torch.tensor([[advantages[row]] for row in rows], device=logprobs.device),
            clip_low=job["clip_low"],
            clip_high=job["clip_high"],
            dual_clip=job["dual_clip"],
        )
        entropy = objectives.token_entropy(logits)
        loss = objectives.aggregate(
            losses - job["entropy_coef"] * entropy,
            mask,
            job["aggregation"],
            n_tokens=n_tokens,
            n_sequences=len(sequences),
            max_tokens=job["max_new_tokens"],
        )
        trainer.backward(loss)
        figures["loss"] += loss.item()
        figures["entropy"] += float((entropy.detach() * mask).sum()) / n_tokens
        sampled = torch.zeros_like(logprobs)
        for index, row in enumerate(rows):
            start = len(sequences[row][0]) - 1
            sampled[index, start : start + len(sequences[row][2])] = torch.tensor(sequences[row][2])
        figures["logprob_gap"] += float(((logprobs.detach() - sampled).abs() * mask).sum()) / n_tokens
    return figures


def token_sums(groups: list[Group]) -> tuple[int, int]:
    """Sum of the sequence lengths, and of their squares, over all rollouts (for the FLOPs)."""
    lengths = [
        len(group.prompt["token_ids"]) + len(rollout.token_ids)
        for group in groups
        for rollout in group.rollouts
    ]
    return sum(lengths), sum(length**2 for length in lengths)


def step_log(step: int, batch: Batch, figures: dict[str, float]) -> dict:
    """One line of the run's log."""
    answers = [rollout for group in batch.generated for rollout in group.rollouts]
    statuses = [status for group in batch.generated for status in group.statuses]
    return {
        "step": step,
        "reward": sum(sum(group.rewards) for group in batch.generated) / len(answers),
        "rounds": batch.rounds,
        **batch.counts,
        "trained_groups": len(batch.groups),
        "response_tokens": sum(len(answer.token_ids) for answer in answers) / len(answers),
        "truncated": sum(answer.truncated for answer in answers) / len(answers),
        **{status: statuses.count(status) for status in scores.STATUSES},
        **figures,
    }


def run(job: dict, base: str, sft: str | None, prompts: str, benchmarks: str, out: str, state: str) -> None:
    """Trains; writes ``model/``, ``samples.parquet``, ``points.csv`` and ``run.json``, whatever the end.

    A run without a mixed group left ends as ``exhausted``, one with a non-finite loss as
    ``diverged``; both keep the last good model and exit well.  ``points.csv`` is in the state, too,
    as far as the run has got.
    """
    start = resolve_start(job, base, sft)
    inputs = {"start": f"{start['model']}/model.safetensors", "prompts": prompts, "benchmarks": benchmarks}
    this = Run(job, inputs, state)
    engine.configure(job["seed"])
    model, tokenizer = models.load(start["model"])
    trainer = engine.for_job(model, job)
    progress = {"step": 0, "cursor": 0, "flops": 0.0, "log": [], "evaluated": {}, "status": "running"}
    if this.checkpoint.exists():
        progress = trainer.load(this.checkpoint)
        print(f"resumed at step {progress['step']}", flush=True)
    if job["updates_per_step"] == 1 and job["clip_low"] is not None:
        print("one update per step: the ratio is 1 and the clip range cannot act", flush=True)
    rows = pd.read_parquet(prompts)
    questions = [
        {
            "id": row.id,
            "answer": evaluation.gold(row.answer),
            "token_ids": models.render_prompt(tokenizer, row.problem, job["template"]),
        }
        for row in rows.itertuples()
    ]
    problems = pd.read_parquet(benchmarks)
    show = Progress("rl", job["steps"])
    while progress["status"] == "running":
        train_until_evaluation(trainer, tokenizer, questions, problems, job, progress, this, show, start)
        trainer.save(this.checkpoint, progress)
    finish(trainer, tokenizer, job, progress, this, start, out)


def train_until_evaluation(trainer, tokenizer, questions, problems, job, progress, this, show, start) -> None:
    """One step, after the monitoring evaluation that is due before it (and at the very end)."""
    step, model = progress["step"], trainer.model
    if step % job["eval_every"] == 0 or step == job["steps"]:
        path = this.state / f"monitor_{step}.parquet"
        where = paths.RL.format(**job), step
        samples = evaluation.evaluate(model.eval(), tokenizer, problems, "monitor", job["evaluation"], *where)
        tables.write_parquet(samples, path)
        progress["evaluated"][str(step)] = progress["flops"] / flops.EXA
        tables.write_csv(points_so_far(job, progress, this, start)[0], this.state / "points.csv")
    if step == job["steps"]:
        progress["status"] = "finished"
        return
    for _ in range(min(job["save_every"], job["steps"] - step, job["eval_every"] - step % job["eval_every"])):
        if not train_step(trainer, tokenizer, questions, job, progress, this):
            return
        show(progress["step"], **{key: progress["log"][-1][key] for key in ("reward", "rounds", "entropy")})


def train_step(trainer, tokenizer, questions, job: dict, progress: dict, this: Run) -> bool:
    """One RL step; False when the run ends early."""
    step, model = progress["step"], trainer.model
    batch = fill_batch(
        lambda first, count: generate(model, tokenizer, questions, job, step, first, count),
        progress["cursor"],
        batch_size=job["batch_size"],
        generation_batch=job["generation_batch"],
        max_rounds=job["max_rounds"],
        filtered=job["dynamic_sampling"],
        on_unfilled=job["on_unfilled"],
    )
    progress["cursor"] = batch.cursor
    if not batch.groups and job["on_unfilled"] != "skip":
        progress["status"] = "exhausted"
        return False
    figures = update(trainer, batch.groups, job, tokenizer.pad_token_id) if batch.groups else {}
    if batch.groups and not math.isfinite(figures["loss"]):
        progress["status"] = "diverged"
        return False
    architecture = flops.Architecture.from_config(model.config.to_dict())
    progress["flops"] += flops.rl_step_logged(
        architecture, token_sums(batch.generated), token_sums(batch.groups), accounting="retu"
    )
    progress["step"] = step + 1
    progress["log"].append(step_log(step + 1, batch, {"loss": 0.0, "entropy": 0.0} | figures))
    return True


def checkpoint_record(run: str, step: int, exaflops: float, start: dict) -> dict:
    """What a checkpoint of the run is, and the compute it took."""
    total = exaflops + start["sft_exaflops"]
    return {"run": run, "phase": "rl", "step": step, "exaflops": exaflops, "exaflops_total": total}


def points_so_far(job: dict, progress: dict, this: Run, start: dict) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of ``curves.csv`` of every evaluation so far, and their samples."""
    name, points, samples = paths.RL.format(**job), [], []
    for step, exaflops in progress["evaluated"].items():
        rows = pd.read_parquet(this.state / f"monitor_{step}.parquet")
        record = checkpoint_record(name, int(step), exaflops, start)
        points.append(scores.points(rows, record, job["out_of_distribution"]))
        samples.append(rows)
    return pd.concat(points), pd.concat(samples)


def finish(trainer, tokenizer, job, progress, this, start, out: str) -> None:
    """Every declared output."""
    name = paths.RL.format(**job)
    table, samples = points_so_far(job, progress, this, start)
    card = f"# {name}, step {progress['step']}\n\nMade by Switchpoint from {start['model']}.\n"
    exaflops = progress["flops"] / flops.EXA
    record = checkpoint_record(name, progress["step"], exaflops, start) | this.origin()
    models.save(trainer.model, tokenizer, this.state / "model", card, record)
    this.publish("model", f"{out}/model")
    tables.write_parquet(samples, f"{out}/samples.parquet")
    tables.write_csv(table, f"{out}/points.csv")
    this.finish(
        f"{out}/run.json",
        progress["status"],
        start=start,
        steps=progress["step"],
        exaflops=exaflops,
        verdicts=evaluation.counts(samples),
        log=progress["log"],
    )
