"""The compute of a run from its log, on any axis: FLOPs, tokens, steps, seconds or GPU-hours.

- ``exaflops:TAG``: a tag of exaFLOPs.
- ``tokens:TAGxMODEL``: a tag of processed tokens (prompt and response, padding not) times the FLOPs of a token in the
  papers' accounting (``flops.step``, ``retu``): in RL one forward pass where it is generated and three where it is
  trained on, in SFT the three.  Attention scores are counted with ``mean_length`` alone.
- ``steps``: the steps themselves.  ``seconds[:TAG]``: of the log's own tag, else its wall clock.
- ``gpu-hours:PEAKxMFU[:TAG]``: PEAK dense TFLOP/s of a GPU, MFU the share of it that is used; the hours are the seconds
  times the number of GPUs, or a tag of GPU-hours.

A tag is per step or cumulative.  One that falls or is constant is per step; one that rises in proportion to
the steps is cumulative; else the definition of a known tag decides, or the user.  A value per step that is logged every
n steps stands for these n.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import flops
from switchpoint.errors import InputError
from switchpoint.importer import tags
from switchpoint.importer.values import CLOCK
from switchpoint.tables import listed

UNITS = {
    "exaflops": "exaflops",
    "tokens": "exaflops",
    "gpu-hours": "exaflops",
    "steps": "steps",
    "seconds": "seconds",
}
FORMS = "exaflops[:TAG], tokens:TAGxMODEL, steps, seconds[:TAG] or gpu-hours:PEAKxMFU[:TAG]"
RARELY = 0.1  # of its records, in which a count of what was spent may begin again
PROPORTIONAL = 1.5  # the largest ratio of two values over their steps that are in proportion
HOUR = 3600.0


@dataclass(frozen=True)
class Axis:
    """What compute is measured by; ``rate`` is the exaFLOPs of a GPU-hour."""

    kind: str
    tag: str | None = None
    model: flops.Architecture | None = None
    rate: float = 1.0

    @property
    def unit(self) -> str:
        """``exaflops``, ``steps`` or ``seconds``."""
        return UNITS[self.kind]


@dataclass(frozen=True)
class Spending:
    """What a run had spent by its steps, and in words where that comes from."""

    steps: np.ndarray
    totals: np.ndarray
    said: str

    def at(self, steps: pd.Series) -> pd.Series:
        """The compute by these steps, between two logged ones in proportion; NaN beyond the last."""
        known = np.concatenate([[0.0], self.steps]), np.concatenate([[0.0], self.totals])
        if len(self.steps) and self.steps[0] == 0:
            known = self.steps, self.totals
        return pd.Series(np.interp(steps.astype(float), *known, right=np.nan), steps.index)


def parse_axis(text: str) -> Axis:
    """The axis that ``--compute`` names; InputError says what is wrong with it, and the forms that there are."""
    kind, _, rest = text.partition(":")
    if kind in ("exaflops", "seconds"):
        return Axis(kind, rest or None)
    if kind == "steps" and not rest:
        return Axis(kind)
    if kind == "tokens":
        return tokens_axis(text, rest)
    if kind == "gpu-hours":
        return hours_axis(text, rest)
    raise InputError(f"--compute {text}: is none; give {FORMS}")


def tokens_axis(text: str, rest: str) -> Axis:
    """The axis of ``TAGxMODEL``; both may have an x themselves, so the model decides."""
    splits = [(rest[: found.start()], rest[found.end() :]) for found in re.finditer("[x×]", rest)]
    splits = [(tag, model) for tag, model in splits if tag and model]
    known = [pair for pair in splits if pair[1] in flops.BUNDLED or Path(pair[1]).exists()]
    if not splits:
        raise InputError(
            f"--compute {text}: is no tokens:TAGxMODEL; give both, as tokens:num_tokensxQwen2.5-7B"
        )
    tag, model = (known or splits)[-1]
    return Axis("tokens", tag, flops.architecture(model))


def hours_axis(text: str, rest: str) -> Axis:
    """The axis of ``PEAKxMFU[:TAG]``."""
    found = re.fullmatch(r"([\d.]+(?:e\d+)?)[x×]([\d.]+)(?::(.+))?", rest)
    try:
        peak, used = float(found[1]), float(found[2])
    except (TypeError, ValueError):
        raise InputError(
            f"--compute {text}: is no gpu-hours:PEAKxMFU; give TFLOP/s and a share, as gpu-hours:989x0.4"
        ) from None
    if not 0 < peak < 1e6:
        raise InputError(f"--compute {text}: PEAK is {peak:g}; give the dense TFLOP/s of one GPU, as 989")
    if not 0 < used <= 1:
        raise InputError(f"--compute {text}: MFU is {used:g}; give a share above 0, at most 1")
    return Axis("gpu-hours", found[3], rate=peak * 1e12 * used * HOUR / flops.EXA)


def spending(
    values: pd.DataFrame, axis: Axis, is_sft: bool, nature: str | None, gpus: float | None, mean_length: float | None,
    where: str,
) -> Spending:  # fmt: skip
    """What a run had spent, from its log's ``values`` (step, tag, value, where).

    ``nature`` is ``per step``, ``cumulative`` or None (found from the data), ``mean_length`` in tokens.  Unit: the
    axis's.  InputError names ``where`` or the place of a bad value, and the fix.
    """
    if axis.kind == "steps":
        steps = np.unique(values["step"])
        return Spending(steps, steps.astype(float), "the steps")
    logged = set(values["tag"])
    tag = axis.tag or default_tag(axis, logged, where)
    if tag not in logged:
        seen = listed(sorted(logged - {CLOCK}))
        raise InputError(f"{where}: no tag {tag} for --compute; the tags are {seen}")
    rows = values[values["tag"] == tag]
    check_costs(rows)
    if tag == CLOCK:
        return scaled(clock_spending(rows, where), axis, is_sft, gpus, mean_length)
    nature, why = (nature, "as you say") if nature else nature_of(rows, tag, where)
    if nature == "per step":
        steps, totals = summed(rows, where)
    else:
        falls = rows["value"].diff() < 0
        if falls.any() and (axis.kind == "exaflops" or not began_again(rows["value"].to_numpy())):
            fix = "the compute must be what was spent since the start"
            raise InputError(f"{rows[falls].iloc[0]['where']}: it falls; {fix}")
        before = rows["value"].shift().where(falls, 0.0).fillna(0.0).cumsum()  # a count that began again
        steps, totals = rows["step"].to_numpy(), (rows["value"] + before).to_numpy()
        if tag == "_runtime" and steps[0] == 0:
            totals = totals - totals[0]
    return scaled(Spending(steps, totals, f"{tag}, {nature} ({why})"), axis, is_sft, gpus, mean_length)


def default_tag(axis: Axis, logged: set[str], where: str) -> str:
    """The tag of an axis that names none."""
    if axis.kind == "exaflops":
        return "exaflops"
    found = [tag for tag in (*tags.SECONDS, CLOCK) if tag in logged]
    if not found:
        seen = listed(sorted(logged))
        form = "seconds:TAG" if axis.kind == "seconds" else "gpu-hours:PEAKxMFU:TAG"
        raise InputError(f"{where}: no tag of seconds is known here; give --compute {form}, of {seen}")
    return found[0]


def check_costs(rows: pd.DataFrame) -> None:
    """Raises InputError at the first value that is no finite number of 0 or more."""
    bad = ~rows["value"].between(0, np.inf, inclusive="left")
    if bad.any():
        row = rows[bad].iloc[0]
        raise InputError(f"{row['where']}: it is {row['value']:g}; a cost is a number of 0 or more")


def began_again(values: np.ndarray) -> bool:
    """Whether a count of what was spent seems to have begun again where it falls: rarely, and to less than half."""
    falls = np.diff(values) < 0
    low = values[1:][falls] < values[:-1][falls] / 2
    return falls.sum() <= max(1, RARELY * len(falls)) and bool(low.all())


def nature_of(rows: pd.DataFrame, tag: str, where: str) -> tuple[str, str]:
    """Whether a tag is ``per step`` or ``cumulative``, and why; InputError where that cannot be told."""
    rows = rows[rows["step"] > 0]
    values, steps = rows["value"].to_numpy(), rows["step"].to_numpy()
    if (falls := np.diff(values) < 0).any():
        if began_again(values) and (tag in tags.CUMULATIVE or tag not in tags.PER_STEP):
            if tag in tags.CUMULATIVE:
                return (
                    "cumulative",
                    f"by its definition; it began again {falls.sum()} times, and its parts are added",
                )
            raise InputError(
                f"{where}: {tag} may be per step or cumulative; give --per-step or --cumulative (it falls {falls.sum()} times, to "
                "less than half: then its parts are added)"
            )
        return "per step", "it falls"
    if len(values) > 1 and (values == values[0]).all():
        return "per step", "it is constant"
    ratios = values / steps
    if len(values) > 2 and (np.diff(values) > 0).all() and ratios.max() <= PROPORTIONAL * ratios.min():
        return "cumulative", "it grows with the steps"
    if tag in tags.PER_STEP or tag in tags.CUMULATIVE:
        return "per step" if tag in tags.PER_STEP else "cumulative", "by its definition"
    raise InputError(f"{where}: {tag} may be per step or cumulative; give --per-step or --cumulative")


def summed(rows: pd.DataFrame, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The steps and running sums of a tag per step."""
    rows = rows[rows["step"] > 0]
    steps = rows["step"].to_numpy()
    gaps = np.diff(steps, prepend=0)
    if len(gaps) > 1 and gaps[0] > gaps[1:].max():
        raise InputError(
            f"{where}: begins at step {steps[0]}; give what was logged before, too, as parts with --one-run"
        )
    return steps, np.cumsum(rows["value"].to_numpy() * gaps)


