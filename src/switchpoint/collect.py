"""Gathers every run's points, losses, results and status into one table each."""

from pathlib import Path

import pandas as pd

from switchpoint import evaluation, files


def collect(
    evaluations: list[str], sft_runs: list[str], rl_runs: list[str], out_of_distribution: list[str], out: str
) -> None:
    """Writes ``curves.csv``, ``runs.csv``, ``losses.csv`` and ``results.csv`` into ``out``.

    The three lists are directories of evaluations (the base's first), SFT runs, RL runs.
    """
    points = [pd.read_csv(f"{path}/points.csv") for path in [*evaluations, *rl_runs]]
    losses = [pd.read_csv(f"{path}/losses.csv") for path in sft_runs]
    runs = [base_row(), *map(sft_row, sft_runs), *map(rl_row, rl_runs)]
    results = [row for path in [*evaluations, *rl_runs] for row in result_rows(path, out_of_distribution)]
    evaluation.write_csv(pd.concat(points), f"{out}/curves.csv")
    evaluation.write_csv(pd.concat(losses), f"{out}/losses.csv")
    evaluation.write_csv(pd.DataFrame(runs), f"{out}/runs.csv")
    evaluation.write_csv(pd.concat(results), f"{out}/results.csv")


def base_row() -> dict:
    """The base model's line of ``runs.csv``."""
    return {"run": "base", "parent": None, "set": None, "algorithm": None, "seed": None, "start_step": None,
            "sft_exaflops": 0.0, "val_loss": None, "status": "finished"}  # fmt: skip


def sft_row(directory: str) -> dict:
    """An SFT run's line of ``runs.csv``; its validation loss is the last one."""
    record = files.read_json(f"{directory}/run.json")
    losses = pd.read_csv(f"{directory}/losses.csv")
    name = losses["run"].iloc[0]
    return {"run": name, "parent": "base", "set": record["job"]["set"], "algorithm": "sft",
            "seed": record["job"]["seed"], "start_step": 0, "sft_exaflops": losses["exaflops"].iloc[-1],
            "val_loss": losses["loss"].iloc[-1], "status": record["status"]}  # fmt: skip


def rl_row(directory: str) -> dict:
    """An RL run's line of ``runs.csv``."""
    record = files.read_json(f"{directory}/run.json")
    job, start = record["job"], record["start"]
    name = pd.read_csv(f"{directory}/points.csv")["run"].iloc[0]
    chosen = None if job["start"] == "base" else job["start"].rpartition("-")[0]
    parent = "base" if chosen is None else f"sft/{chosen}/seed_{job['seed']}"
    return {"run": name, "parent": parent, "set": chosen, "algorithm": job["algorithm"], "seed": job["seed"],
            "start_step": start["start_step"], "sft_exaflops": start["sft_exaflops"],
            "val_loss": start["val_loss"], "status": record["status"]}  # fmt: skip


def result_rows(directory: str, out_of_distribution: list[str]) -> list[pd.DataFrame]:
    """Test scores of each evaluated checkpoint of a run."""
    points = pd.read_csv(f"{directory}/points.csv")
    run, phase = points["run"].iloc[0], points["phase"].iloc[0]
    parts = Path(run).parts
    samples = pd.read_parquet(f"{directory}/samples.parquet")
    tables = []
    for step, group in samples[samples["split"] == "test"].groupby("step"):
        start = parts[2] if phase == "rl" else None
        chosen = parts[1] if phase == "sft" else start.rpartition("-")[0] or None if start else None
        fields = {
            "run": run,
            "phase": phase,
            "set": chosen,
            "algorithm": parts[1] if phase == "rl" else None,
            "start": start,
            "seed": int(parts[-1].removeprefix("seed_")) if phase != "base" else None,
            "step": step,
        }
        tables.append(evaluation.scores(group, out_of_distribution).assign(**fields))
    return [table[[*fields, "benchmark", "score", "se", "n", "truncated"]] for table in tables]
