"""Ceilings: how high a run can get, from its scores so far (Eq. 11-12), and how sure that is.

``method`` is ``default`` (the posterior of ``posterior``), ``paper`` or ``scalerl`` (both of
``sigmoid``).  The default judges itself: a ceiling that the data do not bound is
``unidentified`` and has no number.

Deviations
----------
- A collapsed tail is cut off before the default's fit, by the rule of ``collapse_start``.
- All points are fitted, whatever the method (but for a collapsed tail); the paper keeps its last 15 % or so
  for validation, which ``heldout_rmse`` does here with a fit of its own.
- A forecast beyond the last point is the curves' median, plus what its noise remembers of the last
  residual, averaged with the median of the last 8 scores.  That constant weighs one half at the
  last point, and as much less as the compute lies further ahead; after a collapse it is all.
- Standard errors of the scores do not weigh the fit: on one benchmark they share its problems.
"""

import math

import numpy as np
import pandas as pd

from switchpoint import units
from switchpoint.analysis.forms import FORMS, NAMES, NO_CEILING, SIGMOID
from switchpoint.analysis.points import check_points
from switchpoint.analysis.posterior import MIN_ROBUST, TRIM, Posterior, bend_noise, posterior
from switchpoint.analysis.sigmoid import MAX_SCORE, SCALERL_HALF_WIDTH, Fit, PaperSettings, paper, scalerl
from switchpoint.errors import InputError
from switchpoint.tables import check_columns, refuse

METHODS = ("default", "paper", "scalerl")
MAX_WIDTH = 5.0  # points; a wider 95 % interval leaves the ceiling unidentified
UNBOUNDED = 0.01  # posterior weight of growth without a ceiling that leaves the ceiling unidentified
ROOM, OPEN = 0.1, 0.025  # an interval is open when the top tenth of the room above the scores has 2.5 % of A
REACHED = 0.4  # of the draws: the rise is over at the last point
MIN_POINTS, MIN_FITTED = 8, 3  # for a verdict, for a curve
TAIL, LEVEL, MIN_COLLAPSE = 3, 5, 1.0  # points of a tail, of the running median; fall in score
HELD_OUT_FROM, NAIVE_LAST, NAIVE_WEIGHT = 0.85, 8, 0.5
DRIFT = 1.8  # standard deviations of the noise that a run wanders while its compute doubles
BACK = 0.5  # how often a collapsed run comes back
NEAR = 0.9  # a draw beyond this share of a bound is at it
MIN_DRAWS = 100  # of a parameter; with fewer nothing is said of it
CURVE_TIMES = np.append(0.0, np.geomspace(1 / 30, 4, 32))  # of the last compute
GAIN_TIMES = (1.25, 1.5, 2.0, 4.0)
NOT_FITTED = dict.fromkeys(
    ["a", "a_point", "a_ci95", "c_mid", "c_mid_ci95", "b", "b_ci95", "alpha", "r2_train", "noise_sd",
     "autocorrelation", "covariance", "form", "forms", "lts_spread"]
) | {"n_used": 0, "curve": [], "gains": []}  # fmt: skip
WHOLE = "first", "last", "starts"
# What a column of the paper's settings may hold, and how to mend it.
SETTINGS = {
    "first": (lambda v: v >= 0 and v % 1 == 0, "give the number of the first point fitted, from 0"),
    "last": (lambda v: v >= 5 and v % 1 == 0, "give the number after the last point fitted, 5 or more"),
    "alpha": (lambda v: 0.5 <= v <= 1, "give a share from 0.5 to 1"),
    "tau": (lambda v: v > 0, "give a limit above 0"),
    "free_start": (lambda v: v in (0, 1), "give 0 or 1"),
    "cap": (lambda v: v >= 1, "give a factor of 1 or more"),
    "starts": (lambda v: v >= 0 and v % 1 == 0, "give a number of random starts, 0 or more"),
}


