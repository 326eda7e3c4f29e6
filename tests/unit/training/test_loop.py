"""How an RL run ends: outputs and status, wherever the model breaks."""

import dataclasses
import itertools
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file
from test_recipes import inputs

from switchpoint.errors import DivergedError, InputError
from switchpoint.study import config as studies
from switchpoint.study.algorithms import ALGORITHMS
from switchpoint.study.expand import Expansion
from switchpoint.training import evaluation
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.rl import batches, loop
from switchpoint.training.rl.dynamic_sampling import Group, Question
from switchpoint.training.rollouts.sampler import Rollout, Sampler

ROOT = Path(__file__).parents[3]
BASE = ROOT / "src/switchpoint/tiny-base"


def with_arm(algorithm: str, **rl) -> dict:
    """The default study with this arm from the base alone."""
    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    config["rl"] |= rl
    config["arms"] = [{"algorithm": algorithm, "starts": ["base"]}]
    return config


def log_of(out: Path) -> list[dict]:
    """The log in a run's record."""
    return json.loads((out / "run.json").read_text())["log"]


def train(directory: Path, algorithm: str = "grpo", options: loop.Options | None = None, **rl) -> Path:
    """Three steps from the base with evaluations around them; the folder of the outputs."""
    directory.mkdir(exist_ok=True)
    short = {"steps": 3, "batch_size": 4, "rollouts": 4, "eval_every": 3}
    config = with_arm(algorithm, **short | rl)
    config["evaluation"]["monitor_samples"] = 1
    files = inputs(directory)
    loop.run(
        Expansion(studies.parse(config)).rl_job(algorithm, "base", 0),
        str(BASE), files["prompts"], files["benchmarks"], str(directory / "out"), str(directory / "state"),
        options or loop.Options(save_every=1),
    )  # fmt: skip
    return directory / "out"


EXPERTS = ["luffy", "srft", "upt"]
TERMS = {"luffy": ("off", "rl"), "srft": ("sft", "off", "pos", "neg"), "upt": ("sft", "rl")}


@pytest.mark.parametrize("algorithm", EXPERTS)
def test_a_run_with_experts_logs_its_terms(tmp_path, algorithm):
    out = train(tmp_path, algorithm)
    record = json.loads((out / "run.json").read_text())
    terms = {*TERMS[algorithm], "entropy"}
    for line in record["log"]:
        logged = {name.removeprefix("loss_"): line[name] for name in line if name.startswith("loss_")}
        assert logged.keys() == terms
        assert line["loss"] == pytest.approx(sum(logged.values()), abs=1e-5)
        assert line["logprob_gap"] < 1e-4
    assert record["evaluation_exaflops"] > 0  # of the monitoring, and no part of the run's own
    first, *others = record["log"]
    assert {name for name in first if name.startswith("norm_")} == {f"norm_{name}" for name in terms}
    assert -1 <= first["cosine"] <= 1
    assert not any("cosine" in line for line in others)  # it costs a backward pass a term


def cut_off(monkeypatch, owner: type, method: str, call: int, *arguments, **options) -> None:
    """Trains, and is cut off at the n-th call of a method."""
    real, calls = getattr(owner, method), itertools.count()

    def cut(*given):
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, cut)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments, **options)


def assert_same(out: Path, other: Path) -> None:
    """The outputs are the same, byte for byte, and so are the logs."""
    for name in ("model/model.safetensors", "points.csv", "samples.parquet"):
        assert (out / name).read_bytes() == (other / name).read_bytes()
    assert log_of(out) == log_of(other)


@pytest.mark.parametrize("algorithm", EXPERTS)
def test_a_run_with_experts_that_was_cut_off_ends_as_a_whole_one(tmp_path, monkeypatch, algorithm):
    whole = train(tmp_path / "whole", algorithm)
    cut_off(monkeypatch, Sampler, "sample", 2, tmp_path / "cut", algorithm)
    assert_same(train(tmp_path / "cut", algorithm), whole)


CARRIED = {"steps": 5, "batch_size": 2, "generation_batch": 12, "carry_over": True, "eval_every": 5}


