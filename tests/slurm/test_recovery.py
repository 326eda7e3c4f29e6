"""A Snakemake that is killed while its jobs run: what is left is found, and the study ends as if nothing had been."""

import os
import signal

import pytest
from cluster import is_as, jobs, run, start, switchpoint, take_away, trainers, wait

from switchpoint import files


@pytest.mark.parametrize("how", ["cancelled", pytest.param("waited for", marks=pytest.mark.soak)])
def test_a_snakemake_that_was_killed_is_recovered(clone, local, how):
    take_away(clone, "rl", "evaluations/rl")
    process = start(clone)

    def stand_still() -> bool:
        for pid in trainers(clone):
            os.kill(pid, signal.SIGSTOP)
        return len(trainers(clone)) == 3

    wait(stand_still)
    assert "Snakemake runs here" in switchpoint(clone, "recover")
    assert "running    rl" in switchpoint(clone, "status")
    refused = run(clone, check=False)
    assert refused.returncode != 0
    assert "cannot be locked" in refused.stdout + refused.stderr
    assert f"Another Snakemake runs in this folder (process {process.pid})" in refused.stderr
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for pid in trainers(clone):
        os.kill(pid, signal.SIGCONT)
    said = switchpoint(clone, "recover", *(["--wait"] if how == "waited for" else []))
    assert f"{how} 3 orphaned jobs" in said
    assert "removed Snakemake's lock" in said
    assert not jobs(clone, "RUNNING", "COMPLETING", "PENDING")
    assert "nothing to recover" in switchpoint(clone, "recover")
    run(clone)
    assert is_as(clone, local)
    attempts = {
        files.read_run(path.parent)["attempt"] for path in clone.glob("results/tiny/rl/*/*/*/run.json")
    }
    assert attempts == ({1} if how == "waited for" else {2})
    assert "nothing pending" in switchpoint(clone, "status")
