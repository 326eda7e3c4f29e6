"""Curation: draws, strata, RL prompts, overlaps, benchmarks."""

import functools
import hashlib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switchpoint import files, tables
from switchpoint.data import benchmarks, cards, difficulty, order, pool, relations, select
from switchpoint.errors import InputError
from switchpoint.study import paths
from switchpoint.study.jobs import (
    GivenJob,
    MixJob,
    PromptsJob,
    SelectJob,
    Slice,
    Template,
    ValidationJob,
)
from switchpoint.training.tokenizer import Tokenizer


def rows(problems: list[str], prefix: str = "p", **columns) -> pd.DataFrame:
    ids = [f"{prefix}{number}" for number in range(len(problems))]
    keys = [relations.key(problem) for problem in problems]
    frame = {"id": ids, "key": keys, "problem": problems, "answer": "1", "solution": "s", "source": "pool"}
    return pd.DataFrame(frame | columns)


PROBLEMS = [f"problem {number}" for number in range(40)]
RATES = pd.DataFrame({"id": [f"p{n}" for n in range(40)], "win_rate": [(n % 5) / 4 for n in range(40)]})


class Tables:
    """Tables of a folder, by their names."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, name: str) -> str:
        return str(self.folder / f"{name}.parquet")

    def write(self, **frames: pd.DataFrame) -> None:
        for name, frame in frames.items():
            tables.write_parquet(frame, self(name))

    def read(self, name: str) -> pd.DataFrame:
        return tables.read_made(self(name))


@pytest.fixture
def folder(tmp_path) -> Tables:
    made = Tables(tmp_path)
    made.write(source=rows(PROBLEMS), rates=RATES, none=rows([]))
    pool.deduplicate([made("source")], 0, made("pool"))
    return made


def job(stratum: str = "full", size: int | None = None, seed: int = 0, order: str = "random") -> SelectJob:
    return SelectJob(recipe=1, seed=seed, name="S", stratum=stratum, size=size, order=order, overlap="keep")


def drawn(
    folder: Tables, asked: SelectJob, *sources: str, pool: str | None = None, **inputs: str
) -> pd.DataFrame:
    """The set that the job draws: of the pool, or of these sources alone."""
    given = dict.fromkeys(("win_rates", "rated", "validation", "prompts", "lengths"))
    origin = [folder(name) for name in sources] or [pool or folder("pool")]
    select.select_set(asked, origin, **given | inputs, out=folder("S"))
    return folder.read("S")


def test_duplicates_are_dropped_and_counted(folder):
    folder.write(one=rows(["a  b", "A b", "c"]), two=rows(["c", "ａ b", "d"], "q"))
    counts = pool.deduplicate([folder("one"), folder("two")], 0, folder("pool"))
    kept = folder.read("pool").sort_values("id")
    assert kept["problem"].tolist() == ["a  b", "c", "d"]
    assert kept["id"].tolist() == ["p0", "p2", "q2"]
    assert counts == {"rows": 6, "exact": 1, "normalised": 2, "kept": {"one": 2, "two": 1}}


def test_of_several_solutions_the_preferred_is_kept_and_win_rates_come_from_any(folder):
    folder.write(
        one=rows(["a", "A", "b"], solution=["long", "s", None], preference=[4, 1, 9]),
        two=rows(["b", "a", "c"], "q", win_rate_7b=[0.25, 0.5, None], answer=[["1", "2"]] * 3, solution=None),
    )
    pool.deduplicate([folder("one"), folder("two")], 0, folder("pool"))
    kept = folder.read("pool")
    order = [hashlib.sha256(f"0/{name}".encode()).hexdigest() for name in kept["id"]]
    assert order == sorted(order)
    kept = kept.sort_values("id")
    assert kept["id"].tolist() == ["p1", "p2", "q2"]
    assert kept["win_rate_7b"].tolist()[:2] == [0.5, 0.25]
    assert pd.isna(kept["win_rate_7b"].iloc[2])
    assert [list(answer) for answer in kept["answer"]] == [["1"], ["1"], ["1", "2"]]
    assert kept["has_solution"].tolist() == [True, False, False]
    select.given_win_rates(folder("pool"), "7b", folder("rates"))
    assert folder.read("rates").sort_values("id")["win_rate"].tolist()[:2] == [0.5, 0.25]
    assert GivenJob(recipe=1, solver="7b").stage == "given"
    with pytest.raises(InputError, match=r"data\.solver\.given is 32b"):
        select.given_win_rates(folder("pool"), "32b", folder("rates"))


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with relations.connect(tmp_path_factory.mktemp("keys") / "x") as opened:
        yield opened


@given(
    st.text(st.characters(codec="utf-8"), max_size=30)
    | st.text("aB \t\n\x0b\x1c\x1f\x7f\x85\xa0é", max_size=12)
)
@settings(max_examples=400, deadline=None)
def test_the_key_in_sql_is_the_key_in_python(connection, text):
    [(found,)] = connection.execute("SELECT key_of(?)", [text]).fetchall()
    assert found == relations.key(text)


@pytest.mark.parametrize("seed", [0, 1])
def test_draws_follow_their_seed_in_whatever_order_the_pool_stands(folder, seed):
    """The pool stands in the order of its own seed, which a draw of that seed uses; sets and sources do not."""
    hashes = {f"p{n}": hashlib.sha256(f"{seed}/p{n}".encode()).hexdigest() for n in range(40)}
    wanted = sorted(hashes, key=hashes.get)
    asked = job(size=30, seed=seed)
    assert drawn(folder, asked)["id"].tolist() == wanted[:30]
    assert drawn(folder, asked, pool=folder("source"))["id"].tolist() == wanted[:30]
    select.hold_out(ValidationJob(recipe=1, seed=1 - seed, size=40), folder("pool"), folder("shuffled"))
    assert drawn(folder, asked, pool=folder("shuffled"))["id"].tolist() == wanted[:30]
    lengths = pd.DataFrame(
        {"id": [f"p{n}" for n in range(40)], "response_tokens": [n % 2 for n in range(40)]}
    )
    folder.write(lengths=lengths)
    shortest = drawn(folder, job(size=25, seed=seed, order="shortest"), lengths=folder("lengths"))[
        "id"
    ].tolist()
    even = [name for name in wanted if int(name[1:]) % 2 == 0]
    assert shortest == even + [name for name in wanted if name not in even][:5]


@given(st.permutations(range(40)), st.integers(1, 39))
@settings(max_examples=8, deadline=None)
def test_a_draw_ignores_the_row_order_and_a_larger_one_extends_it(tmp_path_factory, order_of_rows, size):
    made = Tables(tmp_path_factory.mktemp("draw"))
    made.write(source=rows(PROBLEMS), mixed=rows(PROBLEMS).iloc[list(order_of_rows)])
    first = drawn(made, job(size=size), pool=made("source"))["id"].tolist()
    assert drawn(made, job(size=size), pool=made("mixed"))["id"].tolist() == first
    assert drawn(made, job(size=size + 1), pool=made("source"))["id"].tolist()[:size] == first
    assert drawn(made, job(size=40, seed=1), pool=made("source"))["id"].tolist()[:size] != first or size < 3


def test_strata_respect_win_rates_and_the_validation_set(folder):
    select.hold_out(ValidationJob(recipe=1, seed=0, size=10), folder("pool"), folder("validation"))
    held_out = set(folder.read("validation")["id"])
    inputs = {"win_rates": folder("rates"), "validation": folder("validation")}
    rates = RATES.set_index("id")["win_rate"]
    for stratum, allowed in {"easy": {1.0}, "hard": {0.0, 0.25}}.items():
        chosen = drawn(folder, job(stratum), **inputs)
        assert set(chosen["id"].map(rates)) <= allowed
        assert not set(chosen["id"]) & held_out
    assert len(drawn(folder, job("full"), **inputs)) == 30
    with pytest.raises(InputError, match=r"data\.sets\.S: 31 rows are asked for, 30 are there"):
        drawn(folder, job("uniform", 31), **inputs)


def test_rows_of_unknown_win_rate_are_of_the_full_stratum_alone(folder):
    rates = RATES.assign(win_rate=[None, *RATES["win_rate"][1:]])
    folder.write(rates=rates)
    for stratum, there in {"full": True, "uniform": False, "hard": False}.items():
        chosen = drawn(folder, job(stratum), win_rates=folder("rates"))
        assert ("p0" in set(chosen["id"])) == there


def test_the_shortest_and_the_longest_responses_and_their_union(folder):
    folder.write(source=rows(PROBLEMS, solution=["x" * (n % 20 + 1) for n in range(40)]))
    pool.deduplicate([folder("source")], 0, folder("pool"))
    select.count_tokens([folder("pool")], lambda texts: [len(text) for text in texts], folder("lengths"))
    lengths = folder.read("lengths").set_index("id")["response_tokens"]
    ends = {}
    for name, ordered in {"shortest": [1, 1, 2, 2, 3], "longest": [20, 20, 19, 19, 18]}.items():
        chosen = drawn(folder, job(size=5, order=name), lengths=folder("lengths"))
        assert chosen["id"].map(lengths).tolist() == ordered
        folder.write(**{name: chosen})
        ends[name] = set(chosen["id"])
    select.unite(job(), [folder("shortest"), folder("longest"), folder("shortest")], folder("union"))
    united = folder.read("union")["id"].tolist()
    assert sorted(united) == sorted(ends["shortest"] | ends["longest"])
    select.unite(job(), [folder("longest"), folder("shortest")], folder("union"))
    assert folder.read("union")["id"].tolist() == united


def test_a_set_of_a_source_of_its_own_has_every_problem_once(folder):
    folder.write(own=rows(["a", "A ", "b"], "o", preference=[5, 2, 1]), validation=rows(["b"]))
    chosen = drawn(folder, job(), pool=folder("own"), validation=folder("validation"))
    assert chosen["id"].tolist() == ["o1"]


def test_a_set_of_several_sources_has_a_problem_of_two_from_the_earlier(folder):
    folder.write(
        one=rows(["a", "b", "c"], "x", solution="short", source="one"),
        two=rows(["C ", "d", "D", "e"], "y", solution="long", source="two", answer=[["1", "2"]] * 4),
        validation=rows(["e"]),
    )
    both = drawn(folder, job(), "one", "two", validation=folder("validation"))
    assert sorted(both["id"]) == ["x0", "x1", "x2", "y1"]
    assert dict(zip(both["id"], both["source"], strict=True))["x2"] == "one"
    order = [hashlib.sha256(f"0/{name}".encode()).hexdigest() for name in both["id"]]
    assert order == sorted(order)
    other_way = drawn(folder, job(), "two", "one", validation=folder("validation"))
    assert sorted(other_way["id"]) == ["x0", "x1", "y0", "y1"]
    assert (
        drawn(folder, job(size=2), "one", "two", validation=folder("validation"))["id"].tolist()
        == (both["id"].tolist()[:2])
    )
    with pytest.raises(InputError, match=r"data\.sets\.S: 5 rows are asked for, 4 are there"):
        drawn(folder, job(size=5), "one", "two", validation=folder("validation"))


def test_an_id_of_two_problems_is_refused(folder):
    """Two files that number their rows alike: draws, win rates and unions go by the id."""
    folder.write(one=rows(["a", "b"], "p"), two=rows(["A", "c", "d"], "p"))
    wanted = (
        r"the id 'p1' stands for 2 problems; make the ids of the sources' files differ, or leave the ids out"
    )
    with pytest.raises(InputError, match=rf"data\.pool: {wanted}"):
        pool.deduplicate([folder("one"), folder("two")], 0, folder("pool"))
    with pytest.raises(InputError, match=rf"data\.sets\.S\.source: {wanted}"):
        drawn(folder, job(), "one", "two")
    with pytest.raises(InputError, match=rf"data\.sets\.S\.union: {wanted}"):
        select.unite(job(), [folder("one"), folder("two")], folder("union"))
    # The same problem under one id is the same example.
    folder.write(two=rows(["A", "B", "c"], "p"))
    pool.deduplicate([folder("one"), folder("two")], 0, folder("pool"))
    assert select.unite(job(), [folder("one"), folder("two")], folder("union")) == 3


def test_the_shortest_of_several_sources(folder):
    folder.write(one=rows(["a", "b"], "x", solution=["x x x", "x"]), two=rows(["c"], "y", solution=["y y"]))
    count = [folder("one"), folder("two")]
    select.count_tokens(count, lambda texts: [len(text.split()) for text in texts], folder("lengths"))
    chosen = drawn(folder, job(size=2, order="shortest"), "one", "two", lengths=folder("lengths"))
    assert chosen["id"].tolist() == ["x1", "y0"]


def test_a_stratum_of_a_source_is_by_the_win_rate_of_its_problems(folder):
    """Also of a problem whose row in the pool is another source's, and so has another id."""
    folder.write(first=rows(["a", "b"], "f"), second=rows(["A", "c", "d"], "s"))
    pool.deduplicate([folder("first"), folder("second")], 0, folder("pool"))
    rates = pd.DataFrame({"id": ["f0", "f1", "s1", "s2"], "win_rate": [1.0, 1.0, 0.0, 1.0]})
    folder.write(rates=rates)
    given = {"win_rates": folder("rates"), "rated": folder("pool")}
    assert sorted(drawn(folder, job("easy"), "second", **given)["id"]) == ["s0", "s2"]
    assert sorted(drawn(folder, job("hard"), "second", **given)["id"]) == ["s1"]
    assert sorted(drawn(folder, job("easy"), "first", "second", **given)["id"]) == ["f0", "f1", "s2"]


