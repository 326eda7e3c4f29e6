"""The report on small synthetic studies."""

import base64
import json
import re
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from switchpoint import units
from switchpoint.analysis.advice import advise
from switchpoint.analysis.arms import arm_curves, arm_summaries, compare_arms
from switchpoint.analysis.ceilings import fit_curves
from switchpoint.analysis.collect import models_table
from switchpoint.analysis.outcomes import highest_outcomes, measure_outcomes, rl_outcomes
from switchpoint.analysis.phases import label_phases
from switchpoint.analysis.pooling import pool_curves, pool_results
from switchpoint.analysis.predictors import predict
from switchpoint.report import analysis_tables, figures, findings, formatting, page, parts, study_tables
from switchpoint.scores import PAIRED_COLUMNS

SCALE = 1e-8
SFT_STEPS = {"S": [10, 20, 40, 80, 160], "Full": [25, 100, 400], "Hard": [50]}
SEEDS = {"S": [0, 1, 2]}
LABELS = ["adaptive", "stable", "stable", "mild", "severe"]
RL = [
    *[("dapo_dc", "S-40", seed) for seed in (0, 1, 2)],
    ("dapo_dc", "S-160", 0),
    ("dapo_dc", "Full-400", 0),
    ("dapo_dc", "Full-min_val_loss", 0),
    ("grpo", "base", 0),
    ("dapo_dc", "base", 0),
]
UNIDENTIFIED, COLLAPSED, UNBOUNDED = (
    "rl/dapo_dc/S-160/seed_0",
    "rl/grpo/base/seed_0",
    "rl/dapo_dc/base/seed_0",
)
SYNCHRONIZED = ("luffy", "srft", "upt")
LOG = {  # by algorithm: what its runs' one step logged
    "luffy": [{"response_tokens": 25.0, "graded": 600, "unparsable": 8, "timeout": 0, "error": 0,
               "clip_fraction": 0.0321, "norm_off": 0.5, "norm_rl": 2.0, "cosine": -0.125}],
}  # fmt: skip
LOW_END = 61.23456  # the lower end of unidentified intervals
HYPERPARAMETERS = {"SFT S": {"learning_rate": 7e-4, "seeds": [0, 1, 2], "schedule": "constant"},
                   "dapo_dc": {"dynamic_sampling": True, "kl": None}}  # fmt: skip


def point_rows(
    run: str, phase: str, step: int, exaflops: float, before: float, score: float, se: float
) -> list[dict]:
    fields = {
        "run": run,
        "phase": phase,
        "step": step,
        "exaflops": exaflops,
        "exaflops_total": exaflops + before,
    }
    shifts = {"gsm": 6, "aime": -6, "overall": 0, "macro": 0.5}
    return [
        {**fields, "benchmark": name, "score": score + by, "se": se, "n": 300} for name, by in shifts.items()
    ]


def sft_score(step: int) -> float:
    return 30 + 25 * (1 - np.exp(-step / 40))


def start_of(start: str) -> tuple[str | None, int]:
    name, _, step = start.rpartition("-")
    return (name or None, 100 if step == "min_val_loss" else int(step)) if name else (None, 0)


def sft_inputs() -> tuple[list, list, list, dict]:
    rows, losses, runs, labels = [], [], [], {}
    for name, steps in SFT_STEPS.items():
        for seed in SEEDS.get(name, [0]):
            run = f"sft/{name}/seed_{seed}"
            runs.append((run, "base", name, "sft", seed, 0, steps[-1] * SCALE, 0.3, "finished"))
            found = dict(zip(map(str, steps), LABELS, strict=False))
            labels[run] = {
                "loss_min": 0.2,
                "step_min": steps[0],
                "stable": steps[:2],
                "labels": found,
                "guarded": found,
            }
            for step in steps:
                rows += point_rows(run, "sft", step, step * SCALE, 0, sft_score(step) + seed, 2.5)
                loss = 0.2 + len(steps) / 50 + abs(step - 40) / 1000
                losses.append((run, step, loss, 0.003, step * SCALE))
    return rows, losses, runs, labels


