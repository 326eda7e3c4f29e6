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
    """One micro-batch.  Every float tensor has shape (sequences, positions), or (sequences, 1).

    Position t is about the token t + 1, given those before it.  ``mask`` is 1 on response tokens; what
    stands elsewhere means nothing.  ``n_tokens`` and ``n_sequences`` count the response tokens and the
    sequences of the whole update, so that the losses of its micro-batches add up.
    """

    input_ids: torch.Tensor  # (sequences, positions + 1), padded on the right
    mask: torch.Tensor
    advantages: torch.Tensor  # (sequences, 1)
    old_logprobs: torch.Tensor | None
    sampling_logprobs: torch.Tensor | None
    n_tokens: int
    n_sequences: int
    # The policy's, once the engine has run the model.
    logits: torch.Tensor | None = None  # (sequences, positions, vocabulary)
    logprobs: torch.Tensor | None = None

    def mean(self, values: torch.Tensor) -> float:
        """This micro-batch's share of a mean over the update's response tokens."""
        return float((values.detach() * self.mask).sum()) / self.n_tokens


def collate(
    sequences: list[Sequence], pad_token_id: int, device: torch.device, n_tokens: int, n_sequences: int
) -> TokenBatch:
    """The micro-batch of these sequences.

    No attention mask is needed: under causal attention a real token never sees the padding behind it.
    """
    longest = max(map(len, sequences))
    ids = [[*one.prompt, *one.response] + [pad_token_id] * (longest - len(one)) for one in sequences]
    position = torch.arange(1, longest, device=device)[None, :]
    start = torch.tensor([len(one.prompt) for one in sequences], device=device)[:, None]
    stop = torch.tensor([len(one) for one in sequences], device=device)[:, None]
    return TokenBatch(
        input_ids=torch.tensor(ids, dtype=torch.long, device=device),
        mask=((position >= start) & (position < stop)).float(),
        advantages=torch.tensor([[one.advantage] for one in sequences], device=device),
        old_logprobs=align(sequences, "old_logprobs", longest, device),
        sampling_logprobs=align(sequences, "sampling_logprobs", longest, device),
        n_tokens=n_tokens,
        n_sequences=n_sequences,
    )


def align(sequences: list[Sequence], name: str, longest: int, device: torch.device) -> torch.Tensor | None:
    """A value per response token at the tokens' positions, 0 elsewhere; None where no sequence has it."""
    if getattr(sequences[0], name) is None:
        return None
    result = torch.zeros(len(sequences), longest - 1)
    for row, one in enumerate(sequences):
        first = len(one.prompt) - 1
        result[row, first : first + len(one.response)] = torch.tensor(getattr(one, name))
    return result.to(device)


def by_length(lengths: list[int], size: int) -> list[list[int]]:
    """Indices in micro-batches of at most ``size`` sequences of similar length (less padding)."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[first : first + size] for first in range(0, len(order), size)]
