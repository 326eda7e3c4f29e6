"""Jobs of several processes, by the rules' own commands: what they make, how they stop, and what they say."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from study import make_clone, snakemake, snakemake_command, tiny_config, weights

RUN = "results/tiny/sft/S/seed_0/run.json"
RL = "results/tiny/rl/grpo/base/seed_0/run.json"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A study of two processes, with an SFT and an RL run."""
    config = tiny_config()
    config["resources"] = {stage: {"processes": 2} for stage in ("sft", "rl")}
    config["rl"] |= {"steps": 2, "eval_every": 2}
    made = make_clone(tmp_path_factory.mktemp("two") / "clone", config)
    snakemake(made, RUN, RL)
    return made


def command_of(clone: Path, target: str) -> str:
    """The shell command that makes a file."""
    shown = snakemake(clone, target, "-n", "-p", "--forcerun", "sft_S").stdout
    line = next(line for line in shown.splitlines() if "launch 2 sft" in line and ">" in line)
    return line[line.index("python -m switchpoint.training.launch") :]


def environment() -> dict[str, str]:
    return snakemake_command()[1]


def test_the_rules_run_in_two_processes(clone):
    assert len(weights(clone)) == 3  # of two checkpoints and an RL run


def test_a_mistake_is_one_line_and_ends_with_its_code(clone):
    command = ["python", "-m", "switchpoint.training.launch", "2", "sft", "--job", "job.json", "--base", "x", "--data", "x",
               "--validation", "x", "--out", "x", "--state", "x", "--save-step", "1", "--log", "x.log"]  # fmt: skip
    (clone / "job.json").write_text("{}")
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 2
    assert "job.json is wrong" in done.stderr
    assert "Traceback" not in done.stderr
    assert "ChildFailedError" not in done.stderr


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_a_signal_saves_and_ends_with_75_and_leaves_no_process(clone, name):
    """And the run that follows ends where an uninterrupted one does."""
    before = weights(clone)
    command = command_of(clone, RUN)
    for path in (clone / "results/tiny/sft/S/seed_0").rglob("*"):
        if path.is_file():
            path.unlink()
    state = clone / "results/tiny/state/sft/S/seed_0"
    job = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=clone, env=environment())
    deadline = time.monotonic() + 120
    while not list(state.glob("*/attempts")):
        assert job.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    job.send_signal(getattr(signal, name))
    assert job.wait(120) in (os.EX_TEMPFAIL, 0)  # 0: it was at its end
    left = subprocess.run(
        ["pgrep", "-f", str(clone / "results")], capture_output=True, text=True, check=False
    )
    assert not left.stdout
    snakemake(clone, RUN)
    assert weights(clone) == before
