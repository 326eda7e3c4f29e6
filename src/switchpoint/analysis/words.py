"""The advice in words: what it rests on, what would settle it, and three sentences for whoever has a minute."""

import math

from switchpoint.analysis.comparisons import MAX_LOSS
from switchpoint.analysis.starts import BASES
from switchpoint.units import say, say_range, scale_of, shown

BASE_AHEAD = "RL from the base model reaches more."


def summary(choice: dict, candidates: list[dict], continuations: list[dict]) -> dict[str, str]:
    """``why``, ``sure`` and ``next``: a sentence each."""
    chosen = next((start for start in candidates if start["start"] == choice["recommended"]), None)
    if chosen is None:
        return {
            "why": no_choice_words(choice, candidates),
            "sure": open_words(choice, candidates) + rising_words(choice, candidates, continuations),
            "next": f"Needed: {choice['needed']}." if choice["needed"] else "Run RL from two checkpoints.",
        }
    blind = (
        ""
        if all(start["sft_known"] for start in candidates)
        else " What SFT had cost is not known of all, and left out."
    )
    return {
        "why": why_words(chosen, choice, candidates) + blind,
        "sure": sure_words(chosen, choice, candidates) + rising_words(choice, candidates, continuations),
        "next": next_words(chosen, continuations),
    }


def no_choice_words(choice: dict, candidates: list[dict]) -> str:
    """Why there is no choice."""
    if choice["recommended"]:
        return choice["reasons"][0]
    if len(candidates) < 2:
        return f"RL starts from {'one SFT checkpoint' if candidates else 'no SFT checkpoint'}."
    if not choice["tied"]:
        without = [start["start"] for start in candidates if start["estimate_se"] is None]
        return f"Nothing is known of the errors of {listed(without)}, so the starts cannot be compared."
    left = [start for start in candidates if start["start"] in choice["tied"]]
    highest, lowest = left[0], left[-1]
    which = (
        f"{len(left)} starts"
        if len(left) == len(candidates)
        else f"{len(left)} of {len(candidates)} starts may be the best, and"
    )
    if f"{highest['estimate']:.1f}" == f"{lowest['estimate']:.1f}":
        return (
            f"By the {choice['basis']} {which} have {highest['estimate']:.1f} alike, with too large errors."
        )
    return (
        f"By the {choice['basis']} {which} lie between {lowest['estimate']:.1f} ({lowest['start']}) and "
        f"{highest['estimate']:.1f} ({highest['start']}), nearer together than their errors can tell."
    )


def open_words(choice: dict, candidates: list[dict]) -> str:
    """What is known where nothing is recommended."""
    if len(candidates) < 2:
        return "There is nothing to compare."
    if not choice["tied"]:
        far = [start["start"] for start in candidates if start["out"]]
        also = f"Far below the others: {listed(far)}. Nothing else is" if far else "Nothing is"
        return f"{also} excluded, and nothing recommended."
    out = [start["start"] for start in candidates if start["start"] not in choice["tied"]]
    seeds = f"; {seed_spread_words(candidates)}"
    if not out:
        return f"Nothing is excluded: any of the starts may be the best{seeds}."
    return f"{listed(out)} {'is' if len(out) == 1 else 'are'} excluded; any of the others may be the best{seeds}."


def base_ahead_words(comparison: dict) -> str:
    """That no start comes up to RL from the base model."""
    return (
        f"RL from the base model ({comparison['pure_rl_algorithm']}) reaches {-comparison['difference']:.1f} points more than any "
        f"of the starts compared{at_words(comparison)}, more than chance explains."
    )


def at_words(comparison: dict) -> str:
    """At which RL compute, where that is less than all of it."""
    return (
        ""
        if comparison["compared_at"] is None
        else f" at {say(comparison['compared_at'], comparison['unit'])}"
    )


def rising_words(choice: dict, candidates: list[dict], continuations: list[dict]) -> str:
    """Which excluded starts still rise, of those that were not compared by their ceilings."""
    if not choice["tied"]:
        return ""
    go_on = {advised["run"] for advised in continuations if advised["verdict"] == "continue"}
    rising = [
        start["start"]
        for start in candidates
        if start["start"] not in choice["tied"]
        and start["estimate_basis"] != BASES["ceiling"]
        and go_on & set(start["runs"])
    ]
    if not rising:
        return ""
    verb = "is excluded and still rises" if len(rising) == 1 else "are excluded and still rise"
    return f" That holds for this much RL: {listed(rising)} {verb}, and more of it may change that."


