"""The sampler, blocks and parts of an evaluation, atomic files."""

import io
import random
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch

from switchpoint import files, flops
from switchpoint.data import step_lists
from switchpoint.errors import InputError, StoppedError
from switchpoint.study import config as studies
from switchpoint.study import templates
from switchpoint.study.config import Optimizer
from switchpoint.study.expand import Expansion
from switchpoint.study.jobs import EvaluateJob, EvaluationSettings, Sampling, Template
from switchpoint.training import evaluation, models, sft
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.job_run import Limit
from switchpoint.training.rollouts import sampler as rollouts
from switchpoint.training.rollouts import transformers

RETU = Template(name="retu", sha256=templates.template_hash("retu"))
PROBLEMS = [
    "Start with 3. (1) add 4.",
    "Tom has 9. (1) gets 7 (2) loses 3 (3) keeps mod 5.",
    "Start with 1. (1) add 1.",
]


def make_sampling(temperature=1.0, max_new_tokens=40, seed=0) -> Sampling:
    return Sampling(temperature=temperature, top_p=1.0, max_new_tokens=max_new_tokens, seed=seed)


@pytest.fixture(scope="module")
def sampled():
    policy = models.load("src/switchpoint/tiny-base")
    prompts = [
        rollouts.Prompt(policy.tokenizer.render_prompt(text, RETU), f"{text}/{n}")
        for n in range(8)
        for text in PROBLEMS
    ]
    return policy.model, policy.tokenizer, prompts


def draw(sampled, prompts=None, max_new_tokens=40, temperature=1.0):
    model, tokenizer, everything = sampled
    sampler = rollouts.Sampler(model, {tokenizer.eos_token_id})
    return sampler.sample(prompts or everything, make_sampling(temperature, max_new_tokens, seed=3))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_log_probabilities_are_the_policys(sampled, temperature):
    model, tokenizer, prompts = sampled
    numbers = Optimizer(learning_rate=1e-3)
    engine = Engine(model, numbers, tokenizer.pad_token_id, temperature=temperature)
    for prompt, answer in zip(prompts, draw(sampled, temperature=temperature), strict=True):
        (expected,) = engine.logprobs([Sequence(prompt.token_ids, answer.token_ids)])
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
    chosen, logprobs = transformers.choose(logits.expand(20_000, 4), draws, top_p=1.0)
    shares = torch.bincount(chosen, minlength=4) / 20_000
    assert torch.allclose(shares, logits.softmax(0), atol=1e-3)
    assert torch.allclose(logprobs, logits.log_softmax(0)[chosen])


def test_top_p_draws_from_the_likeliest_tokens():
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    draws = (torch.arange(10_000) + 0.5) / 10_000
    for top_p, expected in ((0.79, [0.625, 0.375, 0, 0]), (0.81, [0.5, 0.3, 0.15, 0]), (0.3, [1, 0, 0, 0])):
        chosen, logprobs = transformers.choose(logits.expand(10_000, 4), draws, top_p)
        shares = torch.bincount(chosen, minlength=4) / 10_000
        kept = torch.tensor(expected) / sum(expected)
        assert torch.allclose(shares, kept, atol=1e-3)
        assert torch.allclose(logprobs, logits[chosen])  # of the whole distribution


def test_a_model_that_never_stops_is_refused(sampled):
    model, tokenizer, _ = sampled
    prompts = [tokenizer.render_prompt(text, RETU) for text in PROBLEMS]
    config = studies.load("config.yaml")
    job = Expansion(config).sft_job("S", 0).model_copy(update={"max_length": 30})
    sft.check_stops(rollouts.Sampler(model, {tokenizer.eos_token_id}), prompts, job)
    with pytest.raises(InputError, match="none of 3 responses ended within 30 tokens"):
        sft.check_stops(rollouts.Sampler(model, set()), prompts, job)


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


# Whole evaluations: blocks, parts, more samples, kills


