"""The weights of model directories: one file or shards, whole, finite, and those of the configuration."""

import json
import shutil

import pytest
import torch
from model_directories import (
    FAMILIES,
    change_json,
    change_weights,
    logprobs,
    make_directory,
    make_shards,
    prefix_weights,
)  # fmt: skip
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from switchpoint.errors import InputError
from switchpoint.training import models
from switchpoint.training.llama_parameters import Llama

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n"
OURS = ("llama", "llama, tied", "qwen2", "qwen2, tied")
BOTH = ("llama", "qwen3")  # a model of either reader
UP = "model.layers.0.mlp.up_proj.weight"


def refusal(directory) -> str:
    """The one line that a directory is refused with."""
    with pytest.raises(InputError) as error:
        models.load(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_shards_are_read_as_by_transformers_and_saved_as_one_file(name, tmp_path):
    theirs = make_shards(tmp_path / "model", FAMILIES[name])
    policy = models.load(tmp_path / "model")
    assert isinstance(policy.model, Llama) is (name in OURS)
    torch.testing.assert_close(logprobs(policy.model), logprobs(theirs), rtol=0, atol=1e-4)
    models.save(policy, tmp_path / "copy", "# card\n", {})
    assert [file.name for file in (tmp_path / "copy").glob("model*")] == ["model.safetensors"]
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "copy").state_dict()
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, again[key]), key


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_weights_are_float32_in_memory_whatever_they_are_on_disk(name, dtype, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name], dtype)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="float32")
    policy = models.load(tmp_path / "model")
    assert {parameter.dtype for parameter in policy.model.parameters()} == {torch.float32}
    torch.testing.assert_close(logprobs(policy.model), logprobs(theirs), rtol=0, atol=1e-4)
    models.save(policy, tmp_path / "copy", "# card\n", {})
    assert json.loads((tmp_path / "copy/config.json").read_text())["dtype"] == "float32"
    assert {tensor.dtype for tensor in load_file(tmp_path / "copy/model.safetensors").values()} == {
        torch.float32
    }


def test_files_may_be_links_into_a_cache(tmp_path):
    theirs = make_directory(tmp_path / "blobs", FAMILIES["llama"])
    (tmp_path / "snapshot").mkdir()
    for file in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(f"../blobs/{file.name}")
    torch.testing.assert_close(
        logprobs(models.load(tmp_path / "snapshot").model), logprobs(theirs), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("module.", "save its .module"),
        ("_orig_mod.", "save its ._orig_mod"),
        ("module._orig_mod.", "save its .module"),
        ("base_model.model.", "merge_and_unload"),
        ("other.", "of one model"),
    ],
)
@pytest.mark.parametrize("name", ["llama", "llama, tied", "qwen2", "llama 3", "qwen3"])
def test_names_with_a_prefix_are_refused_with_the_way_out(name, prefix, words, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name])
    prefix_weights(tmp_path / "model/model.safetensors", prefix)
    message = refusal(tmp_path / "model")
    assert f"unexpected {prefix}" in message
    assert words in message


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({UP: None}, f"missing {UP}"),
        ({"lm_head.weight": None}, "missing lm_head.weight"),
        ({"model.norm.bias": torch.ones(24)}, "unexpected model.norm.bias"),
        ({UP: torch.ones(41, 24)}, f"{UP} is (41, 24) and not (40, 24)"),
        ({f"model.layers.{n}.x": torch.ones(1) for n in range(5)}, "model.layers.2.x and 2 more"),
        ({"model.lora_A.weight": torch.ones(2, 2)}, "merge it into its base"),
        ({UP: torch.ones(40, 24, dtype=torch.int32)}, f"{UP} is torch.int32"),
        ({UP: torch.ones(40, 24).to(torch.float8_e4m3fn)}, f"{UP} is torch.float8_e4m3fn"),
        ({UP: torch.full((40, 24), torch.nan)}, f"model.safetensors: {UP} holds NaN"),
        ({"lm_head.weight": torch.full((80, 24), -torch.inf)}, "model.safetensors: lm_head.weight holds NaN or inf"),
    ],
    ids=["missing", "no head", "extra", "shape", "many", "lora", "int32", "float8", "nan", "inf"],
)  # fmt: skip
def test_weights_of_another_model_or_damaged_are_refused(name, tensors, words, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name])
    change_weights(tmp_path / "model/model.safetensors", **tensors)
    assert words in refusal(tmp_path / "model")


@pytest.mark.parametrize("name", ["llama, tied", "qwen2, tied", "gemma2, tied"])
def test_a_tied_head_may_be_stored_but_no_other(name, tmp_path):
    theirs = make_directory(tmp_path / "model", FAMILIES[name])
    file = tmp_path / "model/model.safetensors"
    embedding = load_file(file)["model.embed_tokens.weight"]
    change_weights(file, **{"lm_head.weight": embedding.clone()})
    torch.testing.assert_close(
        logprobs(models.load(tmp_path / "model").model), logprobs(theirs), rtol=0, atol=1e-4
    )
    change_weights(file, **{"lm_head.weight": embedding + 1})
    assert "tie_word_embeddings to false" in refusal(tmp_path / "model")
    change_weights(file, **{"lm_head.weight": None, "model.embed_tokens.weight": None})
    assert "model.embed_tokens.weight" in refusal(tmp_path / "model")


