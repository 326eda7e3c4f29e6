"""A very small study for the bed, what SLURM was asked for, and what became of it."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import bed
from study import curves, snakemake_command, tiny_config, weights

GRPO = "results/tiny/rl/grpo/base/seed_0"
ANALYSIS = "analysis_advise_browse_samples_collect_fit_ceilings_label_phases_..."


def small_config() -> dict:
    """The tests' study with fewer jobs, in four levels: data, SFT, RL, evaluation; a state is saved when a job is told to stop."""
    config = tiny_config()
    data = config["data"]
    for name in ("solver", "minerva", "olympiad", "aime", "longer"):
        del data["sources"][name]
    data["benchmarks"] = {name: data["benchmarks"][name] for name in ("gsm", "math")}
    del data["solver"]
    data["sets"] = {"S": {"stratum": "full", "size": 40}, "Full": {"stratum": "full"}}
    config["sft"]["Full"] |= {"steps": 3, "save_steps": [3]}
    config["rl"] |= {"steps": 60, "eval_every": 20, "save_every": 1000}
    config["arms"] = [
        {"algorithm": "dapo_dc", "starts": ["S-8", "Full-3"]},
        {"algorithm": "grpo", "starts": ["base"]},
    ]
    return config


def command(*options: str) -> tuple[list[str], dict[str, str]]:
    """``snakemake --profile slurm`` with this Python, as users type it."""
    words, environment = snakemake_command(*options)
    return ["snakemake", "--profile", "slurm", *words[3:]], environment


def run(clone: Path, *options: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
    """Runs it in the clone."""
    words, given = command(*options)
    done = subprocess.run(
        words, cwd=clone, env=given | environment, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done


def start(clone: Path, *options: str) -> subprocess.Popen:
    """Starts it; what it prints goes to ``snakemake.log``."""
    words, environment = command(*options)
    with (clone / "snakemake.log").open("w") as log:
        return subprocess.Popen(
            words, cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def jobs(clone: Path, *states: str) -> dict[str, str]:
    """Rule and wildcards of the clone's jobs in SLURM by their number: of all, or in these states."""
    lines = bed.ask("squeue", "-h", "-t", "all", "-o", "%i\t%T\t%Z\t%k").splitlines()
    rows = [line.split("\t") for line in lines]
    return {
        number: comment.removeprefix("rule_").replace("_wildcards_", " ", 1)
        for number, state, folder, comment in rows
        if folder == str(clone) and (not states or state in states)
    }


def trainers(clone: Path) -> list[int]:
    """The processes of the clone's RL jobs that have begun to train."""
    found = []
    for pid, words in bed.processes():
        with contextlib.suppress(OSError):
            if words.startswith("python -m switchpoint rl ") and os.readlink(f"/proc/{pid}/cwd") == str(
                clone
            ):
                state = words.split(" --state ")[1].split()[0]
                found += [pid] * any((clone / state).glob("*/points.csv"))
    return found


def wait(is_done: Callable[[], object], seconds: float = 600):
    """What it returns, when that is something."""
    end = time.monotonic() + seconds
    while not (found := is_done()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def recording_sbatch(folder: Path) -> dict[str, str]:
    """An environment in which every call of sbatch is written down, and made."""
    folder.mkdir()
    real = subprocess.run(["which", "sbatch"], capture_output=True, text=True, check=True).stdout.strip()
    script = folder / "sbatch"
    script.write_text(
        f'#!/bin/bash\necho "$(printf "%q " "$@")" >>{folder}/calls\nexec {real} "$@"\n'  # a line at once
    )
    script.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{snakemake_command()[1]['PATH']}"}


def submissions(folder: Path) -> dict[str, str]:
    """What each recorded call asks SLURM for, by rule and wildcards: its options but for names and places."""
    found = {}
    for line in (folder / "calls").read_text().splitlines():
        words = [word for word in shlex.split(line) if not word.startswith("--wrap=")]
        comment = words[words.index("--comment") + 1].removeprefix("rule_").replace("_wildcards_", " ", 1)
        kept, skip = [], False
        for word in words:
            if skip or word in ("--job-name", "--output", "--comment", "-D"):
                skip = not skip
            elif word not in ("--parsable", "--export=ALL"):
                kept.append(word)
        found[comment] = " ".join(kept)
    return found


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


def switchpoint(clone, *words: str) -> str:
    """What one of our commands prints."""
    done = subprocess.run(
        [sys.executable, "-m", "switchpoint", *words],
        cwd=clone, env=snakemake_command()[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
