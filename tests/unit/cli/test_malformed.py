"""Files that people get wrong: every one ends with one line that names the file, the place and the fix."""

import json
import os
import subprocess
import sys

import pytest
import typer

from switchpoint.cli import commands as cli

APP = typer.main.get_command(cli.app)  # built once, not for every call

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
    monkeypatch.setattr(cli, "app", APP)

    def call(command: str, *options: str, **replaced):
        for name, content in {
            **FILES,
            **{key.replace("_", "."): value for key, value in replaced.items()},
        }.items():
            path = tmp_path / name
            if content is DIRECTORY:
                path.mkdir()
            elif content is not None:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        (tmp_path / "out.json").unlink(missing_ok=True)  # of another command, perhaps
        monkeypatch.setattr(sys, "argv", ["switchpoint", *COMMANDS[command].split(), *options])
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
    "UTF-16": (lambda text: text.encode("utf-16"), "UTF-16; save the csv file as UTF-8"),
    "UTF-16 without a mark": (lambda text: text.encode("utf-16-le"), "save the csv file as UTF-8"),
    "Latin-1": (lambda text: (text + "\xe9").encode("latin-1"), "is not UTF-8; save the csv file as UTF-8"),
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


CELLS = [
    # file, row, column, cell, words
    ("points.csv", 3, "run", "", "row 3 (line 4, run nan): run is nan; name the run"),
    ("points.csv", 3, "run", '"a\nb"', "row 3 (line 4, run a b): run is 'a\\nb'; write the name on one line"),
    ("points.csv", 3, "exaflops", "-1", "row 3 (line 4, run a): exaflops is -1; give the compute"),
    ("points.csv", 3, "exaflops", "2", "row 3 (line 4, run a): exaflops is 2; its run has a point there already"),
    ("points.csv", 3, "exaflops", "inf", "row 3 (line 4, run a): exaflops is inf; give a finite number"),
    ("points.csv", 3, "exaflops", "1e999", "row 3 (line 4, run a): exaflops is inf; give a finite number"),
    ("points.csv", 3, "exaflops", "", "row 3 (line 4, run a): exaflops is nan; give a finite number"),
    ("points.csv", 3, "exaflops", "3 EF", "row 3 (line 4, run a): exaflops is '3 EF'; give a finite number"),
    ("points.csv", 3, "exaflops", "1_000", "row 3 (line 4, run a): exaflops is '1_000'; give a finite number"),
    ("points.csv", 3, "exaflops", "9" * 9999, f"row 3 (line 4, run a): exaflops is '{'9' * 59}...; give a finite"),
    ("points.csv", 3, "score", "100.5", "row 3 (line 4, run a): score is 100.5; give points from 0 to 100"),
    ("points.csv", 3, "score", "-0.5", "row 3 (line 4, run a): score is -0.5; give points from 0 to 100"),
    ("points.csv", 3, "score", "nan", "row 3 (line 4, run a): score is nan; give a finite number"),
    ("points.csv", 3, "score", "NaN", "row 3 (line 4, run a): score is nan; give a finite number"),
    ("points.csv", 3, "score", "True", "row 3 (line 4, run a): score is 'True'; give a finite number"),
    ("points.csv", 3, "score", "55 %", "row 3 (line 4, run a): score is '55 %'; write the numbers without %"),
    ("points.csv", 3, "p_start", "31", "row 3 (line 4, run a): p_start is 31; its run began with another"),
    ("points.csv", 3, "p_start", "130", "row 3 (line 4, run a): p_start is 130; give points from 0 to 100"),
    ("points.csv", 3, "p_start", "low", "row 3 (line 4, run a): p_start is 'low'; give points from 0 to 100"),
    ("points.csv", 1, "exaflops", "0", "row 1 (line 2, run a): p_start is 30; the run's row at exaflops 0 scores other"),
    ("asked.csv", 1, "run", "q", "row 1 (line 2, run q): run is 'q'; the points have a"),
    ("asked.csv", 1, "exaflops", "-3", "row 1 (line 2, run a): exaflops is -3; give the compute"),
    ("asked.csv", 1, "exaflops", "late", "row 1 (line 2, run a): exaflops is 'late'; give a finite number"),
    ("settings.csv", 1, "run", "q", "row 1 (line 2, run q): run is 'q'; the points have a"),
    ("settings.csv", 1, "alpha", "2", "row 1 (line 2, run a): alpha is 2; give a share from 0.5 to 1"),
    ("losses.csv", 2, "run", " ", "row 2 (line 3, run nan): run is nan; name the run"),
    ("losses.csv", 2, "step", "0", "row 2 (line 3, run a): step is 0; its run has this step already"),
    ("losses.csv", 2, "step", "10.5", "row 2 (line 3, run a): step is 10.5; give a whole number of 0 or more"),
    ("losses.csv", 2, "step", "-1", "row 2 (line 3, run a): step is -1; give a whole number"),
    ("losses.csv", 2, "step", "1e30", "row 2 (line 3, run a): step is 1e+30; give a whole number"),
    ("losses.csv", 2, "step", "ten", "row 2 (line 3, run a): step is 'ten'; give a finite number"),
    ("losses.csv", 2, "loss", "0", "row 2 (line 3, run a): loss is 0.0; give the validation loss, a positive number"),
    ("losses.csv", 2, "loss", "-0.5", "row 2 (line 3, run a): loss is -0.5; give the validation loss"),
    ("losses.csv", 2, "loss", "inf", "row 2 (line 3, run a): loss is inf; give a finite number, or none"),
    ("losses.csv", 2, "loss", "low", "row 2 (line 3, run a): loss is 'low'; give a finite number, or none"),
    ("losses.csv", 2, "loss", "0.7", "row 2 (line 3, run a): loss is 0.7; its examples' token mean is 0.5"),
    ("examples.csv", 2, "example", "", "row 2 (line 3, run a): example is nan; name the validation example"),
    ("examples.csv", 2, "step", "0", "row 2 (line 3, run a): example is 'e'; its step has this example already"),
    ("examples.csv", 2, "step", "11", "row 2 (line 3, run a): step is 11; the losses have no such step"),
    ("examples.csv", 2, "nll", "-1", "row 2 (line 3, run a): nll is -1.0; give the summed negative log-likelihood"),
    ("examples.csv", 2, "tokens", "0", "row 2 (line 3, run a): tokens is 0; give the number of scored tokens"),
    ("models.csv", 2, "model", "m1", "row 2 (line 3, model m1): model is 'm1'; it has a row already; keep one"),
    ("models.csv", 2, "model", "", "row 2 (line 3, model nan): model is nan; name the model"),
    ("models.csv", 2, "set", "", "row 2 (line 3, model m2): set is nan; name it in every row"),
    ("models.csv", 2, "pass_8", "166", "row 2 (line 3, model m2): pass_8 is 166; give points from 0 to 100"),
    ("models.csv", 2, "pass_1", "", "row 2 (line 3, model m2): pass_1 is nan; give a finite number"),
    ("models.csv", 2, "val_loss", "0", "row 2 (line 3, model m2): val_loss is 0.0; give the validation loss"),
    ("models.csv", 2, "rl_score", "164", "row 2 (line 3, model m2): rl_score is 164.0; give points from 0 to 100, or"),
    ("models.csv", 2, "rl_score", "soon", "row 2 (line 3, model m2): rl_score is 'soon'; give points from 0 to 100"),
    ("models.csv", 2, "exaflops", "-2", "row 2 (line 3, model m2): exaflops is -2; give the compute, 0 or more"),
    ("curves.csv", 2, "benchmark", "", "row 2 (line 3, run rl/grpo/a-20/seed_0): benchmark is nan; name the benchmark"),
    ("curves.csv", 2, "phase", "RL", "row 2 (line 3, run rl/grpo/a-20/seed_0): phase is 'RL'; give base, sft or rl"),
    ("curves.csv", 2, "phase", "", "row 2 (line 3, run rl/grpo/a-20/seed_0): phase is nan; give base, sft or rl"),
    ("curves.csv", 2, "step", "two", "row 2 (line 3, run rl/grpo/a-20/seed_0): step is 'two'; give the training step"),
    ("curves.csv", 3, "exaflops", "0.1", "row 3 (line 4, run rl/grpo/a-20/seed_0): exaflops is 0.1; its run had spent more"),
    ("curves.csv", 2, "exaflops", "-1", "row 2 (line 3, run rl/grpo/a-20/seed_0): exaflops is -1.0; give the compute"),
    ("curves.csv", 2, "score", "160", "row 2 (line 3, run rl/grpo/a-20/seed_0): score is 160.0; give points"),
    ("curves.csv", 2, "se", "-1", "row 2 (line 3, run rl/grpo/a-20/seed_0): se is -1.0; give a number of 0 or more"),
    ("curves.csv", 2, "se", "2e308", "row 2 (line 3, run rl/grpo/a-20/seed_0): se is inf; give a number of 0 or more"),
    ("curves.csv", 2, "run", "rl/x", "row 2 (line 3, run rl/x): run is 'rl/x'; give its row in runs"),
    ("runs.csv", 1, "algorithm", "", "row 1 (line 2, run rl/grpo/a-20/seed_0): algorithm is nan; name the RL algorithm"),
    ("runs.csv", 1, "parent", "", "row 1 (line 2, run rl/grpo/a-20/seed_0): parent is nan; name the SFT run, or base"),
    ("runs.csv", 1, "set", "", "row 1 (line 2, run rl/grpo/a-20/seed_0): set is nan; name the SFT set"),
    ("runs.csv", 1, "seed", "", "row 1 (line 2, run rl/grpo/a-20/seed_0): seed is nan; number the runs of a start"),
    ("runs.csv", 1, "status", "", "row 1 (line 2, run rl/grpo/a-20/seed_0): status is nan; say how it ended"),
    ("runs.csv", 1, "start_step", "2.5", "row 1 (line 2, run rl/grpo/a-20/seed_0): start_step is 2.5; give the checkpoint"),
    ("runs.csv", 1, "start_step", "-1", "row 1 (line 2, run rl/grpo/a-20/seed_0): start_step is -1"),
    ("runs.csv", 1, "sft_exaflops", "-1", "row 1 (line 2, run rl/grpo/a-20/seed_0): sft_exaflops is -1.0; give"),
    ("runs.csv", 1, "sft_exaflops", "x", "row 1 (line 2, run rl/grpo/a-20/seed_0): sft_exaflops is 'x'; give a finite"),
    ("lengths.csv", 2, "length", "0", "row 2 (line 3): length is 0; give tokens, more than 0"),
    ("lengths.csv", 2, "length", "1e308", "row 2 (line 3): length is 1e+308; give tokens, more than 0"),
    ("lengths.csv", 2, "count", "-1", "row 2 (line 3): count is -1; give a number of sequences"),
    ("lengths.csv", 2, "count", "many", "row 2 (line 3): count is 'many'; give a finite number"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row", "column", "cell", "words"), CELLS, ids=[f"{c[0]}-{c[2]}-{c[3][:9]}" for c in CELLS]
)
def test_a_bad_cell_is_named(run, name, row, column, cell, words):
    result = run(READ_BY[name], **{name.replace(".", "_"): change(FILES[name], row, column, cell)})
    assert_refused(result, f"{name}: {words}")


def without(text: str, *columns: str) -> str:
    """The csv text without some columns."""
    rows = [line.split(",") for line in text.splitlines()]
    kept = [place for place, name in enumerate(rows[0]) if name not in columns]
    return "".join(",".join(cells[place] for place in kept) + "\n" for cells in rows)


def divided(text: str, *columns: str) -> str:
    """The csv text with the numbers of some columns divided by 100."""
    for column in columns:
        for row, cells in enumerate(lines(text)[1:], 1):
            cell = cells.rstrip("\n").split(",")[lines(text)[0].strip().split(",").index(column)]
            text = change(text, row, column, f"{float(cell) / 100:g}") if cell else text
    return text


WHOLE = [
    ("fit", "points.csv", divided(POINTS, "score", "p_start"), "row 1 (line 2, run a): score is 0.4; no score is above 1, "
     "as if they were fractions; multiply them all by 100, and a p_start too"),
    ("fit", "points.csv", POINTS + divided(POINTS, "score", "p_start").replace("a,", "b,").partition("\n")[2],
     "row 7 (line 8, run b): score is 0.4; no score is above 1"),
    ("fit", "points.csv", without(POINTS, "p_start"), "run a: no start; add its row at exaflops 0, or p_start to its rows"),
    ("fit", "points.csv", POINTS.replace(",30\n", ",\n"), "run a: no start; add its row at exaflops 0"),
    ("fit", "points.csv", POINTS.replace("a,3,55", 'a,3,"5,5"'), "row 3 (line 4, run a): score is '5,5'; write 30,5 as 30.5"),
    ("fit", "points.csv", POINTS.replace("a,3,55", "a,3,5,5"), "line 4 has 5 cells and the header 4; write 1,000 as 1000"),
    ("fit", "points.csv", POINTS.replace("a,3", '"a\n",3').replace("a,4,57", "a,4,-57"), "row 4 (line 6, run a): score is -57"),
    ("fit", "points.csv", "\n" + POINTS.replace("a,4,57", "\n\na,4,-57"), "row 4 (line 8, run a): score is -57"),
    ("fit", "points.csv", "step," + POINTS.replace("a,", "5,a,").replace("5,a,2", "9,a,2"),
     "row 2 (line 3, run a): exaflops is 2; its run had spent more by an earlier step; mend one"),
    ("phases", "losses.csv", LOSSES.replace("b,0,0.9\nb,10,0.4", "b,0,\nb,10,nan"), "no step of the run has a loss; add one"),
    ("phases", "losses.csv", LOSSES + "c,0,0.9\n", "row 6 (line 7, run c): step is 0; the examples have no row of it; add them"),
    ("phases", "examples.csv", FILES["examples.csv"] + "a,0,f,0.9,1\n", "other steps have; give the same examples"),
    ("predict", "models.csv", divided(MODELS, "pass_1", "pass_8"), "row 1 (line 2, model m1): pass_8 is 0.6; no score is above 1"),
    ("predict", "models.csv", divided(MODELS, "rl_score"), "row 1 (line 2, model m1): rl_score is 0.61; no score is above 1"),
    ("advise", "curves.csv", CURVES.replace("overall", "math"), "no rows of benchmark 'overall'; there are math: make it by `switchpoint import` again with --weights math=PROBLEMS"),
    ("advise", "runs.csv", RUNS.replace("finished", "done"), "status is 'done'; give finished, exhausted, diverged, running"),
    ("advise", "runs.csv", RUNS.replace("sft/a/seed_0", "rl/grpo/a-20/seed_0"), "runs cannot start from each other; mend one"),
    ("advise", "curves.csv", divided(CURVES, "score"), "score is 0.56; no score is above 1"),
    ("advise", "curves.csv", CURVES.replace("grpo", "dapo"), "run is 'rl/dapo/a-20/seed_0'; give its row in runs"),
    ("advise", "runs.csv", RUNS + lines(RUNS)[1], "row 3 (line 4, run rl/grpo/a-20/seed_0): run is "),
    ("advise", "runs.csv", without(RUNS, "parent", "seed"), "no column parent, seed; it needs run, parent, set"),
    ("flops", "lengths.csv", "length,count\n100,0\n", "no sequences; give a length with a count above 0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "name", "text", "words"), WHOLE, ids=[f"{c[0]}-{c[3][-40:]}" for c in WHOLE]
)
def test_a_table_that_makes_no_sense(run, command, name, text, words):
    assert_refused(run(command, **{name.replace(".", "_"): text}), name, words)


def test_models_without_a_predictor(run):
    assert_refused(
        run("rank", models_csv=without(MODELS, "pass_1", "pass_8")), "models: no pass_<k> to rank by"
    )
    nothing = without(MODELS, "pass_1", "pass_8", "val_loss")
    assert_refused(
        run("predict", models_csv=nothing), "models: no predictor; give columns pass_<k> or val_loss"
    )


BAD_RECORDS = {
    "missing": (None, "no such file; "),
    "directory": (DIRECTORY, "is a directory; "),
    "empty": ("", "Invalid JSON"),
    "binary": (bytes(range(256)), "Invalid JSON"),
    "UTF-16": ("{}".encode("utf-16"), "Invalid JSON"),
    "cut": ('{"runs": {', "Invalid JSON"),
    "csv": (POINTS, "Invalid JSON"),
    "list": ("[]", "Input should be an object"),
    "nothing": ("{}", "Field required"),
    "null": ("null", "Input should be an object"),
    "deep": ("[" * 100_000, "recursion limit"),
}


@pytest.mark.parametrize("how", BAD_RECORDS)
@pytest.mark.parametrize("name", RECORDS)
def test_a_file_that_is_no_record(run, name, how):
    content, words = BAD_RECORDS[how]
    assert_refused(run("advise", **{name.replace(".", "_"): content}), name, words, "give what `switchpoint")


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("other", RECORDS)
def test_a_record_of_another_command_is_refused(run, name, other):
    result = run("advise", **{name.replace(".", "_"): FILES[other]})
    if name == other:
        assert result[0] == 0
    else:
        assert_refused(result, name, "Field required; give what `switchpoint")


@pytest.mark.parametrize(
    ("command", "options", "words"),
    [
        ("fit", ["--benchmark", "math"], "no rows of benchmark 'math'"),
        ("fit", ["--settings", "settings.csv"], "leave them out or choose 'paper'"),
        ("rank", ["--k", "64"], "no pass_64 to rank by; the columns with k above 1 are: pass_8"),
        ("predict", ["--calibration", "1.5"], "calibration as a share between 0 and 1"),
        ("advise", ["--reference", "rl/x"], "reference rl/x: no RL run of this name; there are rl/grpo"),
    ],
)
def test_a_wrong_option_is_named(run, command, options, words):
    points = (
        POINTS.replace("\n", ",b\n").replace("p_start,b", "p_start,benchmark")
        if "math" in options
        else POINTS
    )
    assert_refused(run(command, *options, points_csv=points), words)


def test_a_choice_that_there_is_not(run):
    assert_refused(
        run("fit", "--method", "best"), "--method': 'best' is not one of 'default', 'paper', 'scalerl'; "
    )
    assert_refused(run("fit", "--nope"), "No such option: --nope; ")
    assert_refused(run("rank", "--k"), "--k", "requires an argument; ")


# --- what is odd but right gives the same result


def spaced(text: str) -> str:
    """Spaces around every cell."""
    return "".join(" , ".join(line.rstrip("\n").split(",")) + " \n" for line in lines(text))


ODD = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "no last line break": lambda text: text.rstrip("\n"),
    "blank lines": lambda text: "\n" + text.replace("\n", "\n\n \n"),
    "rows reversed": lambda text: lines(text)[0] + "".join(reversed(lines(text)[1:])),
    "columns reversed": lambda text: "".join(
        ",".join(reversed(line.rstrip("\n").split(","))) + "\n" for line in lines(text)
    ),
    "an unnamed index": lambda text: "".join(f"{row or ''},{line}" for row, line in enumerate(lines(text))),
    "quotes": lambda text: "".join(
        ",".join(f'"{cell}"' for cell in line.rstrip("\n").split(",")) + "\n" for line in lines(text)
    ),
    "spaces": spaced,
    "a note with a line break": lambda text: "".join(
        line.rstrip("\n") + (',"a\n, note"\n' if row else ",note\n") for row, line in enumerate(lines(text))
    ),
}


def result_of(found: tuple) -> object:
    """What must not depend on the form of the file; a list by model is in the order of the rows."""
    code, out, err, record = found
    assert (code, err) == (0, "")
    if record is None:
        return out
    record.pop("ignored_columns", None)
    for key in ("models", "runs"):
        if isinstance(record.get(key), list):
            record[key] = sorted(record[key], key=json.dumps)
    return record


@pytest.mark.parametrize("command", ["fit", "phases", "rank", "predict", "advise", "flops"])
def test_an_odd_form_gives_the_same_result(run, command):
    plain = result_of(run(command))
    for how, odd in ODD.items():
        files = {name.replace(".", "_"): odd(FILES[name]) for name in TABLES if name != "settings.csv"}
        assert result_of(run(command, **files)) == plain, how


def test_whole_scores_are_scores(run):
    whole = POINTS.replace("58.5", "59")
    assert run("fit", points_csv=whole)[3] == run("fit", points_csv=whole.replace(",30\n", ",30.0\n"))[3]


def test_names_stay_as_they_are_written(run):
    names = ["1", "1.0", "007", "1e3", "NA", "nan", "True", "é"]
    rows = [f"{name},{x},{y},30\n" for name in names for x, y in enumerate(SCORES, 1)]
    record = run("fit", points_csv=lines(POINTS)[0] + "".join(rows), asked_csv="run,exaflops\n1.0,9\n")[3]
    assert list(record["runs"]) == names
    assert [len(fit["predictions"]) for fit in record["runs"].values()] == [0, 1, 0, 0, 0, 0, 0, 0]
    losses = "run,step,loss\n1,0,0.9\n1.0,0,0.8\n"
    examples = "run,step,example,nll,tokens\n1,0,01,0.9,1\n1.0,0,1,0.8,1\n"
    assert list(run("phases", losses_csv=losses, examples_csv=examples)[3]["runs"]) == ["1", "1.0"]
    ranked = run("rank", models_csv="model,pass_8\n1,50\n1.0,60\n")[3]
    assert [model["model"] for model in ranked["models"]] == ["1.0", "1"]


def test_what_is_left_out_is_counted(run):
    record = run("phases", losses_csv=LOSSES + "a,30,\nb,20,NaN\n")[3]
    assert [(found["n_excluded"], found["excluded"]) for found in record["runs"].values()] == [
        (1, [30]),
        (1, [20]),
    ]
    assert run("rank")[3]["ignored_columns"] == []
    assert run("rank", models_csv=MODELS.replace("val_loss", "valloss"))[3]["ignored_columns"] == ["valloss"]
    record = run("advise", fits_json='{"runs": {}}')[3]
    runs = "rl/grpo/a-20/seed_0, rl/grpo/a-30/seed_0"
    assert f"Not among the fits, and so without a ceiling: {runs}." in record["reasons"]


def test_too_few_points_or_calibration_runs_give_a_verdict(run):
    code, _, _, record = run("fit", points_csv="".join(lines(POINTS)[:2]))
    assert (code, record["runs"]["a"]["status"]) == (0, "unidentified")
    assert record["runs"]["a"]["reason"] == "1 point, fewer than 8"
    code, out, _, record = run("predict", models_csv=MODELS.replace("0.5,61", "0.5,"))
    assert (code, record["verdict"]) == (0, "undefined: 2 calibration models, fewer than 3")
    assert "undefined: 2 calibration models, fewer than 3; run RL on more of the models." in out


def test_a_point_far_out_is_fitted(run):
    far = change(POINTS, 6, "exaflops", "6e20")
    for command in ("fit", "paper"):
        assert run(command, points_csv=far)[0] == 0


def test_a_weak_model_may_score_below_one_point(run):
    weak = CURVES.replace("a-20/seed_0,rl,0,0.0,overall,56.0", "a-20/seed_0,rl,0,0.0,overall,0.5")
    assert "0.5,0.5" in weak
    assert run("advise", curves_csv=weak)[0] == 0


def test_names_that_the_terminal_lacks(tmp_path):
    """They are printed as escapes, and square brackets as they are; drawing them warns of nothing."""
    name = "[bold]x :smile: 学 🚀"
    (tmp_path / "points.csv").write_text(POINTS.replace("a,", f"{name},"), encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    for command in (["fit", "points.csv"], ["report", "points.csv", "--out", "page.html"]):
        words = [sys.executable, "-m", "switchpoint", *command]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        if command[0] == "fit":
            assert "[bold]x :smile:" in done.stdout
            assert "\\U0001f680" in done.stdout
