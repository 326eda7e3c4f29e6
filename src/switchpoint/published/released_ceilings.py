"""The ceilings that the camera-ready prints, each beside our rebuilding of its fit and our own fit.

Deviations
----------
- A ceiling is judged by our rebuilding of its fit (``sigmoid.paper``): the paper gives neither the bound on A nor
  the number of z-score passes.  One that ends on its bound, that our own fit finds collapsed or that lies outside our
  own interval holds in part at most; one that is rebuilt otherwise and lies in our own interval is not reproduced.
"""

from collections.abc import Callable, Iterable
from functools import partial

from switchpoint.published import figures
from switchpoint.published.data import RL, fit
from switchpoint.published.verdicts import (
    EXACT,
    FAILS,
    HOLDS,
    IN_PART,
    UNCHECKED,
    agreement,
    contains,
    unless_inside,
)

FIGURE = "RETU camera-ready, figure of SFT compute"
SAME_CEILING = 0.3  # points between a ceiling printed and rebuilt

Finding = tuple[str, str]
Claim = tuple[str, str, str, tuple[str, ...], Callable[[dict], Finding]]
"""Number, source, claim, the files that it needs, check."""


def ceiling(data: dict, run: str, printed: float) -> Finding:
    """A ceiling of the camera-ready, by the paper's fit with the script's settings; beside it ours."""
    ours = fit(data, "ours", run)
    collapsed = ours["status"] == "collapsed"
    own = f"{own_ceiling(ours)}; best score observed {ours['observed_peak']:.2f}"
    if run not in figures.SCRIPTS["run"].tolist():
        same = agreement([(ours["observed_peak"], printed)], 0.1) == HOLDS
        text, verdict = "not fitted by the released scripts", IN_PART if same else FAILS
    else:
        rebuilt = fit(data, "pipeline", run)
        bound, off = "at_bound" in rebuilt["flags"], rebuilt["a_point"] - printed
        text = f"{rebuilt['a_point']:.2f} ({off:+.2f}) by Appendix D{', where it ends on its bound' * bound}"
        doubtful = bound or collapsed or not contains(ours["a_ci95"], printed)
        verdict = FAILS if abs(off) > SAME_CEILING + EXACT else IN_PART if doubtful else HOLDS
    own += "; our fit finds a collapse: the ceiling is that of the points before it" * collapsed
    return f"{text}; {own}", unless_inside(verdict, ours["a_ci95"], printed)


def own_ceiling(ours: dict) -> str:
    """What our fit finds of a curve."""
    if ours["a_point"] is None:
        return f"ours {ours['status']} ({ours['reason']})"
    low, high = ("open" if end is None else f"{end:.1f}" for end in ours["a_ci95"])
    return f"ours {ours['a_point']:.1f} (95 % {low} to {high}), {ours['status']}"


def doubts(data: dict, runs: Iterable[str]) -> str:
    """Which of the ceilings that a row rests on our own fit finds collapsed or unidentified, with a semicolon before it."""
    found: dict[str, list[str]] = {}
    for run in runs:
        status = data.get("ours", {}).get(run, {}).get("status", "identified")
        found.setdefault(status, []).append(run)
    found.pop("identified", None)
    words = " and ".join(f"{', '.join(names)} {status}" for status, names in sorted(found.items()))
    return f"; our fit finds of these ceilings {words}" if words else ""


def ceiling_claims(data: dict) -> list[Claim]:
    """The ceilings of the camera-ready: a claim for every curve in the folder, one for all others."""
    printed = {
        f"{name}-{step}": a for name, rows in figures.CAMERA_READY.items() for step, (_, a) in rows.items()
    }
    there = [run for run in printed if run in data["ours"]]
    claims = [
        (f"A {run}", FIGURE, f"RL from {run} has a ceiling of {printed[run]}.", (RL,),
         partial(ceiling, run=run, printed=printed[run]))
        for run in there
    ]  # fmt: skip
    absent = [run for run in printed if run not in there]
    rest = f"{RL} has no curve of {', '.join(absent)}", UNCHECKED
    others = f"The ceilings of RL from {len(absent)} other starts."
    return claims + [("A (others)", FIGURE, others, (RL,), lambda data: rest)] * bool(absent)
