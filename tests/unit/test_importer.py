import io
import json
import math
import os
import pickle
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import reference
from typer.testing import CliRunner

from switchpoint.ceilings import fit_curves
from switchpoint.cli import app
from switchpoint.errors import InputError
from switchpoint.importer import logs, retu
from switchpoint.importer import points as importer
from switchpoint.importer.points import Options, import_files, import_points
from switchpoint.points import check_points, read_points


def rows_of(points: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(points[list(columns)].itertuples(index=False, name=None))


def write_lines(path: Path, records: list, end: str = "\n") -> str:
    path.write_text("\n".join(json.dumps(record) for record in records) + end)
    return str(path)


def write_table(path: Path, **columns) -> str:
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


# ---- csv


def test_csv_with_mapped_columns(tmp_path):
    path = write_table(
        tmp_path / "a.csv", name=["r", "r", "r"], compute=[0, 1.5, 3], acc=[0.2, 0.3, None], lr=[1, 1, 1]
    )
    column = {"run": "name", "exaflops": "compute", "score": "acc"}
    points, summary = import_points([path], "csv", Options(column=column, scale=100, sft_exaflops=5))
    assert list(points) == importer.COLUMNS
    assert rows_of(points, "run", "phase", "exaflops", "exaflops_total", "benchmark", "score") == [
        ("r", "rl", 0, 5, "overall", 20),
        ("r", "rl", 1.5, 6.5, "overall", 30),
    ]
    assert summary == {
        "format": "csv",
        "runs": {"r": 2},
        "benchmarks": {"overall": 2},
        "counts": {"blank_scores": 1, "rows": 3, "scores": 2, "unused_columns": 1},
        "not_fittable": {},
    }


def test_csv_with_a_column_per_benchmark_and_the_weighted_mean(tmp_path):
    path = write_table(tmp_path / "a.csv", step=[0, 10, 20], hard=[10, 20, 30], easy=[50, None, 70])
    options = Options(
        run="r", phase="sft", score={"hard": "hard", "easy": "easy"}, exaflops_per_step=0.5,
        weights={"hard": 1.0, "easy": 3.0},
    )  # fmt: skip
    points, summary = import_points([path], "csv", options)
    overall = points[points["benchmark"] == "overall"]
    assert rows_of(overall, "step", "exaflops", "exaflops_total", "score", "n") == [
        (0, 0, 0, 40, 4),
        (20, 10, 10, 60, 4),
    ]
    assert points.loc[points["benchmark"] == "easy", "n"].tolist() == [3, 3]
    assert summary["counts"]["points_without_overall"] == 1
    assert summary["counts"]["blank_scores"] == 1


def test_curves_pass_through_unchanged(tmp_path):
    curves = pd.DataFrame(
        [("r", "rl", 0, 0.0, 7.0, "math", 50.0, 1.5, 10), ("r", "rl", 4, 2.0, 9.0, "math", 60.0, 1.0, 10)],
        columns=importer.COLUMNS,
    )
    curves.to_csv(tmp_path / "a.csv", index=False)
    points, _ = import_points([str(tmp_path / "a.csv")], "csv", Options())
    pd.testing.assert_frame_equal(points, curves, check_dtype=False)


def test_csv_p_start_becomes_the_anchor(tmp_path):
    path = write_table(
        tmp_path / "a.csv", run=["a", "a", "b"], exaflops=[1, 2, 1], exaflops_total=[6, 7, 1], score=[0.5, 0.6, 0.7],
        se=[0.01] * 3, p_start=[0.4, None, 0.3],
    )  # fmt: skip
    points, _ = import_points([path], "csv", Options(scale=100))
    anchors = points[points["exaflops"] == 0]
    assert rows_of(anchors, "run", "step", "exaflops_total", "score") == [("a", 0, 5, 40), ("b", 0, 0, 30)]
    assert anchors["se"].isna().all()
    assert points.loc[points["exaflops"] > 0, "se"].tolist() == [1, 1, 1]


GOOD = {"run": ["r", "r", "r"], "exaflops": [0, 1, 2], "score": [20, 30, 40]}


def test_p_start_that_agrees_with_the_row_at_0(tmp_path):
    path = write_table(tmp_path / "a.csv", **GOOD, p_start=[20, 20, None])
    points, _ = import_points([path], "csv", Options(p_start={"overall": 20.0}))
    assert rows_of(points, "exaflops", "score") == [(0, 20), (1, 30), (2, 40)]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("score", [20, "high", 40], r"a.csv: line 3, run r: score is high; give a finite number$"),
        ("score", [20, 130, 40], r"a.csv: line 3, run r: score is 130 points; .* 0 to 100"),
        ("exaflops", [0, 1, -2], "line 4, .*exaflops is -2; give what was spent since the run's start"),
        ("exaflops", [0, 1, 1], "line 4, .*run r has a point of overall at 1 exaflops already; keep one"),
        ("exaflops", [1, 2, 3], "run r: no start; .*give --p-start"),
        ("run", ["r", None, "r"], r"line 3, run nan: no run; name it with --run NAME, or"),
        ("phase", ["rl", "rl", "ppo"], "line 4, .*phase is ppo; give base, sft or rl"),
        ("step", [0, 1.5, 2], "line 3, .*step is 1.5; give a whole number"),
        ("benchmark", ["a", "a", None], "line 4, .*no benchmark; name it"),
        ("p_start", [20, 21, 20], r"line 3, .*run r, p_start: run r has a point of overall at 0 exaflops"),
        ("p_start", [25, 25, 25], r"line 2, .*run r, p_start: run r has a point of overall at 0 exaflops"),
        ("p_start", [20, "?", 20], r"line 3, .*p_start is \?"),
    ],
)
def test_bad_csv_row_is_named(tmp_path, column, values, message):
    path = write_table(tmp_path / "a.csv", **(GOOD | {column: values}))
    with pytest.raises(InputError, match=message):
        import_points([path], "csv", Options())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": {"speed": "x"}}, "--column speed=..: the fields to map are run, phase, step, exaflops"),
        ({"column": {"exaflops": "compute"}}, r"no column compute; map .* \(it has run, exaflops, score\)"),
        ({"score": {"score": "math"}, "column": {"se": "score"}}, "--column se=..: the fields to map are"),
        ({"run": "r"}, "has a column run for run; leave the option out"),
        ({"exaflops": "compute"}, "--exaflops has no meaning with --format csv; leave it out"),
        ({"scale": 0.0}, "--scale is 0; give a positive number"),
        ({"scale": 3.0}, "line 4, .*score is 120 points; .*mend it or --scale"),
        ({"sft_exaflops": -1.0}, "--sft-exaflops is -1"),
        ({"weights": {"math": 3.0}}, "--weights math=..: there is no such benchmark, but overall"),
        ({"weights": {"overall": 0.5}}, "--weights overall=0.5: give the number of problems"),
        ({"p_start": {"math": 3.0}}, "--p-start math=..: there is no such benchmark, but overall"),
        ({"p_start": {"overall": 3.0}}, "--p-start: run r has a point of overall at 0 exaflops already"),
        ({"score": {"score": "x", "exaflops": "x"}}, "run r has a point of x at 0 exaflops already"),
    ],
)
def test_bad_csv_options(tmp_path, options, message):
    path = write_table(tmp_path / "a.csv", **GOOD)
    with pytest.raises(InputError, match=message):
        import_points([path], "csv", Options(**options))


