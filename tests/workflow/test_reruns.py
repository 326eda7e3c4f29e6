"""Which change makes which job run again, after one real run of every rule."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from study import BELOW, ROOT, curves, pending, snakemake, tiny_config, write_config

from switchpoint import tables
from switchpoint.analysis import ranking
from switchpoint.training import models


def test_the_report_is_there_and_nothing_is_pending(finished):
    assert (finished / "results/tiny/report.html").stat().st_size > 10_000
    assert pending(finished) == {}
    assert not list((finished / "results/tiny/state").rglob("*.pt"))


def test_a_studys_checkpoints_are_ranked_with_their_noise(finished):
    models = tables.read_csv(finished / "results/tiny/analysis/models.csv")
    found = ranking.rank(models)
    assert found["noise"]["errors"]["pass_1"] == "pass_1_se"
    assert all(entry["pass_1_se"] > 0 for entry in found["models"])
    assert not any("could not be told" in note for note in found["notes"])
    assert found["ignored_columns"] == []


def own_base(clone: Path) -> Path:
    """The clone with its own copy of the base model, which it was given all along."""
    (clone / "src").unlink()
    shutil.copytree(ROOT / "src", clone / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return clone / "src/switchpoint/tiny-base"


def test_touching_or_rewriting_a_file_reruns_nothing_whatever_its_size(clone, monkeypatch):
    lock = clone / "config/sources/step_lists.lock"
    lock.write_bytes(lock.read_bytes())
    for file in own_base(clone).iterdir():
        os.utime(file)
    results = clone / "results/tiny"
    for pattern in ("data/**/*.parquet", "**/model.safetensors", "jobs/*.json", "**/run.json"):
        assert list(results.glob(pattern))
        for file in results.glob(pattern):
            os.utime(file)
    assert pending(clone) == {}


def test_a_touched_file_of_more_than_a_megabyte_is_compared_by_its_content(clone):
    """Snakemake's own limit is a megabyte: the profiles raise it."""
    large = own_base(clone) / "vocabulary.txt"
    large.write_text("word " * 400_000)
    made = "results/tiny/data/solver/run.json"
    assert pending(clone, made) == {"train_solver": 1}
    snakemake(clone, made)
    large.write_text(large.read_text())
    assert pending(clone, made) == {}
    large.write_text(large.read_text() + "more")
    assert pending(clone, made) == {"train_solver": 1}


# Neither the full stratum nor prompts of any win rate depend on the solver's.
OF_THE_BASE = {
    "train_solver": 1, "measure_win_rates": 1, "select_set": 1, "select_mix": 1,
    "report_data": 1, "sft_S": 1, "sft_Full": 1, "rl": 3, "evaluate": 6,
}  # fmt: skip


def test_an_edited_file_of_the_base_model_reruns_what_uses_it(clone):
    files = sorted(own_base(clone).iterdir())
    assert len(files) == 8
    for file in files:
        content, times = file.read_bytes(), (file.stat().st_atime, file.stat().st_mtime)
        file.write_bytes(content + b" ")
        unread = file.name in ("README.md", "run.json")
        assert pending(clone) == ({} if unread else OF_THE_BASE | BELOW), file.name
        file.write_bytes(content)
        os.utime(file, times)


def lose_snakemakes_memory(clone: Path) -> None:
    """As when results are copied without it."""
    shutil.rmtree(clone / ".snakemake")


def test_without_snakemakes_memory_a_changed_job_runs_again_and_no_other(clone):
    lose_snakemakes_memory(clone)
    assert pending(clone) == {}
    config = tiny_config()
    config["rl"]["learning_rate"] = 3e-4
    write_config(clone, config)
    changed = {"rl": 3, "evaluate": 3} | BELOW
    assert pending(clone) == changed
    write_config(clone, tiny_config())
    assert pending(clone) == {}
    config["rl"]["learning_rate"] = 2.2e-4
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    assert pending(clone) == {"select_set": 1, "report_data": 1, "sft_S": 1, "evaluate": 2, "rl": 1} | BELOW
    shutil.rmtree(clone / "results/tiny/jobs")
    assert pending(clone)["sft_S"] == 1
    write_config(clone, tiny_config())
    shutil.rmtree(clone / "results/tiny/jobs")
    assert pending(clone) == {}


RESULTS = {
    "analysis/curves.csv": "collect",
    "analysis/advice.json": "advise",
    "results.md": "write_report",
    "report": "write_report",
    "samples.html": "browse_samples",
    "samples": "browse_samples",
    "rl/grpo/base/seed_0/points.csv": "rl",
    "rl/grpo/base/seed_0/samples.parquet": "rl",
    "rl/grpo/base/seed_0/run.json": "rl",
    "sft/S/seed_0/losses.csv": "sft_S",
    "evaluations/base/samples.parquet": "evaluate",
    "data/mix.parquet": "select_mix",
}


