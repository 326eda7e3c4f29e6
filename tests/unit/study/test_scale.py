"""A study in miniature has the jobs of the whole one, and generated rows pass as the real data's do."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from switchpoint.data import sources
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import paths
from switchpoint.study.expand import Expansion
from switchpoint.study.jobs import IngestJob
from switchpoint.study.sources import BENCHMARK_SCHEMAS, DATASETS, FILTERS, BenchmarkFile, Dataset
from switchpoint.study.yaml_file import read_yaml

ROOT = Path(__file__).parents[3]
STUDIES = sorted(ROOT.glob("config/*.yaml"))  # config.yaml is a link to the default study


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_tiny_study_has_every_run_of_the_whole_one(path):
    whole = Expansion(studies.load(path))
    tiny = Expansion(studies.parse(read_yaml(path) | {"scale": "tiny"}))
    assert tiny.study.study == f"{whole.study.study}_tiny"
    seeds = sorted({run.seed for run in whole.sft_runs + whole.rl_runs})[:2]
    sft_runs = [run for run in whole.sft_runs if run.seed in seeds]
    rl_runs = [run for run in whole.rl_runs if run.seed in seeds]
    assert [(run.set, run.seed) for run in tiny.sft_runs] == [(run.set, run.seed) for run in sft_runs]
    assert [(run.algorithm, run.set, run.seed) for run in tiny.rl_runs] == [
        (run.algorithm, run.set, run.seed) for run in rl_runs
    ]
    assert len(tiny.groups) == len(whole.groups)
    assert list(tiny.study.data.sources) == list(whole.study.data.sources)
    assert tiny.study.rl.steps == 2
    for name, run in whole.study.sft.items():
        small = tiny.study.sft[name]
        # A step for each checkpoint, in order; the last step is one if it was.
        assert small.steps == max(2, len(run.save_steps) + (run.steps not in run.save_steps))
        assert (small.steps in small.save_steps) == (run.steps in run.save_steps)
        assert [sorted(small.save_steps).index(step) for step in small.save_steps] == [
            sorted(run.save_steps).index(step) for step in run.save_steps
        ]
    # A start is the same checkpoint of its run.
    for ours, theirs in zip(tiny.rl_runs, rl_runs, strict=True):
        if theirs.start.step is not None:
            place = whole.study.sft[theirs.set].save_steps.index(theirs.start.step)
            assert tiny.study.sft[theirs.set].save_steps[place] == ours.start.step


def test_a_tiny_study_draws_what_is_there_whatever_its_solver_measures():
    tiny = studies.parse(read_yaml(ROOT / "config.yaml") | {"scale": "tiny"})
    strata = {name: one.stratum for name, one in tiny.data.sets.items()}
    assert set(strata.values()) == {"uniform", "full"}
    given = studies.parse(read_yaml(ROOT / "config/paper-qwen2.5-7b.yaml") | {"scale": "tiny"})
    assert given.data.sets["Easy102K"].stratum == "easy"
    config = read_yaml(ROOT / "config.yaml") | {"scale": "tiny"}
    config["data"]["sets"]["Few"] = {"source": "longer", "size": 10}
    config["data"]["sources"]["longer"]["size"] = 12
    config["data"]["benchmarks"]["longer"]["monitor"] = 0
    assert studies.parse(config).data.sets["Few"].size == 10


def test_no_architecture_no_tiny_model():
    config = read_yaml(ROOT / "config/single-gpu.yaml") | {"scale": "tiny"}
    del config["model"]["base"]["architecture"]
    with pytest.raises(InputError, match="a tiny model needs its `architecture`"):
        studies.parse(config)


def test_what_is_made_of_the_tiny_base_is_made_again_when_its_files_change(monkeypatch, tmp_path):
    hub = read_yaml(ROOT / "config/single-gpu.yaml")
    made_of_it = [
        Expansion(studies.parse(one)) for one in (read_yaml(ROOT / "config.yaml"), hub | {"scale": "tiny"})
    ]
    other = Expansion(studies.parse(hub))
    before = [study.convert_job().text for study in (*made_of_it, other)]
    monkeypatch.setattr(paths, "TINY_BASE", shutil.copytree(paths.TINY_BASE, tmp_path / "base"))
    (tmp_path / "base/README.md").write_text("another card")
    assert [study.convert_job().text for study in (*made_of_it, other)] == before
    with (tmp_path / "base/model.safetensors").open("ab") as file:
        file.write(b" ")
    assert not {study.convert_job().text for study in made_of_it} & set(before)
    assert other.convert_job().text == before[-1]
    assert "tiny_base" not in before[-1]  # the job is what it was before there was such a key


def ingested(source, tmp_path) -> pd.DataFrame:
    """The rows of a source, all of which have to be kept."""
    out = tmp_path / "rows.parquet"
    census = sources.ingest(
        IngestJob(recipe=1, name="Toy", seed=0, source=source), str(out), lambda texts: map(len, texts)
    )
    assert (census["rows"], census["kept"]) == (30, 30), census
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
    return pd.read_parquet(out)


@pytest.mark.parametrize("name", DATASETS)
def test_generated_rows_are_those_of_the_data_set(tmp_path, name):
    keep = {"chinese": False} | {key: ["wanted"] for key in FILTERS[:-1] if key in DATASETS[name]}
    keep |= {"verified": True} if "verified" in DATASETS[name] else {}
    source = Dataset.model_validate(
        {"kind": "dataset", "dataset": name, "path": ["gone"], "lock": "gone", "keep": keep, "toy": 30}
    )
    rows = ingested(source, tmp_path)
    assert rows["problem"].str.contains("(1) ", regex=False).all()
    assert all(answer.isdecimal() for one in rows["answer"] for answer in one)
    assert rows["solution"].notna().all() == ("solutions" in DATASETS[name])
    for solver in DATASETS[name]:
        if f"win_rate_{solver}" in rows:
            assert rows[f"win_rate_{solver}"].between(0, 1).all()


@pytest.mark.parametrize("name", BENCHMARK_SCHEMAS)
def test_generated_rows_are_those_of_the_benchmark(tmp_path, name):
    source = BenchmarkFile(kind="benchmark", benchmark=name, path="gone.jsonl", lock="gone", toy=30)
    rows = ingested(source, tmp_path)
    assert all(
        answer.isdecimal() for one in rows["answer"] for answer in ([one] if isinstance(one, str) else one)
    )
