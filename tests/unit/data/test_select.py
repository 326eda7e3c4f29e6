"""Curation: draws, strata, overlaps, decontamination."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint.data import benchmarks, decontaminate, difficulty, order, select
from switchpoint.errors import InputError
from switchpoint.study.jobs import Slice


def rows(problems: list[str], prefix: str = "p") -> pd.DataFrame:
    ids = [f"{prefix}{number}" for number in range(len(problems))]
    return pd.DataFrame({"id": ids, "problem": problems, "answer": "1", "solution": "s", "source": "pool"})


POOL = rows([f"problem {number}" for number in range(40)])
RATES = pd.DataFrame({"id": POOL["id"], "win_rate": [(number % 5) / 4 for number in range(40)]})


def test_duplicates_are_dropped_and_counted():
    kept, counts = select.deduplicate([rows(["a  b", "A b", "c"]), rows(["c", "ａ b", "d"], "q")])
    assert kept["problem"].tolist() == ["a  b", "c", "d"]
    assert counts == {"rows": 6, "exact": 1, "normalised": 2}


@given(st.permutations(range(40)), st.integers(1, 39))
def test_a_draw_ignores_the_row_order_and_a_larger_one_extends_it(order_of_rows, size):
    drawn = select.draw(POOL, size, 0, "x")["id"].tolist()
    assert select.draw(POOL.iloc[list(order_of_rows)], size, 0, "x")["id"].tolist() == drawn
    assert select.draw(POOL, size + 1, 0, "x")["id"].tolist()[:size] == drawn


def test_strata_respect_win_rates_and_the_validation_set():
    held_out = set(select.split_validation(POOL, 10, 0)["id"])
    rates = RATES.set_index("id")["win_rate"]
    for stratum, allowed in {"easy": {1.0}, "hard": {0.0, 0.25}}.items():
        drawn = select.select_set(POOL, RATES, held_out, stratum, None, 0)
        assert set(drawn["id"].map(rates)) <= allowed
        assert not set(drawn["id"]) & held_out
    assert len(select.select_set(POOL, RATES, held_out, "full", None, 0)) == 30
    with pytest.raises(InputError, match="31 rows are asked for, 30 are there"):
        select.select_set(POOL, RATES, held_out, "uniform", 31, 0)


def test_the_mix_set_is_the_prompts_with_a_short_solution():
    prompts = POOL.head(3).copy()
    prompts["solution"] = [None, "short", "much longer"]
    assert select.mix(prompts, len, 5)["id"].tolist() == ["p1"]


def test_forbidden_overlaps_are_named():
    tables = {"validation": POOL.head(3), "set:S": POOL.iloc[2:6], "prompts": POOL.iloc[4:8]}
    table = select.overlaps(tables | {"benchmark:b": POOL.iloc[7:9]})
    problems = "; ".join(select.forbidden(table))
    assert "validation and set:S share 1" in problems
    assert "benchmark:b and prompts share 1" in problems
    assert "set:S and prompts" not in problems


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


@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 100), st.integers(0, 70))
def test_the_stream_of_rows_needs_no_state(size, seed, first, count):
    whole = order.rows(size, seed, 0, first + count)
    assert order.rows(size, seed, first, count) == whole[first:]
    for epoch in range((first + count) // size):
        assert sorted(whole[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_decontamination_by_embeddings_and_numbers():
    train = rows(["Tom has 3 apples and buys 4 more. How many apples does he have?", "What is 12 times 7?"])
    bench = rows(
        [
            "Tom has 3 apples and buys 4 more. How many apples has he got?",  # paraphrase, same numbers
            "Tom has 5 apples and buys 9 more. How many apples does he have?",  # same template, other numbers
            "what is 12  times 7?",  # the same, normalised
            "Prove that 3 and 4 are coprime.",  # same numbers, another problem
        ],
        "b",
    )
    kept, dropped = decontaminate.decontaminate(train, bench, 0.8, True, decontaminate.PACKAGED)
    assert kept["id"].tolist() == ["b1", "b3"]
    assert dropped[["id", "nearest_id", "reason"]].values.tolist() == [
        ["b0", "p0", "cosine"],
        ["b2", "p1", "exact"],
    ]
    assert (dropped["cosine"] > 0.8).all()
    kept, _ = decontaminate.decontaminate(train, bench, 0.8, False, decontaminate.PACKAGED)
    assert kept["id"].tolist() == ["b3"]
    kept, dropped = decontaminate.decontaminate(train, bench.iloc[1:2], 0.8, True, decontaminate.PACKAGED)
    assert len(kept) == 1
    assert dropped.empty
