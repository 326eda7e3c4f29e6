"""The generated files: the configuration's JSON schema and its reference."""

import dataclasses
import json
import types
import typing
from pathlib import Path

import annotated_types
import pydantic
import yaml

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study.algorithms import ALGORITHMS, PRESETS, Algorithm
from switchpoint.study.config import Study
from switchpoint.study.quantities import Unit
from switchpoint.study.values import NAME, distinct

SCHEMA = "src/switchpoint/study/study.schema.json"  # in the wheel, too; workflow/schemas has a link to it
REFERENCE = "config/README.md"
HEADER = """# Configuration reference

Generated from `src/switchpoint/study/config.py` by `python -m switchpoint docs`; do not edit.
A study is one YAML file; `snakemake --configfile FILE` replaces the default `config.yaml`.

Each table is one kind of section, and says where it stands: `<set>` is a name of the study's own, `[]` an entry of a list.
A *name* is a letter followed by letters, digits and `_`, a *count* an integer from 1 to 10,000,000. `null` is no value, the "none" of the words. A number in
scientific notation needs a point and a sign, `1.0e-4`: YAML takes `1e-4` for text. A key without a unit is a pure number.
"""
KIND = "Says that the section is of this kind."
NAMED = {
    "sources": "source", "sets": "set", "benchmarks": "benchmark", "sft": "set", "tokens": "set",
}  # fmt: skip
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


def reference() -> str:
    """One table per model, in the order in which they are met."""
    sections, queue, places = [], [(Study, "")], {}
    while queue:
        model, place = queue.pop(0)
        met = model in places
        places.setdefault(model, []).append(place)
        if met:
            continue
        sections.append(model)
        for name, field in model.model_fields.items():
            key = f"{place}.{name}".lstrip(".")
            queue += [(inner, f"{key}{way}") for inner, way in models(field.annotation, name)]
    tables = [section(model, places[model]) for model in sections]
    return "\n".join([HEADER, *tables, section(Algorithm, []), presets()])


