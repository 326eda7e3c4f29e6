"""What rules call: one command per stage.

Thin: every command reads its arguments and its tables, calls the library and writes what it gives.
Training and sampling modules are imported inside their commands, so that the others start fast.
"""

import functools
from pathlib import Path
from typing import Annotated, Literal

import typer

from switchpoint import files, tables
from switchpoint.errors import InputError
from switchpoint.study import jobs, paths
from switchpoint.training.limit import Limit

app = typer.Typer()
Job = Annotated[str, typer.Option(help="A JSON file: the job's slice of the configuration.")]
PathOption = Annotated[str, typer.Option()]
Log = Annotated[str | None, typer.Option(help="The job's log; its steps' figures go beside it, as .jsonl.")]
TensorBoard = Annotated[
    str | None, typer.Option(help="A directory for TensorBoard; the run's files go into one of its name.")
]
Paths = Annotated[list[str], typer.Option()]
Deadline = Annotated[float | None, typer.Option(help="Seconds by which to save and stop, if it is not done.")]


def publish(out: str, inputs: dict[str, str], job: jobs.Job | None = None, **figures) -> None:
    """Writes, behind a table, the record of its job: what it was asked, of what (sha256), and what came out."""
    outputs = files.measure(Path(out).parent, [Path(out).name])
    asked = {} if job is None else {"job": job.model_dump(mode="json")}
    files.write_record(f"{out}{files.RECORD}", asked | {"inputs": inputs, "outputs": outputs, **figures})


def hashes(*paths: str | None) -> dict[str, str]:
    """The sha256 of tables that are given, as their records have them."""
    return {
        path: (files.recorded(path) or {"sha256": files.sha256(path)})["sha256"] for path in paths if path
    }


def tokenizer_of(base: str | None) -> dict[str, str]:
    """The sha256 of the tokenizer of a model that is given."""
    return hashes(f"{base}/tokenizer.json") if base else {}


def lengths_in(base: str):
    """Counts the tokens of texts, with the base's tokenizer."""
    from switchpoint.training.tokenizer import Tokenizer

    return Tokenizer(base).counts


@app.command()
def ingest(
    job: Job, out: PathOption,
    base: Annotated[str | None, typer.Option(help="The model whose tokens limit the rows.")] = None,
) -> None:  # fmt: skip
    """Reads or generates one source and checks its rows."""
    from switchpoint.data import sources
    from switchpoint.data.locks import read_lock

    asked = jobs.IngestJob.load(job)
    census = sources.ingest(asked, out, lengths_in(base) if base else None)
    lock = read_lock(asked.source.lock)
    # Of the files, or of what is on the hub.
    content = lock.sha256 if lock.sha256 != "unresolved" else str(lock.revision)
    inputs = {asked.source.lock: content} | tokenizer_of(base)
    publish(out, inputs, asked, rows=census["kept"], census=census)


@app.command()
def pool(
    source: Paths,
    out: PathOption,
    counts: PathOption,
    seed: Annotated[int, typer.Option(help="Of the draws, whose order the pool has.")] = 0,
) -> None:
    """Joins the pool's sources and drops duplicates."""
    from switchpoint.data.pool import deduplicate

    dropped = deduplicate(source, seed, out)
    publish(out, hashes(*source), rows=sum(dropped["kept"].values()))
    files.write_json(counts, dropped)


@app.command()
def validation(job: Job, pool: PathOption, out: PathOption) -> None:
    """Holds examples out for the validation loss."""
    from switchpoint.data import select

    asked = jobs.ValidationJob.load(job)
    publish(out, hashes(pool), asked, rows=select.hold_out(asked, pool, out))


@app.command("win-rates")
def win_rates(
    job: Job, model: PathOption, pool: PathOption, out: PathOption, state: PathOption,
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, from 0.")] = "0/1",
    deadline: Deadline = None,
) -> None:  # fmt: skip
    """Measures the weak solver's win rate on every pool problem."""
    limit = Limit.of_process(deadline)
    from switchpoint.data import difficulty
    from switchpoint.training import evaluation

    asked = jobs.EvaluateJob.load(job)
    job_run, samples = evaluation.measure_win_rates(
        asked, model, pool, state, evaluation.part_of(part), limit
    )
    tables.write_parquet(difficulty.win_rates(samples), out)
    outputs = files.measure(Path(out).parent, [Path(out).name])
    verdicts = evaluation.counts(samples)
    job_run.finish(f"{out}{files.RECORD}", "finished", outputs, keep_state=True, verdicts=verdicts)


