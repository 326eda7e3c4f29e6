"""The how-tos of the documentation, to be followed literally: the blocks of a page's section."""

import re
import subprocess
from pathlib import Path

import yaml
from study import ROOT, snakemake_command


def blocks(page: str, heading: str, language: str) -> list[str]:
    """The fenced blocks of a language below a heading of a page of ``docs``, up to the next heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert f"\n{heading}\n" in text, f"{page} has no {heading!r}"
    section = re.split(r"\n## ", text.partition(f"\n{heading}\n")[2])[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def merged(config: dict, change: dict) -> dict:
    """The configuration with the keys of a block beside its own, section by section, and the entries of lists behind its own."""
    both = {}
    for key, value in change.items():
        there = config.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            both[key] = merged(there, value)
        else:
            both[key] = there + value if isinstance(value, list) and isinstance(there, list) else value
    return config | both


def edited(page: str, heading: str) -> dict:
    """The default study with the YAML blocks of a how-to written into it."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for block in blocks(page, heading, "yaml"):
        config = merged(config, yaml.safe_load(block))
    return config


def type_in(clone: Path, line: str) -> str:
    """What a command line of a page prints, typed in the clone."""
    _, environment = snakemake_command()
    done = subprocess.run(
        ["bash", "-euc", line], cwd=clone, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout
