"""The sigmoidal power law of a training curve (Eq. 11), and the published ways to fit it.

P(x) = P_start + (A - P_start) / (1 + (x / C_mid)^-B): ``a`` the ceiling A in points, ``c_mid`` the
compute at half the gain, ``b`` the steepness.  ``paper`` is the pipeline of RETU Appendix D,
``scalerl`` the grid protocol of ScaleRL.

Deviations
----------
- All take x in any unit: it is divided by the largest before the fit.
- ``paper`` fits gains over P_start with the point at x = 0 among them, as the released code does.
  The paper gives no tau, no number of passes and no bound on A: here at most 5 passes, and
  A - P_start at most 1.5 times the largest gain, which the published ceilings imply, and A not below 0.
- LTS ends in a local optimum, which depends on where it starts: from all points, as single starts do that rebuild the published
  ceilings, and from ``starts`` random quadruples (Rousseeuw and Van Driessen 2006), whose concentration steps are on a grid
  until they end and, of the ten best, with the fit itself from there.  The optimum of the least squares counts; ``spread`` tells how far the
  ceilings of the others lie apart, of those that leave at most twice its squares.
- ``scalerl`` polishes B at the best node of the grid only.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

MAX_SCORE = 100.0
TINY = 1e-12  # no divisor is smaller
ON_ZERO = 0.01  # points; a ceiling as low sits on its bound of 0
B_BOUNDS = 1e-4, 10.0
SMALLEST_C = 1e-8  # of the largest x
PASSES, MIN_POINTS = 5, 4
SOFT_CAP = 1.5
STARTS, BEST, SEED, C_STEPS, WORSE = 50, 10, 0, 100, 2.0  # of LTS
SCALERL_SKIPPED, SCALERL_STEP, SCALERL_HALF_WIDTH = 0.1, 0.5, 2.0


@dataclass(frozen=True)
class Fit:
    """A fitted curve; ``used`` the mask over the points given, ``at_bound`` whether A sits on a bound, upper or lower.

    ``spread``: the lowest and the highest ceiling, points, of the local optima of LTS; None without random starts.
    """

    a: float
    c_mid: float
    b: float
    p_start: float
    used: np.ndarray
    at_bound: bool
    spread: tuple[float, float] | None = None

    @property
    def b_at_bound(self) -> bool:
        """Whether B sits on a bound."""
        return not B_BOUNDS[0] * 1.001 < self.b < B_BOUNDS[1] * 0.999

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.p_start + (self.a - self.p_start) * rise(x, self.c_mid, self.b)


@dataclass(frozen=True)
class PaperSettings:
    """The choices that the paper makes run by run.

    ``first`` and ``last`` bound the fitted points as a Python slice in which the point at x = 0
    is number 0; ``alpha`` is the share that LTS keeps and ``tau`` the limit of the modified
    z-score (None switches either off); ``free_start`` fits P_start too; ``cap`` bounds
    A - P_start at so many times the largest gain (None: A at 100); ``starts`` is the number of random starts
    of LTS beside the one from all points.
    """

    first: int = 0
    last: int | None = None
    alpha: float | None = 0.85
    tau: float | None = 2.5
    free_start: bool = False
    cap: float | None = SOFT_CAP
    starts: int = STARTS


def rise(x: np.ndarray, c_mid: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The share of the gain that is realised at x, 1 / (1 + (x / C_mid)^-B) (Eq. 11)."""
    with np.errstate(divide="ignore"):
        return special.expit(b * (np.log(x) - np.log(c_mid)))


def paper(x: np.ndarray, score: np.ndarray, p_start: float, settings: PaperSettings = PaperSettings()) -> Fit:
    """Appendix D: modified z-scores drop outliers, then least trimmed squares fits the rest.

    ``x`` (positive, ascending) and ``score`` have shape (n,), without the point at x = 0.
    """
    unit = x.max()
    x, gain = np.append(0.0, x / unit), np.append(0.0, score - p_start)
    active = np.zeros(len(x), dtype=bool)
    active[settings.first : settings.last] = True
    if settings.tau is not None:
        active = drop_outliers(x, gain, p_start, active, settings)
    spread = None
    if settings.alpha is not None:
        active, spread = least_trimmed(x, gain, p_start, active, settings)
    a, c_mid, b, start = fit_gain(x[active], gain[active], p_start, settings)
    at_bound = a >= 0.999 * largest_gain(gain[active], p_start, settings) or p_start + a <= ON_ZERO
    return Fit(p_start + a, c_mid * unit, b, p_start + start, active[1:], bool(at_bound), spread)


