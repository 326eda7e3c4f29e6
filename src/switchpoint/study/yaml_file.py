"""YAML files, read without surprises."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study.strict import shown

DEPTH, LENGTH, VALUES, TEXT = 30, 4096, 100_000, 2**21
"""Sections within sections, characters of a value, values (aliases as often as they are used), and characters."""
TAG = "tag:yaml.org,2002:"
PLAIN = {"map", "seq", "str", "int", "float", "bool", "null", "merge"}


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


def check_files(read: Iterable[str | Path], given: Iterable[str | Path]) -> None:
    """Checks all configuration files that are ``read``, of which the command line gave some.

    InputError as of ``read_yaml``, and for a study that was given beside another one that a workflow around this one reads
    by itself: Snakemake would merge them.
    """
    studies = {Path(file).resolve(): file for file in read if "study" in read_yaml(file)}
    asked = [studies.pop(path) for path in {Path(file).resolve() for file in given} if path in studies]
    if asked and studies:
        own = next(iter(studies.values()))
        raise InputError(
            f"{asked[0]} and {own} are two studies, which Snakemake would merge; name the one that you want in the line "
            f"`configfile: {str(own)!r}` of workflow/Snakefile, without --configfile"
        )


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