@pytest.mark.parametrize("part", [1, 500, 2**20])
def test_rows_come_into_order_part_by_part(folder, monkeypatch, part):
    """The pool, a set in another order and a union are the same in however many parts they are sorted."""
    lengths = pd.DataFrame({"id": [f"p{n}" for n in range(40)], "response_tokens": [-n for n in range(40)]})
    folder.write(lengths=lengths)
    monkeypatch.setattr(relations, "PART", part)
    pool.deduplicate([folder("source")], 0, folder("pool"))
    order = sorted(range(40), key=lambda n: hashlib.sha256(f"0/p{n}".encode()).hexdigest())
    found = folder.read("pool")
    assert found["id"].tolist() == [f"p{n}" for n in order]
    assert found["problem"].tolist() == [PROBLEMS[n] for n in order]
    shortest = drawn(folder, job(order="shortest"), lengths=folder("lengths"))
    assert shortest["problem"].tolist() == PROBLEMS[::-1]
    folder.write(first=shortest.iloc[:30], second=shortest.iloc[20:])
    assert select.unite(job(), [folder("first"), folder("second")], folder("both")) == 40
    assert folder.read("both")["problem"].tolist() == found["problem"].tolist()
    assert not list(folder.folder.glob(".*"))


def test_the_shortest_of_a_source_has_every_problem_once(folder):
    """Also where the source repeats a problem, and where the pool, which has the same ids, is counted, too."""
    own = rows(["a", "a", "b", "c"], solution=["x", "x x x", "y y", "z z z z"], preference=[1, 2, 3, 4])
    own["id"] = "own-" + own["key"].str[:20]
    folder.write(own=own)
    pool.deduplicate([folder("own")], 0, folder("pool"))
    tables_counted = [folder("pool"), folder("own")]
    n = select.count_tokens(
        tables_counted, lambda texts: [len(text.split()) for text in texts], folder("lengths")
    )
    assert n == 3
    for name in ("own", "pool"):
        for size in (None, 2):
            chosen = drawn(
                folder, job(size=size, order="shortest"), pool=folder(name), lengths=folder("lengths")
            )
            assert chosen["solution"].tolist() == ["x", "y y", "z z z z"][:size]


