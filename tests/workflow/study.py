"""A very small real study, for the workflow's tests: seconds of training, every rule."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from switchpoint import files

ROOT = Path(__file__).parents[2]
# The analysis: what is made of every result.
BELOW = dict.fromkeys(
    [
        "collect",
        "label_phases",
        "fit_ceilings",
        "measure_outcomes",
        "predict_models",
        "advise",
        "browse_samples",
        "write_report",
    ],
    1,
)
LINKED = ["Snakefile", "workflow", "profiles", "slurm", "envs", "src"]


def tiny_config() -> dict:
    """The default study, cut down."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["study"] = "tiny"
    config["model"]["base"] = "src/switchpoint/tiny-base"
    sources = config["data"]["sources"]
    for name, source in sources.items():
        source["size"] = {"pool": 200, "prompts": 30, "solver": 40}.get(name, 24)
    config["data"]["validation"] = 30
    config["data"]["solver"]["steps"] = 4
    config["data"]["sets"] = {
        "S": {"stratum": "uniform", "size": 40},
        "Full": {"stratum": "full"},
    }
    config["data"]["prompts"] |= {"size": 80, "win_rate": [0.0, 1.0]}
    for bench in config["data"]["benchmarks"].values():
        bench["monitor"] = 0 if bench.get("out_of_distribution") else 6
    config["sft"] = {
        "S": {"steps": 8, "save_steps": [4, 8], "batch_size": 8, "learning_rate": 7e-4},
        "Full": {"steps": 6, "save_steps": [3, 6], "batch_size": 8, "learning_rate": 1e-3},
    }
    config["rl"] |= {
        "steps": 24, "batch_size": 4, "generation_batch": 8, "max_rounds": 3, "rollouts": 4,
        "eval_every": 8, "save_every": 1, "max_new_tokens": 60,
    }  # fmt: skip
    config["arms"] = [
        {"algorithm": "dapo_dc", "starts": ["S-8", "Full-min_val_loss"]},
        {"algorithm": "grpo", "starts": ["base"]},
    ]
    config["evaluation"] = {"temperature": 0.7, "max_new_tokens": 60}
    return config


def make_clone(directory: Path, config: dict) -> Path:
    """A working directory with the project's files linked and its own configuration."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        target = directory / name
        if not target.exists():
            os.symlink(ROOT / name, target)
    if not (directory / "config").exists():
        shutil.copytree(ROOT / "config", directory / "config")
    write_config(directory, config)
    return directory


def write_config(clone: Path, config: dict) -> None:
    """Replaces the clone's study."""
    (clone / "config.yaml").write_text(yaml.safe_dump(config))


def curves(clone: Path) -> bytes:
    """The finished study's ``curves.csv``."""
    return (clone / "results/tiny/analysis/curves.csv").read_bytes()


def weights(clone: Path) -> dict[str, str]:
    """The content hash of every trained model's weights."""
    models = [
        path for part in ("sft", "rl") for path in (clone / "results/tiny" / part).rglob("*.safetensors")
    ]
    return {str(path.relative_to(clone)): files.sha256(path) for path in models}


def snakemake_command(*options: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run snakemake with this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return [sys.executable, "-m", "snakemake", *options], {
        **os.environ,
        "PATH": path,
        "OMP_NUM_THREADS": "1",
    }


def snakemake(clone: Path, *options: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs snakemake in the clone."""
    command, environment = snakemake_command(*options)
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False, env=environment)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def pending(clone: Path, *targets: str) -> dict[str, int]:
    """How many jobs of each rule a run would start (`all` left out)."""
    text = snakemake(clone, *targets, "-n", "--quiet", "rules").stdout
    jobs = {}
    for line in text.partition("Job stats:")[2].partition("Reasons:")[0].splitlines():
        words = line.split()
        if len(words) == 2 and words[1].isdigit() and words[0] not in ("total", "all"):
            jobs[words[0]] = int(words[1])
    return jobs
