"""Benchmark slices: gathered, and split into monitoring and test problems."""

import pandas as pd

from switchpoint.data import records
from switchpoint.errors import InputError
from switchpoint.study.jobs import Slice


def gather(
    benchmarks: dict[str, Slice], sources: dict[str, pd.DataFrame], others: list[pd.DataFrame]
) -> pd.DataFrame:
    """All slices in one table; column ``benchmark`` names the slice, ids are prefixed with it.

    No problem comes twice, and none that is in one of the ``others``.
    """
    slices = []
    for name, benchmark in benchmarks.items():
        rows = sources[benchmark.source].copy()
        rows["id"] = f"{name}/" + rows["id"].astype(str)
        slices.append(rows.assign(benchmark=name))
    rows = pd.concat(slices, ignore_index=True)
    rows["answer"] = records.alike(rows["answer"])
    known = {problem for table in others for problem in table["key"]}
    return rows[~rows["key"].duplicated() & ~rows["key"].isin(known)].reset_index(drop=True)


def split(kept: pd.DataFrame, benchmarks: dict[str, Slice]) -> pd.DataFrame:
    """Marks each slice's first ``monitor`` problems as ``monitor``, the others as ``test``.

    InputError when a slice has no test problem left.
    """
    position = kept.groupby("benchmark").cumcount()
    limit = kept["benchmark"].map({name: benchmark.monitor for name, benchmark in benchmarks.items()})
    result = kept.assign(split=(position < limit).map({True: "monitor", False: "test"}))
    for name, benchmark in benchmarks.items():
        n = int((kept["benchmark"] == name).sum())
        if n <= benchmark.monitor:
            raise InputError(
                f"benchmark {name} keeps {n} problems after decontamination and all are for monitoring "
                f"({benchmark.monitor}); lower data.benchmarks.{name}.monitor or give it more problems"
            )
    return result
