"""RETU's released curves: the pickled caches of its analysis, and tables of the same points.

A pickle holds one of these; where it does not name the data set, its file name begins with it:

- ``{exaflops: {benchmark: score}}``, the SFT sweep of a data set
  (``<set>_flops2valPerform_sft_dict.pkl``);
- ``{sft_step: {exaflops: {benchmark: score}}}``, RL runs that branch off at these SFT steps, with
  the exaFLOPs since the branch (``<set>_step2flops2valPerform_dapo_ckpt<step>.pkl``);
- ``{set: either}``.

A table (csv) has the columns ``dataset, sft_step, p_sft, rl_exaflops`` or ``dataset, sft_step,
sft_exaflops`` and one per benchmark.  Scores are in points.

A pickle can run any code.  These are read by an interpreter of the opcodes that nested dicts,
lists, tuples, texts and numbers need.  It calls nothing: of all globals it understands numpy's
``scalar`` and ``dtype``, and rebuilds their numbers from the bytes.

Deviations
----------
- SFT sweeps are keyed by compute alone.  As in the released code, the checkpoint of a step is the
  one within 0.2 exaFLOPs of the step's compute (Eq. 21), which is not rounded here.
- The released code rounds the weighted score to 0.01 and leaves unmeasured benchmarks out of it.
"""

import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint import checks, flops
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
MAX_INT = 10**300

Points = dict[float, dict[str, float]]
"""exaflops: {benchmark: score}."""


def read_caches(paths: list[str]) -> pd.DataFrame:
    """Points of pickled caches; a directory stands for every ``*.pkl`` below it.

    Returns
    -------
    DataFrame
        Columns run (``<set>`` for the SFT sweep, ``<set>-<sft step>`` for RL), phase, step (known
        only at 0), exaflops, exaflops_total, benchmark, score, and where, which names the row in
        errors.  An RL run's start, at exaflops 0, comes from the SFT sweep of its set.

    Raises
    ------
    InputError
        Naming the file, and the global or opcode refused, or the nesting found.
    """
    files = [
        file
        for path in map(Path, paths)
        for file in (sorted(path.rglob("*.pkl")) if path.is_dir() else [path])
    ]
    if not files:
        raise InputError(f"{', '.join(paths)}: no .pkl file there; give the caches or their directory")
    curves: dict[tuple[str, int | None], tuple[Points, Path]] = {}
    for file in files:
        for name, step, points in _curves(unpickle(file), file):
            if (name, step) in curves:
                raise InputError(f"{file}: holds a curve of {curves[name, step][1]} again; give it once")
            curves[name, step] = points, file
    rows = []
    for (name, step), (points, file) in curves.items():
        if step is None:
            rows += _rows(name, "sft", points, 0.0, file)
        else:
            spent = _sft_exaflops(name, step)
            start = _nearest(curves.get((name, None), ({},))[0], spent)
            rows += _rows(f"{name}-{step}", "rl", {0.0: start} | points, spent, file)
    return pd.DataFrame(rows)


def _rows(run: str, phase: str, points: Points, spent: float, file: Path) -> list[dict]:
    return [
        {"run": run, "phase": phase, "step": 0 if exaflops == 0 else None, "exaflops": float(exaflops),
         "exaflops_total": spent + exaflops, "benchmark": benchmark, "score": float(score),
         "where": f"{file}, run {run} at {exaflops} exaFLOPs, {benchmark}"}
        for exaflops, scores in points.items()
        for benchmark, score in scores.items()
    ]  # fmt: skip


def _sft_exaflops(name: str, step: int) -> float:
    """Compute of ``step`` SFT steps on the set, NaN for a set that is not RETU's."""
    costs = {
        known: flops.sft_step(flops.BUNDLED["Qwen2.5-7B"], batch, length) / flops.EXA
        for known, batch, length in SETS.values()
    }
    return step * costs.get(name, np.nan) if step else 0.0


def _nearest(sweep: Points, exaflops: float) -> dict[str, float]:
    """The sweep's scores at this compute; none if no checkpoint is that near."""
    near = [key for key in sweep if abs(key - exaflops) <= NEAREST]
    return sweep[min(near, key=lambda key: abs(key - exaflops))] if near else {}


