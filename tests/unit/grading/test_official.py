"""RETU's official training reward: right answers, and what merely resembles one."""

import pytest

from switchpoint.grading.grader import Grader
from switchpoint.grading.official import edits


@pytest.fixture(scope="module")
def reward():
    with Grader(workers=1) as grader:
        yield lambda gold, response: grader.grade([gold], [response], "official")[0]


@pytest.mark.parametrize(
    ("gold", "response", "right"),
    [
        ("\\frac{1}{2}", "So $\\boxed{0.5}$.", True),
        ("4", "<answer> 4 </answer>", True),
        ("1000", "<answer>1,000</answer>", True),
        ("x = 3", "<answer>x=3</answer>", True),
        ("B", "<answer>It is B, not A, or B</answer>", True),
        ("B", "<answer>It is B, or A</answer>", False),
        ("the empty set", "<answer>the emptyset</answer>", True),  # alike, and so rewarded
        ("the empty set", "<answer>all numbers</answer>", False),
        ("4", "So $\\boxed{5}$.", False),
    ],
)
def test_the_official_reward(reward, gold, response, right):
    verdict = reward(gold, response)
    assert (verdict.correct, verdict.extracted, verdict.status) == (right, None, "graded")


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "abd", 1),
        ("abc", "ab", 1),
        ("kitten", "sitting", 3),
        ("ab", "abcde", 5),
    ],
)
def test_edits(a, b, distance):
    assert edits(a, b) == edits(b, a) == distance
