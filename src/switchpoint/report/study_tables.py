"""The report's tables of scores, runs, data and settings: HTML for the page, Markdown for a README."""

import math

import pandas as pd

from switchpoint.report.formatting import (
    MISSING,
    Table,
    absent,
    interval,
    number,
    signed,
    signed_interval,
    significant,
    text,
    with_error,
)
from switchpoint.scores import STATUSES
from switchpoint.units import EXAFLOPS, scale_of

SUMMARIES = ["overall", "macro", "easy", "medium", "hard"]
PARTS = ["Base model", "SFT", "SFT, then RL", "Pure RL"]


# Test scores


def labelled_results(pooled_results: pd.DataFrame, metric: str = "avg") -> pd.DataFrame:
    """The pooled test scores of one metric, with ``part`` and ``model`` as the tables call them."""
    chosen = pooled_results[pooled_results["metric"] == metric]
    rows = chosen.to_dict("records")
    return chosen.assign(part=[part_of(row) for row in rows], model=[model_of(row) for row in rows])


def part_of(row: dict) -> str:
    """The part of the results table that a row belongs to."""
    if row["phase"] == "rl":
        return "Pure RL" if row["start"] == "base" else "SFT, then RL"
    return {"base": "Base model", "sft": "SFT"}[row["phase"]]


def model_of(row: dict) -> str:
    """What a row's model is called: RL by its start and its algorithm."""
    if row["phase"] == "rl":
        return f"{row['start']} → {row['algorithm']}"
    return "base" if row["phase"] == "base" else f"{row['set']}-{row['step']:.0f}"


def ordered_benchmarks(pooled_results: pd.DataFrame) -> list[str]:
    """Overall, macro and the groups, then the slices as they come."""
    names = list(pooled_results["benchmark"].unique())
    return [name for name in SUMMARIES if name in names] + [name for name in names if name not in SUMMARIES]


def result_table(pooled_results: pd.DataFrame, benchmarks: list[str]) -> Table:
    """RETU Table 1: scores of the base model, SFT, SFT-then-RL and pure RL; the first with its interval."""
    labelled = labelled_results(pooled_results)
    rows = []
    for part in PARTS:
        models = labelled[labelled["part"] == part]
        rows += [[part]] if len(models) else []
        for model, scores in models.groupby("model", sort=False):
            scores = scores.set_index("benchmark")
            cells = [
                with_error(*scores.loc[name, ["score", "se"]]) if name in scores.index else MISSING
                for name in benchmarks
            ]
            first = scores.loc[benchmarks[0]]
            ends = f"{number(first['low'])} to {number(first['high'])}"
            rows.append([model, number(first["seeds"], 0), ends, *cells])
    return Table(["Model", "Seeds", f"95 %, {benchmarks[0]}", *benchmarks], rows)


def pass_table(pooled_results: pd.DataFrame) -> Table:
    """pass@k of every model, overall, with its standard error."""
    overall = pooled_results[pooled_results["benchmark"] == "overall"]
    metrics = [name for name in pooled_results["metric"].unique() if name != "avg"]
    scores = {name: labelled_results(overall, name).set_index("model") for name in metrics}
    rows = [
        [model, *(with_error(*scores[name].loc[model, ["score", "se"]]) for name in metrics)]
        for model in scores[metrics[0]].index
    ]
    return Table(["Model", *metrics], rows)


def results_markdown(pooled_results: pd.DataFrame) -> str:
    """The test scores as a Markdown table: model, overall, its standard error, every slice."""
    labelled = labelled_results(pooled_results)
    slices = [name for name in ordered_benchmarks(pooled_results) if name not in SUMMARIES]
    header = ["model", "overall", "se", *slices]
    rows = []
    for model, rows_of_model in labelled.groupby("model", sort=False):
        scores = rows_of_model.set_index("benchmark")
        error = scores["se"].get("overall")
        cells = [number(scores["score"].get(name)) for name in ("overall", *slices)]
        rows.append([model, cells[0], number(error), *cells[1:]])
    return Table(header, rows).markdown()


def verdict_table(verdicts: pd.DataFrame) -> Table:
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
    return Table([*header, *(name.capitalize() for name in STATUSES)], rows)


def gain_table(gains: pd.DataFrame) -> Table:
    """What RL adds to its start, paired by problem."""
    rows = [
        [
            row["run"], with_error(row["difference"], row["se"]),
            f"{number(row['low'])} to {number(row['high'])}", number(row["p"], 4), number(row["n"], 0),
        ]
        for row in gains[gains["benchmark"] == "overall"].to_dict("records")
    ]  # fmt: skip
    return Table(["Run", "Difference", "95 %", "p", "Problems"], rows)


# Arms


def arm_name(row: dict) -> str:
    """What an arm is called."""
    return f"SFT on {row['set']}" if row["algorithm"] == "sft" else f"{row['start']} → {row['algorithm']}"


