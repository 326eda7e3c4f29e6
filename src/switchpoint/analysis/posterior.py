"""The posterior of a curve's ceiling: Eq. 11 with autocorrelated noise, on a grid.

For given (C_mid, B) and autocorrelation rho the curve is linear in P_start and A, so their
posterior and that of the noise are exact; the grid over (C_mid, B, rho) is refined around
what the data leave possible, and draws from it carry every uncertainty at once.

Model, with r_i the rise at x_i and t_i the number of the evaluation
--------------------------------------------------------------------
score_i = P (1 - r_i) + A r_i + e_i,  corr(e_i, e_j) = rho^|t_i - t_j|,  p_start = P + e_0.

Priors, stated before any fit
-----------------------------
A uniform on 0..100; B log-normal around 1.5 (log sd 0.4: the slopes of RETU Table 4);
C_mid log-normal around a fifth of the compute spent (log sd 1.5); rho in 0..0.9 with density
1 - rho; the noise variance inverse gamma, worth one observation of ``NOISE`` points.

Deviations
----------
- The paper fixes P_start at its one measured score; here that score has noise as the others have.
- Points that a trimmed fit (Eq. 30, C-steps at every grid node) and then a second fit to the
  rest leave with a modified z-score (Eq. 29) over 3.5 are dropped, at most a fifth; the paper
  chooses limits run by run.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from switchpoint.analysis.sigmoid import MAX_SCORE, rise

N_C, N_B, ZOOMS = 41, 23, 4
C_RANGE = 0.1, 30.0  # of the smallest and the largest x
B_RANGE = 0.2, 6.0
C_PRIOR, B_PRIOR = (0.2, 1.5), (1.5, 0.4)  # median, log sd
RHO = np.array([0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9])
NOISE = 0.02
TRIM, MAX_DROPPED, MAX_Z = 0.75, 0.2, 3.5
C_STEPS = 8  # of the trimmed fit
MIN_ROBUST = 12  # points; with fewer no outlier is told from the curve
MIN_SCALE = 0.1  # points; no smaller residual matters as an outlier
DRAWS, SEED = 4000, 0


@dataclass(frozen=True)
class Posterior:
    """Draws of the curve's parameters, each of shape (draws,), and the points that were not dropped.

    ``x`` and ``c_mid`` have the caller's unit; ``noise`` is the standard deviation of one
    evaluation; ``last`` (draws,) the residual of the last point, ``step`` the compute between two.
    """

    a: np.ndarray
    c_mid: np.ndarray
    b: np.ndarray
    p_start: np.ndarray
    noise: np.ndarray
    rho: np.ndarray
    used: np.ndarray
    x_last: float
    last: np.ndarray
    step: float

    def curves(self, x: np.ndarray) -> np.ndarray:
        """The drawn curves at ``x`` (k,), of shape (draws, k)."""
        risen = rise(x[None], self.c_mid[:, None], self.b[:, None])
        return self.p_start[:, None] + (self.a - self.p_start)[:, None] * risen


def posterior(x: np.ndarray, score: np.ndarray, p_start: float) -> Posterior:
    """The posterior given the points of one run.

    ``x`` is the compute, positive and ascending, ``score`` in points, both of shape (n,), n >= 3;
    ``p_start`` is the score at x = 0.
    """
    unit = x.max()
    used = ~outliers(x / unit, score - p_start)
    time = np.flatnonzero(used)
    nodes = whole_grid(x / unit)
    for _ in range(ZOOMS):
        grid = solve_nodes(nodes, x[used] / unit, score[used], time, p_start)
        smaller = zoom_nodes(nodes, grid["weight"].sum(axis=0))
        if smaller is None:
            break
        nodes = smaller
    a, start, noise, k = draw_parameters(grid)
    rho, c_mid, b = RHO[k // len(nodes)], *np.exp(nodes[k % len(nodes)]).T
    drawn = Posterior(
        a, c_mid * unit, b, start, noise, rho, used, float(x[used][-1]), np.zeros(DRAWS), float(unit / len(x))
    )
    drawn.last[:] = score[used][-1] - drawn.curves(x[used][-1:])[:, 0]
    return drawn


def outliers(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Mask of the points far off a trimmed fit, the worst fifth at most; x in units of the largest."""
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
    return bad


