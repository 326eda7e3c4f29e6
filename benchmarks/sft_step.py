"""A step of our SFT beside one of transformers' Trainer and one of TRL's SFTTrainer.

``python benchmarks/sft_step.py [--size tiny|10M] [--turns 15]``.  All take the same examples in the same
batches of 32, the same weights, loss (token mean over the responses) and optimizer; that their mean losses
agree is shown.  The peers are measured with batches of similar length as well, which pad less and are other
batches, and SFTTrainer with TRL's packing, whose rows are of the longest example's length and which takes as many
rows as hold a batch's tokens.  Tokens are those of prompts and responses, padding not counted; padding is the share
of a peer's rows.  Ours are packed without any: every prompt and response is rows of the matrix products, and only
attention pads, within ``llama.WASTE``.  The peers get token ids, so nobody
tokenizes; Trainer gets no attention mask, which right padding does not need and which would cost it time.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
from datasets import Dataset
from side_by_side import (
    TRAINER,
    WARM_UP,
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

# Of a peer's examples: Trainer's argument, and what the table calls it.
ORDERS = {"sequential": "the same", "group_by_length": "by length", "packed": "packed"}
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


def arguments(run: SftRun, steps: int, scratch: Path, strategy: str) -> dict:
    """The trainers' arguments: our job's numbers, and in which order the examples come."""
    numbers = run.job.optimizer
    lengths = [len(one) for one in run.examples]
    packed = {"packing": True, "max_length": max(lengths)} if strategy == "packed" else {}
    rows = run.job.batch_size * sum(lengths) / len(lengths) / max(lengths) if packed else run.job.batch_size
    beta1, beta2 = numbers.betas
    return (
        TRAINER
        | packed
        | {
            "output_dir": str(scratch),
            "max_steps": steps,
            "per_device_train_batch_size": max(round(rows), 1),
            "train_sampling_strategy": "sequential" if packed else strategy,
            "learning_rate": numbers.learning_rate,
            "weight_decay": numbers.weight_decay,
            "adam_beta1": beta1,
            "adam_beta2": beta2,
            "max_grad_norm": numbers.max_grad_norm,
        }
    )


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


class Counting:
    """A collator that notes the tokens of each batch, and those with padding."""

    def __init__(self, function: Callable[[list[dict]], dict]):
        self.function, self.tokens, self.padded = function, [], 0

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        self.tokens.append(sum(len(one["input_ids"]) for one in examples))
        batch = self.function(examples)
        self.padded += batch["input_ids"].numel()
        return batch


def measure(model: Path, scratch: Path, turns: int, peer: str, strategy: str) -> list[str]:
    """The table's row of a peer."""
    steps = WARM_UP + turns
    run, losses = sft_run(model, scratch), []
    size = run.job.batch_size
    examples = [run.examples[row] for row in order.rows(len(run.examples), run.job.seed, 0, size * steps)]
    trainer = make_trainer(peer, model, examples, arguments(run, steps, scratch, strategy))
    trainer.remove_callback(PrinterCallback)
    trainer.data_collator = counting = Counting(trainer.data_collator)
    trainer.add_callback(in_turn := InTurn(lambda: losses.append(run.step()["loss"])))
    loss = trainer.train().training_loss
    tokens = [sum(map(len, examples[at : at + size])) for at in range(0, len(examples), size)]
    ours = list(zip(in_turn.ours, tokens, strict=True))[WARM_UP:]
    theirs = list(zip(in_turn.theirs, counting.tokens, strict=False))[WARM_UP:]  # it collates one ahead
    mean = sum(losses) / steps
    return [
        peer,
        ORDERS[strategy],
        f"{mean:.4f}",
        f"{loss:.4f}",
        f"{1 - sum(counting.tokens) / counting.padded:.0%}",
        rate(ours),
        rate(theirs),
        compare(ours, theirs),
    ]


def main() -> None:
    """Measures the model of the asked size and prints the table."""
    options = settings(__doc__, ["trl"])
    with scratch_models(options.size) as directories:
        model, scratch = directories["base" if options.size == "tiny" else "10M"], directories["scratch"]
        rows = [
            measure(model, scratch, options.turns, peer, strategy)
            for peer in ("Trainer", "SFTTrainer")
            for strategy in ORDERS
            if (peer, strategy) != ("Trainer", "packed")
        ]
    show(
        [
            "peer",
            "its batches",
            "our loss",
            "its loss",
            "its padding",
            "our tokens/s",
            "its tokens/s",
            "ratio per token",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
