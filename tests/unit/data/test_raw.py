"""Rows of the real data sets, in their exact schemas, become records; what does not is counted or refused by name."""

import gzip
import json
import random
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from switchpoint import files, tables
from switchpoint.data import pool, raw, relations, select, sources
from switchpoint.data.schemas import SCHEMAS
from switchpoint.errors import InputError
from switchpoint.study.jobs import IngestJob, PromptsJob
from switchpoint.study.sources import DATASETS, FILTERS, SOLVERS, Dataset, Keep

CHAT = [{"role": "user", "content": "1 + 1?"}]
VERL = {"data_source": "aime", "prompt": CHAT, "ability": "math"}
DIFFICULTY = {
    "DeepSeek-R1-Distill-Qwen-1.5B": 16,
    "DeepSeek-R1-Distill-Qwen-7B": 4,
    "DeepSeek-R1-Distill-Qwen-32B": 0,
}
# Of each data set a row, and the record that it is.
ROWS = {
    "am_1_4m": (
        {
            "messages": [
                {"role": "user", "content": "1 + 1?", "info": {"source": "NuminaMath_1.5", "reference_answer": "2",
                                                               "test_case": None}},
                {"role": "assistant", "content": "<think> one </think> <answer> 2 </answer>",
                 "info": {"source": "am-0309", "think_content": " one ", "answer_content": " 2 "}},
            ]
        },
        {"problem": "1 + 1?", "answer": ["2"], "solution": "<think> one </think> <answer> 2 </answer>",
         "origin": "NuminaMath_1.5", "teacher": "am-0309"},
    ),
    "am_40m": (
        {"question": "1 + 1?", "answer": "<think>x</think>2", "question_source": "Skywork", "answer_source": "r1",
         "category": "math", "ground_truth": "2", "test_case": None, "instruction_constrain": None,
         "pass_rate_r1": 1.0, "pass_rate_7b": "0.75", "pass_rate_1.5b": 0.25, "verify_score": 1, "ppl": 2.5,
         "model_name": "deepseek-r1"},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "<think>x</think>2", "origin": "Skywork",
         "teacher": "deepseek-r1", "win_rate_1_5b": 0.25, "win_rate_7b": 0.75, "win_rate_671b": 1.0},
    ),
    "skywork_or1": (
        {**VERL, "reward_model": {"style": "rule", "ground_truth": '["2", "two"]'},
         "extra_info": {"index": 3, "model_difficulty": DIFFICULTY}},
        {"problem": "1 + 1?", "answer": ["2", "two"], "origin": "aime", "win_rate_1_5b": 0.0, "win_rate_7b": 0.75,
         "win_rate_32b": 1.0},
    ),
    "s1k_1_1": (
        {"question": "1 + 1?", "solution": "2", "cot_type": "math", "source_type": "aime", "metadata": "{}",
         "deepseek_thinking_trajectory": "one and one ", "deepseek_attempt": "It is 2.", "deepseek_grade": "Yes",
         "gemini_grade": "No"},
        {"problem": "1 + 1?", "answer": ["2"], "origin": "aime",
         "solution": "<think>\none and one\n</think>\n\nIt is 2."},
    ),
    "retu_sft": (
        {"data_source": "am", "extra_info": {"question": "1 + 1?", "answer": "<think>x</think>2", "index": 1},
         "reward_model": {"ground_truth": "2", "style": "rule"}},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "<think>x</think>2", "origin": "am"},
    ),
    "retu_rl": (
        {**VERL, "reward_model": {"ground_truth": "2", "style": "rule"}, "extra_info": {"split": "train"}},
        {"problem": "1 + 1?", "answer": ["2"], "origin": "aime"},
    ),
    "retu_mix": (
        {**VERL, "reward_model": {"ground_truth": "2"}, "target": [{"role": "assistant", "content": "so 2"}]},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "so 2", "origin": "aime"},
    ),
    "llama_nemotron": (
        {"input": CHAT, "output": "<think>x</think>\\boxed{2}", "category": "math", "generator": "DeepSeek-R1",
         "license": "cc", "reasoning": "on", "used_in_training": ["Ultra"], "version": "v1.1"},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "<think>x</think>\\boxed{2}", "teacher": "DeepSeek-R1"},
    ),
    "acereason": (
        {"category": "math", "source": "numina", "input": "1 + 1?", "output": "<think>x</think>\\boxed{2}"},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "<think>x</think>\\boxed{2}", "origin": "numina"},
    ),
    "openr1_math": (
        {"problem": "1 + 1?", "solution": "s", "answer": "2", "problem_type": "Algebra", "source": "olympiads",
         "generations": ["cut", "wrong", "right", "also"], "correctness_math_verify": [True, False, True, True],
         "is_reasoning_complete": [False, True, True, True], "uuid": "u"},
        {"problem": "1 + 1?", "answer": ["2"], "solution": "right", "origin": "olympiads"},
    ),
    "math_train": (
        {"problem": "1 + 1?", "level": "Level 1", "type": "Algebra", "solution": "So $\\boxed{\\frac{4}{2}}$."},
        {"problem": "1 + 1?", "answer": ["\\frac{4}{2}"], "solution": "So $\\boxed{\\frac{4}{2}}$."},
    ),
    "deepscaler": (
        {"problem": "1 + 1?", "answer": "2", "solution": ""},
        {"problem": "1 + 1?", "answer": ["2"]},
    ),
    "records": (
        {"problem": "1 + 1?", "answer": ["2", "two"], "solution": "s"},
        {"problem": "1 + 1?", "answer": ["2", "two"], "solution": "s"},
    ),
}  # fmt: skip


