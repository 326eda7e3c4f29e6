"""What the best predictor's intervals pay for its choice among several."""

import numpy as np
import pandas as pd
import pytest
import sft_models
from scipy import stats

from switchpoint.analysis.predictors import Choice, intervals, oriented_predictors, paid_quantile, predict


@pytest.mark.parametrize("world", ["Quagmires", "eight equally good", "none good"])
@pytest.mark.parametrize(("n", "lowest"), [(3, 0.93), (4, 0.93), (8, 0.9)])
def test_intervals_of_the_best_predictor_pay_for_its_choice(world, n, lowest):
    rng = np.random.default_rng(n)
    found = pd.DataFrame([sft_models.predicted(rng, n, world) for _ in range(150)]).astype(float)
    assert found["paid"].mean() >= lowest
    assert found["paid"].mean() >= found["unpaid"].mean()
    assert found["unpaid"].mean() < 0.93 or n > 4
    assert (found["paid width"] >= found["unpaid width"]).all()
    limit = {3: 10, 4: 4, 8: 1.7}[n]
    assert found["paid width"].median() <= limit * found["unpaid width"].median()


def test_what_a_choice_costs():
    assert paid_quantile(6, Choice(1, 1.0)) == stats.t.ppf(0.975, 6)
    bonferroni = stats.t.ppf(1 - 0.025 / 4, 6)
    assert paid_quantile(6, Choice(4, None)) == pytest.approx(bonferroni)
    assert paid_quantile(6, Choice(4, 9.0)) == pytest.approx(bonferroni)
    assert paid_quantile(6, Choice(4, 1.0)) == pytest.approx(stats.t.ppf(0.975, 5))
    assert paid_quantile(1, Choice(4, 1.0)) == pytest.approx(stats.t.ppf(1 - 0.025 / 4, 1))


def test_only_the_best_predictor_pays_and_says_so():
    table = sft_models.models(np.random.default_rng(1), 9, "Quagmires")
    table.loc[8, "rl_score"] = np.nan
    found = predict(table)
    assert found["choice"]["among"] == 4
    assert found["choice"]["error_ratio"] >= 1
    assert "; chosen among 4, its intervals are wider for the choice" in found["notes"][0]
    runs, rest = table[:8], table[8:]
    for name, entry in found["predictors"].items():
        x, new = (oriented_predictors(part, entry["of"]) for part in (runs, rest))
        _, low, high = intervals(x, runs["rl_score"].to_numpy(), new)
        ends = found["models"][0]["predictions"][name]["pi95"]
        if name == found["best"]:
            assert ends[1] - ends[0] > high[0] - low[0]
        else:
            assert ends == pytest.approx([low[0], high[0]])
    alone = predict(table[["model", "pass_64", "rl_score"]])
    assert alone["choice"] == {"among": 1, "error_ratio": 1.0}
    assert "chosen among" not in alone["notes"][0]
