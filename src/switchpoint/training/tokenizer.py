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

from switchpoint.errors import InputError
from switchpoint.model_directory import read_object
from switchpoint.study import templates
from switchpoint.study.jobs import Template

SPECIAL = tuple(f"{name}_token" for name in ("bos", "eos", "pad", "unk", "sep", "cls", "mask"))
# What a template can raise: its own refusal, and what its expressions do.
TEMPLATE_ERRORS = (
    jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError,
)  # fmt: skip
PROBE, ANSWER = "?", "(answer)"  # a problem that is no other problem, and an answer to it


class Generation(Extension):
    """``{% generation %}``, with which templates mark an assistant's words: here they are text like any other."""

    tags: ClassVar = {"generation"}

    def parse(self, parser) -> list:
        """The marked statements."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Tokenizer:
    """A tokenizer with a chat template."""

    def __init__(
        self, directory: str | Path, vocabulary: int | None = None, template: str | Path | None = None
    ):
        """InputError when the directory lacks ``tokenizer.json``, a chat template or an end token.

        ``vocabulary`` is the number of tokens that the model knows, if there is a model; ``template`` the file of a chat
        template that takes the place of the directory's.
        """
        self.directory, self.vocabulary, self.probes = Path(directory), vocabulary, {}
        self.fast = read_fast(self.directory / "tokenizer.json")
        self.config = read_object(self.directory / "tokenizer_config.json")
        older = self.directory / "special_tokens_map.json"
        tokens = self.config
        if older.is_file() and "added_tokens_decoder" not in self.config:  # then transformers reads it, too
            tokens = self.config | read_object(older)
        self.template = self.read_template(template)
        self.special = {name: self.text_of(name, tokens[name]) for name in SPECIAL if tokens.get(name)}
        if "eos_token" not in self.special:
            raise InputError(f"{directory}: tokenizer_config.json names no eos_token; add it")
        if "pad_token" not in self.special:  # Llama's: no token that is padded on is ever looked at
            self.special["pad_token"] = self.special["eos_token"]
        self.config |= self.special
        self.eos_token_id, self.pad_token_id = (self.read_id(name) for name in ("eos_token", "pad_token"))

    def text_of(self, name: str, token: str | dict) -> str:
        """The text of a special token."""
        text = token.get("content") if isinstance(token, dict) else token
        if not isinstance(text, str):
            raise InputError(f"{self.directory}: tokenizer_config.json says {name} {token!r}; give its text")
        return text

    def read_id(self, name: str) -> int:
        """The id of a special token."""
        number = self.fast.token_to_id(self.special[name])
        if number is None:
            raise InputError(
                f"{self.directory}: tokenizer_config.json says {name} {self.special[name]!r}, "
                "which tokenizer.json does not have; correct it"
            )
        self.refuse_unknown([number])
        return number

    def refuse_unknown(self, ids: list[int]) -> None:
        """InputError where the model has no embedding of a token."""
        if self.vocabulary is not None and max(ids, default=0) >= self.vocabulary:
            raise InputError(
                f"{self.directory}: {self.fast.id_to_token(max(ids))!r} is token {max(ids)}, but the model knows "
                f"{self.vocabulary} tokens; give the tokenizer that belongs to it, or enlarge its embedding"
            )

    def read_template(self, given: str | Path | None) -> str:
        """The chat template: that of the given file, of its own file, or of the configuration (the one called default)."""
        path = Path(given or self.directory / "chat_template.jinja")
        template = self.config.get("chat_template")
        if given or path.is_file():
            try:
                template = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{path} is not UTF-8 ({error}); save it as UTF-8") from None
        if isinstance(template, list):
            template = {one["name"]: one["template"] for one in template}.get("default")
        if not template or not isinstance(template, str):
            raise InputError(
                f"{given or self.directory} has no chat template, as base models often have none; add chat_template.jinja "
                "(that of the model's instruct version fits), or name one by model.base.chat_template"
            )
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

    @functools.cached_property
    def turn_end_id(self) -> int:
        """The token that closes an answer in the chat template: the first special one behind the answer.

        The end token where there is none, or where the template takes no answers.
        """
        turns = [{"role": "user", "content": PROBE}, {"role": "assistant", "content": ANSWER}]
        try:
            text = self.apply_template(turns, add_generation_prompt=False)
        except TEMPLATE_ERRORS:
            return self.eos_token_id
        special = {token for token, added in self.fast.get_added_tokens_decoder().items() if added.special}
        _, answered, behind = text.rpartition(ANSWER)
        closing = self.encode(behind) if answered else []
        return next((token for token in closing if token in special), self.eos_token_id)

    def render_prompt(self, problem: str, template: Template) -> list[int]:
        """Token ids of the prompt: the prompt template's messages through the chat template.

        InputError where that refuses them (some take no system message), or leaves the problem out.
        """
        text = self.render(problem, template.name)
        if template.name not in self.probes:
            self.probes[template.name] = self.render(PROBE, template.name)
        ids = self.encode(text)
        if not ids or (text == self.probes[template.name] and problem != PROBE):
            raise InputError(
                f"{self.directory}: the chat template leaves the problem out; give the model's own"
            )
        return ids

    def render(self, problem: str, name: str) -> str:
        """The text of a problem in a prompt template, by the chat template."""
        messages = templates.messages(name, problem)
        try:
            return self.apply_template(messages, add_generation_prompt=True)
        except TEMPLATE_ERRORS as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"{self.directory}: the chat template refuses model.template {name!r}: {reason}; choose another one"
            ) from None

    def apply_template(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        """The text that the chat template makes of messages, as transformers renders it."""
        return self.compiled.render(
            messages=messages, tools=None, documents=None, add_generation_prompt=add_generation_prompt,
            **self.special,
        )  # fmt: skip

    def render_response(self, solution: str) -> list[int]:
        """Token ids of an expert trajectory, closed as the chat template closes an answer.

        RETU's code closes it by the tokenizer's end token, which for base models often is another one.
        """
        return [*self.encode(solution), self.turn_end_id]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, no special tokens added."""
        ids = self.fast.encode(text, add_special_tokens=False).ids
        self.refuse_unknown(ids)
        return ids

    def counts(self, texts: list[str]) -> list[int]:
        """Number of tokens of each text."""
        return [len(one.ids) for one in self.fast.encode_batch_fast(texts, add_special_tokens=False)]

    def prompt_counts(self, problems: list[str], template: Template) -> list[int]:
        """Number of tokens of each prompt, as ``render_prompt`` renders them."""
        return self.counts([self.render(problem, template.name) for problem in problems])

    def response_counts(self, solutions: list[str]) -> list[int]:
        """Number of tokens of each expert trajectory, with the one that ``render_response`` closes it by."""
        return [count + 1 for count in self.counts(solutions)]

    def decode(self, sequences: Sequence[list[int]]) -> list[str]:
        """The texts of sequences of token ids, without special tokens."""
        return self.fast.decode_batch(list(sequences), skip_special_tokens=True)


def read_fast(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a ``tokenizer.json``, which neither truncates nor pads."""
    if not path.is_file():
        raise InputError(
            f"{path} does not exist; save the tokenizer in its fast format: "
            "transformers.AutoTokenizer.from_pretrained(directory).save_pretrained(directory)"
        )
    read_object(path)
    try:
        fast = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower class
        raise InputError(
            f"{path}: no tokenizer that tokenizers {tokenizers.__version__} reads ({error})"
        ) from None
    fast.no_truncation()
    fast.no_padding()
    return fast