def test_fractions_are_not_rescaled_silently(tmp_path):
    path = write_table(tmp_path / "a.csv", **(GOOD | {"score": [0, 0.4, 1]}))
    with pytest.raises(
        InputError, match=r"all scores lie within 0..1; if they are fractions give --scale 100$"
    ):
        import_points([path], "csv", Options())
    points, _ = import_points([path], "csv", Options(scale=100))
    assert points["score"].tolist() == [0, 40, 100]


def test_p_start_of_several_runs(tmp_path):
    path = write_table(tmp_path / "a.csv", run=["a", "b"], exaflops=[1, 1], score=[50, 60])
    with pytest.raises(InputError, match="--p-start is for one run; for several, map a column to p_start"):
        import_points([path], "csv", Options(p_start={"overall": 40}))


def test_no_scores(tmp_path):
    path = write_table(tmp_path / "a.csv", **(GOOD | {"score": [None] * 3}))
    with pytest.raises(InputError, match="no scores there"):
        import_points([path], "csv", Options())
    with pytest.raises(InputError, match=r"absent.csv: no such file"):
        import_points([str(tmp_path / "absent.csv")], "csv", Options())


floats = st.floats(0.01, 100, allow_subnormal=False)


@settings(max_examples=5, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), floats), min_size=1, max_size=12, unique_by=lambda row: row),
    floats,
)
def test_every_csv_score_is_a_point_or_counted(tmp_path_factory, found, start):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    table = pd.DataFrame(found, columns=["run", "exaflops"])
    table = table.assign(score=[None if i % 3 == 2 else 50 + i for i in range(len(found))], p_start=start)
    table.to_csv(path, index=False)
    out = path.with_name("curves.csv")
    summary = import_files([str(path)], str(out), None, Options())
    points = read_points(out)
    scored = points[points["exaflops"] > 0]
    assert len(scored) + summary["counts"]["blank_scores"] == len(found)
    assert (points.loc[points["exaflops"] == 0, "score"] == start).all()
    expected = table.dropna(subset="score").set_index(["run", "exaflops"])["score"]
    assert scored.set_index(["run", "exaflops"])["score"].to_dict() == expected.to_dict()


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
        run="r", score=SCORES, exaflops_per_step=0.25, scale=100, sft_exaflops=3.0, weights={"math": 1.0, "gsm8k": 3.0}
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