def _curves(value, file: Path) -> Iterator[tuple[str, int | None, Points]]:
    """(set, SFT step or None for the sweep, points) of every curve in an unpickled cache."""
    own = re.sub(r"_(step2)?flops2valPerform.*", "", file.stem)
    named = isinstance(value, dict) and bool(value) and all(isinstance(key, str) for key in value)
    for name, inner in (value if named else {own: value}).items():
        by_step = {None: inner} if _is_points(inner) else inner
        good = isinstance(by_step, dict) and all(
            (step is None or (type(step) is int and step >= 0)) and _is_points(points)
            for step, points in by_step.items()
        )
        if not good or not by_step or not name.isprintable():
            raise InputError(
                f"{file}: a {nesting(value)}; wanted exaflops: {{benchmark: score}}, "
                "or sft step: {exaflops: {benchmark: score}}, or data set: {either}"
            )
        for step, points in by_step.items():
            yield SETS.get(name, (name,))[0], step, points


def _is_points(value) -> bool:
    return isinstance(value, dict) and bool(value) and all(
        _is_number(exaflops) and isinstance(scores, dict) and bool(scores)
        and all(isinstance(name, str) and name.isprintable() and _is_number(score) for name, score in scores.items())
        for exaflops, scores in value.items()
    )  # fmt: skip


def _is_number(value) -> bool:
    """Whether it is a float, or an int that has a float."""
    return type(value) is float or (type(value) is int and abs(value) < MAX_INT)


def nesting(value, depth: int = 4) -> str:
    """The types of nested containers along their first entries, such as ``dict of 2 by int > float``."""
    if not isinstance(value, dict | list | tuple) or not value or not depth:
        return type(value).__name__
    first = next(iter(value))
    if not isinstance(value, dict):
        return f"{type(value).__name__} of {len(value)} > {nesting(first, depth - 1)}"
    return f"dict of {len(value)} by {type(first).__name__} > {nesting(value[first], depth - 1)}"


SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
LITERALS |= {"BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES"}
CODES = {"i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


@dataclass
class _Dtype:
    """A number's type in a pickle, which sets the byte order after it made the type."""

    code: str
    order: str = "="


def unpickle(path: Path):
    """The nested dicts, lists, texts and numbers of a pickle (protocol 2 or later).

    Raises
    ------
    InputError
        For a global other than numpy's ``scalar`` and ``dtype``, an opcode that such data do not
        need, a number that is none, and a file that is cut off or no pickle.
    """
    try:
        return _interpret(path.read_bytes(), str(path))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a .pkl file") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: no pickle, or not all of it; fetch it again") from error


def _interpret(data: bytes, name: str):
    stack: list = []
    marks: list[int] = []
    memo: dict = {}

    def refuse(what: str):
        raise InputError(
            f"{name}: refused {what}; only dicts, lists, texts, numbers and numpy's scalar and dtype are read"
        )

    def pop(count: int) -> list:
        values = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        return values

    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                marks.append(len(stack))
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case constant if constant in CONSTANTS:
                stack.append(CONSTANTS[constant])
            case literal if literal in LITERALS:
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "TUPLE":
                stack.append(tuple(pop(len(stack) - marks.pop())))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(pop(int(opcode.name[-1]))))
            case "APPEND":
                [value] = pop(1)
                stack[-1].append(value)
            case "APPENDS":
                values = pop(len(stack) - marks.pop())
                stack[-1].extend(values)
            case "SETITEM" | "SETITEMS":
                items = pop(2 if opcode.name == "SETITEM" else len(stack) - marks.pop())
                for key, value in zip(items[::2], items[1::2], strict=True):
                    # Hashing a tuple nested a million deep ends the process.
                    if type(key) not in (str, int, float):
                        refuse(f"a dict key of type {type(key).__name__}")
                    stack[-1][key] = value
            case "GLOBAL" | "STACK_GLOBAL":
                parts = argument.split(" ") if opcode.name == "GLOBAL" else pop(2)
                function = ".".join(parts)
                if function not in (*SCALARS, "numpy.dtype"):
                    refuse(f"the global {function:.80}")
                stack.append(function)
            case "REDUCE":
                function, arguments = pop(2)
                stack.append(_reduced(function, arguments, refuse))
            case "BUILD":
                [state] = pop(1)
                if not isinstance(stack[-1], _Dtype) or state[1] not in ("<", ">", "|", "="):
                    refuse("a state that is no byte order")
                stack[-1].order = state[1]
            case other:
                refuse(f"the opcode {other}")
    [value] = stack
    return value