def fit_curves(
    points: pd.DataFrame,
    predict: pd.DataFrame | None = None,
    method: str = "default",
    settings: pd.DataFrame | None = None,
) -> dict:
    """The ceiling of every run.

    ``points`` is what ``read_points`` returns, or a table that ``check_points`` accepts; ``predict`` has the
    columns ``run`` and ``exaflops`` of the scores to predict; ``method`` is one of ``METHODS``; ``settings``
    (for ``paper``) has ``run`` and any of ``PaperSettings``, where empty cells of alpha, tau and cap switch
    them off.  InputError names the row, the run or the method.

    Returns ``{"runs": {run: {...}}}``, strict JSON.  ``a`` is the ceiling in points (None unless identified)
    and ``a_point`` its estimate whatever the status, ``a_ci95`` its 95 % interval (an end that the data leave
    open is None), ``c_mid`` in ``unit``, as every ``exaflops`` is, ``plasticity`` = a - p_start (Definition 2), ``status``
    ``identified``, ``unidentified`` or ``collapsed`` (fitted before the collapse) with its ``reason`` and
    ``flags``: ``at_bound`` (published methods: A is on a bound), ``b_at_bound`` (B is; of the default, some of the sigmoid's
    draws), ``constant_scores``, ``last_apart`` (an outlier, or a change: the next one tells), ``no_ceiling``, ``open_interval``, ``wide_interval``, ``c_beyond_data``, ``collapsed_tail``.  ``observed_peak`` is the best score, ``observed_peak_smoothed`` that of the running
    median of three; ``noise_sd`` and ``autocorrelation`` describe one evaluation's noise; ``alpha`` is the
    share of points in the trimmed fit, None without one; ``lts_spread``, the paper's, the lowest and the highest ceiling
    of the local optima of that fit, None without random starts.  ``curve`` is the fitted curve with the 95 % band of
    itself up to four times the compute, ``gains`` what further compute is expected to add.  ``heldout_rmse``
    is the error of the forecast of the last 15 % of all points, a collapse too, ``heldout_rmse_naive`` that of
    the median of the last 8 fitted scores.  ``n_used`` points are fitted; ``n_dropped`` are not, outliers and those of
    a collapse.  ``predictions`` holds ``{exaflops, score, ci95}`` in the order asked; ci95 is
    for one new evaluation.  ``decomposition`` has the parts of Eq. 10 and 12 where the points tell the base's
    score.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}; choose {', '.join(METHODS)}")
    if settings is not None and method != "paper":
        raise InputError(f"settings are the paper's; method is {method!r}: leave them out or choose 'paper'")
    points = check_points(points)
    runs = list(points["run"].unique())
    asked = dict.fromkeys(runs, np.empty(0))
    if predict is not None:
        predict, unit = units.own_names(predict, "predict")
        check_columns(predict, ["run", "exaflops"], "predict")
        if unit != points["unit"].iloc[0]:
            raise InputError(f"predict counts {unit}, the points {points['unit'].iloc[0]}; give one unit")
        where = units.amounts(predict, unit)
        names = predict["run"].astype(str)
        refuse(predict, ~names.isin(runs), "run", f"the points have {', '.join(runs)}")
        asked |= {run: where[names == run].to_numpy() for run in names.unique()}
    chosen = paper_settings(settings, runs) if settings is not None else {}
    return {
        "runs": {
            run: fit_run(rows, asked[run], method, chosen.get(run, PaperSettings()))
            for run, rows in points.groupby("run", sort=False)
        }
    }


def paper_settings(table: pd.DataFrame, runs: list[str]) -> dict[str, PaperSettings]:
    """The settings of every run that the table names, checked row by row."""
    check_columns(table, ["run"], "settings")
    unknown = sorted(set(table.columns) - {"run", *SETTINGS})
    if unknown:
        raise InputError(f"settings: no such column {unknown[0]}; there are run, {', '.join(SETTINGS)}")
    names = table["run"].astype(str)
    refuse(table, ~names.isin(runs), "run", f"the points have {', '.join(runs)}")
    refuse(table, names.duplicated(), "run", "it has settings already; keep one row")
    given = [name for name in SETTINGS if name in table]
    values = {name: pd.to_numeric(table[name], errors="coerce") for name in given}
    for name in given:
        refuse(table, table[name].notna() & values[name].isna(), name, "give a number, or leave it empty")
        within, fix = SETTINGS[name]
        refuse(table, values[name].notna() & ~values[name].map(within), name, fix)
    # An empty cell is None, which switches off, or stands for the first or last point.
    rows = pd.DataFrame(values, index=table.index).astype(object).where(table[given].notna(), None)
    chosen = {}
    for run, row in zip(names, rows.to_dict("records"), strict=True):
        whole = {name: int(row[name]) for name in WHOLE if name in row and row[name] is not None}
        switches = dict.fromkeys(WHOLE, 0) | {"last": None} | whole
        switches |= {"free_start": bool(row.get("free_start"))}
        chosen[run] = PaperSettings(**row | {name: switches[name] for name in switches if name in row})
    return chosen


def decompose(p_0: float, p_sft: float, fit: dict) -> dict:
    """The parts of the post-training performance (Eq. 10) and of its ceiling (Eq. 12), in points.

    ``p_0`` and ``p_sft`` are the base model's and the SFT checkpoint's scores, ``fit`` the RL run's entry of
    ``fit_curves``, of which the realised score is the observed peak.  ``p_post`` = p_0 + delta_sft +
    delta_rl; ``a_post`` = p_sft + plasticity_rl, both None when the ceiling is unidentified.
    """
    p_post = fit["observed_peak"]
    return {
        "p_0": p_0,
        "delta_sft": p_sft - p_0,
        "p_sft": p_sft,
        "delta_rl": None if p_post is None else p_post - p_sft,
        "p_post": p_post,
        "a_post": fit["a"],
        "plasticity_rl": None if fit["a"] is None else fit["a"] - p_sft,
    }


def collapse_start(score: np.ndarray) -> int:
    """Index of the first point of a collapsed tail, or the number of points when there is none.

    A tail collapsed when its last three or more points all lie more than 3 robust standard
    deviations (and a point) below the best level before them.  Level: the running median of
    five, so that no lucky evaluation raises it; deviation: of a point from the mean of its
    neighbours, so that the trend does not count as noise.
    """
    n = len(score)
    if n < LEVEL + TAIL:
        return n
    level = running_median(score, LEVEL).max()
    alive = np.flatnonzero(score >= level - max(3 * bend_noise(score), MIN_COLLAPSE))
    start = int(alive[-1]) + 1
    return start if n - start >= TAIL else n


def collapse_words(n_points: int, n: int, n_used: int) -> str:
    """What was fitted of a run whose points after the first ``n`` collapsed."""
    outliers = f", but for {n - n_used} outlier{'s' if n - n_used > 1 else ''}" if n_used < n else ""
    return f"the last {n_points - n} points collapsed; fitted on the {n} before{outliers}"


def forecast(fit: Posterior, score: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected scores at compute ``at``, of shape (k,), and draws of new evaluations, (draws, k).

    ``score`` holds all the run's scores so far; those beyond the points of ``fit`` are a collapse.
    """
    remembered, sd = fit.remembered(at)
    expected, ahead = fit.curves(at) + remembered, fit.ahead(at)
    middle, tail = np.median(expected, axis=0), score[len(fit.x) :]
    weight = np.where(
        ahead > 0, 1.0 if len(tail) else NAIVE_WEIGHT * fit.x[-1] / np.maximum(at, fit.x[-1]), 0
    )
    constant = np.median(score[-NAIVE_LAST:])
    forecast = weight * constant + (1 - weight) * middle
    rng = np.random.default_rng(0)
    if len(tail):
        drawn = after_collapse(expected, tail, ahead, rng)
    else:  # the curve, or the constant: what lies between them is no truth of its own
        drawn = np.where(rng.random((len(expected), 1)) < weight, expected - middle + constant, expected)
    sd = np.hypot(sd, DRIFT * np.sqrt(ahead / len(fit.x)) * fit.noise[:, None])
    return forecast, drawn + sd * rng.standard_normal(drawn.shape)


