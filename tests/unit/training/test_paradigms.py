"""LUFFY, SRFT and UPT against loops in float64 that are written from the papers' equations."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.study.algorithms import ALGORITHMS, Algorithm
from switchpoint.training.engine.batch import Sequence, TokenBatch, Totals, collate
from switchpoint.training.rl import batches, objectives
from switchpoint.training.rl.dynamic_sampling import Group, Question
from switchpoint.training.rollouts.sampler import Rollout

SYNCHRONIZED = [(name, preset) for name in ("luffy", "srft", "upt") for preset in ALGORITHMS[name]]
MAX_TOKENS = 10
VOCABULARY = 5


@dataclasses.dataclass
class Row:
    """A response of the hand-made batch: what an objective may know of it."""

    length: int
    advantage: float
    reward: int
    expert: bool


# An expert and rollouts, right and wrong, of one token, of none, and of three.
ROWS = [
    Row(3, 0.5, 1, True),
    Row(3, 0.5, 1, False),
    Row(1, -0.5, 0, False),
    Row(0, -0.5, 0, False),
    Row(2, 0.0, 1, True),
]
BATCHES = {
    "mixed": ROWS,
    "all right": [dataclasses.replace(row, reward=1, advantage=0.0) for row in ROWS],
    "all wrong but the expert": [
        dataclasses.replace(row, reward=int(row.expert), advantage=0.75 if row.expert else -0.25)
        for row in ROWS
    ],
    "no expert": [dataclasses.replace(row, expert=False) for row in ROWS],
    "experts alone": [dataclasses.replace(row, expert=True) for row in ROWS if row.length],
    "one token": [Row(1, 0.5, 1, True)],
    "empty": [Row(0, -0.5, 0, False), Row(1, 0.5, 1, True)],
}


def logits_of(rows: list[Row], seed: int = 0) -> torch.Tensor:
    """Logits (response tokens, vocabulary), sequence by sequence."""
    count = sum(row.length for row in rows)
    return torch.randn(count, VOCABULARY, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tokens_of(rows: list[Row]) -> list[int]:
    """The token that was written at each place."""
    return [(3 * place + 1) % VOCABULARY for place in range(sum(row.length for row in rows))]


def old_of(logprobs: list[float]) -> list[float]:
    """Log-probabilities before the update: ratios of 0.5 to 1.5, in turn."""
    return [value - math.log([0.5, 1.1, 1.5, 0.9][place % 4]) for place, value in enumerate(logprobs)]


def sampling_of(old: list[float]) -> list[float]:
    """What a sampler drew at that gives the tokens weights of 0.25, 3, 1 and 1.7, in turn."""
    return [value - math.log([0.25, 3.0, 1.0, 1.7][place % 4]) for place, value in enumerate(old)]


def by_loops(
    rows: list[Row], logits: list[list[float]], numbers: Algorithm, cap: float | None = None
) -> float:
    """The loss token by token."""
    place, tokens, chosen = 0, tokens_of(rows), []
    for scores, token in zip(logits, tokens, strict=True):
        chosen.append(scores[token] - math.log(sum(map(math.exp, scores))))
    old = old_of(chosen)
    terms = {"sft": [], "other": []}  # of each sequence its tokens' losses
    for row in rows:
        entropies = []
        for scores in logits[place : place + row.length]:
            total = sum(map(math.exp, scores))
            entropies.append(-sum(math.exp(s) / total * (s - math.log(total)) for s in scores))
        mean_entropy = sum(entropies) / len(entropies) if entropies else 0.0
        imitated, others = [], []
        for offset in range(row.length):
            logprob = chosen[place + offset]
            probability, ratio = math.exp(logprob), math.exp(logprob - old[place + offset])
            shaped = probability / (probability + 0.1)
            surrogate = -ratio * row.advantage
            if numbers.clip_low is not None:
                clipped = min(max(ratio, 1 - numbers.clip_low), 1 + numbers.clip_high)
                surrogate = max(surrogate, -clipped * row.advantage)
            imitation, other = 0.0, 0.0
            if numbers.loss == "luffy":
                other = -row.advantage * shaped if row.expert else surrogate
            elif numbers.loss == "srft" and row.expert:
                imitation = 0.5 * math.exp(-mean_entropy) * -logprob
                other = -row.advantage * shaped
            elif numbers.loss == "srft":
                other = 0.1 * math.exp(mean_entropy) * -logprob if row.reward else logprob
            elif row.expert:
                imitation = -logprob
            else:
                other = surrogate
            weight = 1.0
            if cap is not None and not row.expert:
                weight = min(math.exp(old[place + offset] - sampling_of(old)[place + offset]), cap)
            imitated.append(weight * imitation)
            others.append(weight * other - 0.001 * entropies[offset])
        terms["sft"].append(imitated)
        terms["other"].append(others)
        place += row.length
    n_tokens, n_expert = place, sum(row.length for row in rows if row.expert)
    divisor = MAX_TOKENS if numbers.aggregation == "seq_sum_const" else n_tokens
    sft_divisor = n_expert if numbers.sft_aggregation == "expert_token_mean" else divisor
    imitated = sum(map(sum, terms["sft"]))
    return sum(map(sum, terms["other"])) / divisor + (imitated / sft_divisor if n_expert else 0.0)


def by_library(
    rows: list[Row], logits: torch.Tensor, numbers: Algorithm, old: list[float], padding: float = 0.0,
    cap: float | None = None,
):  # fmt: skip
    """The loss through the library, with garbage behind each response."""
    longest = max(row.length for row in rows)
    mask = torch.tensor(
        [[float(t < row.length) for t in range(longest)] for row in rows], dtype=torch.float64
    )

    def column(name: str) -> torch.Tensor:
        return torch.tensor([[float(getattr(row, name))] for row in rows], dtype=torch.float64)

    sequences = [Sequence([0], [0] * row.length, expert=row.expert) for row in rows]
    batch = TokenBatch(
        sequences,
        mask,
        column("advantage"),
        column("reward"),
        column("expert"),
        None,
        None,
        Totals.of(sequences),
    )
    chosen = torch.log_softmax(logits, -1).gather(-1, torch.tensor(tokens_of(rows))[:, None]).squeeze(-1)
    outside = (1 - mask) * padding
    batch.logits, batch.logprobs = logits, batch.pad(chosen) + outside
    entropy = batch.pad(objectives.token_entropy(logits)) + outside
    before = batch.pad(torch.tensor(old, dtype=torch.float64)) + outside
    batch.sampling_logprobs = batch.pad(torch.tensor(sampling_of(old), dtype=torch.float64)) - outside
    return objectives.components(batch, before, entropy, numbers, MAX_TOKENS, cap)


def chosen_of(rows: list[Row], logits: torch.Tensor) -> list[float]:
    """Log-probabilities of the written tokens."""
    index = torch.tensor(tokens_of(rows))[:, None]
    return torch.log_softmax(logits, -1).gather(-1, index).squeeze(-1).tolist()


@pytest.mark.parametrize(("algorithm", "preset"), SYNCHRONIZED)
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("cap", [None, 2.0])
def test_losses_equal_loops(algorithm, preset, rows, cap):
    numbers, logits = ALGORITHMS[algorithm][preset], logits_of(rows)
    expected = by_loops(rows, logits.tolist(), numbers, cap)
    for padding in (0.0, -3.0, 2.0):
        terms = by_library(rows, logits, numbers, old_of(chosen_of(rows, logits)), padding, cap)
        assert sum(terms.values()).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("algorithm", "preset"), SYNCHRONIZED)
@pytest.mark.parametrize("rows", BATCHES.values(), ids=BATCHES)
def test_gradients_equal_finite_differences(algorithm, preset, rows):
    """The weights of SRFT have none: they are held fixed by weighing with those of the unchanged logits."""
    numbers, logits = ALGORITHMS[algorithm][preset], logits_of(rows, seed=3)
    old, fixed = old_of(chosen_of(rows, logits)), logits.clone()

    def loss(values):
        terms = by_library(rows, values, numbers, old)
        if algorithm != "srft":
            return sum(terms.values())
        return sum(weighed(rows, values, fixed, numbers).values()) + terms["off"] + terms["entropy"]

    assert torch.autograd.gradcheck(loss, logits.requires_grad_(), eps=1e-7, atol=1e-6)
    if algorithm == "srft":
        analytic = torch.autograd.grad(sum(by_library(rows, logits, numbers, old).values()), logits)[0]
        assert torch.allclose(analytic, torch.autograd.grad(loss(logits), logits)[0], atol=1e-12)


def importance_batch(expert: bool = False) -> tuple[TokenBatch, torch.Tensor]:
    """One response of four tokens of weights 0.25, 3, 1 and 1.7 before the cap, and its old log-probabilities."""
    logprobs = torch.tensor([[-1.0, -2.0, -0.5, -3.0]], dtype=torch.float64, requires_grad=True)
    one = Sequence([0], [1, 2, 3, 4], advantage=1.0, expert=expert)
    batch = collate([one], torch.device("cpu"), Totals.of([one]))
    batch.logprobs = logprobs
    batch.sampling_logprobs = torch.tensor([sampling_of(logprobs[0].tolist())], dtype=torch.float64)
    return batch, logprobs


def test_importance_weights_by_hand():
    """Of ratio 1 and advantage 1: the loss of a token is its weight, and so is its gradient, as without a cap."""
    numbers = ALGORITHMS["grpo"]["recommended"].model_copy(update={"entropy_coef": 0.5})
    entropy = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    for cap, expert, weights in (
        (None, False, [1, 1, 1, 1]),
        (2.0, False, [0.25, 2, 1, 1.7]),
        (1.0, False, [0.25, 1, 1, 1]),
        (2.0, True, [1, 1, 1, 1]),
    ):
        batch, logprobs = importance_batch(expert)
        # The old log-probabilities are given with their graph; no gradient may take it.
        found = objectives.importance_weights(batch, logprobs, cap)
        assert found is None if cap is None else found.tolist() == [pytest.approx(weights)]
        terms = objectives.components(batch, logprobs.detach(), entropy, numbers, MAX_TOKENS, cap)
        assert terms["rl"].item() == pytest.approx(-sum(weights) / 4)
        assert terms["entropy"].item() == pytest.approx(-0.5 * 10 / 4)  # of no weight
        terms["rl"].backward()
        assert logprobs.grad.tolist() == [pytest.approx([-weight / 4 for weight in weights])]
        assert found is None or not found.requires_grad


@pytest.mark.parametrize("algorithm", ["grpo", "dapo_dc", "luffy", "upt"])
def test_weighted_gradients_equal_finite_differences(algorithm):
    numbers, logits = ALGORITHMS[algorithm]["recommended"], logits_of(ROWS, seed=4)
    old = old_of(chosen_of(ROWS, logits))

    def loss(values, cap=2.0):
        return sum(by_library(ROWS, values, numbers, old, cap=cap).values())

    assert torch.autograd.gradcheck(loss, logits.requires_grad_(), eps=1e-7, atol=1e-6)
    assert loss(logits) != loss(logits, cap=None)


def test_a_batch_of_experts_alone_has_no_importance_weights():
    batch, logprobs = importance_batch(expert=True)
    batch.sampling_logprobs = None
    assert objectives.importance_weights(batch, logprobs, 2.0) is None


def weighed(rows: list[Row], values: torch.Tensor, fixed: torch.Tensor, numbers: Algorithm) -> dict:
    """SRFT's weighed log-likelihoods, the weights those of other, fixed logits."""
    places, tokens, terms, place = [], tokens_of(rows), {"sft": 0.0, "rest": 0.0}, 0
    for row in rows:
        places = list(range(place, place + row.length))
        place += row.length
        if not places:
            continue
        entropy = objectives.token_entropy(fixed[places]).mean()
        likelihood = (
            torch.log_softmax(values[places], -1)
            .gather(-1, torch.tensor([[tokens[p]] for p in places]))
            .sum()
        )
        if row.expert:
            terms["sft"] = terms["sft"] - 0.5 * torch.exp(-entropy) * likelihood
        else:
            terms["rest"] = terms["rest"] + (-0.1 * torch.exp(entropy) if row.reward else 1.0) * likelihood
    divisor = MAX_TOKENS if numbers.aggregation == "seq_sum_const" else place
    experts = sum(row.length for row in rows if row.expert)
    own = numbers.sft_aggregation == "expert_token_mean"
    return {"sft": terms["sft"] / (max(experts, 1) if own else divisor), "rest": terms["rest"] / divisor}


