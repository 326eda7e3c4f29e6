"""What runs in this folder: Snakemake, the jobs that it gave to SLURM, and jobs on this machine."""

import dataclasses
import fcntl
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from switchpoint.errors import InputError

ACTIVE = {"PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "REQUEUED", "RESIZING"}
RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")  # Snakemake's, a job's name
PATIENCE = 60  # seconds that a command of SLURM may take


@dataclasses.dataclass(frozen=True)
class Queued:
    """A job that SLURM knows, submitted from this folder: its ``name`` is Snakemake's run, its ``comment`` the rule."""

    id: str
    name: str
    state: str
    elapsed: str
    where: str
    comment: str

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def is_of_snakemake(self) -> bool:
        """Whether Snakemake submitted it; another may be anything, Snakemake itself as well."""
        return RUN.fullmatch(self.name) is not None

    @property
    def title(self) -> str:
        """Its rule and wildcards."""
        return (
            self.comment.removeprefix("rule_").replace("_wildcards_", " ", 1) if self.comment else self.name
        )


def ask(*command: str) -> str:
    """What a command of SLURM prints; InputError when it fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{command[0]} has not answered in {PATIENCE} s; see whether SLURM's controller is up, and run it again"
        ) from None
    if done.returncode:
        raise InputError(f"{' '.join(command)}: {done.stderr.strip()}; see to SLURM, and run it again")
    return done.stdout


def jobs(directory: Path) -> list[Queued]:
    """The user's jobs in SLURM that were submitted from this folder, ended ones while SLURM knows them.

    Nothing where there is no SLURM.  InputError when it does not answer.
    """
    if shutil.which("squeue") is None:
        return []
    columns = ["%i", "%j", "%T", "%M", "%R", "%Z", "%k"]
    found = []
    for line in ask("squeue", "--me", "-h", "-t", "all", "-o", "\t".join(columns)).splitlines():
        *fields, folder, comment = line.split("\t", len(columns) - 1)
        if os.path.realpath(folder) == os.path.realpath(directory):
            found.append(Queued(*fields, comment="" if comment == "(null)" else comment))
    return found


def cancel(ids: list[str]) -> None:
    """Cancels jobs: they save their state and end."""
    ask("scancel", *ids)


def wait(directory: Path, ids: list[str], seconds: float) -> list[Queued]:
    """Waits until none of these jobs is active, so many seconds at most; returns those that are."""
    end, pause = time.monotonic() + seconds, 0.5
    while True:
        left = [job for job in jobs(directory) if job.id in ids and job.is_active]
        if not left or time.monotonic() > end:
            return left
        time.sleep(pause)
        pause = min(2 * pause, 30)


def controllers(directory: Path) -> list[int]:
    """The processes of this machine in which Snakemake itself runs in this folder; not those of its jobs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace").split("\0")
            folder = os.readlink(process / "cwd")
            has_ended = "State:\tZ" in (process / "status").read_text()
        except OSError:  # it has ended, or is another user's
            continue
        is_snakemake = any(word == "snakemake" or word.endswith("/snakemake") for word in words[:4])
        if is_snakemake and not has_ended and os.path.realpath(directory) == folder and "--mode" not in words:
            found.append(int(process.name))
    return sorted(found)


def holders(directory: Path) -> dict[str, str]:
    """The jobs of all studies that some process runs at this moment, and which: those whose state is locked."""
    found = {}
    for path in sorted(directory.glob("results/*/state/**/*.lock")):
        with path.open("r+") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                found[str(path.relative_to(directory).with_suffix(""))] = file.read() or "a process"
            except OSError:
                continue  # no locks on this file system
    return found
