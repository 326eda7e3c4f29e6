"""What the files do not say: the options of an import, and which formats take them."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from switchpoint.errors import InputError

Format = Literal[
    "csv", "verl", "trl", "tensorboard", "openrlhf", "prime-rl", "wandb", "trackio", "lm-eval", "lighteval",
    "retu", "published",
]  # fmt: skip
FORMATS = get_args(Format)
CHOICES = f"give --format {', '.join(FORMATS)}"
ALL = ""
"""The key of a value that is for every run, in options that have one for each."""


@dataclass(frozen=True)
class Options:
    """The options of an import.

    ``score`` maps tags (csv: columns) to benchmarks, ``column`` fields of a point to columns; ``p_start`` is in the
    unit of the scores, and ``scale`` multiplies both.  What differs by run is a value for all, or a dict of values by
    run (``ALL`` for the others).
    """

    run: str | None = None
    phase: str | dict[str, str] | None = None
    column: dict[str, str] = field(default_factory=dict)
    score: dict[str, str] = field(default_factory=dict)
    loss: str | None = None
    exaflops: str | None = None
    exaflops_per_step: float | None = None
    compute: str | dict[str, str] | None = None
    nature: str | None = None
    gpus: float | None = None
    mean_length: float | None = None
    weights: dict[str, float] = field(default_factory=dict)
    scale: float | None = None
    p_start: dict[str, float] = field(default_factory=dict)
    one_run: bool = False
    step: dict[str, float] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)
    algorithm: dict[str, str] = field(default_factory=dict)
    seed: dict[str, float] = field(default_factory=dict)
    sft_exaflops: float | dict[str, float] | None = None


OF_RUNS = {"parent", "algorithm", "seed", "sft_exaflops"}
COMMON = OF_RUNS | {
    "run", "phase", "score", "exaflops_per_step", "compute", "nature", "gpus", "mean_length", "weights", "scale",
    "p_start", "one_run",
}  # fmt: skip
USES = {
    **dict.fromkeys(FORMATS, COMMON | {"exaflops", "loss"}),
    "csv": COMMON | {"column"},
    **dict.fromkeys(("lm-eval", "lighteval"), COMMON | {"step", "exaflops"}),
    **dict.fromkeys(("retu", "published"), OF_RUNS | {"weights"}),
}


def parse_pairs(texts: list[str], option: str) -> dict[str, str]:
    """``["a=x", ..]`` as ``{"a": "x"}``, split at the last ``=``; InputError naming the option."""
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.rpartition("=")
        if not (name.strip() and value.strip()) or name in values:
            raise InputError(f"{option} {text}: give {option} NAME=VALUE, each name once")
        values[name] = value
    return values


def parse_by_run(texts: list[str], option: str) -> dict[str, str]:
    """``parse_pairs``, where one value without a name is for every run."""
    bare = [text for text in texts if "=" not in text]
    if len(bare) > 1:
        raise InputError(f"{option} {bare[1]}: all runs have {bare[0]} already; give {option} RUN=VALUE")
    everyone = {ALL: bare[0]} if bare else {}
    return parse_pairs([text for text in texts if "=" in text], option) | everyone


def parse_numbers(texts: list[str], option: str, bare: str = "overall") -> dict[str, float]:
    """``parse_pairs`` with numbers; a bare number belongs to ``bare``."""
    values = parse_pairs([text if "=" in text else f"\0={text}" for text in texts], option)
    try:
        return {bare if name == "\0" else name: float(value) for name, value in values.items()}
    except ValueError as error:
        raise InputError(f"{option}: {error}; give {option} NAME=NUMBER") from error


def of_run(value: object, run: str):
    """The value of an option for a run, None where it has none."""
    return value.get(run, value.get(ALL)) if isinstance(value, dict) else value


def check_options(formats: list[str], options: Options) -> None:
    """Raises InputError unless the formats are known, take the options given, and these are in range."""
    if unknown := [name for name in formats if name not in USES]:
        raise InputError(f"format is {unknown[0]!r}; {CHOICES}")
    taken = set.union(*(USES[name] for name in formats))
    for name, value in vars(options).items():
        option = "--per-step or --cumulative" if name == "nature" else f"--{name.replace('_', '-')}"
        if value not in (None, {}, False) and name not in taken:
            raise InputError(f"{option} has no meaning with --format {formats[0]}; leave it out")
        lowest = 0 if name in ("sft_exaflops", "seed") else np.nextafter(0, 1)
        numbers = value.values() if isinstance(value, dict) and name not in ("p_start", "step") else [value]
        for number in numbers:
            if type(number) in (int, float) and not lowest <= number < np.inf:
                raise InputError(f"{option} is {number:g}; give a positive number")
    for name in ("weights", "seed"):
        for key, number in getattr(options, name).items():
            if number % 1:
                wanted = "the number of problems" if name == "weights" else "a whole number"
                raise InputError(f"--{name} {key}={number:g}: give {wanted}")
    if sum(map(bool, (options.compute, options.exaflops, options.exaflops_per_step))) > 1:
        raise InputError("give the compute in one way: --compute, --exaflops TAG or --exaflops-per-step X")
    phases = options.phase.values() if isinstance(options.phase, dict) else [options.phase]
    if unknown := [phase for phase in phases if phase not in (None, "base", "sft", "rl")]:
        raise InputError(f"--phase {unknown[0]}: is none; give base, sft or rl")
    if options.nature and not options.compute:
        raise InputError("--per-step or --cumulative is of the tag of --compute; give it, too")


def check_runs(phases: dict[str, str], options: Options) -> None:
    """Raises InputError where an option names a run that there is not, or one of RL's names another."""
    runs = set(phases)
    for name in ("phase", "parent", "algorithm", "seed", "sft_exaflops", "compute"):
        value = getattr(options, name)
        unknown = [run for run in value if run not in runs | {ALL}] if isinstance(value, dict) else []
        if unknown:
            option = f"--{name.replace('_', '-')} {unknown[0]}=.."
            raise InputError(f"{option}: there is no such run; the runs are {', '.join(sorted(runs))}")
    for name in ("parent", "algorithm"):
        if others := [run for run in getattr(options, name) if phases.get(run, "rl") != "rl"]:
            fix = f"leave it out, or give --phase {others[0]}=rl"
            raise InputError(f"--{name} {others[0]}=..: it is of phase {phases[others[0]]}, not RL; {fix}")
