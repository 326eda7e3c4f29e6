"""Training curves of many kinds of truth: what a ceiling's interval has to hold in, whether the fit assumes it or not.

Every curve has 8 to 40 points in one of three spacings, AR(1) noise with an autocorrelation of 0 to 0.7 whose scale
changes along the curve, a third of it heavy-tailed, a gain of 5 to 20 points, and a start that is measured with noise.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from switchpoint.analysis.ceilings import fit_curves


def sigmoid(rng: np.random.Generator, low: float, high: float, b: tuple[float, float]) -> Callable:
    """Eq. 11 with the data ending at ``low`` to ``high`` times C_mid."""
    c, b = 1 / rng.uniform(low, high), rng.uniform(*b)
    return lambda x: special.expit(b * np.log(np.maximum(x, 1e-12) / c))


def exponential(rng: np.random.Generator, low: float, high: float) -> Callable:
    """``low`` to ``high`` time constants."""
    k = rng.uniform(low, high)
    return lambda x: 1 - np.exp(-k * x)


def stretched(rng: np.random.Generator) -> Callable:
    """A stretched exponential, 90 to 99 % of which is seen."""
    beta, seen = rng.uniform(0.4, 0.8), rng.uniform(0.9, 0.99)
    return lambda x: 1 - np.exp(np.log(1 - seen) * x**beta)


def power(rng: np.random.Generator) -> Callable:
    """A power law that saturates, 90 to 98 % of which is seen."""
    alpha, seen = rng.uniform(1.0, 3.0), rng.uniform(0.9, 0.98)
    k = (1 - seen) ** (-1 / alpha) - 1
    return lambda x: 1 - (1 + k * x) ** -alpha


def gompertz(rng: np.random.Generator) -> Callable:
    """Gompertz's curve from its start."""
    b, k = rng.uniform(2, 5), rng.uniform(6, 12)
    first = np.exp(-b)
    return lambda x: (np.exp(-b * np.exp(-k * x)) - first) / (1 - first)


def two_steps(rng: np.random.Generator) -> Callable:
    """A fast rise and a second, later one, both over at the end."""
    share, at = rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.5)
    fast, late = rng.uniform(15, 30), rng.uniform(6, 10)
    return lambda x: (
        share * (1 - np.exp(-fast * x))
        + (1 - share) * special.expit(late * np.log(np.maximum(x, 1e-12) / at))
    )


def two_rates(rng: np.random.Generator) -> Callable:
    """A fast and a slow exponential, 3 to 5 of whose time constants are seen."""
    share, fast, slow = rng.uniform(0.5, 0.8), rng.uniform(15, 40), rng.uniform(3, 5)
    return lambda x: share * (1 - np.exp(-fast * x)) + (1 - share) * (1 - np.exp(-slow * x))


def kinked(rng: np.random.Generator) -> Callable:
    """A straight line to the ceiling, and flat from there."""
    at = rng.uniform(0.2, 0.6)
    return lambda x: np.minimum(x / at, 1.0)


def declining(rng: np.random.Generator) -> Callable:
    """An exponential to the top, and a slow decline of a tenth to a third of the gain after it."""
    k, lost, top = rng.uniform(8, 16), rng.uniform(0.1, 0.33), rng.uniform(0.35, 0.6)
    return lambda x: (1 - np.exp(-k * x)) - lost * np.maximum(x - top, 0) / (1 - top)


def logarithm(rng: np.random.Generator) -> Callable:
    """No ceiling: a logarithm, which gains as much in its last decade as in the ones before."""
    k = 10 ** rng.uniform(0.7, 2)
    return lambda x: np.log1p(k * x) / np.log1p(k)


def root(rng: np.random.Generator) -> Callable:
    """No ceiling: a power of the compute."""
    power = rng.uniform(0.25, 0.6)
    return lambda x: x**power


class World(NamedTuple):
    """A kind of truth: its rise, drawn by chance, to 1, and whether the data cover it."""

    rise: Callable[[np.random.Generator], Callable]
    kind: str = "covered"  # or: no ceiling, not covered, too few


WORLDS = {
    "sigmoid": World(lambda rng: sigmoid(rng, 6, 15, (1, 3))),
    "sigmoid, late rise": World(lambda rng: sigmoid(rng, 2, 5, (5, 9))),
    "exponential": World(lambda rng: exponential(rng, 4, 8)),
    "stretched exponential": World(stretched),
    "power law": World(power),
    "Gompertz": World(gompertz),
    "two steps": World(two_steps),
    "two rates": World(two_rates),
    "straight, then flat": World(kinked),
    "slow decline after the top": World(declining),
    "logarithm": World(logarithm, "no ceiling"),
    "power of compute": World(root, "no ceiling"),
    "sigmoid, up to half of C": World(lambda rng: sigmoid(rng, 0.15, 0.5, (1, 3)), "not covered"),
    "exponential, one time constant": World(lambda rng: exponential(rng, 0.4, 1.2), "not covered"),
    "sigmoid, 5 to 7 points": World(lambda rng: sigmoid(rng, 6, 15, (1, 3)), "too few"),
}
ASSUMED = [
    "sigmoid",
    "sigmoid, late rise",
    "exponential",
    "stretched exponential",
    "power law",
    "logarithm",
    "power of compute",
]
THRESHOLD = 0.5  # points by doubling the compute, between stop and continue


