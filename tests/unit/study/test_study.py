"""Evaluation profiles, templates, and what a job depends on."""

import sys
from pathlib import Path

import pytest
import yaml

from switchpoint.data.adapters import ADAPTERS
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import templates
from switchpoint.study.algorithms import ALGORITHMS
from switchpoint.study.expand import Expansion
from switchpoint.study.jobs import RlJob
from switchpoint.study.sources import BENCHMARK_SCHEMAS

ROOT = Path(__file__).parents[3]


def expanded(**evaluation) -> Expansion:
    """The default study with another evaluation."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["evaluation"] = evaluation
    return Expansion(studies.parse(config))


def test_a_profile_fills_what_is_not_given():
    retu = expanded(profile="retu").evaluate_job("base").settings
    assert (retu.sampling.temperature, retu.sampling.top_p, retu.sampling.max_new_tokens) == (0.7, 1.0, 8192)
    assert set(retu.samples["test"].values()) == {1}
    quagmires = expanded(profile="quagmires", max_new_tokens=100)
    settings = quagmires.evaluate_job("base").settings
    assert (settings.sampling.temperature, settings.sampling.max_new_tokens) == (1.0, 100)
    assert set(settings.samples["test"].values()) == {256}
    assert quagmires.collect_job().pass_at == [1, 2, 4, 8, 16, 32, 64]


def test_pass_at_k_needs_k_samples():
    with pytest.raises(InputError, match="pass@k needs k <= test_samples"):
        expanded(test_samples=4, pass_at=[1, 8])


def test_what_is_reported_is_not_in_the_samples_job():
    few, many = expanded(test_samples=8, pass_at=[1]), expanded(test_samples=8, pass_at=[1, 8], parts=3)
    assert few.evaluate_job("base") == many.evaluate_job("base")
    assert few.collect_job() != many.collect_job()


def test_test_samples_leave_training_alone():
    few, many = expanded(test_samples=1), expanded(test_samples=8)
    assert few.rl_job("dapo_dc", "S-20", 0) == many.rl_job("dapo_dc", "S-20", 0)
    assert few.evaluate_job("rl/dapo_dc/S-20") != many.evaluate_job("rl/dapo_dc/S-20")
    assert few.evaluate_job("rl/dapo_dc/S-20").settings.samples.keys() == {"test"}


def test_a_template_is_named_and_hashed_in_every_job():
    study = expanded()
    for job in (
        study.sft_job("S", 0),
        study.rl_job("grpo", "base", 0),
        study.evaluate_job("base").settings,
        study.win_rates_job().settings,
    ):
        assert (job.template.name, job.template.sha256) == ("retu", templates.template_hash("retu"))
    assert len(set(map(templates.template_hash, templates.TEMPLATES))) == len(templates.TEMPLATES)


def test_a_job_reads_what_it_wrote_and_nothing_else():
    job = expanded().rl_job("dapo_dc", "S-20", 0)
    text = job.model_dump_json()
    assert RlJob.read(text, "--job") == job
    with pytest.raises(InputError, match="stepz: unknown key"):
        RlJob.read(text.replace('"steps"', '"stepz"'), "--job")


def test_every_benchmark_schema_has_its_adapter():
    assert set(ADAPTERS) == set(BENCHMARK_SCHEMAS)


def test_templates_keep_the_problems_braces():
    for name in templates.TEMPLATES:
        messages = templates.messages(name, "Find {x} in \\frac{1}{2} {problem}.")
        assert (
            sum(message["content"].count("Find {x} in \\frac{1}{2} {problem}.") for message in messages) == 1
        )
        assert messages[-1]["role"] == "user"


def test_a_benchmark_may_not_bear_a_scores_name():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["data"]["benchmarks"]["overall"] = config["data"]["benchmarks"].pop("gsm")
    with pytest.raises(InputError, match="'overall'"):
        studies.parse(config)


def calls_of_planning(directory: Path, count: int) -> int:
    """Function calls in which a study of this many more sources, with their locks, is read and expanded."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for number in range(count):
        lock = directory / f"{number}.lock"
        lock.write_text("unread")
        config["data"]["sources"][f"raw_{number}"] = {
            "kind": "file", "path": f"gone/{number}.jsonl", "lock": str(lock),
        }  # fmt: skip
        config["data"]["pool"].append(f"raw_{number}")
    config["data"]["prompts"]["sources"] = list(config["data"]["pool"])
    calls = 0

    def count_call(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count_call)
    study = studies.parse(config)
    studies.check_files(study)
    jobs = [Expansion(study).ingest_job(name) for name in study.data.sources]
    sys.setprofile(None)
    assert len(jobs) == count + 9
    return calls


