"""What the import refuses: one line with the file and the fix, exit code 2, and nothing written."""

import json
import re
import sqlite3
import sys
from pathlib import Path

import pytest
import typer
import written_logs as logs
from written_logs import LATER, MATH, SFT

from switchpoint.cli import commands as cli

APP = typer.main.get_command(cli.app)
STEPS = "--compute steps"


def lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def verl(*values: tuple[int, dict]) -> str:
    return lines(*({"step": step, "data": data} for step, data in values))


ACC, TOKENS = "val-core/math/acc/mean@8", "perf/total_num_tokens"
SCORED = verl((0, {ACC: 0.4}), (4, {ACC: 0.5}), (8, {ACC: 0.6}))
OTHER = verl((0, {ACC: 0.4}), (4, {ACC: 0.55}), (8, {ACC: 0.6}))
RISING = verl(*((step, {ACC: 0.4 + step / 100, "cost": 100.0 + step}) for step in range(5)))
LATE = verl(*((step, {ACC: 0.4, "timing_s/step": 20.0 + step % 3}) for step in range(100, 105)))
STATE = logs.trl_sft_state(SFT)
EVALUATED = logs.lm_eval_json(40, {"gsm8k": 0.8})
UNNAMED = EVALUATED.replace("/models/sft_mix/checkpoint-40", "Qwen/Qwen2.5-7B")
CHART = (
    '"Relative Time (Process)","a - val/acc","a - val/acc__MIN","a - val/acc__MAX"\n"0.1","0.4","0.4","0.4"\n'
)
NO_TAGS = lines(
    {"step": 1, "eval_accuracy": 0.5, "loss": 1.0}, {"step": 2, "eval_accuracy": 0.6, "loss": 0.9}
)

