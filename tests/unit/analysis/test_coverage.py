"""The default fit on 560 curves with a known ceiling."""

from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import pytest
import synthetic

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


def test_well_covered_curves():
    found = judged(synthetic.WELL, range(1000, 1300))
    assert found["identified"] >= 0.9
    assert found["median error"] <= 0.3
    assert found["median width"] <= 1.5
    assert 0.92 <= found["coverage"] <= 0.98
    assert found["collapsed"] <= 0.02


def test_badly_covered_curves_claim_nothing():
    found = judged(synthetic.BADLY, range(1000, 1200))
    assert found["identified"] <= 0.3
    assert found["claims that miss"] <= 0.05


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