@app.command("merge-win-rates")
def merge_win_rates(job: Job, part: Paths, out: PathOption) -> None:
    """Puts the parts of a split measurement of win rates together."""
    from switchpoint.data import difficulty

    asked = jobs.EvaluateJob.load(job)
    merged = difficulty.merge(
        [tables.read_made(path) for path in part], asked.settings.samples["test"]["pool"]
    )
    tables.write_parquet(merged, out)
    publish(out, hashes(*part), asked, rows=len(merged))


@app.command("given-win-rates")
def given_win_rates(job: Job, pool: PathOption, out: PathOption) -> None:
    """Takes the win rates that the pool's sources give."""
    from switchpoint.data import select

    asked = jobs.GivenJob.load(job)
    publish(out, hashes(pool), asked, rows=select.given_win_rates(pool, asked.solver, out))


@app.command("count-tokens")
def count_tokens(table: Paths, base: PathOption, out: PathOption) -> None:
    """Counts the tokens of the problems and of the expert trajectories."""
    from switchpoint.data import select

    n_rows = select.count_tokens(table, lengths_in(base), out)
    publish(out, hashes(*table) | tokenizer_of(base), rows=n_rows)


@app.command()
def select(
    job: Job, out: PathOption,
    pool: Annotated[list[str], typer.Option(help="The pool, or the sources that the set is of.")] = [],  # noqa: B006
    validation: Annotated[str | None, typer.Option(help="The held-out examples.")] = None,
    win_rates: Annotated[str | None, typer.Option(help="Where the stratum asks for them.")] = None,
    rated: Annotated[str | None, typer.Option(help="The pool, whose win rates these are, beside sources.")] = None,
    prompts: Annotated[str | None, typer.Option(help="The RL prompts, to be left out.")] = None,
    lengths: Annotated[str | None, typer.Option(help="The tokens, where the order asks for them.")] = None,
    union: Annotated[list[str], typer.Option(help="Instead of all these: sets to unite.")] = [],  # noqa: B006
) -> None:  # fmt: skip
    """Draws one SFT data set."""
    from switchpoint.data import select as selection

    asked = jobs.SelectJob.load(job)
    if union:
        publish(out, hashes(*union), asked, rows=selection.unite(asked, union, out))
        return
    given = {
        "validation": validation,
        "win_rates": win_rates,
        "rated": rated,
        "prompts": prompts,
        "lengths": lengths,
    }
    n_rows = selection.select_set(asked, pool, **given, out=out)
    publish(out, hashes(*pool, *given.values()), asked, rows=n_rows)


@app.command()
def prompts(
    job: Job, source: Paths, pool: PathOption, validation: PathOption, out: PathOption,
    win_rates: Annotated[str | None, typer.Option(help="The measured ones, where they decide.")] = None,
) -> None:  # fmt: skip
    """Draws the RL prompts."""
    from switchpoint.data import select as selection

    asked = jobs.PromptsJob.load(job)
    figures = selection.select_prompts(asked, source, pool, win_rates, validation, out)
    publish(out, hashes(*source, pool, win_rates, validation), asked, **figures)


@app.command()
def mix(job: Job, prompts: PathOption, base: PathOption, out: PathOption) -> None:
    """Picks the mix set: the RL prompts that have an expert trajectory."""
    from switchpoint.data import select as selection
    from switchpoint.training.tokenizer import Tokenizer

    asked, tokenizer = jobs.MixJob.load(job), Tokenizer(base)
    prompt_tokens = functools.partial(tokenizer.prompt_counts, template=asked.template)
    n_rows = selection.mix(asked, prompts, prompt_tokens, tokenizer.response_counts, out)
    publish(out, hashes(prompts) | tokenizer_of(base), asked, rows=n_rows)


