"""The browser of samples: its counts, its texts, whatever they hold, and its size at the papers' scale."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile import responses

from switchpoint import files, scores
from switchpoint.errors import InputError
from switchpoint.report import samples

BENCHMARKS = {"easy": 1, "hard": 4}  # responses per problem
MODELS = {"base": [("base", 0)], "sft/S": [(f"sft/S/seed_{seed}", step) for seed in (0, 1) for step in (5, 10)],
          "rl/grpo/S-10": [("rl/grpo/S-10/seed_0", 60)]}  # fmt: skip
MARKUP = [
    "</script><script>document.title = 'owned'</script>", "<img src=x onerror=\"document.title = 'owned'\">",
    "<!--<script>", "]]>", "{{ 7 * 7 }}{% raw %}", "\u2028\u2029 new lines \x00 and NUL", "&lt;b&gt; &amp;", "'\"`${1}\\",
    "\u202egnp.exe", "a" * 100_000,
]  # fmt: skip


def problems(each: int) -> pd.DataFrame:
    """So many test problems of both benchmarks, and one that monitors."""
    rows = [
        {"id": f"{name}/{place}", "problem": f"What is {place} + {place}? {MARKUP[place % 5]}", "answer": str(2 * place),
         "benchmark": name, "split": "test" if place else "monitor"}
        for name in BENCHMARKS for place in range(each + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def graded(run: str, step: int, table: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """A checkpoint's samples: verdicts at random, the texts in turn."""
    rng = np.random.default_rng(step)
    rows = table.loc[table.index.repeat(table["benchmark"].map(BENCHMARKS))].reset_index(drop=True)
    verdict = rng.choice(scores.STATUSES, len(rows), p=[0.8, 0.1, 0.06, 0.04])
    return pd.DataFrame({
        "run": run, "step": step, "split": rows["split"], "benchmark": rows["benchmark"], "id": rows["id"],
        "sample": rows.groupby("id").cumcount(), "n_tokens": rng.integers(1, 90, len(rows)), "truncated": rng.random(len(rows)) < 0.1,
        "extracted": np.where(verdict == "graded", "7", None), "verdict": verdict,
        "correct": (verdict == "graded") & (rng.random(len(rows)) < 0.6),
        "text": [texts[place % len(texts)] for place in range(len(rows))],
    })[scores.SAMPLE_COLUMNS]  # fmt: skip


def evaluation(folder: Path, models: list[tuple[str, int]], table: pd.DataFrame, texts: list[str]) -> str:
    """An evaluation of these checkpoints, as its job leaves it."""
    folder.mkdir(parents=True)
    made = pd.concat([graded(run, step, table, texts) for run, step in models])
    made.to_parquet(folder / "samples.parquet", index=False)
    record = {"checkpoints": [{"run": run, "step": step} for run, step in models]}
    files.write_record(folder / "run.json", record | {"outputs": files.measure(folder, ["samples.parquet"])})
    return str(folder)


def study(root: Path, texts: list[str], each: int = 12, models: dict = MODELS) -> tuple[list[str], list[str]]:
    """The evaluations and the table of problems of a small study."""
    table = problems(each)
    table.to_parquet(root / "problems.parquet", index=False)
    made = [evaluation(root / group, checkpoints, table, texts) for group, checkpoints in models.items()]
    return made, [str(root / "problems.parquet")]


def written(out: Path) -> dict[str, bytes]:
    """The page and its blocks."""
    return {path.name: path.read_bytes() for path in [out, *sorted(out.with_suffix("").iterdir())]}


def data_of(page: str) -> dict:
    """What the page's script reads."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL).group(1)
    )


def cells_of(block: str) -> list:
    """What a block's script hands over."""
    return json.loads(re.fullmatch(r'takeBlock\("\w+",\d+,(.*)\);\n', block).group(1))


