"""Logs as testers have brought them: names with odd characters, rewards of any range, groups of tasks, charts with holes."""

import json
import re
import shlex
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from switchpoint.cli.commands import app
from switchpoint.errors import InputError

CURVE = [0.3, 0.4, 0.5, 0.55, 0.6]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def imported(command: str | list[str]) -> dict:
    words = shlex.split(command) if isinstance(command, str) else command
    result = CliRunner().invoke(app, ["import", *words, "--force"], catch_exceptions=False)
    return json.loads(result.output)


def refusal(command: str) -> str:
    with pytest.raises(InputError) as refused:
        imported(command)
    return str(refused.value)


def scores(folder: str = "out") -> dict[str, list[float]]:
    table = pd.read_csv(f"{folder}/curves.csv").query("benchmark == 'overall'")
    return {run: rows["score"].tolist() for run, rows in table.groupby("run", sort=False)}


def trl(path: str, *records: dict) -> str:
    Path(path).mkdir(parents=True, exist_ok=True)
    Path(path, "trainer_state.json").write_text(json.dumps({"log_history": list(records)}))
    return path


def chart(path: str, *runs: str, ends: bool = False) -> str:
    """A chart's export of val/acc; with ``ends`` __MIN and __MAX are filled in where the step is 20 alone."""
    columns = [f"{run} - val/acc{end}" for run in runs for end in ("", "__MIN", "__MAX")]
    table = {"Step": range(0, 50, 10)} | dict.fromkeys(columns, "")
    table |= {f"{run} - val/acc": CURVE for run in runs}
    if ends:
        table |= {f"{runs[0]} - val/acc__{end}": ["", "", 0.4, "", ""] for end in ("MIN", "MAX")}
    pd.DataFrame(table).to_csv(path, index=False)
    return path


NAMES = ["sft lr=1e-5", "rl lr=1e-6 (a)", "rl lr=1e-6=b's", '$(rm) `x` "y" & ü', "plain"]


def test_what_is_printed_for_pasting_works_as_it_is():
    """Every option among the sentences, whatever the names hold."""
    base = f"{chart('chart.csv', *NAMES)} --score val/acc=x --scale 100 --compute steps --out out"
    fixes = []
    for sentence in imported(base)["said"]:
        for found in re.finditer(
            r"--(?:phase|parent|algorithm|sft-compute) (?:\S*'.*'|\S+)(?= corrects|\.$)", sentence
        ):
            option, text, *more = shlex.split(found[0])
            assert more == []
            fixes.append((option, text))
    assert [option for option, _ in fixes].count("--parent") == len(
        NAMES
    ) - 1  # the first is SFT, by its name
    sft = f"{NAMES[0]}=sft"
    told = {"PARENT@STEP": f"{NAMES[0]}@20", "NAME": "dapo (lr=1)", "=X": "=2"}
    options = ["--phase", sft]
    for option, text in fixes:
        if option != "--phase" and not text.startswith(f"{NAMES[0]}="):
            for old, new in told.items():
                text = text.replace(old, new) if text.endswith(old) else text
            options += [option, text]
    for number, name in enumerate(NAMES[1:]):
        options += ["--seed", f"{name}={number}"]
    imported([*shlex.split(base), *options])
    runs = pd.read_csv("out/runs.csv").set_index("run")
    assert set(runs.loc[NAMES[1:], "parent"]) == {NAMES[0]}
    assert set(runs.loc[NAMES[1:], "start_step"]) == {20}
    assert set(runs.loc[NAMES[1:], "algorithm"]) == {"dapo (lr=1)"}


def test_a_parent_of_all_runs_may_have_an_equals_sign():
    base = f"{chart('chart.csv', *NAMES[:2])} --score val/acc=x --scale 100 --compute steps --out out"
    imported([*shlex.split(base), "--phase", f"{NAMES[0]}=sft", "--parent", f"{NAMES[1]}={NAMES[0]}@10"])
    one = pd.read_csv("out/runs.csv")
    imported(f"{base} --phase '{NAMES[0]}=sft' --algorithm '{NAMES[1]}=grpo' --parent '{NAMES[0]}'")
    assert pd.read_csv("out/runs.csv")["parent"].tolist() == one["parent"].tolist() == ["base", NAMES[0]]
    assert "--parent c lr=..: there is no such run; the runs are" in refusal(f"{base} --parent 'c lr=1'")
    twice = f"--parent '{NAMES[1]}=base' --parent '{NAMES[1]}={NAMES[0]}@10'"
    assert f"--parent {NAMES[1]}=..: is given twice" in refusal(f"{base} --phase '{NAMES[0]}=sft' {twice}")