def test_verl_parts_of_a_resumed_run(tmp_path):
    """The second part logs step 2 again; its last line was being written when the run was killed."""
    first = write_lines(tmp_path / "a.jsonl", VERL)
    again = [{"step": 2, "data": {MATH: 0.6}}, {"step": 3, "data": {MATH: 0.7}}]
    second = write_lines(tmp_path / "b.jsonl", again, end='\n{"step": 4, "da')
    options = Options(run="r", score={MATH: "math"}, exaflops_per_step=1.0, scale=100)
    points, summary = import_points([first, second], "verl", options)
    assert rows_of(points, "step", "score") == [(0, 40), (2, 60), (3, 70)]
    assert (summary["counts"]["values_replaced"], summary["counts"]["cut_off"]) == (1, 1)


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
        ({"score": {}}, "log.jsonl: give --score TAG=BENCHMARK; the tags are perf/mfu, val-core/gsm8k/acc/mean@1, val"),
        ({"score": {"acc": "math"}}, "log.jsonl: no tag acc; the tags are perf/mfu, val-core/gsm8k/acc"),
        ({"exaflops_per_step": None, "exaflops": "flops"}, "no tag flops; the tags are"),
        ({"exaflops_per_step": None}, "give the compute in one way: --exaflops TAG or --exaflops-per-step X"),
        ({"exaflops": "perf/mfu"}, "give the compute in one way"),
        ({"run": None}, "line 1, val-core/.*: no run; name it with --run NAME"),
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
        ("", r"no tag a; the tags are none \(is it --format verl\?\)"),
        ('{"step": 1}\n', "line 1: no record of tags and values; is it --format verl"),
        ('{"step": 1, "data": {}}\n{"st\n{"step": 2, "data": {}}\n', "log.jsonl: line 2 is no JSON .*; mend it"),
        ('{"step": 1.5, "data": {}}\n', "line 1: step is 1.5; give a whole number of 0 or more"),
        ('{"step": true, "data": {}}\n', "line 1: step is True"),
        (f'{{"step": {"9" * 5000}, "data": {{}}}}\n', "line 1: step is inf"),
        ("[" * 100_000 + "\n1\n", "line 1 is no JSON"),
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
        "records": 5, "scores": 2, "steps": 3, "steps_without_score": 1, "unused_tags": 4, "values_not_numbers": 0,
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
        ("a.json", b"{", "a.json is no JSON .*; mend it, and name a file of lines .jsonl"),
        ("a.json", b"{}", "no log_history; give trainer_state.json, or a list of records"),
        ("a.json", b"[1]", "record 1: no record of tags and values; is it --format trl"),
        ("a.json", b'[{"train_runtime": 3}]', r"the tags are none \(is it --format trl\?\)"),
        ("a.json", b"\xff\xfe", "a.json: no text file"),
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
        "records": 8, "scores": 3, "steps": 4, "steps_without_score": 1, "unused_tags": 1, "values_not_numbers": 1,
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


