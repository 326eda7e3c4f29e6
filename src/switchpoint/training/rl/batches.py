"""Which rows an RL step trains on: rollouts, and expert trajectories beside them or instead of them."""

import torch

from switchpoint.study.algorithms import Algorithm
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.rl.advantages import group_advantages
from switchpoint.training.rl.dynamic_sampling import Group


def rows(groups: list[Group], numbers: Algorithm) -> list[Sequence]:
    """The sequences of the groups that an algorithm trains on, group by group."""
    if numbers.experts == "in_group":
        return with_expert(groups, numbers.advantage_std)
    if numbers.experts == "gated":
        return gated(groups, numbers)
    return on_policy(groups, numbers.advantage_std)


def without_truncated(sequences: list[Sequence]) -> list[Sequence]:
    """All but the rollouts that the length limit cut: no token of theirs is trained on, or counted.

    Their rewards stay in their groups' advantages (the overlong filtering of DAPO, arXiv:2503.14476, section 3.4).
    """
    return [one for one in sequences if not one.truncated]


def on_policy(groups: list[Group], advantage_std: bool) -> list[Sequence]:
    """The rollouts of the groups, in order, each with its group advantage."""
    rewards = torch.tensor([group.rewards for group in groups], dtype=torch.float32)
    advantages = group_advantages(rewards, advantage_std).tolist()
    return [one for group, row in zip(groups, advantages, strict=True) for one in sampled(group, row)]


def with_expert(groups: list[Group], advantage_std: bool) -> list[Sequence]:
    """The rollouts of each group and its expert's trajectory, all with their advantage in the union (Eq. 5)."""
    rewards = torch.tensor([[*group.rewards, group.expert_reward] for group in groups], dtype=torch.float32)
    advantages = group_advantages(rewards, advantage_std).tolist()
    result = []
    for group, (*row, last) in zip(groups, advantages, strict=True):
        result += [*sampled(group, row), expert(group, last)]
    return result


def gated(groups: list[Group], numbers: Algorithm) -> list[Sequence]:
    """The rollouts of each group whose mean reward is above the gate; of the others the expert's trajectory (Eq. 9)."""
    result = []
    for group in groups:
        failed = sum(group.rewards) <= numbers.gate * len(group.rewards) + 1e-9  # 0.3 of 10 are 3
        result += [expert(group)] if failed else on_policy([group], numbers.advantage_std)
    return result


def sampled(group: Group, advantages: list[float]) -> list[Sequence]:
    """The rollouts of a group with these advantages."""
    return [
        Sequence(
            group.prompt.token_ids,
            rollout.token_ids,
            advantage=advantage,
            reward=reward,
            truncated=rollout.truncated,
            sampling_logprobs=rollout.logprobs,
        )
        for rollout, reward, advantage in zip(group.rollouts, group.rewards, advantages, strict=True)
    ]


def expert(group: Group, advantage: float = 0.0) -> Sequence:
    """The expert's trajectory of a group's prompt."""
    return Sequence(
        group.prompt.token_ids,
        group.prompt.expert,
        advantage=advantage,
        reward=group.expert_reward,
        expert=True,
    )
