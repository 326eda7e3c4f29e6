"""Where to start RL: the cheapest of the checkpoints that no other beats significantly.

A start is an SFT checkpoint (set and step); its estimate is the ceiling of its RL runs where the
data identify it, else the score of their last point, averaged over seeds.  Starts within 1.96
combined standard errors of the highest estimate are tied with it.

Deviations
----------
The paper takes the highest fitted ceiling.  The maximum over noisy estimates is biased upwards,
and neighbouring checkpoints often differ by less than their errors; cost decides between those.
"""

import math

import pandas as pd

from switchpoint.checks import check_columns, numbers

Z95 = 1.96
BUDGET_TOLERANCE = 1.1
RUN_COLUMNS = ["run", "parent", "set", "algorithm", "seed", "start_step", "sft_exaflops", "status"]


def advise(
    curves: pd.DataFrame, runs: pd.DataFrame, fits: dict, phases: dict, algorithm: str | None = None
) -> dict:
    """Where to start RL, with the reasons.

    Parameters
    ----------
    curves : DataFrame
        ``curves.csv``; its ``overall`` rows of phase rl are used (all rows without ``benchmark``).
    runs : DataFrame
        ``runs.csv``; an RL run with parent ``base`` is pure RL.
    fits, phases : dict
        What ``fit_curves`` and ``label_phases`` return.
    algorithm : str, optional
        The RL algorithm to advise on; by default the one with the most starts.

    Returns
    -------
    dict
        ``verdict`` (``start_here`` or ``insufficient_data``, then ``needed`` says what is missing),
        ``recommended``, ``best``, ``tied`` (names of starts), ``candidates``, ``comparison`` with
        pure RL, ``diagnoses`` and ``reasons``.  Strict JSON; scores and errors in points.

    Raises
    ------
    InputError
        Naming the missing column, or the row that holds no number.
    """
    seeds = _seed_results(curves, runs, fits, phases)
    sequential = [seed for seed in seeds if seed["parent"] != "base"]
    if algorithm is None and sequential:
        starts = {(seed["algorithm"], seed["start"]) for seed in sequential}
        count = pd.Series([name for name, _ in sorted(starts)]).value_counts()
        algorithm = min(count.index, key=lambda name: (-count[name], name))
    candidates = _candidates([seed for seed in sequential if seed["algorithm"] == algorithm])
    from_base = [seed for seed in seeds if seed["parent"] == "base"]
    pure = [
        _candidates([seed for seed in from_base if seed["algorithm"] == name])[0] | {"algorithm": name}
        for name in sorted({seed["algorithm"] for seed in from_base})
    ]
    pure.sort(key=lambda run: -run["estimate"])
    needed = _needed(candidates)
    ranked = sorted(candidates, key=lambda start: (-start["estimate"], start["exaflops"], start["start"]))
    best = ranked[0] if ranked else None
    tied = [] if needed else [start for start in ranked if not _worse(start, best, "estimate")]
    recommended = min(tied, key=lambda start: (start["exaflops"], start["start"]), default=None)
    comparison = _compare(best, pure[0]) if best and pure else None
    diagnoses = _diagnoses(candidates)
    return {
        "verdict": "insufficient_data" if needed else "start_here",
        "algorithm": algorithm,
        "recommended": recommended["start"] if recommended else None,
        "best": best["start"] if best and not needed else None,
        "tied": [start["start"] for start in tied],
        "needed": needed,
        "reasons": _reasons(ranked, tied, recommended, comparison, diagnoses),
        "comparison": comparison,
        "diagnoses": diagnoses,
        "candidates": ranked,
    }


