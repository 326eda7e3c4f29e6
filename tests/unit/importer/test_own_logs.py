"""Every command of the page on one's own runs, on the example logs, as it stands there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from switchpoint.cli.commands import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/own-runs.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Four runs in five minutes") : PAGE.index("## How high can it get")]
COMMANDS = re.findall(r"^switchpoint (.+)$", SECTION.replace("\\\n", " "), re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with the examples, in which the commands run one after the other."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    arguments = shlex.split(command)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert Path(arguments[arguments.index("--out") + 1]).exists()


def test_every_example_is_on_the_page():
    named = {Path(path).parts[2] for path in re.findall(r"examples/logs/\S+", SECTION)}
    assert named == {path.name for path in (ROOT / "examples/logs").iterdir()}
