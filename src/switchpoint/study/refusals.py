"""``switchpoint explain``: why SLURM refused or killed jobs, in its own words, and which key of the configuration to change."""

import re
from pathlib import Path

from switchpoint.study.expand import ANALYSES

PROFILE = "default-resources of the profile, as profiles/slurm/config.yaml"
SAID = re.compile(
    r"SLURM sbatch failed\. The error message was '(?P<words>[^']*)'\.\s+sbatch call:\s+(?P<call>.*)"
)
SUBMITTED = re.compile(r"submitted with SLURM jobid (?P<id>\d+) \(log: (?P<log>[^)]+)\)")
FAILED = re.compile(r"SLURM-job '(?P<id>\d+)' failed")
# What slurmstepd says where it watches the memory itself, and where the kernel does.
KILLED = re.compile(
    r"^.*(exceeded (job |step )?memory limit|oom[-_ ]?kill|out of memory).*$", re.IGNORECASE | re.MULTILINE
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
    """A sentence for every different refusal in a log of Snakemake's, and for every job that was killed for its memory."""
    sentences, text = {}, log.read_text(encoding="utf-8", errors="replace")
    for found in SAID.finditer(text):
        words = " ".join(found["words"].replace("sbatch: error:", " ").split())
        called = CALL.search(found["call"])
        rule = called["rule"] if called else "?"
        sentences[f"SLURM refuses {rule}: {words}\n  {key_of(words, stage_of(rule))}"] = None
    failed = {found["id"] for found in FAILED.finditer(text)}
    for found in SUBMITTED.finditer(text):
        if found["id"] in failed and (sentence := killed(Path(found["log"]))):
            sentences[sentence] = None
    return list(sentences)


def killed(log: Path) -> str | None:
    """The sentence for a job that SLURM has killed for its memory, by SLURM's log of it, which lies under its rule's name."""
    found = log.is_file() and KILLED.search(log.read_text(encoding="utf-8", errors="replace"))
    if not found:
        return None
    rule = next((part.removeprefix("rule_") for part in log.parts if part.startswith("rule_")), "?")
    return (
        f"SLURM has killed {rule}: {found[0].strip()}\n  change {KEYS['memory'].format(stage=stage_of(rule))}"
    )


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
