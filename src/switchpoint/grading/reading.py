"""What an answer says: its members, each with its words, its name, its formula and its unit.

Everything here reads the canonical form (``markup.canonical``).
"""

import dataclasses
import functools
import re

from switchpoint.grading.markup import QUOTED, one_of
from switchpoint.grading.words import (
    ADDED,
    BEHIND,
    COMPOUND,
    COUNTED,
    DIGITS,
    DOUBTING,
    INSIDE,
    MAGNITUDES,
    NO_COUNT,
    POWERS,
    REFUSED,
    RELATIVES,
    SILENT,
    TENS,
    UNIT,
)

MARK = re.compile(r'[{(\[]|[})\]]|[,;]|"(?:and|or)"|(?<![<>!\\:])=(?!=)')
BRACKETS = re.compile(r"(\\\{|[({\[])(.*?)(\\\}|[)}\]])", re.DOTALL)
THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
LETTER = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|angle|triangle) ?)"
INDEX = r"(?:'|_\{[^{}]*\}|_\w|\^\{-1\})*"
OF_ANGLE = r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])"
NAME = re.compile(
    rf"{OF_ANGLE}(?:\^\{{?\d\}}?)? ?\(?\d? ?"
    r"(?:\\(?:alpha|beta|gamma|delta|theta|phi)|(?:\\angle ?)?[A-Z]{1,3})\)?"  # of an angle: "\sin x = 1" is to solve
    rf"|{LETTER}{INDEX}(?:\([^()=]*\))?|\\angle ?[A-Z]+|[A-Z]{{2,4}}|\|[A-Z]\||\((?:{LETTER}{INDEX},? ?)+\)"
)
ELEMENT = re.compile(rf"((?:^|=)\s*{NAME.pattern})\s*\\in(?![A-Za-z])")  # "x in", as good as "x ="
SUBJECT = re.compile(  # words, and behind the last of them a number
    r'\s*(?:"[^"]*"[^"A-Za-z\\]*)+"(?:of|for|in|from|by|between|than|to|at|with|under|after|on)"'
    r'[^"A-Za-z\\]*\d[^"A-Za-z\\]*'
)
DIGIT = re.compile(r"\d")
LEAD = re.compile(r'(?:\s*"[^"]*"\s*[-.:*]*)*')
MAGNITUDE = re.compile(one_of(MAGNITUDES) + r"\s*")
DEGREES = re.compile(r"\s*\^\s*\{?\s*\\circ\s*\}?$")
FOR_ALL = re.compile(r'\s*"for" "?(?:all|any|every|each)".*', re.DOTALL)
CLAUSE = re.compile(rf'(\d[^"]*(?:"[^"]*"[^"\d]*?)+?){one_of(RELATIVES)}(.*)', re.DOTALL)
UNIT_TOKEN = re.compile(r'"[^"]*"|\^\{?-?\d\}?|[^\s/*()-]')
PLURAL = re.compile(r"[^s]s$")
SINGULAR = re.compile(r"1|.*(?:/|\\frac).*|0?\.\d+")  # numbers that count one thing, or a part of it


def split(text: str, marks: str, kept: frozenset[int] = frozenset()) -> list[str]:
    """The pieces of a text between the marks that end in one of ``marks``, outside of all brackets; not at ``kept``."""
    found, depth, start = [], 0, 0
    for match in MARK.finditer(text):
        mark = match[0][-1]
        depth += (mark in "{([") - (mark in "})]")
        if depth == 0 and mark in marks and match.start() not in kept:
            found.append(text[start : match.start()])
            start = match.end()
    return [piece.strip() for piece in (*found, text[start:])]


def parts(text: str, grouped: bool = True) -> list[str]:
    """The members of a list: what stands between commas, semicolons, "and" and "or".

    ``grouped``: a comma before three digits separates thousands, and goes.
    """
    if not grouped:
        return [part for part in split(text, ',;"') if part]
    inside = frozenset(at for found in THOUSANDS.finditer(text) for at in range(*found.span()))
    found = [part for part in split(text, ',;"', inside) if part]
    return [part.replace(",", "") if THOUSANDS.match(part.lstrip("+-")) else part for part in found]


def enclosed(text: str) -> tuple[str, str]:
    """(brackets, content) of what stands in one pair of brackets; the brackets are "" if it does not."""
    found = BRACKETS.fullmatch(text.strip())
    depth = 0
    for match in re.finditer(r"[({\[]|[)}\]]", text.strip()[:-1] if found else ""):
        depth += 1 if match[0] in "({[" else -1
        if depth == 0:
            return "", text
    return (found[1] + found[3], found[2]) if found else ("", text)


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of an answer: ``name = formula unit``, and the words that are none of these."""

    name: str | None
    lead: tuple[str, ...]  # words before the formula, in lower case
    naming: tuple[str, ...]  # words before "=" or "is"
    formula: str
    said: tuple[str, ...]  # words behind the formula that are no unit, or an answer in words
    unit: frozenset[str]
    loose: bool  # words stand amid formulas


def terms(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without those that say nothing."""
    return tuple(term for found in QUOTED.findall(text) if (term := found.lower()) not in SILENT)


