"""The commands that analyse anybody's runs.  Thin, as the stages are."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from switchpoint import files, tables
from switchpoint.cli.import_runs import import_command
from switchpoint.cli.outputs import check_out, example
from switchpoint.errors import InputError

app = typer.Typer()
Out = Annotated[str | None, typer.Option(help="Write all of it to this file, as JSON.")]


def write(out: str | None, result: dict) -> None:
    """Writes the result, where a file was asked for."""
    if out:
        files.write_json(out, result)


app.command("import", epilog=example("import run.log --compute steps --out study"))(import_command)


@app.command(epilog=example("fit curves.csv --out ceilings.json"))
def fit(
    points: Annotated[str, typer.Argument(help="A curves.csv, or a csv file of run, exaflops, score (points), p_start.")],
    out: Out = None,
    benchmark: Annotated[str, typer.Option(help="The scores to fit, where there are several.")] = "overall",
    predict: Annotated[str | None, typer.Option(help="A csv file of run, exaflops to predict scores at.")] = None,
    method: Annotated[Literal["default", "paper", "scalerl"], typer.Option(help="Ours, the paper's (Appendix D), or ScaleRL's grid.")] = "default",
    settings: Annotated[
        str | None, typer.Option(help="For paper: a csv file of run, first, last, alpha, tau, free_start, cap, starts.")
    ] = None,
) -> None:  # fmt: skip
    """Fits the ceiling of every run, with its 95 % interval, or says that the data do not bound it."""
    from switchpoint.analysis import ceilings
    from switchpoint.analysis.points import read_points
    from switchpoint.report import terminal

    check_out("fit", out, points, predict, settings)
    asked = None if predict is None else tables.read_csv(predict)
    chosen = None if settings is None else tables.read_csv(settings)
    result = ceilings.fit_curves(read_points(points, benchmark), asked, method, chosen)
    write(out, result)
    terminal.show(terminal.fits(result))


@app.command(epilog=example("phases losses.csv --out phases.json"))
def phases(
    losses: Annotated[str, typer.Argument(help="A csv file of run, step, loss (on validation examples).")],
    out: Out = None,
    examples: Annotated[
        str | None,
        typer.Option(help="Also how sure they are, from a table of run, step, example, nll, tokens."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow a running job instead.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 30.0,
) -> None:
    """Labels the SFT sub-phases by the validation loss: adaptive, stable, mild and severe overfitting (RETU Eq. 13-17)."""
    from switchpoint.analysis.phases import label_phases, watch_losses
    from switchpoint.report import terminal

    if watch and (out or examples):
        raise InputError("--watch prints what comes; leave --out and --examples out")
    if watch:
        for line in watch_losses(losses, every):
            typer.echo(line)
        return
    check_out("phases", out, losses, examples)
    table = None if examples is None else tables.read_table(examples)
    result = label_phases(tables.read_csv(losses), table)
    write(out, result)
    terminal.show(terminal.phases(result))


@app.command("rank", epilog=example("rank models.csv"))
def rank_command(
    table: Annotated[str, typer.Argument(help="A csv file, one SFT model per row: model, pass_<k>, ...")],
    out: Out = None,
    k: Annotated[int | None, typer.Option(help="Rank by pass_<k>; the largest k without it.")] = None,
) -> None:
    """Ranks SFT models before any RL: drops the clearly worse, orders the rest by pass@k."""
    from switchpoint.analysis import ranking
    from switchpoint.report import predictors_text

    check_out("rank", out, table)
    result = ranking.rank(tables.read_csv(table), k)
    write(out, result)
    typer.echo(predictors_text.show_rank(result))


@app.command("predict", epilog=example("predict models.csv"))
def predict_command(
    table: Annotated[str, typer.Argument(help="A csv file as for rank, with rl_score where RL was run.")],
    out: Out = None,
    repeats: Annotated[int, typer.Option(help="Random splits behind R2.")] = 100,
    calibration: Annotated[float, typer.Option(help="Share of the runs that a split fits.")] = 0.5,
) -> None:
    """Predicts the score after RL of SFT models from a few RL runs, and rates the predictors."""
    from switchpoint.analysis import predictors
    from switchpoint.report import predictors_text

    check_out("predict", out, table)
    result = predictors.predict(tables.read_csv(table), repeats, calibration)
    write(out, result)
    typer.echo(predictors_text.show_predict(result))


@app.command(epilog=example("advise --curves curves.csv --runs runs.csv"))
def advise(
    curves: Annotated[str, typer.Option(help="The points of all runs, a curves.csv.")],
    runs: Annotated[str, typer.Option(help="A csv file of run, parent, set, algorithm, seed, start_step, sft_exaflops, status.")],
    ceilings: Annotated[str | None, typer.Option(help="What `fit` wrote of the same curves; fitted here without it.")] = None,
    out: Out = None,
    phases: Annotated[str | None, typer.Option(help="What `phases` wrote.")] = None,
    predictors: Annotated[str | None, typer.Option(help="What `rank` wrote, for use before any RL.")] = None,
    reference: Annotated[str | None, typer.Option(help="The run to measure others' instability by.")] = None,
    results: Annotated[str | None, typer.Option(help="Final scores on test problems, as a study's results.csv has them.")] = None,
    problems: Annotated[
        str | None,
        typer.Option(help="These scores problem by problem, a csv or parquet file of run, benchmark, id, value (points), n: starts are compared on the same problems."),
    ] = None,
) -> None:  # fmt: skip
    """Says where to start RL, what to stop or continue, and why."""
    from switchpoint.analysis import advice
    from switchpoint.analysis.ceilings import fit_curves
    from switchpoint.analysis.documents import read_document
    from switchpoint.analysis.points import check_points
    from switchpoint.report import terminal

    check_out("advise", out, curves, runs, ceilings, phases, predictors, results, problems)
    points = tables.read_csv(curves)
    result = advice.advise(
        points,
        tables.read_csv(runs),
        read_document(ceilings, "fit") if ceilings else fit_curves(check_points(points)),
        phases and read_document(phases, "phases"),
        predictors=predictors and read_document(predictors, "rank"),
        reference=reference,
        results=None if results is None else tables.read_csv(results),
        problems=None if problems is None else tables.read_table(problems),
    )
    write(out, result)
    typer.echo(result["headline"])
    if result["candidates"]:
        terminal.show(terminal.starts(result))
    # Without any RL the first sentence is also the first reason.
    typer.echo("\n".join(dict.fromkeys([*result["summary"].values(), *result["reasons"]])))


@app.command(epilog=example("report curves.csv runs.csv losses.csv --out page.html"))
def report(
    curves: Annotated[str, typer.Argument(help="A curves.csv, or the folder that `import` wrote.")],
    runs: Annotated[str | None, typer.Argument(help="A runs.csv: what each run starts from; without it there is no advice.")] = None,
    losses: Annotated[str | None, typer.Argument(help="A csv file of run, step, loss of the SFT runs.")] = None,
    out: Annotated[str, typer.Option(help="The page to write (.html).")] = "report.html",
    name: Annotated[str, typer.Option(help="What the page calls the runs.")] = "Your runs",
) -> None:  # fmt: skip
    """Draws the page of anybody's runs: where to start RL, what it adds, how high it can get."""
    from switchpoint.report import own, page

    if Path(curves).is_dir():
        folder = Path(curves)
        curves = str(folder / "curves.csv")
        if not Path(curves).is_file():
            raise InputError(
                f"{folder}: has no curves.csv; give the folder that `import` wrote, or a csv file"
            )
        runs, losses = (
            given or (str(folder / file) if (folder / file).is_file() else None)
            for given, file in ((runs, "runs.csv"), (losses, "losses.csv"))
        )
    check_out("report", out, curves, runs, losses)
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: the page is HTML; name it .html")
    inputs = own.inputs_of(*(path and tables.read_csv(path) for path in (curves, runs, losses)))
    files.write_text(out, page.render(inputs, name))
    if advice := inputs.get("advice"):
        typer.echo("\n".join([advice["headline"], *advice["summary"].values()]))
    for sentence in own.not_fitted_words(inputs["ceilings"]):
        typer.echo(sentence)
    typer.echo(f"the page is {out}")


