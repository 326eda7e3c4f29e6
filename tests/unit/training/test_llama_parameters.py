"""Model directories of Llama's shape: which they are, and that they are read and written as by transformers."""

import pytest
import torch
from model_directories import BASE, PAIRS, change_json, change_weights, logprobs, make_directory
from transformers import AutoModelForCausalLM

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


def test_a_theta_beside_rope_parameters_is_read(tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    fields = {"rope_parameters": {"rope_type": "default"}, "rope_theta": 300.0}
    change_json(tmp_path / "model/config.json", **fields)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        found = response_logits(models.load(tmp_path / "model").model, PAIRS)
        torch.testing.assert_close(found, padded_response_logits(theirs, PAIRS, 0), rtol=0, atol=2e-5)


def test_frequencies_of_older_files_are_left_out(tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    expected = models.load(tmp_path / "model").model.state_dict()
    older = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3)}
    change_weights(tmp_path / "model/model.safetensors", **older)
    found = models.load(tmp_path / "model").model.state_dict()
    assert found.keys() == expected.keys()


# What people's configurations say: the fields, and whether the module of this project reads it (or transformers).
SAID = {
    "no architectures": ({"architectures": None}, True),
    "architectures of another class": ({"architectures": ["LlamaForSequenceClassification"]}, True),
    "no head_dim": ({"head_dim": None}, True),
    "no rms_norm_eps": ({"rms_norm_eps": None}, True),
    "no tie_word_embeddings": ({"tie_word_embeddings": None}, True),
    "theta as before transformers 5": ({"rope_parameters": None, "rope_theta": 300.0}, True),
    "no theta": ({"rope_parameters": None}, True),
    "torch_dtype as before transformers 5": ({"dtype": None, "torch_dtype": "bfloat16"}, True),
    "a window that Llama has not": ({"sliding_window": 2}, True),
    "no pad token": ({"pad_token_id": None}, True),
    "pad token -1": ({"pad_token_id": -1}, True),
    "code of its own": ({"auto_map": {"AutoModelForCausalLM": "code.Model"}}, True),
    "no activation": ({"hidden_act": None}, False),
    "linear rope as before transformers 5": (
        {"rope_parameters": None, "rope_theta": 300.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
        False,
    ),
    "rotary part": (
        {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}},
        False,
    ),
    "no causal mask": ({"is_causal": False}, False),
}


@pytest.mark.parametrize("name", SAID)
def test_a_configuration_is_read_as_transformers_reads_it(name, tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    fields, ours = SAID[name]
    change_json(tmp_path / "model/config.json", **fields)
    policy = models.load(tmp_path / "model")
    assert isinstance(policy.model, Llama) is ours
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="float32")
    torch.testing.assert_close(logprobs(policy.model), logprobs(theirs), rtol=0, atol=1e-4)
    models.save(policy, tmp_path / "copy", "# card\n", {})
    saved = files.read_json(tmp_path / "copy/config.json")
    assert saved["architectures"] == ["LlamaForCausalLM"]
    assert (saved["dtype"], saved.get("torch_dtype"), saved.get("auto_map")) == ("float32", None, None)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "copy")
    assert again.dtype == torch.float32
    torch.testing.assert_close(logprobs(again), logprobs(theirs), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"hidden_size": None}, "is \\(80, 24\\) and not \\(80, 4096\\)"),
        ({"num_hidden_layers": None}, "missing model.layers.10"),
        ({"num_hidden_layers": -1}, "unexpected model.layers.0"),
        ({"hidden_size": "24"}, "hidden_size"),
        ({"num_attention_heads": 0}, "by zero"),
        ({"num_attention_heads": 5, "head_dim": None}, "heads"),
        ({"num_key_value_heads": 3}, "k_proj.weight is \\(12, 24\\) and not \\(18, 24\\)"),
        ({"head_dim": 5}, "even"),
        ({"rms_norm_eps": "1e-6"}, "rms_norm_eps"),
        ({"pad_token_id": 80}, "Padding_idx"),
        ({"rope_parameters": [1]}, "config.json"),
        ({"model_type": "unheard"}, "unheard"),
        ({"model_type": None}, "Unrecognized model"),
        ({"model_type": "t5"}, "AutoModelForCausalLM"),
        ({"model_type": "qwen2"}, "missing model.layers.0.self_attn.k_proj.bias"),
        ({"quantization_config": {"quant_method": "fp8"}}, "quantized"),
    ],
    ids=str,
)
def test_a_configuration_that_describes_no_model_or_another_is_refused(fields, words, tmp_path):
    make_directory(tmp_path / "model", READ["llama"])
    change_json(tmp_path / "model/config.json", **fields)
    with pytest.raises(InputError, match=words) as error:
        models.load(tmp_path / "model")
    assert "\n" not in str(error.value)


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
