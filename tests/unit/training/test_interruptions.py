"""Jobs that are killed, asked to end, or short of time, ten times in a row: they end as one that was left alone."""

import os
import random
import re
import signal
import time
from pathlib import Path

import attempts
import pytest
from attempts import JOBS, STEPS
from test_state import published

from switchpoint.errors import StoppedError
from switchpoint.grading import grader
from switchpoint.training.limit import Limit

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
