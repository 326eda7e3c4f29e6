"""How often the advice excludes the best start, and a worse one, as Markdown tables.

``python benchmarks/advice.py [--studies 200] [--seeds 1 2 3] [--paired 200]``: studies of 3 to 8 starts (the generators of the tests) that are
equal, but for the last one in the rows with a number of points below; first by their curves, then by final test scores on the
same 250 problems, whose difficulty has a standard deviation of 40 points, with and without the scores problem by problem.
"""

import argparse
import itertools
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))
import null_studies
import paired_studies
from ceilings import markdown

COLUMNS = ["seeds", "spread of seeds", "budgets 1 to", "errors known", "last worse by"]
NULL = [
    (seeds, sd, ratio, known, 0.0)
    for seeds, sd, ratio, known in itertools.product((1, 2, 3), (0.0, 0.5, 1.0), (1, 4), (True, False))
    if known or sd == 1.0
]
POWER = [(seeds, 0.5, 1, True, worse) for seeds in (1, 2, 3) for worse in (3.0, 6.0)]
PAIRED_COLUMNS = ["starts", "seeds", "spread of seeds", "last worse by"]
PAIRED = list(itertools.product((3, 8), (1, 2), (0.5, 1.0), (0.0, 6.0)))


def judged(task: tuple) -> dict:
    return null_studies.judged(*task)


def judged_paired(task: tuple) -> dict:
    """Which starts are excluded, with the problems and without."""
    seed, n_starts, seeds, sd, worse = task
    rng = np.random.default_rng([seed, n_starts, seeds, int(10 * sd), int(worse)])
    study = paired_studies.drawn(rng, n_starts, seeds, worse, n_problems=250, seed_sd=sd, taste=10.0)
    found = {}
    for name, problems in (("paired", True), ("unpaired", False)):
        tied = paired_studies.advised(study, problems)["tied"]
        found |= {f"best excluded, {name}": "a-10" not in tied}
        found |= {f"last excluded, {name}": f"a-{10 * n_starts}" not in tied}
    return found


def shares(judge: Callable, rows: list[tuple], columns: list[str], count: int) -> pd.DataFrame:
    """A line per row of studies: what share of ``count`` studies each verdict has; of words, the commonest."""
    table = []
    with ProcessPoolExecutor() as pool:
        for row in rows:
            found = pd.DataFrame(pool.map(judge, [(seed, *row) for seed in range(count)], chunksize=5))
            words = found.select_dtypes(exclude="bool")
            means = dict(found.drop(columns=words.columns).mean())
            commonest = {name: words[name].mode()[0] for name in words}
            table.append(dict(zip(columns, map(str, row), strict=True)) | commonest | means)
            print(table[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--paired", type=int, default=200)
    arguments = parser.parse_args()
    if arguments.studies:
        rows = [row for row in (*NULL, *POWER) if row[0] in arguments.seeds]
        print(markdown(shares(judged, rows, COLUMNS, arguments.studies)))
    if arguments.paired:
        print("\n" + markdown(shares(judged_paired, PAIRED, PAIRED_COLUMNS, arguments.paired)))


if __name__ == "__main__":
    main()