# ---- RETU's caches


def cache(path: Path, value, protocol: int = 4) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return str(path)


def scores(value: float) -> dict:
    """One score for every benchmark, as the release has them: numpy numbers among Python's."""
    return {name: np.float64(value) if name == "math" else float(value) for name in retu.WEIGHTS}


def test_released_caches(tmp_path):
    """The layout of the release: a sweep by compute, branches by step and compute.

    1080 steps of Easy102K are 59.29 exaFLOPs, rounded in the caches; P_sft is the sweep's there.
    """
    sweep = tmp_path / "sft" / "easy102K_flops2valPerform_sft_dict.pkl"
    cache(sweep, {0: scores(46), 59.0: scores(70), 59.4: scores(74)})
    branch = {1080: {3.9: scores(75), 7.8: scores(76)}}
    cache(tmp_path / "sft_then_rl" / "easy102K" / "easy102K_step2flops2valPerform_dapo_ckpt1080.pkl", branch)
    points, summary = import_points([str(tmp_path)], "retu", Options())
    assert summary["runs"] == {"Easy102K": 21, "Easy102K-1080": 21}
    assert summary["not_fittable"] == {}
    overall = points[points["benchmark"] == "overall"]
    assert rows_of(overall, "run", "phase", "exaflops", "score", "n") == [
        ("Easy102K", "sft", 0, 46, 2157),
        ("Easy102K", "sft", 59.0, 70, 2157),
        ("Easy102K", "sft", 59.4, 74, 2157),
        ("Easy102K-1080", "rl", 0, 74, 2157),
        ("Easy102K-1080", "rl", 3.9, 75, 2157),
        ("Easy102K-1080", "rl", 7.8, 76, 2157),
    ]
    rl = overall[overall["phase"] == "rl"]
    assert (rl["exaflops_total"] - rl["exaflops"]).to_numpy() == pytest.approx(59.29, abs=0.005)
    cache(sweep, {0: scores(46), 59.0: scores(70)})
    with pytest.raises(InputError, match="run Easy102K-1080: no start"):
        import_points([str(tmp_path)], "retu", Options())


def test_rl_from_the_base_model_starts_at_the_sweeps_0(tmp_path):
    cache(tmp_path / "a.pkl", {"s1K": {0: {"overall": 46}, 0.57: {"overall": 68}}})
    cache(tmp_path / "b.pkl", {"s1K": {0: {1.0: {"overall": 50}}, 62: {1.0: {"overall": 70}}}})
    points, _ = import_points([str(tmp_path)], "retu", Options())
    assert rows_of(points[points["phase"] == "rl"], "run", "exaflops", "score") == [
        ("S1K-0", 0, 46),
        ("S1K-0", 1, 50),
        ("S1K-62", 0, 68),
        ("S1K-62", 1, 70),
    ]


def test_a_set_that_is_not_retus(tmp_path):
    branch = {"mine": {5: {0.0: {"overall": 40}, 1.0: {"overall": 50}}}}
    points, _ = import_points([cache(tmp_path / "x.pkl", branch)], "retu", Options())
    assert rows_of(points, "run", "exaflops", "score") == [("mine-5", 0, 40), ("mine-5", 1, 50)]
    assert points["exaflops_total"].isna().all()
    cache(tmp_path / "y.pkl", branch)
    with pytest.raises(
        InputError, match=r"y.pkl, SFT step 5, .*: run mine-5 has a point of overall at 0 exaf"
    ):
        import_points([str(tmp_path)], "retu", Options())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no scores there"):
        import_points([str(tmp_path / "empty")], "retu", Options())


