"""The weights of a model directory: read and checked whole, whichever module takes them."""

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from switchpoint import model_directory
from switchpoint.errors import InputError

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
# Tensors of older files that are no weights: models compute them, some are infinite.
COMPUTED = ("rotary_emb.inv_freq", ".masked_bias")
# Parts of names that come from what a model was wrapped in when it was saved.
WRAPPERS = {
    "module.": "DeepSpeed or DataParallel wrapped the model; save its .module",
    "_orig_mod.": "torch.compile wrapped the model; save its ._orig_mod",
    "lora_": "these are a LoRA adapter's; merge it into its base (merge_and_unload)",
    "base_model.": "PEFT wrapped the model; save what merge_and_unload gives",
}
SHOWN = 3  # names in a message


def read(directory: str | Path) -> dict[str, torch.Tensor]:
    """Every weight by its name, in float32; InputError for files that are damaged, quantized or not finite."""
    weights: dict[str, torch.Tensor] = {}
    index = Path(directory, model_directory.INDEX)
    shards = model_directory.read_index(index) if index.is_file() else None
    for path in model_directory.weight_files(directory):
        tensors = read_file(path)
        named = tensors.keys() if shards is None else {name for name in shards if shards[name] == path.name}
        if named != tensors.keys():
            first = min(named ^ tensors.keys())
            fault = "lacks" if first in named else "holds"
            raise InputError(f"{path} {fault} {first}, unlike {index.name} says; fetch both again")
        for name, tensor in tensors.items():
            if not name.endswith(COMPUTED):
                weights[name] = to_float32(tensor, f"{path}: {name}")
    return weights


def read_file(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file."""
    try:
        return load_file(path)
    except SafetensorError as error:
        model_directory.refuse_pointer(path)
        raise InputError(f"{path} is no whole safetensors file ({error}); fetch it again") from None


def to_float32(tensor: torch.Tensor, label: str) -> torch.Tensor:
    """A weight in float32; other tensors than floating-point ones, such as masks, stay as they are."""
    if tensor.dtype not in DTYPES:
        if label.endswith((".weight", "proj.bias")):
            raise InputError(f"{label} is {tensor.dtype}, so quantized; give the model in floating point")
        return tensor
    tensor = tensor.float()
    if not torch.isfinite(tensor).all():
        raise InputError(
            f"{label} holds NaN or infinite numbers; its training diverged, or the file is damaged"
        )
    return tensor


def refuse_misfits(
    source: str | Path, missing: Iterable[str], unexpected: Iterable[str], shapes: Iterable[tuple]
) -> None:
    """InputError unless there are no misfits; ``shapes`` has (name, shape in the file, the model's shape)."""
    missing, unexpected, shapes = sorted(missing), sorted(unexpected), sorted(shapes)
    found = [listed("missing", missing), listed("unexpected", unexpected)]
    found += [f"{name} is {tuple(theirs)} and not {tuple(ours)}" for name, theirs, ours in shapes[:1]]
    hints = [hint for part, hint in WRAPPERS.items() if any(f".{part}" in f".{name}" for name in unexpected)]
    found += hints[:1] or ["give the weights and the config.json of one model"]
    if missing or unexpected or shapes:
        raise InputError(f"{source}: the weights do not fit config.json: {'; '.join(filter(None, found))}")


def listed(what: str, names: list[str]) -> str:
    """The first names, and how many there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what} {', '.join(names[:SHOWN])}{more}" if names else ""


def refuse_untied(source: str | Path, config: dict, weights: dict[str, torch.Tensor]) -> None:
    """InputError where a configuration ties the head to the embedding, and the weights have a head of their own."""
    embedding, head = (weights.get(f"{name}.weight") for name in ("model.embed_tokens", "lm_head"))
    if not config.get("tie_word_embeddings") or embedding is None or head is None:
        return
    if not torch.equal(head, embedding):
        raise InputError(
            f"{source} has a head of its own, but its config.json ties the head to the embedding; "
            "set tie_word_embeddings to false there"
        )
