"""Evaluation profiles, templates, and what a job's slice depends on."""

import json
from pathlib import Path

import pytest
import yaml

from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import templates

ROOT = Path(__file__).parents[3]


def parsed(**evaluation):
    """The default study with another evaluation."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["evaluation"] = evaluation
    return studies.parse(config)


def test_a_profile_fills_what_is_not_given():
    retu = json.loads(parsed(profile="retu").evaluate_job("base"))
    assert (retu["temperature"], retu["top_p"], retu["max_new_tokens"]) == (0.7, 1.0, 8192)
    assert set(retu["test"].values()) == {1}
    quagmires = parsed(profile="quagmires", max_new_tokens=100)
    job = json.loads(quagmires.evaluate_job("base"))
    assert (job["profile"], job["temperature"], job["max_new_tokens"]) == ("quagmires", 1.0, 100)
    assert set(job["test"].values()) == {256}
    assert json.loads(quagmires.analyze_job())["pass_at"] == [1, 2, 4, 8, 16, 32, 64]


def test_pass_at_k_needs_k_samples():
    with pytest.raises(InputError, match="pass@k needs k <= test_samples"):
        parsed(test_samples=4, pass_at=[1, 8])


def test_what_is_reported_is_not_in_the_samples_slice():
    few, many = parsed(test_samples=8, pass_at=[1]), parsed(test_samples=8, pass_at=[1, 8], parts=3)
    assert few.evaluate_job("base") == many.evaluate_job("base")
    assert few.analyze_job() != many.analyze_job()


def test_test_samples_leave_training_alone():
    few, many = parsed(test_samples=1), parsed(test_samples=8)
    assert few.rl_job("dapo_dc", "S-40", 0) == many.rl_job("dapo_dc", "S-40", 0)
    assert few.evaluate_job("rl/dapo_dc/S-40") != many.evaluate_job("rl/dapo_dc/S-40")
    assert "monitor" not in json.loads(few.evaluate_job("rl/dapo_dc/S-40"))


def test_a_template_is_named_and_hashed_in_every_slice():
    study = parsed()
    expected = templates.template_job("retu")
    for job in (
        study.sft_job("S", 0),
        study.rl_job("grpo", "base", 0),
        study.evaluate_job("base"),
        study.win_rate_job(),
    ):
        assert json.loads(job)["template"] == expected
    assert len({templates.template_job(name)["sha256"] for name in templates.TEMPLATES}) == len(
        templates.TEMPLATES
    )


def test_templates_keep_the_problems_braces():
    for name in templates.TEMPLATES:
        messages = templates.messages(name, "Find {x} in \\frac{1}{2} {problem}.")
        assert (
            sum(message["content"].count("Find {x} in \\frac{1}{2} {problem}.") for message in messages) == 1
        )
        assert messages[-1]["role"] == "user"


def test_a_benchmark_may_not_bear_a_scores_name():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["data"]["benchmarks"]["overall"] = config["data"]["benchmarks"].pop("gsm")
    with pytest.raises(InputError, match="'overall'"):
        studies.parse(config)
