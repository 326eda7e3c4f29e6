"""Whether two formulas are equal: numbers as such, signs and names as written, the rest by math-verify."""

import fractions
import functools
import re

from latex2sympy2_extended import NormalizationConfig
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy import And, Expr, FiniteSet, Integral, Limit, Product, Set, Sum, Union, zoo
from sympy.core.relational import Relational

from switchpoint.grading.markup import canonical, plain, squeezed
from switchpoint.grading.reading import NAME, OF_ANGLE, split
from switchpoint.grading.words import LETTERS

FORMULAS = (
    LatexExtractionConfig(
        normalization_config=NormalizationConfig(
            basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all", equations=False
        )
    ),
    ExprExtractionConfig(),
)  # math-verify's own, but that no letter is taken for a unit ("3t")
NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:(?<=\d)\.?|\.\d+)")
SCIENTIFIC = re.compile(r"^([\s+-]*\d+(?:\.\d*)?)[eE]([-+]?\d+)\b")
IMAGINARY = re.compile(r"(?<=\d)i(?![A-Za-z])")  # math-verify sees the unit in an i that stands alone
DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s?\^\s?\{?\s?\\circ\s?\}?")
FAR = 1e-3  # numbers that differ by more are different (math-verify rounds to six decimals, even 1e-19)
SLOW = (Sum, Product, Integral, Limit)  # to evaluate
SUBSCRIPT = re.compile(r"_(?:\{([^{}]*)\}|(\w))")
LIST = re.compile(r"(\(|\[|\\\{|)([-+.,\d]+)(\)|\]|\\\}|)")
THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")  # or two members of a list
# A number as a formula: digits, operators, brackets, the constants and the functions of numbers.
CLOSED = re.compile(
    r"(?:[-+*/^_!().{}|\[\]\d: ei%]|\\(?:frac|sqrt|cdot|times|div|pi|binom|choose|log|ln|lg|exp|sin|cos|tan|cot|sec|csc"
    r"|arcsin|arccos|arctan|[lr]floor|[lr]ceil|circ|infty|%|overline(?=\{\d+\}$))(?![A-Za-z])|sqrt|pi(?![A-Za-z]))+"
)
UNFINISHED = re.compile(r"[-+*/^=,]\s*$|(?<![_\d])\d+ \d|\d\\overline")  # "9+", two numbers side by side
SIGNS = {
    "unequal": r"\\(?:neq|not|neg|lnot)(?![A-Za-z])",
    "order": r"[<>]|\\[lg]eq(?![A-Za-z])|\\[nl]?[lg]eqq?(?![A-Za-z])|\\[lg]{2}(?![A-Za-z])",
    "likeness": r"\\(?:approx|sim|simeq|cong|propto)(?![A-Za-z])",
    "arrow": r"\\(?:to|rightarrow|Rightarrow|mapsto|leftrightarrow|longrightarrow)(?![A-Za-z])",
    "unseen": r"\\(?:[hv]?phantom|[bx]?cancel|sout|st|color|textcolor)(?![A-Za-z])",
    "ratio": r":",
    "open end": r"\.\.+|\\(?:[lcd]?dots[cbmio]?)(?![A-Za-z])|\?",
}
SIGNS = {name: re.compile(pattern) for name, pattern in SIGNS.items()}
SET = re.compile(r"\\cup|\\infty|\\mathbb|\\in(?![A-Za-z])|^\s*[(\[]|\\emptyset")
MODULUS = re.compile(r"\s*(?:\(\s*)?\\?[pb]?mod\s*\{?\s*(\w+)\s*\}?\s*\)?$")
BARE_UNIT = re.compile(
    rf"([-+\d.,]*\d(?: ?\\(?:times|cdot) ?10\^(?:\d|\{{-?\d+\}}))?) ([{''.join(LETTERS)}])(\^\{{?[23]\}}?)?"
)
CLOCK = re.compile(r"\d{1,2}:[0-5]\d")  # no ratio
WHOLE_HOUR = re.compile(r"(\d{1,2}):00")


@functools.lru_cache(maxsize=512)
def parsed(text: str, configurations: tuple | None = None) -> list:
    """math-verify's readings of an answer, the alarm being ours."""
    options = {"extraction_config": configurations} if configurations else {}
    return parse(text, parsing_timeout=None, raise_on_error=True, **options)


