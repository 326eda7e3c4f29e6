"""The posterior of a curve's ceiling: an average over the forms of ``forms``, with autocorrelated noise, on a grid.

For given (form, C, B) and noise the curve is linear in P_start and A, so their posterior and that of
the noise's scale are exact; every form's grid over (C, B) is refined around what the data leave
possible, and draws from all of them by their weights carry every uncertainty at once, that of the form too.

Model, with r_i the share of the gain at x_i and t_i the number of the evaluation
---------------------------------------------------------------------------------
score_i = P (1 - r_i) + A r_i + e_i,  corr(e_i, e_j) = f rho^|t_i - t_j| for i != j,  p_start = P + e_0.

Priors, stated before any fit
-----------------------------
The forms, their B and C as in ``forms``; A uniform on 0..100 (without a ceiling: the score at the last
point); (rho, f) as in ``NOISES``: any autocorrelation up to
0.5 alike, more of it less often, and a slow part for curves that wander; the noise variance inverse gamma, worth one observation of
``NOISE`` points.

Deviations
----------
- The paper fits the sigmoid alone.  Where the truth is another form that intervals of the sigmoid miss it, the more
  certainly the more points there are (``docs/ceilings.md``).
- The paper fixes P_start at its one measured score; here that score has noise as the others have.
- Points that a trimmed fit (Eq. 30, C-steps at every grid node) and then a second fit to the
  rest leave with a modified z-score (Eq. 29) over 3.5 are dropped, at most a fifth, and no three neighbours on one side:
  a late rise is no outlier; the paper chooses limits run by run.
- The last point bends the curve towards itself, so it is judged by what the others predict: three standard deviations.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import linalg, special, stats

from switchpoint.analysis.forms import FORMS, NAMES, NO_CEILING, SIGMOID, Form
from switchpoint.analysis.sigmoid import MAX_SCORE, rise

N_C, N_B, ZOOMS = 41, 23, 4
C_RANGE = 0.1, 30.0  # of the smallest and the largest x
SOONER = 0.01  # of the lower end: growth without a ceiling may slow so much sooner
# The noise of one evaluation: the autocorrelation rho, the part f of the variance that has it, the prior weight.
NOISES = [
    (0.0, 1.0, 1.0), (0.3, 1.0, 1.0), (0.5, 1.0, 1.0), (0.7, 1.0, 0.7), (0.85, 1.0, 0.4),
    (0.9, 0.3, 0.5), (0.9, 0.6, 0.5), (0.97, 0.3, 0.5), (0.97, 0.6, 0.5),
]  # fmt: skip
NOISE = 0.02
TRIM, MAX_DROPPED, MAX_Z = 0.75, 0.2, 3.5
C_STEPS = 8  # of the trimmed fit
TOGETHER = 3  # neighbours off on the same side are no outliers
MIN_ROBUST = 12  # points; with fewer no outlier is told from the curve
MIN_SCALE = 0.1  # points; no smaller residual matters as an outlier
APART = 3.0  # standard deviations of the prediction: a last point further off is left out
JUMP = 2.0  # standard deviations of the noise: a last point nearer to those before it is not looked at
BEFORE = 3  # points, of which the median is what the last one jumped from
DRAWS, SEED = 4000, 0


@dataclass(frozen=True)
class Posterior:
    """Draws of the curve and its noise, each of shape (draws,), from the points of one run.

    ``x`` and ``score`` (n,) are the points and ``used`` (n,) those that were not dropped; ``form`` is the place in
    ``NAMES``, ``level`` the ceiling (without one: the score at the last point), ``c_mid`` the compute at half the gain, in
    the unit of ``x``, ``noise`` the standard deviation of one evaluation, ``kind`` its place in ``NOISES``; ``weights``
    the posterior weight of every form.
    """

    x: np.ndarray
    score: np.ndarray
    used: np.ndarray
    form: np.ndarray
    level: np.ndarray
    c_mid: np.ndarray
    b: np.ndarray
    p_start: np.ndarray
    noise: np.ndarray
    kind: np.ndarray
    weights: dict[str, float]

    @property
    def bounded(self) -> np.ndarray:
        """Mask of the draws that have a ceiling."""
        return self.form != NAMES.index(NO_CEILING)

    @property
    def ceiling(self) -> np.ndarray:
        """The ceilings drawn; ``MAX_SCORE`` stands for none."""
        return np.where(self.bounded, self.level, MAX_SCORE)

    @property
    def autocorrelation(self) -> float:
        """The mean correlation of two evaluations that follow one another."""
        return float(np.array([rho * part for rho, part, _ in NOISES])[self.kind].mean())

    def curves(self, x: np.ndarray) -> np.ndarray:
        """The drawn curves at ``x`` (k,), of shape (draws, k); none rises above ``MAX_SCORE``."""
        shares = np.empty((len(self.form), len(x)))
        for place, form in enumerate(FORMS.values()):
            own = self.form == place
            unit = self.x[-1]
            shares[own] = form.share(x / unit, self.c_mid[own, None] / unit, self.b[own, None])
        return np.minimum(self.p_start[:, None] + (self.level - self.p_start)[:, None] * shares, MAX_SCORE)

    def ahead(self, x: np.ndarray) -> np.ndarray:
        """How many evaluations ``x`` (k,) lies beyond the last point, 0 within the data."""
        return np.maximum(x / self.x[-1] - 1, 0) * len(self.x)

    def remembered(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the noise of evaluations at ``x`` (k,), given the residuals so far; (draws, k).

        Within the data a new evaluation remembers nothing.
        """
        residual = (self.score - self.curves(self.x))[:, self.used]
        time, ahead = np.flatnonzero(self.used), self.ahead(x)
        lag = ahead[:, None] + len(self.x) - 1 - time
        mean, sd = np.empty((2, len(self.form), len(x)))
        for place, (rho, part, _) in enumerate(NOISES):
            own = self.kind == place
            shared = part * rho**lag * (ahead > 0)[:, None]
            gain = precision(time, rho, part).times(shared)
            mean[own] = residual[own] @ gain.T
            sd[own] = self.noise[own, None] * np.sqrt(1 - (shared * gain).sum(axis=1))
        return mean, sd


