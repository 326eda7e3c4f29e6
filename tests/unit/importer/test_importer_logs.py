"""Logs of verl, TRL and TensorBoard as curves."""

import json
import struct
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from written import rows_of, write_lines

from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.points import check_points, read_points
from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.importer import logs
from switchpoint.importer.options import Options
from switchpoint.importer.points import import_files, import_points

# ---- verl


MATH, GSM8K = "val-core/math/acc/mean@16", "val-core/gsm8k/acc/mean@1"
VERL = [
    {"step": 0, "data": {MATH: 0.4, GSM8K: 0.8}},
    {"step": 1, "data": {"perf/mfu": 1, "loss": None}},
    {"step": 2, "data": {"perf/mfu": 1, MATH: 0.5, GSM8K: 0.9}},
]
SCORES = {MATH: "math", GSM8K: "gsm8k"}


def test_verl(tmp_path):
    path = write_lines(tmp_path / "log.jsonl", VERL)
    options = Options(
        run="r", score=SCORES, exaflops_per_step=0.25, scale=100, sft_exaflops=3.0,
        weights={"math": 1.0, "gsm8k": 3.0}
    )  # fmt: skip
    points, summary = import_points([path], "verl", options)
    assert rows_of(points, "step", "exaflops", "exaflops_total", "benchmark", "score", "n") == [
        (0, 0, 3, "gsm8k", 80, 3),
        (0, 0, 3, "math", 40, 1),
        (0, 0, 3, "overall", 70, 4),
        (2, 0.5, 3.5, "gsm8k", 90, 3),
        (2, 0.5, 3.5, "math", 50, 1),
        (2, 0.5, 3.5, "overall", 80, 4),
    ]
    assert summary["counts"] == {
        "points_without_overall": 0, "records": 3, "scores": 4, "steps": 3, "steps_without_score": 1,
        "unused_tags": 1, "values_not_numbers": 1, "values_replaced": 0,
    }  # fmt: skip
    for benchmark in ("math", "gsm8k", "overall"):
        assert len(check_points(points, benchmark)) == 2


def test_verl_parts_of_one_run(tmp_path):
    """The last line of the second part was being written when the run was killed."""
    first = write_lines(tmp_path / "a.jsonl", VERL)
    again = [{"step": 2, "data": {MATH: 0.5}}, {"step": 3, "data": {MATH: 0.7}}]
    second = write_lines(tmp_path / "b.jsonl", again, end='\n{"step": 4, "da')
    options = Options(run="r", score={MATH: "math"}, exaflops_per_step=1.0, scale=100, one_run=True)
    points, summary = import_points([first, second], "verl", options)
    assert rows_of(points, "step", "score") == [(0, 40), (2, 50), (3, 70)]
    assert summary["counts"]["cut_off"] == 1


def test_a_whole_last_line_needs_no_newline(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", VERL, end="")
    options = Options(run="r", score={MATH: "math"}, exaflops_per_step=1.0, scale=100)
    points, summary = import_points([path], "verl", options)
    assert rows_of(points, "step", "score") == [(0, 40), (2, 50)]
    assert "cut_off" not in summary["counts"]


def test_p_start_without_step_0(tmp_path):
    path = write_lines(tmp_path / "log.jsonl", VERL[1:])
    options = {"run": "r", "score": SCORES, "exaflops_per_step": 0.25, "scale": 100}
    with pytest.raises(InputError, match=r"run r: no start; .*give --p-start"):
        import_points([path], "verl", Options(**options))
    points, summary = import_points([path], "verl", Options(**options, p_start={"math": 0.3}))
    assert rows_of(points[points["benchmark"] == "math"], "step", "score") == [(0, 30), (2, 50)]
    assert list(summary["not_fittable"]) == ["gsm8k"]
    options["weights"] = {"math": 1.0, "gsm8k": 1.0}
    points, summary = import_points([path], "verl", Options(**options, p_start={"overall": 0.3}))
    assert rows_of(points[points["benchmark"] == "overall"], "step", "score") == [(0, 30), (2, 70)]
    points, summary = import_points([path], "verl", Options(**options, p_start={"math": 0.3, "gsm8k": 0.5}))
    assert rows_of(points[points["benchmark"] == "overall"], "step", "score") == [(0, 40), (2, 70)]
    assert summary["not_fittable"] == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": {"acc": "math"}}, "log.jsonl: no tag acc; the tags are val-core/gsm8k/acc/mean@1, .*perf/mfu"),
        ({"exaflops_per_step": None, "exaflops": "flops"}, "no tag flops; the tags are"),
        ({"exaflops_per_step": None}, "give the compute in one way: --exaflops TAG or --exaflops-per-step X"),
        ({"exaflops": "perf/mfu"}, "give the compute in one way"),
        ({"column": {"a": "b"}}, "--column has no meaning with --format verl"),
    ],
)  # fmt: skip
def test_bad_verl_options(tmp_path, options, message):
    path = write_lines(tmp_path / "log.jsonl", VERL)
    good = {"run": "r", "score": SCORES, "exaflops_per_step": 1.0, "scale": 100.0}
    with pytest.raises(InputError, match=message):
        import_points([path], "verl", Options(**(good | options)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no tag a; the tags are none \(is it another --format\?\)"),
        ('{"step": 1}\n', "line 1: no record of tags and values; is it --format verl"),
        ('{"step": 1, "data": {}}\n{"st\n{"step": 2, "data": {}}\n',
         "log.jsonl: line 2: not JSON .*; mend it"),
        ('{"step": 1.5, "data": {}}\n', "line 1: step is 1.5; give a whole number of 0 or more"),
        ('{"step": true, "data": {}}\n', "line 1: step is True"),
        (f'{{"step": {"9" * 5000}, "data": {{}}}}\n', "line 1: step is inf"),
        ("[" * 100_000 + "\n1\n", "line 1: not JSON"),
        ('{"step": 1, "data": {"a": NaN}}\n', "line 1, a: score is nan; give a finite number"),
        (f'{{"step": 1, "data": {{"a": {"9" * 400}}}}}\n', "line 1, a: score is inf"),
        ('{"step": 1, "data": {"a": "0.5"}}\n', "no tag a; the tags are none"),
        ('{"step": 1, "data": {"a": 140}}\n', "log.jsonl: line 1, a: score is 140 points"),
    ],
)  # fmt: skip
def test_bad_verl_log(tmp_path, text, message):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        import_points([str(path)], "verl", Options(run="r", score={"a": "math"}, exaflops_per_step=1.0))


