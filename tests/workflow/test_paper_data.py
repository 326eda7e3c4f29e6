"""The papers' own configurations curate their raw sources, generated at a hundredth of their size, to the very counts."""

import json

import pandas as pd
import pytest
import yaml
from raw_sources import WORDS, make_quagmires, make_retu
from study import ROOT, make_clone, pending, snakemake, write_config

from switchpoint import files
from switchpoint.data import locks, raw

HELD_OUT = 19


def small(name: str) -> dict:
    """A paper's study with its own sources and filters, its sizes a hundredth, and models that are here."""
    config = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    config["model"] |= {"base": "src/switchpoint/tiny-base", "rollouts": "torch", "engine": "torch"}
    data = config["data"]
    data["validation"] = HELD_OUT
    data.setdefault("decontamination", {})["embedder"] = "embedder"
    for one in data["sets"].values():
        if "size" in one:
            one["size"] //= 100
    for source in data["sources"].values():
        if source["kind"] == "dataset":
            source["max_rejects"] = 0.01
    return config


def resolve(clone, config: dict) -> None:
    """Locks the raw files as `switchpoint lock` does."""
    for source in config["data"]["sources"].values():
        paths = source["path"] if isinstance(source["path"], list) else [source["path"]]
        found = [str(path.relative_to(clone)) for path in raw.files_of([str(clone / path) for path in paths])]
        lock = clone / source["lock"]
        sha256 = locks.content_hash(*(clone / path for path in found))
        files.write_json(lock, {"name": "raw", "revision": None, "sha256": sha256})


def make_embedder(directory) -> None:
    """A sentence-transformers model of random vectors for the words of the raw sources: fast, and real to load."""
    import numpy as np
    import tokenizers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    words = [f"{word}{number}" for word in WORDS for number in range(1000)]
    vocabulary = {"[UNK]": 0} | {word: place for place, word in enumerate(words, start=1)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).normal(size=(len(vocabulary), 128)).astype(np.float32)
    weights[0] = 0
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(directory))


def curated(clone, name: str, make) -> tuple:
    """The data of a paper's study in a clone, and what had to come out."""
    config = small(name)
    make_clone(clone, config)
    make_embedder(clone / "embedder")
    expected = make(clone)
    resolve(clone, config)
    study = config["study"]
    snakemake(clone, "--cores", "2", f"results/{study}/data/statistics.csv")
    return clone / f"results/{study}/data", expected


@pytest.fixture(scope="module")
def retu(tmp_path_factory):
    return curated(tmp_path_factory.mktemp("retu") / "clone", "paper-qwen2.5-7b", make_retu)


def test_every_source_is_counted(retu):
    data, expected = retu
    for name, counts in expected.sources.items():
        census = json.loads((data / f"sources/{name}.parquet.run.json").read_text())["census"]
        assert {key: census[key] for key in counts} == counts, name
        assert census["rows"] == census["kept"] + sum(
            [*census["dropped"].values(), *census["rejected"].values()]
        )


def test_every_table_has_the_hashes_of_what_it_was_made_of(retu):
    data, _ = retu
    clone = data.parents[2]
    tables = [path.with_name(path.name.removesuffix(files.RECORD)) for path in data.rglob(f"*{files.RECORD}")]
    assert {"pool", "validation", "win_rates", "SFT889K", "rl_prompts", "mix", "am_40m"} <= {
        table.stem for table in tables
    }
    for table in tables:
        record = files.read_record(f"{table}{files.RECORD}")
        assert record["outputs"][table.name]["sha256"] == files.sha256(table)
        assert record["inputs"], table
        for path, sha256 in record["inputs"].items():
            lock = path.endswith(".lock")
            assert sha256 == (locks.read_lock(clone / path).sha256 if lock else files.sha256(clone / path))


def test_the_pool_has_every_problem_once(retu):
    data, expected = retu
    assert json.loads((data / "duplicates.json").read_text()) == expected.duplicates
    pool = pd.read_parquet(data / "pool.parquet")
    assert len(pool) == pool["key"].nunique() == pool["id"].nunique() == expected.in_pool
    assert all(list(row.answer) == [str(number_of(row.problem))] for row in pool.itertuples())
    assert all(f"boxed{{{number_of(row.problem)}}}" in row.solution for row in pool.itertuples())


def number_of(problem: str) -> int:
    """The number of a problem, from its text."""
    return int(problem.casefold().replace("ｐｒｏｂｌｅｍ", "problem").partition("problem")[2].split(":")[0])


