"""Scores: everything that is derived from per-sample records, with its uncertainty.

A problem's samples are one cluster: every error and interval is over problems, slice by
slice.  ``overall`` weights the in-distribution slices by their number of unique problems
(RETU section 5.1), ``macro`` is their plain mean (Quagmires); out-of-distribution slices
are in neither.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype

from switchpoint import tables
from switchpoint.errors import InputError

# A row of samples.parquet, and how the grading of a response can end.
SAMPLE_COLUMNS = [
    "run", "step", "split", "benchmark", "id", "sample", "n_tokens", "truncated", "extracted", "verdict", "correct", "text",
]  # fmt: skip
KINDS = {
    "run": "string", "step": "integer", "split": "string", "benchmark": "string", "id": "string", "correct": "boolean",
}  # fmt: skip
STATUSES = ("graded", "unparsable", "timeout", "error")

LEVEL = 0.95
RESAMPLES = 2000
FEW_PROBLEMS = 200  # below, the bootstrap's tails are too coarse
PAIRED_COLUMNS = ["benchmark", "difference", "se", "low", "high", "p", "n"]


def pass_at_k(n: Sequence[int], c: Sequence[int], k: int) -> np.ndarray:
    """Unbiased pass@k of problems with ``c`` right of ``n`` samples, in 0..1 (Quagmires Eq. 1).

    1 - C(n - c, k) / C(n, k), as the product over i = n - c + 1 .. n of (1 - k / i); 1 where
    n - c < k.  InputError when k > n or c is not in 0..n.
    """
    n, c = np.broadcast_arrays(np.asarray(n, dtype=int), np.asarray(c, dtype=int))
    if k < 1 or (n < k).any():
        raise InputError(f"pass@{k} needs at least {k} samples of every problem; the fewest are {n.min()}")
    if (c < 0).any() or (c > n).any():
        raise InputError("a problem has more right answers than samples, or fewer than none")
    factors = {
        (total, right): np.prod(1.0 - k / np.arange(total - right + 1, total + 1))
        if total - right >= k
        else 0.0
        for total, right in set(zip(n.ravel().tolist(), c.ravel().tolist(), strict=True))
    }
    fails = [factors[pair] for pair in zip(n.ravel().tolist(), c.ravel().tolist(), strict=True)]
    return 1.0 - np.array(fails).reshape(n.shape)


def per_problem(samples: pd.DataFrame, k: int | None = None) -> pd.DataFrame:
    """benchmark, id, n, c, value of every problem; ``value`` is Avg@n, or pass@k, in points 0..100."""
    groups = samples.groupby(["benchmark", "id"], sort=False)["correct"]
    table = groups.agg(n="count", c="sum").reset_index()
    share = table["c"] / table["n"] if k is None else pass_at_k(table["n"], table["c"], k)
    return table.assign(value=100.0 * share)


def weights(
    problems: pd.DataFrame, out_of_distribution: Sequence[str] = (), groups: Mapping[str, str] | None = None
) -> dict[str, dict[str, float]]:
    """The slices' weights in each score: one per slice, then ``overall``, ``macro`` and the groups.

    ``groups`` maps slices to difficulty groups, weighted like ``overall``.
    """
    counts = problems.groupby("benchmark", sort=False).size()
    inside = counts[~counts.index.isin(list(out_of_distribution))]
    result = {name: {name: 1.0} for name in counts.index}
    if len(inside):
        result["overall"] = (inside / inside.sum()).to_dict()
        result["macro"] = dict.fromkeys(inside.index, 1.0 / len(inside))
    for group, members in inside.groupby(groups or {}, sort=False):
        result[group] = (members / members.sum()).to_dict()
    return result


def mean(slices: dict[str, np.ndarray], weight: dict[str, float]) -> float:
    """The weighted mean of the slices' means."""
    return float(sum(share * slices[name].mean() for name, share in weight.items()))


def standard_error(slices: dict[str, np.ndarray], weight: dict[str, float]) -> float:
    """Standard error over problems of the weighted mean, slice by slice; 0 for a slice of one problem."""
    return math.sqrt(sum(variances(slices, weight).values()))


def variances(slices: dict[str, np.ndarray], weight: dict[str, float]) -> dict[str, float]:
    """What every slice adds to the variance of the weighted mean."""
    return {
        name: share**2 * slices[name].var(ddof=1) / len(slices[name]) if len(slices[name]) > 1 else 0.0
        for name, share in weight.items()
    }