def test_luffy_by_hand():
    """One expert token of probability 0.5 and advantage 0.5, one rollout's token of ratio 2 and advantage -0.5."""
    rows = [Row(1, 0.5, 1, True), Row(1, -0.5, 0, False)]
    logits = torch.zeros(2, VOCABULARY, dtype=torch.float64)
    logits[0, tokens_of(rows)[0]] = math.log(4)  # 4 of 8
    numbers = ALGORITHMS["luffy"]["recommended"].model_copy(update={"entropy_coef": 0.0})
    old = [0.0, math.log(0.2) - math.log(2)]
    terms = by_library(rows, logits, numbers, old)
    assert terms["off"].item() == pytest.approx(-0.5 * 0.5 / 0.6 / 2)
    assert terms["rl"].item() == pytest.approx(0.5 * 2 / 2)


def group(rewards: list[int], expert_reward: int = 1) -> Group:
    """A group of rollouts of one token each."""
    rollouts = [Rollout([place], [-1.0], truncated=False) for place in range(len(rewards))]
    return Group(
        Question("a", "1", [7], "a solution", [8, 9]), rollouts, rewards, expert_reward=expert_reward
    )


def test_the_expert_is_one_of_the_group():
    """All rollouts wrong: the expert gets (G - 1) / G, each rollout -1 / G; all right: nothing (Eq. 5)."""
    numbers = ALGORITHMS["luffy"]["paper"]
    rows = batches.rows([group([0] * 7), group([1] * 7), group([0] * 7, expert_reward=0)], numbers)
    assert [one.expert for one in rows] == ([False] * 7 + [True]) * 3
    assert [one.advantage for one in rows[:8]] == [-0.125] * 7 + [0.875]
    assert {one.advantage for one in rows[8:]} == {0.0}
    assert rows[7].response == [8, 9]
    assert rows[7].sampling_logprobs is None


