"""The grader's throughput against plain math-verify on the same pairs, side by side.

``python benchmarks/grading.py [--workers 2] [FILE.jsonl ...]``: files with an ``answer`` per row;
without files the golds are generated.  Plain math-verify runs in as many processes as the grader
has workers (the cores' sum), each called as its documentation says, with its own time limit.
"""

import argparse
import json
import logging
import multiprocessing
import random
import time
from pathlib import Path

from switchpoint.grading import grader as grading

ROLLOUTS = 8
FILLER = "First we look at what is given, then we write {}, and so the rest follows step by step. "


def generated(count: int) -> list[str]:
    """Integers, fractions, surds and tuples, all different."""
    forms = [
        lambda n: str(n + 1),
        lambda n: f"\\frac{{{n + 1}}}{{{2 * n + 3}}}",
        lambda n: f"{n + 2}\\sqrt{{{4 * n + 3}}}",
        lambda n: f"({n}, {n + 1})",
    ]
    return [forms[n % len(forms)](n) for n in range(count)]


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


def rl_batch(rng: random.Random, golds: list[str], prompts: int) -> list[tuple[str, str]]:
    """ROLLOUTS responses for each prompt: the gold at a rate of its own, else one of three mistakes.

    The first mistake is made four times as often as the last, as wrong answers crowd as well.
    """
    pairs = []
    for gold in rng.sample(golds, min(prompts, len(golds))):
        rate, wrong = rng.random(), [mistaken(rng, gold) for _ in range(3)]
        for _ in range(ROLLOUTS):
            answer = gold if rng.random() < rate else rng.choices(wrong, weights=(4, 2, 1))[0]
            pairs.append((gold, respond(rng, answer)))
    return pairs


def distinct(rng: random.Random, golds: list[str]) -> list[tuple[str, str]]:
    """One response for each gold, so that no pair repeats: the gold, or a mistake."""
    return [
        (gold, respond(rng, mistaken(rng, gold) if index % 2 else gold)) for index, gold in enumerate(golds)
    ]


def plain(pair: tuple[str, str]) -> bool:
    """math-verify as documented."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    gold, response = pair
    return verify(parse(f"\\boxed{{{gold}}}"), parse(response))


def timed(function, *args) -> tuple[float, list]:
    """(seconds, result)."""
    started = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - started, result


def compare(name: str, pairs: list[tuple[str, str]], before: list[tuple[str, str]], workers: int) -> None:
    """Prints the throughputs and their ratios; everybody has graded another batch ``before``."""
    with grading.Grader(workers) as grader:
        grader.grade(*zip(*before, strict=True))
        ours, verdicts = timed(grader.grade, *zip(*pairs, strict=True))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(plain, before, chunksize=8)
        theirs, right = timed(lambda: pool.map(plain, pairs, chunksize=8))
    with multiprocessing.get_context("spawn").Pool(1) as one:
        one.map(plain, before)
        alone, _ = timed(one.map, plain, pairs)
    agree = sum(verdict.correct == bool(other) for verdict, other in zip(verdicts, right, strict=True))
    different = len({(gold, grading.extract(response)) for gold, response in pairs})
    print(
        f"{name}: {len(pairs)} pairs, {different} different; same verdict {agree}\n"
        f"  ours {len(pairs) / ours:.0f}/s with {workers} workers\n"
        f"  math-verify {len(pairs) / alone:.0f}/s in one process, ratio {alone / ours:.2f}\n"
        f"  math-verify {len(pairs) / theirs:.0f}/s in {workers} processes, ratio {theirs / ours:.2f}",
        flush=True,
    )


def main() -> None:
    """Reads the options and prints the two workloads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    golds = [
        str(json.loads(line)["answer"]) for path in options.files for line in path.open(encoding="utf-8")
    ]
    golds = list(dict.fromkeys(golds)) or generated(1000)
    rng = random.Random(0)
    rng.shuffle(golds)
    half = len(golds) // 2
    before = rl_batch(rng, golds[:half], options.prompts)
    compare("RL batch", rl_batch(rng, golds[half:], options.prompts), before, options.workers)
    compare("all different", distinct(rng, golds[half:]), before, options.workers)


if __name__ == "__main__":
    main()
