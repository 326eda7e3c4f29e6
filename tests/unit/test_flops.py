"""Training compute: hand-computed goldens, the papers' published figures, the command's contract."""

import inspect
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import reference
from typer.testing import CliRunner

from switchpoint import estimates, flops
from switchpoint.cli.commands import app
from switchpoint.errors import InputError

QWEN = flops.architecture("Qwen2.5-7B")
LLAMA = flops.architecture("Llama-3.2-3B")

# L 1, H 4, F 8, 2 heads of 4 (wider than H), 1 key-value head, V 10:
# MLP 3*4*8 = 96, attention 4*(8+4+4+8) = 96, vocabulary 2*10*4 = 80 -> 272 weights;
# scores 4*1*8 = 32 per squared length.
TINY = flops.Architecture(1, 4, 8, 2, 1, 4, 10)


def sft(arch: flops.Architecture, batch_size: float, mean_length: float, accounting: str = "retu") -> float:
    """FLOPs of one SFT step."""
    return flops.paradigm_step(arch, "sft", accounting, batch_size=batch_size, mean_length=mean_length)


def tiny(paradigm: str, *values: float, accounting: str = "retu", old_logprob_pass: bool = False) -> float:
    """FLOPs of one step of TINY, the options in the order of the equation's function."""
    options = dict(zip(inspect.signature(flops.PARADIGMS[paradigm]).parameters, values, strict=True))
    return flops.paradigm_step(TINY, paradigm, accounting, old_logprob_pass, **options)


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
    exaflops = steps * sft(QWEN, batch_size, length) / flops.EXA
    assert exaflops == pytest.approx(published, rel=1e-3)


# Tokens of a sequence (Table 3; Easy with the 2,153 of the official code) and batch size of every set.
SETS = {
    "S1K": (10011, 16),
    "Easy102K": (2217, 512),
    "Uniform102K": (3747, 512),
    "Hard102K": (8633, 512),
    "SFT889K": (3771, 512),
}


def test_every_sft_compute_of_table_4():
    table = pd.read_csv(reference("published", "table4_v1.csv"))
    table = table[table["dataset"] != "base"]
    assert len(table) == 32
    for row in table.itertuples():
        length, batch_size = SETS[row.dataset]
        exaflops = row.sft_step * sft(QWEN, batch_size, length) / flops.EXA
        assert exaflops == pytest.approx(row.sft_exaflops, rel=2e-3, abs=0.3), row


@pytest.mark.parametrize(
    ("accounting", "at_360", "at_10800"), [("retu", 17.75, 532.4), ("strict", 16.10, 483.1)]
)
def test_llama_under_both_accountings(accounting, at_360, at_10800):
    step = sft(LLAMA, 512, 3771, accounting) / flops.EXA
    assert 360 * step == pytest.approx(at_360, rel=1e-3)
    assert 10800 * step == pytest.approx(at_10800, rel=1e-3)


@pytest.mark.parametrize(("name", "weights"), [("Qwen2.5-7B", 7.615e9), ("Qwen2.5-14B", 14.77e9)])
def test_counted_parameters(name, weights):
    assert flops.n_parameters(flops.architecture(name)) == pytest.approx(weights, rel=1e-3)


def test_a_forward_pass():
    assert flops.forward_tokens(TINY, 10, 100) == 10 * (2 * 272 + 32 * 10)
    assert flops.forward_tokens(TINY, 10, 100, "strict") == 10 * (2 * 232 + 32 * 10)


def test_tiny_goldens_of_each_paradigm():
    per_token = 864  # at length 10
    assert tiny("sft", 3, 10) == 3 * 3 * 10 * per_token
    assert tiny("dapo", 2, 5, 3, 4, 10) == (2 * 5 + 3 * 3) * 4 * 10 * per_token
    assert tiny("grpo", 3, 4, 10) == 4 * 3 * 4 * 10 * per_token
    assert tiny("luffy", 3, 7, 10, 1, 10) == 4 * 3 * 8 * 10 * per_token
    assert tiny("upt", 3, 8, 16, 10, 2, 10) == (3 * 8 + 3 * 18) * 10 * per_token


