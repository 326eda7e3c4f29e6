"""Two data sets in one study: the how-to of docs/data.md, followed literally, and what a set of a source reruns."""

import json
import random

import pandas as pd
import pytest
import yaml
from pages import blocks, edited, type_in
from study import BELOW, make_clone, pending, snakemake, tiny_config, write_config

from switchpoint.data import step_lists

PAGE, HEADING = "data.md", "## Compare two data sets"


def write_records(path, seed: int, shared: list[dict]) -> set[str]:
    """A user's file of 700 records, some of them given; returns their problems."""
    made = [*step_lists.make_problems(seed, path.stem, 700 - len(shared), (2, 6), [1, 2, 3]), *shared]
    rows = [{key: row[key] for key in ("problem", "answer", "solution")} for row in made]
    random.Random(seed).shuffle(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {row["problem"] for row in rows}


def test_the_how_to_of_two_data_sets(tmp_path):
    clone = make_clone(tmp_path / "clone", {})
    shared = list(step_lists.make_problems(9, "both", 100, (2, 6), [1, 2, 3]))
    problems = {
        name: write_records(clone / f"{name}.jsonl", seed, shared)
        for seed, name in enumerate(("mine", "theirs"), start=1)
    }
    lock, run = blocks(PAGE, HEADING, "sh")
    type_in(clone, lock)
    (clone / "compare.yaml").write_text(yaml.safe_dump(edited(PAGE, HEADING)))
    planned = pending(clone, *run.split()[1:])
    # Of each set: its checkpoints, and RL from both of them, beside the 13 runs of the default study.
    assert {rule: planned[rule] for rule in ("sft_Mine", "sft_Theirs", "rl")} == {
        "sft_Mine": 1, "sft_Theirs": 1, "rl": 13 + 2 + 2,
    }  # fmt: skip
    data = "results/compare/data"
    snakemake(clone, f"{data}/sets/Mine.parquet", f"{data}/sets/Theirs.parquet", *run.split()[1:])
    sets = {name: pd.read_parquet(clone / data / f"sets/{name.title()}.parquet") for name in problems}
    held_out = set(pd.read_parquet(clone / data / "validation.parquet")["problem"])
    for name, rows in sets.items():
        assert len(rows) == rows["problem"].nunique() == 500
        assert set(rows["source"]) == {name}
        assert set(rows["problem"]) <= problems[name] - held_out
    assert set(sets["mine"]["problem"]) & set(sets["theirs"]["problem"])


def with_a_set_of(*sources: str) -> dict:
    """The tiny study with a set of these sources of the pool, and SFT on it."""
    config = tiny_config()
    config["data"]["sources"]["more"] = config["data"]["sources"]["pool"] | {"size": 60}
    config["data"]["sets"]["Mine"] = {"source": [*sources] if len(sources) > 1 else sources[0], "size": 40}
    config["sft"]["Mine"] = config["sft"]["S"]
    return config


# The new source is read for the report alone.
OWN = {"ingest": 1, "select_set": 1, "sft_Mine": 1, "evaluate": 1, "report_data": 1} | BELOW


def test_a_set_of_a_source_reruns_no_other(clone):
    write_config(clone, with_a_set_of("pool"))
    assert pending(clone) == OWN
    made = "results/tiny/data/sets/Mine.parquet"
    snakemake(clone, made)
    assert set(pd.read_parquet(clone / made)["source"]) == {"pool"}
    assert pending(clone, made) == {}
    # Other sources are another set.
    write_config(clone, with_a_set_of("pool", "more"))
    assert pending(clone, made) == {"ingest": 1, "select_set": 1}
    snakemake(clone, made)
    assert pending(clone, made) == {}
    write_config(clone, with_a_set_of("more", "pool"))
    assert pending(clone, made) == {"select_set": 1}


@pytest.mark.soak
def test_a_study_of_sets_of_sources_runs_to_its_end(clone):
    config = with_a_set_of("pool", "more")
    config["data"]["sets"] |= {"Theirs": {"source": "more"}, "Hard": {"source": "pool", "stratum": "hard"}}
    config["sft"]["Theirs"] = config["sft"]["S"]
    write_config(clone, config)
    snakemake(clone)
    assert pending(clone) == {}
    cards = pd.read_csv(clone / "results/tiny/data/statistics.csv").set_index("set")
    assert cards.loc["Theirs", "sources"] == f"more:{cards.loc['Theirs', 'n']}"
    assert {one.partition(":")[0] for one in cards.loc["Mine", "sources"].split()} == {"pool", "more"}
    assert cards.loc["Hard", "win_rate"] <= 0.25
    page = (clone / "results/tiny/report.html").read_text()
    assert all(f">{name}<" in page for name in ("Mine", "Theirs", "Hard"))
