"""SFT runs in segments: the same results, whatever segments there are; what is made stays."""

import json
import shutil
from pathlib import Path

import pytest
from study import pending, snakemake, tiny_config, write_config

from switchpoint.study import paths

RUN = "results/tiny/sft/S/seed_0"
STEPS = [2, 4, 6, 8]
TARGETS = [
    *(file for step in STEPS for file in paths.model_files(f"{RUN}/step_{step}")),
    *(f"{RUN}/{name}" for name in paths.SFT_FILES),
]
VOLATILE = ("attempt", "seconds", "cpu_seconds", "throughput", "digest")


def segmented(segments: int, steps: list[int] = STEPS) -> dict:
    """The tiny study with more checkpoints, and RL from an early one."""
    config = tiny_config()
    config["sft"]["S"] |= {"save_steps": steps, "segments": segments}
    config["arms"] = [{"algorithm": "grpo", "starts": ["S-4"]}]
    return config


def results(clone: Path) -> dict[str, bytes | dict]:
    """Every file of the run that a study without segments has, too; of the run's record what does not vary."""
    files = {path.removeprefix(f"{RUN}/"): (clone / path).read_bytes() for path in TARGETS}
    record = json.loads(files["run.json"])
    return files | {"run.json": {key: record[key] for key in record if key not in VOLATILE}}


def made_anew(clone: Path, segments: int) -> Path:
    """The clone with this run made from nothing."""
    shutil.rmtree(clone / RUN)
    write_config(clone, segmented(segments))
    snakemake(clone, *TARGETS)
    return clone


@pytest.fixture(scope="module")
def whole(finished, tmp_path_factory) -> dict[str, bytes | dict]:
    """The results of one job."""
    copied = tmp_path_factory.mktemp("whole") / "clone"
    return results(made_anew(Path(shutil.copytree(finished, copied, symlinks=True)), 1))


@pytest.fixture(scope="module")
def in_segments(finished, tmp_path_factory) -> Path:
    """A clone whose run was made in three segments; leave it as it is."""
    copied = tmp_path_factory.mktemp("in_segments") / "clone"
    return made_anew(Path(shutil.copytree(finished, copied, symlinks=True)), 3)


@pytest.fixture
def clone(in_segments, tmp_path) -> Path:
    return Path(shutil.copytree(in_segments, tmp_path / "clone", symlinks=True))


def remove(clone: Path, *names: str) -> None:
    """Removes files or directories of the run."""
    for name in names:
        path = clone / RUN / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_results_in_segments_are_those_of_one_job(whole, in_segments):
    assert results(in_segments) == whole
    records = {
        path.name: json.loads(path.read_text())["steps"] for path in in_segments.glob(f"{RUN}/segment_*")
    }
    assert records == {"segment_2.json": [2], "segment_4.json": [4]}
    assert not list(in_segments.glob("results/tiny/state/sft/S/*/*"))
    logs = in_segments / "results/tiny/logs/sft/S"
    assert {path.name for path in logs.rglob("*.log")} == {"segment_2.log", "segment_4.log", "seed_0.log"}


def test_rl_from_an_early_checkpoint_waits_for_its_segment_alone(clone):
    shutil.rmtree(clone / RUN)
    assert pending(clone, "results/tiny/rl/grpo/S-4/seed_0/run.json") == {
        "sft_S_segment_1": 1, "sft_S_segment_2": 1, "rl": 1,
    }  # fmt: skip


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_what_is_made_stays_whatever_segments_there_are(clone, segments):
    write_config(clone, segmented(segments))
    assert pending(clone, *TARGETS) == {}


def test_a_run_of_one_job_stays(finished, tmp_path):
    copied = Path(shutil.copytree(finished, tmp_path / "clone", symlinks=True))
    write_config(copied, segmented(2, [4, 8]))
    assert pending(copied, *(path for path in TARGETS if "step_2" not in path and "step_6" not in path)) == {}


def test_missing_checkpoints_of_a_finished_run_are_made_again_and_no_others(clone, whole):
    remove(clone, "step_2/model.safetensors", "step_8")
    assert pending(clone, *TARGETS) == {"extend_sft_S": 1}
    kept = {path: path.stat().st_mtime_ns for step in (4, 6) for path in clone.glob(f"{RUN}/step_{step}/*")}
    snakemake(clone, *TARGETS)
    assert results(clone) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert pending(clone, *TARGETS) == {}


@pytest.mark.soak
def test_an_unfinished_run_goes_on_in_as_many_segments_as_there_are_now(clone, whole):
    remove(clone, "step_2", "step_6", "step_8", *paths.SFT_FILES)
    for segments, jobs in ((2, {"sft_S": 1}), (3, {"sft_S": 1}), (4, {"sft_S_segment_3": 1, "sft_S": 1})):
        write_config(clone, segmented(segments))
        assert pending(clone, *TARGETS) == jobs
    snakemake(clone, *TARGETS)
    assert results(clone) == whole
    assert pending(clone, *TARGETS) == {}
    record = json.loads((clone / RUN / "segment_6.json").read_text())
    assert record["steps"] == [2, 6]  # the one whose checkpoint was gone


def test_other_data_run_every_segment_again(clone):
    config = segmented(3)
    config["data"]["sets"]["S"]["size"] = 44
    write_config(clone, config)
    jobs = {"select_set": 1, "sft_S_segment_1": 1, "sft_S_segment_2": 1, "sft_S": 1}
    assert pending(clone, *TARGETS) == jobs
