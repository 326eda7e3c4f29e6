"""How long Snakemake takes to plan a study, by its number of jobs: seconds of `snakemake -n`, on a new clone.

`python benchmarks/planning.py --jobs 500 1000 5000` prints them.
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
LINKED = ["Snakefile", "workflow", "profiles", "envs", "assets", "src", "config"]
ALGORITHMS = ("grpo", "dapo_d", "dapo_dc")
SETS = ("S", "Full")


def study(jobs: int) -> dict:
    """The default study with about so many jobs: every checkpoint starts every algorithm, with seven seeds."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["study"] = f"planned_{jobs}"
    starts = round(jobs / (len(ALGORITHMS) * 8 * len(SETS)))
    run = {"steps": 10 * starts, "save_steps": [10 * (step + 1) for step in range(starts)], "batch_size": 16}
    config["sft"] = {name: run | {"learning_rate": 1e-3, "seeds": list(range(7))} for name in SETS}
    config["arms"] = [{"algorithm": name, "starts": ["all"], "seeds": list(range(7))} for name in ALGORITHMS]
    return config


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[500, 1000, 5000])
    asked = parser.parse_args()
    print("jobs    seconds")
    for jobs in asked.jobs:
        with tempfile.TemporaryDirectory() as folder:
            for name in LINKED:
                Path(folder, name).symlink_to(ROOT / name)
            Path(folder, "config.yaml").write_text(yaml.safe_dump(study(jobs)))
            first = time.perf_counter()
            command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
            seconds = time.perf_counter() - first
        total = re.search(r"^total +(\d+)", done.stdout + done.stderr, re.MULTILINE)[1]
        print(f"{total:>6} {seconds:8.1f}")


if __name__ == "__main__":
    main()