def arm_table(arms: pd.DataFrame) -> Table:
    """Every RL arm from its start to its end, what it took and what it logged."""
    factor, unit = scale_of(arms["exaflops"])
    norms = [name for name in arms if name.startswith("norm_")]
    rows = [
        [
            arm_name(row), number(row["seeds"], 0), number(row["start_score"]), number(row["end_score"]),
            signed(row["difference"]), signed_interval(row["low"], row["high"]),
            significant(row["exaflops"] * factor), number(row["sampled_tokens"] / 1e3, 0),
            number(100 * row.get("clip_fraction", math.nan), 2),
            ", ".join(f"{name.removeprefix('norm_')} {significant(row[name])}" for name in norms
                      if not absent(row[name])) or MISSING,
            number(row.get("cosine"), 2), row["status"],
        ]
        for row in arms.to_dict("records")
    ]  # fmt: skip
    header = [
        "Arm", "Seeds", "Start", "End", "Difference", "95 %", f"RL, {unit}", "Sampled tokens, thousands",
        "Clipped tokens, %", "Gradient norms", "Cosine", "Status",
    ]  # fmt: skip
    return Table(header, rows)


def comparison_table(comparisons: pd.DataFrame, unit: str = EXAFLOPS) -> Table:
    """The arms at equal total compute, highest first."""
    factor, unit = scale_of(comparisons["exaflops_total"], unit)
    rows = [
        [
            significant(row["exaflops_total"] * factor), arm_name(row), number(row["score"]),
            interval([row["low"], row["high"]]), signed(row["difference"]),
            signed_interval(row["difference_low"], row["difference_high"]), text(row["may_lead"]),
        ]
        for row in comparisons.to_dict("records")
    ]  # fmt: skip
    header = [f"Total, {unit}", "Arm", "Score", "95 %", "To the highest", "95 %", "May be the best"]
    return Table(header, rows)


def arms_markdown(arms: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """The arms, and the arms at equal total compute, as two Markdown tables; empty without any."""
    made = [make(table) for make, table in ((arm_table, arms), (comparison_table, comparisons)) if len(table)]
    return "".join(f"\n{table.markdown()}" for table in made)


# Runs, data and settings


def run_table(runs: pd.DataFrame, unit: str = EXAFLOPS) -> Table:
    """Every run with its parent, compute before it, validation loss and status."""
    factor, unit = scale_of(runs["sft_exaflops"], unit)
    rows = [
        [
            row["run"], text(row["parent"]), text(row["algorithm"]), text(row["start_step"]), text(row["seed"]),
            significant(row["sft_exaflops"] * factor), number(row.get("val_loss"), 3), text(row["status"]),
        ]
        for row in runs.to_dict("records")
    ]  # fmt: skip
    header = ["Run", "Parent", "Algorithm", "Start step", "Seed", f"SFT, {unit}", "Validation loss", "Status"]
    return Table(header, rows)


def statistics_table(statistics: pd.DataFrame) -> Table:
    """RETU Table 3: size, mean lengths in tokens, what training cuts, and mean win rates of every set."""
    given = [name for name in statistics if name.startswith("win_rate_") and not name.endswith("_n")]
    rows = [
        [
            row["set"], text(row["n"]), text(row["unique"]), number(row["prompt_tokens"]),
            number(row["response_tokens"]), number(percent(row["truncated"])), number(row["win_rate"], 2),
            *(number(row[name], 2) for name in given), text(row["sources"]), row["sha256"][:12],
        ]
        for row in statistics.to_dict("records")
    ]  # fmt: skip
    header = ["Set", "Rows", "Problems", "Prompt tokens", "Response tokens", "Cut, %", "Win rate"]
    header += [f"Win rate, {name.removeprefix('win_rate_').replace('_', '.').upper()}" for name in given]
    return Table([*header, "Sources", "sha256"], rows)


def percent(share: float | None) -> float | None:
    """A share in percent, where there is one."""
    return share if absent(share) else 100 * share


def strata_table(strata: pd.DataFrame) -> Table:
    """Whether every known win rate falls from the easy over the uniform to the hard stratum."""
    rows = [
        [
            row["win_rate"],
            *(number(row[name], 2) for name in ("easy", "uniform", "hard")),
            text(row["ordered"]),
        ]
        for row in strata.to_dict("records")
    ]
    return Table(["Win rate", "Easy", "Uniform", "Hard", "Falls"], rows)


def source_table(sources: pd.DataFrame) -> Table:
    """What became of the rows of every source."""
    rows = [
        [row["source"], text(row["rows"]), text(row["kept"]), text(row["dropped"]), text(row["rejected"]), row["sha256"][:12]]
        for row in sources.to_dict("records")
    ]  # fmt: skip
    return Table(["Source", "Rows", "Kept", "Dropped", "Rejected", "sha256"], rows)


def overlap_table(overlaps: pd.DataFrame) -> Table:
    """How many problems every two tables share."""
    first, *others = overlaps.columns
    rows = [[str(row[first]), *(text(row[name]) for name in others)] for row in overlaps.to_dict("records")]
    return Table([str(first), *(name.replace(":", ": ") for name in others)], rows)


def hyperparameter_table(hyperparameters: dict[str, dict]) -> Table:
    """RETU Table 2: every section's keys and values, as run."""
    rows = []
    for section, values in hyperparameters.items():
        rows.append([section])
        rows += [[key, text(value)] for key, value in values.items()]
    return Table(["Key", "Value"], rows)
