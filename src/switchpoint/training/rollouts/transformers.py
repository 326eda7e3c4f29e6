"""Batched sampling from any causal language model of transformers, with its key-value cache.

Every row starts at position 0 and feeds its own prompt token by token while shorter prompts already
answer, so there is no padding and no mask.
"""

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from switchpoint.training.engine.torch import device

COMPACT = 8  # steps between two removals of finished rows


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


def sample(
    model, prompts: list[list[int]], draws: torch.Tensor, *, temperature: float, top_p: float, ends: set[int]
) -> list[tuple[list[int], list[float]]]:
    """(token ids, log-probabilities at the temperature) of a response to each prompt.

    ``draws`` (prompts, longest response) are the uniform numbers of each; a response stops behind one of
    ``ends``.  Rows that have ended leave the batch every ``COMPACT`` steps.
    """
    draws = draws.to(device())
    max_new_tokens = draws.shape[1]
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device())
    longest, shortest = int(lengths.max()), int(lengths.min())
    total = longest + max_new_tokens
    tokens = torch.zeros(len(prompts), total, dtype=torch.long, device=device())
    for row, prompt in enumerate(prompts):
        tokens[row, : lengths[row]] = torch.tensor(prompt, device=device())
    logprobs = torch.zeros(len(prompts), total, device=device())
    stops = lengths + max_new_tokens  # one past the last token of each row
    end_ids = torch.tensor(sorted(ends), device=device())

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
            logits / temperature,
            draws[rows, (position - lengths[rows]).clamp(0, max_new_tokens - 1)],
            top_p,
        )
        answering = (position >= lengths[rows]) & (position < stops[rows])
        tokens[rows, position] = torch.where(answering, chosen, tokens[rows, position])
        logprobs[rows, position] = torch.where(answering, chosen_logprobs, 0.0)
        ended = answering & torch.isin(chosen, end_ids)
        stops[rows] = torch.where(ended, position + 1, stops[rows])
        if (position - shortest) % COMPACT == COMPACT - 1:
            alive = (position + 1 < stops[rows]).nonzero().squeeze(-1)
            if len(alive) == 0:
                break
            if len(alive) < len(rows):
                cache.batch_select_indices(alive)
                rows = rows[alive]
    return [
        (tokens[row, lengths[row] : stops[row]].tolist(), logprobs[row, lengths[row] : stops[row]].tolist())
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
