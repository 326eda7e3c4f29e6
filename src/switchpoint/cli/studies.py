"""The commands around a study that Snakemake runs.  Thin, as the stages are."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from switchpoint.cli.outputs import check_out, example
from switchpoint.errors import InputError

app = typer.Typer()
StudyFile = Annotated[str, typer.Option(help="The study's YAML file.")]
Scale = Annotated[
    Literal["full", "tiny"] | None,
    typer.Option(help="Of the study, as Snakemake's `--config scale=` has it."),
]


@app.command(epilog=example("plan --study config/paper-qwen2.5-7b.yaml --gpus 32"))
def plan(
    study: StudyFile = "config.yaml",
    gpus: Annotated[int | None, typer.Option(min=1, help="Bound the hours that so many GPUs take.")] = None,
    scale: Scale = None,
    price: Annotated[
        float | None, typer.Option(min=0, help="Also the cost in USD: USD of a GPU-hour.")
    ] = None,
) -> None:
    """Lists the pending jobs, what can be resumed, what training and evaluation cost, and the disk that they take."""
    from switchpoint.flops import n_weights
    from switchpoint.study.plan import show
    from switchpoint.units import say

    show(study, n_weights, gpus, say, scale, price)


@app.command(epilog=example("status"))
def status(
    study: StudyFile = "config.yaml",
    lines: Annotated[int, typer.Option(min=0, help="Last lines of the log of a job that failed.")] = 5,
    scale: Scale = None,
) -> None:
    """Lists what runs, what waits, and what failed and why."""
    from switchpoint.study.status import show

    show(study, lines, scale)


@app.command(epilog=example("recover"))
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


@app.command(epilog=example("lock problems.jsonl"))
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
    check_out("lock", out, *path)
    locks.write_lock(path, out, revision)


@app.command(epilog=example("decontaminate --train sft.jsonl --benchmarks aime.jsonl --out clean"))
def decontaminate(
    train: Annotated[list[str], typer.Option(help="A .jsonl or .parquet file with a column problem; repeat it.")],
    benchmarks: Annotated[list[str], typer.Option(help="A file of records (problem, answer); repeat it.")],
    out: Annotated[str, typer.Option(help="The folder to write into.")],
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

    check_out("decontaminate", f"{out}/kept.jsonl", *train, *benchmarks)
    if not 0 < threshold < 1:
        raise InputError(f"--threshold is {threshold}; give a cosine between 0 and 1")
    counts = screening.screen_files(train, benchmarks, embedder, match_numbers, out, threshold)
    typer.echo(json.dumps(counts, indent=2))
