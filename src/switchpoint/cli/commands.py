"""``python -m switchpoint <stage>``: one subcommand per rule, and the commands for people.

Thin: every command reads its arguments and calls one function.  Training and sampling
modules are imported inside their commands, so that the others start fast.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from switchpoint import files
from switchpoint import tables as checks
from switchpoint.errors import InputError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Job = Annotated[str, typer.Option(help="The job's configuration slice, as JSON.")]
PathOption = Annotated[str, typer.Option()]
Paths = Annotated[list[str], typer.Option()]


@app.command()
def ingest(job: Job, out: PathOption) -> None:
    """Reads or generates one source and checks its rows."""
    from switchpoint.data import records, sources

    records.write(sources.ingest(json.loads(job)), out)


@app.command()
def pool(source: Paths, out: PathOption, counts: PathOption) -> None:
    """Joins the pool's sources and drops duplicates."""
    from switchpoint.data import records, select

    kept, dropped = select.deduplicate([pd.read_parquet(path) for path in source])
    records.write(kept, out)
    files.write_json(counts, dropped)


@app.command()
def validation(job: Job, pool: PathOption, out: PathOption) -> None:
    """Holds examples out of the pool for the validation loss."""
    from switchpoint.data import records, select

    fields = json.loads(job)
    records.write(select.split_validation(pd.read_parquet(pool), fields["size"], fields["seed"]), out)


@app.command("win-rates")
def win_rates(job: Job, model: PathOption, pool: PathOption, out: PathOption, state: PathOption) -> None:
    """Measures the weak solver's win rate on every pool problem."""
    from switchpoint.data import difficulty
    from switchpoint.study import paths
    from switchpoint.training import evaluation, models
    from switchpoint.training.engine.torch import configure
    from switchpoint.training.job_run import Run

    fields = json.loads(job)
    this = Run(fields, {"model": f"{model}/{paths.MODEL_FILES[2]}", "pool": pool}, state)
    configure(fields["seed"])
    problems = pd.read_parquet(pool).assign(split="test", benchmark="pool")
    settings = {**fields, "test": {"pool": fields["samples"]}}
    samples = evaluation.evaluate(*models.load(model), problems, "test", settings, "solver", 0)
    evaluation.write_parquet(difficulty.win_rates(samples), out)
    this.finish(f"{out}.run.json", "finished", verdicts=evaluation.counts(samples))


@app.command()
def select(
    job: Job, pool: PathOption, win_rates: PathOption, validation: PathOption, out: PathOption
) -> None:
    """Draws one SFT data set."""
    from switchpoint.data import records
    from switchpoint.data import select as selection

    fields = json.loads(job)
    held_out = set(pd.read_parquet(validation)["id"])
    rates = pd.read_parquet(win_rates)
    chosen = selection.select_set(
        pd.read_parquet(pool), rates, held_out, fields["stratum"], fields["size"], fields["seed"]
    )
    records.write(chosen, out)


@app.command()
def prompts(
    job: Job, pool: PathOption, win_rates: PathOption, validation: PathOption, base: PathOption,
    out: PathOption, mix: PathOption,
) -> None:  # fmt: skip
    """Draws the RL prompts, and the mix set: those with an expert trajectory."""
    from switchpoint.data import records
    from switchpoint.data import select as selection
    from switchpoint.training import models

    fields = json.loads(job)
    low, high = fields["win_rate"]
    chosen = selection.select_prompts(
        pd.read_parquet(pool), pd.read_parquet(win_rates), set(pd.read_parquet(validation)["id"]),
        fields["sources"], fields["size"], low, high, fields["seed"],
    )  # fmt: skip
    mixed = selection.mix(chosen, models.token_counter(base), fields["mix_max_tokens"])
    records.write(chosen, out)
    records.write(mixed, mix)


