"""Every command of the pages on one's own runs, on the example logs, as it stands there."""

import re
import shlex
import shutil
from pathlib import Path

from typer.testing import CliRunner

from switchpoint.cli.commands import app

ROOT = Path(__file__).parents[3]
PAGE = "".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in ("tutorial.md", "own-runs.md"))
SECTION = PAGE[PAGE.index("## Four runs in five minutes") : PAGE.index("## How high can it get")]
COMMANDS = re.findall(r"^switchpoint (.+)$", SECTION.replace("\\\n", " "), re.MULTILINE)


def test_the_commands_of_the_page(tmp_path, monkeypatch):
    """One after the other, in a folder that has the examples."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        arguments = shlex.split(command)
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        assert "--out" not in arguments or Path(arguments[arguments.index("--out") + 1]).exists()
    assert len(COMMANDS) > 15


def test_every_example_is_on_the_page():
    named = {Path(path).parts[2] for path in re.findall(r"examples/logs/\S+", SECTION)}
    assert named == {path.name for path in (ROOT / "examples/logs").iterdir()}