def test_a_start_is_found_by_the_name_of_its_run():
    """Names and benchmarks may have colons."""
    table = "run,step,score\n" + "".join(
        f"{run},{step},{40 + step}\n" for run in ("a:b", "c") for step in (1, 2, 3)
    )
    Path("t.csv").write_text(table.replace("score", "pass@1:4").replace("run,step", "run,step"))
    options = "--score pass@1:4=p@1:4 --compute steps --out out"
    imported(f"t.csv {options} --p-start a:b:p@1:4=30 --p-start c:p@1:4=20")
    assert {run: values[0] for run, values in scores().items()} == {"a:b": 30, "c": 20}


def test_a_column_may_have_an_equals_sign():
    Path("t.csv").write_text("run,step,acc (lr=1)\na,0,30\na,1,40\n")
    imported("t.csv --column 'score=acc (lr=1)' --compute steps --out out")
    assert scores() == {"a": [30, 40]}


# ---- evaluations


def harness(step: int, results: dict, numbers: dict, **more) -> None:
    document = {
        "results": results,
        "n-samples": {name: {"effective": n} for name, n in numbers.items()},
        "versions": {},
    }
    document |= {"config": {"model_args": f"pretrained=m/run/checkpoint-{step}"}} | more
    Path(f"e/checkpoint-{step}").mkdir(parents=True)
    Path(f"e/checkpoint-{step}/results_1.json").write_text(json.dumps(document))


def test_the_instructions_of_ifeval_are_more_than_its_prompts():
    metrics = {"prompt_level_strict_acc,none": 0.3, "inst_level_strict_acc,none": 0.4}
    harness(10, {"ifeval": {"alias": "ifeval", **metrics}}, {"ifeval": 541})
    said = imported("e --compute steps --out out")["said"]
    table = pd.read_csv("out/curves.csv").set_index("benchmark")["n"]
    assert table["ifeval/prompt_level_strict_acc,none"] == 541
    assert pd.isna(table["ifeval/inst_level_strict_acc,none"])
    [fix] = [text for text in said if "--weights" in text]
    assert "give --weights ifeval/prompt_level_strict_acc,none=541; one metric a task, of ifeval (" in fix


@pytest.mark.parametrize("listed", [False, True])
def test_a_group_and_its_tasks_are_not_both_counted(listed):
    results = {
        "gsm8k": {"alias": "gsm8k", "exact_match,strict": 0.2, "exact_match,loose": 0.3},
        "mmlu": {"alias": "mmlu", "acc,none": 0.5},
        "mmlu_stem": {"alias": " - stem", "acc,none": 0.45},
        "algebra": {"alias": "  - algebra", "acc,none": 0.4},
        "physics": {"alias": "  - physics", "acc,none": 0.5},
    }
    more = (
        {"group_subtasks": {"mmlu": ["mmlu_stem"], "mmlu_stem": ["algebra", "physics"], "gsm8k": []}}
        if listed
        else {}
    )
    if listed:
        results = {name: metrics | {"alias": name} for name, metrics in results.items()}
    harness(
        10, results, {"gsm8k": 1319, "algebra": 100, "physics": 50, "mmlu": 150, "mmlu_stem": 150}, **more
    )
    said = imported("e --compute steps --out out")["said"]
    [fix] = [text for text in said if "--weights" in text]
    given = shlex.split(fix.partition("give ")[2].partition(";")[0])
    assert given[1::2] == ["gsm8k/exact_match,strict=1319", "algebra=100", "physics=50"]
    imported(["e", "--compute", "steps", "--out", "out", *given])
    assert scores() == {"run": [pytest.approx((20 * 1319 + 40 * 100 + 50 * 50) / 1469)]}


