"""Where to start RL: the cheapest of the checkpoints that may be the best, and what to do next.

The rule.  A start is an SFT checkpoint (set and step), pooled over its seeds.  All starts are compared
on one basis: the ceilings where the data identify every one; else the peaks of the smoothed scores
where a run collapsed, whose last score says nothing of its start; else, where RL budgets differ, the scores at the
largest RL compute that all reach; else the final scores on the test
problems where every run was tested, or the last scores of the curves.  Peaks, too, are those up to the compute that all
reach: a final score at another budget is no evidence.  A start is
excluded when another beats it by more than chance explains, corrected for picking the best of
several (``comparisons``): with probability 95 % the truly best start is not excluded.  The others are tied.
Chance is that of evaluations and of seeds; final test
scores that are known problem by problem are compared on the same problems (``pairing``).

What a start costs is its SFT and the RL compute that all reach, so that less RL makes none cheaper.

- ``start_here``: the cheapest tied start lies at most 3 points below the best (95 % bound).  It is the advice.
- ``insufficient_data``: fewer than two starts, no error known of any, or the cheapest may lie more than 3 points below
  the best, however many others are excluded.  ``needed`` says what would settle it.

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

from switchpoint.analysis import budget, starts, words
from switchpoint.analysis.comparisons import (
    EACH_HOPELESS,
    FAMILY_ERROR,
    HOPELESS,
    MAX_LOSS,
    SEED_SD,
    critical,
    critical_among,
    half_width,
    hopeless,
    loss_bound,
    possible_bests,
)
from switchpoint.analysis.instability import instability
from switchpoint.analysis.starts import BASES
from switchpoint.units import say, say_range, unit_of

EARLY = 0.5  # of a start's RL compute: what holds before it says little of the end


def advise(
    curves: pd.DataFrame,
    runs: pd.DataFrame,
    fits: dict,
    phases: dict | None = None,
    predictors: dict | None = None,
    reference: str | None = None,
    results: pd.DataFrame | None = None,
    problems: pd.DataFrame | None = None,
) -> dict:
    """Where to start RL, which runs to continue, and how the starts compare; with the reasons.

    ``curves`` is a ``curves.csv`` (of which the ``overall`` rows of phase rl are used), or has the columns
    run, exaflops, score and optionally se, n; a row at exaflops 0 is the start's own score.  ``runs`` has
    the columns ``RUN_COLUMNS``: algorithms other than sft are RL, and parent ``base`` is the base model.
    ``fits`` is what ``fit_curves`` returns, ``phases`` what ``label_phases`` returns, ``predictors`` what
    ``ranking.rank`` returns (used when no RL run starts from an SFT checkpoint), ``reference`` the RL
    run whose instability the others' is divided by, ``results`` a ``results.csv``, with the runs' scores on test
    problems, ``problems`` a ``problems.parquet``, with these scores problem by problem: final test scores are then compared
    by paired errors (``pairing``).

    Strict JSON; scores and errors in points: ``verdict``, ``headline``, ``needed`` (None but for
    ``insufficient_data``), ``summary`` (a sentence each: ``why``, ``sure``, ``next``), ``algorithm`` (the one with the most starts), ``basis``, ``family_error``,
    ``recommended``, ``best``, ``tied`` (starts, highest first), ``max_loss`` (95 % bound on what the
    recommended, else the cheapest tied, start lies below the best), ``reasons``, ``comparison`` with RL from
    the base model, ``diagnoses``, ``candidates`` (highest first; each with its ``estimate``, ``estimate_basis`` and whether it is ``out``, far below) and ``from_base``, the starts; ``stop_continue`` (``continue_or_stop`` of
    every run), ``equal_compute`` (with ``omitted`` runs, which have no curve); ``crossovers`` of the
    recommended start (else of the highest) with every other, in RL and in total compute, and
    ``compute_to_reach`` its last fitted score; ``instability``.  InputError names the column, row or run.
    """
    runs = starts.check_runs(runs)
    points = starts.rl_points(curves, runs)
    table, remarks, left_out = starts.rl_runs(runs, points)
    tests, before = starts.final_tests(results, points)
    of_problems = starts.problems_of(problems, runs, results, tests)
    seeds = starts.seed_results(table, points, fits, phases, tests, before, of_problems)
    algorithm = starts.commonest_algorithm(seeds)
    of_starts = [seed for seed in seeds if starts.is_candidate(seed, algorithm)]
    of_base = [seed for seed in seeds if seed["parent"] == "base"]
    candidates, out = pool_candidates(of_starts)
    kept = [seed for seed in of_starts if seed["start"] not in {start["start"] for start in out}]
    from_base = starts.pool_by_start(of_base, candidates[0]["compared_at"] if candidates else None, kept)
    by_predictor = predictors and algorithm is None
    choice = choose_by_predictor(predictors) if by_predictor else choose_start(candidates, out, left_out)
    comparison = compare_with_pure_rl(starts.pool_by_start(kept + of_base) if kept and of_base else [])
    diagnoses = diagnose(choice["candidates"], seeds)
    continuations = [
        budget.continue_or_stop(seed["run"], seed["fit"], points[seed["run"]], seed["status"])
        for seed in seeds
    ]
    compute = compare_at_equal_compute([*candidates, *out, *from_base], target_of(choice), fits)
    stability = instability(points, table, reference)
    choice["summary"] = words.summary(choice, choice["candidates"], continuations)
    if comparison and is_base_ahead(comparison):
        choice["headline"] = f"{choice['headline']} {words.BASE_AHEAD}"
        choice["summary"]["why"] += f" {words.base_ahead_words(comparison)}"
    choice["reasons"] += [
        *words.algorithm_words(algorithm, seeds),
        *remarks,
        *words.seed_words(seeds, fits, choice["basis"]),
        *([] if results is None else words.tested_words(choice["basis"], tests, of_starts, seeds)),
        *([] if problems is None else words.unpaired_words(choice["basis"], of_starts, of_base)),
        *words.comparison_words(comparison),
        *(
            f"{diagnosis['name'].replace('_', ' ').capitalize()}: {diagnosis['evidence']}."
            for diagnosis in diagnoses
        ),
        *words.continuation_words(continuations),
        *compute.pop("words"),
        *stability["words"],
    ]
    return {
        **choice,
        "algorithm": algorithm,
        "comparison": comparison,
        "from_base": [with_estimate(start, comparison_basis([*candidates, start])) for start in from_base],
        "diagnoses": diagnoses,
        "stop_continue": continuations,
        **compute,
        "instability": stability,
    }


def spread_of(compared: list[dict]) -> tuple[float, float]:
    """The spread of seeds at equal RL compute, with its degrees of freedom."""
    known = next(iter(compared), {"equal_sd": SEED_SD, "equal_dof": None})
    return known["equal_sd"], known["equal_dof"] or math.inf


def target_of(choice: dict) -> str | None:
    """The start that the others are set against: the recommended one, else the highest."""
    target = max(
        choice["candidates"],
        key=lambda start: (start["start"] == choice["recommended"], start["estimate"]),
        default=None,
    )
    return target["start"] if target else None


def pool_candidates(seeds: list[dict]) -> tuple[list[dict], list[dict]]:
    """The starts that are compared, and those that are out whatever else is: these change neither the compute nor the basis
    nor the spread that the others are compared by."""
    kept, out = seeds, []
    while names := hopeless_starts(kept):
        left = [seed for seed in kept if seed["start"] not in names]
        if len({seed["start"] for seed in left}) < 2:
            break
        kept, out = left, out + [seed for seed in kept if seed["start"] in names]
    pooled = starts.pool_by_start(kept)
    return pooled, starts.pool_by_start(out, pooled[0]["compared_at"] if out else None, kept)


def hopeless_starts(seeds: list[dict]) -> set[str]:
    """The starts that are hopeless beside the others, by all of their seeds or by each alone.

    With one seed a start adds nothing to the spread of seeds, which those of a bad one could widen for all.  Of the others
    those above it count, or two such starts would hide each other.
    """
    pooled = starts.pool_by_start(seeds)
    if len(pooled) < 2:
        return set()
    basis, spent = comparison_basis(pooled), pooled[0]["compared_at"]

    def found(some: list[dict], chance: float = HOPELESS) -> set[str]:
        compared = [with_estimate(start, basis) for start in starts.pool_by_start(some, spent)]
        if any(start["estimate_se"] is None for start in compared):
            return set()
        gone = hopeless(*measured(compared), chance)
        return {start["start"] for start, out in zip(compared, gone, strict=True) if out}

    names = found(seeds)
    for start in pooled:
        higher = {other["start"] for other in pooled if other[basis] > start[basis]}
        above = [seed for seed in seeds if seed["start"] in higher]
        own = [seed for seed in seeds if seed["start"] == start["start"]]
        chance = EACH_HOPELESS if len(own) > 1 else HOPELESS
        if above and all(start["start"] in found([seed, *above], chance) for seed in own):
            names.add(start["start"])
    return names


def choose_start(candidates: list[dict], out: list[dict], left_out: list[str]) -> dict:
    """The rule of the module's docstring on the pooled starts; ``out`` are excluded, and come last; ``left_out`` are runs cut short."""
    basis = comparison_basis(candidates)
    compared = [with_estimate(start, basis) for start in candidates]
    others = [
        with_estimate(start, basis if start[basis] is not None else "equal" if start["unequal"] else "final")
        | {"out": True}
        for start in out
    ]
    ranked = sorted(compared, key=lambda start: (-start["estimate"], start["exaflops"], start["start"]))
    needed, tied, recommended, loss = missing_data(ranked, left_out), [], None, None
    if not needed:
        estimates, errors, dof = measured(ranked)
        tied = [ranked[i] for i in np.flatnonzero(possible_bests(estimates, errors, dof))]
        recommended = min(tied, key=lambda start: (start["exaflops"], start["start_step"], start["start"]))
        loss, rival = loss_bound(estimates, errors, ranked.index(recommended), dof)
        if loss > MAX_LOSS:
            limit = critical_among(estimates, errors, rival, dof)
            needed = words.data_that_settle(recommended, ranked[rival], limit, loss)
    reasons = [*(words.start_words(start, basis) for start in ranked), *words.basis_words(ranked, basis)]
    reasons += words.out_words(others)
    if needed:
        recommended = None
    else:
        reasons += words.choice_words(ranked, tied, recommended, loss)
    ranked += sorted(others, key=lambda start: -start["estimate"])
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


