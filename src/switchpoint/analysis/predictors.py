"""Predictors of the score after RL, measured on SFT models before any RL (Quagmires).

The predictors are pass@k (more is better) and the validation, or generalization, loss (less is
better).  A line through a few calibration runs maps a predictor to the score after RL; the
average of two predictors is the mean of their two lines' predictions (section 4.2).

Deviations
----------
- The paper calls the spread of R^2 over its random splits a standard error; its size is that of a
  standard deviation.  Both are given here; neither says how R^2 would differ on other models.
- Predictions and the ends of their intervals are clipped to 0..100; errors and R^2 are of the lines as they are.
- A single predictor ranks by its expected direction, not by its prediction: one that runs the wrong
  way has a negative Spearman.  An average ranks by its predictions, as in the paper.
- Prediction intervals, leave-one-out errors, permutation p-values and regret are ours.
- The best predictor is chosen by the scores that then calibrate it, so its intervals pay for the choice (``paid_quantile``);
  without that 95 % ones hold 70 to 95 % (``docs/own-runs.md``).  Those of the others are of a predictor named beforehand.
- Across training sets the paper rules the loss out; RETU compares minimum losses across sets on
  one common validation set.  The loss is used there only when such a set is declared.
"""

import itertools
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from switchpoint.analysis.points import FRACTIONS, MAX_SCORE, fractions
from switchpoint.errors import InputError
from switchpoint.tables import check_columns, numbers, refuse

MIN_MODELS = 3  # two leave no residual to judge a line by, and a correlation of 1 or -1
EXACT_UP_TO, PERMUTATIONS = 8, 9999  # models whose permutations are all enumerated; draws beyond
CONSTANT, EQUAL = 1e-9, 1e-9  # relative spread of a predictor; points^2 of scores
LEVEL = 0.95
SEED = 0
GAP = """the training sets differ: a lower loss may only mean a training set nearer to the validation set; \
Quagmires (section 4.3) compares losses within one training set, RETU minima on one common set"""
SAME_RANK = "undefined: all models rank the same"


def predict(table: pd.DataFrame, repeats: int = 100, calibration: float = 0.5) -> dict:
    """Scores after RL of the models without RL, from lines through those with; and how far to trust them.

    ``table`` is as for ``ranking.rank``, with ``rl_score`` (points 0..100, blank where no RL was run; at least three)
    and optionally ``budget`` (a group of SFT budgets).  ``repeats`` random splits of the calibration runs
    give R^2; ``calibration`` is the share of the runs that a split fits, rounded down: at least two runs, all
    but one at most.

    Returns ``verdict``, ``ok``, or ``undefined: ...`` with fewer than three calibration runs or equal scores
    of all, when no predictor has more than that verdict; ``n_calibration``, ``n_predicted``; ``val_loss`` (as
    ``loss_reading``); ``predictors``, by name (the columns, and ``average``), each {verdict, of, slope,
    intercept, r2, sweep, spearman, leave_one_out, regret} or, when the verdict is ``not applicable: ...`` or
    ``undefined: ...``, only {verdict, of}; ``best``, the predictor of the lowest leave-one-out error, and ``choice``, what its
    intervals pay for: {among: predictors that it was chosen from, error_ratio: as ``Choice.ratio``}, None without one;
    ``models``, those without RL, in the order of the table, each {model, exaflops, predictions: {predictor:
    {score, pi95, extrapolated, clipped}}}; ``notes``; ``ignored_columns``.  Scores, errors and intervals are in
    points; ``clipped`` says that the score or an end lay outside 0..100.  What cannot be computed is None beside a
    ``verdict``.  InputError names the row or column.
    """
    if repeats < 1 or not 0 < calibration < 1:
        given = f"repeats is {repeats} and calibration {calibration}"
        raise InputError(f"{given}; give repeats of 1 or more, and calibration as a share between 0 and 1")
    models = check_models(table)
    known = models["rl_score"].notna()
    # By name, so that the order of the rows changes no random split.
    runs, rest = models[known].sort_values("model", ignore_index=True), models[~known]
    undefined = why_uncalibrated(runs["rl_score"].to_numpy())
    n_fit = min(max(int(calibration * len(runs) + 1e-9), 2), len(runs) - 1)
    reading = loss_reading(models)
    entries, usable = {}, {}
    for name, columns in candidate_predictors(models).items():
        unusable = (why_unusable(column, runs, reading) for column in columns)
        verdict = undefined or next(filter(None, unusable), None)
        entries[name] = {"verdict": verdict or "ok", "of": columns}
        if verdict is None:
            entries[name] |= diagnose_predictor(runs, columns, repeats, n_fit)
            usable[name] = oriented_predictors(runs, columns)
    best, choice = choose(usable, runs["rl_score"].to_numpy())
    predictions = {
        name: predict_rest(runs, rest, entries[name]["of"], choice if name == best else ALONE)
        for name in usable
    }
    return {
        "verdict": undefined or "ok",
        "n_calibration": len(runs),
        "n_predicted": len(rest),
        "val_loss": reading,
        "predictors": entries,
        "best": best,
        "choice": best and {"among": choice.among, "error_ratio": choice.ratio},
        "models": [
            {key: row[key] for key in ("model", "exaflops") if key in row}
            | {"predictions": {name: values[i] for name, values in predictions.items()}}
            for i, row in enumerate(rest.to_dict("records"))
        ],
        "notes": []
        if undefined
        else reliability_notes(entries, best, choice.among) + clipping_notes(rest, predictions, best),
        "ignored_columns": [str(name) for name in table if name not in models],
    }


