"""Model directories: loading, and saving what transformers and vLLM load unchanged."""

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.model_directory import read_object
from switchpoint.training import llama_parameters, weights
from switchpoint.training.engine import ranks
from switchpoint.training.tokenizer import Tokenizer

# What transformers raises for a model that it does not know, a size that is missing, of another type, or zero.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError)
UNTRUE = ("torch_dtype", "auto_map")  # of what is saved: in its own type, and for the library's own code


Weights = Iterable[tuple[str, torch.Tensor]]
"""Weights under transformers' names."""


@dataclasses.dataclass
class Policy:
    """A model directory in memory; ``ends`` are the tokens that end a turn."""

    model: torch.nn.Module
    tokenizer: Tokenizer
    ends: set[int]
    config: dict
    generation_config: dict


def load(directory: str | Path, template: str | Path | None = None) -> Policy:
    """The policy in a Hugging Face model directory, in float32, in the computer's memory.

    Models of Llama's shape are read by ``llama_parameters``, others by transformers, which takes seconds to import.
    InputError, before any of the model is used, for a directory that is not whole, that holds something else than
    one model's plain weights, or whose parts do not fit each other.  ``template`` is the file of another chat template.
    """
    directory = Path(directory)
    if (directory / "adapter_config.json").is_file():  # transformers would put it on the model that it names
        raise InputError(f"{directory} holds an adapter; merge it into its base (merge_and_unload)")
    config = read_object(directory / "config.json")
    if config.get("quantization_config"):
        raise InputError(f"{directory}: config.json says that it is quantized; give it in floating point")
    state = weights.read(directory)
    weights.refuse_untied(directory, config, state)
    if llama_parameters.fits(config):
        model = llama_parameters.load(config, state, directory)
    else:
        model = load_by_transformers(directory, state)
    tokenizer = Tokenizer(directory, model.config.vocab_size, template)
    path = directory / "generation_config.json"
    generation = read_object(path) if path.is_file() else {}
    ends = read_ends(directory, config, generation, model.config.vocab_size)
    ends |= {tokenizer.eos_token_id, tokenizer.turn_end_id}
    return Policy(model.eval(), tokenizer, ends, config, generation)


def read_ends(directory: Path, config: dict, generation: dict, vocabulary: int) -> set[int]:
    """The tokens that end a turn by the generation configuration, or by the model's where that says none."""
    for name, source in (("generation_config.json", generation), ("config.json", config)):
        ends = source.get("eos_token_id")
        if ends is not None:
            ends = ends if isinstance(ends, list) else [ends]
            if not all(type(token) is int and 0 <= token < vocabulary for token in ends):
                raise InputError(
                    f"{directory}/{name}: eos_token_id is {source['eos_token_id']!r}; "
                    f"give token ids of the model's vocabulary, 0 to {vocabulary - 1}"
                )
            return set(ends)
    return set()


def load_by_transformers(directory: str | Path, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Any causal language model of the library's, with the weights ``state``; a directory's code is never run."""
    import transformers
    from huggingface_hub.errors import StrictDataclassError
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what does not fit is refused below
    try:
        config = transformers.AutoConfig.from_pretrained(
            directory, trust_remote_code=False, local_files_only=True
        )
        with torch.device("meta"):
            empty = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        model, found = type(empty).from_pretrained(
            None,
            config=empty.config,
            state_dict=state,
            dtype="float32",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (StrictDataclassError, *UNREADABLE) as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise InputError(
            f"{directory}: transformers {transformers.__version__} cannot read config.json ({reason}); "
            "give a model that it knows without custom code, which is never run"
        ) from None
    weights.refuse_misfits(
        directory, found["missing_keys"], found["unexpected_keys"], found["mismatched_keys"]
    )
    return model


def save(
    policy: Policy, directory: str | Path, card: str, record: dict, weights: Weights | None = None
) -> None:
    """Writes a model directory anew; ``record`` is its ``run.json``, which measures the other files.

    They are written one after the other: whoever asks whether the directory is whole asks its records.
    ``weights`` are those that an engine gives, tensor by tensor; all ranks take them, rank 0 writes.
    """
    state = {
        name: tensor.detach().cpu() if ranks.is_main() else None
        for name, tensor in weights or policy.model.state_dict().items()
    }
    if ranks.is_main():
        write(policy, state, Path(directory), card)
        outputs = files.measure(directory, sorted(os.listdir(directory)))
        files.write_record(Path(directory, "run.json"), {**record, "outputs": outputs})


def write(policy: Policy, state: dict[str, torch.Tensor], directory: Path, card: str) -> None:
    """Writes a model directory anew with the weights ``state``, but for its record."""
    dtype = str(next(one.dtype for one in state.values() if one.is_floating_point())).removeprefix("torch.")
    generation = {"eos_token_id": sorted(policy.ends), "pad_token_id": policy.tokenizer.pad_token_id}
    with new_directory(directory, card):
        if isinstance(policy.model, llama_parameters.Llama):
            llama_parameters.save(policy.model, state, directory / "model.safetensors")
            config = policy.config | llama_parameters.named(policy.config)
        else:
            policy.model.save_pretrained(directory, state_dict=state, max_shard_size="1TB")
            config = files.read_json(directory / "config.json")
        files.write_json(directory / "config.json", kept(config) | {"dtype": dtype})
        files.write_json(directory / "generation_config.json", policy.generation_config | generation)
        files.write_json(directory / "tokenizer_config.json", kept(policy.tokenizer.config))
        shutil.copyfile(policy.tokenizer.directory / "tokenizer.json", directory / "tokenizer.json")
        (directory / "chat_template.jinja").write_text(policy.tokenizer.template, encoding="utf-8")


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


def kept(config: dict) -> dict:
    """What a configuration says that is true of a saved model, too."""
    return {key: value for key, value in config.items() if key not in UNTRUE}