class Precision(NamedTuple):
    """The inverse of the noise's correlation, f R + (1 - f) I with the AR(1) correlation R, in time linear in its size.

    R's inverse T is tridiagonal, of ``diagonal`` (n,) and ``beside`` (n - 1,) it; the correlation is M R with the tridiagonal
    M = f I + (1 - f) T, of which ``factor`` (2, n) is the banded Cholesky factor, None where M is I.  ``log_det`` is of the
    correlation.
    """

    diagonal: np.ndarray
    beside: np.ndarray
    factor: np.ndarray | None
    log_det: float

    def times(self, rows: np.ndarray) -> np.ndarray:
        """The product with each of ``rows`` (k, n), shape (k, n)."""
        solved = rows if self.factor is None else linalg.cho_solve_banded((self.factor, False), rows.T).T
        product = self.diagonal * solved
        product[:, 1:] += self.beside * solved[:, :-1]
        product[:, :-1] += self.beside * solved[:, 1:]
        return product


def precision(time: np.ndarray, rho: float, part: float) -> Precision:
    """Of the noise of evaluations with these numbers (n,), ascending."""
    shared = rho ** np.diff(time)
    alone = 1 - shared**2
    diagonal = np.ones(len(time))
    diagonal[1:] += shared**2 / alone
    diagonal[:-1] += shared**2 / alone
    beside, log_det = -shared / alone, np.log(alone).sum()
    if part == 1:
        return Precision(diagonal, beside, None, log_det)
    bands = np.zeros((2, len(time)))
    bands[0, 1:], bands[1] = (1 - part) * beside, part + (1 - part) * diagonal
    factor = linalg.cholesky_banded(bands)
    return Precision(diagonal, beside, factor, log_det + 2 * np.log(factor[1]).sum())


def posterior(x: np.ndarray, score: np.ndarray, p_start: float) -> Posterior:
    """The posterior given the points of one run.

    ``x`` is the compute, positive and ascending, ``score`` in points, both of shape (n,), n >= 3;
    ``p_start`` is the score at x = 0.
    """
    used = ~outliers(x / x[-1], score - p_start)
    if used[-1] and stands_apart(x, score, p_start, used):
        used[-1] = False
    return averaged(x, score, p_start, used)


def stands_apart(x: np.ndarray, score: np.ndarray, p_start: float, used: np.ndarray) -> bool:
    """Whether the last point lies further than ``APART`` from what the other used ones predict."""
    if len(x) <= BEFORE + 2 or abs(score[-1] - np.median(score[-1 - BEFORE : -1])) < JUMP * bend_noise(score):
        return False
    others = averaged(x[:-1], score[:-1], p_start, used[:-1])
    remembered, sd = others.remembered(x[-1:])
    expected = others.curves(x[-1:]) + remembered
    return abs(score[-1] - expected.mean()) > APART * np.sqrt(expected.var() + (sd**2).mean())


def bend_noise(score: np.ndarray) -> float:
    """A robust standard deviation of one evaluation's noise: of a point from the mean of its neighbours, so that no trend counts."""
    bend = np.abs(score[1:-1] - (score[:-2] + score[2:]) / 2)
    return 1.4826 * float(np.median(bend)) / math.sqrt(1.5)


