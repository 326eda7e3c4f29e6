"""Where to start RL: the cheapest of the checkpoints that may be the best, and what to do next.

The rule.  A start is an SFT checkpoint (set and step), pooled over its seeds.  All starts are compared
on one basis: the ceilings where the data identify every one; else the peaks of the smoothed scores
where a run collapsed, whose last score says nothing of its start; else the last scores.  A start is
excluded when another beats it by more than chance explains, corrected for picking the best of
several (``comparisons``): with probability 95 % the truly best start is not excluded.  The others are tied.

- ``start_here``: at least one start is excluded, or the cheapest tied start lies at most 3 points
  below the best (95 % bound).  It is the advice.
- ``insufficient_data``: fewer than two starts, a start without an error, or no start is excluded and
  the cheapest may lie more than 3 points below the best.  ``needed`` says what would settle it.

Without any RL run a ranking by predictors gives its favourite, marked as such.

Deviations
----------
The paper takes the highest fitted ceiling.  The maximum over noisy estimates is biased upwards,
and neighbouring checkpoints often differ by less than their errors; cost decides between those.
The paper reads premature saturation and plasticity collapse off its figures; here they are
significant differences between starts of one SFT set.
"""

import math

import numpy as np
import pandas as pd

from switchpoint.analysis import budget, starts
from switchpoint.analysis.comparisons import FAMILY_ERROR, critical, loss_bound, possible_bests
from switchpoint.analysis.instability import instability
from switchpoint.analysis.starts import BASES

MAX_LOSS = 3.0  # points; a choice that may cost more is none
BUDGET_TOLERANCE = 1.1


def advise(
    curves: pd.DataFrame,
    runs: pd.DataFrame,
    fits: dict,
    phases: dict | None = None,
    predictors: dict | None = None,
    reference: str | None = None,
) -> dict:
    """Where to start RL, which runs to continue, and how the starts compare; with the reasons.

    ``curves`` is a ``curves.csv`` (of which the ``overall`` rows of phase rl are used), or has the columns
    run, exaflops, score and optionally se, n; a row at exaflops 0 is the start's own score.  ``runs`` has
    the columns ``RUN_COLUMNS``: algorithms other than sft are RL, and parent ``base`` is the base model.
    ``fits`` is what ``fit_curves`` returns, ``phases`` what ``label_phases`` returns, ``predictors`` what
    ``ranking.rank`` returns (used when no RL run starts from an SFT checkpoint), ``reference`` the RL
    run whose instability the others' is divided by.

    Strict JSON; scores and errors in points: ``verdict``, ``headline``, ``needed`` (None but for
    ``insufficient_data``), ``algorithm`` (the one with the most starts), ``basis``, ``family_error``,
    ``recommended``, ``best``, ``tied`` (starts, highest first), ``max_loss`` (95 % bound on what the
    recommended, else the cheapest tied, start lies below the best), ``reasons``, ``comparison`` with RL from
    the base model, ``diagnoses``, ``candidates`` (highest first); ``stop_continue`` (``continue_or_stop`` of
    every run), ``equal_compute`` (with ``omitted`` runs, which have no curve); ``crossovers`` of the
    recommended start (else of the highest) with every other, in RL and in total compute, and
    ``compute_to_reach`` its last fitted score; ``instability``.  InputError names the column, row or run.
    """
    points = starts.rl_points(curves, runs)
    table, remarks = starts.rl_runs(runs, points)
    seeds = starts.seed_results(table, points, fits, phases)
    algorithm = starts.commonest_algorithm(seeds)
    candidates = starts.pool_by_start([seed for seed in seeds if starts.is_candidate(seed, algorithm)])
    from_base = starts.pool_by_start([seed for seed in seeds if seed["parent"] == "base"])
    by_predictor = predictors and algorithm is None
    choice = choose_by_predictor(predictors) if by_predictor else choose_start(candidates)
    comparison = compare_with_pure_rl(candidates, from_base)
    diagnoses = diagnose(candidates, seeds)
    continuations = [
        budget.continue_or_stop(seed["run"], seed["fit"], points[seed["run"]], seed["status"])
        for seed in seeds
    ]
    compute = compare_at_equal_compute([*candidates, *from_base], target_of(choice, candidates), fits)
    stability = instability(points, table, reference)
    choice["reasons"] += [
        *remarks,
        *seed_words(seeds, fits),
        *comparison_words(comparison),
        *(f"{diagnosis['name']}: {diagnosis['evidence']}." for diagnosis in diagnoses),
        *continuation_words(continuations),
        *compute.pop("words"),
        *stability["words"],
    ]
    return {
        **choice,
        "algorithm": algorithm,
        "comparison": comparison,
        "diagnoses": diagnoses,
        "stop_continue": continuations,
        **compute,
        "instability": stability,
    }