def test_planning_of_many_locks_is_linear(tmp_path):
    """It looks whether they are there, and opens neither them nor their data."""
    few, many = calls_of_planning(tmp_path, 500), calls_of_planning(tmp_path, 4_000)
    assert many < 9 * few  # 8 if linear, 64 if quadratic


def test_some_benchmark_that_counts_is_monitored():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    slices = config["data"]["benchmarks"]
    for name, bench in slices.items():
        bench["monitor"] = 0 if name != "aime" else 5
    assert Expansion(studies.parse(config)).rl_job("dapo_dc", "S-20", 0)
    slices["aime"]["out_of_distribution"] = True
    with pytest.raises(InputError, match="raise the `monitor` of a benchmark"):
        studies.parse(config)


def test_the_paradigms_differ_in_the_algorithm_alone():
    study, default = (
        Expansion(studies.load(ROOT / path)) for path in ("config/paradigms.yaml", "config.yaml")
    )
    runs = {(run.algorithm, str(run.start), run.seed) for run in study.rl_runs}
    starts = ("base", "Full-200")
    assert runs == {(name, start, seed) for name in ALGORITHMS for start in starts for seed in (0, 1, 2)}
    for start in starts:
        jobs = [
            study.rl_job(name, start, 0).model_dump(exclude={"algorithm", "numbers"}) for name in ALGORITHMS
        ]
        assert all(job == jobs[0] for job in jobs)
    # Those that use no expert have the same prompts: all of these have a solution.
    assert all(study.study.data.sources[name].solutions for name in study.study.data.prompts.sources)
    assert study.sft_job("Full", 0) == default.sft_job("Full", 0)
    tests = [one.evaluate_job("rl/grpo/base").settings for one in (study, default)]
    assert tests[0] == tests[1]


def with_arms(*arms: dict) -> Expansion:
    """The default study with these arms."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return Expansion(studies.parse(config | {"arms": list(arms)}))


UPT, GRPO = {"algorithm": "upt", "starts": ["base", "S-20"]}, {"algorithm": "grpo", "starts": ["base"]}


def test_a_learning_rate_of_an_arm_is_its_runs_alone():
    plain, own = with_arms(UPT, GRPO), with_arms(UPT | {"learning_rate": 1e-3}, GRPO)
    assert own.rl_job("upt", "base", 0).optimizer.learning_rate == 1e-3
    assert own.rl_job("upt", "S-20", 0).optimizer.learning_rate == 1e-3
    rest = {"optimizer"}
    jobs = [study.rl_job("upt", "base", 0) for study in (plain, own)]
    assert jobs[0].model_dump(exclude=rest) == jobs[1].model_dump(exclude=rest)
    assert plain.rl_job("grpo", "base", 0).text == own.rl_job("grpo", "base", 0).text
    assert plain.rl_runs == own.rl_runs
    # The same as all: the same job.
    same = with_arms(UPT | {"learning_rate": 2.2e-4}, GRPO)
    assert plain.rl_job("upt", "base", 0).text == same.rl_job("upt", "base", 0).text
    # The report says so.
    told = own.report_job().hyperparameters["upt"]
    assert told["learning_rate, from base, S-20"] == 1e-3
    assert "learning_rate" not in "".join(plain.report_job().hyperparameters["upt"])


def test_two_learning_rates_of_the_same_runs_are_refused():
    with pytest.raises(
        InputError, match=r"upt from base is there with different learning rates, 0\.00022 and 0\.001"
    ):
        with_arms(UPT, GRPO, UPT | {"learning_rate": 1e-3, "starts": ["base"]})
    with pytest.raises(
        InputError, match=r"different learning rates, 0\.002 and 0\.001, .*a study of another name"
    ):
        with_arms(
            UPT | {"learning_rate": 2e-3, "starts": ["all"]},
            UPT | {"learning_rate": 1e-3, "starts": ["Full-200"], "seeds": [1]},
        )
    assert len(with_arms(UPT | {"learning_rate": 2.2e-4}, UPT).rl_runs) == 2
    for wrong in (0, -1.0):
        with pytest.raises(InputError, match=r"arms\.0\.learning_rate: Input should be greater than 0"):
            with_arms(UPT | {"learning_rate": wrong})


def test_two_updates_a_step_differ_in_the_algorithm_alone():
    study = Expansion(studies.load(ROOT / "config/two-updates.yaml"))
    assert [(run.algorithm, run.seed) for run in study.rl_runs] == [
        (name, seed) for name in ("dapo_d", "dapo_dc") for seed in (0, 1, 2)
    ]
    jobs = [study.rl_job(name, "Full-200", 0) for name in ("dapo_d", "dapo_dc")]
    assert [job.numbers.updates_per_step for job in jobs] == [2, 2]
    assert [job.numbers.clip_high for job in jobs] == [0.2, 0.28]
    first, second = (job.model_dump(exclude={"algorithm", "numbers"}) for job in jobs)
    assert first == second