def prompts(folder: Tables, *sources: str, win_rates: str | None = None, **fields) -> pd.DataFrame:
    asked = PromptsJob(
        **{"recipe": 1, "seed": 0, "size": None, "win_rate": (0.0, 1.0), "given": None} | fields
    )
    paths = [folder(name) for name in sources]
    figures = select.select_prompts(
        asked, paths, folder("pool"), win_rates, folder("none"), folder("prompts")
    )
    found = folder.read("prompts")
    assert figures["rows"] == len(found)
    found.attrs["dropped"] = figures["dropped"]
    return found


def test_prompts_have_the_pools_solutions_and_its_win_rates(folder):
    folder.write(own=rows([" Problem 1", "another", "problem 4"], "o", solution=None))
    found = prompts(folder, "own").sort_values("id")
    assert found["id"].tolist() == ["o0", "o1", "o2"]
    assert found["solution"].tolist()[0::2] == ["s", "s"]
    assert pd.isna(found["solution"].iloc[1])
    measured = prompts(folder, "own", win_rates=folder("rates"), win_rate=(0.9, 1.0))
    assert measured[["id", "win_rate"]].values.tolist() == [["o2", 1.0]]
    assert measured.attrs["dropped"] == {"no win rate": 1, "win rate outside": 1}


def test_prompts_by_the_win_rate_that_their_source_gives(folder):
    folder.write(own=rows(["a", "b", "c"], "o", solution=None, win_rate_7b=[0.0, 0.5, 1.0]))
    assert prompts(folder, "own", given="7b", win_rate=(0.0625, 0.9375))["id"].tolist() == ["o1"]
    with pytest.raises(InputError, match="has no such win rate"):
        prompts(folder, "own", given="32b", win_rate=(0.1, 0.9))