def target_of(choice: dict, candidates: list[dict]) -> str | None:
    """The start that the others are set against: the recommended one, else the highest."""
    target = max(
        candidates,
        key=lambda start: (start["start"] == choice["recommended"], start["estimate"]),
        default=None,
    )
    return target["start"] if target else None


def choose_start(candidates: list[dict]) -> dict:
    """The rule of the module's docstring on the pooled starts."""
    basis = comparison_basis(candidates)
    for start in candidates:
        start["estimate"], start["estimate_se"] = start[basis], start[f"{basis}_se"]
    ranked = sorted(candidates, key=lambda start: (-start["estimate"], start["exaflops"], start["start"]))
    needed, tied, recommended, loss = missing_data(ranked), [], None, None
    if not needed:
        estimates, errors = (
            np.array([start[key] for start in ranked]) for key in ("estimate", "estimate_se")
        )
        tied = [ranked[i] for i in np.flatnonzero(possible_bests(estimates, errors))]
        recommended = min(tied, key=lambda start: (start["exaflops"], start["start"]))
        loss, rival = loss_bound(estimates, errors, ranked.index(recommended))
        if len(tied) == len(ranked) and loss > MAX_LOSS:
            needed = data_that_settle(recommended, ranked[rival], critical(errors, rival), basis, loss)
    reasons = [*(start_words(start, basis) for start in ranked), *basis_words(ranked, basis)]
    if needed:
        recommended = None
    else:
        reasons += choice_words(ranked, tied, recommended, loss)
    return {
        "verdict": "insufficient_data" if needed else "start_here",
        "headline": f"Start RL from {recommended['start']}." if recommended else "Insufficient data.",
        "recommended": recommended["start"] if recommended else None,
        "best": ranked[0]["start"] if not needed else None,
        "tied": [start["start"] for start in tied],
        "max_loss": loss,
        "basis": BASES[basis],
        "family_error": FAMILY_ERROR,
        "needed": needed,
        "reasons": reasons,
        "candidates": ranked,
    }


def comparison_basis(compared: list[dict]) -> str:
    """What all starts are compared on."""
    if all(start["ceiling"] is not None for start in compared):
        return "ceiling"
    return "peak" if any(start["collapsed"] for start in compared) else "final"


def missing_data(candidates: list[dict]) -> str | None:
    """What is missing for any comparison; None when nothing is."""
    if len(candidates) < 2:
        return f"RL runs of one algorithm from at least 2 SFT checkpoints; there are {len(candidates)}"
    without = [start["start"] for start in candidates if start["estimate_se"] is None]
    if without:
        return (
            f"standard errors (column se of the curves, a second seed, or 5 points for a fit) "
            f"for {', '.join(without)}"
        )
    return None


def data_that_settle(chosen: dict, rival: dict, limit: float, basis: str, loss: float) -> str:
    """What would settle whether ``rival`` beats ``chosen``, in numbers.

    Either the present gap becomes significant or the bound on the loss falls to ``MAX_LOSS``,
    whichever takes less; errors fall with the square root of the data.
    """
    error = math.hypot(chosen["estimate_se"], rival["estimate_se"])
    gap = rival["estimate"] - chosen["estimate"]
    goal = max(gap, MAX_LOSS - gap) / limit
    factor = (error / goal) ** 2
    pair = [chosen, rival]
    if any(start[f"{basis}_limit"] == "seeds" for start in pair):
        now = min(len(start["runs"]) for start in pair)
        way = f"about {math.ceil(now * factor)} seeds per start (now {now})"
    elif basis == "ceiling":
        now = min(start["n_points"] for start in pair)
        way = f"about {math.ceil(now * factor)} evaluations per RL run (now {now})"
    else:
        now = min((start["n"] for start in pair if start["n"]), default=None)
        size = (
            f"about {math.ceil(now * factor)} problems (now {now})" if now else f"{factor:.1f} times the size"
        )
        way = f"evaluations of {size}"
    longer = [
        f"{start['start']} to {2 * start['rl_exaflops']:.4g} exaFLOPs"
        for start in pair
        if start["ceiling"] is None
    ]
    if longer:
        way += f", or RL twice as long to identify the ceilings ({', '.join(longer)})"
    return (
        f"no start is excluded and {chosen['start']}, the cheapest, may lie {loss:.1f} points below "
        f"{rival['start']}; the standard error of their difference, now {error:.2f}, has to fall to "
        f"{goal:.2f} points: {way}"
    )


