"""Whether an answer says what the gold says: math-verify, with what it reads wrongly or slowly settled before.

Numbers, lists of numbers and words are compared as such; expressions that differ at one point need no
simplification; the rest is math-verify's.  The clock is the caller's: nothing here sets an alarm.
"""

import fractions
import re
from collections.abc import Callable

from math_verify import parse, verify
from sympy import Expr, FiniteSet

WORDS = re.compile(r"[A-Za-z][a-z]+(?:[ -][A-Za-z][a-z]+)*")
WRAPPERS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
NOISE = re.compile(
    r"\\(?:left|right|bigl|bigr|big|Big|displaystyle)(?![A-Za-z])|\\[!,;: ]|[$~]|\s+(?!\d)|(?<!\d)\s+|\\[()\[\]]"
)
# "5 cm^2", "18 dollars": a number, a space, words that are no mathematics.
UNITS = re.compile(
    r"(?P<number>[-+]?\\?\$?[\d.,{}]*\d\}?)(?:\s|~|\\[ ,;])+"
    r"(?!(?:pi|tau|ln|log|sin|cos|tan|exp|sqrt|mod|hundred|thousand|million|billion|trillion|dozen)\b)"
    r"[A-Za-z]{2,}(?:\^\{?[23]\}?)?(?:[ /]+[A-Za-z]+(?:\^\{?[23]\}?)?)*\.?"
)
SCIENTIFIC = re.compile(r"^([\s$+-]*\d+(?:\.\d*)?)[eE]([-+]?\d+)\b")
MEMBERS = re.compile(r"\(?([^()\[\]]*[^()\[\]\\])\)?")  # "1, 2" and "(1, 2)", nothing nested
NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.?|\.\d+)")
FAR = 1e-3  # numbers that differ by more are different (math-verify rounds to six decimals, even 1e-19)
SUBSCRIPT = re.compile(r"_(?:\{([^{}]*)\}|(\w))")
SOLVED = re.compile(r"([A-Za-z])=([^=<>,]+)")
LIST = re.compile(r"(\(|\[|\\\{|)([-+.,\d]+)(\)|\]|\\\}|)")
THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")  # or two members of a list


def readable(text: str) -> str:
    """The text for math-verify: a number without the plain words behind it, ``2e-3`` as a power of ten."""
    if found := UNITS.fullmatch(text.strip(" $")):
        text = found["number"]
    return SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text)


def other_subscripts(gold: str, answer: str) -> bool:
    """Whether the texts differ in their subscripts alone ("52_8", "I_0"), which math-verify may not read."""
    gold, answer = plain(gold), plain(answer)
    if SUBSCRIPT.sub("", gold) != SUBSCRIPT.sub("", answer):
        return False
    return sorted(map("".join, SUBSCRIPT.findall(gold))) != sorted(map("".join, SUBSCRIPT.findall(answer)))


def plain(text: str) -> str:
    """The text without what carries no meaning: spacing, ``\\left``, text wrappers, a final full stop."""
    text = WRAPPERS.sub(r"\1", text)
    text = re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", text).replace("\\varnothing", "\\emptyset")
    return NOISE.sub("", text).rstrip(".")


def words(text: str) -> str | None:
    """An answer in words, in lower case; None for a formula (math-verify would multiply the letters)."""
    bare = re.sub(r"\s+", " ", WRAPPERS.sub(r"\1", text)).strip(" .$")
    return bare.lower() if WORDS.fullmatch(bare) else None


def parsed(text: str) -> list:
    """math-verify's readings of an answer, the alarm being ours."""
    return parse(text, parsing_timeout=None, raise_on_error=True)


def boxed(gold: str) -> str:
    """The gold as math-verify expects it."""
    return gold if "\\boxed" in gold else f"\\boxed{{{gold}}}"


def unordered(reading: list) -> bool:
    """Whether the answer is a set; math-verify equates it with the pair and the interval of its members."""
    return bool(reading) and isinstance(reading[0], FiniteSet)


