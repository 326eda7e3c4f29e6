"""Which Python jobs run in: that of Snakemake, or that of a conda environment by its name; a script stands in for conda."""

import os
import sys
from pathlib import Path

from study import ROOT, make_clone, pending, snakemake, tiny_config

CONDA = """#!/bin/sh
case "$*" in
  "info --json") echo '{{"conda_prefix": "{prefix}", "platform": "linux-64"}}';;
  "--version") echo "conda 25.1.0";;
  "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}';;
  "env export --name switchpoint") echo "name: switchpoint";;
  *) exit 1;;
esac
"""
ACTIVATE = """
echo "$1" >> {prefix}/activated
export PATH={python}:$PATH PYTHONPATH={source}
"""


def test_jobs_run_in_the_named_environment_where_conda_is_asked_for(tmp_path, monkeypatch):
    """Without it conda need not be there."""
    clone = make_clone(tmp_path / "clone", tiny_config())
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    tables = [f"results/tiny/data/sources/{name}.parquet" for name in ("gsm", "math", "aime")]
    snakemake(clone, tables[0])
    (tmp_path / "bin").mkdir()
    places = {"prefix": tmp_path, "python": Path(sys.executable).parent, "source": ROOT / "src"}
    for name, text in {"conda": CONDA, "activate": ACTIVATE}.items():
        (tmp_path / "bin" / name).write_text(text.format(**places))
        (tmp_path / "bin" / name).chmod(0o755)
    snakemake(clone, tables[1], "--sdm", "conda")
    assert (tmp_path / "activated").read_text().split() == ["switchpoint"]
    snakemake(clone, tables[2])
    assert (tmp_path / "activated").read_text().split() == ["switchpoint"]
    assert all((clone / table).is_file() for table in tables)
    # Whichever it was, what is made is made.
    assert pending(clone, *tables) == pending(clone, *tables, "--sdm", "conda") == {}
