"""Rewritten golds, which say the same, and corrupted ones, which do not: both made by rule."""

import fractions
import json
import re
from collections.abc import Iterator

from reference import reference

FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d+\.\d+")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
PAIR = re.compile(r"(?:\\left)?\(([^(),\[\]]+),([^(),\[\]]+?)(?:\\right)?\)")
INTERVAL = re.compile(r"(?:\\left)?[\[(][^()\[\]]+,[^()\[\]]+[\])]")
LIST = re.compile(r"-?\d+(?:,\s*-?\d+)+")
WORDS = re.compile(r"\\text\{([A-Za-z ]+)\}|([A-Za-z]{2,})")


def benchmarks() -> dict[str, list[str]]:
    """The golds of every benchmark file of the reference material, by file name."""
    files = sorted(reference("benchmarks").glob("*.jsonl"))
    return {path.stem: [json.loads(line)["answer"] for line in path.open(encoding="utf-8")] for path in files}


def rewritten(gold: str) -> Iterator[tuple[str, str]]:
    """(rule, text) of every rule that applies."""
    yield "spaces", f" {gold} "
    yield (
        "thin spaces",
        re.sub(r"(?<=\d)(?=[,)])|(?<=,)\s*", r"\\, ", gold) if "," in gold else f"\\,{gold}\\!",
    )
    yield "display style", f"\\displaystyle {gold}"
    yield "dollars", f"${gold}$"
    if "\\frac" in gold:
        yield "dfrac", gold.replace("\\frac", "\\dfrac")
        yield "tfrac", gold.replace("\\frac", "\\tfrac")
    if found := FRACTION.fullmatch(gold.replace(" ", "")):
        over, under = int(found[1]), int(found[2])
        yield "slash", f"{over}/{under}"
        if 10**9 % fractions.Fraction(over, under).denominator == 0:
            yield "decimal for fraction", f"{over / under:.10f}".rstrip("0")
    if DECIMAL.fullmatch(gold):
        exact = fractions.Fraction(gold)
        yield "fraction for decimal", f"\\frac{{{exact.numerator}}}{{{exact.denominator}}}"
        yield "trailing zero", f"{gold}0"
    if NUMBER.fullmatch(gold):
        for unit in (
            "\\text{ cm}",
            " \\text{ units}",
            "\\ \\mathrm{kg}",
            "\\text{ square units}",
            " dollars",
        ):
            yield f"unit {unit}", f"{gold}{unit}"
        yield "assignment", f"x = {gold}"
    if INTEGER.fullmatch(gold):
        yield "point zero", f"{gold}.0"
        yield "dollar sign", f"\\${gold}"
        if abs(int(gold)) >= 1000:
            yield "thousands separator", f"{int(gold):,}"
            yield "braced separator", f"{int(gold):,}".replace(",", "{,}")
    if LIST.fullmatch(gold):
        parts = [part.strip() for part in gold.split(",")]
        yield "reordered list", ", ".join(reversed(parts))
        yield "list as set", "\\{" + ", ".join(parts[1:] + parts[:1]) + "\\}"
    if "(" in gold and "\\left" not in gold:
        yield "left right", gold.replace("(", "\\left(").replace(")", "\\right)")
    if "\\left" in gold:
        yield "without left", gold.replace("\\left", "").replace("\\right", "")
    if found := WORDS.fullmatch(gold):
        word = found[1] or found[2]
        yield "bare words", word
        yield "text", f"\\text{{{word}}}"
        yield "textbf", f"\\textbf{{{word}}}"
    if "\\sqrt{" in gold:
        yield "sqrt with a space", gold.replace("\\sqrt{", "\\sqrt {")


def corrupted(gold: str) -> Iterator[tuple[str, str]]:
    """(rule, text) of every rule that applies; none says what the gold says."""
    for position in [found.start() for found in re.finditer(r"\d", gold)][:3]:
        digit = str((int(gold[position]) + 1) % 10)
        yield "one digit", gold[:position] + digit + gold[position + 1 :]
    if NUMBER.fullmatch(gold) and float(gold) != 0:
        yield "sign", gold[1:] if gold.startswith("-") else f"-{gold}"
    if FRACTION.fullmatch(gold):
        yield "sign", gold[1:] if gold.startswith("-") else f"-{gold}"
    if (found := PAIR.fullmatch(gold)) and found[1].strip() != found[2].strip():
        yield "swapped coordinates", f"({found[2].strip()},{found[1].strip()})"
    if ("[" in gold or "]" in gold) and INTERVAL.fullmatch(gold):
        yield "open for closed", gold.replace("[", "(").replace("]", ")")