def test_each_kind_of_token_is_charged_at_its_own_length():
    on, expert = 10 * 864, 20 * (544 + 640)
    assert tiny("luffy", 3, 7, 10, 1, 20) == 4 * 3 * (7 * on + expert)
    assert tiny("upt", 3, 8, 16, 10, 2, 20) == 24 * on + 3 * (16 * on + 2 * expert)


def test_strict_charges_experts_no_generation_and_the_old_logprob_pass():
    on, expert = 10 * (464 + 320), 20 * (464 + 640)
    assert tiny("luffy", 3, 7, 10, 1, 20, accounting="strict") == 3 * (4 * 7 * on + 3 * expert)
    assert tiny("grpo", 3, 4, 10, accounting="strict", old_logprob_pass=True) == 5 * 12 * on
    assert tiny("grpo", 3, 4, 10, accounting="retu", old_logprob_pass=True) == 4 * 12 * 10 * 864


def test_token_sums_are_exact():
    lengths = [5, 10, 30]
    exact = sum(length * (544 + 32 * length) for length in lengths)
    sums = (sum(lengths), sum(length**2 for length in lengths))
    assert flops.forward_tokens(TINY, *sums) == exact
    assert flops.step(TINY, (0, 0), sums) == 3 * exact
    assert exact > 3 * 15 * (544 + 32 * 15)  # the mean length understates it


def test_a_step_keeps_generated_and_trained_apart():
    generated, trained = (100, 1200), (40, 900)
    forward = [flops.forward_tokens(TINY, *sums, "strict") for sums in (generated, trained)]
    assert flops.step(TINY, generated, trained, "strict") == forward[0] + 3 * forward[1]
    with_old = flops.step(TINY, generated, trained, "strict", old_logprob_pass=True)
    assert with_old == forward[0] + 4 * forward[1]


WHOLE = {
    "hidden_size": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4,
    "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 10,
}  # fmt: skip


def test_architecture_from_config_and_directory(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(WHOLE))
    assert flops.architecture(tmp_path) == flops.architecture(tmp_path / "config.json") == TINY
    without = {key: value for key, value in WHOLE.items() if key not in ("head_dim", "num_key_value_heads")}
    plain = flops.Architecture.from_config(without)
    assert (plain.head_dim, plain.n_kv_heads) == (2, 2)


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
        sft(TINY, 1, 1, "full")
    with pytest.raises(InputError, match="mean length -5"):
        sft(TINY, 1, -5)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"head_dim": None, "num_key_value_heads": None}, (2, 2)),
        ({"num_experts": None, "num_local_experts": 0}, (4, 1)),
    ],
)
def test_a_configuration_may_leave_out_what_follows(fields, expected):
    arch = flops.Architecture.from_config(WHOLE | fields)
    assert (arch.head_dim, arch.n_kv_heads) == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": None}, "hidden_size is None"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"num_attention_heads": 0}, "num_attention_heads is 0"),
        ({"num_attention_heads": True}, "num_attention_heads is True"),
        ({"num_attention_heads": 5, "head_dim": None}, "head_dim is 0"),
        ({"num_key_value_heads": 0}, "num_key_value_heads is 0"),
        ({"intermediate_size": [8, 8]}, r"intermediate_size is \[8, 8\]"),
        ({"intermediate_size": 8.0}, "intermediate_size is 8.0"),
        ({"vocab_size": 10**400}, "vocab_size is 10"),
        ({"num_experts": 8}, "num_experts marks a mixture of experts"),
        ({"n_routed_experts": 8}, "n_routed_experts marks a mixture of experts"),
    ],
)
def test_a_configuration_without_sizes_is_named(fields, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(WHOLE | fields))
    with pytest.raises(InputError, match=message) as error:
        flops.architecture(tmp_path)
    assert str(path) in str(error.value)


