"""The sampler: our decoder for the models it knows, ``transformers`` for the others.

The random numbers of a response depend on (seed, problem, sample) alone, and the chunks that are
sampled together are fixed, so a resumed, split or extended evaluation repeats exactly.
"""

import dataclasses
import hashlib
import math
import typing
from pathlib import Path

import numpy as np
import torch

from switchpoint.errors import DivergedError
from switchpoint.study.jobs import Sampling
from switchpoint.training.engine.torch import Engine, device
from switchpoint.training.llama import Decoder, whole
from switchpoint.training.llama_parameters import Llama
from switchpoint.training.models import Policy

if typing.TYPE_CHECKING:
    from switchpoint.training.rollouts.vllm import VllmSampler

CHUNK = 256  # sequences sampled together


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A rendered prompt; ``key`` names the (problem, sample) that its randomness hangs on."""

    token_ids: list[int]
    key: str


@dataclasses.dataclass
class Rollout:
    """A sampled response: token ids (with the end token, if any) and their log-probabilities.

    ``logprobs`` are taken at the sampling temperature; ``truncated`` means that the
    length limit came before an end token.
    """

    token_ids: list[int]
    logprobs: list[float]
    truncated: bool


def uniforms(seed: int, key: str, count: int) -> np.ndarray:
    """``count`` numbers in [0, 1), a function of (seed, key) alone; a longer draw extends a shorter."""
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
    return generator.random(count, dtype=np.float32)


def open_sampler(
    sampling: Sampling, policy: Policy, directory: str | Path, engine: Engine | None = None
) -> "Sampler | VllmSampler":
    """The sampler of a policy that was loaded from the directory, and that an engine may have taken since."""
    if sampling.by == "torch":
        return Sampler(policy.model, policy.ends, sampling.dtype, engine)
    from switchpoint.training.rollouts.vllm import VllmSampler

    return VllmSampler(directory, policy.ends, sampling.dtype)


class Sampler:
    """Samples from a model, or an engine's; ``ends`` are the tokens that end a response."""

    def __init__(self, model, ends: set[int], dtype: str = "float32", engine: Engine | None = None):
        self.ends, self.dtype = ends, getattr(torch, dtype)
        self.load(model) if engine is None else self.sync(engine)

    def load(self, model, gathered=whole) -> None:
        """Takes over a model's weights."""
        self.model, self.decoder = model.to(device()), None
        if isinstance(model, Llama):
            self.decoder = Decoder(model, gathered, self.dtype)

    def sync(self, engine: Engine) -> None:
        """Takes over the weights of the engine."""
        self.load(engine.model, engine.gathered)

    @torch.inference_mode()
    def sample(self, prompts: list[Prompt], sampling: Sampling) -> list[Rollout]:
        """One response per prompt, in the order given; prompts of similar length share a chunk."""
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids))
        rollouts: dict[int, Rollout] = {}
        for first in range(0, len(prompts), CHUNK):
            chunk = by_length[first : first + CHUNK]
            sampled = self.sample_chunk([prompts[index] for index in chunk], sampling)
            rollouts |= zip(chunk, sampled, strict=True)
        return [rollouts[index] for index in range(len(prompts))]

    def sample_chunk(self, prompts: list[Prompt], sampling: Sampling) -> list[Rollout]:
        """Samples one chunk; DivergedError where a log-probability is not finite."""
        draws = [uniforms(sampling.seed, prompt.key, sampling.max_new_tokens) for prompt in prompts]
        asked = [prompt.token_ids for prompt in prompts], torch.from_numpy(np.stack(draws))
        numbers = {"temperature": sampling.temperature, "top_p": sampling.top_p, "ends": self.ends}
        if self.decoder is None:
            from switchpoint.training.rollouts import transformers

            with torch.autocast(device().type, self.dtype, enabled=self.dtype != torch.float32):
                answers = transformers.sample(self.model, *asked, **numbers)
        else:
            answers = self.decoder.sample(*asked, **numbers)
        if not all(math.isfinite(logprob) for _, logprobs in answers for logprob in logprobs):
            raise DivergedError(
                "the model's output is not finite; its training has diverged: lower the learning rate"
            )
        return [Rollout(tokens, logprobs, tokens[-1] not in self.ends) for tokens, logprobs in answers]
