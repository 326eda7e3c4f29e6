"""The objectives, as losses to minimise.

Shapes: every tensor is (sequences, positions); ``mask`` is 1 on response tokens.

Deviations from the papers
--------------------------
- Eq. 1 sums token log-likelihoods; we divide by the number of response tokens of the
  whole optimizer batch, so that the learning rate does not depend on lengths.
- Eq. 3's KL term is left out, as the paper's own experiments do.
- The ratio's logarithm is limited to +-20, and dual clipping (constant c) bounds the
  loss of tokens with negative advantage, as in the official code.
"""

import torch

LOG_RATIO_LIMIT = 20.0


def sft_loss(logprobs: torch.Tensor, mask: torch.Tensor, n_tokens: int) -> torch.Tensor:
    """Negative log-likelihood of the expert tokens (RETU Eq. 1), divided by ``n_tokens``.

    ``n_tokens`` counts the response tokens of the whole optimizer batch, so that the
    losses of its micro-batches add up to the global token mean.
    """
    return -(logprobs * mask).sum() / n_tokens


def policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    *,
    clip_low: float | None,
    clip_high: float | None,
    dual_clip: float | None,
) -> torch.Tensor:
    """Clipped surrogate of each token: -min(r A, clip(r, 1 - low, 1 + high) A) (RETU Eq. 3).

    GRPO and DAPO-d clip symmetrically, DAPO-dc asymmetrically (low 0.2, high 0.28);
    ``None`` removes the clip.  ``advantages``: (sequences, 1) or (sequences, positions).
    """
    log_ratio = (logprobs - old_logprobs).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = log_ratio.exp()
    loss = -ratio * advantages
    if clip_low is not None:
        loss = torch.maximum(loss, -ratio.clamp(1 - clip_low, 1 + clip_high) * advantages)
    if dual_clip is not None:
        bounded = torch.minimum(loss, -dual_clip * advantages)
        loss = torch.where(advantages < 0, bounded, loss)
    return loss


def clipped_tokens(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    clip_low: float | None,
    clip_high: float | None,
) -> torch.Tensor:
    """1.0 where the clip range acts on a token: where its gradient is cut off.  Shapes as ``policy_loss``."""
    if clip_low is None:
        return torch.zeros_like(logprobs)
    ratio = (logprobs - old_logprobs).exp()
    above, below = (ratio > 1 + clip_high) & (advantages > 0), (ratio < 1 - clip_low) & (advantages < 0)
    return (above | below).float()


def aggregate(
    losses: torch.Tensor, mask: torch.Tensor, how: str, *, n_tokens: int, n_sequences: int, max_tokens: int
) -> torch.Tensor:
    """Token losses to one number; the counts are those of the whole update batch.

    token_mean           sum over tokens / n_tokens (Eq. 3; DAPO)
    seq_mean_token_mean  mean over sequences of each sequence's token mean (original GRPO)
    seq_sum_const        sum over tokens / max_tokens (the official code of GRPO, DAPO-d, LUFFY, SRFT and UPT)
    """
    if how == "token_mean":
        return (losses * mask).sum() / n_tokens
    if how == "seq_mean_token_mean":
        means = (losses * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        return means.sum() / n_sequences
    if how == "seq_sum_const":
        return (losses * mask).sum() / max_tokens
    raise ValueError(f"aggregation is {how!r}; use token_mean, seq_mean_token_mean or seq_sum_const")


def token_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the next-token distribution in nats; ``logits`` (..., vocabulary)."""
    logprobs = torch.log_softmax(logits, dim=-1)
    return -(logprobs.exp() * logprobs).sum(dim=-1)
