"""vLLM as the sampler, in this process; the trainer's weights are streamed to it.

It agrees with our sampler within the standard error, not token by token: its random numbers are its own, though a
response's depend on (seed, problem, sample) alone here as well.

Deviations: with ``top_p`` below 1 its log-probabilities are those within the nucleus, where ours are the policy's.
"""

import contextlib
import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from switchpoint.errors import DivergedError, InputError
from switchpoint.study.jobs import Sampling
from switchpoint.training.engine.torch import Engine, device
from switchpoint.training.rollouts.sampler import Prompt, Rollout

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else it keeps a core for itself
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the weights stay in this process
    "VLLM_LOGGING_LEVEL": "ERROR",
}
CACHE_BYTES = 1 << 29  # of keys and values, on a CPU
HOTTEST = 2.0  # temperature that it takes
GPU_SHARE = 0.4  # of a GPU's memory, which the trainer shares


class VllmSampler:
    """Samples from the model of a directory, or with the weights that it took over since; ``ends`` end a response."""

    def __init__(self, directory: str | Path, ends: set[int], dtype: str = "float32"):
        os.environ.update(ENVIRONMENT)
        try:
            from vllm import LLM
        except ModuleNotFoundError as error:
            raise InputError(f"model.rollouts is vllm, and {error}; install vLLM, or say torch") from None

        self.ends = ends
        if device().type == "cpu":
            # A prompt in several pieces fails there: the random numbers of a CPU cannot be set back.
            memory = {
                "gpu_memory_utilization": 0.1,
                "kv_cache_memory_bytes": CACHE_BYTES,
                "enable_chunked_prefill": False,
            }
        else:
            memory = {"gpu_memory_utilization": GPU_SHARE}
        with any_kernels():
            self.llm = LLM(
                str(directory), skip_tokenizer_init=True, dtype=dtype, enforce_eager=True,
                distributed_executor_backend="uni", logprobs_mode="processed_logprobs", disable_log_stats=True,
                **memory,
            )  # fmt: skip

    def load(self, model: torch.nn.Module) -> None:
        """Takes over a model's weights."""
        self.stream(model.state_dict().items(), model.config.tie_word_embeddings)

    def sync(self, engine: Engine) -> None:
        """Takes over the weights of the engine."""
        self.stream(engine.weights(), engine.model.config.tie_word_embeddings)

    def stream(self, weights: Iterable[tuple[str, torch.Tensor]], tied: bool) -> None:
        """Takes over weights under transformers' names, one after the other, a tied head once."""
        stream = ((name, one.detach()) for name, one in weights if not (tied and name == "lm_head.weight"))
        with any_kernels():
            self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": stream})
            if tied and device().type == "cpu":
                self.llm.apply_model(repack_tied_head)
            self.llm.reset_prefix_cache()

    def sample(self, prompts: list[Prompt], sampling: Sampling) -> list[Rollout]:
        """One response per prompt, in the order given; DivergedError where a log-probability is not finite."""
        from vllm import SamplingParams

        self.check(prompts, sampling)
        asked = [{"prompt_token_ids": prompt.token_ids} for prompt in prompts]
        numbers = [
            SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                seed=seed_of(sampling.seed, prompt.key),
                logprobs=0,
                detokenize=False,
                ignore_eos=True,
                stop_token_ids=sorted(self.ends),
            )
            for prompt in prompts
        ]
        with any_kernels():
            outputs = self.llm.generate(asked, numbers, use_tqdm=False)
        return [self.rollout(output.outputs[0]) for output in outputs]

    def check(self, prompts: list[Prompt], sampling: Sampling) -> None:
        """InputError for what vLLM would cut short without a word, or refuse in the middle."""
        longest = max((len(prompt.token_ids) for prompt in prompts), default=0)
        most = self.llm.model_config.max_model_len
        if longest + sampling.max_new_tokens > most:
            raise InputError(
                f"a prompt has {longest} tokens and a response up to {sampling.max_new_tokens} (max_new_tokens), but the model "
                f"has {most} positions, and vLLM takes no more; lower max_new_tokens, or say model.rollouts: torch"
            )
        if sampling.temperature > HOTTEST:
            raise InputError(
                f"temperature is {sampling.temperature:g}; vLLM takes up to {HOTTEST:g}: lower it, or say model.rollouts: torch"
            )

    def rollout(self, output) -> Rollout:
        """A response of vLLM's as ours."""
        tokens = list(output.token_ids)
        logprobs = [step[token].logprob for step, token in zip(output.logprobs, tokens, strict=True)]
        if not all(map(math.isfinite, logprobs)):
            raise DivergedError(
                "the model's output is not finite; its training has diverged: lower the learning rate"
            )
        return Rollout(tokens, logprobs, truncated=tokens[-1] not in self.ends)


@contextlib.contextmanager
def any_kernels() -> Iterator[None]:
    """Without the demand for deterministic kernels, which vLLM's are not."""
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def seed_of(seed: int, key: str) -> int:
    """The seed of a response, a function of (seed, key) alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}".encode()).digest()[:4], "little")


def repack_tied_head(model: torch.nn.Module) -> None:
    """Renews the packed copy of a tied head that vLLM keeps on a CPU: reloading the embedding leaves it as it was.

    The head is the embedding itself or, as in Llama and Qwen2, a layer of its own that shares its weights.
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
    from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

    for layer in model.modules():
        if isinstance(layer, VocabParallelEmbedding):
            dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
