"""Arms, an RL algorithm from one start, with SFT beside them: their seeds pooled, and compared at equal compute.

An arm is called by its runs' directory without the seed: ``rl/<algorithm>/<start>``, or ``sft/<set>``.
"""

import math
from collections import Counter

import numpy as np
import pandas as pd

from switchpoint.analysis import budget
from switchpoint.analysis.comparisons import Z95, half_width, possible_bests, spread_of_seeds
from switchpoint.analysis.identity import identify, of_runs
from switchpoint.analysis.pooling import interval_ends, pool_over_seeds
from switchpoint.scores import STATUSES

ARM = ["arm", "set", "algorithm", "start"]
CURVE_COLUMNS = [*ARM, "seeds", "exaflops_total", "score", "se", "dof"]  # dof: of the standard errors
COMPARISON_COLUMNS = [
    "exaflops_total", *ARM, "score", "low", "high", "difference", "difference_low", "difference_high",
    "may_lead",
]  # fmt: skip
SUMMARY_COLUMNS = [
    *ARM, "seeds", "start_score", "end_score", "difference", "se", "low", "high", "exaflops", "sampled_tokens",
    "status",
]  # fmt: skip
LOGGED = ("clip_fraction", "cosine")  # what a run's log may have beside the norms of its terms


def arm_curves(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Measured overall scores of every arm against all compute, SFT included, pooled over its seeds.

    ``curves`` is ``curves.csv``, ``runs`` ``runs.csv``; RL begins with its start's score, SFT with the base's.  Between their points runs
    are straight lines; an arm goes as far as all its seeds (``budget.pool_curves``).  Columns ``CURVE_COLUMNS``.
    """
    overall = of_runs(curves[curves["benchmark"] == "overall"], runs, ARM)
    overall["algorithm"] = overall["algorithm"].astype(object).where(overall["phase"] == "rl", "sft")
    base = overall[overall["phase"] == "base"]
    arms: dict[str, list[dict]] = {}
    named: dict[str, dict] = {}
    for _, rows in overall[overall["phase"] != "base"].groupby("run", sort=False):
        first = base if rows["phase"].iloc[0] == "sft" else base[:0]
        arm = rows.iloc[0]
        named[arm["arm"]] = dict(arm[ARM])
        arms.setdefault(arm["arm"], []).append(measured_curve(pd.concat([first, rows])))
    parts = []
    ends = {arm: min(seed["x_last"] for seed in seeds) for arm, seeds in arms.items()}
    sd, dof = spread_of_seeds(
        [
            [float(np.interp(ends[arm], seed["x"], seed["score"])) for seed in seeds]
            for arm, seeds in arms.items()
        ]
    )
    for arm, seeds in arms.items():
        curve = budget.pool_curves(seeds, sd, dof)
        table = pd.DataFrame({"exaflops_total": curve["x"], "score": curve["score"]})
        error = (curve["high"] - curve["low"]) / (2 * Z95)
        parts.append(table.assign(**named[arm], seeds=len(seeds), se=error, dof=dof))
    return pd.concat(parts)[CURVE_COLUMNS] if parts else pd.DataFrame(columns=CURVE_COLUMNS)


def measured_curve(points: pd.DataFrame) -> dict:
    """Points with standard errors as a curve of ``budget``, against all compute; the band spans 95 %."""
    points = points.sort_values("exaflops_total")
    x, score, se = points[["exaflops_total", "score", "se"]].to_numpy(float).T
    return {"x": x, "score": score, "low": score - Z95 * se, "high": score + Z95 * se, "x_last": x[-1]}


def compare_arms(curves: pd.DataFrame) -> pd.DataFrame:
    """The arms at equal total compute, highest first: for every start of several RL arms, at what all of these reach.

    ``curves`` is what ``arm_curves`` returns; every arm is compared, one that ended before with its best so far, one that lacks a
    standard error left out.  ``difference`` is to the highest there, with its 95 % interval from both errors, as if
    they were independent; ``may_lead`` says whether the arm may be the best there, with a family error of 5 %
    (``comparisons``).  Columns ``COMPARISON_COLUMNS``.
    """
    known = curves.groupby("arm", sort=False).filter(lambda rows: rows["se"].notna().all())
    of_arms = {arm: measured_curve(rows) for arm, rows in known.groupby("arm", sort=False)}
    names, compared = known[ARM].drop_duplicates("arm"), []
    dof = float(known["dof"].iloc[0]) if len(known) else math.inf
    for _, arms in names[names["algorithm"] != "sft"].groupby("start"):
        if len(arms) > 1:
            reached = min(of_arms[arm]["x_last"] for arm in arms["arm"])
            compared.append(
                budget.compare_at(reached, {arm: arm for arm in of_arms}, of_arms, dof, carry=True)
            )
    compared = sorted(filter(None, compared), key=lambda comparison: comparison["exaflops"])
    if not compared:
        return pd.DataFrame(columns=COMPARISON_COLUMNS)
    return pd.concat([against_highest(one, dof) for one in compared]).merge(names, on="arm")[
        COMPARISON_COLUMNS
    ]


def against_highest(comparison: dict, dof: float) -> pd.DataFrame:
    """The rows of a comparison at one budget, each with its difference to the first, the highest."""
    table = pd.DataFrame(
        [{"arm": row["group"], "score": row["score"], "low": row["ci95"][0], "high": row["ci95"][1]}
         for row in comparison["scores"]]
    )  # fmt: skip
    score, error = table["score"].to_numpy(), ((table["high"] - table["low"]) / (2 * Z95)).to_numpy()
    difference = score - score[0]
    half = half_width(np.hypot(error, error[0]), dof)
    half[0] = np.nan  # to itself there is none
    return table.assign(
        exaflops_total=comparison["exaflops"],
        difference=difference,
        difference_low=difference - half,
        difference_high=difference + half,
        may_lead=possible_bests(score, error, dof),
    )


def arm_summaries(
    gains: pd.DataFrame, runs: pd.DataFrame, results: pd.DataFrame, records: dict[str, dict]
) -> pd.DataFrame:
    """Every RL arm from its start to its end, on the test problems, pooled over its seeds; and what it took.

    ``gains``, ``runs`` and ``results`` are the tables of these names, ``records`` the ``run.json`` of every RL run.
    ``difference`` is paired by problem; its standard error and interval are those of ``pooling``.  Columns
    ``SUMMARY_COLUMNS``, and the means of what the runs logged: ``LOGGED`` and ``norm_<term>``.
    """
    overall = results[(results["benchmark"] == "overall") & (results["metric"] == "avg")]
    scores = overall.set_index(["run", "step"])["score"]
    last = overall.set_index("run")["score"]
    named, rows = identify(runs), []
    for run in runs[runs["run"].isin(records) & runs["run"].map(named["counts"])].to_dict("records"):
        paired = gains[(gains["run"] == run["run"]) & (gains["benchmark"] == "overall")].iloc[0]
        rows.append({
            **named.loc[run["run"], ARM], "status": run["status"],
            "start_score": scores[run["parent"], int(run["start_step"])], "end_score": last[run["run"]],
            "difference": paired["difference"], "se": paired["se"], "low": paired["low"], "high": paired["high"], **logged(records[run["run"]]),
        })  # fmt: skip
    if not rows:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    table = pd.DataFrame(rows)
    pooled = pool_over_seeds(table, ARM, "difference")
    low, high = interval_ends(pooled["difference"], pooled["se"])
    one = pooled["seeds"] == 1  # whose interval is its own, as in `gains`
    low, high = low.mask(one, pooled["low"]), high.mask(one, pooled["high"])
    statuses = table.groupby("arm")["status"].agg(shares)
    pooled = pooled.assign(low=low, high=high, status=pooled["arm"].map(statuses))
    return pooled[[*SUMMARY_COLUMNS, *(name for name in pooled if name not in SUMMARY_COLUMNS)]]


def logged(record: dict) -> dict[str, float]:
    """Of an RL run's ``run.json``: exaFLOPs, sampled tokens, and the means over the steps that logged the rest."""
    # A cosine of 0 is a step without imitation, or without the rest.
    log = pd.DataFrame(record["log"]).replace({"cosine": {0.0: np.nan}})
    counted = log.reindex(columns=["response_tokens", *STATUSES])
    tokens = (counted["response_tokens"] * counted[list(STATUSES)].sum(axis=1)).sum()
    means = {name: log[name].mean() for name in log if name in LOGGED or name.startswith("norm_")}
    return {"exaflops": record["exaflops"], "sampled_tokens": tokens, **means}


def shares(statuses: pd.Series) -> str:
    """How the seeds ended: one word, or how many ended how."""
    counts = Counter(statuses)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {name}" for name, n in counts.items())