def rl_inputs(arms: list) -> tuple[list, list, dict]:
    rows, runs, fits = [], [], {}
    for algorithm, start, seed in arms:
        run, (name, step) = f"rl/{algorithm}/{start}/seed_{seed}", start_of(start)
        before, p_start = step * SCALE, sft_score(step)
        parent = f"sft/{name}/seed_{seed}" if name else "base"
        runs.append((run, parent, name, algorithm, seed, step, before, np.nan, "finished"))
        x = np.linspace(0, 100, 11)
        score = p_start + 12 * x / (x + 25) + np.sin(7 * x + seed)
        for k, value in enumerate(score):
            rows += point_rows(
                run, "rl", k * 3, x[k] * SCALE, before, value, np.nan if start == "S-160" else 2.4
            )
        fits[run] = fit(run, p_start, float(score.max()))
    return rows, runs, fits


def fit(run: str, p_start: float, peak: float) -> dict:
    entry = {"a": p_start + 12, "a_ci95": [p_start + 10.5, p_start + 13.5], "c_mid": 25 * SCALE, "b": 1.0,
             "p_start": p_start, "plasticity": 12.0, "plasticity_ci95": [10.5, 13.5], "status": "identified",
             "reason": None, "observed_peak": peak, "n_used": 10, "n_dropped": 0, "method": "profile",
             "alpha": None, "r2_train": 0.9, "heldout_rmse": 0.8, "heldout_rmse_naive": None,
             "predictions": [],
             "noise_sd": 1.23, "a_point": p_start + 12,
             "decomposition": {"p_0": 30.0, "delta_sft": p_start - 30, "p_sft": p_start,
              "delta_rl": peak - p_start,
                               "p_post": peak, "a_post": None, "plasticity_rl": None},
             "curve": [{"exaflops": x * SCALE, "score": p_start + 12 * x / (x + 25),
                 "ci95": [p_start, p_start + 12]}
                       for x in (0, 10, 50, 100, 140, 400)]}  # fmt: skip
    if run in (UNIDENTIFIED, UNBOUNDED):
        entry |= {"a": None, "a_ci95": [LOW_END, None], "plasticity": None,
         "plasticity_ci95": [LOW_END, None],
                  "status": "unidentified", "reason": "half the rise lies beyond the data"}  # fmt: skip
    if run == UNBOUNDED:
        entry |= {"c_mid": None, "b": None, "r2_train": None, "heldout_rmse": None, "a_ci95": [None, None]}
    if run == COLLAPSED:
        entry |= {"status": "collapsed", "reason": "the last 3 points fall by 9.0"}
    return entry


def result_rows(curves: pd.DataFrame) -> pd.DataFrame:
    last = curves[curves["phase"] != "rl"]
    rl = curves[curves["phase"] == "rl"]
    last = pd.concat([last, rl[rl["step"] == rl["step"].max()]])
    parts = last["run"].str.split("/")
    is_rl = last["phase"] == "rl"
    start = parts.str[2].where(is_rl)
    return last.assign(
        set=parts.str[1].where(last["phase"] == "sft",
         [start_of(name)[0] if isinstance(name, str) else None for name in start]),
        algorithm=parts.str[1].where(is_rl), start=start,
        seed=parts.str[-1].str.extract(r"seed_(\d)", expand=False).astype(float), truncated=1.5, metric="avg",
        low=last["score"] - 5, high=last["score"] + 5,
    )[["run", "phase", "set", "algorithm", "start", "seed", "step", "metric", "benchmark", "score", "se",
     "low", "high",
       "n", "truncated"]]  # fmt: skip


def verdict_rows(results: pd.DataFrame) -> pd.DataFrame:
    models = results[["run", "step"]].drop_duplicates()
    return models.assign(benchmark="all", samples=300, tokens=41.5, truncated=1.5, stopped=98.5, graded=290,
                         unparsable=7, timeout=2, error=1)  # fmt: skip


