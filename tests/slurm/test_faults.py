"""Jobs that are cancelled or whose time is over, and a Snakemake that is killed: the study ends as if nothing had been."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from bed import ask
from cluster import jobs, run, start, trainers, wait
from study import curves, snakemake_command, weights

from switchpoint import files

GRPO = "results/tiny/rl/grpo/base/seed_0"


def take_away(clone, *names: str) -> None:
    """Removes results, the analysis with them."""
    for name in names:
        shutil.rmtree(clone / "results/tiny" / name)
    shutil.rmtree(clone / "results/tiny/analysis", ignore_errors=True)


def is_as(clone, local) -> bool:
    """Whether the study ended where the undisturbed one did, with every step's figures."""
    logs = [path.relative_to(local) for path in (local / "results").glob("**/logs/rl/**/*.jsonl")]
    steps = all((clone / path).read_bytes() == (local / path).read_bytes() for path in logs)
    return curves(clone) == curves(local) and weights(clone) == weights(local) and steps and len(logs) == 3


def command(clone, *words: str) -> str:
    """What one of our commands prints."""
    done = subprocess.run(
        [sys.executable, "-m", "switchpoint", *words],
        cwd=clone, env=snakemake_command()[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_cancelled_job_saves_and_one_hits_its_time_limit_twice(clone, local):
    """SIGTERM goes from SLURM by srun and the nested Snakemake to Python, which saves: no state is due before.

    Of a minute nothing is left but a step an attempt; the run of SFT has three.
    """
    for name in ("sft/Full", "rl/dapo_dc/Full-3", "rl/grpo"):
        take_away(clone, name, f"evaluations/{name}")
    state = clone / "results/tiny/state/rl/grpo/base/seed_0"
    process = start(clone, "--set-resources", "sft_Full:runtime=1")
    wait(lambda: list(state.glob("*/points.csv")))
    [number] = [number for number, title in jobs(clone, "RUNNING").items() if title == "rl grpo_base_0"]
    assert not list(state.glob("*/state_*.json"))
    ask("scancel", number)
    wait(lambda: list(state.glob("*/state_*.json")), 30)
    assert process.wait(600) == 0, (clone / "snakemake.log").read_text()[-3000:]
    assert files.read_run(clone / GRPO)["attempt"] == 2
    submitted = list(jobs(clone).values())
    assert (submitted.count("rl grpo_base_0"), submitted.count("sft_Full 0")) == (2, 3)
    assert files.read_run(clone / "results/tiny/sft/Full/seed_0")["attempt"] == 3
    assert is_as(clone, local)


@pytest.mark.parametrize("how", ["cancelled", pytest.param("waited for", marks=pytest.mark.soak)])
def test_a_snakemake_that_was_killed_is_recovered(clone, local, how):
    take_away(clone, "rl", "evaluations/rl")
    process = start(clone)

    def stand_still() -> bool:
        for pid in trainers(clone):
            os.kill(pid, signal.SIGSTOP)
        return len(trainers(clone)) == 3

    wait(stand_still)
    assert "Snakemake runs here" in command(clone, "recover")
    assert "running    rl" in command(clone, "status")
    refused = run(clone, check=False)
    assert refused.returncode != 0
    assert "cannot be locked" in refused.stdout + refused.stderr
    assert f"Another Snakemake runs in this folder (process {process.pid})" in refused.stderr
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for pid in trainers(clone):
        os.kill(pid, signal.SIGCONT)
    said = command(clone, "recover", *(["--wait"] if how == "waited for" else []))
    assert f"{how} 3 orphaned jobs" in said
    assert "removed Snakemake's lock" in said
    assert not jobs(clone, "RUNNING", "COMPLETING", "PENDING")
    assert "nothing to recover" in command(clone, "recover")
    run(clone)
    assert is_as(clone, local)
    attempts = {
        files.read_run(path.parent)["attempt"] for path in clone.glob("results/tiny/rl/*/*/*/run.json")
    }
    assert attempts == ({1} if how == "waited for" else {2})
    assert "nothing pending" in command(clone, "status")
