"""What a cluster loses: nodes, memory, time, its controller, disk.  The study ends as if nothing had been."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from bed import ask
from cluster import GRPO, is_as, jobs, run, start, switchpoint, take_away, trainers, wait
from study import snakemake_command

from switchpoint import files

pytestmark = pytest.mark.soak
STATE = "results/tiny/state/rl/grpo/base/seed_0"


@pytest.fixture
def clone(clone):
    """One whose RL from the base, with all below, is to be made again."""
    take_away(clone, "rl/grpo")
    take_away(clone, "evaluations/rl/grpo")
    return clone


def running(clone) -> tuple[str, str]:
    """Number and node of the RL job, once it trains."""
    wait(lambda: list((clone / STATE).glob("*/points.csv")))
    [number] = [number for number, title in jobs(clone, "RUNNING").items() if title.startswith("rl ")]
    return number, ask("squeue", "-h", "-j", number, "-o", "%N").strip()


def ends(clone, process) -> str:
    """What a Snakemake that ends well has said."""
    code = process.wait(900)
    said = (clone / "snakemake.log").read_text()
    assert code == 0, said[-3000:]
    return said


def test_a_node_that_goes_down(bed, clone, local):
    process = start(clone)
    _, node = running(clone)
    bed.lose_node(node)
    try:
        said = ends(clone, process)
    finally:
        bed.start_node(node)
        wait(lambda: len(bed.idle()) == bed.nodes)
    assert "NODE_FAIL" in said
    assert files.read_run(clone / GRPO)["attempt"] == 2
    assert is_as(clone, local)


def test_a_node_that_is_drained(bed, clone, local):
    process = start(clone)
    number, node = running(clone)
    ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        ends(clone, process)
    finally:
        ask("scontrol", "update", f"nodename={node}", "state=resume")
    after = [other for other in jobs(clone) if int(other) > int(number)]
    assert after
    assert node not in [ask("squeue", "-h", "-t", "all", "-j", other, "-o", "%N").strip() for other in after]
    assert files.read_run(clone / GRPO)["attempt"] == 1
    assert is_as(clone, local)


def test_a_controller_that_is_restarted(bed, clone, local):
    process = start(clone)
    running(clone)
    bed.restart_controller(30)  # so long that Snakemake asks in vain
    said = ends(clone, process)
    assert "SLURM does not answer" in said
    assert files.read_run(clone / GRPO)["attempt"] == 1
    assert is_as(clone, local)


def test_a_job_that_is_killed_for_its_memory(clone, local):
    done = run(clone, "--set-resources", "rl:mem_mb=400", "--retries", "0", check=False)
    assert done.returncode != 0
    for shown in (done.stdout + done.stderr, switchpoint(clone, "status")):
        assert "exceeded memory limit" in shown
        assert "change resources.rl.memory" in shown
    run(clone)
    assert is_as(clone, local)


def test_slurm_ends_a_job_whose_time_is_over(clone, local):
    """The limit is lowered while it runs, so that its own clock does not tell: SLURM's signal does, and `KillWait` gives it time."""
    process = start(clone)
    number, _ = running(clone)
    [pid] = trainers(clone)
    os.kill(pid, signal.SIGSTOP)  # SLURM wakes what it stops
    ask("scontrol", "update", f"jobid={number}", "timelimit=1")
    said = ends(clone, process)
    assert ask("squeue", "-h", "-t", "all", "-j", number, "-o", "%T").strip() == "TIMEOUT"
    assert "TIMEOUT" in said
    assert list(jobs(clone).values()).count("rl grpo_base_0") == 2
    assert files.read_run(clone / GRPO)["attempt"] == 2
    assert is_as(clone, local)


def test_a_disk_that_is_full_while_a_checkpoint_is_written(clone, local, tmp_path):
    results, moved = clone / "results", tmp_path / "moved"
    results.rename(moved)
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", results], check=True)
    try:
        shutil.copytree(moved, results, dirs_exist_ok=True)
        filler = results / "filler"
        free = shutil.disk_usage(results).free
        with filler.open("wb") as file:  # all but what a model's smaller files take
            file.write(b"\0" * (free - 400_000))
        done = run(clone, "--retries", "0", check=False)
        assert done.returncode != 0
        assert "disk full: results/tiny/state/rl" in done.stdout + done.stderr
        filler.unlink()
        run(clone)
        assert is_as(clone, local)
    finally:
        subprocess.run(["umount", results], check=True)


def test_snakemake_as_a_job_of_its_own(bed, clone, local):
    """As docs/slurm.md has it: what is asked to end in time saves, and the same job again goes on."""
    words = [
        "sbatch",
        "--parsable",
        "--job-name",
        "study",
        "--cpus-per-task",
        "1",
        "--mem",
        "1G",
        "--export=ALL",
    ]
    wrapped = ["--wrap", "exec snakemake --profile slurm"]

    def submit(*more: str) -> str:
        done = subprocess.run([*words, *more, *wrapped], cwd=clone, env=snakemake_command()[1], capture_output=True, text=True,
                              check=True)  # fmt: skip
        return done.stdout.strip()

    def state(number: str) -> str:
        return ask("squeue", "-h", "-t", "all", "-j", number, "-o", "%T").strip()

    number = submit("--time", "2", "--signal=B:INT@90")  # after half a minute
    running(clone)
    [pid] = trainers(clone)
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    wait(lambda: state(number) not in ("RUNNING", "COMPLETING", "PENDING"), 180)
    assert time.monotonic() - began < 120
    wait(lambda: not jobs(clone, "RUNNING", "COMPLETING", "PENDING"), 120)
    assert "nothing to recover" in switchpoint(clone, "recover")
    last = submit("--time", "30")
    wait(lambda: state(last) not in ("RUNNING", "COMPLETING", "PENDING"), 300)
    assert state(last) == "COMPLETED"
    assert files.read_run(clone / GRPO)["attempt"] == 2
    assert is_as(clone, local)