REFUSED = {
    "a path that is none": ({}, f"gone.jsonl {STEPS}", "gone.jsonl: no such file or directory; correct the path"),
    "a path twice": ({"a.jsonl": SCORED}, f"a.jsonl ./a.jsonl {STEPS}", "./a.jsonl: is given twice; give it once"),
    "no known format": ({"a.log": "hello\n"}, f"a.log {STEPS}", "a.log: its content is of no known format; give --format"),
    "an empty log": ({"a.log": ""}, f"a.log {STEPS}", "a.log: is empty; give a log that holds something"),
    "wandb's own file": ({"run-1.wandb": ":W&B\0\0"}, f"run-1.wandb {STEPS}", "run-1.wandb: is wandb's own binary file; export its history"),
    "an empty folder": ({"runs/keep": ""}, f"runs {STEPS}", "runs: no trainer_state.json, event files"),
    "half a JSON file": ({"trainer_state.json": STATE[:500]}, f"trainer_state.json {STEPS}", "trainer_state.json: not JSON"),
    "lines in a .json": ({"a.json": SCORED}, f"a.json {STEPS}", "and name a file of lines .jsonl"),
    "another value in half a line": ({"a.jsonl": SCORED.replace("}}\n", "}\n", 1)}, f"a.jsonl {STEPS}", "a.jsonl: line 1: not JSON"),
    "a step that is none": ({"a.jsonl": verl((1.5, {ACC: 0.5}))}, f"a.jsonl {STEPS}", "a.jsonl: line 1: step is 1.5; give a whole number of 0"),
    "no score known": ({"a.jsonl": NO_TAGS}, f"a.jsonl {STEPS}", "a.jsonl: give --score TAG=BENCHMARK; the tags are eval_accuracy, loss"),
    "a tag that is none": ({"a.jsonl": SCORED}, f"a.jsonl --score acc=math {STEPS}", f"a.jsonl: no tag acc; the tags are {ACC}"),
    "fractions of another tag": ({"a.jsonl": NO_TAGS}, f"a.jsonl --score eval_accuracy=math {STEPS}", "a.jsonl: all scores lie within 0..1; if they are fractions give --scale 100"),
    "points as fractions": ({"a.jsonl": SCORED.replace("0.4", "40.0")}, f"a.jsonl {STEPS}", "a.jsonl: line 1, val-core/math/acc/mean@8: score is 4000 points; they go from 0 to 100"),
    "a reward that is no share": ({"a.jsonl": verl((0, {"val-core/math/reward/mean@8": -0.4}))}, f"a.jsonl {STEPS}", "a.jsonl: line 1, val-core/math/reward/mean@8: the reward -0.4 is no share of right answers; give --score-range LOW:HIGH"),
    "no score but NaN": ({"a.jsonl": SCORED.replace("0.4", "NaN").replace("0.5", "NaN").replace("0.6", "NaN")}, f"a.jsonl {STEPS}", "a.jsonl: line 1, val-core/math/acc/mean@8: score is nan; give a finite number"),
    "no loss but NaN": ({"a.jsonl": lines({"step": 1, "eval_loss": float("nan")})}, "a.jsonl", "a.jsonl: line 1, eval_loss: eval_loss is nan; give a positive loss"),
    "no compute": ({"a.jsonl": SCORED}, "a.jsonl", "give the compute in one way: --exaflops TAG or --exaflops-per-step X, or --compute steps"),
    "two computes": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --exaflops-per-step 1", "give the compute in one way"),
    "an axis that is none": ({"a.jsonl": SCORED}, "a.jsonl --compute hours", "--compute hours: is none; give exaflops[:TAG], tokens:TAGxMODEL"),
    "no tag of the axis": ({"a.jsonl": SCORED}, "a.jsonl --compute exaflops:ef", f"a.jsonl: no tag ef for --compute; the tags are {ACC}"),
    "no seconds": ({"a.jsonl": SCORED}, "a.jsonl --compute seconds", "a.jsonl: no tag of seconds is known here; give --compute seconds:TAG"),
    "no model": ({"a.jsonl": SCORED}, "a.jsonl --compute tokens:TOKENSxGPT-9", "model 'GPT-9' is neither a model directory"),
    "no tokens": ({"a.jsonl": SCORED}, "a.jsonl --compute tokens:num_tokens", "--compute tokens:num_tokens: is no tokens:TAGxMODEL; give both"),
    "a GPU of none": ({"a.jsonl": SCORED}, "a.jsonl --compute gpu-hours:H100 --gpus 8", "--compute gpu-hours:H100: is no gpu-hours:PEAKxMFU; give TFLOP/s and a share"),
    "an MFU above 1": ({"a.jsonl": SCORED}, "a.jsonl --compute gpu-hours:989x40 --gpus 8", "--compute gpu-hours:989x40: MFU is 40; give a share above 0, at most 1"),
    "no number of GPUs": ({"a.log": logs.verl_console(MATH)}, "a.log --compute gpu-hours:989x0.4", "--compute gpu-hours needs the number of GPUs; give --gpus N"),
    "per step or cumulative": ({"a.jsonl": RISING}, "a.jsonl --compute seconds:cost", "a.jsonl: cost may be per step or cumulative; give --per-step or --cumulative"),
    "cumulative, and it falls": ({"a.log": logs.verl_console(MATH)}, "a.log --compute seconds:timing_s/step --cumulative", "timing_s/step: it falls; the compute must be what was spent since the start"),
    "both natures": ({"a.jsonl": RISING}, "a.jsonl --compute seconds:cost --cumulative --per-step", "--per-step and --cumulative exclude each other; give one"),
    "a nature of nothing": ({"a.jsonl": RISING}, "a.jsonl --exaflops-per-step 1 --per-step", "--per-step or --cumulative is of the tag of --compute; give it"),
    "a log that begins late": ({"a.jsonl": LATE}, "a.jsonl --compute seconds", "a.jsonl: begins at step 100; give what was logged before, too, as parts with --one-run"),
    "a score after the costs": ({"a.jsonl": RISING + verl((9, {ACC: 0.6}))}, "a.jsonl --compute seconds:cost --per-step", "line 6, val-core/math/acc/mean@8: step 9 has no seconds; log them there"),
    "two units": ({"a.jsonl": RISING, "b.jsonl": OTHER}, "a.jsonl b.jsonl --compute a=steps --compute b=seconds", "--compute: is in seconds and in steps; measure all runs in one unit"),
    "parts that differ": ({"a.jsonl": SCORED, "b.jsonl": OTHER}, f"a.jsonl b.jsonl --one-run {STEPS}", f"a.jsonl has {ACC} = 0.5 at step 4 and b.jsonl has 0.55; import two runs as two"),
    "one name of two runs": ({"a.jsonl": SCORED, "b.jsonl": OTHER}, f"a.jsonl b.jsonl --run r {STEPS}", "--run r: there are 2 runs; leave it out, or join parts with --one-run"),
    "a run in two files": ({"a.csv": logs.wandb_chart_csv({"r": MATH}, ACC, lambda run, step: run.at(step).get("math")), "b.csv": logs.wandb_chart_csv({"r": LATER}, ACC, lambda run, step: run.at(step).get("math"))}, f"a.csv b.csv {STEPS}", "a.csv and b.csv: run r is in both; rename one, or give --one-run"),
    "a run in two tables": ({"a.csv": "run,exaflops,score\nr,0,10\n", "b.csv": "run,exaflops,score\nr,1,20\n"}, "a.csv b.csv", "a.csv and b.csv: run r is in both; rename one, or give --one-run"),
    "a chart without steps": ({"a.csv": CHART}, f"a.csv {STEPS}", "a.csv: its x axis is Relative Time (Process); export the chart with Step"),
    "a database of others": ({"a.db": "SQLite format 3\0"}, f"a.db {STEPS}", "a.db: no project of trackio's"),
    "an evaluation without a step": ({"results.json": UNNAMED}, f"results.json {STEPS}", "results.json: no step in its path or model 'Qwen/Qwen2.5-7B'; give --step results.json=N"),
    "evaluations that differ": ({"e/results_1.json": EVALUATED, "e/results_2.json": EVALUATED.replace("0.8", "0.7")}, f"e {STEPS}", "e/results_1.json has gsm8k/exact_match,none = 0.8 at step 40 and e/results_2.json has 0.7"),
    "an option of no run": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --seed b=1", "--seed b=..: there is no such run; the runs are a"),
    "a parent without a step": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --parent sft_mix", "--parent a=sft_mix: is not imported; give its step, sft_mix@STEP"),
    "a parent's step that is none": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --parent sft_mix@last", "--parent a=sft_mix@last: 'last' is no step; give PARENT@STEP"),
    "a run of itself": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --parent a=a@4", "--parent a=a@4: is the run itself; name what it starts from"),
    "one seed twice": ({"a.jsonl": SCORED, "b.jsonl": OTHER}, f"a.jsonl b.jsonl {STEPS} --seed a=1 --seed b=1", "a and b start alike with seed 1; give one --seed RUN=N or --parent"),
    "half a seed": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --seed a=0.5", "--seed a=0.5: give a whole number"),
    "a phase that is none": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --phase a=grpo", "--phase grpo: is none; give base, sft or rl"),
    "a parent of SFT": ({"trainer_state.json": STATE}, f"trainer_state.json {STEPS} --run s --parent s=base", "--parent s=..: it is of phase sft, not RL; leave it out, or give --phase s=rl"),
    "GPUs of no hours": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --gpus 8", "--gpus is of --compute gpu-hours:..; leave it out"),
    "a step of no file": ({"results.json": EVALUATED}, f"results.json {STEPS} --step b.json=4", "--step b.json=..: no such file; name it as the path is given"),
    "tables that differ": ({"a.csv": "run,exaflops,score\nr,0,10\n", "b.csv": "run,exaflops,score\nr,0,20\n"}, "a.csv b.csv --one-run", "a.csv: line 2, run r: the score is 10 and b.csv: line 2, run r: it is 20; keep one"),
    "weights of none": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --weights aime=30", "--weights aime=..: there is no such benchmark, but math"),
    "an old import": ({"a.jsonl": SCORED, "out/runs.csv": "run\n"}, f"a.jsonl {STEPS}", "--out out: runs.csv is there; name another folder, or give --force"),
    "an option of another format": ({"a.jsonl": SCORED}, f"a.jsonl {STEPS} --column exaflops=x", "--column has no meaning with --format verl; leave it out"),
}  # fmt: skip


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """A function that runs an import of files and returns what it says, when that is a refusal as it should be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", APP)

    def call(files: dict[str, str], arguments: str, out: str = "out") -> str:
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(text.encode())
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        monkeypatch.setattr(sys, "argv", ["switchpoint", "import", *arguments.split(), "--out", out])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        shown = capsys.readouterr()
        assert (ended.value.code, shown.out) == (2, ""), shown
        assert shown.err.startswith("error: ")
        assert shown.err.count("\n") == 1
        assert len(shown.err) < 500
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        return shown.err

    return call


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_input_is_one_line(refused, name):
    files, arguments, words = REFUSED[name]
    said = refused(files, arguments)
    assert words in said
    assert re.search("; |: give |give the compute in one way|there is no such|nor a bundled name", said)


def test_there_are_many():
    assert len(REFUSED) > 45


def test_damaged_rows_of_trackio(refused, tmp_path):
    path = tmp_path / "a.db"
    for text, words in {"{": "is damaged", "[1]": "is no object of tags and values"}.items():
        logs.write_trackio(path, {"a": MATH})
        connection = sqlite3.connect(path)
        connection.execute("UPDATE metrics SET metrics = ? WHERE id = 3", (text,))
        connection.commit()
        connection.close()
        assert f"a.db: metrics 3: {words}" in refused({}, f"a.db {STEPS}")
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE metrics")
    connection.commit()
    connection.close()
    assert "a.db: no project of trackio's (no such table: metrics)" in refused({}, f"a.db {STEPS}")


def test_the_csv_alone_needs_a_start(refused):
    later = verl((4, {ACC: 0.5}), (8, {ACC: 0.6}))
    said = refused({"a.jsonl": later}, f"a.jsonl {STEPS}", "out.csv")
    assert "run a: no start; " in said
    assert "give --p-start" in said
