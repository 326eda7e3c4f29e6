"""What an answer says, before any mathematics: its members, each with its words, its name, its unit and its formula.

Markup carries no meaning and goes first (``canonical``); then words stand in quotation marks, each by itself, and
what is outside them is formula.
"""

import dataclasses
import functools
import re

from switchpoint.grading.words import (
    BEHIND,
    COUNTED,
    CURRENCIES,
    DIGITS,
    INSIDE,
    KNOWN,
    MAGNITUDES,
    MATHEMATICS,
    NO_COUNT,
    PERCENT,
    POWERS,
    REFUSED,
    RELATIVES,
    SILENT,
    UNIT,
)  # fmt: skip

SIGNS = {
    "−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "\\div ", "π": "\\pi ", "∞": "\\infty ",
    "≤": "\\leq ", "≥": "\\geq ", "≠": "\\neq ", "≈": "\\approx ", "±": "\\pm ", "°": "^\\circ ", "∪": "\\cup ",
    "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "≡": "\\equiv ", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "’": "'", "，": ", ", "。": ". ", "\u00a0": " ",
    "\u2009": " ", "\u202f": " ", '"': " ", "“": " ", "”": " ",
}  # fmt: skip
TRANSLATION = str.maketrans(SIGNS)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
MACROS = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom",
    "varnothing": "\\emptyset", "le": "\\leq", "leqslant": "\\leq", "ge": "\\geq", "geqslant": "\\geq", "ne": "\\neq",
    "lt": "<", "gt": ">", "degree": "^\\circ", "lbrace": "\\{", "rbrace": "\\}", "lor": '"or"', "land": '"and"',
}  # fmt: skip
MACROS |= dict.fromkeys(
    [
        "left",
        "right",
        "big",
        "Big",
        "bigg",
        "Bigg",
        "bigl",
        "bigr",
        "Bigl",
        "Bigr",
        "biggl",
        "biggr",
        "displaystyle",
        "textstyle",
        "limits",
        "boldsymbol",
        "bm",
        "rm",
        "bf",
        "mathbf",
        "mathrm",
        "text",
        "textbf",
        "textit",
        "textrm",
        "mathit",
        "mathsf",
        "mbox",
        "hbox",
        "emph",
        "operatorname",
        "mathop",
        "boxed",
        "fbox",
    ],
    "",
)  # these change the looks alone
MACROS |= dict.fromkeys(["quad", "qquad", "space", "newline", "thinspace"], " ")
MARKS = {
    ",": " ",
    ";": " ",
    ":": " ",
    " ": " ",
    "\\": " ",
    "\n": " ",
    "!": "",
    "(": "",
    ")": "",
    "[": "",
    "]": "",
    "$": "$",
}
WRAPPER = (
    r"\\{1,2}(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf)|[mh]box|operatorname|emph|boldsymbol)\s*"
)
TOKEN = re.compile(
    rf"{WRAPPER}\{{(?P<text>[^{{}}]*)\}}|(?P<matrix>\\begin\{{[^{{}}]*\}}.*\\end\{{[^{{}}]*\}})"
    r"|\\{1,2}(?P<macro>[A-Za-z]+)|\\(?P<mark>(?:[,;:]\s*\\)?!\s*|.)|(?P<letters>[A-Za-z]+(?:'[a-z]+)?)"
    r"|(?P<spaces>[\s~]+)|(?P<looks>\*\*+|\$)|√\s?(?P<root>\d+|[A-Za-z]|\([^()]*\))|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)",
    re.DOTALL,
)
JOINT = re.compile(r"(?<=[\d)\]}])(and|or)(?=[-A-Z\\(\[\d])")  # "(1,2)or(3,4)"
RUN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]+(?:'[a-z]+)?")
QUOTED = re.compile(r'"([^"]*)"')
WORDS_ONLY = re.compile(r"[\sA-Za-z'.-]*")
REWRITES = [  # in this order, on text with quoted words
    (re.compile(r"\s*\{\s*,\s*\}\s*|(?<=\d) +,(?=\d)"), ","),
    (re.compile(rf'"(?:{"|".join(PERCENT)})"|(?<!\\)%'), r"\\%"),
    (re.compile(r'("[^"]*")\s*\.(?=\s|\d|$)'), r"\1 "),  # the dot of "Rs." or of a sentence
    (re.compile(r'"-+"'), '" "'),
    (re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d.,])"), lambda found: found[0].replace(" ", "")),
    (re.compile(r"(?<![\d.,])(\d+) (?=\d+/\d+(?!\d))"), r"\1+"),  # 1 1/2
    (re.compile(r"\{?\\?([$€£¥₹])\}?\s*(-?[\d,]*\.?\d+)(\s*\"(?:" + "|".join(MAGNITUDES) + r")\")?"),
     lambda found: f'{found[2]}{found[3] or ""} "{CURRENCIES[found[1]]}"'),
    (re.compile(r"[$€£¥₹]"), lambda found: f' "{CURRENCIES[found[0]]}"'),
    (re.compile(r'"(could|may|might|would|should|cannot|can\'t)"\s*"be"'), r'= "\1"'),
    (re.compile(r"\s!="), r" \\neq "),
    (re.compile(r"""(?<=["\d])\s+!=|\b([A-Za-z]) !="""), r"\1 \\neq "),
    (re.compile(r'("(?:could|may|might|would|should|cannot)")\s*"be"'), r'"is" \1'),
    (re.compile(r"""\s*"(?i:is|are|be|equals?|was|were|it's|that's)"(?:\s*"(?:equal|to)")*\s*[:=]?|(?<=")\s*:"""), "= "),
    (re.compile(r'_\{\s*"(' + "|".join(DIGITS) + r')"\s*\}'), lambda found: f"_{{{DIGITS[found[1]]}}}"),
    (re.compile(r"\\(frac|binom)\s*(\d)\s*(\d)"), r"\\\1{\2}{\3}"),
    (re.compile(r"\{\s*([^{}]*?)\s*\\choose\s*([^{}]*?)\s*\}"), r"\\binom{\1}{\2}"),
    (re.compile(r'(?<![\w\\"])a (?="(?!and"|or"))'), '"a" '),
    (re.compile(r"\s+"), " "),
]  # fmt: skip