def write(path: Path, rows: list[dict]) -> str:
    """The rows as the suffix says."""
    if path.name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return str(path)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if path.name.endswith(".zst"):
        with pyarrow.CompressedOutputStream(str(path), "zstd") as out:
            out.write(lines)
    else:
        path.write_bytes(gzip.compress(lines) if path.name.endswith(".gz") else lines)
    return str(path)


def ingest(
    paths: str | list[str], dataset: str, out: Path, n_tokens=None, **settings
) -> tuple[pd.DataFrame, dict]:
    """The records of a source of these files, and its census."""
    several = [paths] if isinstance(paths, str) else paths
    source = Dataset(kind="dataset", dataset=dataset, path=several, lock="none", **settings)
    census = raw.ingest(source, "mine", n_tokens, str(out)).summary()
    return tables.read_made(out), census


def test_a_study_names_exactly_what_the_schemas_tell():
    assert DATASETS.keys() == SCHEMAS.keys() == ROWS.keys()
    for name, schema in SCHEMAS.items():
        told = {filter_: getattr(schema, filter_.removesuffix("s")) for filter_ in FILTERS[:3]}
        told |= {"verified": schema.verified, "solutions": schema.solution}
        told |= {solver: schema.win_rates.get(solver) for solver in SOLVERS}
        assert {key for key, sql in told.items() if sql} == set(DATASETS[name])
        assert set(schema.optional) <= set(schema.columns)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.zst", "jsonl.gz", "parquet"])
@pytest.mark.parametrize("name", ROWS)
def test_a_row_becomes_a_record(name, suffix, tmp_path):
    row, expected = ROWS[name]
    frame, census = ingest(write(tmp_path / f"rows.{suffix}", [row]), name, tmp_path / "out.parquet")
    (record,) = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert list(record["answer"]) == expected["answer"]
    assert {key: record.get(key) for key in expected if key != "answer"} == {
        key: value for key, value in expected.items() if key != "answer"
    }
    assert record["source"] == "mine"
    assert record["id"].startswith("mine-")
    assert (census["rows"], census["kept"], census["rejected"]) == (1, 1, {})


def test_columns_that_hold_json_texts(tmp_path):
    """The authors' loader decodes columns that are texts."""
    for name in ("retu_sft", "retu_rl", "skywork_or1", "retu_mix"):
        row, expected = ROWS[name]
        texts = {
            key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in row.items()
        }
        frame, _ = ingest(write(tmp_path / "rows.parquet", [texts]), name, tmp_path / "out.parquet")
        assert frame["problem"].tolist() == [expected["problem"]]
        assert list(frame["answer"].iloc[0]) == expected["answer"]


def test_gold_is_what_the_experts_answer_boxes_where_none_is_given(tmp_path):
    row = json.loads(json.dumps(ROWS["am_1_4m"][0]))
    row["messages"][0]["info"]["reference_answer"] = None
    without = json.loads(json.dumps(row))
    row["messages"][1]["content"] = "<answer> \\boxed{3} </answer>"
    frame, census = ingest(write(tmp_path / "x.jsonl", [row, without]), "am_1_4m", tmp_path / "out.parquet")
    assert [list(answer) for answer in frame["answer"]] == [["3"]]
    assert census["dropped"] == {"no answer": 1}


