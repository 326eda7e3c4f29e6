"""Which rows an RL step trains on."""

import torch

from switchpoint.training.engine.batch import Sequence
from switchpoint.training.rl.advantages import group_advantages
from switchpoint.training.rl.dynamic_sampling import Group


def on_policy(groups: list[Group], advantage_std: bool) -> list[Sequence]:
    """The rollouts of the groups, in order, each with its group advantage."""
    rewards = torch.tensor([group.rewards for group in groups], dtype=torch.float32)
    advantages = iter(group_advantages(rewards, advantage_std).flatten().tolist())
    return [
        Sequence(
            group.prompt.token_ids,
            rollout.token_ids,
            advantage=next(advantages),
            sampling_logprobs=rollout.logprobs,
        )
        for group in groups
        for rollout in group.rollouts
    ]