def with_estimate(start: dict, basis: str) -> dict:
    """The start with what it is compared on: ``estimate``, its error and what that is made of; and whether it is ``paired``.

    The interval ``estimate_ci95`` is of that error, for comparing: of paired scores without what their problems, being those and
    no others, add to all alike.
    """
    names = ("", "_se", "_own", "_sd", "_dof", "_limit", "_before")
    found = {f"estimate{name}": start[f"{basis}{name}"] for name in names}
    estimate, error = found["estimate"], found["estimate_se"]
    half = None if error is None else half_width(error, found["estimate_dof"] or math.inf)
    return (
        start
        | found
        | {
            "estimate_basis": BASES[basis],
            "out": False,
            "estimate_ci95": [None, None] if half is None else [estimate - half, estimate + half],
            "paired": start["paired"] and basis == "tested",
        }
    )


def measured(compared: list[dict]) -> tuple[np.ndarray, np.ndarray, float]:
    """The starts' estimates and standard errors, each (k,), and the errors' degrees of freedom."""
    estimates, errors = (np.array([start[key] for start in compared]) for key in ("estimate", "estimate_se"))
    return estimates, errors, compared[0]["estimate_dof"] or math.inf


def comparison_basis(compared: list[dict]) -> str:
    """What all starts are compared on."""
    if all(start["ceiling"] is not None for start in compared):
        return "ceiling"
    if any(start["collapsed"] for start in compared):
        return "peak"
    if any(start["unequal"] for start in compared):
        return "equal"
    return "tested" if all(start["tested"] is not None for start in compared) else "final"