def test_strata_and_sets(retu):
    data, expected = retu
    rates = pd.read_parquet(data / "win_rates.parquet")["win_rate"]
    assert len(rates) == expected.in_pool
    assert ((rates == 1).sum(), (rates <= 0.25).sum(), rates.notna().sum()) == (
        expected.easy,
        expected.hard,
        expected.uniform,
    )
    cards = pd.read_csv(data / "statistics.csv").set_index("set")
    sizes = {"SFT889K": expected.in_pool - HELD_OUT, "Easy102K": 1024, "Uniform102K": 1024, "Hard102K": 1024,
             "Easy102K_long": 1024, "S1K": 10, "validation": HELD_OUT}  # fmt: skip
    assert cards.loc[list(sizes), "n"].to_dict() == cards.loc[list(sizes), "unique"].to_dict() == sizes
    assert cards.loc["Easy102K", "win_rate"] == 1
    assert cards.loc["Hard102K", "win_rate"] <= 0.25
    assert cards.loc["S1K", "sources"] == "s1k:10"
    strata = pd.read_csv(data / "strata.csv").set_index("win_rate")
    assert strata.loc[["win_rate", "win_rate_1_5b"], "ordered"].all()
    assert not strata.loc[["win_rate_7b", "win_rate_671b"], "ordered"].any()  # the same for all
    longer = pd.read_parquet(data / "sets/Easy102K_long.parquet")["id"]
    assert set(longer) == set(pd.read_parquet(data / "sets/Easy102K.parquet")["id"])


def test_rl_prompts_and_the_mix_set(retu):
    data, expected = retu
    held_out = pd.read_parquet(data / "validation.parquet")["problem"].map(number_of)
    prompts = pd.read_parquet(data / "rl_prompts.parquet")
    numbers = prompts["problem"].map(number_of)
    assert expected.prompts - HELD_OUT <= len(prompts) <= expected.prompts
    assert not set(numbers) & set(held_out)
    lost = expected.prompts - len(prompts)
    assert prompts["solution"].notna().sum() == expected.shared - lost
    assert all(
        list(row.answer) == [str(number_of(row.problem)), f"{number_of(row.problem)}.0"]
        for row in prompts.itertuples()
    )
    mixed = pd.read_parquet(data / "mix.parquet")
    assert expected.mixed - lost <= len(mixed) <= expected.mixed
    overlaps = pd.read_csv(data / "overlaps.csv").set_index("table")
    assert overlaps.loc["set:SFT889K", "prompts"] == expected.shared - lost
    assert overlaps.loc["validation", "set:SFT889K"] == 0


def test_the_planted_benchmark_problem_is_dropped(retu):
    data, _ = retu
    dropped = pd.concat([pd.read_csv(path) for path in sorted(data.glob("benchmarks/*_dropped.csv"))])
    assert set(dropped["reason"]) == {"exact"}
    assert set(dropped["nearest_problem"].map(number_of)).issubset(range(100))
    kept = pd.concat([pd.read_parquet(path) for path in sorted(data.glob("benchmarks/*.parquet"))])
    assert kept["benchmark"].value_counts().to_dict() == dict.fromkeys(kept["benchmark"].unique(), 60)


def test_touching_every_raw_file_reruns_nothing(retu):
    data, _ = retu
    clone = data.parents[2]
    for path in (clone / "raw").rglob("*.*"):
        path.touch()
    assert pending(clone, f"results/{data.parent.name}/data/statistics.csv") == {}


def test_another_recipe_of_a_set_reruns_its_branch_alone(retu):
    data, _ = retu
    clone = data.parents[2]
    config = yaml.safe_load((clone / "config.yaml").read_text())
    config["data"]["sets"]["Hard102K"]["size"] -= 1
    write_config(clone, config)
    assert pending(clone, f"results/{data.parent.name}/data/statistics.csv") == {
        "select_set": 1,
        "report_data": 1,
    }
    whole = pending(clone)
    assert whole["select_set"] == 1
    assert {"sft_Hard102K", "evaluate", "rl"} <= set(whole)
    assert not {
        "ingest",
        "deduplicate",
        "give_win_rates",
        "decontaminate",
        "select_prompts",
        "select_mix",
    } & set(whole)


@pytest.fixture(scope="module")
def quagmires(tmp_path_factory):
    return curated(tmp_path_factory.mktemp("quagmires") / "clone", "quagmires", make_quagmires)


def test_sets_by_the_length_of_the_response(quagmires):
    data, expected = quagmires
    for name, counts in expected.sources.items():
        census = json.loads((data / f"sources/{name}.parquet.run.json").read_text())["census"]
        assert {key: census[key] for key in counts} == counts, name
    held_out = set(pd.read_parquet(data / "validation.parquet")["problem"].map(number_of))
    left = sorted(length for number, length in expected.lengths.items() if number not in held_out)
    assert len(left) == len(expected.lengths) - HELD_OUT
    chosen = {}
    for name in ("Shortest10K", "Shortest500K", "Longest10K", "Random10K", "Random5K", "Mixed20K"):
        rows = pd.read_parquet(data / f"sets/{name}.parquet")
        chosen[name] = [expected.lengths[number_of(problem)] for problem in rows["problem"]]
    assert chosen["Shortest10K"] == left[:100]
    assert chosen["Shortest500K"] == left[:5000]
    assert chosen["Longest10K"] == left[::-1][:100]
    assert sorted(chosen["Mixed20K"]) == left[:100] + left[-100:]
    assert (len(chosen["Random10K"]), len(chosen["Random5K"])) == (100, 50)
    assert 150 < sum(chosen["Random10K"]) / 100 < 250
    assert chosen["Random10K"][:50] == chosen["Random5K"]
    cards = pd.read_csv(data / "statistics.csv").set_index("set")
    assert cards.loc["prompts", "n"] == expected.prompts - len(held_out & set(sorted(expected.lengths)[:20]))
    assert cards["win_rate"].isna().all()
