"""Decontamination: exact copies, near copies, numbers, word runs, the store of embeddings."""

import json
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint import files
from switchpoint.data import decontaminate, embeddings, relations
from switchpoint.errors import InputError

TRAIN = ["Tom has 3 apples and buys 4 more. How many apples does he have?", "What is 12 times 7?"]
BENCH = [
    "Tom has 3 apples and buys 4 more. How many apples has he got?",  # paraphrase, same numbers
    "Tom has 5 apples and buys 9 more. How many apples does he have?",  # same template, other numbers
    "what is 12  times 7?",  # the same, normalised
    "Prove that 3 and 4 are coprime.",  # same numbers, another problem
]


def write(path, problems: list[str], prefix: str) -> str:
    rows = [{"id": f"{prefix}{n}", "problem": text, "answer": "1"} for n, text in enumerate(problems)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def screened(tmp_path, match_numbers: bool, bench: list[str] = BENCH, threshold: float = 0.8) -> pd.DataFrame:
    train = write(tmp_path / "train.jsonl", TRAIN, "p")
    rows = pd.DataFrame({"id": [f"b{n}" for n in range(len(bench))], "problem": bench})
    return decontaminate.screen(
        [train], rows, embeddings.PACKAGED, match_numbers, tmp_path / "store", threshold
    )


def test_by_embeddings_and_numbers(tmp_path):
    kept, dropped = decontaminate.split(screened(tmp_path, True))
    assert kept["id"].tolist() == ["b1", "b3"]
    assert list(kept) == ["id", "problem"]
    named = ["id", "nearest_id", "nearest_source", "reason"]
    assert dropped[named].values.tolist() == [["b0", "p0", "train", "cosine"], ["b2", "p1", "train", "exact"]]
    assert (dropped["cosine"] > 0.8).all()
    kept, _ = decontaminate.split(screened(tmp_path, False))
    assert kept["id"].tolist() == ["b3"]
    kept, dropped = decontaminate.split(screened(tmp_path, True, BENCH[1:2]))
    assert (len(kept), len(dropped)) == (1, 0)


def test_the_threshold_is_strict_and_the_sweep_counts_what_it_would_drop(tmp_path):
    found = screened(tmp_path, False)
    cosine = found["cosine"].iloc[0]
    again = screened(tmp_path, False, threshold=float(cosine))
    assert again["reason"].isna().tolist() == [True, True, False, True]
    table = decontaminate.sweep(found.assign(benchmark=["x", "x", "y", "y"])).set_index("benchmark")
    assert table["n"].tolist() == [2, 2]
    for threshold in decontaminate.SWEEP:
        expected = (found["cosine"] > threshold) | found["exact"]
        assert table[f"{threshold:.2f}"].tolist() == [expected[:2].sum(), expected[2:].sum()]


def test_thirteen_words_in_a_row(tmp_path):
    words = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
    ]
    train = write(tmp_path / "train.jsonl", ["Well: " + ", ".join(words) + "!"], "t")
    bench = [" ".join(["So", *words]).upper(), " ".join([*words[:12], "end"]), " ".join(words[1:])]
    rows = pd.DataFrame({"id": list("abc"), "problem": bench})
    found = decontaminate.screen([train], rows, embeddings.PACKAGED, True, tmp_path / "store", 0.9999)
    assert found["gram"].tolist() == [True, False, False]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 90), st.booleans(), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_the_nearest_row_is_that_of_brute_force(seed, ours, theirs, masked, block):
    draw = np.random.default_rng(seed)
    first, second = (draw.integers(-2, 3, (n, 3)).astype(np.float32) for n in (ours, theirs))  # with ties
    same = draw.random((ours, theirs)) < 0.3 if masked else None
    cosine = first @ second.T
    if same is not None:
        cosine[~same] = -np.inf
    before, decontaminate.BLOCK = decontaminate.BLOCK, block
    try:
        found = decontaminate.nearest(first, second, same)
    finally:
        decontaminate.BLOCK = before
    expected = np.where(np.isfinite(cosine.max(axis=1)), cosine.argmax(axis=1), -1)
    assert found.index.tolist() == expected.tolist()
    assert found.cosine[expected >= 0].tolist() == cosine.max(axis=1)[expected >= 0].tolist()


