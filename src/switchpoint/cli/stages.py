"""What rules call: one command per stage.

Thin: every command reads its arguments and its tables, calls the library and writes what it gives.
Training and sampling modules are imported inside their commands, so that the others start fast.
"""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer

from switchpoint import files, tables
from switchpoint.errors import InputError
from switchpoint.study import jobs
from switchpoint.training.limit import Limit

app = typer.Typer()
Job = Annotated[str, typer.Option(help="The job's configuration slice, as JSON.")]
PathOption = Annotated[str, typer.Option()]
Log = Annotated[str | None, typer.Option(help="The job's log; its steps' figures go beside it, as .jsonl.")]
TensorBoard = Annotated[
    str | None, typer.Option(help="A directory for TensorBoard; the run's files go into one of its name.")
]
Paths = Annotated[list[str], typer.Option()]
Deadline = Annotated[float | None, typer.Option(help="Seconds by which to save and stop, if it is not done.")]


def publish(table: pd.DataFrame, out: str, job: jobs.Job) -> None:
    """Writes a table and, behind it, the record of its job."""
    tables.write_parquet(table, out)
    outputs = files.measure(Path(out).parent, [Path(out).name])
    record = {"job": job.model_dump(mode="json"), "outputs": outputs, "rows": len(table)}
    files.write_record(f"{out}{files.RECORD}", record)


@app.command()
def ingest(job: Job, out: PathOption) -> None:
    """Reads or generates one source and checks its rows."""
    from switchpoint.data import sources

    asked = jobs.IngestJob.read(job, "--job")
    publish(sources.ingest(asked), out, asked)


@app.command()
def pool(source: Paths, out: PathOption, counts: PathOption) -> None:
    """Joins the pool's sources and drops duplicates."""
    from switchpoint.data import select

    kept, dropped = select.deduplicate([tables.read_made(path) for path in source])
    tables.write_parquet(kept, out)
    files.write_json(counts, dropped)


@app.command()
def validation(job: Job, pool: PathOption, out: PathOption) -> None:
    """Holds examples out of the pool for the validation loss."""
    from switchpoint.data import select

    asked = jobs.ValidationJob.read(job, "--job")
    publish(select.split_validation(tables.read_made(pool), asked.size, asked.seed), out, asked)


@app.command("win-rates")
def win_rates(
    job: Job,
    model: PathOption,
    pool: PathOption,
    out: PathOption,
    state: PathOption,
    deadline: Deadline = None,
) -> None:
    """Measures the weak solver's win rate on every pool problem."""
    limit = Limit.of_process(deadline)
    from switchpoint.data import difficulty
    from switchpoint.training import evaluation

    asked = jobs.EvaluateJob.read(job, "--job")
    job_run, samples = evaluation.measure_win_rates(asked, model, pool, state, limit)
    tables.write_parquet(difficulty.win_rates(samples), out)
    outputs = files.measure(Path(out).parent, [Path(out).name])
    verdicts = evaluation.counts(samples)
    job_run.finish(f"{out}{files.RECORD}", "finished", outputs, keep_state=True, verdicts=verdicts)


@app.command()
def select(
    job: Job, pool: PathOption, win_rates: PathOption, validation: PathOption, out: PathOption
) -> None:
    """Draws one SFT data set."""
    from switchpoint.data import select as selection

    asked = jobs.SelectJob.read(job, "--job")
    held_out = set(tables.read_made(validation)["id"])
    rates = tables.read_made(win_rates)
    chosen = selection.select_set(
        tables.read_made(pool), rates, held_out, asked.stratum, asked.size, asked.seed
    )
    publish(chosen, out, asked)


@app.command()
def prompts(
    job: Job, pool: PathOption, win_rates: PathOption, validation: PathOption, out: PathOption
) -> None:
    """Draws the RL prompts."""
    from switchpoint.data import select as selection

    asked = jobs.PromptsJob.read(job, "--job")
    chosen = selection.select_prompts(
        tables.read_made(pool), tables.read_made(win_rates), set(tables.read_made(validation)["id"]),
        asked.sources, asked.size, *asked.win_rate, asked.seed,
    )  # fmt: skip
    publish(chosen, out, asked)


@app.command()
def mix(job: Job, prompts: PathOption, base: PathOption, out: PathOption) -> None:
    """Picks the mix set: the RL prompts that have an expert trajectory."""
    from switchpoint.data import select as selection
    from switchpoint.training.tokenizer import Tokenizer

    asked = jobs.MixJob.read(job, "--job")
    mixed = selection.mix(tables.read_made(prompts), Tokenizer(base).count, asked.max_tokens)
    publish(mixed, out, asked)


@app.command("benchmarks")
def benchmarks_command(
    job: Job, pool: PathOption, source: Paths, out: PathOption, dropped: PathOption,
    other: Annotated[list[str], typer.Option(help="Benchmark tables whose problems are not repeated.")] = [],  # noqa: B006
) -> None:  # fmt: skip
    """Gathers benchmark slices, decontaminates them and splits off the monitoring problems."""
    from switchpoint.data import benchmarks, decontaminate

    asked = jobs.BenchmarksJob.read(job, "--job")
    read = {Path(path).stem: tables.read_made(path) for path in source}
    rows = benchmarks.gather(asked.benchmarks, read, [tables.read_made(path) for path in other])
    kept, gone = decontaminate.decontaminate(
        tables.read_made(pool), rows, asked.threshold, asked.match_numbers, asked.embedder
    )
    tables.write_csv(gone, dropped)
    publish(benchmarks.split(kept, asked.benchmarks), out, asked)


