"""The SFT run: checkpoints at the listed steps, the validation loss at step 0 and at each.

The order of the examples is a function of (seed, epoch) and every state is saved with
its step, so a killed run resumes and ends where an uninterrupted one would.

Deviations: the loss is the token mean over the whole optimizer batch (RETU Eq. 1 sums;
the official code averages per micro-batch); the validation loss is the exact token mean
over all validation examples, with its standard error over examples.
"""

import math
from pathlib import Path

import pandas as pd
import torch

from switchpoint import files, flops, tables
from switchpoint.data import order
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.training import models
from switchpoint.training.engine import torch as engine
from switchpoint.training.job_run import Progress, Run
from switchpoint.training.rl.objectives import sft_loss
from switchpoint.training.rollouts import torch as rollouts

STOP_CHECKS = 16  # responses sampled after training, of which one has to end


def encode(tokenizer, rows: pd.DataFrame, job: dict) -> tuple[list[tuple[list[int], list[int]]], int]:
    """(prompt ids, response ids) of each row, cut to ``job["max_length"]``, and how many were cut."""
    examples, cut, max_length = [], 0, job["max_length"]
    for problem, solution in zip(rows["problem"], rows["solution"], strict=True):
        prompt = models.render_prompt(tokenizer, problem, job["template"])
        response = models.render_response(tokenizer, solution)
        cut += len(prompt) + len(response) > max_length
        examples.append((prompt, response[: max(max_length - len(prompt), 0)]))
    if any(not response for _, response in examples):
        raise InputError(f"a prompt fills all {max_length} tokens; raise model.max_length")
    return examples, cut


def learning_rate_factor(job: dict, step: int) -> float:
    """Warm-up, then constant, or cosine to 0 over the whole run."""
    warmup = job["warmup"] * job["steps"]
    if step < warmup:
        return (step + 1) / warmup
    if job["schedule"] == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(job["steps"] - warmup, 1)))


def losses_of(model, examples, microbatch_size: int, pad_token_id: int):
    """Per micro-batch: rows, token log-probabilities and mask of (prompt, response) examples."""
    lengths = [len(prompt) + len(response) for prompt, response in examples]
    for rows in engine.by_length(lengths, microbatch_size):
        sequences = [examples[row][0] + examples[row][1] for row in rows]
        input_ids = engine.pad_right(sequences, pad_token_id)
        mask = engine.response_mask([len(examples[row][0]) for row in rows], [lengths[row] for row in rows])
        yield rows, engine.token_logprobs(model, input_ids), mask


@torch.no_grad()
def validation_loss(
    model, examples, microbatch_size: int, pad_token_id: int
) -> tuple[float, float, list[float]]:
    """Exact token mean over all examples (nats), its standard error over them, and the sum of each."""
    negative, tokens = torch.zeros(len(examples)), torch.zeros(len(examples))
    for rows, logprobs, mask in losses_of(model, examples, microbatch_size, pad_token_id):
        negative[rows] = -(logprobs * mask).sum(1).cpu()
        tokens[rows] = mask.sum(1).cpu()
    loss = float(negative.double().sum() / tokens.double().sum())
    residual = (negative - loss * tokens).double()  # ratio estimator
    error = float(residual.std() * math.sqrt(len(examples)) / tokens.double().sum())
    return loss, error, negative.tolist()


def train_step(
    trainer: engine.Engine, examples, microbatch_size: int, pad_token_id: int
) -> tuple[float, float]:
    """One optimizer update; returns the loss (token mean of the batch) and the gradient norm."""
    n_tokens = sum(len(response) for _, response in examples)
    total = 0.0
    for _, logprobs, mask in losses_of(trainer.model, examples, microbatch_size, pad_token_id):
        loss = sft_loss(logprobs, mask, n_tokens)
        trainer.backward(loss)
        total += loss.item()
    return total, trainer.update()