def test_two_validation_losses_and_no_score():
    path = trl("sft", *({"step": step, "eval_a_loss": 1.0 - step / 9, "eval_b_loss": 2.0} for step in (1, 2)))
    said = refusal(f"{path} --out out")
    assert said.startswith("sft: give --loss TAG, of eval_a_loss, eval_b_loss, or --score TAG=BENCHMARK; ")
    imported(f"{path} --loss eval_a_loss --out out")


def test_tags_that_look_like_scores_are_named_where_none_is_known():
    records = [{"step": step, "eval_loss": 1.0, "eval_accuracy": 0.5, "lr": 1e-5, "b": 1} for step in (1, 2)]
    said = imported(f"{trl('sft', *records)} --out out")["said"]
    assert "There is no curves.csv: no scores are known in the logs." in said
    assert "Not used, and taken by --score TAG=BENCHMARK: eval_accuracy." in said
    for record in records:
        del record["eval_loss"]
    assert "the tags are eval_accuracy, b, lr" in refusal(f"{trl('x', *records)} --out out")


# ---- rewards and other scores


def verl(path: str, tag: str, values: list[float]) -> str:
    lines = [json.dumps({"step": step, "data": {tag: value}}) for step, value in enumerate(values)]
    Path(path).write_text("\n".join(lines) + "\n")
    return path


def test_rewards_of_another_range_are_refused_until_it_is_given():
    reward = verl("a.jsonl", "val-core/m/reward/mean@1", [-0.4, 0.0, 0.4])
    asked = "give --score-range LOW:HIGH"
    assert asked in refusal(f"{reward} --compute steps --out out")
    said = imported(f"{reward} --compute steps --score-range -1:1 --out out")["said"]
    assert scores() == {"a": [30, 50, 70]}
    assert "a: val-core/m/reward/mean@1 is m, from -1 to 1, as you say." in said
    shaped = verl("b.jsonl", "eval_rewards/correctness/mean", [0.6, 1.0, 1.4])
    mapped = f"{shaped} --score eval_rewards/correctness/mean=m --compute steps --out out"
    assert f"the reward 0.6 has no scale of its own; {asked}" in refusal(mapped)
    imported(f"{mapped} --score-range 0:2")
    assert scores() == {"b": [30, 50, 70]}


def test_a_range_is_of_every_score_and_of_the_starts():
    Path("t.csv").write_text("run,step,score,se\na,1,-0.5,0.02\na,2,0.5,0.02\n")
    assert (
        "score is -0.5 points; they go from 0 to 100, mend it or --scale, or give --score-range"
        in refusal("t.csv --compute steps --p-start -0.8 --out out")
    )
    imported("t.csv --compute steps --p-start -0.8 --score-range=-1:1 --out out")
    table = pd.read_csv("out/curves.csv")
    assert table["score"].tolist() == [10, 25, 75]
    assert table["se"].tolist()[1:] == [1, 1]
    Path("h.csv").write_text("run,step,score\na,0,110\na,1,60\n")
    imported("h.csv --compute steps --score-range 10:110 --out out")
    assert scores() == {"a": [100, 50]}


@pytest.mark.parametrize("text", ["1", "1:-1", "0:0", "a:b", "0:inf", "0:1:2"])
def test_a_range_that_is_none(text):
    Path("t.csv").write_text("run,step,score\na,0,0.1\n")
    assert "give LOW:HIGH, as --score-range -1:1" in refusal(
        f"t.csv --compute steps --score-range={text} --out out"
    )
    both = refusal("t.csv --compute steps --score-range=0:1 --scale 2 --out out")
    assert both == "--scale and --score-range exclude each other; give one"


@pytest.mark.parametrize(
    ("cell", "fix"), [('"30,5"', "write 30,5 as 30.5"), ("30.5%", "write the numbers without %")]
)
def test_numbers_that_are_written_otherwise(cell, fix):
    Path("t.csv").write_text(f"run,step,score\na,0,{cell}\na,1,{cell}\n")
    assert f"line 2, run a: score is {cell.strip(chr(34))}; {fix}" in refusal(
        "t.csv --compute steps --out out"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run,step,score\n", "t.csv: has a header and no rows; give a table"),
        ("run,step,score\n,0,30\n", "t.csv: line 2, run nan: no run; name it with --run NAME"),
        ("run,step,score\na,0,30\na,1e300,40\n", "t.csv: line 3, run a: step is 1e+300; give a whole number"),
        ('run,step,score\na,0,30\na,"1,000",40\n', "step is '1,000'; write 30,5 as 30.5 and 1,000 as 1000"),
        ("", "t.csv: not a csv table (it is empty)"),
    ],
)
def test_tables_that_are_none(text, said):
    Path("t.csv").write_text(text)
    assert said in refusal("t.csv --compute steps --out out")