def test_other_nestings_are_shown(tmp_path):
    wanted = "wanted [set >] [SFT step >] exaflops > benchmark > score"
    for value, found in [
        ([1, 2], "list"),
        ({}, "dict"),
        ({1.0: {}}, "float > dict"),
        ({"easy": {360: {"flops": [1.0], "overall": [2.0]}}}, "str > int > str > list"),
        ({360: {1.0: {"math": 1.0}, "x": {"math": 1.0}}}, "int > str > str > float"),
        ({360: {1.0: {"math": True}}}, "int > float > str > bool"),
        ({360: {1.0: {"math": 10**500}}}, "int > float > str > int"),
        ({360: {1.0: {"a\ud800": 1}}}, "int > float > str > int"),
        ({3.5: {1.0: {"math": 1.0}}}, "float > float > str > float"),
    ]:
        with pytest.raises(InputError) as error:
            import_points([cache(tmp_path / "x.pkl", value)], "retu", Options())
        assert str(error.value) == f"{tmp_path}/x.pkl: holds {found}; {wanted}"


def test_a_dict_within_itself(tmp_path):
    value = {}
    value[1] = value
    with pytest.raises(InputError, match="holds int > int > int > int > dict; wanted"):
        import_points([cache(tmp_path / "x.pkl", value)], "retu", Options())


@pytest.mark.parametrize(
    ("score", "message"), [(math.nan, "score is nan"), (math.inf, "score is inf"), (101, "is 101 points")]
)
def test_bad_cached_score_is_named(tmp_path, score, message):
    path = cache(tmp_path / "easy102K_x.pkl", {0.0: {"math": 5.0}, 1.5: {"math": score}})
    with pytest.raises(InputError, match=f"easy102K_x.pkl, SFT step None, 1.5 exaFLOPs, math: .*{message}"):
        import_points([path], "retu", Options())


# ---- pickles


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans() | st.none()
keys = st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
nested = st.recursive(
    numbers | st.text(max_size=5),
    lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=4),
    max_leaves=20,
)


def load(data: bytes):
    return retu._Unpickler(io.BytesIO(data)).load()