def am(number: int, **change) -> dict:
    """A row of the 40M with a problem of its own."""
    return ROWS["am_40m"][0] | {"question": f"{number} + 1?"} | change


def test_what_is_not_wanted_is_counted_by_its_first_reason(tmp_path):
    rows = [
        am(0), am(1, category="code"), am(2, category=None), am(3, verify_score=0), am(4, verify_score=None),
        am(5, question="求 1 + 1"), am(6, question="㐀?"), am(7, model_name="qwen"), am(8, question_source="x"),
        am(9, category="code", model_name="qwen"), am(10, question="long " * 9), am(11, answer="long " * 9),
        am(12, verify_score="1.0"),
    ]  # fmt: skip
    keep = Keep(
        domains=["math"], teachers=["deepseek-r1"], origins=["Skywork"], verified=True, chinese=False,
        max_prompt_tokens=5, max_response_tokens=5,
    )  # fmt: skip
    counted = []

    def n_tokens(texts: list[str]) -> list[int]:
        counted.extend(texts)
        return [len(text.split()) for text in texts]

    frame, census = ingest(
        write(tmp_path / "x.jsonl", rows), "am_40m", tmp_path / "out.parquet", n_tokens, keep=keep
    )
    assert frame["problem"].tolist() == ["0 + 1?", "12 + 1?"]
    assert census["dropped"] == {
        "domain": 3, "not verified": 2, "Chinese": 2, "teacher": 1, "origin": 1, "problem too long": 1,
        "solution too long": 1,
    }  # fmt: skip
    assert census["rows"] == 13
    assert len(counted) == 4 + 3  # the tokens of what the other filters left, and then of what was short


def test_broken_rows_are_listed_and_more_than_the_limit_end_the_job(tmp_path):
    lines = [json.dumps(am(number)) for number in range(95)]
    lines[10:10] = ["not json", "", json.dumps([1]), json.dumps(am(99, question=" "))]
    lines += [json.dumps(am(99, **{"pass_rate_1.5b": "often"})), json.dumps(am(7))[:40]]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(lines))
    frame, census = ingest(str(path), "am_40m", tmp_path / "out.parquet", max_rejects=0.06)
    assert len(frame) == census["kept"] == 95
    assert census["rows"] == 100  # a blank line is none
    assert census["rejected"] == {"no JSON object": 3, "no problem": 1, "win_rate_1_5b is no share": 1}
    assert [row["row"] for row in census["rejected_rows"]] == [11, 12, 13, 99, 100]
    assert {row["file"] for row in census["rejected_rows"]} == {str(path)}
    before = files.sha256(tmp_path / "out.parquet")
    with pytest.raises(InputError) as error:
        ingest(str(path), "am_40m", tmp_path / "out.parquet", max_rejects=0.04)
    assert "5 of 100 rows are broken (row 11: no JSON object" in str(error.value)
    assert "max_rejects 0.04" in str(error.value)
    assert files.sha256(tmp_path / "out.parquet") == before


def test_the_records_do_not_depend_on_the_order_of_rows_and_files(tmp_path):
    rows = [am(number % 20, answer="x" * (number % 7 + 1) + str(number)) for number in range(60)]
    one = write(tmp_path / "a.jsonl", rows[:30])
    two = write(tmp_path / "b.parquet", rows[30:])
    found = []
    for paths in ([one, two], [two, one]):
        frame, _ = ingest(paths, "am_40m", tmp_path / "out.parquet")
        kept = frame.sort_values("preference").groupby("key").first()
        found.append(kept[["id", "solution"]].values.tolist())
    assert found[0] == found[1]
    assert len(found[0]) == 20


