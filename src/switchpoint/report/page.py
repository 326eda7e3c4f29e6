"""The report: one self-contained HTML page, of a study or of anybody's runs."""

import base64
import html
from importlib import resources
from pathlib import Path
from string import Template

import pandas as pd

from switchpoint import tables
from switchpoint.analysis.outcomes import stable_starts
from switchpoint.report import analysis_tables, figures, findings, study_tables
from switchpoint.report.formatting import Table, number
from switchpoint.units import EXAFLOPS, as_written

ANALYSIS_TABLES = [
    "pooled_curves", "pooled_results", "runs", "losses", "verdicts", "gains", "outcomes", "highest_outcomes",
    "arms", "arm_curves", "arm_comparisons",
]  # fmt: skip
ANALYSIS_DOCUMENTS = ["phases", "ceilings", "advice", "predictors", "loss_correlation"]
DATA_TABLES = ["statistics", "strata", "sources", "overlaps"]
ANSWER = "The answer"
WORDS = {
    "SFT, RL": "supervised fine-tuning on expert answers; reinforcement learning on the model's own.",
    "Start": "what RL starts from: <code>Full-200</code> is the checkpoint after 200 steps of SFT on the data set Full; base "
    "is the model before any training.",
    "Arm": "an RL algorithm from one start: GRPO, DAPO (dynamic sampling, -d, and its decoupled clip range, -dc), or LUFFY, "
    "SRFT and UPT, which learn from expert answers at the same time.",
    "Compute": "floating-point operations (FLOPs) of training and of the sampling for it; exa 10¹⁸, peta 10¹⁵, tera 10¹², "
    "giga 10⁹. Runs of others may count steps or seconds.",
    "Overall": "the mean of all problems of the benchmarks, in points from 0 to 100.",
    "Monitoring and test problems": "the first are evaluated again and again along a run, which draws its curve; the second once, "
    "at its end, and are many more.",
    "Ceiling A, plasticity PL": "the score that a curve tends to with more compute, averaged over several forms of curves, and how far that is above its start. A ceiling "
    "that the data do not bound is unidentified and has no number: the last score then bounds it from below.",
    "±, 95 %, se": "± gives one standard error (se); bars and brackets give 95 % intervals, 1.96 standard errors or the fit's own. "
    "They cover the choice of problems and of samples, and with several seeds the spread of the seeds where that is larger. "
    "In the comparison of starts another seed counts, too: by the spread of seeds of all starts, or where each has one by an assumed one. Models are evaluated on the same problems, so their errors are not independent.",
    "Phases of SFT": "by the validation loss: adaptive while it falls, stable within 2 % of its lowest, mild overfitting up to 10 % "
    "above it, severe overfitting beyond (RETU Eq. 13-17).",
    "RETU, Quagmires": "the papers whose figures and tables these follow: Rethinking Expert Trajectory Utilization in LLM "
    "Post-training (arXiv 2512.11470); Quagmires in SFT-RL Post-Training (arXiv 2510.01624).",
}


def load(analysis_directory: str | Path, data_directory: str | Path) -> dict:
    """What the page of a study is made of, by name: the files of an analysis and of its data."""
    analysis, data = Path(analysis_directory), Path(data_directory)
    inputs = {name: tables.read_made(analysis / f"{name}.csv") for name in ANALYSIS_TABLES}
    inputs |= {name: tables.read_made(analysis / f"{name}.json") for name in ANALYSIS_DOCUMENTS}
    return inputs | {name: tables.read_made(data / f"{name}.csv") for name in DATA_TABLES}


def render(inputs: dict, study_name: str, hyperparameters: dict[str, dict] | None = None) -> str:
    """The page; ``inputs`` and ``hyperparameters`` as of ``content_of``."""
    return assemble(content_of(inputs, hyperparameters), study_name)


