"""One scorer for the RL reward and for evaluation, on math-verify in worker processes.

``extraction`` finds the answer, ``comparison`` compares it, and ``worker`` is the process that does.  No
fuzzy matching.  With a list of golds any match counts.  A verdict is ``graded``, ``unparsable``,
``timeout`` or ``error``; only ``graded`` can be right.

Deviations: the official training reward also accepts what merely resembles the gold; it is
the extraction ``official``, for the RL preset of that name alone.
"""

import atexit
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import queue
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from switchpoint import files, tables
from switchpoint.errors import InputError
from switchpoint.grading import IDLE, KILLED
from switchpoint.grading.extraction import (
    EXTRACTIONS,
    MAX_ANSWER,
    MAX_TEXT,
    extract,
    gold_answer,
    hostile,
    told_apart,
)
from switchpoint.scores import STATUSES

SECONDS = 1.0  # processor time of one comparison; of wall clock it may take five times as much
ATTEMPTS = 3  # at a comparison whose process is killed by somebody else
MAX_MEMO = 200_000  # comparisons remembered
GROUP = 8  # comparisons with one gold that a worker makes in a row
CHUNK = 2000  # lines of a file graded together


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``correct`` is true only when ``status`` is ``graded``; ``extracted`` is None for a whole text."""

    correct: bool
    extracted: str | None
    status: str


class Worker:
    """A process that compares answers, one at a time; see ``worker.py``."""

    def __init__(self, seconds: float):
        self.command = [sys.executable, "-m", "switchpoint.grading.worker", str(seconds)]
        self.number = 0  # of the last request
        self.start()

    def start(self) -> None:
        """Starts the process."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def compare(self, request: bytes) -> tuple[str, bool]:
        """(status, correct) of one request.

        What a process that was killed had been asked is asked again, up to ``ATTEMPTS`` times in all; then it is
        an ``error``.
        """
        for _ in range(ATTEMPTS):
            status, correct = self.ask(request)
            if status != KILLED:
                return status, correct
        return "error", False

    def ask(self, request: bytes) -> tuple[str, bool]:
        """The answer to one request, ``KILLED`` where the process died at it."""
        try:
            self.send(request)
            for line in self.process.stdout:
                number, status, correct = json.loads(line)
                if number == self.number:
                    return status, correct
                if number == IDLE:  # perhaps with the request just read; older answers are passed over
                    self.send(request)
        except BrokenPipeError:
            pass
        self.close()
        self.start()
        return KILLED, False

    def send(self, request: bytes) -> None:
        """Sends a request under a new number."""
        self.number += 1
        self.process.stdin.write(b"%d %s" % (self.number, request))
        self.process.stdin.flush()

    def close(self) -> None:
        """Ends the process; one that died with a request unread breaks the pipe at the last write."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


class Grader:
    """Grades in worker processes, with a memory of the comparisons made; close it, or use ``with``.

    ``workers`` processes (default: OMP_NUM_THREADS, else all cores); ``seconds`` of processor
    time for one comparison, after which its process is killed and the verdict is ``timeout``.
    """

    def __init__(self, workers: int | None = None, seconds: float = SECONDS):
        count = workers or int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
        self.idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self.workers = [Worker(seconds) for _ in range(count)]
        for worker in self.workers:
            self.idle.put(worker)
        self.threads = ThreadPoolExecutor(count)
        self.memo: dict[bytes, tuple[str, bool]] = {}

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker processes."""
        self.threads.shutdown()
        for worker in self.workers:
            worker.close()

    def ask(self, requests: tuple[bytes, ...]) -> list[tuple[str, bool]]:
        """(status, correct) of requests with the same gold, by one idle worker, which reads it once."""
        worker = self.idle.get()
        try:
            return [worker.compare(request) for request in requests]
        finally:
            self.idle.put(worker)

    def grade(
        self, golds: Iterable[str | Sequence[str]], responses: Iterable[str], extraction: str = "any"
    ) -> list[Verdict]:
        """The verdict on every response, in order."""
        questions = [question(*pair, extraction) for pair in zip(golds, responses, strict=True)]
        if len(self.memo) > MAX_MEMO:
            self.memo.clear()
        new = {q.request: q.golds for q in questions if q.request and q.request not in self.memo}
        groups = [tuple(group) for _, group in itertools.groupby(new, key=new.get)]
        together = [group[first : first + GROUP] for group in groups for first in range(0, len(group), GROUP)]
        for requests, answers in zip(together, self.threads.map(self.ask, together), strict=True):
            self.memo |= zip(requests, answers, strict=True)
        return [verdict(q, self.memo) for q in questions]


