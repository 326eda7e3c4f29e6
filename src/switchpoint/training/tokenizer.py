"""Text to token ids and back: a model directory's ``tokenizer.json`` and chat template.

What transformers' tokenizers do with such a directory, without the seconds that importing them takes.

Deviations: decoded text is never cleaned up (``clean_up_tokenization_spaces``): it is what the tokens say.
"""

import datetime
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import jinja2
import tokenizers
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import templates
from switchpoint.study.jobs import Template

SPECIAL = tuple(f"{name}_token" for name in ("bos", "eos", "pad", "unk", "sep", "cls", "mask"))


class Generation(Extension):
    """``{% generation %}``, with which templates mark an assistant's words: here they are text like any other."""

    tags: ClassVar = {"generation"}

    def parse(self, parser) -> list:
        """The marked statements."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Tokenizer:
    """A tokenizer with a chat template."""

    def __init__(self, directory: str | Path):
        """InputError when the directory lacks ``tokenizer.json``, a chat template or an end token."""
        self.directory = Path(directory)
        path = self.directory / "tokenizer.json"
        if not path.is_file():
            raise InputError(f"{path} does not exist; save the tokenizer in its fast format")
        self.fast = tokenizers.Tokenizer.from_file(str(path))
        self.fast.no_truncation()
        self.fast.no_padding()
        config = files.read_json(self.directory / "tokenizer_config.json")
        named = {name: config.get(name) for name in SPECIAL}
        self.special = {
            name: token["content"] if isinstance(token, dict) else token
            for name, token in named.items()
            if token
        }
        self.template = self.read_template(config)
        if "eos_token" not in self.special:
            raise InputError(f"{directory}: tokenizer_config.json names no eos_token; add it")
        ids = {name: self.fast.token_to_id(token) for name, token in self.special.items()}
        for name in ("eos_token", "pad_token"):
            if name in ids and ids[name] is None:
                raise InputError(
                    f"{directory}: tokenizer_config.json says {name} {self.special[name]!r}, "
                    "which tokenizer.json does not have; correct it"
                )
        self.eos_token_id = ids["eos_token"]
        self.pad_token_id = ids.get("pad_token", self.eos_token_id)

    def read_template(self, config: dict) -> str:
        """The chat template, from its own file or from the configuration (the one called default)."""
        path = self.directory / "chat_template.jinja"
        template = path.read_text(encoding="utf-8") if path.is_file() else config.get("chat_template")
        if isinstance(template, list):
            template = {one["name"]: one["template"] for one in template}.get("default")
        if template is None:
            raise InputError(f"{self.directory} has no chat template; add chat_template.jinja")
        return template

    @functools.cached_property
    def compiled(self) -> jinja2.Template:
        """The template in the sandbox and with the helpers that templates are written for."""

        def refuse(message: str):
            raise jinja2.TemplateError(message)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
        )
        environment.filters["tojson"] = lambda value, **options: json.dumps(
            value, ensure_ascii=False, **options
        )
        environment.globals["raise_exception"] = refuse
        environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
        return environment.from_string(self.template)

    def render_prompt(self, problem: str, template: Template) -> list[int]:
        """Token ids of the prompt: the prompt template's messages through the chat template.

        InputError where that refuses them (some take no system message).
        """
        messages = templates.messages(template.name, problem)
        try:
            text = self.compiled.render(
                messages=messages, tools=None, documents=None, add_generation_prompt=True, **self.special
            )
        except jinja2.TemplateError as error:
            raise InputError(
                f"the model's chat template refuses model.template {template.name!r}: {error}; choose another one"
            ) from None
        return self.encode(text)

    def render_response(self, solution: str) -> list[int]:
        """Token ids of an expert trajectory, closed by the end token."""
        return [*self.encode(solution), self.eos_token_id]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, no special tokens added."""
        return self.fast.encode(text, add_special_tokens=False).ids

    def count(self, text: str) -> int:
        """Number of tokens of a text."""
        return len(self.encode(text))

    def decode(self, sequences: Sequence[list[int]]) -> list[str]:
        """The texts of sequences of token ids, without special tokens."""
        return self.fast.decode_batch(list(sequences), skip_special_tokens=True)