def averaged(x: np.ndarray, score: np.ndarray, p_start: float, used: np.ndarray) -> Posterior:
    """The posterior given the points ``used``, (n,)."""
    unit = x[-1]
    precisions = [precision(np.flatnonzero(used), rho, part) for rho, part, _ in NOISES]
    grids = [refined_grid(form, x[used] / unit, score[used], precisions, p_start) for form in FORMS.values()]
    evidence = np.array([grid["evidence"] for grid in grids])
    weights = np.exp(evidence - special.logsumexp(evidence))
    rng = np.random.default_rng(SEED)
    counts = rng.multinomial(DRAWS, weights)
    draws = [draw_parameters(grid, count, used.sum(), rng) for grid, count in zip(grids, counts, strict=True)]
    level, start, noise, kind, nodes = map(np.concatenate, zip(*draws, strict=True))
    log_c, log_b = nodes.T
    return Posterior(
        x, score, used, np.repeat(np.arange(len(FORMS)), counts), level, np.exp(log_c) * unit, np.exp(log_b),
        start, noise, kind, dict(zip(NAMES, weights.tolist(), strict=True)),
    )  # fmt: skip


def refined_grid(
    form: Form, x: np.ndarray, score: np.ndarray, precisions: list[Precision], p_start: float
) -> dict:
    """What ``solve_nodes`` finds for a form where its weight lies, with the ``nodes`` and the log ``evidence``.

    ``precisions`` are those of every noise; x in units of the last.
    """
    nodes = whole_grid(form, x)
    for _ in range(ZOOMS):
        grid = solve_nodes(form, nodes, x, score, precisions, p_start)
        smaller = zoom_nodes(nodes, np.exp(grid["weight"] - grid["weight"].max()).sum(axis=0))
        if smaller is None:
            break
        nodes = smaller
    evidence = special.logsumexp(grid["weight"]) + np.log(steps(nodes)).sum() + np.log(form.weight)
    return grid | {"nodes": nodes, "evidence": evidence}