def responses_of(out: Path, checkpoint: str, problem: str) -> list[dict]:
    """The responses in a cell, looked up as the page does."""
    data = data_of(out.read_text())
    column, row = ([one["id"] for one in data[name]].index(id)
                   for name, id in (("checkpoints", checkpoint), ("problems", problem)))  # fmt: skip
    number = max(n for n, (owner, first) in enumerate(data["blocks"]) if owner == column and first <= row)
    cells = dict(cells_of((out.with_suffix("") / f"{number:04}.js").read_text()))
    return [dict(zip(data["fields"], response, strict=True)) for response in cells[row]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study whose responses are hostile, its tables, and its page."""
    root = tmp_path_factory.mktemp("study")
    texts = MARKUP + [text for _, text in responses(75) if "\ud800" not in text]
    evaluations, tables = study(root, texts)
    samples.write(evaluations, tables, "toy <i>", root / "samples.html")
    return root / "samples.html", evaluations, tables


def test_the_counts_are_those_of_the_scores(made):
    out, evaluations, _ = made
    data = data_of(out.read_text())
    outcomes = [name for name, _ in data["outcomes"]]
    table = pd.concat([pd.read_parquet(f"{path}/samples.parquet") for path in evaluations])
    table = table[table["split"] == "test"]
    assert len(data["problems"]) == 24
    for column, checkpoint in enumerate(data["checkpoints"]):
        run, _, step = checkpoint["id"].rpartition("/step_")
        rows = table[(table["run"] == run) & (table["step"] == int(step))]
        expected = scores.per_problem(rows).set_index("id")
        counts = {one["id"]: dict(zip(outcomes, data["counts"][code], strict=True))
                  for one, code in zip(data["problems"], data["cells"][column], strict=True)}  # fmt: skip
        for id, count in counts.items():
            assert count["right"] == expected.loc[id, "c"]
            assert sum(count.values()) - count["truncated"] == expected.loc[id, "n"]
        totals = scores.verdicts(rows).set_index("benchmark").loc["all"]
        for status in scores.STATUSES[1:]:
            assert sum(count[status] for count in counts.values()) == totals[status]


def test_checkpoints_are_told_apart_and_grouped(made):
    found = data_of(made[0].read_text())["checkpoints"]
    assert [one["label"] for one in found] == [
        "base", "S-5, seed 0", "S-10, seed 0", "S-5, seed 1", "S-10, seed 1", "S-10 → grpo",
    ]  # fmt: skip
    assert [one["group"] for one in found] == ["Base model", *["SFT on S"] * 4, "RL by grpo"]


def test_of_several_gold_answers_all_are_shown(tmp_path):
    table = problems(1).assign(answer=[["1"], ["1/2", "0.5"]] * 2)
    table.to_parquet(tmp_path / "problems.parquet", index=False)
    found = samples.read_problems([str(tmp_path / "problems.parquet")])
    assert [one["answer"] for one in found] == [["1/2", "0.5"]] * 2


def test_every_response_is_found_as_it_was(made):
    out, evaluations, _ = made
    for path in evaluations:
        table = pd.read_parquet(f"{path}/samples.parquet")
        for row in table[table["split"] == "test"].iloc[::7].to_dict("records"):
            found = responses_of(out, f"{row['run']}/step_{row['step']}", row["id"])[row["sample"]]
            row["extracted"] = row["extracted"] if isinstance(row["extracted"], str) else None
            assert found == {name: row[name] for name in samples.FIELDS}


class Elements(HTMLParser):
    """The elements of a page, and the text of its scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.found, self.scripts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_what_responses_hold_is_text(made):
    page = made[0].read_text()
    elements = Elements(page)
    assert [name for name, _ in elements.found].count("script") == 2
    assert not {"img", "i"} & {name for name, _ in elements.found}
    assert "owned" not in elements.scripts[1]
    assert MARKUP[0] in data_of(page)["problems"][4]["problem"]
    for path in made[0].with_suffix("").iterdir():
        assert path.read_bytes().isascii()
        assert path.read_text().count("\n") == 1  # no line ends within it, U+2028 neither
    assert json.loads(samples.to_json("half \ud800 of one")) == "half \ud800 of one"
    assert samples.to_json("\ud800").isascii()


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_other_script(made):
    elements = Elements(made[0].read_text())
    attributes = [pair for _, attrs in elements.found for pair in attrs.items()]
    assert {value for name, value in attributes if name in ("src", "href")} == {"data:,", "report.html"}
    assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
    policy = next(attrs["content"] for name, attrs in elements.found if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; ")
    assert samples.content_hash(elements.scripts[1]) in policy
    assert samples.content_hash(samples.template("samples.css")) in policy
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|\beval\b|https?:", elements.scripts[1])


def test_every_control_has_a_label_and_every_choice_is_offered(made):
    page = made[0].read_text()
    labelled = re.findall(r"<label>.+?<(?:select|input) name=\"(\w+)\"", page, re.DOTALL)
    assert sorted(labelled) == sorted(re.findall(r"<(?:select|input) name=\"(\w+)\"", page))
    options = [attrs.get("value") for name, attrs in Elements(page).found if name == "option"]
    assert {"easy", "hard", "SFT on S", "sft/S/seed_1/step_10"} <= set(options)
    for outcome in samples.OUTCOMES:
        assert f"<option>{outcome}</option>" in page


def test_equal_inputs_give_equal_bytes_and_nothing_of_an_earlier_page_stays(made, tmp_path, monkeypatch):
    out, evaluations, tables = made
    again = tmp_path / "samples.html"
    monkeypatch.setattr(samples, "BLOCK", 2000)
    samples.write(evaluations, tables, "other", again)
    assert len(written(again)) > len(written(out))
    monkeypatch.undo()
    samples.write(evaluations, tables, "toy <i>", again)
    assert written(again) == written(out)


def test_of_very_many_responses_the_first_can_be_read(made, tmp_path, monkeypatch):
    _, evaluations, tables = made
    monkeypatch.setattr(samples, "MOST", 6 * (12 * 1 + 12 * 2))
    samples.write(evaluations, tables, "toy", tmp_path / "samples.html")
    assert (
        "Of up to 4 responses in a cell the first 2 can be read here"
        in (tmp_path / "samples.html").read_text()
    )
    assert [
        len(responses_of(tmp_path / "samples.html", "base/step_0", id)) for id in ("easy/3", "hard/3")
    ] == [1, 2]


def test_a_problem_in_no_table_and_a_changed_evaluation_are_refused(tmp_path):
    evaluations, tables = study(tmp_path, ["a"], models={"base": MODELS["base"]})
    pd.read_parquet(tables[0]).query("id != 'hard/7'").to_parquet(tables[0], index=False)
    with pytest.raises(InputError, match=r"samples\.parquet: hard/7 is in no table of benchmarks"):
        samples.write(evaluations, tables, "toy", tmp_path / "samples.html")
    (tmp_path / "base/samples.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="instead of"):
        samples.write(evaluations, tables, "toy", tmp_path / "samples.html")


def test_it_is_small_at_the_papers_scale(tmp_path):
    models = {f"sft/S{n}": [(f"sft/S{n}/seed_0", step) for step in range(12)] for n in range(5)}
    evaluations, tables = study(tmp_path, ["so it is 7, " * 6], each=1300, models=models)
    samples.write(evaluations, tables, "toy", tmp_path / "samples.html")
    data = data_of((tmp_path / "samples.html").read_text())
    assert (len(data["problems"]), len(data["checkpoints"])) == (2600, 60)
    assert (tmp_path / "samples.html").stat().st_size < 2_000_000
    blocks = [path.stat().st_size for path in (tmp_path / "samples").iterdir()]
    assert max(blocks) < 300_000
    assert len(blocks) == len(data["blocks"])
