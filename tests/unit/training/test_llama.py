"""The plain-torch decoder against transformers: logits, gradients, sampled tokens and log-probabilities."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint.training import llama
from switchpoint.training.llama_parameters import Llama

TINY_BASE = Path(__file__).parents[3] / "src/switchpoint/tiny-base"
SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 32}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 32}
CONFIGS = {
    "llama": ("Llama", {"head_dim": 16, "tie_word_embeddings": False}),
    "llama, tied, no grouping": ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
    "llama, one kv head, yarn": ("Llama", {"num_key_value_heads": 1, "rope_parameters": YARN}),
    "llama, llama3 rope": ("Llama", {"rope_parameters": LLAMA3, "rms_norm_eps": 1e-3}),
    "qwen2": ("Qwen2", {"tie_word_embeddings": False}),
    "qwen2, tied": ("Qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 1}),
}


def make(family: str, **changes):
    """A random model whose norms and biases are random, too."""
    import transformers

    config = getattr(transformers, f"{family}Config")(**(SMALL | changes))
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3 if "norm" in name else 0.15)
    return model


def parts(model) -> Llama:
    """A model of transformers as ours, with its very parameters."""
    ours = Llama(model.config.to_dict())
    for name, weight in model.named_parameters(remove_duplicate=False):
        module, _, own = name.rpartition(".")
        ours.get_submodule(module).register_parameter(own, weight)
    ours.model.rotary_emb = model.model.rotary_emb
    return ours


@pytest.fixture(scope="module", params=CONFIGS)
def model(request):
    family, changes = CONFIGS[request.param]
    return make(family, **changes)


@pytest.fixture(scope="module")
def tiny_base():
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(TINY_BASE, dtype="float32").eval()


def rounding(model) -> float:
    """How far two ways to a log-probability may differ; the shipped model has the larger logits."""
    return 1e-5 if model.config.vocab_size == 40 else 5e-5


def tokens(count: int, seed: int = 0) -> list[int]:
    return torch.randint(2, 40, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def padded_logits(model, sequences) -> torch.Tensor:
    """What ``response_logits`` computes, by transformers on a padded batch."""
    longest = max(len(prompt) + len(response) for prompt, response in sequences)
    rows = [
        prompt + response + [0] * (longest - len(prompt) - len(response)) for prompt, response in sequences
    ]
    logits = model(input_ids=torch.tensor(rows), use_cache=False).logits.float()
    spans = [slice(len(prompt) - 1, len(prompt) + len(response) - 1) for prompt, response in sequences]
    return torch.cat([row[span] for row, span in zip(logits, spans, strict=True)])


def logprobs_and_gradients(model, logits: torch.Tensor, sequences) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Log-probabilities of the response tokens, and the gradients of their weighted mean."""
    targets = torch.tensor([token for _, response in sequences for token in response])
    logprobs = torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
    weights = 1 + 0.5 * torch.sin(torch.arange(len(targets)))
    gradients = torch.autograd.grad(-(weights * logprobs).mean(), list(model.parameters()))
    return logprobs.detach(), list(gradients)


def check_equal(model, sequences) -> None:
    logits = llama.response_logits(parts(model), sequences)
    assert logits.dtype == torch.float32
    assert logits.shape == (sum(len(response) for _, response in sequences), model.config.vocab_size)
    ours, our_gradients = logprobs_and_gradients(model, logits, sequences)
    theirs, their_gradients = logprobs_and_gradients(model, padded_logits(model, sequences), sequences)
    torch.testing.assert_close(ours, theirs, atol=rounding(model), rtol=0)
    total = torch.stack([gradient.norm() for gradient in their_gradients]).norm()
    for mine, other in zip(our_gradients, their_gradients, strict=True):  # some are 0 but for rounding
        assert (mine - other).norm() <= 2e-6 * other.norm() + 1e-7 * total