@pytest.mark.parametrize(("gate", "replaced"), [(0.0, 1), (0.25, 3), (1.0, 5)])
def test_the_gate_replaces_groups_that_fail(gate, replaced):
    """Eq. 9: mean reward at most gamma; 2 of 8 are at 0.25."""
    groups = [group([1] * count + [0] * (8 - count)) for count in (0, 1, 2, 3, 8)]
    rows = batches.rows(groups, ALGORITHMS["upt"]["paper"].model_copy(update={"gate": gate}))
    assert [one.expert for one in rows].count(True) == replaced
    assert len(rows) == replaced + 8 * (5 - replaced)
    assert all(one.response == [8, 9] for one in rows if one.expert)


def test_what_the_length_limit_cut_counts_in_its_group_alone():
    """Rewards 1, 0, 0, 0, the right one and a wrong one cut: -1/4 is left of the others, of one token each."""
    cut = group([1, 0, 0, 0])
    for place in (0, 2):
        cut.rollouts[place].truncated = True
    rows = batches.rows([cut], ALGORITHMS["grpo"]["recommended"])
    assert [one.advantage for one in rows] == [0.75, -0.25, -0.25, -0.25]
    kept = batches.without_truncated(rows)
    assert [(one.response, one.advantage, one.reward) for one in kept] == [([1], -0.25, 0), ([3], -0.25, 0)]
    assert Totals.of(kept) == Totals(tokens=2, expert_tokens=0, sequences=2)
    numbers = ALGORITHMS["grpo"]["recommended"].model_copy(update={"entropy_coef": 0.0})
    batch = collate(kept, torch.device("cpu"), Totals.of(kept))
    batch.logprobs = torch.tensor([[-1.0], [-2.0]])
    old = batch.logprobs - math.log(1.1)
    (loss,) = objectives.components(batch, old, torch.zeros(2, 1), numbers, MAX_TOKENS).values()
    assert loss.item() == pytest.approx(0.25 * 1.1)
    mixed = batches.rows([group([0, 0])], ALGORITHMS["upt"]["recommended"])
    assert batches.without_truncated(mixed) == mixed  # an expert is never cut


@given(st.lists(st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=5), st.floats(0, 1))
def test_every_row_comes_from_its_group(rewards, gate):
    groups = [group(row) for row in rewards]
    for name in ("grpo", "luffy", "srft", "upt"):
        numbers = ALGORITHMS[name]["recommended"].model_copy(update={"gate": gate})
        rows = batches.rows(groups, numbers)
        assert sum(one.advantage for one in rows) == pytest.approx(0, abs=1e-5)
        counts = {"grpo": 4 * len(groups), "luffy": 5 * len(groups), "srft": 5 * len(groups)}
        failed = sum(sum(row) <= gate * 4 + 1e-9 for row in rewards)
        assert len(rows) == counts.get(name, failed + 4 * (len(groups) - failed))