def content_of(inputs: dict, hyperparameters: dict[str, dict] | None = None) -> dict[str, list[str]]:
    """What stands in every section, by its title: first the answer, then those that have anything.

    ``inputs`` as of ``load``, or what there is of them; ``hyperparameters`` {section: {key: value}}, as run.
    """
    inputs = (
        dict.fromkeys([*ANALYSIS_TABLES, *ANALYSIS_DOCUMENTS, *DATA_TABLES])
        | {"unit": EXAFLOPS, "samples": None, "sft_known": True}
        | inputs
    )
    inputs["curve_problems"] = "the monitoring problems" if tested(inputs) else "the problems of the curves"
    content = {
        ANSWER: answer(inputs),
        "Compute and scores": score_blocks(inputs),
        "Algorithms at equal compute": arm_blocks(inputs),
        "What RL adds": gain_blocks(inputs),
        "How high it can get": ceiling_blocks(inputs),
        "What to do next": advice_blocks(inputs["advice"] or {}),
        "What tells it before RL": predictor_blocks(inputs),
        "Runs, data and settings": setting_blocks(inputs, hyperparameters or {}),
    }
    return {title: blocks for title, blocks in content.items() if blocks}


def assemble(content: dict[str, list[str]], study_name: str) -> str:
    """The page of its sections."""
    sections = {title: blocks for title, blocks in content.items() if title != ANSWER}
    names = {title: title.lower().replace(" ", "-").replace(",", "") for title in sections}
    body = [
        f'<section aria-labelledby="{names[title]}"><h2 id="{names[title]}">{title}</h2>{"".join(blocks)}</section>'
        for title, blocks in sections.items()
    ]
    contents = [*((name, title) for title, name in names.items()), ("words", "Words and intervals")]
    return Template(part("page.html")).substitute(
        title=html.escape(f"{study_name}: when to switch from SFT to RL"),
        heading=html.escape(f"{study_name}: where to start RL"),
        style=part("page.css"),
        script=script(),
        answer="\n".join(content[ANSWER]),
        contents="\n".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in contents),
        sections="\n".join(body),
        words="<dl>" + "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in WORDS.items()) + "</dl>",
    )


