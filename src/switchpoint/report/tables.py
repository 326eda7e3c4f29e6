"""The report's tables: HTML for the page, Markdown for a README."""

import html
import math

import pandas as pd

from switchpoint.scores import STATUSES

Z95 = 1.96
MISSING = "\N{EN DASH}"
SUMMARIES = ["overall", "macro", "easy", "medium", "hard"]
PREFIXES = {"zetta": 1e-3, "exa": 1.0, "peta": 1e3, "tera": 1e6, "giga": 1e9, "mega": 1e12}


def number(value: float | None, digits: int = 1) -> str:
    """The value with so many digits after the point; a dash where there is none."""
    return MISSING if absent(value) else f"{value:.{digits}f}"


def significant(value: float | None) -> str:
    """The value with three significant digits; a dash where there is none."""
    return MISSING if absent(value) else f"{value:.3g}"


def absent(value: object) -> bool:
    """Whether the value is missing: None, NaN or infinite."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def with_error(score: float, se: float | None) -> str:
    """A score with its standard error, where it has one."""
    return number(score) if absent(score) or absent(se) else f"{score:.1f} ± {se:.1f}"


def compute_unit(exaflops: pd.Series) -> tuple[float, str]:
    """The factor from exaFLOPs to the unit in which the largest value is 1 to 1000, and its name."""
    largest = exaflops.max()
    for prefix, factor in PREFIXES.items():
        if largest * factor >= 1:
            return factor, f"{prefix}FLOPs"
    return (1.0, "exaFLOPs") if not largest > 0 else (PREFIXES["mega"], "megaFLOPs")


def pooled(rows: pd.DataFrame, keys: list[str], score: str = "score", se: str = "se") -> pd.DataFrame:
    """Means over seeds, groups in the order of their first rows.

    The standard error is the larger of the seeds' mean own error (they share their problems, so it
    does not average out) and of their spread; it is missing where neither is known.  ``seeds`` counts the rows of the group.
    """
    groups = rows.groupby(keys, sort=False, dropna=False)
    table = groups.mean(numeric_only=True)
    table["seeds"] = groups.size()
    own = groups[se].agg(lambda errors: errors.mean() if errors.notna().all() else float("nan"))
    spread = groups[score].std() / table["seeds"] ** 0.5
    table[se] = pd.concat([own, spread], axis=1).max(axis=1)
    return table.reset_index()


def html_table(header: list[str], rows: list[list[str]], caption: str = "") -> str:
    """An HTML table of plain text; a row of one cell is a heading across the table."""
    lines = ["<table>", f"<caption>{html.escape(caption)}</caption>" if caption else ""]
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    lines.append(f"<thead><tr>{cells}</tr></thead><tbody>")
    for first, *others in rows:
        if not others and len(header) > 1:
            lines.append(f'<tr class="part"><th colspan="{len(header)}">{html.escape(first)}</th></tr>')
            continue
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    return "\n".join(filter(None, [*lines, "</tbody></table>"]))


# Results


def summarize_results(results: pd.DataFrame, metric: str = "avg") -> pd.DataFrame:
    """Test scores by model and benchmark, pooled over seeds.

    part, model, benchmark, score, se, low, high, seeds, truncated; the interval of one seed is its
    own, of several it is 1.96 pooled standard errors.
    """
    chosen = results[results["metric"] == metric]
    named = chosen.assign(
        part=[part_of(row) for row in chosen.to_dict("records")],
        model=[model_of(row) for row in chosen.to_dict("records")],
    )
    table = pooled(named, ["part", "model", "benchmark"])
    several = table["seeds"] > 1
    table["low"] = table["low"].where(~several, (table["score"] - Z95 * table["se"]).clip(lower=0.0))
    table["high"] = table["high"].where(~several, (table["score"] + Z95 * table["se"]).clip(upper=100.0))
    return table


def part_of(row: dict) -> str:
    """The part of the results table that a row belongs to."""
    if row["phase"] == "rl":
        return "Pure RL" if row["start"] == "base" else "SFT, then RL"
    return {"base": "Base model", "sft": "SFT"}[row["phase"]]


def model_of(row: dict) -> str:
    """What a row's model is called; seeds of one model share it."""
    if row["phase"] == "rl":
        return f"{row['start']} → {row['algorithm']}"
    return "base" if row["phase"] == "base" else f"{row['set']}-{row['step']:.0f}"


def ordered_benchmarks(results: pd.DataFrame) -> list[str]:
    """Overall, macro and the groups, then the slices as they come."""
    names = list(results["benchmark"].unique())
    return [name for name in SUMMARIES if name in names] + [name for name in names if name not in SUMMARIES]