# L 2, H 6, F 10, 4 heads of 3 (twice as wide as H), 2 key-value heads, V 11, tied:
# 2 (3*6*10 + 6*2*(4+2)*3) = 792 weights, and 66 of the vocabulary, in retu twice; scores 4*2*12 = 96.
# A forward pass of 5 tokens: 5 (2*924 + 96*5) = 11640, strict 10980; of 8: 20928, strict 19872.
CONFIG = {
    "num_hidden_layers": 2, "hidden_size": 6, "intermediate_size": 10, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 3, "vocab_size": 11, "tie_word_embeddings": True,
}  # fmt: skip
SMALL = flops.Architecture.from_config(CONFIG)
GROUPS = {"batch_size": 3, "group_size": 4, "mean_length": 5}
EXPERTS = {"batch_size": 3, "group_size": 7, "mean_length": 5, "n_experts": 1, "expert_length": 8}
OPTIONS = {
    "sft": {"batch_size": 3, "mean_length": 5},
    "grpo": GROUPS,
    "dapo": GROUPS | {"rounds": 2, "generation_batch": 5},
    "luffy": EXPERTS,
    "srft": EXPERTS,
    "upt": {
        "batch_size": 3, "group_size": 8, "mean_length": 5,
        "on_samples": 16, "expert_samples": 2, "expert_length": 8,
    },
    "evaluation": GROUPS,
}  # fmt: skip
# retu; strict; strict with the old log-probabilities' pass
GOLDENS = {
    "sft": (9 * 11640, 9 * 10980, None),
    "grpo": (48 * 11640, 48 * 10980, 60 * 10980),
    "dapo": ((10 + 9) * 4 * 11640, (10 + 9) * 4 * 10980, (10 + 12) * 4 * 10980),
    "luffy": (12 * (7 * 11640 + 20928), 3 * (4 * 7 * 10980 + 3 * 19872), 3 * (5 * 7 * 10980 + 4 * 19872)),
    "upt": (
        24 * 11640 + 3 * (16 * 11640 + 2 * 20928),
        24 * 10980 + 3 * (16 * 10980 + 2 * 19872),
        24 * 10980 + 4 * (16 * 10980 + 2 * 19872),
    ),
}
GOLDENS["srft"] = GOLDENS["luffy"]
GOLDENS["evaluation"] = (12 * 11640, 12 * 10980, None)


def exa(paradigm: str, **settings) -> float:
    """The estimate in FLOPs."""
    found = estimates.estimate(SMALL, paradigm, OPTIONS[paradigm], **settings)
    assert found.keys() == {"exaflops", "accounting", "paradigm"}
    return found["exaflops"] * flops.EXA


@pytest.mark.parametrize("paradigm", list(flops.PARADIGMS))
def test_estimates_by_hand(paradigm):
    retu, strict, old_pass = GOLDENS[paradigm]
    assert exa(paradigm) == pytest.approx(retu)
    assert exa(paradigm, steps=30) == pytest.approx(30 * retu)
    assert exa(paradigm, accounting="strict") == pytest.approx(strict)
    if old_pass:
        assert exa(paradigm, accounting="strict", old_logprob_pass=True) == pytest.approx(old_pass)


def test_every_paradigm_lists_its_options():
    for paradigm, sequences in flops.PARADIGMS.items():
        assert OPTIONS[paradigm].keys() == inspect.signature(sequences).parameters.keys()


@pytest.mark.parametrize("paradigm", list(flops.PARADIGMS))
def test_an_option_missing_or_not_used_is_named(paradigm):
    options = OPTIONS[paradigm]
    for name in options:
        flag = "--" + name.replace("_", "-")
        with pytest.raises(InputError, match=f"^{flag} is missing; {paradigm} takes --"):
            estimates.estimate(SMALL, paradigm, options | {name: None})
    for name in {name for other in OPTIONS.values() for name in other} - set(options):
        flag = "--" + name.replace("_", "-")
        with pytest.raises(InputError, match=f"^{flag} is no option of {paradigm}; {paradigm} takes "):
            estimates.estimate(SMALL, paradigm, options | {name: 1.0})