def degrees_of_freedom(slices: dict[str, np.ndarray], weight: dict[str, float]) -> float:
    """Welch and Satterthwaite's, of the weighted mean's standard error; at least 1."""
    parts = variances(slices, weight)
    below = sum(part**2 / (len(slices[name]) - 1) for name, part in parts.items() if part > 0)
    return max(sum(parts.values()) ** 2 / below, 1.0) if below > 0 else math.inf


def resampled(slices: dict[str, np.ndarray], weight: dict[str, float], seed: int) -> np.ndarray:
    """``RESAMPLES`` weighted means of problems drawn with replacement within each slice.

    Problems of equal value are drawn together: how often is multinomial.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros(RESAMPLES)
    for name, share in weight.items():
        values, sizes = np.unique(slices[name], return_counts=True)
        counts = rng.multinomial(sizes.sum(), sizes / sizes.sum(), size=RESAMPLES)
        total += share * (counts @ values) / sizes.sum()
    return total


def interval(slices: dict[str, np.ndarray], weight: dict[str, float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of a score in points, over problems.

    Bootstrap of problems within slices.  Below ``FEW_PROBLEMS`` problems (where weights or variances
    are unequal: degrees of freedom + 1), or without any variance, Wilson's interval at
    p (1 - p) / se^2 trials: the design effect of clusters and weights.
    """
    share, error = mean(slices, weight) / 100.0, standard_error(slices, weight) / 100.0
    degrees = degrees_of_freedom(slices, weight)
    if error > 0 and degrees + 1 >= FEW_PROBLEMS - 1e-6:
        low, high = np.quantile(resampled(slices, weight, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)
    n = sum(len(slices[name]) for name in weight)
    return wilson(share, share * (1.0 - share) / error**2 if error > 0 else n, degrees)


def wilson(share: float, effective: float, degrees: float) -> tuple[float, float]:
    """Wilson's interval in points of a share of ``effective`` trials, with Student's quantile."""
    from scipy import special  # slow to import, and a training job's scores need no interval

    z = special.stdtrit(min(degrees, 1e6), (1 + LEVEL) / 2)
    centre = (share + z**2 / (2 * effective)) / (1 + z**2 / effective)
    half = z * math.sqrt(share * (1 - share) / effective + z**2 / (4 * effective**2)) / (1 + z**2 / effective)
    return 100.0 * max(centre - half, 0.0), 100.0 * min(centre + half, 1.0)


def paired(
    a: pd.DataFrame, b: pd.DataFrame, out_of_distribution: Sequence[str] = (), seed: int = 0
) -> pd.DataFrame:
    """b - a on the same problems: benchmark, difference, se, low, high, p, n.

    ``a``, ``b`` are samples of two evaluations.  Interval by bootstrap of problems; p, two-sided, by
    random flips of the signs of the problems' differences.  InputError unless both have the
    same problems.
    """
    keys = ["benchmark", "id"]
    left, right = per_problem(a).set_index(keys)["value"], per_problem(b).set_index(keys)["value"]
    if not left.index.sort_values().equals(right.index.sort_values()):
        missing = left.index.symmetric_difference(right.index)
        raise InputError(
            f"{len(missing)} problems are in only one of the evaluations, such as {missing[0]}; "
            "compare evaluations of the same problems"
        )
    table = (right - left).rename("value").reset_index()
    slices = by_slice(table)
    rows = []
    for name, weight in weights(table, out_of_distribution).items():
        difference = mean(slices, weight)
        low, high = np.quantile(resampled(slices, weight, seed), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        rows.append((name, difference, standard_error(slices, weight), low, high,
                     sign_flip_p(slices, weight, seed), sum(len(slices[part]) for part in weight)))  # fmt: skip
    return pd.DataFrame(rows, columns=PAIRED_COLUMNS)


def sign_flip_p(slices: dict[str, np.ndarray], weight: dict[str, float], seed: int) -> float:
    """Two-sided p of a weighted mean difference under exchangeable signs."""
    rng = np.random.default_rng(seed)
    flipped = np.zeros(RESAMPLES)
    for name, share in weight.items():
        changed = slices[name][slices[name] != 0.0]
        signs = rng.integers(0, 2, size=(RESAMPLES, len(changed))) * 2 - 1
        flipped += share * (signs @ changed) / len(slices[name])
    extreme = np.abs(flipped) >= abs(mean(slices, weight)) - 1e-9
    return float((1 + extreme.sum()) / (1 + RESAMPLES))


def by_slice(problems: pd.DataFrame) -> dict[str, np.ndarray]:
    """The problems' values, by slice."""
    return {name: rows["value"].to_numpy(float) for name, rows in problems.groupby("benchmark", sort=False)}


def scores(samples: pd.DataFrame, out_of_distribution: Sequence[str] = ()) -> pd.DataFrame:
    """benchmark, score, se, n of one evaluation: slices, then ``overall`` and ``macro``, in points."""
    problems = per_problem(samples)
    slices = by_slice(problems)
    rows = [
        (
            name,
            mean(slices, weight),
            standard_error(slices, weight),
            sum(len(slices[part]) for part in weight),
        )
        for name, weight in weights(problems, out_of_distribution).items()
    ]
    return pd.DataFrame(rows, columns=["benchmark", "score", "se", "n"])


def points(samples: pd.DataFrame, checkpoint: dict, out_of_distribution: Sequence[str]) -> pd.DataFrame:
    """The rows of ``curves.csv`` of one evaluation; ``checkpoint`` has run, phase, step, exaflops(_total)."""
    table = scores(samples, out_of_distribution)
    for position, name in enumerate(("run", "phase", "step", "exaflops", "exaflops_total")):
        table.insert(position, name, checkpoint[name])
    return table


def with_intervals(
    samples: pd.DataFrame,
    out_of_distribution: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    k: int | None = None,
) -> pd.DataFrame:
    """benchmark, score, se, low, high, n: ``scores`` of Avg@n or pass@k with 95 % intervals, and the groups'."""
    problems = per_problem(samples, k)
    slices = by_slice(problems)
    rows = [
        (name, mean(slices, weight), standard_error(slices, weight), *interval(slices, weight),
         sum(len(slices[part]) for part in weight))
        for name, weight in weights(problems, out_of_distribution, groups).items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["benchmark", "score", "se", "low", "high", "n"])


def verdicts(samples: pd.DataFrame) -> pd.DataFrame:
    """Per slice, and for ``all``: samples, mean tokens, truncated and stopped shares, and every verdict's count."""
    both = pd.concat([samples, samples.assign(benchmark="all")])
    groups = both.groupby("benchmark", sort=False)
    table = groups.agg(samples=("id", "size"), tokens=("n_tokens", "mean"), truncated=("truncated", "mean"))
    table["truncated"] *= 100.0
    table["stopped"] = 100.0 - table["truncated"]
    for status in STATUSES:
        table[status] = groups["verdict"].agg(lambda column, status=status: int((column == status).sum()))
    return table.reset_index()


def lm_eval(samples: pd.DataFrame) -> dict:
    """The results in the form of lm-evaluation-harness's json, shares in 0..1, to be cross-checked."""
    problems = per_problem(samples)
    results = {
        name: {
            "alias": name,
            "exact_match,none": float(values.mean() / 100.0),
            "exact_match_stderr,none": standard_error({name: values}, {name: 1.0}) / 100.0,
        }
        for name, values in by_slice(problems).items()
    }
    sizes = problems.groupby("benchmark", sort=False).size()
    return {
        "results": results,
        "n-samples": {name: {"original": int(n), "effective": int(n)} for name, n in sizes.items()},
        "higher_is_better": {name: {"exact_match": True} for name in results},
    }


def read_test(path: str, run: str | None, step: int | None) -> pd.DataFrame:
    """The test samples of one checkpoint of a ``samples.parquet``; without a step the run's last one.

    InputError when the file has no such checkpoint, or several runs and none is named.
    """
    samples = tables.read_parquet(path)
    for column, kind in KINDS.items():
        if column not in samples or infer_dtype(samples[column], skipna=False) != kind:
            raise InputError(
                f"{path}: no column {column} of {kind} values; give the samples.parquet of an evaluation"
            )
    samples = samples[samples["split"] == "test"]
    runs = sorted(samples["run"].unique())
    if run is None and len(runs) != 1:
        raise InputError(f"{path} has test samples of {len(runs)} runs, {runs}; name one")
    samples = samples[samples["run"] == (run or runs[0])]
    steps = sorted(samples["step"].unique().tolist())
    if not steps or (step is not None and step not in steps):
        raise InputError(
            f"{path} has no test samples of run {run!r}, step {step}; runs {runs}, steps {steps}"
        )
    return samples[samples["step"] == (steps[-1] if step is None else step)]
