"""Honest and mistaken responses that were written without knowledge of the rules, of sixty kinds.

Every row has a gold, a response and its kind; ``right.jsonl`` holds what is right, ``wrong.jsonl`` what is not.
"""

import json
from pathlib import Path

import pytest

from switchpoint.grading.grader import Grader


@pytest.mark.parametrize(("name", "right"), [("right", True), ("wrong", False)])
def test_at_most_one_false_verdict_in_a_hundred(name, right):
    lines = (Path(__file__).parent / "corpus" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 1800
    with Grader(workers=1) as grader:
        verdicts = grader.grade([row["gold"] for row in rows], [row["response"] for row in rows])
    misses = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict.correct != right]
    assert len(misses) <= 0.01 * len(rows), "\n".join(f"{row['gold']} | {row['response']}" for row in misses)
