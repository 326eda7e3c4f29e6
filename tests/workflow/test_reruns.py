"""Which change makes which job run again, after one real run of every rule."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from study import curves, pending, snakemake, tiny_config, write_config

from switchpoint.training import models

BELOW = dict.fromkeys(
    [
        "collect",
        "label_phases",
        "fit_ceilings",
        "measure_outcomes",
        "predict_models",
        "advise",
        "write_report",
    ],
    1,
)


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
    branch = {"select_set": 1, "report_data": 1, "sft_S": 1, "evaluate": 2, "rl": 1}
    assert pending(clone) == branch | BELOW


def test_the_rl_learning_rate_reruns_rl_and_equals_an_empty_folder(clone):
    first = tiny_config()
    second = tiny_config()
    second["rl"]["learning_rate"] = 3e-4
    from_empty = curves(clone)
    write_config(clone, second)
    assert pending(clone) == {"rl": 3, "evaluate": 3} | BELOW
    snakemake(clone)
    assert curves(clone) != from_empty
    write_config(clone, first)
    assert pending(clone) == {"rl": 3, "evaluate": 3} | BELOW
    snakemake(clone)
    assert curves(clone) == from_empty


def test_more_test_samples_rerun_the_evaluations_alone(clone):
    config = tiny_config()
    config["evaluation"]["test_samples"] = 2
    write_config(clone, config)
    assert pending(clone) == {"evaluate": 6} | BELOW


@pytest.mark.soak
def test_a_split_evaluation_equals_a_whole_one(clone):
    whole = {
        path: path.read_bytes() for path in (clone / "results/tiny/evaluations").rglob("samples.parquet")
    }
    expected = curves(clone)
    config = tiny_config()
    config["evaluation"]["parts"] = 2
    write_config(clone, config)
    assert pending(clone) == {"evaluate_part": 12, "merge_parts": 6} | BELOW
    snakemake(clone)
    assert all(path.read_bytes() == content for path, content in whole.items())
    assert curves(clone) == expected


def test_deleting_an_sft_output_reruns_it_and_all_below(clone):
    (clone / "results/tiny/sft/S/seed_0/step_4/model.safetensors").unlink()
    assert pending(clone) == {"sft_S": 1, "evaluate": 2, "rl": 1} | BELOW


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
    assert "--base {params.base:q}" in text
    rules.write_text(text.replace("--base {params.base:q}", " --base {params.base:q}"))
    module = clone / "src/switchpoint/training/sft.py"
    module.write_text(module.read_text().replace('"""The SFT run', '"""This is the SFT run', 1))
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    assert pending(clone) == {}


def test_a_recipe_reruns_its_jobs_and_all_below(clone, monkeypatch):
    editable(clone)
    module = clone / "src/switchpoint/study/expand.py"
    text = module.read_text()
    raised = re.sub(r'"rl": \d+', '"rl": 99', text)
    assert raised != text
    module.write_text(raised)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    assert pending(clone) == {"rl": 3, "evaluate": 3} | BELOW


def status(clone: Path, run: str) -> tuple[str, int]:
    """How an RL run ended, and after how many steps."""
    record = json.loads((clone / "results/tiny" / run / "run.json").read_text())
    return record["status"], record["steps"]


def test_runs_that_keep_nothing_or_diverge_end_well(clone):
    """Both publish the last good model, which is evaluated, and stand in the tables as what they are."""
    config = tiny_config()
    config["rl"] |= {"steps": 7, "rollouts": 1, "save_every": 2, "learning_rate": 1e30}
    config["arms"] = [
        {"algorithm": "dapo_dc", "starts": ["S-8"]},  # a group of one is never of mixed outcome
        {"algorithm": "grpo", "starts": ["base"]},  # the first update breaks the model
    ]
    write_config(clone, config)
    snakemake(clone)
    exhausted, diverged = "rl/dapo_dc/S-8/seed_0", "rl/grpo/base/seed_0"
    assert status(clone, exhausted) == ("exhausted", 5)
    assert status(clone, diverged) == ("diverged", 0)
    results = clone / "results/tiny"
    kept = [results / name / "model.safetensors" for name in ("sft/S/seed_0/step_8", f"{exhausted}/model")]
    assert kept[0].read_bytes() == kept[1].read_bytes()
    model = models.load(results / diverged / "model").model
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    runs = pd.read_csv(results / "analysis/runs.csv").set_index("run")
    assert runs.loc[[exhausted, diverged], "status"].tolist() == ["exhausted", "diverged"]
    assert (results / "report.html").exists()
