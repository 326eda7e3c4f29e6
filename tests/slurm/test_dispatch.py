"""A study by the literal ``snakemake --profile slurm`` is that of one machine, and asks SLURM for what it says."""

import re

import pandas as pd
import pytest
from bed import ask
from cluster import ANALYSIS, jobs, recording_sbatch, run, small_config, submissions
from study import curves, make_clone, pending, weights, write_config

DATA = "-p bed -t 60 --mem 4000 --no-requeue --ntasks=1 --cpus-per-task=2"
TRAINING = "-p bed -t 90 --mem 3000 --no-requeue --cpus-per-task=1 --gres=gpu:2"
RL = "-p bed -t 90 --mem 3000 --no-requeue --cpus-per-task=1 --gres=gpu:1"
EVALUATION = "-p bed -t 60 --mem 3000 --no-requeue --cpus-per-task=1 --gres=gpu:1"
ANALYSES = "-p bed -t 60 --mem 4000 --no-requeue --ntasks=1 --cpus-per-task=2"  # two at a time, five after one another
ASKED = {
    **{f"ingest {name}": DATA for name in ("pool", "prompts", "gsm", "math")},
    **dict.fromkeys(("deduplicate", "hold_out_validation", "select_set S", "select_set Full", "select_prompts", "select_mix", "decontaminate monitored", "report_data"), DATA),
    "sft_S 0": TRAINING, "sft_Full 0": TRAINING,
    "rl dapo_dc_S-8_0": RL, "rl dapo_dc_Full-3_0": RL, "rl grpo_base_0": RL,
    "evaluate base": EVALUATION, "evaluate sft_S": EVALUATION, "evaluate sft_Full": EVALUATION,
    "evaluate rl_dapo_dc_S-8": EVALUATION, "evaluate rl_dapo_dc_Full-3": EVALUATION, "evaluate rl_grpo_base": EVALUATION,
    ANALYSIS: ANALYSES,
}  # fmt: skip
# Not more processors for what trains or samples: on a CPU sums depend on the number of threads.
RESOURCES = {
    "data": {"cpus": 2},
    "sft": {"gpus": 2, "processes": 1, "memory": 3, "hours": 1.5},
    "rl": {"gpus": 1, "memory": 3, "hours": 1.5},
    "evaluation": {"gpus": 1, "memory": 3},
}


def samples(clone) -> dict[str, pd.DataFrame]:
    """Every table of samples."""
    root = clone / "results/tiny"
    return {
        str(path.relative_to(root)): pd.read_parquet(path) for path in sorted(root.glob("**/samples.parquet"))
    }


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A clone whose study has run on the bed, with GPUs asked for, and the folder of what SLURM was asked."""
    folder = tmp_path_factory.mktemp("slurm")
    clone = make_clone(folder / "clone", small_config() | {"resources": RESOURCES})
    run(clone, **recording_sbatch(folder / "bin"))
    return clone, folder / "bin"


def test_curves_samples_and_weights_are_those_of_one_machine(ran, request):
    clone, _ = ran
    local = request.getfixturevalue("local")  # which another process of the tests makes meanwhile
    assert curves(clone) == curves(local)
    assert weights(clone) == weights(local)
    there, here = samples(clone), samples(local)
    assert set(there) == set(here)
    for name, table in there.items():
        pd.testing.assert_frame_equal(table, here[name])
    assert pending(clone) == {}


def test_every_rule_asks_for_what_the_study_says(ran):
    clone, calls = ran
    assert submissions(calls) == ASKED
    for number, title in jobs(clone).items():
        shown = ask("scontrol", "show", "job", number)
        gpus = re.search(r"TresPerNode=gres:gpu:(\d)", shown)
        assert (gpus and gpus[1]) == (re.findall(r"gpu:(\d)", ASKED[title]) or [None])[0], title
        assert "Requeue=0" in shown


def test_a_changed_set_submits_its_branch_alone(ran):
    clone, _ = ran
    before = jobs(clone)
    config = small_config() | {"resources": RESOURCES}
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    run(clone)
    branch = [
        "select_set S",
        "sft_S 0",
        "rl dapo_dc_S-8_0",
        "evaluate sft_S",
        "evaluate rl_dapo_dc_S-8",
        "report_data",
        ANALYSIS,
    ]
    submitted = {number: title for number, title in jobs(clone).items() if number not in before}
    assert sorted(submitted.values()) == sorted(branch)
    assert pending(clone) == {}
    # More hours and GPUs are no change.
    config["resources"] = {"rl": {"gpus": 4, "hours": 2}, "sft": {"memory": 8}}
    write_config(clone, config)
    assert pending(clone) == {}