PROMPT = tokens(9)
BATCHES = {
    "shared prompts": [(tokens(5 + n // 3, n // 3), tokens(3 + n, 50 + n)) for n in range(9)],
    "no prompt twice": [(tokens(2 + n, n), tokens(12 - n, 50 + n)) for n in range(10)],
    "lengths vary": [(tokens(n, n), tokens(m, m)) for n, m in ((1, 50), (60, 1), (3, 4), (1, 1), (30, 30))],
    "with padding tokens": [([0, 5, 0], [3, 0, 4]), ([0], [0, 0])],
    "one sequence": [(tokens(6), tokens(8, 1))],
    "one token each": [([5], [6]), ([5], [7]), ([6], [7])],
    "responses of one token": [(PROMPT, [3]), (PROMPT, [4]), (tokens(4, 3), [5])],
    "a prompt begins another": [(PROMPT[:n], tokens(5, n)) for n in (9, 5, 1, 9, 5)],
    "a prompt goes on as a response": [
        (PROMPT[:4], PROMPT[4:]),
        (PROMPT, tokens(3)),
        (PROMPT[:4], tokens(9, 2)),
    ],
    "the same sequence twice": [(PROMPT, tokens(5))] * 2,
    "more texts than a bucket holds": [(tokens(3 + n % 7, n % 7), tokens(1 + n % 11, n)) for n in range(50)],
}


@pytest.mark.parametrize("batch", BATCHES)
def test_logits_and_gradients_are_those_of_transformers(model, batch):
    check_equal(model, BATCHES[batch])


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 2), st.integers(1, 20)), min_size=1, max_size=12)
)
def test_logits_and_gradients_at_any_lengths(shapes):
    model = make("Qwen2", num_hidden_layers=1)
    check_equal(model, [(tokens(n, seed), tokens(m, 10 * n + m)) for n, seed, m in shapes])


def test_logits_of_the_shipped_model(tiny_base):
    check_equal(tiny_base, BATCHES["shared prompts"] + BATCHES["lengths vary"])
    check_equal(tiny_base, [(tokens(300), tokens(212, 1))])  # the longest that it takes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_logits_without_gradients(model, mode):
    with mode():
        ours = llama.response_logits(parts(model), BATCHES["shared prompts"])
        theirs = padded_logits(model, BATCHES["shared prompts"])
    assert not ours.requires_grad
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_logits_and_gradients_are_the_same_every_time(model):
    runs = []
    for _ in range(2):
        logits = llama.response_logits(parts(model), BATCHES["shared prompts"])
        runs.append([logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()))])
    assert all(torch.equal(first, again) for first, again in zip(*runs, strict=True))


def test_low_precision_weights_give_float32_logits():
    model = make("Llama").bfloat16()
    logits = llama.response_logits(parts(model), BATCHES["shared prompts"])
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert all(weight.grad.dtype == torch.bfloat16 for weight in model.parameters())
    exact = padded_logits(model.float(), BATCHES["shared prompts"])
    assert (logits - exact).norm() < 0.03 * exact.norm()


def inversion(logits: torch.Tensor, uniform: float, top_p: float) -> tuple[int, float]:
    """A token by inversion in double precision, and how far the draw is from another token."""
    probabilities = torch.softmax(logits.double(), -1)
    if top_p < 1:
        ranked, order = probabilities.sort(descending=True, stable=True)
        probabilities[order[ranked.cumsum(-1) - ranked >= top_p]] = 0.0
    cumulative = probabilities.cumsum(-1) / probabilities.sum()
    return int((cumulative <= uniform).sum()), float((cumulative - uniform).abs().min())


@torch.inference_mode()
def plain_loop(model, prompt, draws, temperature, ends, top_p=1.0) -> tuple[list[int], list[float], float]:
    """Tokens and log-probabilities one full forward at a time, and the closest call of all draws."""
    ids, logprobs, closest = list(prompt), [], 1.0
    for uniform in draws.tolist():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1] / temperature
        token, margin = inversion(logits, uniform, top_p)
        ids.append(token)
        logprobs.append(float(torch.log_softmax(logits, -1)[token]))
        closest = min(closest, margin)
        if token in ends:
            break
    return ids[len(prompt) :], logprobs, closest


def uniforms(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def check_sampled(model, prompts, limit, temperature=1.0, ends=frozenset({1}), top_p=1.0, seed=0) -> list:
    """Samples, and compares with ``plain_loop``; a draw closer than 1e-5 to another token may choose it."""
    draws = uniforms(len(prompts), limit, seed=seed)
    sampled = llama.Decoder(parts(model)).sample(prompts, draws, temperature, set(ends), top_p)
    near_ties = 0
    for prompt, row, (ids, logprobs) in zip(prompts, draws, sampled, strict=True):
        expected, expected_logprobs, closest = plain_loop(model, prompt, row, temperature, ends, top_p)
        assert ids == expected or closest < 1e-5
        if ids == expected:
            assert logprobs == pytest.approx(expected_logprobs, abs=rounding(model))
        near_ties += ids != expected
    assert near_ties <= 1
    return sampled


MULTIPLICITIES = {
    "distinct": [tokens(2 + n, n) for n in range(7)],
    "one prompt": [PROMPT] * 6,
    "one row": [PROMPT],
    "unequal, not sorted": [PROMPT, tokens(3), PROMPT, [7], PROMPT[:5], PROMPT, [7], tokens(17, 4)],
}


@pytest.mark.parametrize("prompts", MULTIPLICITIES)
def test_samples_are_those_of_a_plain_loop(model, prompts):
    check_sampled(model, MULTIPLICITIES[prompts], limit=11, ends={1, 7, 20})


@pytest.mark.parametrize("temperature", [0.3, 0.7, 2.0])
@pytest.mark.parametrize("top_p", [0.2, 0.9, 1.0])
def test_temperature_and_top_p(tiny_base, temperature, top_p):
    check_sampled(tiny_base, MULTIPLICITIES["unequal, not sorted"], 9, temperature, top_p=top_p)


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 8])
def test_a_response_has_at_most_its_full_length(tiny_base, limit):
    for ends in (set(), {1}, set(range(80))):
        sampled = check_sampled(tiny_base, [PROMPT, [5], PROMPT], limit, ends=ends)
        lengths = {len(ids) for ids, _ in sampled}
        assert lengths == {limit} if not ends else max(lengths) <= limit
        assert lengths == {1} or len(ends) < 80


