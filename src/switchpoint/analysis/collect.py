"""Gathers every run's points, losses, results and status into one table each."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from switchpoint import files, scores, tables
from switchpoint.analysis.arms import arm_curves, arm_summaries, compare_arms
from switchpoint.analysis.identity import identify
from switchpoint.analysis.pooling import pool_curves, pool_results
from switchpoint.study.names import RunName, Start

OUTPUTS = (
    "curves", "losses", "runs", "results", "verdicts", "gains", "models", "pooled_curves", "pooled_results",
    "arms", "arm_curves", "arm_comparisons",
)  # fmt: skip
PROBLEM_COLUMNS = ["run", "benchmark", "id", "n", "c", "value"]
RUN_FIELDS = ["parent", "set", "algorithm", "seed"]


def collect(
    evaluations: Sequence[str],
    sft_runs: Sequence[str],
    rl_runs: Sequence[str],
    out_of_distribution: Sequence[str],
    groups: Mapping[str, str],
    pass_at: Sequence[int],
    out: str,
) -> None:
    """Writes every table of ``OUTPUTS`` as csv into ``out``, ``validation.parquet``, ``problems.parquet``, ``lm_eval.json`` and
    their record.

    The first three are directories of evaluations, SFT runs and RL runs.  ``groups`` maps benchmarks to
    difficulty groups; neither these nor ``overall`` hold the benchmarks ``out_of_distribution``.
    InputError names the first output of a run that is not as it was written.
    """
    records = [files.read_run(path, ["points.csv", "samples.parquet"]) for path in rl_runs]
    for path in sft_runs:
        files.read_run(path, ["losses.csv", "validation.parquet"])
    evaluated = [read_evaluation(path) for path in evaluations]
    points = [table for evaluation in evaluated for table in monitor_points(*evaluation, out_of_distribution)]
    points += [table for path in rl_runs for table in rl_points(path, out_of_distribution)]
    losses = [pd.read_csv(f"{path}/losses.csv") for path in sft_runs]
    runs = pd.DataFrame([base_row(), *map(sft_row, sft_runs), *map(rl_row, rl_runs)])
    samples = pd.concat([rows[rows["split"] == "test"] for rows, _ in evaluated])
    models = dict(list(samples.groupby(["run", "step"], sort=False)))
    verdicts = [scores.verdicts(rows).assign(run=run, step=step) for (run, step), rows in models.items()]
    named = identify(runs)
    results = [
        result_rows(run, step, rows, named.loc[run], out_of_distribution, groups, pass_at)
        for (run, step), rows in models.items()
    ]
    collected = {
        "curves": pd.concat(points),
        "losses": pd.concat(losses),
        "runs": runs,
        "results": pd.concat(results),
        "verdicts": pd.concat(verdicts),
        "gains": gains(samples, runs, out_of_distribution),
    }
    collected["models"] = models_table(collected["results"], collected["losses"], runs)
    collected["pooled_curves"], collected["pooled_results"] = (
        pool_curves(collected["curves"], runs),
        pool_results(collected["results"], runs),
    )
    collected |= arm_tables(collected, records)
    for name in OUTPUTS:
        tables.write_csv(collected[name], f"{out}/{name}.csv")
    examples = pd.concat([pd.read_parquet(f"{path}/validation.parquet") for path in sft_runs])
    tables.write_parquet(examples, f"{out}/validation.parquet")
    tables.write_parquet(problems(samples, runs, out_of_distribution), f"{out}/problems.parquet")
    harness = {f"{run}/step_{step}": scores.lm_eval(rows) for (run, step), rows in models.items()}
    files.write_json(f"{out}/lm_eval.json", harness)
    made = [*(f"{name}.csv" for name in OUTPUTS), "validation.parquet", "problems.parquet", "lm_eval.json"]
    files.write_record(f"{out}/run.json", {"outputs": files.measure(out, made)})


def arm_tables(collected: dict[str, pd.DataFrame], records: list[dict]) -> dict[str, pd.DataFrame]:
    """The tables of the arms; ``records`` are the ``run.json`` of the RL runs, in the order of ``runs``."""
    runs, curves = collected["runs"], arm_curves(collected["curves"], collected["runs"])
    of_runs = dict(zip(rl_rows(runs)["run"], records, strict=True))
    return {
        "arms": arm_summaries(collected["gains"], runs, collected["results"], of_runs),
        "arm_curves": curves,
        "arm_comparisons": compare_arms(curves),
    }


def read_evaluation(directory: str) -> tuple[pd.DataFrame, list[dict]]:
    """(samples, checkpoints) of an evaluation."""
    checkpoints = files.read_run(directory)["checkpoints"]
    return pd.read_parquet(f"{directory}/samples.parquet"), checkpoints


def monitor_points(
    samples: pd.DataFrame, checkpoints: list[dict], out_of_distribution: Sequence[str]
) -> list[pd.DataFrame]:
    """The rows of ``curves.csv`` of an evaluation; none without monitoring problems (RL monitors itself)."""
    monitored = dict(list(samples[samples["split"] == "monitor"].groupby(["run", "step"])))
    return [
        scores.points(monitored[checkpoint["run"], checkpoint["step"]], checkpoint, out_of_distribution)
        for checkpoint in checkpoints
        if monitored
    ]


def rl_points(directory: str, out_of_distribution: Sequence[str]) -> list[pd.DataFrame]:
    """The rows of ``curves.csv`` of an RL run, from its samples.

    Its ``points.csv`` says what each evaluation had cost; its overall score may leave other benchmarks out.
    """
    samples = dict(list(pd.read_parquet(f"{directory}/samples.parquet").groupby("step")))
    spent = pd.read_csv(f"{directory}/points.csv").drop_duplicates("step")
    return [
        scores.points(samples[checkpoint["step"]], checkpoint, out_of_distribution)
        for checkpoint in spent.to_dict("records")
    ]


def gains(samples: pd.DataFrame, runs: pd.DataFrame, out_of_distribution: Sequence[str]) -> pd.DataFrame:
    """What RL adds to its start on the test problems, paired by problem: one row per RL run and score."""
    models = dict(list(samples.groupby(["run", "step"])))
    last = samples.groupby("run")["step"].max()
    parts = [
        scores.paired(
            models[run["parent"], int(run["start_step"])], models[run["run"], last[run["run"]]],
            out_of_distribution,
        ).assign(run=run["run"])
        for run in rl_rows(runs).to_dict("records")
    ]  # fmt: skip
    return pd.concat(parts) if parts else pd.DataFrame(columns=["run", *scores.PAIRED_COLUMNS])


def problems(samples: pd.DataFrame, runs: pd.DataFrame, out_of_distribution: Sequence[str]) -> pd.DataFrame:
    """The last test scores of every RL run problem by problem, of the benchmarks that make up ``overall``.

    Columns ``PROBLEM_COLUMNS``: n samples, c of them right, value in points 0..100.
    """
    rl = samples["run"].isin(rl_rows(runs)["run"])
    inside = samples[rl & ~samples["benchmark"].isin(list(out_of_distribution))]
    last = inside[inside["step"] == inside.groupby("run")["step"].transform("max")]
    parts = [
        scores.per_problem(rows).assign(run=run, id=lambda table: table["id"].astype(str))
        for run, rows in last.groupby("run")
    ]
    return pd.concat(parts)[PROBLEM_COLUMNS] if parts else pd.DataFrame(columns=PROBLEM_COLUMNS)


def models_table(results: pd.DataFrame, losses: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Every SFT checkpoint with what may predict its score after RL, and that score; means over seeds.

    pass_1 is the mean of all samples; the error of a score, pass_1_se and so on, is the larger of that over problems
    and of the seeds' spread.  rl_score is the test score after RL with the algorithm that has the most starts, missing
    where there was none.
    """
    overall = results[results["benchmark"] == "overall"]
    sft = overall[overall["phase"] == "sft"]
    metric = sft["metric"].replace("avg", "pass@1").str.replace("@", "_")
    seeds = sft.assign(metric=metric).groupby(["set", "step", "metric"])
    table = seeds["score"].mean().unstack()
    errors = np.fmax(seeds["se"].mean(), seeds["score"].sem()).unstack()
    table = table.join(errors.add_suffix("_se"))
    loss = losses.assign(set=losses["run"].map(identify(runs)["set"])).groupby(["set", "step"])
    table = table.join(loss[["loss", "exaflops"]].mean().rename(columns={"loss": "val_loss"}))
    after = rl_rows(runs).dropna(subset="set")
    after = after.merge(overall.loc[overall["metric"] == "avg", ["run", "score"]], on="run")
    starts = after.drop_duplicates(["algorithm", "set", "start_step"])["algorithm"].value_counts()
    after = after[after["algorithm"] == (starts.sort_index().idxmax() if len(starts) else None)]
    after = after.drop_duplicates(["set", "start_step", "seed"])  # two names of one start
    score = after.groupby([after["set"], after["start_step"].astype(int).rename("step")])["score"].mean()
    table = table.join(score.rename("rl_score")).reset_index()
    models = [str(Start(*checkpoint)) for checkpoint in zip(table["set"], table["step"], strict=True)]
    table.insert(0, "model", models)
    return table.drop(columns="step").assign(val_set="validation")


