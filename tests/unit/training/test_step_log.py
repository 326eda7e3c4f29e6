"""What runs show of their steps: lines that repeat, whatever happens to the job, and how fast it was."""

import json
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import test_loop
import test_sft
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from switchpoint import files, flops
from switchpoint.errors import InputError
from switchpoint.importer.logs import read_log
from switchpoint.training import step_log
from switchpoint.training.engine.torch import Engine
from switchpoint.training.rl import loop
from switchpoint.training.rl.loop import RlRun
from switchpoint.training.sft import SftRun
from switchpoint.training.step_log import StepLog

SHORT = {"steps": 4, "eval_every": 4}
TIMED = {"tokens_per_second"}  # and mfu, where the device's peak is known


def rl(directory: Path, tensorboard: Path | None = None) -> Path:
    """An RL run of four steps, saved every two; the file of its steps."""
    shown = str(tensorboard) if tensorboard else None
    options = loop.Options(save_every=2, log=str(directory / "logs/run.log"), tensorboard=shown)
    test_loop.train(directory, "dapo_d", options, **SHORT)
    return directory / "logs/run.jsonl"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def cut_off(monkeypatch, step: int, train, *arguments) -> None:
    """Trains, and is cut off before the n-th update, with all that was shown until then on disk."""
    update, add = Engine.step, StepLog.add

    def cut(engine, *given):
        if engine.steps == step:
            raise KeyboardInterrupt
        return update(engine, *given)

    def flushed(log, *given):
        add(log, *given)
        if log.writer is not None:
            log.writer.flush()

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "step", cut)
        patched.setattr(StepLog, "add", flushed)
        with pytest.raises(KeyboardInterrupt):
            train(*arguments)


def test_the_lines_of_an_rl_run_are_those_of_its_record(tmp_path):
    found, record = lines(rl(tmp_path)), files.read_run(tmp_path / "out")
    assert found == record["log"]
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert {"reward", "response_tokens", "entropy", "clip_fraction", "norm", "rounds", "graded"} <= found[
        0
    ].keys()
    assert found[-1]["exaflops"] == record["exaflops"]
    assert not {"seconds", "tokens_per_second", "mfu"} & found[0].keys()


def test_an_rl_run_that_was_cut_off_leaves_the_lines_of_a_whole_one(tmp_path, monkeypatch):
    whole = rl(tmp_path / "whole")
    cut_off(monkeypatch, 3, rl, tmp_path / "cut")
    so_far = tmp_path / "cut/logs/run.jsonl"
    assert lines(so_far) == lines(whole)[:2]  # as the state has them
    so_far.unlink()
    assert rl(tmp_path / "cut").read_bytes() == whole.read_bytes()
    total = [files.read_run(tmp_path / name / "out")["throughput"] for name in ("whole", "cut")]
    for name in ("tokens", "strict_exaflops", "device"):
        assert total[0][name] == total[1][name]


