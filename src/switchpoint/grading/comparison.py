"""Whether an answer says what the gold says.

1. Markup carries no meaning (``markup``).
2. Words do.  In an answer they name what the number is, count or measure it, or join the members of a list; any
   other makes it wrong unless the gold has it: hedges, comparisons, negations, number words, words that calculate.
   Units are a table, in which different ones are different.  Nouns are an open class: a word in the plural passes
   for one unless it is in a closed class of ``words.REFUSED``.  So "18 eggs" are 18, and "2 thirds" or "5 or more"
   are not 2 or 5; the price is that "5 quarters" is refused of coins, too.
3. Alternatives are a list, and a list is no number.  Lists are compared member by member: in order beside a tuple,
   by their names if both have different ones, else in any order.
4. Signs mean something: an answer has no relation, ellipsis, question mark or struck-out part that the gold has not.
5. The rest is mathematics (``formulas``).

A comma is no decimal comma: "1,5" is a list, "12,500" a number of thousands.  Only of a text without a box, an
answer block or a plain claim, which math-verify searches, may it be one.
"""

import dataclasses
import re

from math_verify import verify

from switchpoint.grading.extraction import GUESSED, claimed
from switchpoint.grading.formulas import (
    BARE_UNIT,
    CLOSED,
    SIGNS,
    agree,
    boxed,
    equal,
    parsed,
    same_numbers,
    same_regions,
    unordered,
)
from switchpoint.grading.markup import canonical, plain, squeezed
from switchpoint.grading.reading import Member, enclosed, member, parts, split, unit
from switchpoint.grading.words import CURRENCIES, DOUBTING, KINDS, ROUNDED, SWAYING, UNIT, UNITS, UNNAMING