def word(run: str, text: str, start: int) -> bool:
    """Whether letters of a formula are a word, not a product of variables or a function."""
    lower = run.lower()
    if (
        lower in MATHEMATICS
        or not run[1:].islower()
        or text[max(start - 2, 0) : start].rstrip("{")[-1:] in ("_", "^")
    ):
        return False
    if lower in KNOWN or len(run) >= 4:
        return True
    return len(run) == 3 and any(vowel in lower for vowel in "aeiou") and lower not in ("abc", "abd", "abx")


def quoted(text: str, before: str) -> str:
    """The content of a text wrapper, its words quoted; single letters only as units, or among words."""
    text = re.sub(r"\b([ap])\s?\.\s?m\b\.?", r"\1m", text.replace("~", " "))
    text = re.sub(r"\\([A-Za-z]+)", lambda found: MACROS.get(found[1], found[0]), text)
    runs = RUN.findall(text)
    units = before.rstrip(" ~\\,;!")[-1:] in tuple("0123456789})") and all(run in UNIT for run in runs)
    among = any(len(run) > 1 and run.islower() for run in runs)

    def quote(found: re.Match) -> str:
        run = found[0]
        prose = (run in ("a", "I") and among) or (len(run) > 1 and run.lower() not in MATHEMATICS)
        return f'"{run}"' if units or prose else run

    return f" {RUN.sub(quote, text)} " if runs else text


def seen(found: re.Match) -> str:
    """What a token looks like in the canonical form."""
    kind, text = found.lastgroup, found[found.lastgroup]
    if kind == "text":
        return quoted(text, found.string[: found.start()][-8:])
    if kind == "macro":
        shown = MACROS.get(text, f"\\{text}")
        return shown if shown or not found.string[found.end() : found.end() + 1].isalpha() else " "
    if kind == "mark":
        return "" if "!" in text else MARKS.get(text, found[0])
    if kind == "letters":
        if text.lower() in ("infinity", "pi"):
            return {"infinity": "\\infty ", "pi": "\\pi "}[text.lower()]
        alone = (
            WORDS_ONLY.fullmatch(found.string) and text[0].isupper() and len(text) > 1 and text[1:].islower()
        )
        return f'"{text}"' if alone or word(text, found.string, found.start()) else text
    if kind == "root":
        return f"\\sqrt{{{text}}}"
    if kind == "raised":
        return f"^{{{text.translate(RAISED)}}}"
    return {"matrix": text.replace("\\dfrac", "\\frac"), "spaces": " ", "looks": ""}[kind]


@functools.lru_cache(maxsize=512)
def canonical(text: str) -> str:
    """The text without markup, one space where there are some, its words in quotation marks."""
    text = TOKEN.sub(seen, JOINT.sub(r" \1 ", text.translate(TRANSLATION)))
    text = re.sub(r"(?<=\d)\s*([ap])\.?m\b\.?", r' "\1m"', text, flags=re.IGNORECASE)
    for pattern, replacement in REWRITES:
        text = pattern.sub(replacement, text)
    return text.strip(" .,;:")


def plain(text: str) -> str:
    """The canonical form, in which equal texts say the same, without the spaces and the quotation marks."""
    return re.sub(r'"|(?<!\d) | (?!\d)', "", canonical(text))


MARK = re.compile(r'[{(\[]|[})\]]|[,;]|"(?:and|or)"|(?<![<>!\\:])=(?!=)')
THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")


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
    kept = (
        frozenset(at for found in THOUSANDS.finditer(text) for at in range(*found.span()))
        if grouped
        else frozenset()
    )
    found = split(text, ',;"', kept)
    if grouped:
        found = [part.replace(",", "") if THOUSANDS.match(part.lstrip("+-")) else part for part in found]
    return [part for part in found if part]


