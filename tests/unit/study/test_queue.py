"""What runs in a folder, as the machine and a made-up squeue say it."""

import os
import subprocess
import sys
import time

import pytest

from switchpoint.errors import InputError
from switchpoint.study import queue, recover

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], 'a+')
fcntl.lockf(file, fcntl.LOCK_EX)
file.write('process 7 on vm'); file.flush()
print('up', flush=True)
time.sleep(60)
"""
RUN = "1c84fdd2-1622-4d9c-8c25-aee2cc8a5d94"


@pytest.fixture
def started():
    """Starts Python processes that end with the test."""
    running = []

    def start(code: str, *words: str, cwd=None) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", code, *words], cwd=cwd, stdout=subprocess.PIPE)
        running.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_snakemake_itself_is_found_and_its_jobs_are_not(tmp_path, started):
    itself = started(SLEEP, "snakemake", "--profile", "slurm", cwd=tmp_path)
    started(SLEEP, "snakemake", "--mode", "remote", cwd=tmp_path)
    started(SLEEP, "/usr/bin/other", ".snakemake/log/x.snakemake.log", cwd=tmp_path)
    started(SLEEP, "snakemake", cwd=tmp_path.parent)
    assert queue.controllers(tmp_path) == [itself.pid]
    with pytest.raises(InputError, match=f"process {itself.pid}"):
        recover.run(tmp_path, wait=False, force=True)
    itself.kill()
    itself.wait()
    assert queue.controllers(tmp_path) == []


def test_a_job_on_this_machine_is_named_and_nothing_is_touched(tmp_path, started, squeue):
    squeue()
    state = tmp_path / "results/s/state/rl/grpo/base"
    state.mkdir(parents=True)
    (state / "seed_1.lock").write_text("process 6 on vm")  # of one that has ended
    started(HOLD, str(state / "seed_0.lock"))
    assert queue.holders(tmp_path) == {"results/s/state/rl/grpo/base/seed_0": "process 7 on vm"}
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    with pytest.raises(InputError, match="seed_0: process 7 on vm"):
        recover.run(tmp_path, wait=False, force=False)
    assert lock.exists()


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A squeue and an scancel that say and note what the test gives them."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def tell(*rows: tuple[str, ...]) -> None:
        (folder / "rows").write_text("".join("\t".join(row) + "\n" for row in rows))

    for name, script in {
        "squeue": f"cat {folder}/rows",
        "scancel": f'echo "$@" >> {folder}/cancelled; : > {folder}/rows',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tell


def test_orphans_of_this_folder_are_cancelled_and_others_left(tmp_path, squeue):
    here, there = str(tmp_path), str(tmp_path.parent)
    squeue(
        ("1", RUN, "RUNNING", "0:10", "n1", here, "rule_rl_wildcards_grpo_base_0"),
        ("2", RUN, "COMPLETED", "0:10", "n1", here, "rule_ingest_wildcards_pool"),
        ("3", RUN, "RUNNING", "0:10", "n1", there, "rule_rl_wildcards_grpo_base_0"),
        ("4", RUN, "PENDING", "0:00", "(Priority)", here, "rule_report_data"),
    )
    [done] = recover.run(tmp_path, wait=False, force=False)
    assert done == "cancelled 2 orphaned jobs: 1 (rl grpo_base_0), 4 (report_data)"
    assert (tmp_path / "bin/cancelled").read_text() == "1 4\n"


def test_a_job_that_may_be_snakemake_is_asked_about(tmp_path, squeue):
    squeue(("5", "study", "RUNNING", "1:00:00", "n1", str(tmp_path), "(null)"))
    with pytest.raises(InputError, match=r"job 5 \(study\) .* give --force"):
        recover.run(tmp_path, wait=False, force=False)
    assert not (tmp_path / "bin/cancelled").exists()
    with pytest.raises(InputError, match="no Snakemake has run in this folder"):
        recover.run(tmp_path, wait=False, force=True)
    (tmp_path / ".snakemake").mkdir()
    assert recover.run(tmp_path, wait=False, force=True)[0].startswith("nothing to recover")


def test_a_controller_that_does_not_answer_is_said(tmp_path, squeue, monkeypatch):
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error' >&2; exit 1\n")
    with pytest.raises(InputError, match="slurm_load_jobs error"):
        queue.jobs(tmp_path)
    (tmp_path / "bin/squeue").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(queue, "PATIENCE", 0.2)
    first = time.monotonic()
    with pytest.raises(InputError, match="has not answered"):
        queue.jobs(tmp_path)
    assert time.monotonic() - first < 30
