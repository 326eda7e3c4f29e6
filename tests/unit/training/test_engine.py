"""One optimizer update: micro-batches, several updates on a step's batch, and updates that would break the model."""

import dataclasses
import math

import pytest
import torch
import transformers

from switchpoint.errors import DivergedError
from switchpoint.study import config as studies
from switchpoint.study.algorithms import numbers_of
from switchpoint.study.config import Optimizer
from switchpoint.study.expand import Expansion
from switchpoint.training import models
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.llama import response_logits
from switchpoint.training.llama_parameters import fits
from switchpoint.training.rl import batches
from switchpoint.training.rl.dynamic_sampling import Group, Question
from switchpoint.training.rl.loop import RlRun
from switchpoint.training.rollouts.sampler import Rollout
from switchpoint.training.sft import LOSSES, learning_rate_factor, mean_loss

LENGTHS = [(5, 9), (2, 1), (7, 4), (3, 12), (4, 6), (1, 3), (6, 2), (9, 7)]


def make_engine(microbatch_size: int = 32, learning_rate: float = 1e-3) -> Engine:
    policy = models.load("src/switchpoint/tiny-base")
    numbers = Optimizer(learning_rate=learning_rate, microbatch_size=microbatch_size)
    return Engine(policy.model, numbers, policy.tokenizer.pad_token_id)


def make_sequences() -> list[Sequence]:
    """Random token ids of many lengths, with advantages and sampling log-probabilities."""
    random = torch.Generator().manual_seed(0)

    def tokens(count: int) -> list[int]:
        return torch.randint(5, 60, (count,), generator=random).tolist()

    return [
        Sequence(
            tokens(prompt),
            tokens(response),
            advantage=(-1.0) ** row * row,
            sampling_logprobs=[-1.0] * response,
        )
        for row, (prompt, response) in enumerate(LENGTHS)
    ]


def make_rows(count: int = 4) -> list[Sequence]:
    """The same sequences as groups of two rollouts of one prompt."""
    sequences, groups = make_sequences(), []
    for first in range(0, 8, 2):
        rollouts = [
            Rollout(one.response, one.sampling_logprobs, False) for one in sequences[first : first + 2]
        ]
        question = Question(str(first), "1", sequences[first].prompt)
        groups.append(Group(question, rollouts, [1, 0], ["graded", "graded"]))
    return batches.on_policy(groups[:count], advantage_std=True)


def make_run(engine: Engine, **numbers) -> RlRun:
    """An RL run with nothing but what its update needs."""
    run = object.__new__(RlRun)
    job = Expansion(studies.load("config.yaml")).rl_job("dapo_dc", "base", 0)
    run.job = job.model_copy(update={"numbers": job.numbers.model_copy(update=numbers)})
    run.engine = engine
    return run


@pytest.mark.parametrize("size", [1, 3, 8])
def test_micro_batches_change_no_update(size):
    whole, parts = make_engine(), make_engine(size)
    one, other = whole.step(make_sequences(), mean_loss), parts.step(make_sequences(), mean_loss)
    assert one == pytest.approx(other, rel=1e-5)
    for left, right in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [2, 32])
def test_two_updates_on_a_batch_of_several_micro_batches(size):
    """The second update is off-policy: its ratio is not 1 and the clip acts; the figures are of both."""
    engine = make_engine(size, learning_rate=3e-3)
    run = make_run(engine, updates_per_step=2)
    figures = run.update(make_rows())
    assert engine.steps == 2
    first = make_run(make_engine(size, learning_rate=3e-3)).update(make_rows(2))
    assert first["clip_fraction"] == 0.0
    assert figures["clip_fraction"] > 0.0
    assert figures["entropy"] != pytest.approx(first["entropy"], rel=1e-6)
    halves = make_run(make_engine(32, learning_rate=3e-3), updates_per_step=2).update(make_rows())
    assert figures == pytest.approx(halves, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("updates", "sizes"), [(1, [8]), (2, [4, 4]), (3, [2, 3, 3]), (9, [1] * 8)])
def test_a_steps_figures_are_means_over_its_updates(updates, sizes, monkeypatch):
    """As many updates as the row says, of nearly equal size, even where they do not divide the batch."""
    seen, step = [], Engine.step

    def recorded(engine, sequences, loss_of):
        seen.append((len(sequences), step(engine, sequences, loss_of)))
        return seen[-1][1]

    monkeypatch.setattr(Engine, "step", recorded)
    figures = make_run(make_engine(3, learning_rate=3e-3), updates_per_step=updates).update(make_rows())
    assert [size for size, _ in seen] == sizes
    for name, value in figures.items():
        assert value == pytest.approx(sum(one[name] for _, one in seen) / len(seen)), name


