"""Our sampler beside transformers' ``generate`` and, where it is installed, vLLM on the CPU: 512 rows.

``python benchmarks/sampler.py [--size tiny|10M] [--turns 15]``.  512 different prompts at temperature 1,
answered to their natural end (``tiny`` only) and with 64 tokens each.  All have the same weights in float32.
Ours also returns every token's log-probability, which ``generate`` does not; vLLM is measured without and
with.  ``generate`` takes all 512 rows at once as ours does, and also, sorted by length, in batches of 128,
where it was fastest; it has plain attention, here its fastest.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import torch
from side_by_side import (
    PROBLEMS,
    TEMPLATE,
    WARM_UP,
    Cost,
    Stopwatch,
    as_installed,
    compare,
    rate,
    scratch_models,
    settings,
    show,
)
from transformers import AutoModelForCausalLM

from switchpoint.study.jobs import Sampling
from switchpoint.training import models
from switchpoint.training.rollouts.sampler import Prompt, Sampler

ROWS = 512
LONGEST = 120
FIXED = 64
NO_TOKEN = -1  # the end token where answers have a fixed length
Sample = Callable[[bool], int]  # of fixed length or not, to the number of response tokens
VLLM = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


def limit(fixed: bool) -> int:
    """Tokens of the longest answer."""
    return FIXED if fixed else LONGEST


def make_ours(policy: models.Policy, prompts: list[list[int]]) -> Sample:
    """Our sampler."""
    samplers = Sampler(policy.model, policy.ends), Sampler(policy.model, {NO_TOKEN})
    asked = [Prompt(prompt, str(row)) for row, prompt in enumerate(prompts)]

    def sample(fixed: bool) -> int:
        sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=limit(fixed), seed=0)
        return sum(len(one.token_ids) for one in samplers[fixed].sample(asked, sampling))

    return sample


def make_generate(model, end: int, prompts: list[list[int]], size: int) -> Sample:
    """``generate`` of transformers in batches of ``size`` rows of similar length."""
    prompts = sorted(prompts, key=len)

    @torch.inference_mode()
    def sample(fixed: bool) -> int:
        tokens = 0
        for at in range(0, len(prompts), size):
            rows = prompts[at : at + size]
            longest = max(map(len, rows))
            lengths = torch.tensor([len(row) for row in rows])
            ids = torch.tensor([[end] * (longest - len(row)) + row for row in rows])
            mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
            stop = NO_TOKEN if fixed else end
            answers = model.generate(
                ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                max_new_tokens=limit(fixed), eos_token_id=stop, pad_token_id=end,
            )[:, longest:]  # fmt: skip
            ended = answers == stop
            counts = torch.where(ended.any(1), ended.int().argmax(1) + 1, answers.shape[1])
            tokens += int(counts.sum())
        return tokens

    return sample


def make_vllm(model: Path, prompts: list[list[int]]) -> dict[str, Sample]:
    """vLLM in this process, without and with log-probabilities."""
    from vllm import LLM, SamplingParams

    engine = LLM(
        str(model), dtype="float32", enforce_eager=True, distributed_executor_backend="uni",
        gpu_memory_utilization=0.1, kv_cache_memory_bytes=1 << 30, max_model_len=512, max_num_seqs=ROWS,
        max_num_batched_tokens=1 << 14, enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip
    asked = [{"prompt_token_ids": prompt} for prompt in prompts]

    def make(logprobs: int | None) -> Sample:
        def sample(fixed: bool) -> int:
            sampling = SamplingParams(
                temperature=1.0,
                max_tokens=limit(fixed),
                ignore_eos=fixed,
                logprobs=logprobs,
                detokenize=False,
            )
            answers = engine.generate(asked, sampling, use_tqdm=False)
            return sum(len(answer.outputs[0].token_ids) for answer in answers)

        return sample

    return {"vLLM": make(None), "vLLM with log-probabilities": make(0)}


def in_turn(ours: Sample, peers: dict[str, Sample], fixed: bool, turns: int) -> dict[str, list[Cost]]:
    """The costs of all, a turn at a time, without those that warm up."""
    watches = {name: Stopwatch(sample) for name, sample in ({"ours": ours} | peers).items()}
    costs = {name: [] for name in watches}
    for _ in range(WARM_UP + turns):
        tokens = {"ours": watches["ours"](fixed)}
        with as_installed():
            tokens |= {name: watches[name](fixed) for name in peers}
        for name, watch in watches.items():
            costs[name].append((watch.read(), tokens[name]))
    return {name: found[WARM_UP:] for name, found in costs.items()}


def measure(name: str, model: Path, turns: int, kinds: dict[str, bool]) -> list[list[str]]:
    """The table's rows of a model."""
    policy = models.load(model)
    prompts = [policy.tokenizer.render_prompt(problem, TEMPLATE) for problem in PROBLEMS["problem"][:ROWS]]
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    end = policy.tokenizer.eos_token_id
    peers = {
        f"generate, {size} rows": make_generate(theirs.eval(), end, prompts, size) for size in (ROWS, 128)
    }
    if importlib.util.find_spec("vllm"):
        with as_installed():
            peers |= make_vllm(model, prompts)
    rows = []
    for kind, fixed in kinds.items():
        costs = in_turn(make_ours(policy, prompts), peers, fixed, turns)
        ours = costs["ours"]
        for peer in peers:
            found = costs[peer]
            rows.append([name, kind, peer, rate(ours), rate(found), compare(ours, found)])
    return rows


def main() -> None:
    """Measures the models of the asked size and prints the table."""
    os.environ.update(VLLM)
    options = settings(__doc__, importlib.metadata.packages_distributions().get("vllm", [])[:1])
    kinds = {"natural": False, "64 tokens": True} if options.size == "tiny" else {"64 tokens": True}
    with scratch_models(options.size) as directories:
        name = "after SFT" if options.size == "tiny" else "10M"
        rows = measure(name, directories[name], options.turns, kinds)
    show(["model", "length", "peer", "our tokens/s", "its tokens/s", "ratio per token"], rows)


if __name__ == "__main__":
    main()
