"""The stages' numbers against stored ones: they may change only with the stage's recipe.

To store new ones: raise the recipe in ``expand.RECIPES`` and run ``python tests/unit/training/test_recipes.py``.
"""

import json
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from switchpoint import scores
from switchpoint.data import step_lists
from switchpoint.study import config as studies
from switchpoint.study.expand import RECIPES, Expansion

ROOT = Path(__file__).parents[3]
STORED = Path(__file__).with_name("recipes.json")


def inputs(directory: Path) -> dict[str, str]:
    """Small tables of every kind that training reads."""
    rows = pd.DataFrame(step_lists.make_problems(0, "recipe", 60, (2, 4), [1, 2]))
    problems = rows[50:].assign(benchmark="gsm", split=["monitor", "test"] * 5)
    tables = {"data": rows[:32], "validation": rows[32:40], "prompts": rows[:50], "benchmarks": problems}
    for name, table in tables.items():
        table.to_parquet(directory / f"{name}.parquet")
    return {name: str(directory / f"{name}.parquet") for name in tables}


def measure(directory: Path) -> dict:
    """Recipe number and three steps' losses of each training stage, from the shipped base model."""
    from switchpoint.training import sft
    from switchpoint.training.rl import loop

    config = studies.load(ROOT / "config.yaml").model_dump(mode="json")
    config["sft"] = {"S": {"steps": 3, "save_steps": [1, 2, 3], "batch_size": 8, "learning_rate": 7e-4}}
    config["rl"] = {
        "steps": 3, "batch_size": 4, "generation_batch": 8, "rollouts": 4, "eval_every": 3,
        "learning_rate": 1.5e-4, "max_new_tokens": 120,
    }  # fmt: skip
    config["evaluation"] = {"temperature": 0.7, "max_new_tokens": 120}
    config["arms"] = [{"algorithm": "dapo_dc", "starts": ["S-3"]}]
    study, files, base = (
        Expansion(studies.parse(config)),
        inputs(directory),
        str(ROOT / "src/switchpoint/tiny-base"),
    )
    out, state = str(directory / "out"), str(directory / "state")
    sft.run(study.sft_job("S", 0), [1, 2, 3], base, files["data"], files["validation"], out, state)
    loop.run(
        study.rl_job("dapo_dc", "S-3", 0),
        f"{out}/step_3",
        files["prompts"],
        files["benchmarks"],
        f"{out}/rl",
        f"{state}/rl",
    )
    log = json.loads(Path(out, "rl/run.json").read_text())["log"]
    for step in log:  # every response got a verdict, and every verdict is counted
        assert sum(step[status] for status in scores.STATUSES) == step["rounds"] * 8 * 4
    return {
        "sft": {"recipe": RECIPES["sft"], "losses": pd.read_csv(f"{out}/losses.csv").loss.tolist()},
        "rl": {
            "recipe": RECIPES["rl"],
            "losses": [step["loss"] for step in log],
            "entropies": [step["entropy"] for step in log],
            "response_tokens": [step["response_tokens"] for step in log],
        },
    }


def test_a_stages_numbers_change_only_with_its_recipe(tmp_path):
    stored, measured = json.loads(STORED.read_text()), measure(tmp_path)
    for stage, figures in stored.items():
        assert measured[stage].keys() == figures.keys()
        for name, value in figures.items():
            assert measured[stage][name] == pytest.approx(value, rel=1e-3, abs=1e-5), (
                f"{stage}: {name} changed; raise RECIPES[{stage!r}] and store the new numbers"
            )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        STORED.write_text(json.dumps(measure(Path(directory)), indent=2) + "\n")
