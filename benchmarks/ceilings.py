"""The ceilings' fit against the paper's pipeline and plain least squares, as Markdown tables.

``python benchmarks/ceilings.py [--curves 600] [--worlds 300] [--points POINTS.csv]``: synthetic curves with a
known ceiling (the generators of the tests): sigmoids, and every kind of truth of ``worlds``; with ``--points`` (run, exaflops,
score, p_start) also the forecast of the last 15 % of every run's points, beside the naive constant.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parents[1] / "tests" / "unit"))
import synthetic
import worlds

from switchpoint.analysis import ceilings
from switchpoint.analysis.points import check_points
from switchpoint.analysis.sigmoid import PaperSettings

LEAST_SQUARES = {"alpha": np.nan, "tau": np.nan, "cap": np.nan}
CASES = {
    "well covered (6 to 15 C)": {"coverage": synthetic.WELL},
    "the same, collapsed at the end": {"coverage": synthetic.WELL, "collapse": True},
    "the same, B from 0.5": {"coverage": synthetic.WELL, "steepness": (0.5, 3.0)},
    "badly covered (up to C / 2)": {"coverage": synthetic.BADLY},
}


def fit(points: pd.DataFrame, name: str) -> dict:
    """The entries of one of the methods compared."""
    settings = None
    if name == "least squares":
        settings = pd.DataFrame({"run": points["run"].unique(), **LEAST_SQUARES})
    method = {"ours": "default", "paper": "paper", "least squares": "paper", "ScaleRL": "scalerl"}[name]
    return ceilings.fit_curves(points, method=method, settings=settings)["runs"]


def fit_one(task: tuple[dict, str]) -> dict:
    return fit(task[0]["points"], task[1])


def synthetic_table(count: int) -> pd.DataFrame:
    """One row per case and method."""
    rows = []
    with ProcessPoolExecutor() as pool:
        for case, made in CASES.items():
            curves = [synthetic.curve(seed, **made) for seed in range(count)]
            for name in ("ours", "paper", "least squares", "ScaleRL"):
                found = {}
                for one in pool.map(fit_one, [(curve, name) for curve in curves], chunksize=10):
                    found |= one
                judged = synthetic.judge(curves, found)
                if name in ("paper", "least squares"):  # they give no interval
                    judged |= dict.fromkeys(["median width", "coverage", "claims that miss"], np.nan)
                rows.append({"curves": case, "method": name} | judged)
                print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def judged(task: tuple[str, int]) -> dict:
    return worlds.judged(*task)


def world_table(count: int) -> pd.DataFrame:
    """One row per kind of truth."""
    rows = []
    with ProcessPoolExecutor() as pool:
        for name, world in worlds.WORLDS.items():
            found = worlds.judge(
                list(pool.map(judged, [(name, seed) for seed in range(count)], chunksize=10))
            )
            assumed = "yes" if name in worlds.ASSUMED else "no" if world.kind == "covered" else "–"
            rows.append({"truth": name, "data": world.kind, "in the average": assumed} | found)
            print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def held_out_table(points: pd.DataFrame) -> pd.DataFrame:
    """Mean and median RMSE over runs, and the mean difference to the naive constant with its 95 % interval.

    All points of a run count, those of a collapse, too, which no method knew before.
    """
    plain = PaperSettings(alpha=None, tau=None, cap=None)
    ways = {"ours": "default", "paper": "paper", "least squares": "paper", "ScaleRL": "scalerl"}
    errors, naive = pd.DataFrame(), pd.Series(dtype=float)
    for run, rows in check_points(points).query("exaflops > 0").groupby("run", sort=False):
        x, score, start = rows["exaflops"].to_numpy(), rows["score"].to_numpy(), rows["p_start"].iloc[0]
        for name, method in ways.items():
            settings = plain if name == "least squares" else PaperSettings()
            found = ceilings.held_out_errors(x, score, start, method, settings)
            errors.loc[run, name], naive[run] = found["heldout_rmse"], found["heldout_rmse_naive"]
    errors["naive constant"] = naive
    difference = errors.sub(naive, axis=0).dropna()
    picked = np.random.default_rng(0).integers(0, len(difference), (10_000, len(difference)))
    drawn = difference.to_numpy()[picked].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return pd.DataFrame(
        {"mean": errors.mean(), "median": errors.median(), "minus naive": difference.mean(), "low": low,
         "high": high}
    ).rename_axis("method").reset_index()  # fmt: skip


def markdown(table: pd.DataFrame) -> str:
    """The table, numbers with three decimals and dashes for what a method does not give."""

    def text(value: object) -> str:
        return value if isinstance(value, str) else "–" if pd.isna(value) else f"{value:.3f}"

    rows = [list(table.columns), ["---"] * table.shape[1], *table.map(text).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, default=600)
    parser.add_argument("--worlds", type=int, default=300)
    parser.add_argument("--points", type=Path)
    arguments = parser.parse_args()
    if arguments.curves:
        print(markdown(synthetic_table(arguments.curves)))
    if arguments.worlds:
        print("\n" + markdown(world_table(arguments.worlds)))
    if arguments.points:
        print("\n" + markdown(held_out_table(pd.read_csv(arguments.points))))


if __name__ == "__main__":
    main()
