"""Difficulty: the win rate of a weak solver, and the strata drawn on it (RETU Table 3)."""

import pandas as pd

HARD = 0.25
STRATA = {
    "easy": lambda rate: rate == 1.0,
    "hard": lambda rate: rate <= HARD,
    "uniform": lambda rate: rate >= 0.0,
    "full": lambda rate: rate >= 0.0,
}


def win_rates(samples: pd.DataFrame) -> pd.DataFrame:
    """id, win_rate (successes / N), n from graded samples (id, correct)."""
    table = samples.groupby("id", sort=True)["correct"].agg(win_rate="mean", n="count")
    return table.reset_index()
