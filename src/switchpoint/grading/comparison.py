"""Whether an answer says what the gold says.  ``reading`` and ``words`` settle the words, math-verify the formulas.

1. Markup carries no meaning.
2. Words do.  A word of an answer is a unit or a counted noun behind the number, joins the members of a list, or
   names what the number is; any other makes the answer wrong unless the gold has it: hedges, comparisons,
   negations, number words, words that calculate, alternatives.
   Units are a table, in which two different ones are different.  Nouns are an open class: a word in the plural
   counts as one, unless it is in one of the closed classes of ``words.REFUSED``.  So "18 eggs" is 18 and
   "2 thirds", "5 dozens", "5 pluses" are not 2 or 5; the price is that "5 quarters" is refused of coins, too.
3. Signs do: an answer has no relation, ellipsis, question mark or struck-out part that the gold has not.
4. Lists are compared member by member: in the order of a tuple or of different names, else in any.
5. Numbers are compared as such; expressions that differ at one point need no simplification; the rest is
   math-verify's.

A comma is never a decimal comma: "1,5" is a list and "12,500" a number of thousands, whoever wrote it.
The clock is the caller's: nothing here sets an alarm.
"""

import dataclasses
import fractions
import functools
import re

from latex2sympy2_extended import NormalizationConfig
from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify
from sympy import Expr, FiniteSet, zoo

from switchpoint.grading.extraction import claimed
from switchpoint.grading.markup import canonical, plain, squeezed
from switchpoint.grading.reading import NAME, Member, enclosed, member, parts, split
from switchpoint.grading.words import LETTERS, ROUNDED, SWAYING, UNNAMING

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
FAR = 1e-3  # numbers that differ by more are different (math-verify rounds to six decimals, even 1e-19)
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
PLUS_MINUS, MINUS_PLUS = (re.compile(rf"\\{name}(?![A-Za-z])") for name in ("pm", "mp"))
BARE_UNIT = re.compile(rf"([-+\d.,]*\d) [{''.join(LETTERS)}](?:\^\{{?[23]\}}?)?")
DECIMAL_COMMA = re.compile(r"\d,\d{1,2}(?![\d,])")  # math-verify's business
CLOCK = re.compile(r"\d{1,2}:[0-5]\d")  # no ratio
NAMES = re.compile(r"[A-Za-z](?:_\w|_\{[^{}]*\})?")
DANGLING = re.compile(
    r"(?:\b(?:is|are|be|so|then|that|which|by|of|the|a|and|or|to|equals|get|have|from)|[=,])\s*$"
)
CHOICE = re.compile(r"\(?([A-Z])(?:[).:](.*)|)", re.DOTALL)


@functools.lru_cache(maxsize=512)
def parsed(text: str, configurations: tuple | None = None) -> list:
    """math-verify's readings of an answer, the alarm being ours."""
    options = {"extraction_config": configurations} if configurations else {}
    return parse(text, parsing_timeout=None, raise_on_error=True, **options)


