"""The benchmarks' own side still starts: their peers are installed by `make bench` alone."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def side_by_side(monkeypatch):
    """The module that the benchmarks share."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(ROOT)
    import side_by_side

    yield side_by_side
    sys.modules.pop("side_by_side")


def test_models_are_made_and_both_stages_take_a_step(side_by_side, tmp_path, monkeypatch):
    monkeypatch.setattr(side_by_side, "SFT_STEPS", 1)
    model = side_by_side.fine_tuned(tmp_path)
    job = side_by_side.STUDY.rl_job("grpo", "base", 0).model_copy(update={"batch_size": 2, "rollouts": 2})
    run = side_by_side.rl_run(job, model, tmp_path)
    run.step()
    assert run.state.step == 1
    assert (side_by_side.random_model(tmp_path / "random") / "model.safetensors").is_file()
