"""The generated files: the configuration's JSON schema and its reference."""

import json
import types
import typing
from pathlib import Path

import pydantic

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study.config import Study

SCHEMA = "workflow/schemas/study.schema.json"
REFERENCE = "config/README.md"
HEADER = """# Configuration reference

Generated from `src/switchpoint/study/config.py` by `python -m switchpoint docs`; do not edit.
A study is one YAML file; `snakemake --configfile FILE` replaces the default `config.yaml`.
"""


def generate(check: bool) -> None:
    """Writes both files, or raises InputError when one is not current."""
    wanted = {SCHEMA: schema(), REFERENCE: reference()}
    for path, text in wanted.items():
        if not check:
            files.write_text(path, text)
        elif not Path(path).is_file() or Path(path).read_text(encoding="utf-8") != text:
            raise InputError(f"{path} is not current; run `python -m switchpoint docs`")


def schema() -> str:
    """The JSON schema."""
    return json.dumps(Study.model_json_schema(), indent=2) + "\n"


def models(annotation) -> list[type[pydantic.BaseModel]]:
    """The configuration models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models(part)]


def reference() -> str:
    """One table per model, in the order in which they are met."""
    sections, queue, seen = [HEADER], [Study], set()
    while queue:
        model = queue.pop(0)
        if model in seen:
            continue
        seen.add(model)
        lines = [
            f"## {model.__name__}",
            "",
            model.__doc__.strip(),
            "",
            "| key | default | meaning |",
            "|---|---|---|",
        ]
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"`{shown(field.default)}`"
            lines.append(f"| `{name}` | {default} | {field.description or ''} |")
            queue += models(field.annotation)
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def shown(default) -> str:
    """A default as the reference prints it."""
    if isinstance(default, list) and default and isinstance(default[0], pydantic.BaseModel):
        return "; ".join(repr(item) for item in default)
    return repr(default) if not isinstance(default, types.NoneType) else "none"
