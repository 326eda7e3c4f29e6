"""A short SFT run on the shipped base model: what it publishes, what it shows on the way, how it resumes."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from switchpoint import files
from switchpoint.analysis.phases import label_phases, watch_losses
from switchpoint.data import step_lists
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.training import sft

ROOT = Path(__file__).parents[3]
NAME = "sft/S/seed_0"


def train(directory: Path, tensorboard: str | None = None) -> None:
    """Two steps; outputs, state and log lie as in a study."""
    rows = pd.DataFrame(step_lists.make_problems(0, "sft", 14, (2, 3), [1]))
    data, validation = str(directory / "data.parquet"), str(directory / "validation.parquet")
    rows[:8].to_parquet(data)
    rows[8:].to_parquet(validation)
    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    config["sft"]["S"] |= {"steps": 2, "save_steps": [1, 2], "batch_size": 4, "seeds": [0]}
    config["arms"] = [{"algorithm": "grpo", "starts": ["base"]}]
    job = Expansion(studies.parse(config)).sft_job("S", 0)
    out, state = str(directory / NAME), str(directory / "state" / NAME)
    log = str(directory / f"logs/{NAME}.log")
    sft.run(
        job, [1, 2], str(ROOT / "src/switchpoint/tiny-base"), data, validation, out, state,
        log=log, tensorboard=tensorboard,
    )  # fmt: skip


def outputs(directory: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    out = directory / NAME
    return pd.read_csv(out / "losses.csv"), pd.read_parquet(out / "validation.parquet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    train(directory)
    return directory


def test_the_examples_are_those_of_the_losses(whole):
    losses, examples = outputs(whole)
    assert losses["step"].tolist() == [0, 1, 2]
    assert list(examples.columns) == ["run", "step", "example", "nll", "tokens"]
    assert examples.dtypes[["step", "nll", "tokens"]].tolist() == ["int64", "float64", "int64"]
    held_out = pd.read_parquet(whole / "validation.parquet")["id"].tolist()
    assert [rows["example"].tolist() for _, rows in examples.groupby("step")] == [held_out] * 3
    found = label_phases(losses, examples)["runs"][NAME]  # refuses examples whose token means are others
    assert found["certain"].keys() == found["labels"].keys() == {"0", "1", "2"}
    best = losses.loc[losses["loss"].iloc[1:].idxmin(), "step"]
    assert files.read_json(whole / NAME / "selection.json") == {"min_val_loss": best}


def test_a_killed_run_shows_its_losses_and_ends_as_a_whole_one(whole, tmp_path, monkeypatch):
    step = sft.SftRun.step

    def killed(run):
        if run.engine.steps == 1:
            raise KeyboardInterrupt
        return step(run)

    monkeypatch.setattr(sft.SftRun, "step", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    (shown,) = tmp_path.glob(f"state/{NAME}/*/losses.csv")
    losses, examples = outputs(whole)
    pd.testing.assert_frame_equal(pd.read_csv(shown), losses[:2])
    assert not (tmp_path / NAME / "losses.csv").exists()

    monkeypatch.setattr(sft.SftRun, "step", step)
    lines = list(watch_losses(shown, 1.0, wait=lambda _: train(tmp_path)))
    for one, other in zip(outputs(tmp_path), (losses, examples), strict=True):
        pd.testing.assert_frame_equal(one, other)
    assert not shown.exists()
    assert lines[-2] == f"the job has finished; its losses are in {tmp_path / NAME / 'losses.csv'}"
    assert [line.split(":")[0] for line in lines[:3]] == [f"{NAME} step {step}" for step in range(3)]


def test_a_kill_amid_the_final_cleaning_leaves_nothing_half(whole, tmp_path, monkeypatch):
    """The state is gone but for the directories of the models; Snakemake has deleted the outputs."""
    rmtree = shutil.rmtree

    def killed(path, **options):
        if options:  # tempfile's own
            return rmtree(path, **options)
        for part in Path(path).glob("*/*"):
            if not part.name.startswith("state_"):
                rmtree(part) if part.is_dir() else part.unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    monkeypatch.setattr(shutil, "rmtree", rmtree)
    rmtree(tmp_path / NAME)
    train(tmp_path)
    for one, other in zip(outputs(tmp_path), outputs(whole), strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(("norm", "share"), [(1e-6, 1.0), (1e6, 0.0)])
def test_the_share_of_clipped_updates_is_recorded(tmp_path, monkeypatch, norm, share):
    job_of = Expansion.sft_job

    def limited(self, *start):
        job = job_of(self, *start)
        return job.model_copy(update={"optimizer": job.optimizer.model_copy(update={"max_grad_norm": norm})})

    monkeypatch.setattr(Expansion, "sft_job", limited)
    train(tmp_path)
    assert files.read_json(tmp_path / NAME / "run.json")["clipped_updates"] == share


def test_examples_without_a_solution_are_refused_before_training():
    rows = pd.DataFrame(step_lists.make_problems(0, "sft", 3, (2, 3), [1]))
    rows.loc[1, "solution"] = None
    job = Expansion(studies.load(ROOT / "config.yaml")).solver_job()
    with pytest.raises(InputError, match="solver: 1 of 3 rows have no solution to train on; give each one"):
        sft.encode(None, rows, job)