def missing_data(candidates: list[dict], left_out: list[str]) -> str | None:
    """What is missing for any comparison; None when nothing is."""
    if len(candidates) < 2:
        short = f"; run {words.listed(left_out)} on" if left_out else ""
        return f"RL runs of one algorithm from at least 2 SFT checkpoints (so far {len(candidates)}){short}"
    without = [start["start"] for start in candidates if start["estimate_se"] is None]
    if not without:
        return None
    ways = "column se of the curves, a second seed, or more points for a fit"
    if candidates[0]["estimate_basis"] == BASES["tested"]:
        ways = "column se of the results, or a second seed"
    return f"standard errors ({ways}) for {', '.join(without)}"


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


def compare_with_pure_rl(compared: list[dict]) -> dict | None:
    """The best start against the best RL from the base model, on one basis and at one RL compute.

    The critical value allows for the best being picked among its kind, 5 % in both directions.
    """
    basis = comparison_basis(compared)
    candidates, from_base = [], []
    for start in compared:
        (from_base if start["start"] == start["set"] else candidates).append(with_estimate(start, basis))
    if not candidates or not from_base:
        return None
    highest, pure = (max(kind, key=lambda start: start["estimate"]) for kind in (candidates, from_base))
    difference = highest["estimate"] - pure["estimate"]
    error = significant = None
    if None not in [start["estimate_se"] for start in (*candidates, pure)]:
        error = math.hypot(highest["estimate_se"], pure["estimate_se"])
        _, errors, dof = measured([*candidates, pure])
        limit = critical(errors, len(candidates), FAMILY_ERROR / 2, dof)
        significant = bool(abs(difference) > limit * error)
    return {
        "basis": BASES[basis],
        "start": highest["start"],
        "sequential": highest["estimate"],
        "compared_at": pure["compared_at"] if pure["unequal"] and basis in ("equal", "peak") else None,
        "unit": pure["unit"],
        "pure_rl_algorithm": pure["algorithm"],
        "pure_rl": pure["estimate"],
        "difference": difference,
        "se": error,
        "significant": significant,
        "sequential_exaflops": highest["exaflops"],
        "sequential_rl_exaflops": highest["rl_exaflops"],
        "pure_rl_exaflops": pure["exaflops"],
    }


