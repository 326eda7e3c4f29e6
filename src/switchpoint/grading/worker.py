"""``python -m switchpoint.grading.worker``: compares answers by math-verify, one JSON line at a time.

In: a number and ``{"golds": [...], "text": ..., "reading": ...}``; out: ``[number, status, correct]``.  A
parent process forks a child that does the work.  The kernel kills the child when its alarm goes off, however
deep in C it is; the parent then answers ``timeout`` to the request that the child was at and forks the next
child, which starts warm.  A child that died of something else was ``killed``, also while it was idle (request
0): it may have died with a request that it had just read, so the caller asks again.  So nothing hangs, and
nothing is left behind when the caller dies: the child reads the end of its input, or its alarm goes off.
"""

import json
import logging
import mmap
import os
import resource
import signal
import sys

from switchpoint.grading import IDLE, KILLED
from switchpoint.grading.comparison import same, stated
from switchpoint.grading.formulas import formula, numbers, parsed
from switchpoint.grading.official import official

# A starved process waits for its processor time; nothing in a comparison waits for anything else.
PATIENCE = 60
MEMORY = 1 << 30  # bytes of address space that a child may use
WARMING = ("\\frac{1}{2}", "2\\sqrt{3}", "(1,2)", "\\{1,2\\}", "[1,2)", "x^2", "y=2x", "\\pi")


def compare(golds: list[str], text: str, reading: str, together: str = "") -> tuple[str, bool]:
    """(status, correct) of an extracted ``answer``, or of a whole ``text`` for math-verify to search.

    ``official`` is the training reward of RETU's code; ``together`` is what the answer may be the last part of.
    """
    if reading == "official":
        found = parsed(text)
        return "graded", any(official(gold, text, found) for gold in golds)
    right = any((same if reading == "answer" else stated)(gold, text) for gold in golds)
    right = right or any(same(gold, together) for gold in golds if together)
    if right or numbers(text) or (formula(text) if reading == "answer" else parsed(text)):
        return "graded", right
    return "unparsable", False


class Current:
    """The number of the request that the child is at, or ``IDLE``; the parent sees it, too."""

    def __init__(self):
        self.shared = mmap.mmap(-1, 8)

    def get(self) -> int:
        """The number."""
        return int.from_bytes(self.shared[:8], "little")

    def set(self, number: int) -> None:
        """Changes it."""
        self.shared[:8] = number.to_bytes(8, "little")


def serve(seconds: float, current: Current) -> None:
    """Answers every line of the input; one that takes ``seconds`` of processor time ends the process.

    So a busy machine changes no verdict; only ``PATIENCE`` times as much wall clock ends it as well.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in iter(sys.stdin.buffer.readline, b""):
        number, _, request = line.partition(b" ")
        current.set(int(number))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
        try:
            result = compare(**json.loads(request))
        # What sympy and the parser raise on text that is no formula, of every kind.
        except (ArithmeticError, AttributeError, LookupError, MemoryError, NotImplementedError, RecursionError,
                TypeError, ValueError, AssertionError) as error:  # fmt: skip
            print(f"math-verify on {line[-300:]!r}: {type(error).__name__}: {error}"[:600], file=sys.stderr)
            result = ("error", False)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        reply(current.get(), result)
        current.set(IDLE)


def reply(number: int, result: tuple[str, bool]) -> None:
    """One line of output."""
    sys.stdout.buffer.write(json.dumps([number, *result]).encode() + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Forks a child that serves until its input ends; forks the next one when it is killed."""
    logging.disable(logging.CRITICAL)  # math-verify warns on every call that it sets no alarm
    for text in WARMING:  # loads the grammar, and what it learns of it, once for all children
        compare([text], f"{text}+1", "answer")
    current = Current()
    while True:
        child = os.fork()
        if child == 0:
            serve(float(sys.argv[1]), current)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return
        timeout = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGPROF)
        reply(current.get(), ("timeout" if timeout else KILLED, False))
        current.set(IDLE)


if __name__ == "__main__":
    main()
