"""The canonical form of an answer: no markup, every word in quotation marks, outside of them the formulas.

``5\\text{ cm}^2`` is ``5 "cm" ^2``, ``The answer is $x=5$.`` is ``"The" "answer" = x=5``.
"""

import functools
import re

from switchpoint.grading.words import (
    CURRENCIES,
    DIGITS,
    KNOWN,
    MAGNITUDES,
    MATHEMATICS,
    MONTHS,
    PERCENT,
    UNIT,
    table,
)

CHARACTERS = {
    "−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "\\div ", "π": "\\pi ", "∞": "\\infty ",
    "≤": "\\leq ", "≥": "\\geq ", "≠": "\\neq ", "≈": "\\approx ", "±": "\\pm ", "°": "^\\circ ", "∪": "\\cup ",
    "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "≡": "\\equiv ", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}",
    "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "’": "'", "，": ", ", "。": ". ", "元": " yuan ", "\u00a0": " ",
    "\u2009": " ", "\u202f": " ", '"': " ", "“": " ", "”": " ",
}  # fmt: skip
SHOWN = str.maketrans(CHARACTERS)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
LOOKS = table(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr displaystyle textstyle limits boldsymbol bm rm bf "
    "large Large LARGE huge Huge small tiny normalsize mathbf mathrm text textbf textit textrm mathit mathsf mbox hbox emph operatorname mathop boxed fbox"
)
MACROS = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom",
    "varnothing": "\\emptyset", "le": "\\leq", "leqslant": "\\leq", "ge": "\\geq", "geqslant": "\\geq", "ne": "\\neq",
    "lt": "<", "gt": ">", "degree": "^\\circ", "lbrace": "\\{", "rbrace": "\\}", "lor": '"or"', "land": '"and"',
    "quad": " ", "qquad": " ", "space": " ", "newline": " ", "thinspace": " ", **dict.fromkeys(LOOKS, ""),
}  # fmt: skip
SPACING = {**dict.fromkeys(",;: \\\n", " "), **dict.fromkeys("()[]", ""), "$": "$"}  # behind a backslash
WRAPPER = r"\\{1,2}(?:text(?:bf|it|rm|sf|normal)?|math(?:rm|bf|it|sf)|[mh]box|operatorname|emph|boldsymbol)"
TOKEN = re.compile(
    rf"{WRAPPER}\s*\{{(?P<wrapped>[^{{}}]*)\}}|(?P<matrix>\\begin\{{[^{{}}]*\}}.*\\end\{{[^{{}}]*\}})"
    r"|\\{1,2}(?P<macro>[A-Za-z]+)|\\(?P<mark>(?:[,;:]\s*\\)?!\s*|.)|(?P<letters>[A-Za-z]+(?:'[a-z]+)?)"
    r"|(?P<space>[\s~]+)|(?P<look>\*\*+|[$`])|√\s?(?P<root>\d+|[A-Za-z]|\([^()]*\))|(?P<raised>[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)",
    re.DOTALL,
)
BRACKETED = re.compile(
    r"\{[bp]matrix\}"
)  # brackets of a matrix, which do not matter as the bars of a determinant do
ROW = re.compile(r"\\\\\s*\[-?[\d.]+ ?[a-z]{2}\]")  # the end of a row, with the height of the next gap
JOINT = re.compile(r"(?<=[\d)\]}])(and|or)(?=[-A-Z\\(\[\d])")  # "(1,2)or(3,4)"
MACRO = re.compile(r"\\([A-Za-z]+)")
RUN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]+(?:'[a-z]+)?")
NOON = re.compile(r"\b([ap])\s?\.?\s?m\b\.?", re.IGNORECASE)  # "p.m."
HOUR = re.compile(rf"(?<=\d)\s*{NOON.pattern[2:]}", re.IGNORECASE)
LONE_DOLLAR = re.compile(r"^([^$]*)(?<!\\)\$(?=\s?\d[^$]*$)")  # a currency, as none closes a formula
WORDS_ALONE = re.compile(r"[\sA-Za-z'.-]*")
QUOTED = re.compile(r'"([^"]*)"')
SPACE = re.compile(r"(?<!\d) | (?!\d)")


def one_of(names: dict[str, object] | frozenset[str]) -> str:
    """The pattern of one of some words in quotation marks, the word being a group."""
    return f'"({"|".join(sorted(names))})"'


GROUP = r"((?:[^{}=,;]|\{[^{}]*\})*?)"  # one side of "\over"
PHRASES = [  # what is replaced, in this order, when words are in quotation marks
    (r"\s*\{\s*,\s*\}\s*|(?<=\d) +,(?=\d)", ","),
    (r"(?<=\d)\s*x\s*(?=10\s*\^)", r"\\times "),
    (r'("[^"]*")\s*\.(?=\s|\d|$)', r"\1 "),  # the full stop, and the dot of "Rs."
    (r"""(?<=")'""", ""),  # farmers'
    (r'"-+"', '" "'),
    (r'\(\s*((?:"[^"]*"\s*)+)\)', r"\1"),  # "5 (units)"
    (r'\\frac\{\s*("[^"]*")\s*\}\s*\{\s*("[^"]*")\s*\}', r"\1/\2"),
    (rf"{one_of(PERCENT)}|(?<!\\)%", r"\\%"),
    (r"\{?\\?([$€£¥₹])\}?\s*(-?[\d,]*\.?\d+)(\s*" + one_of(MAGNITUDES) + ")?",
     lambda found: f'{found[2]}{found[3] or ""} "{CURRENCIES[found[1]]}"'),
    (r"[$€£¥₹]", lambda found: f' "{CURRENCIES[found[0]]}"'),
    (r'\^\s*\{?\\circ\s*\}?\s*"?([CF])"?(?![A-Za-z])',
     lambda found: ' "celsius"' if found[1] == "C" else ' "fahrenheit"'),
    (r'"plus"\s*"or"\s*"minus"', r"\\pm "),
    (r'"not"(?!\s*"(?:only|just)")[^=]*?"but"', " "),  # "not 90 but 100"
    (r'"(?:negative|minus)"\s*(?=\d|\\frac|\\sqrt|\\pi)', "-"),
    (r"_\{\s*" + one_of(DIGITS) + r"\s*\}", lambda found: f"_{{{DIGITS[found[1]]}}}"),
    (r'(?<![\w\\"])a (?="(?!and"|or"))', '"a" '),
    (r"\s!=", r" \\neq "),
    (r'("(?:could|may|might|would|should|cannot)")\s*"be"', r'"is" \1'),
    (r"""\s*"(?i:is|are|be|equals?|gives?|yields?|makes?|was|were|it's|that's)"(?:\s*"(?:equal|to)")*\s*[:=]?"""
     r'|(?<=")\s*:', "= "),
    (r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d.,])", lambda found: found[0].replace(" ", "")),  # 1 000
    (r"\\(frac|binom)\s*(\d)\s*(\d)", r"\\\1{\2}{\3}"),
    (r"(?<![\d.,])(\d+)(?:\s*\\frac\{|\s)(\d+)(?:\}\{|/)(\d+)\}?(?=\s*\\%)",  # of which math-verify drops the whole
     lambda found: f"\\frac{{{int(found[1]) * int(found[3]) + int(found[2])}}}{{{found[3]}}}"),
    (r"(?<![\d.,])(\d+) (?=\d+/\d+(?!\d))", r"\1+"),  # 1 1/2
    (rf"(?:\{{|^)\s*{GROUP}\s*\\(over|choose)(?![A-Za-z])\s*{GROUP}\s*(?:\}}|$)",
     lambda found: f"\\{'frac' if found[2] == 'over' else 'binom'}{{{found[1]}}}{{{found[3]}}}"),
    (r"\((\d+)\)(?=_)", r"\1"),
    (r"(?<=\d)_\{?\((\d+)\)\}?", r"_{\1}"),
    (r"(?<=\d)\{:\}(?=\d)", ":"),
    (r"\\bigcup(?![A-Za-z])", r"\\cup "),
    (r"\\log_([A-Za-z])", r"\\log_{\1}"),  # without braces math-verify drops the letter
    (rf'({one_of(MONTHS)} \d{{1,2}})\s*(?:\^?\{{?\s*"(?:st|nd|rd|th)"\s*\}}?)', r"\1 "),  # "May 1st"
    (r"\s+", " "),
]  # fmt: skip
PHRASES = [(re.compile(pattern), replacement) for pattern, replacement in PHRASES]