@pytest.mark.parametrize("cut", [1, 4, 200, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("suffix", ["zst", "gz"])
def test_a_compressed_file_that_was_cut_is_refused(tmp_path, suffix, cut):
    """Also where the cut leaves whole lines alone."""
    path = Path(write(tmp_path / f"x.jsonl.{suffix}", [am(n, answer=f"{n * n}" * 9) for n in range(20_000)]))
    content = path.read_bytes()
    path.write_bytes(content[: -cut if cut >= 1 else int(len(content) * cut)])
    with pytest.raises(InputError, match=r"x\.jsonl.*download it again"):
        ingest(str(path), "am_40m", tmp_path / "out.parquet", max_rejects=0.5)
    assert not list(tmp_path.glob("*out*"))


def test_frames_of_zstd_one_after_another_are_one_file(tmp_path):
    path = Path(write(tmp_path / "x.jsonl.zst", [am(0)]))
    other = Path(write(tmp_path / "y.jsonl.zst", [am(1), am(2)]))
    path.write_bytes(path.read_bytes() + other.read_bytes())
    assert len(ingest(str(path), "am_40m", tmp_path / "out.parquet")[0]) == 3


def test_which_of_equal_rows_wins_does_not_depend_on_their_order(tmp_path):
    """Whatever they differ in: win rates, gold, case, teacher; in the pool and among the prompts."""
    same = [
        am(0), am(0, **{"pass_rate_1.5b": 0.5}), am(0, pass_rate_7b=None), am(0, ground_truth="3"), am(0, question="0  + 1?"),
        am(0, model_name="qwen"), am(0, question_source="x"), am(1, **{"pass_rate_1.5b": None}), am(1, pass_rate_r1=0.5),
    ]  # fmt: skip
    pools, prompts = set(), set()
    for turn in range(len(same)):
        path = write(tmp_path / "x.jsonl", same[turn:] + same[:turn])
        ingest(path, "am_40m", tmp_path / "source.parquet")
        pool.deduplicate([str(tmp_path / "source.parquet")], 0, str(tmp_path / "pool.parquet"))
        pools.add(files.sha256(tmp_path / "pool.parquet"))
        asked = PromptsJob(recipe=1, seed=0, size=None, win_rate=(0.0, 1.0), given="1_5b")
        some = [str(tmp_path / f"{name}.parquet") for name in ("source", "pool", "none", "prompts")]
        tables.write_parquet(pd.DataFrame({"key": pd.Series([], dtype=str)}), some[2])
        select.select_prompts(asked, some[:1], some[1], None, some[2], some[3])
        prompts.add(files.sha256(some[3]))
    assert len(pools) == len(prompts) == 1


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_text_that_is_no_json_in_a_column_is_a_broken_row(tmp_path, suffix):
    row = ROWS["skywork_or1"][0]
    whole = {
        key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in row.items()
    }
    wrong = [
        whole | {"extra_info": '{"index": 1, "model_diff'}, whole | {"extra_info": "5"}, whole | {"prompt": "1 + 1?"},
        whole | {"reward_model": "x"},
    ]  # fmt: skip
    path = write(
        tmp_path / f"x.{suffix}", [whole, *wrong, whole | {"extra_info": None}, whole | {"extra_info": " "}]
    )
    frame, census = ingest(path, "skywork_or1", tmp_path / "out.parquet", max_rejects=0.6)
    assert len(frame) == 3
    assert frame["win_rate_7b"].tolist()[0] == 0.75
    assert census["rejected"] == {"a column of another kind": 4}


@pytest.mark.parametrize("share", ["x", "", 17, -1, "nan"])
def test_a_difficulty_that_is_no_count_is_a_broken_row(tmp_path, share):
    row = json.loads(json.dumps(ROWS["skywork_or1"][0]))
    row["extra_info"]["model_difficulty"]["DeepSeek-R1-Distill-Qwen-7B"] = share
    path = write(tmp_path / "x.jsonl", [row, ROWS["skywork_or1"][0]])
    _, census = ingest(path, "skywork_or1", tmp_path / "out.parquet", max_rejects=0.5)
    assert census["rejected"] == {"win_rate_7b is no share": 1}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("given", ["", "  ", None])
def test_a_blank_reference_answer_is_none(tmp_path, given, suffix):
    row = json.loads(json.dumps(ROWS["am_1_4m"][0]))
    row["messages"][0]["info"]["reference_answer"] = given
    row["messages"][1]["content"] = "so \\boxed{7}"
    frame, _ = ingest(write(tmp_path / f"x.{suffix}", [row]), "am_1_4m", tmp_path / "out.parquet")
    assert list(frame["answer"].iloc[0]) == ["7"]


def test_the_problem_is_what_the_user_says_first(tmp_path):
    row, system = ROWS["llama_nemotron"][0], {"role": "system", "content": "Be brief."}
    rows = [
        row | {"input": [system, *CHAT]},
        row | {"input": []},
        row | {"input": [system]},
        row | {"input": "2 + 2?"},
    ]
    frame, census = ingest(
        write(tmp_path / "x.jsonl", rows), "llama_nemotron", tmp_path / "out.parquet", max_rejects=0.5
    )
    assert frame["problem"].tolist() == ["1 + 1?", "2 + 2?"]
    assert census["rejected"] == {"no problem": 2}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("llama_nemotron", {"output": "I do not know."}, "no answer"),
        ("acereason", {"output": "I do not know."}, "no answer"),
        ("openr1_math", {"correctness_math_verify": [False] * 4}, "no solution"),
        ("openr1_math", {"correctness_math_verify": None}, "no solution"),
    ],
)
def test_a_row_whose_expert_gives_no_answer_is_not_wanted_and_not_broken(tmp_path, name, change, reason):
    path = write(tmp_path / "x.jsonl", [ROWS[name][0], ROWS[name][0] | change])
    _, census = ingest(path, name, tmp_path / "out.parquet")
    assert (census["dropped"], census["rejected"]) == ({reason: 1}, {})


