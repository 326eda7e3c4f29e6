"""RETU's released curves: the pickled caches of its analysis, and tables of the same points.

A cache nests dicts as ``[set >] [SFT step >] exaflops > benchmark > score``:

- without the SFT step it is the SFT sweep of a data set (``<set>_flops2valPerform_sft_dict.pkl``);
- with it, RL runs that branch off there, by the exaFLOPs since
  (``<set>_step2flops2valPerform_dapo_ckpt<step>.pkl``);
- without the set, the file's name begins with it.

A table (csv) has the columns ``dataset, sft_step, p_sft, rl_exaflops`` or ``dataset, sft_step,
sft_exaflops``, and one per benchmark.  Scores are in points.

A pickle can name any function and have it called.  Here it can name two, numpy's ``scalar`` and
``dtype``, and gets stand-ins that rebuild a number from its bytes.  A hostile file may still waste
memory or end the process; it runs nothing.

Deviations
----------
- SFT sweeps are keyed by compute alone.  As in the released code, the checkpoint of a step is the
  nearest within 0.2 exaFLOPs of the step's compute (Eq. 21), which is not rounded here.
- The released code rounds the weighted score to 0.01 and leaves unmeasured benchmarks out of it.
"""

import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import flops, tables
from switchpoint.errors import InputError

WEIGHTS = {"gsm8k": 1317, "olympiad_bench": 291, "math": 237, "minerva": 262, "aime": 25, "aime25": 25}
"""Problems per benchmark, the weights of RETU's overall score."""
SETS = {
    "general": ("SFT889K", 512, 3771),
    "uniform102K": ("Uniform102K", 512, 3747),
    "hard102K": ("Hard102K", 512, 8633),
    "easy102K": ("Easy102K", 512, 2217),
    "s1K": ("S1K", 16, 10011),
}
"""Name in the caches: (name in the paper, SFT batch size, mean length in tokens)."""
NEAREST = 0.2
ROW = ["dataset", "run", "phase", "spent", "exaflops", "benchmark", "score", "where"]


def read_caches(paths: list[str]) -> pd.DataFrame:
    """Points of pickled caches; a directory stands for every ``*.pkl`` below it.

    Columns run (``<set>`` for the SFT sweep, ``<set>-<SFT step>`` for RL), phase, spent (exaFLOPs of the SFT
    before), exaflops, benchmark, score, p_start (of RL: the sweep's score where the run branches off, NaN
    without), and where, which names the row in errors.  InputError names the file, and the global refused or
    the nesting found.
    """
    caches = [sorted(path.rglob("*.pkl")) if path.is_dir() else [path] for path in map(Path, paths)]
    rows = pd.DataFrame(
        [row for files in caches for file in files for row in cache_points(file)], columns=ROW
    )
    rows = rows.astype({"spent": float, "exaflops": float, "score": float}).sort_values("spent")
    sweep = rows[rows["phase"] == "sft"]
    starts = sweep.assign(spent=sweep["exaflops"], p_start=sweep["score"]).dropna().sort_values("spent")
    branches = pd.merge_asof(
        rows[rows["phase"] == "rl"], starts[["dataset", "benchmark", "spent", "p_start"]],
        on="spent", by=["dataset", "benchmark"], direction="nearest", tolerance=NEAREST,
    )  # fmt: skip
    return pd.concat([sweep, branches], ignore_index=True).replace({"spent": {np.inf: np.nan}})


def cache_points(file: Path) -> Iterator[tuple]:
    """A ``ROW`` of every score in a cache; spent is infinite where the set is not RETU's."""
    model = flops.BUNDLED["Qwen2.5-7B"]
    costs = {
        name: flops.paradigm_step(model, "sft", batch_size=batch, mean_length=length) / flops.EXA
        for name, batch, length in SETS.values()
    }
    own = re.sub(r"_(step2)?flops2valPerform.*", "", file.stem)
    for leaf in cache_leaves(unpickle(file)):
        named = leaf if isinstance(leaf[0], str) else (own, *leaf)
        match named if len(named) == 5 else (named[0], None, *named[1:]):
            case (str(key), int() | None as step, exaflops, str(benchmark), score) if (
                all(map(is_number, (step or 0, exaflops, score))) and (key + benchmark).isprintable()
            ):
                name = SETS.get(key, (key,))[0]
                where = f"{file}, SFT step {step}, {exaflops} exaFLOPs, {benchmark}"
                if step is None:
                    yield name, name, "sft", 0.0, exaflops, benchmark, score, where
                else:
                    spent = step * costs.get(name, np.inf) if step else 0.0
                    yield name, f"{name}-{step}", "rl", spent, exaflops, benchmark, score, where
            case _:
                raise InputError(
                    f"{file}: holds {' > '.join(type(part).__name__ for part in leaf)}; "
                    "wanted [set >] [SFT step >] exaflops > benchmark > score"
                )


