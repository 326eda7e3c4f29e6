"""Model directories of Llama's shape: which they are, and that they are read and written as by transformers."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import Sampling
from switchpoint.training import llama_parameters, models, weights
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


def rewrite(directory, config: dict | None = None, **tensors) -> None:
    """Changes keys of a model directory's configuration, and tensors (None removes one)."""
    path, weights = directory / "config.json", directory / "model.safetensors"
    path.write_text(json.dumps(config or files.read_json(path)))
    state = load_file(weights) | tensors
    save_file({name: value for name, value in state.items() if value is not None}, weights)


def test_a_theta_beside_rope_parameters_is_read(tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    config = files.read_json(tmp_path / "model/config.json")
    rewrite(tmp_path / "model", config | {"rope_parameters": {"rope_type": "default"}, "rope_theta": 300.0})
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        found = response_logits(models.load(tmp_path / "model").model, PAIRS)
        torch.testing.assert_close(found, padded_response_logits(theirs, PAIRS, 0), rtol=0, atol=2e-5)


def test_frequencies_of_older_files_are_left_out(tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    expected = models.load(tmp_path / "model").model.state_dict()
    rewrite(tmp_path / "model", **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)})
    found = models.load(tmp_path / "model").model.state_dict()
    assert found.keys() == expected.keys()


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("llama, tied", "lm_head.weight", torch.ones(80, 24), "tie_word_embeddings to false"),
        ("llama", "lm_head.weight", None, "lm_head.weight"),
        ("llama", "model.norm.bias", torch.ones(24), "model.norm.bias"),
        ("llama, tied", "model.embed_tokens.weight", None, "embed_tokens"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(name, key, value, words, tmp_path):
    make_directory(tmp_path / "model", READ[name])
    rewrite(tmp_path / "model", **{key: value})
    with pytest.raises(InputError, match=words):
        models.load(tmp_path / "model")


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
    ours, theirs = models.load(BASE), models.load_by_transformers(BASE, weights.read(BASE))
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
