"""Attempts at short SFT and RL jobs, each in a process of its own that can be killed."""

import multiprocessing
import os
import sys
import time
import zlib
from multiprocessing import forkserver
from pathlib import Path

import pandas as pd

from switchpoint.data import step_lists
from switchpoint.errors import StoppedError
from switchpoint.grading import grader
from switchpoint.study import config as studies
from switchpoint.study.algorithms import ALGORITHMS
from switchpoint.study.expand import Expansion
from switchpoint.training import sft
from switchpoint.training.engine.torch import Engine
from switchpoint.training.limit import Limit
from switchpoint.training.rl import loop

ROOT = Path(__file__).parents[3]
BASE = str(ROOT / "src/switchpoint/tiny-base")
JOBS = ["sft", *ALGORITHMS]
STEPS, SAVED = 12, [5, 12]
PAUSE = 0.02  # seconds before each step, so that a signal comes amid them on a fast machine, too


class Judge:
    """A grader without processes, for which about half of the responses are right."""

    def grade(self, golds, responses, extraction) -> list[grader.Verdict]:
        """The verdict on every response."""
        return [grader.Verdict(zlib.crc32(text.encode()) % 2 == 0, None, "graded") for text in responses]


def study(algorithm: str) -> Expansion:
    """Short jobs: two steps of SFT are an epoch, and three of RL more than one."""
    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    config["sft"]["S"] |= {"steps": STEPS, "save_steps": SAVED, "batch_size": 4, "seeds": [0]}
    config["rl"] |= {
        "steps": STEPS, "batch_size": 3, "generation_batch": 4, "max_rounds": 2, "rollouts": 4, "eval_every": 4,
        "max_new_tokens": 30,
    }  # fmt: skip
    config["evaluation"] |= {"monitor_samples": 1, "max_new_tokens": 30}
    config["arms"] = [{"algorithm": algorithm, "starts": ["base"]}]
    return Expansion(studies.parse(config))


def run(job: str, directory: Path, limit: Limit) -> None:
    """One attempt; the inputs are made where they are not there."""
    names = ("data", "validation", "prompts", "benchmarks")
    data, validation, prompts, benchmarks = (str(directory / f"{name}.parquet") for name in names)
    if not Path(benchmarks).exists():
        rows = pd.DataFrame(step_lists.make_problems(0, "kills", 24, (2, 3), [1]))
        rows[:8].to_parquet(data)
        rows[8:14].to_parquet(validation)
        rows[:8].to_parquet(prompts)
        rows[14:].assign(benchmark="gsm", split="monitor").to_parquet(benchmarks)
    out, state = str(directory / "out"), str(directory / "state")
    if job == "sft":
        asked = study("grpo").sft_job("S", 0)
        sft.run(asked, SAVED, BASE, data, validation, out, state, save_every=2, limit=limit)
    else:
        asked = study(job).rl_job(job, "base", 0)
        loop.run(asked, BASE, prompts, benchmarks, out, state, loop.Options(save_every=2), limit)


def attempt(job: str, directory: Path, deadline: float | None) -> None:
    """One attempt in this process, as the command makes it."""
    with open(directory / "log", "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    step = Engine.step
    Engine.step = lambda *args: time.sleep(PAUSE) or step(*args)
    grader.shared = Judge
    grader.close_shared = lambda: None
    try:
        run(job, directory, Limit.of_process(deadline))
    except StoppedError as stop:
        print(stop, flush=True)
        sys.exit(os.EX_TEMPFAIL)


def start(job: str, directory: Path, deadline: float | None = None) -> multiprocessing.Process:
    """An attempt in a process that is forked from one which has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["attempts"])
    kept = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    forkserver.ensure_running()
    if kept is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = kept
    process = context.Process(target=attempt, args=(job, directory, deadline))
    process.start()
    return process