@functools.lru_cache(maxsize=512)
def canonical(text: str) -> str:
    """The text in the canonical form, with one space where there are some."""
    text = LONE_DOLLAR.sub(r"\1\\$", text)
    text = HOUR.sub(r' "\1m"', TOKEN.sub(shown, JOINT.sub(r" \1 ", text.translate(SHOWN))))
    for pattern, replacement in PHRASES:
        text = pattern.sub(replacement, text)
    return text.lstrip(" ,;:").rstrip(" .,;:")


def plain(text: str) -> str:
    """The canonical form without spaces and quotation marks; where it is equal, so is what is said."""
    return SPACE.sub("", canonical(text).replace('"', ""))


def squeezed(formula: str) -> str:
    """A formula without spaces, but for those between digits."""
    return SPACE.sub("", formula)


def shown(found: re.Match) -> str:
    """A token in the canonical form."""
    kind, text = found.lastgroup, found[found.lastgroup]
    if kind == "wrapped":
        return unwrapped(text, found.string[max(0, found.start() - 8) : found.start()])
    if kind == "macro":
        looks = MACROS.get(text, f"\\{text}")
        return looks if looks or not found.string[found.end() : found.end() + 1].isalpha() else " "
    if kind == "mark":
        return "" if "!" in text else SPACING.get(text, found[0])
    if kind == "letters":
        return letters(text, found.string, found.start())
    if kind == "root":
        return f"\\sqrt{{{text}}}"
    if kind == "raised":
        return f"^{{{text.translate(RAISED)}}}"
    if kind == "matrix":
        return BRACKETED.sub("{pmatrix}", ROW.sub(r"\\\\", text)).replace("\\dfrac", "\\frac")
    return " " if kind == "space" else ""