def choose_by_predictor(ranking: dict) -> dict:
    """The favourite of a ranking before any RL; the cheapest where several share the first place."""
    models = [model for model in ranking["models"] if model["place"] is not None]
    tied = [model for model in models if model["place"] == 1]
    chosen = min(tied, key=lambda model: (model.get("exaflops", math.inf), model["model"]))["model"]
    predictor = ranking["predictor"]
    shown = ", ".join(f"{model['model']} {model[predictor]:.1f}" for model in models)
    known = ranking.get("noise", {}).get("errors", {}).get(predictor) is not None
    meant = "Its errors are of the evaluations, not of what RL adds" if known else "A ranking has no error"
    return {
        "verdict": "start_here",
        "headline": f"Start RL from {chosen}, by {predictor} alone: no RL was run.",
        "recommended": chosen,
        "best": models[0]["model"],
        "tied": [model["model"] for model in tied],
        "max_loss": None,
        "basis": f"predictor {predictor}",
        "family_error": None,
        "needed": None,
        "reasons": [
            f"No RL was run from an SFT checkpoint. By {predictor}: {shown}; {ranking['n_dropped']} dropped.",
            f"{meant}: RL from {' and '.join(model['model'] for model in models[:2])} would test it.",
        ],
        "candidates": [],
    }


def compare_with_pure_rl(candidates: list[dict], from_base: list[dict]) -> dict | None:
    """The best start against the best RL from the base model, on one basis.

    The critical value allows for the best being picked among its kind, 5 % in both directions.
    """
    if not candidates or not from_base:
        return None
    key = comparison_basis([*candidates, *from_base])
    highest, pure = (max(kind, key=lambda start: start[key]) for kind in (candidates, from_base))
    difference = highest[key] - pure[key]
    errors = [start[f"{key}_se"] for start in (*candidates, pure)]
    error = significant = None
    if None not in errors:
        error = math.hypot(highest[f"{key}_se"], pure[f"{key}_se"])
        limit = critical(np.array(errors), len(candidates), FAMILY_ERROR / 2)
        significant = abs(difference) > limit * error
    return {
        "basis": BASES[key],
        "start": highest["start"],
        "sequential": highest[key],
        "pure_rl_algorithm": pure["algorithm"],
        "pure_rl": pure[key],
        "difference": difference,
        "se": error,
        "significant": significant,
        "sequential_exaflops": highest["exaflops"],
        "pure_rl_exaflops": pure["exaflops"],
    }


def diagnose(candidates: list[dict], seeds: list[dict]) -> list[dict]:
    """Named failures with their evidence.

    The first two are starts excluded against the best of the same SFT set, so that no phase is blamed
    for its data.
    """
    diagnoses = []
    for name, phase in (("premature_saturation", "adaptive"), ("plasticity_collapse", "severe")):
        for start, highest in excluded_starts(candidates):
            if start["phase"] == phase:
                diagnoses.append(
                    {"name": name, "start": start["start"], "evidence": gap_words(start, highest)}
                )
    for seed in seeds:
        peak, last = f"{seed['peak']:.1f}", f"{seed['final']:.1f} at {seed['rl_exaflops']:.4g} exaFLOPs"
        evidence = {
            "collapsed_tail": f"the scores of {seed['run']} fall from a smoothed peak of {peak} to {last}",
            "exhausted": f"{seed['run']} ran out of prompts with both right and wrong answers, at {last}",
            "diverged": f"the loss of {seed['run']} stopped being finite; it scores {last}",
        }
        named = [seed["status"], "collapsed_tail" if seed["fit"].get("status") == "collapsed" else None]
        diagnoses += [
            {"name": name, "start": seed["start"], "evidence": evidence[name]}
            for name in evidence
            if name in named
        ]
    return diagnoses


