"""Group advantages."""

import torch

EPSILON = 1e-6  # keeps a zero-variance group finite; its advantages are 0


def group_advantages(rewards: torch.Tensor, divide_by_std: bool) -> torch.Tensor:
    """A_i = (R_i - mean) / std over each group (RETU Eq. 2), or R_i - mean.

    ``rewards``: float, shape (groups, G).  The standard deviation is the unbiased one
    (divisor G - 1), as in the official code, plus 1e-6; a group of one response has
    advantage 0 (its mean is itself), and so has a group of equal rewards.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if not divide_by_std or rewards.shape[1] == 1:
        return centred
    return centred / (rewards.std(dim=1, keepdim=True) + EPSILON)
