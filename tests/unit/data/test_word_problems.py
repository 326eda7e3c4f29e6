"""The generated word problems: stories and solutions that say the same, right answers, no two alike."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint.data import relations, sources, word_problems
from switchpoint.errors import InputError
from switchpoint.grading import grader
from switchpoint.study.jobs import IngestJob
from switchpoint.study.sources import WordProblems

# What each sentence of a story does to the number, read independently of the templates; {} is a number.
MEANINGS = {
    "+": [r"buys (\d+) more", r"brings \w+ (\d+) ", r"finds (\d+) "],
    "-": [r"gives (\d+) ", r"loses (\d+) of them", r"sells (\d+) "],
    "*": [r"(?:has) (\d+) times as many"],
    "/": [r"into (\d+) equal bags and keeps one", r"equally among (\d+) people"],
}
BEGINNINGS = [r"has (\d+) boxes with (\d+) ", r"fills (\d+) boxes, each with (\d+) ",
              r"^\w+ has (\d+) ", r"^There are (\d+) ", r"starts the week with (\d+) "]  # fmt: skip
COMPUTE = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}


def interpret(problem: str) -> list[tuple[int, str, int, int]]:
    """Every (number, sign, operand, result) of a story, from its words alone."""
    first, *changes, question = re.split(r"(?<=[.?]) ", problem)
    assert re.fullmatch(r"(How many|What is the number of) .*\?", question)
    groups, *each = next(map(int, found.groups()) for one in BEGINNINGS if (found := re.search(one, first)))
    equations = [(groups, "*", each[0], groups * each[0])] if each else []
    state = groups * each[0] if each else groups
    for change in changes:
        [(sign, operand)] = [
            (sign, int(found[1]))
            for sign, forms in MEANINGS.items()
            for form in forms
            if (found := re.search(form, change))
        ]
        result = COMPUTE[sign](state, operand)
        assert sign != "/" or result * operand == state
        equations.append((state, sign, operand, result))
        state = result
    return equations


@given(st.text(min_size=1, max_size=8), st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_stories_and_solutions_say_the_same(key, fewest, more):
    row = word_problems.make_problem(key, (fewest, min(fewest + more, 3)))
    equations = interpret(row["problem"])
    written = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", row["solution"])
    assert [(int(a), sign, int(b), int(c)) for a, sign, b, c in written] == equations
    assert len(equations) == row["operations"]
    assert fewest <= row["operations"] <= min(fewest + more, 3)
    assert all(2 <= number <= 99 for a, _, b, c in equations for number in (a, b, c))
    assert row["answer"] == str(equations[-1][-1])
    assert re.findall(r"\\boxed\{(\d+)\}", row["solution"]) == [row["answer"]]
    assert not {"{", "}"} & set(row["problem"])
    assert word_problems.make_problem(key, (fewest, min(fewest + more, 3))) == row


@given(st.integers(0, 99), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_the_grader_takes_the_solution_and_no_other_number(seed, operations):
    rows = list(word_problems.make_problems(seed, "graded", 4, (operations, operations)))
    golds, solutions = [row["answer"] for row in rows], [row["solution"] for row in rows]
    assert all(one.correct for one in grader.shared().grade(golds, solutions))
    others = [str(int(gold) + 1) for gold in golds]
    assert not any(one.correct for one in grader.shared().grade(others, solutions))


@pytest.mark.parametrize("operations", [(1, 1), (1, 3)])
def test_no_two_problems_are_alike_and_a_larger_source_extends_a_smaller_one(operations):
    many = list(word_problems.make_problems(3, "many", 20_000, operations))
    assert many[:50] == list(word_problems.make_problems(3, "many", 50, operations))
    assert len({relations.key(row["problem"]) for row in many}) == len({row["id"] for row in many}) == 20_000
    assert many[:5] != list(word_problems.make_problems(4, "many", 5, operations))
    drawn = list(word_problems.make_problems(3, "other", 5, operations))
    assert [row["problem"] for row in drawn] != [row["problem"] for row in many[:5]]


def test_a_problem_that_comes_again_is_left_out(monkeypatch):
    """With one story to tell there is one problem, and the next one is another."""
    made = iter(["a", "a", "b", "a", "c", "c"])
    monkeypatch.setattr(word_problems, "make_problem", lambda key, operations: {"problem": next(made)})
    rows = list(word_problems.make_problems(0, "p", 3, (1, 1)))
    assert [(row["id"], row["problem"]) for row in rows] == [("p-0", "a"), ("p-1", "b"), ("p-2", "c")]


@pytest.mark.parametrize("solutions", [True, False])
def test_a_study_ingests_them(tmp_path, solutions):
    lock = tmp_path / "w.lock"
    lock.write_text('{"name": "word_problems", "revision": 1, "sha256": "generated"}')
    source = WordProblems(
        kind="word_problems", size=20, operations=(2, 2), solutions=solutions, lock=str(lock)
    )
    frame = sources.read_rows(IngestJob(recipe=1, name="words", seed=0, source=source))
    assert frame["solution"].notna().all() == source.may_have_solutions == solutions
    assert (frame["operations"] == 2).all()
    lock.unlink()
    with pytest.raises(InputError, match="switchpoint lock"):
        sources.read_rows(IngestJob(recipe=1, name="words", seed=0, source=source))
