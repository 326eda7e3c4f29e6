"""Decontamination: the blocked max-cosine beside a plain matrix product, and what each test finds of planted problems.

The second part takes 200 problems of the real benchmark files (in the folder SWITCHPOINT_REFERENCE) and plants of each an
exact copy, one in another case and spacing, a reworded one, and a sibling with other numbers; and, as what must not be
found, other problems of the same benchmarks.

    python benchmarks/decontamination.py
"""

import argparse
import os
import random
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import tables
from switchpoint.data import decontaminate, embeddings

PROBLEMS = 200
REWORDED = {
    r"\bHow many\b": "What is the number of", r"\bhow many\b": "what number of", r"\bFind\b": "Determine",
    r"\bfind\b": "work out", r"\bCompute\b": "Calculate", r"\bcompute\b": "calculate", r"\bWhat is\b": "Give",
    r"\bhow much\b": "what amount of", r"\bHow much\b": "What amount of", r"\beach\b": "every single",
    r"\bbuys\b": "purchases", r"\bgives\b": "hands", r"\btotal\b": "overall", r"\bevery\b": "each",
    r"\bthe value of\b": "what the value is of", r"\bdetermine\b": "establish", r"\bLet\b": "Suppose that",
    r"\bhas\b": "owns", r"\bmore than\b": "above", r"\bpositive integers?\b": "natural number(s)",
}  # fmt: skip


def reword(text: str) -> str:
    """The same problem in other words, with the same numbers in the same order."""
    for pattern, other in REWORDED.items():
        text = re.sub(pattern, other, text)
    return f"Here is a task. {text} Explain your reasoning."


def sibling(text: str, draw: random.Random) -> str:
    """The same problem with other numbers, each of as many digits."""

    def other(match: re.Match) -> str:
        value = match[0]
        while (
            new := str(draw.randrange(10 ** (len(value) - 1) if len(value) > 1 else 1, 10 ** len(value)))
        ) == value:
            pass
        return new

    return re.sub(r"\d+", other, text)


def wilson(hits: int, n: int) -> str:
    """The share and its 95 % interval."""
    z, share = 1.96, hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    return f"{100 * share:5.1f} [{100 * max(centre - half, 0):5.1f}, {100 * min(centre + half, 1):5.1f}]"


def planted(reference: Path) -> None:
    """What each test finds of each kind of plant."""
    draw = random.Random(0)
    every = pd.concat(
        [pd.read_json(path, lines=True)[["problem"]] for path in sorted(reference.glob("*.jsonl"))]
    )
    texts = list(dict.fromkeys(every["problem"]))
    draw.shuffle(texts)
    chosen = [text for text in texts if re.search(r"\d", text)][:PROBLEMS]
    others = [text for text in texts if text not in chosen]
    plants = {
        "exact copy": chosen,
        "case and spacing": ["  " + text.upper().replace(" ", "  ") + "\n" for text in chosen],
        "reworded": [reword(text) for text in chosen],
        "other numbers": [sibling(text, draw) for text in chosen],
        "other problems": others[:2000],
    }
    benchmarks = pd.DataFrame(
        {"id": [str(n) for n in range(PROBLEMS)], "problem": chosen, "benchmark": "real"}
    )
    print(
        f"{'plant':<18} {'cosine':>22} {'cosine, same numbers':>22} {'13-gram':>22} {'exact':>22}   % found [95 %]"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in plants.items():
            train = str(Path(folder, "train.parquet"))
            tables.write_parquet(
                pd.DataFrame({"id": [str(n) for n in range(len(rows))], "problem": rows}), train
            )
            found = [
                decontaminate.screen([train], benchmarks, embeddings.PACKAGED, numbers, Path(folder), 0.8)
                for numbers in (False, True)
            ]
            hits = [
                found[0]["reason"].notna(),
                found[1]["reason"].notna(),
                found[0]["gram"],
                found[0]["exact"],
            ]
            print(f"{name:<18}" + "".join(f" {wilson(int(hit.sum()), PROBLEMS):>22}" for hit in hits))


def rate(ours: int, theirs: int, dimensions: int, repeat: int) -> None:
    """The blocked max-cosine and the plain product of the same blocks: seconds, GFLOP/s and their ratio."""
    draw = np.random.default_rng(0)
    first, second = (draw.normal(size=(n, dimensions)).astype(np.float32) for n in (ours, theirs))
    for one in (first, second):
        one /= np.linalg.norm(one, axis=1, keepdims=True)
    flop = 2 * ours * theirs * dimensions
    for _ in range(repeat):
        begun = time.perf_counter()
        for at in range(0, theirs, decontaminate.BLOCK):
            first @ second[at : at + decontaminate.BLOCK].T
        plain = time.perf_counter() - begun
        begun = time.perf_counter()
        decontaminate.nearest(first, second)
        blocked = time.perf_counter() - begun
        print(
            f"{ours} x {theirs} x {dimensions}: product {plain:.2f} s ({flop / plain / 1e9:.0f} GFLOP/s), "
            f"max-cosine {blocked:.2f} s ({flop / blocked / 1e9:.0f} GFLOP/s), share {plain / blocked:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    rate(2157, 100_000, 384, asked.repeat)
    rate(2157, 20_000, 4096, asked.repeat)
    if folder := os.environ.get("SWITCHPOINT_REFERENCE"):
        planted(Path(folder, "benchmarks"))
    else:
        print("set SWITCHPOINT_REFERENCE to a folder with benchmarks/*.jsonl for the second part")


if __name__ == "__main__":
    main()
