"""The page of anybody's runs, from files as they come."""

import re

import numpy as np
import pandas as pd
import pytest

from switchpoint import tables
from switchpoint.errors import InputError
from switchpoint.report import figures, findings, own, page


def read(tmp_path, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table as it comes from a file."""
    table.to_csv(tmp_path / name, index=False)
    return tables.read_csv(tmp_path / name)


@pytest.fixture
def curves(tmp_path) -> pd.DataFrame:
    """SFT of two sets and RL from each, with two seeds, in steps; no standard errors."""
    rows = []
    for name, lift in (("math", 10), ("code", 0)):
        rows += [(f"sft-{name}", "sft", step, 20 + lift + step / 10) for step in range(0, 201, 20)]
        for seed in (0, 1):
            rows += [
                (
                    f"{name}-s{seed}",
                    "rl",
                    step,
                    40 + lift + 12 * step / (step + 40) + np.sin(7 * step + seed) / 3,
                )
                for step in range(0, 201, 10)
            ]
    table = pd.DataFrame(rows, columns=["run", "phase", "step", "score"])
    table = table.assign(compute=table["step"], unit="steps", benchmark="overall", se=np.nan, n=np.nan)
    return read(tmp_path, "curves.csv", table)


@pytest.fixture
def runs(tmp_path) -> pd.DataFrame:
    rows = [(f"sft-{name}", "base", f"sft-{name}", "sft", 0, 0, 0.0) for name in ("math", "code")]
    rows += [
        (f"{name}-s{seed}", f"sft-{name}", f"sft-{name}", "grpo", seed, 200, 200.0)
        for name in ("math", "code")
        for seed in (0, 1)
    ]
    columns = ["run", "parent", "set", "algorithm", "seed", "start_step", "sft_compute"]
    return read(tmp_path, "runs.csv", pd.DataFrame(rows, columns=columns).assign(status="finished"))


def test_every_score_is_drawn(curves, runs):
    inputs = own.inputs_of(curves, runs)
    assert len(inputs["pooled_curves"]) == len(curves)
    assert inputs["pooled_curves"]["score"].notna().all()
    html = page.render(inputs, "mine")
    assert inputs["advice"]["recommended"] == "sft-math-200"
    assert "Total compute, steps (SFT and RL)" in html
    assert "FLOPs (SFT and RL)" not in html


def test_without_runs_there_are_curves_and_no_advice(curves):
    html = page.render(own.inputs_of(curves), "mine")
    assert "needs a table of what each run starts from" in html
    assert ">math-s0</text>" in html


def test_an_unknown_cost_of_sft_claims_nothing(curves, runs):
    inputs = own.inputs_of(curves, runs.assign(sft_compute=np.nan))
    advice = inputs["advice"]
    assert advice["equal_compute"]["total"] == []
    assert "What SFT had cost is not known" in advice["summary"]["why"]
    assert not any(pair["axis"] == "total" for pair in advice["crossovers"])


def test_an_axis_of_unknown_cost_is_named(curves, runs):
    html = page.render(own.inputs_of(curves, runs.assign(sft_compute=np.nan)), "mine")
    assert "RL compute, steps (SFT's is not known)" in html
    assert "(SFT and RL)" not in html
    assert "The arms at equal total compute" not in html


def test_a_run_without_a_row_is_named(curves, runs):
    with pytest.raises(InputError, match=r"run is 'code-s1'; give its row in runs"):
        own.inputs_of(curves, runs[runs["run"] != "code-s1"])


def from_base(tmp_path, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of ``n`` algorithms from the base model, each with its start at 0."""
    names = [f"method-{i}" for i in range(n)]
    points = [(name, 5 * step, 30 + 20 * step / (step + 4)) for name in names for step in range(12)]
    curves = pd.DataFrame(points, columns=["run", "exaflops", "score"])
    curves = curves.assign(phase="rl", step=curves["exaflops"], benchmark="overall", se=1.0, n=100)
    runs = pd.DataFrame({"run": names, "parent": "base", "set": None, "algorithm": names, "seed": 0})
    runs = runs.assign(start_step=0, sft_exaflops=0.0, status="finished")
    return read(tmp_path, "curves.csv", curves), read(tmp_path, "runs.csv", runs)


@pytest.mark.parametrize("n", [3, 8])
def test_runs_from_the_base_are_told_apart_and_begin_at_their_start(tmp_path, n):
    inputs = own.inputs_of(*from_base(tmp_path, n))
    curves = inputs["pooled_curves"]
    looks = figures.looks_of(curves["algorithm"].dropna().unique())
    assert len(set(map(str, looks.values()))) == n
    drawn = figures.compute_performance(curves)
    assert all(f"RL from the base with {name}<" in drawn for name in looks)
    assert all(color.lower() in drawn for color, _ in looks.values())
    assert ">0</text>" in drawn  # where every run begins
    beyond = figures.compute_performance(curves[curves["exaflops_total"] > 0])
    assert ">0</text>" not in beyond
    caption = page.compute_caption(curves, {"curve_problems": "problems", "runs": True, "sft_known": True})
    assert "SFT" not in caption


def test_a_peak_above_its_ceiling_is_said():
    fits = {"runs": {"a": {"a": 50.0, "observed_peak": 51.0}, "b": {"a": 50.0, "observed_peak": 49.0},
                     "c": {"a": None, "observed_peak": 60.0}}}  # fmt: skip
    said = findings.above_ceilings(fits, ["a", "b", "c"])
    assert "the peak of a does" in said
    assert findings.above_ceilings(fits, ["b", "c"]) == ""


def no_start(curves: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The curves without the first points of the runs."""
    return curves[~(curves["run"].isin(names) & (curves["step"] == 0))]


def test_a_run_without_a_start_is_drawn_and_named(curves, runs, tmp_path):
    """The others are fitted as before; no gain is counted from a score that is no start."""
    left = read(tmp_path, "left.csv", no_start(curves, "code-s1"))
    inputs, whole = own.inputs_of(left, runs), own.inputs_of(curves, runs)
    fits = inputs["ceilings"]["runs"]
    reason = "no start; add its row at compute 0, or p_start to its rows"
    assert fits["code-s1"]["reason"] == reason
    assert {run: fits[run] for run in fits if run != "code-s1"} == {
        run: fit for run, fit in whole["ceilings"]["runs"].items() if run != "code-s1"
    }
    assert len(inputs["pooled_curves"]) == len(left)
    assert inputs["outcomes"]["p_start"].tolist() == pytest.approx(whole["outcomes"]["p_start"], abs=0.4)
    html = page.render(inputs, "mine")
    assert reason in html
    assert not re.search(r"\bnan\b", html)
    assert own.not_fitted_words(inputs["ceilings"]) == [f"code-s1 is drawn and not fitted: {reason}."]


@pytest.mark.parametrize("sets", [["code"], ["code", "math"]])
def test_no_run_of_a_set_has_a_start(curves, runs, tmp_path, sets):
    without = [run for run in curves["run"].unique() if any(name in run for name in sets)]
    left = read(tmp_path, "left.csv", no_start(curves, *without))
    for inputs in (own.inputs_of(left, runs), own.inputs_of(left)):
        assert len(own.not_fitted_words(inputs["ceilings"])) == 3 * len(sets)
        assert len(inputs["pooled_curves"]) == len(left)
        assert "no start; add its row at compute 0" in page.render(inputs, "mine")


NAMES = {"math-s0": "lr$1e-6$", "math-s1": "cost_$5_$10", "code-s0": r"a$\foo$b^", "code-s1": "数学_1"}


def test_names_are_text_in_every_figure(curves, runs, recwarn, caplog):
    """A $ begins no formula, and no letter is missed: the browser draws them."""
    renamed = [table.assign(run=table["run"].replace(NAMES)) for table in (curves, runs)]
    html = page.render(own.inputs_of(*renamed), "mine")
    assert all(f">{name}</text>" in html for name in NAMES.values())
    assert not recwarn.list
    assert caplog.text == ""


def test_data_to_download_name_their_unit(curves, runs):
    content = page.content_of(own.inputs_of(curves, runs))
    tables = {
        block.name: block.csv for blocks in content.values() for block in blocks if hasattr(block, "csv")
    }
    headers = {name: text.partition("\n")[0] for name, text in tables.items()}
    assert not any("exaflops" in header.lower() for header in headers.values())
    assert ",compute,compute_total,unit,benchmark,score," in headers["compute"]
    assert ",compute_total,unit,score," in headers["arms"]
    assert ",compute,compute_total,unit," in headers["fits"]
    assert ",steps," in tables["fits"].partition("\n")[2]
