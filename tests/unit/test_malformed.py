"""Files that people get wrong: every one ends with one line that names the file, the place and the fix."""

import json
import sys

import pytest

from switchpoint import cli

SCORES = [40, 52, 55, 57, 58, 58.5]
POINTS = "run,exaflops,score,p_start\n" + "".join(f"a,{x},{y},30\n" for x, y in enumerate(SCORES, 1))
LOSSES = "run,step,loss\na,0,0.9\na,10,0.5\na,20,0.505\nb,0,0.9\nb,10,0.4\n"
MODELS = (
    "model,set,val_set,pass_1,pass_8,val_loss,rl_score,exaflops\n"
    "m1,s,v,40,60,0.5,61,1\nm2,s,v,42,66,0.48,64,2\nm3,s,v,41,63,0.47,66,3\nm4,s,v,44,70,0.45,,4\n"
)
STARTS = {"a-20": 60, "a-30": 70}
CURVES = "run,phase,step,exaflops,benchmark,score,se\n" + "".join(
    f"rl/grpo/{start}/seed_0,rl,{step},{step / 10},overall,{score - 4 / (1 + step)},0.5\n"
    for start, score in STARTS.items()
    for step in (0, 2, 4)
)
RUNS = "run,parent,set,algorithm,seed,start_step,sft_exaflops,status\n" + "".join(
    f"rl/grpo/{start}/seed_0,sft/a/seed_0,a,grpo,0,{start[2:]},1.5,finished\n" for start in STARTS
)
FIT = {"a": 71.0, "a_ci95": [70.0, 72.0], "status": "identified"}
FILES = {
    "points.csv": POINTS,
    "asked.csv": "run,exaflops\na,3\n",
    "settings.csv": "run,alpha\na,0.85\n",
    "losses.csv": LOSSES,
    "examples.csv": "run,step,example,nll,tokens\n"
    + "".join(f"{run},{step},e,{loss},1\n" for run, step, loss in (row.split(",") for row in LOSSES.split()[1:])),
    "models.csv": MODELS,
    "curves.csv": CURVES,
    "runs.csv": RUNS,
    "lengths.csv": "length,count\n100,3\n300,1\n",
    "fits.json": json.dumps({"runs": {f"rl/grpo/{start}/seed_0": FIT for start in STARTS}}),
    "phases.json": json.dumps({"runs": {"sft/a/seed_0": {"guarded": {"20": "stable"}}}}),
    "rank.json": json.dumps({"predictor": "pass_8", "favourites": ["a-20"], "n_dropped": 0,
                             "models": [{"model": "a-20", "place": 1, "pass_8": 50.0}]}),
}  # fmt: skip
COMMANDS = {
    "fit": "fit points.csv --predict asked.csv --out out.json",
    "paper": "fit points.csv --method paper --settings settings.csv --out out.json",
    "phases": "phases losses.csv --examples examples.csv --out out.json",
    "rank": "rank models.csv --out out.json",
    "predict": "predict models.csv --repeats 5 --out out.json",
    "advise": "advise --curves curves.csv --runs runs.csv --ceilings fits.json --phases phases.json "
    "--predictors rank.json --out out.json",
    "flops": "flops Qwen2.5-7B --batch-size 8 --lengths lengths.csv",
}
READ_BY = {
    "points.csv": "fit", "asked.csv": "fit", "settings.csv": "paper", "losses.csv": "phases", "examples.csv": "phases",
    "models.csv": "predict", "curves.csv": "advise", "runs.csv": "advise", "lengths.csv": "flops",
    "fits.json": "advise", "phases.json": "advise", "rank.json": "advise",
}  # fmt: skip
TABLES = [name for name in READ_BY if name.endswith(".csv")]
RECORDS = [name for name in READ_BY if name.endswith(".json")]
DIRECTORY = object()


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """A function that runs a command on the files, some of them replaced: (exit code, stdout, stderr, record)."""
    monkeypatch.chdir(tmp_path)

    def call(command: str, **replaced):
        for name, content in {**FILES, **{key.replace("_", "."): value for key, value in replaced.items()}}.items():
            path = tmp_path / name
            if content is DIRECTORY:
                path.mkdir()
            elif content is not None:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.setattr(sys, "argv", ["switchpoint", *COMMANDS[command].split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown, out = capsys.readouterr(), tmp_path / "out.json"
        record = json.loads(out.read_text()) if out.exists() else None
        return ended.value.code, shown.out, shown.err, record

    return call


def assert_refused(result: tuple, *words: str) -> None:
    """Exit code 2, one line with the words and a fix after a semicolon, and nothing written."""
    code, out, err, record = result
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "; " in err
    for word in words:
        assert word in err
    assert (out, record) == ("", None)
    assert len(err) < 400


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def change(text: str, row: int, column: str, value: str) -> str:
    """The csv text with one cell changed; rows count from 1."""
    rows = [line.split(",") for line in text.splitlines()]
    rows[row][rows[0].index(column)] = value
    return "".join(",".join(cells) + "\n" for cells in rows)


BROKEN = {
    "missing": (lambda text: None, "no such file; give a csv file"),
    "directory": (lambda text: DIRECTORY, "is a directory; give a csv file"),
    "empty": (lambda text: "", "not a csv table (it is empty); give a csv file"),
    "blank": (lambda text: "\n \n\n", "not a csv table (it is empty); give a csv file"),
    "header only": (lambda text: lines(text)[0], "; give"),
    "binary": (lambda text: bytes(range(256)), "binary, or UTF-16"),
    "UTF-16": (lambda text: text.encode("utf-16"), "UTF-16); save it as csv in UTF-8"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "save it as csv in UTF-8"),
    "Latin-1": (lambda text: (text + "\xe9").encode("latin-1"), "is not UTF-8; save the file as csv in UTF-8"),
    "semicolons": (lambda text: text.replace(",", ";"), "separated by ';'; separate them by commas"),
    "tabs": (lambda text: text.replace(",", "\t"), r"separated by '\t'; separate them by commas"),
    "a cell too many": (lambda text: "".join(lines(text)[:2]).rstrip() + ",\n", "line 2 has"),
    "a cell too few": (lambda text: "".join(lines(text)[:2]).rpartition(",")[0] + "\n", "line 2 has"),
    "an open quote": (lambda text: text.replace("\n", '\n"', 1), "not a csv table (unexpected end of data"),
    "a column twice": (lambda text: twice(text), "two columns"),
    "no header": (lambda text: "".join(lines(text)[1:]), ""),
    "a word as header": (lambda text: "x," * lines(text)[0].count(",") + "y\n" + text, ""),
    "a huge cell": (lambda text: change(text, 1, text.splitlines()[0].rpartition(",")[2], "1" * 10**6), "field limit"),
}  # fmt: skip


def twice(text: str) -> str:
    """The first column again at the end."""
    return "".join(f"{line.rstrip()},{line.partition(',')[0]}\n" for line in lines(text))


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", TABLES)
def test_a_file_that_is_no_such_table(run, name, how):
    broken, words = BROKEN[how]
    result = run(READ_BY[name], **{name.replace(".", "_"): broken(FILES[name])})
    assert_refused(result, name, words)
