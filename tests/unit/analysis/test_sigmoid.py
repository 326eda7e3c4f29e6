"""The curve, the paper's pipeline and ScaleRL's."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from reference import reference

from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.sigmoid import PaperSettings, paper, rise, scalerl
from switchpoint.errors import InputError
from switchpoint.published.figures import SCRIPTS

P_START, A, C_MID, B = 60.0, 80.0, 2.0, 1.5
X = np.linspace(0.5, 20, 40)
EXACT = P_START + (A - P_START) * rise(X, C_MID, B)
OFF = PaperSettings(alpha=None, tau=None)
UNCAPPED = PaperSettings(alpha=None, tau=None, cap=None)

# The ceilings that Appendix D's pipeline gives with the settings of RETU's fit scripts.
REBUILT = {
    "base-0": 71.96, "SFT889K-360": 82.54, "SFT889K-1080": 79.70, "SFT889K-1800": 80.98,
    "SFT889K-5400": 82.83,
    "SFT889K-9000": 83.37, "SFT889K-12600": 83.35, "Easy102K-360": 76.69, "Easy102K-720": 78.53,
    "Easy102K-1080": 78.83, "Easy102K-1440": 76.67, "Easy102K-1800": 77.78, "S1K-62": 77.25, "S1K-124": 77.32,
    "S1K-186": 76.88, "S1K-248": 76.62, "S1K-310": 76.46,
}  # fmt: skip
CAPPED = {"SFT889K-360", "Easy102K-720", "Easy102K-1080", "Easy102K-1800"}


@given(st.floats(1e-3, 1e3), st.floats(0.05, 8), st.floats(1e-3, 1e3))
def test_rise(c_mid, b, x):
    assert rise(np.array(c_mid), c_mid, b) == 0.5
    assert rise(np.array(0.0), c_mid, b) == 0
    assert rise(np.array(x), c_mid, b) == pytest.approx(1 / (1 + (x / c_mid) ** -b))
    assert rise(np.array(x), c_mid, b) == pytest.approx(1 - rise(np.array(c_mid**2 / x), c_mid, b))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e18])
@pytest.mark.parametrize("settings", [PaperSettings(), UNCAPPED])
def test_exact_points_give_the_curve_back_in_any_unit(settings, unit):
    fit = paper(X * unit, EXACT, P_START, settings)
    assert fit.a == pytest.approx(A, abs=0.01)
    assert fit.c_mid / unit == pytest.approx(C_MID, rel=1e-3)
    assert fit(X * unit) == pytest.approx(EXACT, abs=0.01)
    assert not fit.at_bound


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e18])
def test_exact_points_give_the_curve_back_to_within_the_grid_of_scalerl(unit):
    fit = scalerl(X * unit, EXACT, P_START)
    assert fit.a == pytest.approx(A, abs=0.51)
    assert fit.c_mid / unit == pytest.approx(C_MID, rel=0.1)
    assert fit(X * unit) == pytest.approx(EXACT, abs=0.7)
    assert not fit.at_bound


def test_z_score_drops_the_outlier_and_only_it():
    score = EXACT + 0.1 * np.sin(3 * X)
    score[7] += 9
    fit = paper(X, score, P_START, PaperSettings(alpha=None, tau=3.5))
    assert np.flatnonzero(~fit.used).tolist() == [7]
    assert fit.a == pytest.approx(A, abs=0.1)


def test_lts_keeps_the_share_it_is_asked_to():
    score = EXACT.copy()
    score[25:30] -= 8
    fit = paper(X, score, P_START, PaperSettings(alpha=0.8, tau=None))
    assert fit.used.sum() == pytest.approx(0.8 * 41, abs=1)  # the point at x = 0 is one of 41
    assert not fit.used[25:30].any()
    assert fit.a == pytest.approx(A, abs=0.01)


def test_each_stage_changes_a_result():
    score = EXACT + np.where(np.arange(40) % 9 == 4, -6.0, 0.2 * np.sin(5 * X))
    neither, z_score, both = (
        paper(X, score, P_START, settings).a
        for settings in (OFF, PaperSettings(alpha=None), PaperSettings(alpha=0.75))
    )
    assert abs(z_score - neither) > 0.2
    assert abs(both - z_score) > 1e-3


def test_the_cap_binds_and_is_said():
    rising = P_START + 2.0 * X / X.max()
    fit = paper(X, rising, P_START, PaperSettings(alpha=None, tau=None))
    assert fit.at_bound
    assert fit.a == pytest.approx(P_START + 1.5 * 2.0, abs=0.01)
    assert paper(X, rising, P_START, UNCAPPED).a > fit.a


def test_points_outside_the_slice_are_not_fitted():
    score = EXACT.copy()
    score[:5], score[30:] = 99.0, 1.0
    fit = paper(X, score, P_START, PaperSettings(first=6, last=31, alpha=None, tau=None))
    assert np.flatnonzero(fit.used).tolist() == list(range(5, 30))  # number 0 is the point at x = 0
    assert fit.a == pytest.approx(A, abs=0.01)


def test_free_start_finds_the_start():
    fit = paper(X, EXACT, P_START + 3, PaperSettings(first=1, alpha=None, tau=None, free_start=True))
    assert fit.p_start == pytest.approx(P_START, abs=0.05)
    assert fit.a == pytest.approx(A, abs=0.05)


def test_published_ceilings_with_the_published_settings():
    points = pd.read_csv(reference("published", "rl_points.csv"))
    points["run"] = points["dataset"] + "-" + points["sft_step"].astype(str)
    points = points.rename(columns={"rl_exaflops": "exaflops", "overall": "score", "p_sft": "p_start"})
    points = points[["run", "exaflops", "score", "p_start"]]
    settings = SCRIPTS[SCRIPTS["run"].isin(REBUILT)]
    fits = fit_curves(points, method="paper", settings=settings)["runs"]
    for run, rebuilt in REBUILT.items():
        assert fits[run]["a_point"] == pytest.approx(rebuilt, abs=0.3), run
        assert ("at_bound" in fits[run]["flags"]) == (run in CAPPED), run
        assert (fits[run]["a"] is None) == (run in CAPPED)
    off = fit_curves(points, method="paper", settings=settings.assign(alpha=np.nan))["runs"]
    assert abs(off["S1K-62"]["a_point"] - fits["S1K-62"]["a_point"]) > 1
    off = fit_curves(points, method="paper", settings=settings.assign(tau=np.nan))["runs"]
    assert abs(off["Easy102K-1080"]["a_point"] - fits["Easy102K-1080"]["a_point"]) > 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run": ["x"]}, r"row 1 .*run is 'x'; the points have curve-1"),
        ({"run": ["curve-1"] * 2}, r"row 2 .*it has settings already"),
        ({"run": ["curve-1"], "alpha": ["most"]}, r"row 1 .*alpha is 'most'; give a number"),
        ({"run": ["curve-1"], "alpha": [1.5]}, r"row 1 .*alpha is 1.5; give a share"),
        ({"run": ["curve-1"], "tau": [0.0]}, r"row 1 .*tau is 0.0; give"),
        ({"run": ["curve-1"], "last": [2]}, r"row 1 .*last is 2; "),
        ({"run": ["curve-1"], "lts": [1]}, "no such column lts"),
    ],
)
def test_bad_settings_are_named(settings, message):
    points = synthetic.curve(1, synthetic.WELL)["points"]
    with pytest.raises(InputError, match=message):
        fit_curves(points, method="paper", settings=pd.DataFrame(settings))


def test_methods_are_checked():
    points = synthetic.curve(1, synthetic.WELL)["points"]
    with pytest.raises(InputError, match="method is 'best'; choose default, paper, scalerl"):
        fit_curves(points, method="best")
    with pytest.raises(InputError, match="settings are the paper's"):
        fit_curves(points, settings=pd.DataFrame({"run": ["curve-1"]}))
