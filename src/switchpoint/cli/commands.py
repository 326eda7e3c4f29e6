"""What people type.  Thin, as the stages are; ``main`` is the entry point of both."""

import contextlib
import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from switchpoint import files, tables
from switchpoint.cli import stages
from switchpoint.cli.import_runs import import_command
from switchpoint.cli.stages import PathOption
from switchpoint.errors import InputError, StoppedError
from switchpoint.study.plan import FINISHED

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(stages.app)
Scale = Annotated[
    Literal["full", "tiny"] | None,
    typer.Option(help="Of the study, as Snakemake's `--config scale=` has it."),
]


def check_out(out: str | None, *inputs: str | None) -> None:
    """InputError unless the file ``out`` can be written and is none of the inputs (nor of a folder that is one).

    Asked before anything is computed.  Folders that are missing are made when the file is written.
    """
    if out is None:
        return
    path = Path(out)
    try:
        taken = [file for file in inputs if file is not None and path.exists() and holds(Path(file), path)]
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if path.is_dir():
            problem = "is a directory"
        elif taken:
            problem = f"is {'' if Path(taken[0]).is_file() else 'there, in '}the input {taken[0]}"
        elif (path.exists() and not path.is_file()) or above == Path("/dev"):
            problem = "is no regular file"
        elif path.exists() and not os.access(path, os.W_OK):
            problem = "is write-protected"
        else:
            with tempfile.NamedTemporaryFile(dir=above, prefix=f".{path.name}.", suffix=".tmp"):
                return
    except OSError as error:
        problem = f"cannot be written ({str(error.strerror).lower()})"
    raise InputError(f"--out {out}: {problem}; name another file")


def holds(given: Path, path: Path) -> bool:
    """Whether an existing path is the input or a file in it, by whatever name, or lies in it."""
    inside = given.is_dir() and path.resolve().is_relative_to(given.resolve())
    files_of = given.rglob("*") if given.is_dir() else [given]
    return inside or any(file.exists() and path.samefile(file) for file in files_of)


@app.command()
def grade(
    pairs: Annotated[str, typer.Argument(help="A .jsonl file of gold (text or list) and response.")],
    out: PathOption,
    extraction: Annotated[str, typer.Option(help="any, boxed_or_answer, boxed or official.")] = "any",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; all cores without it.")
    ] = None,
) -> None:
    """Grades answers: one line of correct, extracted, status per line of PAIRS, in order."""
    from switchpoint.grading.grader import grade_file

    check_out(out, pairs)
    counts = grade_file(pairs, out, extraction, workers)
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
    from switchpoint.analysis.phases import label_phases, read_examples, watch_losses

    if watch == (out is not None) or (watch and examples):
        raise InputError("give --out PHASES.json (and --examples, if there are), or --watch alone")
    if watch:
        for line in watch_losses(losses, every):
            typer.echo(line)
        return
    check_out(out, losses, examples)
    table = None if examples is None else read_examples(examples)
    files.write_json(out, label_phases(tables.read_csv(losses), table))


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

    check_out(out, points, predict, settings)
    asked = None if predict is None else tables.read_csv(predict)
    chosen = None if settings is None else tables.read_csv(settings)
    files.write_json(out, ceilings.fit_curves(read_points(points, benchmark), asked, method, chosen))


@app.command("published")
def published_command(
    folder: Annotated[str, typer.Argument(help="Holds rl_points.csv, sft_points.csv, table4_v1.csv.")],
    out: Annotated[str | None, typer.Option(help="Write a .json, .csv or .md file instead.")] = None,
) -> None:
    """Recomputes the papers' claims from their published data, with a verdict on each."""
    from switchpoint.published.claim_table import claims_text, count_line, recompute_claims, write_claims

    check_out(out, folder)
    claims = recompute_claims(folder)
    if out:
        write_claims(claims, out)
    typer.echo(count_line(claims) if out else claims_text(claims))


@app.command("rank")
def rank_command(
    table: Annotated[str, typer.Argument(help="A csv file, one SFT model per row: model, pass_<k>, ...")],
    out: Annotated[str | None, typer.Option(help="The same as JSON.")] = None,
    k: Annotated[int | None, typer.Option(help="Rank by pass_<k>; the largest k without it.")] = None,
) -> None:
    """Ranks SFT models before any RL: drops the clearly worse, orders the rest by pass@k."""
    from switchpoint.analysis import predictors
    from switchpoint.report import predictors_text

    check_out(out, table)
    result = predictors.rank(tables.read_csv(table), k)
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

    check_out(out, table)
    result = predictors.predict(tables.read_csv(table), repeats, calibration)
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
    from switchpoint.analysis.documents import read_document

    check_out(out, curves, runs, ceilings, phases, predictors)
    result = advice.advise(
        tables.read_csv(curves),
        tables.read_csv(runs),
        read_document(ceilings, "fit"),
        phases and read_document(phases, "phases"),
        predictors=predictors and read_document(predictors, "rank"),
        reference=reference,
    )
    files.write_json(out, result)
    typer.echo("\n".join([result["headline"], *result["reasons"]]))


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
    typer.echo(json.dumps(result))


