"""Values that several sections of a study have: names, counts, seeds; and the optimizer's."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from switchpoint.study.algorithms import Betas
from switchpoint.study.quantities import Sequences, Steps
from switchpoint.study.strict import Strict, shown


def distinct(values: list) -> list:
    """The values; refuses any that is there twice."""
    if len(set(values)) < len(values):
        raise ValueError(f"{shown(values)} repeats a value; list each once")
    return values


Extraction = Annotated[
    Literal["any", "boxed_or_answer", "boxed"],
    Field(description="Where the answer is looked for: the last box, the answer block, the whole text."),
]
NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)]
SavedSteps = Annotated[list[Steps], AfterValidator(distinct)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]


class Optimizer(Strict):
    """AdamW, shared by SFT and RL."""

    learning_rate: float = Field(gt=0, description="Peak learning rate.")
    betas: Betas = Field((0.9, 0.95), description="AdamW's decay rates (RETU: SFT's).")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    microbatch_size: Sequences = Field(64, description="Sequences per forward and backward pass.")
    gradient_checkpointing: bool = Field(
        False,
        description="Compute activations again in the backward pass: less memory, more time, the same result.",
    )
