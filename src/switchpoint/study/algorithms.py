"""What tells the RL algorithms apart: one table, algorithm x preset.

``paper`` is the text of the RETU paper (§6.1, Table 2, Appendix B), ``official`` its code.
``recommended`` is ours: the paper's, with the token mean taken over the whole update
batch and rollouts at temperature 1, so that the trained policy is the sampled one.
"""

from typing import Literal

from pydantic import Field

from switchpoint.study.strict import Strict


class Algorithm(Strict):
    """One row of the table: the numbers of an RL algorithm under a preset."""

    advantage_std: bool = Field(
        False, description="Divide the group advantage by the group's standard deviation (Eq. 2)."
    )
    clip_low: float | None = Field(0.2, description="Clip range below 1 of the importance ratio (Eq. 3).")
    clip_high: float | None = Field(0.2, description="Clip range above 1; inert with one update a step.")
    dual_clip: float | None = Field(
        None, description="Upper bound c of the loss of tokens with negative advantage; none: off."
    )
    entropy_coef: float = Field(0.001, description="Weight of the entropy bonus.")
    aggregation: Literal["token_mean", "seq_mean_token_mean", "seq_sum_const"] = Field(
        "token_mean", description="How token losses become one number."
    )
    dynamic_sampling: bool = Field(
        False, description="Resample until the batch holds only groups of mixed outcome (DAPO)."
    )
    temperature: float = Field(
        1.0, description="Sampling temperature; the policy is softmax(logits / temperature)."
    )
    top_p: float = Field(1.0, description="Nucleus of the rollouts.")
    extraction: Literal["any", "boxed_or_answer", "boxed", "official"] = Field(
        "any", description="How the reward finds the answer; `official` also rewards what resembles the gold."
    )


GRPO = Algorithm()
DAPO_D = GRPO.model_copy(update={"dynamic_sampling": True})
DAPO_DC = DAPO_D.model_copy(
    update={"advantage_std": True, "clip_high": 0.28, "dual_clip": 10.0, "entropy_coef": 0.0}
)
# The official code of the paradigm comparison removes the clip range.
OFFICIAL = {"clip_low": None, "clip_high": None, "aggregation": "seq_sum_const"}
OFFICIAL_DAPO_DC = {"aggregation": "seq_mean_token_mean", "temperature": 0.7, "extraction": "official"}

PRESETS = ("recommended", "paper", "official")
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "grpo": {"recommended": GRPO, "paper": GRPO, "official": GRPO.model_copy(update=OFFICIAL)},
    "dapo_d": {"recommended": DAPO_D, "paper": DAPO_D, "official": DAPO_D.model_copy(update=OFFICIAL)},
    "dapo_dc": {
        "recommended": DAPO_DC,
        "paper": DAPO_DC.model_copy(update={"dual_clip": None}),
        "official": DAPO_DC.model_copy(update=OFFICIAL_DAPO_DC),
    },
}
