"""The answer in a response: boxes, answer blocks, and text that holds none."""

import hypothesis
import hypothesis.strategies as st
import pytest

from switchpoint.grading.extraction import extract

EXTRACTED = [
    ("\\boxed{4}", "4"),
    ("\\boxed{4} then \\boxed{5}", "5"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
    ("\\boxed{\\left\\{1\\right\\}}", "\\left\\{1\\right\\}"),
    ("\\boxed {4}", "4"),
    ("\\fbox{4}", "4"),
    ("\\boxed{4} but then \\boxed{5", "4"),
    ("stray } and { brace \\boxed{4}", "4"),
    ("\\boxed{1}, \\boxed{2}", "1, 2"),
    ("$\\boxed{1}$ and $\\boxed{2}$", "1, 2"),
    ("\\boxed{3}. Then again \\boxed{1} or \\boxed{2}", "1, 2"),
    ("\\boxed{\\boxed{3}}", "3"),
    ("\\boxed{}", ""),
    ("<answer>7</answer>", "7"),
    ("<answer>6</answer> <answer> 7 </answer>", "7"),
    ("<answer>6</answer> so \\boxed{7}", "7"),
    ("<answer>6", None),
    ("the answer is 7", None),
    ("", None),
]


@pytest.mark.parametrize(("response", "answer"), EXTRACTED)
def test_extraction(response, answer):
    assert extract(response) == answer


@hypothesis.given(st.text(alphabet="\\boxed{}<answer>/1 ", max_size=80))
def test_extraction_takes_any_text(text):
    answer = extract(text)
    assert answer is None or isinstance(answer, str)


@hypothesis.given(st.text(alphabet="abc123+-{}\\ ", max_size=30), st.text(max_size=30))
def test_a_balanced_last_box_is_found_whatever_comes_before(content, before):
    hypothesis.assume("\\" not in content and "\\" not in before and content.count("{") == content.count("}"))
    hypothesis.assume(all(content[:n].count("{") >= content[:n].count("}") for n in range(len(content))))
    assert extract(f"{before}\\boxed{{{content}}}") == content