def test_wrong_settings_are_named():
    with pytest.raises(
        InputError, match="paradigm is 'ppo'; choose sft, grpo, dapo, luffy, srft, upt, evaluation"
    ):
        estimates.estimate(SMALL, "ppo", {})
    with pytest.raises(InputError, match="--old-logprob-pass is no option of sft"):
        estimates.estimate(SMALL, "sft", OPTIONS["sft"], accounting="strict", old_logprob_pass=True)
    with pytest.raises(InputError, match="--old-logprob-pass is not charged by retu"):
        estimates.estimate(SMALL, "grpo", GROUPS, old_logprob_pass=True)
    with pytest.raises(InputError, match="choose 'retu' or 'strict'"):
        estimates.estimate(SMALL, "grpo", GROUPS, accounting="full")
    for steps in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="steps is"):
            estimates.estimate(SMALL, "grpo", GROUPS, steps=steps)
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="give numbers of 0 or more"):
            estimates.estimate(SMALL, "grpo", GROUPS | {"batch_size": value})
        with pytest.raises(InputError, match="give numbers of 0 or more"):
            estimates.estimate(SMALL, "grpo", GROUPS | {"mean_length": value})


def write_lengths(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_histograms_are_exact(tmp_path):
    on = write_lengths(tmp_path / "on.csv", "length,count\n4,10\n9,0\n6,10\n")  # mean 5, mean square 26
    expert = write_lengths(tmp_path / "expert.csv", "count,length\n3,6\n1,14\n")  # 8 and 76
    options = OPTIONS["upt"] | {"mean_length": None, "expert_length": None}
    found = estimates.estimate(SMALL, "upt", options, {"mean_length": on, "expert_length": expert})
    on_pass, expert_pass = 2 * 924 * 5 + 96 * 26, 2 * 924 * 8 + 96 * 76
    assert found["exaflops"] * flops.EXA == pytest.approx(GOLDENS["upt"][0])
    assert found["exaflops_exact"] * flops.EXA == pytest.approx(
        24 * on_pass + 3 * (16 * on_pass + 2 * expert_pass)
    )
    assert (found["mean_length"], found["expert_length"]) == (5, 8)
    with pytest.raises(InputError, match="--mean-length and a histogram of these lengths; give one"):
        estimates.estimate(SMALL, "sft", OPTIONS["sft"], {"mean_length": on})
    with pytest.raises(InputError, match="--expert-length is no option of sft"):
        estimates.estimate(SMALL, "sft", OPTIONS["sft"], {"expert_length": expert})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("length,n\n1,2\n", "no column count; it needs length, count"),
        ("length,count\n5,1\n0,2\n", r"row 2 \(line 3\): length is 0; give tokens, more than 0"),
        ("length,count\n5,-1\n", "row 1 .*count is -1; give a number of sequences"),
        ("length,count\n5,\n", "row 1 .*count is nan"),
        ("length,count\n5,0\n", "no sequences"),
        ("length,count\n", "no sequences"),
    ],
)
def test_a_bad_histogram_is_named(tmp_path, text, message):
    path = write_lengths(tmp_path / "lengths.csv", text)
    with pytest.raises(InputError, match=message) as error:
        estimates.read_lengths(path)
    assert "lengths.csv" in str(error.value)


lengths_strategy = st.lists(
    st.tuples(st.integers(1, 20_000), st.integers(0, 1000)), min_size=1, max_size=8
).filter(lambda rows: any(count for _, count in rows))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(flops.PARADIGMS)), st.sampled_from(["retu", "strict"]), lengths_strategy, st.data()
)
def test_exact_is_at_least_the_mean_length_value_and_linear(paradigm, accounting, rows, data):
    def step(lengths, **sizes):
        options = OPTIONS[paradigm] | {"mean_length": lengths} | sizes
        return flops.paradigm_step(SMALL, paradigm, accounting, **options)

    length, count = np.array(rows, dtype=float).T
    mean, square = np.average(length, weights=count), np.average(length**2, weights=count)
    exact = step((mean, square))
    assert exact >= step(mean) * (1 - 1e-12)
    factor = data.draw(st.integers(2, 1000))
    options = OPTIONS[paradigm]
    sizes = {"batch_size", "generation_batch", "on_samples", "expert_samples"} & options.keys()
    larger = step((mean, square), **{name: options[name] * factor for name in sizes})
    assert larger == pytest.approx(factor * exact, rel=1e-12)


