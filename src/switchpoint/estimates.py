"""``switchpoint flops``: what steps of a paradigm cost, of options as they are typed and of length histograms in files."""

import inspect
import math
from pathlib import Path

from switchpoint.errors import InputError
from switchpoint.flops import EXA, LARGEST, PARADIGMS, Accounting, Architecture, gpu_hours, paradigm_step
from switchpoint.tables import numbers, read_csv, refuse


def estimate(
    arch: Architecture,
    paradigm: str,
    options: dict[str, float | None],
    histograms: dict[str, str | None] | None = None,
    steps: float = 1,
    accounting: Accounting = "retu",
    old_logprob_pass: bool = False,
) -> dict:
    """exaFLOPs of ``steps`` training steps of a paradigm, a key of ``PARADIGMS``.

    ``options`` holds what the paradigm takes, by name; None is not given.  ``histograms`` gives, instead of a
    mean length and by its name, the csv file of ``read_lengths``.  The result has ``exaflops`` at the mean
    lengths, with histograms also ``exaflops_exact`` and each mean length, then ``accounting`` and
    ``paradigm``.  InputError names the option that the paradigm lacks or does not use, or that holds no
    valid number.
    """
    if paradigm not in PARADIGMS:
        raise InputError(f"paradigm is {paradigm!r}; choose {', '.join(PARADIGMS)}")
    read = {name: read_lengths(path) for name, path in (histograms or {}).items() if path is not None}
    given = {name: value for name, value in options.items() if value is not None}
    if both := sorted(read.keys() & given.keys()):
        raise InputError(f"{flag(both[0])} and a histogram of these lengths; give one of them")
    exact = given | read
    check_options(paradigm, set(exact), accounting, old_logprob_pass)
    if not 0 <= steps < math.inf:
        raise InputError(f"steps is {steps}; give a number of 0 or more")

    def total(values: dict) -> float:
        return paradigm_step(arch, paradigm, accounting, old_logprob_pass, **values) * steps / EXA

    means = {name: mean for name, (mean, _) in read.items()}
    result = {"exaflops": total(given | means)}
    if read:
        result |= {"exaflops_exact": total(exact)} | means
    return result | {"accounting": accounting, "paradigm": paradigm}


def spent(exaflops: float, peak: float | None, mfu: float | None, price: float | None) -> dict[str, float]:
    """``gpu_hours`` of so many exaFLOPs and ``cost`` in USD, as far as there are numbers for them.

    ``peak`` is the TFLOP/s of one GPU, ``mfu`` the share of it that is reached, ``price`` the USD of a GPU-hour.
    InputError when one is impossible or lacks the others.
    """
    if peak is None and mfu is None and price is None:
        return {}
    if peak is None or mfu is None:
        raise InputError(
            f"{'--peak' if peak is None else '--mfu'} is missing; GPU-hours take --peak and --mfu"
        )
    if not (0 < peak < math.inf and 0 < mfu <= 1):
        raise InputError(
            f"--peak is {peak:g}, --mfu {mfu:g}; give TFLOP/s above 0 and a share above 0, up to 1"
        )
    hours = gpu_hours(exaflops, peak * 1e12, mfu)
    if price is None:
        return {"gpu_hours": hours}
    if not 0 <= price < math.inf:
        raise InputError(f"--price is {price:g}; give the USD of a GPU-hour, 0 or more")
    return {"gpu_hours": hours, "cost": hours * price}


def read_lengths(path: str | Path) -> tuple[float, float]:
    """Mean and mean square of the sequence lengths in a csv file of ``length`` (tokens) and ``count``."""
    table = read_csv(path)
    if missing := {"length", "count"} - set(table.columns):
        raise InputError(f"{path}: no column {', '.join(sorted(missing))}; it needs length, count")
    length, count = numbers(table, "length"), numbers(table, "count")
    refuse(table, (length <= 0) | (length > LARGEST), "length", "give tokens, more than 0")
    refuse(table, ~count.between(0, LARGEST), "count", "give a number of sequences, 0 or more")
    if not count.sum():
        raise InputError(f"{path}: no sequences; give a length with a count above 0")
    share = count / count.sum()
    return float((share * length).sum()), float((share * length**2).sum())


def check_options(paradigm: str, given: set[str], accounting: str, old_logprob_pass: bool) -> None:
    """Raises InputError unless exactly the options of the paradigm are given."""
    needed = list(inspect.signature(PARADIGMS[paradigm]).parameters)
    listed = f"{paradigm} takes {', '.join(map(flag, needed))}"
    if unused := sorted(given - set(needed)):
        raise InputError(f"{flag(unused[0])} is no option of {paradigm}; {listed}")
    if missing := [name for name in needed if name not in given]:
        raise InputError(f"{flag(missing[0])} is missing; {listed}")
    if old_logprob_pass and paradigm in ("sft", "evaluation"):
        raise InputError(f"--old-logprob-pass is no option of {paradigm}; {listed}")
    if old_logprob_pass and accounting == "retu":
        raise InputError("--old-logprob-pass is not charged by retu; add --accounting strict")


def flag(name: str) -> str:
    """An option as it is typed."""
    return "--" + name.replace("_", "-")
