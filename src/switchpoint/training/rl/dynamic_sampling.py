"""Dynamic sampling (DAPO): fill the batch with groups of mixed outcome.

Deviations: a batch that ``max_rounds`` rounds do not fill is trained on as it is, skipped
or refused, as the caller chooses, where the official code always stops the run.
"""

import dataclasses
from collections.abc import Callable, Sequence

from switchpoint.errors import InputError
from switchpoint.training.rollouts.sampler import Rollout


@dataclasses.dataclass(frozen=True)
class Question:
    """An RL prompt: its gold answer, its rendered token ids and, in the mix set, the expert's trajectory."""

    id: str
    answer: str | list[str]
    token_ids: list[int]
    solution: str | None = None
    expert: list[int] = dataclasses.field(default_factory=list)  # the solution's tokens


@dataclasses.dataclass
class Group:
    """The G responses to one prompt, their rewards (0 or 1) and how their grading ended."""

    prompt: Question
    rollouts: list[Rollout]
    rewards: list[int]
    statuses: list[str] = dataclasses.field(default_factory=list)
    expert_reward: int = 0

    @property
    def mixed(self) -> bool:
        """Some right, some wrong: 1 .. G - 1 correct (whole numbers, never a float spread)."""
        return 0 < sum(self.rewards) < len(self.rewards)


@dataclasses.dataclass
class Batch:
    """The groups to train on, and what was generated to get them."""

    groups: list[Group]
    generated: list[Group]
    rounds: int  # K of Eq. 22
    cursor: int  # prompts taken from the stream so far

    @property
    def counts(self) -> dict[str, int]:
        """How many generated groups were all right, all wrong, mixed."""
        right = sum(all(group.rewards) for group in self.generated)
        wrong = sum(not any(group.rewards) for group in self.generated)
        return {"all_right": right, "all_wrong": wrong, "mixed": len(self.generated) - right - wrong}


class UnfilledBatchError(InputError):
    """The rounds did not fill the batch and the run says ``on_unfilled: fail``."""


def fill_batch(
    generate: Callable[[int, int], Sequence[Group]],
    cursor: int,
    *,
    batch_size: int,
    generation_batch: int,
    max_rounds: int,
    filtered: bool,
    on_unfilled: str,
) -> Batch:
    """Generates rounds of prompts until ``batch_size`` groups of mixed outcome are there.

    ``generate(first, count)`` answers prompts ``first .. first + count - 1`` of the
    endless prompt stream.  Without ``filtered`` (GRPO) one round of ``batch_size`` prompts
    is the batch, whatever its outcomes.  Surplus groups are dropped, in order.

    Raises UnfilledBatchError when ``on_unfilled`` is ``fail``; ``skip`` returns no groups.
    """
    if not filtered:
        groups = list(generate(cursor, batch_size))
        return Batch(groups, groups, rounds=1, cursor=cursor + batch_size)
    kept: list[Group] = []
    generated: list[Group] = []
    rounds = 0
    while len(kept) < batch_size and rounds < max_rounds:
        groups = generate(cursor, generation_batch)
        cursor, rounds = cursor + generation_batch, rounds + 1
        generated += groups
        kept += [group for group in groups if group.mixed]
    if len(kept) < batch_size and on_unfilled == "fail":
        raise UnfilledBatchError(
            f"{rounds} rounds of {generation_batch} prompts gave {len(kept)} groups of mixed outcome, "
            f"the batch needs {batch_size}; raise rl.max_rounds, widen the prompts' win rates, "
            "or set rl.on_unfilled to train_partial"
        )
    if len(kept) < batch_size and on_unfilled == "skip":
        kept = []
    return Batch(kept[:batch_size], generated, rounds, cursor)
