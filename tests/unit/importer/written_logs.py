"""Logs as their trainers write them, with numbers known by construction; `write_examples` makes `examples/logs`.

A run is its scores by step, benchmark by benchmark, and what every step cost in seconds and tokens.
"""

import csv
import io
import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

CYAN, DIM, GREEN, OFF = "\x1b[36m", "\x1b[2m", "\x1b[32m", "\x1b[0m"
DAY = 1_760_000_000.0  # when the first record was written, in seconds since 1970


@dataclass(frozen=True)
class Run:
    """Scores are fractions, by benchmark and step; seconds and tokens those of a step."""

    scores: dict[str, dict[int, float]]
    steps: int
    losses: dict[int, float] | None = None
    first: float = 20.0

    def seconds(self, step: int) -> float:
        """Of the n-th step, from 1: it goes up and down."""
        return self.first + 2.0 * (step % 3)

    def tokens(self, step: int) -> int:
        """Of the n-th step, from 1."""
        return 100_000 + 1_000 * (step % 4)

    def spent(self, step: int, cost) -> float:
        """The sum of a cost over the steps until this one."""
        return sum(cost(n) for n in range(1, step + 1))

    def at(self, step: int) -> dict[str, float]:
        """The scores at a step, if it was evaluated."""
        return {name: of[step] for name, of in self.scores.items() if step in of}


MATH = Run(
    {"math": {0: 0.4, 4: 0.475, 8: 0.525, 12: 0.55}, "gsm8k": {0: 0.8, 4: 0.85, 8: 0.875, 12: 0.9}}, 12
)
FASTER = Run(
    {"math": {0: 0.4, 4: 0.5, 8: 0.575, 12: 0.625}, "gsm8k": {0: 0.8, 4: 0.9, 8: 0.925, 12: 0.95}}, 12
)
LATER = Run(
    {"math": {0: 0.55, 4: 0.6, 8: 0.625, 12: 0.65}, "gsm8k": {0: 0.9, 4: 0.9, 8: 0.925, 12: 0.925}}, 12
)
SFT = Run({}, 60, {0: 1.2, 10: 0.9, 20: 0.75, 30: 0.7, 40: 0.69, 50: 0.7, 60: 0.72})


# ---- verl


def verl_values(run: Run, step: int, metric: str = "acc", exact: bool = False) -> dict[str, float]:
    """Tags and values of a step: of the evaluation before the first, and of every step's training."""
    core = {f"val-core/{name}/{metric}/mean@8": value for name, value in run.at(step).items()}
    aux = {f"val-aux/{name}/{metric}/std@8": 0.2 for name in run.at(step)}
    if step == 0:
        return aux | core
    seconds, tokens = run.seconds(step), run.tokens(step)
    return core | aux | {
        "actor/entropy": 0.323, "actor/kl_loss": 0.001, "actor/pg_loss": -0.012, "actor/grad_norm": 0.118,
        "training/global_step": step, "training/epoch": 0, "critic/score/mean": 0.558, "critic/rewards/mean": 0.558,
        "critic/advantages/mean": -0.016, "response_length/mean": 288.698, "response_length/clip_ratio": 0.0,
        "prompt_length/mean": 101.25, "timing_s/gen": seconds * 0.6, "timing_s/update_actor": seconds * 0.3,
        "timing_s/step": seconds, "timing_per_token_ms/gen": 0.12, "perf/total_num_tokens": tokens,
        "perf/time_per_step": seconds, "perf/throughput": tokens / seconds / 8,
    }  # fmt: skip


def verl_line(run: Run, step: int, metric: str = "acc", exact: bool = False) -> str:
    """A line of verl's console: three decimals in its older versions, numbers as Python shows them in later ones."""
    show = shown_exactly if exact else "{:.3f}".format
    items = [f"{tag}:{show(value)}" for tag, value in verl_values(run, step, metric).items()]
    return " - ".join([f"step:{step}", *items])


def shown_exactly(value: float) -> str:
    return f"np.float64({value!r})" if isinstance(value, float) else repr(value)


