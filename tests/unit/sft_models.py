"""SFT models whose score after RL is known, in worlds that differ in what their predictors see of it."""

import numpy as np
import pandas as pd

from switchpoint.analysis.predictors import candidate_predictors, choose, intervals, oriented_predictors

# By world: how far every predictor correlates with the quality of a model, and the share of their noise that is common.
WORLDS = {
    "one good, two of noise": ({"pass_1": 0.0, "pass_64": 0.95, "val_loss": 0.0}, 0.0),
    "one good, seven of noise": (
        {"pass_64": 0.95, "val_loss": 0.0} | {f"pass_{k}": 0.0 for k in (1, 2, 4, 8, 16, 32)},
        0.0,
    ),
    "three equally good": ({"pass_1": 0.8, "pass_64": 0.8, "val_loss": 0.8}, 0.0),
    "eight equally good": (
        {"val_loss": 0.8} | {f"pass_{k}": 0.8 for k in (1, 2, 4, 8, 16, 32, 64)},
        0.0,
    ),
    "three alike": ({"pass_1": 0.75, "pass_64": 0.75, "val_loss": 0.75}, 0.8),
    "none good": ({"pass_1": 0.0, "pass_64": 0.0, "val_loss": 0.0}, 0.0),
    "Quagmires": ({"pass_1": 0.75, "pass_64": 0.95, "val_loss": 0.94}, 0.3),
}
QUALITY, NOISE = 4.0, 0.7  # points of standard deviation of the score after RL, known beforehand and not


def models(rng: np.random.Generator, n: int, world: str) -> pd.DataFrame:
    """``n`` models with their predictors and ``rl_score``."""
    sees, common = WORLDS[world]
    quality, shared = rng.normal(size=(2, n))
    table = pd.DataFrame({"model": [f"m{i:02}" for i in range(n)]})
    for name, r in sees.items():
        own = np.sqrt(common) * shared + np.sqrt(1 - common) * rng.normal(size=n)
        seen = r * quality + np.sqrt(1 - r**2) * own
        table[name] = 0.5 - 0.02 * seen if name == "val_loss" else level(name) + 4 * seen
    return table.assign(rl_score=60 + QUALITY * quality + NOISE * rng.normal(size=n))


def level(name: str) -> float:
    """The mean of a pass@k, which rises with k: 25 for 1, 75 for 64."""
    return 25 + 50 * np.log2(int(name.removeprefix("pass_"))) / 6


def predicted(rng: np.random.Generator, n: int, world: str) -> dict:
    """Of one more model after ``n`` runs: whether the best predictor's interval holds its score, and its width (points),
    paid for the choice and not."""
    table = models(rng, n + 1, world)
    every = {
        name: oriented_predictors(table, columns) for name, columns in candidate_predictors(table).items()
    }
    y = table["rl_score"].to_numpy()
    best, choice = choose({name: x[:, :n] for name, x in every.items()}, y[:n])
    found = {}
    for name, given in (("paid", (choice,)), ("unpaid", ())):
        _, (low,), (high,) = intervals(every[best][:, :n], y[:n], every[best][:, n:], *given)
        found |= {name: low <= y[n] <= high, f"{name} width": high - low}
    return found
