"""SFT models in the order of their promise for RL, before any RL (Quagmires section 4.3), as far as noise lets it be told.

A model with a lower pass@1 and a higher validation loss than another is dropped; the rest rank by pass@k.

Deviations
----------
- Quagmires compares the scores as they are.  Here one is lower, or higher, only beyond noise: by more than Dunnett's
  critical value times the standard error of the difference, as in ``comparisons``, so that with probability 95 % the best
  pass@1 is not dropped and the best pass@k keeps the first place; what is closer is tied.  Evaluations on the same problems
  differ by less than their errors say, so the test errs towards ties.
- The filter is Quagmires' rule and helps or hurts by what pass@1 and the loss see (``FILTER_REGRET``, simulated).
- An error that is not given comes from the number of problems: sqrt(p (1 - p) / n), the most that values between 0 and
  1 of mean p can have, with p drawn towards 1/2 by four problems (Agresti and Coull 1998), so that it is never 0.
"""

import itertools
import math

import numpy as np
import pandas as pd

from switchpoint.analysis.comparisons import clearly_higher
from switchpoint.analysis.points import MAX_SCORE
from switchpoint.analysis.predictors import check_models, loss_reading, pass_columns
from switchpoint.errors import InputError

BASELINE = "ranked by pass_1, which foretells RL poorly (Quagmires Table 2); measure pass@k for a larger k"
LEVEL = 0.95
# Points that RL on the first of 12 exact candidates loses against the best of them: means of 1,000 simulated sets of candidates
# (benchmarks/predictors.py), standard error of the difference 0.03 and 0.11.
FILTER_REGRET = {
    "pass_1, val_loss and pass_64 foretell as in Quagmires": {"with_filter": 0.5, "pass_64_alone": 0.5},
    "pass_1 and val_loss foretell nothing": {"with_filter": 3.4, "pass_64_alone": 0.4},
}


def rank(table: pd.DataFrame, k: int | None = None) -> dict:
    """SFT candidates in the order of their promise for RL, before any RL.

    ``table`` has one row per model: ``model``, ``pass_<k>`` in points 0..100, and optionally ``val_loss``,
    ``set`` (training distribution), ``val_set`` (where the loss was measured), ``exaflops``; and of its noise
    ``pass_<k>_se`` or ``se`` (standard error in points; ``se`` of every pass@k without its own), ``n`` (problems)
    and ``val_loss_se``.  ``k`` is the k above 1 to rank by; the largest by default, pass@1 where there is no other.

    Returns ``predictor``; ``favourites``; ``filter`` ({applied, reason}); ``filter_regret`` (``FILTER_REGRET``: what the filter
    costs or saves in simulations, points, None where it is not applied); ``val_loss`` (as
    ``predictors.loss_reading``); ``noise`` ({level, errors}: the column that each predictor's error is of, None where
    there is none and any difference counts); ``n_kept``, ``n_dropped``; ``models``, best first, each {place, model,
    ``pass_<k>``, pass_1, their errors ``..._se`` where known, val_loss, exaflops, tied_with, dropped, spared}.  ``place`` is 1
    and the number of kept models clearly above it, None for the dropped; ``tied_with`` the kept models that are neither
    above nor below it; ``dropped`` and ``spared`` say why it was dropped, or would have been but for noise.  Of one
    place the higher comes first, of equal ones the cheaper.  ``notes``; ``ignored_columns``.  InputError names the row, or the
    missing column.
    """
    models = check_models(table)
    models = models.sort_values("model", ignore_index=True)
    predictor = ranking_predictor(models, k)
    reading = loss_reading(models)
    applied = reading["applicable"] and "pass_1" in models
    reason = reading["reason"] if "pass_1" in models else "no column pass_1"
    used = [predictor] + ["pass_1", "val_loss"] * applied
    errors = {name: error_of(models, name) for name in dict.fromkeys(used)}
    dropped, spared = dominated_models(models, errors) if applied else ({}, {})
    known = {f"{name}_se": values for name, (_, values) in errors.items() if values is not None}
    entries = entries_of(models.assign(**known), predictor, list(known), dropped, errors[predictor][1])
    for entry in entries:
        entry |= {"dropped": dropped.get(entry["model"]), "spared": spared.get(entry["model"])}
    return {
        "predictor": predictor,
        "favourites": [entry["model"] for entry in entries if entry["place"] == 1],
        "filter": {"applied": applied, "reason": reason},
        "filter_regret": FILTER_REGRET if applied else None,
        "val_loss": reading,
        "noise": {"level": LEVEL, "errors": {name: source for name, (source, _) in errors.items()}},
        "n_kept": len(models) - len(dropped),
        "n_dropped": len(dropped),
        "models": entries,
        "notes": [*notes(entries, predictor, errors), *falling(models)],
        "ignored_columns": [str(name) for name in table if name not in models],
    }


