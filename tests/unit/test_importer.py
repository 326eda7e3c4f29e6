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
from typer.testing import CliRunner

from switchpoint import flops, importer, importer_logs, importer_retu
from switchpoint.ceilings import fit_curves
from switchpoint.cli import app
from switchpoint.errors import InputError
from switchpoint.importer import Options, import_files, import_points
from switchpoint.points import check_points, read_points


def rows_of(points: pd.DataFrame, *columns: str) -> list[tuple]:
    return list(points[list(columns)].itertuples(index=False, name=None))


def write_lines(path: Path, records: list, end: str = "\n") -> str:
    path.write_text("\n".join(json.dumps(record) for record in records) + end)
    return str(path)


# ---- csv


def write_table(path: Path, **columns) -> str:
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def test_csv_with_mapped_columns(tmp_path):
    path = write_table(
        tmp_path / "a.csv", name=["r", "r", "r"], compute=[0, 1.5, 3], acc=[0.2, 0.3, None], lr=[1, 1, 1]
    )
    options = Options(
        column={"run": "name", "exaflops": "compute", "score": "acc"}, scale=100, sft_exaflops=5
    )
    points, summary = import_points([path], "csv", options)
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


def test_csv_keeps_what_points_have(tmp_path):
    """A curves.csv passes through unchanged."""
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


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("score", [20, "high", 40], r"row 2 \(line 3, run r\): score is 'high'; give a finite number"),
        ("score", [20, 30, "inf"], r"row 3 .*score is inf"),
        ("score", [20, 130, 40], r"a.csv: row 2 \(line 3, run r\): score is 130 points; .* 0 to 100"),
        ("score", [20, -1, 40], "row 2 .*score is -1 points"),
        ("exaflops", [0, None, 2], "row 2 .*exaflops is nan; give a finite number"),
        ("exaflops", [0, 1, -2], "row 3 .*exaflops is -2"),
        ("exaflops", [0, 1, 1], "row 3 .*run r has a point of overall at 1 exaflops already"),
        ("exaflops", [1, 2, 3], "run r: no start; .*give --p-start"),
        ("run", ["r", None, "r"], r"row 2 \(line 3, run nan\): run is nan; name the run"),
        ("phase", ["rl", "rl", "ppo"], "row 3 .*phase is 'ppo'; give base, sft or rl"),
        ("step", [0, 1.5, 2], "row 2 .*step is 1.5; give a whole number"),
        ("benchmark", ["a", "a", None], "row 3 .*benchmark is nan; name the benchmark"),
        ("n", [10, 10.5, 10], "row 2 .*n is 10.5; give a whole number"),
        ("se", [1, "x", 1], "row 2 .*se is 'x'"),
        ("p_start", [20, 21, 20], "row 2 .*p_start is 21, it was another"),
        ("p_start", [25, 25, 25], "row 1 .*score is 20 at exaflops 0, p_start is not"),
        ("p_start", [20, "?", 20], "row 2 .*p_start is '\\?'"),
    ],
)
def test_bad_csv_row_is_named(tmp_path, column, values, message):
    path = write_table(tmp_path / "a.csv", **(GOOD | {column: values}))
    with pytest.raises(InputError, match=message):
        import_points([path], "csv", Options())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": {"speed": "x"}}, r"--column speed=..: the fields to map are run, phase, step, exaflops"),
        ({"column": {"exaflops": "compute"}}, r"no column compute; map .* \(it has run, exaflops, score\)"),
        ({"score": {"acc": "math"}}, "no column acc"),
        ({"score": {"score": "math"}, "column": {"se": "score"}}, "--column se=..: the fields to map are"),
        ({"run": "r"}, "has a column run for run; leave the option out"),
        ({"exaflops_per_step": 1.0}, "no column step"),
        ({"exaflops": "compute"}, "--exaflops has no meaning with --format csv"),
        ({"scale": 0.0}, "--scale is 0; give a positive number"),
        ({"scale": math.nan}, "--scale is nan"),
        ({"scale": 3.0}, "row 3 .*score is 120 points; .*mend it or --scale"),
        ({"sft_exaflops": -1.0}, "--sft-exaflops is -1"),
        ({"phase": " "}, "--phase is empty"),
        ({"weights": {"math": 3.0}}, "--weights math=..: there is no such benchmark, but overall"),
        ({"weights": {"overall": 0.5}}, "--weights overall=0.5: give the number of problems"),
        ({"p_start": {"math": 3.0}}, "--p-start math=..: there is no such benchmark, but overall"),
        (
            {"p_start": {"overall": 3.0}},
            "--p-start overall=3: run r has a point of overall at 0 exaflops already",
        ),
        ({"score": {"score": "x", "exaflops": "x"}}, "two of score, exaflops have the same benchmark"),
    ],
)
def test_bad_csv_options(tmp_path, options, message):
    path = write_table(tmp_path / "a.csv", **GOOD)
    with pytest.raises(InputError, match=message):
        import_points([path], "csv", Options(**options))


