"""Gathers every run's points, losses, results and status into one table each."""

from pathlib import Path

import pandas as pd

from switchpoint import files, scores, tables

OUTPUTS = ("curves", "losses", "runs", "results", "verdicts", "gains", "models")


def collect(evaluations: list[str], sft_runs: list[str], rl_runs: list[str], job: dict, out: str) -> None:
    """Writes every table of ``OUTPUTS`` as csv into ``out``, ``validation.parquet`` and ``lm_eval.json``.

    The three lists are directories of evaluations, SFT runs and RL runs; ``job``
    has out_of_distribution, groups, pass_at.
    """
    evaluated = [evaluation_of(path) for path in evaluations]
    points = [table for one in evaluated for table in monitor_points(*one, job["out_of_distribution"])]
    points += [pd.read_csv(f"{path}/points.csv") for path in rl_runs]
    losses = [pd.read_csv(f"{path}/losses.csv") for path in sft_runs]
    runs = pd.DataFrame([base_row(), *map(sft_row, sft_runs), *map(rl_row, rl_runs)])
    samples = pd.concat([rows[rows["split"] == "test"] for rows, _ in evaluated])
    models = samples.groupby(["run", "step"], sort=False)
    made = {
        "curves": pd.concat(points),
        "losses": pd.concat(losses),
        "runs": runs,
        "results": pd.concat([result_rows(*key, group, job) for key, group in models]),
        "verdicts": pd.concat(
            [scores.verdicts(group).assign(run=run, step=step) for (run, step), group in models]
        ),
        "gains": gains(samples, runs, job["out_of_distribution"]),
    }
    made["models"] = models_table(made["results"], made["losses"], runs)
    for name in OUTPUTS:
        tables.write_csv(made[name], f"{out}/{name}.csv")
    examples = pd.concat([pd.read_parquet(f"{path}/validation.parquet") for path in sft_runs])
    tables.write_parquet(examples, f"{out}/validation.parquet")
    harness = {f"{run}/step_{step}": scores.lm_eval(group) for (run, step), group in models}
    files.write_json(f"{out}/lm_eval.json", harness)


def evaluation_of(directory: str) -> tuple[pd.DataFrame, list[dict]]:
    """(samples, checkpoints) of an evaluation."""
    return (
        pd.read_parquet(f"{directory}/samples.parquet"),
        files.read_json(f"{directory}/run.json")["checkpoints"],
    )


def monitor_points(samples: pd.DataFrame, checkpoints: list[dict], out_of_distribution: list[str]) -> list:
    """The rows of ``curves.csv`` of an evaluation; none without monitoring problems (RL monitors itself)."""
    monitored = dict(list(samples[samples["split"] == "monitor"].groupby(["run", "step"])))
    return [
        scores.points(monitored[checkpoint["run"], checkpoint["step"]], checkpoint, out_of_distribution)
        for checkpoint in checkpoints
        if monitored
    ]


def gains(samples: pd.DataFrame, runs: pd.DataFrame, out_of_distribution: list[str]) -> pd.DataFrame:
    """What RL adds to its start on the test problems, paired by problem: one row per RL run and score."""
    models = dict(list(samples.groupby(["run", "step"])))
    last = samples.groupby("run")["step"].max()
    parts = [
        scores.paired(
            models[run["parent"], int(run["start_step"])], models[run["run"], last[run["run"]]],
            out_of_distribution,
        ).assign(run=run["run"])
        for run in runs.to_dict("records")
        if run["run"].startswith("rl/")
    ]  # fmt: skip
    return pd.concat(parts) if parts else pd.DataFrame(columns=["run", *scores.PAIRED_COLUMNS])


def models_table(results: pd.DataFrame, losses: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every SFT checkpoint with what may predict its score after RL, and that score; means over seeds.

    pass_1 is the mean of all samples; rl_score is the test score after RL with the algorithm that has
    the most starts, missing where there was none.
    """
    overall = results[results["benchmark"] == "overall"]
    sft = overall[overall["phase"] == "sft"]
    metric = sft["metric"].replace("avg", "pass@1").str.replace("@", "_")
    table = sft.assign(metric=metric).pivot_table("score", ["set", "step"], "metric")
    loss = losses.assign(set=losses["run"].str.split("/").str[1]).groupby(["set", "step"])
    table = table.join(loss[["loss", "exaflops"]].mean().rename(columns={"loss": "val_loss"}))
    after = runs[runs["run"].str.startswith("rl/") & runs["set"].notna()]
    after = after.merge(overall.loc[overall["metric"] == "avg", ["run", "score"]], on="run")
    starts = after.drop_duplicates(["algorithm", "set", "start_step"])["algorithm"].value_counts()
    after = after[after["algorithm"] == (starts.sort_index().idxmax() if len(starts) else None)]
    after = after.drop_duplicates(["set", "start_step", "seed"])  # two names of one start
    score = after.groupby([after["set"], after["start_step"].astype(int).rename("step")])["score"].mean()
    table = table.join(score.rename("rl_score")).reset_index()
    table.insert(0, "model", table["set"] + "-" + table["step"].astype(str))
    return table.drop(columns="step").assign(val_set="validation")


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


def result_rows(run: str, step: int, samples: pd.DataFrame, job: dict) -> pd.DataFrame:
    """Test scores of a checkpoint with their intervals: mean of all samples (``avg``), then every pass@k."""
    parts = Path(run).parts
    phase = parts[0]
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
    parts = [
        scores.with_intervals(samples, job["out_of_distribution"], job["groups"], k).assign(
            metric="avg" if k is None else f"pass@{k}"
        )
        for k in [None, *job["pass_at"]]
    ]
    truncated = scores.verdicts(samples).set_index("benchmark")["truncated"]
    table = pd.concat(parts).assign(**fields)
    table["truncated"] = table["benchmark"].map(truncated).fillna(truncated["all"])
    return table[[*fields, "metric", "benchmark", "score", "se", "low", "high", "n", "truncated"]]