class Curve(NamedTuple):
    """The points of a curve, its ceiling (None where there is none), what doubling its compute truly adds."""

    points: pd.DataFrame  # run, exaflops, score, p_start
    a: float | None
    gain: float


def curve(world: str, seed: int) -> Curve:
    """One curve of a world."""
    kind, rng = WORLDS[world].kind, np.random.default_rng([seed, list(WORLDS).index(world)])
    n = int(rng.integers(5, 8)) if kind == "too few" else int(rng.integers(8, 41))
    share, x = WORLDS[world].rise(rng), spaced(rng, n)
    start, gain = rng.uniform(30, 70), rng.uniform(5, 20)
    if kind == "not covered":  # that gain is what is seen
        gain /= float(share(np.array([1.0]))[0])
    gain = min(gain, 97 - start)
    score = (start + gain * share(x) + noise(rng, x)).clip(0, 100)
    measured = start + rng.uniform(0.4, 1.0) * rng.standard_normal()
    points = pd.DataFrame(
        {
            "run": f"{world}-{seed}",
            "exaflops": x * 10 ** rng.uniform(-8, 3),
            "score": score,
            "p_start": measured,
        }
    )
    # A curve that declines has its top as its ceiling, the others what they tend to.
    top = float(share(np.linspace(0, 1, 2001)).max()) if world == "slow decline after the top" else 1.0
    end, doubled = share(np.array([1.0, 2.0]))
    return Curve(points, None if kind == "no ceiling" else start + gain * top, gain * float(doubled - end))


def judged(world: str, seed: int) -> dict:
    """How the default fit does on one curve."""
    made = curve(world, seed)
    (fit,) = fit_curves(made.points)["runs"].values()
    low, high = fit["a_ci95"]
    a, covered = math.nan, math.nan
    if made.a is not None:
        a, covered = made.a, float((low or 0.0) <= made.a <= (100.0 if high is None else high))
    gains = [gain["ci95"] for gain in fit["gains"] if gain["times"] == 2]
    (least, most) = gains[0] if gains else (math.nan, math.nan)
    wrong = (most < THRESHOLD < made.gain) or (least > THRESHOLD > made.gain)
    claimed = fit["status"] == "identified"
    return {
        "world": world,
        "identified": claimed,
        "covered": covered,
        "covered, identified": covered if claimed else math.nan,
        "false claims": float(claimed and covered != 1),
        "error": abs(fit["a_point"] - a) if claimed else math.nan,
        "peak's error": abs(fit["observed_peak_smoothed"] - a) if claimed else math.nan,
        "width": high - low if claimed else math.nan,
        "gain covered": float(least <= made.gain <= most) if gains else math.nan,
        "wrong advice": float(wrong),
        "held-out": fit["heldout_rmse"],
        "naive": fit["heldout_rmse_naive"],
    }


def judge(rows: list[dict]) -> dict:
    """The same of many: shares, medians of error and width, means of the held-out errors and of their difference's noise."""
    table = pd.DataFrame(rows)
    medians = table[["error", "peak's error", "width"]].median()
    known = table.dropna(subset=["held-out"])
    differences = known["held-out"] - known["naive"]
    return {
        **table.drop(columns=["world", "error", "peak's error", "width", "held-out", "naive"]).mean(),
        **medians,
        **known[["held-out", "naive"]].mean(),
        "noise of that": differences.std() / max(len(differences), 1) ** 0.5,
    }


def spaced(rng: np.random.Generator, n: int) -> np.ndarray:
    """The compute of n points, up to 1: even with gaps, dense at the start, or by chance."""
    spacing = rng.integers(3)
    if spacing == 0:
        x = np.linspace(1 / n, 1, n) + rng.uniform(-0.3, 0.3, n) / n
    elif spacing == 1:
        x = np.linspace(1 / n, 1, n) ** rng.uniform(1.3, 2.0)
    else:
        x = np.cumsum(rng.gamma(2.0, size=n))
    x = np.sort(np.maximum(x, 1e-3))
    return np.maximum.accumulate(x + 1e-6 * np.arange(n)) / (x[-1] + 1e-6 * (n - 1))


def noise(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """AR(1) noise of 0.3 to 1 point, whose scale changes by up to a half from one end to the other."""
    n, rho = len(x), rng.uniform(0, 0.7)
    heavy = rng.random() < 1 / 3
    drawn = rng.standard_t(3, n) / np.sqrt(3) if heavy else rng.standard_normal(n)
    for i in range(1, n):
        drawn[i] = rho * drawn[i - 1] + np.sqrt(1 - rho**2) * drawn[i]
    return rng.uniform(0.3, 1.0) * drawn * (1 + rng.uniform(-0.5, 0.5) * (x - 0.5))