def trimmed_fit(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Mask of the points that the least trimmed squares fit over the grid keeps."""
    rises = rise(x, *np.exp(whole_grid(x)).T[..., None])
    n_kept = int(TRIM * len(x))
    kept = np.ones_like(rises, dtype=bool)
    for _ in range(C_STEPS):
        squared = (gain - project_gain(rises, gain, kept)[:, None] * rises) ** 2
        kept = squared <= np.partition(squared, n_kept - 1, axis=1)[:, n_kept - 1 : n_kept]
    return kept[np.sort(squared, axis=1)[:, :n_kept].sum(axis=1).argmin()]


def residuals(x: np.ndarray, gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Residuals of all points from the curve that fits the kept ones best, on a grid refined around it."""
    nodes = whole_grid(x)
    for _ in range(3):
        rises = rise(x, *np.exp(nodes).T[..., None])
        residual = gain - project_gain(rises, gain, kept)[:, None] * rises
        nearest = (residual**2 * kept).sum(axis=1).argmin()
        step = (nodes.max(axis=0) - nodes.min(axis=0)) / [N_C - 1, N_B - 1]
        nodes = box_nodes(*zip(nodes[nearest] - step, nodes[nearest] + step, strict=True))
    return residual[nearest]


def project_gain(rises: np.ndarray, gain: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Least-squares gain of the ceiling at every node of ``rises`` (k, n), shape (k,)."""
    weighted = rises * kept
    square = np.maximum(np.einsum("kn,kn->k", weighted, rises), 1e-300)
    return np.clip(weighted @ gain / square, -MAX_SCORE, MAX_SCORE)


def whole_grid(x: np.ndarray) -> np.ndarray:
    """The whole grid; x in units of the largest."""
    return box_nodes(np.log([C_RANGE[0] * x.min(), C_RANGE[1]]), np.log(B_RANGE))


def box_nodes(log_c: np.ndarray, log_b: np.ndarray) -> np.ndarray:
    """Nodes (log C, log B) over a box, shape (k, 2)."""
    axes = np.linspace(*log_c, N_C), np.linspace(*log_b, N_B)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def zoom_nodes(nodes: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Nodes over the part of the box that holds the weight; None when that is most of it."""
    inside = nodes[weight > 1e-6 * weight.max()]
    low, high = nodes.min(axis=0), nodes.max(axis=0)
    margin = (high - low) / [N_C - 1, N_B - 1]
    small = np.maximum(inside.min(axis=0) - margin, low), np.minimum(inside.max(axis=0) + margin, high)
    if np.prod((small[1] - small[0]) / (high - low)) > 0.5:
        return None
    return box_nodes(*np.stack(small, axis=1))


def solve_nodes(
    nodes: np.ndarray, x: np.ndarray, score: np.ndarray, time: np.ndarray, p_start: float
) -> dict:
    """Weight and conditional posterior of (P, A) at every (rho, node); arrays of shape (rhos, k).

    At a node, (P, A) given the noise variance is normal around its generalised least-squares
    estimate; ``var_a``, ``var_p`` and ``cov`` are in units of that variance.
    """
    rises, dof = rise(x, *np.exp(nodes).T[..., None]), len(x)
    solutions = []
    for rho in RHO:
        decay = rho ** np.diff(time)
        spread = np.sqrt(1 - decay**2)

        def whiten(v: np.ndarray, decay: np.ndarray = decay, spread: np.ndarray = spread) -> np.ndarray:
            """``v`` with independent noise of one variance."""
            later = (v[..., 1:] - decay * v[..., :-1]) / spread
            return np.concatenate([v[..., :1], later], axis=-1)

        start, risen, y = whiten(1 - rises), whiten(rises), whiten(score)
        # The first term of each: the measured P_start, an observation of P with noise of its own.
        pp, pa = 1 + (start**2).sum(-1), (start * risen).sum(-1)
        aa = (risen**2).sum(-1) + 1e-9
        py, ay = p_start + start @ y, risen @ y
        det = pp * aa - pa**2
        p, a = (aa * py - pa * ay) / det, (pp * ay - pa * py) / det
        error = np.maximum(p_start**2 + y @ y - p * py - a * ay, 0) + NOISE**2
        scale = np.sqrt(pp / det * error / dof)
        possible = stats.t.cdf((MAX_SCORE - a) / scale, dof) - stats.t.cdf(-a / scale, dof)
        likelihood = -0.5 * np.log(det) - dof / 2 * np.log(error) - np.log(spread).sum()
        prior = np.log(1 - rho) + np.log(np.maximum(possible, 1e-300))
        solutions.append((likelihood + prior, p, a, pp / det, aa / det, -pa / det, error))
    names = ["weight", "p", "a", "var_a", "var_p", "cov", "error"]
    grid = {name: np.array(values) for name, values in zip(names, zip(*solutions, strict=True), strict=True)}
    for column, (median, sd) in enumerate([C_PRIOR, B_PRIOR]):
        grid["weight"] -= 0.5 * ((nodes[:, column] - np.log(median)) / sd) ** 2
    grid["weight"] = np.exp(grid["weight"] - grid["weight"].max())
    return grid | {"dof": dof}


def draw_parameters(grid: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draws of A (within 0..100), P, the noise and the index of (rho, node), each of shape (draws,)."""
    rng = np.random.default_rng(SEED)
    weight = grid["weight"].ravel()
    k = rng.choice(weight.size, DRAWS, p=weight / weight.sum())
    p, a, var_a, var_p, cov, error = (
        grid[name].ravel()[k] for name in ["p", "a", "var_a", "var_p", "cov", "error"]
    )
    noise = np.sqrt(error / rng.chisquare(grid["dof"], DRAWS))
    sd = np.sqrt(var_a) * noise
    low, high = special.ndtr(-a / sd), special.ndtr((MAX_SCORE - a) / sd)
    drawn = a + sd * special.ndtri(np.clip(low + (high - low) * rng.random(DRAWS), 1e-12, 1 - 1e-12))
    drawn = np.clip(drawn, 0, MAX_SCORE)
    rest = np.sqrt(np.maximum(var_p - cov**2 / var_a, 0)) * noise
    return drawn, p + cov / var_a * (drawn - a) + rest * rng.standard_normal(DRAWS), noise, k
