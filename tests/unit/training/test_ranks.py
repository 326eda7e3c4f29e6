"""The engines and several processes beside one process of plain torch."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from processes import ROOT, found_by

from switchpoint.training import models

BASE = ROOT / "src/switchpoint/tiny-base"

# Every engine on the same batches: rows of many lengths, and fewer rows than processes have micro-batches.
UPDATES = """
import json, sys
import torch
from switchpoint.study.algorithms import numbers_of
from switchpoint.study.config import EngineSettings, Optimizer
from switchpoint.training import models
from switchpoint.training.engine import ranks
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.open import open_engine
from switchpoint.training.engine.torch import configure
from switchpoint.training.rl import objectives
from switchpoint.training.sft import mean_loss

dtype, checkpointing = sys.argv[1], sys.argv[2] == "recompute"
random = torch.Generator().manual_seed(0)

def tokens(count):
    return torch.randint(5, 60, (count,), generator=random).tolist()

def numbers(count):
    return (torch.rand(count, generator=random) - 0.5).tolist()

def batch(step):
    rows = []
    for row in range(1 if step % 5 == 4 else 7):
        length = 1 + (5 * row + step) % 11
        [advantage], old = numbers(1), [-2 + one for one in numbers(length)]
        rows.append(Sequence(tokens(3 + row), tokens(length), advantage, 1, row == 2, old, None if row == 2 else old))
    return rows

sft, rl = [batch(step) for step in range(20)], [batch(step) for step in range(10)]
algorithms = {"dapo_dc": numbers_of("dapo_dc", "recommended", 4, 8), "srft": numbers_of("srft", "recommended", 4, 8)}

def rl_loss(numbers):
    def loss_of(batch):
        entropy = batch.pad(objectives.token_entropy(batch.logits))
        terms = objectives.components(batch, batch.old_logprobs, entropy, numbers, 20)
        return sum(terms.values()), {name: term.item() for name, term in terms.items()}
    return loss_of

def updates(settings, batches, loss_of):
    configure(0)
    policy = models.load("src/switchpoint/tiny-base")
    optimizer = Optimizer(learning_rate=3e-4, microbatch_size=2, gradient_checkpointing=checkpointing)
    engine = open_engine(settings, policy.model, optimizer, 0)
    figures = [engine.step(rows, loss_of) for rows in batches]
    seen = torch.cat(engine.logprobs(sft[0])).tolist()
    norms = {name: float(weight.float().norm()) for name, weight in engine.weights()}
    return [[one["loss"], one["norm"]] for one in figures], seen, norms

ranks.start()
found = {}
for by, stage in (("torch", 2), ("deepspeed", 1), ("deepspeed", 2), ("deepspeed", 3)):
    settings = EngineSettings(by=by, zero_stage=stage, dtype=dtype)
    name = by if by == "torch" else f"ZeRO-{stage}"
    found[f"{name} sft"] = updates(settings, sft, mean_loss)
    for algorithm, numbers_ in algorithms.items():
        found[f"{name} {algorithm}"] = updates(settings, rl, rl_loss(numbers_))
if ranks.is_main():
    print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def one_process() -> dict:
    return found_by(UPDATES, "float32", "keep")


@pytest.mark.parametrize("processes", [1, 2])
def test_every_engine_makes_the_same_updates(one_process, processes):
    found = one_process if processes == 1 else found_by(UPDATES, "float32", "recompute", processes=2)
    assert len(found) == 12
    for name, (figures, seen, norms) in found.items():
        expected, their_seen, their_norms = one_process[f"torch {name.split()[1]}"]
        assert norms.keys() == their_norms.keys()
        torch.testing.assert_close(torch.tensor(figures), torch.tensor(expected), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.tensor(seen), torch.tensor(their_seen), rtol=1e-5, atol=1e-5)
        assert list(norms.values()) == pytest.approx(list(their_norms.values()), rel=1e-5)


@pytest.mark.soak
def test_bfloat16_is_near_float32(one_process):
    """Its weights and products have 8 bits, so a loss 3 digits; both engines, and the parameters as they are saved."""
    found = found_by(UPDATES, "bfloat16", "keep")
    for name, (figures, _, _) in found.items():
        expected, _, _ = one_process[f"torch {name.split()[1]}"]
        ours, theirs = torch.tensor(figures)[:, 0], torch.tensor(expected)[:, 0]
        assert not torch.equal(ours, theirs)
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)


RESUMED = """
import json, sys
from pathlib import Path
import torch
from switchpoint.errors import InputError
from switchpoint.study.config import EngineSettings, Optimizer
from switchpoint.training import models
from switchpoint.training.engine import ranks
from switchpoint.training.engine.batch import Sequence
from switchpoint.training.engine.open import open_engine
from switchpoint.training.engine.torch import configure
from switchpoint.training.sft import mean_loss

directory, stage = Path(sys.argv[1]), int(sys.argv[2])
ranks.start()
rows = [Sequence(list(range(5, 9 + n)), list(range(20, 30 + n))) for n in range(6)]

def engine():
    configure(0)
    model = models.load("src/switchpoint/tiny-base").model
    settings = EngineSettings(by="deepspeed", zero_stage=stage)
    return open_engine(settings, model, Optimizer(learning_rate=1e-3, microbatch_size=2), 0)

def losses(engine, count):
    return [engine.step(rows, mean_loss)["loss"] for _ in range(count)]

whole = losses(engine(), 6)
first = engine()
begun = losses(first, 3)
first.save(directory / "state.pt", {"step": 3})
kept = first.snapshot()
losses(first, 2)
first.restore(kept)
restored = torch.cat(first.logprobs(rows)).tolist()
again = engine()
progress = again.load(directory / "state.pt")
seen = torch.cat(again.logprobs(rows)).tolist()
resumed = begun + losses(again, 3)
if ranks.is_main():
    found = {"whole": whole, "resumed": resumed, "progress": progress, "restored": restored, "seen": seen}
    print("FOUND" + json.dumps(found | {"steps": again.steps}))
"""