def scalerl(x: np.ndarray, score: np.ndarray, p_start: float) -> Fit:
    """A and C_mid from a grid, B fitted, without the first tenth of the compute; A is good to +-2 points."""
    unit = x.max()
    used = x >= SCALERL_SKIPPED * unit
    x, score = x[used] / unit, score[used]
    a = np.arange(0, MAX_SCORE + SCALERL_STEP / 2, SCALERL_STEP)
    c_mid, b = np.geomspace(x.min() / 10, 10, 100), np.geomspace(0.1, 10, 41)
    curves = rise(x, c_mid[:, None, None], b[:, None])  # (c, b, n)
    square, cross = (curves**2).sum(-1), curves @ (score - p_start)
    gain = (a - p_start)[:, None, None]
    errors = gain**2 * square - 2 * gain * cross
    node = np.unravel_index(errors.argmin(), errors.shape)
    a, c_mid = float(a[node[0]]), float(c_mid[node[1]])
    (b,), _ = optimize.curve_fit(
        lambda x, b: p_start + (a - p_start) * rise(x, c_mid, b), x, score, p0=b[node[2]], bounds=B_BOUNDS
    )
    return Fit(a, c_mid * unit, float(b), p_start, used, a <= 0 or a >= MAX_SCORE)


def largest_gain(gain: np.ndarray, p_start: float, settings: PaperSettings) -> float:
    """The largest gain that a fit to these gains may reach."""
    if settings.cap is None or gain.max() <= 0:
        return MAX_SCORE - p_start
    return min(settings.cap * gain.max(), MAX_SCORE - p_start)


def fit_gain(x: np.ndarray, gain: np.ndarray, p_start: float, settings: PaperSettings) -> tuple[float, ...]:
    """(A - P_start, C_mid, B, shift of P_start) by least squares from the released code's start."""
    top = largest_gain(gain, p_start, settings)
    start = [min(gain.max(), top), max(np.median(x[x > 0]), SMALLEST_C), 1.0]
    low, high = [-p_start, SMALLEST_C, B_BOUNDS[0]], [top, np.inf, B_BOUNDS[1]]
    if settings.free_start:
        start, low, high = [*start, 0.0], [*low, -MAX_SCORE], [*high, MAX_SCORE]
    parameters, _ = optimize.curve_fit(gain_curve, x, gain, p0=start, bounds=(low, high), maxfev=20_000)
    return tuple(map(float, parameters)) if settings.free_start else (*map(float, parameters), 0.0)


def gain_curve(x: np.ndarray, a: float, c_mid: float, b: float, start: float = 0.0) -> np.ndarray:
    """Eq. 11 of gains: from ``start`` at x = 0 to ``a``."""
    return start + (a - start) * rise(np.maximum(x, SMALLEST_C), c_mid, b)


def drop_outliers(
    x: np.ndarray, gain: np.ndarray, p_start: float, active: np.ndarray, settings: PaperSettings
) -> np.ndarray:
    """The points that survive Eq. 28-29, refitting after every pass."""
    for _ in range(PASSES):
        residual = gain - gain_curve(x, *fit_gain(x[active], gain[active], p_start, settings))
        centre = np.median(residual[active])
        deviation = np.median(np.abs(residual[active] - centre))
        keep = active & (0.6745 * np.abs(residual - centre) <= settings.tau * deviation)
        if deviation == 0 or keep.sum() < MIN_POINTS or (keep == active).all():
            break
        active = keep
    return active


