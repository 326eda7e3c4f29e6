"""RL runs as starts: the tables of points and runs, checked, and the runs of a start pooled.

A start is an SFT checkpoint, named ``<set>-<step>``, or ``base (<algorithm>)``.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from switchpoint import units
from switchpoint.analysis import budget, pairing
from switchpoint.analysis.comparisons import Z95, error_of_mean, spread_of_seeds
from switchpoint.analysis.identity import SAME_START
from switchpoint.analysis.points import FRACTIONS, HIGH_START, check_scores, fractions
from switchpoint.errors import InputError
from switchpoint.tables import check_columns, numbers, refuse

RUN_COLUMNS = ["run", "parent", "set", "algorithm", "seed", "start_step", "sft_exaflops", "status"]
ENDED = ("finished", "exhausted", "diverged")  # the last two are diagnosed
STATUSES = (*ENDED, "running", "stopped", "unfinished", "failed")
BASES = {
    "ceiling": "ceiling", "peak": "smoothed peak", "tested": "final test score", "final": "final score",
    "equal": "score at equal RL compute",
}  # fmt: skip
SAME_BUDGET = 1.1  # times; RL budgets nearer than this are equal


def check_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of runs, of which it has every column, with its compute by the program's name."""
    runs, _ = units.own_names(runs, "runs")
    check_columns(runs, RUN_COLUMNS, "runs")
    refuse(
        runs, runs["status"].notna() & ~runs["status"].isin(STATUSES), "status", f"give {', '.join(STATUSES)}"
    )
    parents = dict(zip(runs["run"], runs["parent"], strict=True))
    refuse(
        runs,
        runs["run"].map(lambda run: is_own_ancestor(run, parents)),
        "parent",
        "runs cannot start from each other; mend one",
    )
    return runs


def is_own_ancestor(run: str, parents: dict[str, str]) -> bool:
    """Whether the way from a run to what it starts from comes back to it."""
    above = run
    for _ in parents:
        above = parents.get(above)
        if above == run:
            return True
    return False


