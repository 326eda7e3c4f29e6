"""A full disk is named as such, with the file, in one line; nothing half-written is left under a name of its own."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import test_sft
from safetensors import SafetensorError

from switchpoint import files, tables
from switchpoint.study.config import Optimizer
from switchpoint.training import llama_parameters, models
from switchpoint.training.engine.torch import Engine

BASE = "src/switchpoint/tiny-base"
TABLE = pd.DataFrame({"run": "rl/grpo/base/seed_0", "score": range(20_000)})


def make_engine() -> Engine:
    policy = models.load(BASE)
    return Engine(policy.model, Optimizer(learning_rate=1e-3), policy.tokenizer.pad_token_id)


WRITERS = {
    "points.csv": lambda path: tables.write_csv(TABLE, path),
    "samples.parquet": lambda path: tables.write_parquet(TABLE, path),
    "run.json": lambda path: files.write_record(path, {"log": list(range(20_000))}),
    "rows.jsonl": lambda path: tables.write_json_lines(({"row": row} for row in range(20_000)), path),
    "state_1.pt": lambda path: make_engine().save(path, {}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_finds_no_space_names_its_file(tmp_path, name):
    path = tmp_path / name
    (tmp_path / f".{name}.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        WRITERS[name](path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert not list(tmp_path.iterdir())


def test_weights_that_find_no_space_name_their_directory(tmp_path, monkeypatch):
    def refuse(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    policy = models.load(BASE)
    monkeypatch.setattr(llama_parameters, "save", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        models.save(policy, tmp_path / "step_1", "# card\n", {})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "step_1"))
    assert not (tmp_path / "step_1/run.json").exists()


def ends(command: str, directory: Path) -> subprocess.CompletedProcess:
    """A shell command that runs `switchpoint` (its arguments behind ``SWITCHPOINT``) in the directory."""
    command = command.replace("SWITCHPOINT", f"exec {sys.executable} -m switchpoint")
    done = subprocess.run(command, shell=True, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done


def test_a_command_says_that_the_disk_is_full(tmp_path):
    (tmp_path / "losses.csv").write_text("run,step,loss\na,0,3\na,1,2\na,2,2.5\n")
    command = "ln -s /dev/full .phases.json.$$.tmp; SWITCHPOINT phases losses.csv --out phases.json"
    done = ends(command, tmp_path)
    assert done.stderr == "error: disk full: phases.json: free space and run again\n"
    assert [path.name for path in tmp_path.iterdir()] == ["losses.csv"]


def test_an_output_that_cannot_be_printed_is_said(tmp_path):
    done = ends("SWITCHPOINT flops Qwen2.5-7B --batch-size 8 --mean-length 100 > /dev/full", tmp_path)
    assert done.stderr == "error: disk full: the output: free space and run again\n"


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of some kilobytes at the folder ``disk``; needs root."""
    disk, mounted = tmp_path / "disk", []
    disk.mkdir()

    def mount(kilobytes: int) -> Path:
        options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "none"]
        done = subprocess.run(["mount", *options, disk], check=False, capture_output=True)
        if done.returncode:
            pytest.skip("nobody but root may mount a file system")
        mounted.append(disk)
        return disk

    yield mount
    if mounted:
        subprocess.run(["umount", "--lazy", disk], check=True)  # its lock may still be open


# A step's model has 0.5 MB and its training state 1.5 MB; two steps are saved, then published as copies.
@pytest.mark.parametrize(
    ("where", "kilobytes", "named"),
    [
        ("state", 300, "step_1"),
        ("state", 1500, "state_1.pt"),
        ("state", 3000, "state_2.pt"),
        ("out", 300, "step_1/"),
    ],
)
def test_a_job_on_a_full_disk_goes_on_when_there_is_space(tmp_path, small_disk, where, kilobytes, named):
    disk = small_disk(kilobytes)
    folder = tmp_path / ("state" if where == "state" else "sft")
    folder.symlink_to(disk)
    with pytest.raises(OSError, match="No space left") as caught:
        test_sft.train(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert named in caught.value.filename
    assert not (tmp_path / test_sft.NAME / "run.json").exists()
    subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
    test_sft.train(tmp_path)
    record = files.read_run(tmp_path / test_sft.NAME)
    assert (record["status"], record["attempt"]) == ("finished", 2)