def _seed_results(curves: pd.DataFrame, runs: pd.DataFrame, fits: dict, phases: dict) -> list[dict]:
    """One entry per RL run that has points: its start, its last point, its ceiling."""
    check_columns(runs, RUN_COLUMNS, "runs")
    check_columns(curves, ["run", "phase", "exaflops", "score", "se"], "curves")
    curves = curves.assign(exaflops=numbers(curves, "exaflops"), score=numbers(curves, "score"))
    chosen = curves["phase"] == "rl"
    if "benchmark" in curves:
        chosen &= curves["benchmark"] == "overall"
    last = curves[chosen].sort_values("exaflops").groupby("run").tail(1).set_index("run")
    is_rl = runs["run"].isin(last.index)
    sequential = is_rl & (runs["parent"] != "base")
    for column in ("start_step", "sft_exaflops"):
        runs = runs.assign(**{column: runs[column].where(sequential, 0)})
        runs[column] = numbers(runs, column)
    # Two names of one start (a listed step that is also the minimum) are one run of that seed.
    rl = runs[is_rl].sort_values("run").drop_duplicates(["algorithm", "parent", "start_step", "seed"])
    results = []
    for run in rl.to_dict("records"):
        point, fit = last.loc[run["run"]], fits["runs"].get(run["run"], {})
        low, high = fit.get("a_ci95", [None, None])
        identified = fit.get("a") is not None and low is not None and high is not None
        labels = phases["runs"].get(run["parent"], {}).get("guarded", {})
        pure = run["parent"] == "base"
        results.append(
            {
                "run": run["run"],
                "parent": run["parent"],
                "algorithm": run["algorithm"],
                "start": "base" if pure else f"{run['set']}-{run['start_step']:.0f}",
                "phase": "base" if pure else labels.get(f"{run['start_step']:.0f}", "unlabelled"),
                "sft_exaflops": run["sft_exaflops"],
                "rl_exaflops": float(point["exaflops"]),
                "final": float(point["score"]),
                "final_se": float(point["se"]) if pd.notna(point["se"]) else None,
                "ceiling": fit["a"] if identified else None,
                "ceiling_se": (high - low) / (2 * Z95) if identified else None,
                "collapsed": fit.get("status") == "collapsed",
                "status": str(run["status"]),
            }
        )
    return results


def _candidates(seeds: list[dict]) -> list[dict]:
    """The starts, each pooled over its seeds."""
    groups = {}
    for seed in seeds:
        groups.setdefault(seed["start"], []).append(seed)
    return [_pool(start, group) for start, group in sorted(groups.items())]


def _pool(start: str, seeds: list[dict]) -> dict:
    final, final_se = _mean(seeds, "final")
    identified = all(seed["ceiling"] is not None for seed in seeds)
    ceiling, ceiling_se = _mean(seeds, "ceiling") if identified else (None, None)
    sft, rl = _mean(seeds, "sft_exaflops")[0], _mean(seeds, "rl_exaflops")[0]
    return {
        "start": start,
        "runs": [seed["run"] for seed in seeds],
        "phase": " or ".join(sorted({seed["phase"] for seed in seeds})),
        "basis": "ceiling" if identified else "final score",
        "estimate": ceiling if identified else final,
        "estimate_se": ceiling_se if identified else final_se,
        "final": final,
        "final_se": final_se,
        "ceiling": ceiling,
        "ceiling_se": ceiling_se,
        "sft_exaflops": sft,
        "rl_exaflops": rl,
        "exaflops": sft + rl,
        "collapsed": [seed["run"] for seed in seeds if seed["collapsed"]],
        "unfinished": [f"{seed['run']} ({seed['status']})" for seed in seeds if seed["status"] != "finished"],
    }


def _mean(seeds: list[dict], key: str) -> tuple[float, float | None]:
    """Mean over seeds and its standard error: the larger of the seeds' mean own and of their spread.

    The seeds are evaluated on the same problems, so their own errors do not average out.
    """
    n = len(seeds)
    values, errors = [seed[key] for seed in seeds], [seed.get(f"{key}_se") for seed in seeds]
    mean = math.fsum(values) / n
    found = []
    if None not in errors:
        found.append(math.fsum(errors) / n)
    if n > 1:
        found.append(math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n))
    return mean, max(found, default=None)


def _needed(candidates: list[dict]) -> str | None:
    """What is missing for a recommendation; None when nothing is."""
    if len(candidates) < 2:
        return f"RL runs of one algorithm from at least 2 SFT checkpoints; there are {len(candidates)}"
    without = [start["start"] for start in candidates if start["estimate_se"] is None]
    if without:
        return f"standard errors (column se of the curves, or a second seed) for {', '.join(without)}"
    return None


def _worse(start: dict, best: dict, key: str) -> bool:
    """Whether ``start`` lies more than 1.96 combined standard errors below ``best``."""
    if start is best:
        return False
    return best[key] - start[key] > Z95 * math.hypot(start[f"{key}_se"], best[f"{key}_se"])