def formula(text: str) -> list:
    """math-verify's readings of a formula, ``2e-3`` being a power of ten, a degree beside a sine so many radians."""
    if re.search(OF_ANGLE, text):
        text = DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    text = IMAGINARY.sub(" i", SCIENTIFIC.sub(r"\1 \\times 10^{\2}", text))
    return parsed(f"\\boxed{{{text}}}", FORMULAS)


def boxed(gold: str) -> str:
    """The gold as math-verify expects it."""
    return gold if "\\boxed" in gold else f"\\boxed{{{gold}}}"


def number(text: str) -> fractions.Fraction | None:
    """The value of a plain decimal number, thousands separators allowed; None for anything else."""
    bare = text.strip()
    if not NUMBER.fullmatch(bare):
        bare = re.sub(r"^([-+]) ", r"\1", canonical(text))
    return fractions.Fraction(bare.replace(",", "")) if NUMBER.fullmatch(bare) else None


def numbers(text: str) -> tuple[str, list[fractions.Fraction]] | None:
    """(brackets, members) of a number (no brackets) or of a list of plain numbers; None for anything else.

    A list without order, bare or in braces, is sorted.
    """
    if (value := number(text)) is not None:
        return "", [value]
    found = LIST.fullmatch(plain(text))
    if not found or THOUSANDS.search(text if found[1] else found[0]):
        return None
    values = [number(part) for part in found[2].split(",")]
    if None in values:
        return None
    brackets = found[1] + found[3]
    return brackets, (values if brackets not in ("", "\\{\\}") else sorted(set(values)))


def same_numbers(gold: str, answer: str) -> bool | None:
    """Whether two numbers, or lists of them in the same brackets, are equal; None if that is not to be told here."""
    one, other = numbers(gold), numbers(answer)
    if one is None or other is None or one[0] != other[0]:
        return None
    if one[1] == other[1]:
        return True
    far = [abs(a - b) > FAR * max(abs(a), abs(b)) for a, b in zip(one[1], other[1], strict=False)]
    return False if len(one[1]) != len(other[1]) or any(far) else None


def equal(gold: str, answer: str) -> bool:
    """Whether two formulas are equal."""
    if squeezed(gold) == squeezed(answer):
        return True
    for same in (same_numbers, same_residues):
        if (verdict := same(gold, answer)) is not None:
            return verdict
    clocks = [bool(CLOCK.fullmatch(squeezed(one))) for one in (gold, answer)]
    if all(clocks):
        return False
    if any(clocks):
        gold, answer = (WHOLE_HOUR.sub(r"\1", squeezed(one)) for one in (gold, answer))
    gold, answer = value(gold, answer, sums=False), value(answer, gold, sums=True)
    if bool(SIGNS["unequal"].search(gold)) != bool(SIGNS["unequal"].search(answer)):
        return bool(SET.search(gold) or SET.search(answer)) and same_regions(gold, answer)
    if UNFINISHED.search(answer) or not same_signs(gold, answer):
        return False
    if (CLOSED.fullmatch(gold) and not CLOSED.fullmatch(answer)) or other_subscripts(gold, answer):
        return False
    return squeezed(gold) == squeezed(answer) or agree(gold, answer)


def value(formula: str, other: str, sums: bool) -> str:
    """The value of an equation, or the exact side of an approximation, if the other formula is none.

    ``sums``: even of a sum of unknowns ("a + b = 5"), which may be what was asked for.
    """
    exact, likened, rounded = (part.strip() for part in formula.partition("\\approx"))
    if likened and exact and not NAME.fullmatch(exact):
        formula = exact
    elif likened and "." in other:  # a rounded gold
        formula = rounded
    if CLOSED.fullmatch(other) and (found := BARE_UNIT.fullmatch(formula)):
        return found[1]
    sides = split(formula, "=")
    if len(sides) == 1 or len(split(other, "=")) > 1:
        return formula
    if CLOSED.fullmatch(sides[0]) and NAME.fullmatch(sides[-1]):
        sides.reverse()  # "5 = x"
    values = {number(side) for side in sides} - {None}
    unknowns = set(re.findall("[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", sides[0])))
    unsolved = len(unknowns) == 1 and not NAME.fullmatch(sides[0])  # "3x = 8"
    unsolved |= not sums and bool(re.search(r"[-+]|^\d", sides[0]))
    if len(values) > 1 or (unsolved and not (sums and agree(sides[0], sides[-1]))):
        return formula
    return sides[-1]