def test_every_row_that_is_no_prompt_is_counted(folder):
    rates = [0.0, 0.5, 1.0, None, 0.5, 0.5, 0.5]
    folder.write(
        own=rows(["a", "b", "c", "d", "B", "e", "f"], "o", solution=None, win_rate_7b=rates),
        none=rows(["e"]),
    )
    found = prompts(folder, "own", given="7b", win_rate=(0.0625, 0.9375), size=1)
    assert found.attrs["dropped"] == {
        "repeated": 1, "held out": 1, "no win rate": 1, "win rate outside": 2, "not drawn": 1,
    }  # fmt: skip


def test_sets_without_the_prompts(folder):
    folder.write(prompts=rows(PROBLEMS[:39]))
    assert drawn(folder, job(), prompts=folder("prompts"))["id"].tolist() == ["p39"]


def mixed(folder: Tables, tokenizer: Tokenizer, max_tokens: int, max_prompt_tokens: int) -> list[str]:
    """The ids of the mix set with these limits."""
    limits = {"max_tokens": max_tokens, "max_prompt_tokens": max_prompt_tokens}
    asked = MixJob(recipe=1, seed=0, template=Template(name="retu", sha256=""), **limits)
    prompt_tokens = functools.partial(tokenizer.prompt_counts, template=asked.template)
    select.mix(asked, folder("prompts"), prompt_tokens, tokenizer.response_counts, folder("mix"))
    return folder.read("mix")["id"].tolist()


