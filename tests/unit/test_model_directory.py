"""The files of a model directory: its weight files, and its JSON files."""

import json
from pathlib import Path

import pytest

from switchpoint.errors import InputError
from switchpoint.model_directory import read_object, weight_files

INDEX = "model.safetensors.index.json"


def write(directory: Path, **files: str) -> Path:
    """A directory with files; ``__`` in a name is a dot, ``_of_`` has its dashes."""
    directory.mkdir(exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)
    return directory


def write_index(directory: Path, shards) -> Path:
    """A directory with an index of two shards of which the first exists."""
    write(directory, one__safetensors="", model__safetensors__index__json=json.dumps({"weight_map": shards}))
    return directory


def test_the_weights_are_one_file_or_the_shards_of_the_index(tmp_path):
    one = write(tmp_path / "one", model__safetensors="", other__safetensors="")
    assert weight_files(one) == [one / "model.safetensors"]
    shards = {"c": "two.safetensors", "a": "one.safetensors", "b": "one.safetensors"}
    two = write_index(write(tmp_path / "two", two__safetensors="", stray__safetensors=""), shards)
    assert weight_files(str(two)) == [two / "one.safetensors", two / "two.safetensors"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has neither"),
        ({"one__safetensors": ""}, "has neither"),
        ({"pytorch_model__bin": ""}, "save_pretrained"),
        ({"pytorch_model__bin__index__json": ""}, "save_pretrained"),
        ({"model__safetensors": "", "model__safetensors__index__json": "{}"}, "has both"),
        ({"model__safetensors__index__json": "{}"}, "weight_map"),
        ({"model__safetensors__index__json": "{"}, "not valid JSON"),
    ],
)
def test_directories_without_one_set_of_weights_are_refused(files, words, tmp_path):
    with pytest.raises(InputError, match=words):
        weight_files(write(tmp_path / "model", **files))


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        ({"a": "one.safetensors", "b": "two.safetensors"}, "names two.safetensors, which does not exist"),
        ({"a": "../one.safetensors"}, "beside it"),
        ({"a": "/one.safetensors"}, "beside it"),
        ({"a": ".."}, "does not exist"),
        ({"a": ""}, "does not exist"),
        ({"a": 1}, "weight_map"),
        ({}, "weight_map"),
        ([], "weight_map"),
    ],
)
def test_a_bad_index_is_named(shards, words, tmp_path):
    with pytest.raises(InputError, match=words) as error:
        weight_files(write_index(tmp_path / "model", shards))
    assert INDEX in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff\xfe\xfd", "binary, or UTF-16"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "no JSON object"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (None, "does not exist"),
    ],
)
def test_a_file_without_a_json_object_is_named(text, words, tmp_path):
    path = tmp_path / "config.json"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(InputError, match=words) as error:
        read_object(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
