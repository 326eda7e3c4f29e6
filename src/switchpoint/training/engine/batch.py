"""Sequences as the tensors that an objective reads; one ``collate`` for SFT, RL and validation."""

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A prompt and a response as token ids, and what an objective needs to know of them.

    The log-probabilities, one per response token, are those before the step's first update
    (``old_logprobs``) and those that the sampler drew at (``sampling_logprobs``; none of an ``expert``'s response).
    """

    prompt: list[int]
    response: list[int]
    advantage: float = 0.0
    reward: int = 0
    expert: bool = False
    truncated: bool = False  # a rollout that the length limit cut
    old_logprobs: list[float] | None = None
    sampling_logprobs: list[float] | None = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


@dataclasses.dataclass(frozen=True)
class Totals:
    """How many response tokens, sequences and micro-batches an update trains on."""

    tokens: int
    expert_tokens: int
    sequences: int
    microbatches: int = 1

    @classmethod
    def of(cls, sequences: list[Sequence], microbatches: int = 1) -> "Totals":
        """The totals of an update's sequences."""
        experts = sum(len(one.response) for one in sequences if one.expert)
        return cls(sum(len(one.response) for one in sequences), experts, len(sequences), microbatches)


@dataclasses.dataclass
class TokenBatch:
    """One micro-batch.  Every float tensor has shape (sequences, longest response), or (sequences, 1).

    ``mask`` is 1 on response tokens; elsewhere all is 0.  ``totals`` are those of the whole update, so that the
    losses of its micro-batches add up.
    """

    sequences: list[Sequence]
    mask: torch.Tensor
    advantages: torch.Tensor  # (sequences, 1)
    rewards: torch.Tensor  # (sequences, 1)
    experts: torch.Tensor  # (sequences, 1), 1 where the response is an expert's
    old_logprobs: torch.Tensor | None
    sampling_logprobs: torch.Tensor | None
    totals: Totals
    # The policy's, once the engine has run the model.
    logits: torch.Tensor | None = None  # (response tokens, vocabulary), sequence by sequence
    logprobs: torch.Tensor | None = None

    def mean(self, values: torch.Tensor) -> float:
        """This micro-batch's share of a mean over the update's response tokens."""
        return float((values.detach() * self.mask).sum()) / self.totals.tokens

    def sampled_mean(self, values: torch.Tensor) -> float:
        """This micro-batch's share of a mean over the update's sampled tokens; 0 without any."""
        total = float((values.detach() * self.mask * (1 - self.experts)).sum())
        return total / max(self.totals.tokens - self.totals.expert_tokens, 1)

    def pad(self, values: torch.Tensor) -> torch.Tensor:
        """A value per response token, sequence by sequence, at its place in (sequences, longest response)."""
        return values.new_zeros(self.mask.shape).masked_scatter(self.mask.bool(), values)


def collate(sequences: list[Sequence], device: torch.device, totals: Totals) -> TokenBatch:
    """The micro-batch of these sequences, of an update with these totals; the policy's part is the engine's."""
    lengths = torch.tensor([len(one.response) for one in sequences], device=device)
    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    batch = TokenBatch(
        sequences=sequences,
        mask=mask.float(),
        advantages=torch.tensor([[one.advantage] for one in sequences], device=device),
        rewards=torch.tensor([[float(one.reward)] for one in sequences], device=device),
        experts=torch.tensor([[float(one.expert)] for one in sequences], device=device),
        old_logprobs=None,
        sampling_logprobs=None,
        totals=totals,
    )
    for name in ("old_logprobs", "sampling_logprobs"):
        if any(getattr(one, name) is not None for one in sequences):
            values = [value for one in sequences for value in getattr(one, name) or [0.0] * len(one.response)]
            setattr(batch, name, batch.pad(torch.tensor(values, device=device)))
    return batch
