"""The shipped base model is what the rule ``make_base`` makes."""

import json

import pytest
from safetensors.torch import load_file
from study import ROOT, make_clone, snakemake, tiny_config


@pytest.mark.soak
def test_the_rule_reproduces_the_shipped_base_model(tmp_path):
    config = tiny_config()
    config["model"] = {}
    clone = make_clone(tmp_path / "clone", config)
    snakemake(clone, "--until", "make_base")
    made = clone / "results/tiny/base"
    shipped = load_file(ROOT / "assets/tiny-base/model.safetensors")
    weights = load_file(made / "model.safetensors")
    assert weights.keys() == shipped.keys()
    for name, values in shipped.items():
        assert (weights[name] - values).abs().max() < 1e-5, name
    records = [json.loads((folder / "run.json").read_text()) for folder in (made, ROOT / "assets/tiny-base")]
    assert records[0]["job"] == records[1]["job"]
