"""The papers' claims, recomputed: every verdict, the figures behind it, and that both follow the data."""

import json
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import reference
from typer.testing import CliRunner

from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.published import figures
from switchpoint.published.claim_table import (
    claims_markdown,
    claims_text,
    count_line,
    recompute_claims,
    verdict_counts,
    write_claims,
)
from switchpoint.published.claims import CLAIMS
from switchpoint.published.data import RL, SFT, TABLE4, Missing, read
from switchpoint.published.released_ceilings import ceiling
from switchpoint.published.verdicts import (
    FAILS,
    HOLDS,
    IN_PART,
    INFORMATION,
    OFF,
    ROUNDING,
    UNCHECKED,
    V1_ONLY,
    VERDICTS,
    agreement,
    both_versions,
    cases,
    versions,
)

EXPECTED = {
    "1": V1_ONLY, "2": V1_ONLY, "3": ROUNDING, "4": V1_ONLY, "5": FAILS, "6": HOLDS, "6 (stable)": INFORMATION, "6 (v1)": UNCHECKED,
    "7": INFORMATION, "8": OFF, "9": ROUNDING, "10": HOLDS, "11": HOLDS, "12": V1_ONLY, "13": FAILS,
    "14": HOLDS, "15": V1_ONLY, "16": HOLDS, "17": HOLDS, "18": HOLDS, "19": HOLDS, "20": HOLDS,
    "21": UNCHECKED,
    "22": UNCHECKED, "23": V1_ONLY, "24": IN_PART, "25": FAILS, "26": IN_PART, "27": HOLDS, "28": HOLDS,
    "29": HOLDS, "30": FAILS, "31": FAILS, "32": HOLDS, "33": UNCHECKED, "34": FAILS, "35": FAILS,
    "36": HOLDS,
    "P_sft": HOLDS, "phases S1K": HOLDS, "phases Easy102K": ROUNDING, "phases Uniform102K": ROUNDING,
    "phases Hard102K": HOLDS, "phases SFT889K": ROUNDING,
}  # fmt: skip
# The camera-ready's ceilings by Appendix D: the same to 0.3 points, the same but on the bound or collapsed, others.
CEILINGS = {
    HOLDS: "base-0 S1K-186 S1K-248 S1K-310 Easy102K-360 Easy102K-1440 SFT889K-1800 SFT889K-5400 SFT889K-9000",
    IN_PART: "S1K-62 Easy102K-720 Easy102K-1080 Easy102K-1800 Easy102K-6120 SFT889K-360",
    OFF: "S1K-124 SFT889K-1080 SFT889K-12600",
}
CHECKS = {number: check for number, _, _, _, check in CLAIMS}
PRINTED_ONLY = [number for number, _, _, needed, _ in CLAIMS if not needed]


@pytest.fixture(scope="module")
def claims():
    return {claim["id"]: claim for claim in recompute_claims(reference("published"))}


@pytest.fixture
def folder(tmp_path):
    """A folder of published files as the test makes them: name, and what turns the original into it."""

    def make(**changes):
        for stem, change in changes.items():
            table = change(pd.read_csv(reference("published", f"{stem}.csv")))
            table.to_csv(tmp_path / f"{stem}.csv", index=False)
        return tmp_path

    return make


def same(table):
    return table


def base(table):
    return table[table["dataset"] == "base"]


def by_id(folder):
    return {claim["id"]: claim for claim in recompute_claims(folder)}


def test_every_verdict(claims):
    ceilings = {f"A {run}": verdict for verdict, runs in CEILINGS.items() for run in runs.split()}
    found = {number: claim["verdict"] for number, claim in claims.items()}
    assert found == EXPECTED | ceilings | {"A (others)": UNCHECKED}
    assert [str(number) for number in range(1, 37)] == [number for number in claims if number.isdigit()]