def why_words(chosen: dict, choice: dict, candidates: list[dict]) -> str:
    """Why this start, and whether RL adds anything to it."""
    before = chosen["estimate_before"]
    score = f"{choice['basis']} {chosen['estimate']:.1f}" + (
        "" if before is None else f", {before:.1f} before RL"
    )
    if len(choice["tied"]) == 1:
        why = f"RL from {chosen['start']} reaches more than from every other start, by more than chance explains ({score})."
    else:
        tied, highest = len(choice["tied"]), candidates[0]
        count = f"the {tied} starts" if tied == len(candidates) else f"the {tied} of {len(candidates)} starts"
        above = (
            f", the highest of them has {highest['estimate']:.1f}"
            if highest["estimate"] > chosen["estimate"]
            else ""
        )
        why = (
            f"{chosen['start']} is the cheapest of {count} that cannot be told from the best: {score}{above}."
        )
    # The score before is of the same problems: paired, it has an error of its own.
    error = chosen["estimate_se"] * (math.sqrt(2) if chosen["paired"] else 1)
    if before is None or chosen["estimate"] - before > 2 * error:
        return why
    if before - chosen["estimate"] > 2 * error:
        lost = f"{before - chosen['estimate']:.1f} points"
        return f"{why} RL costs {lost} there, more than chance explains: its checkpoint is better as it is."
    return f"{why} RL adds nothing there that can be told from chance: its checkpoint may do as it is."


def sure_words(chosen: dict, choice: dict, candidates: list[dict]) -> str:
    """How sure that is."""
    seeds = seed_spread_words(candidates)
    if choice["tied"] == [chosen["start"]]:
        return (
            f"With 95 % probability {chosen['start']} is the best of the {len(candidates)} starts; {seeds}."
        )
    return (
        f"With 95 % probability the best start is among {listed(choice['tied'])}, and {chosen['start']} lies at most "
        f"{max(choice['max_loss'], 0):.1f} points below it; {seeds}."
    )


def seed_spread_words(candidates: list[dict]) -> str:
    """How far the luck of seeds is in the errors."""
    sd, dof = candidates[0]["estimate_sd"], candidates[0]["estimate_dof"]
    if dof is None:
        return f"every start has one seed, and another would give a score that differs by {sd:.1f} points (standard deviation, assumed)"
    single = [start["start"] for start in candidates if len(start["runs"]) == 1]
    which = f", and {listed(single)} {'has' if len(single) == 1 else 'have'} one" if single else ""
    return f"seeds of a start differ by {sd:.1f} points (standard deviation, on {dof:.0f} degrees of freedom){which}"


