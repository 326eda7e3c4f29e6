"""Scores from samples: pass@k, weights, intervals that cover, paired comparisons."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from switchpoint import scores
from switchpoint.errors import InputError


def samples(table: dict[str, list[list[int]]]) -> pd.DataFrame:
    """Samples of each benchmark's problems, 1 for a right one."""
    records = [
        ("base", 0, "test", name, f"{name}/{problem}", sample, 10, False, "1", "graded", bool(correct), "")
        for name, problems in table.items()
        for problem, values in enumerate(problems)
        for sample, correct in enumerate(values)
    ]
    return pd.DataFrame(records, columns=scores.SAMPLE_COLUMNS)


# pass@k


def test_pass_at_k_is_the_combinatorial_value():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 300))
        c, k = int(rng.integers(0, n + 1)), int(rng.integers(1, n + 1))
        exact = 1 - math.comb(n - c, k) / math.comb(n, k)
        assert scores.pass_at_k([n], [c], k)[0] == pytest.approx(exact, abs=1e-12)


@hypothesis.given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_mean_over_subsets(outcomes, data):
    k = data.draw(st.integers(1, len(outcomes)))
    subsets = [any(subset) for subset in itertools.combinations(outcomes, k)]
    value = scores.pass_at_k([len(outcomes)], [sum(outcomes)], k)[0]
    assert value == pytest.approx(sum(subsets) / len(subsets), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 2, 0), (4, 5, 1), (4, -1, 1)])
def test_pass_at_k_refuses_what_is_undefined(n, c, k):
    with pytest.raises(InputError):
        scores.pass_at_k([n], [c], k)


# Scores by hand


def test_scores_by_hand():
    table = scores.scores(
        samples({"a": [[1, 1], [0, 1], [0, 0], [1, 1]], "b": [[1, 0]], "ood": [[0]]}), ["ood"]
    )
    table = table.set_index("benchmark")
    assert table.loc["a", "score"] == 62.5
    assert table.loc["a", "se"] == pytest.approx(
        100 * math.sqrt((2 * 0.375**2 + 0.125**2 + 0.625**2) / 3) / 2
    )
    assert table.loc["overall", "score"] == pytest.approx((4 * 62.5 + 50) / 5)
    assert table.loc["macro", "score"] == pytest.approx((62.5 + 50) / 2)
    assert table.loc["overall", "n"] == 5


def test_groups_weigh_their_slices_by_problems():
    table = samples({"a": [[1], [1], [1]], "b": [[0]], "c": [[1], [0]], "ood": [[0]]})
    groups = {"a": "easy", "b": "easy", "c": "hard", "ood": "hard"}
    found = scores.with_intervals(table, ["ood"], groups).set_index("benchmark")["score"]
    assert found["easy"] == 75
    assert found["hard"] == 50
    assert found["overall"] == pytest.approx(100 * 4 / 6)


def test_pass_at_k_of_an_evaluation():
    table = samples({"a": [[1, 0, 0, 0], [0, 0, 0, 0]]})
    found = scores.with_intervals(table, k=2).set_index("benchmark")
    assert found.loc["a", "score"] == pytest.approx(25)
    assert found.loc["a", "low"] < 25 < found.loc["a", "high"]


def test_verdicts_are_counted():
    table = samples({"a": [[1, 0]], "b": [[0]]})
    table["verdict"] = ["graded", "timeout", "unparsable"]
    table["truncated"] = [False, False, True]
    found = scores.verdicts(table).set_index("benchmark")
    assert found.loc["all", ["graded", "timeout", "unparsable", "error"]].tolist() == [1, 1, 1, 0]
    assert found.loc["a", "truncated"] == 0
    assert found.loc["b", "stopped"] == 0
    assert found.loc["all", "truncated"] == pytest.approx(100 / 3)


def test_the_harness_form_repeats_the_scores():
    table = samples({"a": [[1, 1], [0, 1], [0, 0]]})
    found = scores.lm_eval(table)
    ours = scores.scores(table).set_index("benchmark").loc["a"]
    assert found["results"]["a"]["exact_match,none"] * 100 == pytest.approx(ours["score"])
    assert found["results"]["a"]["exact_match_stderr,none"] * 100 == pytest.approx(ours["se"])
    assert found["n-samples"]["a"]["effective"] == 3


# Intervals


