"""The answer in a response: boxes, answer blocks, and text that holds none."""

import time

import hypothesis
import hypothesis.strategies as st
import pytest

from switchpoint.grading.extraction import claimed, extract
from switchpoint.grading.grader import question

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
    ("\\boxed{1}\\quad\\text{and}\\quad\\boxed{2}", "1, 2"),
    ("\\boxed{1} pens and \\boxed{2} pencils", "1, 2"),
    ("$x = \\boxed{1}$ and $y = \\boxed{2}$", "x = 1, y = 2"),
    ("\\boxed{1} and so it is \\boxed{2}", "2"),
    ("\\boxed{1} is not right, but \\boxed{2} and", "2"),
    ("\\boxed{1}" + " " * 70 + "\\boxed{2}", "2"),
    ("\\boxed{1}. The final answer is $2$. I hope so.", "$2$"),
    ("The final answer is $\\boxed{1}$.", "1"),
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


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("So 3. The answer is 7.", "The answer is 7."),
        ("I thought the answer was 3. It is 7.", "It is 7."),
        ("Adding 3 and 4 gives 7, because it does.", " 7"),
        ("Checking that 3 and 4 gives 7", "Checking that 3 and 4 gives 7"),
        ("> **7**", "**7**"),
        ("As x = 2, the answer is 7", " the answer is 7"),
        ("The answer is 3.\n#### 7", "7"),
        ("## Answer\n\n7", "7"),
        ("It is 3.\nSo it is 7. I am sure.", "it is 7."),
        ("so the answer is", ""),
        ("1 = 1\n2 = 2", None),
        ("The answer is \\boxed{7", None),
    ],
)
def test_what_a_text_claims(text, claim):
    assert claimed(text) == claim


LENGTH = 200_000
PIECES = [
    "\\boxed{1}", "\\boxed{1} and ", "y = \\boxed{1} and ", "\\boxed{1}" + " " * 50, "\\boxed{1} and the second one which is left is ",
    "\\boxed{", "\\boxed ", "<answer>",
    "</answer>", "final answer is ", "final answer is 1.", "the answer is 1\n", "#### ", "\\", "{", "}", "(", "7", "^{1",
    "\\sum", "\\log ( ", "= ", "<|", "$$\n", "\\text{ and }", "1 2 ", ". A", "and ", "5 eggs that ",
    "adding ", "Adding 3 gives ", "this gives 3 because ", "> **", "> ", "I thought ", "共 ", "，答案是1,", "答案是1",
]  # fmt: skip
BETWEEN = [" ", "\n", "$", ",", "~", "\\quad", " and", "final answer is "]


@pytest.mark.parametrize(
    "text",
    [piece * (LENGTH // len(piece)) for piece in PIECES]
    + [f"\\boxed{{{piece * (LENGTH // len(piece))}}}" for piece in PIECES]
    + [
        f"\\boxed{{1}}{piece * (LENGTH // len(piece))}{end}\\boxed{{2}}"
        for piece in BETWEEN
        for end in ("", "x")
    ]
    + [
        "$$" + " " * LENGTH + "$$",
        "<answer>" + " " * LENGTH + "</answer>",
        "\\boxed{" * 25_000 + "}" * 25_000,
    ],
    ids=lambda text: f"{text[:12]!r}...{text[-9:]!r}",
)
def test_what_runs_behind_no_clock_is_linear(text):
    started = time.process_time()
    for extraction in ("any", "boxed_or_answer", "official"):
        question("5", text, extraction)
    question("1, 2", text, "any")
    question(text, "\\boxed{5}", "any")
    assert time.process_time() - started < 4  # seconds, for five questions
