"""SIGKILL of a job or of Snakemake: the rerun ends where an uninterrupted run does, byte for byte."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from study import curves, pending, snakemake, snakemake_command

from switchpoint import files
from switchpoint.analysis.points import read_points

RL = "rl/grpo/base/seed_0"
SFT = "sft/S/seed_0"


def start_over(clone: Path, *jobs: str) -> None:
    """Takes the jobs' outputs away, and all that was made of them."""
    for name in (*jobs, "analysis", "report.html"):
        path = clone / "results/tiny" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def kill_when(clone: Path, pattern: str, victim: str | None) -> None:
    """Starts snakemake, waits for a state file, and kills the job (or snakemake with all its jobs)."""
    command, environment = snakemake_command()
    process = subprocess.Popen(
        command, cwd=clone, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(clone.glob(pattern)):
        assert process.poll() is None, f"snakemake ended before {pattern} was there"
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.01)
    if victim is None:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for child in psutil.Process(process.pid).children(recursive=True):
            if ["-m", "switchpoint", victim] == child.cmdline()[1:4]:
                child.kill()
    process.wait(timeout=240)
    assert process.returncode != 0


# The moments: at the start, half way, and trained but with nothing published.
@pytest.mark.parametrize(
    ("job", "moment", "victim"),
    [
        pytest.param(SFT, "attempts", "sft", marks=pytest.mark.soak),
        pytest.param(SFT, "step_4/model.safetensors", "sft", marks=pytest.mark.soak),
        pytest.param(SFT, "step_8/model.safetensors", "sft", marks=pytest.mark.soak),
        pytest.param(RL, "attempts", "rl", marks=pytest.mark.soak),
        pytest.param(RL, "state_*.json", "rl", marks=pytest.mark.soak),
        pytest.param(RL, "model/model.safetensors", "rl", marks=pytest.mark.soak),
        (RL, "state_*.json", None),
        pytest.param(SFT, "step_4/model.safetensors", None, marks=pytest.mark.soak),
    ],
)
def test_a_killed_study_ends_where_an_uninterrupted_one_does(finished, clone, job, moment, victim):
    start_over(clone, job)
    kill_when(clone, f"results/tiny/state/{job}/*/{moment}", victim)
    if victim is None:
        snakemake(clone, "--unlock")
    if moment == "state_*.json":  # a running job shows its points
        [so_far] = clone.glob(f"results/tiny/state/{job}/*/points.csv")
        assert read_points(so_far)["exaflops"].iloc[0] == 0
    assert not (clone / "results/tiny/analysis").exists()
    assert pending(clone)
    snakemake(clone)
    assert curves(clone) == curves(finished)
    steps = f"results/tiny/logs/{job}.jsonl"
    assert (clone / steps).read_bytes() == (finished / steps).read_bytes() != b""
    assert pending(clone) == {}


def test_a_job_whose_time_is_up_is_run_again_and_goes_on(clone):
    """Of a minute of ``runtime`` nothing is left but a step an attempt; the solver has four."""
    solver, steps = clone / "results/tiny/data/solver", 4
    before = (solver / f"step_{steps}/model.safetensors").read_bytes()
    shutil.rmtree(solver)
    targets = [f"results/tiny/data/solver/{name}" for name in ("run.json", f"step_{steps}/model.safetensors")]
    limited = ["--set-resources", "train_solver:runtime=1"]
    done = snakemake(clone, *targets, *limited, check=False)
    assert done.returncode != 0
    assert "saved at step 1; run the same command to go on" in done.stdout + done.stderr
    snakemake(clone, *targets, *limited, "--retries", str(steps))
    assert (solver / f"step_{steps}/model.safetensors").read_bytes() == before
    assert files.read_run(solver)["attempt"] == steps
    assert pending(clone, *targets) == {}
