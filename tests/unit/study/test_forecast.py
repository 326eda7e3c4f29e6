"""What training costs, beside the paper's Table 4 and by hand; and bounds on the time of any schedule."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from switchpoint import flops
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import plan
from switchpoint.study.expand import Expansion
from switchpoint.study.forecast import Cost, Forecast, makespan
from switchpoint.study.names import RunName
from switchpoint.units import say

ROOT = Path(__file__).parents[3]


def forecast(name: str = "config/paper-qwen2.5-7b.yaml", **changes) -> Forecast:
    """Of a study of the project's."""
    config = yaml.safe_load((ROOT / name).read_text())
    for section, values in changes.items():
        config.setdefault(section, {}).update(values)
    return Forecast(Expansion(studies.parse(config)))


# The longest runs' exaFLOPs of RETU's Table 4, to a tenth; SFT889K's are sums of rounded segments.
TABLE_4 = {
    "SFT889K": 1365.8,
    "Uniform102K": 173.4,
    "Hard102K": 446.3,
    "S1K": 2.9,
    "Easy102K": 98.8,
    "Easy102K_long": 335.9,
}


@pytest.mark.parametrize(("name", "printed"), TABLE_4.items())
def test_sft_costs_what_the_paper_says(name, printed):
    assert forecast().of(RunName.parse(f"sft/{name}/seed_0")).exaflops == pytest.approx(printed, abs=0.3)


def test_rl_by_hand():
    """Per step: (K B_gen + 3 B) G, 4 B G, and 4 B (7 S_on + S_off) passes over sequences."""
    arch = flops.BUNDLED["Qwen2.5-7B"]
    on, off = (flops.forward_tokens(arch, length, length**2) for length in (4000, 3000))
    by_hand = {
        "rl/dapo_dc/base/seed_0": (2 * 128 + 3 * 64) * 8 * on,
        "rl/grpo/base/seed_0": 4 * 64 * 8 * on,
        "rl/luffy/base/seed_0": 4 * 64 * (7 * on + off),
        "rl/upt/base/seed_0": 4 * 64 * 8 * on,
    }
    for name, one in by_hand.items():
        found = forecast().of(RunName.parse(name))
        assert found.exaflops == pytest.approx(400 * one / 1e18)
        assert found.gpus == 8
        assert found.gpu_hours == pytest.approx(400 * one / (989e12 * 0.3) / 3600)


def test_evaluation_by_hand():
    """A forward pass over every sample, on the GPU of its own job, apart from training."""
    one = flops.forward_tokens(flops.BUNDLED["Qwen2.5-7B"], 4000, 4000**2)
    found = forecast().evaluation(1000)
    assert found.exaflops == pytest.approx(1000 * one / 1e18)
    assert found.gpu_hours == pytest.approx(1000 * one / (989e12 * 0.3) / 3600)
    assert forecast().evaluation(None).exaflops is None
    assert forecast(plan={"tokens": {}}).evaluation(1000).exaflops is None


def test_what_is_not_known_is_not_guessed():
    run = RunName.parse("sft/SFT889K/seed_0")
    assert forecast(plan={"tokens": {}}).of(run).exaflops is None
    without = forecast(plan={"device": None}).of(run)
    assert without.exaflops == forecast().of(run).exaflops > 0
    assert without.gpu_hours is None
    assert forecast("config.yaml").of(RunName.parse("rl/grpo/base/seed_0")).hours is None


def test_measured_lengths_and_utilisation_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results/paper_qwen2_5_7b"
    (results / "data").mkdir(parents=True)
    (results / "data/statistics.csv").write_text(
        "set,prompt_tokens,response_tokens\nS1K,100,900\nprompts,50,\n"
    )
    logs = results / "logs/sft/S1K"
    logs.mkdir(parents=True)
    (logs / "seed_0.jsonl").write_text('{"step": 1, "mfu": 0.1}\n{"step": 2, "mfu": 0.5}\n')
    found, run = forecast(), RunName.parse("sft/S1K/seed_0")
    arch = flops.BUNDLED["Qwen2.5-7B"]
    exaflops = 310 * 16 * 3 * flops.forward_tokens(arch, 1000, 1000**2) / 1e18
    assert found.of(run).exaflops == pytest.approx(exaflops)
    assert found.of(run).hours == pytest.approx(exaflops * 1e18 / (989e12 * 0.5 * 8) / 3600)


RUNS = [RunName.parse(name) for name in ("sft/A/seed_0", "sft/B/seed_0", "rl/grpo/base/seed_0", "rl/grpo/A-1/seed_0",
                                         "rl/grpo/B-1/seed_0", "rl/grpo/B-2/seed_0")]  # fmt: skip


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.integers(1, 8)), min_size=6, max_size=6),
    st.integers(8, 20),
    st.randoms(),
)
def test_no_greedy_schedule_is_outside_the_bounds(jobs, gpus, random):
    costs = {run: Cost(1.0, hours, width) for run, (hours, width) in zip(RUNS, jobs, strict=True)}
    least, most = makespan(costs, gpus)
    taken = greedy(costs, gpus, random)
    assert least * (1 - 1e-9) <= taken <= most * (1 + 1e-9)


def greedy(costs: dict[RunName, Cost], gpus: int, random) -> float:
    """The time of a schedule that starts whatever can start, in a random order."""
    waiting, running, done, now = list(costs), [], set(), 0.0
    random.shuffle(waiting)
    while waiting or running:
        for run in list(waiting):
            parent = run.parent
            ready = run.phase == "sft" or parent == "base" or parent in done
            if ready and costs[run].gpus <= gpus - sum(costs[one].gpus for _, one in running):
                running.append((now + costs[run].hours, run))
                waiting.remove(run)
        now, first = min(running, key=lambda item: item[0])
        running.remove((now, first))
        done.add(str(first))
    return now


def test_a_job_wider_than_the_machine_is_refused():
    with pytest.raises(InputError, match="--gpus is 4, but one job holds 8"):
        makespan({RUNS[0]: Cost(1.0, 1.0, 8)}, 4)


def test_small_costs_have_a_unit_that_suits_them():
    assert plan.compute(1.8136e-06, say) == "1.81 teraFLOPs"
    assert plan.compute(None, say) == "? FLOPs"