def _reduced(function: str, arguments: tuple, refuse):
    """What numpy's dtype or scalar would make of its arguments: a type, or a Python number."""
    if function == "numpy.dtype":
        code = arguments[0]
        if type(code) is not str or code not in CODES:
            refuse(f"the numpy type {code if type(code) is str else type(code).__name__:.40}")
        return _Dtype(code)
    if function not in SCALARS:
        refuse("a call of what is no function")
    dtype, data = arguments
    [number] = np.frombuffer(data, dtype.order + dtype.code)
    return number.item()


def read_tables(paths: list[str]) -> pd.DataFrame:
    """Points of published tables (csv): the rows of ``read_caches``, with the SFT steps.

    An RL run starts at its p_sft; its other benchmarks start where the SFT table has that checkpoint.

    Raises
    ------
    InputError
        Naming the row, or the columns that the table lacks.
    """
    rows = pd.concat([_table(path) for path in paths], ignore_index=True)
    # Step 0 is the base model, whatever the set.
    rows["branch"] = rows["dataset"].where(rows["sft_step"] > 0, "base")
    checkpoint = ["branch", "sft_step"]
    sft = rows[rows["phase"] == "sft"].drop_duplicates([*checkpoint, "benchmark"])
    branches = rows[rows["phase"] == "rl"].drop_duplicates("run")
    measured = sft.loc[sft["benchmark"] != "overall", [*checkpoint, "benchmark", "score"]]
    starts = [
        branches.assign(score=branches.get("p_sft"), benchmark="overall"),
        branches.drop(columns=["benchmark", "score"]).merge(measured, on=checkpoint),
    ]
    rows = pd.concat([rows, *(start.assign(exaflops=0.0, step=0) for start in starts)], ignore_index=True)
    spent = sft.drop_duplicates(checkpoint).set_index(checkpoint)["exaflops"]
    spent = spent.reindex(pd.MultiIndex.from_frame(rows[checkpoint])).to_numpy(copy=True)
    spent[(rows["sft_step"] == 0) | (rows["phase"] == "sft")] = 0.0
    return rows.assign(exaflops_total=rows["exaflops"] + spent)


def _table(path: str) -> pd.DataFrame:
    """One published table, a row per benchmark."""
    table = checks.read_csv(path)
    is_rl = "rl_exaflops" in table
    columns = ["dataset", "sft_step", *(["p_sft", "rl_exaflops"] if is_rl else ["sft_exaflops"])]
    table["run"] = table.get("dataset")
    checks.check_columns(table, columns, path)
    for column in table.columns.drop(["dataset", "run"]):
        table[column] = checks.numbers(table, column)
    checks.refuse(
        table, (table["sft_step"] < 0) | (table["sft_step"] % 1 != 0), "sft_step", "give a whole number"
    )
    table["sft_step"] = table["sft_step"].astype(int)
    if is_rl:
        table["run"] = [
            f"{name}-{step}" for name, step in zip(table["dataset"], table["sft_step"], strict=True)
        ]
        first = table.groupby("run")["p_sft"].transform("first")
        checks.refuse(table, table["p_sft"] != first, "p_sft", "its run began with another; give one")
    table = table.assign(phase="rl" if is_rl else "sft", step=None if is_rl else table["sft_step"])
    table["where"] = [
        f"{path}: row {row + 1} (line {row + 2}, run {run})" for row, run in enumerate(table["run"])
    ]
    table = table.rename(columns={columns[-1]: "exaflops"})
    kept = ["run", "phase", "step", "dataset", "sft_step", "p_sft", "exaflops", "where"]
    return table.melt([name for name in kept if name in table], var_name="benchmark", value_name="score")