def rl_rows(runs: pd.DataFrame) -> pd.DataFrame:
    """The RL runs of ``runs.csv``."""
    return runs[runs["algorithm"].notna() & (runs["algorithm"] != "sft")]


def base_row() -> dict:
    """The base model's line of ``runs.csv``."""
    return {"run": "base", **dict.fromkeys(RUN_FIELDS), "start_step": None, "sft_exaflops": 0.0,
            "val_loss": None, "status": "finished"}  # fmt: skip


def sft_row(directory: str) -> dict:
    """An SFT run's line of ``runs.csv``; its validation loss is the last one."""
    losses = pd.read_csv(f"{directory}/losses.csv")
    run, last = losses["run"].iloc[0], losses.iloc[-1]
    name = RunName.parse(run)
    return {"run": run, "parent": name.parent, "set": name.set, "algorithm": "sft", "seed": name.seed,
            "start_step": 0, "sft_exaflops": last["exaflops"], "val_loss": last["loss"],
            "status": files.read_record(f"{directory}/run.json")["status"]}  # fmt: skip


def rl_row(directory: str) -> dict:
    """An RL run's line of ``runs.csv``."""
    record = files.read_record(f"{directory}/run.json")
    run = pd.read_csv(f"{directory}/points.csv")["run"].iloc[0]
    name, start = RunName.parse(run), record["start"]
    return {"run": run, **{field: getattr(name, field) for field in RUN_FIELDS},
            **{field: start[field] for field in ("start_step", "sft_exaflops", "val_loss")},
            "status": record["status"]}  # fmt: skip


def result_rows(
    run: str,
    step: int,
    samples: pd.DataFrame,
    named: pd.Series,
    out_of_distribution: Sequence[str],
    groups: Mapping[str, str],
    pass_at: Sequence[int],
) -> pd.DataFrame:
    """Test scores of a checkpoint with their intervals: mean of all samples (``avg``), then every pass@k.

    ``named`` is the run's row of ``identify``.
    """
    columns = ["phase", "set", "algorithm", "start", "seed"]
    fields = {"run": run, **named[columns], "step": step}
    parts = [
        scores.with_intervals(samples, out_of_distribution, groups, k).assign(
            metric="avg" if k is None else f"pass@{k}"
        )
        for k in [None, *pass_at]
    ]
    truncated = scores.verdicts(samples).set_index("benchmark")["truncated"]
    table = pd.concat(parts).assign(**fields)
    table["truncated"] = table["benchmark"].map(truncated).fillna(truncated["all"])
    return table[[*fields, "metric", "benchmark", "score", "se", "low", "high", "n", "truncated"]]
