"""Grading, scores, the sampler, atomic files."""

import math

import pandas as pd
import pytest
import torch

from switchpoint import engine, evaluation, files, grading, models
from switchpoint.rollouts import torch as rollouts


@pytest.mark.parametrize(
    ("gold", "response", "correct", "status"),
    [
        ("5", "So \\boxed{5}", True, "graded"),
        ("5", "\\boxed{6} then \\boxed{5}", True, "graded"),
        ("5", "\\boxed{5} then \\boxed{6}", False, "graded"),
        ("\\frac{1}{2}", "it is \\boxed{0.5}.", True, "graded"),
        ("5", "<answer>5</answer>", True, "graded"),
        ("5", "no idea", False, "unparsable"),
        ("5", "", False, "unparsable"),
        ("5", "\\boxed{" + "9" * 400 + "}", False, "unparsable"),
        (["4", "5"], "\\boxed{5}", True, "graded"),
        ("5", "\\boxed{5", False, "unparsable"),
    ],
)
def test_grading(gold, response, correct, status):
    verdict = grading.grade(gold, response)
    assert (verdict.correct, verdict.status) == (correct, status)


def test_the_last_boxed_answer_balances_its_braces():
    assert grading.last_boxed("\\boxed{1} \\boxed{\\frac{1}{2}} \\boxed{3") == "\\frac{1}{2}"
    assert grading.last_boxed("none") is None


def samples(table: dict[str, list[list[int]]]) -> pd.DataFrame:
    """Samples of each benchmark's problems."""
    records = [
        (0, "test", name, f"{name}/{problem}", sample, 1, False, "1", "graded", bool(correct), "")
        for name, problems in table.items()
        for problem, values in enumerate(problems)
        for sample, correct in enumerate(values)
    ]
    return pd.DataFrame(records, columns=evaluation.SAMPLE_COLUMNS)


def test_scores_by_hand():
    table = evaluation.scores(
        samples({"a": [[1, 1], [0, 1], [0, 0], [1, 1]], "b": [[1, 0]], "ood": [[0]]}), ["ood"]
    )
    table = table.set_index("benchmark")
    assert table.loc["a", "score"] == 62.5
    assert table.loc["a", "se"] == pytest.approx(
        100 * math.sqrt((2 * 0.375**2 + 0.125**2 + 0.625**2) / 3) / 2
    )
    assert table.loc["overall", "score"] == pytest.approx((4 * 62.5 + 50) / 5)
    assert table.loc["macro", "score"] == pytest.approx((62.5 + 50) / 2)
    assert table.loc["overall", "n"] == 5


PROBLEMS = [
    "Start with 3. (1) add 4.",
    "Tom has 9. (1) gets 7 (2) loses 3 (3) keeps mod 5.",
    "Start with 1. (1) add 1.",
]


@pytest.fixture(scope="module")
def sampled():
    model, tokenizer = models.load("assets/tiny-base")
    prompts = [
        rollouts.Prompt(models.render_prompt(tokenizer, text), f"{text}/{n}")
        for n in range(8)
        for text in PROBLEMS
    ]
    return model, tokenizer, prompts


def draw(sampled, prompts=None, max_new_tokens=40, temperature=1.0):
    model, tokenizer, everything = sampled
    settings = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": 3}
    return rollouts.sample(model, prompts or everything, eos={tokenizer.eos_token_id}, **settings)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_log_probabilities_are_the_policys(sampled, temperature):
    model, tokenizer, prompts = sampled
    for prompt, answer in zip(prompts, draw(sampled, temperature=temperature), strict=True):
        ids = torch.tensor([prompt.token_ids + answer.token_ids])
        with torch.no_grad():
            expected = engine.token_logprobs(model, ids, temperature)[0, len(prompt.token_ids) - 1 :]
        assert answer.logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        assert answer.truncated == (answer.token_ids[-1] != tokenizer.eos_token_id)
        assert answer.token_ids.count(tokenizer.eos_token_id) == (not answer.truncated)


def test_sampling_repeats_and_does_not_depend_on_its_neighbours(sampled):
    everything = [answer.token_ids for answer in draw(sampled)]
    assert everything == [answer.token_ids for answer in draw(sampled)]
    alone = [draw(sampled, [prompt])[0].token_ids for prompt in sampled[2]]
    assert alone == everything


def test_a_longer_limit_extends_a_truncated_answer(sampled):
    for short, long in zip(draw(sampled, max_new_tokens=2), draw(sampled), strict=True):
        assert long.token_ids[:2] == short.token_ids
        assert len(short.token_ids) <= 2


def test_choose_draws_from_the_distribution():
    logits = torch.tensor([0.1, 1.2, -0.5, 0.4])
    draws = (torch.arange(20_000) + 0.5) / 20_000
    chosen, logprobs = rollouts.choose(logits.expand(20_000, 4), draws)
    shares = torch.bincount(chosen, minlength=4) / 20_000
    assert torch.allclose(shares, logits.softmax(0), atol=1e-3)
    assert torch.allclose(logprobs, logits.log_softmax(0)[chosen])


def test_atomic_writes_keep_the_old_file_on_failure(tmp_path):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    with pytest.raises(TypeError), files.atomic(path) as temporary:
        temporary.write_text(("half", 1 / 2)[1])
    assert files.read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1}) != files.digest({"a": 1, "b": 3})
