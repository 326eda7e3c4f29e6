"""Small random model directories as transformers saves them, and ways to change them."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from switchpoint.training import llama, llama_parameters
from switchpoint.training.engine.torch import padded_response_logits

BASE = "src/switchpoint/tiny-base"
SIZES = {"vocab_size": 80, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None,
         "max_position_embeddings": 64}  # fmt: skip
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}  # fmt: skip
FAMILIES = {  # read by this project's module, and by transformers
    "llama": {"model_type": "llama"},
    "llama, tied": {"model_type": "llama", "tie_word_embeddings": True},
    "qwen2": {"model_type": "qwen2"},
    "qwen2, tied": {"model_type": "qwen2", "tie_word_embeddings": True},
    "llama 3": {"model_type": "llama", "rope_parameters": LLAMA3},
    "qwen3": {"model_type": "qwen3"},
    "gemma2, tied": {"model_type": "gemma2", "head_dim": 8, "tie_word_embeddings": True},
}
PAIRS = [([3, 4, 5], [6, 7, 1]), ([3, 4, 5], [8]), ([9], [10, 11, 12, 13, 1])]


def make_directory(directory: Path, fields: dict, dtype=torch.float32, **saving):
    """A random model of a configuration, saved by transformers, with the base's tokenizer."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**(SIZES | fields))).eval()
    for parameter in model.parameters():  # no norm of ones and no bias of zeros
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(directory, **saving)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(f"{BASE}/{name}", directory / name)
    return model


def make_shards(directory: Path, fields: dict):
    """The same in shards, with their index."""
    model = make_directory(directory, fields, max_shard_size="8KB")
    assert not (directory / "model.safetensors").exists()
    assert len(list(directory.glob("model-*.safetensors"))) > 2
    return model


def change_json(path: Path, **fields) -> None:
    """Sets keys of a JSON file; None removes one."""
    value = (json.loads(path.read_text()) if path.exists() else {}) | fields
    path.write_text(json.dumps({key: one for key, one in value.items() if one is not None}))


def change_weights(path: Path, **tensors) -> None:
    """Sets tensors of a safetensors file; None removes one."""
    state = load_file(path) | tensors
    save_file(
        {name: one.contiguous() for name, one in state.items() if one is not None}, path, {"format": "pt"}
    )


def prefix_weights(path: Path, prefix: str) -> None:
    """Puts a prefix before every name of a safetensors file."""
    save_file({prefix + name: one for name, one in load_file(path).items()}, path, {"format": "pt"})


@torch.no_grad()
def logprobs(model) -> torch.Tensor:
    """Log-probabilities (tokens, vocabulary) of ``PAIRS``, whichever module the model is."""
    ours = isinstance(model, llama_parameters.Llama)
    logits = llama.response_logits(model, PAIRS) if ours else padded_response_logits(model, PAIRS, 0)
    return logits.log_softmax(-1)