def entries_of(
    models: pd.DataFrame, predictor: str, known: list[str], dropped: dict[str, str], errors: np.ndarray | None
) -> list[dict]:
    """What is told of every model but why it was dropped, best first; ``known`` are the columns of errors."""
    kept = ~models["model"].isin(dropped).to_numpy()
    names, scores = models["model"][kept].tolist(), models[predictor].to_numpy()[kept]
    above = higher(scores, None if errors is None else errors[kept])
    tied = ~above & ~above.T & ~np.eye(len(names), dtype=bool)
    entries, shown = [], ("model", predictor, "pass_1", "val_loss", *known, "exaflops")
    for row in models.to_dict("records"):
        own = None if row["model"] in dropped else names.index(row["model"])
        place = None if own is None else 1 + int(above[own].sum())
        entry = {"place": place, **{key: row[key] for key in shown if key in row}}
        ties = (
            [] if own is None else [name for name, is_tied in zip(names, tied[own], strict=True) if is_tied]
        )
        entries.append(entry | {"tied_with": ties})
    entries.sort(key=lambda entry: (entry["place"] or math.inf, -entry[predictor], entry.get("exaflops", 0)))
    return entries


def higher(scores: np.ndarray, errors: np.ndarray | None) -> np.ndarray:
    """Whether score j is above score i, shape (n, n): [i, j]; beyond noise where there are errors."""
    return scores[None] > scores[:, None] if errors is None else clearly_higher(scores, errors)


def dominated_models(
    models: pd.DataFrame, errors: dict[str, tuple[str | None, np.ndarray | None]]
) -> tuple[dict[str, str], dict[str, str]]:
    """The models with lower pass@1 and higher loss than another beyond noise, and those only within it; both with why.

    The other is one that is kept, if there is one.
    """
    score, loss = models["pass_1"].to_numpy(), models["val_loss"].to_numpy()
    within = higher(score, None) & higher(-loss, None)
    beyond = within & higher(score, errors["pass_1"][1]) & higher(-loss, errors["val_loss"][1])
    kept = ~beyond.any(axis=1)
    dropped, spared = {}, {}
    for i in np.flatnonzero(within.any(axis=1)):
        better = within[i] if kept[i] else beyond[i]
        j = np.flatnonzero(better & kept if (better & kept).any() else better)[0]
        why = f"pass_1 {score[i]:g} < {score[j]:g} and val_loss {loss[i]:g} > {loss[j]:g} of {models['model'][j]}"
        (spared if kept[i] else dropped)[models["model"][i]] = why
    return dropped, spared


def error_of(models: pd.DataFrame, name: str) -> tuple[str | None, np.ndarray | None]:
    """The column that the standard errors of a predictor are of, and these; None where there are none."""
    own = [f"{name}_se", *(["se"] if name != "val_loss" else [])]
    for column in own:
        if column in models:
            return column, models[column].to_numpy()
    if name == "val_loss" or "n" not in models:
        return None, None
    n, share = models["n"].to_numpy(), models[name].to_numpy() / MAX_SCORE
    drawn = (n * share + 2) / (n + 4)
    return "n", MAX_SCORE * np.sqrt(drawn * (1 - drawn) / n)


def ranking_predictor(models: pd.DataFrame, k: int | None) -> str:
    """The pass@k to rank by, k above 1; without any, pass@1 stands in."""
    names = [name for name in pass_columns(models) if name != "pass_1"]
    chosen = [name for name in names if name == f"pass_{k}"]
    if k is None:
        chosen = names[-1:] or [name for name in pass_columns(models) if name == "pass_1"]
    if not chosen:
        have = ", ".join(names) or "none"
        raise InputError(f"models: no pass_{k or '<k>'} to rank by; the columns with k above 1 are: {have}")
    return chosen[0]


def falling(models: pd.DataFrame) -> list[str]:
    """The models whose pass@k falls with k, which it cannot on the same samples."""
    return [
        f"{high} lies below {low} for {', '.join(models.loc[models[high] < models[low], 'model'])}: "
        "on the same samples it cannot; check the columns"
        for low, high in itertools.pairwise(pass_columns(models))
        if (models[high] < models[low]).any()
    ]


def notes(
    entries: list[dict], predictor: str, errors: dict[str, tuple[str | None, np.ndarray | None]]
) -> list[str]:
    """What a reader of the ranking should know."""
    said = [BASELINE] * (predictor == "pass_1")
    without = [name for name, (source, _) in errors.items() if source is None and name != "val_loss"]
    if without:
        columns = " and ".join(f"{name}_se" for name in without)
        said.append(
            f"ties in {' and '.join(without)} could not be told, and any difference counts: add {columns}, "
            "standard errors in points, or n, the number of problems"
        )
    elif (
        "val_loss" in errors and errors["val_loss"][0] is None and any(entry["dropped"] for entry in entries)
    ):
        said.append("val_loss has no standard error and counts as exact; add val_loss_se")
    kept = max(entry[predictor] for entry in entries if not entry["dropped"])
    return said + [
        f"{entry['model']} was dropped although its {predictor} is higher than that of every model kept"
        for entry in entries
        if entry["dropped"] and entry[predictor] > kept
    ]
