"""Jobs that are killed, asked to end, or short of time, ten times in a row: they end as one that was left alone."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import attempts
import pytest
from attempts import JOBS, STEPS
from test_state import published

from switchpoint.errors import InputError, StoppedError
from switchpoint.grading import grader
from switchpoint.study.config import PretrainingStage
from switchpoint.study.jobs import BaseJob, Job
from switchpoint.training import tiny_base
from switchpoint.training.job_run import JobRun
from switchpoint.training.limit import RESERVE, Limit

INTERRUPTIONS = [signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGUSR1, None] * 2  # None: a deadline
STOPPED = re.compile(r"saved at (?:step|block) \d+; run the same command to go on")
BRIEF = ("sft", "dapo_dc", "luffy", "srft")


def soak(jobs: list[str]) -> list:
    """The jobs; those that are not brief are for the soak."""
    return [job if job in BRIEF else pytest.param(job, marks=pytest.mark.soak) for job in jobs]


def left_alone(job: str, directory: Path) -> dict[str, bytes | dict]:
    """The outputs of an attempt that nothing interrupts."""
    directory.mkdir(exist_ok=True)
    process = attempts.start(job, directory)
    process.join()
    assert process.exitcode == 0, (directory / "log").read_text()
    return published(directory / "out")


def interrupt(job: str, directory: Path, number: int | None, draw: random.Random) -> int:
    """The exit code of an attempt that gets a signal somewhere, or a deadline (None) that has passed."""
    process = attempts.start(job, directory, None if number else 0.0)
    if number:
        before = count(directory)
        while process.is_alive() and count(directory) == before:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.2))
        if process.is_alive():
            os.kill(process.pid, number)
    process.join()
    return process.exitcode


def count(directory: Path) -> int:
    """How many attempts have begun."""
    found = list(directory.glob("state/*/attempts"))
    return int(found[0].read_text()) if found else 0


def assert_ends_as_if_left_alone(job: str, directory: Path, seed: int) -> None:
    """Ten interruptions in a random order, then an attempt to the end."""
    draw = random.Random(f"{job} {seed}")
    expected = left_alone(job, directory / "whole")
    torn = directory / "torn"
    torn.mkdir()
    codes = []
    for number in draw.sample(INTERRUPTIONS, len(INTERRUPTIONS)):
        code = interrupt(job, torn, number, draw)
        codes.append(code)
        if code == 0:  # it was faster
            break
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else os.EX_TEMPFAIL)
        if code > 0:
            assert STOPPED.fullmatch((torn / "log").read_text().splitlines()[-1])
        assert not (torn / "out/run.json").exists()
    print(job, codes)
    assert codes[0] != 0
    assert left_alone(job, torn) == expected
    assert "resumed at step" in (torn / "log").read_text()
    assert not list(torn.glob("state/*"))


@pytest.mark.parametrize("job", soak(JOBS))
def test_an_interrupted_job_ends_as_one_that_was_left_alone(tmp_path, job):
    assert_ends_as_if_left_alone(job, tmp_path, 0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("job", JOBS)
def test_many_interrupted_jobs_do(tmp_path, job, seed):
    assert_ends_as_if_left_alone(job, tmp_path, seed)


@pytest.mark.parametrize(("job", "units"), [("sft", STEPS), ("dapo_dc", STEPS + 4)])
def test_every_attempt_makes_one_step_and_none_is_made_twice(tmp_path, monkeypatch, job, units):
    """However short the time; an evaluation of RL counts as a step: there are four."""
    monkeypatch.setattr(grader, "shared", attempts.Judge)
    monkeypatch.setattr(grader, "close_shared", lambda: None)
    expected = left_alone(job, tmp_path / "whole")
    directory, stops = tmp_path / "short", []
    directory.mkdir()
    for _ in range(units - 1):
        with pytest.raises(StoppedError, match=STOPPED.pattern) as stop:
            attempts.run(job, directory, Limit(0.0))
        stops.append(int(re.search(r"\d+", str(stop.value))[0]))
    attempts.run(job, directory, Limit(0.0))
    assert stops == sorted(stops)
    assert set(stops) == set(range(1 if job == "sft" else 0, STEPS + (job != "sft")))
    assert published(directory / "out") == expected


def make_run(directory: Path, limit: Limit) -> JobRun:
    """A job at its second step, after a first that took a thousand seconds and a save that took three hundred."""
    run = JobRun(Job(recipe=1), {}, directory, limit=limit)
    run.stop_if_due("step 0")
    run.step_began -= 1000
    run.saving = 300
    return run


def test_there_has_to_be_time_for_the_longest_step_twice_and_a_save(tmp_path):
    make_run(tmp_path / "long", Limit(time.time() + 2400)).stop_if_due("step 1")
    with pytest.raises(StoppedError, match="saved at step 1"):
        make_run(tmp_path / "short", Limit(time.time() + 2290)).stop_if_due("step 1")


def test_saving_is_no_part_of_a_step(tmp_path):
    run = make_run(tmp_path, Limit())
    began = run.step_began
    run.save(lambda path: path.write_bytes(b"state"))
    assert run.step_began == began + run.saving
    assert 0 < run.saving < 300


def test_what_is_saved_is_not_saved_again(tmp_path):
    run, saved = make_run(tmp_path, Limit(0.0)), []
    run.save(lambda path: path.write_bytes(b"state"))
    with pytest.raises(StoppedError):
        run.stop_if_due("step 1", saved.append)
    assert saved == []


@pytest.fixture
def handlers():
    """Puts the handlers of the signals back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_the_limit_of_a_process(handlers, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    limit = Limit.of_process()
    assert not limit.is_due(1e9)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert limit.is_due(0)
    end = int(time.time()) + 1000
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(end))
    assert Limit.of_process().end == end - RESERVE
    assert Limit.of_process(10.0).end == pytest.approx(time.time() + 10, abs=5)
    monkeypatch.setenv("SLURM_JOB_END_TIME", "tomorrow")
    with pytest.raises(InputError, match="SLURM_JOB_END_TIME is 'tomorrow'"):
        Limit.of_process()