def clock_spending(rows: pd.DataFrame, where: str) -> Spending:
    """The seconds by the wall clock; those before the first record as the others' mean."""
    steps, seconds = rows["step"].to_numpy(), rows["value"].to_numpy()
    if len(steps) < 2 or (np.diff(seconds) < 0).any():
        raise InputError(
            f"{where}: its clock goes back, or it has one step; give --compute with a TAG of seconds"
        )
    seconds = seconds - seconds[0]
    before = steps[0] * seconds[-1] / (steps[-1] - steps[0])
    said = "the wall clock of its records, pauses and all" + (
        f" (the first {steps[0]} steps as the others' mean)" if before else ""
    )
    return Spending(steps, seconds + before, said)


def scaled(
    spent: Spending, axis: Axis, is_sft: bool, gpus: float | None, mean_length: float | None
) -> Spending:
    """The spending in the axis's unit."""
    if axis.kind == "tokens":
        sums = (1.0, mean_length or 0.0)
        per_token = flops.step(axis.model, (0.0, 0.0) if is_sft else sums, sums)
        passes = "3 passes" if is_sft else "4 passes"
        attention = f"attention at {mean_length:g} tokens" if mean_length else "attention left out"
        said = f"{spent.said}, times {per_token:.4g} FLOPs a token ({passes}, {attention})"
        return Spending(spent.steps, spent.totals * (per_token / flops.EXA), said)
    if axis.kind == "gpu-hours":
        if axis.tag is None and gpus is None:
            raise InputError(
                "--compute gpu-hours needs the number of GPUs; give --gpus N, or a tag of GPU-hours"
            )
        hours = spent.totals if axis.tag else spent.totals * (gpus / HOUR)
        said = f"{spent.said}, times {axis.rate:.4g} exaFLOPs a GPU-hour"
        return Spending(spent.steps, hours * axis.rate, said)
    return spent
