"""Where a turn ends: one set of tokens for labels, saved models, and both samplers.

Chat templates of base models often close a turn with another token than the tokenizer's end token.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from test_vllm import found_by
from tokenizers import Tokenizer as Fast
from tokenizers import models as tokenizer_models
from tokenizers import pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

from switchpoint.errors import InputError
from switchpoint.study import templates
from switchpoint.study.config import Optimizer
from switchpoint.study.jobs import Sampling, SftJob, Template
from switchpoint.training import models
from switchpoint.training.engine.torch import Engine
from switchpoint.training.rollouts.sampler import Prompt, open_sampler
from switchpoint.training.sft import encode, mean_loss

QWEN = """{%- if messages[0]['role'] == 'system' -%}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' -%}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' }}{%- endif -%}"""
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
PHI = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim"
    " + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
    "' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
# The special tokens (the first two begin and end a text), the template, and the token that ends a turn.
STYLES = {
    "qwen": (["<|begin|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"], QWEN, "<|im_end|>"),
    "llama 3": (
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], LLAMA3, "<|eot_id|>",
    ),
    "phi": (["<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"], PHI, "<|end|>"),
    "gemma": (["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], GEMMA, "<end_of_turn>"),
    "mistral": (["<s>", "</s>"], MISTRAL, "</s>"),
    "no special token closes": (["<s>", "</s>"], "{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}", "</s>"),
    "nothing closes": (["<s>", "</s>"], "{% for m in messages %}{{ '<s>' + m.content }}{% endfor %}", "</s>"),
    "the last of two": (["<s>", "</s>"], "{% for m in messages %}{{ m.content }}{% endfor %}</s>", "</s>"),
    "no answers": (["<s>", "</s>", "<e>"], "{% if messages|length > 1 %}{{ raise_exception('one') }}{% endif %}"
                   "{{ messages[0].content }}<e>", "</s>"),
    "answers are left out": (["<s>", "</s>", "<e>"], "{{ messages[0].content }}<e>", "</s>"),
}  # fmt: skip
BOXED = Template(name="retu", sha256=templates.template_hash("retu"))
SIZES = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
         "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 128}  # fmt: skip

VLLM = """
import json, sys
from switchpoint.study.jobs import Sampling
from switchpoint.training import models
from switchpoint.training.engine.torch import configure
from switchpoint.training.rollouts.sampler import Prompt, open_sampler

configure(0)
policy = models.load(sys.argv[1])
sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=40, seed=3, by="vllm")
sampler = open_sampler(sampling, policy, sys.argv[1])
rollouts = sampler.sample([Prompt([5, 6], str(row)) for row in range(40)], sampling)
print("FOUND" + json.dumps([[one.token_ids, one.truncated] for one in rollouts]))
"""


def make_style(directory: Path, name: str) -> Path:
    """A random model with the tokenizer of a base model of this style."""
    special, template, _ = STYLES[name]
    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    ids = {piece: row for row, piece in enumerate(["<unk>", *special, *letters])}
    fast = Fast(tokenizer_models.WordLevel(ids, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast.add_special_tokens(special)
    PreTrainedTokenizerFast(
        tokenizer_object=fast, bos_token=special[0], eos_token=special[1], pad_token=special[1],
        chat_template=template, additional_special_tokens=special[2:],
    ).save_pretrained(directory)  # fmt: skip
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        **SIZES, vocab_size=len(ids), bos_token_id=1, eos_token_id=2, pad_token_id=2
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


@pytest.mark.parametrize("name", STYLES)
def test_one_set_of_ends_in_labels_saved_models_and_sampler(name, tmp_path):
    policy = models.load(make_style(tmp_path / "model", name))
    tokenizer, end = policy.tokenizer, STYLES[name][2]
    closing = tokenizer.fast.token_to_id(end)
    solution = "1 + 1 = \\boxed{2}"
    label = tokenizer.render_response(solution)
    assert label == [*tokenizer.encode(solution), closing]
    assert tokenizer.decode([label]) == tokenizer.decode([label[:-1]])  # and it is no text
    assert policy.ends == {tokenizer.eos_token_id, closing}
    models.save(policy, tmp_path / "copy", "# card\n", {})
    assert GenerationConfig.from_pretrained(tmp_path / "copy").eos_token_id == sorted(policy.ends)
    again = models.load(tmp_path / "copy")
    assert again.ends == policy.ends
    assert again.tokenizer.render_response(solution) == label
    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=8, seed=0)
    assert open_sampler(sampling, policy, tmp_path).ends == policy.ends


@pytest.mark.parametrize("name", ["qwen", "llama 3", "phi", "gemma", "mistral"])
def test_a_label_is_what_the_template_says_in_transformers(name, tmp_path):
    """Up to the end, that is: some templates go on behind it, with a line break or the prompt's own end."""
    policy = models.load(make_style(tmp_path / "model", name))
    theirs = AutoTokenizer.from_pretrained(tmp_path / "model")
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    text = theirs.apply_chat_template(turns, tokenize=False)
    whole = theirs(text, add_special_tokens=False)["input_ids"]
    ours = [*policy.tokenizer.render_prompt("1+1?", BOXED), *policy.tokenizer.render_response("2")]
    if name == "mistral":  # which puts a space on both sides of an answer
        ours, whole = (
            [token for token in ids if token != theirs.convert_tokens_to_ids(" ")] for ids in (ours, whole)
        )
    if name == "gemma":  # which has another name for the assistant
        text = text.replace("assistant", "model")
        whole = theirs(text, add_special_tokens=False)["input_ids"]
    assert whole[: len(ours)] == ours


