"""An arm more is one entry of the configuration."""

import re

import pandas as pd
import pytest
from study import pending, snakemake, tiny_config, write_config

MORE = ("luffy", "srft", "upt")


@pytest.mark.soak
def test_arms_that_are_added_end_in_the_figure_and_the_tables(clone):
    config = tiny_config()
    config["arms"] += [{"algorithm": name, "starts": ["base"]} for name in MORE]
    write_config(clone, config)
    assert {rule: pending(clone).get(rule) for rule in ("rl", "evaluate", "sft_S")} == {
        "rl": 3, "evaluate": 3, "sft_S": None,
    }  # fmt: skip
    snakemake(clone)
    results = clone / "results/tiny"
    page, lines = (results / "report.html").read_text(), (results / "results.md").read_text().splitlines()
    figure = re.search(r'<svg[^>]*aria-label="Overall score of every arm.*?</svg>', page, re.DOTALL).group()
    compared = pd.read_csv(results / "analysis/arm_comparisons.csv")
    assert compared["exaflops_total"].nunique() == 1  # what all arms from the base reach
    for name in ("grpo", *MORE):
        assert f">{name}</text>" in figure
        assert f"rl/{name}/base" in set(compared["arm"])
        # Test scores, from start to end, at equal compute.
        assert sum(f"| base → {name} |" in line for line in lines) == 3
    arms = pd.read_csv(results / "analysis/arms.csv").set_index("algorithm")
    assert arms.loc[list(MORE), "cosine"].notna().all()
    assert (arms["sampled_tokens"] > 0).all()
