"""Any csv as curves, and the command."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import rows_of, write_table

from switchpoint.analysis.points import read_points
from switchpoint.errors import InputError
from switchpoint.importer.curves import COLUMNS
from switchpoint.importer.logs import format_of
from switchpoint.importer.options import Options, parse_numbers, parse_pairs
from switchpoint.importer.points import import_files, import_points

# ---- csv


def test_csv_with_mapped_columns(tmp_path):
    path = write_table(
        tmp_path / "a.csv", name=["r", "r", "r"], compute=[0, 1.5, 3], acc=[0.2, 0.3, None], lr=[1, 1, 1]
    )
    column = {"run": "name", "exaflops": "compute", "score": "acc"}
    points, summary = import_points([path], "csv", Options(column=column, scale=100, sft_exaflops=5))
    assert list(points) == COLUMNS
    assert rows_of(points, "run", "phase", "exaflops", "exaflops_total", "benchmark", "score") == [
        ("r", "rl", 0, 5, "overall", 20),
        ("r", "rl", 1.5, 6.5, "overall", 30),
    ]
    assert summary == {
        "format": "csv",
        "unit": "exaflops",
        "said": [
            "1 runs of tables have no phase, and are taken as RL: a guess that --phase RUN=sft corrects."
        ],
        "runs": {"r": 2},
        "benchmarks": {"overall": 2},
        "counts": {"blank_scores": 1, "phases_guessed": 1, "rows": 3, "scores": 2, "unused_columns": 1},
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
        columns=COLUMNS,
    )
    curves.to_csv(tmp_path / "a.csv", index=False)
    points, _ = import_points([str(tmp_path / "a.csv")], "csv", Options())
    pd.testing.assert_frame_equal(points, curves, check_dtype=False)


def test_csv_p_start_becomes_the_anchor(tmp_path):
    path = write_table(
        tmp_path / "a.csv", run=["a", "a", "b"], exaflops=[1, 2, 1], exaflops_total=[6, 7, 1],
        score=[0.5, 0.6, 0.7],
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
        InputError, match=r"a.csv: all scores lie within 0..1; if they are fractions give --scale 100$"
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
    st.floats(2, 100),  # one below 1 beside scores of 50 is refused as a fraction
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


# ---- the command


def test_a_file_of_no_known_format(tmp_path):
    for name, text in {"log.txt": "nothing", "x": "a\n", "log.jsonl": "[1]\n"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=rf"{name}: .*give --format csv, verl, trl, tensorboard"):
            format_of(str(tmp_path / name))
    (tmp_path / "a.csv").write_text("run\n1\n")
    with pytest.raises(InputError, match=r"format is 'swanlab'; give --format csv"):
        import_points([str(tmp_path / "a.csv")], "swanlab", Options())


def test_pairs():
    assert parse_pairs(["val/x=1/acc=math"], "--score") == {"val/x=1/acc": "math"}
    assert parse_numbers(["4.5", "math=3"], "--p-start") == {"overall": 4.5, "math": 3}
    for bad in (["a"], ["=a"], ["a="], ["a=1", "a=2"]):
        with pytest.raises(InputError, match="give --score NAME=VALUE, each name once"):
            parse_pairs(bad, "--score")
    with pytest.raises(InputError, match=r"--weights a=b: 'b' is no number; give --weights NAME=NUMBER"):
        parse_numbers(["a=b"], "--weights")


def test_a_failed_import_leaves_the_old_file(tmp_path):
    out = tmp_path / "curves.csv"
    out.write_text("old")
    bad = write_table(tmp_path / "a.csv", **(GOOD | {"score": [1, 2, 300]}))
    with pytest.raises(InputError):
        import_files([bad], str(out), None, Options())
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "curves.csv"]
