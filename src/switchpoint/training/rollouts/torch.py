"""Batched sampling with a key-value cache, in plain torch.

Every row of a chunk starts at position 0 and feeds its own prompt token by token while
shorter prompts already answer, so there is no padding and no mask.  The random numbers
of a row depend on (seed, problem, sample) alone, and the chunks are fixed, so a resumed,
split or extended evaluation repeats exactly.
"""

import dataclasses
import hashlib

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from switchpoint.errors import DivergedError
from switchpoint.study.jobs import Sampling
from switchpoint.training.engine.torch import Engine, device

CHUNK = 512  # sequences sampled together
COMPACT = 8  # steps between two removals of finished rows


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


class Sampler:
    """Samples from a model; ``ends`` are the tokens that end a response."""

    def __init__(self, model, ends: set[int]):
        self.model, self.ends = model, ends

    def sync(self, engine: Engine) -> None:
        """Takes over the weights of the engine."""
        self.model = engine.model

    @torch.inference_mode()
    def sample(self, prompts: list[Prompt], sampling: Sampling) -> list[Rollout]:
        """One response per prompt, in the order given; prompts of similar length share a chunk."""
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids))
        rollouts: dict[int, Rollout] = {}
        for first in range(0, len(prompts), CHUNK):
            chunk = by_length[first : first + CHUNK]
            sampled = sample_chunk(self.model, [prompts[index] for index in chunk], sampling, self.ends)
            rollouts |= zip(chunk, sampled, strict=True)
        return [rollouts[index] for index in range(len(prompts))]


class RoomyLayer(DynamicLayer):
    """A layer's keys and values with room for the whole chunk; the library's copies them at every token."""

    def __init__(self, room: int):
        super().__init__()
        self.room = room

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Allocates keys and values, (2, rows, heads, room, head_dim)."""
        super().lazy_initialization(key_states, value_states)
        rows, heads, _, head_dim = key_states.shape
        self.both = key_states.new_empty(2, rows, heads, self.room, head_dim)

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        """Writes the new positions in place; returns views of all positions so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        first = self.get_seq_length()
        last = first + key_states.shape[-2]
        self.both[0, :, :, first:last], self.both[1, :, :, first:last] = key_states, value_states
        self.keys, self.values = self.both[:, :, :, :last]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps these rows."""
        length = self.get_seq_length()
        kept = self.both[:, indices, :, :length]
        self.both = self.both[:, : len(indices)]
        self.both[:, :, :, :length] = kept
        self.keys, self.values = self.both[:, :, :, :length]


def sample_chunk(model, prompts: list[Prompt], sampling: Sampling, end_tokens: set[int]) -> list[Rollout]:
    """Samples one chunk; rows that have ended leave the batch every ``COMPACT`` steps."""
    max_new_tokens = sampling.max_new_tokens
    draws = torch.from_numpy(
        np.stack([uniforms(sampling.seed, prompt.key, max_new_tokens) for prompt in prompts])
    ).to(device())
    lengths = torch.tensor([len(prompt.token_ids) for prompt in prompts], device=device())
    longest, shortest = int(lengths.max()), int(lengths.min())
    total = longest + max_new_tokens
    tokens = torch.zeros(len(prompts), total, dtype=torch.long, device=device())
    for row, prompt in enumerate(prompts):
        tokens[row, : lengths[row]] = torch.tensor(prompt.token_ids, device=device())
    logprobs = torch.zeros(len(prompts), total, device=device())
    ends = lengths + max_new_tokens  # one past the last token of each row
    end_ids = torch.tensor(sorted(end_tokens), device=device())
    stopped = torch.zeros(len(prompts), dtype=torch.bool, device=device())

    cache, rows = DynamicCache(), torch.arange(len(prompts), device=device())
    cache.layers = [RoomyLayer(total) for _ in range(model.config.num_hidden_layers)]
    fed = 0
    for position in range(shortest, total):
        # Feed everything up to ``position``; the logits of the last token choose the next.
        logits = model(
            input_ids=tokens[rows, fed:position], past_key_values=cache, use_cache=True, logits_to_keep=1
        ).logits[:, -1]
        fed = position
        chosen, chosen_logprobs = choose(
            logits / sampling.temperature,
            draws[rows, (position - lengths[rows]).clamp(0, max_new_tokens - 1)],
            sampling.top_p,
        )
        answering = (position >= lengths[rows]) & (position < ends[rows])
        tokens[rows, position] = torch.where(answering, chosen, tokens[rows, position])
        logprobs[rows, position] = torch.where(answering, chosen_logprobs, 0.0)
        ended = answering & torch.isin(chosen, end_ids)
        ends[rows] = torch.where(ended, position + 1, ends[rows])
        stopped[rows] |= ended
        if (position - shortest) % COMPACT == COMPACT - 1:
            alive = (position + 1 < ends[rows]).nonzero().squeeze(-1)
            if len(alive) == 0:
                break
            if len(alive) < len(rows):
                cache.batch_select_indices(alive)
                rows = rows[alive]
    if not torch.isfinite(logprobs).all():
        raise DivergedError(
            "the model's output is not finite; its training has diverged: lower the learning rate"
        )
    return [
        Rollout(
            token_ids=tokens[row, lengths[row] : ends[row]].tolist(),
            logprobs=logprobs[row, lengths[row] : ends[row]].tolist(),
            truncated=not bool(stopped[row]),
        )
        for row in range(len(prompts))
    ]


def choose(logits: torch.Tensor, draws: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids by inversion of the cumulative distribution, and their log-probabilities.

    ``logits`` (rows, vocabulary), ``draws`` (rows,) in [0, 1).  With ``top_p`` below 1 only the
    likeliest tokens that reach this share together are drawn; the log-probabilities stay those of
    the whole distribution.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    probabilities = logprobs.double().exp()
    if top_p < 1.0:
        ranked, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = ranked.cumsum(-1) - ranked >= top_p
        probabilities = probabilities.scatter(-1, tokens, ranked.masked_fill(outside, 0.0))
    cumulative = probabilities.cumsum(-1)
    chosen = torch.searchsorted(cumulative, draws.double()[:, None] * cumulative[:, -1:], right=True)
    chosen = chosen.clamp(max=logits.shape[-1] - 1)
    return chosen.squeeze(-1), logprobs.gather(-1, chosen).squeeze(-1)
