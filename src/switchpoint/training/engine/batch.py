"""Sequences as the tensors that an objective reads; one ``collate`` for SFT, RL and validation."""

import dataclasses

import torch


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A prompt and a response as token ids, and what an objective needs to know of them.

    The log-probabilities, one per response token, are those before the step's first update
    (``old_logprobs``) and those that the sampler drew at (``sampling_logprobs``).
    """

    prompt: list[int]
    response: list[int]
    advantage: float = 0.0
    old_logprobs: list[float] | None = None
    sampling_logprobs: list[float] | None = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


@dataclasses.dataclass
class TokenBatch:
    """One micro-batch.  Every float tensor has shape (sequences, longest response), or (sequences, 1).

    ``mask`` is 1 on response tokens; elsewhere all is 0.  ``n_tokens`` and ``n_sequences`` count the
    response tokens and the sequences of the whole update, so that the losses of its micro-batches add up.
    """

    sequences: list[Sequence]
    mask: torch.Tensor
    advantages: torch.Tensor  # (sequences, 1)
    old_logprobs: torch.Tensor | None
    sampling_logprobs: torch.Tensor | None
    n_tokens: int
    n_sequences: int
    # The policy's, once the engine has run the model.
    logits: torch.Tensor | None = None  # (response tokens, vocabulary), sequence by sequence
    logprobs: torch.Tensor | None = None

    def mean(self, values: torch.Tensor) -> float:
        """This micro-batch's share of a mean over the update's response tokens."""
        return float((values.detach() * self.mask).sum()) / self.n_tokens

    def pad(self, values: torch.Tensor) -> torch.Tensor:
        """A value per response token, sequence by sequence, at its place in (sequences, longest response)."""
        return values.new_zeros(self.mask.shape).masked_scatter(self.mask.bool(), values)


def collate(sequences: list[Sequence], device: torch.device, n_tokens: int, n_sequences: int) -> TokenBatch:
    """The micro-batch of these sequences; the policy's part is the engine's."""
    lengths = torch.tensor([len(one.response) for one in sequences], device=device)
    mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
    batch = TokenBatch(
        sequences=sequences,
        mask=mask.float(),
        advantages=torch.tensor([[one.advantage] for one in sequences], device=device),
        old_logprobs=None,
        sampling_logprobs=None,
        n_tokens=n_tokens,
        n_sequences=n_sequences,
    )
    for name in ("old_logprobs", "sampling_logprobs"):
        if getattr(sequences[0], name) is not None:
            values = [value for one in sequences for value in getattr(one, name)]
            setattr(batch, name, batch.pad(torch.tensor(values, device=device)))
    return batch
