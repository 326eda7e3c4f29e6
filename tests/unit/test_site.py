"""The documentation as a site: whole, without a dead link, and asking nothing of other hosts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import typer

from switchpoint.cli.commands import app

ROOT = Path(__file__).parents[2]
ELSEWHERE = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//|(?:@import|url\()\W*https?:"""
)


def test_the_site(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=quiet)
    assert done.returncode == 0, done.stdout + done.stderr
    described = re.findall('id="switchpoint-([a-z-]+)"', (tmp_path / "commands.html").read_text("utf-8"))
    assert set(described) == set(typer.main.get_command(app).commands)
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / "docs" / f"{page.stem}.html").is_file()
    for file in (*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")):
        assert not ELSEWHERE.search(file.read_text("utf-8")), file
