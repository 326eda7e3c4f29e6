"""Verdicts on the papers' claims, each computed from recomputed figures and a tolerance.

- ``holds``: to the last digit printed, or by the tolerance that the check names;
- ``holds within rounding``: off by no more than one unit of the last digit printed;
- ``holds in part``: for some of the cases that the claim names, or only by an assumption of its own;
- ``holds in v1, not in the camera-ready``: true of v1's figures, no longer of the camera-ready's;
- ``not reproduced``: off, but our own 95 % interval contains the figure printed;
- ``does not hold``;
- ``not checkable``: what it takes is neither in the folder nor printed;
- ``information``: no claim of the papers, but bears on one.
"""

from collections.abc import Iterable, Sequence

HOLDS, ROUNDING, IN_PART = "holds", "holds within rounding", "holds in part"
V1_ONLY, OFF, FAILS = "holds in v1, not in the camera-ready", "not reproduced", "does not hold"
UNCHECKED, INFORMATION = "not checkable", "information"
VERDICTS = (HOLDS, ROUNDING, IN_PART, V1_ONLY, OFF, FAILS, UNCHECKED, INFORMATION)

CARRIED = 0.5  # points between the versions: half the standard error of a score on 2,157 problems
EXACT = 1e-9


def agreement(pairs: Iterable[tuple[float, float]], unit: float) -> str:
    """The verdict on (recomputed, printed) figures, printed in steps of ``unit``; the worst decides."""
    off = max(abs(recomputed - printed) for recomputed, printed in pairs)
    return HOLDS if off <= unit / 2 + EXACT else ROUNDING if off <= unit + EXACT else FAILS


def within(pairs: Iterable[tuple[float, float]], tolerance: float) -> bool:
    """Whether the figures of every pair differ by no more than ``tolerance``."""
    return all(abs(recomputed - printed) <= tolerance + EXACT for recomputed, printed in pairs)


def contains(interval: Sequence[float | None], printed: float) -> bool:
    """Whether the figure lies in the interval, whose ends may be open (None)."""
    low, high = interval
    return (low is None or low <= printed + EXACT) and (high is None or printed <= high + EXACT)


def unless_inside(verdict: str, interval: Sequence[float | None], printed: float) -> str:
    """The verdict on a figure that we rebuilt with this 95 % interval: what is merely off is not refuted."""
    return OFF if verdict == FAILS and contains(interval, printed) else verdict


def if_true(true: bool) -> str:
    """The verdict on a claim that is true or not."""
    return HOLDS if true else FAILS


def cases(n_true: int, n: int) -> str:
    """The verdict on a claim that is true in some of the cases that it names."""
    return IN_PART if 0 < n_true < n else if_true(n_true == n)


def versions(old: str, still: bool) -> str:
    """The verdict on a claim that has the verdict ``old`` in v1; ``still``: in the camera-ready, too."""
    return old if still or old == FAILS else V1_ONLY


def both_versions(old: Sequence[float], new: Sequence[float], printed: Sequence[float]) -> str:
    """``versions`` for figures printed with one digit, recomputed from v1's table and the camera-ready's."""
    still = within(zip(new, printed, strict=True), CARRIED)
    return versions(agreement(zip(old, printed, strict=True), 0.1), still)