@dataclasses.dataclass(frozen=True)
class Question:
    """What a worker is asked about a response; ``request`` is None where the verdict is ``unparsable``."""

    golds: list[str]
    extracted: str | None
    request: bytes | None


def question(gold: str | Sequence[str], response: str, extraction: str) -> Question:
    """The request for a gold (or golds) and a response; the guards are here."""
    if extraction not in EXTRACTIONS:
        raise InputError(f"extraction is {extraction!r}; use one of {', '.join(EXTRACTIONS)}")
    golds = [gold] if isinstance(gold, str) else list(gold)
    if extraction != "official":
        golds = [gold_answer(gold) for gold in golds]
    answer = extract(response, extraction)
    if answer is None and extraction in ("boxed_or_answer", "boxed"):
        return Question(golds, None, None)
    text = response[-MAX_TEXT:] if answer is None else answer
    too_long = answer is not None and len(answer) > max(MAX_ANSWER, 10 * max(map(len, golds)))
    if answer not in golds and (too_long or hostile(text, end=MAX_ANSWER if answer is None else len(text))):
        return Question(golds, answer, None)
    reading = "answer" if answer is not None else "official" if extraction == "official" else "text"
    request = {"golds": golds, "text": text, "reading": reading}
    together = told_apart(golds, response, answer)
    if together and len(together) <= MAX_ANSWER and not hostile(together, end=MAX_ANSWER):
        request["together"] = together
    return Question(golds, answer, json.dumps(request).encode() + b"\n")


def verdict(asked: Question, memo: dict[bytes, tuple[str, bool]]) -> Verdict:
    """The verdict on a question whose request, if any, has been answered."""
    status, correct = memo[asked.request] if asked.request else ("unparsable", False)
    return Verdict(correct, asked.extracted, status)


@functools.cache
def shared() -> Grader:
    """The process's own grader, started at its first use."""
    grader = Grader()
    atexit.register(grader.close)
    return grader


def close_shared() -> None:
    """Ends the process's own grader, so that its processor time counts as the caller's; a later use starts another."""
    if shared.cache_info().currsize:
        atexit.unregister(shared().close)
        shared().close()
        shared.cache_clear()


def grade_file(pairs: str, out: str, extraction: str, workers: int | None) -> dict[str, int]:
    """Grades a jsonl file of any size; returns how many answers are right and how many got each status.

    Rows have gold (a string or a list of them) and response.  InputError names a wrong line.
    """
    if not Path(pairs).is_file():
        raise InputError(f"{files.absence(pairs)}; give a .jsonl file with gold and response in every line")
    counts = dict.fromkeys(("correct", *STATUSES), 0)
    rows = enumerate(tables.read_json_lines(pairs), start=1)
    checked_rows = (checked(row, f"{pairs}, line {number}") for number, row in rows)
    with Grader(workers or os.cpu_count()) as grader:
        tables.write_json_lines(graded(grader, checked_rows, extraction, counts), out)
    return counts


def graded(grader: Grader, rows: Iterator[dict], extraction: str, counts: dict[str, int]) -> Iterator[dict]:
    """The verdict on every row, ``CHUNK`` rows at a time, as it is added to ``counts``."""
    while chunk := list(itertools.islice(rows, CHUNK)):
        golds, responses = [row["gold"] for row in chunk], [row["response"] for row in chunk]
        for found in grader.grade(golds, responses, extraction):
            counts[found.status] += 1
            counts["correct"] += found.correct
            yield dataclasses.asdict(found)


def checked(row: dict, where: str) -> dict:
    """The row; InputError unless it has a gold and a response."""
    golds = row.get("gold") if isinstance(row.get("gold"), list) else [row.get("gold")]
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise InputError(f"{where}: gold is {row.get('gold')!r}; give a non-empty string, or a list of them")
    if not isinstance(row.get("response"), str):
        raise InputError(f"{where}: response is {row.get('response')!r}; give a string")
    return row