def test_fractions_are_not_rescaled_silently(tmp_path):
    path = write_table(tmp_path / "a.csv", **(GOOD | {"score": [0, 0.4, 1]}))
    with pytest.raises(
        InputError, match=r"within 0..1; if they are fractions give --scale 100, .* --scale 1$"
    ):
        import_points([path], "csv", Options())
    scores = {
        scale: import_points([path], "csv", Options(scale=scale))[0]["score"].tolist() for scale in (1, 100)
    }
    assert scores == {1: [0, 0.4, 1], 100: [0, 40, 100]}


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


@settings(max_examples=10, deadline=None)
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


VERL = [
    {"step": 0, "data": {"val-core/math/acc/mean@16": 0.4, "val-core/gsm8k/acc/mean@1": 0.8}},
    {"step": 1, "data": {"perf/total_num_tokens": 1000, "actor/loss": None}},
    {
        "step": 2,
        "data": {
            "perf/total_num_tokens": 3000, "val-core/math/acc/mean@16": 0.5, "val-core/gsm8k/acc/mean@1": 0.9,
        },
    },
]  # fmt: skip
SCORES = {"val-core/math/acc/mean@16": "math", "val-core/gsm8k/acc/mean@1": "gsm8k"}


def test_verl(tmp_path):
    path = write_lines(tmp_path / "log.jsonl", VERL)
    options = Options(
        run="r",
        score=SCORES,
        exaflops_per_step=0.25,
        scale=100,
        sft_exaflops=3.0,
        weights={"math": 1.0, "gsm8k": 3.0},
    )
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
        "unused_tags": 2, "values_replaced": 0,
    }  # fmt: skip
    for benchmark in ("math", "gsm8k", "overall"):
        assert len(check_points(points, benchmark)) == 2


def test_tokens_become_compute(tmp_path):
    """verl logs the tokens of a step, TRL all so far; a trained token costs 4 passes in RL, 3 in SFT."""
    passes = flops.forward_per_token(flops.architecture("Qwen2.5-7B"), 500) / 1e18
    verl = write_lines(tmp_path / "log.jsonl", VERL)
    tags = {"score": {"val-core/math/acc/mean@16": "math"}, "model": "Qwen2.5-7B", "mean_length": 500.0}
    points, _ = import_points(
        [verl], "verl", Options(run="r", tokens="perf/total_num_tokens", scale=100, **tags)
    )
    assert points["exaflops"].tolist() == pytest.approx([0, 4 * 4000 * passes])
    trl = write_lines(
        tmp_path / "trl.jsonl", [{"step": 0, "acc": 40}, {"step": 5, "num_tokens": 7000, "acc": 50}]
    )
    tags["score"] = {"acc": "math"}
    points, _ = import_points([trl], "trl", Options(run="r", phase="sft", tokens="num_tokens", **tags))
    assert points["exaflops"].tolist() == pytest.approx([0, 3 * 7000 * passes])


