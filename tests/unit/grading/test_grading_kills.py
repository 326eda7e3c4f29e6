"""Grading children that are killed while both they and the machine are busy: no verdict shifts or is lost."""

import os
import random
import subprocess
import sys
import threading

import psutil
import pytest

from switchpoint.grading.grader import Grader

KILLS = 10
BUSY = "while True: pass"


def pairs() -> tuple[list[str], list[str], list[bool]]:
    """Golds, responses, and which are right: sums that differ, so that each is compared, in an irregular order."""
    draw = random.Random(0)
    right = [draw.random() < 0.5 for _ in range(1500)]
    golds = [f"\\sqrt{{{n}}}+{n}" for n in range(len(right))]
    texts = [f"\\boxed{{{n + (not one)}+\\sqrt{{{n}}}}}" for n, one in enumerate(right)]
    return golds, texts, right


@pytest.mark.soak
def test_kills_under_load_change_no_verdict():
    golds, texts, right = pairs()
    load = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    killed, done = [], threading.Event()

    def kill() -> None:
        draw = random.Random(1)
        while len(killed) < KILLS and not done.wait(draw.uniform(0.05, 0.4)):
            mine = psutil.Process().children()
            children = [child for parent in mine for child in parent.children()]
            if children:
                victim = draw.choice(children)
                victim.kill()
                killed.append(victim.pid)

    with Grader(workers=2) as grader:
        grader.grade(["1"], ["\\boxed{1}"])
        killer = threading.Thread(target=kill)
        killer.start()
        verdicts = []
        while len(killed) < KILLS or not verdicts:
            verdicts += [grader.grade(golds, texts)]
            grader.memo.clear()
        done.set()
        killer.join()
    for process in load:
        process.kill()
        process.wait()
    assert len(killed) == KILLS
    for found in verdicts:
        assert [one.correct for one in found] == right
        assert {one.status for one in found} == {"graded"}