def test_what_ended_after_snakemake_was_killed_is_not_made_again(clone):
    """Then Snakemake remembers the job before."""
    before, memory = clone / "memory", clone / ".snakemake/metadata"
    shutil.copytree(memory, before)
    config = tiny_config()
    config["sft"]["S"]["learning_rate"] = 6e-4
    config["rl"]["learning_rate"] = 1e-4
    write_config(clone, config)
    made = [f"results/tiny/rl/{run}/seed_0/run.json" for run in ("dapo_dc/S-8", "grpo/base")]
    snakemake(clone, *made)
    shutil.rmtree(memory)
    before.rename(memory)
    assert pending(clone) == {"rl": 1, "evaluate": 4} | BELOW
    assert pending(clone, *made) == {}


def test_every_deleted_result_is_made_again(clone):
    for name, rule in RESULTS.items():
        kept = (clone / "results/tiny" / name).rename(clone / "kept")
        text = snakemake(clone, "-n", "--quiet", "rules").stdout
        assert re.search(rf"^{rule} +[1-9]", text, re.MULTILINE), f"{name} is missing, and {rule} not pending"
        kept.rename(clone / "results/tiny" / name)
    assert pending(clone) == {}


def with_change(*path_and_value) -> dict:
    """The tiny study with one key changed."""
    config = tiny_config()
    *path, last, value = path_and_value
    place = config
    for name in path:
        place = place[name]
    place[last] = value
    return config


SCORED = {
    rule: 1 for rule in BELOW if rule != "browse_samples"
}  # the browser of samples has no overall score
APART = [
    (("rl", "save_every", 7), {"write_report": 1}),  # which prints it
    (("rl", "max_logprob_gap", 0.05), {"write_report": 1}),
    (("tensorboard", True), {}),
    (("sft", "S", "save_every", 3), {"write_report": 1}),
    (("sft", "S", "segments", 2), {"write_report": 1}),
    (("data", "benchmarks", "aime", "out_of_distribution", True), SCORED),
    (("data", "prompts", "mix_max_tokens", 30), {"select_mix": 1, "report_data": 1, "write_report": 1}),
    (
        ("data", "sources", "longer", "size", 30),
        {"ingest": 1, "decontaminate": 1, "evaluate": 6, "report_data": 1} | BELOW,
    ),
    (("evaluation", "extraction", "boxed"), {"evaluate": 6, "rl": 3} | BELOW),
    (("evaluation", "max_new_tokens", 61), {"evaluate": 6, "rl": 3} | BELOW),
    (("sft", "S", "save_steps", [2, 4, 8]), {"extend_sft_S": 1, "evaluate": 1} | BELOW),
    (("sft", "S", "save_steps", [8]), {"evaluate": 1} | BELOW),
]


def test_what_does_not_depend_on_a_change_does_not_run_again(clone):
    for change, jobs in APART:
        write_config(clone, with_change(*change))
        assert pending(clone) == jobs, change
    write_config(clone, tiny_config())
    assert pending(clone, "--default-resources", "runtime=30", "--set-resources", "rl:runtime=90") == {}


@pytest.mark.soak
def test_one_more_checkpoint_leaves_the_others_and_their_rl_alone(clone):
    run, config = clone / "results/tiny/sft/S/seed_0", with_change("sft", "S", "save_steps", [2, 4, 8])
    before = {path: path.read_bytes() for path in (*run.glob("step_*/*"), *run.glob("*.csv"))}
    write_config(clone, config)
    snakemake(clone)
    assert pending(clone) == {}
    losses = pd.read_csv(run / "losses.csv")
    assert losses["step"].tolist() == [0, 2, 4, 8]
    assert all(path.read_bytes() == content for path, content in before.items() if path.suffix != ".csv")
    assert (run / "step_2/model.safetensors").is_file()
    # The whole run at once ends the same.
    whole = {path: path.read_bytes() for path in (*run.glob("step_2/*"), *run.glob("*.csv"))}
    shutil.rmtree(run)
    snakemake(clone, *(str(path.relative_to(clone)) for path in whole))
    records = [json.loads(path.read_text()) for path in (run / "step_2/run.json", run / "step_4/run.json")]
    assert records[0]["job"] == records[1]["job"]
    assert all(path.read_bytes() == content for path, content in whole.items())


def test_one_more_checkpoint_beside_other_changes_misses_none_of_them(clone):
    config = with_change("sft", "S", "save_steps", [2, 4, 8])
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    assert pending(clone)["rl"] == 1
    config = with_change("sft", "S", "save_steps", [2, 4, 8])
    config["sft"]["S"]["learning_rate"] = 1e-4
    write_config(clone, config)
    assert pending(clone) == {"sft_S": 1, "evaluate": 2, "rl": 1} | BELOW
    config = with_change("sft", "S", "save_steps", [2, 4, 8])
    config["rl"]["learning_rate"] = 1e-4
    write_config(clone, config)
    assert pending(clone) == {"extend_sft_S": 1, "evaluate": 4, "rl": 3} | BELOW


