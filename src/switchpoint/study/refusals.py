"""``switchpoint explain``: why SLURM refused jobs, in its own words, and which key of the configuration to change."""

import re
from pathlib import Path

PROFILE = "profiles/slurm/config.yaml, default-resources"
SAID = re.compile(
    r"SLURM sbatch failed\. The error message was '(?P<words>[^']*)'\.\s+sbatch call:\s+(?P<call>.*)"
)
CALL = re.compile(r"--comment '?rule_(?P<rule>\w+?)(?:_wildcards_|'| |$)")
# A word of SLURM's, and the key that it is about; the stage's name for {stage}.
KEYS = {
    "account": f"slurm_account ({PROFILE})",
    "partition": f"slurm_partition ({PROFILE})",
    "qos": f"qos ({PROFILE})",
    "time limit": f"resources.{{stage}}.hours of the study, or runtime ({PROFILE})",
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
    "analysis": [
        "analysis", "collect", "label_phases", "fit_ceilings", "measure_outcomes", "predict_models", "advise", "write_report",
    ],
}  # fmt: skip


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
