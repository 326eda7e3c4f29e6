"""The training reward of RETU's official code: math-verify, and what merely resembles the gold."""

import re

from math_verify import verify

from switchpoint.grading.formulas import boxed, number, parsed


def official(gold: str, response: str, found: list) -> bool:
    """RETU's training reward: math-verify on the whole response, else a likeness above 0.6 to the gold."""
    if verify(found, parsed(boxed(gold)), timeout_seconds=None):
        return True
    _, opened, block = response.rpartition("<answer>")
    answer = re.sub(
        r"\s*([-+*/=^,])\s*", r"\1", (block.partition("</answer>")[0] if opened else response).strip()
    )
    if answer == gold or (number(answer) is not None and number(answer) == number(gold)):
        return True
    if re.fullmatch("[A-Z]", gold) and re.findall(r"\b[A-Z]\b", answer)[-1:] == [gold]:
        return True
    return 1 - edits(answer, gold) / max(len(answer), len(gold), 1) > 0.6


def edits(a: str, b: str) -> int:
    """Levenshtein's distance; texts whose lengths differ by more than half are as far as the longer."""
    if abs(len(a) - len(b)) * 2 > max(len(a), len(b)):
        return max(len(a), len(b))
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, start=1):
        previous, row[0] = row[0], i
        for j, right in enumerate(b, start=1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (left != right))
    return row[-1]
