"""Every path template, once.  ``{braces}`` are Snakemake wildcards or ``str.format`` fields."""

ROOT = "results/{study}"
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

BASE = "base"
SOURCE = "data/sources/{source}.parquet"
POOL = "data/pool.parquet"
SOLVER = "data/solver"
WIN_RATES = "data/win_rates.parquet"
VALIDATION = "data/validation.parquet"
SET = "data/sets/{set}.parquet"
PROMPTS = "data/rl_prompts.parquet"
MIX = "data/mix.parquet"
BENCHMARKS = "data/benchmarks.parquet"
DROPPED = "data/decontamination_dropped.csv"
OVERLAPS = "data/overlaps.csv"
STATISTICS = "data/statistics.csv"
SFT = "sft/{set}/seed_{seed}"
CHECKPOINT = "sft/{set}/seed_{seed}/step_{step}"
RL = "rl/{algorithm}/{start}/seed_{seed}"
SFT_GROUP = "sft/{set}"
RL_GROUP = "rl/{algorithm}/{start}"
EVALUATION = "evaluations/{group}"
PART = "evaluations/parts/{part}/{group}"
ANALYSIS = "analysis"
REPORT = "report.html"


def model_files(directory: str) -> list[str]:
    """The files of a model directory that a rule declares."""
    return [f"{directory}/{name}" for name in MODEL_FILES]
