"""A step of our SFT beside one of transformers' Trainer and one of TRL's SFTTrainer.

``python benchmarks/sft_step.py [--size tiny|10M] [--turns 15]``.  All take the same examples in the same
batches of 32, the same weights, loss (token mean over the responses) and optimizer; that their mean losses agree is
shown.  Tokens are those of prompts and responses, padding not counted.  The peers get token ids, so nobody
tokenizes; Trainer gets no attention mask, which right padding does not need and which would cost it time.
"""

import itertools
from pathlib import Path

import torch
from datasets import Dataset
from side_by_side import (
    BASE,
    TRAINER,
    WARM_UP,
    Cost,
    InTurn,
    compare,
    rate,
    scratch_models,
    settings,
    sft_run,
    show,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from switchpoint.data import order
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.sft import SftRun

IGNORED = -100  # the label of a token without loss


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    """The rows, padded on the right."""
    return torch.tensor(list(zip(*itertools.zip_longest(*rows, fillvalue=value), strict=True)))


def collate(examples: list[dict]) -> dict[str, torch.Tensor]:
    """Trainer's batch."""
    return {
        "input_ids": pad([one["input_ids"] for one in examples], 0),
        "labels": pad([one["labels"] for one in examples], IGNORED),
    }


def arguments(run: SftRun, steps: int, scratch: Path) -> dict:
    """The trainers' arguments: our job's numbers."""
    numbers = run.job.optimizer
    beta1, beta2 = numbers.betas
    return TRAINER | {
        "output_dir": str(scratch),
        "max_steps": steps,
        "per_device_train_batch_size": run.job.batch_size,
        "train_sampling_strategy": "sequential",
        "learning_rate": numbers.learning_rate,
        "weight_decay": numbers.weight_decay,
        "adam_beta1": beta1,
        "adam_beta2": beta2,
        "max_grad_norm": numbers.max_grad_norm,
    }


def make_trainer(peer: str, model: Path, examples: list[Sequence], given: dict) -> Trainer:
    """The peer's trainer on the examples, in their order."""
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if peer == "Trainer":
        rows = [
            {"input_ids": one.prompt + one.response, "labels": [IGNORED] * len(one.prompt) + one.response}
            for one in examples
        ]
        return Trainer(theirs, TrainingArguments(**given), collate, rows)
    rows = [
        {
            "input_ids": one.prompt + one.response,
            "completion_mask": [0] * len(one.prompt) + [1] * len(one.response),
        }
        for one in examples
    ]
    return SFTTrainer(
        theirs,
        args=SFTConfig(**given, completion_only_loss=True, loss_type="chunked_nll"),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
    )


def measure(name: str, peer: str, model: Path, scratch: Path, turns: int) -> list[str]:
    """The table's row of a model and a peer."""
    steps = WARM_UP + turns
    run, losses = sft_run(model, scratch), []
    size = run.job.batch_size
    examples = [run.examples[row] for row in order.rows(len(run.examples), run.job.seed, 0, size * steps)]
    trainer = make_trainer(peer, model, examples, arguments(run, steps, scratch))
    in_turn = InTurn(lambda: losses.append(run.step()["loss"]))
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(in_turn)
    their_loss = trainer.train().training_loss
    tokens = [sum(map(len, examples[at : at + size])) for at in range(0, len(examples), size)]
    ours, theirs = (
        list(zip(spent, tokens, strict=True))[WARM_UP:] for spent in (in_turn.ours, in_turn.theirs)
    )
    loss = f"{sum(losses) / steps:.4f}, {their_loss:.4f}"
    return [name, peer, loss, rate(ours), rate(theirs), compare(ours, theirs)]


def main() -> None:
    """Measures the models of the asked size and prints the table."""
    options = settings(__doc__, ["trl"])
    with scratch_models(options.size) as directories:
        scratch = directories.pop("scratch")
        rows = [
            measure(name, peer, model, scratch, options.turns)
            for name, model in directories.items()
            for peer in ("Trainer", "SFTTrainer")
        ]
    show(["model", "peer", "mean losses", "ours, tokens/s", "peer, tokens/s", "peer / ours per token"], rows)


if __name__ == "__main__":
    main()