PLUS_MINUS, MINUS_PLUS = (re.compile(rf"\\{name}(?![A-Za-z])") for name in ("pm", "mp"))
WORDS = re.compile(r'(?:"[^"]*" ?)+')
OTHER_SCRIPT = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
DECIMAL_COMMA = re.compile(r"\d,\d{1,2}(?![\d,])")
NAMES = re.compile(r"[A-Za-z](?:_\w|_\{[^{}]*\})?")
CHOICE = re.compile(r"\(?([A-Z])(?:[).:](.*)|)", re.DOTALL)
MONEY = {"cent", *(UNIT[currency] for currency in CURRENCIES.values())}
MARKED = re.compile(r"\([A-Z]\)|[A-Z][).:]")  # a choice with which its words may come


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer as a list: its brackets (none for a bare list, or for what is no list) and its members."""

    brackets: str
    members: list[Member]


def values(text: str, grouped: bool = True) -> list[Member]:
    """The members of a list; one with a plus-minus is two."""
    return tuples([member(one) for part in parts(text, grouped) for one in both(part)])


def once(members: list[Member]) -> list[Member]:
    """The members without repetition."""
    return list({dataclasses.replace(one, formula=squeezed(one.formula)): one for one in members}.values())


def both(part: str) -> list[str]:
    """The two values of a member with a plus-minus; else the member."""
    if len(PLUS_MINUS.findall(part)) != 1:
        return [part]
    return [MINUS_PLUS.sub(other, PLUS_MINUS.sub(sign, part)) for sign, other in ("+-", "-+")]


def listed(text: str) -> Answer:
    """An answer in the canonical form as a list."""
    found = once(values(text))
    if len(found) != 1:
        return Answer("", found)
    (whole,) = found
    brackets, content = enclosed(whole.formula)
    inner = values(content, grouped=False) if brackets else []
    if not inner or (len(inner) == 1 and brackets != "\\{\\}"):
        return Answer("", found)
    if "{" in brackets:
        inner = once(inner)
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
    if (verdict := same_numbers(gold, answer)) is not None:
        return verdict
    if plain(gold) == plain(answer):
        return bool(plain(gold))
    one, other = listed(canonical(gold)), listed(canonical(answer))
    if not one.members or not other.members:
        return False
    if len(one.members) == len(other.members) == 1:
        alone = one.brackets == other.brackets or CLOSED.fullmatch(one.members[0].formula)
        return bool(alone) and same_member(one.members[0], other.members[0])  # {5} may be 5, {{}} is not {}
    if 1 in (len(one.members), len(other.members)) and SIGNS["order"].search(plain(gold) + plain(answer)):
        return not swayed(other.members) and (agree(gold, answer) or same_regions(gold, answer))
    return same_lists(one, other)


def same_lists(gold: Answer, answer: Answer) -> bool:
    """Whether two lists, of which one may be bare, have the same members: in order, or by name, or in any order."""
    ours, theirs = gold.members, answer.members
    kinds = {gold.brackets, answer.brackets}
    if len(kinds - {""}) > 1 or len(ours) != len(theirs):
        return False
    if distinct(ours) and distinct(theirs):
        named = {one.name: one for one in theirs}
        return all(one.name in named and same_member(one, named[one.name]) for one in ours)
    indexed = len({(one.name or "")[:1] for one in ours}) == 1  # x_1 and x_2 are two solutions for x
    if kinds - {"", "\\{\\}"} or (distinct(ours) and not indexed):
        return all(same_member(*pair) for pair in zip(unnamed(ours), unnamed(theirs), strict=True))
    return matched(unnamed(ours), unnamed(theirs))


def distinct(members: list[Member]) -> bool:
    """Whether every member has a name of its own."""
    return len({one.name for one in members} - {None}) == len(members)


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
        formula = squeezed(answer.formula)
        said = answer.said[answer.said[:1] == ("none",) :]  # "none of these"
        if MARKED.fullmatch(formula) and not DOUBTING.intersection(said):
            answer = dataclasses.replace(answer, said=gold.said)
        other = CHOICE.fullmatch(formula)
        if other and not answer.said and same_words(gold, answer):
            return found[1] == other[1]
    if gold.unit or answer.unit:
        gold, answer = measured(gold), measured(answer)
    if not same_words(gold, answer) or not same_units(gold.unit, answer.unit):
        return False
    if not gold.formula or not answer.formula:
        return gold.formula == answer.formula
    whole = [f"{one.name}={one.formula}" if one.name else one.formula for one in (gold, answer)]
    if gold.name and answer.name and gold.name != answer.name:
        return not CLOSED.fullmatch(gold.formula) and agree(*whole)
    if bool(gold.name) != bool(answer.name) and all(len(split(one, "=")) > 1 for one in whole):
        return same_formula(*whole)  # an equation, solved for one of its unknowns
    return same_formula(gold.formula, answer.formula)


def measured(one: Member) -> Member:
    """The member, its last letter being a unit: the m of "12 m" beside centimetres."""
    found = BARE_UNIT.fullmatch(one.formula)
    if not found:
        return one
    return dataclasses.replace(
        one, formula=found[1], unit=unit(f'"{found[2]}"{found[3] or ""}', singular=False)
    )


def same_words(gold: Member, answer: Member) -> bool:
    """Whether the answer's words change the number, or are the answer, as the gold's do."""
    forgiven = ROUNDED if "." in gold.formula else frozenset()  # a rounded gold is "about" itself
    theirs = answer.said
    if not answer.formula and len(theirs) == len(gold.said) + 1 and theirs[-1] in KINDS:
        theirs = theirs[:-1]  # "an isosceles triangle" is isosceles
    if [word.removesuffix("s") for word in gold.said] != [word.removesuffix("s") for word in theirs]:
        return False
    before = answer.lead[: len(answer.lead) - len(gold.lead)]
    if answer.lead != before + gold.lead or set(before) & SWAYING - forgiven:
        return False
    if gold.loose or answer.loose:
        return False
    return UNNAMING & set(gold.naming) == UNNAMING & set(answer.naming)


def same_units(gold: frozenset[str], answer: frozenset[str]) -> bool:
    """Whether units agree: the same measures, or none on one side, and nouns that are among the other's."""
    measures = [{one for one in found if one.rstrip("-0123456789") in UNITS} for found in (gold, answer)]
    if all(measures):
        wages = measures[0] == measures[1] & MONEY  # "$5 per hour" are $5
        vague = any(one.startswith("unit") for one in set.union(*measures))
        return wages or vague or measures[0] == measures[1]
    return not gold or not answer or gold <= answer or answer <= gold


def same_formula(gold: str, answer: str) -> bool:
    """Whether two formulas, or lists in brackets, are equal."""
    if enclosed(gold)[0] and enclosed(answer)[0]:
        groups = listed(gold), listed(answer)
        if all(group.brackets for group in groups):
            return same_lists(*groups)
    return equal(gold, answer)


def swayed(members: list[Member]) -> bool:
    """Whether a word changes what is said."""
    return any(SWAYING & {*one.lead, *one.said} or UNNAMING & set(one.naming) for one in members)


def stated(gold: str, text: str) -> bool:
    """Whether a text without a marked answer states the gold.

    What it claims at its end decides if that is nothing but an answer, or is in doubt; else math-verify
    searches the whole text.
    """
    claim = claimed(text, in_words=bool(WORDS.fullmatch(canonical(gold))))
    if claim is not None:
        if same(gold, claim):
            return True
        members = listed(canonical(claim)).members
        prose = any(one.said or one.loose or not one.formula for one in members)
        prose = prose or DECIMAL_COMMA.search(claim) or OTHER_SCRIPT.search(claim)
        last = max((place for place, one in enumerate(members) if one.formula), default=0)
        if not members or not prose or swayed(members[last:]) or GUESSED.search(text):
            return False
    target, reading = parsed(boxed(gold)), parsed(text)
    if not target or not reading or unordered(target) != unordered(reading):
        return False
    return verify(target, reading, timeout_seconds=None, raise_on_error=True)
