"""A half-finished study: the dry run and ``plan`` list exactly what is pending."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from study import BELOW, make_clone, pending, snakemake, tiny_config

CURATION = {
    "convert_base": 1, "deduplicate": 1, "hold_out_validation": 1, "select_prompts": 1, "select_mix": 1, "report_data": 1,
}  # fmt: skip
RETU_SETS = ("SFT889K", "Easy102K", "Uniform102K", "Hard102K", "S1K")
QUAGMIRES = {"ingest": 9, "count_tokens": 1, "decontaminate": 2} | {
    f"sft_{name}": 4
    for name in (
        "Random5K",
        "Random10K",
        "Random200K",
        "Shortest10K",
        "Shortest500K",
        "Longest10K",
        "Mixed20K",
    )
}
UNIQUE = {f"sft_Unique{size}K": 4 for size in (25, 50, 100, 200)}
# RL: the base and 12 + 4 x 5 + 1 checkpoints, and five paradigms from two starts.  One evaluation of each SFT set's models.
PENDING = {
    "paper-qwen2.5-7b": {
        "ingest": 10, "give_win_rates": 1, "decontaminate": 2, "select_set": 6, "rl": 34 + 10, "evaluate": 1 + 6 + 44,
        **{f"sft_{name}": 1 for name in (*RETU_SETS, "Easy102K_long")},
    },
    "paper-llama3.2-3b": {
        "ingest": 10, "give_win_rates": 1, "decontaminate": 2, "select_set": 5, "rl": 14, "evaluate": 1 + 5 + 14,
        **{f"sft_{name}": 1 for name in RETU_SETS},
    },
    "paper-qwen2.5-math-7b": {
        "ingest": 10, "give_win_rates": 1, "decontaminate": 2, "select_set": 1, "sft_S1K": 1, "rl": 6, "evaluate": 1 + 1 + 6,
    },
    # Of four seeds each: RL from the base, from seven instance-level sets, and from 16, 10 and no models of the dataset level.
    "quagmires": QUAGMIRES | UNIQUE | {"select_set": 7 + 4, "rl": 4 * (1 + 7 + 16), "evaluate": 1 + 11 + 24},
    "quagmires-mistral-nemo": QUAGMIRES | UNIQUE | {"select_set": 7 + 4, "rl": 4 * (1 + 7 + 10), "evaluate": 1 + 11 + 18},
    "quagmires-qwen3-4b": QUAGMIRES | {"select_set": 7, "rl": 4 * (1 + 7), "evaluate": 1 + 7 + 8},
    "single-gpu": {
        "ingest": 4, "count_tokens": 1, "decontaminate": 1, "select_set": 2, "rl": 1 + 6, "evaluate": 1 + 2 + 7,
        "sft_Random10K": 1, "sft_Shortest10K": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", PENDING)
def test_a_study_for_a_cluster_plans_without_its_data(tmp_path, name):
    """Every job of it, by hand."""
    clone = make_clone(tmp_path / "clone", tiny_config())
    assert pending(clone, "--configfile", f"config/{name}.yaml") == CURATION | BELOW | PENDING[name]


def said(clone: Path, *words: str) -> str:
    """What one of our commands prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command, environment = [sys.executable, "-m", "switchpoint", *words], {**os.environ, "PATH": path}
    return subprocess.run(
        command, cwd=clone, capture_output=True, text=True, check=True, env=environment
    ).stdout


def plan(clone: Path) -> dict[str, str]:
    """Job to state, from ``switchpoint plan``, which says what each takes behind."""
    listed, _, _ = re.split(
        r"^(\d+ jobs pending|nothing is pending)", said(clone, "plan"), flags=re.MULTILINE
    )
    lines = [line.split() for line in listed.splitlines()]
    return {job: state for state, _rule, job, *_size in lines}


def test_a_half_finished_study_lists_exactly_what_is_pending(clone):
    run = clone / "results/tiny"
    assert plan(clone) == {}
    for name in ("sft/S", "rl", "evaluations", "analysis", "logs/rl", "logs/sft/S", "logs/evaluations"):
        shutil.rmtree(run / name)
    (run / "report.html").unlink()
    # An RL job that left a state, and an SFT job that failed without one.
    left = run / "state/rl/grpo/base/seed_0/0123"
    left.mkdir(parents=True)
    (left / "state_1.pt").write_bytes(b"")
    (run / "logs/sft/S").mkdir(parents=True)
    (run / "logs/sft/S/seed_0.log").write_text("out of memory")
    found = plan(clone)
    assert found["rl/grpo/base/seed_0"] == "resumable"
    assert found["sft/S/seed_0"] == "failed"
    assert found["rl/dapo_dc/S-8/seed_0"] == "waiting"
    assert "sft/Full/seed_0" not in found
    assert len(found) == sum(pending(clone).values())


def test_a_fresh_study_waits(tmp_path):
    assert set(plan(make_clone(tmp_path / "clone", tiny_config())).values()) == {"waiting"}


def test_a_deleted_output_is_pending_and_a_failed_job_failed(clone):
    run = clone / "results/tiny"
    (run / "rl/grpo/base/seed_0/model/model.safetensors").unlink()
    (run / "report.html").unlink()
    found = plan(clone)
    assert found["rl/grpo/base/seed_0"] == found["report"] == "pending"
    assert found["collect"] == "outdated"
    # The same job, run again, fails.
    prompts = run / "data/rl_prompts.parquet"
    content = prompts.read_bytes()
    prompts.write_bytes(b"no table" + content[8:])  # of the same size, so that its reader has to find it
    target = "results/tiny/rl/grpo/base/seed_0/run.json"
    assert snakemake(clone, target, check=False).returncode != 0
    assert plan(clone)["rl/grpo/base/seed_0"] == "failed"
    status = said(clone, "status", "--lines", "2").splitlines()
    place = next(place for place, line in enumerate(status) if line.startswith("failed"))
    assert "rl/grpo/base/seed_0" in status[place]
    assert status[place + 1].startswith("           | ")
    assert "prompts" in "".join(status[place + 1 : place + 3])
    assert "1 failed" in status[-1]
