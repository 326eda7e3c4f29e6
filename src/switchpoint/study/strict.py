"""The base of everything that is configured: strict, frozen, and clear about what is wrong."""

import decimal
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pydantic
import yaml

from switchpoint import files
from switchpoint.errors import InputError

DEPTH, LENGTH, VALUES, TEXT = 30, 4096, 100_000, 2**21
"""Sections within sections, characters of a value, values (aliases as often as they are used), and characters."""
LINES, SHOWN = 20, 60  # wrong keys, and characters of a wrong value, that a message shows
TAG = "tag:yaml.org,2002:"
# Numbers of which YAML makes text: without a point, or without the sign of the exponent.
SCIENTIFIC = re.compile(r"([-+]?)(?=\.?\d)(\d*)\.?(\d*)[eE]([-+]?)(\d{1,9})")
PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
DIGITS = 15
PLAIN = {"map", "seq", "str", "int", "float", "bool", "null", "merge"}


class Strict(pydantic.BaseModel):
    """Unknown keys, wrong types and non-finite numbers are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, text: str, what: str) -> Self:
        """The object that a JSON text holds; InputError names every wrong key of ``what``."""
        try:
            # JSON mode: lists serve as tuples, while types stay strict.
            return cls.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise InputError(f"{what} is wrong:{describe(error)}") from None


def describe(error: pydantic.ValidationError) -> str:
    """What is wrong with the key; a line for each where there are several, of the first ``LINES``."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "study"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key; remove it or check its spelling against config/README.md"
        elif item["type"] == "missing":
            message = "missing key; add it (config/README.md explains it)"
        elif meant := meant_number(item):
            message = meant
        elif item["type"] != "value_error":
            message = f"{message}, but it is {shown(item['input'])}"
        lines.append(f"{shown(key, str)}: {message}")
    if len(lines) == 1:
        return f" {lines[0]}"
    more = [f"and {len(lines) - LINES} more"] if len(lines) > LINES else []
    return "".join(f"\n  {line}" for line in lines[:LINES] + more)


def meant_number(item: dict) -> str | None:
    """What is wrong with a text where a number is wanted, if it looks like one; None where it does not."""
    given = item["input"]
    if item["type"] not in ("int_type", "float_type") or not isinstance(given, str):
        return None
    found = SCIENTIFIC.fullmatch(given)
    if not found:
        return f"{shown(given)} is text; write it without quotes" if PLAIN_NUMBER.fullmatch(given) else None
    sign, whole, part, minus, power = found.groups()
    wanted = f"{sign}{whole or 0}.{part or 0}e{minus or '+'}{power}"
    why = ", with a point and a signed exponent"
    if item["type"] == "int_type":
        exact = decimal.Decimal(given)
        if abs(exact.adjusted()) > DIGITS or exact != int(exact):
            return f"{shown(given)} is no whole number of at most {DIGITS} digits; write one in digits"
        wanted, why = str(int(exact)), ", in digits"
    return f"YAML takes {shown(given)} for text; write {wanted}{why}"


def shown(value, as_text=repr) -> str:
    """The value for a message, cut short where it is long."""
    text = as_text(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def read_yaml(path: str | Path) -> dict:
    """The mapping of a YAML file: text, numbers, true, false, null, lists and sections, with text as keys.

    InputError names the line of whatever else there is: a key that stands twice (readers keep the last), a date,
    a tag, a number that is not written in decimals (010 is 8), or too much of anything.  Anchors, aliases and
    merge keys are taken.
    """
    text = files.read_text(path, "YAML file")
    if len(text) > TEXT or re.search("^%", text, re.MULTILINE):
        raise InputError(
            f"{path}: longer than {TEXT} characters, or with a % directive; start from config.yaml"
        )
    try:
        check_depth(text, path)
        loader = yaml.CSafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise InputError(f"{path}: holds no study (no keys); start from config.yaml")
        for count, (key, node, depth) in enumerate(values_of(root, "")):
            check_value(node, key, path)
            if count == VALUES or depth > DEPTH:
                bound = f"{VALUES} values" if count == VALUES else f"{DEPTH} levels of nesting"
                raise InputError(f"{path}: more than {bound}, with what aliases stand for; write fewer")
        found = loader.construct_document(root)
        if "__use_yte__" in found:  # Snakemake would run the Python in it
            raise InputError(f"{path}: has the key __use_yte__; a study is no template: write it out")
        return found
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML ({shown(problem, str)}); mend the line") from None


def check_depth(text: str, path: str | Path) -> None:
    """InputError at the first section that is too deep; the composer would recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise InputError(
                f"{path}, line {event.start_mark.line + 1}: nested more than {DEPTH} deep; write it flat"
            )


def values_of(node: yaml.Node, key: str, depth: int = 0) -> Iterator[tuple[str, yaml.Node, int]]:
    """(dotted key, node, depth) of a node and all below it; an alias is what it stands for, so this may be endless."""
    yield key, node, depth
    if not isinstance(node, yaml.ScalarNode):
        items = enumerate(node.value) if isinstance(node, yaml.SequenceNode) else node.value
        for name, value in items:
            name = str(name.value if isinstance(name, yaml.Node) else name)
            yield from values_of(value, f"{key}.{name}" if key else name, depth + 1)


def check_value(node: yaml.Node, key: str, path: str | Path) -> None:
    """InputError unless the node is of a kind that a study has, and its keys are text that stands once."""
    where = f"{path}, line {node.start_mark.line + 1}: {shown(key, str)}"
    kind = node.tag.removeprefix(TAG)
    if kind not in PLAIN:
        raise InputError(f"{where} has the YAML tag {shown(kind)}; write text in quotes, and no tags")
    if isinstance(node, yaml.ScalarNode):
        if len(node.value) > LENGTH:
            raise InputError(f"{where} is {len(node.value)} characters long; write at most {LENGTH}")
        octal = kind == "int" and not re.fullmatch("[-+]?(0|[1-9][0-9_]*)", node.value)
        if octal or (kind == "float" and ":" in node.value):
            raise InputError(
                f"{where} is {node.value!r}, which YAML reads as another number; write it in decimals"
            )
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for name, _ in node.value:
            problem = "stands twice; keep one" if str(name.value) in seen else None
            if name.tag not in (f"{TAG}str", f"{TAG}merge"):
                problem = "is no text; put it in quotes"
            elif len(name.value) > LENGTH:
                problem = f"is {len(name.value)} characters long; shorten it"
            if problem:
                line = name.start_mark.line + 1
                raise InputError(f"{path}, line {line}: the key {shown(name.value)} {problem}")
            seen.add(name.value)