def listed(names: list[str]) -> str:
    """Names in words."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def next_words(chosen: dict, continuations: list[dict]) -> str:
    """What to do with the runs from it."""
    own = {
        advised["run"]: advised["verdict"] for advised in continuations if advised["run"] in chosen["runs"]
    }
    verdicts = set(own.values())
    if verdicts == {"stop"}:
        return f"Stop RL from {chosen['start']} there: twice its compute gains less than 0.5 points."
    if verdicts == {"continue"}:
        return f"Go on with RL from {chosen['start']}: twice its compute gains more than 0.5 points."
    if "collapsed" in verdicts:
        names = ", ".join(run for run, verdict in own.items() if verdict == "collapsed")
        return f"Go back to the checkpoint of the peak: {names} fell from it."
    return (
        f"Whether more RL from {chosen['start']} pays is open: a quarter more compute and a new fit would tell "
        "more, or another seed."
    )


def data_that_settle(chosen: dict, rival: dict, limit: float, loss: float) -> str:
    """What would settle whether ``rival`` beats ``chosen``, in numbers.

    Either the present gap becomes significant or the bound on the loss falls to ``MAX_LOSS``,
    whichever takes less; errors fall with the square root of the data.
    """
    pair = [chosen, rival]
    error = math.hypot(*(start["estimate_se"] for start in pair))
    gap = rival["estimate"] - chosen["estimate"]
    goal = max(gap, MAX_LOSS - gap) / limit
    longer = [
        f"{start['start']} to {say(2 * start['rl_exaflops'], start['unit'])}"
        for start in pair
        if start["ceiling"] is None
    ]
    way = what_settles(pair, goal)
    if longer:
        way += f", or RL twice as long to identify the ceilings ({', '.join(longer)})"
    return (
        f"{chosen['start']}, the cheapest that is not excluded, may lie {loss:.1f} points below "
        f"{rival['start']}; the standard error of their difference, now {error:.2f}, has to fall to "
        f"{goal:.2f} points: {way}"
    )


def what_settles(pair: list[dict], goal: float) -> str:
    """How many seeds, and how much larger evaluations, bring the error of the difference of two starts to ``goal`` points."""
    now, spread = min(len(start["runs"]) for start in pair), 2 * pair[0]["estimate_sd"] ** 2
    own = math.fsum((start["estimate_own"] or 0) ** 2 for start in pair)
    room = goal**2
    if pair[0]["estimate_dof"] is not None and not pair[0]["paired"]:  # the larger of the two counts
        seeds, times = spread / room, own / room
    elif own < room:  # both add up
        seeds, times = spread / (room - own), 1.0
    else:
        seeds, times = 2 * spread / room, 2 * own / room
    ways = []
    if math.ceil(seeds) > now:
        ways.append(f"about {math.ceil(seeds)} seeds per start (now {now})")
    if times > 1 or not ways:
        ways.append(larger_evaluations(pair, times))
    return " and ".join(ways)


def larger_evaluations(pair: list[dict], times: float) -> str:
    """Evaluations of so many times the size, in the terms of what is compared."""
    if pair[0]["estimate"] == pair[0]["ceiling"]:
        now = min(start["n_points"] for start in pair)
        return f"about {math.ceil(now * times)} evaluations per RL run (now {now})"
    now = min((start["n"] for start in pair if start["n"]), default=None)
    size = f"about {math.ceil(now * times)} problems (now {now})" if now else f"{times:.1f} times the size"
    return f"evaluations of {size}"


def gap_words(start: dict, highest: dict) -> str:
    """How far a start lies below another."""
    gap = highest["estimate"] - start["estimate"]
    error = math.hypot(start["estimate_se"], highest["estimate_se"])
    return (
        f"{start['start']} ({start['phase']}) reaches {start['estimate']:.1f}, {gap:.1f} points "
        f"(se {error:.1f}) below {highest['start']} ({highest['phase']})"
    )


def seed_words(seeds: list[dict], fits: dict, basis: str) -> list[str]:
    """The runs that were judged without a fit, or without standard errors of their own."""
    words = []
    if unfitted := [seed["run"] for seed in seeds if seed["run"] not in fits["runs"]]:
        words.append(f"Not among the fits, and so without a ceiling: {', '.join(unfitted)}.")
    if scattered := [seed["run"] for seed in seeds if seed["noise_stands_in"]]:
        words.append(
            "Without standard errors, and judged by the scatter around their fitted curve: "
            f"{', '.join(scattered)}."
        )
    for seed in seeds:
        if seed["last_apart"] is not None:
            words.append(
                f"The last evaluation of {seed['run']}, {seed['last_apart']:.1f}, is far from what the others predict, and its curve's "
                f"{seed['final']:.1f} stands for it: an outlier, or a change, as the next one will tell."
            )
    counts = {BASES["ceiling"]: None, BASES["tested"]: "tested_se"}.get(basis, "last_se")
    lent = [seed for seed in seeds if counts in seed["lent"]]
    if lent:
        names = ", ".join(seed["run"] for seed in lent)
        words.append(
            f"Nothing is known of the errors of {names}, which are taken to be the largest of the others': "
            f"{lent[0][counts]:.1f} points."
        )
    return words


def unpaired_words(basis: str, of_starts: list[dict], of_base: list[dict]) -> list[str]:
    """The runs whose test scores are not known problem by problem, though those of others are, where test scores are compared."""
    if basis != BASES["tested"]:
        return []
    starts, base = (
        [seed["run"] for seed in seeds if seed["problems"] is None] for seeds in (of_starts, of_base)
    )
    if starts:
        return [f"Not known problem by problem, so that no scores are paired: {', '.join(starts)}."]
    if base:
        return [f"Not known problem by problem, and so compared unpaired: {', '.join(base)}."]
    return []


def tested_words(basis: str, tests: dict, of_starts: list[dict], seeds: list[dict]) -> list[str]:
    """Why known test scores are not what is compared, and whose they are if no run's."""
    known = {seed["run"] for seed in seeds}
    if not known:
        return []
    if not known & set(tests):
        return ["The results have no overall test score (metric avg, phase rl) of these runs."]
    strangers = sorted(set(tests) - known)
    words = [f"Test scores of runs that are not compared: {', '.join(strangers)}."] if strangers else []
    if basis == BASES["final"]:
        without = [seed["run"] for seed in of_starts if seed["tested"] is None]
        words += (
            [f"Without a test score, so that none are compared: {', '.join(without)}."] if without else []
        )
    elif basis != BASES["tested"]:
        words.append(f"Compared is the {basis}, not the test score.")
    return words