def is_base_ahead(comparison: dict) -> bool:
    """Whether RL from the base model is higher than the best start beyond noise, and not only early on."""
    if not comparison["significant"] or comparison["difference"] > 0:
        return False
    at = comparison["compared_at"]
    return at is None or at >= EARLY * comparison["sequential_rl_exaflops"]


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
                    {"name": name, "start": start["start"], "evidence": words.gap_words(start, highest)}
                )
    for seed in seeds:
        peak = f"{seed['peak']:.1f}"
        last = f"{seed['final']:.1f} at {say(seed['rl_exaflops'], seed['unit'])}"
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
            estimates, errors, dof = measured(group)
            excluded = ~possible_bests(estimates, errors, dof)
            pairs += [(group[i], group[estimates.argmax()]) for i in np.flatnonzero(excluded)]
    return pairs


def compare_at_equal_compute(compared: list[dict], target: str | None, fits: dict) -> dict:
    """``equal_compute``, ``crossovers`` and ``compute_to_reach`` of the starts that have curves, and words.

    The last two set every other start against ``target``: where the two cross, and
    what RL compute the other needs for the score that the target's curve ends at.
    """
    curves, totals, omitted = {}, {}, []
    sd, dof = spread_of(compared)
    for start in compared:
        seed_curves = {run: budget.curve_of(fits["runs"].get(run) or {}) for run in start["runs"]}
        omitted += [run for run, curve in seed_curves.items() if curve is None]
        if seeds := [curve for curve in seed_curves.values() if curve is not None]:
            curves[start["start"]] = budget.pool_curves(seeds, sd, dof)
            totals[start["start"]] = budget.pool_curves(seeds, sd, dof, start["sft_exaflops"])
    if not all(start["sft_known"] for start in compared):
        totals = {}  # nothing is known of all compute
    equal = budget.equal_compute(
        [start for start in compared if start["start"] in curves], curves, totals, dof
    )
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
            for other in along
            if other != target
        ]
        level = budget.value_at(curves[target], curves[target]["x_last"])["score"]
        reach = {
            "score": level,
            "start": target,
            "starts": [{"start": name, **budget.compute_to_reach(curves[name], level)} for name in curves],
        }
        words += [pair["words"] for pair in crossings if any(map(is_told, pair["crossings"]))]
    return {
        "equal_compute": equal | {"omitted": omitted},
        "crossovers": crossings,
        "compute_to_reach": reach,
        "words": words,
    }


def is_told(crossing: dict) -> bool:
    """Whether two curves are told apart on both sides of a crossing, which lies within their data."""
    return not crossing["extrapolated"] and None not in crossing["ci95"]


def crossing_of(first: str, second: str, curves: dict, axis: str) -> dict:
    """Where two starts cross."""
    crossings, unit = budget.crossovers(curves[first], curves[second]), unit_of(curves[first])
    told = list(filter(is_told, crossings))
    described = [
        f"{(first, second)[crossing['leads'] - 1]} passes {(second, first)[crossing['leads'] - 1]} at "
        f"{say(crossing['exaflops'], unit)} of {axis} compute (95 % {say_range(*crossing['ci95'], unit)})"
        for crossing in told
    ]
    words = (
        "; ".join(described)
        or f"{first} and {second} in {axis} compute: none that can be told within the data"
    )
    return {"starts": [first, second], "axis": axis, "crossings": crossings, "words": f"{words}."}