def letters(run: str, text: str, start: int) -> str:
    """Bare letters: in quotation marks if they are a word, not a product of variables or a function."""
    lower = run.lower()
    if len(run) > 2 and run.isupper() and lower in KNOWN:  # "USD"
        return f'"{run}"'
    if lower in ("infinity", "pi"):
        return "\\infty " if lower == "infinity" else "\\pi "
    if len(run) == 1 or not run[1:].islower() or lower in MATHEMATICS:
        return run
    if text[max(start - 2, 0) : start].rstrip("{").endswith(("_", "^")):
        return run
    long = len(run) > 3 or (len(run) == 3 and set(lower) & set("aeiou") and not set(lower) <= set("abcd"))
    name = run[0].isupper() and WORDS_ALONE.fullmatch(text)
    return f'"{run}"' if long or name or lower in KNOWN else run


def unwrapped(text: str, before: str) -> str:
    """The content of a ``\\text{}``, its words in quotation marks; single letters only as units, or in prose."""
    text = NOON.sub(r"\1m", text.replace("~", " "))
    text = MACRO.sub(lambda found: MACROS.get(found[1], found[0]), text)
    runs = RUN.findall(text)
    behind = before.rstrip(" ~\\,;!")
    measured = behind.endswith(tuple("0123456789})")) or (
        behind.endswith("{") and not behind.endswith(("_{", "^{"))
    )
    units = measured and all(run in UNIT for run in runs)
    prose = any(len(run) > 1 and run.islower() for run in runs)

    def quote(found: re.Match) -> str:
        run = found[0]
        if run.lower() == "infinity":
            return "\\infty "
        word = len(run) > 1 and run.lower() not in MATHEMATICS
        return f'"{run}"' if units or word or (prose and run in ("a", "I")) else run

    return f" {RUN.sub(quote, text)} " if runs else text