def test_two_columns_of_one_name_are_refused(tmp_path):
    columns = [pyarrow.array([text]) for text in ("a?", "b?", "2")]
    table = pyarrow.Table.from_arrays(columns, ["problem", "problem", "answer"])
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="two columns problem; keep one"):
        ingest(str(tmp_path / "x.parquet"), "records", tmp_path / "out.parquet")


def test_rows_and_row_groups_larger_than_the_memory(tmp_path, monkeypatch):
    """Long rows, as the real ones are, in one row group; ingested, and brought into order."""
    monkeypatch.setattr(relations, "MEMORY", "256MB")
    monkeypatch.setattr(relations, "PART", 2**24)
    draw = random.Random(0)
    path = write(tmp_path / "x.parquet", [am(n, answer=draw.randbytes(10_000).hex()) for n in range(14000)])
    assert pyarrow.parquet.read_metadata(path).num_row_groups == 1
    _, census = ingest(path, "am_40m", tmp_path / "source.parquet")
    pool.deduplicate([str(tmp_path / "source.parquet")], 0, str(tmp_path / "pool.parquet"))
    assert census["kept"] == pyarrow.parquet.read_metadata(tmp_path / "pool.parquet").num_rows == 14000


def test_what_a_killed_job_left_is_removed(tmp_path):
    (tmp_path / ".out.parquet.17.tmp").write_text("half")
    (tmp_path / ".out2.parquet.17.tmp").write_text("another's")
    ingest(write(tmp_path / "x.jsonl", [am(0)]), "am_40m", tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".out2.parquet.17.tmp",
        "out.parquet",
        "x.jsonl",
    ]


