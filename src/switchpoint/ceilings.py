"""Ceilings: the sigmoidal power law of Eq. 11-12 fitted to the scores of a run.

P(x) = P_start + (A - P_start) / (1 + (x / C_mid)^-B), with P_start the measured score at x = 0.
For given (C_mid, B) the ceiling A is linear, so the search is a grid over the two, then a polish.

Deviations
----------
- Outliers: one trimmed fit (LTS with its concentration steps at every grid node) finds the
  scale, then modified z-scores drop points once (at most a fifth) and least squares fits the
  rest; the paper iterates z-scores first and trims afterwards, with settings chosen per run.
- A lies in 0..100, and a is fitted on all points; the first 85 % serve the held-out error only.
- The 95 % interval is the union of a moving-block residual bootstrap, whose draws also renew
  P_start, and of the F-test profile.  Where it is wide, or half the rise lies beyond the data,
  the ceiling is ``unidentified`` and no number is given.
- A collapsed tail is cut off before the fit.
- Standard errors of the scores do not weigh the fit: on one benchmark they share its problems.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from switchpoint.checks import check_columns, numbers, refuse
from switchpoint.points import MAX_SCORE, check_points

MAX_WIDTH = 5.0  # points; a wider 95 % interval leaves the ceiling unidentified
MIN_POINTS = 5  # fewer leave no residuals to judge the three parameters by
TRIM, MIN_ROBUST, MAX_DROPPED, MAX_Z = 0.75, 12, 0.2, 3.5  # below 12 points no outlier is told from the curve
RESOLUTION = 0.01  # points; no ceiling is known better
MIN_SCALE = 0.1  # points; no smaller residual matters as an outlier
TAIL, MIN_COLLAPSE = 3, 1.0  # points of the tail; fall in score that counts as a collapse
BLOCK, DRAWS, SEED = 3, 400, 0
B_BOUNDS, N_B, N_C = (0.1, 10.0), 41, 61
HELD_OUT_FROM, NAIVE_LAST = 0.85, 8


@dataclass(frozen=True)
class Fit:
    """A fitted curve; x in units of the run's largest x."""

    x: np.ndarray
    score: np.ndarray
    p_start: float
    a: float
    c_mid: float
    b: float
    robust: bool = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.p_start + (self.a - self.p_start) * rise(x, self.c_mid, self.b)

    @property
    def residuals(self) -> np.ndarray:
        return self.score - self(self.x)


