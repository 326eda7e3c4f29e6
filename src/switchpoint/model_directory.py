"""What a Hugging Face model directory holds: its JSON files and its weight files, without torch."""

import json
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
POINTER = b"version https://git-lfs"
CONVERT = "AutoModelForCausalLM.from_pretrained(directory).save_pretrained(another)"


def read_object(path: str | Path) -> dict:
    """The object in a JSON file; InputError when the file is missing or holds anything else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a whole model directory")
    refuse_pointer(path)
    text = files.read_text(path, "JSON file")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); give the model's own {path.name}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object; give the model's own {path.name}")
    return value


def refuse_pointer(path: Path) -> None:
    """InputError where Git LFS has left a pointer in place of a large file."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise InputError(f"{path} is a Git LFS pointer, not the file itself; run `git lfs pull`")


def weight_files(directory: str | Path) -> list[Path]:
    """The safetensors files that hold a model directory's weights: one, or the shards that its index names.

    InputError when there are none or both, or when a shard is missing.
    """
    directory = Path(directory)
    single, index = directory / WEIGHTS, directory / INDEX
    if single.is_file() and index.is_file():
        raise InputError(f"{directory} has both {WEIGHTS} and {INDEX}; delete the one that is not meant")
    if single.is_file():
        return [single]
    if index.is_file():
        return [directory / name for name in sorted(set(read_index(index).values()))]
    if any(directory.glob("pytorch_model*.bin*")):
        raise InputError(
            f"{directory} has its weights as pickles (pytorch_model.bin), which are not read, as a pickle can run "
            f"code; if you trust it, convert it with transformers: {CONVERT}"
        )
    raise InputError(f"{directory} has neither {WEIGHTS} nor {INDEX}; give a whole model directory")


def read_index(index: Path) -> dict[str, str]:
    """Which file beside an index holds each tensor."""
    shards = read_object(index).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(isinstance(one, str) for one in shards.values()):
        raise InputError(
            f"{index}: weight_map does not say which file holds which tensor; give the model's own"
        )
    for name in sorted(set(shards.values())):
        if Path(name).name != name:
            raise InputError(f"{index} names {name!r}; the weights have to lie beside it")
        if not (index.parent / name).is_file():
            raise InputError(f"{index} names {name}, which does not exist; fetch it")
    return shards
