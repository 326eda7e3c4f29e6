"""vLLM's sampler beside ours: the same outputs, and the trainer's weights after every sync."""

import pandas as pd
import pytest
from model_directories import FAMILIES, make_directory
from processes import found_by

# Sizes that vLLM takes on a CPU, which refuses small heads.
LARGER = {"hidden_size": 128, "intermediate_size": 128}

# In a process of its own: vLLM changes its process for good.
SYNCS = """
import json, sys
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import Sampling
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine, configure
from switchpoint.training.rollouts.sampler import Prompt, open_sampler
from switchpoint.training.sft import mean_loss

configure(0)
policy = models.load(sys.argv[1])
sampling = Sampling(temperature=0.8, top_p=1.0, max_new_tokens=12, seed=3, by="vllm")
engine = Engine(policy.model, Optimizer(learning_rate=float(sys.argv[2])), policy.tokenizer.pad_token_id, temperature=0.8)
sampler = open_sampler(sampling, policy, sys.argv[1])
ids = policy.tokenizer.encode("Tom has 9. (1) gets 7 (2) loses 3 (3) has times 2.")
prompts = [Prompt(ids[: 4 + row], f"0/{row}") for row in range(6)]
gaps, answers = [], []
for update in range(3):
    rollouts = sampler.sample(prompts, sampling)
    trained = [Sequence(prompt.token_ids, one.token_ids) for prompt, one in zip(prompts, rollouts)]
    ours = engine.logprobs(trained)
    gaps.append(max(abs(a - b) for mine, one in zip(ours, rollouts) for a, b in zip(mine.tolist(), one.logprobs)))
    answers.append([[one.token_ids, one.truncated] for one in rollouts])
    engine.step([Sequence(ids[:4], ids[4:])], mean_loss)
    sampler.sync(engine)
again = [[one.token_ids, one.truncated] for one in sampler.sample(prompts, sampling)]
sampler.load(models.load(sys.argv[1]).model)
first = [[one.token_ids, one.truncated] for one in sampler.sample(prompts, sampling)]
print("FOUND" + json.dumps({"gaps": gaps, "answers": answers, "again": again, "first": first, "ends": sorted(policy.ends)}))
"""

MANY = """
import json, sys
from switchpoint.errors import InputError
from switchpoint.study.jobs import Sampling
from switchpoint.training import models
from switchpoint.training.engine.torch import configure
from switchpoint.training.rollouts.sampler import Prompt, open_sampler

configure(0)
policy = models.load(sys.argv[1])
sampling = Sampling(temperature=0.8, top_p=1.0, max_new_tokens=3, seed=3, by="vllm")
ids = policy.tokenizer.encode("Tom has 9. (1) gets 7 (2) loses 3 (3) has times 2.")
prompts = [Prompt((ids * 4)[: 40 + row % 9], f"{row}/0") for row in range(1000)]
sampler = open_sampler(sampling, policy, sys.argv[1])
rollouts = sampler.sample(prompts, sampling)
refused = []
for change in ({"max_new_tokens": 10**5}, {"temperature": 2.5}):
    try:
        sampler.sample(prompts[:1], sampling.model_copy(update=change))
    except InputError as error:
        refused.append(str(error))
print("FOUND" + json.dumps({"tokens": sum(len(one.token_ids) for one in prompts), "refused": refused,
                            "lengths": [len(one.token_ids) for one in rollouts]}))
"""

RUN = """
import json, sys
from pathlib import Path

sys.path.append("tests/unit/training")
from test_loop import BASE, with_arm
from test_recipes import inputs
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.training import evaluation
from switchpoint.training.rl import loop

directory = Path(sys.argv[1])
config = with_arm("luffy", steps=2, batch_size=4, rollouts=4, eval_every=1)
config["model"]["rollouts"] = "vllm"
config["evaluation"]["monitor_samples"] = config["evaluation"]["test_samples"] = 2
study, files = Expansion(studies.parse(config)), inputs(directory)
out, state = str(directory / "out"), str(directory / "state")
loop.run(study.rl_job("luffy", "base", 0), str(BASE), files["prompts"], files["benchmarks"], out, state)
record = json.loads(Path(out, "run.json").read_text())
print("FOUND" + json.dumps({"status": record["status"], "log": record["log"]}))
"""


@pytest.mark.parametrize(
    "name",
    [*(pytest.param(name, marks=pytest.mark.soak) for name in ("llama", "llama, tied")), "qwen2, tied"],
)
def test_the_weights_after_every_sync_are_the_trainers(tmp_path, name):
    """Its log-probabilities are the trainer's, at the sampling temperature, before and after updates."""
    make_directory(tmp_path / "model", FAMILIES[name] | LARGER)
    found = found_by(SYNCS, str(tmp_path / "model"), "3e-3")
    assert max(found["gaps"]) < 1e-4, found["gaps"]
    first, *others = found["answers"]
    assert all(tokens != first for tokens in (*others, found["again"]))  # the updates are seen
    assert found["first"] == first  # a response's randomness is its own
    for tokens, truncated in first:
        assert truncated == (tokens[-1] not in found["ends"])
        assert not set(tokens[:-1]) & set(found["ends"])
        assert len(tokens) == 12 if truncated else len(tokens) <= 12


def test_an_rl_run_samples_with_vllm(tmp_path):
    """Every step's rollouts are those of the weights that it trains."""
    found = found_by(RUN, str(tmp_path))
    assert found["status"] == "finished"
    assert [line["step"] for line in found["log"]] == [1, 2]
    assert all(line["logprob_gap"] < 1e-4 for line in found["log"])
    samples = pd.read_parquet(tmp_path / "out/samples.parquet")
    assert sorted(samples["step"].unique()) == [0, 1, 2]


@pytest.mark.soak
def test_more_prompts_than_vllm_takes_at_once(tmp_path):
    """It would take a prompt in pieces, and then fails on a CPU; what it would cut short or choke on is refused."""
    make_directory(tmp_path / "model", FAMILIES["llama"] | LARGER)
    found = found_by(MANY, str(tmp_path / "model"))
    assert found["tokens"] > 8192
    assert len(found["lengths"]) == 1000
    assert all(1 <= length <= 3 for length in found["lengths"])
    assert "positions" in found["refused"][0]
    assert "temperature is 2.5" in found["refused"][1]