def test_verl_parts_of_a_resumed_run(tmp_path):
    """The second part logs step 2 again; its last line was being written when the run was killed."""
    first = write_lines(tmp_path / "a.jsonl", VERL)
    second = write_lines(
        tmp_path / "b.jsonl",
        [
            {"step": 2, "data": {"val-core/math/acc/mean@16": 0.6}},
            {"step": 3, "data": {"val-core/math/acc/mean@16": 0.7}},
        ],
        end='\n{"step": 4, "da',
    )
    options = Options(run="r", score={"val-core/math/acc/mean@16": "math"}, exaflops_per_step=1.0, scale=100)
    points, summary = import_points([first, second], "verl", options)
    assert rows_of(points, "step", "score") == [(0, 40), (2, 60), (3, 70)]
    assert (summary["counts"]["values_replaced"], summary["counts"]["cut_off"]) == (1, 1)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"score": {}},
            r"log.jsonl: give --score TAG=BENCHMARK; the tags are actor/loss, perf/total_num_tokens, val-core",
        ),
        (
            {"score": {"acc": "math"}},
            "no tag acc; the tags are actor/loss, perf/total_num_tokens, val-core/gsm8k/acc",
        ),
        ({"exaflops_per_step": None, "exaflops": "flops"}, "no tag flops; the tags are"),
        (
            {"exaflops_per_step": None},
            "give the compute in one way: --exaflops TAG, or --exaflops-per-step X",
        ),
        ({"exaflops": "actor/loss"}, "give the compute in one way"),
        (
            {"model": "Qwen2.5-7B"},
            "give the compute in one way: .*--tokens TAG with --model and --mean-length",
        ),
        ({"exaflops_per_step": None, "exaflops": "actor/loss"}, "step 1: actor/loss is None"),
        ({"score": {"actor/loss": "math"}}, "step 1: actor/loss is None; give a finite number"),
        ({"run": None}, "name the run with --run NAME"),
        ({"phase": "base"}, "--phase is 'base'; give sft or rl"),
        ({"column": {"a": "b"}}, "--column has no meaning with --format verl"),
        ({"scale": None}, "all scores lie within 0..1"),
    ],
)
def test_bad_verl_options(tmp_path, options, message):
    path = write_lines(tmp_path / "log.jsonl", VERL)
    good = {"run": "r", "score": SCORES, "exaflops_per_step": 1.0, "scale": 100.0}
    with pytest.raises(InputError, match=message):
        import_points([path], "verl", Options(**(good | options)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing logged with a step; is it --format verl"),
        ('{"step": 1}\n', r'line 1: wanted {"step": .., "data": {..}}; is it --format verl'),
        (
            '{"step": 1, "data": {}}\n{"st\n{"step": 2, "data": {}}\n',
            "line 2 is no JSON .*; mend or delete it",
        ),
        ('{"step": 1.5, "data": {}}\n', "line 1: step is 1.5; give a whole number"),
        ('{"step": -1, "data": {}}\n', "line 1: step is -1; give a whole number"),
        ('{"step": true, "data": {}}\n', "line 1: step is bool; give a whole number"),
        ('{"step": 1e400, "data": {}}\n', "line 1: step is inf"),
        (f'{{"step": {"9" * 40}, "data": {{}}}}\n', "line 1: step is 9999"),
        (f'{{"step": {"9" * 5000}, "data": {{}}}}\n{{}}\n', "line 1 is no JSON"),
        ("[" * 100_000 + "\n1\n", "line 1 is no JSON"),
        ('{"step": 1, "data": {"a": 1e400}}\n', "step 1: a is inf; give a finite number or delete it"),
        ('{"step": 1, "data": {"a": NaN}}\n', "step 1: a is nan"),
        (f'{{"step": 1, "data": {{"a": {"9" * 400}}}}}\n', "step 1: a is int; give a finite number"),
        ('{"step": 1, "data": {"a": "0.5"}}\n', "step 1: a is str"),
        ('{"step": 1, "data": {"a": true}}\n', "step 1: a is bool"),
        ('{"step": 1, "data": {"a": 140}}\n', "step 1, a: score is 140 points"),
    ],
)
def test_bad_verl_log(tmp_path, text, message):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        import_points([str(path)], "verl", Options(run="r", score={"a": "math"}, exaflops_per_step=1.0))


