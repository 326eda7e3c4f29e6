"""What tells the paradigms that sample apart: one table, algorithm x preset.

``paper`` is the text of the RETU paper (§6.1, Table 2, Appendix B), ``official`` its code.
``recommended`` is ours: the paper's, with the token mean taken over the whole update
batch and rollouts at temperature 1, so that the trained policy is the sampled one.

LUFFY, SRFT and UPT also train on the expert trajectories of the mix set.  Prefix-RFT is left out: neither the paper
nor a released code specifies it.

Deviations: the official code of UPT makes one or two updates of 512 sequences, as many as a step happens to have, and for
Qwen skips one whose gradient norm is above 80; under ``official`` it is always two here, and none is skipped.
"""

from typing import Annotated, Literal

from pydantic import Field

from switchpoint.study.quantities import Share, Unit
from switchpoint.study.strict import Strict

Rate = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Rate, Rate]


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
    top_p: Share = Field(1.0, description="Nucleus of the rollouts.")
    updates_per_step: Annotated[int, Unit("updates")] = Field(
        1, description="Optimizer updates on each step's batch."
    )
    generation_batch: int | None = Field(
        None, description="B_gen, the size of a dynamic-sampling round; none: twice the training batch."
    )
    generation_unit: Literal["prompts", "responses"] = Field("prompts", description="What B_gen counts.")
    betas: Betas = Field((0.9, 0.999), description="AdamW's decay rates.")
    extraction: Literal["any", "boxed_or_answer", "boxed", "official"] = Field(
        "any", description="How the reward finds the answer; `official` also rewards what resembles the gold."
    )
    experts: Literal["none", "in_group", "gated"] = Field(
        "none",
        description="Where expert trajectories come in: nowhere, as one of every group's G responses "
        "(LUFFY, SRFT), or instead of a group that fails (UPT).",
    )
    loss: Literal["policy", "luffy", "srft", "upt"] = Field(
        "policy", description="The loss of a token, a function of `objectives`."
    )
    sft_aggregation: Literal["as_the_rest", "expert_token_mean"] = Field(
        "as_the_rest", description="How the losses of imitated tokens become one number."
    )
    shaping: float = Field(
        0.1, description="gamma of an expert token's ratio, p / (p + gamma) (LUFFY, SRFT)."
    )
    sft_coef: float = Field(1.0, description="Weight of imitation: UPT's, and SRFT's before exp(-entropy).")
    positive_coef: float = Field(0.1, description="SRFT's weight of right rollouts before exp(entropy).")
    gate: Share = Field(
        0.0, description="gamma of UPT: groups of at most this mean reward are replaced (Eq. 9)."
    )

    @property
    def n_experts(self) -> int:
        """Expert trajectories in a group, N of Eq. 4: so many fewer are sampled."""
        return int(self.experts == "in_group")


# Ours.
GRPO = Algorithm()
DAPO_D = GRPO.model_copy(update={"dynamic_sampling": True})
DAPO_DC = DAPO_D.model_copy(
    update={"advantage_std": True, "clip_high": 0.28, "dual_clip": 10.0, "entropy_coef": 0.0}
)
# Batches of 128 prompts in updates of 64 (§6.1), and rounds of 128 responses where the text has them.
TWO_UPDATES = {"updates_per_step": 2}
ROUNDS_OF_RESPONSES = {"generation_batch": 128, "generation_unit": "responses"}
# The official code of the paradigm comparison removes the clip range.
NO_CLIP = {"clip_low": None, "clip_high": None, "aggregation": "seq_sum_const"}
OFFICIAL_DAPO_DC = {
    "aggregation": "seq_mean_token_mean",
    "temperature": 0.7,
    "extraction": "official",
    "generation_batch": 128,
}

# The synchronized paradigms, which aggregate over all tokens of a batch (Eq. 4) and clip nothing; UPT clips as GRPO.
LUFFY = GRPO.model_copy(update={"experts": "in_group", "loss": "luffy", "clip_low": None, "clip_high": None})
SRFT = LUFFY.model_copy(update={"loss": "srft", "sft_coef": 0.5})
UPT = GRPO.model_copy(update={"experts": "gated", "loss": "upt"})
OFFICIAL_SYNC = TWO_UPDATES | NO_CLIP

PRESETS = ("recommended", "paper", "official")
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "grpo": {
        "recommended": GRPO,
        "paper": GRPO.model_copy(update=TWO_UPDATES),
        "official": GRPO.model_copy(update=TWO_UPDATES | NO_CLIP),
    },
    "dapo_d": {
        "recommended": DAPO_D,
        "paper": DAPO_D.model_copy(update=TWO_UPDATES | ROUNDS_OF_RESPONSES),
        "official": DAPO_D.model_copy(update=TWO_UPDATES | ROUNDS_OF_RESPONSES | NO_CLIP),
    },
    "dapo_dc": {
        "recommended": DAPO_DC,
        "paper": DAPO_DC.model_copy(update={"dual_clip": None} | ROUNDS_OF_RESPONSES),
        "official": DAPO_DC.model_copy(update=OFFICIAL_DAPO_DC),
    },
    "luffy": {
        "recommended": LUFFY,
        "paper": LUFFY.model_copy(update=TWO_UPDATES),
        "official": LUFFY.model_copy(update=OFFICIAL_SYNC),
    },
    "srft": {
        "recommended": SRFT,
        "paper": SRFT.model_copy(update=TWO_UPDATES),
        "official": SRFT.model_copy(update=OFFICIAL_SYNC | {"sft_aggregation": "expert_token_mean"}),
    },
    "upt": {
        "recommended": UPT,
        "paper": UPT.model_copy(update=TWO_UPDATES),
        "official": UPT.model_copy(update=OFFICIAL_SYNC | {"sft_aggregation": "expert_token_mean"}),
    },
}


def numbers_of(algorithm: str, preset: str, batch_size: int, rollouts: int, **given) -> Algorithm:
    """The algorithm's numbers under a preset, B_gen in prompts; a value that is given and not None wins."""
    row = ALGORITHMS[algorithm][preset]
    generation_batch = row.generation_batch or 2 * batch_size
    if row.generation_unit == "responses":
        generation_batch = max(generation_batch // rollouts, 1)
    resolved = {"generation_batch": generation_batch, "generation_unit": "prompts"}
    chosen = {name: value for name, value in given.items() if value is not None}
    return row.model_copy(update=resolved | chosen)