def cache_leaves(value, *keys) -> Iterator[tuple]:
    """(key, .., value) of everything in nested dicts, to the depth that a cache has."""
    if not isinstance(value, dict) or not value or len(keys) == 4:
        yield *keys, value
        return
    for key, inner in value.items():
        yield from cache_leaves(inner, *keys, key)


def is_number(value) -> bool:
    """Whether it is a float, or an int that has a float."""
    return type(value) is float or (type(value) is int and abs(value) < 10**300)


CODES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
BROKEN = (
    pickle.UnpicklingError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    ArithmeticError, MemoryError, RecursionError,
)  # fmt: skip
"""What unpickling raises on files that are cut off, damaged or no pickles."""


class NumberType:
    """Stands for ``numpy.dtype``: the code of a number's type, and the byte order that its state sets."""

    order = "="

    def __init__(self, code, *flags):
        if code not in CODES:
            raise pickle.UnpicklingError(f"refused the numpy type {code!r:.40}")
        self.code = code

    def __setstate__(self, state):
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("refused a numpy type's state that is no byte order")
        self.order = state[1]


def number_of(dtype: NumberType, data: bytes) -> int | float:
    """Stands for numpy's ``scalar``: the Python number in these bytes."""
    [number] = np.frombuffer(data, dtype.order + dtype.code)
    return number.item()


class GuardedUnpickler(pickle.Unpickler):
    """An unpickler of numbers: the two globals that they need get stand-ins, every other is refused."""

    def find_class(self, module: str, name: str):
        """The stand-in for a global."""
        if (module, name) == ("numpy", "dtype"):
            return NumberType
        if name == "scalar" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            # A new function each time: a pickle may set attributes of what it is given.
            return lambda dtype, data: number_of(dtype, data)
        raise pickle.UnpicklingError(f"refused the global {f'{module}.{name}'!r:.80}")


def unpickle(path: Path):
    """The nested dicts, lists, texts and numbers of a pickle, InputError if it holds anything else."""
    try:
        with path.open("rb") as file:
            return GuardedUnpickler(file).load()
    except BROKEN as error:
        wanted = "give a whole pickle of nothing but dicts, lists, texts and numbers"
        raise InputError(f"{path}: {' '.join(str(error).split())}; {wanted}") from error


def read_tables(paths: list[str]) -> pd.DataFrame:
    """Points of published tables (csv): the columns of ``read_caches``, and step.

    An RL run starts at its p_sft; its other benchmarks start where the SFT table has that checkpoint.
    InputError names the row, or the columns that the table lacks.
    """
    rows = pd.concat([read_table(path) for path in paths], ignore_index=True)
    # Step 0 is the base model, whatever the set.
    rows["checkpoint"] = rows["dataset"].where(rows["sft_step"] > 0, "base")
    keys = ["checkpoint", "sft_step", "benchmark"]
    sft, rl = rows[rows["phase"] == "sft"], rows[rows["phase"] == "rl"]
    starts = sft.drop_duplicates(keys).rename(columns={"exaflops": "spent", "score": "p_start"})
    rl = rl.merge(starts[[*keys, "spent", "p_start"]], "left", keys)
    rl["spent"] = rl["spent"].mask(rl["sft_step"] == 0, 0.0)
    rl["p_start"] = rl["p_start"].mask(rl["benchmark"] == "overall", rl.get("p_sft"))
    return pd.concat([sft.assign(spent=0.0, step=sft["sft_step"]), rl], ignore_index=True)


def read_table(path: str) -> pd.DataFrame:
    """One published table, a row per benchmark."""
    table = tables.read_csv(path)
    phase, columns = "sft", ["dataset", "sft_step", "sft_exaflops"]
    if "rl_exaflops" in table:
        phase, columns = "rl", ["dataset", "sft_step", "p_sft", "rl_exaflops"]
    tables.check_columns(table, columns, path)
    table = table.rename(columns={columns[-1]: "exaflops"}).assign(phase=phase)
    table["sft_step"] = tables.numbers(table, "sft_step")
    branch = "-" + table["sft_step"].map("{:g}".format) if phase == "rl" else ""
    table["run"] = table["dataset"].astype(str) + branch
    table["where"] = [f"{path}: line {line}, run {run}" for line, run in table["run"].items()]
    kept = ["dataset", "run", "phase", "sft_step", *columns[2:-1], "exaflops", "where"]
    return table.melt(kept, var_name="benchmark", value_name="score")
