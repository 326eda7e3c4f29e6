"""``runs.csv`` of runs that are called as a study calls them."""

from collections.abc import Iterable

import pandas as pd

from switchpoint.study.names import RunName


def runs_of(names: Iterable[str], **steps: int) -> pd.DataFrame:
    """A row per run; ``steps`` are those that named starts resolve to."""
    rows = []
    for run in dict.fromkeys(names):
        name = RunName.parse(run)
        step = name.start and (steps.get(name.start.name, 0) if name.start.step is None else name.start.step)
        rows.append({
            "run": run, "parent": name.parent, "set": name.set, "seed": name.seed,
            "algorithm": {"base": None, "sft": "sft"}.get(name.phase, name.algorithm),
            "start_step": {"base": None, "sft": 0}.get(name.phase, step or 0),
            "sft_exaflops": 0.0, "status": "finished",
        })  # fmt: skip
    return pd.DataFrame(rows)