def verl_console(run: Run, metric: str = "acc", exact: bool = False, restart: int | None = None) -> str:
    """The log of a job by Ray, with the lines and bars of others; begun again at ``restart`` after two more steps."""
    task = f"{CYAN}(TaskRunner pid=41207){OFF} "
    steps = list(range(run.steps + 1))
    if restart is not None:
        steps = [*range(restart + 3), *range(restart + 1, run.steps + 1)]
    lines = [
        "2025-10-09 08:53:20,114\tINFO worker.py:1927 -- Started a local Ray instance.",
        f"{task}TaskRunner hostname: node-3, PID: 41207",
        f"{task}{{'actor_rollout_ref': {{'actor': {{'kl_loss_coef': 0.001, 'ppo_epochs': 1}}}}}}",
        f"{task}Total training steps: {run.steps}",
        f"{task}(\"Initial validation metrics: {{'val-core/math/{metric}/mean@8': 0.1}}\")",
    ]
    for at, step in enumerate(steps):
        if restart is not None and step == restart + 1 and at > restart + 1:
            lines += [f"{task}Found checkpoint: checkpoints/global_step_{restart}", f"{task}Resuming"]
        bar = f"Training Progress:  {100 * step // run.steps}%|#         | {step}/{run.steps} [00:21<00:12, 20.5s/it]"
        line = verl_line(run, step, metric, exact)
        lines += [
            f"{task}{line}",
            f"{CYAN}(WorkerDict pid=41544){OFF} kv cache usage: 0.1 [repeated 7x across cluster]",
        ]
        lines += [f"\r{bar}\r{bar}"] if step else []
    final = f"{task}Final validation metrics: {{'val-core/math/{metric}/mean@8': 0.2}}"
    return "\n".join([*lines, final]) + "\n"


def verl_jsonl(run: Run, metric: str = "acc") -> str:
    records = [{"step": step, "data": verl_values(run, step, metric)} for step in range(run.steps + 1)]
    return "".join(json.dumps(record) + "\n" for record in records)


def verl_sft_console(run: Run) -> str:
    """verl's SFT trainer: losses of training each step, of validation every ten."""
    lines = ["Using FSDP rank 0 and size 8", f"Total training steps: {run.steps}"]
    for step in range(1, run.steps + 1):
        lines.append(f"step:{step} - train/loss:0.8 - train/grad_norm:0.51 - train/lr:1e-05 - "
                     f"train/global_tokens:{run.tokens(step)} - train/total_tokens(B):{run.spent(step, run.tokens) / 1e9!r}")  # fmt: skip
        if step in run.losses:
            lines.append(f"step:{step} - val/loss:{run.losses[step]!r}")
    return "\n".join([*lines, "Final validation metrics: {'val/loss': 0.72}"]) + "\n"


# ---- TRL and transformers


def trl_grpo_state(run: Run, every: int = 2) -> str:
    """``trainer_state.json`` of a GRPOTrainer: its log every ``every`` steps, with the mean time of a step."""
    history = []
    for step in range(run.steps + 1):
        if step and step % every == 0:
            window = range(step - every + 1, step + 1)
            history.append({
                "clip_ratio/region_mean": 0.0, "completions/mean_length": 288.7, "entropy": 0.41, "epoch": step / 12,
                "frac_reward_zero_std": 0.25, "grad_norm": 0.31, "learning_rate": 1e-06, "loss": 0.0021,
                "num_tokens": float(run.spent(step, run.tokens)), "reward": 0.61, "reward_std": 0.3,
                "rewards/accuracy_reward/mean": 0.58, "rewards/accuracy_reward/std": 0.49, "step": step,
                "step_time": sum(map(run.seconds, window)) / every,
            })  # fmt: skip
        if scores := run.at(step):
            # Of several data sets only the loss and the times have the set's name.
            history += [{
                "epoch": step / 12, "eval_completions/mean_length": 280.5, f"eval_{name}_loss": 0.001,
                f"eval_{name}_runtime": 31.5, "eval_num_tokens": float(run.spent(step, run.tokens)),
                "eval_reward": score + 0.1, "eval_rewards/accuracy_reward/mean": score,
                "eval_rewards/accuracy_reward/std": 0.49, "step": step,
            } for name, score in scores.items()]  # fmt: skip
    history.append(
        {"epoch": 1.0, "step": run.steps, "total_flos": 0.0, "train_loss": 0.002, "train_runtime": 301.2}
    )
    return trainer_state(history, run.steps)