@pytest.mark.parametrize(
    ("number", "parts"),
    [
        ("1", ["9.44", "camera-ready 7.3"]),
        ("2", ["5.70", "5.74", "2.4 and 3.6"]),
        ("3", ["74.64", "1.56 and 0.78", "75.4", "1.9 and 0.9"]),
        ("4", ["5.44", "1.20 and 1.74", "4.35 without", "4.1, leads -0.1 and 0.4"]),
        ("5", ["3.74, 3.70, 9.44", "4.9, 3.7, 7.3"]),
        (
            "6",
            [
                "-0.923",
                "p 0.025",
                "-0.995",
                "Spearman -1.00",
                "S1K-62 collapsed and Easy102K-1080 unidentified",
            ],
        ),
        # By hand: the means of (77.3, 77.0), (76.7, 78.5), (77.6, 79.7), (77.8, 82.8, 80.2, 78.7), (84.0 ... 84.0).
        (
            "6 (stable)",
            ["-0.842", "p 0.073", "S1K 77.2, Easy102K 77.6, Uniform102K 78.7, Hard102K 79.9, SFT889K 83.5"],
        ),
        ("6 (v1)", ["-0.80", "p 0.11"]),
        ("7", ["3 sets", "S1K 77.91", "Easy102K 78.28", "SFT889K 83.41"]),
        ("8", ["-0.950", "p 0.013", "-0.988", "Spearman -1.00"]),
        ("9", ["29.9"]),
        ("10", ["56.5"]),
        ("11", ["13.8", "0.9 to 3.0"]),
        ("12", ["81.1, 85.7", "80.7, 83.1, highest 84.0 (step 7200, step 14080)"]),
        ("13", ["74.8, 76.8"]),
        ("14", ["73.8, 73.7, 73.7", "74.1, 74.5, 74.1"]),
        (
            "15",
            [
                "S1K 248, mild (camera-ready: 62, stable)",
                "Easy102K 1080, mild (camera-ready: 1080, mild, where the fit ends on its bound)",
                "S1K-62 collapsed",
                "holds in v1 only",
            ],
        ),
        ("16", ["0.10 at most", "10 of 33 rows"]),
        ("17", ["32 rows", "2,317", "103.5 for its 98.8"]),
        ("18", ["0.205", "= 1.8"]),
        ("19", ["17.75, 532.39", "16.10, 483.10"]),
        ("20", ["= 2157", "996 evaluations"]),
        ("21", ["77.98", "943 exaFLOPs", "72.15"]),
        ("23", ["46.1 + 25.2 = 71.3", "46.71", "71.96"]),
        (
            "24",
            [
                "RMSE 0.39 (95 % 0.31 to 0.47), R2 0.86 by Appendix D",
                "RMSE 0.42",
                "R2 0.79 as the released scripts",
                "17 of 33 curves that are here (16 with validation points)",
            ],
        ),
        ("25", ["22 to 93 %", "4 between 80 and 90 %"]),
        (
            "26",
            ["S1K 0.00 and 0.70", "Uniform102K -0.30 and 0.00", "Hard102K 0.67 and 0.60", "0.82 and 0.76"],
        ),
        (
            "27",
            [
                "S1K-62 collapsed",
                "S1K 71.92, 4.90, 76.82",
                "Hard102K 75.42, 4.10, 79.52",
                "SFT889K 75.04, 7.29, 82.33",
            ],
        ),
        ("28", ["0.50, 2.7 times (Mistral, loss)"]),
        ("29", ["29.3, 36.2, 58.6"]),
        ("30", ["= 0.15"]),
        ("31", ["5:11", "8:8 has 0.64, 0.88, 0.88, 0.93"]),
        ("32", ["0.690", "0.943", "0.700", "0.983"]),
        ("36", ["36 %"]),
        ("P_sft", ["23 of 33", "0.05"]),
        ("phases Easy102K", ["6120 severe", "360 is shaded stable (0.45 / 0.44 = 1.023)"]),
        ("phases Uniform102K", ["1080 is shaded stable (0.43 / 0.42 = 1.024)"]),
        ("phases SFT889K", ["5400 is shaded adaptive (0.373 / 0.37 = 1.008)"]),
        ("A Easy102K-1080", ["78.83 (+0.03)", "ends on its bound", "unidentified", "observed 77.56"]),
        ("A Easy102K-6120", ["not fitted", "74.40"]),
        ("A S1K-62", ["77.25 (-0.05)", "to open", "collapsed", "our fit finds a collapse"]),
        ("A S1K-124", ["77.32 (+0.32)", "75.5 to open"]),
        ("A (others)", ["Hard102K-1800", "SFT889K-14080"]),
    ],
)
def test_figures(claims, number, parts):
    for part in parts:
        assert part in claims[number]["recomputation"]