def test_a_set_size_reruns_its_branch(clone):
    config = tiny_config()
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    branch = {"select_set": 1, "report_data": 1, "sft_S": 1, "evaluate": 2, "rl": 1}
    assert pending(clone) == branch | BELOW


def faster_rl() -> dict:
    """The tiny study with another learning rate of RL."""
    config = tiny_config()
    config["rl"]["learning_rate"] = 3e-4
    return config


def test_the_rl_learning_rate_reruns_rl(clone):
    write_config(clone, faster_rl())
    assert pending(clone) == {"rl": 3, "evaluate": 3} | BELOW


def test_the_learning_rate_of_an_arm_reruns_its_runs_alone(clone):
    config = tiny_config()
    grpo = next(arm for arm in config["arms"] if arm["algorithm"] == "grpo")
    grpo["learning_rate"] = config["rl"]["learning_rate"]
    write_config(clone, config)
    assert pending(clone) == {"write_report": 1}  # which prints it
    grpo["learning_rate"] = 3e-4
    write_config(clone, config)
    assert pending(clone) == {"rl": 1, "evaluate": 1} | BELOW


@pytest.mark.soak
def test_a_study_that_was_changed_and_changed_back_equals_an_empty_folder(clone):
    first = tiny_config()
    from_empty = curves(clone)
    write_config(clone, faster_rl())
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


def test_deleting_a_checkpoint_makes_it_again_and_what_started_from_it(clone):
    (clone / "results/tiny/sft/S/seed_0/step_4/model.safetensors").unlink()
    assert pending(clone) == {"extend_sft_S": 1, "evaluate": 1} | BELOW
    (clone / "results/tiny/sft/S/seed_0/step_8/model.safetensors").unlink()
    assert pending(clone) == {"sft_S": 1, "evaluate": 2, "rl": 1} | BELOW


def test_a_truncated_output_that_nothing_reads_again_is_named(clone):
    weights = clone / "results/tiny/sft/S/seed_0/step_4/model.safetensors"
    content = weights.read_bytes()
    weights.unlink()  # the file may be another name of one in the state
    weights.write_bytes(content[:-5])
    done = snakemake(clone, "-n", check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    named = (
        f"step_4/model.safetensors has {len(content) - 5} bytes instead of {len(content)}; delete it and run"
    )
    assert named in text
    weights.unlink()
    assert pending(clone) == {"extend_sft_S": 1, "evaluate": 1} | BELOW


# Another's result in the place of one, whole and with its records, as if a backup had been mixed up.
DATA = {"report_data": 1}
TRAINED = {"sft_S": 1, "evaluate": 2, "rl": 1}
MISPLACED = {
    "another checkpoint": ("sft/S/seed_0/step_8", "sft/S/seed_0/step_4", TRAINED),
    "another set": ("data/sets/Full.parquet", "data/sets/S.parquet", TRAINED | DATA | {"select_set": 1}),
    "another run": ("rl/grpo/base", "rl/dapo_dc/S-8", {"rl": 1, "evaluate": 1}),
    "another evaluation": ("evaluations/sft/Full", "evaluations/sft/S", {"evaluate": 1}),
    "other benchmarks": (
        "data/benchmarks/test_only.parquet", "data/benchmarks/monitored.parquet",
        DATA | {"decontaminate": 2, "rl": 3, "evaluate": 6},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("source", "place", "again"), MISPLACED.values(), ids=MISPLACED)
def test_a_whole_result_in_the_wrong_place_is_made_again(clone, source, place, again):
    root = clone / "results/tiny"
    if (root / source).is_dir():
        shutil.rmtree(root / place)
        shutil.copytree(root / source, root / place)
    else:
        for suffix in ("", ".run.json"):
            (root / f"{place}{suffix}").unlink()
            shutil.copy2(f"{root / source}{suffix}", f"{root / place}{suffix}")
    for _ in range(2):  # asking changes nothing
        assert pending(clone) == again | BELOW


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


@pytest.mark.soak
def test_runs_that_keep_nothing_or_diverge_end_well(clone):
    """Both publish the last good model, which is evaluated, and stand in the tables as what they are."""
    config = tiny_config()
    config["rl"] |= {"steps": 7, "generation_batch": 1, "max_rounds": 1, "on_unfilled": "skip"}
    config["rl"] |= {"save_every": 2, "learning_rate": 1e30}
    config["arms"] = [
        {"algorithm": "dapo_dc", "starts": ["S-8"]},  # one prompt fills no batch of four
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