@pytest.mark.parametrize("name", ["qwen", "llama 3"])
def test_a_model_that_learns_the_labels_stops_where_they_end(name, tmp_path):
    policy = models.load(make_style(tmp_path / "model", name))
    rows = pd.DataFrame({"problem": ["1+1?"], "solution": ["2"]})
    numbers = {"learning_rate": 3e-3, "microbatch_size": 4}
    job = SftJob(
        recipe=1, set="S", seed=0, template=BOXED, max_length=128, optimizer=Optimizer(**numbers), steps=1, batch_size=1,
        schedule="constant", warmup=0.0, decay=0.2, loss_norm="global_token",
    )  # fmt: skip
    [example], _ = encode(policy.tokenizer, rows, job)
    engine = Engine(policy.model, job.optimizer, policy.tokenizer.pad_token_id)
    for _ in range(60):
        engine.step([example], mean_loss)
    sampling = Sampling(temperature=0.1, top_p=1.0, max_new_tokens=8, seed=0)
    sampler = open_sampler(sampling, policy, tmp_path)
    [rollout] = sampler.sample([Prompt(example.prompt, "0")], sampling)
    assert rollout.token_ids == example.response
    assert not rollout.truncated
    assert policy.tokenizer.fast.id_to_token(rollout.token_ids[-1]) == STYLES[name][2]


@pytest.mark.soak
def test_vllm_stops_at_every_end(tmp_path):
    directory = make_style(tmp_path / "model", "qwen")
    tokenizer = models.load(directory).tokenizer
    ends = {tokenizer.fast.token_to_id(end) for end in ("<|endoftext|>", "<|im_end|>")}
    found = found_by(VLLM, str(directory))
    assert {tokens[-1] for tokens, truncated in found if not truncated} == ends
    for tokens, truncated in found:
        assert not set(tokens[:-1]) & ends
        assert truncated == (tokens[-1] not in ends)
        assert len(tokens) == 40 or not truncated


def test_the_shipped_base_ends_as_before():
    policy = models.load("src/switchpoint/tiny-base")
    assert policy.ends == {policy.tokenizer.eos_token_id} == {policy.tokenizer.turn_end_id}


def test_an_end_that_the_model_does_not_know_is_named(tmp_path):
    directory = shutil.copytree("src/switchpoint/tiny-base", tmp_path / "model")
    tokens = json.loads((directory / "tokenizer.json").read_text())
    tokens["added_tokens"].append(tokens["added_tokens"][0] | {"id": 80, "content": "<|im_end|>"})
    tokens["model"]["vocab"]["<|im_end|>"] = 80
    (directory / "tokenizer.json").write_text(json.dumps(tokens))
    template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    (directory / "chat_template.jinja").write_text(template)
    with pytest.raises(InputError, match=r"'<\|im_end\|>' is token 80, but the model knows 80 tokens"):
        models.load(directory)