@app.command("benchmarks")
def benchmarks_command(
    job: Job, pool: PathOption, source: Paths, out: PathOption, dropped: PathOption
) -> None:
    """Gathers the benchmark slices, decontaminates them and splits off the monitoring problems."""
    from switchpoint.data import benchmarks, decontaminate, records, select
    from switchpoint.training.evaluation import write_csv

    fields = json.loads(job)
    tables = {Path(path).stem: pd.read_parquet(path) for path in source}
    rows, _ = select.deduplicate([benchmarks.gather(fields["benchmarks"], tables)])
    kept, gone = decontaminate.decontaminate(
        pd.read_parquet(pool), rows, fields["threshold"], fields["match_numbers"], fields["embedder"]
    )
    write_csv(gone, dropped)
    records.write(benchmarks.split(kept, fields["benchmarks"]), out)


@app.command("data-report")
def data_report(
    sets: Paths, pool: PathOption, win_rates: PathOption, validation: PathOption, prompts: PathOption,
    mix: PathOption, benchmarks: PathOption, base: PathOption, overlaps: PathOption, statistics: PathOption,
) -> None:  # fmt: skip
    """Writes the overlap table, which must be 0 where overlap is forbidden, and the data statistics."""
    from switchpoint.data import select as selection
    from switchpoint.training import models
    from switchpoint.training.evaluation import write_csv

    drawn = {Path(path).stem: pd.read_parquet(path) for path in sets}
    tables = {"validation": validation, "prompts": prompts, "mix": mix}
    tables = {name: pd.read_parquet(path) for name, path in tables.items()}
    tables |= {f"set:{name}": rows for name, rows in drawn.items()}
    tables |= {f"benchmark:{name}": rows for name, rows in pd.read_parquet(benchmarks).groupby("benchmark")}
    table = selection.overlaps(tables)
    if problems := selection.forbidden(table):
        raise InputError("data overlap where they must not:\n  " + "\n  ".join(problems))
    table.to_csv(overlaps)
    rates = pd.read_parquet(win_rates)
    write_csv(selection.statistics(drawn, rates, models.token_counter(base)), statistics)


@app.command("make-base")
def make_base(job: Job, out: PathOption, state: PathOption) -> None:
    """Pretrains the tiny base model."""
    from switchpoint.training import models
    from switchpoint.training import tiny_base as base
    from switchpoint.training.job_run import Run

    fields = json.loads(job)
    this = Run(fields, {}, state)
    model, tokenizer = base.pretrain(fields["seed"], fields["stages"], lambda line: print(line, flush=True))
    models.save(model, tokenizer, this.state / "model", base.CARD, this.origin())
    this.publish("model", out)
    this.finish(Path(out) / "run.json", "finished")


@app.command()
def sft(
    job: Job, base: PathOption, data: PathOption, validation: PathOption, out: PathOption, state: PathOption
) -> None:
    """Supervised fine-tuning on one data set."""
    from switchpoint.training import sft as stage

    stage.run(json.loads(job), base, data, validation, out, state)


@app.command()
def rl(
    job: Job, base: PathOption, prompts: PathOption, benchmarks: PathOption, out: PathOption,
    state: PathOption, sft: Annotated[str | None, typer.Option()] = None,
) -> None:  # fmt: skip
    """Reinforcement learning from one start."""
    from switchpoint.training.rl import loop

    loop.run(json.loads(job), base, sft, prompts, benchmarks, out, state)


@app.command()
def evaluate(
    job: Job, checkpoint: Paths, benchmarks: PathOption, out: PathOption, state: PathOption,
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, from 0.")] = "0/1",
) -> None:  # fmt: skip
    """Evaluates a group of checkpoints."""
    from switchpoint.training import evaluation

    index, _, count = part.partition("/")
    evaluation.run_group(json.loads(job), checkpoint, benchmarks, out, state, (int(index), int(count)))


@app.command("merge-parts")
def merge_parts(job: Job, part: Paths, benchmarks: PathOption, out: PathOption) -> None:
    """Puts the parts of a split evaluation together."""
    from switchpoint.training import evaluation

    evaluation.merge(json.loads(job), part, benchmarks, out)