def add(table, name, column, by, step=None):
    rows = table["dataset"] == name
    table.loc[rows if step is None else rows & (table["sft_step"] == step), column] += by
    return table


def flat(table):
    return table.assign(a_post=80.0, c_mid=10.0)


def rising(table):
    return table.assign(a_post=table.index + 40.0, c_mid=table.index + 1.0)


@pytest.mark.parametrize(
    ("number", "change", "verdict"),
    [
        ("1", lambda t: add(t, "SFT889K", "pl_rl", -0.1), V1_ONLY),
        ("1", lambda t: add(t, "SFT889K", "pl_rl", -1), FAILS),
        ("2", lambda t: add(t, "S1K", "pl_rl", 1), FAILS),
        ("3", lambda t: add(t, "Easy102K", "p_sft", 0.06), HOLDS),
        ("3", lambda t: add(t, "Easy102K", "p_sft", -1), FAILS),
        ("4", lambda t: add(t, "Hard102K", "pl_rl", -5, step=1080), FAILS),
        ("5", lambda t: add(t, "Uniform102K", "pl_rl", 1), V1_ONLY),
        ("12", lambda t: add(t, "SFT889K", "a_post", 1, step=7200), FAILS),
        ("13", lambda t: t.assign(p_sft=t["p_sft"].clip(upper=76.3)), HOLDS),
        ("14", lambda t: add(t, "SFT889K", "p_sft", -1, step=1800), FAILS),
        ("16", lambda t: add(t, "S1K", "a_post", 0.3, step=62), FAILS),
        ("17", lambda t: add(t, "Hard102K", "sft_exaflops", 0.5, step=1800), FAILS),
        ("26", rising, HOLDS),
        ("26", flat, FAILS),
    ],
)
def test_verdicts_follow_table_4(folder, number, change, verdict):
    found = CHECKS[number](read(folder(table4_v1=change)))
    assert found[1] == verdict
    assert "nan" not in found[0]


def test_a_correlation_with_what_does_not_vary(folder):
    with pytest.raises(Missing, match="the correlation is undefined: ceiling is the same in all sets"):
        CHECKS["6 (v1)"](read(folder(table4_v1=flat)))


def test_verdicts_follow_the_curves(folder):
    def shifted(table):
        return base(table).assign(overall=lambda t: t["overall"] - 4, p_sft=lambda t: t["p_sft"] - 0.6)

    def small(table):
        return table[table["dataset"] == "S1K"]

    before = by_id(folder(rl_points=base, table4_v1=same, sft_points=small))
    assert [before[number]["verdict"] for number in ("20", "23", "A base-0")] == [HOLDS, V1_ONLY, HOLDS]
    after = by_id(folder(rl_points=shifted))
    assert [after[number]["verdict"] for number in ("20", "23", "A base-0")] == [FAILS, V1_ONLY, FAILS]
    assert "67.69 (-4.31)" in after["A base-0"]["recomputation"]

    def as_in_v1(table):
        return base(table).assign(overall=lambda t: t["overall"] - 0.6, p_sft=46.1)

    assert by_id(folder(rl_points=as_in_v1))["23"]["verdict"] == HOLDS


ROWS = {
    "status": "identified",
    "a_point": 80.0,
    "a_ci95": [79.0, 81.0],
    "observed_peak": 80.2,
    "reason": None,
}


@pytest.mark.parametrize(
    ("printed", "rebuilt", "ours", "verdict"),
    [
        (80.0, {}, {}, HOLDS),
        (80.8, {}, {}, OFF),  # 0.8 off, within 79 to 81
        (81.2, {}, {}, FAILS),
        (80.8, {}, {"a_ci95": [None, None]}, OFF),
        (80.0, {"flags": ["at_bound"]}, {}, IN_PART),
        (80.0, {}, {"status": "collapsed"}, IN_PART),
        (80.0, {}, {"a_ci95": [80.2, 81.0]}, IN_PART),
        (80.0, {}, {"a_ci95": [70.0, None], "status": "unidentified"}, HOLDS),
        (81.2, {}, {"status": "collapsed"}, FAILS),
    ],
)
def test_the_verdict_on_a_ceiling(printed, rebuilt, ours, verdict):
    run = "SFT889K-9000"
    data = {"pipeline": {run: {"a_point": 80.0, "flags": []} | rebuilt}, "ours": {run: ROWS | ours}}
    text, found = ceiling(data, run, printed)
    assert found == verdict
    assert ("our fit finds a collapse" in text) == (ours.get("status") == "collapsed")