def formula(text: str) -> list:
    """math-verify's readings of a formula, ``2e-3`` being a power of ten."""
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
    if not found or THOUSANDS.search(text):
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


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer as a list: its brackets (none for a bare list, or for what is no list) and its members."""

    brackets: str
    members: list[Member]


def values(text: str, grouped: bool = True) -> list[Member]:
    """The members of a list, each of them once; one with a plus-minus is two."""
    found = []
    for part in parts(text, grouped):
        signs = [("+", "-"), ("-", "+")] if len(PLUS_MINUS.findall(part)) == 1 else [()]
        found += [
            member(MINUS_PLUS.sub(other[-1], PLUS_MINUS.sub(other[0], part)) if other else part)
            for other in signs
        ]
    found = tuples(found)
    return list({dataclasses.replace(one, formula=squeezed(one.formula)): one for one in found}.values())


def listed(text: str) -> Answer:
    """An answer in the canonical form as a list."""
    found = values(text)
    if len(found) != 1:
        return Answer("", found)
    (whole,) = found
    brackets, content = enclosed(whole.formula)
    inner = values(content, grouped=False) if brackets else []
    if not inner or (len(inner) == 1 and brackets != "\\{\\}"):
        return Answer("", found)
    names = NAMES.findall(whole.name or "")
    if len(names) == len(inner) > 1:
        inner = [dataclasses.replace(one, name=name) for one, name in zip(inner, names, strict=True)]
    inner[0] = dataclasses.replace(inner[0], lead=whole.lead, naming=whole.naming)
    inner[-1] = dataclasses.replace(inner[-1], said=inner[-1].said + whole.said)
    return Answer("" if brackets == "{}" else brackets, inner)


def tuples(found: list[Member]) -> list[Member]:
    """The members; where different names come again and again ("p=5, q=2, p=7, q=2"), the tuples of their values."""
    names = [one.name for one in found]
    width = len(set(names))
    if None in names or width in (1, len(names)) or names != names[:width] * (len(names) // width):
        return found
    chunks = [found[first : first + width] for first in range(0, len(found), width)]
    return [member(f"({','.join(one.formula for one in chunk)})") for chunk in chunks]


def same(gold: str, answer: str) -> bool:
    """Whether an answer says what the gold says."""
    if (equal := same_numbers(gold, answer)) is not None:
        return equal
    if plain(gold) == plain(answer):
        return bool(plain(gold))
    one, other = listed(canonical(gold)), listed(canonical(answer))
    if not one.members or not other.members:
        return False
    if len(one.members) == len(other.members) == 1:
        alike = one.brackets == other.brackets or CLOSED.fullmatch(
            one.members[0].formula
        )  # {5} is 5, {{}} not {}
        return bool(alike) and same_member(one.members[0], other.members[0])
    if 1 in (len(one.members), len(other.members)) and SIGNS["order"].search(plain(gold) + plain(answer)):
        return not swayed(other) and agree(gold, answer)  # "x < 2 or x > 3" and a union
    return same_lists(one, other)


def same_lists(gold: Answer, answer: Answer) -> bool:
    """Whether two lists, of which one may be bare, have the same members: in order, or by name, or in any order."""
    ours, theirs = gold.members, answer.members
    kinds = {gold.brackets, answer.brackets}
    if len(kinds - {""}) > 1 or len(ours) != len(theirs):
        return False
    names = [[one.name for one in members] for members in (ours, theirs)]
    own = [set(found) for found in names]
    distinct = [
        None not in found and len(found) == len(members)
        for found, members in zip(own, (ours, theirs), strict=True)
    ]
    if all(distinct):
        ordered = {one.name: one for one in theirs}
        return own[0] == own[1] and all(same_member(one, ordered[one.name]) for one in ours)
    indexed = len({(name or "")[:1] for name in own[0]}) == 1
    if kinds - {"", "\\{\\}"} or (distinct[0] and not indexed):
        return all(same_member(*pair) for pair in zip(unnamed(ours), unnamed(theirs), strict=True))
    return matched(unnamed(ours), unnamed(theirs))


def unnamed(members: list[Member]) -> list[Member]:
    """The members without their names."""
    return [dataclasses.replace(one, name=None) for one in members]


def matched(ours: list[Member], theirs: list[Member]) -> bool:
    """Whether the members are the same in some order."""
    left = list(theirs)
    for one in ours:
        found = next((other for other in left if same_member(one, other)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def same_member(gold: Member, answer: Member) -> bool:
    """Whether two members say the same: the words first, then the units, then the formulas."""
    if found := CHOICE.fullmatch(squeezed(gold.formula)):
        other = CHOICE.fullmatch(squeezed(answer.formula))
        if other and not answer.said and same_words(gold, answer):
            return found[1] == other[1]
    if not same_words(gold, answer) or not same_units(gold.unit, answer.unit):
        return False
    if not gold.formula or not answer.formula:
        return gold.formula == answer.formula
    whole = [f"{one.name}={one.formula}" if one.name else one.formula for one in (gold, answer)]
    if gold.name and answer.name and squeezed(gold.name) != squeezed(answer.name):
        return not CLOSED.fullmatch(gold.formula) and agree(*whole)
    if bool(gold.name) != bool(answer.name) and all(
        len(split(one, "=")) > 1 for one in whole
    ):  # one is an equation
        return same_formula(*whole)
    return same_formula(gold.formula, answer.formula)


def same_words(gold: Member, answer: Member) -> bool:
    """Whether the answer's words change the number, or are the answer, as the gold's do."""
    forgiven = ROUNDED if "." in gold.formula else frozenset()  # a rounded gold is "about" itself
    if [word.removesuffix("s") for word in gold.said] != [word.removesuffix("s") for word in answer.said]:
        return False
    before = answer.lead[: len(answer.lead) - len(gold.lead)]
    if answer.lead != before + gold.lead or set(before) & SWAYING - forgiven:
        return False
    return gold.loose == answer.loose and UNNAMING & set(gold.naming) == UNNAMING & set(answer.naming)


def same_units(gold: frozenset[str], answer: frozenset[str]) -> bool:
    """Whether units agree: one has none, or is the unit of anything, or has all words of the other."""
    return (
        not gold
        or not answer
        or any(unit.startswith("unit") for unit in gold | answer)
        or gold <= answer
        or answer <= gold
    )


def same_formula(gold: str, answer: str) -> bool:
    """Whether two formulas are equal."""
    if squeezed(gold) == squeezed(answer):
        return True
    if (equal := same_numbers(gold, answer)) is not None:
        return equal
    if (equal := same_residues(gold, answer)) is not None:
        return equal
    if CLOCK.fullmatch(squeezed(gold)) and CLOCK.fullmatch(squeezed(answer)):
        return False
    gold, answer = value(gold, answer, sums=False), value(answer, gold, sums=True)
    if UNFINISHED.search(answer) or not same_signs(gold, answer):
        return False
    groups = listed(gold), listed(answer)
    if all(group.brackets for group in groups):
        return same_lists(*groups)
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
    return formula if unsolved or len(values) > 1 else sides[-1]


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
    return (not all(named) or sides[0][:-1] == sides[1][:-1]) and same_formula(sides[0][-1], sides[1][-1])


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
    point = {symbol: 1.37 + 0.61 * n for n, symbol in enumerate(sorted(one.free_symbols, key=str))}
    values = [expression.subs(point).evalf() for expression in (one, other)]
    if not all(value.is_number and value.is_finite for value in values):
        return False
    one, other = map(complex, values)
    return abs(one - other) > FAR * max(abs(one), abs(other))


def unordered(reading: list) -> bool:
    """Whether the answer is a set; math-verify equates it with the pair and the interval of its members."""
    return bool(reading) and isinstance(reading[0], FiniteSet)


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


def swayed(answer: Answer) -> bool:
    """Whether a word of the answer changes what it says."""
    return any(SWAYING & {*one.lead, *one.said} or UNNAMING & set(one.naming) for one in answer.members)


def stated(gold: str, text: str) -> bool:
    """Whether a text without a marked answer states the gold.

    What it claims at its end decides if that is nothing but an answer, or is in doubt; else math-verify
    searches the whole text.
    """
    claim = claimed(text)
    if same(gold, claim):
        return True
    answer = listed(canonical(claim))
    said = any(one.said or one.loose or not one.formula for one in answer.members) or DECIMAL_COMMA.search(
        claim
    )
    if not answer.members or not said or swayed(answer) or DANGLING.search(text):
        return False
    target, reading = parsed(boxed(gold)), parsed(text)
    return (
        bool(target and reading)
        and unordered(target) == unordered(reading)
        and verify(target, reading, timeout_seconds=None, raise_on_error=True)
    )
