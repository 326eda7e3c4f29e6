"""RETU's caches, hostile pickles and published tables."""

import io
import math
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import reference
from written import rows_of, write_table

from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.points import check_points, read_points
from switchpoint.errors import InputError
from switchpoint.importer import retu
from switchpoint.importer.points import Options, import_files, import_points

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
    return retu.GuardedUnpickler(io.BytesIO(data)).load()


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
        "getattr": (Call(getattr, Call(__import__, "os"), "system"),
         "global '(builtins|__builtin__).getattr'"),
        "Popen": (Call(subprocess.Popen, ["touch", marker]), "global '(subprocess|commands).Popen'"),
        "loads": (Call(pickle.loads, pickle.dumps(run)), "global '(_pickle|pickle|cPickle).loads'"),
        "array": (np.array([1.0]),
         r"global '(numpy\._core.multiarray._reconstruct|numpy._core.numeric._frombuffer)'"),
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
        retu.unpickle(path)
    assert message in str(error.value)
    assert len(str(error.value)) < 400
    assert "this" not in sys.modules


def test_a_pickle_cannot_change_the_stand_ins():
    attributes = b"N}" + text("__defaults__") + b"K\x01K\x02\x86s\x86b"
    load(b"\x80\x04" + SCALAR + attributes + b".")
    assert retu.number_of.__defaults__ is None
    assert (
        retu.GuardedUnpickler(io.BytesIO(b"")).find_class("numpy.core.multiarray", "scalar").__defaults__
        is None
    )


def test_a_truncated_pickle(tmp_path):
    path = tmp_path / "x.pkl"
    for protocol in (3, 4):
        whole = pickle.dumps({360: {0.5: scores(40), 1.0: scores(50)}}, protocol)
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputError, match=r"x.pkl: .*; give a whole pickle"):
                retu.unpickle(path)
    with pytest.raises(InputError, match="Is a directory"):
        retu.unpickle(tmp_path)


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
        rows = list(retu.cache_points(path))
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
    assert fits[0]["a_point"] == pytest.approx(81.0, abs=0.3)
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
        tmp_path / "rl.csv", dataset=["base"], sft_step=[0], p_sft=[40], rl_exaflops=[1], math=[30],
        overall=[50]
    )  # fmt: skip
    sft = write_table(
        tmp_path / "sft.csv", dataset=["A", "A"], sft_step=[0, 9], sft_exaflops=[0, 3], math=[20, 25],
        overall=[40, 45]
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
        ("p_sft", [40, 41],
         r"line 3, .*run A-360, p_start: run A-360 has a point of overall at 0 exaflops already"),
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
        import_points(
            [write_table(tmp_path / "x.csv", run=["r"], exaflops=[1], score=[30])], "published", Options()
        )


def test_what_is_wrong_with_a_pickle_is_one_line(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(b"Pabc\n.")  # a persistent id, of which pickle says two lines
    with pytest.raises(
        InputError, match=r"x\.pkl: A load persistent id .* specified\.; give a whole pickle"
    ) as error:
        import_points([str(path)], "retu", Options())
    assert "\n" not in str(error.value)
