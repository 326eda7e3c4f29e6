"""The answer in a response, and the guards against text that is dear to evaluate.

The answer is the content of the last ``\\boxed{}``, else of the last ``<answer>`` block, else what
math-verify itself extracts from the text.
"""

import re

EXTRACTIONS = ("any", "boxed_or_answer", "boxed", "official")
MAX_ANSWER = 300  # characters; an answer longer than this and than ten times its gold is none
MAX_TEXT = 4_000  # characters; of a response without an extracted answer the end is searched

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


def hostile(text: str, end: int) -> bool:
    """Whether evaluating the text could take for ever: cheap guards, the clock is behind them.

    Only the last ``end`` characters must not look ``HOSTILE``: the reasoning before an answer may.
    """
    depth = deepest = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH or HOSTILE.search(text[-end:]) is not None