def test_groups_carried_over_fill_the_next_steps(tmp_path, monkeypatch):
    seen, sample, asked = updates(monkeypatch), Sampler.sample, []

    def recorded(sampler, prompts, sampling):
        found = sample(sampler, prompts, sampling)
        asked.append([one.token_ids for one in found])
        return found

    monkeypatch.setattr(Sampler, "sample", recorded)
    log, left = log_of(train(tmp_path, "dapo_d", **CARRIED)), 0
    for line in log:
        assert line["carried_groups"] == min(left, 2)
        left += line["mixed"] - line["trained_groups"]
        assert line["surplus_groups"] == left
        # Of an older policy: the trainer's log-probabilities are computed again, by the present one.
        assert (line["logprob_gap"] > 1e-3) == (line["carried_groups"] > 0)
        assert ("reward" in line) == (line["rounds"] > 0)
    assert 0 in [line["rounds"] for line in log]
    generated = iter([tokens for rollouts in asked[1:-1] for tokens in rollouts])
    trained = [one.response for rows in seen for one in rows]
    assert len(trained) == 4 * sum(line["trained_groups"] for line in log)
    assert all(tokens in generated for tokens in trained)  # in their order, each at most once


@pytest.mark.parametrize(("owner", "method", "call"), [(Sampler, "sample", 2), (Engine, "step", 3)])
def test_a_run_that_was_cut_off_carries_over_what_a_whole_one_does(
    tmp_path, monkeypatch, owner, method, call
):
    """Where it fills a batch with new groups, and where the old ones are enough."""
    whole = train(tmp_path / "whole", "dapo_d", **CARRIED)
    cut_off(monkeypatch, owner, method, call, tmp_path / "cut", "dapo_d", **CARRIED)
    assert_same(train(tmp_path / "cut", "dapo_d", **CARRIED), whole)


def drifting(monkeypatch, factor: float, from_call: int = 1) -> None:
    """From its n-th call on (0 evaluates) the sampler's probabilities are the policy's times a factor, so it says."""
    sample, calls = Sampler.sample, itertools.count()

    def shifted(sampler, prompts, sampling):
        shift = math.log(factor) if next(calls) >= from_call else 0.0
        found = sample(sampler, prompts, sampling)
        return [dataclasses.replace(one, logprobs=[value + shift for value in one.logprobs]) for one in found]

    monkeypatch.setattr(Sampler, "sample", shifted)


def test_a_gap_between_trainer_and_sampler_is_said_and_counted(tmp_path, monkeypatch, capsys):
    whole = train(tmp_path / "whole")
    drifting(monkeypatch, 1.5, from_call=2)
    warned = train(tmp_path / "warned", options=loop.Options(max_logprob_gap=0.4))
    said = capsys.readouterr().out
    record = json.loads((warned / "run.json").read_text())
    gaps = [line["logprob_gap"] for line in record["log"]]
    assert gaps == [pytest.approx(gap, abs=1e-4) for gap in (0, math.log(1.5), math.log(1.5))]
    assert record["steps_above_max_logprob_gap"] == 2
    assert json.loads((whole / "run.json").read_text())["steps_above_max_logprob_gap"] == 0
    assert "step 2: the log-probabilities of trainer and sampler differ by 0.405 on average" in said
    assert said.count("rl.max_logprob_gap is 0.4\n") == 2
    same = "model/model.safetensors"
    assert (whole / same).read_bytes() == (warned / same).read_bytes()


