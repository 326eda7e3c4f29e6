"""Dynamic sampling (DAPO): fill the batch with groups of mixed outcome.

Deviations: a batch that ``max_rounds`` rounds do not fill is trained on as it is, skipped
or refused, as the caller chooses, where the official code always stops the run.

Surplus groups may be carried over to the next step, where the official code drops them.  An
older policy sampled them.  Their old log-probabilities are computed again in the step that
trains on them, as those of all groups are, so that the ratio starts from the current policy
and not from the one that sampled; ``rl.importance_cap`` weighs the difference of the two.
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

    @classmethod
    def read(cls, saved: dict) -> "Group":
        """The group that ``dataclasses.asdict`` took apart."""
        rollouts = [Rollout(**one) for one in saved["rollouts"]]
        return cls(**saved | {"prompt": Question(**saved["prompt"]), "rollouts": rollouts})


@dataclasses.dataclass
class Batch:
    """The groups to train on, and what was generated to get them."""

    groups: list[Group]
    generated: list[Group]
    rounds: int  # K of Eq. 22; 0 where the groups carried over fill the batch
    cursor: int  # prompts taken from the stream so far
    n_carried: int = 0  # how many of the groups, the first, were generated in an earlier step
    surplus: list[Group] = dataclasses.field(default_factory=list)  # to be carried over

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
    carried: Sequence[Group] = (),
    carry_over: bool = False,
) -> Batch:
    """Generates rounds of prompts until ``batch_size`` groups of mixed outcome are there.

    ``generate(first, count)`` answers prompts ``first .. first + count - 1`` of the
    endless prompt stream.  Without ``filtered`` (GRPO) one round of ``batch_size`` prompts
    is the batch, whatever its outcomes.  The groups ``carried`` over from the step before are taken
    first.  Groups of mixed outcome that are not taken are the ``surplus`` if ``carry_over``, else
    dropped, in order.

    Raises UnfilledBatchError when ``on_unfilled`` is ``fail``; ``skip`` takes no groups.
    """
    if not filtered:
        groups = list(generate(cursor, batch_size))
        return Batch(groups, groups, rounds=1, cursor=cursor + batch_size)
    kept = list(carried)
    generated: list[Group] = []
    rounds = 0
    while len(kept) < batch_size and rounds < max_rounds:
        groups = generate(cursor, generation_batch)
        cursor, rounds = cursor + generation_batch, rounds + 1
        generated += groups
        kept += [group for group in groups if group.mixed]
    if len(kept) < batch_size and on_unfilled == "fail":
        raise UnfilledBatchError(
            f"{rounds} rounds of {generation_batch} prompts gave {len(kept) - len(carried)} groups of mixed "
            f"outcome, the batch needs {batch_size - len(carried)}; raise rl.max_rounds, widen the prompts' win rates, "
            "or set rl.on_unfilled to train_partial"
        )
    taken = kept[:batch_size]
    if len(kept) < batch_size and on_unfilled == "skip":
        taken = []
    surplus = kept[len(taken) :] if carry_over else []
    return Batch(taken, generated, rounds, cursor, min(len(carried), len(taken)), surplus)