def trl_sft_state(run: Run, every: int = 10) -> str:
    """``trainer_state.json`` of an SFTTrainer, with validation losses."""
    history = [{"epoch": 0, "eval_loss": run.losses[0], "eval_runtime": 8.1, "step": 0}]
    for step in range(every, run.steps + 1, every):
        history += [
            {"entropy": 0.7, "epoch": step / 60, "grad_norm": 0.5, "learning_rate": 1e-05, "loss": 0.8,
             "mean_token_accuracy": 0.8, "num_tokens": float(run.spent(step, run.tokens)), "step": step},
            {"epoch": step / 60, "eval_entropy": 0.7, "eval_loss": run.losses[step],
             "eval_mean_token_accuracy": 0.79, "eval_num_tokens": float(run.spent(step, run.tokens)),
             "eval_runtime": 8.2, "step": step},
        ]  # fmt: skip
    return trainer_state(history, run.steps)


def trainer_state(history: list[dict], steps: int) -> str:
    state = {
        "best_global_step": None, "best_metric": None, "best_model_checkpoint": None, "epoch": 1.0,
        "eval_steps": 500, "global_step": steps, "is_hyper_param_search": False, "is_local_process_zero": True,
        "is_world_process_zero": True, "log_history": history, "logging_steps": 10, "max_steps": steps,
        "num_train_epochs": 1, "save_steps": 500, "total_flos": 0.0, "train_batch_size": 8,
    }  # fmt: skip
    return json.dumps(state, indent=2) + "\n"


# ---- OpenRLHF


def openrlhf_console(run: Run) -> str:
    """The log of a PPO trainer by Ray; it evaluates nothing before the first step."""
    trainer = f"{CYAN}(PPOTrainer pid=3321){OFF} "
    lines = [f"{trainer}INFO 10-09 08:53:20 ppo_trainer.py:470] Resume from global step 0"]
    for step in range(1, run.steps + 1):
        status = {
            "policy_loss": -0.0031, "actor_lr": 1e-06, "ppo_kl": 0.0004, "reward": 0.55, "return": 0.55,
            "response_length": 288.7, "total_length": 390.0, "timing/make_experience": run.seconds(step) / 4,
            "timing/ppo_train": run.seconds(step) / 4, "timing/generation": run.seconds(step) / 2,
            "timing/step_total": run.seconds(step),
        }  # fmt: skip
        lines.append(f"{trainer}INFO 10-09 08:54:02 ppo_trainer.py:551] ✨ Global step {step}: {status}")
        lines.append(f"Episode [1/1]:  {step}%|#      | {step}/{run.steps} [00:21<00:12, 20.5s/it]")
        if scores := run.at(step):
            lines.append(
                f"{trainer}INFO 10-09 08:54:03 ppo_trainer.py:585] ⏰ Evaluation start time: 2025-10-09"
            )
            logs = {}
            for name, score in scores.items():
                logs |= {
                    f"eval_{name}_pass4": 0.97,
                    f"eval_{name}_pass1": score,
                    f"eval_{name}_truncated_rate": 0.0,
                }
            logs |= {"eval_num_samples": 512.0}
            done = f"✨ Evaluation completed in 0:00:12, global_step {step}, eval_metrics: {logs}"
            lines.append(f"{trainer}INFO 10-09 08:54:15 ppo_trainer.py:597] {done}")
    return "\n".join(lines) + "\n"


def openrlhf_rl_events(run: Run) -> list[tuple]:
    events = []
    for step in range(1, run.steps + 1):
        events += [("train/policy_loss", -0.0031, step), ("train/reward", 0.55, step),
                   ("train/timing/step_total", run.seconds(step), step)]  # fmt: skip
        events += [(f"eval/eval_{name}_pass1", score, step) for name, score in run.at(step).items()]
    return events