def test_compute_must_be_known_and_must_not_fall(tmp_path):
    lines = [{"step": step, "data": {"acc": 40 + step, "ef": ef}} for step, ef in ((0, 0), (1, 2), (2, 1.5))]
    options = Options(run="r", score={"acc": "math"}, exaflops="ef")
    with pytest.raises(InputError, match="ef falls at step 2; give what was spent since the run's start"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)
    del lines[2]["data"]["ef"]
    with pytest.raises(InputError, match="step 2 has no ef; log it there, or give --exaflops-per-step"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)
    lines[2]["data"]["ef"] = 2
    with pytest.raises(InputError, match="step 2, acc: run r has a point of math at 2 exaflops already"):
        import_points([write_lines(tmp_path / "a.jsonl", lines)], "verl", options)
    tokens = Options(run="r", score={"acc": "math"}, tokens="ef", model="Qwen2.5-7B", mean_length=9.0)
    with pytest.raises(InputError, match="step 1 has no ef"):
        import_points([write_lines(tmp_path / "a.jsonl", [lines[0], lines[2]])], "verl", tokens)


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
    assert summary["counts"] == {
        "records": 5, "scores": 2, "steps": 3, "steps_without_score": 1, "unused_tags": 4, "values_replaced": 0,
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
        ("a.json", "{", r"no whole JSON .*; a file of lines is named .jsonl"),
        ("a.json", "{}", "no log_history; give trainer_state.json, or a list of records"),
        ("a.json", "[1]", "record 1: wanted an object of tags and values; is it --format trl"),
        ("a.jsonl", "3\n", "line 1: wanted an object"),
        ("a.json", '[{"train_runtime": 3}]', "nothing logged with a step"),
        ("a.json", b"\xff\xfe", "no text file"),
    ],
)
def test_bad_trl_log(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        import_points([str(path)], "trl", Options(run="r", score={"a": "math"}, exaflops_per_step=1.0))


# ---- TensorBoard


def write_events(
    directory: Path, values: list[tuple[str, float, int]], name: str = "events.out.tfevents.1"
) -> Path:
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
        writer.close()
    return directory / name


TB = Options(run="r", score={"val/acc": "math"}, exaflops="ef", scale=100)


def test_tensorboard(tmp_path):
    """Scalars of both kinds (simple values and tensors), texts beside them, two files of one run."""
    values = [
        ("val/acc", 0.1, 0),
        ("loss", 2.0, 1),
        ("val/acc", 0.3, 2),
        ("ef", 1.5, 2),
        ("text", "hello", 2),
    ]
    write_events(tmp_path / "tb", values)
    later = [("val/acc", np.float32(0.4), 2), ("val/acc", np.float64(0.7), 4), ("ef", np.float32([3.5]), 4)]
    write_events(tmp_path / "tb", later, "events.out.tfevents.2")
    out = tmp_path / "curves.csv"
    summary = import_files([str(tmp_path / "tb")], str(out), None, TB)
    assert rows_of(read_points(out, "math"), "exaflops", "score") == [(0, 10), (1.5, 40), (3.5, 70)]
    assert summary["format"] == "tensorboard"
    assert summary["counts"] == {
        "records": 7, "scores": 3, "steps": 4, "steps_without_score": 1, "unused_tags": 1, "values_not_scalar": 1,
        "values_replaced": 1,
    }  # fmt: skip


def test_tensorboard_file_cut_off_anywhere(tmp_path):
    """A killed run's last record is counted; whatever the cut, the records before it are read."""
    file = write_events(tmp_path / "tb", [("val/acc", 0.1, 0), ("ef", 1.0, 1), ("val/acc", 0.3, 1)])
    whole = file.read_bytes()
    ends, at = [0], 0
    while at < len(whole):
        at += 16 + struct.unpack("<Q", whole[at : at + 8])[0]
        ends.append(at)
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        counts = Counter()
        records = list(importer_logs._framed(file, counts))
        assert len(records) == sum(end <= cut for end in ends) - 1
        assert counts["cut_off"] == (cut not in ends)


def test_damaged_tensorboard_files(tmp_path):
    file = write_events(tmp_path / "tb", [("val/acc", 0.1, 0), ("ef", 1.0, 1), ("val/acc", 0.3, 1)])
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(InputError, match="damaged at byte"):
            import_points([str(file)], "tensorboard", TB)
    file.write_text("hello world, this is no event file")
    with pytest.raises(InputError, match="no event file, or damaged at byte 0"):
        import_points([str(file)], "tensorboard", TB)
    (tmp_path / "up").mkdir()
    write_events(tmp_path / "up" / "run1", [])
    with pytest.raises(InputError, match=r"up: no event file in it; give one of .*run1"):
        import_points([str(tmp_path / "up")], "tensorboard", TB)


def test_records_that_are_no_events(tmp_path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    with (tmp_path / "x.tfevents").open("wb") as file:
        RecordWriter(file).write(b"\xff\xff")
    with pytest.raises(InputError, match="record 1 is no TensorBoard event"):
        import_points([str(tmp_path / "x.tfevents")], "tensorboard", TB)


def test_without_the_package(tmp_path, monkeypatch):
    file = write_events(tmp_path / "tb", [("val/acc", 0.1, 0)])
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(
        InputError, match=r"need the package tensorboard: pip install 'switchpoint\[tensorboard\]'"
    ):
        import_points([str(file)], "tensorboard", TB)


# ---- RETU's caches


def cache(path: Path, value, protocol: int = 4) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol))
    return str(path)


def scores(value: float) -> dict:
    """One score for every benchmark, as the release has them: numpy numbers among Python's."""
    return {name: np.float64(value) if name == "math" else float(value) for name in importer_retu.WEIGHTS}


