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

from switchpoint.engine import device

CHUNK = 256  # sequences sampled together
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


@torch.inference_mode()
def sample(
    model, prompts: list[Prompt], *, max_new_tokens: int, temperature: float, seed: int, eos: set[int]
) -> list[Rollout]:
    """One response per prompt, in the order given."""
    rollouts = []
    for first in range(0, len(prompts), CHUNK):
        rollouts += sample_chunk(
            model, prompts[first : first + CHUNK], max_new_tokens, temperature, seed, eos
        )
    return rollouts


def sample_chunk(
    model, prompts: list[Prompt], max_new_tokens: int, temperature: float, seed: int, eos: set[int]
) -> list[Rollout]:
    """Samples one chunk; rows that have ended leave the batch every ``COMPACT`` steps."""
    from transformers import DynamicCache

    draws = torch.from_numpy(np.stack([uniforms(seed, prompt.key, max_new_tokens) for prompt in prompts])).to(
        device()
    )
    lengths = torch.tensor([len(prompt.token_ids) for prompt in prompts], device=device())
    longest, shortest = int(lengths.max()), int(lengths.min())
    total = longest + max_new_tokens
    tokens = torch.zeros(len(prompts), total, dtype=torch.long, device=device())
    for row, prompt in enumerate(prompts):
        tokens[row, : lengths[row]] = torch.tensor(prompt.token_ids, device=device())
    logprobs = torch.zeros(len(prompts), total, device=device())
    ends = lengths + max_new_tokens  # one past the last token of each row
    end_ids = torch.tensor(sorted(eos), device=device())
    stopped = torch.zeros(len(prompts), dtype=torch.bool, device=device())

    cache, rows = DynamicCache(), torch.arange(len(prompts), device=device())
    fed = 0
    for position in range(shortest, total):
        # Feed everything up to ``position``; the logits of the last token choose the next.
        logits = model(
            input_ids=tokens[rows, fed:position], past_key_values=cache, use_cache=True, logits_to_keep=1
        ).logits[:, -1]
        fed = position
        chosen, chosen_logprobs = choose(
            logits / temperature, draws[rows, (position - lengths[rows]).clamp(0, max_new_tokens - 1)]
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
    return [
        Rollout(
            token_ids=tokens[row, lengths[row] : ends[row]].tolist(),
            logprobs=logprobs[row, lengths[row] : ends[row]].tolist(),
            truncated=not bool(stopped[row]),
        )
        for row in range(len(prompts))
    ]


def choose(logits: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids by inversion of the cumulative distribution, and their log-probabilities.

    ``logits`` (rows, vocabulary), ``draws`` (rows,) in [0, 1).
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    cumulative = logprobs.double().exp().cumsum(-1)
    chosen = torch.searchsorted(cumulative, draws.double()[:, None] * cumulative[:, -1:], right=True)
    chosen = chosen.clamp(max=logits.shape[-1] - 1)
    return chosen.squeeze(-1), logprobs.gather(-1, chosen).squeeze(-1)
