"""Every file that a command reads, in every form that is none: one line that names it, and nothing is written."""

import gzip
import io
import json
import pickle
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
from test_malformed import APP, COMMANDS, FILES, READ_BY

from switchpoint.cli import commands as cli
from switchpoint.grading import grader
from switchpoint.grading.grader import Verdict
from switchpoint.scores import SAMPLE_COLUMNS

ROOT = Path(__file__).parents[3]
SAMPLES = pd.DataFrame(
    [
        dict.fromkeys(SAMPLE_COLUMNS, "x") | {"run": "r", "step": 1, "split": "test", "benchmark": "m", "id": f"p{i}",
                                              "correct": i % 2 == 0, "sample": 0, "n_tokens": 3, "truncated": False}
        for i in range(6)
    ]
)  # fmt: skip
LOG = "".join(json.dumps({"step": n, "data": {"acc": n / 10, "ef": float(n)}}) + "\n" for n in range(4))
STATE = {"log_history": [{"step": n, "acc": n / 10, "ef": float(n)} for n in range(4)]}
RETU = "dataset,sft_step,p_sft,rl_exaflops,gsm8k,olympiad_bench,math,minerva,aime,aime25,overall\n" + "".join(
    f"S1K,62,10,{x},20,20,20,20,20,20,20\n" for x in range(1, 4)
)
TAGS = "--run r --score acc=overall --exaflops ef --p-start 0 --scale 100 --out out.csv"
CASES = {
    **{name: (COMMANDS[READ_BY[name]], FILES[name].encode()) for name in READ_BY},
    "pairs.jsonl": ("grade pairs.jsonl --workers 1 --out out.jsonl", b'{"gold": "1", "response": "1"}\n' * 3),
    "a.parquet": ("compare a.parquet b.parquet", SAMPLES),
    "b.parquet": ("compare a.parquet b.parquet", SAMPLES),
    "e.parquet": ("phases losses.csv --examples e.parquet --out out.json", pd.read_csv(io.StringIO(FILES["examples.csv"]))),
    "config.json": ("flops config.json --batch-size 8 --mean-length 100", (ROOT / "src/switchpoint/tiny-base/config.json").read_bytes()),
    "table.csv": ("import table.csv --out out.csv", FILES["points.csv"].encode()),
    "verl.jsonl": (f"import verl.jsonl --format verl {TAGS}", LOG.encode()),
    "trainer_state.json": (f"import trainer_state.json {TAGS}", json.dumps(STATE).encode()),
    "cache.pkl": ("import cache.pkl --out out.csv", pickle.dumps({0.0: {"math": 5.0}, 1.5: {"math": 9.0}})),
    "released.csv": ("import released.csv --format published --out out.csv", RETU.encode()),
    "rl_points.csv": ("published . --out out.json", RETU.encode()),
    "study.yaml": ("plan --study study.yaml", (ROOT / "config.yaml").read_bytes()),
}  # fmt: skip
FORMS = {
    "missing": lambda data: None,
    "a directory": lambda data: ...,
    "empty": lambda data: b"",
    "binary": lambda data: bytes(range(256)),
    "zeros": lambda data: bytes(4096),
    "UTF-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "Latin-1": lambda data: data[:-1] + b'"\xe9\xff' + data[-1:],
    "gzip": gzip.compress,
    "a list": lambda data: b"[1, 2]",
    "a number": lambda data: b"3",
    "a text": lambda data: b'"abc"',
    "null": lambda data: b"null",
    "an object": lambda data: b"{}",
    "deep": lambda data: b"[" * 100_000,
    "deep objects": lambda data: b'{"a":' * 100_000,
    "a huge integer": lambda data: b'{"step": ' + b"9" * 5000 + b"}",
    "a key twice": lambda data: b'{"runs": {}, "runs": {}, "gold": "1", "gold": "1"}',
    "half": lambda data: data[: len(data) // 2],
    "an end missing": lambda data: data[:-3],
    "a byte changed": lambda data: data[:20] + b"\x01" + data[21:],
    "a number beyond all": lambda data: data.replace(b"1,", b"9" * 400 + b",", 1),
    "half a character": lambda data: (
        data.replace(b'"a', b'"\\ud800', 1) if b'"a' in data else b'{"\\ud800": 1}'
    ),
}
# What may be right: a part of a text, a changed letter or datum, a folder of claims without some of their data.
TAKEN = {
    ("cache.pkl", "Latin-1"), ("config.json", "half a character"), ("rl_points.csv", "missing"),
    *((name, "a byte changed") for name in CASES if not name.endswith(".json")),
    *((name, form) for name in CASES for form in ("half", "an end missing") if name.endswith((".csv", ".jsonl", ".yaml"))),
    *((name, "a number beyond all") for name in CASES if not name.endswith(("points.csv", "table.csv", "released.csv"))),
}  # fmt: skip


class NoGrader:
    """Stands for the grader, whose worker processes take seconds to start."""

    def __init__(self, workers):
        self.workers = workers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def grade(self, golds, responses, extraction):
        return [Verdict(True, gold, "graded") for gold in golds]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs the command that reads a file, the file replaced: (exit code, stderr, what it wrote)."""
    monkeypatch.setattr(cli, "app", APP)
    monkeypatch.setattr(grader, "Grader", NoGrader)
    for name, (_, content) in CASES.items():
        monkeypatch.chdir(tmp_path)
        if name == "rl_points.csv":
            continue
        if isinstance(content, bytes):
            Path(name).write_bytes(content)
        else:
            content.to_parquet(name)
    for name, text in FILES.items():
        Path(name).write_text(text)

    def call(name: str, change):
        command, content = CASES[name]
        path = Path(name)
        whole = content if isinstance(content, bytes) else path.read_bytes()
        changed = change(whole)
        path.unlink(missing_ok=True)
        if changed is ...:
            path.mkdir()
        elif changed is not None:
            path.write_bytes(changed)
        before = {file.name for file in tmp_path.iterdir()}
        monkeypatch.setattr(sys, "argv", ["switchpoint", *command.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        wrote = {file.name for file in tmp_path.iterdir()} - before
        return ended.value.code, capsys.readouterr().err, wrote

    return call


def assert_refused(name: str, found: tuple) -> None:
    code, err, wrote = found
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1 or (name == "study.yaml" and "missing key" in err)
    assert name in err or ": examples" in err or ": run " in err or "the study's" in err
    assert len(err) < 600
    assert not wrote


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CASES)
def test_a_file_that_is_none(run, name, form):
    found = run(name, FORMS[form])
    if found[0] == 0:
        assert (name, form) in TAKEN
    else:
        assert_refused(name, found)


DIRECTORIES = [
    "fit {}", "fit points.csv --predict {}", "phases {}", "phases losses.csv --examples {}", "phases {} --watch", "rank {}",
    "predict {}", "advise --curves {} --runs {}", "report {}", "report points.csv {}", "compare {} {}", "grade {} --out g.jsonl",
    "flops Qwen2.5-7B --batch-size 4 --lengths {}", "published {}", "import {} --out o",
    "decontaminate --train {} --benchmarks {} --out d",
]  # fmt: skip


# But for an import of "/", which would look through the whole disk.
@pytest.mark.parametrize(
    ("command", "place"),
    [
        (command, place)
        for command in DIRECTORIES
        for place in (".", "/", "''", "empty")
        if place != "/" or not command.startswith("import")
    ],
)
def test_a_directory_or_an_empty_name_in_place_of_a_file(tmp_path, monkeypatch, capsys, command, place):
    """One line, and the folder that the command runs in is not read for an empty name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", APP)
    Path("empty").mkdir()
    for name, text in FILES.items():
        Path(name).write_text(text)
    Path("curves.csv").unlink()  # or . is a folder of import's
    monkeypatch.setattr(sys, "argv", ["switchpoint", *shlex.split(command.replace("{}", place))])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert "argument is empty" in shown if place == "''" else "; " in shown or ", or " in shown
    assert "does not exist" not in shown
