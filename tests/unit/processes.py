"""Scripts in processes of their own, for libraries that change their process for good."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def found_by(script: str, *arguments: str, processes: int = 1) -> dict:
    """What a script prints behind FOUND, which torchrun starts where it is to run in several processes."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python"]
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(
        command if processes == 1 else [sys.executable, *torchrun, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("FOUND")[2].partition("\n")[0])
