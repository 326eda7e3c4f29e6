"""What a light install can do: the analysis, with the eight packages that it asks for and what these need."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BLOCKED = """
import importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv = ["switchpoint", *sys.argv[1:]]
from switchpoint.cli.commands import main
main()
"""
MODELS = "model,pass_1,pass_64,val_loss,rl_score,n\na,40,60,.5,70,500\nb,42,66,.48,74,500\nc,44,70,.45,76,500\nd,43,63,.47,,500\n"


def needed(name: str, found: set[str]) -> set[str]:
    """A distribution and all that it needs, by their names."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key not in found:
        found.add(key)
        for text in metadata.requires(name) or []:
            if "extra ==" not in text:
                try:
                    needed(re.match(r"[\w.-]+", text)[0], found)
                except metadata.PackageNotFoundError:  # of another platform
                    continue
    return found


@pytest.fixture(scope="module")
def code() -> str:
    """The command line, without any package that a light install lacks."""
    light = needed("switchpoint", set())
    assert {"pandas", "numpy", "scipy", "pydantic", "typer", "rich", "pyarrow", "matplotlib"} < light
    missing = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & light and module != "switchpoint"
    }
    assert {"torch", "yaml", "snakemake", "jinja2"} <= missing
    return BLOCKED.format(missing=missing)


def run(code: str, folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_analysis_runs(code, tmp_path):
    (tmp_path / "models.csv").write_text(MODELS)
    logs = ROOT / "examples/logs"
    parents = [
        f"--parent={name}-s{seed}=mix@{step}"
        for name, step in (("mix500", 500), ("mix2000", 2000))
        for seed in (0, 1)
    ]
    commands = [
        ["import", f"{logs}/four-runs/accuracy.csv", "--score", "val/accuracy=overall", "--scale", "100", "--compute", "steps",
         *parents, "--out", "four"],
        ["import", f"{logs}/trl/sft_mix", "--compute", "tokens:num_tokensxQwen2.5-7B", "--out", "sft"],
        ["fit", "four/curves.csv", "--out", "fits.json"],
        ["phases", "sft/losses.csv", "--out", "phases.json"],
        ["advise", "--curves", "four/curves.csv", "--runs", "four/runs.csv", "--ceilings", "fits.json", "--phases", "phases.json"],
        ["rank", "models.csv"],
        ["predict", "models.csv"],
        ["flops", "Qwen2.5-7B", "--batch-size", "512", "--mean-length", "3771"],
        ["report", "four", "--out", "page.html"],
        ["published", "--help"],
    ]  # fmt: skip
    for words in commands:
        done = run(code, tmp_path, *words)
        assert done.returncode == 0, (words, done.stderr[-2000:])
    assert "Start RL from mix-2000." in (tmp_path / "page.html").read_text()


def test_what_needs_more_says_what(code, tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"gold": "1", "response": "1"}\n')
    for words, package in (
        (["plan"], "yaml"),
        (["grade", "pairs.jsonl", "--out", "grades.jsonl"], "math_verify"),
    ):
        done = run(code, tmp_path, *words)
        assert done.returncode == 2
        assert (
            done.stderr
            == f"error: this command needs the package {package}: pip install 'switchpoint[study]', or in a clone: pip install '.[study]'\n"
        )
