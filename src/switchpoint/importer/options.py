"""What the files do not say: the options of an import, and which formats take them."""

import shlex
from dataclasses import dataclass, field, replace
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
    unit of the scores; ``scale`` multiplies both, or ``score_range`` (their lowest and highest) becomes 0 to 100.  What differs by run is a value for all, or a dict of values by
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
    score_range: tuple[float, float] | None = None
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
    "score_range", "p_start", "one_run",
}  # fmt: skip
USES = {
    **dict.fromkeys(FORMATS, COMMON | {"exaflops", "loss"}),
    "csv": COMMON | {"column"},
    **dict.fromkeys(("lm-eval", "lighteval"), COMMON | {"step", "exaflops"}),
    **dict.fromkeys(("retu", "published"), OF_RUNS | {"weights"}),
}


def spelled(option: str, text: str) -> str:
    """The option as a shell takes it, whatever the text has in it."""
    return f"{option} {shlex.quote(text)}"


def parse_pairs(texts: list[str], option: str, first: bool = False) -> dict[str, str]:
    """``["a=x", ..]`` as ``{"a": "x"}``, split at the last ``=`` (or the first); InputError naming the option."""
    values: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=") if first else text.rpartition("=")
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
    numbers = {}
    for name, value in values.items():
        try:
            numbers[bare if name == "\0" else name] = float(value)
        except ValueError:
            given = value if name == "\0" else f"{name}={value}"
            raise InputError(f"{option} {given}: {value!r} is no number; give {option} NAME=NUMBER") from None
    return numbers


def parse_range(text: str | None) -> tuple[float, float] | None:
    """``-1:1`` as its two numbers, the lower first."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low, high = np.nan, np.nan
    if not (np.isfinite([low, high]).all() and low < high):
        raise InputError(f"--score-range {text}: give LOW:HIGH, as --score-range -1:1")
    return low, high


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
    if options.scale is not None and options.score_range is not None:
        raise InputError("--scale and --score-range exclude each other; give one")
    if sum(map(bool, (options.compute, options.exaflops, options.exaflops_per_step))) > 1:
        raise InputError("give the compute in one way: --compute, --exaflops TAG or --exaflops-per-step X")
    phases = options.phase.values() if isinstance(options.phase, dict) else [options.phase]
    if unknown := [phase for phase in phases if phase not in (None, "base", "sft", "rl")]:
        raise InputError(f"--phase {unknown[0]}: is none; give base, sft or rl")
    if options.nature and not options.compute:
        raise InputError("--per-step or --cumulative is of the tag of --compute; give it, too")


def with_runs(phases: dict[str, str], options: Options) -> Options:
    """The options with what they say of each of these runs.

    InputError where one names a run that there is not, or one of RL's names another.
    """
    runs = set(phases)
    for name in ("phase", "parent", "algorithm", "seed", "sft_exaflops", "compute"):
        if isinstance(value := getattr(options, name), dict):
            options = replace(options, **{name: by_run(value, f"--{name.replace('_', '-')}", runs)})
    for name in ("parent", "algorithm"):
        if others := [run for run in getattr(options, name) if phases.get(run, "rl") != "rl"]:
            fix = f"leave it out, or give {spelled('--phase', f'{others[0]}=rl')}"
            raise InputError(f"--{name} {others[0]}=..: it is of phase {phases[others[0]]}, not RL; {fix}")
    return options


def by_run(given: dict, option: str, runs: set[str]) -> dict:
    """The values of an option by run; InputError where it names none of these, or one twice."""
    values = {}
    for name, value in given.items():
        if name not in runs | {ALL}:
            name, value = split_at_run(f"{name}={value}", option, runs)
        if name in values:
            raise InputError(f"{option} {name}=..: is given twice; give it once")
        values[name] = value
    return values


def split_at_run(text: str, option: str, runs: set[str]) -> tuple[str, str]:
    """``RUN=VALUE`` divided where both may have an ``=``: behind the name of a run, or a parent of all runs."""
    marks = [at for at, letter in enumerate(text) if letter == "=" and text[:at] in runs]
    if marks:
        return text[: marks[-1]], text[marks[-1] + 1 :]
    if text in runs or text.rpartition("@")[0] in runs:
        return ALL, text
    name = text.rpartition("=")[0]
    raise InputError(f"{option} {name}=..: there is no such run; the runs are {', '.join(sorted(runs))}")