def simulate(rng, sizes: list[int], weights: list[float]) -> tuple[dict, dict, float]:
    """Problems' values by slice, the weights by slice, and the expected weighted score.

    The difficulties of a slice's problems are drawn from a beta distribution of its own.
    """
    samples, base, spread = (
        rng.choice([1, 4, 16]),
        rng.choice([0.2, 0.5, 0.8, 0.93]),
        rng.choice([0.5, 2, 10]),
    )
    slices, expected = {}, 0.0
    for index, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        centre = base * rng.uniform(0.8, 1.0)
        difficulty = rng.beta(centre * spread, (1 - centre) * spread, size=size)
        slices[f"slice_{index}"] = 100.0 * rng.binomial(samples, difficulty) / samples
        expected += 100.0 * centre * weight
    return slices, dict(zip(slices, weights, strict=True)), expected


def coverage(sizes: list[int], runs: int, seed: int, macro: bool = False) -> float:
    """Share of simulated evaluations whose interval of the overall (or macro) score holds the expected one."""
    rng = np.random.default_rng(seed)
    weights = [1 / len(sizes) if macro else size / sum(sizes) for size in sizes]
    covered = 0
    for _ in range(runs):
        slices, named, expected = simulate(rng, sizes, weights)
        low, high = scores.interval(slices, named)
        covered += low <= expected <= high
    return covered / runs


def test_intervals_cover():
    assert 0.93 <= coverage([260, 90, 30], 1000, seed=1) <= 0.97
    assert 0.93 <= coverage([200], 1000, seed=4) <= 0.97
    assert coverage([60, 40], 1000, seed=2) >= 0.92
    assert coverage([30], 1000, seed=3) >= 0.92
    assert coverage([200, 12], 1000, seed=5, macro=True) >= 0.92


def test_an_interval_of_all_right_or_all_wrong_is_open_to_one_side():
    for value, expected, n in ((1, 100.0, 30), (0, 0.0, 30), (1, 100.0, 400)):
        found = scores.with_intervals(samples({"a": [[value]] * n})).set_index("benchmark").loc["a"]
        assert found["score"] == expected
        assert 0.5 < found["high"] - found["low"] < 20


@hypothesis.given(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=2, max_size=30))
def test_an_interval_holds_its_score(outcomes):
    found = scores.with_intervals(samples({"a": outcomes}))
    assert ((found["low"] <= found["score"] + 1e-9) & (found["score"] <= found["high"] + 1e-9)).all()
    assert found["low"].min() >= 0
    assert found["high"].max() <= 100


# Paired comparison


def correlated(rng, n: int, lift: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two evaluations of the same problems; the second is right more often by ``lift``."""
    difficulty = rng.beta(0.7, 0.7, size=n) * (1 - lift)
    first = (rng.random((n, 4)) < difficulty[:, None]).astype(int)
    second = (rng.random((n, 4)) < difficulty[:, None] + lift).astype(int)
    return samples({"a": first.tolist()}), samples({"a": second.tolist()})


def test_the_paired_interval_is_narrower_and_covers():
    rng, covered = np.random.default_rng(4), 0
    for _ in range(100):
        first, second = correlated(rng, 250, lift=0.05)
        row = scores.paired(first, second).set_index("benchmark").loc["overall"]
        errors = [
            scores.scores(table).set_index("benchmark").loc["overall", "se"] for table in (first, second)
        ]
        assert row["high"] - row["low"] < 2 * 1.96 * math.hypot(*errors)
        covered += row["low"] <= 5.0 <= row["high"]
    assert covered >= 0.9 * 100


def test_p_is_uniform_without_a_difference_and_small_with_one():
    rng = np.random.default_rng(5)
    null = [scores.paired(*correlated(rng, 150, lift=0.0))["p"].iloc[0] for _ in range(100)]
    assert np.mean(np.array(null) < 0.05) <= 0.10
    assert scores.paired(*correlated(rng, 250, lift=0.2))["p"].iloc[0] < 0.01


def test_comparing_by_hand_and_with_itself():
    first, second = samples({"a": [[0], [1], [0]]}), samples({"a": [[1], [1], [0]]})
    row = scores.paired(first, second).iloc[0]
    assert row["difference"] == pytest.approx(100 / 3)
    assert row["n"] == 3
    same = scores.paired(first, first).iloc[0]
    assert (same["difference"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)


def test_comparing_different_problems_is_refused():
    with pytest.raises(InputError, match="only one of the evaluations"):
        scores.paired(samples({"a": [[1]]}), samples({"a": [[1], [0]]}))