def excluded_starts(candidates: list[dict]) -> list[tuple[dict, dict]]:
    """(start, best of its set) of the starts that cannot be the best of their SFT set."""
    pairs = []
    for name in sorted({start["set"] for start in candidates}):
        group = [start for start in candidates if start["set"] == name and start["estimate_se"] is not None]
        if group:
            estimates, errors = (
                np.array([start[key] for start in group]) for key in ("estimate", "estimate_se")
            )
            excluded = ~possible_bests(estimates, errors)
            pairs += [(group[i], group[estimates.argmax()]) for i in np.flatnonzero(excluded)]
    return pairs


def gap_words(start: dict, highest: dict) -> str:
    """How far a start lies below another."""
    gap = highest["estimate"] - start["estimate"]
    error = math.hypot(start["estimate_se"], highest["estimate_se"])
    return (
        f"{start['start']} ({start['phase']}) reaches {start['estimate']:.1f}, {gap:.1f} points "
        f"(se {error:.1f}) below {highest['start']} ({highest['phase']})"
    )


def compare_at_equal_compute(compared: list[dict], target: str | None, fits: dict) -> dict:
    """``equal_compute``, ``crossovers`` and ``compute_to_reach`` of the starts that have curves, and words.

    The last two set every other start against ``target``: where the two cross, and
    what RL compute the other needs for the score that the target's curve ends at.
    """
    curves, totals, omitted = {}, {}, []
    for start in compared:
        seed_curves = {run: budget.curve_of(fits["runs"].get(run) or {}) for run in start["runs"]}
        omitted += [run for run, curve in seed_curves.items() if curve is None]
        if seeds := [curve for curve in seed_curves.values() if curve is not None]:
            curves[start["start"]] = budget.pool_curves(seeds)
            totals[start["start"]] = budget.pool_curves(seeds, start["sft_exaflops"])
    equal = budget.equal_compute([start for start in compared if start["start"] in curves], curves, totals)
    words = [
        f"{name}: {max(rows, key=lambda row: (row['n_measured'], row['exaflops']))['words']}"
        for name, rows in (("Equal RL compute", equal["rl"]), ("Equal total compute", equal["total"]))
        if rows
    ]
    if omitted:
        words.append(f"Without a fitted curve, and so not compared at equal compute: {', '.join(omitted)}.")
    crossings, reach = [], None
    if target in curves:
        crossings = [
            crossing_of(target, other, along, axis)
            for axis, along in (("RL", curves), ("total", totals))
            for other in curves
            if other != target
        ]
        level = budget.value_at(curves[target], curves[target]["x_last"])["score"]
        reach = {
            "score": level,
            "start": target,
            "starts": [{"start": name, **budget.compute_to_reach(curves[name], level)} for name in curves],
        }
        words += [
            pair["words"]
            for pair in crossings
            if any(not crossing["extrapolated"] for crossing in pair["crossings"])
        ]
    return {
        "equal_compute": equal | {"omitted": omitted},
        "crossovers": crossings,
        "compute_to_reach": reach,
        "words": words,
    }


def crossing_of(first: str, second: str, curves: dict, axis: str) -> dict:
    """Where two starts cross."""
    crossings = budget.crossovers(curves[first], curves[second])
    described = [
        f"{(first, second)[crossing['leads'] - 1]} passes {(second, first)[crossing['leads'] - 1]} at "
        f"{crossing['exaflops']:.4g} exaFLOPs of {axis} compute (95 % {interval_words(crossing['ci95'])})"
        f"{', beyond the data' if crossing['extrapolated'] else ''}"
        for crossing in crossings
    ]
    words = "; ".join(described) or f"{first} and {second} in {axis} compute: none in range"
    return {"starts": [first, second], "axis": axis, "crossings": crossings, "words": f"{words}."}


def interval_words(ends: list[float | None]) -> str:
    """An interval of compute, whose ends may be open."""
    low, high = ends
    if low is None:
        return "open" if high is None else f"up to {high:.4g}"
    return f"from {low:.4g}" if high is None else f"{low:.4g} to {high:.4g}"