def test_the_mix_set_is_the_prompts_with_a_short_solution(folder):
    tokenizer = Tokenizer(paths.TINY_BASE)
    folder.write(prompts=rows(["1", "1+1", "2+2", "3"], solution=[None, "1+1=2.", "2+2=4.", "1+1=2. 2+1=3."]))
    # Tokens as RL takes them: with the template around the problem, and with the end behind the solution.
    prompt = len(tokenizer.render_prompt("1+1", Template(name="retu", sha256="")))
    response, longer = (len(tokenizer.render_response(text)) for text in ("1+1=2.", "1+1=2. 2+1=3."))
    assert prompt > len(tokenizer.encode("1+1"))
    assert longer > response == len(tokenizer.encode("1+1=2.")) + 1
    assert mixed(folder, tokenizer, longer, prompt) == ["p1", "p2", "p3"]
    assert mixed(folder, tokenizer, longer - 1, prompt) == ["p1", "p2"]
    assert mixed(folder, tokenizer, response, prompt) == ["p1", "p2"]
    assert mixed(folder, tokenizer, response - 1, prompt) == []
    assert mixed(folder, tokenizer, response, prompt - 1) == []


def test_forbidden_overlaps_are_named(folder):
    whole = rows(PROBLEMS)
    folder.write(
        v=whole.head(3), s=whole.iloc[2:6], p=whole.iloc[4:8], b=whole.iloc[7:9].assign(benchmark="b")
    )
    table = cards.overlaps(
        {"validation": folder("v"), "set:S": folder("s"), "prompts": folder("p")}, [folder("b")]
    )
    problems = "; ".join(cards.forbidden(table))
    assert "validation and set:S share 1" in problems
    assert "benchmark:b and prompts share 1" in problems
    assert "set:S and prompts" not in problems
    assert table.loc["set:S", "prompts"] == 2


def test_the_card_of_a_set(folder):
    folder.write(
        Easy=rows(PROBLEMS[4:40:5]),
        Hard=rows(PROBLEMS[0:40:5]),
        Uniform=rows(PROBLEMS[:20], solution=["x" * 50] * 10 + ["x"] * 10),
    )
    ids = {name: [f"p{n}" for n in picked] for name, picked in
           {"Easy": range(4, 40, 5), "Hard": range(0, 40, 5), "Uniform": range(20)}.items()}  # fmt: skip
    for name, given_ids in ids.items():
        folder.write(**{name: folder.read(name).assign(id=given_ids)})
    paths = {name: folder(name) for name in ids}
    for path in map(Path, paths.values()):
        files.write_record(f"{path}{files.RECORD}", {"outputs": files.measure(path.parent, [path.name])})
    card = cards.statistics(paths, folder("rates"), folder("pool"), lambda texts: [len(t) for t in texts], 20)
    card = card.set_index("set")
    assert card["n"].tolist() == card["unique"].tolist() == [8, 8, 20]
    assert card["win_rate"].tolist() == [1.0, 0.0, 0.5]
    assert card.loc["Uniform", "truncated"] == 0.5
    assert card.loc["Uniform", "response_tokens"] == 25.5
    assert card.loc["Easy", "sources"] == "pool:8"
    assert card.loc["Easy", "sha256"] == files.sha256(paths["Easy"])
    strata = {"Easy": "easy", "Hard": "hard", "Uniform": "uniform"}
    ordered = cards.strata_table(card.reset_index(), strata)
    assert ordered.values.tolist() == [["win_rate", 1.0, 0.5, 0.0, True]]
    wrong = cards.strata_table(card.reset_index(), {"Easy": "hard", "Hard": "easy", "Uniform": "uniform"})
    assert not wrong["ordered"].any()
    assert cards.strata_table(card.reset_index(), {"Easy": "easy"}).empty


def test_benchmarks_are_gathered_and_split():
    slices = {"a": Slice(source="one", monitor=2), "b": Slice(source="two", monitor=1)}
    gathered = benchmarks.gather(slices, {"one": rows(["p", "q", "r"]), "two": rows(["s", "t"])}, [])
    fewer = benchmarks.gather(
        slices, {"one": rows(["p", "q", "r"]), "two": rows(["s", "T "])}, [rows(["t", "q"])]
    )
    assert fewer["id"].tolist() == ["a/p0", "a/p2", "b/p0"]
    assert gathered["id"].tolist() == ["a/p0", "a/p1", "a/p2", "b/p0", "b/p1"]
    marked = benchmarks.split(gathered, slices)
    assert marked["split"].tolist() == ["monitor", "monitor", "test", "monitor", "test"]
    with pytest.raises(InputError, match=r"benchmark a keeps 2 problems .* \(2\); lower"):
        benchmarks.split(gathered.drop(index=0), slices)


def test_win_rates():
    samples = pd.DataFrame({"id": ["a", "a", "b", "b"], "correct": [True, False, True, True]})
    assert difficulty.win_rates(samples).values.tolist() == [["a", 0.5, 2], ["b", 1.0, 2]]


def test_win_rates_of_parts_are_those_of_the_whole():
    draws = [(name, sample, (ord(name) * 7 + sample) % 3 == 0) for name in "abcdef" for sample in range(3)]
    samples = pd.DataFrame(draws, columns=["id", "sample", "correct"])
    parts = [difficulty.win_rates(samples[samples.index % 4 == part]) for part in range(4)]
    whole = difficulty.win_rates(samples)
    assert difficulty.merge(parts, 3).values.tolist() == whole.values.tolist()
    with pytest.raises(InputError, match="give every part, once"):
        difficulty.merge(parts[:3], 3)


def test_a_table_that_was_made_is_checked(folder):
    path = folder("source")
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not as it was written"):
        pool.deduplicate([path], 0, folder("pool"))
    with pytest.raises(InputError, match="does not exist"):
        pool.deduplicate([folder("nothing")], 0, folder("pool"))


@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 100), st.integers(0, 70))
def test_the_stream_of_rows_needs_no_state(size, seed, first, count):
    whole = order.rows(size, seed, 0, first + count)
    assert order.rows(size, seed, first, count) == whole[first:]
    for epoch in range((first + count) // size):
        assert sorted(whole[epoch * size : (epoch + 1) * size]) == list(range(size))