def test_masks_of_older_files_are_no_weights(tmp_path):
    theirs = make_directory(tmp_path / "model", {"model_type": "gpt_neox"})
    masks = {
        "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-torch.inf),
        "gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 8, 8, dtype=torch.bool),
    }
    change_weights(tmp_path / "model/model.safetensors", **masks)
    found = models.load(tmp_path / "model").model
    torch.testing.assert_close(logprobs(found), logprobs(theirs), rtol=0, atol=1e-4)


def test_experts_stored_one_by_one_are_put_together_by_transformers(tmp_path):
    theirs = make_directory(tmp_path / "model", {"model_type": "mixtral", "num_local_experts": 2})
    found = models.load(tmp_path / "model").model
    torch.testing.assert_close(logprobs(found), logprobs(theirs), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.write_bytes(b""), "no whole safetensors file"),
        (lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]), "no whole safetensors file"),
        (lambda file: file.write_bytes(file.read_bytes() + b"0"), "no whole safetensors file"),
        (lambda file: file.write_text(POINTER), "git lfs pull"),
    ],
    ids=["empty", "truncated", "longer", "pointer"],
)  # fmt: skip
@pytest.mark.parametrize("make", [make_directory, make_shards])
def test_damaged_files_are_named(make, name, damage, words, tmp_path):
    make(tmp_path / "model", FAMILIES[name])
    file = sorted((tmp_path / "model").glob("model*.safetensors"))[-1]
    damage(file)
    message = refusal(tmp_path / "model")
    assert str(file) in message
    assert words in message


@pytest.mark.parametrize("name", BOTH)
def test_shards_and_their_index_agree(name, tmp_path):
    make_shards(tmp_path / "model", FAMILIES[name])
    index = tmp_path / "model/model.safetensors.index.json"
    files = sorted((tmp_path / "model").glob("model-*"), key=lambda file: -len(load_file(file)))
    first, second = files[:2]
    tensor = next(iter(load_file(first)))
    assert len(load_file(first)) > 1  # else nothing would name the file
    whole = json.loads(index.read_text())["weight_map"]

    def named(shards: dict) -> str:
        change_json(index, weight_map=shards)
        message = refusal(tmp_path / "model")
        change_json(index, weight_map=whole)
        return message

    assert f"{first} lacks model.extra" in named(whole | {"model.extra": first.name})
    assert f"{first} holds {tensor}" in named({key: file for key, file in whole.items() if key != tensor})
    save_file(load_file(second) | {tensor: load_file(first)[tensor] + 1}, second, {"format": "pt"})
    assert f"{second} holds {tensor}" in refusal(tmp_path / "model")  # which of the two is it?


def test_an_adapter_is_no_model(tmp_path):
    make_directory(tmp_path / "model", FAMILIES["llama"])
    change_json(tmp_path / "model/adapter_config.json", peft_type="LORA")
    assert "merge it into its base" in refusal(tmp_path / "model")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "model" / name).unlink()
    assert "merge it into its base" in refusal(tmp_path / "model")


def test_pickles_are_not_read(tmp_path):
    make_directory(tmp_path / "model", FAMILIES["llama 3"])
    file = tmp_path / "model/model.safetensors"
    torch.save(load_file(file), tmp_path / "model/pytorch_model.bin")
    file.unlink()
    assert "save_pretrained" in refusal(tmp_path / "model")


@pytest.mark.parametrize("fields", [{}, {"model_type": "unheard"}, {"model_type": "qwen3"}], ids=str)
def test_code_of_a_directory_is_never_run(fields, tmp_path, monkeypatch):
    make_directory(tmp_path / "model", FAMILIES["llama"])
    monkeypatch.setattr("builtins.input", lambda prompt="": "y")  # a person who agrees to everything
    ran = tmp_path / "ran"
    for name in ("code", "tokens"):
        (tmp_path / f"model/{name}.py").write_text(
            f"open({str(ran)!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
        )
    there = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}
    change_json(tmp_path / "model/config.json", auto_map=there, **fields)
    change_json(tmp_path / "model/tokenizer_config.json", auto_map={"AutoTokenizer": ["tokens.Model", None]})
    if fields:
        assert refusal(tmp_path / "model")
    else:
        models.save(models.load(tmp_path / "model"), tmp_path / "copy", "# card\n", {})
        assert "auto_map" not in (tmp_path / "copy/config.json").read_text()
        assert "auto_map" not in (tmp_path / "copy/tokenizer_config.json").read_text()
    assert not ran.exists()


def test_a_directory_that_nobody_may_write_to_is_read(tmp_path):
    theirs = make_directory(tmp_path / "model", FAMILIES["llama 3"])
    before = sorted(file.name for file in (tmp_path / "model").iterdir())
    for path in [*(tmp_path / "model").iterdir(), tmp_path / "model"]:
        path.chmod(0o555)
    torch.testing.assert_close(
        logprobs(models.load(tmp_path / "model").model), logprobs(theirs), rtol=0, atol=1e-4
    )
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == before
    (tmp_path / "model").chmod(0o755)
    shutil.rmtree(tmp_path / "model")