def gain_rows(runs: list) -> pd.DataFrame:
    rows = [(run[0], "overall", 7.25, 1.5, 4.5, 10.0, 0.0005, 300) for run in runs]
    return pd.DataFrame(rows, columns=["run", *PAIRED_COLUMNS])


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """A function that writes a study's files, with the given RL runs, and loads them."""

    def build(arms=RL):
        directory = tmp_path_factory.mktemp("study")
        rows, losses, runs, labels = sft_inputs()
        rl_rows, rl_runs, fits = rl_inputs(arms)
        columns = [
            "run",
            "parent",
            "set",
            "algorithm",
            "seed",
            "start_step",
            "sft_exaflops",
            "val_loss",
            "status",
        ]
        base = ("base", None, None, None, None, None, 0.0, None, "finished")
        curves = pd.DataFrame(point_rows("base", "base", 0, 0, 0, 30.0, 2.6) + rows + rl_rows)
        overlaps = pd.DataFrame([["S", 150, 0], ["gsm", 0, 60]], columns=["table", "S", "gsm"])
        statistics = pd.DataFrame(
            {"set": ["S"], "n": [150], "unique": [149], "prompt_tokens": [20.3], "response_tokens": [29.9], "truncated": [0.25],
             "win_rate": [np.nan], "win_rate_n": [0], "win_rate_1_5b": [0.5], "win_rate_1_5b_n": [9], "sources": ["pool:150"],
             "sha256": ["0123456789abcdef"]})  # fmt: skip
        strata = pd.DataFrame([["win_rate_1_5b", 1.0, 0.5, 0.1, True]],
                              columns=["win_rate", "easy", "uniform", "hard", "ordered"])  # fmt: skip
        sources = pd.DataFrame([["pool", 200, 150, "domain: 40", np.nan, "0123456789abcdef"]],
                               columns=["source", "rows", "kept", "dropped", "rejected", "sha256"])  # fmt: skip
        results, named = result_rows(curves), pd.DataFrame([base, *runs, *rl_runs], columns=columns)
        frames = {"pooled_curves": pool_curves(curves, named), "pooled_results": pool_results(results, named),
                  "overlaps": overlaps, "statistics": statistics, "strata": strata, "sources": sources, "verdicts": verdict_rows(results),
                  "gains": gain_rows(rl_runs), "runs": named,
                  "losses": pd.DataFrame(losses,
                   columns=["run", "step", "loss", "se", "exaflops"])}  # fmt: skip
        records = {run[0]: {"exaflops": 100 * SCALE, "log": LOG.get(run[3], [])} for run in rl_runs}
        frames |= {"arms": arm_summaries(frames["gains"], frames["runs"], results, records),
                   "arm_curves": arm_curves(curves, named),
                   "arm_comparisons": compare_arms(arm_curves(curves, named))}  # fmt: skip
        for name, frame in frames.items():
            frame.to_csv(directory / f"{name}.csv", index=False)
        advice = advise(curves, named, {"runs": fits}, {"runs": labels}, results=results)
        for name, record in {
            "phases": {"runs": labels},
            "ceilings": {"runs": fits},
            "advice": advice,
            "predictors": predict(models_table(results, frames["losses"], frames["runs"])),
        }.items():
            (directory / f"{name}.json").write_text(json.dumps(record))
        results.to_csv(directory / "results.csv", index=False)
        names = ("pooled_curves.csv", "runs.csv", "losses.csv", "ceilings.json", "results.csv")
        measure_outcomes(*(str(directory / name) for name in names), str(directory))
        return page.load(directory, directory)

    return build


@pytest.fixture(scope="module")
def inputs(make):
    return make()


@pytest.fixture(scope="module")
def html(inputs):
    return page.render(inputs, "toy", HYPERPARAMETERS)


class Text(HTMLParser):
    """The words that a reader sees; every element must close."""

    def __init__(self, source: str):
        super().__init__()
        self.words, self.open = [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)


def words(source: str) -> str:
    return " ".join(Text(source).words)


def test_figures_and_tables_one_by_one_are_those_of_the_page(inputs, html, tmp_path):
    (tmp_path / "parts/figures").mkdir(parents=True)
    (tmp_path / "parts/figures/of_before.svg").write_text("")
    parts.write(page.content_of(inputs, HYPERPARAMETERS), tmp_path / "parts")
    made = {
        path.relative_to(tmp_path / "parts").as_posix(): path.read_text()
        for path in (tmp_path / "parts").rglob("*.*")
    }
    contents = json.loads(made.pop("contents.json"))
    assert list(contents) == re.findall(r'<figure id="(.*?)"', html)
    sections = [re.sub(r"<.*?>", "", one) for one in re.findall(r"<h2 id=.*?</h2>", html)]
    for name, said in contents.items():
        assert said["category"].partition(". ")[2] in sections
        title = f"<h3>{escape(said['labels']['finding'])}</h3>"
        assert f'<figure id="{name}"><figcaption>{title}' in html
        assert made.pop(f"captions/{name}.html").startswith(f"<p><strong>{title[4:-5]}</strong></p><p>")
        if figure := made.pop(f"figures/{name}.svg", None):
            assert figure in html
            continue
        table = made.pop(f"tables/{name}.html")
        Text(table)
        assert table.partition("<body>")[2].partition("<script>")[0] in html
        link = base64.b64encode(made.pop(f"tables/{name}.csv").encode()).decode()
        assert f'download="{name}.csv" href="data:text/csv;base64,{link}"' in table
    assert made == {}


