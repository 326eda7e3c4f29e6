"""The reference tells of every key what it may hold, in what unit, and what it is without it."""

import json
import re

import pydantic
import pytest
import yaml

from switchpoint.study import docs
from switchpoint.study.algorithms import ALGORITHMS
from switchpoint.study.config import Study

PURE = {
    "seed", "seeds", "learning_rate", "betas", "weight_decay", "max_grad_norm", "importance_cap", "temperature", "zero_stage",
    "tiers",
}  # fmt: skip


def tables() -> dict[str, dict[str, list[str]]]:
    """The reference: section to key to its other cells."""
    found: dict[str, dict[str, list[str]]] = {}
    for section in docs.reference().split("\n## ")[1:]:
        title, *lines = section.splitlines()
        rows = [line.strip("|").split("|") for line in lines if line.startswith("| `")]
        if title != "Presets":
            found[title] = {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}
    return found


TABLES = tables()


def configured() -> list[type[pydantic.BaseModel]]:
    """The models that a study is made of, by walking its schema's definitions."""
    found, queue = [], [Study]
    while queue:
        model = queue.pop()
        if model not in found:
            found.append(model)
            queue += [
                inner
                for field in model.model_fields.values()
                for inner, _ in docs.models(field.annotation, "")
            ]
    return found


@pytest.mark.parametrize("model", configured(), ids=lambda model: model.__name__)
def test_every_key_has_its_type_unit_default_and_meaning(model):
    rows = TABLES[model.__name__]
    assert list(rows) == list(model.model_fields)
    for name, field in model.model_fields.items():
        kind, unit, default, meaning = rows[name]
        assert kind, f"{name} has no type"
        assert meaning, f"{name} has no meaning"
        measured = re.search(r"\b(counts?|integers?|numbers?)\b", kind) is not None
        assert bool(unit) == (measured and name not in PURE), f"{model.__name__}.{name}: {kind}, {unit!r}"
        if field.is_required():
            assert default == "required"
        elif default != "its defaults":
            # What YAML reads there is the default.
            text = default.strip("`")
            adapter = pydantic.TypeAdapter(model)
            given = json.loads(
                adapter.dump_json(model.model_construct(**{name: field.default}), warnings=False)
            )
            assert yaml.safe_load(text) == given[name]


def test_rows_read_by_hand():
    assert TABLES["Sft"]["save_steps"][:3] == ["list of counts, 1 or more, each once", "steps", "required"]
    assert TABLES["Sft"]["schedule"][:3] == ["`constant`, `cosine`, `wsd`", "", "`cosine`"]
    assert TABLES["Sft"]["decay"][:3] == ["number, > 0, ≤ 1", "share", "`0.2`"]
    assert TABLES["RlDefaults"]["max_logprob_gap"][:3] == ["number, > 0; or `null`", "nats", "`null`"]
    assert TABLES["Evaluation"]["pass_at"][:2] == ["list of counts, each once; or `null`", "samples"]
    assert (
        TABLES["Model"]["base"][0]
        == "text; or [TinyBase](#tinybase); or [Gguf](#gguf); or [Hub](#hub); or `null`"
    )
    assert TABLES["TrainingSet"]["source"][0] == "name; or list of names, 1 or more, each once; or `null`"
    assert TABLES["Arm"]["algorithm"][0] == ", ".join(f"`{name}`" for name in ALGORITHMS)
    assert TABLES["Needs"]["memory"][:3] == ["number, 1 to 100,000", "GB", "`4`"]
    assert TABLES["Data"]["sets"][0] == "by name: [TrainingSet](#trainingset), 1 or more"
    assert TABLES["Study"]["seed"][0] == "integer, 0 to 4,294,967,295"


def test_sections_say_where_they_stand_and_links_lead_to_them():
    text = docs.reference()
    assert "It stands in `data.sets.<set>`." in text
    assert "It stands in `arms[]`." in text
    assert "It stands in `resources.solver`, `resources.sft`, `resources.rl`." in text
    links = set(re.findall(r"\]\(#(\w+)\)", text))
    assert links == {title.lower() for title in TABLES} - {"study", "algorithm"}