def rise(x: np.ndarray, c_mid: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """The share of the plasticity realised at x, 1 / (1 + (x / C_mid)^-B) (Eq. 11)."""
    with np.errstate(divide="ignore"):
        return special.expit(b * np.log(x / c_mid))


def fit_curves(points: pd.DataFrame, predict: pd.DataFrame | None = None) -> dict:
    """The ceiling of every run.

    Parameters
    ----------
    points : DataFrame
        What ``read_points`` returns, or a table that ``check_points`` accepts.
    predict : DataFrame, optional
        Columns ``run`` and ``exaflops``: where to predict a score.

    Returns
    -------
    dict
        ``{"runs": {run: {...}}}``, strict JSON.  ``a`` is the ceiling in points, ``a_ci95`` its
        95 % interval (an end that the data leave open is None), ``c_mid`` in the unit of
        exaflops, ``plasticity`` = a - p_start (Definition 2), ``status`` ``identified``,
        ``unidentified`` (``a`` is None) or ``collapsed`` (fitted before the collapse) with its
        ``reason``, ``observed_peak`` the best score, ``alpha`` the trimmed fit's share of points
        or None.  ``heldout_rmse`` is the error on the last 15 % of a fit to the rest,
        ``heldout_rmse_naive`` that of the median of the last 8 fitted scores.  ``predictions``
        holds ``{exaflops, score, ci95}`` in the order asked; ci95 is for one new evaluation.

    Raises
    ------
    InputError
        Naming the row.
    """
    points = check_points(points)
    runs = list(points["run"].unique())
    asked = {run: np.empty(0) for run in runs}
    if predict is not None:
        check_columns(predict, ["run", "exaflops"], "predict")
        where = numbers(predict, "exaflops")
        refuse(predict, where < 0, "exaflops", "give the compute since the run's start, 0 or more")
        names = predict["run"].astype(str)
        refuse(predict, ~names.isin(runs), "run", f"the points have {', '.join(runs)}")
        asked |= {run: where[names == run].to_numpy() for run in names.unique()}
    return {"runs": {run: _fit_run(rows, asked[run]) for run, rows in points.groupby("run", sort=False)}}


def decompose(p0: float, p_sft: float, fit: dict, p_rl: float | None = None) -> dict:
    """The parts of the post-training performance (Eq. 10) and of its ceiling (Eq. 12).

    ``p0`` and ``p_sft`` are the base model's and the SFT checkpoint's scores, ``fit`` the RL run's
    entry of ``fit_curves``, ``p_rl`` its realised score (default: its observed peak); in points.
    ``p_post`` = p_0 + delta_sft + delta_rl; ``a_post`` = p_sft + plasticity_rl, both None when the
    ceiling is unidentified.
    """
    p_post = fit["observed_peak"] if p_rl is None else p_rl
    return {
        "p_0": p0,
        "delta_sft": p_sft - p0,
        "p_sft": p_sft,
        "delta_rl": None if p_post is None else p_post - p_sft,
        "p_post": p_post,
        "a_post": fit["a"],
        "plasticity_rl": None if fit["a"] is None else fit["a"] - p_sft,
    }


def _fit_run(rows: pd.DataFrame, asked: np.ndarray) -> dict:
    """The entry of one run."""
    p_start = float(rows["p_start"].iloc[0])
    rows = rows[rows["exaflops"] > 0]
    x, score = rows["exaflops"].to_numpy(), rows["score"].to_numpy()
    n = collapse_start(score)
    unit = x[n - 1] if n else 1.0
    fit = fit_curve(x[:n] / unit, score[:n], p_start) if n >= 3 else None
    draws = _bootstrap(fit) if fit and len(fit.x) >= MIN_POINTS else None
    low, high = _interval(fit, draws) if draws else (0.0, MAX_SCORE)
    ends = [None if low <= 0 else low, None if high >= MAX_SCORE else high]
    reason = _open_reason(fit, low, high) if draws else f"{n} points, fewer than {MIN_POINTS}"
    a = None if reason else float(fit.a)
    status = "unidentified" if reason else "identified"
    if n < len(score):
        fall = f"the last {len(score) - n} points collapsed; fitted before exaflops {x[n]:.6g}"
        status, reason = "collapsed", f"{fall}; {reason}" if reason else fall
    heldout_rmse, heldout_rmse_naive = _held_out(x[:n], score[:n], p_start)
    return {
        "a": a,
        "a_ci95": ends,
        "p_start": p_start,
        "plasticity": None if a is None else a - p_start,
        "plasticity_ci95": [None if end is None else end - p_start for end in ends],
        "status": status,
        "reason": reason,
        "observed_peak": float(score.max()) if len(score) else None,
        **_shape(fit, unit, len(score)),
        "heldout_rmse": heldout_rmse,
        "heldout_rmse_naive": heldout_rmse_naive,
        "predictions": _predictions(fit, draws, asked, unit),
    }


def _shape(fit: Fit | None, unit: float, n_points: int) -> dict:
    """The part of a run's entry on the fitted curve itself; nulls when there are too few points."""
    n_used = len(fit.x) if fit else 0
    entry = dict.fromkeys(["c_mid", "b", "method", "alpha", "r2_train"])
    entry |= {"n_used": n_used, "n_dropped": n_points - n_used}
    if fit:
        spread = float(np.sum((fit.score - fit.score.mean()) ** 2))
        entry |= {"c_mid": float(fit.c_mid * unit), "b": float(fit.b)}
        entry["method"] = "reweighted least trimmed squares" if fit.robust else "least squares"
        entry["alpha"] = TRIM if fit.robust else None
        entry["r2_train"] = 1 - float(np.sum(fit.residuals**2)) / spread if spread > 0 else None
    return entry


def fit_curve(x: np.ndarray, score: np.ndarray, p_start: float) -> Fit:
    """The curve through points of shape (n,), n >= 3; x is positive with a maximum near 1."""
    robust = len(x) >= MIN_ROBUST
    if robust:
        trimmed = _trimmed(x, score - p_start, p_start)
        first = _least_squares(x[trimmed], score[trimmed], p_start)
        keep = ~_outliers(score - first(x))
        x, score = x[keep], score[keep]
    return replace(_least_squares(x, score, p_start), robust=robust)


def _least_squares(x: np.ndarray, score: np.ndarray, p_start: float) -> Fit:
    """The best grid node, polished."""
    gain, nodes, rises = score - p_start, *_grid(x)
    sse = _project(gain[None], rises, p_start)[1][0]
    bounds = nodes.min(axis=0), nodes.max(axis=0)

    def plasticity(node: np.ndarray) -> float:
        return _project(gain[None], rise(x, *np.exp(node))[None], p_start)[0][0, 0]

    def residuals(node: np.ndarray) -> np.ndarray:
        return gain - plasticity(node) * rise(x, *np.exp(node))

    best = optimize.least_squares(residuals, nodes[sse.argmin()], bounds=bounds, xtol=1e-10).x
    return Fit(x, score, p_start, p_start + plasticity(best), *np.exp(best))


def _grid(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (log C, log B), shape (k, 2), and the rise at each and every x, shape (k, n)."""
    log_c = np.linspace(np.log(x.min() / 10), np.log(x.max() * 100), N_C)
    log_b = np.linspace(*np.log(B_BOUNDS), N_B)
    nodes = np.stack(np.meshgrid(log_c, log_b, indexing="ij"), axis=-1).reshape(-1, 2)
    return nodes, rise(x[None], *np.exp(nodes).T[..., None])


def _project(gain: np.ndarray, rises: np.ndarray, p_start: float) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares plasticity with A in 0..100, and its squared error, each of shape (draws, k).

    ``gain`` has shape (draws, n) and ``rises`` (k, n).
    """
    cross, square = gain @ rises.T, np.einsum("kn,kn->k", rises, rises)
    plasticity = np.clip(cross / np.maximum(square, 1e-300), -p_start, MAX_SCORE - p_start)
    total = np.einsum("dn,dn->d", gain, gain)[:, None]
    return plasticity, total - 2 * plasticity * cross + plasticity**2 * square


def _trimmed(x: np.ndarray, gain: np.ndarray, p_start: float, n_steps: int = 8) -> np.ndarray:
    """Mask of the points that the least trimmed squares fit keeps (Eq. 30; C-steps at each node)."""
    _, rises = _grid(x)
    n_kept = int(TRIM * len(x))
    kept = np.ones_like(rises, dtype=bool)
    for _ in range(n_steps):
        weighted = rises * kept
        square = np.maximum(np.einsum("kn,kn->k", weighted, rises), 1e-300)
        plasticity = np.clip(weighted @ gain / square, -p_start, MAX_SCORE - p_start)
        squared = (gain - plasticity[:, None] * rises) ** 2
        kept = squared <= np.partition(squared, n_kept - 1, axis=1)[:, n_kept - 1 : n_kept]
    objective = np.sort(squared, axis=1)[:, :n_kept].sum(axis=1)
    return kept[objective.argmin()]


def _outliers(residuals: np.ndarray) -> np.ndarray:
    """Mask of the points with a modified z-score above the limit (Eq. 28-29), the worst fifth at most.

    The scale has the usual small-sample factor of trimmed fits, 1 + 5 / (n - 3).
    """
    n = len(residuals)
    distance = np.abs(residuals - np.median(residuals))
    scale = max(1.4826 * (1 + 5 / (n - 3)) * float(np.median(distance)), MIN_SCALE)
    worst = np.zeros(n, dtype=bool)
    worst[np.argsort(-distance, kind="stable")[: int(MAX_DROPPED * n)]] = True
    return worst & (distance > MAX_Z * scale)


def collapse_start(score: np.ndarray) -> int:
    """Index of the first point of a collapsed tail, or the number of points when there is none.

    A tail collapsed when its last three or more points all lie more than 3 robust standard
    deviations (and a point) below the best level before them.  Level: the running median of
    three, so that one lucky evaluation does not raise it; deviation: of a point from the mean
    of its neighbours, so that the trend does not count as noise.
    """
    n = len(score)
    if n < MIN_POINTS + TAIL:
        return n
    bend = np.abs(score[1:-1] - (score[:-2] + score[2:]) / 2)
    noise = 1.4826 * float(np.median(bend)) / math.sqrt(1.5)
    level = np.median(np.lib.stride_tricks.sliding_window_view(score, 3), axis=1).max()
    alive = np.flatnonzero(score >= level - max(3 * noise, MIN_COLLAPSE))
    start = int(alive[-1]) + 1
    return start if n - start >= TAIL else n


def _bootstrap(fit: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(A, C_mid, B, P_start) of refits to resampled blocks of residuals, each of shape (draws,)."""
    rng, n = np.random.default_rng(SEED), len(fit.x)
    noise = _noise(fit)
    starts = rng.integers(0, n - BLOCK + 1, (DRAWS, -(-n // BLOCK)))
    picked = (starts[..., None] + np.arange(BLOCK)).reshape(DRAWS, -1)[:, :n]
    p_start = fit.p_start + rng.choice(noise, DRAWS)
    nodes, rises = _grid(fit.x)
    gain = fit(fit.x) + noise[picked] - p_start[:, None]
    plasticity, sse = _project(gain, rises, fit.p_start)
    best = sse.argmin(axis=1)
    a = np.clip(p_start + plasticity[np.arange(DRAWS), best], 0, MAX_SCORE)
    return a, *np.exp(nodes[best]).T, p_start


def _noise(fit: Fit) -> np.ndarray:
    """Residuals, centred and scaled up for the three parameters fitted to them."""
    n = len(fit.x)
    return (fit.residuals - fit.residuals.mean()) * math.sqrt(n / (n - 3))


def _interval(fit: Fit, draws: tuple[np.ndarray, ...]) -> tuple[float, float]:
    """95 % interval of A: bootstrap percentiles, widened to the F-test profile over the grid."""
    low, high = np.quantile(draws[0], [0.025, 0.975])
    n, gain = len(fit.x), fit.score - fit.p_start
    _, rises = _grid(fit.x)
    square = np.maximum(np.einsum("kn,kn->k", rises, rises), 1e-300)
    centre = rises @ gain / square
    sse = gain @ gain - centre**2 * square
    limit = float(np.sum(fit.residuals**2)) * (1 + stats.f.ppf(0.95, 1, n - 3) / (n - 3))
    inside = sse <= limit
    if inside.any():
        half = np.sqrt((limit - sse[inside]) / square[inside])
        low = min(low, fit.p_start + float((centre[inside] - half).min()))
        high = max(high, fit.p_start + float((centre[inside] + half).max()))
    low, high = min(float(low), fit.a - RESOLUTION), max(float(high), fit.a + RESOLUTION)
    return max(low, 0.0), min(high, MAX_SCORE)


def _open_reason(fit: Fit, low: float, high: float) -> str | None:
    """Why the data do not bound the ceiling; None when they do."""
    if high >= MAX_SCORE or low <= 0:
        return f"the 95 % interval reaches the bound of {MAX_SCORE if high >= MAX_SCORE else 0:.0f} points"
    if high - low > MAX_WIDTH:
        return f"the 95 % interval is {high - low:.1f} points wide, more than {MAX_WIDTH:.0f}"
    if fit.c_mid > fit.x.max():
        return "half of the fitted rise lies beyond the last point"
    return None


def _predictions(fit: Fit | None, draws: tuple | None, asked: np.ndarray, unit: float) -> list[dict]:
    """Scores at the compute asked, with the interval of one new evaluation."""
    at = asked / unit
    scores = fit(at).tolist() if fit else [None] * len(at)
    intervals = [[None, None]] * len(at)
    if draws:
        a, c_mid, b, p_start = (values[:, None] for values in draws)
        noise = np.random.default_rng(SEED + 1).choice(_noise(fit), (DRAWS, 1))
        drawn = p_start + (a - p_start) * rise(at[None], c_mid, b) + noise
        intervals = np.clip(np.quantile(drawn, [0.025, 0.975], axis=0), 0, MAX_SCORE).T.tolist()
    return [
        {"exaflops": exaflops, "score": score, "ci95": interval}
        for exaflops, score, interval in zip(asked.tolist(), scores, intervals, strict=True)
    ]


def _held_out(x: np.ndarray, score: np.ndarray, p_start: float) -> tuple[float | None, float | None]:
    """Root-mean-square error on the last 15 % of the points, of the curve and of the naive median."""
    n_fit = math.ceil(HELD_OUT_FROM * len(x))
    if n_fit < 3 or n_fit == len(x):
        return None, None
    unit = x[n_fit - 1]
    fit = fit_curve(x[:n_fit] / unit, score[:n_fit], p_start)
    rest = score[n_fit:]
    naive = np.median(score[max(0, n_fit - NAIVE_LAST) : n_fit])
    return (
        float(np.sqrt(np.mean((rest - fit(x[n_fit:] / unit)) ** 2))),
        float(np.sqrt(np.mean((rest - naive) ** 2))),
    )
