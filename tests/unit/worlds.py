"""Training curves of many kinds of truth: what a ceiling's interval has to hold in, whether the fit assumes it or not.

Every curve has 8 to 40 points in one of three spacings, AR(1) noise with an autocorrelation of 0 to 0.7 whose scale
changes along the curve, a third of it heavy-tailed, a gain of 5 to 20 points, and a start that is measured with noise.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import special

UNSEEN = 0.1  # a truth is covered when the data leave less than this of the gain unseen


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


# Kind of truth -> (the rise to 1, whether the data cover it, whether the ceiling exists).
WORLDS: dict[str, tuple[Callable, str]] = {
    "sigmoid": (lambda rng: sigmoid(rng, 6, 15, (1, 3)), "covered"),
    "sigmoid, late rise": (lambda rng: sigmoid(rng, 2, 5, (5, 9)), "covered"),
    "exponential": (lambda rng: exponential(rng, 4, 8), "covered"),
    "stretched exponential": (stretched, "covered"),
    "power law": (power, "covered"),
    "Gompertz": (gompertz, "covered"),
    "two steps": (two_steps, "covered"),
    "two rates": (two_rates, "covered"),
    "straight, then flat": (kinked, "covered"),
    "slow decline after the top": (declining, "covered"),
    "logarithm": (logarithm, "no ceiling"),
    "power of compute": (root, "no ceiling"),
    "sigmoid, up to half of C": (lambda rng: sigmoid(rng, 0.15, 0.5, (1, 3)), "not covered"),
    "exponential, one time constant": (lambda rng: exponential(rng, 0.4, 1.2), "not covered"),
    "sigmoid, 5 to 7 points": (lambda rng: sigmoid(rng, 6, 15, (1, 3)), "too few"),
}


def curve(world: str, seed: int) -> dict:
    """One curve of a world: its ``points`` (run, exaflops, score, p_start), the rest of it up to twice the compute
    (``later``), and ``a``, the ceiling, None where there is none."""
    rise, kind = WORLDS[world]
    rng = np.random.default_rng([seed, list(WORLDS).index(world)])
    n = int(rng.integers(5, 8)) if kind == "too few" else int(rng.integers(8, 41))
    share = rise(rng)
    x = spaced(rng, n)
    start, gain = rng.uniform(30, 70), rng.uniform(5, 20)
    top = max(float(share(np.linspace(0, 1, 2001)).max()), 1e-9) if world.startswith("slow") else 1.0
    whole = 1.0 if kind != "not covered" else float(share(np.array([1.0]))[0])
    scale = gain / whole if kind == "not covered" else gain
    scale = min(scale, 97 - start)
    score = start + scale * share(x) + noise(rng, x)
    unit = 10 ** rng.uniform(-8, 3)
    points = pd.DataFrame({"run": f"{world}-{seed}", "exaflops": x * unit, "score": score.clip(0, 100)})
    measured = start + rng.uniform(0.4, 1.0) * rng.standard_normal()
    a = None if kind == "no ceiling" else start + scale * top
    true = lambda at: start + scale * share(at / unit)  # noqa: E731
    return {"points": points.assign(p_start=measured), "a": a, "kind": kind, "true": true, "x_last": unit}


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