def same_residues(gold: str, answer: str) -> bool | None:
    """Whether two residues are equal; None unless there are two, or one as the answer where the gold is a number."""
    found = [MODULUS.search(formula) for formula in (gold, answer)]
    if found[1] is None or (found[0] is None and not CLOSED.fullmatch(gold)):
        return None
    gold, answer = (
        text[: part.start()] if part else text for text, part in zip((gold, answer), found, strict=True)
    )
    if found[0] and found[0][1] != found[1][1]:
        return False
    residue = number(answer)
    if found[0] is None and residue is not None and found[1][1].isdigit() and residue >= int(found[1][1]):
        return False  # "7 mod 5" is 2
    sides = [[side.strip() for side in text.split("\\equiv")] for text in (gold, answer)]
    named = [len(side) > 1 for side in sides]
    return (not all(named) or sides[0][:-1] == sides[1][:-1]) and equal(sides[0][-1], sides[1][-1])


def same_signs(gold: str, answer: str) -> bool:
    """Whether both hold the same kinds of relations and signs; an interval may be written as an inequality."""
    kinds = [name for name, sign in SIGNS.items() if bool(sign.search(gold)) != bool(sign.search(answer))]
    return not kinds or (kinds == ["order"] and bool(SET.search(gold) or SET.search(answer)))


def other_subscripts(gold: str, answer: str) -> bool:
    """Whether the texts differ in their subscripts alone ("52_8", "I_0"), which math-verify may not read."""
    gold, answer = squeezed(gold), squeezed(answer)
    if SUBSCRIPT.sub("", gold) != SUBSCRIPT.sub("", answer):
        return False
    return sorted(map("".join, SUBSCRIPT.findall(gold))) != sorted(map("".join, SUBSCRIPT.findall(answer)))


def far_apart(target: list, reading: list) -> bool:
    """Whether two expressions in the same symbols differ by far more than rounding at one point.

    Then they are different, and math-verify need not simplify their difference.
    """
    one, other = target[0], reading[0]
    if not isinstance(one, Expr) or not isinstance(other, Expr) or one.free_symbols != other.free_symbols:
        return False
    if one.has(*SLOW) or other.has(*SLOW):
        return False
    point = {symbol: 1.37 + 0.61 * n for n, symbol in enumerate(sorted(one.free_symbols, key=str))}
    values = [expression.subs(point).evalf() for expression in (one, other)]
    if not all(value.is_number and value.is_finite for value in values):
        return False
    one, other = values
    return bool(abs(one - other) > FAR * max(abs(one), abs(other)))


def unordered(reading: list) -> bool:
    """Whether the answer is a set; math-verify equates it with the pair and the interval of its members."""
    return bool(reading) and isinstance(reading[0], FiniteSet)


def region(text: str) -> Set | None:
    """What an interval or union is, or inequalities of one letter with "or" between them allow; else None."""
    found = [formula(piece) for piece in canonical(text).split('"or"')]
    if not all(found):
        return None
    allowed = [reading[0].doit() for reading in found]  # the complement of a point is a union
    if all(isinstance(one, Relational | And) for one in allowed):
        letters = set.union(*(one.free_symbols for one in allowed))
        return Union(*(one.as_set() for one in allowed)) if len(letters) == 1 else None
    return allowed[0] if len(allowed) == 1 and isinstance(allowed[0], Set) else None


def same_regions(gold: str, answer: str) -> bool:
    """Whether two texts leave the same to a letter: "x < 2 or x > 3" and a union."""
    one, other = region(gold), region(answer)
    return one is not None and one == other


def agree(gold: str, answer: str) -> bool:
    """Whether math-verify equates two formulas."""
    target, reading = formula(gold), formula(answer)
    if not target or not reading or unordered(target) != unordered(reading):
        return False
    if target[0] == reading[0] != zoo:
        return True
    if "%" not in gold + answer and far_apart(target, reading):
        return False
    options = {"timeout_seconds": None, "raise_on_error": True}
    return verify(target, reading, allow_set_relation_comp=True, **options)