@app.command("benchmarks")
def benchmarks_command(
    job: Job, train: Paths, source: Paths, out: PathOption, dropped: PathOption, nearest: PathOption,
    sweep: PathOption, store: PathOption,
    other: Annotated[list[str], typer.Option(help="Benchmark tables whose problems are not repeated.")] = [],  # noqa: B006
) -> None:  # fmt: skip
    """Gathers benchmark slices, decontaminates them and splits off the monitoring problems."""
    from switchpoint.data import benchmarks, decontaminate

    asked = jobs.BenchmarksJob.load(job)
    read = {Path(path).stem: tables.read_made(path) for path in source}
    rows = benchmarks.gather(asked.benchmarks, read, [tables.read_made(path) for path in other])
    screened = decontaminate.screen(train, rows, asked.embedder, asked.match_numbers, store, asked.threshold)
    kept, gone = decontaminate.split(screened)
    rows = benchmarks.split(kept, asked.benchmarks)
    tables.write_csv(gone, dropped)
    tables.write_csv(screened[["id", "benchmark", *decontaminate.FOUND]], nearest)
    tables.write_csv(decontaminate.sweep(screened), sweep)
    tables.write_parquet(rows, out)
    publish(out, hashes(*train, *source, *other), asked, rows=len(rows))


@app.command("data-report")
def data_report(
    sets: Paths, source: Paths, pool: PathOption, validation: PathOption,
    prompts: PathOption, mix: PathOption, benchmarks: Paths, base: PathOption, overlaps: PathOption,
    statistics: PathOption, strata: PathOption, sources: PathOption, max_length: Annotated[int, typer.Option()],
    stratum: Paths, counts: PathOption, win_rates: Annotated[str | None, typer.Option()] = None,
) -> None:  # fmt: skip
    """Writes the overlap table, which must be 0 where overlap is forbidden, and the data cards."""
    from switchpoint.data import cards

    drawn = {Path(path).stem: path for path in sets}
    others = {"validation": validation, "prompts": prompts, "mix": mix}
    table = cards.overlaps(others | {f"set:{name}": path for name, path in drawn.items()}, benchmarks)
    if problems := cards.forbidden(table):
        raise InputError("data overlap where they must not:\n  " + "\n  ".join(problems))
    with files.atomic(overlaps) as temporary:
        table.to_csv(temporary)
    rows = cards.statistics(drawn | others, win_rates, pool, lengths_in(base), max_length)
    tables.write_csv(rows, statistics)
    tables.write_csv(cards.strata_table(rows, dict(zip(drawn, stratum, strict=True))), strata)
    tables.write_csv(cards.source_table({Path(path).stem: path for path in source}, pool, counts), sources)


@app.command("make-base")
def make_base(job: Job, out: PathOption, state: PathOption, deadline: Deadline = None) -> None:
    """Pretrains the tiny base model."""
    limit = Limit.of_process(deadline)
    from switchpoint.training import tiny_base

    tiny_base.run(jobs.BaseJob.load(job), out, state, limit)


@app.command("convert-base")
def convert_base(job: Job, out: PathOption, state: PathOption) -> None:
    """Makes the base model of a pretrained one: a GGUF file's, or the hub's."""
    from switchpoint.training import pretrained

    pretrained.run(jobs.ConvertJob.load(job), out, state)


@app.command("sft")
def sft_command(
    job: Job, base: PathOption, data: PathOption, validation: PathOption, out: PathOption, state: PathOption,
    save_step: Annotated[list[int], typer.Option(help="A step whose checkpoint is saved.")],
    save_every: Annotated[int, typer.Option(help="Steps between two resumable states.")] = 50,
    until: Annotated[int | None, typer.Option(help="The last step of this segment of the run.")] = None,
    deadline: Deadline = None,
    log: Log = None, tensorboard: TensorBoard = None,
) -> None:  # fmt: skip
    """Supervised fine-tuning on one data set."""
    limit = Limit.of_process(deadline)
    from switchpoint.training import sft

    sft.run(
        jobs.SftJob.load(job), save_step, base, data, validation, out, state,
        save_every=save_every, until=until, limit=limit, log=log, tensorboard=tensorboard,
    )  # fmt: skip


@app.command()
def rl(
    job: Job, prompts: PathOption, benchmarks: PathOption, out: PathOption, state: PathOption,
    start: Annotated[str, typer.Option(help="A file of the model that it starts from, or of the SFT run whose selection says which.")],
    save_every: Annotated[int, typer.Option(help="Steps between two resumable states.")] = 10,
    out_of_distribution: Annotated[list[str], typer.Option(help="A benchmark outside `overall`.")] = [],  # noqa: B006
    deadline: Deadline = None,
    max_logprob_gap: Annotated[float | None, typer.Option(help="Of a step, between trainer and sampler.")] = None,
    on_logprob_gap: Annotated[Literal["warn", "fail"], typer.Option(help="What to do above it.")] = "warn",
    log: Log = None, tensorboard: TensorBoard = None,
) -> None:  # fmt: skip
    """Reinforcement learning from one start."""
    limit = Limit.of_process(deadline)
    from switchpoint.training.rl import loop

    options = loop.Options(
        save_every=save_every, out_of_distribution=tuple(out_of_distribution), max_logprob_gap=max_logprob_gap,
        on_logprob_gap=on_logprob_gap, log=log, tensorboard=tensorboard,
    )  # fmt: skip
    loop.run(jobs.RlJob.load(job), str(Path(start).parent), prompts, benchmarks, out, state, options, limit)


