"""A start that is hopeless changes nothing among the others, however its own seeds differ."""

import math

import numpy as np
import pytest
from scored_starts import study

from switchpoint.analysis.advice import advise

GOOD = {20: [60, 60.5], 30: [61, 60.6], 40: [59.8, 60.2]}


def run(scores: dict, **options) -> dict:
    return advise(*study(scores, **options), {"runs": {}})


def test_hopeless_starts_change_nothing_among_the_others():
    for scores in ({20: [69], 30: [70]}, {20: [70 - 2.7], 30: [70]}):
        for se in (0.2, 2.0):
            alone = run(scores, se=se)
            beside = run(scores | {step: [30] for step in (10, 40, 50)}, se=se)
            for key in ("verdict", "recommended", "best", "tied", "max_loss", "needed"):
                assert beside[key] == alone[key]


@pytest.mark.parametrize("bad", [{10: [24, 36]}, {10: [24, 36], 50: [20, 40]}, {10: [24, 36], 50: [2]}])
def test_nor_do_those_whose_seeds_differ_wildly(bad):
    alone, beside = run(GOOD, se=0.2, base=50.0), run(GOOD | bad, se=0.2, base=50.0)
    for key in ("verdict", "recommended", "best", "tied", "max_loss", "needed", "comparison"):
        assert beside[key] == alone[key]
    for one, other in zip(alone["candidates"], beside["candidates"], strict=False):
        assert [other[key] for key in ("start", "estimate_se", "estimate_sd", "estimate_dof")] == [
            one[key] for key in ("start", "estimate_se", "estimate_sd", "estimate_dof")
        ]
    assert [start["start"] for start in beside["candidates"][3:]] == sorted(f"a-{step}" for step in bad)
    assert any(reason.startswith("Far below the others") for reason in beside["reasons"])


def test_one_collapsed_seed_of_three_is_no_hopeless_start():
    beside = run(GOOD | {10: [60, 60.5, 24]}, se=0.2)
    assert not any(reason.startswith("Far below the others") for reason in beside["reasons"])
    assert beside["candidates"][0]["estimate_sd"] > 5  # seeds do differ


def test_the_best_of_equal_starts_is_not_called_hopeless():
    rng, n = np.random.default_rng(0), 60
    excluded = []
    for _ in range(n):
        scores = {10 * (i + 1): rng.normal(60, 1, 2).tolist() for i in range(int(rng.integers(3, 6)))}
        advice = run(scores, se=0.0)
        assert not any(reason.startswith("Far below the others") for reason in advice["reasons"])
        excluded.append("a-10" not in advice["tied"])
    assert np.mean(excluded) <= 0.07 + 2 * math.sqrt(0.07 * 0.93 / n)


def test_seeds_far_below_that_differ_by_half_as_much():
    """39 to 51 points beside 60: seven standard errors of one seed, on few degrees of freedom."""
    alone, beside = run(GOOD, se=0.7), run(GOOD | {10: [39, 45, 51]}, se=0.7)
    assert beside["tied"] == alone["tied"]
    assert beside["max_loss"] == alone["max_loss"]


def test_a_start_without_errors_has_the_largest_of_the_others():
    """Far below it is out, near the best it is compared; the others need not wait for it."""
    curves, runs = study({10: [20], 20: [69.5], 30: [70]}, se=0.2)
    own = curves["run"].str.contains("a-10/")
    unknown, lent = curves.copy(), curves.copy()
    unknown.loc[own, "se"] = np.nan
    lent.loc[curves["run"].str.contains("a-30/"), "se"] = 0.5
    unknown.loc[curves["run"].str.contains("a-30/"), "se"] = 0.5
    lent.loc[own, "se"] = 0.5
    found, told = (advise(table, runs, {"runs": {}}) for table in (unknown, lent))
    for key in ("verdict", "recommended", "tied", "max_loss", "candidates"):
        assert found[key] == told[key]
    assert found["recommended"] == "a-20"
    said = "Nothing is known of the errors of rl/grpo/a-10/seed_0, which are taken to be the largest of the others': 0.5 points."
    assert said in found["reasons"]
    assert said not in told["reasons"]
