"""What must start fast does not import torch."""

import subprocess
import sys

import pytest

FAST = [
    "cli.commands", "study.config", "study.paths", "flops", "analysis.phases", "analysis.ceilings", "analysis.predictors",
    "analysis.advice", "importer.points", "published.table", "analysis.collect", "study.plan", "report.page",
]  # fmt: skip


@pytest.mark.parametrize("module", FAST)
def test_planning_and_analysis_import_no_torch(module):
    code = f"import sys, switchpoint.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
