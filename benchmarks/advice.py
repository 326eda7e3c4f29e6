"""How often the advice excludes the best start, and a worse one, as a Markdown table.

``python benchmarks/advice.py [--studies 200]``: studies of 3 to 8 starts (the generator of the tests) whose ceilings
are equal, but for the last one's in the rows with a number of points below.
"""

import argparse
import itertools
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))
import null_studies
from ceilings import markdown

COLUMNS = ["seeds", "spread of seeds", "budgets 1 to", "errors known", "last worse by"]
NULL = [
    (seeds, sd, ratio, known, 0.0)
    for seeds, sd, ratio, known in itertools.product((1, 2, 3), (0.0, 0.5, 1.0), (1, 4), (True, False))
    if known or sd == 1.0
]
POWER = [(seeds, 0.5, 1, True, worse) for seeds in (1, 2, 3) for worse in (3.0, 6.0)]


def judged(task: tuple) -> dict:
    return null_studies.judged(*task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    count, rows = parser.parse_args().studies, []
    with ProcessPoolExecutor() as pool:
        for row in (*NULL, *POWER):
            found = pd.DataFrame(pool.map(judged, [(seed, *row) for seed in range(count)], chunksize=5))
            basis = found["basis"].mode()[0]
            shares = found.drop(columns="basis").mean()
            rows.append(
                dict(zip(COLUMNS, map(str, row), strict=True)) | {"compared on": basis} | dict(shares)
            )
            print(rows[-1], file=sys.stderr, flush=True)
    print(markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
