"""The answer in a response, and the guards against text that is dear to evaluate.

The answer is the content of the last ``\\boxed{}`` (or what "the final answer is" behind it), else of the last
``<answer>`` block, else what the text claims at its end.  Beside a gold that is a list it may also be all the boxes
of the last sentence.  Whatever runs here is linear in the text: no clock is behind it.
"""

import functools
import re

from switchpoint.grading.words import DIGITS, DOUBTING, REFUSED, TENS, UNNAMING

EXTRACTIONS = ("any", "boxed_or_answer", "boxed", "official")
MAX_ANSWER = 300  # characters; an answer longer than this and than ten times its gold is none
MAX_TEXT = 4_000  # characters; of a response without an extracted answer the end is searched

BOX_OR_BRACE = re.compile(r"\\\\?(?:boxed|fbox)\s*\{|\\\\|\\[{}]|[{}]")
OPEN_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
# Between two boxes that are one answer: spacing, up to four words and a joint, the name of the second.
MAX_GAP = 60
SPACING = re.compile(r"\\(?:text|mbox|mathrm)?\s*\{([^{}]*)\}|\\q?quad|\\[()\[\],;: ]|[\s$~]+|[-+*_=#]{3,}")
JOINT = re.compile(r"(?:[\w().,]+ ){0,4}(?:and|or|,|;|&|\.)")
RESTATED = re.compile(r"\b(?:i\.e\.|equivalently|namely|that is)")  # the next box says the same again
PARTING = frozenset(["not", "no", "wrong", "incorrect", "then", "so", "but", "instead", "wait", "however"])
# Between two boxes in one sentence, which are one answer if the gold is a list.
MAX_APART = 90
ENDED = re.compile(r"[.?!;:]\s|\n|\d")  # another sentence, or a calculation
LISTED = re.compile(r",|\band\b")
DENYING = UNNAMING | REFUSED["hedges"] | {"but", "wait", "however"}
DERIVING = PARTING | {"hence", "thus", "therefore", "final", "answer", "which"}
NAMED = re.compile(r"([A-Za-z](?:_\w|_\{\w+\})?|\([A-Za-z, ]+\))\s*=\s*\$?\s*$")
# In a text: the answer it announces, its sentences, and whether it comes to an end.
FINAL = re.compile(r"final answer is:?\s{0,9}([^\n]{1,300}?)(?:\.\s|\.?\n|\.?$)", re.IGNORECASE)
ANSWER = re.compile(r"\banswers?\b[*_\s]*(?:[:=]|(?:is|are)\b)?", re.IGNORECASE)
GUESSED = re.compile(
    r"\b(?:could|guess|guessed|maybe|might|perhaps|possibly|probably|think|thought)\b[^.;\n]{0,60}\banswers?\b",
    re.IGNORECASE,
)
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9$*\\(#])|\n+")
CONCLUDED = re.compile(
    r"(?:^|[,;] +)(?:and )?(?:so|thus|hence|therefore)\b[ ,]*|, +(?=(?:then|giving|which)\b)", re.IGNORECASE
)
STATING = DOUBTING | REFUSED["verbs"]  # what makes a clause more than an introduction
OPENING = re.compile(
    r"(?:(After|At|Before|By|For|From|In|On|With|Without)|[A-Z][a-z]+) [^,.;:\d\\$√]{1,80}, (?=[a-z*$\\√])"
)
PREMISE = re.compile(r"(?:Since|Because|As|Given|When) .{1,300}, (?=(?:the|it|this|that|we)\b)")
REASON = re.compile(r",? (?:because|since)\b")
REASONED = re.compile(r",? because\b|, (?:since|as)\b")  # "since 1990" is a time
GIVING = re.compile(r"\b(?:gives|yields|leaves|we (?:get|obtain))\b")
STEP = re.compile(r"\W*(?:[A-Za-z]+ing|After|By|From|Hence|Since|So|Then|Therefore|This|Thus)\b")
TRIED = frozenset(["checking", "guessing", "testing", "trying", "verifying"])  # no steps to the answer
QUOTE = re.compile(r"^ {0,3}> ?(?=\*\*)", re.MULTILINE)  # markdown's, before a bold text
DISPLAYED = re.compile(r"(?<=\\\[|\$\$)\s{1,9}|\s{1,9}(?=\\\]|\$\$)")  # breaks amid a displayed formula
TAG = re.compile(r"</?\|?[a-z_]+\|?>(?:user|assistant)?")  # "</s>", "<|im_end|>"
CHINESE = re.compile(  # "the answer is", "in all", in a clause without "not" and "if", at the very end
    "(?:^|[。，,\n])[^不没非如若。，,\n]*(?:答案[是为：:]|共(?:花了?|需要?|有|是|为)?)([^，。\n\u3400-\u9fff]+元?)[。.]?$"
)
FORMULA = re.compile(r"[\d\\$√π∞]")
SPELLED = re.compile(rf"\b(?:{'|'.join(DIGITS | TENS)})[.!*]*$")
PROSE = re.compile(r"[A-Za-z]{2}|[*$\\]")
ENDING = re.compile(r"(?:[.!?*$]|\\[\])])$")
DANGLING = re.compile(r"\b(?:is|are|be|so|then|that|which|of|the|and|or|to|equals|have|from)$")


def boxes(text: str) -> list[tuple[int, int, int]]:
    """(marker, start, stop) of every closed ``\\boxed{...}``, braces balanced, in order."""
    first = text.find("box")
    if first < 0:
        return []
    opened: list[re.Match] = []
    found = []
    for match in BOX_OR_BRACE.finditer(text, max(0, first - 8)):  # braces before a box do not matter
        piece = match.group()
        if piece == "}" and opened:
            opening = opened.pop()
            if "box" in opening.group():
                found.append((opening.start(), opening.end(), match.start()))
        elif piece[-1] == "{" and piece != "\\{":
            opened.append(match)
    return sorted(found)


def joined(gap: str) -> str | None:
    """The name in front of the next box ("y =") where nothing else but a joint is between two boxes; else None."""
    if len(gap) > MAX_GAP or RESTATED.search(gap):
        return None
    gap = SPACING.sub(r" \1 ", gap)
    named = NAMED.search(gap)
    words = (gap[: named.start()] if named else gap).replace(",", " , ").replace(".", " . ").split()
    if words and (PARTING.intersection(words) or not JOINT.fullmatch(" ".join(words))):
        return None
    return named[1] if named else ""


def told(gap: str) -> str | None:
    """The name in front of the next box, or "", where a sentence goes on to it with "and"; None if it derives it."""
    words = words_of(gap)
    named = NAMED.search(gap)
    if "and" not in words or ENDED.search(gap) or words & (DENYING if named else DENYING | DERIVING):
        return None
    return named[1] if named else ""


def last_boxed(text: str, apart: bool = False) -> str | None:
    """Content of the last box; boxes with nothing but a joint ("and", a comma) between them are one answer.

    Names in front of such boxes are kept.  ``apart``: so are boxes that one sentence tells of.
    """
    found = boxes(text)
    if not found:
        return None
    marker, start, stop = found.pop()
    contents, names = [text[start:stop]], []
    while found and found[-1][2] < marker <= found[-1][2] + (MAX_APART if apart else MAX_GAP):
        following = marker
        marker, start, stop = found.pop()
        gap = text[stop + 1 : following]
        name = joined(gap)
        if name is None and apart:
            name = told(gap)
        if name is None:
            return listed(contents, names, "")
        contents.append(text[start:stop])
        names.append(name)
    first = NAMED.search(text[max(0, marker - MAX_GAP) : marker])
    return listed(contents, names, first[1] if first and any(names) else "")


def listed(contents: list[str], names: list[str], first: str) -> str:
    """The contents of boxes as a list, the last one first as they are found, behind their names."""
    pairs = list(zip(contents, [*names, first], strict=True))
    return ", ".join(f"{name} = {content}" if name else content for content, name in reversed(pairs))


def sentence_after_boxes(text: str) -> str | None:
    """What "the final answer is" behind the last box, if it is said there."""
    found = list(FINAL.finditer(text, text.rfind("boxed")))
    return found[-1][1].strip() if found and found[-1].start() > boxes(text)[-1][2] else None


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
    if answer and extraction == "any":
        answer = sentence_after_boxes(response) or answer
    if answer is None and extraction != "boxed":
        answer = last_answer_block(response)
    return answer


def told_apart(golds: list[str], response: str, answer: str | None) -> str | None:
    """The boxes of the last sentence as a list, if a gold is a list and ``answer`` but the last of them; else None."""
    if answer is None or response.count("box") < 2 or not any(map(LISTED.search, golds)):
        return None
    together = last_boxed(response, apart=True)
    return together if together != answer == last_boxed(response) else None


@functools.lru_cache(maxsize=4096)
def gold_answer(gold: str) -> str:
    """The answer in a gold, which may be a whole solution: its last box, else what follows ``####``."""
    answer = last_boxed(gold) or OPEN_BOX.split(gold)[-1].rpartition("####")[2].strip() or gold
    return answer if len(answer) <= MAX_ANSWER else claimed(answer[-MAX_TEXT:]) or answer


def claimed(text: str, in_words: bool = False) -> str | None:
    """What a text without a marked answer claims: nothing if it ends amid a sentence, None if that is hard to tell.

    It is what follows ``####``, else the clause of the last "answer", else the conclusion of the last sentence that
    has a formula, or of the very last one for an answer ``in_words``.
    """
    text = QUOTE.sub("", TAG.sub("", text)).strip()
    if "####" in text:
        return text.rpartition("####")[2].strip().partition("\n")[0]
    if DANGLING.search(text):
        return ""
    if OPEN_BOX.search(text):
        return None
    if chinese := CHINESE.search(text):
        return chinese[1]
    sentences = [found for found in SENTENCE.split(DISPLAYED.sub(" ", text)) if found.strip(" *#")]
    for place, sentence in reversed(list(enumerate(sentences))):
        found = list(ANSWER.finditer(sentence))
        if GUESSED.search(sentence):
            continue
        if found and sentence[found[-1].end() :].strip(" *.:"):
            start = max(sentence.rfind(mark, 0, found[-1].start()) for mark in (", ", "; "))
            said = REASON.split(sentence[found[-1].end() :])[0]
            return sentence[start + 1 : found[-1].end()] + said
        if found and sentence.startswith(("#", "*")) and place + 1 < len(sentences):
            return sentences[place + 1]
    in_words = in_words or bool(SPELLED.search(sentences[-1] if sentences else ""))
    candidates = sentences if in_words else [found for found in sentences if FORMULA.search(found)]
    last = (candidates or [text])[-1]
    if "\n" in text and not (ENDING.search(text) and PROSE.search(last)):
        return None
    if in_words:
        last = PREMISE.sub("", last)
    opening = OPENING.match(last)
    if opening and (opening[1] or not (in_words or STATING & words_of(opening[0]))):
        last = last[opening.end() :]
    clauses = [clause for clause in CONCLUDED.split(last) if in_words or FORMULA.search(clause)]
    clause = clauses[-1] if clauses else last
    said = REASONED.split(clause)[0]
    return resulting(said if in_words or FORMULA.search(said) else clause)


def resulting(clause: str) -> str:
    """What a step gives, "Adding 3 to both sides gives", unless it is doubted or more is said of it; else the clause."""
    giving = list(GIVING.finditer(clause))
    if not giving or not STEP.match(clause):
        return clause
    before, behind = clause[: giving[-1].start()], clause[giving[-1].end() :]
    doubted = words_of(before) & (DENYING | TRIED) or words_of(behind) & REFUSED["verbs"]
    return clause if doubted or not FORMULA.search(behind) else behind


def words_of(text: str) -> set[str]:
    """The words in a text, in lower case."""
    return set(re.findall("[a-z']+", text.lower()))


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