def number(text: str) -> fractions.Fraction | None:
    """The value of a plain decimal number, thousands separators allowed; None for anything else."""
    bare = plain(text).replace("{,}", ",")
    return fractions.Fraction(bare.replace(",", "")) if NUMBER.fullmatch(bare) else None


def numbers(text: str) -> tuple[str, list[fractions.Fraction]] | None:
    """(brackets, members) of a number (no brackets) or of a list of plain numbers; None for anything else.

    A list without order, bare or in braces, is sorted.
    """
    if (value := number(text)) is not None:
        return "", [value]
    found = LIST.fullmatch(plain(text))
    if not found or THOUSANDS.search(text):
        return None
    members = [number(member) for member in found[2].split(",")]
    if None in members:
        return None
    brackets = found[1] + found[3]
    return brackets, (members if brackets not in ("", "\\{\\}") else sorted(set(members)))


def same_numbers(gold: str, answer: str) -> bool | None:
    """Whether two numbers, or lists of them in the same brackets, are equal; None if that is for math-verify."""
    one, other = numbers(gold), numbers(answer)
    if one is None or other is None or one[0] != other[0]:
        return None
    if one[1] == other[1]:
        return True
    far = [abs(a - b) > FAR * max(abs(a), abs(b)) for a, b in zip(one[1], other[1], strict=False)]
    return False if len(one[1]) != len(other[1]) or any(far) else None


def far_apart(target: list, reading: list) -> bool:
    """Whether two expressions in the same symbols differ by far more than rounding at one point.

    Then they are different, and math-verify need not simplify their difference.
    """
    one, other = target[0], reading[0]
    if not isinstance(one, Expr) or not isinstance(other, Expr) or one.free_symbols != other.free_symbols:
        return False
    point = {symbol: 1.37 + 0.61 * n for n, symbol in enumerate(sorted(one.free_symbols, key=str))}
    values = [expression.subs(point).evalf() for expression in (one, other)]
    if not all(value.is_number and value.is_finite for value in values):
        return False
    one, other = map(complex, values)
    return abs(one - other) > FAR * max(abs(one), abs(other))


def right_sides(gold: str, answer: str) -> tuple[str, str]:
    """The right sides where both solve for the same symbol ("y = 2x + 3"); else the texts as they are."""
    found = [SOLVED.fullmatch(plain(text)) for text in (gold, answer)]
    if None in found or found[0][1] != found[1][1] or any(one[1] in one[2] for one in found):
        return gold, answer
    return found[0][2], found[1][2]


def in_order(gold: str, answer: str) -> bool:
    """Whether a tuple and a bare list have the same members in the same order; false for a set in braces."""
    pairs = [MEMBERS.fullmatch(plain(text)) for text in (gold, answer)]
    if None in pairs:
        return False
    members = [found[1].split(",") for found in pairs]
    return len(members[0]) == len(members[1]) and all(
        same(one, other, lambda other=other: parsed(boxed(other)))
        for one, other in zip(*members, strict=True)
    )


def same(gold: str, answer: str, read: Callable[[], list]) -> bool:
    """Whether an answer says what the gold says; ``read`` gives math-verify's readings of it."""
    if (expected := words(gold)) is not None:
        return expected == words(answer)
    if (equal := same_numbers(gold, answer)) is not None:
        return equal
    if other_subscripts(gold, answer):
        return False
    if (sides := right_sides(gold, answer)) != (gold, answer):
        return same(*sides, lambda: parsed(boxed(readable(sides[1]))))
    target, reading = parsed(boxed(readable(gold))), read()
    if not target or not reading:
        return False
    if unordered(target) != unordered(reading):
        return in_order(gold, answer)
    if "%" not in gold + answer and far_apart(target, reading):
        return False
    return verify(target, reading, timeout_seconds=None, raise_on_error=True)