def test_compute_must_be_known_and_must_not_fall(tmp_path):
    lines = [{"step": step, "data": {"acc": 40 + step, "ef": ef}} for step, ef in ((0, 0), (1, 2), (2, 1.5))]
    options = Options(run="r", score={"acc": "math"}, exaflops="ef")
    with pytest.raises(InputError, match="line 3, ef: it falls; the compute must be what was spent since"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)
    del lines[2]["data"]["ef"]
    with pytest.raises(InputError, match="line 3, acc: step 2 has no exaflops; log them there, or give"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)
    lines[2]["data"]["ef"] = 2
    with pytest.raises(InputError, match="line 3, acc: run r has a point of math at 2 exaflops already"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)


# ---- TRL


def test_trainer_state(tmp_path):
    history = [
        {"epoch": 0, "eval_acc": 0.25, "step": 0},
        {"epoch": 0.5, "loss": 1.0, "step": 5, "exaflops": 1.0},
        {"epoch": 1.0, "loss": 0.9, "step": 10, "exaflops": 2.0},
        {"epoch": 1.0, "eval_acc": 0.5, "eval_runtime": 3.0, "step": 10},
        {"train_runtime": 60.0, "step": 10},
    ]
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 10, "log_history": history, "best_metric": float("nan")}))
    options = Options(run="r", phase="sft", score={"eval_acc": "overall"}, exaflops="exaflops", scale=100)
    out = tmp_path / "curves.csv"
    summary = import_files([str(path)], str(out), None, options)
    assert rows_of(read_points(out), "exaflops", "score", "p_start") == [(0, 25, 25), (2, 50, 25)]
    assert summary["format"] == "trl"
    # The epoch of step 10 stands there twice.
    assert summary["counts"] == {
        "records": 5, "scores": 2, "steps": 3, "steps_without_score": 1, "unused_tags": 4,
        "values_not_numbers": 0,
        "values_replaced": 1,
    }  # fmt: skip


def test_trl_lines(tmp_path):
    lines = [{"step": 0, "eval_acc": 30}, {"step": 10, "eval_acc": 50}, {"train_runtime": 60}]
    path = write_lines(tmp_path / "log.jsonl", lines)
    options = Options(run="r", score={"eval_acc": "overall"}, exaflops_per_step=0.1)
    points, summary = import_points([path], "trl", options)
    assert rows_of(points, "exaflops", "score") == [(0, 30), (1, 50)]
    assert summary["counts"]["records_without_step"] == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", b"{", "a.json: not JSON .*; mend it, and name a file of lines .jsonl"),
        ("a.json", b"{}", "no log_history; give trainer_state.json, or a list of records"),
        ("a.json", b"[1]", "record 1: no record of tags and values; is it --format trl"),
        ("a.json", b'[{"train_runtime": 3}]', r"the tags are none \(is it another --format\?\)"),
        ("a.json", b"\xff\xfe", "a.json: binary, or UTF-16; save the log as UTF-8"),
    ],
)
def test_bad_trl_log(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text)
    with pytest.raises(InputError, match=message):
        import_points([str(path)], "trl", Options(run="r", score={"a": "math"}, exaflops_per_step=1.0))


