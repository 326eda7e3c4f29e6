"""Multiple comparisons with the best: critical values, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.analysis.comparisons import critical, criticals, loss_bound, possible_bests


def test_critical_values_are_dunnetts():
    # Dunnett 1955, one-sided 5 %, infinite degrees of freedom: 1, 2, 3, 5 and 9 treatments.
    for k, value in ((1, 1.64), (2, 1.92), (3, 2.06), (5, 2.23), (9, 2.42)):
        assert critical(np.ones(k + 1), 0) == pytest.approx(value, abs=0.006)


def test_critical_values_of_estimated_errors_are_dunnetts():
    # Dunnett 1955, Table 1a: one-sided 5 %, by degrees of freedom, of 1, 2, 3 and 5 treatments.
    for dof, values in {
        5: (2.02, 2.44, 2.68, 2.98),
        10: (1.81, 2.15, 2.34, 2.56),
        20: (1.72, 2.03, 2.19, 2.39),
    }.items():
        for k, value in zip((1, 2, 3, 5), values, strict=True):
            assert critical(np.ones(k + 1), 0, dof=dof) == pytest.approx(value, abs=0.02)


def test_critical_value_of_errors_that_differ():
    assert critical(np.array([1.0, 1e-12, 1e-12]), 0) == pytest.approx(1.645, abs=5e-3)  # one error in common
    independent = float(critical(np.array([1e-6, 1.0, 1.0]), 0))
    assert independent == pytest.approx(1.9545, abs=1e-3)  # the 0.95^(1/2) quantile


@pytest.mark.parametrize("errors", [(1, 1, 1, 1), (0.2, 1, 3), (3, 0.2, 0.2, 0.2)])
def test_the_best_stays_in_the_set_and_the_loss_is_bounded(errors):
    rng, errors = np.random.default_rng(0), np.array(errors, dtype=float)
    limits = criticals(errors)[:, None] * np.hypot(errors[:, None], errors)
    noise = rng.normal(size=(20_000, len(errors))) * errors  # all starts equal: the hardest case
    kept = (noise[:, None, :] - noise[:, :, None] <= limits).all(axis=2).mean(axis=0)
    assert kept == pytest.approx(0.95, abs=0.006)
    bounded, trials = 0, 80
    for _ in range(trials):
        truth = rng.normal(0, 0.1, len(errors))
        estimates = truth + rng.normal(size=len(errors)) * errors
        cheapest = int(np.flatnonzero(possible_bests(estimates, errors))[0])
        bounded += truth.max() - truth[cheapest] <= loss_bound(estimates, errors, cheapest)[0]
    assert bounded / trials >= 0.95 - 3 * 0.025


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), min_size=1, max_size=5))
def test_the_highest_may_always_be_the_best(pairs):
    estimates, errors = (np.array(values) for values in zip(*pairs, strict=True))
    able = possible_bests(estimates, errors)
    assert able[estimates.argmax()]
    loss, rival = loss_bound(estimates, errors, int(estimates.argmax()))
    assert loss >= 0
    assert (rival is None) == (able.sum() == 1)
