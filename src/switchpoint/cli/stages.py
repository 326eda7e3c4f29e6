"""What rules call: one command per stage.

Thin: every command reads its arguments and calls one function.  Training and sampling
modules are imported inside their commands, so that the others start fast.
"""

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from switchpoint import files, tables
from switchpoint.errors import InputError

app = typer.Typer()
Job = Annotated[str, typer.Option(help="The job's configuration slice, as JSON.")]
PathOption = Annotated[str, typer.Option()]
Paths = Annotated[list[str], typer.Option()]


@app.command()
def ingest(job: Job, out: PathOption) -> None:
    """Reads or generates one source and checks its rows."""
    from switchpoint.data import sources

    tables.write_parquet(sources.ingest(json.loads(job)), out)


@app.command()
def pool(source: Paths, out: PathOption, counts: PathOption) -> None:
    """Joins the pool's sources and drops duplicates."""
    from switchpoint.data import select

    kept, dropped = select.deduplicate([pd.read_parquet(path) for path in source])
    tables.write_parquet(kept, out)
    files.write_json(counts, dropped)


@app.command()
def validation(job: Job, pool: PathOption, out: PathOption) -> None:
    """Holds examples out of the pool for the validation loss."""
    from switchpoint.data import select

    fields = json.loads(job)
    tables.write_parquet(select.split_validation(pd.read_parquet(pool), fields["size"], fields["seed"]), out)


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
    from switchpoint.data import select as selection

    fields = json.loads(job)
    held_out = set(pd.read_parquet(validation)["id"])
    rates = pd.read_parquet(win_rates)
    chosen = selection.select_set(
        pd.read_parquet(pool), rates, held_out, fields["stratum"], fields["size"], fields["seed"]
    )
    tables.write_parquet(chosen, out)


@app.command()
def prompts(
    job: Job, pool: PathOption, win_rates: PathOption, validation: PathOption, base: PathOption,
    out: PathOption, mix: PathOption,
) -> None:  # fmt: skip
    """Draws the RL prompts, and the mix set: those with an expert trajectory."""
    from switchpoint.data import select as selection
    from switchpoint.training import models

    fields = json.loads(job)
    low, high = fields["win_rate"]
    chosen = selection.select_prompts(
        pd.read_parquet(pool), pd.read_parquet(win_rates), set(pd.read_parquet(validation)["id"]),
        fields["sources"], fields["size"], low, high, fields["seed"],
    )  # fmt: skip
    mixed = selection.mix(chosen, models.token_counter(base), fields["mix_max_tokens"])
    tables.write_parquet(chosen, out)
    tables.write_parquet(mixed, mix)


@app.command("benchmarks")
def benchmarks_command(
    job: Job, pool: PathOption, source: Paths, out: PathOption, dropped: PathOption
) -> None:
    """Gathers the benchmark slices, decontaminates them and splits off the monitoring problems."""
    from switchpoint.data import benchmarks, decontaminate, select
    from switchpoint.training.evaluation import write_csv

    fields = json.loads(job)
    read = {Path(path).stem: pd.read_parquet(path) for path in source}
    rows, _ = select.deduplicate([benchmarks.gather(fields["benchmarks"], read)])
    kept, gone = decontaminate.decontaminate(
        pd.read_parquet(pool), rows, fields["threshold"], fields["match_numbers"], fields["embedder"]
    )
    write_csv(gone, dropped)
    tables.write_parquet(benchmarks.split(kept, fields["benchmarks"]), out)


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
    read = {"validation": validation, "prompts": prompts, "mix": mix}
    read = {name: pd.read_parquet(path) for name, path in read.items()}
    read |= {f"set:{name}": rows for name, rows in drawn.items()}
    read |= {f"benchmark:{name}": rows for name, rows in pd.read_parquet(benchmarks).groupby("benchmark")}
    table = selection.overlaps(read)
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


@app.command("collect")
def collect_command(job: Job, evaluation: Paths, sft_run: Paths, out: PathOption, rl_run: Paths = []) -> None:  # noqa: B006
    """Gathers points, losses, results and statuses of all runs."""
    from switchpoint.analysis.collect import collect

    collect(evaluation, sft_run, rl_run, json.loads(job), out)


@app.command()
def report(job: Job, analysis: PathOption, data: PathOption, out: PathOption, results: PathOption) -> None:
    """Writes the report, and the results as a Markdown table."""
    from switchpoint.report import page, tables

    fields = json.loads(job)
    inputs = page.load(Path(analysis), Path(data))
    files.write_text(results, tables.results_markdown(inputs["results"]))
    files.write_text(out, page.render(inputs, fields["study"], fields["hyperparameters"]))
