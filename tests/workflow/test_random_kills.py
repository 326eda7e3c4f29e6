"""SIGKILL at random moments, of jobs and of Snakemake with all its jobs, from the first rule to the last."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from study import curves, make_clone, pending, snakemake, snakemake_command, tiny_config, weights
from test_kills import start_over

KILLS = 25


def kill_after(clone: Path, seconds: float, draw: random.Random) -> str | None:
    """Runs snakemake and kills something of it then: the command it was; None where it had ended before."""
    command, environment = snakemake_command()
    process = subprocess.Popen(
        command, cwd=clone, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline, running = None, []
    while deadline is None or time.monotonic() < deadline or not running:
        if process.poll() is not None:
            return None
        if (running := jobs_of(process)) and deadline is None:
            deadline = time.monotonic() + seconds  # planning does not count
        time.sleep(0.02)
    victim = draw.choice([None, *running])
    if victim is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=240)
        snakemake(clone, "--unlock")
        return "snakemake"
    stage, child = victim
    child.kill()
    process.wait(timeout=240)
    return stage


def jobs_of(process: subprocess.Popen) -> list[tuple[str, psutil.Process]]:
    """The running commands of the study, by their stage."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            words = child.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if words[1:3] == ["-m", "switchpoint"]:
            found.append((words[3], child))
    return found


@pytest.mark.soak
def test_random_kills_change_nothing(finished, tmp_path):
    clone, draw = make_clone(tmp_path / "clone", tiny_config()), random.Random(0)
    killed: list[str] = []
    while len(killed) < KILLS:
        if (stage := kill_after(clone, draw.uniform(0.1, 15), draw)) is not None:
            killed.append(stage)
        else:  # it was done
            start_over(clone, "sft", "rl", "evaluations")
    snakemake(clone)
    print(killed)
    assert len(set(killed)) > 3, killed
    assert curves(clone) == curves(finished)
    assert weights(clone) == weights(finished)
    assert pending(clone) == {}