app.command("import")(import_command)


@app.command()
def lock(
    path: Annotated[
        list[str],
        typer.Argument(help="Data files, a model file or directory, or a name on the hub."),
    ],
    out: Annotated[str | None, typer.Option(help="The lock file; PATH.lock without it.")] = None,
    revision: Annotated[
        str | None, typer.Option(help="The commit, on the hub; the version, of a package's file.")
    ] = None,
) -> None:
    """Writes the lock file of files or a model directory (their hash), or of what is on the hub (its revision)."""
    from switchpoint.data import locks

    out = out or f"{path[0]}.lock"
    check_out(out, *path)
    locks.write_lock(path, out, revision)


@app.command()
def decontaminate(
    train: Annotated[list[str], typer.Option(help="A .jsonl or .parquet file with a column problem; repeat it.")],
    benchmarks: Annotated[list[str], typer.Option(help="A file of records (problem, answer); repeat it.")],
    out: PathOption,
    threshold: Annotated[float, typer.Option(help="Drop above this cosine.")] = 0.8,
    match_numbers: Annotated[
        bool, typer.Option(help="Drop only where the same numbers stand in the same order, too.")
    ] = False,
    embedder: Annotated[
        str, typer.Option(help="The packaged model, a directory, or a name on the hub.")
    ] = "all-MiniLM-L6-v2",
) -> None:  # fmt: skip
    """Drops the benchmark problems that are too near to a training problem.

    Into the directory OUT: kept.jsonl, dropped.csv (with the nearest training row, its cosine and the reason), nearest.csv
    (the same of every row) and sweep.csv (what each threshold would drop).
    """
    from switchpoint.data import decontaminate as screening

    check_out(f"{out}/kept.jsonl", *train, *benchmarks)
    if not 0 < threshold < 1:
        raise InputError(f"--threshold is {threshold}; give a cosine between 0 and 1")
    counts = screening.screen_files(train, benchmarks, embedder, match_numbers, out, threshold)
    typer.echo(json.dumps(counts, indent=2))


@app.command()
def plan(
    study: PathOption = "config.yaml",
    gpus: Annotated[int | None, typer.Option(min=1, help="Bound the hours that so many GPUs take.")] = None,
    scale: Scale = None,
) -> None:
    """Lists the pending jobs, what can be resumed, what training costs, and the disk that they take."""
    from switchpoint.flops import n_weights
    from switchpoint.study.plan import show

    show(study, n_weights, gpus, scale)


@app.command()
def status(
    study: PathOption = "config.yaml",
    lines: Annotated[int, typer.Option(min=0, help="Last lines of the log of a job that failed.")] = 5,
    scale: Scale = None,
) -> None:
    """Lists what runs, what waits, and what failed and why."""
    from switchpoint.study.status import show

    show(study, lines, scale)


@app.command()
def recover(
    wait: Annotated[bool, typer.Option(help="Wait for orphaned jobs instead of cancelling them.")] = False,
    force: Annotated[
        bool, typer.Option(help="Although a job of SLURM's here may be Snakemake itself.")
    ] = False,
) -> None:
    """Makes the folder ready to go on after Snakemake itself was killed: its jobs, half-written outputs, its lock."""
    from switchpoint.study import recover

    for sentence in recover.run(Path.cwd(), wait, force):
        typer.echo(sentence)


@app.command()
def docs(check: Annotated[bool, typer.Option()] = False) -> None:
    """Writes the generated schema and configuration reference (or checks that they are current)."""
    from switchpoint.study.docs import generate

    generate(check)


def main() -> None:
    """The commands; bad input and a full disk end with a message and exit code 2, without a traceback, and a job that
    stopped in time with the code of a temporary failure (75).

    In a log the last line of one that ended well is ``plan.FINISHED``, which tells it from one that failed.
    """
    try:
        app()
    except InputError as error:
        fail(f"error: {error}")
    except StoppedError as stop:
        fail(str(stop), os.EX_TEMPFAIL)
    except OSError as error:
        if error.errno not in files.FULL:
            raise
        fail(f"error: disk full: {error.filename or 'the output'}: free space and run again")
    except SystemExit as done:
        if not done.code and writes_a_log():
            print(FINISHED, file=sys.stderr)
        raise


def fail(message: str, code: int = 2) -> None:
    """Ends with this exit code, whether or not what was printed can still be written."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python ends with another code and lines of its own
    sys.exit(code)


def writes_a_log() -> bool:
    """Whether output and errors go to one file, as the rules have it."""
    one, other = os.fstat(1), os.fstat(2)
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)
