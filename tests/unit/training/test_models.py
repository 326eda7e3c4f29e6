"""The shipped base model: it loads in transformers and, with the same log-probabilities, in vLLM."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import paths, templates
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import BaseJob, Template
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.tokenizer import Tokenizer

BASE = "assets/tiny-base"
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
     ("{{ ''.__class__.__mro__ }}", "refuses")],
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


@pytest.mark.parametrize("name", ["eos_token", "pad_token"])
def test_a_special_token_that_the_vocabulary_lacks_is_named(name, tmp_path):
    directory = shutil.copytree(BASE, tmp_path / "model")
    path = directory / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "<nowhere>"}))
    with pytest.raises(InputError, match=f"{name} '<nowhere>'"):
        Tokenizer(directory)


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