def rl_points(curves: pd.DataFrame, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The RL points of every RL run that has any, by compute; without the start's own score at 0."""
    curves, unit = units.own_names(curves, "curves")
    points, chosen = check_scores(curves, unit, "overall", "curves")
    refuse(curves, fractions(points[["score"]], chosen.where(chosen)), "score", FRACTIONS)
    for column in {"se", "n"} & set(curves):
        points[column] = pd.to_numeric(curves[column], errors="coerce").astype(float)
        bad = curves[column].notna() & ~points[column].between(0, math.inf, inclusive="left")
        refuse(curves, bad, column, "give a number of 0 or more, or leave it blank")
    points = points.reindex(columns=["run", "exaflops", "score", "se", "n"])
    if "phase" in curves:
        chosen &= curves["phase"] == "rl"
    refuse(curves, chosen & ~points["run"].isin(runs["run"].astype(str)), "run", "give its row in runs")
    points = points[chosen & (points["exaflops"] > 0)].assign(unit=unit)
    return {run: rows.sort_values("exaflops") for run, rows in points.groupby("run")}


def rl_runs(runs: pd.DataFrame, points: dict) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The RL runs with their ``start``, each seed of a start once; what to say of those left out; those of them cut short."""
    runs = runs.assign(run=runs["run"].astype(str))
    refuse(runs, runs["run"].duplicated(), "run", "it has a row already; keep one")
    unnamed = runs["algorithm"].isna() & runs["run"].isin(points)
    refuse(runs, unnamed, "algorithm", "name the RL algorithm (or sft): the curves have points of the run")
    is_rl = runs["algorithm"].notna() & (runs["algorithm"] != "sft")
    sequential = is_rl & (runs["parent"] != "base")
    refuse(runs, is_rl & runs["parent"].isna(), "parent", "name the SFT run, or base")
    refuse(runs, sequential & runs["set"].isna(), "set", "name the SFT set")
    refuse(runs, is_rl & runs["seed"].isna(), "seed", "number the runs of a start")
    refuse(runs, is_rl & runs["status"].isna(), "status", f"say how it ended: {', '.join(ENDED)}, ...")
    unknown = sequential & runs["sft_exaflops"].isna()
    runs["sft_exaflops"] = runs["sft_exaflops"].mask(unknown, 0.0)
    runs["sft_known"] = ~unknown
    unit = next((rows["unit"].iloc[0] for rows in points.values()), units.EXAFLOPS)
    cost = units.column_of(unit, "sft_exaflops")
    for column, name in (("start_step", "start_step"), ("sft_exaflops", cost)):
        runs[column] = numbers(runs.assign(**{name: runs[column].where(sequential, 0)}), name)
        refuse(units.in_names_of(unit, runs), runs[column] < 0, name, "give a number of 0 or more")
    refuse(runs, runs["start_step"] % 1 != 0, "start_step", "give the checkpoint's step, a whole number")
    runs["start"] = [
        f"{run.set}-{run.start_step:.0f}" if run.parent != "base" else f"base ({run.algorithm})"
        for run in runs.itertuples()
    ]
    runs["without"] = ~runs["run"].isin(points)
    # Two names of one start (a listed step that is also the minimum) are one run of that seed.
    rl = runs[is_rl].sort_values(["without", "run"])
    kept = rl.drop_duplicates(SAME_START)
    twice = rl[rl.duplicated(SAME_START)].merge(kept, on=SAME_START, suffixes=("", "_kept"))
    alike = [same_scores(points, run.run, run.run_kept) for run in twice.itertuples()]
    other = runs["run"].isin(twice.loc[[not same for same in alike], "run"])
    refuse(runs, other, "seed", "a run of this start and seed has other scores; number the seeds of a start")
    remarks = [
        f"{run.run} is {run.run_kept} under another name, and counts once." for run in twice.itertuples()
    ]
    if unknown.any():
        names = ", ".join(runs.loc[unknown, "run"])
        remarks.append(
            f"What SFT before {names} had cost is unknown ({cost} in runs), and left out of all compute."
        )
    remarks += [f"{run.run} ({run.status}) has no RL points." for run in kept[kept["without"]].itertuples()]
    left_out = cut_short(kept, points)
    remarks += [
        f"{run.run} ({run.status}) has less than half of the RL compute of the others, and is left out: run it on."
        for run in kept[left_out].itertuples()
    ]
    return kept[~left_out].sort_values("run"), remarks, kept.loc[left_out, "run"].tolist()


def cut_short(runs: pd.DataFrame, points: dict) -> pd.Series:
    """Mask of the runs that have not ended and spent less than half of the median of those that have, so that nothing is compared
    at what they reached: if they failed or still run, or another seed of their start went on.

    The median is that of an algorithm's runs from SFT checkpoints, or of those from the base; where none has ended, of those that
    did not fail.
    """
    ends = {run: rows["exaflops"].iloc[-1] for run, rows in points.items()}
    spent = runs["run"].map(ends).astype(float)
    ended = runs["status"].isin(ENDED) & spent.notna()
    kind = [runs["algorithm"], runs["parent"] == "base"]
    others = ended | (~ended.groupby(kind).transform("any") & (runs["status"] != "failed"))
    short = ~ended & (spent < spent.where(others).groupby(kind).transform("median") / 2)
    goes_on = runs["start"].isin(runs.loc[~short & spent.notna(), "start"])
    return short & (goes_on | runs["status"].isin(["failed", "running"]))


def same_scores(points: dict, first: str, second: str) -> bool:
    """Whether two runs have the same points; a run without any is no other."""
    if first not in points or second not in points:
        return True
    one, two = (points[run][["exaflops", "score"]].to_numpy(float) for run in (first, second))
    return one.shape == two.shape and bool(np.allclose(one, two))


def final_tests(results: pd.DataFrame | None, points: dict) -> tuple[dict[str, dict], dict[tuple, float]]:
    """score, se and n of every RL run's overall test score, by run; and the scores of what they start from, by (run, step).

    ``results`` is a ``results.csv``.  Of several tested steps of RL the last; InputError when a column is missing, no score, or all
    seem to be fractions beside ``points`` that are not (``rl_points``).
    """
    if results is None:
        return {}, {}
    check_columns(results, ["run", "phase", "step", "metric", "benchmark", "score", "se", "n"], "results")
    score = numbers(results, "score")
    refuse(results, ~score.between(0, 100), "score", "give points from 0 to 100")
    highest = max((rows["score"].max() for rows in points.values()), default=0.0)
    small = fractions(score.to_frame(), pd.Series(True, score.index)) & (highest > HIGH_START)
    refuse(results, small, "score", FRACTIONS)
    overall = results[(results["metric"] == "avg") & (results["benchmark"] == "overall")].sort_values("step")
    last = overall[overall["phase"] == "rl"].drop_duplicates("run", keep="last").set_index("run")
    starts = overall[overall["phase"] != "rl"]
    before = {(row.run, float(row.step)): float(row.score) for row in starts.itertuples()}
    return last[["score", "se", "n"]].to_dict("index"), before


def problems_of(
    problems: pd.DataFrame | None, runs: pd.DataFrame, results: pd.DataFrame | None, tests: dict
) -> dict[str, pd.DataFrame]:
    """``pairing.check_problems``, by run; none where no RL run was tested.  InputError without the test scores."""
    if problems is None:
        return {}
    if results is None:
        raise InputError("the problems need the test scores that they make up; give the results, too")
    return pairing.check_problems(problems, runs, tests) if tests else {}


def seed_results(
    table: pd.DataFrame,
    points: dict,
    fits: dict,
    phases: dict | None,
    tests: dict,
    before: dict,
    problems: dict,
) -> list[dict]:
    """``seed_result`` of every RL run of ``table`` that has points; ``tests`` and ``before`` of ``final_tests``, ``problems`` of
    ``pairing.check_problems``.  Where nothing is known of a run's errors they are the largest of the others' (``lent``)."""
    seeds = [
        seed_result(
            run,
            points[run["run"]],
            fits,
            phases,
            tests.get(run["run"]),
            before.get((run["parent"], float(run["start_step"]))),
            problems.get(run["run"]),
        )
        for run in table.to_dict("records")
        if run["run"] in points
    ]
    for key in ("last_se", "final_se", "tested_se"):
        largest = max((seed[key] for seed in seeds if seed[key] is not None), default=None)
        for seed in seeds:
            if seed[key] is None and largest is not None:
                seed[key] = largest
                seed["lent"].add(key)
    return seeds


def seed_result(
    run: dict,
    rows: pd.DataFrame,
    fits: dict,
    phases: dict | None,
    tested: dict | None = None,
    tested_before: float | None = None,
    problems: pd.DataFrame | None = None,
) -> dict:
    """One RL run: its start, its ceiling, its peak, its test score and its last score, each with a standard error; and the
    scores before it.  InputError when its fit is of other points."""
    fit, last = fits["runs"].get(run["run"]) or {}, rows.iloc[-1]
    n = (tested or last)["n"] if problems is None else len(problems)
    check_fit(fit, run["run"], last)
    low, high = fit.get("a_ci95") or [None, None]
    identified = fit.get("a") is not None and low is not None and high is not None
    # Without an error of its own, a score has that of the run's scores around their curve; if they are all the same, none.
    flags = fit.get("flags") or []
    stands_in = pd.isna(last["se"]) and fit.get("noise_sd") is not None and "constant_scores" not in flags
    error = fit["noise_sd"] if stands_in else None if pd.isna(last["se"]) else float(last["se"])
    labels = ((phases or {}).get("runs", {}).get(run["parent"]) or {}).get("guarded", {})
    band = budget.curve_of(fit)
    apart = "last_apart" in flags and band is not None
    return {
        "points": rows,
        "problems": problems if tested else None,
        "band": band if band is not None and fit.get("status") != "collapsed" else None,
        **{
            key: run[key]
            for key in (
                "run",
                "parent",
                "set",
                "algorithm",
                "start",
                "start_step",
                "sft_exaflops",
                "sft_known",
            )
        },
        "status": str(run["status"]),
        "phase": "base" if run["parent"] == "base" else labels.get(f"{run['start_step']:.0f}", "unlabelled"),
        "rl_exaflops": float(last["exaflops"]),
        "unit": last["unit"],
        "ceiling": fit["a"] if identified else None,
        "ceiling_se": (high - low) / (2 * Z95) if identified else None,
        "last_se": error,
        "before": fit.get("p_start"),
        "tested_before": tested_before,
        "peak": budget.smoothed_peak(*rows[["exaflops", "score"]].to_numpy(float).T)[1],
        "tested": tested and float(tested["score"]),
        "tested_se": float(tested["se"]) if tested and pd.notna(tested["se"]) else None,
        # The curve's, where the last evaluation is an outlier by all others.
        "final": budget.value_at(band, band["x_last"])["score"] if apart else float(last["score"]),
        "last_apart": float(last["score"]) if apart else None,
        "final_se": error,
        "n": int(n) if pd.notna(n) else None,
        "n_points": len(rows),
        "noise_stands_in": stands_in,
        "lent": set(),
        "fit": fit,
    }


def check_fit(fit: dict, run: str, last: pd.Series) -> None:
    """Raises InputError when a run's fit ends at another point than its curve."""
    for key, column in (("x_last", "exaflops"), ("score_last", "score")):
        if fit.get(key) is not None and not math.isclose(fit[key], last[column], rel_tol=1e-6):
            raise InputError(
                f"the ceilings are of other curves: {run} ends at {last[column]:g}, its fit at {fit[key]:g}; fit these curves"
            )


def commonest_algorithm(seeds: list[dict]) -> str | None:
    """The algorithm with the most SFT checkpoints as starts, of equals the first by name; or None."""
    starts = {(seed["algorithm"], seed["start"]) for seed in seeds if seed["parent"] != "base"}
    count = Counter(algorithm for algorithm, _ in starts)
    return min(count, key=lambda algorithm: (-count[algorithm], algorithm), default=None)


def is_candidate(seed: dict, algorithm: str | None) -> bool:
    """Whether the run starts from an SFT checkpoint, with the algorithm."""
    return seed["parent"] != "base" and seed["algorithm"] == algorithm


def at_budget(seed: dict, spent: float) -> dict:
    """The seed with its smoothed peak up to that much RL compute, and ``equal``, its score there: that of its curve, else
    of the evaluation nearest to it."""
    rows = seed["points"]
    reached = rows[rows["exaflops"] <= spent * (1 + 1e-9)]
    reached = reached if len(reached) else rows.iloc[:1]
    peak = budget.smoothed_peak(*reached[["exaflops", "score"]].to_numpy(float).T)[1]
    if seed["band"] is not None:
        there = budget.value_at(seed["band"], spent)
        equal, error = there["score"], (there["high"] - there["low"]) / (2 * Z95)
    else:
        nearest = rows.iloc[(rows["exaflops"] - spent).abs().argmin()]
        equal, error = float(nearest["score"]), seed["last_se"]
        error = error if pd.isna(nearest["se"]) else float(nearest["se"])
    return {**seed, "peak": peak, "peak_se": seed["last_se"], "equal": equal, "equal_se": error}


def common_budget(seeds: list[dict]) -> float:
    """The RL compute that all of them reach."""
    return min(seed["rl_exaflops"] for seed in seeds)


def pool_by_start(seeds: list[dict], spent: float | None = None, beside: Sequence[dict] = ()) -> list[dict]:
    """The starts, each pooled over its seeds, at ``spent`` RL compute (without it what all of them reach).

    The errors of their test scores are those for comparing them with each other and with the starts of the seeds ``beside``,
    where all problems of these are known (``paired``).
    """
    if not seeds:
        return []
    spent = common_budget(seeds) if spent is None else spent
    unequal = max(seed["rl_exaflops"] for seed in seeds) > SAME_BUDGET * spent
    groups = {}
    for seed in seeds:
        groups.setdefault(seed["start"], []).append(
            at_budget(seed, spent if unequal else seed["rl_exaflops"])
        )
    spreads = {
        key: spread_of_seeds([[seed[key] for seed in group] for group in groups.values()]) for key in BASES
    }
    paired = pairing.errors_of_starts([*seeds, *beside])
    return [
        pool_seeds(start, group, spreads, paired.get(start), spent if unequal else math.inf)
        | {"compared_at": spent, "unequal": unequal}
        for start, group in sorted(groups.items())
    ]


def pool_seeds(
    start: str,
    seeds: list[dict],
    spreads: dict[str, tuple[float, float]],
    paired: tuple[float, float] | None,
    spent: float,
) -> dict:
    """One start: its seeds' mean compute, and what they pool to on every basis, with its error.

    ``exaflops`` is its compute up to ``spent`` of RL, as far as starts are compared: one that ran less is no cheaper for it.
    """
    sft, rl = (math.fsum(seed[key] for seed in seeds) / len(seeds) for key in ("sft_exaflops", "rl_exaflops"))
    pooled = {
        "start": start,
        "set": seeds[0]["set"] if seeds[0]["parent"] != "base" else start,
        "algorithm": seeds[0]["algorithm"],
        "start_step": seeds[0]["start_step"],
        "sft_known": all(bool(seed["sft_known"]) for seed in seeds),
        "runs": [seed["run"] for seed in seeds],
        "phase": " or ".join(sorted({seed["phase"] for seed in seeds})),
        "sft_exaflops": sft,
        "rl_exaflops": rl,
        "exaflops": sft + min(rl, spent),
        "unit": seeds[0]["unit"],
        "n": min((seed["n"] for seed in seeds if seed["n"]), default=None),
        "n_points": min(seed["n_points"] for seed in seeds),
        "paired": paired is not None,
        "collapsed": [seed["run"] for seed in seeds if seed["fit"].get("status") == "collapsed"],
        "unfinished": [f"{seed['run']} ({seed['status']})" for seed in seeds if seed["status"] not in ENDED],
    }
    for key, spread in spreads.items():
        before = [seed["tested_before" if key == "tested" else "before"] for seed in seeds]
        pooled |= mean_over_seeds(seeds, key, *spread, paired if key == "tested" else None)
        pooled[f"{key}_before"] = None if None in before else math.fsum(before) / len(before)
    return pooled


def mean_over_seeds(
    seeds: list[dict], key: str, sd: float, dof: float, paired: tuple[float, float] | None = None
) -> dict:
    """The mean over seeds as ``key``, its standard error (``_se``), the seeds' mean own one (``_own``), the spread of seeds
    (``_sd``) with its degrees of freedom (``_dof``, None for assumed), and what limits the error (``_limit``): ``seeds`` or
    ``evaluation``.  ``paired`` of ``pairing.errors_of_starts`` takes the place of the seeds' own errors.
    """
    n = len(seeds)
    values, errors = [seed[key] for seed in seeds], [seed[f"{key}_se"] for seed in seeds]
    names = [key, *(f"{key}_{name}" for name in ("se", "own", "sd", "dof", "limit"))]
    if None in values:
        return dict.fromkeys(names)
    own, lasting = paired or (None if None in errors else math.fsum(errors) / n, 0.0)
    error = error_of_mean(own, n, sd, dof, lasting)
    limit = None if error is None else "seeds" if own is None or sd > own * math.sqrt(n) else "evaluation"
    found = [math.fsum(values) / n, error, own, sd, None if math.isinf(dof) else dof, limit]
    return dict(zip(names, found, strict=True))
