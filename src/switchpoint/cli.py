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

from switchpoint import checks, files
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
    from switchpoint import evaluation, models, paths
    from switchpoint.data import difficulty
    from switchpoint.engine import configure
    from switchpoint.run import Run

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
    from switchpoint import models
    from switchpoint.data import records
    from switchpoint.data import select as selection

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
    from switchpoint.evaluation import write_csv

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
    from switchpoint import models
    from switchpoint.data import select as selection
    from switchpoint.evaluation import write_csv

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
    from switchpoint import base, models
    from switchpoint.run import Run

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
    from switchpoint import sft as stage

    stage.run(json.loads(job), base, data, validation, out, state)


@app.command()
def rl(
    job: Job, base: PathOption, prompts: PathOption, benchmarks: PathOption, out: PathOption,
    state: PathOption, sft: Annotated[str | None, typer.Option()] = None,
) -> None:  # fmt: skip
    """Reinforcement learning from one start."""
    from switchpoint.rl import loop

    loop.run(json.loads(job), base, sft, prompts, benchmarks, out, state)


@app.command()
def evaluate(
    job: Job, checkpoint: Paths, benchmarks: PathOption, out: PathOption, state: PathOption,
    part: Annotated[str, typer.Option(help="i/n: only the i-th of n parts, from 0.")] = "0/1",
) -> None:  # fmt: skip
    """Evaluates a group of checkpoints."""
    from switchpoint import evaluation

    index, _, count = part.partition("/")
    evaluation.run_group(json.loads(job), checkpoint, benchmarks, out, state, (int(index), int(count)))


@app.command("merge-parts")
def merge_parts(job: Job, part: Paths, benchmarks: PathOption, out: PathOption) -> None:
    """Puts the parts of a split evaluation together."""
    from switchpoint import evaluation

    evaluation.merge(json.loads(job), part, benchmarks, out)


@app.command()
def grade(
    pairs: Annotated[str, typer.Argument(help="A .jsonl file of gold (text or list) and response.")],
    out: PathOption,
    extraction: Annotated[str, typer.Option(help="any, boxed_or_answer, boxed or official.")] = "any",
    workers: Annotated[int | None, typer.Option(help="Worker processes; all cores without it.")] = None,
) -> None:
    """Grades answers: one line of correct, extracted, status per line of PAIRS, in order."""
    from switchpoint import grading

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
    from switchpoint.collect import collect

    collect(evaluation, sft_run, rl_run, json.loads(job), out)


@app.command()
def phases(losses: Annotated[str, typer.Argument()], out: PathOption) -> None:
    """Labels the SFT sub-phases (RETU Eq. 13-17); LOSSES has run, step, loss."""
    from switchpoint import phases as analysis

    files.write_json(out, analysis.label_phases(checks.read_csv(losses)))


@app.command()
def fit(
    points: Annotated[str, typer.Argument()], out: PathOption, benchmark: PathOption = "overall",
    predict: Annotated[str | None, typer.Option()] = None,
) -> None:  # fmt: skip
    """Fits ceilings; POINTS is a curves.csv, or has run, exaflops, score, p_start."""
    from switchpoint import ceilings
    from switchpoint.points import read_points

    asked = None if predict is None else checks.read_csv(predict)
    files.write_json(out, ceilings.fit_curves(read_points(points, benchmark), asked))


@app.command()
def advise(
    curves: PathOption, runs: PathOption, ceilings: PathOption, phases: PathOption, out: PathOption
) -> None:
    """Says where to start RL, and why."""
    from switchpoint import advice

    result = advice.advise(
        pd.read_csv(curves), pd.read_csv(runs), files.read_json(ceilings), files.read_json(phases)
    )
    files.write_json(out, result)


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
    model: Annotated[str, typer.Argument()], paradigm: PathOption = "sft",
    batch_size: Annotated[int, typer.Option()] = 512, mean_length: Annotated[float, typer.Option()] = 0,
    steps: Annotated[int, typer.Option()] = 1, accounting: PathOption = "retu",
    rounds: Annotated[float, typer.Option()] = 1, generation_batch: Annotated[int, typer.Option()] = 128,
    group_size: Annotated[int, typer.Option()] = 8,
) -> None:  # fmt: skip
    """Prints the exaFLOPs of SFT, GRPO or DAPO as JSON."""
    from switchpoint import flops

    architecture = flops.architecture(model)
    if paradigm == "sft":
        step = flops.sft_step(architecture, batch_size, mean_length, accounting)
    elif paradigm == "grpo":
        step = flops.grpo_step(architecture, batch_size, group_size, mean_length, accounting)
    elif paradigm == "dapo":
        step = flops.dapo_step(
            architecture, rounds, generation_batch, batch_size, group_size, mean_length, accounting
        )
    else:
        raise InputError(f"paradigm is {paradigm!r}; use sft, grpo or dapo")
    typer.echo(
        json.dumps({"exaflops": step * steps / flops.EXA, "accounting": accounting, "paradigm": paradigm})
    )


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
    from switchpoint import plan as planning

    planning.show(study)


@app.command()
def docs(check: Annotated[bool, typer.Option()] = False) -> None:
    """Writes the generated schema and configuration reference (or checks that they are current)."""
    from switchpoint import reference

    reference.generate(check)


def main() -> None:
    """The commands; bad input ends with its message and exit code 2, without a traceback."""
    try:
        app()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
