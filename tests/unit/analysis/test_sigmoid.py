"""The curve, the paper's pipeline and ScaleRL's."""

import re

import numpy as np
import pandas as pd
import pytest
import synthetic
from hypothesis import given, settings
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


@pytest.mark.parametrize(("drop", "bend"), [(10, 1.0), (2, 1.0), (50, 1.0), (10, 3.0)])
@pytest.mark.parametrize("method", ["paper", "scalerl"])
def test_a_falling_line_has_no_ceiling_in_the_published_methods(method, drop, bend):
    points = pd.DataFrame({"run": "r", "exaflops": X, "score": P_START - drop * (X / X.max()) ** bend})
    fit = fit_curves(points.assign(p_start=P_START), method=method)["runs"]["r"]
    assert (fit["status"], fit["a"]) == ("unidentified", None)
    assert re.search("ends on its bound of 0.00|the curve falls, and half", fit["reason"])


@pytest.mark.parametrize("method", ["paper", "scalerl"])
def test_a_fall_to_a_level_has_one(method):
    points = pd.DataFrame({"run": "r", "exaflops": X, "score": P_START - 20 * rise(X, C_MID, B)})
    fit = fit_curves(points.assign(p_start=P_START), method=method)["runs"]["r"]
    assert fit["a"] == pytest.approx(P_START - 20, abs=0.6)


@pytest.mark.parametrize("method", ["paper", "scalerl"])
def test_few_points_identify_nothing_in_the_published_methods(method):
    points = pd.DataFrame({"run": "r", "exaflops": X, "score": EXACT, "p_start": P_START})
    few = fit_curves(points[3::13], method=method)["runs"]["r"]
    assert (few["status"], few["a"]) == ("unidentified", None)
    assert re.fullmatch("[23] points fitted, fewer than 8", few["reason"])
    settings = pd.DataFrame({"run": ["r"], "last": [6]})
    if method == "paper":
        sliced = fit_curves(points, method=method, settings=settings)["runs"]["r"]
        assert sliced["reason"] == "4 points fitted, fewer than 8"  # of 6, one of them at x = 0, LTS keeps 5


@pytest.mark.parametrize("method", ["default", "paper", "scalerl"])
def test_b_on_its_bound_is_flagged(method):
    rng = np.random.default_rng(0)
    step = P_START + 20 * (X > 4) + rng.normal(0, 0.2, len(X))
    table = {"run": "r", "exaflops": X, "p_start": P_START}
    fit = fit_curves(pd.DataFrame(table | {"score": step}), method=method)["runs"]["r"]
    assert "b_at_bound" in fit["flags"]
    fit = fit_curves(pd.DataFrame(table | {"score": EXACT}), method=method)["runs"]["r"]
    assert "b_at_bound" not in fit["flags"]


def test_random_starts_of_lts_find_what_the_full_fit_misses_and_say_how_far_optima_differ():
    score = (
        EXACT + np.random.default_rng(0).normal(0, 0.2, len(X)) + 8 * (X < 4)
    )  # a sixth, which bends the fit to all
    chosen = PaperSettings(alpha=0.75, tau=None)
    single = paper(X, score, P_START, PaperSettings(alpha=0.75, tau=None, starts=0))
    several = paper(X, score, P_START, chosen)
    assert single.spread is None
    assert abs(single.a - A) > 1 > 10 * abs(several.a - A)
    assert several.spread[0] <= several.a <= several.spread[1]
    assert paper(X, score, P_START, chosen).a == several.a

    entry = pd.DataFrame({"run": "r", "exaflops": X, "score": score, "p_start": P_START})
    asked = pd.DataFrame({"run": ["r"], "alpha": [0.75], "starts": [50]})
    fit = fit_curves(entry, method="paper", settings=asked)["runs"]["r"]
    assert fit["lts_spread"][0] <= fit["a"] <= fit["lts_spread"][1]
    assert (
        fit_curves(entry, method="paper", settings=asked.assign(starts=0))["runs"]["r"]["lts_spread"] is None
    )


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.5, 0.75, 0.9]))
@settings(max_examples=8, deadline=None)
def test_random_starts_never_leave_more_squares(seed, free, alpha):
    rng = np.random.default_rng(seed)
    score = np.clip(EXACT + rng.normal(0, 0.5, len(X)) - 8 * (rng.random(len(X)) < 0.25), 0, 100)
    squares = []
    for starts in (0, 20):
        chosen = PaperSettings(alpha=alpha, tau=None, free_start=free, starts=starts)
        fit = paper(X, score, P_START, chosen)
        squares.append(np.sum((score - fit(X))[fit.used] ** 2))
    assert squares[1] <= squares[0] + 0.05