def algorithm_words(algorithm: str | None, seeds: list[dict]) -> list[str]:
    """Which runs from SFT checkpoints are compared, and which are not."""
    if algorithm is None:
        return []
    others = sorted({seed["algorithm"] for seed in seeds if seed["parent"] != "base"} - {algorithm})
    left = f", not those of {listed(others)}" if others else ""
    return [f"The starts are compared by their runs of {algorithm}{left}."]


def basis_words(ranked: list[dict], basis: str) -> list[str]:
    """What the comparison rests on, and what weakens it."""
    reasons = []
    unidentified = [start["start"] for start in ranked if start["ceiling"] is None]
    if unidentified:
        ceilings = "ceiling of {} is" if len(unidentified) == 1 else "ceilings of {} are"
        reasons.append(
            f"The {ceilings.format(listed(unidentified))} unidentified, so all starts are compared on "
            f"their {BASES[basis]}, which bounds a ceiling from below."
        )
    if ranked and ranked[0]["paired"]:
        reasons.append(f"Compared on the same {ranked[0]['n']} problems, problem by problem.")
    if any(start["unequal"] for start in ranked):
        unit, spent = ranked[0]["unit"], ranked[0]["compared_at"]
        longest = max(start["rl_exaflops"] for start in ranked)
        rule = (
            f"compared at {say(spent, unit)}, which all reach; final scores at other budgets are no evidence"
        )
        if basis == "ceiling":
            rule = f"what a start costs is counted up to {say(spent, unit)}, which all reach"
        reasons.append(f"RL budgets differ, {say_range(spent, longest, unit)}: {rule}.")
    return reasons + [f"{name} has not finished." for start in ranked for name in start["unfinished"]]


def out_words(out: list[dict]) -> list[str]:
    """The starts that are out whatever else is compared."""
    if not out:
        return []
    names = ", ".join(f"{start['start']} ({out_by(start)})" for start in out)
    return [f"Far below the others, and left out of their comparison: {names}."]


def out_by(start: dict) -> str:
    """By what a start is out: its estimate, at which compute, and which of its runs have not finished."""
    at = (
        f" at {say(start['compared_at'], start['unit'])}" if start["estimate_basis"] == BASES["equal"] else ""
    )
    said = [
        f"{start['estimate_basis']} {start['estimate']:.1f}{at}",
        *(f"{run} has not finished" for run in start["unfinished"]),
    ]
    if start["estimate_basis"] != BASES["ceiling"] and start["ceiling"] is None:
        said.append("its ceiling is unidentified")
    return ", ".join(said)


def choice_words(ranked: list[dict], tied: list[dict], chosen: dict, loss: float) -> list[str]:
    """Why ``chosen``."""
    names = ", ".join(start["start"] for start in tied)
    factor, unit = scale_of([chosen["exaflops"]], chosen["unit"])
    spent = chosen["exaflops"] - chosen["sft_exaflops"]  # of RL, as far as starts are compared
    total, sft, rl = (
        shown(amount * factor) for amount in (chosen["exaflops"], chosen["sft_exaflops"], spent)
    )
    cost = f"{total} {unit} ({sft} SFT, {rl} RL)"
    if len(tied) == 1:
        return [f"{chosen['start']} beats every other start, with a family error of 5 %, for {cost}."]
    mean = math.fsum(start["estimate"] for start in tied) / len(tied)
    level = f"All have {mean:.1f}."
    if ranked[0]["estimate"] > tied[-1]["estimate"]:
        level = (
            f"The highest, {ranked[0]['estimate']:.1f}, is picked by its score and so a little too high; "
            f"their mean is {mean:.1f}."
        )
    return [
        f"{len(tied)} of the {len(ranked)} starts compared may be the best, with a family error of 5 %: {names}. {level}",
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
        f"by {comparison['difference']:+.1f} points{error} in {comparison['basis']}{at_words(comparison)}: "
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
        f"(se {error}, {seeds}) for {say(start['exaflops'], start['unit'])}."
    )