def _compare(best: dict, pure: dict) -> dict:
    """The best start against pure RL, on ceilings when both have one, else on final scores."""
    both = best["ceiling"] is not None and pure["ceiling"] is not None
    key = "ceiling" if both else "final"
    errors = best[f"{key}_se"], pure[f"{key}_se"]
    error = None if None in errors else math.hypot(*errors)
    difference = best[key] - pure[key]
    return {
        "basis": "ceiling" if both else "final score",
        "start": best["start"],
        "sequential": best[key],
        "pure_rl_algorithm": pure["algorithm"],
        "pure_rl": pure[key],
        "difference": difference,
        "se": error,
        "significant": None if error is None else abs(difference) > Z95 * error,
        "sequential_exaflops": best["exaflops"],
        "pure_rl_exaflops": pure["exaflops"],
    }


def _diagnoses(candidates: list[dict]) -> list[dict]:
    """Named failures with their evidence; the first two compare final scores."""
    found = []
    scored = [start for start in candidates if start["final_se"] is not None]
    best = max(scored, key=lambda start: start["final"], default=None)
    for name, phase in (("premature_saturation", "adaptive"), ("plasticity_collapse", "severe")):
        for start in scored:
            if start["phase"] == phase and _worse(start, best, "final"):
                gap, error = best["final"] - start["final"], math.hypot(start["final_se"], best["final_se"])
                evidence = (
                    f"{start['start']} ({phase}) ends at {start['final']:.1f}, {gap:.1f} points "
                    f"(se {error:.1f}) below {best['start']} ({best['phase']})"
                )
                found.append({"name": name, "start": start["start"], "evidence": evidence})
    for start in candidates:
        for run in start["collapsed"]:
            evidence = f"the scores of {run} collapse at its end and stay there"
            found.append({"name": "collapsed_tail", "start": start["start"], "evidence": evidence})
    return found


def _reasons(
    ranked: list[dict], tied: list[dict], chosen: dict | None, comparison: dict | None, diagnoses: list[dict]
) -> list[str]:
    """The numbers behind the advice, a sentence each."""
    reasons = [_describe(start) for start in ranked]
    if chosen:
        best = ranked[0]
        reasons.append(
            f"{best['start']} has the highest estimate; {len(tied)} of {len(ranked)} starts are within "
            f"{Z95} standard errors of it: {', '.join(start['start'] for start in tied)}."
        )
        reasons.append(
            f"{chosen['start']} is the cheapest of these: {chosen['exaflops']:.4g} exaFLOPs "
            f"({chosen['sft_exaflops']:.4g} SFT, {chosen['rl_exaflops']:.4g} RL)."
        )
    if len({start["basis"] for start in ranked}) > 1:
        reasons.append("Some ceilings are unidentified: a final score only bounds its ceiling from below.")
    budgets = [start["rl_exaflops"] for start in ranked]
    if budgets and max(budgets) > BUDGET_TOLERANCE * min(budgets):
        reasons.append(
            f"RL budgets differ, {min(budgets):.4g} to {max(budgets):.4g} exaFLOPs: so may scores."
        )
    reasons += [f"{name} did not finish." for start in ranked for name in start["unfinished"]]
    if comparison:
        verdict = {True: "significant", False: "not significant", None: "standard error unknown"}
        error = "" if comparison["se"] is None else f" (se {comparison['se']:.1f})"
        reasons.append(
            f"Against pure RL ({comparison['pure_rl_algorithm']}), {comparison['start']} differs by {comparison['difference']:+.1f} points{error} "
            f"in {comparison['basis']}: {verdict[comparison['significant']]}."
        )
    return reasons + [f"{diagnosis['name']}: {diagnosis['evidence']}." for diagnosis in diagnoses]


def _describe(start: dict) -> str:
    error = "unknown" if start["estimate_se"] is None else f"{start['estimate_se']:.1f}"
    seeds = f"{len(start['runs'])} seed{'s' if len(start['runs']) > 1 else ''}"
    return (
        f"{start['start']} ({start['phase']} phase): {start['basis']} {start['estimate']:.1f} "
        f"(se {error}, {seeds}) for {start['exaflops']:.4g} exaFLOPs."
    )