def least_trimmed(
    x: np.ndarray, gain: np.ndarray, p_start: float, active: np.ndarray, settings: PaperSettings
) -> tuple[np.ndarray, tuple[float, float] | None]:
    """The mask of the h points of Eq. 30, h = floor(alpha n), of the least squares, and the spread of ``Fit``."""
    n_kept = max(int(settings.alpha * active.sum()), MIN_POINTS)
    full = trim_to_share(x, gain, p_start, active, active, n_kept, settings)
    if not settings.starts:
        return full, None
    begun = random_subsets(x, gain, p_start, active, n_kept, settings)
    ended = [trim_to_share(x, gain, p_start, active, chosen, n_kept, settings) for chosen in begun]
    optima = [full, *np.unique(ended, axis=0)]
    fits = [fit_gain(x[chosen], gain[chosen], p_start, settings) for chosen in optima]
    left = [
        float(((gain - gain_curve(x, *fit))[chosen] ** 2).sum())
        for chosen, fit in zip(optima, fits, strict=True)
    ]
    near = [p_start + fit[0] for fit, squares in zip(fits, left, strict=True) if squares <= WORSE * min(left)]
    return optima[int(np.argmin(left))], (min(near), max(near))


def trim_to_share(
    x: np.ndarray, gain: np.ndarray, p_start: float, active: np.ndarray, chosen: np.ndarray, n_kept: int,
    settings: PaperSettings,
) -> np.ndarray:  # fmt: skip
    """``n_kept`` of the active points by concentration steps from the chosen ones, until they stay the same."""
    for _ in range(C_STEPS):
        fitted = gain_curve(x, *fit_gain(x[chosen], gain[chosen], p_start, settings))
        nearest = nearest_points(gain - fitted, active, n_kept)
        if (nearest == chosen).all():
            break
        chosen = nearest
    return chosen


def nearest_points(residual: np.ndarray, active: np.ndarray, n_kept: int) -> np.ndarray:
    """Mask of the ``n_kept`` active points of the smallest residuals, along the last axis of (..., n)."""
    order = np.argsort(np.where(active, np.abs(residual), np.inf), axis=-1, kind="stable")
    nearest = np.zeros(residual.shape, dtype=bool)
    np.put_along_axis(nearest, order[..., :n_kept], True, axis=-1)
    return nearest


def random_subsets(
    x: np.ndarray, gain: np.ndarray, p_start: float, active: np.ndarray, n_kept: int, settings: PaperSettings
) -> np.ndarray:
    """Where the concentration steps from random quadruples end on the grid: the ``BEST`` masks, (k, n), each once."""
    rng, places = np.random.default_rng(SEED), np.flatnonzero(active)
    chosen = np.zeros((settings.starts, len(x)), dtype=bool)
    for mask in chosen:
        mask[rng.choice(places, min(MIN_POINTS, len(places)), replace=False)] = True
    for _ in range(C_STEPS):
        residual = gain - fit_on_grid(x, gain, chosen, p_start, settings)
        nearest = nearest_points(residual, active, n_kept)
        if (nearest == chosen).all():
            break
        chosen = nearest
    ended, places = np.unique(chosen, axis=0, return_index=True)
    left = (residual**2 * chosen).sum(axis=1)[places]
    return ended[np.argsort(left, kind="stable")[:BEST]]


def fit_on_grid(
    x: np.ndarray, gain: np.ndarray, chosen: np.ndarray, p_start: float, settings: PaperSettings
) -> np.ndarray:
    """The gains of ``fit_gain`` on a grid over (C_mid, B), on which they are linear: fitted to every mask of (k, n), (k, n)."""
    c_mid, b = np.geomspace(x[x > 0].min() / 10, 10, 41), np.geomspace(0.1, B_BOUNDS[1], 23)
    rises = rise(np.maximum(x, SMALLEST_C), c_mid[:, None, None], b[:, None]).reshape(-1, len(x))
    rest = (1 - rises) * settings.free_start
    used, wanted = chosen.astype(float), chosen * gain
    square, cross, both = used @ (rises**2).T, wanted @ rises.T, used @ (rises * rest).T  # (k, nodes)
    own, other = np.maximum(used @ (rest**2).T, TINY), wanted @ rest.T
    top = [largest_gain(gain[mask], p_start, settings) for mask in chosen]
    a = (cross - both * other / own) / np.maximum(square - both**2 / own, TINY)
    a = np.clip(a, -p_start, np.array(top)[:, None])
    start = (other - a * both) / own
    left = a**2 * square + start**2 * own + 2 * (a * start * both - a * cross - start * other)
    best, rows = left.argmin(axis=1), np.arange(len(chosen))
    return a[rows, best, None] * rises[best] + start[rows, best, None] * rest[best]
