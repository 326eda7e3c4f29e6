"""One grading worker beside plain math-verify in one process: processor time on the same pairs, in turn.

``python benchmarks/grading.py [FILE.jsonl ...]``: files with an ``answer`` per row, each by itself and all
together; without files those of ``$SWITCHPOINT_REFERENCE/benchmarks``.  Generated golds come first.  Every
gold is in one batch, and a file of less than four batches counts only together.  Both grade each batch, one
right after the other, and take turns at being first.  What counts is the processor time of all processes
involved, so that a busy machine changes little.
"""

import argparse
import itertools
import json
import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from math_verify import parse, verify

from switchpoint.grading.extraction import last_boxed
from switchpoint.grading.grader import Grader

ROLLOUTS = 8
RESAMPLES = 2000
FEWEST_BATCHES = 4  # of a file that is compared by itself
FILLER = "First we look at what is given, then we write {}, and so the rest follows step by step. "
Pair = tuple[str, str]


def generated(count: int) -> list[str]:
    """Integers, fractions, surds and tuples, all different."""
    forms = [
        lambda n: str(n + 1),
        lambda n: f"\\frac{{{n + 1}}}{{{2 * n + 3}}}",
        lambda n: f"{n + 2}\\sqrt{{{4 * n + 3}}}",
        lambda n: f"({n}, {n + 1})",
    ]
    return [forms[n % len(forms)](n) for n in range(count)]


def read(path: Path) -> list[str]:
    """The different golds of a file, without the box around one."""
    golds = [str(json.loads(line)["answer"]) for line in path.open(encoding="utf-8")]
    return list(dict.fromkeys(last_boxed(gold) or gold for gold in golds))


def respond(rng: random.Random, answer: str) -> str:
    """A response of about a hundred words that ends in the answer."""
    return (
        "".join(FILLER.format(rng.randrange(1000)) for _ in range(5)) + f"The answer is \\boxed{{{answer}}}."
    )


def mistaken(rng: random.Random, gold: str) -> str:
    """The gold with one of its digits changed, or another number."""
    digits = [place for place, mark in enumerate(gold) if mark.isdigit()]
    if not digits:
        return str(rng.randrange(100))
    place = rng.choice(digits)
    return gold[:place] + str(rng.randrange(10)) + gold[place + 1 :]


def rollouts(rng: random.Random, golds: list[str]) -> list[Pair]:
    """ROLLOUTS responses for each gold: the gold at a rate of its own, else one of three mistakes.

    The first mistake is made four times as often as the last, as wrong answers crowd as well.
    """
    pairs = []
    for gold in golds:
        rate, wrong = rng.random(), [mistaken(rng, gold) for _ in range(3)]
        for _ in range(ROLLOUTS):
            answer = gold if rng.random() < rate else rng.choices(wrong, weights=(4, 2, 1))[0]
            pairs.append((gold, respond(rng, answer)))
    return pairs


def different(rng: random.Random, golds: list[str]) -> list[Pair]:
    """One response for each gold, so that no pair repeats: the gold, or a mistake."""
    return [
        (gold, respond(rng, mistaken(rng, gold) if index % 2 else gold)) for index, gold in enumerate(golds)
    ]


def plain(pairs: list[Pair]) -> list[bool]:
    """math-verify as documented, with its own time limit."""
    return [bool(verify(parse(f"\\boxed{{{gold}}}"), parse(response))) for gold, response in pairs]


def spent() -> float:
    """Processor seconds of this process and of all below it, those that have ended included."""
    this, seconds = psutil.Process(), 0.0
    for process in [this, *this.children(recursive=True)]:
        seconds += time.clock_gettime(~process.pid << 3 | 2)  # its clock, as clock_getcpuclockid(3) names it
        seconds += process.cpu_times().children_user + process.cpu_times().children_system
    return seconds


def timed(grade: Callable[[list[Pair]], list[bool]], pairs: list[Pair]) -> tuple[float, list[bool]]:
    """(processor seconds, verdicts)."""
    before = spent()
    verdicts = grade(pairs)
    return spent() - before, verdicts


def interval(seconds: list[tuple[float, float]]) -> tuple[float, float]:
    """95 % interval of the ratio of the sums, theirs to ours, by bootstrap of the batches."""
    rng, ratios = random.Random(0), []
    for _ in range(RESAMPLES):
        mine, theirs = map(sum, zip(*rng.choices(seconds, k=len(seconds)), strict=True))
        ratios.append(theirs / mine)
    ratios.sort()
    return ratios[RESAMPLES // 40], ratios[-1 - RESAMPLES // 40]


def compare(name: str, batches: list[list[Pair]]) -> None:
    """Prints both processor times per pair and their ratio, with its 95 % interval over batches."""
    seconds, agree = [], 0
    with Grader(workers=1) as grader:

        def ours(pairs: list[Pair]) -> list[bool]:
            return [verdict.correct for verdict in grader.grade(*zip(*pairs, strict=True))]

        warm = different(random.Random(0), generated(100))
        ours(warm)
        plain(warm)
        for turn, pairs in enumerate(batches):
            graders = [ours, plain] if turn % 2 else [plain, ours]
            found = {grade: timed(grade, pairs) for grade in graders}
            seconds.append((found[ours][0], found[plain][0]))
            agree += sum(map(bool.__eq__, found[ours][1], found[plain][1]))
    pairs = sum(map(len, batches))
    mine, theirs = map(sum, zip(*seconds, strict=True))
    low, high = interval(seconds)
    print(
        f"{name}: {pairs} pairs in {len(batches)} batches, same verdict on {agree}; "
        f"ours {1000 * mine / pairs:.2f} ms, math-verify {1000 * theirs / pairs:.2f} ms a pair, "
        f"ratio {theirs / mine:.2f} ({low:.2f} to {high:.2f})",
        flush=True,
    )


def main() -> None:
    """Reads the options and prints the two workloads of every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=32, help="Golds of a batch.")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    reference = os.environ.get("SWITCHPOINT_REFERENCE")
    paths = options.files or (sorted(Path(reference, "benchmarks").glob("*.jsonl")) if reference else [])
    files = {path.stem: read(path) for path in paths}
    files["together"] = list(dict.fromkeys(itertools.chain(*files.values())))
    for name, golds in ({"generated": generated(500)} | files).items():
        if len(golds) < FEWEST_BATCHES * options.prompts:
            continue
        rng = random.Random(0)
        rng.shuffle(golds)
        chunks = [golds[first : first + options.prompts] for first in range(0, len(golds), options.prompts)]
        compare(f"{name}, RL batches", [rollouts(rng, chunk) for chunk in chunks])
        compare(f"{name}, all different", [different(rng, chunk) for chunk in chunks])


if __name__ == "__main__":
    main()
