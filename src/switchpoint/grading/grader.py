"""One scorer for the RL reward and for evaluation, on math-verify.

The answer is the content of the last ``\\boxed{}``, else of the last ``<answer>`` block,
else what math-verify itself extracts from the text.  No fuzzy matching.  With a list of golds
any match counts.  A verdict is ``graded``, ``unparsable``, ``timeout`` or ``error``; only
``graded`` can be right.

Deviations: the official training reward also accepts what merely resembles the gold; it is
the extraction ``official``, for the RL preset of that name alone.
"""

import atexit
import dataclasses
import functools
import itertools
import json
import os
import queue
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.scores import STATUSES
from switchpoint.tables import json_lines

SECONDS = 1.0  # processor time of one comparison; of wall clock it may take five times as much
MAX_ANSWER = 300  # characters; an answer longer than this and than ten times its gold is none
MAX_TEXT = 4_000  # characters; of a response without an extracted answer the end is searched
MAX_MEMO = 200_000  # comparisons remembered
GROUP = 8  # comparisons with one gold that a worker makes in a row
CHUNK = 2000  # lines of a file graded together
EXTRACTIONS = ("any", "boxed_or_answer", "boxed", "official")

# Cheap to ask, dear to evaluate: what no honest final answer looks like.  Every repetition has
# a bound, so that the guard itself is quick on any text.
FUNCTION = r"\\(?:log|ln|lg|exp|sin|cos|tan|sinh|cosh|sqrt|arcsin|arccos|arctan)"
HOSTILE = re.compile(
    r"\d{400}"  # a number of hundreds of digits
    r"|\d[eE][+-]?\d{4}"  # a float with thousands of zeros
    r"|\^[\s{(+-]{0,9}\d{6}"  # an exponent in the hundreds of thousands
    r"|\^[\s{(]{0,9}\d{1,9}\s?(?:\^[\s{]{0,4}(?:\d{2}|[6-9])|(?:\\cdot|\\times|\*)\s?\d{4})"  # or a product like that
    r"|\^\s?\{[^{}^]{0,40}\^\s?\{[^{}^]{0,40}\^|\^\s?\w{1,9}\s?\^"  # a tower of powers
    r"|[+-][^()+-]{0,40}\)\s?\^\s?\{?\s?\d{3}"  # a sum to the power of hundreds
    r"|(?:\d{5}|\^[^()^]{0,20}\)|!\s?\)|!!)[\s)}]{0,4}!"  # a factorial of something huge
    r"|\\[dt]?binom\s?\{?\s?\d{5}"  # a binomial coefficient of something huge
    r"|\\(?:sum|prod|int)(?![a-z])[^=^]{0,40}(?:=[^^]{0,40})?\^\s?\{?[^{}]{0,40}\d{4}"  # a sum of thousands of terms
    r"|(?:\\sum|\\prod|\\int)(?![a-z]).{0,200}(?:\\sum|\\prod|\\int)(?![a-z])"  # sums of sums
    r"|(?:" + FUNCTION + r"(?:\\left)?[\s({]{0,4}){6}"  # functions of functions
    r"|\\int.{0,200}x\^x|d\^\{?\s?\d\d"  # integrals without a closed form, derivatives of a high order
)
MAX_DEPTH = 25


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``correct`` is true only when ``status`` is ``graded``; ``extracted`` is None for a whole text."""

    correct: bool
    extracted: str | None
    status: str


BOX_OR_BRACE = re.compile(r"\\\\|\\[{}]|\\(?:boxed|fbox)\s*\{|[{}]")
BETWEEN_BOXES = re.compile(r"[\s$.,;]*(?:and|or|\\quad|\\text\{ ?(?:and|or) ?\})?[\s$,]*")


def boxes(text: str) -> list[tuple[int, int, int]]:
    """(marker, start, stop) of every closed ``\\boxed{...}``, braces balanced, in order."""
    opened: list[re.Match] = []
    found = []
    for match in BOX_OR_BRACE.finditer(text):
        piece = match.group()
        if piece == "}" and opened:
            opening = opened.pop()
            if "box" in opening.group():
                found.append((opening.start(), opening.end(), match.start()))
        elif piece[-1] == "{" and piece != "\\{":
            opened.append(match)
    return sorted(found)


def last_boxed(text: str) -> str | None:
    """Content of the last box; boxes with nothing but "and" or a comma between them are one answer."""
    contents: list[str] = []
    following = 0
    for marker, start, stop in reversed(boxes(text)):
        if contents and not BETWEEN_BOXES.fullmatch(text, stop + 1, max(following, stop + 1)):
            break
        if contents and stop > following:  # a box around the last one
            break
        contents.insert(0, text[start:stop])
        following = marker
    return ", ".join(contents) if contents else None


def last_answer_block(text: str) -> str | None:
    """Content of the last ``<answer>...</answer>``; None without one."""
    before, closed, _ = text.rpartition("</answer>")
    _, opened, content = before.rpartition("<answer>")
    return content.strip() if opened and closed else None


def extract(response: str, extraction: str = "any") -> str | None:
    """The answer in a response; None where math-verify has to look for it, or where there is none."""
    if extraction == "official":
        return None
    answer = last_boxed(response)
    if answer is None and extraction != "boxed":
        answer = last_answer_block(response)
    return answer


def hostile(text: str, end: int) -> bool:
    """Whether evaluating the text could take for ever: cheap guards, the clock is behind them.

    Only the last ``end`` characters must not look ``HOSTILE``: the reasoning before an answer may.
    """
    depth = deepest = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or HOSTILE.search(text[-end:]) is not None


class Worker:
    """A process that compares answers, one at a time; see ``grading_worker``."""

    def __init__(self, seconds: float):
        self.command = [sys.executable, "-m", "switchpoint.grading.worker", str(seconds)]
        self.start()

    def start(self) -> None:
        """Starts the process."""
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def compare(self, request: bytes) -> tuple[str, bool]:
        """(status, correct) of one request; a process that died is started again."""
        try:
            self.process.stdin.write(request)
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            self.start()
            return "error", False
        status, correct = json.loads(line)
        return status, correct

    def close(self) -> None:
        """Ends the process."""
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
    answer = extract(response, extraction)
    if answer is None and extraction in ("boxed_or_answer", "boxed"):
        return Question(golds, None, None)
    text = response[-MAX_TEXT:] if answer is None else answer
    too_long = answer is not None and len(answer) > max(MAX_ANSWER, 10 * max(map(len, golds)))
    if answer not in golds and (too_long or hostile(text, end=MAX_ANSWER if answer is None else len(text))):
        return Question(golds, answer, None)
    reading = "answer" if answer is not None else "official" if extraction == "official" else "text"
    request = {"golds": golds, "text": text, "reading": reading}
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


def grade_file(pairs: str, out: str, extraction: str, workers: int | None) -> dict[str, int]:
    """Grades a jsonl file of any size, ``CHUNK`` lines at a time; returns how many got each status.

    Rows have gold (a string or a list of them) and response.  InputError names a wrong line.
    """
    counts = dict.fromkeys(("correct", *STATUSES), 0)
    if not Path(pairs).is_file():
        raise InputError(f"{pairs} does not exist; give a .jsonl file with gold and response in every line")
    workers = workers or os.cpu_count()
    rows = (checked(row, f"{pairs}, line {number}") for number, row in enumerate(json_lines(pairs), 1))
    with Grader(workers) as grader, files.atomic(out) as temporary, temporary.open("w") as lines:
        while chunk := list(itertools.islice(rows, CHUNK)):
            golds, responses = [row["gold"] for row in chunk], [row["response"] for row in chunk]
            for verdict in grader.grade(golds, responses, extraction):
                counts[verdict.status] += 1
                counts["correct"] += verdict.correct
                lines.write(json.dumps(dataclasses.asdict(verdict)) + "\n")
    return counts


def checked(row: dict, where: str) -> dict:
    """The row; InputError unless it has a gold and a response."""
    golds = row.get("gold") if isinstance(row.get("gold"), list) else [row.get("gold")]
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise InputError(f"{where}: gold is {row.get('gold')!r}; give a non-empty string, or a list of them")
    if not isinstance(row.get("response"), str):
        raise InputError(f"{where}: response is {row.get('response')!r}; give a string")
    return row