def test_what_is_stored_is_not_embedded_again(tmp_path, monkeypatch):
    """One file a chunk; a chunk that changed, or is damaged, is made again, and no other."""
    asked = []

    def embed(texts, embedder):
        asked.append(len(texts))
        return np.array([[len(text), 1.0] for text in texts], np.float32)

    monkeypatch.setattr(embeddings, "embed", embed)
    monkeypatch.setattr(embeddings, "CHUNK", 8)
    problems = [f"problem {number}" for number in range(64)]
    rows = pd.DataFrame({"id": ["a"], "problem": ["problem 3"]})

    def run(problems: list[str]) -> list[int]:
        asked.clear()
        train = write(tmp_path / "train.jsonl", problems, "t")
        decontaminate.screen([train], rows, "any", False, tmp_path / "store", 0.8)
        return list(asked)

    assert sum(run(problems)) == 65
    assert run(problems) == []
    changed = run([*problems[:-1], "another problem"])
    assert 1 <= len(changed) <= 2
    assert sum(changed) < 30
    victim = max((tmp_path / "store").glob("*.npy"), key=lambda path: path.stat().st_mtime)
    victim.write_bytes(victim.read_bytes()[:100])
    assert len(run([*problems[:-1], "another problem"])) == 1


SLOW = """
import sys, time
import numpy as np, pandas as pd
from switchpoint.data import decontaminate, embeddings, relations

def embed(texts, embedder):
    print("embedded", len(texts), flush=True)
    time.sleep(0.2)
    return np.array([[len(text), 1.0] for text in texts], np.float32)

embeddings.embed, embeddings.CHUNK = embed, 8
rows = pd.DataFrame({"id": ["a"], "problem": ["problem 3"]})
decontaminate.screen([sys.argv[1]], rows, "any", False, sys.argv[2], 0.8)
"""


def test_a_kill_loses_one_chunk(tmp_path):
    train = write(tmp_path / "train.jsonl", [f"problem {number}" for number in range(128)], "t")
    command = [sys.executable, "-c", SLOW, train, str(tmp_path / "store")]

    def start() -> subprocess.Popen:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    killed = start()
    before = [killed.stdout.readline() for _ in range(6)]
    killed.kill()
    killed.wait()
    chunks = len(list((tmp_path / "store").glob("*.npy")))
    assert len(before) - 1 <= chunks <= len(before)
    again, _ = start().communicate()
    whole, _ = start().communicate()
    assert whole == ""
    assert len(again.splitlines()) == len(list((tmp_path / "store").glob("*.npy"))) - chunks
    assert not list((tmp_path / "store").glob(".*.spill"))


def test_what_is_no_training_file(tmp_path):
    rows = pd.DataFrame({"id": ["a"], "problem": ["p"]})
    (tmp_path / "x.jsonl").write_text('{"question": "q"}\n')
    (tmp_path / "y.jsonl").write_text('{"problem": " "}\n')
    (tmp_path / "z.csv").write_text("problem\nq\n")
    (tmp_path / "broken.jsonl").write_text('{"problem": "q"}\n{"problem": "half\n')
    for name, words in {
        "x.jsonl": "no column problem",
        "y.jsonl": "1 rows have no problem",
        "z.csv": "is none of .jsonl",
        "broken.jsonl": "1 lines are no JSON objects",
        "nowhere.jsonl": "names no file",
    }.items():
        with pytest.raises(InputError, match=words):
            decontaminate.screen([str(tmp_path / name)], rows, "any", False, tmp_path / "store", 0.8)


def test_another_embedder_in_the_same_directory_embeds_again(tmp_path, monkeypatch):
    """What was embedded is known by the embedder's files, and not by where they are."""
    asked, model = [], tmp_path / "model"
    (model / "0_Static").mkdir(parents=True)
    (model / "0_Static/weights").write_text("one")

    def embed(texts, embedder):
        asked.append(len(texts))
        return np.ones((len(texts), 2), np.float32)

    def run() -> int:
        asked.clear()
        embeddings.content.cache_clear()  # as a process of its own
        embeddings.stored(["a", "b"], str(model), tmp_path / "store")
        return sum(asked)

    monkeypatch.setattr(embeddings, "embed", embed)
    assert (run(), run()) == (2, 0)
    (model / "0_Static/weights").write_text("two")
    assert run() == 2
    model.rename(tmp_path / "moved")
    model = tmp_path / "moved"
    assert run() == 0