@app.command()
def evaluate(
    job: Job, checkpoint: Paths, benchmarks: Paths, out: PathOption, state: PathOption,
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, from 0.")] = "0/1",
    deadline: Deadline = None,
) -> None:  # fmt: skip
    """Evaluates a group of checkpoints."""
    limit = Limit.of_process(deadline)
    from switchpoint.training import evaluation

    asked = jobs.EvaluateJob.load(job)
    evaluation.run(asked, checkpoint, benchmarks, out, state, evaluation.part_of(part), limit)


@app.command("merge-parts")
def merge_parts(job: Job, part: Paths, benchmarks: Paths, out: PathOption) -> None:
    """Puts the parts of a split evaluation together."""
    from switchpoint.training import evaluation

    evaluation.merge(jobs.EvaluateJob.load(job), part, benchmarks, out)


@app.command("collect")
def collect_command(job: Job, out: PathOption) -> None:
    """Gathers points, losses, results and statuses of all runs."""
    from switchpoint.analysis.collect import collect

    asked = jobs.CollectJob.load(job)
    collect(
        asked.evaluations,
        asked.sft_runs,
        asked.rl_runs,
        asked.out_of_distribution,
        asked.groups,
        asked.pass_at,
        out,
    )


@app.command()
def outcomes(
    points: PathOption, runs: PathOption, losses: PathOption, ceilings: PathOption, results: PathOption,
    out: PathOption,
) -> None:  # fmt: skip
    """Measures what RL made of every SFT checkpoint."""
    from switchpoint.analysis.outcomes import measure_outcomes

    measure_outcomes(points, runs, losses, ceilings, results, out)


@app.command("browse-samples")
def browse_samples(job: Job, out: PathOption) -> None:
    """Writes the browser of samples: the page, and the texts into the folder of its name."""
    from switchpoint.report import samples

    asked = jobs.BrowseJob.load(job)
    samples.write(asked.evaluations, asked.benchmarks, asked.study, out)


@app.command()
def write_report(
    job: Job, analysis: PathOption, data: PathOption, out: PathOption, parts: PathOption, results: PathOption
) -> None:
    """Writes the report, its figures and tables one by one, and the results as Markdown tables."""
    from switchpoint.report import page
    from switchpoint.report import parts as one_by_one
    from switchpoint.report.study_tables import arms_markdown, results_markdown

    asked = jobs.ReportJob.load(job)
    inputs = page.load(Path(analysis), Path(data)) | {"samples": paths.SAMPLES}
    tables_of_arms = arms_markdown(inputs["arms"], inputs["arm_comparisons"])
    files.write_text(results, results_markdown(inputs["pooled_results"]) + tables_of_arms)
    content = page.content_of(inputs, asked.hyperparameters)
    one_by_one.write(content, parts)
    files.write_text(out, page.assemble(content, asked.study))


@app.command()
def conclude(results: Annotated[str, typer.Argument(help="A study's folder of results.")]) -> None:
    """Says what a study found, where its report is, and how to go on."""
    advice = files.read_json(f"{results}/analysis/advice.json")
    sentences = (advice.get("summary") or {}).values()
    typer.echo("\n".join(["", advice["headline"], *sentences, "", f"The report: {results}/report.html"]))
    typer.echo(
        "To go on: `source .venv/bin/activate` or `make shell`; then `snakemake -n`, `switchpoint --help`"
    )


@app.command()
def explain(log: Annotated[str, typer.Argument(help="A log of Snakemake's.")]) -> None:
    """Tells what SLURM refused, and which key of the configuration it is about."""
    from switchpoint.study import refusals

    for sentence in refusals.explain(Path(log)):
        typer.echo(sentence, err=True)


@app.command()
def docs(check: Annotated[bool, typer.Option()] = False) -> None:
    """Writes the generated schema and configuration reference (or checks that they are current)."""
    from switchpoint.study.docs import generate

    generate(check)
