"""The objectives, as losses to minimise.

Shapes: every tensor is (sequences, positions); ``mask`` is 1 on response tokens.  What is one number per sequence,
as its advantage or whether an expert wrote it, is (sequences, 1).

A paradigm is a row of ``LOSSES``: its loss of every token, by component, of which each becomes one number by
``aggregate``; the update's loss is their sum.

Deviations from the papers
--------------------------
- Eq. 1 sums token log-likelihoods; we divide by the number of response tokens of the
  whole optimizer batch, so that the learning rate does not depend on lengths.
- Eq. 3's KL term is left out, as the paper's own experiments do.
- The ratio's logarithm is limited to +-20, and dual clipping (constant c) bounds the
  loss of tokens with negative advantage, as in the official code.
- Eq. 4 uses the unshaped ratio of the expert's tokens; we take the shaped one that the text behind Eq. 5 defines.
  The probability that the expert wrote a token with counts as 1, as in the official code.
- Eq. 6 and 7 sum over tokens and leave open what the entropy is taken over: it is the mean over the tokens of each
  sequence, as in the official code.  The four terms share one denominator, all tokens of the batch as in Eq. 4, so
  that their balance does not hang on lengths; the official code takes the token mean of the imitated ones apart.
- Eq. 8 adds the losses of gated and of other prompts; ours is the mean over all their tokens.
- The old log-probabilities are always the trainer's own, computed again before the step's first update, and never what
  the sampler returned: the ratio of Eq. 3 is between two states of one model in one implementation.  What the sampler
  drew at may differ, by its kernels and precision, or as the rollouts were carried over from an earlier step; such
  rollouts count as the policy's own, unless ``importance_weights`` are asked for.
"""

from collections.abc import Callable

import torch

from switchpoint.study.algorithms import Algorithm
from switchpoint.training.engine.batch import TokenBatch

LOG_RATIO_LIMIT = 20.0
Losses = dict[str, torch.Tensor]
"""Losses of tokens, by the term that they belong to."""


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


def importance_weights(batch: TokenBatch, old: torch.Tensor, cap: float | None) -> torch.Tensor | None:
    """min(exp(old - sampling log-probability), cap) of each token, 1 of an expert's; None without cap or rollouts.

    Truncated importance sampling (TIS), token by token, from the policy that was sampled to the trainer's before the
    step; no gradient.  Both are taken at the sampling temperature.  With ``top_p`` below 1 vLLM's log-probabilities
    are those within the nucleus, whose probability is then part of the weight; our sampler's are those of the whole
    distribution, and the weight does not know of the nucleus.
    """
    if cap is None or batch.sampling_logprobs is None:
        return None
    weights = (old - batch.sampling_logprobs).detach().exp().clamp(max=cap)
    return torch.where(batch.experts.bool(), 1.0, weights)


def shaped_loss(logprobs: torch.Tensor, advantages: torch.Tensor, gamma: float) -> torch.Tensor:
    """-A p / (p + gamma) of each token of an expert, p its probability (RETU Eq. 4, first term, shaped)."""
    probability = logprobs.exp()
    return -advantages * probability / (probability + gamma)


def policy(batch: TokenBatch, old: torch.Tensor, entropy: torch.Tensor, numbers: Algorithm) -> Losses:
    """GRPO, DAPO-d and DAPO-dc (Eq. 3)."""
    clip = {name: getattr(numbers, name) for name in ("clip_low", "clip_high", "dual_clip")}
    return {"rl": policy_loss(batch.logprobs, old, batch.advantages, **clip)}


def luffy(batch: TokenBatch, old: torch.Tensor, entropy: torch.Tensor, numbers: Algorithm) -> Losses:
    """LUFFY (Eq. 4, 5): the expert's trajectory is one of the group, its tokens have shaped ratios."""
    off = shaped_loss(batch.logprobs, batch.advantages, numbers.shaping)
    on = policy(batch, old, entropy, numbers)["rl"]
    return {"off": batch.experts * off, "rl": (1 - batch.experts) * on}