def test_a_training_file_of_other_types(tmp_path):
    rows = pd.DataFrame({"id": ["a"], "problem": ["5"], "answer": "1"})
    (tmp_path / "n.jsonl").write_text('{"problem": 5}\n')
    pd.DataFrame({"problem": [5]}).to_parquet(tmp_path / "n.parquet")
    for name in ("n.jsonl", "n.parquet"):
        found = decontaminate.screen(
            [str(tmp_path / name)], rows, embeddings.PACKAGED, True, tmp_path / "s", 0.8
        )
        assert found["reason"].tolist() == ["exact"]
    pd.DataFrame({"problem": [b"5"]}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="the column problem is binary"):
        decontaminate.screen([str(tmp_path / "b.parquet")], rows, "any", True, tmp_path / "s", 0.8)


def test_damaged_embeddings_are_made_again(tmp_path):
    """Also where the file is a whole array of the same shape."""
    problems = ["Tom has 3 apples.", "What is 12 times 7?"]
    vectors = embeddings.stored(problems, embeddings.PACKAGED, tmp_path)
    [path] = tmp_path.glob("*.npy")
    np.save(path, np.zeros_like(vectors))
    assert (embeddings.stored(problems, embeddings.PACKAGED, tmp_path) == vectors).all()
    (tmp_path / f"{path.name}{files.RECORD}").unlink()  # killed between the two
    assert (embeddings.stored(problems, embeddings.PACKAGED, tmp_path) == vectors).all()
    assert files.recorded(path)


def test_an_embedder_of_the_hub_is_asked_for_at_its_commit(monkeypatch):
    import sentence_transformers

    asked = []
    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", lambda *a, **b: asked.append((a, b)))
    embeddings.load.cache_clear()
    embeddings.load("some/model@0123abc")
    embeddings.load.cache_clear()
    embeddings.load("some/model")
    embeddings.load.cache_clear()
    assert [(name, given["revision"]) for (name,), given in asked] == [
        ("some/model", "0123abc"),
        ("some/model", None),
    ]


def test_a_training_file_gives_names_where_its_rows_have_none(tmp_path):
    lines = [{"problem": "a", "id": 7}, {"problem": "b", "source": "web"}, {"problem": "c", "id": None}]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with relations.connect(tmp_path / "x") as connection:
        rows = decontaminate.training_rows(connection, str(tmp_path / "t.jsonl"))
        found = rows.project("id, source, problem").fetchall()
    assert found == [("7", "t", "a"), ("t-1", "web", "b"), ("t-2", "t", "c")]


def test_an_embedder_that_is_none(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="no sentence-transformers model"):
        embeddings.load(str(tmp_path / "model"))


def numbers_of(problems: list[str]) -> list[str]:
    """What ``match_numbers`` compares of every problem."""
    asked = pd.DataFrame({"problem": problems})  # noqa: F841 - the query reads it
    return [row[0] for row in duckdb.sql(f"SELECT {decontaminate.NUMBERS} FROM asked").fetchall()]


@pytest.mark.parametrize(
    ("problem", "numbers"),
    [
        ("1,000 or 1000", "1000 1000"),
        ("12,345,678.90 and 1,000.5", "12345678.90 1000.5"),
        (r"\$1{,}000, 1\,000, 1,\!000 and 1\!,000", "1000 1000 1000 1000"),
        ("the list 1,2,3", "1 2 3"),
        ("the list 1,2,300", "1 2 300"),
        ("the points (3, 100) and (3,\\,100)", "3 100 3 100"),
        ("1, 000", "1 000"),
        ("0,123 and 007,000", "0 123 007 000"),
        ("1234,567 and 1,0000 and 1,00", "1234 567 1 0000 1 00"),
        ("-5 and -1,000", "5 1000"),
        ("July 4,1776, and July 4, 1776, and 7/4/1776", "4 1776 4 1776 7 4 1776"),
        ("1,000km, 3.5 and 3.", "1000 3.5 3"),
        ("none,", ""),
    ],
)
def test_numbers_of_a_problem(problem, numbers):
    assert numbers_of([problem]) == [numbers]


@given(st.lists(st.tuples(st.integers(0, 10**10), st.sampled_from(["", ".5", ".25"])), max_size=6))
@settings(max_examples=30, deadline=None)
def test_how_thousands_are_written_does_not_matter(values):
    words = [" and ".join(f"{value:{form}}{rest}" for value, rest in values) for form in ("d", ",")]
    words.append(words[1].replace(",", "{,}"))
    plain = " ".join(f"{value}{rest}" for value, rest in values)
    assert numbers_of(words) == [plain] * 3
