"""Model directories: loading, and saving what transformers and vLLM load unchanged."""

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

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
    """Writes a model directory anew; ``record`` is its ``run.json``, which measures the other files.

    They are written one after the other: whoever asks whether the directory is whole asks its records.
    """
    directory = Path(directory)
    generation = {"eos_token_id": sorted(policy.ends), "pad_token_id": policy.tokenizer.pad_token_id}
    with new_directory(directory, card):
        if isinstance(policy.model, llama_parameters.Llama):
            llama_parameters.save(policy.model, directory / "model.safetensors")
            files.write_json(directory / "config.json", policy.config | {"dtype": "float32"})
        else:
            policy.model.save_pretrained(directory, max_shard_size="1TB")
        files.write_json(directory / "generation_config.json", policy.generation_config | generation)
        for copied in COPIED:
            shutil.copyfile(policy.tokenizer.directory / copied, directory / copied)
        (directory / "chat_template.jinja").write_text(policy.tokenizer.template, encoding="utf-8")
    outputs = files.measure(directory, sorted(os.listdir(directory)))
    files.write_record(directory / "run.json", {**record, "outputs": outputs})


@contextlib.contextmanager
def new_directory(directory: Path, card: str) -> Iterator[None]:
    """A new directory with a model card, for the block's files: then on disk, and readable as the card is.

    safetensors makes files for their owner alone, and an error of its own of a full disk.
    """
    files.remove(directory)
    directory.mkdir(parents=True)
    readme = directory / "README.md"
    try:
        readme.write_text(card, encoding="utf-8")
        yield
        for file in directory.iterdir():
            shutil.copymode(readme, file)
            files.sync(file)
        files.sync(directory)
    except SafetensorError as error:
        if "os error 28" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory)) from None
    except OSError as error:
        if error.errno in files.FULL:
            error.filename = str(directory)
        raise
