"""The report: one self-contained HTML page."""

from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup

from switchpoint import tables
from switchpoint.report import analysis_tables, figures, study_tables
from switchpoint.report.formatting import html_table

ANALYSIS_TABLES = [
    "pooled_curves", "pooled_results", "runs", "losses", "verdicts", "gains", "outcomes", "highest_outcomes",
    "arms", "arm_curves", "arm_comparisons",
]  # fmt: skip
ANALYSIS_DOCUMENTS = ["phases", "ceilings", "advice", "predictors", "loss_correlation"]
DATA_TABLES = ["statistics", "strata", "sources", "overlaps"]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ study }}: when to switch from SFT to RL</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1160px; margin: 2rem auto; padding: 0 \
1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
p { max-width: 75ch; }
.answer { border-left: 5px solid #0072B2; background: #f2f7fb; padding: .6rem 1.2rem; }
.answer .verdict { font-size: 1.15rem; font-weight: 600; }
figure { margin: 1.5rem 0; } figcaption { color: #444; font-size: .92rem; max-width: 85ch; margin-bottom: \
.5rem; }
svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
td, tbody th { white-space: nowrap; }
th:first-child { text-align: left; } tbody th { font-weight: 500; } thead th { border-bottom: 2px solid \
#888; font-weight: 600; }
tr.part th { background: #f3f3f3; font-weight: 600; }
.words th, .words td, .why td:last-child, .why th:last-child { text-align: left; }
.words td, .why td:last-child { white-space: normal; min-width: 9rem; }
.why th, .why td { padding: .25rem .35rem; font-size: .8rem; }
.dense th, .dense td { padding: .25rem .35rem; font-size: .8rem; } .dense thead th { white-space: normal; }
footer { margin-top: 3rem; border-top: 1px solid #ccc; color: #444; font-size: .92rem; }
</style>
</head>
<body>
<h1>{{ study }}: where to start RL</h1>
<section class="answer">
<p class="verdict">{{ answer.headline }}</p>
{% if answer.tied %}<p>Starts that cannot be told from the best: {{ answer.tied | join(", ") }}.</p>{% \
endif %}
{% if answer.needed %}<p>Needed: {{ answer.needed }}.</p>{% endif %}
{% if answer.reasons %}<ul>{% for reason in answer.reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}
</section>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for block in section.blocks %}
<figure><figcaption>{{ block.caption }}</figcaption>
<div class="scroll{{ ' ' ~ block.kind if block.kind }}">{{ block.body }}</div></figure>
{% endfor %}
{% endfor %}
<footer>
<h2>How to read the intervals</h2>
<p>± gives one standard error; error bars and brackets give 95 % intervals (1.96 standard errors, or the \
fit's own
interval). They cover the choice of test problems and of samples, and with several seeds the spread of the \
seeds where
that is larger. Two scores whose intervals overlap may still differ, and one run per start tells nothing about
another seed. Models are evaluated on the same problems, so their errors are not independent.</p>
<p>A ceiling that the data do not bound is called unidentified and has no number; the last score then \
bounds it from
below. A collapsed run was fitted on the points before its collapse. A dash marks what was not measured.</p>
</footer>
</body>
</html>
"""


def load(analysis_directory: str | Path, data_directory: str | Path) -> dict:
    """What the page is made of, by name: the files of an analysis and of its data."""
    analysis, data = Path(analysis_directory), Path(data_directory)
    inputs = {name: tables.read_made(analysis / f"{name}.csv") for name in ANALYSIS_TABLES}
    inputs |= {name: tables.read_made(analysis / f"{name}.json") for name in ANALYSIS_DOCUMENTS}
    inputs |= {name: tables.read_made(data / f"{name}.csv") for name in DATA_TABLES}
    return inputs


def render(inputs: dict, study_name: str, hyperparameters: dict[str, dict]) -> str:
    """The page of a study; ``inputs`` as of ``load``, ``hyperparameters`` {section: {key: value}}, as run."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    sections = [
        {"title": "Compute and scores", "blocks": score_blocks(inputs)},
        {"title": "Paradigms at equal compute", "blocks": arm_blocks(inputs)},
        {"title": "What RL adds", "blocks": ceiling_blocks(inputs)},
        {"title": "What to do next", "blocks": advice_blocks(inputs["advice"])},
        {"title": "What tells it before RL", "blocks": predictor_blocks(inputs)},
        {"title": "Runs, data and settings", "blocks": setting_blocks(inputs, hyperparameters)},
    ]
    page = environment.from_string(PAGE)
    return page.render(study=study_name, answer=answer(inputs["advice"]), sections=sections) + "\n"


def answer(advice: dict) -> dict:
    """The advice in words, whatever of it there is."""
    verdict = str(advice.get("verdict") or "no verdict").replace("_", " ")
    recommended = advice.get("recommended")
    plain = f"Start RL from {recommended}." if recommended else f"{verdict.capitalize()}."
    return {
        "headline": advice.get("headline") or plain,
        "tied": advice.get("tied") or [],
        "needed": (advice.get("needed") or "").rstrip("."),
        "reasons": advice.get("reasons") or [],
    }


def block(body: str, caption: str, kind: str = "") -> dict:
    """A figure or table under its caption.

    ``kind`` is ``dense``, or ``words`` or ``why`` where the cells, or the last ones, are text.
    """
    return {"body": Markup(body), "caption": caption, "kind": kind}


def score_blocks(inputs: dict) -> list[dict]:
    """Compute against performance, the test scores, what RL adds to them, and how answers were graded."""
    results = inputs["pooled_results"]
    names = study_tables.ordered_benchmarks(results)
    summaries = [name for name in names if name in study_tables.SUMMARIES]
    slices = [name for name in names if name not in study_tables.SUMMARIES]
    blocks = [
        block(
            figures.compute_performance(inputs["pooled_curves"]),
            "Overall score on the monitoring problems against all compute spent (after RETU Figure 2). Thick "
            "lines are SFT, averaged over seeds; every dashed line is one RL run, branching off the SFT "
            "checkpoint that it starts from, in its colour; black is RL from the base model. Bars are ±1.96 "
            "standard errors.",
        ),
        block(
            study_tables.result_table(results, summaries),
            "Scores on the test problems at the last checkpoint of every RL run and at every SFT checkpoint "
            "(after RETU Table 1), as score ± standard error, averaged over seeds. Overall weighs slices by "
            "their problems, and so do the difficulty groups; macro is the slices' plain mean; slices out of "
            "distribution are in none.",
            kind="dense",
        ),
        block(study_tables.result_table(results, slices), "The same, slice by slice.", kind="dense"),
    ]
    if (results["metric"] != "avg").any():
        caption = "Unbiased pass@k on the test problems, overall."
        blocks.append(block(study_tables.pass_table(results), caption))
    if len(inputs["gains"]):
        caption = (
            "What every RL run adds to the checkpoint it started from, on the same test problems, paired "
            "by problem: overall difference ± standard error, 95 % interval, two-sided p by random flips "
            "of signs."
        )
        blocks.append(block(study_tables.gain_table(inputs["gains"]), caption))
    verdicts = block(
        study_tables.verdict_table(inputs["verdicts"]),
        "How the responses to the test problems ended and how they were graded. Only a graded answer can be "
        "right; the others count as wrong, and are counted here.",
        kind="dense",
    )
    return [*blocks, verdicts]


def arm_blocks(inputs: dict) -> list[dict]:
    """The curves of all arms, the arms at equal total compute, and every RL arm in numbers."""
    if inputs["arms"].empty:
        return [block("<p>This study has no RL runs yet.</p>", "Paradigms are compared by their RL runs.")]
    blocks = [
        block(
            figures.arm_curves(inputs["arm_curves"]),
            "Every arm, an algorithm from one start, on the monitoring problems against all compute spent: the "
            "mean over its seeds as far as all go, and ± one standard error. SFT is black.",
        )
    ]
    if len(inputs["arm_comparisons"]):
        caption = (
            "The arms at equal total compute, read off these curves: for every start with several algorithms, at "
            "the compute that all of them reach. The interval of a difference to the highest takes their errors "
            "as independent; an arm may be the best unless another excludes it, with a family error of 5 %."
        )
        rows = study_tables.comparison_rows(inputs["arm_comparisons"])
        blocks.append(block(html_table(*rows), caption))
    caption = (
        "What every arm adds to its start on the test problems, paired by problem and pooled over seeds, and what it "
        "took: compute of RL alone, sampled tokens, and means over the steps that logged them: the share of tokens "
        "that the clip range acts on, the norm of the gradient of every term of the loss, and the cosine between "
        "imitation and the rest."
    )
    return [*blocks, block(html_table(*study_tables.arm_rows(inputs["arms"])), caption, kind="dense")]


def ceiling_blocks(inputs: dict) -> list[dict]:
    """Decompositions, fits and the loss as a predictor, as far as there is RL."""
    points, runs, ceilings = inputs["pooled_curves"], inputs["runs"], inputs["ceilings"]
    sets = runs.loc[runs["algorithm"] == "sft", "set"].unique()
    blocks = [
        block(
            figures.ceiling_decomposition(points, inputs["phases"], inputs["outcomes"], runs, name),
            f"Score after SFT on {name} and what RL adds to it, over SFT compute (after RETU Figure 3), on "
            "the monitoring problems. A filled mark is a fitted ceiling, an open one the last RL score "
            "where the ceiling is unidentified. The background is the phase of the nearest checkpoint by "
            "validation loss; where seeds disagree it is white.",
        )
        for name in sets
    ]
    rl_runs = sorted(points.loc[points["phase"] == "rl", "run"].unique())
    if not rl_runs:
        return [*blocks, block("<p>This study has no RL runs yet.</p>", "Ceilings need RL runs.")]
    blocks += fit_blocks(points, ceilings, rl_runs)
    if len(inputs["outcomes"]):
        caption = (
            "The lowest validation loss of every SFT set against the best that RL made of it (after RETU "
            "Figure 5a); the label names the start. All sets are compared on ceilings, or, when one of "
            "them has none, on last scores. The best of several starts is picked by its score, and so is a "
            "little too high."
        )
        figure = figures.loss_against_outcome(inputs["highest_outcomes"], inputs["loss_correlation"])
        blocks.append(block(figure, caption))
    return blocks


def fit_blocks(points: pd.DataFrame, ceilings: dict, rl_runs: list[str]) -> list[dict]:
    """The fitted curves of the RL runs, drawn and in numbers, and where the scores come from."""
    return [
        block(
            figures.fitted_curves(points, ceilings),
            "Every RL run's scores and its fitted curve with the 95 % band of the curve, dotted beyond "
            "the last point; the ceiling with its interval where the data identify one (after RETU Figure "
            "5b-f).",
        ),
        block(
            analysis_tables.fit_table(ceilings, rl_runs),
            "The fitted curves (after RETU Table 4): P_start is the score before RL, A the ceiling, C_mid "
            "the RL compute at half the gain, B the steepness, PL the gain from P_start to A, noise sd "
            "the standard deviation of one evaluation around the curve. The held-out RMSE is the error of "
            "the forecast of the last 15 % of the points from the others; naive predicts the median of "
            "the last 8 of these.",
            kind="why",
        ),
        block(
            analysis_tables.decomposition_table(ceilings, rl_runs),
            "Where the scores come from (RETU Eq. 10 and 12), on the monitoring problems: P_post = P_0 + "
            "ΔP_sft + ΔP_rl is the observed peak, A_post = P_sft + PL_rl the ceiling where it is "
            "identified.",
            kind="dense",
        ),
    ]


def advice_blocks(advice: dict) -> list[dict]:
    """Stop or continue, equal compute, crossovers and instability, as far as there are any."""
    blocks = []
    if advice.get("stop_continue"):
        caption = (
            "Whether to give an RL run more compute: the points that its curve gains by doubling it, with "
            "the 95 % interval. Stop when the interval lies below 0.5 points, continue when it lies above."
        )
        blocks.append(block(analysis_tables.continuation_table(advice), caption, kind="why"))
    equal = advice.get("equal_compute") or {}
    if equal.get("rl") or equal.get("total"):
        caption = (
            "The best start of every group at equal compute, read off the fitted curves; only scores "
            "within a run's data can lead, and a lead is significant when no other group may be the best, "
            "with a family error of 5 %."
        )
        blocks.append(block(analysis_tables.equal_compute_table(advice), caption, kind="why"))
    if crossovers := analysis_tables.crossover_table(advice) if advice.get("crossovers") else "":
        caption = "Where the curves of the recommended start and of another cross, within their data."
        blocks.append(block(crossovers, caption, kind="why"))
    if advice.get("instability"):
        caption = (
            "Instability: the standard deviation of the scores around a straight line through their "
            "neighbours, with its 95 % interval; the share of diverged seeds below."
        )
        blocks.append(block(analysis_tables.instability_table(advice), caption, kind="why"))
        caption = "Diverged seeds, with Wilson's 95 % interval."
        blocks.append(block(analysis_tables.diverged_table(advice), caption))
    return blocks or [block("<p>This study has no RL runs yet.</p>", "The advice needs RL runs.")]


def predictor_blocks(inputs: dict) -> list[dict]:
    """The sub-phases with their stability, and the predictors of the score after RL."""
    predictors = inputs["predictors"]
    blocks = [
        block(
            analysis_tables.phase_table(inputs["phases"]),
            "The sub-phase of every SFT checkpoint by its validation loss (RETU Eq. 13-17), the guarded "
            "label where a lone spike was not taken for severe, and the share of bootstrap draws over the "
            "validation examples that agree.",
            kind="why",
        ),
        block(
            analysis_tables.predictor_table(predictors),
            f"What a line through {predictors['n_calibration']} SFT checkpoints with RL makes of each "
            "predictor (after Quagmires Table 2): R² on held-out checkpoints over random splits (it may "
            "be negative), rank correlation with its permutation p, leave-one-out error in points, and "
            "the points lost by trusting the predictor's favourite.",
            kind="why",
        ),
    ]
    if predictors["best"] and predictors["models"]:
        caption = (
            "The other checkpoints' scores after RL by the best predictor, with 95 % prediction intervals."
        )
        blocks.append(block(analysis_tables.prediction_table(predictors), caption, kind="why"))
    if warning := predictors["val_loss"]["warning"]:
        blocks.append(block("", f"On the validation loss: {warning}."))
    return blocks


def setting_blocks(inputs: dict, hyperparameters: dict[str, dict]) -> list[dict]:
    """The runs, the data statistics, the overlaps and the hyperparameters."""
    return [
        block(
            study_tables.run_table(inputs["runs"]),
            "Every run, with the checkpoint it starts from and how it ended.",
        ),
        block(
            study_tables.statistics_table(inputs["statistics"]),
            "The data (after RETU Table 3): rows, distinct problems, mean lengths in tokens (of at most 10,000 rows), the "
            "share that training cuts short, mean win rates of the weak solver and as the sources give them.",
            kind="dense",
        ),
        *(
            [
                block(
                    study_tables.strata_table(inputs["strata"]),
                    "Mean win rates of the strata: each has to fall from left to right.",
                )
            ]
            if len(inputs["strata"])
            else []
        ),
        block(
            study_tables.source_table(inputs["sources"]),
            "The sources: rows, what the study keeps, and why it leaves the others out (dropped: not wanted; rejected: "
            "broken).",
            kind="words",
        ),
        block(
            study_tables.overlap_table(inputs["overlaps"]),
            "Problems that every two tables share. Validation and benchmarks share none with training data.",
            kind="dense",
        ),
        block(
            study_tables.hyperparameter_table(hyperparameters),
            "Hyperparameters, as run (after RETU Table 2).",
            kind="words",
        ),
    ]
