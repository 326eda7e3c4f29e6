"""What ``ranking.rank`` and ``predictors.predict`` found, in words and tables of text."""

from switchpoint.report import terminal
from switchpoint.report.formatting import absent

WORDS = ["model", "tied_with", "dropped", ""]  # columns of words


def show_rank(result: dict) -> str:
    """``rank``'s result in words."""
    rows = [
        {key: value for key, value in entry.items() if key != "spared"}
        | {"place": entry["place"] or "-", "tied_with": ", ".join(entry["tied_with"])}
        for entry in result["models"]
    ]
    noisy = result["noise"]["errors"][result["predictor"]] is not None
    tied = ", and what cannot be told from it" if noisy and len(result["favourites"]) > 1 else ""
    dropped = f"{result['n_dropped']} dropped" if result["filter"]["applied"] else "not applied"
    favourites = any_of(result["favourites"])
    lines = [
        text_table(rows),
        f"Run RL on {favourites}: highest {result['predictor']} of {result['n_kept']}{tied}.",
        f"Filter by pass_1 and val_loss: {dropped} ({result['filter']['reason']}).",
        *regret_lines(result["filter_regret"]),
        *(
            f"{one['model']} is kept, within noise: {one['spared']}."
            for one in result["models"]
            if one["spared"]
        ),
    ]
    return "\n".join(lines + remark_lines(result))


def regret_lines(regrets: dict | None) -> list[str]:
    """What the filter costs in simulations; nothing where it is not applied."""
    cases = [
        f"{one['with_filter']:g} and {one['pass_64_alone']:g} where {where}"
        for where, one in (regrets or {}).items()
    ]
    said = "Points lost by the favourite in simulations, with the filter and by pass_64 alone"
    return [f"{said}: {'; '.join(cases)}."] if cases else []


def any_of(names: list[str]) -> str:
    """``A``, ``A or B``, ``A, B or C``."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def show_predict(result: dict) -> str:
    """``predict``'s result in words: the predictors, then the best one's predictions."""
    good = {name: entry for name, entry in result["predictors"].items() if entry["verdict"] == "ok"}
    lines = [f"{result['n_calibration']} calibration runs, {result['n_predicted']} models to predict."]
    if good:
        r2 = next(iter(good.values()))["r2"]
        lines += [
            text_table([{"predictor": name} | predictor_row(entry) for name, entry in good.items()]),
            f"R2: on {r2['held_out']} runs after a fit to {r2['calibration']}, mean, standard deviation and "
            "standard error over the used random splits; LOO: leave one out; regret in points.",
        ]
    if result["verdict"] != "ok":
        lines += [f"{result['verdict']}; run RL on more of the models."]
    else:
        lines += [f"{name}: {e['verdict']}." for name, e in result["predictors"].items() if name not in good]
    if result["best"] and result["models"]:
        rows = [prediction_row(entry, result["best"]) for entry in result["models"]]
        lines += [f"Predicted by {result['best']}, with 95 % prediction intervals:", text_table(rows)]
    return "\n".join(lines + remark_lines(result))


def predictor_row(entry: dict) -> dict:
    """A predictor's row of the table."""
    r2, loo, spearman = entry["r2"], entry["leave_one_out"], entry["spearman"]
    row = {"R2": r2["mean"], "sd": r2["standard_deviation"], "se": r2["standard_error"]}
    row |= {"used": f"{r2['used']}/{r2['used'] + sum(r2['skipped'].values())}"}
    row |= {"LOO RMSE": loo["rmse"], "LOO R2": loo["r2"], "Spearman": spearman["rho"], "p": spearman["p"]}
    row |= {"by budget": spearman["mean_over_budgets"]} if "budgets" in spearman else {}
    return row | {"regret": entry["regret"]["points"]}


def prediction_row(entry: dict, name: str) -> dict:
    """A model's row of the table."""
    prediction, known = entry["predictions"][name], {key: entry[key] for key in entry if key != "predictions"}
    low, high = prediction["pi95"]
    remarks = ["outside the calibrated range"] * prediction["extrapolated"]
    remark = ", ".join(remarks + ["clipped to 0..100"] * prediction["clipped"])
    return known | {"score": prediction["score"], "low": low, "high": high, "": remark}


def remark_lines(result: dict) -> list[str]:
    """RETU's reading of the losses with its warning, the notes, and the columns not used."""
    lines, retu = [], result["val_loss"]["retu"]
    if retu:
        sets = " < ".join(f"{row['set']} ({row['val_loss']:g})" for row in retu["sets"])
        lines += [f"Minimum loss by training set (RETU: lower is more promising): {sets}."]
        if (correlation := retu["correlation"]) and correlation["verdict"] == "ok":
            low, high = correlation["ci95"]
            lines += [
                f"Minimum loss against best score after RL, {correlation['n']} sets: "
                f"Pearson {correlation['pearson']:.3f}, 95 % ({low:.3f}, {high:.3f}), "
                f"p {correlation['p']:.3f}; Spearman {correlation['spearman']:.2f}."
            ]
        lines += [f"Warning: {result['val_loss']['warning']}."]
    lines += [f"{note}." for note in result["notes"]]
    ignored = ", ".join(result["ignored_columns"])
    return [*lines, f"Columns not used: {ignored}."] if ignored else lines


def text_table(rows: list[dict]) -> str:
    """Rows as a table of text."""
    cells = [[cell_text(value) for value in row.values()] for row in rows]
    return terminal.as_text(terminal.table_of(list(rows[0]), cells, WORDS))


def cell_text(value: object) -> str:
    """A cell: four digits of a number, nothing where there is none."""
    return "" if absent(value) else f"{value:.4g}" if isinstance(value, float) else str(value)
