"""How an import takes runs together and apart: restarts, parts, names, seeds, parents, and what it says of them."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import written_logs as logs
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats import LOGS, found_points, imported, points_of, seconds
from typer.testing import CliRunner
from written_logs import FASTER, LATER, MATH, SFT

from switchpoint.cli.commands import app
from switchpoint.errors import InputError
from switchpoint.importer.compute import nature_of
from switchpoint.importer.logs import read_log, read_runs
from switchpoint.importer.runs import path_name, unique_names
from switchpoint.importer.values import CLOCK, number_of, table_of

ACC = "val-core/math/acc/mean@8"


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return str(path)


def run_import(*arguments) -> dict:
    result = CliRunner().invoke(app, ["import", *map(str, arguments)], catch_exceptions=False)
    return json.loads(result.output)


def table(text: str, path: Path, file_format: str, counts: Counter | None = None) -> dict[tuple, float]:
    path.write_bytes(text.encode())
    log = read_log([str(path)], file_format, Counter() if counts is None else counts)
    return {(row.step, row.tag): row.value for row in log.itertuples()}


# ---- what stands in logs


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.3", 0.3), ("1e-06", 1e-6), ("-0.000", 0.0), ("12", 12), (".5", 0.5), ("5.", 5), ("inf", float("inf")),
     ("np.float64(0.3)", 0.3), ("np.int64(3)", 3), ("numpy.float32(0.25)", 0.25), ("tensor(0.5)", 0.5),
     ("tensor(0.5, device='cuda:0')", 0.5), ("0.3 ", 0.3),
     ("True", None), ("None", None), ("", None), ("0.3x", None), ("1_000", None), ("x0.3", None), ("[0.3]", None)],
)  # fmt: skip
def test_numbers_as_python_writes_them(text, number):
    assert number_of(text) == number


def test_what_verl_prints(tmp_path):
    """As older versions print it, with what Ray and progress bars put around it."""
    text = (
        "\x1b[36m(main_task pid=1)\x1b[0m step:0 - val-aux/openai/gsm8k/reward/mean@1:0.565 - "
        "val-core/openai/gsm8k/acc/mean@1:0.508\n"
        "Training Progress:   0%|          | 0/2 [00:00<?, ?it/s]\x1b[36m(TaskRunner pid=1)\x1b[0m step:1 - "
        "training/global_step:1.000 - train/lr(1e-3):0.010 - actor/x:nan - a:np.float64(0.25)\n"
        "global_step:7 - x:1\n"
        "(TaskRunner pid=1) step:2 - a:0.5Training Progress: - b:1.000 [repeated 2x across cluster]\r\n"
    )
    counts = Counter()
    found = table(text, tmp_path / "a.log", "verl", counts)
    nan = found.pop((1, "actor/x"))
    assert nan != nan
    assert found == {
        (0, "val-aux/openai/gsm8k/reward/mean@1"): 0.565, (0, "val-core/openai/gsm8k/acc/mean@1"): 0.508,
        (1, "training/global_step"): 1, (1, "train/lr(1e-3)"): 0.01, (1, "a"): 0.25, (2, "b"): 1,
    }  # fmt: skip
    assert counts["values_damaged"] == 1


CUT = {
    "verl": logs.verl_console(MATH),
    "verl, exact": logs.verl_console(FASTER, exact=True),
    "verl, jsonl": logs.verl_jsonl(MATH),
    "openrlhf": logs.openrlhf_console(MATH),
    "prime-rl": logs.prime_console(MATH),
    "prime-rl, jsonl": logs.prime_jsonl(MATH),
}


@pytest.mark.parametrize("name", CUT)
def test_a_log_cut_off_anywhere_has_no_other_numbers(tmp_path, name):
    """Whatever the cut, what is read is in the whole log with the same value."""
    text, file_format = CUT[name], name.partition(",")[0]
    whole = table(text, tmp_path / "a.jsonl", file_format)
    data = text.encode()
    cuts = random.Random(0).sample(range(len(data)), 40)
    for cut in [*cuts, *range(len(data) - 60, len(data))]:
        counts = Counter()
        try:
            (tmp_path / "a.jsonl").write_bytes(data[:cut])
            log = read_log([str(tmp_path / "a.jsonl")], file_format, counts)
            part = {(row.step, row.tag): row.value for row in log.itertuples()}
        except InputError:
            continue  # nothing that is known stands before the cut
        assert part.items() <= whole.items()


def test_the_last_line_of_a_log_may_end_without_a_break(tmp_path):
    """Where all numbers have three decimals, the last is whole with three."""
    line = "step:1 - a:0.100 - b:0.200 - c:0.300 - d:0.45"
    assert (1, "d") not in table(line, tmp_path / "a.log", "verl")
    assert table(f"{line}0", tmp_path / "a.log", "verl")[1, "d"] == 0.45


def test_bytes_that_are_no_text(tmp_path):
    """A bar that was cut within a character, in a console's log; half a character at the end of one of JSON."""
    path = tmp_path / "a.log"
    path.write_bytes(b"step:1 - a:0.5\nTraining Progress: 3%|\xe2\x96\nstep:2 - a:0.6\n")
    assert read_log([str(path)], "verl", Counter())["value"].tolist() == [0.5, 0.6]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"step": 1, "a": 0.5}\n{"step": 2, "\xe2\x96')
    assert read_log([str(path)], "trl", Counter())["value"].tolist() == [0.5]


def test_a_folder_of_runs_of_tensorboard(tmp_path):
    for name, run in {"one": MATH, "two": FASTER}.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "events.out.tfevents.1").write_bytes(
            logs.event_file(logs.verl_events(run), lambda step: step)
        )
    _, tables = imported(tmp_path, tmp_path / "runs", "--compute", "seconds")
    for name, run in {"one": MATH, "two": FASTER}.items():
        assert found_points(tables["curves"], name) == pytest.approx(points_of(run, seconds(run)))


