"""Every path template, once.  ``{braces}`` are Snakemake wildcards or ``str.format`` fields."""

from pathlib import Path

ROOT = "results/{study}"
TINY_BASE = Path(__file__).parents[1] / "tiny-base"  # a model directory, which comes with the package
MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "README.md",
    "run.json",
]
# What a model is made of, in a directory of whatever origin; not its card, and not its record.
MODEL_SUFFIXES = (".json", ".jinja", ".safetensors", ".model", ".txt")
NO_MODEL_FILES = ("run.json", "LICENSE.txt", "USE_POLICY.txt")

JOB = "jobs/{digest}.json"
BASE = "base"
SOURCE = "data/sources/{source}.parquet"
POOL = "data/pool.parquet"
SOLVER = "data/solver"
WIN_RATES = "data/win_rates.parquet"
WIN_RATES_PART = "data/win_rates/part_{part}.parquet"
LENGTHS = "data/lengths.parquet"
VALIDATION = "data/validation.parquet"
SET = "data/sets/{set}.parquet"
PROMPTS = "data/rl_prompts.parquet"
MIX = "data/mix.parquet"
BENCHMARKS = "data/benchmarks/{part}.parquet"
DROPPED = "data/benchmarks/{part}_dropped.csv"
NEAREST = "data/benchmarks/{part}_nearest.csv"
SWEEP = "data/benchmarks/{part}_sweep.csv"
EMBEDDINGS = "state/embeddings"
OVERLAPS = "data/overlaps.csv"
STATISTICS = "data/statistics.csv"
STRATA = "data/strata.csv"
SOURCES = "data/sources.csv"
SFT = "sft/{set}/seed_{seed}"
CHECKPOINT = "sft/{set}/seed_{seed}/step_{step}"
RL = "rl/{algorithm}/{start}/seed_{seed}"
SFT_FILES = ["losses.csv", "selection.json", "validation.parquet", "run.json"]
RL_FILES = ["samples.parquet", "points.csv", "run.json"]
SFT_GROUP = "sft/{set}"
RL_GROUP = "rl/{algorithm}/{start}"
EVALUATION = "evaluations/{group}"
PART = "evaluations/parts/{part}/{group}"
ANALYSIS = "analysis"
REPORT = "report.html"
PARTS = "report"
SAMPLES = "samples.html"
BLOCKS = "samples"
TENSORBOARD = "logs/tensorboard"


def model_files(directory: str) -> list[str]:
    """The files of a model directory that a rule declares."""
    return [f"{directory}/{name}" for name in MODEL_FILES]


def made_model(directory: str) -> list[str]:
    """What depends on a model that a rule makes depends on this: the record, in which the hashes of its files stand."""
    return [f"{directory}/run.json"]


def given_model(directory: str | Path) -> list[str]:
    """Every file of a model directory that what is computed with the model may depend on, sorted."""
    files = sorted(Path(directory).iterdir()) if Path(directory).is_dir() else []
    return [
        str(file)
        for file in files
        if file.suffix in MODEL_SUFFIXES and file.name not in NO_MODEL_FILES and file.is_file()
    ]