@settings(max_examples=30, deadline=None)
@given(nested, st.integers(0, 5))
def test_pickles_of_plain_data_are_read(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


def test_numpy_numbers_are_read():
    for kind in retu.CODES:
        number = np.dtype(kind).type(1.5)
        found = load(pickle.dumps({3: [number, number], "x": {number: 0}}, 4))
        assert found == {3: [number.item()] * 2, "x": {number.item(): 0}}
        assert type(found[3][0]) is type(number.item())


def test_both_names_of_numpys_scalar():
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    data = pickle.dumps(np.float64(2.5), 3)
    assert load(data.replace(new, old)) == load(data.replace(old, new)) == 2.5
    assert data.replace(new, old) != data.replace(old, new)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


SCALAR = b"cnumpy._core.multiarray\nscalar\n"
CLASS = b"cnumpy\ndtype\n"
DTYPE = CLASS + text("f8") + b"\x89\x88\x87R"


def test_byte_order():
    for order in "<>":
        state = b"(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
        number = b"C\x08" + struct.pack(f"{order}d", 2.5)
        assert load(b"\x80\x04" + SCALAR + DTYPE + state + b"b" + number + b"\x86R.") == 2.5


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def commands(marker: str) -> dict[str, tuple[object, str]]:
    """What a hostile pickle holds, and what is refused of it."""
    run = Call(os.system, f"touch {marker}")
    return {
        "call": (run, "global '(posix|nt).system'"),
        "value": ({360: {1.0: {"math": run}}}, "global '(posix|nt).system'"),
        "key": ({run: 1}, "global '(posix|nt).system'"),
        "argument": (Call(np.dtype, run), "global '(posix|nt).system'"),
        "eval": (Call(eval, f"open('{marker}', 'w')"), "global '(builtins|__builtin__).eval'"),
        "getattr": (Call(getattr, Call(__import__, "os"), "system"), "global '(builtins|__builtin__).getattr'"),
        "Popen": (Call(subprocess.Popen, ["touch", marker]), "global '(subprocess|commands).Popen'"),
        "loads": (Call(pickle.loads, pickle.dumps(run)), "global '(_pickle|pickle|cPickle).loads'"),
        "array": (np.array([1.0]), r"global '(numpy\._core.multiarray._reconstruct|numpy._core.numeric._frombuffer)'"),
        "object": (Call(np.dtype, "O"), "numpy type 'O'"),
        "dtype of objects": (np.dtype([("a", object)]), "numpy type 'V8'"),
    }  # fmt: skip


def test_nothing_of_a_hostile_pickle_runs(tmp_path):
    marker = tmp_path / "marker"
    for value, refused in commands(str(marker)).values():
        for protocol in range(6):
            path = cache(tmp_path / "x.pkl", value, protocol)
            with pytest.raises(
                InputError, match=f"x.pkl: refused the {refused}; give a whole pickle of nothing"
            ):
                import_points([path], "retu", Options())
            assert not marker.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        # A global, by every opcode that names one.
        (b"cos\nsystem\n.", "refused the global 'os.system'"),
        (text("os") + text("system") + b"\x93.", "refused the global 'os.system'"),
        (b"(S'touch x'\nios\nsystem\n.", "refused the global 'os.system'"),
        (b"(cos\nsystem\nS'touch x'\no.", "refused the global 'os.system'"),
        (b"cos\nsystem\n)\x81.", "refused the global 'os.system'"),
        (b"cthis\nx\n.", "refused the global 'this.x'"),
        (b"cnumpy\ndtype.__class__\n.", "refused the global 'numpy.dtype.__class__'"),
        (b"cnumpy.core\nmultiarray.scalar\n.", "refused the global 'numpy.core.multiarray.scalar'"),
        (text("numpy.core") + text("x.y") + b"\x93.", "refused the global 'numpy.core.x.y'"),
        (b"K\x01K\x02\x93.", "STACK_GLOBAL requires str"),
        (b"\x82\x01.", "unregistered extension code"),
        (b"Pos.system\n.", "no persistent_load function"),
        # The stand-ins, wrongly used.
        (CLASS + text("O") + b"\x89\x88\x87R.", "refused the numpy type 'O'"),
        (b"(" + CLASS + text("V8") + b"o.", "refused the numpy type 'V8'"),
        (CLASS + b"N\x85\x85\x85R.", "refused the numpy type ((None,),)"),
        (SCALAR + CLASS + b")\x81C\x08abcdefgh\x86R.", "no attribute 'code'"),
        (DTYPE + b"N" + text("x") + b"\x86b.", "refused a numpy type's state that is no byte order"),
        (CLASS + b"N}" + text("order") + text("O") + b"s\x86b.", "missing 1 required positional argument"),
        (SCALAR + DTYPE + b"C\x04abcd\x86R.", "buffer size must be a multiple"),
        (SCALAR + DTYPE + b"C\x10abcdefghabcdefgh\x86R.", "too many values"),
        (SCALAR + text("f8") + b"C\x08abcdefgh\x86R.", "no attribute 'order'"),
        (text("touch x") + text("f8") + b"\x85R.", "not callable"),
        # No pickles.
        (b"}}K\x01s.", "unhashable"),
        (b"h\x05.", "Memo value not found"),
        (b".", "stack underflow"),
        (b"\xfe.", "invalid load key"),
    ],
)  # fmt: skip
def test_hostile_opcodes(tmp_path, code, message):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x04" + code)
    with pytest.raises(InputError) as error:
        retu._unpickled(path)
    assert message in str(error.value)
    assert len(str(error.value)) < 400
    assert "this" not in sys.modules


