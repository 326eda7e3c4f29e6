"""What jobs ask of a cluster, what SLURM's refusals are about, and what is left behind by a Snakemake that was killed."""

import base64
from pathlib import Path

import pytest
import yaml

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import recover, refusals, resources
from switchpoint.study.config import parse
from switchpoint.study.expand import Expansion
from switchpoint.study.resources import Needs, TrainingNeeds

ROOT = Path(__file__).parents[3]


def test_a_stage_asks_for_what_the_study_says():
    assert resources.asked(Needs(), 1) == {"mem_mb": 4000, "cpus_per_task": 1}
    assert resources.asked(Needs(gpus=2, memory=1.5, hours=0.5), 8) == {
        "mem_mb": 1500, "cpus_per_task": 8, "runtime": 30, "gres": "gpu:2", "gpus": 2,
    }  # fmt: skip
    assert resources.asked(TrainingNeeds(nodes=2, gpus=4), 8) == {
        "mem_mb": 4000, "cpus_per_task": 8, "gres": "gpu:4", "gpus": 8, "mpi": "srun", "nodes": 2, "tasks": 2,
        "tasks_per_gpu": 0,
    }  # fmt: skip
    assert "tasks_per_gpu" not in resources.asked(TrainingNeeds(nodes=2, processes=2), 2)


def test_processes_are_started_where_they_are():
    assert resources.launcher(TrainingNeeds(), 1) == "python -m switchpoint"
    assert resources.launcher(TrainingNeeds(gpus=8), 8) == "python -m switchpoint.training.launch 8"
    assert resources.launcher(TrainingNeeds(gpus=8, processes=1), 8) == "python -m switchpoint"
    assert resources.launcher(TrainingNeeds(nodes=2, gpus=4), 16) == (
        "srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=16 --gres=gpu:4 --wait=900 "
        "python -m switchpoint.training.launch 2x4"
    )


@pytest.mark.parametrize(
    ("hours", "total", "retries"),
    [(None, None, None), (10, None, None), (10, 10, 2), (10, 10.5, 3), (24, 100, 6)],
)
def test_submissions_follow_from_the_hours(hours, total, retries):
    assert Needs(hours=hours, total_hours=total).retries == retries


def test_a_total_without_hours_is_refused():
    with pytest.raises(ValueError, match="give hours, too"):
        Needs(total_hours=10)


def test_no_job_is_told_what_it_is_given():
    """So that asking for more reruns nothing."""
    given = {
        "sft": {"nodes": 2, "gpus": 8, "hours": 24, "total_hours": 100},
        "rl": {"gpus": 8},
        "data": {"cpus": 4},
    }
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    plain, rich = (Expansion(parse(config | more)) for more in ({}, {"resources": given}))
    assert plain.sft_job("Full", 0) == rich.sft_job("Full", 0)
    assert plain.rl_job("grpo", "base", 0) == rich.rl_job("grpo", "base", 0)
    assert plain.evaluate_job("base") == rich.evaluate_job("base")
    assert plain.ingest_job("pool") == rich.ingest_job("pool")
    assert (plain.cpus("sft"), rich.cpus("sft"), rich.cpus("data")) == (1, 8, 4)


LOG = """
Error in rule {rule}:
    message: SLURM sbatch failed. The error message was 'sbatch: error: {words}'.
    sbatch call:
        sbatch --parsable --job-name 1 --comment {comment}   -p bed --mem 1000 -D /here --wrap="python"
For further error details see the cluster/cloud log
"""


@pytest.mark.parametrize(
    ("rule", "words", "key"),
    [
        ("sft_Full", "invalid partition specified: x\nsbatch: error: Batch job submission failed: Invalid partition name specified",
         "slurm_partition (default-resources of the profile"),
        ("rl", "Batch job submission failed: Invalid account or account/partition combination specified", "slurm_account"),
        ("rl", "Batch job submission failed: Requested node configuration is not available", "resources.rl: nodes"),
        ("evaluate_part", "Memory specification can not be satisfied", "resources.evaluation.memory"),
        ("train_solver", "Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
         "resources.solver.hours"),
        ("extend_sft_Full", "Batch job submission failed: Invalid generic resource (gres) specification", "resources.sft.gpus"),
        ("deduplicate", "Batch job submission failed: Invalid qos specification", "qos (default-resources"),
        ("collect", "Something new", "resources.analysis"),
    ],
)  # fmt: skip
def test_slurms_words_are_quoted_with_the_key_that_they_are_about(tmp_path, rule, words, key):
    log = tmp_path / "log"
    log.write_text(2 * LOG.format(rule=rule, words=words, comment=f"rule_{rule}_wildcards_x"))
    [sentence] = refusals.explain(log)
    said, change = sentence.split("\n")
    assert words.splitlines()[-1].removeprefix("sbatch: error: ") in said
    assert said.startswith(f"SLURM refuses {rule}: ")
    assert key in change


