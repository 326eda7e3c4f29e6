"""Losses, advantages and dynamic sampling against loops in float64."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.study.algorithms import ALGORITHMS, Algorithm
from switchpoint.training.rl import objectives
from switchpoint.training.rl.advantages import group_advantages
from switchpoint.training.rl.dynamic_sampling import Group, UnfilledBatchError, fill_batch

RATIOS = [[0.5, 1.1, 1.25], [1.5, 0.9, 1.0], [0.7, 2.0, 1.3], [1.05, 15.0, 0.2]]
LENGTHS = [3, 2, 1, 3]


def loop_advantages(rewards: list[float], divide: bool) -> list[float]:
    """Eq. 2 with the unbiased standard deviation plus 1e-6."""
    mean = sum(rewards) / len(rewards)
    if not divide or len(rewards) == 1:
        return [reward - mean for reward in rewards]
    spread = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1))
    return [(reward - mean) / (spread + 1e-6) for reward in rewards]


def loop_loss(numbers: Algorithm, rewards: list[float], max_tokens: int = 10) -> float:
    """Eq. 3 token by token, with the clip, the dual clip and the aggregation of the table."""
    sequences = []
    for ratios, length, advantage in zip(
        RATIOS, LENGTHS, loop_advantages(rewards, numbers.advantage_std), strict=True
    ):
        losses = []
        for ratio in ratios[:length]:
            value = ratio * advantage
            if numbers.clip_low is not None:
                clipped = min(max(ratio, 1 - numbers.clip_low), 1 + numbers.clip_high)
                value = min(value, clipped * advantage)
            if numbers.dual_clip is not None and advantage < 0:
                value = max(value, numbers.dual_clip * advantage)
            losses.append(-value)
        sequences.append(losses)
    if numbers.aggregation == "token_mean":
        return sum(map(sum, sequences)) / sum(LENGTHS)
    if numbers.aggregation == "seq_mean_token_mean":
        return sum(sum(losses) / len(losses) for losses in sequences) / len(sequences)
    return sum(map(sum, sequences)) / max_tokens


def tensor_loss(
    numbers: Algorithm, rewards: list[float], logprobs: torch.Tensor, padding: float = 99.0
) -> torch.Tensor:
    """The same through the library; tokens behind each length hold garbage."""
    mask = torch.tensor([[float(t < length) for t in range(3)] for length in LENGTHS], dtype=torch.float64)
    old = logprobs.detach() - torch.tensor(RATIOS, dtype=torch.float64).log()
    old = torch.where(mask.bool(), old, torch.full_like(old, padding))
    advantages = group_advantages(
        torch.tensor([rewards], dtype=torch.float64), numbers.advantage_std
    ).reshape(-1, 1)
    losses = objectives.policy_loss(
        logprobs, old, advantages,
        clip_low=numbers.clip_low, clip_high=numbers.clip_high, dual_clip=numbers.dual_clip,
    )  # fmt: skip
    return objectives.aggregate(
        losses, mask, numbers.aggregation, n_tokens=sum(LENGTHS), n_sequences=4, max_tokens=10
    )


CASES = [(name, which) for name, table in ALGORITHMS.items() for which in table]
REWARDS = {
    "all right": [1, 1, 1, 1],
    "all wrong": [0, 0, 0, 0],
    "mixed": [1, 0, 0, 1],
    "one right": [0, 0, 0, 1],
}


@pytest.mark.parametrize(("algorithm", "which"), CASES)
@pytest.mark.parametrize("rewards", REWARDS.values(), ids=REWARDS)
def test_policy_losses_equal_loops(algorithm, which, rewards):
    numbers = ALGORITHMS[algorithm][which]
    logprobs = -torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = loop_loss(numbers, rewards)
    for padding in (99.0, -99.0):
        assert tensor_loss(numbers, rewards, logprobs, padding).item() == pytest.approx(expected, abs=1e-12)
    assert (expected == 0) == (len(set(rewards)) == 1)


def test_the_asymmetric_clip_by_hand():
    """A = 1: ratio 1.25 stays within 1.28 but not within 1.2; A = -1: ratio 0.5 is clipped at 0.8."""

    def one(ratio, advantage, high, dual=None):
        loss = objectives.policy_loss(
            torch.tensor([[math.log(ratio)]]), torch.zeros(1, 1), torch.tensor([[advantage]]),
            clip_low=0.2, clip_high=high, dual_clip=dual,
        )  # fmt: skip
        return pytest.approx(loss.item(), abs=1e-6)

    assert one(1.25, 1.0, 0.28) == -1.25
    assert one(1.25, 1.0, 0.2) == -1.2
    assert one(0.5, -1.0, 0.28) == 0.8
    assert one(15.0, -1.0, 0.28) == 15.0
    assert one(15.0, -1.0, 0.28, dual=10.0) == 10.0


@pytest.mark.parametrize(("algorithm", "which"), CASES)
def test_policy_gradients_equal_finite_differences(algorithm, which):
    numbers, rewards = ALGORITHMS[algorithm][which], [1, 0, 0, 1]
    logits = torch.randn(4, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    chosen = torch.randint(5, (4, 3), generator=torch.Generator().manual_seed(2))
    anchor = torch.log_softmax(logits, -1).gather(-1, chosen[..., None]).squeeze(-1)
    old = anchor - torch.tensor(RATIOS, dtype=torch.float64).log()
    mask = torch.tensor([[float(t < length) for t in range(3)] for length in LENGTHS], dtype=torch.float64)
    advantages = group_advantages(
        torch.tensor([rewards], dtype=torch.float64), numbers.advantage_std
    ).reshape(-1, 1)

    def loss(values):
        logprobs = torch.log_softmax(values, -1).gather(-1, chosen[..., None]).squeeze(-1)
        losses = objectives.policy_loss(
            logprobs, old, advantages,
            clip_low=numbers.clip_low, clip_high=numbers.clip_high, dual_clip=numbers.dual_clip,
        )  # fmt: skip
        losses = losses - numbers.entropy_coef * objectives.token_entropy(values)
        return objectives.aggregate(
            losses, mask, numbers.aggregation, n_tokens=9, n_sequences=4, max_tokens=10
        )

    # Away from the kinks the analytic gradient is the finite difference.
    assert torch.autograd.gradcheck(loss, logits.requires_grad_(), eps=1e-7, atol=1e-6)


def test_sft_loss_is_the_token_mean_and_adds_up_over_micro_batches():
    logprobs = -torch.rand(3, 4, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=torch.float64)
    expected = -sum(logprobs[i, t].item() for i in range(3) for t in range(4) if mask[i, t]) / 7
    whole = objectives.sft_loss(logprobs, mask, 7)
    parts = sum(objectives.sft_loss(logprobs[i : i + 1], mask[i : i + 1], 7) for i in range(3))
    assert whole.item() == pytest.approx(expected, abs=1e-12)
    assert parts.item() == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(lambda x: objectives.sft_loss(x, mask, 7), logprobs.requires_grad_())


def test_the_official_sum_is_not_divided_by_the_number_of_sequences():
    """The official code of GRPO and DAPO-d: the sum over tokens by the longest response alone."""
    losses, mask = torch.ones(4, 3), torch.tensor([[1.0, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]])
    for algorithm in ("grpo", "dapo_d"):
        how = ALGORITHMS[algorithm]["official"].aggregation
        found = objectives.aggregate(losses, mask, how, n_tokens=9, n_sequences=4, max_tokens=10)
        assert found.item() == pytest.approx(0.9)


def test_the_clip_fraction_counts_the_tokens_whose_gradient_is_cut_off():
    ratios = torch.tensor([[1.3, 1.25, 0.7, 1.0], [1.3, 0.7, 0.81, 0.79]])
    old = torch.zeros(2, 4)
    advantages = torch.tensor([[1.0], [-1.0]])
    found = objectives.clipped_tokens(ratios.log(), old, advantages, 0.2, 0.28)
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 1]]
    assert objectives.clipped_tokens(ratios.log(), old, advantages, None, None).sum() == 0
    logprobs = ratios.log().requires_grad_()
    objectives.policy_loss(
        logprobs, old, advantages, clip_low=0.2, clip_high=0.28, dual_clip=None
    ).sum().backward()
    assert torch.equal(logprobs.grad == 0, found.bool())


def test_an_unknown_aggregation_is_refused():
    with pytest.raises(ValueError, match="aggregation is 'mean'"):
        objectives.aggregate(
            torch.zeros(1, 1), torch.ones(1, 1), "mean", n_tokens=1, n_sequences=1, max_tokens=1
        )


@given(st.lists(st.integers(0, 1), min_size=1, max_size=16), st.booleans())
def test_advantages_equal_the_loop(rewards, divide):
    found = group_advantages(torch.tensor([rewards], dtype=torch.float64), divide)[0].tolist()
    assert found == pytest.approx(loop_advantages(rewards, divide), abs=1e-9)
    assert sum(found) == pytest.approx(0, abs=1e-6)
    if len(set(rewards)) == 1:
        assert found == [0.0] * len(rewards)


def test_advantages_by_hand():
    found = group_advantages(torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64), True)[0].tolist()
    assert found == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-5)  # mean 1/4, unbiased std 1/2
    assert group_advantages(torch.tensor([[1.0]]), True).item() == 0.0


def stream(outcomes: list[list[int]]):
    """A prompt stream with these rewards, and the calls made to it."""
    calls = []

    def generate(first, count):
        calls.append((first, count))
        return [Group({"id": i}, [], outcomes[i % len(outcomes)]) for i in range(first, first + count)]

    return generate, calls


FILL = {
    "batch_size": 2,
    "generation_batch": 3,
    "max_rounds": 2,
    "filtered": True,
    "on_unfilled": "train_partial",
}


def test_dynamic_sampling_keeps_mixed_groups_in_order_and_drops_the_surplus():
    generate, calls = stream([[1, 1], [1, 0], [0, 0], [0, 1], [1, 0]])
    batch = fill_batch(generate, 5, **FILL)
    assert calls == [(5, 3), (8, 3)]
    assert [group.prompt["id"] for group in batch.groups] == [6, 8]
    assert (batch.rounds, batch.cursor) == (2, 11)
    assert batch.counts == {"all_right": 2, "all_wrong": 1, "mixed": 3}


def test_an_unfilled_batch_is_trained_on_skipped_or_refused():
    outcomes = [[1, 1]] * 5 + [[1, 0]]
    assert len(fill_batch(stream(outcomes)[0], 0, **FILL).groups) == 1
    assert fill_batch(stream(outcomes)[0], 0, **FILL | {"on_unfilled": "skip"}).groups == []
    with pytest.raises(UnfilledBatchError, match="2 rounds of 3 prompts gave 1"):
        fill_batch(stream(outcomes)[0], 0, **FILL | {"on_unfilled": "fail"})


def test_grpo_takes_one_round_as_it_is():
    generate, calls = stream([[1, 1], [0, 0]])
    batch = fill_batch(generate, 4, **FILL | {"filtered": False})
    assert calls == [(4, 2)]
    assert len(batch.groups) == 2
    assert batch.cursor == 6


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=4), min_size=1, max_size=9),
    st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 20),
)  # fmt: skip
def test_dynamic_sampling_equals_a_simple_loop(outcomes, size, generation, rounds, cursor):
    settings = FILL | {"batch_size": size, "generation_batch": generation, "max_rounds": rounds}
    batch = fill_batch(stream(outcomes)[0], cursor, **settings)
    kept, position, used = [], cursor, 0
    while used < rounds and len(kept) < size:
        for index in range(position, position + generation):
            if 0 < sum(outcomes[index % len(outcomes)]) < len(outcomes[index % len(outcomes)]):
                kept.append(index)
        position, used = position + generation, used + 1
    assert [group.prompt["id"] for group in batch.groups] == kept[:size]
    assert (batch.cursor, batch.rounds) == (position, used)


def test_surplus_groups_are_the_first_of_the_next_step():
    """Batches of 2 from rounds of 4, of which all are mixed: every other step generates nothing."""
    generate, calls = stream([[1, 0]])
    settings = FILL | {"generation_batch": 4, "carry_over": True}
    first = fill_batch(generate, 0, **settings)
    second = fill_batch(generate, first.cursor, **settings, carried=first.surplus)
    third = fill_batch(generate, second.cursor, **settings, carried=second.surplus)
    batches = first, second, third
    assert [[group.prompt["id"] for group in one.groups] for one in batches] == [[0, 1], [2, 3], [4, 5]]
    assert calls == [(0, 4), (4, 4)]
    assert [(one.rounds, one.n_carried, len(one.surplus)) for one in batches] == [
        (1, 0, 2),
        (0, 2, 0),
        (1, 0, 2),
    ]
    assert [len(one.generated) for one in batches] == [4, 0, 4]  # what is carried over is charged once
    assert fill_batch(generate, 8, **FILL | {"generation_batch": 4}).surplus == []


def test_an_unfilled_batch_with_groups_carried_over():
    generate, _ = stream([[1, 1]] * 5 + [[1, 0]])
    carried = [Group({"id": -1}, [], [0, 1])]
    settings = FILL | {"batch_size": 3, "carry_over": True, "carried": carried}
    skipped = fill_batch(generate, 0, **settings | {"on_unfilled": "skip"})
    assert skipped.groups == []
    assert (skipped.n_carried, [group.prompt["id"] for group in skipped.surplus]) == (0, [-1, 5])
    partial = fill_batch(generate, 0, **settings)
    assert (len(partial.groups), partial.n_carried, partial.surplus) == (2, 1, [])
    with pytest.raises(
        UnfilledBatchError, match=r"2 rounds of 3 prompts gave 1 groups .* the batch needs 2;"
    ):
        fill_batch(generate, 0, **settings | {"on_unfilled": "fail"})


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=4), min_size=1, max_size=9),
    st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), st.sampled_from(["train_partial", "skip"]),
)  # fmt: skip
def test_with_carry_over_nothing_is_generated_or_trained_on_twice_or_lost(
    outcomes, size, generation, rounds, unfilled
):
    generate, calls = stream(outcomes)
    settings = FILL | {"batch_size": size, "generation_batch": generation, "max_rounds": rounds}
    cursor, carried, trained, generated = 0, [], [], []
    for _ in range(6):
        before = len(carried)
        batch = fill_batch(
            generate, cursor, **settings | {"on_unfilled": unfilled}, carried=carried, carry_over=True
        )
        cursor, carried = batch.cursor, batch.surplus
        trained += batch.groups
        generated += batch.generated
        assert batch.n_carried == (min(before, len(batch.groups)))
        assert len(batch.groups) <= size
        assert batch.rounds <= rounds
        assert batch.rounds == 0 or before < size
    assert calls == [(first, generation) for first in range(0, cursor, generation)]
    assert [group.prompt["id"] for group in generated] == list(range(cursor))
    mixed = [group.prompt["id"] for group in generated if group.mixed]
    assert [group.prompt["id"] for group in trained + carried] == mixed  # each once, in order
