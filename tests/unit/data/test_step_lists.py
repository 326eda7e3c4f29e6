"""The generated task: exact round trips, right answers, states within bounds."""

import itertools
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint.data import step_lists
from switchpoint.errors import InputError
from switchpoint.grading import grader
from switchpoint.study import templates
from switchpoint.study.jobs import Template
from switchpoint.training import tiny_base
from switchpoint.training.tokenizer import Tokenizer

WORDS = {
    "add": "+", "gets": "+", "subtract": "-", "loses": "-", "times": "*", "has times": "*",
    "divide by": "/", "splits by": "/", "take mod": "%", "keeps mod": "%", "take gcd": "g", "keeps gcd": "g",
}  # fmt: skip
TOKENIZER = tiny_base.make_tokenizer()
KEYS = st.text(alphabet="abc0123456789", min_size=1, max_size=8)


def template(name: str) -> Template:
    """A prompt template, as a job names it."""
    return Template(name=name, sha256=templates.template_hash(name))


def apply(sign: str, state: int, operand: int) -> int:
    if sign == "g":
        return math.gcd(state, operand)
    result = {"+": state + operand, "-": state - operand, "*": state * operand,
              "/": state / operand, "%": state % operand}[sign]  # fmt: skip
    assert result == int(result)
    return int(result)


def interpret(problem: str) -> list[int]:
    """Every state, from the problem's text alone."""
    states = [int(re.match(r"(?:Start with|\w+ has) (\d+)\. ", problem).group(1))]
    for words, operand in re.findall(r"\(\d+\) ([a-z ]+?) (\d+)", problem):
        states.append(apply(WORDS[words], states[-1], int(operand)))
    return states


@given(KEYS, st.integers(1, 12), st.sampled_from([1, 2, 3]))
@settings(max_examples=300, deadline=None)
def test_problems_are_right_and_round_trip(key, n_steps, tier):
    row = step_lists.make_problem(key, (n_steps, n_steps), [tier])
    states = interpret(row["problem"])
    assert len(states) == n_steps + 1
    assert row["answer"] == str(states[-1])
    assert all(0 <= state <= 29 for state in states)
    assert all(before != after for before, after in itertools.pairwise(states))
    assert [int(result) for result in re.findall(r" = (\d+)", row["solution"])] == states[1:]
    assert grader.shared().grade([row["answer"]], [row["solution"]])[0].correct
    for text in (f"{row['problem']}<sol>", f"{row['solution']}<eos>"):
        ids = TOKENIZER(text)["input_ids"]
        assert TOKENIZER.unk_token_id not in ids
        assert TOKENIZER.decode(ids) == text
    assert step_lists.make_problem(key, (n_steps, n_steps), [tier]) == row


@given(KEYS, st.sampled_from([1, 2]), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=200, deadline=None)
def test_pretraining_documents_round_trip(key, stage, share):
    text = step_lists.pretraining_document(key, stage, share, (2, 6))
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.unk_token_id not in ids
    assert TOKENIZER.decode(ids) == text


def test_the_shipped_tokenizer_is_the_generated_one():
    shipped = Tokenizer("src/switchpoint/tiny-base")
    assert shipped.fast.get_vocab() == TOKENIZER.get_vocab()
    assert shipped.template == tiny_base.CHAT_TEMPLATE
    prompt = shipped.render_prompt("Start with 3. (1) add 4.", template("retu"))
    assert shipped.fast.decode(prompt, skip_special_tokens=False) == "Start with 3. (1) add 4.<sol>"


def test_a_template_that_the_model_refuses_is_named():
    with pytest.raises(InputError, match=r"refuses model\.template"):
        Tokenizer("src/switchpoint/tiny-base").render_prompt("Start with 3.", template("qwen_boxed"))


def test_a_system_message_is_refused():
    with pytest.raises(Exception, match="only user and assistant"):
        TOKENIZER.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)