def test_a_pickle_cannot_change_the_stand_ins():
    attributes = b"N}" + text("__defaults__") + b"K\x01K\x02\x86s\x86b"
    load(b"\x80\x04" + SCALAR + attributes + b".")
    assert retu._scalar.__defaults__ is None
    assert retu._Unpickler(io.BytesIO(b"")).find_class("numpy.core.multiarray", "scalar").__defaults__ is None


def test_a_truncated_pickle(tmp_path):
    path = tmp_path / "x.pkl"
    for protocol in (3, 4):
        whole = pickle.dumps({360: {0.5: scores(40), 1.0: scores(50)}}, protocol)
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputError, match=r"x.pkl: .*; give a whole pickle"):
                retu._unpickled(path)
    with pytest.raises(InputError, match="Is a directory"):
        retu._unpickled(tmp_path)


MUTATIONS = """
import pickle, random, resource, sys
from pathlib import Path
import numpy as np
from switchpoint.importer import retu
from switchpoint.errors import InputError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
path, draw, refused = Path(sys.argv[1]), random.Random(0), 0
for _ in range(400):
    code = bytearray(pickle.dumps({360: {0.5: {"math": np.float64(2.5)}}}, draw.choice([3, 4])))
    for _ in range(draw.randint(1, 3)):
        code[draw.randrange(len(code))] = draw.randrange(256)
    path.write_bytes(code)
    try:
        rows = list(retu._points(path))
    except InputError:
        refused += 1
    else:
        assert all(type(value) in (str, int, float) for row in rows for value in row), rows
print(refused)
"""


def test_a_mutated_pickle_is_refused_or_plain(tmp_path):
    """In a process of bounded memory, as a few bytes can ask for gigabytes."""
    command = [sys.executable, "-c", MUTATIONS, str(tmp_path / "x.pkl")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 150 < int(done.stdout) < 400


# ---- published tables


def test_published_curves_fit_as_they_are(tmp_path):
    """Imported and fitted is fitted; SFT889K at step 1800 reaches 81.0 (the camera-ready figure)."""
    paths = [str(reference("published", name)) for name in ("rl_points.csv", "sft_points.csv")]
    summary = import_files(paths, str(tmp_path / "curves.csv"), "published", Options())
    assert summary["not_fittable"] == {}
    raw = pd.read_csv(paths[0]).rename(
        columns={"rl_exaflops": "exaflops", "overall": "score", "p_sft": "p_start"}
    )
    raw["run"] = raw["dataset"] + "-" + raw["sft_step"].astype(str)
    curves = pd.read_csv(tmp_path / "curves.csv")
    overall = curves[curves["benchmark"] == "overall"]
    assert set(overall.loc[overall["phase"] == "rl", "run"]) == set(raw["run"])
    assert len(overall) == len(raw) + raw["run"].nunique() + len(pd.read_csv(paths[1]))
    name = "SFT889K-1800"
    direct = check_points(raw.loc[raw["run"] == name, ["run", "exaflops", "score", "p_start"]])
    imported = read_points(tmp_path / "curves.csv")
    fits = [fit_curves(points)["runs"][name] for points in (imported[imported["run"] == name], direct)]
    assert fits[0] == fits[1]
    assert fits[0]["p_start"] == 74.05
    assert fits[0]["a"] == pytest.approx(81.0, abs=0.3)
    total = curves[curves["run"] == name]
    assert (total["exaflops_total"] - total["exaflops"]).to_numpy() == pytest.approx(174.6)


def test_weights_give_the_published_overall():
    table = pd.read_csv(reference("published", "rl_points.csv"))
    mean = sum(table[name] * n for name, n in retu.WEIGHTS.items()) / 2157
    assert (mean - table["overall"]).abs().max() < 0.0051


RL = {
    "dataset": ["A", "A"],
    "sft_step": [360, 360],
    "p_sft": [40, 40],
    "rl_exaflops": [1, 2],
    "overall": [50, 55],
}


def test_published_rl_points_alone(tmp_path):
    path = write_table(tmp_path / "rl.csv", **RL, math=[30, 35])
    points, summary = import_points([path], "published", Options())
    overall = points[points["benchmark"] == "overall"]
    assert rows_of(overall, "run", "exaflops", "score") == [
        ("A-360", 0, 40),
        ("A-360", 1, 50),
        ("A-360", 2, 55),
    ]
    assert overall["exaflops_total"].isna().all()
    assert list(summary["not_fittable"]) == ["math"]


def test_published_base_starts_at_step_0_of_any_set(tmp_path):
    rl = write_table(
        tmp_path / "rl.csv", dataset=["base"], sft_step=[0], p_sft=[40], rl_exaflops=[1], math=[30], overall=[50]
    )  # fmt: skip
    sft = write_table(
        tmp_path / "sft.csv", dataset=["A", "A"], sft_step=[0, 9], sft_exaflops=[0, 3], math=[20, 25], overall=[40, 45]
    )  # fmt: skip
    points, summary = import_points([rl, sft], "published", Options())
    assert summary["not_fittable"] == {}
    math_points = points[points["benchmark"] == "math"]
    assert rows_of(math_points, "run", "phase", "step", "exaflops", "exaflops_total", "score") == [
        ("A", "sft", 0, 0, 0, 20),
        ("A", "sft", 9, 3, 3, 25),
        ("base-0", "rl", 0, 0, 0, 20),
        ("base-0", "rl", pd.NA, 1, 1, 30),
    ]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("p_sft", [40, 41], r"line 3, .*run A-360, p_start: run A-360 has a point of overall at 0 exaflops already"),
        ("p_sft", [40, "x"], r"line 3, .*p_start is x; give a finite number"),
        ("overall", [50, None], "line 3, .*score is nan; give a finite number"),
        ("overall", [50, 105], r"rl.csv: line 3, run A-360: score is 105 points"),
        ("sft_step", [360, "x"], "row 2 .*sft_step is 'x'; give a finite number"),
        ("rl_exaflops", [1, 1], "run A-360 has a point of overall at 1 exaflops already"),
        ("dataset", ["A", None], "row 2 .*dataset is nan; name the dataset"),
    ],
)  # fmt: skip
def test_bad_published_row_is_named(tmp_path, column, values, message):
    path = write_table(tmp_path / "rl.csv", **(RL | {column: values}))
    with pytest.raises(InputError, match=message):
        import_points([path], "published", Options())