def test_released_caches(tmp_path):
    """The layout of the release: a sweep by compute, branches by step and compute.

    1080 steps of Easy102K are 59.29 exaFLOPs, rounded in the caches; P_sft is the sweep's there.
    """
    sweep = {0: scores(46), 59.0: scores(70), 59.4: scores(74)}
    cache(tmp_path / "sft" / "easy102K_flops2valPerform_sft_dict.pkl", sweep)
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
    assert overall["step"].isna().tolist() == [False, True, True, False, True, True]
    cache(tmp_path / "sft" / "easy102K_flops2valPerform_sft_dict.pkl", {0: scores(46), 59.0: scores(70)})
    with pytest.raises(InputError, match="run Easy102K-1080: no start"):
        import_points([str(tmp_path)], "retu", Options())


def test_caches_named_inside_and_without_a_sweep(tmp_path):
    branch = {"mine": {5: {0.0: {"overall": 40}, 1.0: {"overall": 50}}}}
    points, _ = import_points([cache(tmp_path / "x.pkl", branch)], "retu", Options())
    assert rows_of(points, "run", "exaflops", "score") == [("mine-5", 0, 40), ("mine-5", 1, 50)]
    assert points["exaflops_total"].isna().all()
    del branch["mine"][5][0.0]
    with pytest.raises(InputError, match=r"run mine-5: no start; .*import the SFT sweep of its set with it"):
        import_points([cache(tmp_path / "x.pkl", branch)], "retu", Options())
    with pytest.raises(InputError, match=r"holds a curve of .*a.pkl again; give it once"):
        importer_retu.read_caches([cache(tmp_path / "a.pkl", branch), cache(tmp_path / "b.pkl", branch)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no .pkl file there"):
        import_points([str(tmp_path / "empty")], "retu", Options())


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([1, 2], "a list of 2 > int;"),
        ({}, "a dict;"),
        (3.5, "a float;"),
        ({"easy": {360: {"flops": [1.0], "overall": [2.0]}}}, "dict of 1 by str > dict of 1 by int > dict of 2 by str > list of 1 > float;"),
        ({360: {"math": {1.0: 2.0}}}, "dict of 1 by int > dict of 1 by str > dict of 1 by float > float;"),
        ({360: {1.0: {}}}, "dict of 1 by int > dict of 1 by float > dict;"),
        ({360: {1.0: {"math": "high"}}}, "> dict of 1 by str > str;"),
        ({360: {1.0: {"math": True}}}, "> dict of 1 by str > bool;"),
        ({360: {1.0: {"math": 10**500}}}, "> dict of 1 by str > int;"),
        ({360: {1.0: {"a\ud800": 1}}}, "> dict of 1 by str > int;"),
        ({3.5: {1.0: {"math": 1.0}}}, "dict of 1 by float > dict of 1 by float"),
        ({-5: {1.0: {"math": 1.0}}}, "dict of 1 by int > dict of 1 by float"),
    ],
)  # fmt: skip
def test_other_nestings_are_shown(tmp_path, value, found):
    with pytest.raises(
        InputError, match=found + r".* wanted exaflops: {benchmark: score}, or|" + found
    ) as error:
        import_points([cache(tmp_path / "x.pkl", value)], "retu", Options())
    assert "wanted exaflops: {benchmark: score}, or sft step: {exaflops: {benchmark: score}}" in str(
        error.value
    )


@pytest.mark.parametrize(
    ("score", "message"), [(math.nan, "score is nan"), (math.inf, "score is inf"), (101, "is 101 points")]
)
def test_bad_cached_score_is_named(tmp_path, score, message):
    path = cache(tmp_path / "easy102K_x.pkl", {0.0: {"math": 5.0}, 1.5: {"math": score}})
    with pytest.raises(InputError, match=f"run easy102K_x at 1.5 exaFLOPs, math: .*{message}"):
        import_points([path], "retu", Options())


# ---- pickles


numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.booleans() | st.none()
keys = st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
nested = st.recursive(
    numbers | st.text(max_size=5),
    lambda inner: (
        st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=4) | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def load(data: bytes):
    return importer_retu._interpret(data, "x.pkl")


@settings(max_examples=100, deadline=None)
@given(nested, st.sampled_from([2, 3, 4, 5]))
def test_pickles_of_plain_data_are_read(value, protocol):
    assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u8"])
def test_numpy_numbers_are_read(kind):
    number = np.array([1.5], dtype="f8").astype(kind)[0]
    value = {3: [number, number], "x": {number.item(): np.dtype(kind).type(number)}}
    found = load(pickle.dumps(value, 4))
    assert found == {3: [number.item()] * 2, "x": {number.item(): number.item()}}
    assert type(found[3][0]) is type(number.item())


def test_both_names_of_numpys_scalar():
    data = pickle.dumps(np.float64(2.5), 3)
    assert load(data) == 2.5
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    assert new in data or old in data
    assert load(data.replace(new, old)) == load(data.replace(old, new)) == 2.5


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def commands(marker: Path) -> dict[str, object]:
    touch = f"touch {marker}"
    return {
        "os.system": Call(os.system, touch),
        "in a dict": {360: {1.0: {"math": Call(os.system, touch)}}},
        "as a key": {Call(os.system, touch): 1},
        "in a list": [Call(os.system, touch)],
        "as an argument": Call(np.dtype, Call(os.system, touch)),
        "eval": Call(eval, f"__import__('os').system('{touch}')"),
        "exec": Call(exec, f"open('{marker}', 'w')"),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "Popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "array": np.array([1.0]),
        "object scalar": Call(np.dtype, "O"),
        "loads": Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
    }


@pytest.mark.parametrize("name", commands(Path("x")))
@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
def test_nothing_of_a_hostile_pickle_runs(tmp_path, name, protocol):
    marker = tmp_path / "marker"
    path = cache(tmp_path / "x.pkl", commands(marker)[name], protocol)
    with pytest.raises(
        InputError, match=r"x.pkl: refused the (global|opcode|numpy type) .*only dicts, lists"
    ):
        import_points([path], "retu", Options())
    assert not marker.exists()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


DTYPE = b"cnumpy\ndtype\n" + text("f8") + b"\x89\x88\x87R"
SCALAR = b"cnumpy._core.multiarray\nscalar\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"cos\nsystem\n.", "the global os.system"),
        (b"cnumpy.core.multiarray\n_reconstruct\n.", "the global numpy.core.multiarray._reconstruct"),
        (b"cnumpy\ndtype.__class__\n.", "the global numpy.dtype.__class__"),
        (b"cnumpy\ncore.multiarray.scalar.__self__\n.", "the global numpy.core.multiarray.scalar.__self__"),
        (text("os") + text("system") + b"\x93.", "the global os.system"),
        (b"(S'touch x'\nios\nsystem\n.", "the opcode STRING"),
        (b"(ios\nsystem\n.", "the opcode INST"),
        (b"(" + DTYPE + b"o.", "the opcode OBJ"),
        (DTYPE + b")\x81.", "the opcode EMPTY_TUPLE"),
        (DTYPE + DTYPE + b"\x81.", "the opcode NEWOBJ"),
        (b"\x82\x01.", "the opcode EXT1"),
        (b"Pos.system\n.", "the opcode PERSID"),
        (b"Nq\x00h\x000.", "the opcode POP"),
        (b"\x96\xff\xff\xff\xff\xff\x00\x00\x00.", "damaged"),
        (b"}}s.", "a dict key of type dict"),
        (b"s.", "damaged"),
        (text("touch x") + text("f8") + b"\x85R.", "a call of what is no function"),
        (b"cnumpy\ndtype\n" + text("O") + b"\x89\x88\x87R.", "the numpy type O"),
        (b"cnumpy\ndtype\n" + text("V8") + b"\x89\x88\x87R.", "the numpy type V8"),
        (b"cnumpy\ndtype\nN\x85\x85\x85R.", "the numpy type tuple"),
        (b"}N" + b"\x85" * 250_000 + b"K\x01s.", "a dict key of type tuple"),
        (b"}]K\x01s.", "a dict key of type list"),
        (DTYPE + b"N" + text("x") + b"\x86b.", "a state that is no byte order"),
        (DTYPE + text("x") + b"b.", "damaged"),
        (b"}N" + text("<") + b"\x86b.", "a state that is no byte order"),
        (SCALAR + DTYPE + b"C\x04abcd\x86R.", "damaged"),
        (SCALAR + DTYPE + b"C\x10abcdefghabcdefgh\x86R.", "damaged"),
        (SCALAR + text("f8") + b"C\x08abcdefgh\x86R.", "damaged"),
        (b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff.", "damaged"),
        (b"h\x05.", "damaged"),
        (b"e.", "damaged"),
        (b"(.", "damaged"),
        (b"0.", "the opcode POP"),
        (b".", "damaged"),
        (b"NN.", "damaged"),
        (b"", "damaged"),
        (b"L" + b"9" * 10_000 + b"L\n.", "damaged"),
        (b"\x8b\x04\x00\x00\x00\x01\x01\x01\x01.", "the opcode LONG4"),
        (b"I1\n.", "the opcode INT"),
        (b"\xfe.", "damaged"),
    ],
)
def test_hostile_opcodes(tmp_path, code, message):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x04" + code)
    problem = "no pickle, or not all of it; fetch it again" if message == "damaged" else f"refused {message}"
    with pytest.raises(InputError) as error:
        importer_retu.unpickle(path)
    assert problem in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("order", "<>")