def test_gpu_hours_and_cost_by_hand():
    """36 exaFLOPs at 1000 TFLOP/s and 40 % are 90,000 s or 25 GPU-hours, at 2 USD 50."""
    assert estimates.spent(36, 1000, 0.4, 2) == pytest.approx({"gpu_hours": 25, "cost": 50})
    assert estimates.spent(36, 1000, 0.4, None) == pytest.approx({"gpu_hours": 25})
    assert estimates.spent(36, None, None, None) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1000, None, 2), "--mfu is missing; GPU-hours take --peak and --mfu"),
        ((None, None, 2), "--peak is missing"),
        ((0, 0.4, None), "give TFLOP/s above 0"),
        ((1000, 40, None), "--mfu 40; give .* a share above 0, up to 1"),
        ((float("nan"), 0.4, None), "--peak is nan"),
        ((1000, 0.4, -1), "--price is -1; give the USD of a GPU-hour"),
    ],
)
def test_impossible_prices_are_named(given, message):
    with pytest.raises(InputError, match=message):
        estimates.spent(1, *given)


def test_command_of_an_evaluation_with_its_price():
    """pass@64 of 100 problems from 256 samples of 1,000 tokens; the exact compute of a histogram is what is paid."""
    flags = ["flops", "Qwen2.5-7B", "--paradigm", "evaluation", "--batch-size", "100", "--group-size", "256"]
    prices = ["--peak", "989", "--mfu", "0.2", "--price", "3"]
    found = json.loads(CliRunner().invoke(app, [*flags, "--mean-length", "1000", *prices]).stdout)
    by_hand = 25600 * flops.forward_tokens(QWEN, 1000, 1000**2)
    assert found["exaflops"] * flops.EXA == pytest.approx(by_hand)
    assert found["gpu_hours"] == pytest.approx(by_hand / (989e12 * 0.2 * 3600))
    assert found["cost"] == pytest.approx(3 * found["gpu_hours"])


def test_command(tmp_path):
    def run(*options):
        return CliRunner().invoke(app, ["flops", *map(str, options)])

    sft = run(
        "Qwen2.5-7B", *["--paradigm", "sft", "--batch-size", "512", "--mean-length", "3771", "--steps", "360"]
    )
    assert json.loads(sft.stdout)["exaflops"] == pytest.approx(34.915, rel=1e-3)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    for paradigm, options in OPTIONS.items():
        flags = [part for name, value in options.items() for part in ("--" + name.replace("_", "-"), value)]
        found = json.loads(run(tmp_path, "--paradigm", paradigm, *flags).stdout)
        assert found["exaflops"] * flops.EXA == pytest.approx(GOLDENS[paradigm][0])
        assert (found["accounting"], found["paradigm"]) == ("retu", paradigm)
        if paradigm not in ("sft", "evaluation"):
            strict = run(
                tmp_path, "--paradigm", paradigm, *flags, "--accounting", "strict", "--old-logprob-pass"
            )
            assert json.loads(strict.stdout)["exaflops"] * flops.EXA == pytest.approx(GOLDENS[paradigm][2])
    lengths = write_lengths(tmp_path / "lengths.csv", "length,count\n4,1\n6,1\n")
    flags = ["--paradigm", "luffy", "--batch-size", 3, "--group-size", 7, "--n-experts", 1]
    found = json.loads(run(tmp_path, *flags, "--lengths", lengths, "--expert-lengths", lengths).stdout)
    assert found["exaflops_exact"] / found["exaflops"] == pytest.approx((9240 + 96 * 26) / 11640)
    assert "--batch-size is missing" in str(run("Qwen2.5-7B", "--mean-length", 10).exception)
