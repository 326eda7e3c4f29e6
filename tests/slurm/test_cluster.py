"""Several nodes, several clones, and a profile that does not suit the cluster."""

import shutil

import pandas as pd
import pytest
import yaml
from cluster import jobs, run, start
from study import curves, write_config

LOSSES = "results/tiny/sft/S/seed_0/losses.csv"
STEPS = "results/tiny/logs/sft/S/seed_0.jsonl"


def change(clone, **resources) -> None:
    """Asks for other resources."""
    config = yaml.safe_load((clone / "config.yaml").read_text())
    write_config(clone, config | {"resources": resources})


def test_one_rule_alone(clone):
    run(clone, "-R", "select_set", "--until", "select_set")
    assert sorted(jobs(clone).values()) == ["select_set Full", "select_set S"]


@pytest.mark.soak
def test_two_nodes_of_two_processes_train_as_one(clone, local):
    change(clone, sft={"nodes": 2, "gpus": 2})
    run(clone, "-R", "sft_S", "--until", "sft_S")
    assert list(jobs(clone).values()) == ["sft_S 0"]
    ours, theirs = (pd.read_json(where / STEPS, lines=True) for where in (clone, local))
    columns = ["step", "loss", "norm", "tokens"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns], rtol=1e-5)
    ours, theirs = (pd.read_csv(where / LOSSES) for where in (clone, local))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-5)


@pytest.mark.soak
def test_two_nodes_that_are_stopped_go_on_together(clone, local):
    change(clone, sft={"nodes": 2, "gpus": 2})
    run(clone, "--set-resources", "sft_Full:runtime=1", "-R", "sft_Full", "--until", "sft_Full")
    assert list(jobs(clone).values()) == 3 * ["sft_Full 0"]
    ours, theirs = (
        pd.read_json(where / STEPS.replace("/S/", "/Full/"), lines=True) for where in (clone, local)
    )
    pd.testing.assert_series_equal(ours["loss"], theirs["loss"], rtol=1e-5)


@pytest.mark.soak
def test_two_clones_run_side_by_side(clone, local, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(local, other, symlinks=True)
    for one in (clone, other):
        for name in ("rl/grpo", "evaluations/rl/grpo", "analysis"):
            shutil.rmtree(one / "results/tiny" / name)
    running = [start(one) for one in (clone, other)]
    assert [process.wait(600) for process in running] == [0, 0]
    for one in (clone, other):
        assert curves(one) == curves(local)
        assert len(jobs(one)) == 3  # RL, its evaluation, the analysis


@pytest.mark.parametrize(
    ("resources", "options", "words", "key"),
    [
        ({}, ["--default-resources", "slurm_partition=nowhere"], "Invalid partition name specified", "slurm_partition"),
        pytest.param({"evaluation": {"gpus": 5}}, [], "Requested node configuration is not available", "resources.evaluation",
                     marks=pytest.mark.soak),
        pytest.param({"evaluation": {"memory": 90}}, [], "Memory specification can not be satisfied",
                     "resources.evaluation.memory", marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_what_slurm_refuses_is_said_with_the_key(clone, resources, options, words, key):
    change(clone, **resources)
    done = run(clone, *options, "--retries", "0", "-R", "evaluate", "--until", "evaluate", check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    [line] = [line for line in said.splitlines() if line.startswith("SLURM refuses evaluate")]
    assert words in line
    assert key in said[said.index(line) + len(line) :]
