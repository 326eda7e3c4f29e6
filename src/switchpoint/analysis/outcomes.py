"""What RL made of every SFT checkpoint, and whether a set's validation loss foretells it."""

import numpy as np
import pandas as pd

from switchpoint import files, tables
from switchpoint.analysis.identity import SAME_START, identify
from switchpoint.analysis.phases import label_phases
from switchpoint.analysis.pooling import HALF_WIDTH, interval_ends, pool_over_seeds
from switchpoint.analysis.predictors import loss_against_ceiling

MIN_SETS = 4  # for a correlation
KEYS = ["set", "algorithm", "start_step"]
LAST_COLUMNS = ["final", "final_low", "final_high"]
STABLE, HIGHEST = "mean over stable starts", "highest"
HIGHEST_COLUMNS = [
    "set", "start_step", "loss", "basis", "value", "low", "high",
    "n_stable", "stable_value", "stable_low", "stable_high",
]  # fmt: skip


def measure_outcomes(points: str, runs: str, losses: str, ceilings: str, results: str, out: str) -> None:
    """Writes ``outcomes.csv``, ``highest_outcomes.csv`` and ``loss_correlation.json`` into ``out``.

    ``points`` is ``pooled_curves.csv``, the others are ``runs.csv``, ``losses.csv``, ``ceilings.json`` and
    ``results.csv``.
    """
    table = tables.read_made(runs)
    tested = tables.read_made(results)
    outcomes = rl_outcomes(tables.read_made(points), tables.read_made(ceilings), table, tested)
    highest = highest_outcomes(tables.read_made(losses), outcomes, table)
    tables.write_csv(outcomes, f"{out}/outcomes.csv")
    tables.write_csv(highest, f"{out}/highest_outcomes.csv")
    files.write_json(f"{out}/loss_correlation.json", loss_correlation(highest))