def after_collapse(
    expected: np.ndarray, tail: np.ndarray, ahead: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draws after a collapse, (draws, k): half are back on the curve, half fall on, at up to twice the pace so far.

    ``expected`` (draws, k) is the curve, ``tail`` the collapsed scores and ``ahead`` (k,) the evaluations since the fall began.
    """
    pace = max(float(expected[:, 0].mean()) - tail.min(), 0.0) / len(tail)
    further = np.maximum(ahead - len(tail), 0) * rng.uniform(0, 2 * pace, (len(expected), 1))
    return np.where(rng.random((len(expected), 1)) < BACK, expected, np.median(tail[-TAIL:]) - further)


def fit_run(rows: pd.DataFrame, asked: np.ndarray, method: str, settings: PaperSettings) -> dict:
    """The entry of one run."""
    p_start = float(rows["p_start"].iloc[0])
    p_0 = rows["p_0"].iloc[0] if "p_0" in rows else float("nan")
    phase = rows["phase"].iloc[0] if "phase" in rows else None
    rows = rows[rows["exaflops"] > 0]
    x, score = rows["exaflops"].to_numpy(), rows["score"].to_numpy()
    estimate = estimate_ceiling(x, score, p_start, method, settings)
    a, ends = estimate["a"], estimate["a_ci95"]
    entry = {
        **estimate,
        "method": method,
        "p_start": p_start,
        "plasticity": None if a is None else a - p_start,
        "plasticity_ci95": [None if end is None else end - p_start for end in ends],
        **observed(rows),
        "n_dropped": len(x) - estimate["n_used"],
        **held_out_errors(x, score, p_start, method, settings),
        "predictions": predictions_at(x, score, p_start, method, settings, asked),
    }
    if pd.isna(p_0) or phase == "base":
        return entry | {"decomposition": None}
    if phase == "sft":
        gain = {"p_0": float(p_0), "a_sft": a, "plasticity_sft": entry["plasticity"]}
        return entry | {"decomposition": gain}
    return entry | {"decomposition": decompose(float(p_0), p_start, entry)}


def observed(rows: pd.DataFrame) -> dict:
    """The part of an entry that needs no fit; ``rows`` has the points after the start."""
    score = rows["score"].to_numpy()
    some = len(score) > 0
    return {
        "observed_peak": float(score.max()) if some else None,
        "observed_peak_smoothed": float(running_median(score, 3).max()) if len(score) > 2 else None,
        "unit": str(rows["unit"].iloc[0]) if some else None,
        "x_last": float(rows["exaflops"].iloc[-1]) if some else None,
        "score_last": float(score[-1]) if some else None,
    }


def unfitted(rows: pd.DataFrame, reason: str) -> dict:
    """The entry of a run that is not fitted for this reason; ``rows`` are its points as ``check_rows`` returns them."""
    return {
        **not_fitted(reason, []),
        "method": "default",
        "p_start": None,
        "plasticity": None,
        "plasticity_ci95": [None, None],
        **observed(rows),
        "n_dropped": len(rows),
        "heldout_rmse": None,
        "heldout_rmse_naive": None,
        "predictions": [],
        "decomposition": None,
    }


def estimate_ceiling(
    x: np.ndarray, score: np.ndarray, p_start: float, method: str, settings: PaperSettings
) -> dict:
    """The part of an entry that depends on the method."""
    n = collapse_start(score) if method == "default" else len(x)
    flags = ["collapsed_tail"] if n < len(x) else []
    if n < MIN_FITTED:
        return not_fitted(f"{n} point{'s' if n != 1 else ''}, fewer than {MIN_POINTS}", flags)
    if method != "default":
        return published_estimate(x, score, p_start, method, settings)
    fit = posterior(x[:n], score[:n], p_start)
    ceiling = possible_ceilings(fit)
    low, point, high = np.quantile(ceiling, [0.025, 0.5, 0.975])
    bounded, of_sigmoid = fit.bounded, fit.form == NAMES.index(SIGMOID)
    beyond = float(np.mean(~bounded | (fit.c_mid > x[n - 1])))
    room = MAX_SCORE - score[:n].max()
    verdicts = {
        "constant_scores": bool(np.ptp(score[:n]) == 0),
        "no_ceiling": fit.weights[NO_CEILING] > UNBOUNDED,
        "open_interval": bool(np.mean(ceiling > MAX_SCORE - ROOM * room) > OPEN) or n < MIN_POINTS,
        "wide_interval": high - low > MAX_WIDTH,
        "c_beyond_data": beyond > 0.5,
    }
    piled = near_bound(fit.b[of_sigmoid])
    told = {"b_at_bound": piled, "last_apart": n == len(x) and not fit.used[-1]}
    flags += [name for name, holds in (verdicts | told).items() if holds]
    reason = why_open(n, verdicts, fit, high - low)
    n_used = int(fit.used.sum())
    fall = collapse_words(len(x), n, n_used) if n < len(x) else None
    status = "collapsed" if fall else "unidentified" if reason else "identified"
    middle = np.median(fit.curves(x[:n][fit.used]), axis=0)
    return {
        "a": None if reason else float(point),
        "a_point": float(point),
        "a_ci95": [
            None if n < MIN_POINTS or verdicts["constant_scores"] else float(low),
            None if verdicts["open_interval"] or verdicts["constant_scores"] else float(high),
        ],
        **with_interval("c_mid", fit.c_mid[bounded]),
        **with_interval("b", fit.b[of_sigmoid]),
        "covariance": covariance(fit, of_sigmoid),
        "form": max(fit.weights, key=fit.weights.get),
        "forms": fit.weights,
        "status": status,
        "reason": "; ".join(filter(None, [fall, reason])) or None,
        "flags": flags,
        "alpha": TRIM if n >= MIN_ROBUST else None,
        "r2_train": explained_variance(score[:n][fit.used], middle),
        "noise_sd": float(np.median(fit.noise)),
        "autocorrelation": fit.autocorrelation,
        "n_used": n_used,
        "curve": curve_with_band(fit, x[-1]),
        "gains": expected_gains(fit, x[n - 1]),
    }


def possible_ceilings(fit: Posterior) -> np.ndarray:
    """The ceilings drawn, but for a share ``REACHED`` of the draws the curve's level at the last point.

    A rise may be over by then, which no form says: each of them tends to its ceiling and never has it.
    """
    reached = np.random.default_rng(0).random(len(fit.form)) < REACHED
    return np.where(reached, fit.curves(fit.x[-1:])[:, 0], fit.ceiling)


def not_fitted(reason: str, flags: list[str]) -> dict:
    """The part of an entry that depends on the method, of a run that none can fit."""
    ends = {"a_ci95": [None, None], "c_mid_ci95": [None, None], "b_ci95": [None, None]}
    return NOT_FITTED | ends | {"status": "unidentified", "reason": reason, "flags": flags}


def with_interval(name: str, drawn: np.ndarray) -> dict:
    """The median and the 95 % interval of draws; None where there are fewer than ``MIN_DRAWS``."""
    if len(drawn) < MIN_DRAWS:
        return {name: None, f"{name}_ci95": [None, None]}
    middle, low, high = np.quantile(drawn, [0.5, 0.025, 0.975]).tolist()
    return {name: middle, f"{name}_ci95": [low, high]}


def covariance(fit: Posterior, chosen: np.ndarray) -> list[list[float]] | None:
    """Of (A, ln C_mid, B) among the chosen draws, (3, 3); None where there are fewer than ``MIN_DRAWS``."""
    drawn = np.array([fit.level, np.log(fit.c_mid), fit.b])[:, chosen]
    return np.cov(drawn).tolist() if chosen.sum() >= MIN_DRAWS else None


def near_bound(b: np.ndarray) -> bool:
    """Whether draws of the sigmoid's B, shape (k,), pile up at a bound of it; never with fewer than ``MIN_DRAWS``."""
    low, high = FORMS[SIGMOID].b_range
    return len(b) >= MIN_DRAWS and bool(np.mean((b < low / NEAR) | (b > high * NEAR)) > OPEN)


def why_open(n: int, verdicts: dict[str, bool], fit: Posterior, width: float) -> str | None:
    """Why the data do not bound the ceiling; None when they do."""
    if n < MIN_POINTS:
        return f"{n} points, fewer than {MIN_POINTS}"
    if verdicts["constant_scores"]:
        return "all scores are the same, which tells nothing of their noise: are they of several checkpoints?"
    if verdicts["no_ceiling"]:
        share = 100 * fit.weights[NO_CEILING]
        return f"a curve without a ceiling is not ruled out (posterior weight {share:.0f} %)"
    if verdicts["open_interval"]:
        return f"the 95 % interval reaches the bound of {MAX_SCORE:.0f} points"
    if verdicts["wide_interval"]:
        return f"the 95 % interval is {width:.1f} points wide, more than {MAX_WIDTH:.0f}"
    return "half of the rise lies beyond the last point" if verdicts["c_beyond_data"] else None


def published_estimate(
    x: np.ndarray, score: np.ndarray, p_start: float, method: str, settings: PaperSettings
) -> dict:
    """The same of the paper's and of ScaleRL's fit, which are judged by their bounds and the number of points alone."""
    fit = paper(x, score, p_start, settings) if method == "paper" else scalerl(x, score, p_start)
    half = SCALERL_HALF_WIDTH if method == "scalerl" else None
    used = fit.used
    verdicts = {
        "at_bound": fit.at_bound,
        "b_at_bound": fit.b_at_bound,
        "c_beyond_data": bool(fit.c_mid > x[-1]),
    }
    reason = why_unjudged(fit, verdicts["c_beyond_data"])
    return {
        **NOT_FITTED,
        "a": None if reason else fit.a,
        "a_point": fit.a,
        "a_ci95": [None, None] if half is None else [max(fit.a - half, 0.0), min(fit.a + half, MAX_SCORE)],
        "c_mid": fit.c_mid,
        "c_mid_ci95": [None, None],
        "b": fit.b,
        "b_ci95": [None, None],
        "status": "unidentified" if reason else "identified",
        "reason": reason,
        "flags": [name for name, holds in verdicts.items() if holds],
        "alpha": settings.alpha if method == "paper" else None,
        "lts_spread": fit.spread and list(fit.spread),
        "r2_train": explained_variance(score[used], fit(x[used])),
        "n_used": int(used.sum()),
        "curve": [
            {"exaflops": float(at), "score": float(fit(at)), "ci95": [None, None]}
            for at in x[-1] * CURVE_TIMES
        ],
    }


def why_unjudged(fit: Fit, c_beyond: bool) -> str | None:
    """Why a published method's fit is no ceiling; None when nothing says so."""
    if (n := int(fit.used.sum())) < MIN_POINTS:
        return f"{n} points fitted, fewer than {MIN_POINTS}"
    if fit.at_bound:
        return f"at_bound: the fit ends on its bound of {fit.a:.2f} points"
    falls = fit.a < fit.p_start and c_beyond
    return "the curve falls, and half of the fall lies beyond the last point" if falls else None


def curve_with_band(fit: Posterior, x_last: float) -> list[dict]:
    """The curve and its 95 % band from the start to four times the compute."""
    at = x_last * CURVE_TIMES
    low, middle, high = np.quantile(fit.curves(at), [0.025, 0.5, 0.975], axis=0).tolist()
    return [
        {"exaflops": x, "score": y, "ci95": [a, b]}
        for x, y, a, b in zip(at.tolist(), middle, low, high, strict=True)
    ]


def expected_gains(fit: Posterior, x_last: float) -> list[dict]:
    """What further compute is expected to add to the curve."""
    times = np.array(GAIN_TIMES)
    gain = fit.curves(x_last * times) - fit.curves(np.array([x_last]))
    low, middle, high = np.quantile(gain, [0.025, 0.5, 0.975], axis=0)
    return [
        {"times": GAIN_TIMES[i], "exaflops": float((times[i] - 1) * x_last), "gain": float(middle[i]),
         "ci95": [float(low[i]), float(high[i])]}
        for i in range(len(times))
    ]  # fmt: skip


def expected_scores(
    x: np.ndarray, score: np.ndarray, p_start: float, method: str, settings: PaperSettings, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Expected scores at ``at`` and draws of new evaluations (None where the method has none)."""
    if method == "paper":
        return paper(x, score, p_start, settings)(at), None
    if method == "scalerl":
        return scalerl(x, score, p_start)(at), None
    n = collapse_start(score)
    return forecast(posterior(x[:n], score[:n], p_start), score, at)


def predictions_at(
    x: np.ndarray, score: np.ndarray, p_start: float, method: str, settings: PaperSettings, asked: np.ndarray
) -> list[dict]:
    """Scores at the compute asked, with the interval of one new evaluation."""
    expected, intervals = [None] * len(asked), [[None, None]] * len(asked)
    if len(asked) and len(x) >= MIN_FITTED:
        mean, draws = expected_scores(x, score, p_start, method, settings, asked)
        expected = np.clip(mean, 0, MAX_SCORE).tolist()
        if draws is not None:
            intervals = np.clip(np.quantile(draws, [0.025, 0.975], axis=0), 0, MAX_SCORE).T.tolist()
    return [
        {"exaflops": exaflops, "score": value, "ci95": interval}
        for exaflops, value, interval in zip(asked.tolist(), expected, intervals, strict=True)
    ]


def held_out_errors(
    x: np.ndarray, score: np.ndarray, p_start: float, method: str, settings: PaperSettings
) -> dict:
    """Root-mean-square error on the last 15 % of the points, of the forecast and of the naive median."""
    n_fit = math.ceil(HELD_OUT_FROM * len(x))
    if n_fit < MIN_FITTED or n_fit == len(x):
        return {"heldout_rmse": None, "heldout_rmse_naive": None}
    expected, _ = expected_scores(x[:n_fit], score[:n_fit], p_start, method, settings, x[n_fit:])
    naive = np.median(score[max(0, n_fit - NAIVE_LAST) : n_fit])
    return {
        "heldout_rmse": float(np.sqrt(np.mean((score[n_fit:] - expected) ** 2))),
        "heldout_rmse_naive": float(np.sqrt(np.mean((score[n_fit:] - naive) ** 2))),
    }


def running_median(score: np.ndarray, width: int) -> np.ndarray:
    """The medians of ``width`` neighbouring scores, shape (n - width + 1,)."""
    return np.median(np.lib.stride_tricks.sliding_window_view(score, width), axis=1)


def explained_variance(score: np.ndarray, fitted: np.ndarray) -> float | None:
    """Share of the variance that the curve explains; None without variance."""
    spread = float(np.sum((score - score.mean()) ** 2))
    return 1 - float(np.sum((score - fitted) ** 2)) / spread if spread > 0 else None