def part(name: str) -> str:
    """A file of the page."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def script() -> str:
    """What makes tables sort."""
    return part("vendor/sortable.min.js") + part("vendor/sortable.a11y.min.js") + part("page.js")


def tested(inputs: dict) -> bool:
    """Whether there are scores on test problems."""
    return inputs["pooled_results"] is not None


class Block(str):
    """A figure or a table as it stands on the page; by themselves its name, title and caption, the ``svg`` of a figure, and the
    text of the csv file, if there is one."""

    name: str
    title: str
    caption: str
    svg: str | None
    csv: str


def block(name: str, title: str, caption: str, body: str | Table, data: pd.DataFrame | None = None) -> Block:
    """A figure (SVG, with its ``data``) or a table, under its title and caption, with what there is to download."""
    if isinstance(body, Table):
        drawn, text = body.html(), body.csv()
    else:
        drawn, text = (
            body,
            "" if data is None else data.to_csv(index=False, lineterminator="\n", float_format="%.10g"),
        )
    link = base64.b64encode(text.encode()).decode()
    get = (
        f'<p class="get"><a download="{name}.csv" href="data:text/csv;base64,{link}">Data (csv)</a></p>'
        if text
        else ""
    )
    made = Block(
        f'\n<figure id="{name}"><figcaption><h3>{html.escape(title)}</h3><p>{html.escape(caption)}</p></figcaption>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(title)}">{drawn}</div>{get}</figure>'
    )
    made.name, made.title, made.caption, made.csv = name, title, caption, text
    made.svg = None if isinstance(body, Table) else body
    return made


def answer(inputs: dict) -> list[str]:
    """The verdict, three sentences, the starts; and every reason, folded."""
    advice = inputs["advice"]
    if not advice:
        return [
            '<section class="answer" aria-labelledby="answer"><h2 id="answer">The answer</h2><p class="verdict">How high every run can get is below; '
            "where to start RL needs a table of what each run starts from (runs.csv).</p></section>"
        ]
    summary = advice.get("summary") or {}
    sentences = [html.escape(summary[key]) for key in ("why", "sure", "next") if key in summary]
    lines = [
        '<section class="answer" aria-labelledby="answer"><h2 id="answer">The answer</h2>',
        f'<p class="verdict">{html.escape(advice["headline"])}</p>',
        *(f"<p>{sentence}</p>" for sentence in sentences),
        "</section>",
    ]
    if advice["candidates"]:
        lines.append(
            block(
                "starts",
                findings.of_starts(advice),
                starts_caption(advice, inputs),
                figures.forest(advice),
                forest_data(advice),
            )
        )
        lines.append(
            block("starts-table", "The starts in numbers", "Highest first; the starts of RL alone below.",
                  analysis_tables.start_table(advice))
        )  # fmt: skip
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in advice["reasons"])
    return [*lines, f"<details><summary>Every reason</summary><ul>{reasons}</ul></details>"]


def forest_data(advice: dict) -> pd.DataFrame:
    """What the forest plot shows, to download."""
    rows = [
        {"start": start["start"], "basis": start["estimate_basis"], "before": start["estimate_before"], "estimate": start["estimate"],
         "low": start["estimate_ci95"][0], "high": start["estimate_ci95"][1],
         "verdict": analysis_tables.verdict_on(start, advice)}
        for start in [*advice["candidates"], *advice.get("from_base", [])]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def starts_caption(advice: dict, inputs: dict) -> str:
    """On what the starts are compared."""
    problems = "the test problems" if "test" in advice["basis"] else inputs["curve_problems"]
    first = advice["candidates"][0]
    dof = first["estimate_dof"]
    compared = (
        "The starts are compared problem by problem: the intervals are for comparing them, without the luck of the problems, "
        "which is the same for all. "
        if first["paired"]
        else ""
    )
    spread = f"{number(first['estimate_sd'])} points, {'assumed' if dof is None else f'on {dof:.0f} degrees of freedom'}"
    return (
        f"The {advice['basis']} of RL with {advice['algorithm']} from every SFT checkpoint, and of RL alone, on {problems}: "
        f"means over seeds with 95 % intervals, which hold the spread of seeds, {spread}. {compared}A start is excluded when another beats it by more than chance explains, with a "
        "family error of 5 %."
    )


def score_blocks(inputs: dict) -> list[str]:
    """Compute against performance, the test scores, what RL adds to them, and how answers were graded."""
    curves = inputs["pooled_curves"]
    title, drawn = findings.of_compute(curves, inputs["curve_problems"]), compute_caption(curves, inputs)
    figure = figures.compute_performance(
        curves, inputs["unit"], inputs["runs"] is not None, inputs["sft_known"]
    )
    blocks = [block("compute", title, drawn, figure, as_written(inputs["unit"], figures.overall(curves)))]
    return [*blocks, *(test_blocks(inputs) if tested(inputs) else [])]


def spent_words(inputs: dict) -> str:
    """What the axis of all compute counts."""
    return (
        "all compute spent" if inputs["sft_known"] else "the compute of RL (that of SFT is not known of all)"
    )


def compute_caption(curves: pd.DataFrame, inputs: dict) -> str:
    """What the figure of score against compute shows, of these curves."""
    points = figures.overall(curves)
    rl, has_sft = figures.rl_points(points), (points["phase"] == "sft").any()
    from_base = rl["set"].isna()
    sentences = [
        f"Overall score on {inputs['curve_problems']} against {spent_words(inputs)} (after RETU Figure 2), on a logarithmic axis."
    ]
    if has_sft:
        sentences.append("Thick lines are SFT, averaged over seeds.")
    if len(rl):
        name = ", whose name stands at the end" if inputs["runs"] is not None and not from_base.all() else ""
        sentences.append(f"Every dashed line is one RL run, which begins at the score of its start{name}.")
    if inputs["runs"] is not None and not from_base.all():
        black = ", or black (white in the dark) from the base model" if from_base.any() else ""
        sentences.append(f"It has the colour of its SFT set{black}.")
    if points["low"].notna().any():
        sentences.append("Bars are ±1.96 standard errors.")
    return " ".join(sentences)


def test_blocks(inputs: dict) -> list[str]:
    """The scores on the test problems."""
    results = inputs["pooled_results"]
    names = study_tables.ordered_benchmarks(results)
    summaries = [name for name in names if name in study_tables.SUMMARIES]
    slices = [name for name in names if name not in study_tables.SUMMARIES]
    blocks = [
        block(
            "results", "Scores on the test problems",
            "At the last checkpoint of every RL run and at every SFT checkpoint (after RETU Table 1), as score ± standard error, "
            "averaged over seeds. Overall weighs slices by their problems, and so do the difficulty groups; macro is the slices' "
            "plain mean; slices out of distribution are in none.",
            study_tables.result_table(results, summaries),
        ),
        block("slices", "The same, slice by slice", "On the test problems.", study_tables.result_table(results, slices)),
    ]  # fmt: skip
    if (results["metric"] != "avg").any():
        caption = "Unbiased pass@k on the test problems, overall: the chance that one of k samples is right."
        blocks.append(block("pass-at-k", "pass@k", caption, study_tables.pass_table(results)))
    if len(inputs["gains"]):
        caption = (
            "What every RL run adds to the checkpoint it started from, on the same test problems, paired by problem: overall "
            "difference ± standard error, 95 % interval, two-sided p by random flips of signs."
        )
        blocks.append(
            block("gains", "What every RL run adds", caption, study_tables.gain_table(inputs["gains"]))
        )
    if inputs["samples"]:
        blocks.append(
            f'<p><a href="{inputs["samples"]}">Every response to the test problems</a>, by problem and checkpoint.</p>'
        )
    caption = (
        "How the responses to the test problems ended and how they were graded. Only a graded answer can be right; the others "
        "count as wrong, and are counted here."
    )
    return [
        *blocks,
        block("verdicts", "Responses and verdicts", caption, study_tables.verdict_table(inputs["verdicts"])),
    ]


def arm_blocks(inputs: dict) -> list[str]:
    """The curves of all arms, the arms at equal total compute, and every RL arm in numbers."""
    curves, comparisons, arms = inputs["arm_curves"], inputs["arm_comparisons"], inputs["arms"]
    if curves is None or curves.loc[curves["algorithm"] != "sft", "algorithm"].empty:
        return []
    blocks = [
        block(
            "arms", findings.of_arms(curves, comparisons),
            f"Every arm, an algorithm from one start, on {inputs['curve_problems']} against {spent_words(inputs)}: the mean over its "
            "seeds as far as all go" + (", and ± one standard error." if curves["se"].notna().any() else ".")
            + (" SFT is black (white in the dark)." if (curves["algorithm"] == "sft").any() else ""),
            figures.arm_curves(curves, inputs["unit"], inputs["sft_known"]), as_written(inputs["unit"], curves),
        )
    ]  # fmt: skip
    if len(comparisons):
        caption = (
            f"Read off these curves, on {inputs['curve_problems']}: for every start with several algorithms, at the compute that "
            "all of them reach. The interval of a difference to the highest takes their errors as independent; an arm may be the "
            "best unless another excludes it, with a family error of 5 %."
        )
        table = study_tables.comparison_table(comparisons, inputs["unit"])
        blocks.append(block("equal-total-compute", "The arms at equal total compute", caption, table))
    if arms is not None and len(arms):
        caption = (
            "What every arm adds to its start on the test problems, paired by problem and pooled over seeds, and what it took: "
            "compute of RL alone, sampled tokens, and means over the steps that logged them: the share of tokens that the clip "
            "range acts on, the norm of the gradient of every term of the loss, and the cosine between imitation and the rest."
        )
        blocks.append(block("arms-table", "The arms in numbers", caption, study_tables.arm_table(arms)))
    return blocks


def gain_blocks(inputs: dict) -> list[str]:
    """What RL makes of every SFT checkpoint, set by set, and the loss as its predictor."""
    runs, outcomes = inputs["runs"], inputs["outcomes"]
    if outcomes is None or outcomes.empty:
        return []
    problems = "the test problems" if tested(inputs) else inputs["curve_problems"]
    scores, losses = sft_scores(inputs), inputs["losses"]
    stable = set() if losses is None else stable_starts(losses, runs)
    blocks = [
        block(
            f"added-to-{name}", findings.of_gains(outcomes, name, stable),
            f"Score after SFT on {name} and what RL adds to it, over SFT compute (after RETU Figure 3), on {problems}"
            + ("." if tested(inputs) else ". A filled mark is a fitted ceiling, an open one the last RL score where the ceiling is "
               "unidentified.")
            + " A number is what RL adds to the checkpoint of its own seed; the line is the mean over seeds. The background is the phase of the nearest checkpoint by validation loss; where seeds disagree it is white.",
            figures.ceiling_decomposition(scores, inputs["phases"] or {"runs": {}}, outcomes, runs, name, inputs["unit"]),
            outcomes[outcomes["set"] == name],
        )
        for name in scores["set"].unique()
    ]  # fmt: skip
    highest, correlation = inputs["highest_outcomes"], inputs["loss_correlation"]
    if highest is not None and len(highest):
        caption = (
            f"The lowest validation loss of every SFT set against what RL made of it, on {problems} (after RETU Figure 5a): filled, "
            "the mean over the set's starts in the stable phase; open, the highest of all its starts, which the label names. The "
            "highest of several is picked by its score, and so is too high, the more the more starts there are."
        )
        figure = figures.loss_against_outcome(highest)
        blocks.append(block("loss", findings.of_losses(correlation, len(highest)), caption, figure, highest))
    return blocks


def sft_scores(inputs: dict) -> pd.DataFrame:
    """set, step, exaflops_total, score, low and high of every SFT checkpoint: on the test problems, where there are any."""
    curves = figures.overall(inputs["pooled_curves"])
    spent = curves.loc[curves["phase"] == "sft", ["set", "step", "exaflops_total", "score", "low", "high"]]
    if not tested(inputs):
        return spent
    results = inputs["pooled_results"]
    chosen = (results["phase"] == "sft") & (results["metric"] == "avg") & (results["benchmark"] == "overall")
    scores = results.loc[chosen, ["set", "step", "score", "low", "high"]].astype({"step": int})
    return scores.merge(spent[["set", "step", "exaflops_total"]].astype({"step": int}), on=["set", "step"])


def ceiling_blocks(inputs: dict) -> list[str]:
    """The fitted curves of the RL runs, drawn and in numbers, and where the scores come from."""
    points, ceilings = figures.overall(inputs["pooled_curves"]), inputs["ceilings"]
    rl_runs = sorted(points.loc[points["phase"] == "rl", "run"].unique())
    if not rl_runs:
        return []
    problems = inputs["curve_problems"]
    blocks = [
        block(
            "fits", findings.of_fits(ceilings, rl_runs),
            f"Every RL run's scores on {problems} and its fitted curve with the 95 % band of the curve, dotted beyond the last "
            "point; the ceiling with its interval where the data identify one (after RETU Figure 5b-f).",
            figures.fitted_curves(points, ceilings, inputs["unit"]),
            as_written(inputs["unit"], figures.rl_points(points)),
        ),
        block(
            "fits-table", "The fitted curves in numbers",
            f"On {problems} (after RETU Table 4): P_start is the score before RL, A the ceiling, C_mid the RL compute at half the "
            "gain, B the steepness of the sigmoid, PL the gain from P_start to A, form what explains the points best and its posterior weight "
            "among sigmoid, exponential, stretched exponential, power law and a curve without a ceiling, over which A is averaged, noise sd the standard deviation of one evaluation around the "
            f"curve. {findings.above_ceilings(ceilings, rl_runs)}The held-out RMSE (root of the mean squared error) is the error of the forecast of the last 15 % of the points "
            "from the others; naive predicts the median of the last 8 of these. A collapsed run was fitted before its collapse.",
            analysis_tables.fit_table(ceilings, rl_runs),
        ),
    ]  # fmt: skip
    decomposition = analysis_tables.decomposition_table(ceilings, rl_runs)
    if decomposition.rows:
        caption = (
            f"On {problems} (RETU Eq. 10 and 12): P_post = P_0 + ΔP_sft + ΔP_rl is the observed peak, A_post = P_sft + PL_rl the "
            "ceiling where it is identified."
        )
        blocks.append(block("decomposition", "Where the scores come from", caption, decomposition))
    return blocks


def advice_blocks(advice: dict) -> list[str]:
    """Stop or continue, equal compute, crossovers and instability, as far as there are any."""
    blocks = []
    if advice.get("stop_continue"):
        caption = (
            "Whether to give an RL run more compute: the points that its curve gains by doubling it, with the 95 % interval. Stop "
            "when the interval lies below 0.5 points, continue when it lies above."
        )
        blocks.append(
            block("more-rl", "Stop or continue", caption, analysis_tables.continuation_table(advice))
        )
    equal = advice.get("equal_compute") or {}
    if equal.get("rl") or equal.get("total"):
        caption = (
            "The best start of every group at equal compute, read off the fitted curves; only scores within a run's data can "
            "lead, and a lead is significant when no other group may be the best, with a family error of 5 %."
        )
        table = analysis_tables.equal_compute_table(advice)
        blocks.append(block("equal-compute", "At equal compute", caption, table))
    if advice.get("crossovers") and (crossovers := analysis_tables.crossover_table(advice)):
        caption = "Where the curves of the recommended start and of another cross, within their data."
        blocks.append(block("crossovers", "Crossovers", caption, crossovers))
    if advice.get("instability"):
        caption = "The standard deviation (SD) of the scores around a straight line through their neighbours, with its 95 % interval."
        blocks.append(block("instability", "Instability", caption, analysis_tables.instability_table(advice)))
        caption = "With Wilson's 95 % interval."
        blocks.append(block("diverged", "Diverged seeds", caption, analysis_tables.diverged_table(advice)))
    return blocks


def predictor_blocks(inputs: dict) -> list[str]:
    """The sub-phases with their stability, and the predictors of the score after RL."""
    predictors, blocks = inputs["predictors"], []
    if inputs["phases"] and inputs["phases"]["runs"]:
        caption = (
            "By its validation loss (RETU Eq. 13-17), the guarded label where a lone spike was not taken for severe, and the share "
            "of bootstrap draws over the validation examples that agree. That loss is the mean over all tokens; the loss by example is "
            "the mean over the examples of each one's own."
        )
        table = analysis_tables.phase_table(inputs["phases"])
        blocks.append(block("phases", "The phase of every SFT checkpoint", caption, table))
    if not predictors:
        return blocks
    caption = (
        f"What a line through {predictors['n_calibration']} SFT checkpoints with RL makes of each predictor (after Quagmires Table "
        "2): R² on held-out checkpoints over random splits (it may be negative), rank correlation with its permutation p, "
        "leave-one-out (LOO) error in points, and the points lost by trusting the predictor's favourite."
    )
    if warning := predictors["val_loss"]["warning"]:
        caption += f" On the validation loss: {warning}."
    table = analysis_tables.predictor_table(predictors)
    blocks.append(block("predictors", "Predictors of the score after RL", caption, table))
    if predictors["best"] and predictors["models"]:
        caption = (
            "The other checkpoints' scores after RL by the best predictor, with 95 % prediction intervals."
        )
        table = analysis_tables.prediction_table(predictors)
        blocks.append(block("predictions", "Predicted scores", caption, table))
    return blocks


def setting_blocks(inputs: dict, hyperparameters: dict[str, dict]) -> list[str]:
    """The runs, the data statistics, the overlaps and the hyperparameters."""
    blocks = []
    if inputs["runs"] is not None:
        caption = "With the checkpoint it starts from and how it ended."
        blocks.append(
            block("runs", "Every run", caption, study_tables.run_table(inputs["runs"], inputs["unit"]))
        )
    made = [
        ("statistics", "The data", study_tables.statistics_table,
         "After RETU Table 3: rows, distinct problems, mean lengths in tokens (of at most 10,000 rows), the share that training "
         "cuts short, mean win rates of the weak solver and as the sources give them."),
        ("strata", "Difficulty strata", study_tables.strata_table,
         "Mean win rates of the strata: each has to fall from left to right."),
        ("sources", "The sources", study_tables.source_table,
         "Rows, what the study keeps, and why it leaves the others out (dropped: not wanted; rejected: broken)."),
        ("overlaps", "Overlaps", study_tables.overlap_table,
         "Problems that every two tables share. Validation and benchmarks share none with training data."),
    ]  # fmt: skip
    for name, title, make, caption in made:
        if inputs[name] is not None and len(inputs[name]):
            blocks.append(block(name, title, caption, make(inputs[name])))
    if hyperparameters:
        table = study_tables.hyperparameter_table(hyperparameters)
        blocks.append(block("hyperparameters", "Hyperparameters", "As run (after RETU Table 2).", table))
    return blocks