def srft(batch: TokenBatch, old: torch.Tensor, entropy: torch.Tensor, numbers: Algorithm) -> Losses:
    """SRFT (Eq. 6, 7): w1 SFT + off + w2 pos + neg.

    w1 = sft_coef exp(-H) and w2 = positive_coef exp(H), without gradient; H is the mean token entropy of each
    sequence.  ``neg`` is the log-likelihood of the wrong rollouts, which has no lower bound.
    """
    sequence_entropy = mean_over_tokens(entropy.detach(), batch.mask)
    w1 = numbers.sft_coef * torch.exp(-sequence_entropy)
    w2 = numbers.positive_coef * torch.exp(sequence_entropy)
    sampled = 1 - batch.experts
    return {
        "sft": batch.experts * w1 * -batch.logprobs,
        "off": batch.experts * shaped_loss(batch.logprobs, batch.advantages, numbers.shaping),
        "pos": sampled * batch.rewards * w2 * -batch.logprobs,
        "neg": sampled * (1 - batch.rewards) * batch.logprobs,
    }


def upt(batch: TokenBatch, old: torch.Tensor, entropy: torch.Tensor, numbers: Algorithm) -> Losses:
    """UPT (Eq. 8, 9): imitation of the expert where the group failed, else GRPO; the gate is in the batch's rows."""
    on = policy(batch, old, entropy, numbers)["rl"]
    imitation = numbers.sft_coef * -batch.logprobs
    return {"sft": batch.experts * imitation, "rl": (1 - batch.experts) * on}


LOSSES: dict[str, Callable[[TokenBatch, torch.Tensor, torch.Tensor, Algorithm], Losses]] = {
    "policy": policy,
    "luffy": luffy,
    "srft": srft,
    "upt": upt,
}


def components(
    batch: TokenBatch, old: torch.Tensor, entropy: torch.Tensor, numbers: Algorithm, max_tokens: int,
    importance_cap: float | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    """The terms of a micro-batch's loss by their name, with the entropy bonus; the loss is their sum.

    ``old``: log-probabilities before the step's first update; ``entropy``: of the policy at each token;
    ``importance_cap``: of ``importance_weights``, of which the bonus has none.
    """
    losses = LOSSES[numbers.loss](batch, old, entropy, numbers)
    if (weights := importance_weights(batch, old, importance_cap)) is not None:
        losses = {name: weights * values for name, values in losses.items()}
    if numbers.entropy_coef:
        losses["entropy"] = -numbers.entropy_coef * entropy
    totals = batch.totals
    found = {}
    for name, values in losses.items():
        how, n_tokens = numbers.aggregation, totals.tokens
        if name == "sft" and numbers.sft_aggregation == "expert_token_mean":
            how, n_tokens = "token_mean", max(totals.expert_tokens, 1)
        found[name] = aggregate(
            values, batch.mask, how, n_tokens=n_tokens, n_sequences=totals.sequences, max_tokens=max_tokens
        )
    return found


def mean_over_tokens(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The mean over each sequence's response tokens, (sequences, 1); 0 for an empty response."""
    return (values * mask).sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)


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

    - ``token_mean``: sum over tokens / n_tokens (Eq. 3; DAPO)
    - ``seq_mean_token_mean``: mean over sequences of each sequence's token mean (original GRPO)
    - ``seq_sum_const``: sum over tokens / max_tokens (the official code of GRPO, DAPO-d, LUFFY, SRFT and UPT)
    """
    if how == "token_mean":
        return (losses * mask).sum() / n_tokens
    if how == "seq_mean_token_mean":
        return mean_over_tokens(losses, mask).sum() / n_sequences
    if how == "seq_sum_const":
        return (losses * mask).sum() / max_tokens
    raise ValueError(f"aggregation is {how!r}; use token_mean, seq_mean_token_mean or seq_sum_const")


def token_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the next-token distribution in nats; ``logits`` (..., vocabulary)."""
    logprobs = torch.log_softmax(logits, dim=-1)
    return -(logprobs.exp() * logprobs).sum(dim=-1)
