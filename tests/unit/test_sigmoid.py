"""The curve, the paper's pipeline and ScaleRL's."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from reference import reference

from switchpoint.ceilings import fit_curves
from switchpoint.errors import InputError
from switchpoint.sigmoid import PaperSettings, least_squares, paper, rise, scalerl

P_START, A, C_MID, B = 60.0, 80.0, 2.0, 1.5
X = np.linspace(0.5, 20, 40)
EXACT = P_START + (A - P_START) * rise(X, C_MID, B)
OFF = PaperSettings(alpha=None, tau=None)

# RETU's fit scripts, run by run: start, end (the point at x = 0 counts), LTS alpha, tau, free start;
# and the ceiling that Appendix D's pipeline gives with them.
SCRIPTS = """run,first,last,alpha,tau,free_start,rebuilt,capped
base-0,0,34,,2.5,0,71.96,no
SFT889K-360,0,15,,2.5,0,82.54,yes
SFT889K-1080,0,21,0.75,4.0,0,79.70,no
SFT889K-1800,0,19,0.75,3.0,0,80.98,no
SFT889K-5400,0,15,,2.5,0,82.83,no
SFT889K-9000,0,22,,2.5,0,83.37,no
SFT889K-12600,0,15,0.75,3.0,0,83.35,no
Easy102K-360,0,21,,2.5,0,76.69,no
Easy102K-720,0,31,,2.5,0,78.53,yes
Easy102K-1080,0,63,,2.5,0,78.83,yes
Easy102K-1440,0,37,0.75,2.5,0,76.67,no
Easy102K-1800,0,15,,2.5,0,77.78,yes
S1K-62,12,80,0.75,2.5,1,77.25,no
S1K-124,0,55,0.85,3.0,0,77.32,no
S1K-186,0,65,,2.5,0,76.88,no
S1K-248,0,56,0.75,2.5,0,76.62,no
S1K-310,8,70,0.75,3.0,1,76.46,no
"""


@given(st.floats(1e-3, 1e3), st.floats(0.05, 8), st.floats(1e-3, 1e3))
def test_rise(c_mid, b, x):
    assert rise(np.array(c_mid), c_mid, b) == 0.5
    assert rise(np.array(0.0), c_mid, b) == 0
    assert rise(np.array(x), c_mid, b) == pytest.approx(1 / (1 + (x / c_mid) ** -b))
    assert rise(np.array(x), c_mid, b) == pytest.approx(1 - rise(np.array(c_mid**2 / x), c_mid, b))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e18])
@pytest.mark.parametrize("fitted", [paper, least_squares, scalerl])
def test_exact_points_give_the_curve_back_in_any_unit(fitted, unit):
    fit = fitted(X * unit, EXACT, P_START)
    assert fit.a == pytest.approx(A, abs=0.51 if fitted is scalerl else 0.01)
    assert fit.c_mid / unit == pytest.approx(C_MID, rel=0.1 if fitted is scalerl else 1e-3)
    assert fit(X * unit) == pytest.approx(EXACT, abs=0.7 if fitted is scalerl else 0.01)
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
    assert least_squares(X, rising, P_START).a > fit.a


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


def test_published_ceilings_with_the_published_settings(tmp_path):
    points = pd.read_csv(reference("published", "rl_points.csv"))
    points["run"] = points["dataset"] + "-" + points["sft_step"].astype(str)
    points = points.rename(columns={"rl_exaflops": "exaflops", "overall": "score", "p_sft": "p_start"})
    (tmp_path / "scripts.csv").write_text(SCRIPTS)
    scripts = pd.read_csv(tmp_path / "scripts.csv")
    settings = scripts.drop(columns=["rebuilt", "capped"])
    fits = fit_curves(points[["run", "exaflops", "score", "p_start"]], method="paper", settings=settings)
    for row in scripts.to_dict("records"):
        fit = fits["runs"][row["run"]]
        assert fit["a_point"] == pytest.approx(row["rebuilt"], abs=0.3), row["run"]
        assert ("at_bound" in fit["flags"]) == (row["capped"] == "yes"), row["run"]
        assert (fit["a"] is None) == (row["capped"] == "yes")
    off = fit_curves(
        points[["run", "exaflops", "score", "p_start"]],
        method="paper",
        settings=settings.assign(alpha=np.nan),
    )
    assert abs(off["runs"]["S1K-62"]["a_point"] - fits["runs"]["S1K-62"]["a_point"]) > 1
    off = fit_curves(
        points[["run", "exaflops", "score", "p_start"]], method="paper", settings=settings.assign(tau=np.nan)
    )
    assert abs(off["runs"]["Easy102K-1080"]["a_point"] - fits["runs"]["Easy102K-1080"]["a_point"]) > 0.1


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
