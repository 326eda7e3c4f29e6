"""The generated files: the configuration's JSON schema and its reference."""

import json
import types
import typing
from pathlib import Path

import pydantic

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study.algorithms import ALGORITHMS, PRESETS, Algorithm
from switchpoint.study.config import Study

SCHEMA = "workflow/schemas/study.schema.json"
REFERENCE = "config/README.md"
HEADER = """# Configuration reference

Generated from `src/switchpoint/study/config.py` by `python -m switchpoint docs`; do not edit.
A study is one YAML file; `snakemake --configfile FILE` replaces the default `config.yaml`.
"""
PRESETS_TEXT = """`rl.preset` picks one for all arms: `paper` is the text of RETU, `official` its code, `recommended` ours. What is not
listed is as above. The papers' batch is 128 prompts at a learning rate of 1e-6 (DAPO-dc: 64 prompts; UPT: 5e-6), which
`rl` says, and an arm's `learning_rate`.
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
        sections.append(section(model))
        for field in model.model_fields.values():
            queue += models(field.annotation)
    return "\n".join([*sections, section(Algorithm), presets()])


def section(model: type[pydantic.BaseModel]) -> str:
    """A model's keys, defaults and meanings."""
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
    return "\n".join(lines) + "\n"


def presets() -> str:
    """Each algorithm's numbers under the presets, where one of them is not the default."""
    lines = ["## Presets", "", PRESETS_TEXT]
    for algorithm, rows in ALGORITHMS.items():
        lines += [f"### {algorithm}", "", f"| key | {' | '.join(PRESETS)} |", "|---|---|---|---|"]
        for name, field in Algorithm.model_fields.items():
            values = [getattr(rows[preset], name) for preset in PRESETS]
            if any(value != field.default for value in values):
                lines.append(f"| `{name}` | {' | '.join(f'`{shown(value)}`' for value in values)} |")
        lines.append("")
    return "\n".join(lines)


def shown(default) -> str:
    """A default as the reference prints it."""
    if isinstance(default, list) and default and isinstance(default[0], pydantic.BaseModel):
        return "; ".join(repr(item) for item in default)
    if isinstance(default, pydantic.BaseModel) and default == type(default)():
        return "its defaults"
    return repr(default) if not isinstance(default, types.NoneType) else "none"