def test_the_page_is_deterministic(inputs, html):
    assert page.render(inputs, "toy", HYPERPARAMETERS) == html


def test_the_page_says_where_to_start_first(inputs, html):
    seen, advice = words(html), inputs["advice"]
    sentences = [
        advice["headline"],
        *(advice["summary"][key] for key in ("why", "sure", "next")),
        "Overall score on",
    ]
    assert sorted(sentences, key=seen.index) == sentences
    hostile = advice | {"headline": "<b>x</b>", "reasons": ["a </script><script>"]}
    assert "&lt;b&gt;x" in (shown := page.render({**inputs, "advice": hostile}, "toy", {}))
    assert "a </script>" not in shown


def test_every_run_appears(inputs, html):
    seen = words(html)
    for run in inputs["runs"]["run"]:
        assert run in seen
    for run in inputs["ceilings"]["runs"]:
        assert seen.count(run) >= 3  # a panel, a fit, a run


def test_an_unidentified_ceiling_has_an_interval_but_no_number(inputs):
    for run, shown in ((UNIDENTIFIED, "61.2 or more"), (UNBOUNDED, formatting.MISSING)):
        [[_, *cells]] = analysis_tables.fit_table(inputs["ceilings"], [run]).rows
        assert cells[0] == cells[2] == "unidentified"
        assert cells[3] == shown
        assert cells[4:7] == [formatting.MISSING] * 3
        assert f"{inputs['ceilings']['runs'][run]['a_point']:.1f}" not in cells


def test_an_identified_ceiling_has_its_interval(inputs):
    seen = words(analysis_tables.fit_table(inputs["ceilings"], [COLLAPSED]).html())
    assert "42.0" in seen
    assert "40.5 to 43.5" in seen
    assert "collapsed" in seen


def test_a_real_analysis_is_shown_whole(inputs):
    rows, _, _, _ = sft_inputs()
    base = point_rows("base", "base", 0, 0, 0, 30.0, 2.6)
    curves = pd.DataFrame(base + rows + rl_inputs(RL)[0])
    runs, losses = inputs["runs"], inputs["losses"]
    examples = pd.concat(
        [
            losses.assign(example=i, tokens=10, nll=10 * losses["loss"] * (1 + (-1) ** i / 50))
            for i in range(20)
        ]
    )
    phases = label_phases(losses, examples)
    ceilings = fit_curves(curves)
    advice = advise(curves, runs, ceilings, phases, reference="rl/grpo/base/seed_0")
    outcomes = rl_outcomes(inputs["pooled_curves"], ceilings, runs)
    measured = {"outcomes": outcomes, "highest_outcomes": highest_outcomes(losses, outcomes, runs)}
    real = {**inputs, **measured, "phases": phases, "ceilings": ceilings, "advice": advice}
    html = page.render(real, "toy", {})
    seen = words(html)
    assert advice["headline"] in seen
    for reason in advice["reasons"]:
        assert reason in seen
    for run in advice["stop_continue"]:
        assert run["run"] in analysis_tables.continuation_table(advice).html()
        assert run["verdict"] in seen
    assert sum(
        row["leader"] in analysis_tables.equal_compute_table(advice).html()
        for row in advice["equal_compute"]["rl"]
    )
    assert "Ratio to rl/grpo/base/seed_0" in seen
    assert "0 of 3" in seen  # diverged seeds of S-40
    assert "sft/S/seed_0, step 10" in seen
    assert "lowest leave-one-out error" in seen
    assert not re.search(r"\b(nan|NaN|None|null|inf|NaT)\b", seen)


