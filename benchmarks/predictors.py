"""What choosing among predictors, and the filter of ``rank``, cost on simulated SFT models, as Markdown tables.

``python benchmarks/predictors.py [--studies 1000]``: coverage and median width of the best predictor's 95 % prediction
intervals, paid for the choice and not; and the points that RL on the favourite loses, with the filter and without.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))
import sft_models

from switchpoint.analysis.ranking import rank

RUNS = 3, 4, 5, 8, 12
CANDIDATES, PROBLEMS = 12, 500


def coverage(studies: int) -> pd.DataFrame:
    """One row per world and number of calibration runs."""
    rows = []
    for world in sft_models.WORLDS:
        for n in RUNS:
            rng = np.random.default_rng(n)
            found = pd.DataFrame([sft_models.predicted(rng, n, world) for _ in range(studies)]).astype(float)
            rows.append(
                {"world": world, "runs": n, "unpaid": found["unpaid"].mean(), "paid": found["paid"].mean(),
                 "unpaid width": found["unpaid width"].median(), "paid width": found["paid width"].median()}
            )  # fmt: skip
    return pd.DataFrame(rows)


def regret(studies: int) -> pd.DataFrame:
    """Mean points that RL on the favourite stays below that on the best of the models, by world and what the noise is.

    ``n``: pass@k measured on so many problems, and said to be; otherwise exact, and any difference counts.
    """
    rows = []
    for world in ("Quagmires", "three equally good", "three alike", "one good, two of noise"):
        for noisy in (False, True):
            rng, lost, dropped = np.random.default_rng(0), [], []
            for _ in range(studies):
                table = sft_models.models(rng, CANDIDATES, world)
                best = table["rl_score"].max()
                given = table.drop(columns="rl_score")
                if noisy:
                    passes = ["pass_1", "pass_64"]
                    sd = 100 * np.sqrt(given[passes] / 100 * (1 - given[passes] / 100) / PROBLEMS)
                    given[passes] += sd * rng.normal(size=sd.shape)
                    given["n"] = PROBLEMS
                scores = table.set_index("model")["rl_score"]
                both = rank(given), rank(given.drop(columns="val_loss"))
                lost.append([best - scores[found["models"][0]["model"]] for found in both])
                dropped.append(both[0]["n_dropped"])
            with_filter, without = np.mean(lost, axis=0)
            rows.append(
                {"world": world, "errors": f"of {PROBLEMS} problems" if noisy else "none given",
                 "dropped": np.mean(dropped), "filter, then pass@64": with_filter, "pass@64 alone": without,
                 "se of the difference": float(np.diff(lost).std() / np.sqrt(studies))}
            )  # fmt: skip
    return pd.DataFrame(rows)


def markdown(table: pd.DataFrame) -> str:
    """The table, numbers with three digits."""
    cells = table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value)).to_numpy()
    rows = [list(table.columns), ["---"] * table.shape[1], *cells.tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    print(markdown(coverage(studies)), markdown(regret(studies)), sep="\n\n")


if __name__ == "__main__":
    main()