def test_values_in_objects_are_tags_by_their_path():
    lines = [json.dumps({"step": step, "eval": {"m": {"acc": value}}}) for step, value in enumerate(CURVE)]
    Path("a.jsonl").write_text("\n".join(lines) + "\n")
    imported("a.jsonl --score eval/m/acc=m --scale 100 --compute steps --out out")
    assert scores() == {"a": [30, 40, 50, 55, 60]}


# ---- units


def test_messages_name_the_unit_of_the_compute():
    Path("t.csv").write_text("run,step,score\na,5,30\na,5,40\n")
    assert "run a has a point of overall at 5 steps already; keep one" in refusal(
        "t.csv --compute steps --out out"
    )
    Path("t.csv").write_text("run,step,score\na,5,30\na,6,40\n")
    assert "no start; add its row at compute 0, or p_start" in refusal("t.csv --compute steps --out out.csv")
    Path("t.csv").write_text("run,step,score,exaflops\na,5,30,1\na,6,40,2\n")
    assert "no start; add its row at exaflops 0, or p_start" in refusal("t.csv --out out.csv")
    said = imported("t.csv --column exaflops=step --parent s@9 --out out")["said"]
    assert "What t's SFT had cost is not known: give --sft-exaflops t=X." not in said
    assert "What a's SFT had cost is not known: give --sft-exaflops a=X." in said
    Path("t.csv").write_text("run,step,score\na,5,30\na,6,40\n")
    said = imported("t.csv --compute steps --parent s@9 --out out")["said"]
    assert "What a's SFT had cost is not known: give --sft-compute a=X." in said


# ---- Weights & Biases


def test_a_chart_with_empty_ends_averages_nothing():
    command = "--score val/acc=x --scale 100 --compute steps --out out"
    assert "values_averaged" not in imported(f"{chart('chart.csv', 'r')} {command}")["counts"]
    counts = imported(f"{chart('chart.csv', 'r', ends=True)} {command}")["counts"]
    assert "values_averaged" not in counts  # 0.4 to 0.4 at a value of 0.5 is no mean of several
    table = pd.read_csv("chart.csv")
    table.loc[2, "r - val/acc__MAX"] = 0.6
    table.to_csv("chart.csv", index=False)
    assert imported(f"chart.csv {command}")["counts"]["values_averaged"] == 1


def history(path: str, *rows: dict) -> str:
    pd.DataFrame(list(rows)).to_csv(path, index=False)
    return path


