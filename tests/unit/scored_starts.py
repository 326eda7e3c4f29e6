"""Studies of one SFT set, made of the final scores of its starts."""

import pandas as pd


def study(scores: dict, se: float | None = 0.5, base: float | None = None, algorithm: str = "grpo"):
    """Curves and runs; ``scores`` maps a start step to its seeds' final scores."""
    starts = [(step, seed, score) for step, found in scores.items() for seed, score in enumerate(found)]
    starts += [] if base is None else [(0, 0, base)]
    curves, runs = [], []
    for step, seed, score in starts:
        run = f"rl/{algorithm}/{f'a-{step}' if step else 'base'}/seed_{seed}"
        for exaflops, value in ((0.0, 20.0), (2.0, 99.0), (4.0, score)):
            row = {
                "run": run,
                "phase": "rl",
                "exaflops": exaflops,
                "benchmark": "overall",
                "score": value,
                "se": se,
            }
            curves += [row, row | {"benchmark": "math", "score": 1.0}]
        runs.append(
            {"run": run, "parent": f"sft/a/seed_{seed}" if step else "base", "set": "a" if step else None,
             "algorithm": algorithm, "seed": seed, "start_step": step, "sft_exaflops": step / 10,
             "val_loss": 1.0,
             "status": "finished"}
        )  # fmt: skip
    sft = {"run": "sft/a/seed_0", "parent": "base", "set": "a", "algorithm": "sft", "seed": 0,
     "start_step": 0,
           "sft_exaflops": 9.0, "val_loss": 1.0, "status": "finished"}  # fmt: skip
    curves.append(
        {"run": "sft/a/seed_0", "phase": "sft", "exaflops": 9.0, "benchmark": "overall", "score": 50.0}
    )
    return pd.DataFrame(curves), pd.DataFrame([*runs, sft])
