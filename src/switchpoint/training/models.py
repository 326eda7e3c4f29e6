"""Model directories: the tiny base model's architecture and tokenizer, loading, saving."""

import itertools
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import jinja2

from switchpoint import files
from switchpoint.data import step_lists
from switchpoint.errors import InputError
from switchpoint.study import templates
from switchpoint.study.jobs import Template

# One token per number, word or mark, each with the space that follows it, so that a
# step's label and phrase are the same tokens in the problem and in the solution.
PIECES = r"\\boxed\{|\(\d+\) |\d+| = |[A-Za-z]+:? ?|[.,;] ?|\s|\S"
SPECIAL_TOKENS = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
ANSWER_MARKER = "<sol>"
MAX_STEPS = 12
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ message['content'] }}<sol>"
    "{%- elif message['role'] == 'assistant' -%}{{ message['content'] }}<eos>"
    "{%- else -%}{{ raise_exception('only user and assistant messages') }}{%- endif -%}"
    "{%- endfor -%}"
)
TINY_LLAMA = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,  # vLLM on CPU refuses 16
    "intermediate_size": 168,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,  # vLLM on CPU does not reload a tied head
}


def vocabulary() -> list[str]:
    """Every piece that a generated text can hold, in a fixed order."""
    phrases = itertools.chain.from_iterable(step_lists.PHRASES.values())
    texts = [f"({n}) " for n in range(1, MAX_STEPS + 1)]
    texts += [str(state) for state in step_lists.STATES]
    texts += [f"{phrase} " for phrase in phrases] + step_lists.SEPARATORS + step_lists.CLOSINGS
    texts += [f"{name} has " for name in step_lists.NAMES] + ["Start with ", " = ", " ", ".", "\\boxed{", "}"]
    pieces = itertools.chain.from_iterable(re.findall(PIECES, text) for text in texts)
    return [*SPECIAL_TOKENS.values(), ANSWER_MARKER, *dict.fromkeys(pieces)]


def make_tokenizer():
    """The step-list tokenizer: every generated text decodes to itself, character by character."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    ids = {piece: index for index, piece in enumerate(vocabulary())}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([*SPECIAL_TOKENS.values(), ANSWER_MARKER])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=[ANSWER_MARKER],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=TINY_LLAMA["max_position_embeddings"],
        **SPECIAL_TOKENS,
    )


def make_tiny_llama(tokenizer):
    """The tiny base model's architecture with fresh weights (seed torch first)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TINY_LLAMA,
    )
    return LlamaForCausalLM(config)


def load(directory: str | Path):
    """(model, tokenizer) of a Hugging Face model directory, in float32, on the device."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from switchpoint.training.engine import torch as engine

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(directory, dtype="float32", local_files_only=True)
    return model.to(engine.device()).eval(), load_tokenizer(directory)


def load_tokenizer(directory: str | Path):
    """The tokenizer of a model directory."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def token_counter(directory: str | Path) -> Callable[[str], int]:
    """Number of tokens of a text, without the seconds that importing transformers takes."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(directory, "tokenizer.json")))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def end_tokens(model, tokenizer) -> set[int]:
    """Every token that ends a turn: generation_config's and the tokenizer's."""
    configured = model.generation_config.eos_token_id
    ends = configured if isinstance(configured, list) else [configured]
    return {token for token in [*ends, tokenizer.eos_token_id] if token is not None}


def save(model, tokenizer, directory: str | Path, card: str, record: dict) -> None:
    """Writes a model directory that transformers and vLLM load unchanged; ``record`` is its ``run.json``.

    The files are written aside and renamed one by one, the weights last.
    """
    directory = Path(directory)
    with tempfile.TemporaryDirectory(dir=make_parent(directory)) as scratch:
        model.generation_config.eos_token_id = sorted(end_tokens(model, tokenizer))
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        model.save_pretrained(scratch, max_shard_size="1TB")
        tokenizer.save_pretrained(scratch)
        Path(scratch, "README.md").write_text(card, encoding="utf-8")
        files.write_json(Path(scratch, "run.json"), record)
        directory.mkdir(exist_ok=True)
        for name in sorted(os.listdir(scratch), key=lambda name: (name == "model.safetensors", name)):
            Path(scratch, name).replace(directory / name)


def make_parent(path: Path) -> Path:
    """The directory that holds ``path``, made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.parent


def render_prompt(tokenizer, problem: str, template: Template) -> list[int]:
    """Token ids of the prompt: the template's messages through the tokenizer's chat template.

    InputError where that refuses them (some take no system message).
    """
    messages = templates.messages(template.name, problem)
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:
        raise InputError(
            f"the model's chat template refuses model.template {template.name!r}: {error}; choose another one"
        ) from None
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def render_response(tokenizer, solution: str) -> list[int]:
    """Token ids of an expert trajectory, closed by the end token."""
    return [*tokenizer(solution, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
