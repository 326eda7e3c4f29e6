"""The tiny base model: pretrained from nothing on generated documents, in about three CPU minutes.

Two stages: arithmetic facts and the look of a problem first, then worked solutions
from an unreliable "web".  The model ends up answering directly and badly, while writing
the steps out is latent in it; SFT elicits that.
"""

import functools
import itertools
import math
import re
from pathlib import Path

from switchpoint.data import step_lists
from switchpoint.study.config import Optimizer, PretrainingStage
from switchpoint.study.jobs import BaseJob
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine, configure
from switchpoint.training.job_run import JobRun
from switchpoint.training.limit import Limit
from switchpoint.training.sft import mean_loss

WARMUP = 50  # steps
SAVE_EVERY = 100
# One token per number, word or mark, each with the space that follows it, so that a
# step's label and phrase are the same tokens in the problem and in the solution.
PIECES = r"\\boxed\{|\(\d+\) |\d+| = |[A-Za-z]+:? ?|[.,;] ?|\s|\S"
SPECIAL_TOKENS = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
ANSWER_MARKER = "<sol>"
MAX_STEPS = 12
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{ message['content'] }}<sol>"
    "{%- elif message['role'] == 'assistant' -%}{{ message['content'] }}<eos>"
    "{%- else -%}{{ raise_exception('only user and assistant messages') }}{%- endif -%}"
    "{%- endfor -%}"
)
TINY_LLAMA = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,  # vLLM on CPU refuses 16
    "intermediate_size": 168,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,  # vLLM on CPU does not reload a tied head
}


CARD = """# Tiny base model

A Llama of 124,000 parameters for step-list arithmetic, pretrained by Switchpoint's rule
`make_base` on generated documents: arithmetic facts, direct answers and worked solutions,
about half of whose results are wrong. `run.json` records how it was made.
"""


def run(job: BaseJob, out: str, state: str, limit: Limit | None = None) -> None:
    """Pretrains and publishes the model directory."""
    made = JobRun(job, {}, state, limit=limit)
    model, tokenizer = pretrain(job, made)
    directory = made.state / "model"
    with models.new_directory(directory, CARD):
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    made.cover("model")
    made.finish(Path(out) / "run.json", "finished", made.publish("model", out))


def pretrain(job: BaseJob, job_run: JobRun):
    """(model, tokenizer) after the stages; every ``SAVE_EVERY`` steps there is a state to resume from."""
    configure(job.seed)
    tokenizer = make_tokenizer()
    model = make_tiny_llama(tokenizer)
    checkpoint = job_run.checkpoint
    for number, stage in enumerate(job.stages, start=1):
        optimizer = Optimizer(learning_rate=stage.learning_rate, microbatch_size=16)
        engine = Engine(
            model,
            optimizer,
            tokenizer.pad_token_id,
            schedule=lambda step, total=stage.steps: (
                min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / total))
            ),
        )
        if checkpoint:
            if engine.load(checkpoint)["stage"] != number:
                continue
            checkpoint = None
            print(f"resumed at stage {number} step {engine.steps}", flush=True)
        write = functools.partial(engine.save, progress={"stage": number})
        for step in range(engine.steps, stage.steps):
            job_run.stop_if_due(f"stage {number} step {step}", write)
            texts = documents(job.seed, number, step, stage)
            sequences = [Sequence(ids[:1], ids[1:]) for ids in tokenizer(texts)["input_ids"]]
            figures = engine.step(sequences, mean_loss)
            if (step + 1) % SAVE_EVERY == 0:
                print(f"stage {number} step {step + 1}/{stage.steps} loss {figures['loss']:.4f}", flush=True)
                job_run.save(write)
    return model, tokenizer


def documents(seed: int, number: int, step: int, stage: PretrainingStage) -> list[str]:
    """The texts of one step of stage ``number``."""
    return [
        step_lists.pretraining_document(
            f"{seed}-{number}-{step}-{row}", number, stage.facts_share, stage.n_steps
        )
        for row in range(stage.batch_size)
    ]


def vocabulary() -> list[str]:
    """Every piece that a generated text can hold, in a fixed order."""
    phrases = itertools.chain.from_iterable(step_lists.PHRASES.values())
    texts = [f"({n}) " for n in range(1, MAX_STEPS + 1)]
    texts += [str(state) for state in step_lists.STATES]
    texts += [f"{phrase} " for phrase in phrases] + step_lists.SEPARATORS + step_lists.CLOSINGS
    texts += [f"{name} has " for name in step_lists.NAMES] + ["Start with ", " = ", " ", ".", "\\boxed{", "}"]
    pieces = itertools.chain.from_iterable(re.findall(PIECES, text) for text in texts)
    return [*SPECIAL_TOKENS.values(), ANSWER_MARKER, *dict.fromkeys(pieces)]


def make_tokenizer():
    """The step-list tokenizer: every generated text decodes to itself, character by character."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    ids = {piece: index for index, piece in enumerate(vocabulary())}
    tokenizer = Tokenizer(WordLevel(ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([*SPECIAL_TOKENS.values(), ANSWER_MARKER])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        additional_special_tokens=[ANSWER_MARKER],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=TINY_LLAMA["max_position_embeddings"],
        **SPECIAL_TOKENS,
    )


def make_tiny_llama(tokenizer):
    """The tiny base model's architecture with fresh weights (seed torch first)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **TINY_LLAMA,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
