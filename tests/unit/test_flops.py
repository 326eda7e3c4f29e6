import json

import pytest

from switchpoint import flops
from switchpoint.errors import InputError

QWEN = flops.architecture("Qwen2.5-7B")
LLAMA = flops.architecture("Llama-3.2-3B")

# L 1, H 4, F 8, 2 heads of 4 (wider than H), 1 key-value head, V 10:
# MLP 3*4*8 = 96, attention 4*(8+4+4+8) = 96, vocabulary 2*10*4 = 80 -> 272 weights;
# scores 4*1*8 = 32 per squared length.
TINY = flops.Architecture(1, 4, 8, 2, 1, 4, 10)


@pytest.mark.parametrize(
    ("batch_size", "length", "steps", "published"),
    [
        (512, 3771, 360, 34.915),
        (512, 3771, 14080, 1365.58),
        (512, 3747, 360, 34.673),
        (512, 3747, 1800, 173.37),
        (512, 8633, 360, 89.249),
        (512, 8633, 1800, 446.24),
        (16, 10011, 62, 0.573),
        (16, 10011, 310, 2.867),
        (512, 2217, 360, 19.762),
        (512, 2217, 1800, 98.81),
        (512, 2217, 6120, 335.96),
    ],
)
def test_published_sft_compute(batch_size, length, steps, published):
    exaflops = steps * flops.sft_step(QWEN, batch_size, length) / flops.EXA
    assert exaflops == pytest.approx(published, rel=1e-3)


@pytest.mark.parametrize(
    ("accounting", "at_360", "at_10800"), [("retu", 17.75, 532.4), ("strict", 16.10, 483.1)]
)
def test_llama_under_both_accountings(accounting, at_360, at_10800):
    step = flops.sft_step(LLAMA, 512, 3771, accounting) / flops.EXA
    assert 360 * step == pytest.approx(at_360, rel=1e-3)
    assert 10800 * step == pytest.approx(at_10800, rel=1e-3)


@pytest.mark.parametrize(("name", "weights"), [("Qwen2.5-7B", 7.615e9), ("Qwen2.5-14B", 14.77e9)])
def test_counted_parameters(name, weights):
    assert flops.n_parameters(flops.architecture(name)) == pytest.approx(weights, rel=1e-3)


def test_forward_per_token():
    assert flops.forward_per_token(TINY, 10) == 2 * 272 + 32 * 10
    assert flops.forward_per_token(TINY, 10, "strict") == 2 * 232 + 32 * 10


def test_tiny_goldens_of_each_paradigm():
    per_token = 864  # at length 10
    assert flops.sft_step(TINY, 3, 10) == 3 * 3 * 10 * per_token
    assert flops.dapo_step(TINY, 2, 5, 3, 4, 10) == (2 * 5 + 3 * 3) * 4 * 10 * per_token
    assert flops.grpo_step(TINY, 3, 4, 10) == 4 * 3 * 4 * 10 * per_token
    assert flops.luffy_step(TINY, 3, 7, 10, 1, 10) == 4 * 3 * 8 * 10 * per_token
    assert flops.upt_step(TINY, 3, 8, 16, 10, 2, 10) == (3 * 8 + 3 * 18) * 10 * per_token


def test_each_kind_of_token_is_charged_at_its_own_length():
    on, expert = 10 * 864, 20 * (544 + 640)
    assert flops.luffy_step(TINY, 3, 7, 10, 1, 20) == 4 * 3 * (7 * on + expert)
    assert flops.upt_step(TINY, 3, 8, 16, 10, 2, 20) == 24 * on + 3 * (16 * on + 2 * expert)


def test_strict_charges_experts_no_generation_and_the_old_logprob_pass():
    on, expert = 10 * (464 + 320), 20 * (464 + 640)
    assert flops.luffy_step(TINY, 3, 7, 10, 1, 20, "strict") == 3 * (4 * 7 * on + 3 * expert)
    assert flops.grpo_step(TINY, 3, 4, 10, "strict", old_logprob_pass=True) == 5 * 12 * on
    assert flops.grpo_step(TINY, 3, 4, 10, "retu", old_logprob_pass=True) == 4 * 12 * 10 * 864


def test_token_sums_are_exact():
    lengths = [5, 10, 30]
    exact = sum(length * flops.forward_per_token(TINY, length) for length in lengths)
    sums = (sum(lengths), sum(length**2 for length in lengths))
    assert flops.forward_tokens(TINY, *sums) == exact
    assert flops.sft_step_logged(TINY, sums) == 3 * exact
    assert exact > 3 * 15 * flops.forward_per_token(TINY, 15)  # the mean length understates it


def test_logged_rl_step_keeps_generated_and_trained_apart():
    generated, trained = (100, 1200), (40, 900)
    forward = [flops.forward_tokens(TINY, *sums, "strict") for sums in (generated, trained)]
    assert flops.rl_step_logged(TINY, generated, trained, "strict") == forward[0] + 3 * forward[1]
    with_old = flops.rl_step_logged(TINY, generated, trained, "strict", old_logprob_pass=True)
    assert with_old == forward[0] + 4 * forward[1]


def test_architecture_from_config_and_directory(tmp_path):
    config = {
        "hidden_size": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
        "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 10,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert flops.architecture(tmp_path) == flops.architecture(tmp_path / "config.json") == TINY
    without = {key: value for key, value in config.items() if key not in ("head_dim", "num_key_value_heads")}
    plain = flops.Architecture.from_config(without | {"tie_word_embeddings": True})
    assert (plain.head_dim, plain.n_kv_heads, plain.tie_word_embeddings) == (2, 2, True)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="bundled name"):
        flops.architecture("Qwen9")
    path = tmp_path / "config.json"
    path.write_text('{"hidden_size": "4"}')
    with pytest.raises(InputError, match="hidden_size is '4'"):
        flops.architecture(path)
    path.write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        flops.architecture(path)
    with pytest.raises(InputError, match="mixture of experts"):
        flops.Architecture.from_config({"num_experts": 8})
    with pytest.raises(InputError, match="choose 'retu' or 'strict'"):
        flops.sft_step(TINY, 1, 1, "full")
    with pytest.raises(InputError, match="mean length -5"):
        flops.sft_step(TINY, 1, -5)
