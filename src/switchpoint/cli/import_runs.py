"""``switchpoint import``: other people's logs and tables as curves, losses and runs."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from switchpoint.cli.outputs import check_out
from switchpoint.errors import InputError
from switchpoint.importer.options import Format

Texts = list[str]
FILES = (
    ".json",
    ".jsonl",
    ".txt",
    ".md",
    ".tsv",
    ".xlsx",
    ".parquet",
    ".html",
    ".htm",
    ".png",
    ".svg",
    ".pdf",
    ".log",
    ".yaml",
    ".yml",
)
"""Endings that name a file, which the output that is a folder is not called by."""


def import_command(
    paths: Annotated[Texts, typer.Argument(help="Logs, tables or folders; each is a run, or the runs that it names.")],
    out: Annotated[str, typer.Option(help="The folder for curves.csv, losses.csv and runs.csv; or X.csv for the curves alone.")],
    file_format: Annotated[Format | None, typer.Option("--format", help="Of all paths; found in their content without it.")] = None,
    score: Annotated[Texts, typer.Option(help="TAG=BENCHMARK: a tag (csv: column) of scores; the known ones without it.")] = [],  # noqa: B006
    loss: Annotated[str | None, typer.Option(help="The tag of the validation loss, where several are known or none.")] = None,
    column: Annotated[Texts, typer.Option(help="FIELD=COLUMN of a csv, such as exaflops=compute.")] = [],  # noqa: B006
    compute: Annotated[Texts, typer.Option(help="[RUN=]AXIS: exaflops[:TAG], tokens:TAGxMODEL, steps, seconds[:TAG], or gpu-hours:PEAKxMFU[:TAG] with PEAK in dense TFLOP/s of a GPU.")] = [],  # noqa: B006
    per_step: Annotated[bool, typer.Option("--per-step", help="The tag of --compute is of each step.")] = False,
    cumulative: Annotated[bool, typer.Option("--cumulative", help="The tag of --compute is what was spent since the start.")] = False,
    gpus: Annotated[float | None, typer.Option(help="gpu-hours: the number of GPUs.")] = None,
    mean_length: Annotated[float | None, typer.Option(help="tokens: mean tokens of a sequence, to count attention.")] = None,
    exaflops: Annotated[str | None, typer.Option(help="Instead: the tag of the exaFLOPs since the start.")] = None,
    exaflops_per_step: Annotated[float | None, typer.Option(help="Instead: exaFLOPs of every step.")] = None,
    weights: Annotated[Texts, typer.Option(help="BENCHMARK=PROBLEMS: computes `overall`.")] = [],  # noqa: B006
    scale: Annotated[float | None, typer.Option(help="Times the scores: 100 for fractions.")] = None,
    score_range: Annotated[str | None, typer.Option(help="LOW:HIGH of the scores, which become 0 to 100: -1:1 for rewards of -1 and 1.")] = None,
    p_start: Annotated[Texts, typer.Option(help="[RUN:][BENCHMARK=]SCORE before the first step, in the unit of the scores.")] = [],  # noqa: B006
    run: Annotated[str | None, typer.Option(help="The name of the only run.")] = None,
    one_run: Annotated[bool, typer.Option("--one-run", help="The paths are parts of one run (or of the runs that they name).")] = False,
    step: Annotated[Texts, typer.Option(help="PATH=N: the step of an evaluated checkpoint.")] = [],  # noqa: B006
    phase: Annotated[Texts, typer.Option(help="[RUN=]base, sft or rl.")] = [],  # noqa: B006
    parent: Annotated[Texts, typer.Option(help="[RUN=]PARENT[@STEP]: what an RL run starts from; its last step without one.")] = [],  # noqa: B006
    algorithm: Annotated[Texts, typer.Option(help="[RUN=]NAME of an RL run's algorithm.")] = [],  # noqa: B006
    seed: Annotated[Texts, typer.Option(help="RUN=N: the run's number among those that start alike.")] = [],  # noqa: B006
    sft_exaflops: Annotated[Texts, typer.Option("--sft-exaflops", "--sft-compute", help="[RUN=]X: what the SFT before RL had cost, in the unit of the compute.")] = [],  # noqa: B006
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
) -> None:  # fmt: skip
    """Turns logs and tables of any trainer into curves.csv, losses.csv and runs.csv; prints what was read, guessed and left."""
    from switchpoint.importer import folder, points
    from switchpoint.importer.options import (
        ALL,
        Options,
        parse_by_run,
        parse_numbers,
        parse_pairs,
        parse_range,
    )

    is_file = out.endswith(".csv") or (os.path.exists(out) and not os.path.isdir(out))
    check_place(out, is_file, force, paths)
    if not is_file and Path(out).suffix.lower() in FILES:
        raise InputError(f"--out {out}: is no name of a folder; name one, or X.csv for the curves alone")
    if is_file and (
        told := [
            name for name, given in (("parent", parent), ("algorithm", algorithm), ("seed", seed)) if given
        ]
    ):
        raise InputError(f"--{told[0]} is of runs.csv; give --out a folder, or leave it out")
    if per_step and cumulative:
        raise InputError("--per-step and --cumulative exclude each other; give one")
    options = Options(
        run=run, phase=parse_by_run(phase, "--phase"), column=parse_pairs(column, "--column", first=True),
        score=parse_pairs(score, "--score"), loss=loss, exaflops=exaflops, exaflops_per_step=exaflops_per_step,
        compute=parse_by_run(compute, "--compute"), nature="per step" if per_step else "cumulative" if cumulative else None, gpus=gpus,
        mean_length=mean_length, weights=parse_numbers(weights, "--weights"), scale=scale,
        score_range=parse_range(score_range),
        p_start=parse_numbers(p_start, "--p-start"), one_run=one_run, step=parse_numbers(step, "--step", ALL),
        parent=parse_by_run(parent, "--parent"), algorithm=parse_by_run(algorithm, "--algorithm"),
        seed=parse_numbers(seed, "--seed", ALL), sft_exaflops=parse_numbers(sft_exaflops, "--sft-exaflops", ALL),
    )  # fmt: skip
    write = points.import_files if is_file else folder.import_folder
    typer.echo(json.dumps(write(paths, out, file_format, options), indent=2))


def check_place(out: str, is_file: bool, force: bool, paths: list[str]) -> None:
    """InputError unless ``out`` can be written, and nothing that is there would be lost unasked."""
    from switchpoint.importer import folder

    if is_file or not os.path.isdir(out):
        check_out(None if force else "import", out, *paths)
        return
    for name in folder.OUTPUTS:
        check_out(None, str(Path(out, name)), *(path for path in paths if not Path(path).is_dir()))
    folder.check_folder(out, force)
