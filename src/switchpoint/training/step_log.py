"""What a run shows of its steps: figures that repeat exactly, and how fast it was, which does not."""

import functools
import json
import time
from pathlib import Path

from switchpoint import files, flops
from switchpoint.errors import InputError, installing
from switchpoint.training.engine import ranks
from switchpoint.training.engine.torch import device_name

Work = dict[str, float]
"""``seconds`` of steps, ``tokens`` of the sequences that they generated and trained on, prompts included, and
``strict_exaflops``."""
NO_WORK: Work = {"seconds": 0.0, "tokens": 0, "strict_exaflops": 0.0}


class StepLog:
    """The log of a run's steps: JSON lines beside the job's ``log``, and TensorBoard's files in ``tensorboard``.

    The lines depend on nothing but the job: those of a run that was killed and resumed are those of one that was not.
    """

    def __init__(self, run_name: str, log: str | None = None, tensorboard: str | None = None):
        if not ranks.is_main():
            log = tensorboard = None
        self.path = Path(log).with_suffix(".jsonl") if log else None
        self.open = functools.partial(summary_writer(), Path(tensorboard, run_name)) if tensorboard else None
        self.writer = None

    def add(self, line: dict, total: Work, started: float, tokens: int, strict_flops: float) -> None:
        """A step that ``started`` then (``time.monotonic``) has ended: it counts in the run's total, and is shown.

        The first one purges what a killed attempt wrote in TensorBoard's files from there on.
        """
        seconds = time.monotonic() - started
        work = {"seconds": seconds, "tokens": tokens, "strict_exaflops": strict_flops / flops.EXA}
        for name, value in work.items():
            total[name] += value
        if self.open is None:
            return
        self.writer = self.writer or self.open(purge_step=line["step"])
        for tag, value in (line | rates(work)).items():
            if tag != "step":
                self.writer.add_scalar(tag, value, line["step"])

    def write(self, lines: list[dict]) -> None:
        """All lines so far, atomically; call it when the state that holds them is saved."""
        if self.path is not None:
            files.write_text(self.path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
        if self.writer is not None:
            self.writer.flush()


def summary_writer() -> type:
    """TensorBoard's writer; InputError without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            f"--tensorboard needs the package tensorboard ({error}): {installing('tensorboard')}"
        ) from None
    return SummaryWriter


def rates(work: Work) -> dict[str, float]:
    """``tokens_per_second`` and, on a device of known peak, ``mfu``: the share of its bf16 FLOP/s (``flops.PEAKS``), of
    all ranks' devices."""
    if not work["seconds"]:
        return {}
    found = {"tokens_per_second": work["tokens"] / work["seconds"]}
    if peak := flops.PEAKS.get(device_name()):
        found["mfu"] = work["strict_exaflops"] * flops.EXA / work["seconds"] / (peak * ranks.world())
    return found


def throughput(total: Work) -> dict:
    """A run's total over the steps of all attempts that were kept, and its rates on the last attempt's device."""
    return {**total, **rates(total), "device": device_name()}
