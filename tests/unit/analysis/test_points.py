"""Points of curves: starts and scores of different units."""

import pandas as pd
import pytest

from switchpoint.analysis.points import check_points
from switchpoint.errors import InputError

SCORES = [0.471, 0.5, 0.553, 0.6]


def run(scores: list[float], p_start: float, name: str = "r", **columns) -> pd.DataFrame:
    table = {"run": name, "exaflops": range(1, len(scores) + 1), "score": scores, "p_start": p_start}
    return pd.DataFrame(table | columns)


@pytest.mark.parametrize(
    ("scores", "p_start"),
    [(SCORES, 46.7), ([0.0, 0.25], 46.7), ([100 * score for score in SCORES], 0.467), ([10, 11.5], 0.1)],
)
def test_a_start_in_another_unit_than_the_scores_is_refused(scores, p_start):
    with pytest.raises(InputError, match=r"row 1 .*p_start is .*; the run's start and its scores seem to be"):
        check_points(run(scores, p_start))
    anchor = pd.DataFrame({"run": ["r"], "exaflops": [0], "score": [p_start]})
    with pytest.raises(InputError, match="seem to be in different units, points"):
        check_points(pd.concat([anchor, run(scores, p_start).drop(columns="p_start")]))
    good = run([50, 60], 46.7, "good")
    with pytest.raises(InputError, match=r"run is 'bad'|run bad"):
        check_points(pd.concat([good, run(scores, p_start, "bad")], ignore_index=True))


@pytest.mark.parametrize(
    ("scores", "p_start"),
    [
        ([0.4, 0.7, 0.9], 1.3),  # a weak model
        ([0.4, 2.0, 9.0], 0.3),
        ([5.0, 20.0, 31.0], 0.0),
        ([0.0, 0.0, 0.0], 46.7),  # a run that died
        ([50.0, 0.5, 0.0], 46.7),
        ([1.0, 1.0], 46.7),
        ([3.0, 40.0], 0.4),  # learns from the first step on
    ],
)
def test_scores_that_only_look_like_it_are_kept(scores, p_start):
    assert check_points(run(scores, p_start))["score"].tolist() == scores


def test_of_a_study_all_runs_count_together():
    died = pd.concat([run([60.0, 70.0], 50.0, "a"), run([0.3, 0.1], 50.0, "b")]).assign(phase="rl")
    assert len(check_points(died)) == 4
