"""How an RL run ends: outputs and status, wherever the model breaks."""

import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from test_recipes import inputs

from switchpoint.errors import DivergedError
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.training.rl import loop
from switchpoint.training.rollouts.sampler import Sampler

ROOT = Path(__file__).parents[3]
BASE = ROOT / "assets/tiny-base"


def train(directory: Path) -> Path:
    """Three GRPO steps from the base with evaluations around them; the folder of the outputs."""
    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    config["rl"] |= {"steps": 3, "batch_size": 4, "rollouts": 4, "eval_every": 3}
    config["evaluation"]["monitor_samples"] = 1
    config["arms"] = [{"algorithm": "grpo", "starts": ["base"]}]
    files = inputs(directory)
    loop.run(
        Expansion(studies.parse(config)).rl_job("grpo", "base", 0),
        str(BASE), None, files["prompts"], files["benchmarks"], str(directory / "out"), str(directory / "state"),
        save_every=1,
    )  # fmt: skip
    return directory / "out"


def breaking(monkeypatch, call: int) -> None:
    """The sampler finds no finite output at its n-th call: 0 and 4 evaluate, 1 to 3 are the steps'."""
    sample, calls = Sampler.sample, iter(range(100))

    def checked(sampler, prompts, sampling):
        if next(calls) == call:
            raise DivergedError("the model's output is not finite")
        return sample(sampler, prompts, sampling)

    monkeypatch.setattr(Sampler, "sample", checked)


@pytest.mark.parametrize(("call", "steps"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_a_model_that_the_sampler_finds_broken_ends_the_run_as_diverged(tmp_path, monkeypatch, call, steps):
    breaking(monkeypatch, call)
    out = train(tmp_path)
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["steps"], len(record["log"])) == ("diverged", steps, steps)
    assert pd.read_csv(out / "points.csv")["step"].unique().tolist() == [0]
    assert (out / "samples.parquet").is_file()
    weights, start = load_file(out / "model/model.safetensors"), load_file(BASE / "model.safetensors")
    kept = all((weights[name] == start[name]).all() for name in start)
    assert kept == (steps < 2)  # the weights before the update whose output was broken


def test_a_start_that_is_broken_is_an_error(tmp_path, monkeypatch):
    breaking(monkeypatch, 0)
    with pytest.raises(DivergedError, match="not finite"):
        train(tmp_path)
    assert not (tmp_path / "out").exists()
