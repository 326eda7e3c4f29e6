"""Difficulty: the win rate of a weak solver, and the strata drawn on it (RETU Table 3)."""

import pandas as pd

from switchpoint.errors import InputError

# In SQL.  ``full`` alone takes rows whose win rate nobody knows.
STRATA = {
    "easy": "win_rate = 1",
    "hard": "win_rate <= 0.25",
    "uniform": "win_rate IS NOT NULL",
    "full": "true",
}


def win_rates(samples: pd.DataFrame) -> pd.DataFrame:
    """id, win_rate (successes / N), n from graded samples (id, correct)."""
    table = samples.groupby("id", sort=True)["correct"].agg(win_rate="mean", n="count")
    return table.reset_index()


def merge(parts: list[pd.DataFrame], samples: int) -> pd.DataFrame:
    """The win rates of a measurement that was split; InputError unless the parts hold every sample once."""
    every = pd.concat(parts)
    every["successes"] = (every["win_rate"] * every["n"]).round()
    table = every.groupby("id", sort=True)[["successes", "n"]].sum()
    if (table["n"] != samples).any():
        raise InputError(
            f"the parts hold {int(table['n'].iloc[0])} samples of a problem, the measurement has {samples}; "
            "give every part, once"
        )
    table["win_rate"] = table["successes"] / table["n"]
    return table.reset_index()[["id", "win_rate", "n"]]