def result_table(results: pd.DataFrame, benchmarks: list[str]) -> str:
    """RETU Table 1: scores of the base model, SFT, SFT-then-RL and pure RL; the first score with its interval."""
    summary = summarize_results(results)
    rows = []
    for part in ["Base model", "SFT", "SFT, then RL", "Pure RL"]:
        models = summary[summary["part"] == part]
        rows += [[part]] if len(models) else []
        for model, scores in models.groupby("model", sort=False):
            scores = scores.set_index("benchmark")
            cells = [with_error(*scores.loc[name, ["score", "se"]]) if name in scores.index else MISSING
                     for name in benchmarks]  # fmt: skip
            first = scores.loc[benchmarks[0]]
            interval = f"{number(first['low'])} to {number(first['high'])}"
            rows.append([model, number(first["seeds"], 0), interval, *cells])
    return html_table(["Model", "Seeds", f"95 %, {benchmarks[0]}", *benchmarks], rows)


def pass_table(results: pd.DataFrame) -> str:
    """pass@k of every model, overall, with its standard error."""
    metrics = [name for name in results["metric"].unique() if name != "avg"]
    tables = {name: summarize_results(results, name) for name in metrics}
    overall = {
        name: table[table["benchmark"] == "overall"].set_index("model") for name, table in tables.items()
    }
    models = overall[metrics[0]].index
    rows = [
        [model, *(with_error(*overall[name].loc[model, ["score", "se"]]) for name in metrics)]
        for model in models
    ]
    return html_table(["Model", *metrics], rows)


def verdict_table(verdicts: pd.DataFrame) -> str:
    """How every evaluation's test responses ended and how they were graded, all slices together."""
    rows = [
        [
            f"{row['run']}, step {row['step']}", number(row["samples"], 0), number(row["tokens"]),
            number(row["truncated"]), number(row["stopped"]),
            *(number(row[name], 0) for name in STATUSES),
        ]
        for row in verdicts[verdicts["benchmark"] == "all"].to_dict("records")
    ]  # fmt: skip
    header = ["Checkpoint", "Samples", "Mean tokens", "Truncated, %", "Stopped, %"]
    return html_table([*header, *(name.capitalize() for name in STATUSES)], rows)


def gain_table(gains: pd.DataFrame) -> str:
    """What RL adds to its start, paired by problem."""
    rows = [
        [row["run"], with_error(row["difference"], row["se"]), f"{number(row['low'])} to {number(row['high'])}",
         number(row["p"], 4), number(row["n"], 0)]
        for row in gains[gains["benchmark"] == "overall"].to_dict("records")
    ]  # fmt: skip
    return html_table(["Run", "Difference", "95 %", "p", "Problems"], rows)


def results_markdown(results: pd.DataFrame) -> str:
    """The results as a Markdown table: model, overall, its standard error, every slice."""
    summary = summarize_results(results)
    slices = [name for name in ordered_benchmarks(results) if name not in SUMMARIES]
    header = ["model", "overall", "se", *slices]
    rows = []
    for model, scores in summary.groupby("model", sort=False):
        score = scores.set_index("benchmark")["score"]
        error = scores.set_index("benchmark")["se"].get("overall")
        rows.append(
            [model, number(score.get("overall")), number(error), *(number(score.get(x)) for x in slices)]
        )
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


# Runs


def run_table(runs: pd.DataFrame) -> str:
    """Every run with its parent, compute before it, validation loss and status."""
    factor, unit = compute_unit(runs["sft_exaflops"])
    rows = [
        [
            row["run"], text(row["parent"]), text(row["algorithm"]), text(row["start_step"]),
            significant(row["sft_exaflops"] * factor), number(row["val_loss"], 3), text(row["status"]),
        ]
        for row in runs.to_dict("records")
    ]  # fmt: skip
    header = ["Run", "Parent", "Algorithm", "Start step", f"SFT, {unit}", "Validation loss", "Status"]
    return html_table(header, rows)


# Data and settings


def text(value: object) -> str:
    """A cell's text: whole numbers without a point, booleans in words, a dash where there is nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value)) or MISSING
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items()) or MISSING
    if absent(value):
        return MISSING
    return f"{value:g}" if isinstance(value, float) else str(value)


def statistics_table(statistics: pd.DataFrame) -> str:
    """RETU Table 3: size, mean lengths in tokens and mean win rate of every SFT set."""
    rows = [
        [row["set"], text(row["n"]), number(row["prompt_tokens"]), number(row["response_tokens"]),
         number(row["win_rate"], 2)]
        for row in statistics.to_dict("records")
    ]  # fmt: skip
    return html_table(["Set", "Examples", "Prompt tokens", "Response tokens", "Win rate"], rows)


def overlap_table(overlaps: pd.DataFrame) -> str:
    """How many problems every two tables share."""
    first, *others = overlaps.columns
    rows = [[str(row[first]), *(text(row[name]) for name in others)] for row in overlaps.to_dict("records")]
    return html_table([str(first), *(name.replace(":", ": ") for name in others)], rows)


def hyperparameter_table(hyperparameters: dict[str, dict]) -> str:
    """RETU Table 2: every section's keys and values, as run."""
    rows = []
    for section, values in hyperparameters.items():
        rows.append([section])
        rows += [[key, text(value)] for key, value in values.items()]
    return html_table(["Key", "Value"], rows)