def seed_words(seeds: list[dict], fits: dict) -> list[str]:
    """The runs that were judged without a fit, or without standard errors of their own."""
    words = []
    if unfitted := [seed["run"] for seed in seeds if seed["run"] not in fits["runs"]]:
        words.append(f"Not among the fits, and so without a ceiling: {', '.join(unfitted)}.")
    if scattered := [seed["run"] for seed in seeds if seed["noise_stands_in"]]:
        words.append(
            "Without standard errors, and judged by the scatter around their fitted curve: "
            f"{', '.join(scattered)}."
        )
    return words


def basis_words(ranked: list[dict], basis: str) -> list[str]:
    """What the comparison rests on, and what weakens it."""
    reasons = []
    unidentified = [start["start"] for start in ranked if start["ceiling"] is None]
    if unidentified:
        reasons.append(
            f"The ceilings of {', '.join(unidentified)} are unidentified, so all starts are compared on "
            f"their {BASES[basis]}, which bounds a ceiling from below."
        )
    budgets = [start["rl_exaflops"] for start in ranked]
    if budgets and basis != "ceiling" and max(budgets) > BUDGET_TOLERANCE * min(budgets):
        reasons.append(
            f"RL budgets differ, {min(budgets):.4g} to {max(budgets):.4g} exaFLOPs: so may scores."
        )
    return reasons + [f"{name} did not finish." for start in ranked for name in start["unfinished"]]


def choice_words(ranked: list[dict], tied: list[dict], chosen: dict, loss: float) -> list[str]:
    """Why ``chosen``."""
    names = ", ".join(start["start"] for start in tied)
    parts = f"({chosen['sft_exaflops']:.4g} SFT, {chosen['rl_exaflops']:.4g} RL)"
    cost = f"{chosen['exaflops']:.4g} exaFLOPs {parts}"
    if len(tied) == 1:
        return [f"{chosen['start']} beats every other start, with a family error of 5 %, for {cost}."]
    mean = math.fsum(start["estimate"] for start in tied) / len(tied)
    return [
        f"{len(tied)} of {len(ranked)} starts may be the best, with a family error of 5 %: {names}. "
        f"The highest, {ranked[0]['estimate']:.1f}, is picked by its score and so a little too high; "
        f"their mean is {mean:.1f}.",
        f"{chosen['start']} is the cheapest of these: {cost}.",
        f"{chosen['start']} lies at most {loss:.1f} points below the best (95 % bound).",
    ]


def comparison_words(comparison: dict | None) -> list[str]:
    """The best start against RL from the base model."""
    if comparison is None:
        return []
    verdict = {True: "significant", False: "not significant", None: "standard error unknown"}
    error = "" if comparison["se"] is None else f" (se {comparison['se']:.1f})"
    return [
        f"Against RL from the base model ({comparison['pure_rl_algorithm']}), {comparison['start']} differs "
        f"by {comparison['difference']:+.1f} points{error} in {comparison['basis']}: "
        f"{verdict[comparison['significant']]}."
    ]


def continuation_words(continuations: list[dict]) -> list[str]:
    """The runs by what to do with them."""
    titles = {
        "stop": "Stop, twice the RL compute gains less than 0.5 points",
        "continue": "Continue, twice the RL compute gains more than 0.5 points",
        "unclear": "Unclear whether more RL gains 0.5 points",
        "collapsed": "Go back to the checkpoint of the peak",
    }
    groups = {
        verdict: [advised["run"] for advised in continuations if advised["verdict"] == verdict]
        for verdict in titles
    }
    return [f"{titles[verdict]}: {', '.join(names)}." for verdict, names in groups.items() if names]


def start_words(start: dict, basis: str) -> str:
    """A start's estimate, its error and its cost."""
    error = "unknown" if start["estimate_se"] is None else f"{start['estimate_se']:.1f}"
    phase = "" if start["phase"] == "unlabelled" else f" ({start['phase']} phase)"
    seeds = f"{len(start['runs'])} seed{'s' if len(start['runs']) > 1 else ''}"
    return (
        f"{start['start']}{phase}: {BASES[basis]} {start['estimate']:.1f} "
        f"(se {error}, {seeds}) for {start['exaflops']:.4g} exaFLOPs."
    )