def test_predictors_that_cannot_be_used_say_why(inputs):
    few = predict(pd.DataFrame({"model": ["a", "b"], "pass_1": [1.0, 2.0], "rl_score": [3.0, None]}))
    seen = words(analysis_tables.predictor_table(few).html())
    assert "undefined" in seen
    assert page.render({**inputs, "predictors": few}, "toy", {})


def test_the_page_shows_no_missing_values(html):
    assert not re.search(r"\b(nan|NaN|None|null|inf|NaT)\b", words(html))
    assert not re.search(r"\bnan\b", html)


def test_the_page_refers_to_nothing_outside(html):
    assert not re.search(
        r"""(src|href)=["'](?!#|data:text/csv)|url\((?!['"]?#)|@import|<script \w|<link""", html
    )
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]+"|<!DOCTYPE.*?>', "", html)
    links = re.findall(r'(?:href="|url\()#([\w-]+)', html)
    names = re.findall(r' id="([^"]+)"', html)
    assert set(links) <= set(names)
    assert len(names) == len(set(names))


def test_a_study_without_rl(make):
    html = page.render(make(arms=[]), "toy", {})
    seen = words(html)
    assert "Insufficient data." in seen
    assert "Needed: RL runs of one algorithm from at least 2 SFT checkpoints (so far 0)." in seen
    assert "How high it can get" not in seen
    assert not re.search(r"\bnan\b", html)


def test_a_study_with_pure_rl_only(make):
    html = page.render(make(arms=[("grpo", "base", 0)]), "toy", {})
    assert "Figure 5a" not in html
    assert COLLAPSED in words(html)


def test_an_arm_more_is_in_the_figure_and_in_the_tables(make):
    before = make(arms=[("grpo", "base", 0), ("dapo_dc", "S-40", 0)])
    more = make(arms=[("grpo", "base", 0), *((name, "base", 0) for name in SYNCHRONIZED)])
    assert "may be the best unless" not in page.render(before, "toy", {})  # one algorithm from each start
    html = page.render(more, "toy", {})
    figure = re.search(r'<svg[^>]*aria-label="Overall score of every arm.*?</svg>', html, re.DOTALL).group()
    tables = study_tables.arms_markdown(more["arms"], more["arm_comparisons"])
    for name in ("grpo", *SYNCHRONIZED):
        assert f">{name}</text>" in figure
        assert figures.arm_curves(before["arm_curves"]).count(f">{name}</text>") == (name == "grpo")
        assert sum(f"| base → {name} |" in line for line in tables.splitlines()) == 2
        assert f"base → {name}" in words(html)
    assert "| SFT on S |" in tables
    assert ">SFT on S</text>" in figure


def test_what_an_arm_took_and_logged(make):
    inputs = make(arms=[("grpo", "base", 0), ("luffy", "base", 0), ("luffy", "base", 1)])
    header, *rows = [
        line.split(" | ") for line in study_tables.arms_markdown(inputs["arms"], []).splitlines()[1:]
    ]
    luffy = dict(zip(header, next(row for row in rows if "luffy" in row[0]), strict=True))
    assert luffy["Seeds"] == "2"
    assert (luffy["Start"], luffy["Difference"], luffy["95 %"]) == ("30.0", "+7.2", "+4.3 to +10.2")
    assert luffy["RL, teraFLOPs"] == "1"
    assert luffy["Sampled tokens, thousands"] == "15"  # 608 responses of 25
    assert luffy["Clipped tokens, %"] == "3.21"
    assert luffy["Gradient norms"] == "off 0.5, rl 2"
    assert luffy["Cosine"] == "-0.12"
    assert {row[9] for row in rows if "grpo" in row[0]} == {formatting.MISSING}


def test_intervals_gains_and_verdicts_are_shown(html):
    seen = words(html)
    assert "25.0 to 35.0" in seen  # the base model's
    assert "4.5 to 10.0" in seen
    assert seen.count("98.5") >= len(RL)


def test_pass_at_k_is_shown_where_there_is_any(inputs):
    results = inputs["pooled_results"]
    assert "pass@4" not in page.render(inputs, "toy", {})
    passes = results.assign(metric="pass@4", score=results["score"] + 9)
    more = {**inputs, "pooled_results": pd.concat([results, passes])}
    seen = words(page.render(more, "toy", {}))
    assert "pass@4" in seen
    assert "39.0 ± 2.6" in seen


