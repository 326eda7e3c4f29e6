"""How long Snakemake takes to plan a study, by its number of jobs: seconds of `snakemake -n`, on a new clone.

`python benchmarks/planning.py --jobs 500 1000 5000` prints them, beside a workflow of as many jobs that is nothing else: one rule
of as many files as an RL run's, and a rule for their results.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
LINKED = ["Snakefile", "workflow", "profiles", "envs", "src", "config"]
ALGORITHMS = ("grpo", "dapo_d", "dapo_dc")
SETS = ("S", "Full")
SEEDS = list(range(7))
BARE = """
rule all:
    input: "results.csv"

rule collect:
    input: expand("runs/{{number}}/run.json", number=range({jobs}))
    output: "results.csv"
    shell: "cat {{input}} > {{output}}"

rule run:
    input: "config.yaml", "Snakefile", lambda wildcards: "start.txt", prompts="prompts.txt"
    output: expand("runs/{{{{number}}}}/{{name}}", name=[f"file_{{place}}" for place in range(10)]), run="runs/{{number}}/run.json"
    log: "logs/{{number}}.log"
    benchmark: "logs/{{number}}.tsv"
    threads: 1
    resources: mem_mb=1000
    params: state="state/{{number}}"
    shell: "train --prompts {{input.prompts}} --state {{params.state}} --out {{output.run}} > {{log}}"
"""


def study(jobs: int) -> dict:
    """The default study with about so many jobs: every checkpoint starts every algorithm, with seven seeds."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["study"] = f"planned_{jobs}"
    starts = round(jobs / (len(ALGORITHMS) * (len(SEEDS) + 1) * len(SETS)))
    run = {"steps": 10 * starts, "save_steps": [10 * (step + 1) for step in range(starts)], "batch_size": 16}
    config["sft"] = {name: run | {"learning_rate": 1e-3, "seeds": SEEDS} for name in SETS}
    config["arms"] = [{"algorithm": name, "starts": ["all"], "seeds": SEEDS} for name in ALGORITHMS]
    return config


def plan(folder: str) -> tuple[int, float]:
    """(jobs, seconds) of a dry run."""
    first = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", "--quiet", "rules"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - first
    return int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.MULTILINE)[1]), seconds


def planned(jobs: int) -> tuple[int, float]:
    """Of the study."""
    with tempfile.TemporaryDirectory() as folder:
        for name in LINKED:
            Path(folder, name).symlink_to(ROOT / name)
        Path(folder, "config.yaml").write_text(yaml.safe_dump(study(jobs)))
        return plan(folder)


def bare(jobs: int) -> tuple[int, float]:
    """Of the workflow that is nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.yaml", "start.txt", "prompts.txt"):
            Path(folder, name).touch()
        Path(folder, "Snakefile").write_text(BARE.format(jobs=jobs))
        return plan(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[500, 1000, 5000])
    parser.add_argument("--turns", type=int, default=1, help="How often each is planned, in turn.")
    asked = parser.parse_args()
    print("jobs    seconds   ms/job   bare seconds   ratio")
    for jobs in asked.jobs:
        for _ in range(asked.turns):
            total, seconds = planned(jobs)
            _, least = bare(total - 2)
            print(
                f"{total:>6} {seconds:8.1f} {1000 * seconds / total:8.2f} {least:14.1f} {seconds / least:7.2f}"
            )


if __name__ == "__main__":
    main()