BRACKETS = re.compile(r"(\\\{|[({\[])(.*?)(\\\}|[)}\]])", re.DOTALL)


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


LETTER = r"(?:[A-Za-z]|\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|angle|triangle) ?)"
INDEX = r"(?:'|_\{[^{}]*\}|_\w|\^\{-1\})*"
NAME = re.compile(
    rf"{LETTER}{INDEX}(?:\([^()=]*\))?|\\angle ?[A-Z]+|[A-Z]{{2,4}}|\((?:{LETTER}{INDEX},? ?)+\)"
)
ELEMENT = re.compile(rf"^\s*({NAME.pattern})\s*\\in(?![A-Za-z])")
DIGIT = re.compile(r"\d")
LEAD = re.compile(r'(?:\s*"[^"]*"\s*[-.:*]*)*')
DEGREES = re.compile(r"\s*\^\s*\{?\s*\\circ\s*\}?$")
MAGNITUDE = re.compile(r'"(' + "|".join(MAGNITUDES) + r')"\s*')
FOR_ALL = re.compile(r'\s*"for" "?(?:all|any|every|each)".*', re.DOTALL)
CLAUSE = re.compile(rf'(\d[^"]*(?:"[^"]*"[^"\d]*?)+?)"(?:{"|".join(RELATIVES)})"(.*)', re.DOTALL)


def unit(text: str) -> frozenset[str] | None:
    """What the words behind a number count or measure; None unless all of them do just that."""
    tokens = re.findall(r'"[^"]*"|\^\{?-?\d\}?|\S', text)
    found, power, noun = [], 0, False
    for token in tokens:
        term = token.strip('"')
        lower = term.lower()
        if token in ("/", "-", "(", ")") or token == "*":
            continue
        if token[0] == "^":
            if not found:
                return None
            found[-1] += token.strip("^{}")
        elif token[0] != '"' and not (found and token in UNIT):  # km/h
            return None
        elif lower in POWERS and not found:
            power = POWERS[lower]
        elif lower in POWERS or lower in NO_COUNT:
            return None
        elif (known := UNIT.get(term) or UNIT.get(lower)) and (lower not in INSIDE or len(tokens) == 1):
            found.append(known + (str(power) if power else ""))
            noun, power = True, 0
        elif lower not in INSIDE and lower not in BEHIND:
            noun = noun or lower in COUNTED or (lower.endswith("s") and not lower.endswith("ss"))
            found.append(lower.removesuffix("s"))
        else:
            noun = noun or lower in BEHIND
    return frozenset(found) if noun or not tokens else None


def terms(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without those that say nothing."""
    return tuple(term for found in QUOTED.findall(text) if (term := found.lower()) not in SILENT)


def without_clause(found: re.Match) -> str:
    """A counted noun without the clause that says which ones are meant, unless that denies something."""
    return found[0] if REFUSED["negations"].intersection(terms(found[2])) else found[1]


@functools.lru_cache(maxsize=512)
def member(text: str) -> Member:
    """One member as it is read."""
    text = CLAUSE.sub(without_clause, ELEMENT.sub(r"\1 =", FOR_ALL.sub("", text)))
    *sides, value = split(text, "=")
    names = [bare for side in sides if (bare := QUOTED.sub("", side).strip(" .:*"))]
    name = names[0].replace("{", "").replace("}", "") if names and NAME.fullmatch(names[0]) else None
    if names and not name:  # an equation, not a value with its name
        value = "=".join([*names, value])
    naming = terms(DIGIT.split(sides[-1])[-1]) if sides else ()
    amid = any(re.search(r'\d[^"]*"', side) for side in sides)
    lead = LEAD.match(value).end()
    return valued(value[lead:].strip(), Member(name, terms(value[:lead]), naming, "", (), frozenset(), amid))


def valued(text: str, before: Member) -> Member:
    """The member with its formula, its unit and the words that are none, after the words ``before``."""
    if not text:
        return dataclasses.replace(before, lead=(), said=before.lead)
    brackets, content = enclosed(text)
    if brackets == "{}" and len(parts(content)) == 1:
        text = content
    formula, quote, behind = text.partition('"')
    behind = quote + behind
    if magnitude := MAGNITUDE.match(behind):
        formula, behind = f"{formula} \\cdot 10^{{{MAGNITUDES[magnitude[1]]}}}", behind[magnitude.end() :]
    if (measure := unit(behind)) is None:
        loose = before.loose or bool(re.search(r"\w", QUOTED.sub("", behind)))
        return dataclasses.replace(before, formula=formula.strip(), said=terms(behind), loose=loose)
    if found := DEGREES.search(formula):
        formula, measure = formula[: found.start()], measure | {"deg"}
    return dataclasses.replace(before, formula=formula.strip(" .:"), unit=measure)


def squeezed(formula: str) -> str:
    """The formula without spaces, but for those between digits."""
    return re.sub(r"(?<!\d) | (?!\d)", "", formula)