@app.command("data-report")
def data_report(
    sets: Paths, pool: PathOption, win_rates: PathOption, validation: PathOption, prompts: PathOption,
    mix: PathOption, benchmarks: Paths, base: PathOption, overlaps: PathOption, statistics: PathOption,
) -> None:  # fmt: skip
    """Writes the overlap table, which must be 0 where overlap is forbidden, and the data statistics."""
    from switchpoint.data import select as selection
    from switchpoint.training.tokenizer import Tokenizer

    drawn = {Path(path).stem: tables.read_made(path) for path in sets}
    read = {"validation": validation, "prompts": prompts, "mix": mix}
    read = {name: tables.read_made(path) for name, path in read.items()}
    read |= {f"set:{name}": rows for name, rows in drawn.items()}
    problems = pd.concat([tables.read_made(path) for path in benchmarks])
    read |= {f"benchmark:{name}": rows for name, rows in problems.groupby("benchmark")}
    table = selection.overlaps(read)
    if problems := selection.forbidden(table):
        raise InputError("data overlap where they must not:\n  " + "\n  ".join(problems))
    with files.atomic(overlaps) as temporary:
        table.to_csv(temporary)
    rates = tables.read_made(win_rates)
    tables.write_csv(selection.statistics(drawn, rates, Tokenizer(base).count), statistics)


@app.command("make-base")
def make_base(job: Job, out: PathOption, state: PathOption, deadline: Deadline = None) -> None:
    """Pretrains the tiny base model."""
    limit = Limit.of_process(deadline)
    from switchpoint.training import tiny_base

    tiny_base.run(jobs.BaseJob.read(job, "--job"), out, state, limit)


@app.command("convert-base")
def convert_base(job: Job, out: PathOption, state: PathOption) -> None:
    """Makes the base model of a pretrained one: a GGUF file's, or the hub's."""
    from switchpoint.training import pretrained

    pretrained.run(jobs.ConvertJob.read(job, "--job"), out, state)


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
        jobs.SftJob.read(job, "--job"), save_step, base, data, validation, out, state,
        save_every=save_every, until=until, limit=limit, log=log, tensorboard=tensorboard,
    )  # fmt: skip


@app.command()
def rl(
    job: Job, prompts: PathOption, benchmarks: PathOption, out: PathOption, state: PathOption,
    base: Annotated[str | None, typer.Option(help="The base model, where the run starts from it.")] = None,
    sft: Annotated[str | None, typer.Option(help="Else the SFT run that it starts from.")] = None,
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
        save_every, tuple(out_of_distribution), max_logprob_gap, on_logprob_gap, log, tensorboard
    )
    loop.run(jobs.RlJob.read(job, "--job"), base, sft, prompts, benchmarks, out, state, options, limit)


@app.command()
def evaluate(
    job: Job, checkpoint: Paths, benchmarks: Paths, out: PathOption, state: PathOption,
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, from 0.")] = "0/1",
    deadline: Deadline = None,
) -> None:  # fmt: skip
    """Evaluates a group of checkpoints."""
    limit = Limit.of_process(deadline)
    from switchpoint.training import evaluation

    index, _, count = part.partition("/")
    asked = jobs.EvaluateJob.read(job, "--job")
    evaluation.run(asked, checkpoint, benchmarks, out, state, (int(index), int(count)), limit)


@app.command("merge-parts")
def merge_parts(job: Job, part: Paths, benchmarks: Paths, out: PathOption) -> None:
    """Puts the parts of a split evaluation together."""
    from switchpoint.training import evaluation

    evaluation.merge(jobs.EvaluateJob.read(job, "--job"), part, benchmarks, out)


@app.command("collect")
def collect_command(job: Job, evaluation: Paths, sft_run: Paths, out: PathOption, rl_run: Paths = []) -> None:  # noqa: B006
    """Gathers points, losses, results and statuses of all runs."""
    from switchpoint.analysis.collect import collect

    asked = jobs.CollectJob.read(job, "--job")
    collect(evaluation, sft_run, rl_run, asked.out_of_distribution, asked.groups, asked.pass_at, out)


@app.command()
def outcomes(
    points: PathOption, runs: PathOption, losses: PathOption, ceilings: PathOption, out: PathOption
) -> None:
    """Measures what RL made of every SFT checkpoint."""
    from switchpoint.analysis.outcomes import measure_outcomes

    measure_outcomes(points, runs, losses, ceilings, out)


@app.command()
def report(job: Job, analysis: PathOption, data: PathOption, out: PathOption, results: PathOption) -> None:
    """Writes the report, and the results as Markdown tables."""
    from switchpoint.report import page
    from switchpoint.report.study_tables import arms_markdown, results_markdown

    asked = jobs.ReportJob.read(job, "--job")
    inputs = page.load(Path(analysis), Path(data))
    tables_of_arms = arms_markdown(inputs["arms"], inputs["arm_comparisons"])
    files.write_text(results, results_markdown(inputs["pooled_results"]) + tables_of_arms)
    files.write_text(out, page.render(inputs, asked.study, asked.hyperparameters))
