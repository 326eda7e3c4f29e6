"""Selection: de-duplication, held-out validation, strata, RL prompts, the mix set, overlaps.

Draws follow the order of a hash of (seed, id), so they do not depend on the order of the
rows, and a larger draw extends a smaller one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable

import pandas as pd

from switchpoint.data import records
from switchpoint.data.difficulty import STRATA
from switchpoint.errors import InputError


def key(problem: str) -> str:
    """NFKC, white space collapsed, case folded: what makes two problems the same."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", problem)).strip().casefold()


def deduplicate(frames: list[pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows with distinct problems, the first of each kept, and how many were dropped and why."""
    rows = pd.concat(frames, ignore_index=True)
    rows["answer"] = records.alike(rows["answer"])
    exact = rows["problem"].duplicated()
    normalised = rows["problem"].map(key).duplicated()
    counts = {"rows": len(rows), "exact": int(exact.sum()), "normalised": int((normalised & ~exact).sum())}
    return rows[~normalised].reset_index(drop=True), counts


def draw(rows: pd.DataFrame, size: int | None, seed: int, what: str) -> pd.DataFrame:
    """``size`` rows (all when None) in the order of a hash of (seed, id)."""
    if size is not None and size > len(rows):
        raise InputError(
            f"{what}: {size} rows are asked for, {len(rows)} are there; lower the size or add data"
        )
    order = rows["id"].map(lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest())
    return rows.loc[order.sort_values().index[:size]].reset_index(drop=True)


def split_validation(pool: pd.DataFrame, size: int, seed: int) -> pd.DataFrame:
    """Held-out examples with an expert trajectory."""
    return draw(pool[pool["solution"].notna()], size, seed, "data.validation")


def with_win_rate(pool: pd.DataFrame, win_rates: pd.DataFrame, validation_ids: set[str]) -> pd.DataFrame:
    """Pool rows outside the validation set, with their win rate."""
    rows = pool[~pool["id"].isin(validation_ids)]
    return rows.merge(win_rates[["id", "win_rate"]], on="id", how="left", validate="one_to_one")


def select_set(
    pool: pd.DataFrame,
    win_rates: pd.DataFrame,
    validation_ids: set[str],
    stratum: str,
    size: int | None,
    seed: int,
) -> pd.DataFrame:
    """An SFT set: rows of the stratum that have an expert trajectory."""
    rows = with_win_rate(pool, win_rates, validation_ids)
    rows = rows[rows["solution"].notna() & STRATA[stratum](rows["win_rate"])]
    return draw(rows, size, seed, f"stratum {stratum}")


def select_prompts(
    pool: pd.DataFrame, win_rates: pd.DataFrame, validation_ids: set[str], sources: list[str], size: int,
    low: float, high: float, seed: int,
) -> pd.DataFrame:  # fmt: skip
    """RL prompts of the given sources whose win rate is within [low, high]."""
    rows = with_win_rate(pool, win_rates, validation_ids)
    rows = rows[rows["source"].isin(sources) & rows["win_rate"].between(low, high)]
    return draw(rows, size, seed, "data.prompts")


def mix(prompts: pd.DataFrame, n_tokens: Callable[[str], int], max_tokens: int) -> pd.DataFrame:
    """The prompts that have an expert trajectory of at most ``max_tokens`` tokens (MIX37K)."""
    rows = prompts[prompts["solution"].notna()]
    return rows[rows["solution"].map(n_tokens) <= max_tokens].reset_index(drop=True)


def overlaps(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """How many problems each pair of tables shares (normalised)."""
    keys = {name: set(rows["problem"].map(key)) for name, rows in tables.items()}
    cells = {name: {other: len(mine & keys[other]) for other in keys} for name, mine in keys.items()}
    return pd.DataFrame(cells).T.rename_axis("table")


def forbidden(table: pd.DataFrame) -> list[str]:
    """The pairs that must share nothing and do: validation or a benchmark with anything else.

    Training sets, RL prompts and the mix set may overlap.
    """
    apart = [name for name in table.index if name == "validation" or name.startswith("benchmark:")]
    return [
        f"{name} and {other} share {table.loc[name, other]} problems"
        for name in apart
        for other in table.index
        if other != name and table.loc[name, other] > 0
    ]


def statistics(
    sets: dict[str, pd.DataFrame], win_rates: pd.DataFrame, n_tokens: Callable[[str], int]
) -> pd.DataFrame:
    """Size, mean token counts and mean win rate of each set (RETU Table 3)."""
    rates = win_rates.set_index("id")["win_rate"]
    rows = [
        {
            "set": name,
            "n": len(frame),
            "prompt_tokens": frame["problem"].map(n_tokens).mean(),
            "response_tokens": frame["solution"].map(n_tokens).mean(),
            "win_rate": frame["id"].map(rates).mean(),
        }
        for name, frame in sets.items()
    ]
    return pd.DataFrame(rows)