def models(annotation, key: str) -> list[tuple[type[pydantic.BaseModel], str]]:
    """The configuration models that an annotation mentions, and the way to them: an entry, or a name of the study's own."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [(annotation, "")]
    way = {list: "[]", dict: f".<{NAMED.get(key, 'name')}>"}.get(typing.get_origin(annotation), "")
    return [
        (model, way + further) for part in typing.get_args(annotation) for model, further in models(part, key)
    ]


def section(model: type[pydantic.BaseModel], places: list[str]) -> str:
    """A model's place in the file, and its keys."""
    where = ", ".join(f"`{place}`" for place in dict.fromkeys(places) if place)
    lines = [
        f"## {model.__name__}",
        "",
        model.__doc__.strip() + (f" It stands in {where}." if where else ""),
        "",
        "| key | type, allowed values | unit | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for name, field in model.model_fields.items():
        kind = kind_of(field.annotation, field.metadata)
        default = "required" if field.is_required() else shown(field.default)
        meaning = field.description or meaning_of(field.annotation)
        lines.append(f"| `{name}` | {kind.text} | {kind.unit} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def meaning_of(annotation) -> str:
    """What a key without words of its own means: what its section is, or that it tells kinds of sections apart."""
    return annotation.__doc__.strip() if isinstance(annotation, type) else KIND


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a key may hold, in words, and the unit of its numbers."""

    text: str
    unit: str = ""


def kind_of(annotation, metadata: list) -> Kind:
    """Of an annotation, with the constraints and the unit that its metadata has."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind_of(parts[0], [*flat(parts[1:]), *metadata])
    unit = next((item.name for item in metadata if isinstance(item, Unit)), "")
    if origin is typing.Literal:
        return Kind(", ".join(map(code, parts)), unit)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind_of(part, metadata) for part in parts if part is not types.NoneType]
        null = ["`null`"] if types.NoneType in parts else []
        unit = next((kind.unit for kind in kinds if kind.unit), unit)
        return Kind("; or ".join([*(kind.text for kind in kinds), *null]), unit)
    if origin in (list, tuple, dict):
        return collection(origin, parts, metadata, unit)
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return Kind(f"[{annotation.__name__}](#{annotation.__name__.lower()})")
    return Kind(scalar(annotation, metadata), unit)


def collection(origin: type, parts: tuple, metadata: list, unit: str) -> Kind:
    """Of a list, of a list of so many, and of a section whose keys are the study's own."""
    inner = kind_of(parts[-1] if origin is dict else parts[0], [])
    least = next((item.min_length for item in metadata if isinstance(item, annotated_types.MinLen)), 0)
    one = f"({inner.text})" if "," in inner.text or ";" in inner.text else inner.text
    if origin is tuple:
        return Kind(f"list of {len(parts)}: {inner.text}", unit or inner.unit)
    if origin is dict:
        return Kind(f"by name: {one}" + (f", {least} or more" if least else ""), unit or inner.unit)
    once = any(getattr(item, "func", None) is distinct for item in metadata)
    several = f"{one}s" if one in ("name", "text", "count", "number", "integer") else one
    text = f"list of {several}" + (f", {least} or more" if least else "") + (", each once" if once else "")
    return Kind(text, unit or inner.unit)


def scalar(annotation: type, metadata: list) -> str:
    """A truth value, a text or a number, and what it may be."""
    if annotation is bool:
        return "`true`, `false`"
    if annotation is str:
        pattern = next((item.pattern for item in metadata if getattr(item, "pattern", None)), None)
        return "name" if pattern == NAME else "text" + (f" like `{pattern}`" if pattern else "")
    limits = {
        type(item): next(iter(dataclasses.asdict(item).values())) for item in metadata if is_bound(item)
    }
    low, high = limits.get(annotated_types.Ge), limits.get(annotated_types.Le)
    if annotation is int and (low, high) == (1, 10_000_000):
        return "count"
    if low is not None and high is not None:
        bounds = [f"{number(low)} to {number(high)}"]
    else:
        bounds = [f"{SIGNS[kind]} {number(limit)}" for kind, limit in limits.items()]
    return ", ".join(["integer" if annotation is int else "number", *bounds])


SIGNS = {annotated_types.Ge: "≥", annotated_types.Gt: ">", annotated_types.Le: "≤", annotated_types.Lt: "<"}


def is_bound(item) -> bool:
    """Whether a constraint bounds a number."""
    return type(item) in SIGNS


def number(value: float) -> str:
    """A bound as the reference prints it."""
    return f"{value:,.10g}" if value == int(value) else f"{value:.3g}"


def flat(metadata: tuple) -> list:
    """An annotation's constraints; those that a field gives are within it."""
    return [part for item in metadata for part in getattr(item, "metadata", [item])]


def presets() -> str:
    """Each algorithm's numbers under the presets, where one of them is not the default."""
    lines = ["## Presets", "", PRESETS_TEXT]
    for algorithm, rows in ALGORITHMS.items():
        lines += [f"### {algorithm}", "", f"| key | {' | '.join(PRESETS)} |", "|---|---|---|---|"]
        for name, field in Algorithm.model_fields.items():
            values = [getattr(rows[preset], name) for preset in PRESETS]
            if any(value != field.default for value in values):
                lines.append(f"| `{name}` | {' | '.join(map(code, values))} |")
        lines.append("")
    return "\n".join(lines)


def shown(default) -> str:
    """A default as the reference prints it."""
    if isinstance(default, pydantic.BaseModel) and default == type(default)():
        return "its defaults"
    return code(default)


def code(value) -> str:
    """A value in YAML, on one line."""
    plain = pydantic.TypeAdapter(typing.Any).dump_python(value, mode="json")
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000)
    plainest = text.removesuffix("...\n").strip()
    return f"`{plainest}`"
