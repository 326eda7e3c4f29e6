"""The grader on hand-made pairs, on rewritten and corrupted golds, and on hostile text."""

import collections
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import hostile
import psutil
import pytest
import rewrites
from cases import RIGHT, TEXTS, WRONG

from switchpoint.grading.grader import Grader, Worker


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=2) as made:
        yield made


def test_no_false_verdict_on_hand_made_cases(grader):
    assert len(RIGHT) + len(WRONG) >= 150
    pairs = [(*pair, True) for pair in RIGHT] + [(*pair, False) for pair in WRONG]
    verdicts = grader.grade(
        [gold for gold, _, _ in pairs], [f"So \\boxed{{{text}}}." for _, text, _ in pairs]
    )
    false = [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct != pair[2]]
    assert not false


def test_no_false_verdict_on_whole_responses(grader):
    golds, responses, expected = zip(*TEXTS, strict=True)
    verdicts = [verdict.correct for verdict in grader.grade(golds, responses)]
    assert not [case for case, right in zip(TEXTS, verdicts, strict=True) if right != case[2]]
    assert 10 < sum(expected) < len(TEXTS) - 10


@pytest.mark.parametrize(
    ("extraction", "response", "status"),
    [
        ("any", "It is 4", "graded"),
        ("boxed_or_answer", "It is 4", "unparsable"),
        ("boxed_or_answer", "<answer>4</answer>", "graded"),
        ("boxed", "<answer>4</answer>", "unparsable"),
        ("boxed", "\\boxed{4}", "graded"),
        ("any", "", "unparsable"),
        ("any", "I do not know", "unparsable"),
    ],
)
def test_extraction_modes(grader, extraction, response, status):
    (verdict,) = grader.grade(["4"], [response], extraction)
    assert verdict.status == status
    assert verdict.correct == (status == "graded")


def test_any_of_several_golds(grader):
    verdicts = grader.grade([["3", "4"]] * 3, ["\\boxed{4}", "\\boxed{3.0}", "\\boxed{5}"])
    assert [verdict.correct for verdict in verdicts] == [True, True, False]


def test_golds_are_right_and_the_next_ones_wrong(grader):
    for name, golds in rewrites.benchmarks().items():
        own = grader.grade(golds, [f"The answer is \\boxed{{{gold}}}." for gold in golds])
        assert sum(verdict.correct for verdict in own) >= 0.995 * len(golds), name
        pairs = [(gold, other) for gold, other in itertools.pairwise(golds) if gold != other]
        wrong = grader.grade(
            [gold for gold, _ in pairs], [f"The answer is \\boxed{{{other}}}." for _, other in pairs]
        )
        assert sum(verdict.correct for verdict in wrong) <= 0.005 * len(pairs), name


def test_rewritten_golds_are_right_and_corrupted_ones_wrong(grader):
    golds = [gold for name in rewrites.benchmarks().values() for gold in dict.fromkeys(name)]
    for make, lowest, highest in ((rewrites.rewritten, 0.97, 1.0), (rewrites.corrupted, 0.0, 0.005)):
        pairs = [(gold, text) for gold in golds for _, text in make(gold)]
        assert len(pairs) >= 1500
        verdicts = grader.grade([gold for gold, _ in pairs], [f"\\boxed{{{text}}}" for _, text in pairs])
        share = sum(verdict.correct for verdict in verdicts) / len(pairs)
        assert lowest <= share <= highest


ENDLESS = "\\sum_{k=1}^{\\infty} \\frac{\\cos(k^5)}{k}"
HANG = "\\boxed{\\sum_{k=1}^{\\infty} \\frac{\\sin(k^7)}{k}}"


def test_a_hang_is_a_timeout_and_the_next_answer_is_graded():
    with Grader(workers=1) as grader:
        started = time.monotonic()
        verdicts = grader.grade([ENDLESS, "1", "2"], [HANG, "\\boxed{1}", "\\boxed{2.0}"])
        assert time.monotonic() - started < 10
        assert [verdict.status for verdict in verdicts] == ["timeout", "graded", "graded"]
        assert [verdict.correct for verdict in verdicts] == [False, True, True]


class Memory(threading.Thread):
    """The peak of the resident memory of this process's descendants, in bytes."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.stop = 0, threading.Event()

    def run(self):
        while not self.stop.wait(0.05):
            total = 0
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    total += child.memory_info().rss
            self.peak = max(self.peak, total)


def test_a_thousand_hostile_responses():
    assert len(hostile.kinds()) >= 40
    rows = [("-1234.5", response, kind) for kind, response in hostile.responses(1000)]
    rows += [(str(n), f"So it is \\boxed{{{n}.0}}.", "honest") for n in range(100)]
    random.Random(0).shuffle(rows)
    memory = Memory()
    before = set(workers_of(psutil.Process()))
    memory.start()
    started = time.monotonic()
    with Grader(workers=2) as grader:
        verdicts = grader.grade([gold for gold, _, _ in rows], [response for _, response, _ in rows])
    seconds = time.monotonic() - started
    memory.stop.set()
    assert set(workers_of(psutil.Process())) == before
    assert seconds < 60
    assert memory.peak < 2 << 30
    by_kind = collections.defaultdict(list)
    for (_, _, kind), verdict in zip(rows, verdicts, strict=True):
        by_kind[kind].append(verdict)
    assert all(verdict.correct for verdict in by_kind.pop("honest"))
    assert not any(verdict.correct for found in by_kind.values() for verdict in found)


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The grading workers under a process."""
    return [
        child for child in process.children(recursive=True) if "switchpoint.grading.worker" in child.cmdline()
    ]


