"""Every source in every format: the numbers known by construction come out as curves, losses and runs."""

import filecmp
import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
import written_logs
from typer.testing import CliRunner
from written_logs import FASTER, HARNESS, LATER, MATH, PROBLEMS, SFT, Run

from switchpoint import flops
from switchpoint.cli.commands import app
from switchpoint.importer.logs import format_of

ROOT = Path(__file__).parents[3]
LOGS = ROOT / "examples/logs"
MODEL = flops.BUNDLED["Qwen2.5-7B"]
PER_TOKEN = 2 * flops.n_parameters(MODEL) / flops.EXA
"""exaFLOPs of a forward pass over a token, without attention."""


def imported(tmp_path, *arguments) -> tuple[dict, dict[str, pd.DataFrame]]:
    """The summary of an import into a new folder, and the tables there."""
    out = tmp_path / "out"
    paths = [str(LOGS / path) if (LOGS / path).exists() else path for path in map(str, arguments)]
    result = CliRunner().invoke(app, ["import", *paths, "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert sorted(summary["written"]) == sorted(map(str, out.iterdir()))
    return summary, {path.stem: pd.read_csv(path) for path in out.iterdir()}


def points_of(run: Run, cost) -> dict[tuple, float]:
    """Scores in points by step, compute (rounded) and benchmark; ``cost(step)`` is what was spent until then."""
    return {
        (step, round(cost(step), 9), name): 100 * score
        for name, of in run.scores.items()
        for step, score in of.items()
    }


def found_points(curves: pd.DataFrame, run: str) -> dict[tuple, float]:
    column = "compute" if "compute" in curves else "exaflops"
    mine = curves[(curves["run"] == run) & (curves["benchmark"] != "overall")]
    return {
        (row["step"], round(row[column], 9), row["benchmark"]): row["score"]
        for row in mine.to_dict("records")
    }


def seconds(run: Run):
    return lambda step: run.spent(step, run.seconds)


def tokens(run: Run):
    return lambda step: run.spent(step, run.tokens)


FORMATS = {
    "verl/grpo_a.log": ("verl", "grpo_a", MATH, "timing_s/step", "perf/total_num_tokens"),
    "verl/grpo_b.log": ("verl", "grpo_b", FASTER, "perf/time_per_step", "perf/total_num_tokens"),
    "verl/grpo_c.jsonl": ("verl", "grpo_c", LATER, "timing_s/step", "perf/total_num_tokens"),
    "tensorboard/grpo_b": ("tensorboard", "grpo_b", FASTER, "timing_s/step", "perf/total_num_tokens"),
    "trl/grpo_mix": ("trl", "grpo_mix", LATER, "step_time", "num_tokens"),
    "trl/grpo_mix/trainer_state.json": ("trl", "grpo_mix", LATER, "step_time", "num_tokens"),
    "openrlhf/ppo_math.log": ("openrlhf", "ppo_math", MATH, "timing/step_total", None),
    "openrlhf/ppo_tb": ("tensorboard", "ppo_tb", MATH, "train/timing/step_total", None),
    "wandb/grpo_a.csv": ("wandb", "grpo_a", MATH, "timing_s/step", "perf/total_num_tokens"),
    "wandb/grpo_a.json": ("wandb", "grpo_a", MATH, "_runtime", "perf/total_num_tokens"),
    "trackio/math.db": ("trackio", "grpo_b", FASTER, "timing_s/step", "perf/total_num_tokens"),
    "prime-rl/orchestrator.log": ("prime-rl", "orchestrator", MATH, "Time", None),
    "prime-rl/math": ("prime-rl", "math", MATH, "time/step", "progress/tokens"),
}
"""Path: format, run, what it is made of, tag of seconds, tag of tokens."""
NOT_AT_0 = {"openrlhf/ppo_math.log", "openrlhf/ppo_tb"}


def source(name: str) -> tuple[str, tuple]:
    file_format, *rest = FORMATS[name]
    return ("prime-rl/math/metrics.jsonl" if name == "prime-rl/math" else name), (file_format, *rest)


def expected(name: str, run: Run, cost) -> dict[tuple, float]:
    return {key: score for key, score in points_of(run, cost).items() if key[0] or name not in NOT_AT_0}


@pytest.mark.parametrize("name", FORMATS)
def test_steps(tmp_path, name):
    path, (file_format, run, made, *_) = source(name)
    assert format_of(str(LOGS / path)) == file_format
    summary, tables = imported(tmp_path, path, "--compute", "steps")
    assert summary["unit"] == "steps"
    assert tables["curves"]["unit"].eq("steps").all()
    assert found_points(tables["curves"], run) == pytest.approx(expected(name, made, float))


@pytest.mark.parametrize("name", FORMATS)
def test_seconds(tmp_path, name):
    path, (_, run, made, tag, _) = source(name)
    summary, tables = imported(tmp_path, path, "--compute", f"seconds:{tag}")
    assert found_points(tables["curves"], run) == pytest.approx(expected(name, made, seconds(made)))
    nature = "cumulative" if tag == "_runtime" else "per step"
    assert any(f"{run}: its compute is {tag}, {nature}" in said for said in summary["said"])


@pytest.mark.parametrize("name", FORMATS)
def test_the_seconds_of_the_format_are_known(tmp_path, name):
    path, (_, run, made, *_) = source(name)
    _, tables = imported(tmp_path, path, "--compute", "seconds")
    assert found_points(tables["curves"], run) == pytest.approx(expected(name, made, seconds(made)))


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name][4]])
def test_tokens(tmp_path, name):
    """In RL four passes: one where a token is generated, three where it is trained on."""
    path, (_, run, made, _, tag) = source(name)
    _, tables = imported(tmp_path, path, "--compute", f"tokens:{tag}×Qwen2.5-7B")
    spent = tokens(made)
    assert found_points(tables["curves"], run) == pytest.approx(
        expected(name, made, lambda step: 4 * PER_TOKEN * spent(step))
    )