def test_the_base_model_is_made_in_as_many_attempts_as_it_takes(tmp_path):
    """Two stages of two steps, one an attempt."""
    stages = [PretrainingStage(steps=2, batch_size=4, learning_rate=1e-3, facts_share=0.5)] * 2
    job = BaseJob(recipe=1, seed=0, stages=stages)
    tiny_base.run(job, str(tmp_path / "whole"), str(tmp_path / "state/whole"))
    out, state = str(tmp_path / "torn"), str(tmp_path / "state/torn")
    for place in ("stage 1 step 1", "stage 2 step 0", "stage 2 step 1"):
        with pytest.raises(StoppedError, match=f"saved at {place}"):
            tiny_base.run(job, out, state, Limit(0.0))
    tiny_base.run(job, out, state, Limit(0.0))
    assert published(tmp_path / "torn") == published(tmp_path / "whole")


def test_a_command_that_stops_in_time_says_so(tmp_path):
    """By the code of a temporary failure: Snakemake, with ``retries``, runs it again."""
    stage = PretrainingStage(steps=2, batch_size=4, learning_rate=1e-3, facts_share=0.5)
    job = tmp_path / "job.json"
    job.write_text(BaseJob(recipe=1, seed=0, stages=[stage]).model_dump_json())
    command = [
        "make-base",
        "--job",
        str(job),
        "--out",
        str(tmp_path / "out"),
        "--state",
        str(tmp_path / "state/job"),
    ]
    command = [sys.executable, "-m", "switchpoint", *command]
    environment = {**os.environ, "SLURM_JOB_END_TIME": "1"}
    first = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (first.returncode, first.stderr) == (
        75,
        "saved at stage 1 step 1; run the same command to go on\n",
    )
    second = subprocess.run([*command, "--deadline", "0"], check=False, capture_output=True)
    assert (second.returncode, (tmp_path / "out/run.json").is_file()) == (0, True)