def test_a_run_that_fails_at_a_gap_goes_on_with_another_limit(tmp_path, monkeypatch, capsys):
    whole = train(tmp_path / "whole")
    failing = loop.Options(save_every=1, max_logprob_gap=0.4, on_logprob_gap="fail")
    with monkeypatch.context() as patched:
        drifting(patched, 1.5, from_call=2)
        with pytest.raises(
            loop.LogprobGapError, match=r"step 2: .* give both the same weights and precision, or raise"
        ):
            train(tmp_path / "failed", options=failing)
    assert not (tmp_path / "failed/out").exists()
    again = train(tmp_path / "failed", options=dataclasses.replace(failing, max_logprob_gap=0.5))
    assert "resumed at step 1" in capsys.readouterr().out
    for name in ("model/model.safetensors", "points.csv", "samples.parquet"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("updates_per_step", [1, 2])
@pytest.mark.parametrize(("factor", "weight", "capped"), [(2.0, 0.5, 0), (1.0, 1.0, 0), (0.25, 1.5, 1)])
def test_the_weights_of_the_tokens_are_logged(
    tmp_path, monkeypatch, factor, weight, capped, updates_per_step
):
    """The trainer's probability is that before the step, at every update of it."""
    drifting(monkeypatch, factor)
    rl = {"importance_cap": 1.5, "updates_per_step": updates_per_step}
    for line in log_of(train(tmp_path, **rl)):
        assert line["importance_weight"] == pytest.approx(weight, abs=1e-4)
        assert line["importance_capped"] == capped
        assert line["logprob_gap"] == pytest.approx(abs(math.log(factor)), abs=1e-4)


def test_the_weights_are_those_of_the_loss(tmp_path, monkeypatch):
    """Of the first step, whose rollouts are the same: twice the sampler's probability is half the loss."""
    plain = log_of(train(tmp_path / "plain", "dapo_d"))[0]
    drifting(monkeypatch, 2.0)
    weighed = json.loads((train(tmp_path / "weighed", "dapo_d", importance_cap=2) / "run.json").read_text())[
        "log"
    ][0]
    assert plain["loss_rl"] != 0
    assert weighed["loss_rl"] == pytest.approx(plain["loss_rl"] / 2, rel=1e-3)
    assert weighed["loss_entropy"] == plain["loss_entropy"]


def test_an_update_of_experts_alone_has_no_part_in_the_samplers_figures(tmp_path, monkeypatch):
    """The rollouts are in the first update of the step, the experts in the second."""

    def apart(groups, numbers):
        return batches.on_policy(groups[:1], False) + [batches.expert(group) for group in groups]

    monkeypatch.setattr(batches, "rows", apart)
    log = log_of(train(tmp_path, "upt", updates_per_step=2))
    assert all(0 < line["logprob_gap"] < 1e-4 for line in log)
    first, second = {"loss": 1.0, "logprob_gap": 0.5}, {"loss": 3.0}
    assert loop.means([first, second]) == {"loss": 2.0, "logprob_gap": 0.5}


def updates(monkeypatch) -> list[list[Sequence]]:
    """The sequences of every update, as they come."""
    step, seen = Engine.step, []
    monkeypatch.setattr(
        Engine, "step", lambda engine, rows, loss_of: seen.append(rows) or step(engine, rows, loss_of)
    )
    return seen


def test_truncated_rollouts_are_in_their_groups_and_not_in_the_loss(tmp_path, monkeypatch):
    seen, first = updates(monkeypatch), {}
    for masked in (False, True):
        out = train(tmp_path / str(masked), mask_truncated=masked, max_new_tokens=16)
        log = log_of(out)
        first[masked], seen[:] = (seen[0], log[0]), []
    (rows, line), (kept, masked_line) = first[False], first[True]
    assert kept == [one for one in rows if not one.truncated]  # with the advantages of the whole groups
    assert 0 < len(kept) < len(rows)
    assert masked_line["masked"] == len(rows) - len(kept) == line["truncated"] * len(rows)
    for name in ("reward", "truncated", "response_tokens"):
        assert masked_line[name] == line[name]
    assert "masked" not in line


@pytest.mark.parametrize("algorithm", ["grpo", "luffy", "upt"])
def test_a_step_whose_every_rollout_is_masked_updates_with_its_experts_or_not_at_all(
    tmp_path, monkeypatch, algorithm
):
    """As if all answers were cut, and all wrong; the experts are whole."""
    answer = evaluation.answer

    def cut(*arguments) -> list[evaluation.Answer]:
        return [
            evaluation.Answer(
                dataclasses.replace(one.rollout, truncated=True),
                one.text,
                dataclasses.replace(one.verdict, correct=False),
            )
            for one in answer(*arguments)
        ]

    monkeypatch.setattr(evaluation, "answer", cut)
    seen = updates(monkeypatch)
    out = train(tmp_path, algorithm, mask_truncated=True)
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["steps"]) == ("finished", 3)
    assert all(line["truncated"] == 1 for line in record["log"])
    assert all(one.expert for rows in seen for one in rows)
    if algorithm != "grpo":
        assert record["steps_without_update"] == 0
        return
    assert record["steps_without_update"] == 3
    assert [line["masked"] for line in record["log"]] == [16] * 3
    assert not any("loss" in line for line in record["log"])
    weights, start = load_file(out / "model/model.safetensors"), load_file(BASE / "model.safetensors")
    assert all((weights[name] == start[name]).all() for name in start)