BROKEN = {
    "no such file": (None, "names no file"),
    "a pattern of nothing": ("*.nothing", "names no file"),
    "a csv": (b"question,answer\n1,2\n", "is none of .jsonl"),
    "empty": (b"", "no JSON object in its first 1000 lines"),
    "blank lines": (b"\n\n\n", "no JSON object in its first 1000 lines"),
    "no JSON": (b"hello\nworld\n", "no JSON object in its first 1000 lines"),
    "a list": (b"[1, 2]\n", "no JSON object in its first 1000 lines"),
    "numbers": (b"1\n2\n", "no JSON object in its first 1000 lines"),
    "a pretty-printed list": (json.dumps([am(0)], indent=2).encode(), "no JSON object in its first 1000 lines"),
    "another schema": (b'{"problem": "p", "answer": "2"}\n', "it needs question, answer"),
    "a column missing": (json.dumps({k: v for k, v in am(0).items() if k != "pass_rate_7b"}).encode(), "no column pass_rate_7b"),
    "UTF-16": (json.dumps(am(0)).encode("utf-16"), "binary, or UTF-16"),
    "gzip by a wrong name": (gzip.compress(json.dumps(am(0)).encode()), "gzip-compressed"),
    "parquet by a wrong name": (b"PAR1" + b"x" * 50, "is a parquet file"),
    "half a gzip": (("x.jsonl.gz", gzip.compress(json.dumps(am(0)).encode() * 99)[:60]), "x.jsonl.gz"),
    "no gzip": (("x.jsonl.gz", json.dumps(am(0)).encode()), "x.jsonl.gz"),
    "no zstd": (("x.jsonl.zst", b"hello"), "x.jsonl.zst"),
    "half a zstd": (("x.jsonl.zst", ...), "x.jsonl.zst"),
    "no parquet": (("x.parquet", b"hello"), "not a parquet file"),
    "an empty parquet": (("x.parquet", b""), "not a parquet file"),
    "half a parquet": (("x.parquet", ...), "not a parquet file"),
    "all problems null": (json.dumps(am(0, question=None)).encode(), "1 of 1 rows are broken (row 1: no problem)"),
    "no member of a column": (("x.parquet", [{"prompt": CHAT, "ability": "m", "data_source": "d", "extra_info": {"i": 1},
                                              "reward_model": {"ground_truth": "2"}}], "skywork_or1"),
                              "the columns do not fit"),
    "a binary column": (("x.parquet", [am(0, question=b"1 + 1?")]), "the column \"question\" is binary"),
    "a list for a problem": (json.dumps(am(0, question=["1 + 1?"])).encode(), "problem is no text"),
    "an object for a problem": (json.dumps(am(0, question={"en": "1 + 1?"})).encode(), "problem is no text"),
    "true for a problem": (json.dumps(am(0, question=True)).encode(), "problem is no text"),
    "no gold": (json.dumps(am(0, ground_truth=None)).encode(), "no answer"),
    "a blank gold": (json.dumps(am(0, ground_truth=" ")).encode(), "no answer"),
    "no expert": (json.dumps(am(0, answer=None)).encode(), "no solution"),
    "a share above 1": (json.dumps(am(0, pass_rate_r1=4)).encode(), "win_rate_671b is no share"),
    "a share that is NaN": (json.dumps(am(0, pass_rate_r1="nan")).encode(), "win_rate_671b is no share"),
    "Latin-1": (json.dumps(am(0, question="é"), ensure_ascii=False).encode("latin-1"), "x.jsonl"),
    "a lone surrogate": (json.dumps(am(0, question="\ud800")).encode(), "no JSON object in its first 1000 lines"),
}  # fmt: skip


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_named(tmp_path, how):
    content, words = BROKEN[how]
    path, dataset = tmp_path / "x.jsonl", "am_40m"
    if isinstance(content, tuple):
        path, content, dataset = tmp_path / content[0], content[1], (*content, dataset)[2]
        if isinstance(content, list):
            write(path, content)
            content = path.read_bytes()
        if content is ...:
            write(path, [am(number) for number in range(999)])
            content = path.read_bytes()[: path.stat().st_size // 2]
    if isinstance(content, str):
        path = tmp_path / content
    elif content is not None:
        path = path.with_suffix(".csv") if how == "a csv" else path
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        ingest(str(path), dataset, tmp_path / "out.parquet")
    message = str(error.value)
    assert words in message
    assert tmp_path.name in message
    assert "\n" not in message
    assert not (tmp_path / "out.parquet").exists()
    assert not list(tmp_path.glob(".*"))


def test_nothing_left_is_an_error(tmp_path):
    path = write(tmp_path / "x.jsonl", [am(0)])
    with pytest.raises(InputError, match="no row is left"):
        ingest(path, "am_40m", tmp_path / "out.parquet", keep=Keep(domains=["code"]))
    assert not (tmp_path / "out.parquet").exists()


def test_the_lock_of_several_files_is_checked(tmp_path):
    one, two = (write(tmp_path / f"{name}.jsonl", [am(number)]) for number, name in enumerate("ab"))
    lock = tmp_path / "x.lock"
    from switchpoint.data import locks

    locks.write_lock([one, two], str(lock), None)
    source = Dataset(kind="dataset", dataset="am_40m", path=[str(tmp_path / "?.jsonl")], lock=str(lock))
    job = IngestJob(recipe=1, name="mine", seed=0, source=source)
    assert sources.ingest(job, str(tmp_path / "out.parquet"))["kept"] == 2
    write(tmp_path / "b.jsonl", [am(5)])
    with pytest.raises(InputError, match=r"its lock .* says"):
        sources.ingest(job, str(tmp_path / "out.parquet"))


def test_a_folder_is_read_as_the_hub_is(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train.jsonl", [ROWS["math_train"][0]])
    files.write_json(tmp_path / "x.lock", {"name": "x", "revision": None, "sha256": "unresolved"})
    lock = str(tmp_path / "x.lock")
    source = Dataset(kind="dataset", dataset="math_train", hub=str(tmp_path / "data"), lock=lock)
    job = IngestJob(recipe=1, name="mine", seed=0, source=source)
    assert sources.ingest(job, str(tmp_path / "out.parquet"))["kept"] == 1
    source = Dataset(kind="dataset", dataset="math_train", hub=str(tmp_path / "nothing"), lock=lock)
    with pytest.raises(InputError, match="no data set"):
        sources.ingest(IngestJob(recipe=1, name="mine", seed=0, source=source), str(tmp_path / "out.parquet"))
