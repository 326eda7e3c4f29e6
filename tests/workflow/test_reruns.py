"""Which change makes which job run again; kills; a real run of every rule."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from study import make_clone, pending, snakemake, tiny_config, write_config

BELOW = {"collect": 1, "label_phases": 1, "fit_ceilings": 1, "advise": 1, "write_report": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A clone whose tiny study has run."""
    clone = make_clone(tmp_path_factory.mktemp("tiny") / "clone", tiny_config())
    snakemake(clone)
    return clone


@pytest.fixture
def clone(finished, tmp_path) -> Path:
    """A copy of the finished clone, time stamps kept."""
    copied = tmp_path / "clone"
    shutil.copytree(finished, copied, symlinks=True)
    return copied


def curves(clone: Path) -> bytes:
    return (clone / "results/tiny/analysis/curves.csv").read_bytes()


def test_the_report_is_there_and_nothing_is_pending(finished):
    assert (finished / "results/tiny/report.html").stat().st_size > 10_000
    assert pending(finished) == {}
    assert not list((finished / "results/tiny/state").rglob("*.pt"))


def test_touching_or_rewriting_a_leaf_reruns_nothing(clone):
    lock = clone / "config/sources/step_lists.lock"
    os.utime(lock)
    assert pending(clone) == {}
    lock.write_bytes(lock.read_bytes())
    assert pending(clone) == {}


def test_a_set_size_reruns_its_branch(clone):
    config = tiny_config()
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    branch = {"select_set": 1, "report_data": 1, "sft_S": 1, "evaluate_sft": 1, "rl": 1}
    assert pending(clone) == branch | BELOW


def test_the_rl_learning_rate_reruns_rl_and_equals_an_empty_folder(clone, tmp_path):
    config = tiny_config()
    config["rl"]["learning_rate"] = 3e-4
    before = curves(clone)
    write_config(clone, config)
    assert pending(clone) == {"rl": 3} | BELOW
    snakemake(clone)
    fresh = make_clone(tmp_path / "fresh", config)
    snakemake(fresh)
    assert curves(clone) == curves(fresh) != before


def test_deleting_an_sft_output_reruns_it_and_all_below(clone):
    (clone / "results/tiny/sft/S/seed_0/step_4/model.safetensors").unlink()
    assert pending(clone) == {"sft_S": 1, "evaluate_sft": 1, "rl": 1} | BELOW


def editable(clone: Path) -> Path:
    """The clone with its own copy of the sources and rules."""
    for name in ("src", "workflow"):
        source = (clone / name).resolve()
        (clone / name).unlink()
        shutil.copytree(source, clone / name)
    return clone


def test_a_docstring_and_a_rules_wording_rerun_nothing(clone, monkeypatch):
    editable(clone)
    rules = clone / "workflow/rules/sft.smk"
    text = rules.read_text()
    assert "--base {params.base}" in text
    rules.write_text(text.replace("--base {params.base}", " --base {params.base}"))
    module = clone / "src/switchpoint/sft.py"
    module.write_text(module.read_text().replace('"""The SFT run', '"""This is the SFT run', 1))
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    assert pending(clone) == {}


def test_a_recipe_reruns_its_jobs_and_all_below(clone, monkeypatch):
    editable(clone)
    module = clone / "src/switchpoint/study.py"
    text = module.read_text()
    assert '"rl": 1' in text
    module.write_text(text.replace('"rl": 1', '"rl": 2'))
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    assert pending(clone) == {"rl": 3} | BELOW


def kill_when(clone: Path, pattern: str, victim: str | None) -> None:
    """Starts snakemake, waits for a state file, and kills the job (or snakemake with all its jobs)."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake"], cwd=clone, env={**os.environ, "PATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(clone.glob(pattern)):
        assert process.poll() is None, f"snakemake ended before {pattern} was there"
        assert time.monotonic() < deadline, f"{pattern} did not appear"
        time.sleep(0.02)
    if victim is None:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for child in psutil.Process(process.pid).children(recursive=True):
            if ["-m", "switchpoint", victim] == child.cmdline()[1:4]:
                child.kill()
    process.wait(timeout=240)
    assert process.returncode != 0


@pytest.mark.parametrize(
    ("pattern", "victim"),
    [
        ("results/tiny/state/sft/S/seed_0/*/step_4/model.safetensors", "sft"),
        pytest.param("results/tiny/state/rl/dapo_dc/*/seed_0/*/state.pt", "rl", marks=pytest.mark.soak),
        pytest.param("results/tiny/state/rl/grpo/base/seed_0/*/state.pt", None, marks=pytest.mark.soak),
        pytest.param("results/tiny/state/sft/S/seed_0/*/attempts", "sft", marks=pytest.mark.soak),
        pytest.param("results/tiny/state/sft/Full/seed_0/*/state.pt", "sft", marks=pytest.mark.soak),
        pytest.param("results/tiny/state/rl/grpo/base/seed_0/*/attempts", "rl", marks=pytest.mark.soak),
        pytest.param("results/tiny/state/rl/*/*/seed_0/*/monitor_2.parquet", "rl", marks=pytest.mark.soak),
    ],
)
def test_a_killed_study_ends_where_an_uninterrupted_one_does(finished, tmp_path, pattern, victim):
    clone = make_clone(tmp_path / "killed", copy.deepcopy(tiny_config()))
    kill_when(clone, pattern, victim)
    if victim is None:
        snakemake(clone, "--unlock")
    assert pending(clone)
    snakemake(clone)
    assert curves(clone) == curves(finished)
