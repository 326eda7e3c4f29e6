"""Model directories: loading, and saving what transformers and vLLM load unchanged."""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

import torch

from switchpoint import files
from switchpoint.training import llama_parameters
from switchpoint.training.engine.torch import device
from switchpoint.training.tokenizer import Tokenizer

COPIED = ("tokenizer.json", "tokenizer_config.json")


@dataclasses.dataclass
class Policy:
    """A model directory in memory; ``ends`` are the tokens that end a turn."""

    model: torch.nn.Module
    tokenizer: Tokenizer
    ends: set[int]
    config: dict
    generation_config: dict


def load(directory: str | Path) -> Policy:
    """The policy in a Hugging Face model directory, in float32, on the device.

    Models of Llama's shape are read by ``llama_parameters``, others by transformers, which takes seconds to import.
    """
    config = files.read_json(Path(directory, "config.json"))
    weights = Path(directory, "model.safetensors")
    if llama_parameters.fits(config) and weights.is_file():
        model = llama_parameters.load(config, weights)
    else:
        model = load_by_transformers(directory)
    tokenizer = Tokenizer(directory)
    path = Path(directory, "generation_config.json")
    generation = files.read_json(path) if path.is_file() else {}
    configured = generation.get("eos_token_id", config.get("eos_token_id"))
    ends = configured if isinstance(configured, list) else [configured]
    ends = {token for token in [*ends, tokenizer.eos_token_id] if token is not None}
    return Policy(model.to(device()).eval(), tokenizer, ends, config, generation)


def load_by_transformers(directory: str | Path) -> torch.nn.Module:
    """Any causal language model of the library's."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModelForCausalLM.from_pretrained(directory, dtype="float32", local_files_only=True)


def save(policy: Policy, directory: str | Path, card: str, record: dict) -> None:
    """Writes a model directory; ``record`` is its ``run.json``.

    The files are written aside and renamed one by one, the weights last.
    """
    directory = Path(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    generation = {"eos_token_id": sorted(policy.ends), "pad_token_id": policy.tokenizer.pad_token_id}
    with tempfile.TemporaryDirectory(dir=directory.parent) as name:
        scratch = Path(name)
        if isinstance(policy.model, llama_parameters.Llama):
            llama_parameters.save(policy.model, scratch / "model.safetensors")
            files.write_json(scratch / "config.json", policy.config | {"dtype": "float32"})
        else:
            policy.model.save_pretrained(scratch, max_shard_size="1TB")
        files.write_json(scratch / "generation_config.json", policy.generation_config | generation)
        for copied in COPIED:
            shutil.copyfile(policy.tokenizer.directory / copied, scratch / copied)
        (scratch / "chat_template.jinja").write_text(policy.tokenizer.template, encoding="utf-8")
        (scratch / "README.md").write_text(card, encoding="utf-8")
        files.write_json(scratch / "run.json", record)
        directory.mkdir(exist_ok=True)
        for file in sorted(os.listdir(scratch), key=lambda file: (file == "model.safetensors", file)):
            (scratch / file).replace(directory / file)
