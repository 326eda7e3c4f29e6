"""The how-tos of docs/howto.md, followed literally."""

import json
import shutil

import pandas as pd
import pytest
import yaml
from pages import blocks, edited, merged, type_in
from study import BELOW, ROOT, make_clone, pending, snakemake, tiny_config, write_config

from switchpoint import files
from switchpoint.data import step_lists
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion

PAGE, STUDY = "howto.md", ("--configfile", "my.yaml")


def write_records(path, *columns: str) -> None:
    """A user's file of 300 records with these columns."""
    rows = step_lists.make_problems(5, path.stem, 300, (2, 6), [1, 2, 3])
    path.write_text("".join(json.dumps({key: row[key] for key in columns}) + "\n" for row in rows))


def write_study(clone, heading: str) -> dict:
    """The study that a how-to makes of the default one."""
    config = edited(PAGE, heading)
    (clone / "my.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return config


def test_add_a_data_set(tmp_path):
    clone = make_clone(tmp_path / "clone", {})
    write_records(clone / "mine.jsonl", "problem", "answer", "solution")
    [lock] = blocks(PAGE, "## Add a data set", "sh")
    type_in(clone, lock)
    config = write_study(clone, "## Add a data set")
    planned = pending(clone, *STUDY)
    assert planned["sft_Mine"] == 1
    assert planned["rl"] == len(Expansion(studies.parse(config)).rl_runs)
    assert {f"Mine-{step}" for step in (50, 100)} <= {
        str(run.start) for run in Expansion(studies.parse(config)).rl_runs
    }
    made = "results/quickstart/data/sets/Mine.parquet"
    snakemake(clone, made, *STUDY)
    assert set(pd.read_parquet(clone / made)["source"]) == {"mine"}
    # A changed file is refused.
    with (clone / "mine.jsonl").open("a") as file:
        file.write(json.dumps({"problem": "1 + 1", "answer": "2", "solution": "2"}) + "\n")
    source = "results/quickstart/data/sources/mine.parquet"
    done = snakemake(clone, source, "--force", *STUDY, check=False)
    assert done.returncode != 0
    assert "mine.lock" in done.stdout + done.stderr


def test_add_a_benchmark(clone):
    write_records(clone / "exam.jsonl", "problem", "answer")
    [lock] = blocks(PAGE, "## Add a benchmark", "sh")
    type_in(clone, lock)
    [block] = blocks(PAGE, "## Add a benchmark", "yaml")
    config = merged(tiny_config(), yaml.safe_load(block))
    write_config(clone, config)
    # All models are evaluated again, and none is trained.
    assert pending(clone) == {"ingest": 1, "decontaminate": 1, "evaluate": 6, "report_data": 1} | BELOW
    made = "results/tiny/data/benchmarks/test_only.parquet"
    snakemake(clone, made)
    assert "exam" in set(pd.read_parquet(clone / made)["benchmark"])
    config["data"]["benchmarks"]["exam"]["monitor"] = 10
    write_config(clone, config)
    assert pending(clone)["rl"] == 3


def test_add_an_arm(tmp_path):
    clone = make_clone(tmp_path / "clone", {})
    config = write_study(clone, "## Add an arm")
    before, after = (
        Expansion(studies.parse(study))
        for study in (yaml.safe_load((ROOT / "config.yaml").read_text()), config)
    )
    new = {str(run) for run in after.rl_runs} - {str(run) for run in before.rl_runs}
    assert new == {f"rl/luffy/Full-400/seed_{seed}" for seed in (0, 1)}
    assert after.rl_job("luffy", "Full-400", 1).optimizer.learning_rate == 1e-4
    assert all(
        after.rl_job(run.algorithm, str(run.start), run.seed).text
        == before.rl_job(run.algorithm, str(run.start), run.seed).text
        for run in before.rl_runs
    )
    assert pending(clone, *STUDY)["rl"] == len(before.rl_runs) + 2


@pytest.fixture
def with_paradigm(tmp_path, monkeypatch):
    """A copy of the project in which the page's paradigm was added, and its study."""
    clone = make_clone(tmp_path / "clone", {})
    for name in ("src", "workflow"):
        (clone / name).unlink()
        shutil.copytree(
            ROOT / name, clone / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    [difference] = blocks(PAGE, "## Add a paradigm", "diff")
    (clone / "raft.diff").write_text(difference)
    [commands] = blocks(PAGE, "## Add a paradigm", "sh")
    type_in(clone, commands)
    write_study_of_paradigm(clone)
    return clone


def write_study_of_paradigm(clone) -> None:
    """The default study with the page's arm; nothing here knows its algorithm."""
    [block] = blocks(PAGE, "## Add a paradigm", "yaml")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    (clone / "my.yaml").write_text(yaml.safe_dump(merged(config, yaml.safe_load(block))))


def test_add_a_paradigm(with_paradigm):
    before = len(Expansion(studies.load(ROOT / "config.yaml")).rl_runs)
    assert pending(with_paradigm, *STUDY)["rl"] == before + 2
    for name in ("config/README.md", "workflow/schemas/study.schema.json"):
        assert "raft" in (with_paradigm / name).read_text()
        assert "raft" not in (ROOT / name).read_text()


@pytest.mark.soak
def test_a_paradigm_that_was_added_trains_to_the_report(with_paradigm):
    snakemake(with_paradigm, *STUDY, "--config", "scale=tiny")
    results = with_paradigm / "results/quickstart_tiny"
    runs = [files.read_run(path.parent) for path in results.glob("rl/raft/*/*/run.json")]
    assert len(runs) == 2
    assert all(run["status"] == "finished" for run in runs)
    assert "raft" in (results / "report.html").read_text()
