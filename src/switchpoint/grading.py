"""One scorer for the RL reward and for evaluation, on math-verify.

The answer is taken from the last ``\\boxed{}``, else from the last ``<answer>`` block,
else math-verify extracts it from the whole text.  No fuzzy matching.  A verdict is
``graded``, ``unparsable``, ``timeout`` or ``error``; only ``graded`` can be right.

math-verify interrupts itself with SIGALRM, so call this from the main thread.
"""

import dataclasses
import functools
import json

MAX_ANSWER = 300  # characters; a longer boxed answer is no answer


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``correct`` is true only when ``status`` is ``graded``."""

    correct: bool
    extracted: str | None
    status: str


def last_boxed(text: str) -> str | None:
    """Content of the last closed ``\\boxed{...}``, braces balanced; None without one."""
    marker = "\\boxed{"
    start = text.rfind(marker)
    while start >= 0:
        depth = 1
        for position in range(start + len(marker), len(text)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                return text[start + len(marker) : position]
        start = text.rfind(marker, 0, start)
    return None


def last_answer_block(text: str) -> str | None:
    """Content of the last ``<answer>...</answer>``; None without one."""
    _, opened, rest = text.rpartition("<answer>")
    content, closed, _ = rest.partition("</answer>")
    return content.strip() if opened and closed else None


def grade(gold: str | list[str], response: str) -> Verdict:
    """Verdict on a response; with a list of golds any match counts."""
    extracted = last_boxed(response)
    if extracted is None:
        extracted = last_answer_block(response)
    text = f"\\boxed{{{extracted}}}" if extracted is not None else response
    golds = [gold] if isinstance(gold, str) else list(gold)
    if extracted is not None and len(extracted) > MAX_ANSWER:
        return Verdict(False, extracted, "unparsable")
    if extracted is not None:
        status, correct = compare(json.dumps(golds), text)
    else:
        status, correct = compare.__wrapped__(json.dumps(golds), text)
    return Verdict(correct, extracted, status)


@functools.lru_cache(maxsize=100_000)
def compare(golds: str, text: str) -> tuple[str, bool]:
    """(status, correct) of a text against the golds (a JSON list), gold first."""
    from math_verify import parse, verify
    from math_verify.errors import TimeoutException

    try:
        answer = parse(text, raise_on_error=True)
        if not answer:
            return "unparsable", False
        for gold in json.loads(golds):
            target = parse(f"\\boxed{{{gold}}}" if "\\boxed" not in gold else gold, raise_on_error=True)
            if verify(target, answer, raise_on_error=True):
                return "graded", True
    except TimeoutException:
        return "timeout", False
    except (ValueError, TypeError, ArithmeticError, RecursionError, AttributeError):
        return "error", False
    return "graded", False