def run(job: dict, base: str, data: str, validation: str, out: str, state: str) -> None:
    """Trains and publishes.

    Writes ``step_<n>/`` model directories, ``losses.csv``, ``validation.parquet`` (the loss of each example),
    ``selection.json`` and ``run.json``; ``losses.csv`` is in the state, too, as far as the run has got.
    """
    inputs = {"data": data, "validation": validation, "base": f"{base}/model.safetensors"}
    this = Run(job, inputs, state)
    engine.configure(job["seed"])
    model, tokenizer = models.load(base)
    pad, size = tokenizer.pad_token_id, job["microbatch_size"]
    examples, cut = encode(tokenizer, pd.read_parquet(data), job)
    held_out_rows = pd.read_parquet(validation)
    held_out, held_out_cut = encode(tokenizer, held_out_rows, job)
    trainer = engine.for_job(model, job, schedule=lambda step: learning_rate_factor(job, step))
    progress = {"losses": [], "nll": [], "tokens": 0, "squared": 0}
    if this.checkpoint.exists():
        progress = trainer.load(this.checkpoint)
        print(f"resumed at step {trainer.steps}", flush=True)
    architecture, name = flops.architecture(base), paths.SFT.format(**job)
    show = Progress("sft", job["steps"])
    saves = set(job["save_steps"])

    def validate(exaflops: float) -> None:
        loss, error, nll = validation_loss(model, held_out, size, pad)
        progress["losses"].append([trainer.steps, loss, error, exaflops])
        progress["nll"].append(nll)
        tables.write_csv(losses_table(progress["losses"], name), this.state / "losses.csv")

    if not progress["losses"]:
        validate(0.0)
    while trainer.steps < max(saves):
        first = trainer.steps * job["batch_size"]
        batch = [examples[row] for row in order.rows(len(examples), job["seed"], first, job["batch_size"])]
        loss, norm = train_step(trainer, batch, size, pad)
        lengths = [len(prompt) + len(response) for prompt, response in batch]
        progress["tokens"] += sum(lengths)
        progress["squared"] += sum(length**2 for length in lengths)
        show(trainer.steps, loss=loss, norm=norm)
        if trainer.steps in saves:
            cost = 3 * flops.forward_tokens(architecture, progress["tokens"], progress["squared"], "retu")
            validate(cost / flops.EXA)
            card = f"# {name}, step {trainer.steps}\n\nMade by Switchpoint from {base}.\n"
            models.save(model, tokenizer, this.state / f"step_{trainer.steps}", card, {
                "run": name, "phase": "sft", "step": trainer.steps, "exaflops": cost / flops.EXA,
                "exaflops_total": cost / flops.EXA, **this.origin(),
            })  # fmt: skip
            trainer.save(this.checkpoint, progress)
    check_stops(model.eval(), tokenizer, held_out, job)
    for step in job["save_steps"]:
        this.publish(f"step_{step}", f"{out}/step_{step}")
    write_losses(progress, list(held_out_rows["id"]), held_out, name, Path(out))
    figures = {"tokens": progress["tokens"], "truncated_examples": cut, "truncated_validation": held_out_cut}
    this.finish(Path(out) / "run.json", "finished", exaflops=progress["losses"][-1][3], **figures)


def check_stops(model, tokenizer, held_out, job: dict) -> None:
    """InputError when no sampled response ends: RL and evaluation of such a model are wasted compute."""
    prompts = [rollouts.Prompt(prompt, str(row)) for row, (prompt, _) in enumerate(held_out[:STOP_CHECKS])]
    longest = job["max_length"]
    responses = rollouts.sample(
        model,
        prompts,
        max_new_tokens=longest,
        temperature=1.0,
        seed=job["seed"],
        eos=models.end_tokens(model, tokenizer),
    )
    if all(response.truncated for response in responses):
        raise InputError(
            f"after SFT on {job['set']} none of {len(responses)} responses ended within {longest} tokens, so "
            "nothing was published; check that the end token is in generation_config.json and closes every "
            "solution, train longer, or raise model.max_length"
        )


def losses_table(losses: list[list], name: str) -> pd.DataFrame:
    """``losses.csv`` of the run ``name``: run, step, loss, se, exaflops."""
    table = pd.DataFrame(losses, columns=["step", "loss", "se", "exaflops"])
    table.insert(0, "run", name)
    return table


def write_losses(progress: dict, ids: list, held_out, name: str, out: Path) -> None:
    """``losses.csv``, ``validation.parquet`` (run, step, example, nll in nats, tokens), and the selection
    file of the named starts (step 0 is no start)."""
    table = losses_table(progress["losses"], name)
    tables.write_csv(table, out / "losses.csv")
    tokens = [len(response) for _, response in held_out]
    by_step = [
        pd.DataFrame({"run": name, "step": step, "example": ids, "nll": nll, "tokens": tokens})
        for step, nll in zip(table["step"], progress["nll"], strict=True)
    ]
    tables.write_parquet(pd.concat(by_step), out / "validation.parquet")
    saved = table[table["step"] > 0]
    best = saved.loc[saved["loss"].idxmin(), "step"]
    files.write_json(out / "selection.json", {"min_val_loss": int(best)})
