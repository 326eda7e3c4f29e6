"""Which run is which, by ``runs.csv``: the names of runs are never taken apart."""

import pandas as pd

COLUMNS = ["phase", "set", "algorithm", "start", "seed", "arm", "counts"]
SAME_START = ["algorithm", "parent", "start_step", "seed"]


def identify(runs: pd.DataFrame) -> pd.DataFrame:
    """What every run is: a table by run, with ``COLUMNS``.

    ``runs`` has run, parent, set, algorithm, seed and start_step.  ``phase`` is base, sft or rl.  RL's ``start`` is
    ``<set>-<step>``, the step that a named start resolved to, or ``base``, and ``set`` that of its start, missing for
    the base.  ``arm`` is what differs in its seed alone: ``sft/<set>`` or ``rl/<algorithm>/<start>``.  ``counts`` is
    False for a second name of one run (a listed step that is also the minimum).
    """
    table = runs.set_index("run")
    is_sft, is_rl = table["algorithm"] == "sft", table["algorithm"].notna() & (table["algorithm"] != "sft")
    pure = is_rl & (table["parent"] == "base")
    step = pd.to_numeric(table["start_step"], errors="coerce").map("{:.0f}".format)
    start = (table["set"].astype(str) + "-" + step).where(is_rl & ~pure, "base").where(is_rl | is_sft)
    of_rl = "rl/" + table["algorithm"].astype(str) + "/" + start.astype(str)
    second = table.sort_index().duplicated(SAME_START).reindex(table.index)
    return pd.DataFrame(
        {
            "phase": pd.Series("base", table.index).mask(is_sft, "sft").mask(is_rl, "rl"),
            "set": table["set"].mask(pure),
            "algorithm": table["algorithm"].where(is_rl),
            "start": start,
            "seed": table["seed"],
            "arm": of_rl.where(is_rl, "sft/" + table["set"].astype(str)).where(is_rl | is_sft, "base"),
            "counts": ~(is_rl & second),
        }
    )[COLUMNS]


def of_runs(table: pd.DataFrame, runs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The rows of a table of runs (column ``run``) that count, with these columns of ``identify``."""
    named = identify(runs)
    kept = table[table["run"].isin(named.index[named["counts"]])]
    return kept.assign(**{column: kept["run"].map(named[column]) for column in columns})
