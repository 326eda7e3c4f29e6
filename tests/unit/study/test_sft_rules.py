"""Which rules make the checkpoints of SFT runs, of what is there already."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import made, paths
from switchpoint.study.expand import Expansion

ROOT = Path(__file__).parents[3]
STEPS = list(range(10, 110, 10))


def study(segments: int, steps: list[int] = STEPS, seeds: tuple[int, ...] = (0, 1)) -> Expansion:
    """The default study with SFT on one set."""
    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    run = {"steps": 100, "save_steps": steps, "segments": segments, "seeds": list(seeds)}
    config["sft"] = {"S": config["sft"]["S"] | run}
    config["arms"] = [{"algorithm": "grpo", "starts": ["base"]}]
    return Expansion(studies.parse(config))


def make(study: Expansion, rule: made.SftRule, seed: int) -> None:
    """Leaves what a job of the rule leaves, as far as the rules ask for it."""
    job = study.sft_job(rule.set, seed).model_dump(mode="json")
    for step in rule.steps:
        directory = study.path(paths.CHECKPOINT, set=rule.set, seed=seed, step=step)
        for path in paths.model_files(directory):
            files.write_text(path, "")
        files.write_json(f"{directory}/run.json", {"job": job, "step": step})
    for name in rule.files:
        record = {"job": job, "end": rule.end, "steps": rule.steps}
        files.write_json(f"{study.path(paths.SFT, set=rule.set, seed=seed)}/{name}", record)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 39))
def test_checkpoints_divide_into_segments(count, segments, done):
    """Of nearly equal size; and what is left of a run divides as it did in the whole."""
    steps = list(range(1, count + 1))
    whole = made.divide(steps, segments, behind=0)
    assert list(itertools.chain(*whole)) == steps
    assert len(whole) == min(count, segments)
    assert max(map(len, whole)) - min(map(len, whole)) <= 1
    if left := whole[done:]:
        behind = whole[done - 1][-1] if done else 0
        assert made.divide(list(itertools.chain(*left)), segments - done, behind) == left


def test_a_checkpoint_that_is_missing_is_made_by_the_next_segment():
    assert made.divide([1, 3, 6, 8], 2, behind=4) == [[1, 3, 6], [8]]
    assert made.divide([1], 2, behind=4) == [[1]]
    assert made.divide([], 0, behind=4) == [[]]


def test_runs_have_the_same_rules_however_far_they_have_got(tmp_path, monkeypatch):
    """A job on a cluster plans again, and has to find its rule, while other seeds go on."""
    monkeypatch.chdir(tmp_path)
    asked = study(segments=4)
    rules = made.sft_rules(asked)
    assert [rule.name for rule in rules] == ["sft_S_segment_1", "sft_S_segment_2", "sft_S_segment_3", "sft_S"]
    assert [rule.steps for rule in rules] == [(10, 20), (30, 40), (50, 60, 70), (80, 90, 100)]
    assert [rule.after for rule in rules] == [(), (20,), (20, 40), (20, 40, 70)]
    for rule in rules:
        for seed in (0, 1):
            make(asked, rule, seed)
            assert made.sft_rules(asked) == rules


@pytest.mark.parametrize(("segments", "count"), [(1, 3), (2, 3), (6, 6), (9, 8)])
def test_what_is_made_keeps_its_rules_whatever_segments_there_are(tmp_path, monkeypatch, segments, count):
    monkeypatch.chdir(tmp_path)
    rules = made.sft_rules(study(segments=4))
    for seed in (0, 1):
        for rule in rules[:2]:
            make(study(segments=4), rule, seed)
    found = made.sft_rules(study(segments))
    assert found[:2] == rules[:2]
    assert len(found) == count
    for seed in (0, 1):
        for rule in rules[2:]:
            make(study(segments=4), rule, seed)
    assert made.sft_rules(study(segments)) == rules


def test_what_another_job_made_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = study(segments=2, seeds=(0,))
    for rule in made.sft_rules(asked):
        make(asked, rule, 0)
    other = study(segments=5, seeds=(0,))
    job = other.sft_job("S", 0)
    monkeypatch.setattr(Expansion, "sft_job", lambda *_: job.model_copy(update={"batch_size": 3}))
    assert [rule.steps for rule in made.sft_rules(other)] == [
        tuple(STEPS[n : n + 2]) for n in range(0, 10, 2)
    ]


def test_a_segment_has_a_checkpoint():
    with pytest.raises(
        InputError, match="segments is 11, but a segment ends at a checkpoint and save_steps has 10"
    ):
        study(segments=11)
