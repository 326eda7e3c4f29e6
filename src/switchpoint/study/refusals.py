"""``switchpoint explain``: why SLURM refused jobs, in its own words, and which key of the configuration to change."""

import re
from pathlib import Path

from switchpoint.study.expand import ANALYSES

PROFILE = "profiles/slurm/config.yaml, default-resources"
SAID = re.compile(
    r"SLURM sbatch failed\. The error message was '(?P<words>[^']*)'\.\s+sbatch call:\s+(?P<call>.*)"
)
CALL = re.compile(r"--comment '?rule_(?P<rule>\w+?)(?:_wildcards_|'| |$)")
# A word of SLURM's, and the key that it is about.
KEYS = {
    "account": "slurm_account ({profile})",
    "partition": "slurm_partition ({profile})",
    "qos": "qos ({profile})",
    "time limit": "resources.{stage}.hours of the study, or runtime ({profile})",
    "memory": "resources.{stage}.memory of the study",
    "gres": "resources.{stage}.gpus of the study",
    "node": "resources.{stage}: nodes, gpus, cpus or memory of the study, or slurm_partition ({profile})",
    "cpu": "resources.{stage}.cpus of the study",
}
STAGES = {
    "base": ["make_base", "convert_base"],
    "solver": ["train_solver"],
    "win_rates": ["measure_win_rates"],
    "sft": ["sft", "extend_sft"],
    "rl": ["rl"],
    "evaluation": ["evaluate"],
    "analysis": ["analysis", *ANALYSES],  # the profile's name for all of them in one job
}


def explain(log: Path) -> list[str]:
    """A sentence for every different refusal in a log of Snakemake's; none where SLURM took every job."""
    sentences = {}
    for found in SAID.finditer(log.read_text(encoding="utf-8", errors="replace")):
        words = " ".join(found["words"].replace("sbatch: error:", " ").split())
        called = CALL.search(found["call"])
        rule = called["rule"] if called else "?"
        sentences[f"SLURM refuses {rule}: {words}\n  {key_of(words, stage_of(rule))}"] = None
    return list(sentences)


def stage_of(rule: str) -> str:
    """The stage, as `resources` has it, of a rule."""
    for stage, starts in STAGES.items():
        if any(rule == start or rule.startswith(f"{start}_") for start in starts):
            return stage
    return "data"


def key_of(words: str, stage: str) -> str:
    """The key that SLURM's words are about."""
    for word, key in KEYS.items():
        if word in words.lower():
            return f"change {key.format(stage=stage, profile=PROFILE)}"
    return f"see resources.{stage} of the study, and {PROFILE}"