def test_older_results_of_lm_eval(tmp_path):
    """Metrics without a filter, no numbers of problems, a group and its tasks."""
    metrics = {"acc": 0.5, "acc_stderr": 0.01, "acc_norm": "N/A", "perplexity,none": 3.0}
    document = {
        "results": {"arc": metrics, "all": {"acc": 0.4}},
        "versions": {},
        "group_subtasks": {"all": ["arc"]},
    }
    path = write(tmp_path / "step_7.json", json.dumps(document))
    _, tables = imported(tmp_path, path, "--compute", "steps", "--phase", "sft")
    found = tables["curves"].query("benchmark == 'arc'").to_dict("records")
    assert [(row["step"], row["score"], row["se"]) for row in found] == [(7, 50, 1)]


def test_a_restart_replaces_and_abandons(tmp_path):
    """The first attempt reached step 6, the second went on from 3 to 5: of the first nothing is kept beyond 3."""
    first = [
        (step, {"a": float(step), "score": 10.0 + step} if step % 3 == 0 else {"a": float(step)})
        for step in range(7)
    ]
    second = [(step, {"a": 100.0 + step}) for step in (4, 5)]
    counts = Counter()
    records = [("x", float(step), values) for step, values in [*first, *second]]
    log = table_of(records, "x", counts)
    assert log[log["tag"] == "a"]["value"].tolist() == [0, 1, 2, 3, 104, 105]
    assert log[log["tag"] == "score"]["step"].tolist() == [0, 3]
    assert (counts["restarts"], counts["values_abandoned"], counts["values_replaced"]) == (1, 3, 1)


def test_tags_that_are_logged_late_are_no_restart():
    """An evaluation that ends after later steps, and the clock of its record."""
    records = [("x", float(step), {"a": 1.0, CLOCK: 5.0}) for step in range(5)]
    records += [("x", 2.0, {"score": 3.0, CLOCK: 6.0})]
    counts = Counter()
    log = table_of(records, "x", counts)
    assert counts["restarts"] == 0
    assert log.loc[log["tag"] == "score", "step"].tolist() == [2]
    assert log["tag"].eq("a").sum() == 5


def test_a_restarted_log_is_said(tmp_path):
    summary, tables = imported(tmp_path, "verl/grpo_a.log", "--compute", "seconds")
    assert summary["counts"]["restarts"] == 1
    assert (
        "1 times a log went back in steps: what was logged later counts, and what stood beyond is left."
        in summary["said"]
    )
    assert found_points(tables["curves"], "grpo_a") == pytest.approx(points_of(MATH, seconds(MATH)))