def test_an_expert_longer_than_a_response_is_refused_and_not_cut(tmp_path):
    """Its end would not be learned."""
    with pytest.raises(
        InputError, match=r"has \d+ tokens, more than rl\.max_new_tokens 2; raise it, or lower"
    ):
        train(tmp_path, "luffy", max_new_tokens=2)
    train(tmp_path / "without", "grpo", max_new_tokens=2)


def test_the_compute_of_a_step_with_experts():
    """Eq. 24 charges the expert a generation pass, Eq. 25 does not."""
    rollouts = [Rollout([1, 2], [-1.0] * 2, False), Rollout([1, 2, 3], [-1.0] * 3, False)]
    group = Group(Question("a", "1", [7] * 5, "", [8] * 10), rollouts, [0, 0])
    assert loop.generated_lengths([group], 1) == [7, 8, 15]
    assert loop.generated_lengths([group, group], 0) == [7, 8, 7, 8]
    assert loop.token_sums([7, 8, 15]) == (30, 49 + 64 + 225)
    for name, trained in (("luffy", [7, 8, 15]), ("upt", [15]), ("grpo", [7, 8])):
        assert [len(one) for one in batches.rows([group], ALGORITHMS[name]["paper"])] == trained


def test_experts_need_solutions(tmp_path):
    files = inputs(tmp_path)
    prompts = pd.read_parquet(files["prompts"])
    prompts["solution"] = None
    prompts.to_parquet(files["prompts"])
    tables = files["prompts"], files["benchmarks"]
    job = Expansion(studies.parse(with_arm("upt"))).rl_job("upt", "base", 0)
    with pytest.raises(InputError, match="has no solution; upt needs the mix set"):
        loop.run(job, str(BASE), *tables, str(tmp_path / "out"), str(tmp_path / "state"))
    prompts.head(0).to_parquet(files["prompts"])
    with pytest.raises(InputError, match="no prompt to train on; upt takes those of the mix set"):
        loop.run(job, str(BASE), *tables, str(tmp_path / "out"), str(tmp_path / "state"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_group_has_two_responses_or_more(algorithm):
    """One has advantage 0, and an expert needs a rollout beside it."""
    with pytest.raises(InputError, match=r"rl\.rollouts: 1: one response has advantage 0, .* give 2 or more"):
        studies.parse(with_arm(algorithm, rollouts=1))
    job = Expansion(studies.parse(with_arm(algorithm, rollouts=2))).rl_job(algorithm, "base", 0)
    assert job.rollouts - job.numbers.n_experts >= 1


def test_the_gate_and_the_mix_set_of_a_study_reach_its_jobs():
    assert Expansion(studies.parse(with_arm("upt"))).rl_job("upt", "base", 0).numbers.gate == 0.0
    study = Expansion(studies.parse(with_arm("upt", gate=0.25)))
    assert study.rl_job("upt", "base", 0).numbers.gate == 0.25
    assert study.rl_prompts("upt", "base") == "results/quickstart/data/mix.parquet"
    assert study.rl_prompts("grpo", "base") == "results/quickstart/data/rl_prompts.parquet"


def breaking(monkeypatch, call: int) -> None:
    """The sampler finds no finite output at its n-th call: 0 and 4 evaluate, 1 to 3 are the steps'."""
    sample, calls = Sampler.sample, iter(range(100))

    def checked(sampler, prompts, sampling):
        if next(calls) == call:
            raise DivergedError("the model's output is not finite")
        return sample(sampler, prompts, sampling)

    monkeypatch.setattr(Sampler, "sample", checked)


@pytest.mark.parametrize(("call", "steps"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_a_model_that_the_sampler_finds_broken_ends_the_run_as_diverged(tmp_path, monkeypatch, call, steps):
    breaking(monkeypatch, call)
    out = train(tmp_path)
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["steps"], len(record["log"])) == ("diverged", steps, steps)
    assert pd.read_csv(out / "points.csv")["step"].unique().tolist() == [0]
    assert (out / "samples.parquet").is_file()
    weights, start = load_file(out / "model/model.safetensors"), load_file(BASE / "model.safetensors")
    kept = all((weights[name] == start[name]).all() for name in start)
    assert kept == (steps < 2)  # the weights before the update whose output was broken


def test_a_start_that_is_broken_is_an_error(tmp_path, monkeypatch):
    breaking(monkeypatch, 0)
    with pytest.raises(DivergedError, match="not finite"):
        train(tmp_path)
    assert not (tmp_path / "out").exists()