def check_models(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that mean something here, every cell checked; InputError names the row.

    ``rl_score`` is always among them, NaN where no RL was run.
    """
    check_columns(table, ["model"], "models")
    models = pd.DataFrame({"model": table["model"].astype(str)})
    refuse(table, models["model"].duplicated(), "model", "it has a row already; keep one")
    for name in pass_columns(table):
        models[name] = numbers(table, name)
        refuse(table, ~models[name].between(0, MAX_SCORE), name, "give points from 0 to 100")
    everyone = pd.Series(True, table.index)
    if names := pass_columns(table):
        refuse(table, fractions(models[names], everyone), names[-1], FRACTIONS)
    for name in (
        column for column in ("se", *(f"{name}_se" for name in pass_columns(table))) if column in table
    ):
        models[name] = numbers(table, name)
        refuse(
            table, ~models[name].between(0, MAX_SCORE), name, "give the standard error in points, 0 or more"
        )
    if "n" in table:
        models["n"] = numbers(table, "n")
        refuse(table, (models["n"] < 1) | (models["n"] % 1 != 0), "n", "give the number of problems")
    if "val_loss_se" in table:
        models["val_loss_se"] = numbers(table, "val_loss_se")
        refuse(
            table, models["val_loss_se"] < 0, "val_loss_se", "give the standard error of the loss, 0 or more"
        )
    if "val_loss" in table:
        models["val_loss"] = numbers(table, "val_loss")
        refuse(table, models["val_loss"] <= 0, "val_loss", "give the validation loss, a positive number")
    if "exaflops" in table:
        models["exaflops"] = numbers(table, "exaflops")
        refuse(table, models["exaflops"] < 0, "exaflops", "give the compute, 0 or more")
    for name in ("set", "budget"):
        if name in table:
            refuse(table, table[name].isna(), name, "name it in every row, or delete the column")
            models[name] = table[name].astype(str)
    if "val_set" in table:
        models["val_set"] = table["val_set"]
    given = table["rl_score"] if "rl_score" in table else pd.Series(np.nan, table.index)
    models["rl_score"] = pd.to_numeric(given, errors="coerce").astype(float)
    bad = given.notna() & ~models["rl_score"].between(0, MAX_SCORE)
    refuse(table, bad, "rl_score", "give points from 0 to 100, or leave it blank where no RL was run")
    refuse(table, fractions(models[["rl_score"]], models["rl_score"].notna()), "rl_score", FRACTIONS)
    return models.reset_index(drop=True)


def loss_reading(models: pd.DataFrame) -> dict:
    """Whether the validation losses of checked ``models`` can be compared, and RETU's reading of them.

    Returns {applicable, reason, warning, retu}.  ``retu``, where the training sets differ and the
    validation set is common, is {sets, correlation}: ``sets`` by minimum loss, each {set, model,
    val_loss, best_rl_score}, and ``loss_against_ceiling`` of those with RL, None for fewer than three.
    """
    applicable, warning, retu = False, None, None
    sets = models["set"].unique() if "set" in models else []
    where = models["val_set"] if "val_set" in models else pd.Series(np.nan, models.index)
    measured = [str(name) for name in where.dropna().unique()]
    if "val_loss" not in models:
        reason = "no column val_loss"
    elif len(measured) > 1:
        reason = f"the losses were measured on different validation sets ({', '.join(measured)})"
    elif len(sets) < 2:
        applicable, reason = True, f"one training set, {sets[0]}" if len(sets) else "one training set assumed"
    elif where.isna().any():
        reason = (
            f"the training sets differ ({', '.join(sets)}), so the losses hold a gap between distributions; "
            "where all losses are on one common validation set, name it in val_set in every row"
        )
    else:
        applicable, warning, retu = True, GAP, retu_reading(models)
        reason = f"{len(sets)} training sets, all losses on the common validation set {measured[0]}"
    return {"applicable": applicable, "reason": reason, "warning": warning, "retu": retu}


def retu_reading(models: pd.DataFrame) -> dict:
    """The training sets by minimum loss, with the best score after RL."""
    lowest = models.loc[models.groupby("set")["val_loss"].idxmin(), ["set", "model", "val_loss"]]
    lowest["best_rl_score"] = lowest["set"].map(models.groupby("set")["rl_score"].max())
    lowest = lowest.sort_values("val_loss", kind="stable")
    with_rl = lowest.dropna().rename(columns={"best_rl_score": "ceiling"})
    return {
        "sets": lowest.astype(object).where(lowest.notna(), None).to_dict("records"),
        "correlation": loss_against_ceiling(with_rl) if len(with_rl) >= MIN_MODELS else None,
    }


def loss_against_ceiling(table: pd.DataFrame) -> dict:
    """Correlation of minimum validation loss and RL ceiling over training sets (RETU section 6.2.2).

    ``table`` has one row per training set, at least three: ``set``, ``val_loss`` (its minimum, on one
    common validation set) and ``ceiling`` (points).  Returns n, pearson with ci95 (Fisher's z) and
    two-sided p, spearman with spearman_p (permutations) and verdict ``ok``; or n and ``undefined: ...``.
    InputError names the row.
    """
    check_columns(table, ["set", "val_loss", "ceiling"], "sets")
    refuse(table, table["set"].duplicated(), "set", "it has a row already; keep its lowest loss")
    loss, ceiling = numbers(table, "val_loss").to_numpy(), numbers(table, "ceiling").to_numpy()
    if len(loss) < MIN_MODELS:
        raise InputError(f"sets: {len(loss)}; a correlation needs at least {MIN_MODELS}")
    if is_constant(loss) or is_constant(ceiling):
        same = "val_loss" if is_constant(loss) else "ceiling"
        return {"n": len(loss), "verdict": f"undefined: {same} is the same in all sets"}
    pearson = stats.pearsonr(loss, ceiling)
    rho, p, _ = spearman_test(loss[None], ceiling)
    return {
        "n": len(loss),
        "pearson": float(pearson.statistic),
        "ci95": [float(end) for end in pearson.confidence_interval(LEVEL)] if len(loss) > 3 else [-1.0, 1.0],
        "p": float(pearson.pvalue),
        "spearman": rho,
        "spearman_p": p,
        "verdict": "ok",
    }


def fit_lines(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Mean of the predictions of p least-squares lines, one per predictor.

    Shapes (p, ..., n), (..., n) and (p, ..., q) to (..., q); NaN where a predictor is constant.
    """
    centre = x.mean(axis=-1, keepdims=True)
    spread = np.where(is_constant(x), np.nan, ((x - centre) ** 2).sum(axis=-1))[..., None]
    level = y.mean(axis=-1, keepdims=True)
    slope = ((x - centre) * (y - level)).sum(axis=-1, keepdims=True) / spread
    return (level + slope * (new - centre)).mean(axis=0)


class Choice(NamedTuple):
    """What a predictor was chosen from: how many, and by which ``ratio`` the leave-one-out error of the whole procedure,
    the choice included, exceeds the chosen one's; at least 1, None where too few runs are left to choose without one.
    """

    among: int
    ratio: float | None


ALONE = Choice(1, 1.0)


def choose(candidates: dict[str, np.ndarray], y: np.ndarray) -> tuple[str | None, Choice]:
    """The predictor of the lowest leave-one-out error, and what its intervals have to pay for.

    ``candidates`` are values of shape (p, n) by name, ``y`` (n,) the scores; None where none has such an error.
    """
    best, error, among = lowest_error(candidates, y)
    if among < 2:
        return best, ALONE
    squares = []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        rest = {name: x[:, others] for name, x in candidates.items()}
        chosen, _, _ = lowest_error(rest, y[others])
        if chosen is None:
            return best, Choice(among, None)
        guess = fit_lines(rest[chosen], y[others], candidates[chosen][:, [i]])[0]
        squares.append((y[i] - guess) ** 2)
    whole = math.sqrt(np.mean(squares))
    return best, Choice(among, max(whole / error, 1.0) if error > 0 else None)


def lowest_error(candidates: dict[str, np.ndarray], y: np.ndarray) -> tuple[str | None, float, int]:
    """The predictor of the lowest leave-one-out error, that error (points), and how many have one."""
    known = {name: leave_one_out(x, y)["rmse"] for name, x in candidates.items()}
    known = {name: error for name, error in known.items() if error is not None}
    best = min(known, key=known.get, default=None)
    return best, known.get(best, math.nan), len(known)


def paid_quantile(dof: float, choice: Choice) -> float:
    """The half-width of a 95 % prediction interval in standard errors, of a predictor that was chosen.

    Bonferroni's t holds whatever the choice; the t of one degree of freedom less, for the choice, times ``Choice.ratio`` is
    narrower where the choice costs little, and is taken then.
    """
    tail = (1 - LEVEL) / 2
    alone, all_of_them = stats.t.isf([tail, tail / choice.among], dof)
    if choice.among == 1 or choice.ratio is None or dof <= 1:
        return float(all_of_them)
    return float(np.clip(choice.ratio * stats.t.isf(tail, dof - 1), alone, all_of_them))


def intervals(
    x: np.ndarray, y: np.ndarray, new: np.ndarray, choice: Choice = ALONE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions of ``fit_lines`` for new models with 95 % prediction intervals: score, low, high.

    Shapes (p, n), (n,), (p, q) to (q,) each.  The predictions are linear in y, W y, and so are the
    residuals, (I - H) y.  With A = (I - H)' (I - H): s^2 = |residuals|^2 / tr A, the half-width is
    t s sqrt(1 + |W|^2), and t has tr(A)^2 / tr(A^2) degrees of freedom (Satterthwaite), more of it for a ``choice``.  For one
    predictor this is the textbook interval with n - 2; for an average, s holds what the mean of two
    lines misses.
    """
    unit = np.eye(len(y))
    weights = fit_lines(x[:, None], unit, new[:, None]).T
    off = unit - fit_lines(x[:, None], unit, x[:, None]).T
    square = off.T @ off
    trace = np.trace(square)
    s = math.sqrt(((off @ y) ** 2).sum() / trace)
    t = paid_quantile(trace**2 / (square**2).sum(), choice)
    half = t * s * np.sqrt(1 + (weights**2).sum(axis=1))
    score = weights @ y
    return score, score - half, score + half


def split_r2(x: np.ndarray, y: np.ndarray, order: np.ndarray, n_fit: int) -> dict:
    """R^2 on held-out models of lines fitted to the first ``n_fit`` of every order (section 4.2).

    ``x`` has shape (p, n), ``y`` (n,), ``order`` (repeats, n).  1 - SSE / SST with SST about the held-out
    mean, never clipped.  The standard error is of the mean over the used repeats; skipped: why, how many.
    """
    held_out = y[order[:, n_fit:]]
    guess = split_predictions(x, y, order, n_fit)
    total = ((held_out - held_out.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    equal, flat = total <= EQUAL, np.isnan(guess).any(axis=1)
    used = ~equal & ~flat
    r2 = 1 - ((held_out - guess)[used] ** 2).sum(axis=1) / total[used]
    n_used = len(r2)
    deviation = float(r2.std(ddof=1)) if n_used > 1 else None
    return {
        "calibration": n_fit,
        "held_out": len(y) - n_fit,
        "mean": float(r2.mean()) if n_used else None,
        "standard_deviation": deviation,
        "standard_error": deviation / math.sqrt(n_used) if n_used > 1 else None,
        "used": n_used,
        "skipped": {
            "held-out scores equal": int(equal.sum()),
            "predictor constant": int((flat & ~equal).sum()),
        },
        "verdict": "ok" if n_used else "undefined: every repeat was skipped",
    }


def leave_one_out(x: np.ndarray, y: np.ndarray) -> dict:
    """Root-mean-square error (points) and R^2 of each model's score predicted from the others.

    R^2 = 1 - SSE / SST with SST about the mean of all; undefined when the others' predictor is constant.
    """
    n = len(y)
    order = (np.arange(n)[:, None] + np.arange(1, n + 1)) % n  # the others, then the model itself
    error = y - split_predictions(x, y, order, n - 1)[:, 0]
    if np.isnan(error).any():
        return {"rmse": None, "r2": None, "verdict": "undefined: without one model the predictor is constant"}
    r2 = 1 - (error**2).sum() / ((y - y.mean()) ** 2).sum()
    return {"rmse": float(np.sqrt((error**2).mean())), "r2": float(r2), "verdict": "ok"}


def split_predictions(x: np.ndarray, y: np.ndarray, order: np.ndarray, n_fit: int) -> np.ndarray:
    """Predictions, shape (repeats, n - n_fit), for the models after the first ``n_fit`` of each order."""
    fitted, rest = order[:, :n_fit], order[:, n_fit:]
    return fit_lines(x[:, fitted], y[fitted], x[:, rest])


def ranking_values(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What ranks the models: the predictor, or the average's predictions from ``y`` (m, n).

    Of shape (1, n) or (m, n).
    """
    return x if len(x) == 1 else np.round(fit_lines(x[:, None], y, x[:, None]), 9)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation along the last axis; NaN where one is constant."""
    a, b = (stats.rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2 for values in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))


def spearman_test(x: np.ndarray, y: np.ndarray) -> tuple[float | None, float | None, str]:
    """Spearman's rho, its two-sided permutation p, and how p was found.

    An average refits its lines to every permutation, as it was fitted to the scores themselves.
    """
    rho = float(rank_correlation(ranking_values(x, y[None]), y[None])[0])
    if math.isnan(rho):
        return None, None, SAME_RANK
    n = len(y)
    exact = n <= EXACT_UP_TO
    order = list(itertools.permutations(range(n))) if exact else random_orders(n, PERMUTATIONS)
    permuted = y[np.array(order)]
    extreme = int((np.abs(rank_correlation(ranking_values(x, permuted), permuted)) >= abs(rho) - 1e-9).sum())
    p = extreme / len(order) if exact else (1 + extreme) / (1 + PERMUTATIONS)
    return rho, p, "exact" if exact else f"{PERMUTATIONS} permutations"


def random_orders(n: int, count: int) -> np.ndarray:
    """Random permutations of 0..n-1, shape (count, n)."""
    return np.random.default_rng(SEED).permuted(np.tile(np.arange(n), (count, 1)), axis=1)


def budget_spearman(ranking: np.ndarray, runs: pd.DataFrame) -> dict:
    """Spearman's rho within every budget, None where undefined, and its mean (Tables 8 and 10)."""
    groups = {}
    for budget, rows in runs.groupby("budget"):
        rho = float(rank_correlation(ranking[rows.index], rows["rl_score"].to_numpy()))
        verdict = SAME_RANK if math.isnan(rho) else "ok"
        if len(rows) < MIN_MODELS:
            verdict = f"undefined: {len(rows)} models, fewer than {MIN_MODELS}"
        groups[budget] = {"n": len(rows), "rho": rho if verdict == "ok" else None, "verdict": verdict}
    return {"budgets": groups, "mean_over_budgets": mean_defined(group["rho"] for group in groups.values())}


def mean_defined(values: Iterable[float | None]) -> float | None:
    """Plain mean of the values that are not None."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def regret(ranking: np.ndarray, y: np.ndarray, names: list[str]) -> dict:
    """Points lost by running RL on the favourite only; with several favourites, the mean over them."""
    top = np.flatnonzero(ranking == ranking.max())
    return {"points": float(y.max() - y[top].mean()), "favourites": [names[i] for i in top]}


def diagnose_predictor(runs: pd.DataFrame, columns: list[str], repeats: int, n_fit: int) -> dict:
    """How well a predictor, or an average, foretells the scores of the calibration runs."""
    x, y = oriented_predictors(runs, columns), runs["rl_score"].to_numpy()
    order = random_orders(len(y), repeats)
    ranking = ranking_values(x, y[None])[0]
    rho, p, method = spearman_test(x, y)
    slope, intercept = np.polyfit(runs[columns[0]], y, 1).tolist() if len(columns) == 1 else (None, None)
    return {
        "slope": slope,
        "intercept": intercept,
        "r2": split_r2(x, y, order, n_fit),
        "sweep": [split_r2(x, y, order, size) for size in range(2, len(y) - 1)],
        "spearman": {"rho": rho, "p": p, "method": method}
        | (budget_spearman(ranking, runs) if "budget" in runs else {}),
        "leave_one_out": leave_one_out(x, y),
        "regret": regret(ranking, y, runs["model"].tolist()),
    }


def predict_rest(runs: pd.DataFrame, rest: pd.DataFrame, columns: list[str], choice: Choice) -> list[dict]:
    """The rest's predictions; extrapolated where a predictor lies outside the runs' range."""
    x, new = oriented_predictors(runs, columns), oriented_predictors(rest, columns)
    ends = intervals(x, runs["rl_score"].to_numpy(), new, choice)
    outside = ((new < x.min(axis=1, keepdims=True)) | (new > x.max(axis=1, keepdims=True))).any(axis=0)
    return [
        {"score": score, "pi95": [low, high], "extrapolated": bool(far), "clipped": bool(beyond)}
        for score, low, high, far, beyond in zip(
            *np.clip(ends, 0, MAX_SCORE).tolist(), outside, is_outside(ends), strict=True
        )
    ]


def is_outside(ends: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether a prediction, or an end of its interval, is no score that there is."""
    return ((np.array(ends) < 0) | (np.array(ends) > MAX_SCORE)).any(axis=0)


def clipping_notes(rest: pd.DataFrame, predictions: dict[str, list[dict]], best: str | None) -> list[str]:
    """Which of the best predictor's predictions were clipped."""
    entries = zip(rest["model"], predictions.get(best or "", []), strict=False)
    clipped = [name for name, entry in entries if entry["clipped"]]
    said = "its prediction or an end of its interval lay outside 0 to 100"
    return [f"clipped to 0..100, since {said}: {', '.join(clipped)}"] if clipped else []


def candidate_predictors(models: pd.DataFrame) -> dict[str, list[str]]:
    """The predictors' columns; the average is of the loss and the pass@k of the largest k (Table 1)."""
    passes = pass_columns(models)
    names = passes + ["val_loss"] * ("val_loss" in models)
    if not names:
        raise InputError("models: no predictor; give columns pass_<k> or val_loss")
    large = passes[-1] if passes and passes[-1] != "pass_1" else "pass_<k>, k above 1"
    return {name: [name] for name in names} | {"average": ["val_loss", large]}


def why_unusable(name: str, runs: pd.DataFrame, reading: dict) -> str | None:
    """Why a predictor cannot be used; None when it can."""
    if name == "val_loss" and not reading["applicable"]:
        return f"not applicable: {reading['reason']}"
    if name not in runs:
        return f"not applicable: no column {name}"
    same = is_constant(runs[name].to_numpy())
    return f"undefined: {name} is {runs[name][0]:g} in all calibration runs" if same else None


def why_uncalibrated(y: np.ndarray) -> str | None:
    """Why the scores ``y`` after RL calibrate nothing; None when they do."""
    if len(y) < MIN_MODELS:
        return f"undefined: {len(y)} calibration models, fewer than {MIN_MODELS}"
    if ((y - y.mean()) ** 2).sum() <= EQUAL:
        return f"undefined: rl_score is {y[0]:g} in all {len(y)} calibration models"
    return None


def is_constant(x: np.ndarray) -> np.ndarray:
    """Whether x does not vary along its last axis."""
    return np.ptp(x, axis=-1) <= CONSTANT * np.abs(x).max(axis=-1)


def oriented_predictors(models: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """The predictors, more is better, shape (p, n)."""
    return np.stack([models[name].to_numpy() * (-1 if name == "val_loss" else 1) for name in columns])


def pass_columns(table: pd.DataFrame) -> list[str]:
    """The columns ``pass_<k>``, by k."""
    names = [name for name in table if re.fullmatch(r"pass_[1-9]\d*", str(name))]
    return sorted(names, key=lambda name: int(name.removeprefix("pass_")))


def reliability_notes(entries: dict, best: str | None, among: int) -> list[str]:
    """What a reader of the predictions should know."""
    if best is None:
        return ["no predictor has a leave-one-out error, so none is the best"]
    error = entries[best]["leave_one_out"]
    paid = f"; chosen among {among}, its intervals are wider for the choice" if among > 1 else ""
    notes = [f"{best} has the lowest leave-one-out error, {error['rmse']:.2f} points{paid}"]
    rho = entries[best]["spearman"]["rho"]
    if len(entries[best]["of"]) == 1 and rho is not None and rho < 0:
        notes.append(
            f"{best} runs the wrong way here (Spearman {rho:.2f}): the better by it, the lower the score after RL"
        )
    return notes + ["no predictor beats the mean of the calibration runs"] * (error["r2"] <= 0)