def outliers(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Mask of the points far off a trimmed fit, the worst fifth at most; x in units of the largest.

    Outliers come alone: three neighbours that are off on the same side, or the last two, are the curve's own.
    """
    n = len(x)
    bad = np.zeros(n, dtype=bool)
    if n < MIN_ROBUST:
        return bad
    residual = residuals(x, gain, trimmed_fit(x, gain))
    for _ in range(2):
        distance = np.abs(residual - np.median(residual))
        # The factor corrects the median of a trimmed fit's residuals for few points.
        scale = max(1.4826 * (1 + 5 / (n - 3)) * float(np.median(distance)), MIN_SCALE)
        bad = np.zeros(n, dtype=bool)
        bad[np.argsort(-distance, kind="stable")[: int(MAX_DROPPED * n)]] = True
        bad &= distance > MAX_Z * scale
        residual = residuals(x, gain, ~bad)
    side = np.where(bad, np.sign(residual - np.median(residual)), 0)
    for stretch in np.split(np.arange(n), np.flatnonzero(np.diff(side)) + 1):
        if len(stretch) >= TOGETHER or (len(stretch) > 1 and stretch[-1] == n - 1):
            bad[stretch] = False
    return bad


def trimmed_fit(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Mask of the points that the least trimmed squares fit over the grid keeps."""
    rises = rise(x, *np.exp(whole_grid(FORMS[SIGMOID], x)).T[..., None])
    n_kept = int(TRIM * len(x))
    kept = np.ones_like(rises, dtype=bool)
    for _ in range(C_STEPS):
        squared = (gain - project_gain(rises, gain, kept)[:, None] * rises) ** 2
        kept = squared <= np.partition(squared, n_kept - 1, axis=1)[:, n_kept - 1 : n_kept]
    return kept[np.sort(squared, axis=1)[:, :n_kept].sum(axis=1).argmin()]


def residuals(x: np.ndarray, gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Residuals of all points from the curve that fits the kept ones best, on a grid refined around it."""
    nodes = whole_grid(FORMS[SIGMOID], x)
    for _ in range(3):
        rises = rise(x, *np.exp(nodes).T[..., None])
        residual = gain - project_gain(rises, gain, kept)[:, None] * rises
        nearest = (residual**2 * kept).sum(axis=1).argmin()
        nodes = box_nodes(nodes[nearest] - steps(nodes), nodes[nearest] + steps(nodes))
    return residual[nearest]


def project_gain(rises: np.ndarray, gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Least-squares gain of the ceiling at every node of ``rises`` (k, n), shape (k,)."""
    weighted = rises * kept
    square = np.maximum(np.einsum("kn,kn->k", weighted, rises), 1e-300)
    return np.clip(weighted @ gain / square, -MAX_SCORE, MAX_SCORE)


def whole_grid(form: Form, x: np.ndarray) -> np.ndarray:
    """All (log C, log B) that a form may have; x in units of the largest."""
    low, high = form.b_range
    first = C_RANGE[0] * x.min() * (SOONER if form is FORMS[NO_CEILING] else 1.0)
    return box_nodes(np.log([first, low]), np.log([C_RANGE[1], high]))


def box_nodes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Nodes (log C, log B) from ``low`` (2,) to ``high``, shape (k, 2)."""
    axes = np.linspace(low[0], high[0], N_C), np.linspace(low[1], high[1], N_B)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def steps(nodes: np.ndarray) -> np.ndarray:
    """The distances of neighbours in log C and in log B, shape (2,)."""
    return np.ptp(nodes, axis=0) / [N_C - 1, N_B - 1]


def zoom_nodes(nodes: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Nodes over the part of the box that holds the weight; None when that is most of it."""
    inside = nodes[weight > 1e-6 * weight.max()]
    low, high = nodes.min(axis=0), nodes.max(axis=0)
    first = np.maximum(inside.min(axis=0) - steps(nodes), low)
    last = np.minimum(inside.max(axis=0) + steps(nodes), high)
    return None if np.prod((last - first) / (high - low)) > 0.5 else box_nodes(first, last)


def solve_nodes(
    form: Form,
    nodes: np.ndarray,
    x: np.ndarray,
    score: np.ndarray,
    precisions: list[Precision],
    p_start: float,
) -> dict:
    """Log weight and conditional posterior of (P, A) at every (noise, node); arrays of shape (noises, k).

    At a node, (P, A) given the noise variance is normal around its generalised least-squares
    estimate; ``var_a``, ``var_p`` and ``cov`` are in units of that variance.
    """
    shares, n = form.share(x, *np.exp(nodes).T[..., None]), len(x)
    solutions = []
    for inverse, (_, _, prior) in zip(precisions, NOISES, strict=True):
        weighted, (plain, scored) = inverse.times(shares), inverse.times(np.stack([np.ones(n), score]))
        square, once = (weighted * shares).sum(-1), weighted.sum(-1)
        # The measured P_start is an observation of P with noise of its own.
        pp, pa, aa = 1 + plain.sum() - 2 * once + square, once - square, square + 1e-9
        ay = weighted @ score
        py, yy = p_start + scored.sum() - ay, scored @ score
        det = np.maximum(pp * aa - pa**2, 1e-12)
        p, a = (aa * py - pa * ay) / det, (pp * ay - pa * py) / det
        error = np.maximum(p_start**2 + yy - p * py - a * ay, 0) + NOISE**2
        scale = np.sqrt(pp / det * error / n)
        possible = special.stdtr(n, (MAX_SCORE - a) / scale) - special.stdtr(n, -a / scale)
        weight = -0.5 * np.log(det) - n / 2 * np.log(error) - inverse.log_det / 2
        weight += np.log(prior) + np.log(np.maximum(possible, 1e-300))
        solutions.append((weight, p, a, pp / det, aa / det, -pa / det, error))
    names = ["weight", "p", "a", "var_a", "var_p", "cov", "error"]
    grid = {name: np.array(values) for name, values in zip(names, zip(*solutions, strict=True), strict=True)}
    for values, (median, sd) in zip(nodes.T, [form.c_prior, form.b_prior], strict=True):
        grid["weight"] += stats.norm.logpdf(values, np.log(median), sd)
    return grid


def draw_parameters(grid: dict, count: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draws of A (within 0..100), P, the noise, its kind (count,), and (log C, log B), shape (count, 2); n points."""
    weight = np.exp(grid["weight"] - grid["weight"].max()).ravel()
    k = rng.choice(weight.size, count, p=weight / weight.sum())
    p, a, var_a, var_p, cov, error = (
        grid[name].ravel()[k] for name in ["p", "a", "var_a", "var_p", "cov", "error"]
    )
    noise = np.sqrt(error / rng.chisquare(n, count))
    sd = np.sqrt(var_a) * noise
    low, high = special.ndtr(-a / sd), special.ndtr((MAX_SCORE - a) / sd)
    drawn = a + sd * special.ndtri(np.clip(low + (high - low) * rng.random(count), 1e-12, 1 - 1e-12))
    drawn = np.clip(drawn, 0, MAX_SCORE)
    rest = np.sqrt(np.maximum(var_p - cov**2 / var_a, 0)) * noise
    start = p + cov / var_a * (drawn - a) + rest * rng.standard_normal(count)
    size = len(grid["nodes"])
    return drawn, start, noise, k // size, grid["nodes"][k % size]
