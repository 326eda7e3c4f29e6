"""What must start fast does not import torch."""

import subprocess
import sys

import pytest

FAST = [
    "cli", "study", "paths", "flops", "phases", "ceilings", "predictors", "advice", "importer.points", "published.table", "collect", "plan",
    "report.page",
]  # fmt: skip


@pytest.mark.parametrize("module", FAST)
def test_planning_and_analysis_import_no_torch(module):
    code = f"import sys, switchpoint.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
