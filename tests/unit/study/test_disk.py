"""What jobs take of the disk, by hand and beside what they took."""

from pathlib import Path

import pytest
import yaml

from switchpoint import files, flops
from switchpoint.flops import n_weights
from switchpoint.study import config as studies
from switchpoint.study import paths, sources
from switchpoint.study.expand import Expansion
from switchpoint.study.forecast import Cost, Forecast
from switchpoint.study.plan import (
    Pending,
    Planned,
    disk,
    evaluation_of,
    said_of,
    show_evaluations,
    shown,
    state_of,
)
from switchpoint.units import say

ROOT = Path(__file__).parents[3]
WEIGHTS = 1000


def study(**changes) -> Expansion:
    """The default study, with other sections."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["rl"] |= {"steps": 100, "eval_every": 5}
    config["evaluation"] |= {"monitor_samples": 2}
    for name, values in changes.items():
        config.setdefault(name, {}).update(values)
    return Expansion(studies.parse(config))


def taken(study: Expansion, rule: str, name: str, *outputs: str, weights: int | None = WEIGHTS):
    """The bytes that a job keeps and holds."""
    return disk(Planned(rule, Path("log"), list(outputs)), study, name, weights)


MODEL = "a/model.safetensors"
SAMPLE = 120 * 4 + 100  # bytes at the default study's longest
MONITORED, TESTED = (
    5 * 50 * 2,
    5 * 150 + 60,
)  # samples of a model: two of each monitoring problem, one of others


def test_what_jobs_take_by_hand():
    default = study()
    assert taken(default, "sft_Full", "sft/Full/seed_0", MODEL, MODEL) == (2 * 4 * WEIGHTS, 2 * 12 * WEIGHTS)
    sampled = (20 + 2) * MONITORED * SAMPLE  # 100 steps, evaluated every 5
    assert taken(default, "rl", "rl/dapo_dc/S-20/seed_0", MODEL) == (
        4 * WEIGHTS + sampled,
        24 * WEIGHTS + sampled,
    )
    base = 2 * (MONITORED + TESTED) * SAMPLE
    assert taken(default, "evaluate", "evaluations/base") == (base, 0)
    assert taken(default, "evaluate", "evaluations/sft/S") == (2 * base, 0)
    assert taken(default, "evaluate", "evaluations/rl/dapo_dc/Full-200") == (3 * 2 * TESTED * SAMPLE, 0)
    assert taken(default, "measure_win_rates", "measure_win_rates") == (2400 * 4 * SAMPLE, 0)
    assert taken(default, "collect", "collect", "analysis/curves.csv") == (0, 0)
    split = study(evaluation={"parts": 4})
    assert taken(split, "evaluate_part", "evaluations/parts/3/base") == (base // 4, 0)
    assert taken(split, "merge_parts", "evaluations/base") == (base // 2, 0)


@pytest.mark.parametrize(
    ("rule", "name", "samples"),
    [
        ("rl", "rl/dapo_dc/S-20/seed_0", 22 * MONITORED),
        ("evaluate", "evaluations/sft/S", 2 * (MONITORED + TESTED)),
        ("evaluate_part", "evaluations/parts/3/base", (MONITORED + TESTED) / 4),
    ],
)
def test_what_evaluation_costs_by_hand(rule, name, samples):
    """A forward pass over each sample of 200 tokens, by itself."""
    asked = study(evaluation={"parts": 4}, plan={"tokens": {"rl": 200}})
    found = evaluation_of(name, Planned(rule, Path("log"), []), asked, Forecast(asked))
    one = flops.forward_tokens(flops.architecture(ROOT / "src/switchpoint/tiny-base"), 200, 200**2)
    assert found.exaflops == pytest.approx(samples * one / 1e18)
    assert evaluation_of("collect", Planned("collect", Path("log"), []), asked, Forecast(asked)) is None


def test_what_a_price_adds():
    known = [Cost(2.0, 3.0, 4), Cost(1.0, 1.0, 1)]
    assert said_of(known, say, None) == "3 exaFLOPs, 13 GPU-hours"
    assert said_of(known, say, 2.5) == "3 exaFLOPs, 13 GPU-hours, 32.5 USD"
    assert said_of([Cost(2.0, None, 4)], say, 2.5) == "2 exaFLOPs, ? GPU-hours"


def test_monitoring_and_evaluations_are_shown_apart(capsys):
    jobs = [
        Pending("rl", "rl/grpo/base/seed_0", "waiting", 0, 0, Cost(9.0, 9.0, 1), Cost(1.0, 2.0, 1)),
        Pending("rl", "rl/grpo/base/seed_1", "waiting", 0, 0, Cost(9.0, 9.0, 1), Cost(1.0, 2.0, 1)),
        Pending("evaluate", "evaluations/base", "waiting", 0, 0, None, Cost(None, None, 1)),
        Pending("collect", "collect", "waiting", 0, 0),
    ]
    show_evaluations(jobs, say, 3.0)
    shown_lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown_lines == [
        "monitoring of RL 2 exaFLOPs, 4 GPU-hours, 12 USD",
        "evaluations ? FLOPs, ? GPU-hours",
    ]


def test_what_is_not_known_yet_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = study()
    raw.study.data.sources["gsm"] = sources.File(kind="file", path="gone", lock="gone.lock")
    assert taken(raw, "evaluate", "evaluations/base") == (None, 0)
    files.write_json(raw.path(paths.SOURCE, source="gsm") + files.RECORD, {"rows": 200})  # as it was read
    assert taken(raw, "evaluate", "evaluations/base") == (2 * (MONITORED + TESTED) * SAMPLE, 0)
    assert taken(raw, "sft_S", "sft/S/seed_0", MODEL, weights=None) == (None, None)


def test_the_weights_are_those_of_the_file():
    size = (ROOT / "src/switchpoint/tiny-base/model.safetensors").stat().st_size
    assert 4 * n_weights(ROOT / "src/switchpoint/tiny-base") == pytest.approx(size, rel=0.01)


def test_bytes_are_shown_in_their_unit():
    counts = (0, 999, 1000, 499_040, 91_400_000_000, 10**16, None)
    assert list(map(shown, counts)) == ["0 B", "999 B", "1 kB", "499 kB", "91.4 GB", "1e+04 TB", "?"]


def test_a_segment_goes_on_from_the_state_of_its_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked, job = study(), Planned("sft_S_segment_2", Path("log"), ["step_4/model.safetensors"])
    assert state_of(job, asked, "sft/S/seed_0/segment_4") == "waiting"
    files.write_text(asked.path("state/sft/S/seed_0/0123/state_1.pt"), "")
    assert state_of(job, asked, "sft/S/seed_0/segment_4") == "resumable"
