"""What DeepSpeed costs beside plain torch: updates of SFT on the same batches, on one process.

``python benchmarks/engines.py [--size tiny|10M] [--turns 15]``.  Both engines compute the same loss of the same model (that
their losses agree is shown); in turn, step by step.  ``DeepSpeed`` is the share of a step's CPU time spent in DeepSpeed's own
functions, by the profiler's exclusive times of its modules' Python code and of the collectives.
"""

import cProfile
import pstats
import statistics
import time
from pathlib import Path

from side_by_side import WARM_UP, scratch_models, settings, sft_run, show

from switchpoint.data import order
from switchpoint.study.config import EngineSettings
from switchpoint.training import models
from switchpoint.training.engine.open import open_engine
from switchpoint.training.sft import SftRun, mean_loss


def measure(run: SftRun, model: Path, turns: int, stage: int) -> list[str]:
    """The table's row of a ZeRO stage."""
    steps = WARM_UP + turns
    choices = EngineSettings(), EngineSettings(by="deepspeed", zero_stage=stage)
    engines = [open_engine(one, models.load(model).model, run.job.optimizer, 0) for one in choices]
    seconds: list[list[float]] = [[], []]
    losses, profile = [0.0, 0.0], cProfile.Profile()
    for step in range(steps):
        rows = order.rows(len(run.examples), run.job.seed, step * run.job.batch_size, run.job.batch_size)
        batch = [run.examples[row] for row in rows]
        for which, engine in enumerate(engines):
            began = time.perf_counter()
            losses[which] += engine.step(batch, mean_loss)["loss"] / steps
            seconds[which].append(time.perf_counter() - began)
    profile.runcall(engines[1].step, batch, mean_loss)
    entries = pstats.Stats(profile).stats.items()
    total = sum(entry[2] for _, entry in entries)
    own = sum(entry[2] for (file, _, _), entry in entries if "/deepspeed/" in file)
    ours, theirs = (statistics.median(one[WARM_UP:]) for one in seconds)
    ratios = [b / a for a, b in zip(*(one[WARM_UP:] for one in seconds), strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return [
        f"ZeRO-{stage}",
        *(f"{loss:.4f}" for loss in losses),
        f"{ours:.3f}",
        f"{theirs:.3f}",
        spread,
        f"{own / total:.0%}",
    ]


def main() -> None:
    """Measures the model of the asked size and prints the table."""
    options = settings(__doc__, ["deepspeed"])
    with scratch_models(options.size) as directories:
        model, scratch = directories["base" if options.size == "tiny" else "10M"], directories["scratch"]
        run = sft_run(model, scratch)
        rows = [measure(run, model, options.turns, stage) for stage in (1, 2, 3)]
    show(
        ["engine", "torch's loss", "its loss", "torch's seconds", "its seconds", "ratio", "in DeepSpeed"],
        rows,
    )


if __name__ == "__main__":
    main()
