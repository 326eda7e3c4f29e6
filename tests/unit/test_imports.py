"""The architecture: imports point down, and what must start fast loads nothing heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "switchpoint"
ROOMS = ["analysis", "cli", "data", "grading", "importer", "published", "report", "study"]
GROUND = [path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")]

LOADED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded(*modules: str) -> set[str]:
    """The packages that a fresh process holds after importing these modules."""
    command = [sys.executable, "-c", LOADED, *modules]
    return set(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def modules_of(room: str) -> list[str]:
    """Every module of a room."""
    files = sorted(path for path in (SOURCE / room).rglob("*.py") if path.stem != "__init__")
    return [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in files]


def test_every_contract_is_kept():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_planning_grading_and_analysis_load_no_torch(room):
    assert not loaded(*modules_of(room)) & {"torch", "transformers"}


def test_the_ground_floor_loads_no_torch():
    assert not loaded(*(f"switchpoint.{name}" for name in GROUND)) & {"torch", "transformers"}


def test_planning_loads_no_tables():
    assert "pandas" not in loaded(*modules_of("study"))


def test_a_grading_worker_is_light():
    assert not loaded("switchpoint.grading.worker") & {"numpy", "pandas", "scipy"}


STEP = """
import json, sys
from switchpoint.study.config import Optimizer
from switchpoint.training import evaluation, models, sft
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.torch import Engine
from switchpoint.training.rl import loop
policy = models.load("src/switchpoint/tiny-base")
engine = Engine(policy.model, Optimizer(learning_rate=1e-3), 0)
engine.step([Sequence([3, 4], [5, 1])], sft.mean_loss)
print(json.dumps([name for name in ("transformers", "sklearn", "scipy", "tensorboard", "torch._dynamo") if name in sys.modules]))
"""


def test_a_training_job_loads_what_it_uses():
    done = subprocess.run([sys.executable, "-c", STEP], cwd=ROOT, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == []
