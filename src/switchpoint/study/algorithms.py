"""What tells the RL algorithms apart: one table, algorithm x preset.

``paper`` is the text of the RETU paper (§6.1, Table 2, Appendix B), ``official`` its code.
``recommended`` is ours: the paper's, with the token mean taken over the whole update
batch and rollouts at temperature 1, so that the trained policy is the sampled one.

advantage_std     divide the group advantage by the group's standard deviation (Eq. 2)
clip_low, _high   clip range of the importance ratio (Eq. 3); inert with one update a step
dual_clip         upper bound c of the loss of tokens with negative advantage; none: off
entropy_coef      weight of the entropy bonus
aggregation       token_mean | seq_mean_token_mean | seq_sum_const
dynamic_sampling  resample until the batch holds only groups of mixed outcome (DAPO)
temperature       sampling temperature; the policy is softmax(logits / temperature)
extraction        how the reward finds the answer; ``official`` also rewards what resembles the gold
"""

SHARED = {
    "advantage_std": False,
    "clip_low": 0.2,
    "clip_high": 0.2,
    "dual_clip": None,
    "entropy_coef": 0.001,
    "aggregation": "token_mean",
    "dynamic_sampling": False,
    "temperature": 1.0,
    "top_p": 1.0,
    "extraction": "any",
}
DAPO_DC = SHARED | {
    "advantage_std": True,
    "clip_high": 0.28,
    "dual_clip": 10.0,
    "entropy_coef": 0.0,
    "dynamic_sampling": True,
}
# Without a clip range (the official code of the paradigm comparison removes it).
NO_CLIP = {"clip_low": None, "clip_high": None}

ALGORITHMS = {
    "grpo": {
        "recommended": SHARED,
        "paper": SHARED,
        "official": SHARED | NO_CLIP | {"aggregation": "seq_sum_const"},
    },
    "dapo_d": {
        "recommended": SHARED | {"dynamic_sampling": True},
        "paper": SHARED | {"dynamic_sampling": True},
        "official": SHARED | NO_CLIP | {"aggregation": "seq_sum_const", "dynamic_sampling": True},
    },
    "dapo_dc": {
        "recommended": DAPO_DC,
        "paper": DAPO_DC | {"dual_clip": None},
        "official": DAPO_DC
        | {"aggregation": "seq_mean_token_mean", "temperature": 0.7, "extraction": "official"},
    },
}


def preset(algorithm: str, name: str) -> dict:
    """The algorithm's numbers under one preset."""
    return ALGORITHMS[algorithm][name]
