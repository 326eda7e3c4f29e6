"""A step of our RL beside one of TRL's GRPOTrainer: 16 prompts x 8 rollouts, and one update.

``python benchmarks/rl_step.py [--size tiny|10M] [--turns 15]``.  ``tiny`` is the shipped base, which answers
shortly, and the same after a little SFT, whose answers have about 30 tokens; ``10M`` has random weights and
answers of a fixed length.  Both sides have the same weights, prompts, objective (token mean, clip range,
entropy bonus, advantages without the standard deviation), optimizer and reward, which costs nothing and marks
about half of the answers right.  Neither resamples.  Both draw their own tokens, so these are counted.

"Generation" is the call that samples; all else is the update: rewards, advantages, batches, forward and
backward pass, optimizer, logs.
"""

from pathlib import Path

import torch
from datasets import Dataset
from side_by_side import (
    PROBLEMS,
    STUDY,
    TRAINER,
    WARM_UP,
    Cost,
    InTurn,
    Stopwatch,
    compare,
    mean_tokens,
    median_seconds,
    rl_run,
    scratch_models,
    settings,
    show,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from switchpoint.grading import grader
from switchpoint.study.jobs import RlJob

PROMPTS, ROLLOUTS = 16, 8
LEARNING_RATE = 1e-6  # so small that both policies, and so their answers' lengths, stay as they are
LONGEST = 120
FIXED = 64  # tokens of every answer at random weights
PARTS = 64  # rollouts in a micro-batch of TRL's: the fastest of 16 .. 128, as is plain attention
NO_TOKEN = -1  # the end token where answers have a fixed length


def reward(text: str) -> bool:
    """Whether the text has an odd number of characters."""
    return len(text) % 2 == 1


class FreeGrader:
    """Stands in for the grader, whose cost is another benchmark's."""

    def grade(self, golds: list, texts: list[str], extraction: str) -> list[grader.Verdict]:
        """The reward of each text as a verdict."""
        return [grader.Verdict(reward(text), None, "graded") for text in texts]


class Ours:
    """An RL run of the study's GRPO, taken step by step."""

    def __init__(self, model: Path, scratch: Path, fixed: bool):
        job = STUDY.rl_job("grpo", "base", 0)
        limit = FIXED if fixed else LONGEST
        changed = {
            "batch_size": PROMPTS,
            "rollouts": ROLLOUTS,
            "optimizer": job.optimizer.model_copy(update={"learning_rate": LEARNING_RATE}),
            "sampling": job.sampling.model_copy(update={"max_new_tokens": limit}),
        }
        self.job = job.model_copy(update=changed)
        self.run = rl_run(self.job, model, scratch)
        if fixed:
            self.run.sampler.ends = {NO_TOKEN}
        self.run.sampler.sample = self.sample = Stopwatch(self.run.sampler.sample)
        self.generation: list[float] = []

    def step(self) -> None:
        """One step, and its share of generation."""
        self.run.step()
        self.generation.append(self.sample.read())

    @property
    def tokens(self) -> list[int]:
        """Response tokens of each step."""
        return [round(line["response_tokens"] * PROMPTS * ROLLOUTS) for line in self.run.state.log]


def arguments(job: RlJob, steps: int, scratch: Path, fixed: bool) -> GRPOConfig:
    """The trainer's arguments: our job's numbers."""
    numbers, optimizer, limit = job.numbers, job.optimizer, job.sampling.max_new_tokens
    beta1, beta2 = optimizer.betas
    return GRPOConfig(
        **TRAINER,
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=PARTS,
        gradient_accumulation_steps=job.batch_size * job.rollouts // PARTS,
        num_generations=job.rollouts,
        max_completion_length=limit,
        generation_kwargs={"min_new_tokens": limit} if fixed else None,
        temperature=job.sampling.temperature,
        shuffle_dataset=False,
        loss_type="dapo",
        scale_rewards="none",
        epsilon=numbers.clip_low,
        epsilon_high=numbers.clip_high,
        entropy_coef=numbers.entropy_coef,
        beta=0.0,
        learning_rate=optimizer.learning_rate,
        weight_decay=optimizer.weight_decay,
        adam_beta1=beta1,
        adam_beta2=beta2,
        max_grad_norm=optimizer.max_grad_norm,
    )


class Trl:
    """TRL's trainer, and its steps' tokens and generation."""

    def __init__(self, model: Path, ours: Ours, given: GRPOConfig):
        self.tokens: list[int] = []
        self.generation: list[float] = []
        self.turns = InTurn(ours.step)
        tokenizer = AutoTokenizer.from_pretrained(model)
        texts = tokenizer.apply_chat_template(
            [[{"role": "user", "content": problem}] for problem in PROBLEMS["problem"][:PROMPTS]],
            add_generation_prompt=True,
            tokenize=False,
        )
        assert tokenizer(texts)["input_ids"] == [one.token_ids for one in ours.run.questions]
        self.trainer = GRPOTrainer(
            AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager"),
            reward_funcs=self.reward,
            args=given,
            train_dataset=Dataset.from_dict({"prompt": texts * given.max_steps}),
            processing_class=tokenizer,
            callbacks=[self.turns],
        )
        self.trainer.remove_callback(PrinterCallback)
        self.trainer.model.generate = self.generate = Stopwatch(self.trainer.model.generate)

    def reward(self, completions: list[str], completion_ids: list[list[int]], **others) -> list[float]:
        """The rewards; notes the step's tokens and generation on the way."""
        self.tokens.append(sum(map(len, completion_ids)))
        self.generation.append(self.generate.read())
        return [float(reward(text)) for text in completions]


def parts(total: list[float], generation: list[float], tokens: list[int]) -> dict[str, list[Cost]]:
    """The costs of each part, without the turns that warm up."""
    update = [whole - part for whole, part in zip(total, generation, strict=True)]
    columns = {"step": total, "generation": generation, "update": update}
    return {name: list(zip(spent, tokens, strict=True))[WARM_UP:] for name, spent in columns.items()}


def measure(name: str, model: Path, scratch: Path, turns: int, fixed: bool) -> list[list[str]]:
    """The table's rows of a model."""
    ours = Ours(model, scratch, fixed)
    trl = Trl(model, ours, arguments(ours.job, WARM_UP + turns, scratch, fixed))
    trl.trainer.train()
    mine = parts(trl.turns.ours, ours.generation, ours.tokens)
    theirs = parts(trl.turns.theirs, trl.generation, trl.tokens)
    return [
        [
            name,
            part,
            mean_tokens(mine[part]),
            mean_tokens(theirs[part]),
            median_seconds(mine[part]),
            median_seconds(theirs[part]),
            compare(mine[part], theirs[part]),
        ]
        for part in mine
    ]


def main() -> None:
    """Measures the models of the asked size and prints the table."""
    options = settings(__doc__, ["trl"])
    grader.shared = FreeGrader
    rows = []
    with scratch_models(options.size) as directories:
        scratch = directories.pop("scratch")
        for name, model in directories.items():
            rows += measure(name, model, scratch, options.turns, fixed=options.size == "10M")
    show(["model", "part", "our tokens", "TRL's", "our seconds", "TRL's", "ratio per token"], rows)


if __name__ == "__main__":
    main()
