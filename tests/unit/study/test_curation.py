"""What the data section refuses before anything is read, and what the papers' studies ask for."""

import copy
from pathlib import Path

import pytest
import yaml

from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion

ROOT = Path(__file__).parents[3]
RETU = yaml.safe_load((ROOT / "config/paper-qwen2.5-7b.yaml").read_text())
QUAGMIRES = yaml.safe_load((ROOT / "config/quagmires.yaml").read_text())


def changed(config: dict, path: str, value) -> dict:
    """The study with another value behind a dotted path; None deletes the key."""
    new = copy.deepcopy(config)
    *above, last = path.split(".")
    section = new
    for name in above:
        section = section[name]
    section[last] = value
    if value is None:
        del section[last]
    return new


WRONG = [
    ("data.sources.am_1_4m.keep", {"domains": ["math"]}, "keep.domains: am_1_4m does not tell it; it has ['teachers', 'origins']"),
    ("data.sources.skywork.keep", {"verified": True}, "keep.verified: skywork_or1 does not tell it"),
    ("data.sources.am_40m.keep", {"domains": []}, "domains"),
    ("data.sources.am_40m.dataset", "am_4m", "dataset"),
    ("data.sources.am_40m.hub", "a/b", "give `path` or `hub`, one of them"),
    ("data.sources.am_40m.path", None, "give `path` or `hub`, one of them"),
    ("data.sources.am_40m.max_rejects", 1.0, "max_rejects"),
    ("data.solver.given", "32b", "no source of data.pool gives that win rate"),
    ("data.solver", None, "data.sets.Easy102K.stratum asks for win rates, but there is no data.solver"),
    ("data.prompts.given", "671b", "the source skywork gives no such win rate"),
    ("data.prompts.given", None, "is not in data.pool"),
    ("data.prompts.sources", ["nothing"], "names the source 'nothing'"),
    ("data.sets.S1K.source", "nothing", "names the source 'nothing'"),
    ("data.sets.S1K.source", "skywork", "has no expert trajectories"),
    ("data.sets.S1K.source", ["s1k", "nothing"], "names the source 'nothing'"),
    ("data.sets.S1K.source", ["s1k", "skywork"], "has no expert trajectories"),
    ("data.sets.S1K.source", ["s1k", "s1k"], "repeats a value; list each once"),
    ("data.sets.S1K.source", [], "at least 1 item"),
    ("data.sets.S1K.source", 3, "data.sets.S1K.source: Give a source of data.sources, or a list of them, but it is 3"),
    ("data.sets.S1K.stratum", "easy", "win rates are known of the pool alone; add the source to data.pool"),
    ("data.sets.Easy102K_long.union", ["nothing"], "names 'nothing', which is no set"),
    ("data.sets.Easy102K_long.union", ["Easy102K_long"], "or a union itself"),
    ("data.sets.Easy102K_long.size", 5, "`union` takes the sets as they are"),
    ("data.sets.Easy102K.order", "long", "order"),
    ("data.validation_source", "nothing", "names the source 'nothing'"),
    ("data.validation_source", "skywork", "has no expert trajectories"),
    ("data.overlap", "drop", "overlap"),
    ("rl.on_logprob_gap", "fail", "there is no max_logprob_gap"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=[f"{row[0]}={row[1]}"[:50] for row in WRONG])
def test_what_cannot_be(path, value, words):
    with pytest.raises(InputError) as refused:
        studies.parse(changed(RETU, path, value))
    assert words in str(refused.value)


def test_the_inputs_of_every_set():
    study = Expansion(studies.parse(RETU))
    kinds = {
        name: {option: len(files) for option, files in study.set_inputs(name).items()}
        for name in RETU["data"]["sets"]
    }
    drawn = {"pool": 1, "validation": 1}
    assert kinds == {
        "SFT889K": drawn,
        "Easy102K": drawn | {"win-rates": 1},
        "Uniform102K": drawn | {"win-rates": 1},
        "Hard102K": drawn | {"win-rates": 1},
        "Easy102K_long": {"union": 1},
        "S1K": drawn,
    }
    assert study.set_inputs("S1K")["pool"] == ["results/paper_qwen2_5_7b/data/sources/s1k.parquet"]
    assert study.prompt_win_rates == []
    names = [Path(path).stem for path in study.training_tables]
    assert names == ["pool", "s1k", "skywork"]
    without = Expansion(studies.parse(changed(RETU, "data.overlap", "exclude")))
    assert all("prompts" in without.set_inputs(name) for name in ("SFT889K", "S1K"))


def test_sets_of_sources_are_drawn_from_these_alone():
    config = changed(RETU, "data.sets.Mine", {"source": ["am_1_4m", "s1k"], "size": 500})
    study = Expansion(
        studies.parse(changed(config, "data.sets.Theirs", {"source": "am_40m", "stratum": "hard"}))
    )
    data = "results/paper_qwen2_5_7b/data"
    mine, theirs = study.set_inputs("Mine"), study.set_inputs("Theirs")
    assert mine["pool"] == [f"{data}/sources/am_1_4m.parquet", f"{data}/sources/s1k.parquet"]
    assert theirs["pool"] == [f"{data}/sources/am_40m.parquet"]
    assert theirs["rated"] == [f"{data}/pool.parquet"]
    assert theirs["win-rates"] == [f"{data}/win_rates.parquet"]
    # The strata of the report are the pool's.
    assert dict(zip(study.study.data.sets, study.strata, strict=True))["Theirs"] == "full"
    # What they leave alone: the jobs of the other sets, and what benchmarks are decontaminated of.
    before = Expansion(studies.parse(RETU))
    assert all(study.select_job(name) == before.select_job(name) for name in RETU["data"]["sets"])
    assert all(study.set_inputs(name) == before.set_inputs(name) for name in RETU["data"]["sets"])
    assert study.training_tables == before.training_tables


def test_generated_sources_of_a_set_have_its_rows():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    sets = "data.sets.Mine"
    assert studies.parse(changed(config, sets, {"source": ["pool", "solver"], "size": 2400}))
    with pytest.raises(InputError, match=r"data\.sets\.Mine\.size is 401, but \['solver'\] have 400 expert"):
        studies.parse(changed(config, sets, {"source": "solver", "size": 401}))
    with pytest.raises(InputError, match="'prompts', which has no expert trajectories"):
        studies.parse(changed(config, sets, {"source": ["pool", "prompts"]}))


def test_a_study_without_win_rates():
    study = Expansion(studies.parse(QUAGMIRES))
    assert study.win_rates == study.prompt_win_rates == []
    assert study.measured_lengths == ["results/quagmires/data/pool.parquet"]
    assert "lengths" in study.set_inputs("Longest10K")
    assert study.counts_tokens("nemotron")
    assert not study.counts_tokens("math_train")


def test_half_the_examples_twice_is_as_long_as_all_of_them_once():
    half, whole = QUAGMIRES["sft"]["Random5K"], QUAGMIRES["sft"]["Random10K"]
    sets = QUAGMIRES["data"]["sets"]
    assert half == whole
    assert (
        sets["Random10K"]["size"]
        == 2 * sets["Random5K"]["size"]
        == pytest.approx(128 * whole["steps"], rel=0.01)
    )


def test_retus_epochs():
    """SFT889K for 8 epochs of its 901,120 rows, the others for 9 of 102,400; S1K for 5."""
    sft = RETU["sft"]
    assert sft["SFT889K"]["steps"] * 512 == 8 * 901_120
    assert sft["Easy102K"]["steps"] * 512 == 9 * 102_400
    assert sft["S1K"]["steps"] * 16 == pytest.approx(5 * 1000, rel=0.01)