def test_published_table_of_other_columns(tmp_path):
    with pytest.raises(InputError, match="no column dataset, sft_step, sft_exaflops; it needs"):
        import_points([write_table(tmp_path / "x.csv", **GOOD)], "published", Options())


# ---- the command


def test_format_by_name():
    names = ["a.csv", "x/trainer_state.json", "a.pkl", "events.out.tfevents.17.host"]
    assert [importer.guess_format(name) for name in names] == ["csv", "trl", "retu", "tensorboard"]
    for name in ("log.jsonl", "log.json", "all_results.json", "x", "."):
        with pytest.raises(InputError, match="give --format csv, verl, trl, tensorboard, retu, published"):
            importer.guess_format(name)
    with pytest.raises(InputError, match=r"format is 'wandb'; give --format csv"):
        import_points(["a.csv"], "wandb", Options())


def test_pairs():
    assert importer.pairs(["val/x=1/acc=math"], "--score") == {"val/x=1/acc": "math"}
    assert importer.numbers(["4.5", "math=3"], "--p-start") == {"overall": 4.5, "math": 3}
    for bad in (["a"], ["=a"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="give --score NAME=VALUE, each name once"):
            importer.pairs(bad, "--score")
    with pytest.raises(InputError, match=r"--weights: could not convert .*; give --weights NAME=NUMBER"):
        importer.numbers(["a=b"], "--weights")


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


def test_a_failed_import_leaves_the_old_file(tmp_path):
    out = tmp_path / "curves.csv"
    out.write_text("old")
    bad = write_table(tmp_path / "a.csv", **(GOOD | {"score": [1, 2, 300]}))
    with pytest.raises(InputError):
        import_files([bad], str(out), None, Options())
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "curves.csv"]
