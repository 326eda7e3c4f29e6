"""Model directories of Llama's shape: which they are, and that they are read and written as by transformers."""

import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from switchpoint import files
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import Sampling
from switchpoint.training import llama_parameters, models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine, padded_response_logits
from switchpoint.training.llama import response_logits
from switchpoint.training.llama_parameters import Llama
from switchpoint.training.rollouts.sampler import Prompt, Sampler

BASE = "assets/tiny-base"
SIZES = {"vocab_size": 80, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
         "max_position_embeddings": 64}  # fmt: skip
READ = {
    "llama": {"model_type": "llama"},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama, head_dim": {"model_type": "llama", "head_dim": 16},
    "llama, theta": {"model_type": "llama", "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "qwen2": {"model_type": "qwen2"},
    "qwen2, tied": {"model_type": "qwen2", "tie_word_embeddings": True},
}
OTHERS = {
    "attention bias": {"model_type": "llama", "attention_bias": True},
    "mlp bias": {"model_type": "llama", "mlp_bias": True},
    "rope": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0},
    },
    "activation": {"model_type": "llama", "hidden_act": "gelu"},
    "sliding window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 4,
        "max_window_layers": 0,
    },
    "mistral": {"model_type": "mistral"},
    "qwen3": {"model_type": "qwen3"},
}
PAIRS = [([3, 4, 5], [6, 7, 1]), ([3, 4, 5], [8]), ([9], [10, 11, 12, 13, 1])]


def make_directory(directory, fields: dict):
    """A random model of a configuration, saved by transformers, with the base's tokenizer."""
    torch.manual_seed(0)
    fields = SIZES | fields
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields)).eval()
    for parameter in model.parameters():  # no norm of ones and no bias of zeros
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(f"{BASE}/{name}", directory / name)
    return model


@pytest.mark.parametrize("name", READ)
def test_models_of_llamas_shape_are_read_and_written_as_by_transformers(name, tmp_path):
    theirs = make_directory(tmp_path / "model", READ[name])
    policy = models.load(tmp_path / "model")
    assert isinstance(policy.model, Llama)
    with torch.no_grad():
        expected = padded_response_logits(theirs, PAIRS, 0)
        torch.testing.assert_close(response_logits(policy.model, PAIRS), expected, rtol=0, atol=2e-5)
    models.save(policy, tmp_path / "copy", "# card\n", {})
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "copy")
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert len(list(policy.model.parameters())) == len(list(theirs.parameters()))


@pytest.mark.parametrize("name", OTHERS)
def test_all_others_go_through_transformers(name, tmp_path):
    theirs = make_directory(tmp_path / "model", OTHERS[name])
    assert not llama_parameters.fits(files.read_json(tmp_path / "model/config.json"))
    policy = models.load(tmp_path / "model")
    assert type(policy.model) is type(theirs)
    engine = Engine(policy.model, Optimizer(learning_rate=1e-3), 0)
    figures = engine.step([Sequence(*pair) for pair in PAIRS], lambda batch: (-batch.logprobs.sum(), {}))
    assert figures["norm"] > 0
    models.save(policy, tmp_path / "copy", "# card\n", {})
    assert type(models.load(tmp_path / "copy").model) is type(theirs)


def test_both_ways_give_the_same_responses_and_log_probabilities():
    ours, theirs = models.load(BASE), models.load_by_transformers(BASE)
    prompts = [
        Prompt(ours.tokenizer.encode(f"Start with {n}. (1) add 4.<sol>"), str(n)) for n in range(10)
    ] * 2
    prompts = [Prompt(prompt.token_ids, f"{prompt.key}/{n}") for n, prompt in enumerate(prompts)]
    for top_p in (1.0, 0.9):
        sampling = Sampling(temperature=0.9, top_p=top_p, max_new_tokens=30, seed=5)
        one, other = (Sampler(model, ours.ends).sample(prompts, sampling) for model in (ours.model, theirs))
        assert [rollout.token_ids for rollout in one] == [rollout.token_ids for rollout in other]
        for left, right in zip(one, other, strict=True):
            assert left.logprobs == pytest.approx(right.logprobs, abs=1e-4)
    sequences = [
        Sequence(prompt.token_ids, rollout.token_ids) for prompt, rollout in zip(prompts, one, strict=True)
    ]
    numbers = Optimizer(learning_rate=1e-3, microbatch_size=7)
    found = [Engine(model, numbers, 0, temperature=0.9).logprobs(sequences) for model in (ours.model, theirs)]
    for left, right in zip(*found, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-4)
