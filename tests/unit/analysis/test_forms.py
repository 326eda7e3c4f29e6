"""What the forms of a curve have in common, and the noise around them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.forms import FORMS, NO_CEILING
from switchpoint.analysis.posterior import precision

SATURATING = [name for name in FORMS if name != NO_CEILING]


@pytest.mark.parametrize("name", SATURATING)
@given(c=st.floats(0.01, 30), share=st.floats(0, 1))
def test_half_of_the_gain_has_come_at_c(name, c, share):
    form = FORMS[name]
    low, high = np.log(form.b_range)
    b = np.exp(low + share * (high - low))
    assert form.share(np.array([c]), c, b)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", FORMS)
@given(c=st.floats(0.001, 30), share=st.floats(0, 1))
def test_every_form_rises_from_the_start(name, c, share):
    form = FORMS[name]
    low, high = np.log(form.b_range)
    rise = form.share(np.geomspace(1e-9, 1e6, 60), c, np.exp(low + share * (high - low)))
    assert np.isfinite(rise).all()
    assert (np.diff(rise) >= -1e-12).all()
    assert rise[0] >= 0
    if name != NO_CEILING:
        assert rise[-1] <= 1


def test_growth_without_a_ceiling_is_1_at_the_last_point_and_goes_on():
    share = FORMS[NO_CEILING].share(np.array([0.0, 1.0, 100.0]), 0.01, 0.3)
    assert share[0] == 0
    assert share[1] == pytest.approx(1)
    assert share[2] == pytest.approx((10001**0.3 - 1) / (101**0.3 - 1))


def test_exponential_by_hand():
    """Of the plain one three quarters of the gain have come at twice c; (1 - e^-kx)^2 has k c = -ln(1 - 1 / sqrt 2)."""
    share = FORMS["exponential"].share
    assert share(np.array([2.0]), 1.0, 1.0)[0] == pytest.approx(0.75)
    assert share(np.array([2.0]), 1.0, 2.0)[0] == pytest.approx((1 - (1 - 0.5**0.5) ** 2) ** 2)


@given(
    gaps=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    rho=st.floats(0, 0.99),
    part=st.one_of(st.just(1.0), st.floats(0.05, 0.95)),
    seed=st.integers(0, 99),
)
def test_precision_is_the_inverse_of_the_correlation(gaps, rho, part, seed):
    time = np.cumsum([0, *gaps])
    correlation = part * rho ** np.abs(time[:, None] - time) + (1 - part) * np.eye(len(time))
    rows = np.random.default_rng(seed).standard_normal((3, len(time)))
    inverse = precision(time, rho, part)
    assert inverse.times(rows) @ correlation == pytest.approx(rows, abs=1e-8)
    assert inverse.log_det == pytest.approx(np.linalg.slogdet(correlation)[1], abs=1e-8)


def test_scores_that_are_all_the_same_have_no_ceiling():
    """Their noise would seem to be nothing, and the ceiling known to a hundredth of a point."""
    points = pd.DataFrame({"run": "r", "exaflops": np.arange(1.0, 13), "score": 62.5, "p_start": 50.0})
    (fit,) = fit_curves(points)["runs"].values()
    assert fit["a"] is None
    assert "constant_scores" in fit["flags"]
    assert "all scores are the same" in fit["reason"]


def test_a_thousand_points_of_one_run_know_their_ceiling():
    """In time that grows with their number alone."""
    x, rng = np.arange(1, 1001) / 1000, np.random.default_rng(0)
    score = 50 + 20 / (1 + (x / 0.1) ** -1.5) + rng.standard_normal(1000)
    points = pd.DataFrame({"run": "r", "exaflops": x, "score": score, "p_start": 50.0})
    (fit,) = fit_curves(points)["runs"].values()
    low, high = fit["a_ci95"]
    assert low <= 70 <= high
    assert high - low < 2
