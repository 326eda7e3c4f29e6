"""The whole default study with the engines of a cluster beside the same with plain torch."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from study import ROOT, make_clone, snakemake


def scores(directory: Path, **model: str) -> pd.DataFrame:
    """Test score and standard error of every model of the default study, with these keys of ``model``."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["model"] |= model
    clone = make_clone(directory, config)
    snakemake(clone)
    results = pd.read_csv(clone / "results/quickstart/analysis/results.csv")
    overall = (results["benchmark"] == "overall") & (results["metric"] == "avg")
    return results[overall].set_index(["run", "step"])


@pytest.fixture(scope="session")
def plain(tmp_path_factory) -> pd.DataFrame:
    return scores(tmp_path_factory.mktemp("plain") / "clone")


@pytest.mark.soak
@pytest.mark.parametrize("model", [{"rollouts": "vllm"}, {"engine": "deepspeed"}], ids=["vllm", "deepspeed"])
def test_the_default_study_comes_out_alike(tmp_path, plain, model):
    """Differences in units of their own standard error: on average none, 1 in 20 beyond 2 by chance."""
    other = scores(tmp_path / "clone", **model)
    assert set(other.index) == set(plain.index)
    both = plain.join(other, rsuffix="_other")
    z = (both["score_other"] - both["score"]) / (both["se"] ** 2 + both["se_other"] ** 2) ** 0.5
    print(z.round(1).to_string())
    assert (
        abs(z.mean()) < 2 / len(z) ** 0.5 + 0.5
    )  # RL runs of one seed differ by more than their problems say
    assert (z.abs() > 2).mean() <= 0.15
    assert z.abs().max() < 4
    base = z.xs("base")
    assert (base.abs() < 2).all()  # the same model, sampled otherwise