@pytest.fixture(scope="module")
def problems(tmp_path_factory):
    """The path of a table of 40 problems of two benchmarks."""
    rows = pd.DataFrame(step_lists.make_problems(0, "evaluation", 40, (2, 4), [1, 2]))
    rows = rows.assign(benchmark=["a", "b"] * 20, split=["monitor"] * 12 + ["test"] * 28)
    path = tmp_path_factory.mktemp("problems") / "benchmarks.parquet"
    rows.to_parquet(path)
    return str(path)


def make_job(samples: int = 3) -> EvaluateJob:
    counts = {"monitor": {"a": 1, "b": 1}, "test": {"a": samples, "b": 2}}
    settings = EvaluationSettings(sampling=make_sampling(), extraction="any", template=RETU, samples=counts)
    return EvaluateJob(recipe=1, group="base", settings=settings)


def run(problems: str, directory, part=(0, 1), samples: int = 3, limit: Limit | None = None) -> bytes:
    """The samples file that an evaluation writes."""
    out = str(directory / f"out_{part[0]}")
    state = str(directory / f"state_{part[0]}")
    evaluation.run(make_job(samples), ["src/switchpoint/tiny-base"], [problems], out, state, part, limit)
    return (directory / f"out_{part[0]}/samples.parquet").read_bytes()


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 5)


@pytest.fixture(scope="module")
def whole(problems, tmp_path_factory):
    """The bytes of the evaluation in blocks of 5 problems."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "BLOCK", 5)
        return run(problems, tmp_path_factory.mktemp("whole"))


def test_an_evaluation_samples_what_it_says(whole, problems):
    table = pd.read_parquet(io.BytesIO(whole))
    counts = table.groupby(["split", "benchmark", "id"]).size().groupby(["split", "benchmark"]).unique()
    assert counts.map(list).to_dict() == {
        ("monitor", "a"): [1], ("monitor", "b"): [1], ("test", "a"): [3], ("test", "b"): [2],
    }  # fmt: skip
    assert not table.duplicated(["split", "id", "sample"]).any()
    assert set(table["verdict"]) <= {"graded", "unparsable"}
    assert 0 < table["correct"].mean() < 1


def test_what_an_evaluation_took_by_hand():
    """Of (L 1, H 4, F 8, 2 heads of 4, 1 key-value head, V 10): 2 * 272 a token and 32 a squared length."""
    arch = flops.Architecture(1, 4, 8, 2, 1, 4, 10)
    problems = pd.DataFrame({"id": ["p", "q"], "token_ids": [[1, 2, 3], [1] * 5]})
    samples = pd.DataFrame({"id": ["p", "p", "q"], "n_tokens": [2, 4, 5]})  # lengths 5, 7, 10
    found = evaluation.forward_exaflops(arch, samples, problems)
    assert found * 1e18 == pytest.approx(22 * 544 + (25 + 49 + 100) * 32)


@pytest.mark.parametrize("parts", [1, 3, 7, pytest.param(40, marks=pytest.mark.soak)])
def test_parts_make_the_same_bytes(parts, problems, whole, tmp_path, small_blocks):
    for part in range(parts):
        run(problems, tmp_path, (part, parts))
    directories = [str(tmp_path / f"out_{part}") for part in range(parts)]
    evaluation.merge(make_job(), directories, [problems], str(tmp_path / "merged"))
    assert (tmp_path / "merged/samples.parquet").read_bytes() == whole
    record = files.read_json(tmp_path / "merged/run.json")
    spent = [files.read_json(f"{path}/run.json")["evaluation_exaflops"] for path in directories]
    assert sum(spent) > 0
    assert record["evaluation_exaflops"] == pytest.approx(sum(spent))
    assert record["checkpoints"] == [
        {"run": "base", "phase": "base", "step": 0, "exaflops": 0.0, "exaflops_total": 0.0}
    ]
    assert sum(record["verdicts"].values()) == len(pd.read_parquet(io.BytesIO(whole)))


def test_a_missing_part_is_refused(problems, tmp_path, small_blocks):
    run(problems, tmp_path, (0, 2))
    with pytest.raises(InputError, match="give every part, once"):
        evaluation.merge(make_job(), [str(tmp_path / "out_0")], [problems], str(tmp_path / "merged"))
    with pytest.raises(InputError, match="give every part, once"):
        evaluation.merge(make_job(), [str(tmp_path / "out_0")] * 2, [problems], str(tmp_path / "merged"))


def test_the_size_of_a_block_changes_nothing(problems, whole, tmp_path):
    assert run(problems, tmp_path) == whole


def test_more_samples_extend_an_evaluation(problems, whole, tmp_path, small_blocks, monkeypatch):
    assert run(problems, tmp_path) == whole
    sampled = []
    real = evaluation.evaluate_block
    monkeypatch.setattr(evaluation, "evaluate_block", lambda *args: sampled.append(args[2]) or real(*args))
    extended = pd.read_parquet(io.BytesIO(run(problems, tmp_path, samples=5)))
    assert {block.sample for block in sampled} == {3, 4}
    assert {name for block in sampled for name in block.problems["benchmark"]} == {"a"}
    first = extended[extended["sample"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, pd.read_parquet(io.BytesIO(whole)))


KILLED = """
import sys
from switchpoint import tables
from switchpoint.study.jobs import EvaluateJob
from switchpoint.training import evaluation
evaluation.BLOCK = 1
real = tables.write_parquet
def write(table, path):
    real(table, path)
    print("block", flush=True)