def test_a_curve_too_short_for_us_has_no_ceiling(folder):
    found = by_id(
        folder(rl_points=lambda t: t[(t["dataset"] == "Easy102K") & (t["sft_step"] == 6120)].head(2))
    )
    entry = found["A Easy102K-6120"]
    assert "ours unidentified (2 points, fewer than 8)" in entry["recomputation"]


@pytest.mark.parametrize(
    ("rmse", "r2", "verdict"),
    [
        ([0.4, 0.5], 0.9, HOLDS),
        ([0.4, 0.5], 0.8, IN_PART),
        ([0.3, 0.9], 0.9, OFF),  # a mean of 0.6 that two curves leave open
        ([0.6, 0.61, 0.6], 0.9, FAILS),
    ],
)
def test_fits_are_judged_by_their_error(rmse, r2, verdict):
    entries = {str(i): {"rmse": error, "r2_train": r2} for i, error in enumerate(rmse)}
    assert CHECKS["24"]({"shipped": entries, "pipeline": entries})[1] == verdict


def test_verdicts_follow_the_sft_scores(folder):
    raised = read(folder(sft_points=lambda t: t.assign(overall=t["overall"] + 0.3)))
    assert CHECKS["P_sft"](raised)[1] == FAILS
    with pytest.raises(Missing, match=f"{SFT} has none of the camera-ready's checkpoints"):
        CHECKS["P_sft"](read(folder(sft_points=lambda t: t[t["sft_step"] <= 20])))


LLAMA_LINE = {name: (0.7 - 0.1 * i, 50.0, 50.0 + i) for i, name in enumerate(figures.SETS)}


@pytest.mark.parametrize(
    ("number", "name", "value", "verdict"),
    [
        ("6", "LOSSES", {**figures.LOSSES, "S1K": {0: 0.3}}, FAILS),
        ("8", "LLAMA", {**figures.LLAMA, "Easy102K": (0.59, 45.0, 50.0)}, ROUNDING),
        ("8", "LLAMA", LLAMA_LINE, FAILS),  # r = -1
        ("9", "LLAMA_BASE", 2.37, HOLDS),
        ("9", "LLAMA_BASE", 2.0, FAILS),
        ("10", "LLAMA_UPT", 12.8, FAILS),
        ("11", "LLAMA", {**figures.LLAMA, "Hard102K": (0.5, 55.3, 71.0)}, FAILS),
        ("27", "PANEL_AVERAGES", {**figures.PANEL_AVERAGES, "S1K": (71.9, 4.8, 76.8)}, ROUNDING),
        ("28", "R2", {"Mistral": {"pass@1": 0.52, "loss": 1.02}}, FAILS),  # 1.96 times
        ("29", "R2", {**figures.R2, "Llama, by instance": {"pass@1": 0.70, "pass@64": 0.92}}, FAILS),
        ("30", "BUDGETS", {"Mistral, pass@1": ((0.70,), 0.7), "Mistral, pass@64": ((0.95,), 0.95)}, HOLDS),
        ("31", "LLAMA_MODELS", 10, HOLDS),
        ("32", "BUDGETS", {**figures.BUDGETS, "new": ((0.5, 0.6), 0.56)}, ROUNDING),
        ("34", "PHASES", {name: dict.fromkeys(figures.LOSSES[name], "mild") for name in figures.SETS}, HOLDS),
        ("35", "SUMMARY_SOURCES", figures.SOURCES, HOLDS),
        ("36", "HARD_WIN_RATE", 0.3, FAILS),
        ("phases Easy102K", "LOSSES",
         {**figures.LOSSES, "Easy102K": {**figures.LOSSES["Easy102K"], 360: 0.47}}, FAILS),
        ("phases Hard102K", "LOSSES",
         {**figures.LOSSES, "Hard102K": {**figures.LOSSES["Hard102K"], 360: 0.41}}, HOLDS),
    ],
)  # fmt: skip
def test_verdicts_follow_the_printed_figures(monkeypatch, number, name, value, verdict):
    assert CHECKS[number]({})[1] == EXPECTED[number]
    monkeypatch.setattr(figures, name, value)
    assert CHECKS[number]({})[1] == verdict