def test_figures_are_whole_svg(html):
    drawn = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawn) == 5 + len(SFT_STEPS)
    for source in drawn:
        assert ElementTree.fromstring(source).tag.endswith("svg")


def test_a_correlation_is_said_or_why_there_is_none():
    few, same = (
        {"n": 3, "verdict": "undefined: 3 sets"},
        {"n": 4, "verdict": "undefined: ceiling is the same"},
    )
    assert "cannot be told from 3 data sets" in findings.of_losses(few, 3)
    assert "cannot be told" in findings.of_losses(same, 4)
    assert "r = -1.00 (p = 0.01, 4 sets)" in findings.of_losses(
        {"of": "highest", "n": 4, "verdict": "ok", "pearson": -1.0, "p": 0.01}, 4
    )
    stable = {"of": "mean over stable starts", "n": 4, "verdict": "ok", "pearson": -0.5, "p": 0.5}
    assert "against the mean of RL from stable starts: Pearson r = -0.50" in findings.of_losses(stable, 4)


def test_what_rl_adds_is_titled_with_the_stable_mean():
    outcomes = pd.DataFrame({"set": "S", "start_step": [10, 20, 30], "gain": [5.0, 1.0, 2.0]})
    titled = findings.of_gains(outcomes, "S", {("S", 20), ("S", 30), ("T", 10)})
    assert (
        titled
        == "RL adds +1.5 points from the stable starts after SFT on S, on average; 1.0 to 5.0 from all, most from step 10"
    )
    assert (
        findings.of_gains(outcomes, "S", set())
        == "RL adds 1.0 to 5.0 points after SFT on S, most from step 10"
    )


def test_compute_has_a_readable_unit():
    assert units.scale_of(pd.Series([0, 3e-8])) == (1e9, "gigaFLOPs")
    assert units.scale_of(pd.Series([2e-6])) == (1e6, "teraFLOPs")
    assert units.scale_of(pd.Series([448.0])) == (1.0, "exaFLOPs")
    assert units.scale_of(pd.Series([0.0])) == (1.0, "exaFLOPs")


def test_markdown_results(inputs):
    lines = study_tables.results_markdown(inputs["pooled_results"]).splitlines()
    assert lines[0] == "| model | overall | se | gsm | aime |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: |"
    assert lines[2] == "| base | 30.0 | 2.6 | 36.0 | 24.0 |"
    assert len({line.count("|") for line in lines}) == 1
    assert any(line.startswith("| S-40 → dapo_dc |") for line in lines)


def test_cells_are_escaped():
    assert "&lt;b&gt;" in formatting.Table(["x"], [["<b>"]]).html()


def test_a_table_sorts_by_its_numbers_and_keeps_its_parts():
    table = formatting.Table(
        ["model", "score"], [["SFT"], ["a", "66.3 ± 1.7"], ["b", "1,200"], ["c", "–"], ["RL"], ["d", "+7"]]
    )
    shown = table.html()
    assert re.findall(r'data-sort="([^"]*)"', shown) == ["66.3", "1200", "", "+7"]
    assert shown.count("<tbody") == 4
    assert table.csv() == 'part,model,score\nSFT,a,66.3 ± 1.7\nSFT,b,"1,200"\nSFT,c,–\nRL,d,+7\n'


def test_one_thing_has_one_number(inputs, html):
    """Scores of RL in the advice, in the results, in the figures' data and in the gains are the same test scores."""
    results = inputs["pooled_results"]
    final = results[(results["phase"] == "rl") & (results["benchmark"] == "overall")].set_index("start")[
        "score"
    ]
    for start in inputs["advice"]["candidates"]:
        assert start["estimate"] == pytest.approx(final[start["start"]])
    for row in inputs["outcomes"].to_dict("records"):
        assert row["value"] == pytest.approx(final[f"{row['set']}-{row['start_step']:.0f}"])
        start = f"{row['set']}-{row['start_step']:.0f}"
        seeds = [run[2] for run in RL if run[1] == start] or [0]
        before = sft_score(row["start_step"]) + np.mean(seeds)  # of the seeds that RL starts from
        assert row["gain"] == pytest.approx(row["value"] - before)