OTHERS = """
import json, sys
from pathlib import Path
from switchpoint.errors import InputError
from switchpoint.study.config import EngineSettings, Optimizer
from switchpoint.training import models
from switchpoint.training.engine.open import open_engine

engine = open_engine(EngineSettings(by="deepspeed"), models.load("src/switchpoint/tiny-base").model, Optimizer(learning_rate=1.0), 0)
try:
    engine.load(Path(sys.argv[1], "state.pt"))
except InputError as error:
    print("FOUND" + json.dumps({"error": str(error)}))
"""


@pytest.mark.parametrize("stage", [pytest.param(2, marks=pytest.mark.soak), 3])
def test_a_sharded_run_resumes_exactly(tmp_path, stage):
    found = found_by(RESUMED, str(tmp_path), str(stage), processes=2)
    assert found["resumed"] == found["whole"]
    assert found["progress"] == {"step": 3}
    assert found["steps"] == 6
    assert found["restored"] == found["seen"]
    if stage == 2:
        assert "was saved by 2 processes, and this run has 1" in found_by(OTHERS, str(tmp_path))["error"]


JOBS = """
import json, os, sys
from pathlib import Path

sys.path[:0] = ["tests/unit", "tests/unit/training"]
from test_loop import BASE, with_arm
from test_recipes import inputs
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.training import sft
from switchpoint.training.engine import ranks
from switchpoint.training.rl import loop

directory, stage = Path(sys.argv[1]), sys.argv[2]
config = with_arm("luffy", steps=2, batch_size=4, rollouts=4, eval_every=1)
config["model"]["rollouts"] = sys.argv[3]
config["sft"] = {"S": {"steps": 3, "save_steps": [2, 3], "batch_size": 8, "learning_rate": 7e-4, "microbatch_size": 3}}
if stage != "torch":
    config["model"] |= {"engine": "deepspeed", "zero_stage": int(stage)}
study = Expansion(studies.parse(config))
ranks.start()
files = ranks.tell(inputs(directory) if ranks.is_main() else None)
out, state = str(directory / "sft"), str(directory / "sft_state")
sft.run(study.sft_job("S", 0), [2, 3], str(BASE), files["data"], files["validation"], out, state)
out = str(directory / "rl")
loop.run(study.rl_job("luffy", "base", 0), str(BASE), files["prompts"], files["benchmarks"], out, str(directory / "state"))
if ranks.is_main():
    print("FOUND" + Path(out, "run.json").read_text().replace("\\n", " "))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, dict]:
    """The outputs of one process of plain torch, and its RL run's record."""
    directory = tmp_path_factory.mktemp("alone")
    return directory, found_by(JOBS, str(directory), "torch", "torch")


SLOW = [
    pytest.param(*one, marks=pytest.mark.soak)
    for one in (("torch", "torch"), ("2", "vllm"), ("3", "torch"), ("3", "vllm"))
]


@pytest.mark.parametrize(("engine", "rollouts"), [*SLOW, ("2", "torch")])
def test_two_processes_make_what_one_makes(tmp_path, alone, engine, rollouts):
    """SFT and RL with all their outputs; rank 0 alone writes, and the sampler has the trainer's weights."""
    one, single = alone
    shared = found_by(JOBS, str(tmp_path), engine, rollouts, processes=2)
    assert shared["status"] == "finished"
    assert [line["step"] for line in shared["log"]] == [1, 2]
    assert all(line["logprob_gap"] < 1e-4 for line in shared["log"])
    assert shared["outputs"].keys() == single["outputs"].keys()
    if engine == "3":
        assert "cosine" not in shared["log"][0]
    else:
        for name in ("norm_off", "norm_rl", "cosine"):
            close = pytest.approx(single["log"][0][name], rel=1e-3, abs=1e-4)
            assert shared["log"][0][name] == close or rollouts == "vllm"
    first, other = (pd.read_csv(directory / "sft/losses.csv") for directory in (one, tmp_path))
    assert list(first["loss"]) == pytest.approx(list(other["loss"]), abs=1e-4)
    weights = [models.load(directory / "rl/model").model.state_dict() for directory in (one, tmp_path)]
    assert weights[0].keys() == weights[1].keys()
    assert json.loads((tmp_path / "rl/model/config.json").read_text())["dtype"] == "float32"


ENDED = """
from switchpoint.training.engine import ranks

ranks.start()
ranks.gather([1])
ranks.total({"a": 1.0})
if ranks.is_main():
    print("FOUND[]")
"""


@pytest.mark.parametrize("times", [4, pytest.param(40, marks=pytest.mark.soak)])
def test_processes_whose_work_is_done_end_without_an_error(times):
    """Left to the interpreter, some were aborted at its end by the threads of their communication."""
    for _ in range(times):
        assert found_by(ENDED, processes=2) == []