# ---- TensorBoard


def write_events(directory: Path, values: list[tuple], name: str = "events.out.tfevents.1") -> Path:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    directory.mkdir(exist_ok=True)
    with (directory / name).open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for tag, value, step in values:
            simple = isinstance(value, float)
            content = {"simple_value": value} if simple else {"tensor": make_tensor_proto(value)}
            summary = Summary(value=[Summary.Value(tag=tag, **content)])
            writer.write(Event(step=step, summary=summary).SerializeToString())
    return directory / name


TB = Options(run="r", score={"val/acc": "math"}, exaflops="ef", scale=100)
EVENTS = [("val/acc", 0.1, 0), ("ef", 1.0, 1), ("val/acc", 0.3, 1)]


def test_tensorboard(tmp_path):
    """Scalars of both kinds (simple values and tensors), texts beside them, two files of one run."""
    first = [("val/acc", 0.1, 0), ("loss", 2.0, 1), ("val/acc", 0.3, 2), ("ef", 1.5, 2), ("text", "hello", 2)]
    write_events(tmp_path / "tb", first)
    later = [("val/acc", np.float32(0.4), 2), ("val/acc", np.float64(0.7), 4), ("ef", np.float32([3.5]), 4)]
    write_events(tmp_path / "tb", later, "events.out.tfevents.2")
    out = tmp_path / "curves.csv"
    summary = import_files([str(tmp_path / "tb")], str(out), None, TB)
    assert rows_of(read_points(out, "math"), "exaflops", "score") == [(0, 10), (1.5, 40), (3.5, 70)]
    assert summary["format"] == "tensorboard"
    assert summary["counts"] == {
        "records": 8, "scores": 3, "scores_again": 1, "steps": 4, "steps_without_score": 1, "unused_tags": 1,
        "values_not_numbers": 1,
        "values_replaced": 1,
    }  # fmt: skip


def test_tensorboard_file_cut_off_anywhere(tmp_path):
    """A killed run's last record is counted; whatever the cut, the records before it are read."""
    file = write_events(tmp_path / "tb", EVENTS)
    whole = file.read_bytes()
    ends, at = [0], 0
    while at < len(whole):
        at += 16 + struct.unpack("<Q", whole[at : at + 8])[0]
        ends.append(at)
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        counts = Counter()
        log = logs.read_log([str(file)], "tensorboard", counts)
        # The first of the records is the file's version.
        assert len(log) == max(0, sum(end <= cut for end in ends) - 2)
        assert counts["cut_off"] == (cut not in ends)


def test_damaged_tensorboard_files(tmp_path):
    file = write_events(tmp_path / "tb", EVENTS)
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"tfevents.1: event \d is none, or damaged \(.* crc32 check"):
            import_points([str(file)], "tensorboard", TB)
    file.write_text("hello world, this is no event file")
    with pytest.raises(InputError, match="event 1 is none, or damaged"):
        import_points([str(file)], "tensorboard", TB)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no event file in it; give the directory of one run"):
        import_points([str(tmp_path / "empty")], "tensorboard", TB)


def test_records_that_are_no_events(tmp_path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    with (tmp_path / "x.tfevents").open("wb") as file:
        RecordWriter(file).write(b"\xff\xff")
    with pytest.raises(InputError, match="event 1 is none, or damaged"):
        import_points([str(tmp_path / "x.tfevents")], "tensorboard", TB)


def test_without_the_package(tmp_path, monkeypatch):
    file = write_events(tmp_path / "tb", EVENTS)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(
        InputError, match=r"the package tensorboard: pip install 'switchpoint\[tensorboard\]'"
    ):
        import_points([str(file)], "tensorboard", TB)


def test_command(tmp_path):
    path = write_lines(tmp_path / "log.jsonl", VERL)
    out = tmp_path / "deep" / "curves.csv"
    arguments = ["import", path, "--format", "verl", "--out", str(out), "--run", "r", "--scale", "100"]
    arguments += [f"--score={tag}={name}" for tag, name in SCORES.items()]
    arguments += ["--weights=math=1", "--weights=gsm8k=3", "--exaflops-per-step=0.5", "--sft-exaflops=0"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(result.output)["counts"]["steps_without_score"] == 1
    assert rows_of(read_points(out), "exaflops", "score") == [(0, 70), (1, 80)]
    assert fit_curves(read_points(out))["runs"]["r"]["status"] == "unidentified"
