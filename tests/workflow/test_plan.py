"""A half-finished study: the dry run and ``plan`` list exactly what is pending."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from study import make_clone, pending, snakemake, tiny_config


def plan(clone: Path) -> dict[str, str]:
    """Job to state, from ``switchpoint plan``, which says what each takes behind."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "switchpoint", "plan"]
    done = subprocess.run(
        command, cwd=clone, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
    )
    listed, _, _ = re.split(r"^(\d+ jobs pending|nothing is pending)", done.stdout, flags=re.MULTILINE)
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
