"""The tiny base model: pretrained from nothing on generated documents, in about three CPU minutes.

Two stages: arithmetic facts and the look of a problem first, then worked solutions
from an unreliable "web".  The model ends up answering directly and badly, while writing
the steps out is latent in it; SFT elicits that.
"""

import math

from switchpoint.data import step_lists
from switchpoint.training import models

CARD = """# Tiny base model

A Llama of 124,000 parameters for step-list arithmetic, pretrained by Switchpoint's rule
`make_base` on generated documents: arithmetic facts, direct answers and worked solutions,
about half of whose results are wrong. `run.json` records how it was made.
"""


def pretrain(seed: int, stages: list[dict], log=print):
    """(model, tokenizer) after the stages; each has steps, batch_size, learning_rate, facts_share, n_steps."""
    from switchpoint.training.engine import torch as engine

    engine.configure(seed)
    tokenizer = models.make_tokenizer()
    model = models.make_tiny_llama(tokenizer)
    for number, stage in enumerate(stages, start=1):
        total = stage["steps"]
        trainer = engine.Engine(
            model,
            learning_rate=stage["learning_rate"],
            weight_decay=0.01,
            betas=(0.9, 0.95),
            max_grad_norm=1.0,
            schedule=lambda step, total=total: (
                min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / total))
            ),
        )
        for step in range(total):
            documents = [
                step_lists.pretraining_document(
                    f"{seed}-{number}-{step}-{row}", number, stage["facts_share"], tuple(stage["n_steps"])
                )
                for row in range(stage["batch_size"])
            ]
            sequences = tokenizer(documents)["input_ids"]
            loss = train_on(trainer, sequences, tokenizer.pad_token_id)
            if (step + 1) % 100 == 0:
                log(f"stage {number} step {step + 1}/{total} loss {loss:.4f}")
    return model, tokenizer


def train_on(trainer, sequences: list[list[int]], pad_token_id: int) -> float:
    """One update on the mean negative log-likelihood of all tokens but each document's first."""
    from switchpoint.training.engine import torch as engine

    lengths = [len(ids) for ids in sequences]
    n_tokens, total = sum(lengths) - len(lengths), 0.0
    for rows in engine.by_length(lengths, size=16):
        input_ids = engine.pad_right([sequences[row] for row in rows], pad_token_id)
        mask = engine.response_mask([1] * len(rows), [lengths[row] for row in rows])
        loss = -(engine.token_logprobs(trainer.model, input_ids) * mask).sum() / n_tokens
        trainer.backward(loss)
        total += loss.item()
    trainer.update()
    return total