tables.write_parquet = write
evaluation.run(EvaluateJob.read(sys.argv[1], "job"), ["src/switchpoint/tiny-base"], [sys.argv[2]], sys.argv[3], sys.argv[4])
"""


def killed_and_resumed(problems: str, whole: bytes, directory, kills: int) -> None:
    """Kills an evaluation at random moments after it began to sample; compares what it ends with.

    It has 82 blocks of one problem, so that no run gets to the end before it is killed.
    """
    rng = random.Random(kills)
    out, state = str(directory / "out"), str(directory / "state_0")
    command = [sys.executable, "-c", KILLED, make_job().model_dump_json(), problems, out, state]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if process.stdout.readline():
            time.sleep(rng.uniform(0.0, 0.1))
        process.kill()
        process.wait()
        process.stdout.close()
        assert not (directory / "out/run.json").exists()
    assert run(problems, directory) == whole


def test_a_killed_evaluation_ends_the_same(problems, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 1)
    killed_and_resumed(problems, whole, tmp_path, kills=1)


@pytest.mark.soak
def test_ten_kills_change_nothing(problems, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 1)
    killed_and_resumed(problems, whole, tmp_path, kills=10)


def test_an_evaluation_short_of_time_makes_a_block_an_attempt(problems, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "BLOCK", 20)  # six blocks
    for done in range(1, 6):
        with pytest.raises(StoppedError, match=f"saved at block {done}; run the same command to go on"):
            run(problems, tmp_path, limit=Limit(0.0))
    assert run(problems, tmp_path, limit=Limit(0.0)) == whole


def test_win_rates_resume_at_the_next_block(problems, tmp_path, small_blocks, monkeypatch):
    """A job that ended after two of its sixteen blocks samples the fourteen others, and ends as a whole one."""
    job = Expansion(studies.load("config.yaml")).win_rates_job()
    sampled, real = [], evaluation.evaluate_block

    def count(*args):
        sampled.append(args[2].name)
        if len(sampled) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(evaluation, "evaluate_block", count)
    samples = {"test": {"pool": 2}}
    job = job.model_copy(update={"settings": job.settings.model_copy(update={"samples": samples})})
    with pytest.raises(KeyboardInterrupt):
        evaluation.measure_win_rates(job, "src/switchpoint/tiny-base", problems, str(tmp_path / "state"))
    _, resumed = evaluation.measure_win_rates(
        job, "src/switchpoint/tiny-base", problems, str(tmp_path / "state")
    )
    assert len(sampled) == 3 + 14
    assert len(set(sampled)) == 16
    _, whole = evaluation.measure_win_rates(
        job, "src/switchpoint/tiny-base", problems, str(tmp_path / "other")
    )
    pd.testing.assert_frame_equal(resumed, whole)
    assert len(whole) == 80