@pytest.mark.parametrize("name", ["verl/grpo_a.log", "trl/grpo_mix", "trackio/math.db"])
def test_gpu_hours(tmp_path, name):
    path, (_, run, made, *_) = source(name)
    _, tables = imported(tmp_path, path, "--compute", "gpu-hours:989x0.4", "--gpus", "8")
    spent = seconds(made)
    cost = expected(name, made, lambda step: spent(step) * 8 * 989e12 * 0.4 / 1e18)
    assert found_points(tables["curves"], run) == pytest.approx(cost)


def test_attention_is_counted_at_a_mean_length(tmp_path):
    path = "verl/grpo_c.jsonl"
    axis = "tokens:perf/total_num_tokensxQwen2.5-7B"
    _, tables = imported(tmp_path, path, "--compute", axis, "--mean-length", "390")
    last = tables["curves"]["exaflops"].max()
    total = LATER.spent(12, LATER.tokens)
    sums = (total, total * 390)
    assert last == pytest.approx(flops.step(MODEL, sums, sums) / flops.EXA)


def test_the_wall_clock_where_nothing_else_is_logged(tmp_path):
    summary, tables = imported(tmp_path, "openrlhf/sft_tb", "--compute", "seconds")
    losses = tables["losses"].set_index("step")
    # The clock of the records begins after the first step, which counts as much as the mean of the others.
    mean = (SFT.spent(60, SFT.seconds) - SFT.seconds(1)) / 59
    for step in (10, 60):
        assert losses.loc[step, "compute"] == pytest.approx(
            SFT.spent(step, SFT.seconds) - SFT.seconds(1) + mean
        )
    assert any("the wall clock of its records, pauses and all" in said for said in summary["said"])


@pytest.mark.parametrize(
    ("path", "run", "at_0", "tag"),
    [
        ("verl/sft_mix.log", "sft_mix", False, "train/global_tokens"),
        ("verl/sft_mix.log", "sft_mix", False, "train/total_tokens(B)"),
        ("trl/sft_mix/trainer_state.json", "sft_mix", True, "num_tokens"),
        ("openrlhf/sft_tb", "sft_tb", False, None),
    ],
)
def test_validation_losses(tmp_path, path, run, at_0, tag):
    axis = ["--compute", f"tokens:{tag}xQwen2.5-7B"] if tag else []
    summary, tables = imported(tmp_path, path, *axis)
    wanted = {step: loss for step, loss in SFT.losses.items() if step or at_0}
    losses = tables["losses"]
    assert dict(zip(losses["step"], losses["loss"], strict=True)) == pytest.approx(wanted, rel=1e-6)
    assert set(tables) == {"losses", "runs"}
    assert any(said.startswith("There is no curves.csv") for said in summary["said"])
    [row] = tables["runs"].to_dict("records")
    assert (row["run"], row["algorithm"], row["parent"], row["set"]) == (run, "sft", "base", run)
    assert row["val_loss"] == pytest.approx(0.69)
    if tag:
        unit = 1e9 if tag.endswith("(B)") else 1
        spent = SFT.spent(60, SFT.tokens)
        assert losses["exaflops"].iloc[-1] == pytest.approx(3 * PER_TOKEN * spent / unit)


@pytest.mark.parametrize("harness", ["lm-eval", "lighteval"])
def test_harnesses(tmp_path, harness):
    """Scores with standard errors and numbers of problems, and the overall score weighted by these."""
    path = f"{harness}/sft_mix"
    assert format_of(str(LOGS / path)) == harness
    _, tables = imported(tmp_path, path, "--compute", "steps", "--phase", "sft")
    curves = tables["curves"].set_index(["step", "benchmark"])
    for step, scores in HARNESS.items():
        for name, score in scores.items():
            row = curves.loc[step, name]
            assert (row["score"], row["se"], row["n"]) == (pytest.approx(100 * score), 1.25, PROBLEMS[name])
        total = sum(PROBLEMS.values())
        mean = sum(100 * score * PROBLEMS[name] for name, score in scores.items()) / total
        error = sum((1.25 * PROBLEMS[name]) ** 2 for name in scores) ** 0.5 / total
        row = curves.loc[step, "overall"]
        assert (row["score"], row["se"], row["n"]) == (pytest.approx(mean), pytest.approx(error), total)