@app.command(
    "flops", epilog=example("flops Qwen2.5-7B --paradigm sft --batch-size 512 --mean-length 3771 --steps 360")
)
def flops_command(
    model: Annotated[str, typer.Argument(help="A model directory, a config.json or a bundled name.")],
    paradigm: Annotated[Literal["sft", "grpo", "dapo", "luffy", "srft", "upt", "evaluation"], typer.Option(help="How it is trained, or that it is evaluated.")] = "sft",
    steps: Annotated[int, typer.Option(help="Training steps, or evaluations.")] = 1,
    accounting: Annotated[Literal["retu", "strict"], typer.Option(help="The paper's convention, or every pass and the real lengths.")] = "retu",
    batch_size: Annotated[float | None, typer.Option(help="Sequences (SFT) or prompts trained on per step; problems of an evaluation.")] = None,
    mean_length: Annotated[float | None, typer.Option(help="Mean tokens of the sequences, prompt included; with experts, of the on-policy ones.")] = None,
    lengths: Annotated[str | None, typer.Option(help="Instead: their histogram, a csv file of length, count.")] = None,
    group_size: Annotated[float | None, typer.Option(help="On-policy responses per prompt; samples of a problem.")] = None,
    generation_batch: Annotated[float | None, typer.Option(help="dapo: prompts sampled per round.")] = None,
    rounds: Annotated[float | None, typer.Option(help="dapo: sampling rounds per step.")] = None,
    n_experts: Annotated[float | None, typer.Option(help="luffy, srft: expert trajectories per prompt.")] = None,
    on_samples: Annotated[float | None, typer.Option(help="upt: on-policy sequences trained on per step.")] = None,
    expert_samples: Annotated[float | None, typer.Option(help="upt: expert sequences trained on per step.")] = None,
    expert_length: Annotated[float | None, typer.Option(help="Mean tokens of the expert sequences.")] = None,
    expert_lengths: Annotated[str | None, typer.Option(help="Instead: their histogram, a csv file.")] = None,
    old_logprob_pass: Annotated[bool, typer.Option("--old-logprob-pass", help="strict: old log-probabilities are recomputed.")] = False,
    peak: Annotated[float | None, typer.Option(help="Also GPU-hours: TFLOP/s of one GPU (bf16 without sparsity; H100: 989).")] = None,
    mfu: Annotated[float | None, typer.Option(help="The share of --peak that is reached, 0 to 1.")] = None,
    price: Annotated[float | None, typer.Option(help="Also the cost in USD: USD of a GPU-hour.")] = None,
) -> None:  # fmt: skip
    """Prints the exaFLOPs of training or evaluation as JSON, and GPU-hours and cost; give exactly the options of the paradigm."""
    from switchpoint import estimates, flops

    options = {
        "batch_size": batch_size, "mean_length": mean_length, "group_size": group_size,
        "generation_batch": generation_batch, "rounds": rounds, "n_experts": n_experts,
        "on_samples": on_samples, "expert_samples": expert_samples, "expert_length": expert_length,
    }  # fmt: skip
    histograms = {"mean_length": lengths, "expert_length": expert_lengths}
    architecture = flops.architecture(model)
    result = estimates.estimate(
        architecture, paradigm, options, histograms, steps, accounting, old_logprob_pass
    )
    exaflops = result.get("exaflops_exact", result["exaflops"])
    typer.echo(json.dumps(result | estimates.spent(exaflops, peak, mfu, price)))


