"""What the benchmarks of speed share: models, measuring in turns, and the printed table.

What counts is the processor time of this process, on one thread, so that a busy machine changes little; ours
and the peer take turns, so that what is left of its changes meets both.  A ratio is the peer's cost per
token to ours in the same turn.
"""

import argparse
import contextlib
import importlib.metadata
import itertools
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pandas as pd
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
from transformers.utils import logging as transformers_logging

from switchpoint.data import step_lists
from switchpoint.study import config as studies
from switchpoint.study import templates
from switchpoint.study.expand import Expansion
from switchpoint.study.jobs import RlJob, Template
from switchpoint.training import models
from switchpoint.training.engine.torch import configure
from switchpoint.training.job_run import JobRun
from switchpoint.training.rl.loop import Options, RlRun, StartPoint
from switchpoint.training.sft import SftRun

warnings.simplefilter("ignore")  # those that the peers' imports raise come after this

ROOT = Path(__file__).parents[1]
BASE = ROOT / "src/switchpoint/tiny-base"
STUDY = Expansion(studies.load(ROOT / "config.yaml"))
TEMPLATE = Template(name="retu", sha256=templates.template_hash("retu"))
PROBLEMS = pd.DataFrame(step_lists.make_problems(0, "benchmark", 1000, (2, 6), [1, 2, 3]))
BATCH = 32  # examples of an SFT step
SFT_STEPS = 40  # after which answers have about 30 tokens
TEN_MILLION = {  # 9.5 million parameters
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": 1024,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
}
TURNS = {"tiny": 15, "10M": 3}
WARM_UP = 1  # turns that do not count
TRAINER = {  # of the peers: no logs, no checkpoints, float32, nothing computed twice
    "use_cpu": True,
    "dataloader_pin_memory": False,
    "bf16": False,
    "gradient_checkpointing": False,
    "report_to": "none",
    "logging_strategy": "no",
    "save_strategy": "no",
    "disable_tqdm": True,
    "lr_scheduler_type": "constant",
}

Cost = tuple[float, int]  # processor seconds, tokens


def settings(description: str, peers: list[str]) -> argparse.Namespace:
    """The command line; prints what is measured with what, and quiets the libraries."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--size", choices=["tiny", "10M"], default="tiny")
    parser.add_argument("--turns", type=int, help=f"Turns that count, by default {TURNS}.")
    options = parser.parse_args()
    options.turns = options.turns or TURNS[options.size]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # all are measured on the CPU
    logging.disable(logging.WARNING)
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
    configure(0)
    torch.set_num_threads(1)
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ["torch", "transformers", *peers]]
    print(f"{Path(sys.argv[0]).name} --size {options.size} --turns {options.turns}: {', '.join(versions)}\n")
    return options


@contextlib.contextmanager
def scratch_models(size: str) -> Iterator[dict[str, Path]]:
    """Model directories by name, and a scratch directory as ``scratch``."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if size == "tiny":
            yield {"base": BASE, "after SFT": fine_tuned(scratch), "scratch": scratch}
        else:
            yield {"10M": random_model(scratch / "10M"), "scratch": scratch}


def sft_run(model: Path, scratch: Path) -> SftRun:
    """An SFT run from a model, on the problems."""
    paths = {name: str(scratch / f"{name}.parquet") for name in ("data", "validation")}
    PROBLEMS.to_parquet(paths["data"])
    PROBLEMS[:32].to_parquet(paths["validation"])
    changed = {"batch_size": BATCH, "schedule": "constant", "warmup": 0.0}
    job = STUDY.sft_job("Full", 0).model_copy(update=changed)
    job_run = JobRun(job, paths, scratch / "state")
    return SftRun(job, [], job_run, str(model), paths["data"], paths["validation"])


def rl_run(job: RlJob, model: Path, scratch: Path) -> RlRun:
    """An RL run of the job from a model, on as many of the problems as a step takes."""
    rows, start = PROBLEMS[: job.batch_size], StartPoint(str(model), 0, 0.0, None)
    job_run = JobRun(job, {}, scratch / model.name)
    with contextlib.redirect_stdout(None):
        return RlRun(job, job_run, start, rows, rows, Options())


def fine_tuned(scratch: Path) -> Path:
    """The tiny base after a few dozen SFT steps."""
    run, directory = sft_run(BASE, scratch), scratch / "fine_tuned"
    for _ in range(SFT_STEPS):
        run.step()
    models.save(run.policy, directory, "", {})
    return directory


def random_model(directory: Path) -> Path:
    """A Llama of about ten million random parameters, with the tiny base's tokenizer."""
    tokenizer = models.load(BASE).tokenizer
    special = {
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=tokenizer.fast.get_vocab_size(), **special, **TEN_MILLION)
    ).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(BASE / name, directory / name)
    return directory


@contextlib.contextmanager
def as_installed() -> Iterator[None]:
    """Without the deterministic kernels that our jobs ask for: the peers' own setting."""
    torch.set_deterministic_debug_mode("default")
    yield
    torch.set_deterministic_debug_mode("error")


class Stopwatch:
    """A function whose processor seconds add up until they are read."""

    def __init__(self, function: Callable):
        self.function, self.seconds = function, 0.0

    def __call__(self, *args, **kwargs):
        before = time.process_time()
        result = self.function(*args, **kwargs)
        self.seconds += time.process_time() - before
        return result

    def read(self) -> float:
        """The seconds so far, which start again from 0."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


class InTurn(TrainerCallback):
    """After each step of the trainer's, one of ours; ``theirs`` and ``ours`` are their processor seconds.

    All that the trainer does counts, also between its steps.
    """

    def __init__(self, step: Callable[[], None]):
        self.step, self.theirs, self.ours = Stopwatch(step), [], []

    def on_train_begin(self, *args, **kwargs) -> None:
        """The trainer's turn."""
        torch.set_deterministic_debug_mode("default")
        self.since = time.process_time()

    def on_step_end(self, *args, **kwargs) -> None:
        """Our turn, then the trainer's."""
        self.theirs.append(time.process_time() - self.since)
        torch.set_deterministic_debug_mode("error")
        self.step()
        self.ours.append(self.step.read())
        self.on_train_begin()

    def on_train_end(self, *args, **kwargs) -> None:
        """Ours from here."""
        torch.set_deterministic_debug_mode("error")


def compare(ours: list[Cost], theirs: list[Cost]) -> str:
    """The median ratio of the peer's cost per token to ours in the same turn, and its middle half."""
    ratios = [
        (their_seconds / their_tokens) / (our_seconds / our_tokens)
        for (our_seconds, our_tokens), (their_seconds, their_tokens) in zip(ours, theirs, strict=True)
    ]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def median_seconds(costs: list[Cost]) -> str:
    """Median processor seconds of a turn."""
    return f"{statistics.median(spent for spent, _ in costs):.3g}"


def mean_tokens(costs: list[Cost]) -> str:
    """Mean tokens of a turn."""
    return f"{statistics.mean(tokens for _, tokens in costs):,.0f}"


def rate(costs: list[Cost]) -> str:
    """Median tokens per processor second."""
    return f"{statistics.median(tokens / spent for spent, tokens in costs):,.0f}"


def show(columns: list[str], rows: list[list[str]]) -> None:
    """Prints a table."""
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    for cells in itertools.chain([columns, rule], rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |")
    print(flush=True)
