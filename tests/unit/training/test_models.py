"""The shipped base model: it loads in transformers and, with the same log-probabilities, in vLLM."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_directories import FAMILIES, PAIRS, change_json, make_directory
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import paths, templates
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import BaseJob, Template
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.tokenizer import Tokenizer

BASE = "src/switchpoint/tiny-base"
RETU = Template(name="retu", sha256=templates.template_hash("retu"))
VLLM = """
import json, sys
from vllm import LLM, SamplingParams
llm = LLM(sys.argv[1], dtype="float32", enforce_eager=True, gpu_memory_utilization=0.1,
          kv_cache_memory_bytes=1 << 28, distributed_executor_backend="uni")
prompt = {"prompt_token_ids": json.loads(sys.argv[2])}
output = llm.generate([prompt], SamplingParams(temperature=0, max_tokens=40, logprobs=0))[0].outputs[0]
logprobs = [step[token].logprob for step, token in zip(output.logprobs, output.token_ids)]
print("FOUND" + json.dumps([list(output.token_ids), logprobs, output.finish_reason]))
"""
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def test_the_shipped_base_is_small_and_complete():
    assert sum(file.stat().st_size for file in Path(BASE).iterdir()) <= 600_000
    policy = models.load(BASE)
    assert policy.ends == {policy.tokenizer.eos_token_id}
    record = json.loads(Path(BASE, "run.json").read_text())
    assert BaseJob.model_validate_json(json.dumps(record["job"])).stages


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_whoever_may_read_the_folder_may_read_the_model(tmp_path, umask):
    policy, before = models.load(BASE), os.umask(umask)
    try:
        models.save(policy, tmp_path / "copy", "# card\n", {})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "copy").iterdir()}
    assert modes == dict.fromkeys(paths.MODEL_FILES, 0o666 & ~umask)


def test_a_saved_model_loads_unchanged_here_and_in_transformers(tmp_path):
    policy = models.load(BASE)
    models.save(policy, tmp_path / "copy", "# card\n", {"step": 3})
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == sorted(paths.MODEL_FILES)
    record = files.read_run(tmp_path / "copy")
    assert record["step"] == 3
    assert sorted([*record["outputs"], "run.json"]) == sorted(paths.MODEL_FILES)
    again = models.load(tmp_path / "copy").model.state_dict()
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "copy").state_dict()
    for name, value in policy.model.state_dict().items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, theirs[name])
    assert AutoTokenizer.from_pretrained(tmp_path / "copy").eos_token_id == policy.tokenizer.eos_token_id


TEMPLATES = {
    "the base's": None,
    "chatml": (
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
        " + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "blocks and macros": (
        "{%- macro say(text) -%}\n  [{{ text | trim }}]\n{%- endmacro -%}\n"
        "{% for message in messages %}\n    {% if loop.first %}\n{{ pad_token }}{% endif %}"
        "{{ say(message.content) }}{% if loop.index > 3 %}{% break %}{% endif %}\n{% endfor %}\n"
        "{{ messages | tojson }}{{ strftime_now('%Y') | length }}"
    ),
    "tools and generation": (
        "{% if tools is not none %}TOOLS{% endif %}{% if documents is defined %}DOCS{% endif %}{{ mask_token }}"
        "{% for message in messages %}{% generation %}{{ message.content }}{% endgeneration %}{% endfor %}"
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("problem", ["Start with 3. (1) add 4.", "  é < & {x} \n", "Tom has 9. (1) gets 7"])
def test_prompts_are_rendered_as_by_transformers(name, problem, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    if TEMPLATES[name]:
        (directory / "chat_template.jinja").write_text(TEMPLATES[name])
    theirs = AutoTokenizer.from_pretrained(directory)
    message = {"role": "user", "content": problem}
    text = theirs.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    ours = Tokenizer(directory)
    assert ours.render_prompt(problem, RETU) == theirs(text, add_special_tokens=False)["input_ids"]
    ids = [*ours.encode(problem), ours.eos_token_id]
    assert ours.decode([ids, ids[:2]]) == theirs.batch_decode([ids, ids[:2]], skip_special_tokens=True)


@pytest.mark.parametrize(
    ("template", "words"),
    [("{{ raise_exception('no system') }}", "no system"), ("{{ messages.x.y }}", "refuses"), ("{% if %}", "refuses"),
     ("{{ ''.__class__.__mro__ }}", "refuses"), ("{{ 1 + messages[0].content }}", "unsupported"),
     ("{{ 1 / 0 }}", "by zero"), ("{% for i in range(1000000) %}{% endfor %}", "Range"), ("{{ bos_token + 'x' }}", "bos_token"),
     ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion")],
)  # fmt: skip
def test_a_template_that_refuses_is_named(template, words, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    (directory / "chat_template.jinja").write_text(template)
    with pytest.raises(InputError, match=words):
        Tokenizer(directory).render_prompt("1 + 1?", RETU)


@pytest.mark.parametrize("missing", ["tokenizer.json", "chat_template.jinja"])
def test_an_incomplete_tokenizer_is_named(missing, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    (directory / missing).unlink()
    with pytest.raises(InputError, match=missing):
        Tokenizer(directory)


@pytest.mark.parametrize("missing", ["chat_template.jinja", "the template in it"])
def test_a_missing_chat_template_is_said_with_the_ways_out(missing, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    (directory / "chat_template.jinja").unlink()
    if missing == "the template in it":
        (directory / "chat_template.jinja").write_text("")
    with pytest.raises(
        InputError, match=r"add chat_template.jinja .* or name one by model.base.chat_template"
    ):
        models.load(directory)


@pytest.mark.parametrize(
    "template", ["{# #}", "hello", "{% for part in messages[0].content %}{{ part.text }}{% endfor %}"]
)
def test_a_template_that_leaves_the_problem_out_is_refused(template, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    (directory / "chat_template.jinja").write_text(template)
    with pytest.raises(InputError, match="leaves the problem out"):
        Tokenizer(directory).render_prompt("1 + 1?", RETU)


@pytest.mark.parametrize("name", ["eos_token", "pad_token"])
def test_a_special_token_that_the_vocabulary_lacks_is_named(name, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    change_json(directory / "tokenizer_config.json", **{name: "<nowhere>"})
    with pytest.raises(InputError, match=f"{name} '<nowhere>'"):
        Tokenizer(directory)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "{}", "no tokenizer that tokenizers"),
        ("tokenizer.json", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("tokenizer_config.json", "[]", "no JSON object"),
        ("tokenizer_config.json", None, "does not exist"),
        ("tokenizer_config.json", "{}", "no eos_token"),
        ("tokenizer_config.json", '{"eos_token": 1}', "eos_token 1; give its text"),
        ("tokenizer_config.json", '{"eos_token": {"id": 1}}', "give its text"),
        ("special_tokens_map.json", "[]", "no JSON object"),
        ("chat_template.jinja", b"\xe9", "not UTF-8"),
        ("generation_config.json", "{", "not valid JSON"),
        ("generation_config.json", '{"eos_token_id": "1"}', "eos_token_id is '1'"),
        ("generation_config.json", '{"eos_token_id": [1, 80]}', "vocabulary, 0 to 79"),
        ("generation_config.json", '{"eos_token_id": true}', "eos_token_id is True"),
    ],
)  # fmt: skip
def test_damaged_files_beside_the_weights_are_named(file, text, words, tmp_path):
    path = shutil.copytree(BASE, tmp_path / "model") / file
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=words) as error:
        models.load(tmp_path / "model")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["llama", "llama 3", "qwen2, tied"])
@pytest.mark.parametrize("pad", [None, "null"])
def test_a_model_without_pad_token_pads_with_its_end_token(name, pad, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name] | {"pad_token_id": None})
    path = tmp_path / "model/tokenizer_config.json"
    change_json(path, pad_token=None)
    if pad:
        path.write_text(path.read_text().replace("{", '{"pad_token": null, ', 1))
    policy = models.load(tmp_path / "model")
    assert policy.tokenizer.pad_token_id == policy.tokenizer.eos_token_id
    engine = Engine(policy.model, Optimizer(learning_rate=1e-3), policy.tokenizer.pad_token_id)
    alone = [engine.logprobs([Sequence(*pair)])[0] for pair in PAIRS]
    for one, other in zip(alone, engine.logprobs([Sequence(*pair) for pair in PAIRS]), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)  # the padding of the others is not seen
    models.save(policy, tmp_path / "copy", "# card\n", {})
    saved = AutoTokenizer.from_pretrained(tmp_path / "copy")
    assert (saved.pad_token, saved.pad_token_id) == ("<eos>", 1)
    assert saved.chat_template == policy.tokenizer.template
    assert GenerationConfig.from_pretrained(tmp_path / "copy").pad_token_id == 1
    assert json.loads((tmp_path / "copy/config.json").read_text())["pad_token_id"] is None  # eos is embedded
    assert models.load(tmp_path / "copy").tokenizer.special == policy.tokenizer.special


@pytest.mark.parametrize("name", ["llama", "llama 3"])
@pytest.mark.parametrize(
    ("generation", "config", "ends"),
    [
        ([1, 5], 1, {1, 5}),
        (5, 1, {1, 5}),
        ([], 7, {1}),
        (None, 7, {1, 7}),
        (None, [6, 7], {1, 6, 7}),
        (None, None, {1}),
    ],
)
def test_every_end_token_is_read_and_saved(name, generation, config, ends, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name])
    change_json(tmp_path / "model/config.json", eos_token_id=config)
    path = tmp_path / "model/generation_config.json"
    change_json(
        path, eos_token_id=generation, do_sample=False, temperature=0.3
    )  # which transformers won't save
    if generation is None:
        path.unlink()
    policy = models.load(tmp_path / "model")
    assert policy.ends == ends
    models.save(policy, tmp_path / "copy", "# card\n", {})
    saved = GenerationConfig.from_pretrained(tmp_path / "copy")
    assert (saved.eos_token_id, saved.pad_token_id) == (sorted(ends), 0)
    assert models.load(tmp_path / "copy").ends == ends


def test_special_tokens_of_older_directories_are_read_from_their_own_file(tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    change_json(directory / "tokenizer_config.json", eos_token=None, pad_token=None)
    change_json(directory / "special_tokens_map.json", eos_token={"content": "<eos>"}, pad_token="<pad>")
    policy = models.load(directory)
    models.save(policy, tmp_path / "copy", "# card\n", {})
    for theirs in (
        AutoTokenizer.from_pretrained(directory),
        AutoTokenizer.from_pretrained(tmp_path / "copy"),
    ):
        assert (theirs.eos_token_id, theirs.pad_token_id) == (1, 0)
    assert (policy.tokenizer.eos_token_id, policy.tokenizer.pad_token_id) == (1, 0)


def test_a_token_that_the_model_does_not_know_is_named_before_it_is_used(tmp_path):
    make_directory(tmp_path / "model", FAMILIES["llama"] | {"vocab_size": 60})
    tokenizer = models.load(tmp_path / "model").tokenizer
    with pytest.raises(InputError, match=r"is token 7., but the model knows 60 tokens"):
        tokenizer.render_prompt("Start with 3. (1) add 4.", RETU)
    shutil.rmtree(tmp_path / "model")
    make_directory(tmp_path / "model", FAMILIES["llama"] | {"vocab_size": 1, "eos_token_id": 0})
    with pytest.raises(InputError, match="'<eos>' is token 1"):
        models.load(tmp_path / "model")


@pytest.mark.parametrize("name", ["llama", "llama 3"])
def test_whoever_may_read_the_folder_may_read_the_weights(name, tmp_path):
    make_directory(tmp_path / "model", FAMILIES[name])
    models.save(models.load(tmp_path / "model"), tmp_path / "copy", "# card\n", {})
    plain = tmp_path / "plain"
    plain.touch()
    modes = {file.name: file.stat().st_mode for file in (tmp_path / "copy").iterdir()}
    assert set(modes.values()) == {plain.stat().st_mode}, modes


@pytest.mark.soak
def test_vllm_loads_the_base_and_agrees_with_transformers():
    policy = models.load(BASE)
    prompt = policy.tokenizer.render_prompt("Start with 29. (1) subtract 8 (2) add 8 (3) take mod 5.", RETU)
    command = [sys.executable, "-c", VLLM, BASE, json.dumps(prompt)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    tokens, logprobs, reason = json.loads(done.stdout.partition("FOUND")[2])
    engine = Engine(policy.model, Optimizer(learning_rate=1e-3), policy.tokenizer.pad_token_id)
    (ours,) = engine.logprobs([Sequence(prompt, tokens)])
    assert logprobs == pytest.approx(ours.tolist(), abs=1e-4)
    assert reason == "stop"
    assert tokens[-1] == policy.tokenizer.eos_token_id
