"""Files of a study that are damaged: the rerun, with the fix that the message says, ends where an unharmed study does."""

import random
import re
import shutil
import sys
from pathlib import Path

import pytest
from study import ROOT, curves, snakemake, weights
from test_kills import RL, SFT, kill_when

from switchpoint import files

sys.path.append(str(ROOT / "tests/unit"))
from damages import damage

pytestmark = pytest.mark.soak

KINDS = ("truncate", "empty", "flip", "flip", "delete")
CURVES = "results/tiny/analysis/curves.csv"
NAMED = re.compile(r"(?:error: |^)(results/\S+?):? .*; (?:delete it and )?run snakemake again", re.MULTILINE)

# Jobs, the moments that they are killed at, and the killed command; an evaluation keeps its state.
STATES = [
    (SFT, "attempts", "sft"),
    (SFT, "state_1.json", "sft"),
    (SFT, "step_8/model.safetensors", "sft"),
    (RL, "monitor_0.parquet", "rl"),
    (RL, "monitor_8.parquet", "rl"),
    (RL, "monitor_16.parquet", "rl"),
    ("evaluations/base", None, None),
    ("evaluations/sft/S", None, None),
]
RESULTS = [
    "data/sets/S.parquet",
    "data/rl_prompts.parquet",
    f"{SFT}/step_4/model.safetensors",
    f"{SFT}/losses.csv",
    "sft/Full/seed_0/selection.json",
    "sft/Full/seed_0/validation.parquet",
    f"{RL}/model/model.safetensors",
    f"{RL}/points.csv",
    f"{RL}/samples.parquet",
    f"{RL}/run.json",
    "evaluations/base/samples.parquet",
    "evaluations/sft/Full/run.json",
]


@pytest.fixture(scope="module")
def worn(finished, tmp_path_factory) -> Path:
    """One copy of the finished study, which every test damages in turn."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("worn") / "clone", symlinks=True))


def mend(clone: Path, finished: Path, *results: str) -> list[str]:
    """Has these results, the points and all models made; deletes what messages name until it does; returns that."""
    named: list[str] = []
    while (done := snakemake(clone, CURVES, *results, *weights(finished), check=False)).returncode:
        text = done.stdout + done.stderr
        assert "Traceback" not in text, text
        new = set(NAMED.findall(text)) - set(named)
        assert new, text
        for path in new:
            files.remove(clone / path)
        named += new
    return named


def assert_unharmed(clone: Path, finished: Path) -> None:
    """The points and all weights are those of the study that nobody damaged."""
    assert curves(clone) == curves(finished)
    assert weights(clone) == weights(finished)
    assert len(weights(clone)) == 7


@pytest.mark.parametrize("seed", range(len(STATES)))
def test_a_damaged_state_is_made_again(finished, worn, seed):
    draw = random.Random(seed)
    job, moment, victim = STATES[seed]
    for name in (job, "analysis"):
        shutil.rmtree(worn / "results/tiny" / name)
    if victim:
        kill_when(worn, f"results/tiny/state/{job}/*/{moment}", victim)
    state = [path for path in (worn / "results/tiny/state" / job).rglob("*") if path.is_file()]
    damage(draw.choice(sorted(state)), draw.choice(KINDS), draw.random())
    assert mend(worn, finished) == []
    assert_unharmed(worn, finished)


@pytest.mark.parametrize("seed", range(len(RESULTS)))
def test_a_damaged_result_is_named_and_made_again(finished, worn, seed):
    draw = random.Random(seed)
    path, kind = f"results/tiny/{RESULTS[seed]}", draw.choice(KINDS)
    before = (worn / path).read_bytes()
    damage(worn / path, kind, draw.random())
    assert mend(worn, finished, path) in ([], [path])
    assert_unharmed(worn, finished)
    if kind != "flip" and not path.endswith("run.json"):  # some bytes of a parquet file say nothing
        assert (worn / path).read_bytes() == before


def test_the_mended_study_is_whole(finished, worn):
    snakemake(worn)
    assert_unharmed(worn, finished)
    assert "Nothing to be done" in snakemake(worn, "-n").stdout