@app.command("published", epilog=example("published FOLDER"))
def published_command(
    folder: Annotated[str, typer.Argument(help="Holds rl_points.csv, sft_points.csv, table4_v1.csv.")],
    out: Annotated[str | None, typer.Option(help="Write a .json, .csv or .md file instead.")] = None,
) -> None:
    """Recomputes the papers' claims from their published data, with a verdict on each."""
    from switchpoint.published.claim_table import claims_text, count_line, recompute_claims, write_claims
    from switchpoint.published.data import check_folder

    check_out("published", out, folder)
    check_folder(folder)
    claims = recompute_claims(folder)
    if out:
        write_claims(claims, out)
    typer.echo(count_line(claims) if out else claims_text(claims))


@app.command(epilog=example("compare base/samples.parquet tuned/samples.parquet"))
def compare(
    first: Annotated[str, typer.Argument(help="A samples.parquet.")],
    second: Annotated[str, typer.Argument(help="Another, of the same problems.")],
    first_run: Annotated[str | None, typer.Option(help="The run, if the file has several.")] = None,
    second_run: Annotated[str | None, typer.Option(help="The run, if the file has several.")] = None,
    first_step: Annotated[int | None, typer.Option(help="The checkpoint; the last without it.")] = None,
    second_step: Annotated[int | None, typer.Option(help="The checkpoint; the last without it.")] = None,
) -> None:
    """Compares two checkpoints, paired by problem: SECOND - FIRST, with interval and p."""
    from switchpoint import scores

    a = scores.read_test(first, first_run, first_step)
    b = scores.read_test(second, second_run, second_step)
    typer.echo(scores.paired(a, b).to_csv(index=False, float_format="%.4g"), nl=False)


@app.command(epilog=example("grade pairs.jsonl --out grades.jsonl"))
def grade(
    pairs: Annotated[str, typer.Argument(help="A .jsonl file of gold (text or list) and response.")],
    out: Annotated[str, typer.Option(help="The .jsonl file of grades to write.")],
    extraction: Annotated[
        Literal["any", "boxed_or_answer", "boxed", "official"],
        typer.Option(help="Where an answer may stand."),
    ] = "any",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; all cores without it.")
    ] = None,
) -> None:
    """Grades answers: one line of correct, extracted, status per line of PAIRS, in order."""
    import math_verify  # noqa: F401  (of the workers; better missed here)

    from switchpoint.grading.grader import grade_file

    check_out("grade", out, pairs)
    counts = grade_file(pairs, out, extraction, workers)
    typer.echo(json.dumps(counts))