def test_one_axis_of_steps_in_a_history():
    """Evaluations without the trainer's step are at the last one before, not at the call of log."""
    rows = [{"_step": 0, "acc": 0.3}]
    for step in range(10, 50, 10):
        rows += [
            {"_step": step * 3, "trainer/global_step": step, "x": 1.0},
            {"_step": step * 3 + 1, "acc": CURVE[step // 10]},
        ]
    summary = imported(f"{history('h.csv', *rows)} --score acc=m --scale 100 --compute steps --out out")
    assert pd.read_csv("out/curves.csv")["step"].unique().tolist() == [0, 10, 20, 30, 40]
    assert any("5 records of W&B or trackio have no step of the trainer" in text for text in summary["said"])


def test_the_clock_of_a_history_without_a_runtime():
    rows = [{"_step": step, "_timestamp": 1.7e9 + 60 * step, "acc": CURVE[step]} for step in range(5)]
    base = f"{history('h.csv', *rows)} --score acc=m --scale 100 --out out"
    imported(f"{base} --compute seconds")
    assert pd.read_csv("out/curves.csv")["compute"].unique().tolist() == [0, 60, 120, 180, 240]
    imported(f"{base} --compute gpu-hours:1000x0.5 --gpus 8")
    assert pd.read_csv("out/curves.csv")["exaflops"].max() == pytest.approx(240 * 8 * 0.5e15 / 1e18)


def project(path: str, *calls: dict) -> str:
    """trackio's database of one run, whose own step counts the calls of log."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp, run_name, step, metrics)")
    for number, values in enumerate(calls):
        row = (f"2025-09-01T10:00:{number:02d}", "grpo", number, json.dumps(values))
        database.execute("INSERT INTO metrics (timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?)", row)
    database.commit()
    database.close()
    return path


def test_the_steps_of_a_trainer_count_in_wandb_and_in_trackio():
    """transformers logs training and evaluation apart, each with its step."""
    accuracy, tokens = "eval/rewards/accuracy_reward/mean", "train/num_tokens"
    calls = [{"train/global_step": 0, accuracy: 0.3}]
    for step in range(10, 50, 10):
        calls += [{"train/global_step": step, tokens: 1e9 * step}]
        calls += [{"train/global_step": step, accuracy: CURVE[step // 10]}]
    rows = [{"_step": number, "_timestamp": 1.7e9 + number} | values for number, values in enumerate(calls)]
    history("h.csv", *rows), project("p.db", *calls)
    for compute in ("steps", "seconds", f"tokens:{tokens}xQwen2.5-7B"):
        said = [
            imported(f"{log} --run r --compute {compute} --out {log[0]}")["said"] for log in ("h.csv", "p.db")
        ]
        assert Path("h/curves.csv").read_text() == Path("p/curves.csv").read_text()
        assert all("The steps of 1 runs are the trainer's own" in text for text in map(" ".join, said))
        assert pd.read_csv("p/curves.csv")["step"].unique().tolist() == [0, 10, 20, 30, 40]


def test_a_seed_and_a_phase_by_the_name_are_said():
    acc = "val-core/math/acc/mean@8"
    lines = [json.dumps({"step": step, "data": {acc: CURVE[step]}}) for step in range(5)]
    Path("run1.jsonl").write_text("\n".join(lines) + "\n")
    said = imported("run1.jsonl --compute steps --out out")["said"]
    assert "The seed of run1 is 1, by its name: a guess that --seed run1=N corrects." in said
    assert not any(
        "seed" in text for text in imported("run1.jsonl --seed run1=1 --compute steps --out out")["said"]
    )
    harness(40, {"gsm8k": {"acc,none": 0.5}}, {"gsm8k": 1319})
    for name, phase in (("sft", "sft"), ("my-sft_a", "sft"), ("sft-grpo", "rl"), ("rl-after-sft", "rl")):
        said = imported(f"e --run {name} --p-start gsm8k=0.4 --compute steps --out {name}")["said"]
        assert pd.read_csv(f"{name}/curves.csv")["phase"].unique().tolist() == [phase]
        assert any(text.startswith(f"{name} is SFT, by its name: a guess") for text in said) == (
            phase == "sft"
        )


def test_points_where_fractions_are_expected_and_evaluations_without_a_step():
    options = "--score val/acc=m --scale 100 --compute steps --out out"
    table = pd.read_csv(chart("c.csv", "r"))
    (table * [1, 100, 1, 1]).to_csv("c.csv", index=False)
    assert (
        "score is 3000 points; they go from 0 to 100, mend it or --scale (with --scale 1 it is 30)"
        in refusal(f"c.csv {options}")
    )
    evaluated = "10:00:01 SUCCESS Evaluated math500 in 61.00s (Avg@4=0.4000, Pass@1: 0.4000)\n"
    step = "10:00:30 SUCCESS Step 0 | Time: 30.50s | Reward: 0.4000\n"
    Path("p.log").write_text(evaluated + step)
    assert "1 evaluations stand without prime-rl's line `Running evals for" in refusal(
        "p.log --compute steps --out o"
    )


def test_checkpoints_are_of_their_folder():
    for step in (10, 20):
        trl(f"run/checkpoint-{step}", {"step": step, "eval_loss": 0.5})
    assert refusal("run/checkpoint-10 run/checkpoint-20 --out out").endswith(
        "or give the folder of a run's checkpoints"
    )