def test_byte_order(order):
    state = b"(K\x03" + text(order) + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    number = b"C\x08" + struct.pack(f"{order}d", 2.5)
    assert load(b"\x80\x04" + SCALAR + DTYPE + state + b"b" + number + b"\x86R.") == 2.5


def test_a_memo_of_huge_index_and_a_dict_within_itself(tmp_path):
    assert load(b"\x80\x04Nr\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == (None, None)
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x04}\x94K\x01h\x00s.")
    with pytest.raises(InputError, match="a dict of 1 by int > dict of 1 by int > dict of 1 by int"):
        import_points([str(path)], "retu", Options())
    value = 1.0
    for _ in range(3000):
        value = {1: value}
    path.write_bytes(b"\x80\x04" + b"}K\x01" * 3000 + b"N" + b"s" * 3000 + b".")
    with pytest.raises(InputError, match="a dict of 1 by int > dict of 1 by int > dict of 1 by int"):
        import_points([str(path)], "retu", Options())


def test_a_huge_integer_is_no_score(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"\x80\x04}K\x00}" + text("math") + b"\x8a\xff" + b"\x7f" * 255 + b"ss.")
    with pytest.raises(InputError, match="dict of 1 by int > dict of 1 by str > int; wanted"):
        import_points([str(path)], "retu", Options())


def test_a_truncated_pickle(tmp_path):
    whole = pickle.dumps({360: {0.5: scores(40), 1.0: scores(50)}}, 4)
    path = tmp_path / "x.pkl"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(InputError, match="no pickle, or not all of it"):
            importer_retu.unpickle(path)
    with pytest.raises(InputError, match="cannot be read"):
        importer_retu.unpickle(tmp_path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_mutated_pickle_is_refused_or_plain(data):
    """Whatever bytes are changed, the outcome is plain data or an InputError."""
    code = bytearray(pickle.dumps({360: {0.5: scores(40)}}, 4))
    for _ in range(data.draw(st.integers(1, 4))):
        code[data.draw(st.integers(0, len(code) - 1))] = data.draw(st.integers(0, 255))
    try:
        value = load(bytes(code))
    except (InputError, ValueError, IndexError, KeyError, TypeError, AttributeError):
        return  # what ``unpickle`` turns into an InputError
    assert isinstance(value, dict | list | tuple | str | bytes | float | int | importer_retu._Dtype | None)


# ---- published tables


def published() -> Path:
    folder = os.environ.get("SWITCHPOINT_REFERENCE")
    if not folder:
        pytest.skip("SWITCHPOINT_REFERENCE is not set; it holds the published points")
    return Path(folder, "published")


def test_published_curves_fit_as_they_are(tmp_path):
    """Imported and fitted is fitted; SFT889K at step 1800 reaches 81.0 (the camera-ready figure)."""
    folder = published()
    paths = [str(folder / name) for name in ("rl_points.csv", "sft_points.csv")]
    summary = import_files(paths, str(tmp_path / "curves.csv"), "published", Options())
    assert summary["not_fittable"] == {}
    raw = pd.read_csv(paths[0])
    raw = raw.assign(
        run=[f"{name}-{step}" for name, step in zip(raw["dataset"], raw["sft_step"], strict=True)]
    )
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert set(curves.loc[curves["phase"] == "rl", "run"]) == set(raw["run"])
    assert (curves["benchmark"] == "overall").sum() == len(raw) + raw["run"].nunique() + len(
        pd.read_csv(paths[1])
    )
    name = "SFT889K-1800"
    direct = raw[raw["run"] == name].rename(
        columns={"rl_exaflops": "exaflops", "overall": "score", "p_sft": "p_start"}
    )
    direct = check_points(direct[["run", "exaflops", "score", "p_start"]])
    imported = read_points(tmp_path / "curves.csv")
    fits = [fit_curves(points)["runs"][name] for points in (imported[imported["run"] == name], direct)]
    assert fits[0] == fits[1]
    assert fits[0]["p_start"] == 74.05
    assert fits[0]["a"] == pytest.approx(81.0, abs=0.3)
    total = curves[curves["run"] == name]
    assert (total["exaflops_total"] - total["exaflops"]).to_numpy() == pytest.approx(174.6)


def test_weights_give_the_published_overall():
    table = pd.read_csv(published() / "rl_points.csv")
    mean = sum(table[name] * n for name, n in importer_retu.WEIGHTS.items()) / 2157
    assert (mean - table["overall"]).abs().max() < 0.0051


def test_published_rl_points_alone(tmp_path):
    path = write_table(
        tmp_path / "rl.csv", dataset=["A", "A"], sft_step=[360, 360], p_sft=[40, 40], rl_exaflops=[1, 2], math=[30, 35],
        overall=[50, 55],
    )  # fmt: skip
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
        tmp_path / "rl.csv",
        dataset=["base"],
        sft_step=[0],
        p_sft=[40],
        rl_exaflops=[1],
        math=[30],
        overall=[50],
    )
    sft = write_table(
        tmp_path / "sft.csv",
        dataset=["A", "A"],
        sft_step=[0, 9],
        sft_exaflops=[0, 3],
        math=[20, 25],
        overall=[40, 45],
    )
    points, summary = import_points([rl, sft], "published", Options())
    assert summary["not_fittable"] == {}
    math_points = points[points["benchmark"] == "math"]
    assert rows_of(math_points, "run", "phase", "step", "exaflops", "exaflops_total", "score") == [
        ("base-0", "rl", 0, 0, 0, 20),
        ("base-0", "rl", pd.NA, 1, 1, 30),
        ("A", "sft", 0, 0, 0, 20),
        ("A", "sft", 9, 3, 3, 25),
    ]


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("p_sft", [40, 41], r"row 2 \(line 3, run A-360\): p_sft is 41(.0)?; its run began with another"),
        ("overall", [50, None], "row 2 .*overall is nan; give a finite number"),
        ("overall", [50, 105], r"rl.csv: row 2 \(line 3, run A-360\): score is 105 points"),
        ("sft_step", [360, 3.5], "row 2 .*sft_step is 3.5; give a whole number"),
        ("rl_exaflops", [1, 1], "run A-360 has a point of overall at 1 exaflops already"),
        ("dataset", ["A", None], "row 2 .*name the run"),
    ],
)
def test_bad_published_row_is_named(tmp_path, column, values, message):
    good = {
        "dataset": ["A", "A"],
        "sft_step": [360, 360],
        "p_sft": [40, 40],
        "rl_exaflops": [1, 2],
        "overall": [50, 55],
    }
    path = write_table(tmp_path / "rl.csv", **(good | {column: values}))
    with pytest.raises(InputError, match=message):
        import_points([path], "published", Options())