def test_missing_files_are_named(folder, claims):
    empty = by_id(folder())
    for number in PRINTED_ONLY:  # what our own fit finds of a ceiling takes its curve
        whole = claims[number]["recomputation"].partition("; our fit finds")[0]
        assert empty[number] == claims[number] | {"recomputation": whole}
    others = [claim for number, claim in empty.items() if number not in PRINTED_ONLY]
    assert {claim["verdict"] for claim in others} == {UNCHECKED}
    assert empty["15"]["recomputation"] == f"the folder has no {TABLE4}, {RL}"
    assert empty["A (others)"]["claim"] == "The ceilings of RL from 34 other starts."
    with_table = by_id(folder(table4_v1=same))
    assert with_table["15"]["recomputation"] == f"the folder has no {RL}"
    assert with_table["4"] == claims["4"]


def test_missing_rows_are_named(folder):
    found = by_id(folder(
        table4_v1=lambda t: t[(t["dataset"] != "base") & ~((t["dataset"] == "S1K") & (t["sft_step"] == 124))],
        rl_points=lambda t: base(t).head(10),
    ))  # fmt: skip
    reasons = {number: found[number]["recomputation"] for number in ("5", "7", "23", "24", "A base-0")}
    assert reasons == {
        "5": f"{TABLE4} has no row of S1K at step 124",
        "7": f"{RL} has curves of 0 sets; a correlation needs 3",
        "23": f"{TABLE4} has 0 rows of the base model, not 1",
        "24": f"{RL} has no curve with all points that the scripts fit",
        "A base-0": f"{RL} has no curve of base-0, or fewer points than the scripts fit",
    }
    assert {found[number]["verdict"] for number in reasons} == {UNCHECKED}
    assert found["13"]["verdict"] == FAILS  # needs no other set


def test_fits_without_validation_points(folder):
    found = by_id(folder(rl_points=lambda t: base(t).head(33)))
    assert found["24"]["recomputation"] == f"{RL} has no points behind those that the scripts fit"
    assert found["A base-0"]["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("stem", "change", "message"),
    [
        ("table4_v1", lambda t: t.drop(columns="c_mid"), "table4_v1.csv: no column c_mid"),
        ("table4_v1", lambda t: t.drop(columns="dataset"), "table4_v1.csv: no column dataset"),
        ("table4_v1", lambda t: t.assign(p_sft="high"),
         r"table4_v1.csv: row 1 .*p_sft is 'high'; give a finite"),
        ("table4_v1", lambda t: pd.concat([t, t.tail(1)]),
         r"table4_v1.csv: row 34 .*sft_step is 14080; its set has"),
        ("table4_v1", lambda t: t.replace("S1K", "s1K"),
         r"table4_v1.csv: row 2 .*dataset is 's1K'; the published"),
        ("table4_v1", lambda t: t.head(0), "table4_v1.csv: no rows"),
        ("rl_points", lambda t: t.drop(columns="overall"), "rl_points.csv: no column overall"),
        ("rl_points", lambda t: t.drop(columns="aime25"), "rl_points.csv: no column aime25"),
        ("rl_points", lambda t: t.assign(gsm8k="x"), r"rl_points.csv: row 1 .*gsm8k is 'x'"),
        ("rl_points", lambda t: t.assign(overall=170.0), r"rl_points.csv: .*line 2, run base-0.*170"),
        ("rl_points", lambda t: pd.concat([t, t.tail(1)]),
         r"rl_points.csv: .*line 925, run S1K-310.* already"),
        ("sft_points", lambda t: t.drop(columns="sft_exaflops"), "sft_points.csv: no column sft_exaflops"),
        ("sft_points", lambda t: t.assign(sft_step=0.5), r"sft_points.csv: row 1 .*0.5"),
    ],
)  # fmt: skip
def test_bad_files_are_named(folder, stem, change, message):
    with pytest.raises(InputError, match=message):
        recompute_claims(folder(**{stem: change}))


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder; give the one that holds rl_points.csv"):
        recompute_claims(tmp_path / "nowhere")


