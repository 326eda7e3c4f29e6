"""The one grammar of names: what an RL run starts from, and what a run is called.

A run is called by its directory under ``results/<study>``: ``base``, ``sft/<set>/seed_<s>`` or
``rl/<algorithm>/<start>/seed_<s>``, where ``<start>`` is ``base``, ``<set>-<step>`` or
``<set>-<name>`` with one of ``NAMED_STARTS``.
"""

import dataclasses
import re

from switchpoint.errors import InputError

NAMED_STARTS = ("min_val_loss",)
SET = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Start:
    """What an RL run starts from: the base model (no set), or a checkpoint of the SFT on a set."""

    set: str | None = None
    step: int | None = None
    name: str | None = None  # of a start that a selection file resolves to a step

    @classmethod
    def parse(cls, text: str) -> "Start":
        """The start that ``text`` names; InputError when it is neither ``base`` nor ``<set>-<step>``."""
        if text == "base":
            return cls()
        name, _, which = text.rpartition("-")
        if SET.fullmatch(name) and which.isdecimal():
            return cls(name, step=int(which))
        if SET.fullmatch(name) and which in NAMED_STARTS:
            return cls(name, name=which)
        raise InputError(f"start {text!r} is neither `base` nor <set>-<step> nor <set>-{NAMED_STARTS[0]}")

    def __str__(self) -> str:
        if self.set is None:
            return "base"
        return f"{self.set}-{self.name if self.step is None else self.step}"


@dataclasses.dataclass(frozen=True)
class RunName:
    """A run's phase (``base``, ``sft`` or ``rl``) and what tells it apart within the phase."""

    phase: str
    seed: int | None = None
    set: str | None = None
    algorithm: str | None = None
    start: Start | None = None

    @classmethod
    def parse(cls, text: str) -> "RunName":
        """The parts of a run's name; InputError when it is none."""
        match text.split("/"):
            case ["base"]:
                return cls("base")
            case ["sft", name, seed] if SET.fullmatch(name):
                return cls("sft", parse_seed(seed, text), set=name)
            case ["rl", algorithm, start, seed]:
                parsed = Start.parse(start)
                return cls("rl", parse_seed(seed, text), parsed.set, algorithm, parsed)
        raise InputError(
            f"{text!r} is no run; runs are base, sft/<set>/seed_<s>, rl/<algorithm>/<start>/seed_<s>"
        )

    @property
    def parent(self) -> str | None:
        """The name of the run that this one starts from; None for the base model."""
        if self.phase == "base":
            return None
        return "base" if self.phase == "sft" or self.set is None else str(RunName("sft", self.seed, self.set))

    def __str__(self) -> str:
        parts = {"base": ("base",), "sft": ("sft", self.set), "rl": ("rl", self.algorithm, self.start)}[
            self.phase
        ]
        return "/".join(map(str, parts if self.seed is None else (*parts, f"seed_{self.seed}")))


def parse_seed(text: str, run: str) -> int:
    """The number in ``seed_<s>``; InputError naming the run when there is none."""
    number = text.removeprefix("seed_")
    if number == text or not number.isdecimal():
        raise InputError(f"run {run!r}: {text!r} is no seed_<s>")
    return int(number)