def openrlhf_sft_events(run: Run) -> list[tuple]:
    events = []
    for step in range(1, run.steps + 1):
        events.append(("train/gpt_loss", 0.8, step))
        events += [("eval/eval gpt_loss", run.losses[step], step)] if step in run.losses else []
    return events


# ---- TensorBoard


def verl_events(run: Run) -> list[tuple]:
    return [
        (tag, float(value), step)
        for step in range(run.steps + 1)
        for tag, value in verl_values(run, step).items()
    ]


def event_file(events: list[tuple], seconds_of) -> bytes:
    """An event file of (tag, value, step), written at ``seconds_of(step)`` after the start."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    writer = RecordWriter(file)
    writer.write(Event(wall_time=DAY, file_version="brain.Event:2").SerializeToString())
    for tag, value, step in events:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.write(Event(wall_time=DAY + seconds_of(step), step=step, summary=summary).SerializeToString())
    return file.getvalue()


def clock(run: Run):
    """When a step had ended, in seconds since the start."""
    return lambda step: run.spent(step, run.seconds)


# ---- Weights & Biases, trackio


def wandb_rows(run: Run) -> list[dict]:
    """The history of a run of verl's, as the API gives it."""
    return [
        {"_step": step, "_runtime": 30.5 + run.spent(step, run.seconds), "_timestamp": DAY + 30.5 + step}
        | verl_values(run, step)
        for step in range(run.steps + 1)
    ]


def wandb_history_csv(run: Run) -> str:
    """``run.history().to_csv()``: an index first, the columns in no order that means something."""
    rows = wandb_rows(run)
    columns = sorted({tag for row in rows for tag in row})
    lines = [["", *columns], *([at, *(row.get(tag, "") for tag in columns)] for at, row in enumerate(rows))]
    return csv_text(lines)


def wandb_chart_csv(runs: dict[str, Run], tag: str, values) -> str:
    """A chart's export: ``values(run, step)`` of every run, by the step, with minimum and maximum."""
    header = ["Step"]
    for name in runs:
        header += [f"{name} - {tag}", f"{name} - {tag}__MIN", f"{name} - {tag}__MAX"]
    lines = []
    for step in range(max(run.steps for run in runs.values()) + 1):
        cells = [values(run, step) for run in runs.values()]
        if any(cell is not None for cell in cells):
            lines.append([step, *("" if cell is None else cell for cell in cells for _ in range(3))])
    return csv_text([header, *lines], csv.QUOTE_ALL)