def test_published_table_of_other_columns(tmp_path):
    path = write_table(tmp_path / "x.csv", **GOOD)
    with pytest.raises(InputError, match="no column dataset, sft_step, sft_exaflops; it needs"):
        import_points([path], "published", Options())


# ---- the command


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.csv", "csv"),
        ("trainer_state.json", "trl"),
        ("a.pkl", "retu"),
        ("a.pickle", "retu"),
        ("events.out.tfevents.17.host", "tensorboard"),
    ],
)
def test_format_by_name(name, found):
    assert importer.guess_format(name) == found


@pytest.mark.parametrize("name", ["log.jsonl", "log.json", "all_results.json", "x", "."])
def test_format_in_doubt(name):
    with pytest.raises(InputError, match="give --format csv, verl, trl, tensorboard, retu, published"):
        importer.guess_format(name)
    with pytest.raises(InputError, match=r"format is 'wandb'; give --format csv"):
        import_points([name], "wandb", Options())


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
    arguments += [
        "--weights",
        "math=1",
        "--weights",
        "gsm8k=3",
        "--exaflops-per-step",
        "0.5",
        "--sft-exaflops",
        "0",
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(result.output)["counts"]["steps_without_score"] == 1
    assert rows_of(read_points(out), "exaflops", "score") == [(0, 70), (1, 80)]
    assert fit_curves(read_points(out))["runs"]["r"]["status"] == "unidentified"


def test_a_failed_import_leaves_the_old_file(tmp_path):
    out = tmp_path / "curves.csv"
    out.write_text("old")
    with pytest.raises(InputError):
        import_files(
            [write_table(tmp_path / "a.csv", **(GOOD | {"score": [1, 2, 300]}))], str(out), None, Options()
        )
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "curves.csv"]


def test_imports_no_torch():
    code = (
        "import sys, switchpoint.importer; sys.exit('torch' in sys.modules or 'tensorboard' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