def test_a_single_evaluation(tmp_path):
    [path] = (LOGS / "lm-eval/sft_mix/checkpoint-40").iterdir()
    _, tables = imported(tmp_path, path, "--compute", "steps", "--phase", "sft")
    assert tables["curves"]["run"].eq("sft_mix").all()
    assert tables["curves"]["step"].eq(40).all()


def test_a_chart_of_three_runs(tmp_path):
    summary, tables = imported(tmp_path, "wandb/chart.csv", "--compute", "steps")
    for name, run in {"grpo_a": MATH, "grpo_b": FASTER, "dapo_a": LATER}.items():
        wanted = {key: score for key, score in points_of(run, float).items() if key[2] == "math"}
        assert found_points(tables["curves"], name) == pytest.approx(wanted)
    assert list(summary["runs"]) == ["dapo_a", "grpo_a", "grpo_b"]
    overall = tables["curves"][tables["curves"]["benchmark"] == "overall"]
    assert len(overall) == 12
    assert tables["runs"].set_index("run")["algorithm"].to_dict() == {
        "grpo_a": "grpo (grpo_a)", "grpo_b": "grpo (grpo_b)", "dapo_a": "dapo",
    }  # fmt: skip


def test_three_logs_are_three_runs(tmp_path):
    """Of different formats, in any order of the paths."""
    paths = ["verl/grpo_a.log", "tensorboard/grpo_b", "trl/grpo_mix"]
    summary, tables = imported(tmp_path / "one", *paths, "--compute", "seconds")
    made = {"grpo_a": MATH, "grpo_b": FASTER, "grpo_mix": LATER}
    for name, run in made.items():
        assert found_points(tables["curves"], name) == pytest.approx(points_of(run, seconds(run)))
    assert summary["format"] == "verl, tensorboard, trl"
    assert sorted(tables["runs"]["run"]) == sorted(made)
    assert sorted(tables["runs"]["seed"]) == [0, 0, 0]
    assert any("grpo_a, grpo_b, grpo_mix start alike" in said for said in summary["said"])
    _, other = imported(tmp_path / "other", *reversed(paths), "--compute", "seconds")
    pd.testing.assert_frame_equal(tables["curves"], other["curves"])


def test_a_csv_table(tmp_path):
    path = "csv/table.csv"
    column = ["--column", "score=accuracy", "--compute", "tokens:tokensxQwen2.5-7B"]
    _, tables = imported(tmp_path, path, *column)
    spent = tokens(MATH)
    assert dict(zip(tables["curves"]["step"], tables["curves"]["exaflops"], strict=True)) == pytest.approx(
        {step: 4 * PER_TOKEN * spent(step) for step in (0, 4, 8, 12)}
    )


def test_the_analysis_runs_at_once_on_an_import(tmp_path):
    paths = ["trl/sft_mix", "trl/grpo_mix"]
    weights = ["--weights", "math=500", "--weights", "gsm8k=1319"]
    axis = ["--compute", "tokens:num_tokensxQwen2.5-7B"]
    _, tables = imported(tmp_path, *paths, *axis, *weights)
    rl = tables["runs"].set_index("run").loc["grpo_mix"]
    assert (rl["parent"], rl["set"], rl["start_step"], rl["seed"], rl["status"]) == (
        "sft_mix", "sft_mix", 60, 0, "finished",
    )  # fmt: skip
    assert rl["sft_exaflops"] == pytest.approx(3 * PER_TOKEN * SFT.spent(60, SFT.tokens))
    curves = tables["curves"]
    assert (curves["exaflops_total"] - curves["exaflops"]).to_numpy() == pytest.approx(rl["sft_exaflops"])
    out = tmp_path / "out"
    for command in (
        f"fit {out}/curves.csv --out {out}/c.json",
        f"phases {out}/losses.csv --out {out}/p.json",
        f"advise --curves {out}/curves.csv --runs {out}/runs.csv --ceilings {out}/c.json --phases {out}/p.json --out {out}/a.json",
    ):
        assert CliRunner().invoke(app, command.split(), catch_exceptions=False).exit_code == 0
    advice = json.loads((out / "a.json").read_text())
    assert [one["start"] for one in advice["candidates"]] == ["sft_mix-60"]


def test_the_examples_are_as_they_are_written(tmp_path):
    written_logs.write_examples(tmp_path)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(LOGS)) for path in LOGS.rglob("*") if path.is_file())
    _, other, missing = filecmp.cmpfiles(tmp_path, LOGS, names, shallow=False)
    assert (set(other) <= {"trackio/math.db"}, missing) == (True, [])  # its header has sqlite's version
    query = "SELECT * FROM metrics"
    both = [
        sqlite3.connect(folder / "trackio/math.db").execute(query).fetchall() for folder in (tmp_path, LOGS)
    ]
    assert both[0] == both[1]
    assert max((LOGS / name).stat().st_size for name in names) < 30_000