def test_nan_scores_and_losses_are_left_and_counted(tmp_path):
    lines = [
        {"step": 0, "data": {ACC: 0.4}},
        {"step": 4, "data": {ACC: float("nan")}},
        {"step": 8, "data": {ACC: 0.5}},
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    summary, tables = imported(tmp_path, path, "--compute", "steps")
    assert tables["curves"].query("benchmark == 'math'")["step"].tolist() == [0, 8]
    assert summary["counts"]["scores_nan"] == 1
    history = [{"step": step, "eval_loss": loss} for step, loss in ((0, 1.2), (10, float("nan")), (20, 0.9))]
    path = write(tmp_path / "sft/trainer_state.json", json.dumps({"log_history": history}))
    summary, tables = imported(tmp_path / "2", path)
    assert tables["losses"]["step"].tolist() == [0, 20]
    assert "1 validation losses are no positive numbers, and were left." in summary["said"]


def test_the_loss_of_rl_is_no_validation_loss(tmp_path):
    records = [
        {"step": step, "eval_loss": 0.01, "eval_rewards/accuracy_reward/mean": step / 10} for step in (0, 2)
    ]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    _, tables = imported(tmp_path, path, "--compute", "steps")
    assert set(tables) == {"curves", "runs"}


def test_several_losses_need_a_choice(tmp_path):
    records = [{"step": 1, "eval_a_loss": 0.5, "eval_b_loss": 0.7}]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    _, tables = imported(tmp_path, path, "--loss", "eval_b_loss")
    assert tables["losses"]["loss"].tolist() == [0.7]


def test_a_score_logged_twice_at_a_step_is_said(tmp_path):
    lines = [{"step": 0, "data": {ACC: 0.4}}, {"step": 0, "data": {ACC: 0.5}}]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    summary, tables = imported(tmp_path, path, "--compute", "steps")
    assert tables["curves"]["score"].tolist() == [50, 50]
    assert any(said.startswith("1 scores were logged with another value before") for said in summary["said"])


# ---- compute


@pytest.mark.parametrize(
    ("values", "nature"),
    [
        ([20, 22, 18, 20], "per step"),
        ([20, 20, 20], "per step"),
        ([10, 20, 30, 8, 20], None),  # a count that began again, or steps that cost so much
        ([20, 20], "per step"),
        ([10, 20, 30, 40], "cumulative"),
        ([10, 22, 30, 41], "cumulative"),
        ([100, 101, 102], None),
        ([10, 20], None),
        ([10], None),
        ([10, 20, 20, 30], None),
        ([10, 15, 20, 25], None),
    ],
)
def test_per_step_or_cumulative_is_found_from_the_data(values, nature):
    rows = pd.DataFrame({"step": range(1, len(values) + 1), "value": [float(value) for value in values]})
    if nature is None:
        with pytest.raises(InputError, match=r"log: cost may be per step or cumulative; give --per-step or"):
            nature_of(rows, "cost", "log")
    else:
        assert nature_of(rows, "cost", "log")[0] == nature


def test_what_the_data_leave_open_the_definition_of_the_tag_decides():
    rows = pd.DataFrame({"step": [1, 2], "value": [10.0, 20.0]})
    assert nature_of(rows, "timing_s/step", "log") == ("per step", "by its definition")
    assert nature_of(rows, "num_tokens", "log") == ("cumulative", "by its definition")


@pytest.mark.parametrize(("option", "total"), [("--per-step", 10 + 12 + 14 + 16), ("--cumulative", 16)])
def test_the_user_decides(tmp_path, option, total):
    lines = [{"step": step, "data": {ACC: 0.4, "cost": 8.0 + 2 * step}} for step in range(5)]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    _, tables = imported(tmp_path, path, "--compute", "seconds:cost", option)
    assert tables["curves"]["compute"].max() == total


def test_a_cost_logged_every_n_steps_stands_for_these(tmp_path):
    """TRL logs the mean time of the steps since; an evaluation between two records lies between their costs."""
    records = [{"step": step, "reward": 0.5, "step_time": 10.0 + step % 20} for step in (10, 20, 30)]
    records.insert(2, {"step": 25, "eval_rewards/accuracy_reward/mean": 0.5})
    path = write(tmp_path / "a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    _, tables = imported(tmp_path, path, "--compute", "seconds")
    assert tables["curves"]["compute"].unique().tolist() == [10 * 20 + 10 * 10 + 5 * 20]


def test_each_run_its_axis(tmp_path):
    paths = ["verl/sft_mix.log", "verl/grpo_a.log"]
    axes = ["grpo_a=tokens:perf/total_num_tokensxQwen2.5-7B", "sft_mix=tokens:train/global_tokensxQwen2.5-7B"]
    summary, tables = imported(tmp_path, *paths, *(f"--compute={axis}" for axis in axes))
    runs = tables["runs"].set_index("run")
    losses = tables["losses"]
    assert runs.loc["grpo_a", "sft_exaflops"] == pytest.approx(losses["exaflops"].iloc[-1])
    assert summary["unit"] == "exaflops"


# ---- runs


def test_names_by_the_path():
    names = {
        "a/grpo_a.log": "grpo_a", "runs/grpo_b/trainer_state.json": "grpo_b",
        "runs/c/checkpoint-500/trainer_state.json": "c", "x/metrics.jsonl": "x", "y/logs/log.txt": "y",
        "z/events.out.tfevents.17.host": "z", "sft-1.2b.jsonl": "sft-1.2b",
    }  # fmt: skip
    assert {path: path_name(path) for path in names} == names
    assert unique_names(["a/x.log", "b/x.log"]) == {"a/x.log": "a/x", "b/x.log": "b/x"}
    assert unique_names(["a/x.log", "a/y.log"]) == {"a/x.log": "x", "a/y.log": "y"}


def test_parts_of_one_run_of_several_files(tmp_path):
    """A trainer's log and the evaluations of its checkpoints; what both have the same is no conflict."""
    paths = ["trl/sft_mix/trainer_state.json", "lm-eval/sft_mix"]
    summary, tables = imported(tmp_path, *paths, "--one-run", "--compute", "tokens:num_tokensxQwen2.5-7B")
    assert list(summary["runs"]) == ["sft_mix"]
    assert set(tables) == {"curves", "losses", "runs"}
    assert tables["curves"]["step"].unique().tolist() == [20, 40, 60]
    assert tables["curves"]["phase"].eq("sft").all()


def test_charts_of_one_run_for_each_tag(tmp_path):
    """Exports of a score and of a cost, of the same runs."""
    runs = {"a": MATH, "b": FASTER}
    score = logs.wandb_chart_csv(runs, ACC, lambda run, step: run.at(step).get("math"))
    cost = logs.wandb_chart_csv(runs, "timing_s/step", lambda run, step: run.seconds(step) if step else None)
    paths = [write(tmp_path / "score.csv", score), write(tmp_path / "cost.csv", cost)]
    _, tables = imported(tmp_path, *paths, "--one-run", "--compute", "seconds")
    for name, run in runs.items():
        wanted = {key: value for key, value in points_of(run, seconds(run)).items() if key[2] == "math"}
        assert found_points(tables["curves"], name) == pytest.approx(wanted)


def test_means_in_charts_are_said(tmp_path):
    text = '"Step","a - val/acc","a - val/acc__MIN","a - val/acc__MAX"\n"0","40","40","40"\n"10","50","45","55"\n'
    path = write(tmp_path / "a.csv", text)
    summary, _ = imported(tmp_path, path, "--score", "val/acc=math", "--compute", "steps")
    assert any(
        said.startswith("1 cells of charts are means of several logged values") for said in summary["said"]
    )


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (["grpo_seed3", "grpo_seed7"], [3, 7]),
        (["grpo-s3", "grpo-s4"], [3, 4]),
        (["run_1", "run_2", "run_5"], [1, 2, 5]),
        (["alpha", "beta"], [0, 0]),
        (["a (seed: 3)", "a (seed: 4)"], [3, 4]),
        (["mix500", "mix2000"], [0, 0]),
        (["lr1", "lr2", "lr3"], [0, 0, 0]),
        (["grpo_a", "dapo_a"], [0, 0]),
        (["alpha", "beta_seed0"], [0, 0]),
    ],
)
def test_seeds(tmp_path, names, seeds):
    paths = [write(tmp_path / f"{name}.jsonl", logs.verl_jsonl(MATH)) for name in names]
    _, tables = imported(tmp_path, *paths, "--compute", "steps")
    runs = tables["runs"].set_index("run")
    assert runs["seed"].to_dict() == dict(zip(names, seeds, strict=True))
    pooled = len(set(seeds)) == len(seeds)
    assert runs["algorithm"].nunique() == (
        1 if pooled else len(names)
    )  # what may differ in more than a seed stays apart


