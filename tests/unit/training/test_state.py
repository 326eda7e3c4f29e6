"""A job's state: what is damaged is never published and stops no attempt; one process at a time."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import test_evaluation
import test_loop
import test_sft
from damages import copy, damage
from test_evaluation import problems, small_blocks  # noqa: F401

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.flops import n_weights
from switchpoint.study import plan
from switchpoint.study.jobs import Job
from switchpoint.training import evaluation
from switchpoint.training.job_run import JobRun
from switchpoint.training.rl.loop import RlRun
from switchpoint.training.sft import SftRun

VOLATILE = {"attempt", "seconds", "cpu_seconds", "digest", "throughput"}


def published(directory: Path) -> dict[str, bytes | dict]:
    """All outputs by name; of the job's own run.json what is the same in every attempt."""
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    record = {key: value for key, value in files.read_run(directory).items() if key not in VOLATILE}
    return {name: path.read_bytes() for name, path in found.items()} | {"run.json": record}


class Stopped(BaseException):
    """What ends an attempt, as a kill would."""


def stop(*_):
    raise Stopped


@pytest.fixture(scope="module")
def sft(tmp_path_factory):
    """(folder of an SFT job that was stopped before it published, the outputs of one that was not)."""
    whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    test_sft.train(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SftRun, "publish", stop)
        with pytest.raises(Stopped):
            test_sft.train(stopped)
    return stopped, published(whole / test_sft.NAME)


@pytest.fixture(scope="module")
def rl(tmp_path_factory):
    """The same of an RL job."""
    whole, stopped = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("stopped")
    test_loop.train(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RlRun, "publish", stop)
        with pytest.raises(Stopped):
            test_loop.train(stopped)
    return stopped, published(whole / "out")


SFT_DAMAGES = [  # and the step that the next attempt resumes at, None: at the start
    ("step_1/model.safetensors", "truncate", None),
    ("step_1/run.json", "flip", None),
    ("step_2/model.safetensors", "flip", 1),
    ("step_2/config.json", "empty", 1),
    ("step_2/tokenizer.json", "delete", 1),
    ("state_2.pt", "truncate", 1),
    ("state_2.pt", "directory", 1),
    ("state_2.json", "flip", 1),
    ("state_2.json", "empty", 1),
    ("state_1.pt", "flip", 2),
]


@pytest.mark.parametrize(("name", "kind", "step"), SFT_DAMAGES)
def test_sft_goes_back_to_the_last_state_that_is_whole(sft, tmp_path, capsys, name, kind, step):
    stopped, outputs = sft
    directory = copy(stopped, tmp_path / "job")
    (path,) = directory.glob(f"state/{test_sft.NAME}/*/{name}")
    damage(path, kind)
    test_sft.train(directory)
    said = capsys.readouterr().out
    assert published(directory / test_sft.NAME) == outputs
    assert (f"resumed at step {step}" in said) == (step is not None)
    assert said.count("discarded") == said.count(f"{path} ") == (step != 2) * (2 if step is None else 1)
    assert not list(directory.glob(f"state/{test_sft.NAME}/*"))


@pytest.mark.parametrize("job", ["sft", "rl"])
def test_a_state_takes_what_the_plan_says(job, request):
    stopped, _ = request.getfixturevalue(job)
    saves = list(stopped.glob("state/**/state_*.pt"))
    assert len(saves) == 2
    expected = n_weights("src/switchpoint/tiny-base") * plan.STATE
    assert sum(path.stat().st_size for path in saves) == pytest.approx(expected, rel=0.03)


RL_DAMAGES = [
    ("monitor_0.parquet", "flip", None),
    ("monitor_3.parquet", "truncate", 3),
    ("points_0.csv", "truncate", None),
    ("state_4.pt", "flip", 3),
    ("state_4.json", "truncate", 3),
]


@pytest.mark.parametrize(("name", "kind", "step"), RL_DAMAGES)
def test_rl_goes_back_to_the_last_state_that_is_whole(rl, tmp_path, capsys, name, kind, step):
    stopped, outputs = rl
    directory = copy(stopped, tmp_path / "job")
    (path,) = directory.glob(f"state/*/{name}")
    damage(path, kind)
    test_loop.train(directory)
    said = capsys.readouterr().out
    assert published(directory / "out") == outputs
    assert (f"resumed at step {step}" in said) == (step is not None)
    assert f"{path} " in said