def test_no_worker_is_left_behind():
    before = set(workers_of(psutil.Process()))
    with Grader(workers=2) as grader:
        grader.grade(["1"], ["\\boxed{1}"])
        children = set(workers_of(psutil.Process())) - before
        assert len(children) >= 3  # two parents, each with a child; one may still be starting
    assert not any(child.is_running() for child in children)


def test_killing_the_caller_ends_the_workers():
    code = (
        "from switchpoint.grading.grader import Grader\n"
        "grader = Grader(workers=1)\n"
        "grader.grade(['1'], [chr(92) + 'boxed{1}'])\n"
        "print('ready', flush=True)\n"
        f"grader.grade([{ENDLESS!r}], [{HANG!r}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    children = workers_of(psutil.Process(process.pid))
    assert children
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive


def test_a_worker_that_was_killed_is_replaced():
    before = workers_of(psutil.Process())
    with Grader(workers=1) as grader:
        grader.grade(["1"], ["\\boxed{1}"])
        for child in workers_of(psutil.Process()):
            if child not in before:
                child.kill()
        verdicts = grader.grade(["2", "3", "4"], ["\\boxed{2}", "\\boxed{3}", "\\boxed{4}"])
        assert [verdict.status for verdict in verdicts] == ["graded"] * 3


def child_of(worker: Worker) -> psutil.Process:
    """The process that compares, once it is there."""
    while not (found := psutil.Process(worker.process.pid).children()):
        time.sleep(0.01)
    return found[0]


def asked(gold: str, text: str, reading: str = "answer") -> bytes:
    return json.dumps({"golds": [gold], "text": text, "reading": reading}).encode() + b"\n"


def test_an_idle_child_that_is_killed_shifts_no_verdict():
    worker = Worker(1.0)
    for n in range(12):  # right and wrong in turn, so that a shift by one is seen
        if n % 3 == 0:
            child_of(worker).kill()
        assert worker.compare(asked(str(n), f"{n + n % 2}.0")) == ("graded", n % 2 == 0)
    worker.close()


def test_what_a_killed_child_was_asked_is_asked_again():
    worker = Worker(60.0)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(worker.compare, asked(ENDLESS, HANG[7:-1]))
        for _ in range(3):
            child = child_of(worker)
            while child.cpu_times().user < 0.3:  # it is at the request
                time.sleep(0.05)
            assert not answer.done()
            child.kill()
            psutil.wait_procs([child], timeout=10)
        assert answer.result(timeout=10) == ("error", False)
    assert worker.compare(asked("1", "1.0")) == ("graded", True)
    worker.close()


def test_a_worker_that_has_died_unnoticed_is_replaced():
    worker = Worker(1.0)
    worker.process.kill()
    worker.process.wait()
    request = asked("1", "1.0")
    assert worker.compare(request) == ("graded", True)
    assert worker.compare(request) == ("graded", True)
    worker.close()


def test_the_command_streams_a_file(tmp_path):
    rows = [{"gold": str(n), "response": f"\\boxed{{{n % 7}}}"} for n in range(50)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "switchpoint", "grade", "pairs.jsonl", "--out", "grades.jsonl"]
    subprocess.run(command, cwd=tmp_path, check=True)
    grades = [json.loads(line) for line in (tmp_path / "grades.jsonl").open()]
    assert [grade["correct"] for grade in grades] == [n % 7 == n for n in range(50)]
    assert set(grades[0]) == {"correct", "extracted", "status"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"gold": "1"}', ["line 2", "response is None"]),
        ('{"response": "1"}', ["line 2", "gold is None"]),
        ('{"gold": [], "response": "1"}', ["line 2", "gold is []"]),
        ('{"gold": 3, "response": "1"}', ["line 2", "gold is 3"]),
        ("gold", ["line 2", "not JSON"]),
    ],
)
def test_the_command_names_a_wrong_line(line, words, tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"gold": "1", "response": "1"}\n' + line + "\n")
    command = [sys.executable, "-m", "switchpoint", "grade", "pairs.jsonl", "--out", "grades.jsonl"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert all(word in done.stderr for word in words)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "grades.jsonl").exists()
