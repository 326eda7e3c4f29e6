"""The default fit on curves with a known ceiling, of forms that it assumes and of others."""

from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
import synthetic
import worlds

from switchpoint.analysis.ceilings import fit_curves


def judged(coverage: tuple[float, float], seeds: range, collapse: bool = False) -> dict:
    curves = [synthetic.curve(seed, coverage, collapse) for seed in seeds]
    half = len(curves) // 2
    tables = [
        pd.concat([one["points"] for one in part], ignore_index=True)
        for part in (curves[:half], curves[half:])
    ]
    with ProcessPoolExecutor(2) as pool:
        first, second = pool.map(fit_curves, tables)
    return synthetic.judge(curves, first["runs"] | second["runs"])


# A part of the curves in every run of the tests, all of them in the long checks; a bound has the room of their number.
@pytest.mark.parametrize(("n", "room"), [(60, 0.05), pytest.param(300, 0, marks=pytest.mark.soak)])
def test_well_covered_curves(n, room):
    found = judged(synthetic.WELL, range(1000, 1000 + n))
    assert found["identified"] >= 0.82 - room  # other forms explain the rest as well
    assert found["median error"] <= 0.3
    assert found["median width"] <= 2.0
    assert 0.92 - room <= found["coverage"] <= 0.98 + room
    assert found["collapsed"] <= 0.02 + room


@pytest.mark.parametrize(("n", "room"), [(40, 0.05), pytest.param(200, 0, marks=pytest.mark.soak)])
def test_badly_covered_curves_claim_nothing(n, room):
    found = judged(synthetic.BADLY, range(1000, 1000 + n))
    assert found["identified"] <= 0.3 + room
    assert found["claims that miss"] <= 0.05 + room


def test_collapses_are_found_and_do_not_spoil_the_fit():
    found = judged(synthetic.WELL, range(1000, 1060), collapse=True)
    assert found["collapsed"] >= 0.95
    assert found["median error"] <= 0.4
    assert found["coverage"] >= 0.85


@pytest.mark.parametrize("seed", range(4))
def test_generator_makes_what_it_says(seed):
    one = synthetic.curve(seed, synthetic.BADLY, collapse=True)
    points = one["points"]
    assert 15 <= len(points) <= 80
    assert points["score"].iloc[-1] < points["score"].iloc[: -one["fallen"]].median()
    assert one["outliers"] <= 0.15 * len(points)
    assert points["p_start"].nunique() == 1


# Of every kind of truth: 12 curves in every run of the tests, 300 in the long checks.
@pytest.mark.parametrize("world", worlds.WORLDS)
@pytest.mark.parametrize(("n", "room"), [(12, 0.17), pytest.param(300, 0, marks=pytest.mark.soak)])
def test_worlds_that_the_fit_may_not_assume(world, n, room):
    found = worlds.judge([worlds.judged(world, seed) for seed in range(n)])
    if worlds.WORLDS[world].kind == "covered":
        assert found["covered"] >= 0.9 - room
    else:
        assert found["false claims"] <= 0.03 + room / 2
    assert found["held-out"] <= found["naive"] + 2 * found["noise of that"] + room