def rl_outcomes(
    points: pd.DataFrame, ceilings: dict, runs: pd.DataFrame, results: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The outcome of RL from every SFT checkpoint, pooled over seeds: the test score, else the ceiling, else the last score.

    ``points`` has the RL rows of ``curves.csv``, ``ceilings`` is what ``fit_curves`` returns, ``runs`` the
    rows of ``runs.csv``, ``results`` those of ``results.csv``: with them start and outcome are the scores on the
    test problems.  Without, a last score only bounds the ceiling from below; it counts where a seed's ceiling is
    unidentified.

    Columns ``KEYS``, p_start, basis (``test score``, ``ceiling`` or ``final score``), value, gain (over p_start),
    low and high (its 95 % interval, missing where unknown), final, final_low, final_high.
    """
    rl = points[(points["phase"] == "rl") & (points["benchmark"] == "overall")]
    rl = rl.sort_values(["run", "exaflops"])
    first, last = (rl.drop_duplicates("run", keep=keep).set_index("run") for keep in ("first", "last"))
    first = first[first["exaflops"] == 0]  # without its start a run has none to gain on
    started = runs[runs["run"].isin(last.index) & (runs["parent"] != "base")].sort_values("run")
    # Two names of one start (a listed step that is also the minimum) are one run of that seed.
    started = started.drop_duplicates(SAME_START)
    fits = [ceilings["runs"].get(run, {}) for run in started["run"]]
    intervals = [fit.get("a_ci95") or (None, None) for fit in fits]
    table = started[KEYS].assign(
        p_start=first["score"].reindex(started["run"]).to_numpy(float),
        final=last["score"].reindex(started["run"]).to_numpy(float),
        final_se=last["se"].reindex(started["run"]).to_numpy(float),
        ceiling=np.array([fit.get("a") for fit in fits], dtype=float),
        ceiling_se=np.array([implied_se(ends) for ends in intervals], dtype=float),
    )
    if results is not None:
        table = with_tests(table, started, results)
    final = pool_over_seeds(table, KEYS, "final", "final_se")
    ceiling = table.groupby(KEYS)["ceiling"]
    complete = ceiling.transform("count") == ceiling.transform("size")
    identified = pool_over_seeds(table[complete], KEYS, "ceiling", "ceiling_se")
    pooled = final[[*KEYS, "p_start", "final", "final_se"]].merge(
        identified[[*KEYS, "ceiling", "ceiling_se"]], how="left", on=KEYS
    )
    outcomes = with_outcome(pooled)
    return outcomes if results is None else outcomes.assign(basis="test score")


def with_tests(table: pd.DataFrame, started: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """The table with start and final score of every run on the test problems, and no ceilings, which are of others."""
    overall = results[(results["metric"] == "avg") & (results["benchmark"] == "overall")]
    after = overall[overall["phase"] == "rl"].set_index("run")
    before = overall[overall["phase"] == "sft"].set_index(["run", "step"])["score"]
    starts = pd.MultiIndex.from_frame(started[["parent", "start_step"]].astype({"start_step": int}))
    return table.assign(
        p_start=before.reindex(starts).to_numpy(),
        final=after["score"].reindex(started["run"]).to_numpy(),
        final_se=after["se"].reindex(started["run"]).to_numpy(),
        ceiling=np.nan,
        ceiling_se=np.nan,
    )


def implied_se(ends: tuple[float | None, float | None]) -> float:
    """The standard error that a 95 % interval implies; NaN where an end is open."""
    low, high = ends
    return float("nan") if low is None or high is None else (high - low) / (2 * HALF_WIDTH)


def with_outcome(table: pd.DataFrame) -> pd.DataFrame:
    """Which of ceiling and last score counts, and both with their 95 % intervals."""
    known = table["ceiling"].notna()
    value = table["ceiling"].where(known, table["final"])
    low, high = interval_ends(value, table["ceiling_se"].where(known, table["final_se"]))
    final_low, final_high = interval_ends(table["final"], table["final_se"])
    table = table.assign(
        basis=np.where(known, "ceiling", "final score"),
        value=value, low=low, high=high, gain=value - table["p_start"],
        final_low=final_low, final_high=final_high,
    )  # fmt: skip
    return table[[*KEYS, "p_start", "basis", "value", "gain", "low", "high", *LAST_COLUMNS]]


def highest_outcomes(losses: pd.DataFrame, outcomes: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Each set's lowest validation loss, mean over seeds, with its highest outcome of RL and the mean over its stable starts.

    ``losses`` is ``losses.csv``, ``runs`` ``runs.csv``, ``outcomes`` what ``rl_outcomes`` returns, of which the algorithm with the
    most sets counts.  All sets are compared on ceilings, or, when one of them has none, on last scores.  The highest of several
    noisy outcomes is biased upward, the more the more starts a set has; the mean over the starts of ``stable_starts`` is not, and
    leads.  Its interval is that of ``pool_over_seeds``.
    Columns set, start_step, loss, basis, value, low, high, n_stable, stable_value, stable_low, stable_high (missing where no start is
    stable); no rows without RL from an SFT checkpoint.
    """
    if outcomes.empty:
        return pd.DataFrame(columns=HIGHEST_COLUMNS)
    counts = outcomes.groupby("algorithm")["set"].nunique()
    compared = outcomes[outcomes["algorithm"] == counts.idxmax()]
    identified = compared[compared["basis"] == "ceiling"]
    if set(identified["set"]) == set(compared["set"]):
        compared = identified
    elif not (compared["basis"] == "test score").all():
        last = compared[LAST_COLUMNS].set_axis(["value", "low", "high"], axis=1)
        compared = compared.assign(basis="final score", **last)
    highest = compared.sort_values("value", ascending=False).drop_duplicates("set").sort_values("set")
    lowest = losses.groupby("run", sort=False)["loss"].min()
    loss = lowest.groupby(identify(runs)["set"].reindex(lowest.index)).mean().rename("loss")
    highest = highest.merge(loss, left_on="set", right_index=True)
    stable = stable_means(compared, stable_starts(losses, runs))
    table = highest.merge(stable, how="left", on="set")
    return table.assign(n_stable=table["n_stable"].fillna(0).astype(int))[HIGHEST_COLUMNS]


def stable_starts(losses: pd.DataFrame, runs: pd.DataFrame) -> set[tuple[str, int]]:
    """The checkpoints (set, step) in the stable sub-phase by the validation loss, mean over seeds (RETU Eq. 13-17)."""
    named = losses.assign(run=losses["run"].map(identify(runs)["set"]))
    labelled = label_phases(named.groupby(["run", "step"], as_index=False)["loss"].mean())["runs"]
    return {
        (name, int(step))
        for name, entry in labelled.items()
        for step, label in entry["labels"].items()
        if label == "stable"
    }


def stable_means(compared: pd.DataFrame, stable: set[tuple[str, int]]) -> pd.DataFrame:
    """By set: set, n_stable, stable_value, stable_low and stable_high of its ``compared`` starts that are ``stable``."""
    chosen = [
        start in stable for start in zip(compared["set"], compared["start_step"].astype(int), strict=True)
    ]
    rows = compared[chosen].assign(se=(compared["high"] - compared["low"]) / (2 * HALF_WIDTH))
    pooled = pool_over_seeds(rows[["set", "value", "se"]], ["set"], "value")
    low, high = interval_ends(pooled["value"], pooled["se"])
    named = {"value": "stable_value", "seeds": "n_stable"}
    return pooled.rename(columns=named).assign(stable_low=low, stable_high=high).drop(columns="se")


def loss_correlation(highest: pd.DataFrame) -> dict:
    """``loss_against_ceiling`` of the sets of ``highest_outcomes``; n and a verdict for fewer than four.

    ``of`` says of what: of the means over stable starts where every set has one, and then ``highest`` is that of the highest
    outcomes; else of these.
    """
    if len(highest) and highest["stable_value"].notna().all():
        return (
            {"of": STABLE}
            | correlation_of(highest, "stable_value")
            | {"highest": correlation_of(highest, "value")}
        )
    return {"of": HIGHEST} | correlation_of(highest, "value")


def correlation_of(highest: pd.DataFrame, column: str) -> dict:
    """The correlation of the sets' losses with this column."""
    if len(highest) < MIN_SETS:
        return {"n": len(highest), "verdict": f"undefined: {len(highest)} sets, fewer than {MIN_SETS}"}
    table = highest.rename(columns={"loss": "val_loss", column: "ceiling"})
    return loss_against_ceiling(table[["set", "val_loss", "ceiling"]])