def csv_text(lines: list[list], quoting: int = csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(lines)
    return text.getvalue()


def write_trackio(path: Path, runs: dict[str, Run]) -> None:
    """A project's database, with the tables that hold what was logged."""
    from datetime import UTC, datetime

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript("""
        PRAGMA page_size = 1024;
        CREATE TABLE metrics (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,
            run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT
        );
        CREATE TABLE configs (
            id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,
            config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id)
        );
    """)
    for number, (name, run) in enumerate(runs.items()):
        for step in range(run.steps + 1):
            time = datetime.fromtimestamp(DAY + run.spent(step, run.seconds), UTC).isoformat()
            kept = ("val-core", "timing_s/step", "perf/total", "actor/entropy")
            values = {tag: value for tag, value in verl_values(run, step).items() if tag.startswith(kept)}
            values |= {"actor/nan": "NaN"} if step else {}
            row = (f"{number:032x}", time, name, step, json.dumps(values).encode())
            columns = "run_id, timestamp, run_name, step, metrics"
            connection.execute(f"INSERT INTO metrics ({columns}) VALUES (?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()


# ---- prime-rl


def prime_console(run: Run) -> str:
    """The orchestrator's log: step n is the update after checkpoint n, which is evaluated before it."""
    head = f"{DIM}08:53:20{OFF}"
    lines = [f"{head}{GREEN}    INFO{OFF} Starting orchestrator loop (max_steps={run.steps})"]
    for step in range(run.steps + 1):
        if scores := run.at(step):
            lines.append(f"{head}    INFO Running evals for checkpoint step {step}")
            for name, score in scores.items():
                lines.append(f"{head}    INFO Evaluating {name} (num_examples=64, rollouts_per_example=8)")
                lines.append(
                    f"{head}{GREEN} SUCCESS{OFF} Evaluated {name} in 31.52s (Avg@8={score:.4f}, Pass@1: {score:.4f}, "
                    "Pass@8: 0.9000, No-response: 0.0%, Completion Length: 288.70 (±31.00, ∈[12.00, 512.00]), "
                    "Truncated: 0.0%)"
                )
        if step < run.steps:
            lines.append("Generating rollouts (train): 100%|##########| 128/128 [00:07<00:00, 17.17it/s]")
            lines.append(
                f"{head}{GREEN} SUCCESS{OFF} Step {step} | Time: {run.seconds(step + 1):.2f}s | Reward: 0.7307 | "
                "Throughput: 1800.4 tokens/s | Seq. Length: 104.9 tokens/sample | Async Level: 1 | "
                "Max. Off-Policy Level: 0"
            )
    return "\n".join(lines) + "\n"


def prime_jsonl(run: Run) -> str:
    """``metrics.jsonl`` of the file monitor."""
    records = []
    for step in range(run.steps + 1):
        for name, score in run.at(step).items():
            records.append({"step": step, "time": DAY, f"eval/{name}/avg@8": score, f"eval/{name}/completion_len/mean": 288.7,
                            "progress/ckpt_step": step})  # fmt: skip
        if step < run.steps:
            records.append({"step": step, "time": DAY, "progress/tokens": run.tokens(step + 1),
                            "progress/total_tokens": run.spent(step + 1, run.tokens), "progress/ckpt_step": step,
                            "reward/all/mean": 0.55, "time/step": run.seconds(step + 1)})  # fmt: skip
    return "".join(json.dumps(record) + "\n" for record in records)


# ---- harnesses

PROBLEMS = {"gsm8k": 1319, "minerva_math500": 500}


def lm_eval_json(step: int, scores: dict[str, float], errors: float = 0.0125) -> str:
    document = {
        "results": {
            name: {"alias": name, f"exact_match{',none'}": score, "exact_match_stderr,none": errors}
            for name, score in scores.items()
        },
        "group_subtasks": {name: [] for name in scores},
        "configs": {name: {"task": name, "num_fewshot": 4} for name in scores},
        "versions": dict.fromkeys(scores, 3.0),
        "n-shot": dict.fromkeys(scores, 4),
        "higher_is_better": {name: {"exact_match": True} for name in scores},
        "n-samples": {name: {"original": PROBLEMS[name], "effective": PROBLEMS[name]} for name in scores},
        "config": {"model": "vllm", "model_args": f"pretrained=/models/sft_mix/checkpoint-{step},dtype=bfloat16"},
        "git_hash": "0a1b2c3", "date": DAY, "model_name": f"/models/sft_mix/checkpoint-{step}",
    }  # fmt: skip
    return json.dumps(document, indent=2) + "\n"


def lighteval_json(step: int, scores: dict[str, float], errors: float = 0.0125) -> str:
    results = {
        f"lighteval|{name}|0": {"extractive_match": score, "extractive_match_stderr": errors}
        for name, score in scores.items()
    }
    mean = sum(scores.values()) / len(scores)
    document = {
        "config_general": {
            "lighteval_sha": "?", "num_fewshot_seeds": 1, "max_samples": None, "job_id": "0", "start_time": 1.0,
            "end_time": 2.0, "total_evaluation_time_secondes": "1.0", "model_name": f"/models/sft_mix/checkpoint-{step}",
            "model_config": {"model_name": f"/models/sft_mix/checkpoint-{step}", "dtype": "bfloat16"},
        },
        "results": results | {"all": {"extractive_match": mean, "extractive_match_stderr": errors}},
        "versions": {},
        "config_tasks": {
            f"lighteval|{name}|0": {"name": name, "original_num_docs": n, "effective_num_docs": n}
            for name, n in PROBLEMS.items()
        },
        "summary_tasks": {}, "summary_general": {"truncated": 0},
    }  # fmt: skip
    return json.dumps(document, indent=2) + "\n"


HARNESS = {
    20: {"gsm8k": 0.75, "minerva_math500": 0.4},
    40: {"gsm8k": 0.8, "minerva_math500": 0.45},
    60: {"gsm8k": 0.85, "minerva_math500": 0.5},
}

# ---- the examples


def four_runs() -> str:
    """A chart's export: RL from two checkpoints, with two seeds each, 21 evaluations on 500 problems."""
    import numpy as np

    names = {
        "mix500-s0": (52.0, 15.0),
        "mix500-s1": (52.5, 14.0),
        "mix2000-s0": (62.0, 12.5),
        "mix2000-s1": (61.5, 13.0),
    }
    steps, noise = np.arange(0, 201, 10), np.random.default_rng(0)
    scores = {
        name: (start + gain * steps**1.4 / (steps**1.4 + 40**1.4) + noise.normal(0, 0.5, len(steps))) / 100
        for name, (start, gain) in names.items()
    }
    header = ["Step"]
    for name in names:
        header += [f"{name} - val/accuracy", f"{name} - val/accuracy__MIN", f"{name} - val/accuracy__MAX"]
    lines = [
        [step, *(f"{scores[name][place]:.4f}" for name in names for _ in range(3))]
        for place, step in enumerate(steps)
    ]
    return csv_text([header, *lines], csv.QUOTE_ALL)


def write_examples(folder: Path) -> None:
    """Writes every example log into the folder."""
    table = [["run", "step", "tokens", "accuracy"]] + [
        ["grpo_table", step, MATH.spent(step, MATH.tokens), 100 * MATH.scores["math"][step]] for step in MATH.scores["math"]
    ]  # fmt: skip
    charts = {"grpo_a": MATH, "grpo_b": FASTER, "dapo_a": LATER}

    def score(run: Run, step: int):
        return run.at(step).get("math")

    texts = {
        "verl/grpo_a.log": verl_console(MATH, restart=6),
        "verl/grpo_b.log": verl_console(FASTER, exact=True),
        "verl/grpo_c.jsonl": verl_jsonl(LATER),
        "verl/sft_mix.log": verl_sft_console(SFT),
        "trl/sft_mix/trainer_state.json": trl_sft_state(SFT),
        "trl/grpo_mix/trainer_state.json": trl_grpo_state(LATER),
        "openrlhf/ppo_math.log": openrlhf_console(MATH),
        "wandb/grpo_a.csv": wandb_history_csv(MATH),
        "wandb/grpo_a.json": json.dumps(wandb_rows(MATH)) + "\n",
        "wandb/chart.csv": wandb_chart_csv(charts, "val-core/math/acc/mean@8", score),
        "prime-rl/orchestrator.log": prime_console(MATH),
        "prime-rl/math/metrics.jsonl": prime_jsonl(MATH),
        "csv/table.csv": csv_text(table),
        "four-runs/accuracy.csv": four_runs(),
        **{f"lm-eval/sft_mix/checkpoint-{step}/results_2025-10-09T09-0{step // 20}-00.000000.json": lm_eval_json(step, of)
           for step, of in HARNESS.items()},
        **{f"lighteval/sft_mix/checkpoint-{step}/results_2025-10-09T09-0{step // 20}-00.000000.json": lighteval_json(step, of)
           for step, of in HARNESS.items()},
    }  # fmt: skip
    events = {
        "tensorboard/grpo_b": event_file(verl_events(FASTER), clock(FASTER)),
        "openrlhf/ppo_tb": event_file(openrlhf_rl_events(MATH), clock(MATH)),
        "openrlhf/sft_tb": event_file(openrlhf_sft_events(SFT), clock(SFT)),
    }
    for name, content in [*texts.items(), *events.items()]:
        path = folder / (
            name if isinstance(content, str) else f"{name}/events.out.tfevents.1760000000.node-3.41207.0"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    write_trackio(folder / "trackio/math.db", {"grpo_a": MATH, "grpo_b": FASTER})
