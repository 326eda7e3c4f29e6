"""The tiny base model: pretrained from nothing on generated documents, in about three CPU minutes.

Two stages: arithmetic facts and the look of a problem first, then worked solutions
from an unreliable "web".  The model ends up answering directly and badly, while writing
the steps out is latent in it; SFT elicits that.
"""

import math
from pathlib import Path

from switchpoint.data import step_lists
from switchpoint.study.config import Optimizer, PretrainingStage
from switchpoint.study.jobs import BaseJob
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence, TokenBatch
from switchpoint.training.engine.torch import Engine, configure
from switchpoint.training.job_run import JobRun
from switchpoint.training.rl.objectives import sft_loss

WARMUP = 50  # steps
CARD = """# Tiny base model

A Llama of 124,000 parameters for step-list arithmetic, pretrained by Switchpoint's rule
`make_base` on generated documents: arithmetic facts, direct answers and worked solutions,
about half of whose results are wrong. `run.json` records how it was made.
"""


def run(job: BaseJob, out: str, state: str) -> None:
    """Pretrains and publishes the model directory."""
    made = JobRun(job, {}, state)
    model, tokenizer = pretrain(job)
    models.save(model, tokenizer, made.state / "model", CARD, made.origin())
    made.publish("model", out)
    made.finish(Path(out) / "run.json", "finished")


def pretrain(job: BaseJob):
    """(model, tokenizer) after the stages."""
    configure(job.seed)
    tokenizer = models.make_tokenizer()
    model = models.make_tiny_llama(tokenizer)
    for number, stage in enumerate(job.stages, start=1):
        optimizer = Optimizer(learning_rate=stage.learning_rate, microbatch_size=16)
        engine = Engine(
            model,
            optimizer,
            tokenizer.pad_token_id,
            schedule=lambda step, total=stage.steps: (
                min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / total))
            ),
        )
        for step in range(stage.steps):
            texts = documents(job.seed, number, step, stage)
            sequences = [Sequence(ids[:1], ids[1:]) for ids in tokenizer(texts)["input_ids"]]
            figures = engine.step(sequences, mean_loss)
            if (step + 1) % 100 == 0:
                print(f"stage {number} step {step + 1}/{stage.steps} loss {figures['loss']:.4f}", flush=True)
    return model, tokenizer


def documents(seed: int, number: int, step: int, stage: PretrainingStage) -> list[str]:
    """The texts of one step of stage ``number``."""
    return [
        step_lists.pretraining_document(
            f"{seed}-{number}-{step}-{row}", number, stage.facts_share, stage.n_steps
        )
        for row in range(stage.batch_size)
    ]


def mean_loss(batch: TokenBatch):
    """Mean negative log-likelihood of all tokens but each document's first."""
    return sft_loss(batch.logprobs, batch.mask, batch.n_tokens), {}