def counted(sides: list[str]) -> bool:
    """Whether what is said to be something is described by numbers, without denial or doubt: "the factor of 91"."""
    subject = " ".join(sides)
    return bool(SUBJECT.fullmatch(subject)) and not DOUBTING.intersection(terms(subject))


@functools.lru_cache(maxsize=512)
def member(text: str) -> Member:
    """One member as it is read."""
    text = CLAUSE.sub(without_clause, ELEMENT.sub(r"\1 =", FOR_ALL.sub("", text)))
    *sides, value = split(text, "=")
    equated = [] if counted(sides) else sides
    names = [bare for side in equated if (bare := QUOTED.sub("", side).strip(" .:*"))]
    name = names[0].replace("{", "").replace("}", "") if names and NAME.fullmatch(names[0]) else None
    if names and not name:  # an equation, not a value with its name
        value = " = ".join([*names, value])  # "5! = 120" is no inequality
    naming = terms(DIGIT.split(sides[-1])[-1]) if sides else ()
    amid = any(re.search(r'\d[^"]*"', side) for side in sides)
    lead = LEAD.match(value).end()
    return valued(value[lead:].strip(), Member(name, terms(value[:lead]), naming, "", (), frozenset(), amid))


def valued(text: str, before: Member) -> Member:
    """The member with its formula, its unit and the words that are none, after the words ``before``."""
    if not text and (counted := spelled(before.lead)) is not None:
        return dataclasses.replace(before, lead=(), formula=str(counted))
    if not text:
        return dataclasses.replace(before, lead=(), said=before.lead)
    brackets, content = enclosed(text)
    if brackets == "{}" and len(parts(content)) == 1:
        text = content
    formula, quote, behind = text.partition('"')
    behind = quote + behind
    if magnitude := MAGNITUDE.match(behind):
        formula, behind = f"{formula} \\cdot {MAGNITUDES[magnitude[1]]}", behind[magnitude.end() :]
    if (measure := unit(behind, singular=bool(SINGULAR.fullmatch(formula.strip())))) is None:
        loose = before.loose or bool(re.search(r"\w", QUOTED.sub("", behind)))
        return dataclasses.replace(before, formula=formula.strip(), said=terms(behind), loose=loose)
    if (found := DEGREES.search(formula)) and not re.search(OF_ANGLE, formula):
        formula, measure = formula[: found.start()], measure | {"deg"}
    return dataclasses.replace(before, formula=formula.lstrip(" :").rstrip(" .:"), unit=measure)


def spelled(words: tuple[str, ...]) -> int | None:
    """The number below a hundred that the words are, "twenty" and "two"; None if they are none."""
    tens = TENS.get(words[0], 0) if words else 0
    units = words[1:] if tens else words
    if not units and tens:
        return tens
    if len(units) == 1 and units[0] in DIGITS and not (tens and not 0 < DIGITS[units[0]] < 10):
        return tens + DIGITS[units[0]]
    return None


def without_clause(found: re.Match) -> str:
    """A counted noun without the clause that says which ones are meant, unless that denies it, or is a range."""
    denied = REFUSED["negations"].intersection(terms(found[3]))
    ranging = found[2] == "to" and (
        DIGIT.search(found[3]) or REFUSED["numbers"].intersection(terms(found[3]))
    )
    return found[0] if denied or ranging else found[1]


def unit(text: str, singular: bool) -> frozenset[str] | None:
    """What the words behind a number count or measure; None unless all of them do just that.

    A noun that is no unit is in the plural, unless the number is ``singular``.
    """
    found, power, noun = [], "", not text
    tokens = UNIT_TOKEN.findall(text)
    alone = sum(token[0] == '"' for token in tokens) == 1
    for token in tokens:
        term = token.strip('"')
        lower = term.lower()
        known = UNIT.get(term) or UNIT.get(lower)
        if token[0] == "^" and found:
            found[-1] += token.strip("^{}")
        elif token[0] != '"' and not (found and token in UNIT):  # but for the h of km/h
            return None
        elif lower in POWERS and not found:
            power = POWERS[lower]
        elif known and (alone or lower not in INSIDE):
            found.append(known + power)
            noun, power = True, ""
        elif lower in INSIDE or lower in ADDED:
            noun = noun and lower not in ADDED
        elif lower in BEHIND:
            noun = True
        elif lower in NO_COUNT or lower in POWERS:
            return None
        else:
            noun = noun or singular or lower in COUNTED or bool(PLURAL.search(lower))
            found.append(lower.removesuffix("s"))
    return frozenset([COMPOUND[tuple(found)]] if tuple(found) in COMPOUND else found) if noun else None