def test_old_log_probabilities_are_those_before_the_first_update():
    engine = make_engine(3)
    sequences = make_sequences()
    logprobs = engine.logprobs(sequences)
    assert [len(one) for one in logprobs] == [response for _, response in LENGTHS]
    alone = [engine.logprobs([one])[0] for one in sequences]
    for one, other in zip(logprobs, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def weights(engine: Engine) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in engine.model.parameters()]


def test_a_finite_loss_with_a_gradient_that_is_not_updates_nothing():
    engine = make_engine()
    before = weights(engine)

    def square_root_at_zero(batch):  # 0, with an infinite slope
        return ((batch.logprobs - batch.logprobs.detach()) * batch.mask).abs().sum().sqrt(), {}

    with pytest.raises(DivergedError, match="gradient norm nan"):
        engine.step(make_sequences(), square_root_at_zero)
    assert engine.steps == 0
    assert all(torch.equal(one, other) for one, other in zip(before, weights(engine), strict=True))
    engine.step(make_sequences(), mean_loss)  # no gradient is left over
    assert all(torch.isfinite(one).all() for one in weights(engine))


# A weight that every output needs, one that no sequence of the batch uses, and a finite one that overflows.
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lm_head.weight", math.inf, "a weight is not finite"),
        ("model.embed_tokens.weight", math.nan, "a weight is not finite"),
        ("lm_head.weight", 3e38, "output is not finite"),
    ],
)
def test_an_update_that_breaks_the_model_is_found_and_undone(name, value, message):
    engine = make_engine()
    before, step = engine.snapshot(), engine.optimizer.step

    def overflowing(learning_rate):
        step(learning_rate)
        engine.model.get_parameter(name).data[79 if "embed" in name else 7] = value

    engine.optimizer.step = overflowing
    with pytest.raises(DivergedError, match=message):
        make_run(engine).update(make_rows())
    engine.restore(before)
    assert torch.isfinite(engine.logprobs(make_sequences())[0]).all()
    assert all(torch.equal(one, other) for one, other in zip(before, weights(engine), strict=True))


def test_adamw_is_torchs():
    ours, theirs = make_engine(), make_engine()
    numbers = ours.numbers
    torchs = torch.optim.AdamW(
        theirs.model.parameters(), numbers.learning_rate, numbers.betas, weight_decay=numbers.weight_decay
    )
    theirs.optimizer.step = lambda _: torchs.step()
    for _ in range(3):
        assert ours.step(make_sequences(), mean_loss) == theirs.step(make_sequences(), mean_loss)
    assert all(torch.equal(one, other) for one, other in zip(weights(ours), weights(theirs), strict=True))


def test_dropout_acts_in_training_alone_and_repeats():
    config = transformers.LlamaConfig(
        vocab_size=80, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        attention_dropout=0.5,
    )  # fmt: skip
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        model = transformers.LlamaForCausalLM(config).eval()
        torch.manual_seed(seed)
        engine = Engine(model, Optimizer(learning_rate=1e-3), 0)
        one, other = engine.logprobs(make_sequences()), engine.logprobs(make_sequences())
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
        results.append(engine.step(make_sequences(), mean_loss)["loss"])
        assert not model.training
    assert results[0] == results[1] != results[2]
    assert not fits(config.to_dict() | {"architectures": ["LlamaForCausalLM"]})


def test_the_optimizer_takes_each_stages_betas():
    study = Expansion(studies.load("config.yaml"))
    assert study.sft_job("S", 0).optimizer.betas == (0.9, 0.95)
    assert study.rl_job("dapo_dc", "base", 0).optimizer.betas == (0.9, 0.999)


@pytest.mark.parametrize(("steps", "warmup"), [(5, 0.01), (310, 0.05), (100, 0.07), (30, 0.1), (7, 0.99)])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "wsd"])
def test_the_learning_rate_never_overshoots_its_peak(steps, warmup, schedule):
    job = Expansion(studies.load("config.yaml")).sft_job("S", 0)
    job = job.model_copy(update={"steps": steps, "warmup": warmup, "schedule": schedule})
    factors = [learning_rate_factor(job, step) for step in range(steps)]
    peak = factors.index(max(factors))
    assert max(factors) == 1.0
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert min(factors) > 0


def test_sft_is_cosine_unless_a_study_says_constant():
    fields = {"steps": 4, "save_steps": [4], "batch_size": 1, "learning_rate": 1e-3}
    assert studies.Sft(**fields).schedule == "cosine"
    job = Expansion(studies.load("config.yaml")).sft_job("S", 0)
    job = job.model_copy(update={"steps": 4, "warmup": 0.0, "schedule": "cosine"})
    expected = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert [learning_rate_factor(job, step) for step in range(4)] == pytest.approx(expected)


# Updates per step, prompts per sampling round (of 128 responses or prompts), AdamW's betas.
ROWS = {
    ("grpo", "paper"): (2, 256),
    ("grpo", "official"): (2, 256),
    ("dapo_d", "paper"): (2, 16),
    ("dapo_d", "official"): (2, 16),
    ("dapo_dc", "paper"): (1, 16),
    ("dapo_dc", "official"): (1, 128),
    ("dapo_dc", "recommended"): (1, 256),
}


@pytest.mark.parametrize(("algorithm", "preset"), ROWS)
def test_updates_rounds_and_betas_belong_to_the_algorithm(algorithm, preset):
    row = numbers_of(algorithm, preset, batch_size=128, rollouts=8)
    assert (row.updates_per_step, row.generation_batch) == ROWS[algorithm, preset]
    assert row.betas == (0.9, 0.999)
    own = numbers_of(algorithm, preset, 128, 8, updates_per_step=3, generation_batch=5, betas=(0.8, 0.9))
    assert (own.updates_per_step, own.generation_batch, own.betas) == (3, 5, (0.8, 0.9))


def test_sequences_are_as_long_as_prompt_and_response():
    one = Sequence([1, 2], [3])
    assert len(one) == 3
    assert len(dataclasses.replace(one, response=[3, 4])) == 4


def test_the_gradients_of_the_terms_add_up_to_that_of_the_loss():
    """Over micro-batches; two terms along each other have cosine 1, opposite ones -1, and nothing is updated."""
    engine = make_engine(3)
    before = engine.snapshot()

    def terms_of(batch):
        loss = mean_loss(batch)[0]
        return {"sft": loss, "off": 0.5 * loss, "rl": -2 * loss}

    figures = engine.term_gradients(make_sequences(), terms_of, ("sft", "off"))
    norm = make_engine(8).step(make_sequences(), mean_loss)["norm"]
    expected = {"norm_sft": norm, "norm_off": norm / 2, "norm_rl": 2 * norm, "cosine": -1.0}
    assert figures == pytest.approx(expected, rel=1e-4)
    assert all((one == other).all() for one, other in zip(before, engine.snapshot(), strict=True))
    alone = engine.term_gradients(make_sequences(), lambda batch: {"sft": mean_loss(batch)[0]}, ("sft",))
    assert alone["cosine"] == 0.0


def test_warm_up_stable_decay_by_hand():
    """Ten steps, two of warm-up, four of decay: to a quarter of the peak at the last one."""
    job = Expansion(studies.load("config.yaml")).sft_job("S", 0)
    job = job.model_copy(update={"steps": 10, "warmup": 0.2, "schedule": "wsd", "decay": 0.4})
    expected = [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert [learning_rate_factor(job, step) for step in range(10)] == pytest.approx(expected)
    fields = {"steps": 10, "save_steps": [10], "batch_size": 1, "learning_rate": 1.0, "schedule": "wsd"}
    with pytest.raises(ValueError, match="more than the whole run"):
        studies.Sft(**fields, warmup=0.7, decay=0.4)


def test_the_official_mean_of_micro_batches_by_hand():
    """Micro-batches of 3, 3 and 2 sequences count the same, whatever their tokens."""
    sequences, engine = make_sequences(), make_engine(3)
    logprobs = [float(one.double().sum()) for one in engine.logprobs(sequences)]
    lengths = [len(one.response) for one in sequences]
    parts = [slice(0, 3), slice(3, 6), slice(6, 8)]
    means = [-sum(logprobs[part]) / sum(lengths[part]) for part in parts]
    assert engine.step(sequences, LOSSES["microbatch_token"])["loss"] == pytest.approx(
        sum(means) / 3, rel=1e-5
    )
    whole = -sum(logprobs) / sum(lengths)
    assert make_engine(3).step(sequences, LOSSES["global_token"])["loss"] == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_recomputed_activations_change_no_update(known):
    """Of our decoder, and of transformers' models."""
    losses, weights = [], []
    for recompute in (False, True):
        policy = models.load("src/switchpoint/tiny-base")
        model = (
            policy.model
            if known
            else transformers.AutoModelForCausalLM.from_pretrained("src/switchpoint/tiny-base")
        )
        numbers = Optimizer(learning_rate=1e-3, gradient_checkpointing=recompute)
        engine = Engine(model, numbers, policy.tokenizer.pad_token_id)
        losses.append(engine.step(make_sequences(), mean_loss)["loss"])
        weights.append(engine.snapshot())
    assert losses[0] == losses[1]
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


def test_recomputed_activations_are_not_kept():
    model, kept = models.load("src/switchpoint/tiny-base").model, []
    for recompute in (False, True):
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        pairs = [(one.prompt, one.response) for one in make_sequences()]
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            response_logits(model, pairs, recompute)
        kept.append(sum(sizes))
    assert kept[1] < 0.7 * kept[0], kept
