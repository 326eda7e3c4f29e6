"""The shipped base model: it loads in transformers and, with the same log-probabilities, in vLLM."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from switchpoint.study import templates
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import Template
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine

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
    files = list(Path(BASE).iterdir())
    assert sum(file.stat().st_size for file in files) <= 600_000
    model, tokenizer = models.load(BASE)
    assert models.end_tokens(model, tokenizer) == {tokenizer.eos_token_id}
    record = json.loads(Path(BASE, "run.json").read_text())
    assert record["job"]["stages"]


def test_a_saved_model_loads_unchanged(tmp_path):
    model, tokenizer = models.load(BASE)
    models.save(model, tokenizer, tmp_path / "copy", "# card\n", {"step": 3})
    assert json.loads((tmp_path / "copy/run.json").read_text()) == {"step": 3}
    again, _ = models.load(tmp_path / "copy")
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


def test_vllm_loads_the_base_and_agrees_with_transformers():
    model, tokenizer = models.load(BASE)
    prompt = models.render_prompt(tokenizer, "Start with 29. (1) subtract 8 (2) add 8 (3) take mod 5.", RETU)
    command = [sys.executable, "-c", VLLM, BASE, json.dumps(prompt)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    tokens, logprobs, reason = json.loads(done.stdout.partition("FOUND")[2])
    engine = Engine(model, Optimizer(learning_rate=1e-3), tokenizer.pad_token_id)
    (ours,) = engine.logprobs([Sequence(prompt, tokens)])
    assert logprobs == pytest.approx(ours.tolist(), abs=1e-4)
    assert reason == "stop"
    assert tokens[-1] == tokenizer.eos_token_id