@pytest.mark.parametrize(
    ("run", "train", "place"), [(RlRun, rl, "run"), (SftRun, test_sft.train, test_sft.NAME)]
)
def test_lines_that_were_lost_behind_the_last_step_are_written_again(
    tmp_path, monkeypatch, run, train, place
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    path = tmp_path / f"logs/{place}.jsonl"
    whole = path.read_bytes()
    path.unlink()
    train(tmp_path)
    assert path.read_bytes() == whole


def test_the_lines_of_an_sft_run(tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    test_sft.train(whole)
    path, record = Path(f"logs/{test_sft.NAME}.jsonl"), files.read_run(whole / test_sft.NAME)
    found = lines(whole / path)
    assert found == record["log"]
    assert list(found[0]) == ["step", "loss", "norm", "learning_rate", "tokens", "exaflops"]
    peak = record["job"]["optimizer"]["learning_rate"]  # of a constant schedule
    assert [line["learning_rate"] for line in found] == [peak, peak]
    assert [found[-1][name] for name in ("tokens", "exaflops")] == [record["tokens"], record["exaflops"]]
    cut_off(monkeypatch, 1, test_sft.train, cut)
    assert lines(cut / path) == found[:1]
    test_sft.train(cut)
    assert (cut / path).read_bytes() == (whole / path).read_bytes()
    assert files.read_run(cut / test_sft.NAME)["throughput"]["tokens"] == record["tokens"]


def test_the_learning_rate_is_that_of_the_update(monkeypatch, tmp_path):
    job_of = test_sft.Expansion.sft_job
    monkeypatch.setattr(
        test_sft.Expansion, "sft_job", lambda *given: job_of(*given).model_copy(update={"schedule": "cosine"})
    )
    test_sft.train(tmp_path)
    found = lines(tmp_path / f"logs/{test_sft.NAME}.jsonl")
    peak = files.read_run(tmp_path / test_sft.NAME)["job"]["optimizer"]["learning_rate"]
    expected = [peak, peak / 2]  # (1 + cos 0) / 2 and (1 + cos pi/2) / 2
    assert [line["learning_rate"] for line in found] == pytest.approx(expected)


def test_a_state_without_a_log_is_resumed(tmp_path, monkeypatch):
    """As those have that were saved before there was one."""
    load = Engine.load
    cut_off(monkeypatch, 1, test_sft.train, tmp_path)
    old = {"losses", "nll", "tokens", "squared", "clipped"}
    monkeypatch.setattr(
        Engine, "load", lambda *given: {key: value for key, value in load(*given).items() if key in old}
    )
    test_sft.train(tmp_path)
    assert [line["step"] for line in files.read_run(tmp_path / test_sft.NAME)["log"]] == [2]


def shown(directory: Path) -> pd.DataFrame:
    """The numbers that TensorBoard shows: a row a step, a column a tag."""
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return pd.DataFrame(
        {
            tag: {event.step: event.value for event in accumulator.Scalars(tag)}
            for tag in accumulator.Tags()["scalars"]
        }
    )


@pytest.mark.parametrize("step", [None, 3])
def test_tensorboard_shows_every_step_once(tmp_path, monkeypatch, step):
    """Also where an attempt was killed behind its last state: what it had shown is purged."""
    directory, run = tmp_path / "tensorboard", tmp_path / "tensorboard/rl/dapo_d/base/seed_0"
    if step is not None:
        cut_off(monkeypatch, step, rl, tmp_path, directory)
        assert shown(run).index.tolist() == [1, 2, 3]
    found = lines(rl(tmp_path, directory))
    table = shown(run)
    assert table.index.tolist() == [1, 2, 3, 4]
    assert set(table.columns) == set().union(*found) - {"step"} | TIMED
    for line in found:
        for name in line.keys() - {"step"}:
            assert table[name][line["step"]] == pytest.approx(line[name], rel=1e-6)
    assert (table["tokens_per_second"] > 0).all()
    starts = [
        event.step
        for path in sorted(run.glob("*tfevents*"))
        for event in EventFileLoader(str(path)).Load()
        if event.HasField("session_log")
    ]
    assert starts == ([1] if step is None else [1, 3])
    imported = read_log([str(run)], "tensorboard", Counter())  # as one's own logs are
    assert imported[imported["tag"] == "reward"]["step"].tolist() == [1, 2, 3, 4]


def test_tensorboard_shows_sft(tmp_path):
    test_sft.train(tmp_path, str(tmp_path / "tensorboard"))
    table = shown(tmp_path / "tensorboard" / test_sft.NAME)
    assert set(table.columns) == {"loss", "norm", "learning_rate", "tokens", "exaflops"} | TIMED
    assert table.index.tolist() == [1, 2]


def test_without_tensorboard_it_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install 'switchpoint\[tensorboard\]'"):
        test_sft.train(tmp_path, str(tmp_path / "tensorboard"))
    monkeypatch.setattr(loop.models, "load", lambda _: pytest.fail("the model is read"))
    with pytest.raises(InputError, match=r"pip install 'switchpoint\[tensorboard\]'"):
        rl(tmp_path, tmp_path / "tensorboard")
    assert not (tmp_path / "tensorboard").exists()


def test_the_rates_by_hand(monkeypatch):
    work = {"seconds": 4.0, "tokens": 100, "strict_exaflops": 2e-3}
    assert step_log.rates(work) == {"tokens_per_second": 25.0}  # on a CPU
    monkeypatch.setattr(step_log, "device_name", lambda: "NVIDIA H200")
    assert step_log.rates(work) == {"tokens_per_second": 25.0, "mfu": pytest.approx(2e15 / 4 / 989e12)}
    assert step_log.throughput(work)["device"] == "NVIDIA H200"
    assert step_log.rates(step_log.NO_WORK) == {}
    monkeypatch.setattr(step_log, "device_name", lambda: "NVIDIA A100-SXM4-40GB MIG 1g.5gb")
    assert "mfu" not in step_log.rates(work)


def test_the_strict_compute_of_a_run_by_hand(tmp_path, monkeypatch):
    """LUFFY's experts are charged no generation; with two updates a step the old log-probabilities are a pass."""
    seen, step = [], Engine.step
    monkeypatch.setattr(
        Engine, "step", lambda engine, rows, loss_of: seen.append(rows) or step(engine, rows, loss_of)
    )
    out = test_loop.train(tmp_path, "luffy", steps=1, eval_every=1, updates_per_step=2)
    rows = [one for part in seen for one in part]
    architecture, total = flops.architecture(test_loop.BASE), files.read_run(out)["throughput"]
    sums = {}
    for name, chosen in {"trained": rows, "sampled": [one for one in rows if not one.expert]}.items():
        lengths = [len(one) for one in chosen]
        sums[name] = sum(lengths), sum(length**2 for length in lengths)
    forward = {name: flops.forward_tokens(architecture, *one, "strict") for name, one in sums.items()}
    assert total["strict_exaflops"] == pytest.approx((forward["sampled"] + 4 * forward["trained"]) / 1e18)
    assert total["tokens"] == sums["sampled"][0] + sums["trained"][0]
    assert total["tokens_per_second"] == pytest.approx(total["tokens"] / total["seconds"])