def test_every_claim_is_whole(claims):
    assert len(claims) == 63
    for claim in claims.values():
        assert list(claim) == ["id", "source", "claim", "recomputation", "verdict"]
        assert all(
            isinstance(text, str) and text and text == " ".join(text.split()) for text in claim.values()
        )
        assert claim["verdict"] in VERDICTS
        assert "|" not in "".join(claim.values())  # would break the Markdown table


def test_text_ends_with_the_counts(claims):
    text = claims_text(list(claims.values()))
    assert max(map(len, text.splitlines()[:-1])) <= 100
    assert text.count("\n\n") == len(claims)
    assert text.splitlines()[-1] == (
        "63 claims. holds: 26; holds within rounding: 5; holds in part: 8; holds in v1, not in the camera-ready: 6; "
        "not reproduced: 4; does not hold: 7; not checkable: 5; information: 2."
    )
    assert "30                  does not hold\n" in text


def test_files(tmp_path, claims):
    rows = list(claims.values())
    write_claims(rows, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"claims": rows, "counts": verdict_counts(rows)}
    assert sum(verdict_counts(rows).values()) == len(rows)
    write_claims(rows, tmp_path / "a.csv")
    assert pd.read_csv(tmp_path / "a.csv", dtype=str).to_dict("records") == rows
    write_claims(rows, tmp_path / "a.md")
    lines = (tmp_path / "a.md").read_text().splitlines()
    assert "\n".join(lines) + "\n" == claims_markdown(rows)
    assert {line.count("|") for line in lines[: len(rows) + 2]} == {5}
    assert lines[-1] == count_line(rows)
    with pytest.raises(InputError, match=r"a.txt: no such format; end it in .json, .csv or .md"):
        write_claims(rows, tmp_path / "a.txt")


def test_command(tmp_path, folder):
    nothing = CliRunner().invoke(app, ["published", str(tmp_path)])
    assert "holds none of the tables" in str(nothing.exception)
    assert "rl_points.csv (dataset, sft_step, p_sft, rl_exaflops, " in str(nothing.exception)
    absent = CliRunner().invoke(app, ["published", str(tmp_path / "none")])
    assert "none: does not exist; give the folder of rl_points.csv" in str(absent.exception)
    given = str(folder(table4_v1=same))
    claims = recompute_claims(given)
    shown = CliRunner().invoke(app, ["published", given])
    assert (shown.exit_code, shown.output) == (0, claims_text(claims) + "\n")
    written = CliRunner().invoke(app, ["published", given, "--out", str(tmp_path / "a.json")])
    assert written.output == count_line(claims) + "\n"
    assert json.loads((tmp_path / "a.json").read_text())["claims"] == claims


def test_no_torch():
    code = "import sys, switchpoint.published.claim_table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_agreement_at_the_edges():
    assert agreement([(9.44, 9.4), (9.45, 9.4)], 0.1) == HOLDS
    assert agreement([(9.44, 9.4), (9.5, 9.4)], 0.1) == ROUNDING
    assert agreement([(9.44, 9.4), (9.51, 9.4)], 0.1) == FAILS


@given(st.floats(-100, 100), st.floats(0, 3), st.floats(1, 5))
def test_agreement_is_symmetric_and_never_better_farther_off(printed, off, farther):
    order = [HOLDS, ROUNDING, FAILS]
    near = agreement([(printed + off, printed)], 1)
    assert agreement([(printed - off, printed)], 1) == near or abs(off % 0.5) < 1e-6
    assert order.index(agreement([(printed + farther * off, printed)], 1)) >= order.index(near)


def test_versions_and_cases():
    assert [versions(HOLDS, True), versions(ROUNDING, True), versions(FAILS, True)] == [
        HOLDS,
        ROUNDING,
        FAILS,
    ]
    assert [versions(HOLDS, False), versions(ROUNDING, False), versions(FAILS, False)] == [
        V1_ONLY,
        V1_ONLY,
        FAILS,
    ]
    assert [cases(0, 2), cases(1, 2), cases(2, 2)] == [FAILS, IN_PART, HOLDS]
    assert both_versions([9.4], [8.9], [9.4]) == HOLDS
    assert both_versions([9.4], [8.8], [9.4]) == V1_ONLY