@app.command()
def grade(
    pairs: Annotated[str, typer.Argument(help="A .jsonl file of gold (text or list) and response.")],
    out: PathOption,
    extraction: Annotated[str, typer.Option(help="any, boxed_or_answer, boxed or official.")] = "any",
    workers: Annotated[int | None, typer.Option(help="Worker processes; all cores without it.")] = None,
) -> None:
    """Grades answers: one line of correct, extracted, status per line of PAIRS, in order."""
    from switchpoint.grading import grader as grading

    counts = grading.grade_file(pairs, out, extraction, workers)
    typer.echo(json.dumps(counts))


@app.command()
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


@app.command("collect")
def collect_command(job: Job, evaluation: Paths, sft_run: Paths, out: PathOption, rl_run: Paths = []) -> None:  # noqa: B006
    """Gathers points, losses, results and statuses of all runs."""
    from switchpoint.analysis.collect import collect

    collect(evaluation, sft_run, rl_run, json.loads(job), out)


@app.command()
def phases(
    losses: Annotated[str, typer.Argument(help="A csv file of run, step, loss.")],
    out: Annotated[str | None, typer.Option(help="The labels, as JSON.")] = None,
    examples: Annotated[
        str | None, typer.Option(help="Also how sure they are, from run, step, example, nll, tokens.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow a running job instead.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 30.0,
) -> None:
    """Labels the SFT sub-phases (RETU Eq. 13-17); LOSSES has run, step, loss."""
    from switchpoint.analysis import phases as analysis

    if watch == (out is not None) or (watch and examples):
        raise InputError("give --out PHASES.json (and --examples, if there are), or --watch alone")
    if watch:
        for line in analysis.watch(losses, every):
            typer.echo(line)
        return
    table = None if examples is None else analysis.read_examples(examples)
    files.write_json(out, analysis.label_phases(checks.read_csv(losses), table))


@app.command()
def fit(
    points: Annotated[str, typer.Argument(help="A curves.csv, or run, exaflops, score, p_start.")],
    out: PathOption,
    benchmark: Annotated[str, typer.Option(help="The scores to fit, where there are several.")] = "overall",
    predict: Annotated[str | None, typer.Option(help="A csv file of run, exaflops to predict at.")] = None,
    method: Annotated[str, typer.Option(help="default, paper or scalerl.")] = "default",
    settings: Annotated[
        str | None, typer.Option(help="paper: a csv of run, first, last, alpha, tau, free_start, cap.")
    ] = None,
) -> None:
    """Fits the ceiling of every run, with its uncertainty."""
    from switchpoint.analysis import ceilings
    from switchpoint.analysis.points import read_points

    asked = None if predict is None else checks.read_csv(predict)
    chosen = None if settings is None else checks.read_csv(settings)
    files.write_json(out, ceilings.fit_curves(read_points(points, benchmark), asked, method, chosen))


@app.command("published")
def published_command(
    folder: Annotated[str, typer.Argument(help="Holds rl_points.csv, sft_points.csv, table4_v1.csv.")],
    out: Annotated[str | None, typer.Option(help="Write a .json, .csv or .md file instead.")] = None,
) -> None:
    """Recomputes the papers' claims from their published data, with a verdict on each."""
    from switchpoint.published import table as published

    claims = published.published(folder)
    if out:
        published.write(claims, out)
    typer.echo(published.count_line(claims) if out else published.show(claims))


@app.command("rank")
def rank_command(
    table: Annotated[str, typer.Argument(help="A csv file, one SFT model per row: model, pass_<k>, ...")],
    out: Annotated[str | None, typer.Option(help="The same as JSON.")] = None,
    k: Annotated[int | None, typer.Option(help="Rank by pass_<k>; the largest k without it.")] = None,
) -> None:
    """Ranks SFT models before any RL: drops the clearly worse, orders the rest by pass@k."""
    from switchpoint.analysis import predictors
    from switchpoint.report import predictors_text

    result = predictors.rank(checks.read_csv(table), k)
    typer.echo(predictors_text.show_rank(result))
    if out:
        files.write_json(out, result)


@app.command("predict")
def predict_command(
    table: Annotated[str, typer.Argument(help="A csv file as for rank, with rl_score where RL was run.")],
    out: Annotated[str | None, typer.Option(help="The same as JSON.")] = None,
    repeats: Annotated[int, typer.Option(help="Random splits behind R2.")] = 100,
    calibration: Annotated[float, typer.Option(help="Share of the runs that a split fits.")] = 0.5,
) -> None:
    """Predicts the score after RL of SFT models from a few RL runs, and rates the predictors."""
    from switchpoint.analysis import predictors
    from switchpoint.report import predictors_text

    result = predictors.predict(checks.read_csv(table), repeats, calibration)
    typer.echo(predictors_text.show_predict(result))
    if out:
        files.write_json(out, result)


@app.command()
def advise(
    curves: PathOption, runs: PathOption, ceilings: PathOption, out: PathOption,
    phases: Annotated[str | None, typer.Option(help="What `phases` wrote.")] = None,
    predictors: Annotated[str | None, typer.Option(help="What `rank` wrote, for use before any RL.")] = None,
    reference: Annotated[str | None, typer.Option(help="The run to measure others' instability by.")] = None,
) -> None:  # fmt: skip
    """Says where to start RL, what to stop or continue, and why; CEILINGS is what `fit` wrote."""
    from switchpoint.analysis import advice
    from switchpoint.analysis.documents import read_record

    result = advice.advise(
        checks.read_csv(curves),
        checks.read_csv(runs),
        read_record(ceilings, "fit"),
        phases and read_record(phases, "phases"),
        predictors=predictors and read_record(predictors, "rank"),
        reference=reference,
    )
    files.write_json(out, result)
    typer.echo("\n".join([result["headline"], *result["reasons"]]))


@app.command()
def report(job: Job, analysis: PathOption, data: PathOption, out: PathOption, results: PathOption) -> None:
    """Writes the report, and the results as a Markdown table."""
    from switchpoint.report import page, tables

    fields = json.loads(job)
    inputs = page.load(Path(analysis), Path(data))
    files.write_text(results, tables.results_markdown(inputs["results"]))
    files.write_text(out, page.render(inputs, fields["study"], fields["hyperparameters"]))


@app.command("flops")
def flops_command(
    model: Annotated[str, typer.Argument(help="A model directory, a config.json or a bundled name.")],
    paradigm: Annotated[str, typer.Option(help="sft, grpo, dapo, luffy, srft or upt.")] = "sft",
    steps: Annotated[int, typer.Option(help="Training steps.")] = 1,
    accounting: Annotated[str, typer.Option(help="retu (the paper's) or strict.")] = "retu",
    batch_size: Annotated[float | None, typer.Option(help="Sequences (SFT) or prompts trained on per step.")] = None,
    mean_length: Annotated[float | None, typer.Option(help="Mean tokens of the sequences, prompt included; with experts, of the on-policy ones.")] = None,
    lengths: Annotated[str | None, typer.Option(help="Instead: their histogram, a csv file of length, count.")] = None,
    group_size: Annotated[float | None, typer.Option(help="On-policy responses per prompt.")] = None,
    generation_batch: Annotated[float | None, typer.Option(help="dapo: prompts sampled per round.")] = None,
    rounds: Annotated[float | None, typer.Option(help="dapo: sampling rounds per step.")] = None,
    n_experts: Annotated[float | None, typer.Option(help="luffy, srft: expert trajectories per prompt.")] = None,
    on_samples: Annotated[float | None, typer.Option(help="upt: on-policy sequences trained on per step.")] = None,
    expert_samples: Annotated[float | None, typer.Option(help="upt: expert sequences trained on per step.")] = None,
    expert_length: Annotated[float | None, typer.Option(help="Mean tokens of the expert sequences.")] = None,
    expert_lengths: Annotated[str | None, typer.Option(help="Instead: their histogram, a csv file.")] = None,
    old_logprob_pass: Annotated[bool, typer.Option("--old-logprob-pass", help="strict: old log-probabilities are recomputed.")] = False,
) -> None:  # fmt: skip
    """Prints the exaFLOPs of training as JSON; give exactly the options of the paradigm."""
    from switchpoint import flops

    options = {
        "batch_size": batch_size, "mean_length": mean_length, "group_size": group_size,
        "generation_batch": generation_batch, "rounds": rounds, "n_experts": n_experts,
        "on_samples": on_samples, "expert_samples": expert_samples, "expert_length": expert_length,
    }  # fmt: skip
    histograms = {"mean_length": lengths, "expert_length": expert_lengths}
    architecture = flops.architecture(model)
    result = flops.estimate(architecture, paradigm, options, histograms, steps, accounting, old_logprob_pass)
    typer.echo(json.dumps(result))


@app.command("import")
def import_command(
    paths: Annotated[list[str], typer.Argument(help="The parts of one log, or several tables or caches.")],
    out: Annotated[str, typer.Option(help="The curves.csv to write.")],
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, verl, trl, tensorboard, retu or published.")
    ] = None,
    score: Annotated[list[str], typer.Option(help="TAG=BENCHMARK: a tag (csv: column) of scores.")] = [],  # noqa: B006
    column: Annotated[list[str], typer.Option(help="FIELD=COLUMN of a csv, such as exaflops=compute.")] = [],  # noqa: B006
    exaflops: Annotated[str | None, typer.Option(help="The tag of the exaFLOPs since the start.")] = None,
    exaflops_per_step: Annotated[float | None, typer.Option(help="Instead: exaFLOPs of every step.")] = None,
    weights: Annotated[list[str], typer.Option(help="BENCHMARK=PROBLEMS: computes `overall`.")] = [],  # noqa: B006
    scale: Annotated[float | None, typer.Option(help="Times the scores: 100 for fractions.")] = None,
    run: Annotated[str | None, typer.Option(help="The run's name.")] = None,
    phase: Annotated[str | None, typer.Option(help="sft or rl; rl without it.")] = None,
    p_start: Annotated[list[str], typer.Option(help="[BENCHMARK=]SCORE before the first step.")] = [],  # noqa: B006
    sft_exaflops: Annotated[float | None, typer.Option(help="exaFLOPs of the SFT before this RL.")] = None,
) -> None:
    """Turns other people's logs and tables into a curves.csv; prints what was read and left."""
    from switchpoint.importer import points as importer

    options = importer.Options(
        run=run, phase=phase, column=importer.pairs(column, "--column"), score=importer.pairs(score, "--score"),
        exaflops=exaflops, exaflops_per_step=exaflops_per_step,
        weights=importer.numbers(weights, "--weights"), scale=scale,
        p_start=importer.numbers(p_start, "--p-start"), sft_exaflops=sft_exaflops,
    )  # fmt: skip
    typer.echo(json.dumps(importer.import_files(paths, out, file_format, options), indent=2))


@app.command()
def lock(
    path: Annotated[str, typer.Argument(help="A data file, or a data set on the hub.")],
    out: Annotated[str | None, typer.Option(help="The lock file; PATH.lock without it.")] = None,
    revision: Annotated[str | None, typer.Option(help="The data set's commit, on the hub.")] = None,
) -> None:
    """Writes the lock file of a data file (its hash) or of a data set on the hub (its revision)."""
    from switchpoint.data import sources

    sources.write_lock(path, out or f"{path}.lock", revision)


@app.command()
def plan(study: PathOption = "config.yaml") -> None:
    """Lists the pending jobs and what can be resumed."""
    from switchpoint.study import plan as planning

    planning.show(study)


@app.command()
def docs(check: Annotated[bool, typer.Option()] = False) -> None:
    """Writes the generated schema and configuration reference (or checks that they are current)."""
    from switchpoint.study import docs as reference

    reference.generate(check)


def main() -> None:
    """The commands; bad input ends with its message and exit code 2, without a traceback."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
