"""The shipped base model is what the rule ``make_base`` makes, but for the last digits of each step.

An older version of the engine made it.  The order of sums is another since, as it is on other processors, and
2,000 steps make other weights of that: as good a model, not the same one.
"""

import json
from pathlib import Path

import pytest
from study import ROOT, make_clone, snakemake, tiny_config

from switchpoint.study.config import Optimizer, PretrainingStage
from switchpoint.training import models, tiny_base
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine

SHIPPED = ROOT / "src/switchpoint/tiny-base"


def losses(directory: Path) -> list[float]:
    """Nats per token on new documents: worked problems, and lists of facts."""
    policy, tokenizer = models.load(directory), tiny_base.make_tokenizer()
    engine = Engine(policy.model, Optimizer(learning_rate=1.0), tokenizer.pad_token_id)
    result = []
    for facts in (0.0, 1.0):
        stage = PretrainingStage(steps=1, batch_size=400, learning_rate=1.0, facts_share=facts)
        rows = tokenizer(tiny_base.documents(1, 2, 0, stage))["input_ids"]
        logprobs = engine.logprobs([Sequence(row[:1], row[1:]) for row in rows])
        result.append(-float(sum(one.sum() for one in logprobs)) / sum(map(len, logprobs)))
    return result


@pytest.mark.soak
def test_the_rule_makes_a_base_model_like_the_shipped_one(tmp_path):
    config = tiny_config()
    config["model"] = {}
    clone = make_clone(tmp_path / "clone", config)
    snakemake(clone, "--until", "make_base")
    made = clone / "results/tiny/base"
    assert losses(made) == pytest.approx(losses(SHIPPED), rel=0.02)
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        assert (made / name).read_bytes() == (SHIPPED / name).read_bytes(), name
    records = [json.loads((folder / "run.json").read_text()) for folder in (made, SHIPPED)]
    assert records[0]["job"] == records[1]["job"]