@pytest.mark.parametrize(
    ("suffix", "kind"), [("parquet", "flip"), ("parquet", "empty"), ("json", "truncate")]
)
def test_a_damaged_block_is_made_again(problems, tmp_path, small_blocks, monkeypatch, suffix, kind, capsys):  # noqa: F811
    whole = test_evaluation.run(problems, tmp_path)
    block = sorted(tmp_path.glob(f"state_0/*/*.{suffix}"))[3]
    damage(block, kind)
    made, real = [], evaluation.evaluate_block
    monkeypatch.setattr(evaluation, "evaluate_block", lambda *args: made.append(args[2]) or real(*args))
    assert test_evaluation.run(problems, tmp_path) == whole
    assert [one.name for one in made] == [block.stem.partition("_")[2]]
    assert f"{block} " in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\xff", b"two"])
def test_a_damaged_count_of_attempts_starts_anew(sft, tmp_path, capsys, content):
    directory = copy(sft[0], tmp_path / "job")
    (path,) = directory.glob(f"state/{test_sft.NAME}/*/attempts")
    assert path.read_text() == "1"
    path.write_bytes(content)
    test_sft.train(directory)
    assert files.read_run(directory / test_sft.NAME)["attempt"] == 1
    assert f"{path} is no number" in capsys.readouterr().out


def test_what_is_damaged_within_an_attempt_is_not_published(tmp_path, monkeypatch):
    publish = SftRun.publish

    def damaged(run, out):
        damage(run.job_run.state / "step_1/model.safetensors", "flip")
        publish(run, out)

    monkeypatch.setattr(SftRun, "publish", damaged)
    with pytest.raises(InputError, match=r"step_1/model.safetensors is not as it was written; run the job"):
        test_sft.train(tmp_path)
    assert not list((tmp_path / test_sft.NAME).glob("**/model.safetensors"))
    monkeypatch.setattr(SftRun, "publish", publish)
    test_sft.train(tmp_path)


def test_a_record_is_written_when_all_that_it_covers_is_on_disk(tmp_path, monkeypatch):
    """Content first, then its name, then the record's: a power cut leaves no record of what is not there."""
    synced, real = {}, files.sync

    def sync(path):
        real(path)
        synced[path.stat().st_ino] = path.stat().st_mtime_ns
        if not path.name.startswith(".state_") or not path.name.endswith(".tmp") or ".json." not in path.name:
            return
        covered = files.read_record(path)["outputs"]
        for name in covered:
            for needed in ((path.parent / name), (path.parent / name).parent):
                if needed != path.parent:  # where the record itself is about to be
                    assert synced[needed.stat().st_ino] == needed.stat().st_mtime_ns, needed
        records.append(sorted(covered))

    records = []
    monkeypatch.setattr(files, "sync", sync)
    test_sft.train(tmp_path)
    assert [len(covered) for covered in records] == [8 + 1, 16 + 1]


HOLDER = """
import os, sys, time
from switchpoint.study.jobs import Job
from switchpoint.training.job_run import JobRun
run = JobRun(Job(recipe=1), {}, sys.argv[1])
child = os.fork()  # as a job's graders, which may outlive it
if child:
    print(child, flush=True)
time.sleep(600)
"""


def test_a_job_runs_once_at_a_time(tmp_path):
    state = tmp_path / "state/job"
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(state)], stdout=subprocess.PIPE, text=True)
    child = int(other.stdout.readline())
    try:
        with pytest.raises(InputError) as caught:
            JobRun(Job(recipe=1), {}, state)
        who = f"process {other.pid} on {socket.gethostname()}"
        assert str(caught.value) == f"{state}: {who} runs this very job; wait for its end, or end it"
        other.kill()
        other.wait()
        assert JobRun(Job(recipe=1), {}, state).attempt == 2
    finally:
        os.kill(child, signal.SIGKILL)
        other.kill()
        other.wait()
        other.stdout.close()


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    JobRun(Job(recipe=1), {}, tmp_path / "job")
    assert "no lock (No locks available)" in capsys.readouterr().out


def test_a_state_on_another_device_is_published(tmp_path, monkeypatch):
    """Where a link to the outputs is refused, they are copies."""

    def refuse(source, _target):
        raise OSError(errno.EXDEV, "Invalid cross-device link", source)

    monkeypatch.setattr(os, "link", refuse)
    test_sft.train(tmp_path)
    record = files.read_run(tmp_path / test_sft.NAME)
    assert len(record["outputs"]) == 2 * 8 + 3
    assert pd.read_csv(tmp_path / test_sft.NAME / "losses.csv")["step"].tolist() == [0, 1, 2]