def test_a_step_that_the_parent_never_reached_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"sft_mix@500: its log ends at step 60"):
        imported(
            tmp_path, "trl/sft_mix", "trl/grpo_mix", "--compute", "steps", "--parent", "grpo_mix=sft_mix@500"
        )


def test_a_counter_that_began_again_is_added_up(tmp_path):
    """A resumed trainer counts its tokens from 0 again; it does not sum them up."""
    state = json.loads(logs.trl_grpo_state(MATH))
    counted = [record for record in state["log_history"] if "num_tokens" in record]
    whole = {record["step"]: record["num_tokens"] for record in counted}
    half = counted[len(counted) // 2 - 1]["num_tokens"]
    for record in counted[len(counted) // 2 :]:
        record["num_tokens"] -= half
    found = []
    for name, tokens in (("whole", None), ("resumed", state)):
        path = write(
            tmp_path / name / "trainer_state.json",
            logs.trl_grpo_state(MATH) if tokens is None else json.dumps(tokens),
        )
        _, tables = imported(tmp_path / f"{name}_out", path, "--compute", "tokens:num_tokensxQwen2.5-7B", "--cumulative",
                                   "--weights", "math=500", "--weights", "gsm8k=1319")  # fmt: skip
        found.append(tables["curves"].drop(columns="run"))
    assert max(whole.values()) > half
    pd.testing.assert_frame_equal(*found)


def test_fractions_beside_points_are_refused(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("run,step,score\na,0,0.5\na,10,0.7\nb,0,50\nb,10,70\n")
    with pytest.raises(InputError, match=r"the scores of a lie within 0\.\.1, those of b do not"):
        imported(tmp_path, str(path), "--compute", "steps")


def test_what_is_guessed_can_be_said(tmp_path):
    paths = ["verl/grpo_a.log", "verl/grpo_b.log"]
    given = "--parent grpo_a=sft_mix@500 --parent grpo_b=sft_mix@1000 --sft-compute grpo_a=3 --sft-compute grpo_b=6"
    options = f"{given} --algorithm dapo_d --seed grpo_a=4 --seed grpo_b=4 --compute steps".split()
    _, tables = imported(tmp_path, *paths, *options)
    rows = tables["runs"].drop(columns="val_loss").to_dict("records")
    fixed = {"parent": "sft_mix", "set": "sft_mix", "algorithm": "dapo_d", "seed": 4, "status": "finished"}
    assert rows == [
        {"run": "grpo_a", **fixed, "start_step": 500, "sft_compute": 3.0},
        {"run": "grpo_b", **fixed, "start_step": 1000, "sft_compute": 6.0},
    ]
    curves = tables["curves"]
    assert (curves["compute_total"] - curves["compute"]).groupby(curves["run"]).unique().str[0].to_dict() == {
        "grpo_a": 3, "grpo_b": 6,
    }  # fmt: skip


def test_rl_begins_at_the_score_of_the_checkpoint_that_it_starts_from(tmp_path):
    """Where its own log has none: here the last evaluated checkpoint of the SFT run."""
    later = {step: record for step, record in enumerate(logs.verl_jsonl(LATER).splitlines()) if step}
    path = write(tmp_path / "grpo.jsonl", "\n".join(later.values()) + "\n")
    path = write(tmp_path / "grpo.jsonl", Path(path).read_text().replace("/math/", "/minerva_math500/"))
    given = ["--compute", "steps", "--phase", "sft_mix=sft"]
    summary, tables = imported(tmp_path, path, "lm-eval/sft_mix", *given)
    curves = tables["curves"].query("run == 'grpo'")
    at_0 = curves.query("step == 0").set_index("benchmark")
    assert at_0.loc["gsm8k", ["score", "se", "n", "compute", "compute_total"]].tolist() == [
        85,
        1.25,
        1319,
        0,
        60,
    ]
    assert at_0.loc["minerva_math500", "score"] == 50
    assert "grpo begins at the score that sft_mix has at step 60." in summary["said"]


def test_names_of_studies_are_read(tmp_path):
    header = "run,phase,step,exaflops,exaflops_total,benchmark,score,se,n\n"
    rows = "base,base,0,0,0,overall,20,1,9\nsft/Full/seed_1,sft,50,2,2,overall,40,1,9\n"
    rows += (
        "rl/dapo_d/Full-50/seed_1,rl,0,0,2,overall,40,1,9\nrl/dapo_d/Full-50/seed_1,rl,5,1,3,overall,50,1,9\n"
    )
    path = write(tmp_path / "curves.csv", header + rows)
    _, tables = imported(tmp_path, path)
    wanted = {"parent": "sft/Full/seed_1", "set": "Full", "algorithm": "dapo_d", "seed": 1, "start_step": 50}
    row = tables["runs"].set_index("run").loc["rl/dapo_d/Full-50/seed_1"]
    assert row[list(wanted)].to_dict() == wanted
    assert row["sft_exaflops"] == 2


def test_an_import_is_replaced_with_force_alone(tmp_path):
    out = tmp_path / "out"
    run_import(LOGS / "trl/sft_mix", "--out", out)
    assert (out / "losses.csv").exists()
    again = [LOGS / "verl/grpo_a.log", "--compute", "steps", "--out", out]
    result = CliRunner().invoke(app, ["import", *map(str, again)])
    assert isinstance(result.exception, InputError)
    run_import(*again, "--force")
    assert sorted(path.name for path in out.iterdir()) == ["curves.csv", "runs.csv"]


def test_the_wal_of_a_project_that_is_written_to(tmp_path):
    """trackio's database of a running job has its last rows in a journal."""
    import sqlite3

    path = tmp_path / "p.db"
    logs.write_trackio(path, {"a": MATH})
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = wal")
    columns = "run_id, timestamp, run_name, step, metrics"
    row = (f"{0:032x}", "2025-10-09T12:00:00+00:00", "a", 13, json.dumps({ACC: 0.7}))
    connection.execute(f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()
    [log] = read_runs(str(path), "trackio", {}, Counter())
    assert log.values["step"].max() == 13
    connection.close()


# ---- what holds for all


tables_of_steps = st.dictionaries(st.integers(0, 40), st.integers(0, 100), min_size=3, max_size=12)


@settings(max_examples=8, deadline=None)
@given(st.lists(tables_of_steps, min_size=2, max_size=3), st.randoms())
def test_the_order_of_the_paths_changes_nothing(tmp_path_factory, runs, shuffler):
    folder = tmp_path_factory.mktemp("order")
    paths = []
    for number, scores in enumerate(runs):
        lines = [{"step": step, "data": {ACC: scores[step] / 100}} for step in sorted({0: 0} | scores)
                 if step in scores]  # fmt: skip
        text = "".join(json.dumps(line) + "\n" for line in lines)
        paths.append(write(folder / f"run{number}.jsonl", text))
    run_import(*paths, "--compute", "steps", "--out", folder / "a")
    shuffler.shuffle(paths)
    run_import(*paths, "--compute", "steps", "--out", folder / "b")
    assert (folder / "a/curves.csv").read_bytes() == (folder / "b/curves.csv").read_bytes()
    both = [pd.read_csv(folder / name / "runs.csv").sort_values("run") for name in "ab"]
    pd.testing.assert_frame_equal(*(table.reset_index(drop=True) for table in both))


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
    st.sampled_from(["verl", "trl", "openrlhf"]),
)
def test_parts_of_a_log_are_the_whole(tmp_path_factory, cuts, file_format):
    folder = tmp_path_factory.mktemp("parts")
    if file_format == "verl":
        lines, name = logs.verl_jsonl(MATH).splitlines(), "part{}.jsonl"
    elif file_format == "openrlhf":
        lines, name = logs.openrlhf_console(MATH).splitlines(), "part{}.log"
    else:
        history = json.loads(logs.trl_grpo_state(MATH))["log_history"]
        lines, name = [json.dumps(record) for record in history], "part{}.jsonl"
    bounds = [0, *sorted(cut for cut in cuts if cut < len(lines)), len(lines)]
    parts = [
        write(folder / name.format(number), "\n".join(lines[start:end]) + "\n")
        for number, (start, end) in enumerate(itertools.pairwise(bounds))
    ]
    whole = write(folder / name.format("s"), "\n".join(lines) + "\n")
    given = ["--compute", "seconds", "--run", "r", "--format", file_format]
    run_import(whole, *given, "--out", folder / "a")
    run_import(*parts, *given, "--one-run", "--out", folder / "b")
    for table_name in ("curves.csv", "runs.csv"):
        assert (folder / "a" / table_name).read_bytes() == (folder / "b" / table_name).read_bytes()


def test_every_sft_example_runs_phases(tmp_path):
    for number, path in enumerate(("verl/sft_mix.log", "trl/sft_mix", "openrlhf/sft_tb")):
        imported(tmp_path / str(number), path)
        out = tmp_path / str(number) / "out"
        command = ["phases", f"{out}/losses.csv", "--out", f"{out}/p.json"]
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
        [run] = json.loads((out / "p.json").read_text())["runs"].values()
        assert run["step_min"] == min(SFT.losses, key=SFT.losses.get)