@pytest.mark.parametrize(
    "words",
    [
        "slurmstepd-n1: error: StepId=1.0 exceeded memory limit (541954048 > 419430400), being killed",
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=77.batch. Some of the step tasks have been OOM Killed.",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=77.0.",
    ],
)
def test_a_job_that_was_killed_for_its_memory_is_told_from_others(tmp_path, words):
    folder = tmp_path / ".snakemake/slurm_logs/rule_sft_Full/0"
    folder.mkdir(parents=True)
    (folder / "7.log").write_text(f"started\n{words}\nended\n")
    (folder / "8.log").write_text("RuntimeError: a mistake\n")
    (folder / "9.log").write_text(f"{words}\n")
    log = tmp_path / "log"
    log.write_text(
        "".join(
            f"Job 1 has been submitted with SLURM jobid {n} (log: {folder}/{n}.log).\n" for n in (7, 8, 9)
        )
        + "SLURM-job '7' failed, SLURM status is: 'FAILED'\nSLURM-job '8' failed, SLURM status is: 'FAILED'\n"
    )
    assert refusals.explain(log) == [
        f"SLURM has killed sft_Full: {words}\n  change resources.sft.memory of the study"
    ]


def test_a_log_without_refusals_says_nothing(tmp_path):
    log = tmp_path / "log"
    log.write_text("Error in rule rl:\n    message: SLURM-job '12' failed, SLURM status is: 'FAILED'.\n")
    assert refusals.explain(log) == []


def mark(root, output: str) -> None:
    """Marks an output as Snakemake does: its name in base 64, in folders where it is long."""
    name = base64.urlsafe_b64encode(output.encode()).decode()
    *folders, last = [name[first : first + 100] for first in range(0, len(name), 100)]
    path = root.joinpath(".snakemake/incomplete", *(f"@{folder}" for folder in folders), last)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def test_whole_outputs_stay_and_half_ones_go(tmp_path, monkeypatch):
    monkeypatch.setattr(recover.queue, "jobs", lambda directory: [])
    run = tmp_path / "results/s/rl/grpo/base/seed_0"
    (run / "model").mkdir(parents=True)
    (run / "model/model.safetensors").write_bytes(b"weights")
    (run / "points.csv").write_text("points")
    whole = ["model/model.safetensors", "points.csv"]
    files.write_record(run / "run.json", {"outputs": files.measure(run, whole)})
    (run / "other.csv").write_text("half")
    half = tmp_path / ("results/s/" + "long_name_" * 15 + "/table.parquet")
    half.parent.mkdir(parents=True)
    half.write_text("half")
    cut = tmp_path / "results/s/table.parquet"
    cut.write_text("whole")
    files.write_record(f"{cut}{files.RECORD}", {"outputs": files.measure(cut.parent, [cut.name])})
    cut.write_text("who")
    kept = [f"{run.relative_to(tmp_path)}/{name}" for name in [*whole, "run.json"]]
    removed = [str(path.relative_to(tmp_path)) for path in (run / "other.csv", half, cut)]
    for output in [*kept, *removed, "results/s/never_begun"]:
        mark(tmp_path, output)
    (tmp_path / ".snakemake/locks").mkdir()
    (tmp_path / ".snakemake/locks/0.output.lock").touch()
    said = recover.run(tmp_path, wait=False, force=False)
    assert [sentence.split(":")[0] for sentence in said] == [
        "kept 3 outputs that are whole", "removed 3 outputs that were not", "removed Snakemake's lock",
    ]  # fmt: skip
    assert all((tmp_path / name).is_file() for name in kept)
    assert not any((tmp_path / name).exists() for name in removed)
    assert not [path for path in (tmp_path / ".snakemake").rglob("*") if path.is_file()]
    assert recover.run(tmp_path, wait=False, force=False)[0].startswith("nothing to recover")


def test_several_nodes_without_srun_are_refused(monkeypatch):
    from switchpoint.training import launch

    for name in launch.SRUN:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="2 nodes are asked for, but there is no SLURM_NODEID"):
        launch.rendezvous(2)
    assert launch.rendezvous(1) == ["--standalone"]
