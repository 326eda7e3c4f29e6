"""What a newcomer sees: commands in groups, every option explained, an example of each command."""

import subprocess
import sys

import pytest
import typer

from switchpoint.cli.commands import app

COMMANDS = {name: made for name, made in typer.main.get_command(app).commands.items() if not made.hidden}
ANALYSIS = {"fit", "phases", "rank", "predict", "advise", "flops", "import", "report", "published"}


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "switchpoint", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_first_screen():
    shown = run("--help")
    groups = [line for line in shown.splitlines() if line.startswith("╭─")]
    assert [line.split("─ ")[1].split(" ─")[0] for line in groups] == [
        "Options",
        "Analyse runs",
        "Run a study",
    ]
    assert COMMANDS.keys() >= ANALYSIS
    assert not {"sft", "rl", "docs", "collect"} & COMMANDS.keys()
    assert run("--version").startswith("switchpoint 0.")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_every_command_has_an_example(name):
    made = COMMANDS[name]
    assert all(option.help for option in made.params), [
        option.name for option in made.params if not option.help
    ]
    assert made.epilog.startswith(f"Example: `switchpoint {name}")


def test_completion_is_there():
    assert "--install-completion" in run("--help")