def test_responses_end_at_the_first_end_token(model):
    for ids, logprobs in check_sampled(model, [PROMPT] * 12, limit=30, ends=set(range(2, 9))):
        ends = [token in range(2, 9) for token in ids]
        assert len(logprobs) == len(ids)
        assert sum(ends[:-1]) == 0
        assert ends[-1] or len(ids) == 30


def test_samples_as_long_as_the_model_takes(tiny_base):
    prompts, draws = [tokens(480), tokens(10, 1)], uniforms(2, 32)
    for prompt, (ids, logprobs) in zip(
        prompts, llama.Decoder(parts(tiny_base)).sample(prompts, draws, 1.0, set()), strict=True
    ):
        logits = padded_logits(tiny_base, [(prompt, ids)])
        expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=rounding(tiny_base), rtol=0)


def test_near_ties_are_rare(tiny_base):
    """Of 6,400 tokens, single-precision inversion may choose at most 2 others than double precision."""
    prompts, draws = [tokens(8, n % 25) for n in range(200)], uniforms(200, 32)
    sampled = llama.Decoder(parts(tiny_base)).sample(prompts, draws, 1.0, set())
    pairs = [(prompt, ids) for prompt, (ids, _) in zip(prompts, sampled, strict=True)]
    cumulative = torch.softmax(padded_logits(tiny_base, pairs).double(), -1).cumsum(-1)
    exact = (cumulative <= draws.flatten()[:, None] * cumulative[:, -1:]).sum(-1)
    chosen = torch.tensor([token for _, ids in pairs for token in ids])
    assert int((exact != chosen).sum()) <= 2


def test_a_row_depends_on_no_other(model):
    prompts, draws = MULTIPLICITIES["unequal, not sorted"], uniforms(8, 10)
    decoder = llama.Decoder(parts(model))
    together, again = (decoder.sample(prompts, draws, 1.0, {1, 7}) for _ in range(2))
    assert together == again
    for row, (ids, logprobs) in enumerate(together):
        [(alone, alone_logprobs)] = decoder.sample(prompts[row : row + 1], draws[row : row + 1], 1.0, {1, 7})
        assert alone == ids
        assert alone_logprobs == pytest.approx(logprobs, abs=rounding(model))


def test_a_decoder_keeps_the_weights_that_it_was_made_with():
    model, draws = make("Qwen2"), uniforms(1, 10)
    decoder = llama.Decoder(parts(model))
    before = decoder.sample([PROMPT], draws, 1.0, set())
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(-1.5)
    assert decoder.sample([PROMPT], draws, 1.0, set()) == before
    assert llama.Decoder(parts(model)).sample([PROMPT], draws, 1.0, set()) != before


@given(st.floats(0, 1, width=32, exclude_max=True), st.integers(0, 2**16))
def test_a_drawn_token_is_possible(uniform, seed):
    """However uneven the distribution and extreme the draw."""
    logits = torch.randn(1, 30, generator=torch.Generator().manual_seed(seed)) * 10 ** (seed % 4 - 1)
    for top_p in (0.5, 1.0):
        token, logprob = llama.draw(logits, torch.tensor([uniform]), top_p)
        assert 0 <= int(token) < 30
        assert logprob.isfinite()


def test_extreme_draws(tiny_base):
    draws = torch.tensor([[0.0], [torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))]])
    for ids, logprobs in llama.Decoder(parts(tiny_base)).sample(
        [PROMPT] * 2, draws.expand(2, 6), 0.05, set()
    ):
        assert len(ids) == len(logprobs) == 6
        assert torch.tensor(logprobs).isfinite().all()


def test_low_precision_weights_sample():
    model, draws = make("Llama").bfloat16(), uniforms(6, 8)
    for ids, logprobs in llama.Decoder(parts(model)).sample([PROMPT] * 6, draws, 1.0, {1}):
        logits = llama.response_logits(parts(model), [(PROMPT, ids)])
        expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=0.2, rtol=0)
