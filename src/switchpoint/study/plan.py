"""``switchpoint plan``: what is pending, and what of it can be resumed."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from switchpoint.errors import InputError
from switchpoint.study import config
from switchpoint.study.expand import Expansion

FINISHED = "finished"  # the last line in the log of a job that ended well
PROGRESS = ("attempts", "losses.csv", "points.csv")  # files of a state that nothing resumes from
JOB = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<fields>(?:    .*\n)+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A job of ``snakemake -n``."""

    rule: str
    log: Path
    outputs: list[str]

    @property
    def ran_well(self) -> bool:
        """Whether the last attempt ended well: its log ends with ``FINISHED``."""
        if not self.log.exists():
            return False
        return self.log.read_text(encoding="utf-8", errors="replace").rstrip().endswith(FINISHED)


@dataclasses.dataclass(frozen=True)
class Pending:
    """A pending job by its name, and its state (``pending_jobs``)."""

    rule: str
    name: str
    state: str


def dry_run(study_file: str) -> list[Planned]:
    """Every job of ``snakemake -n``."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--nolock",
        "--nocolor",
        "--configfile",
        study_file,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"snakemake could not plan the study:\n{(done.stdout + done.stderr).strip()}")
    jobs = []
    for found in JOB.finditer(done.stdout + done.stderr):
        fields = dict(line.strip().split(": ", 1) for line in found["fields"].splitlines() if ": " in line)
        if "log" in fields:  # rule all has none, and does nothing
            jobs.append(Planned(found["rule"], Path(fields["log"]), fields["output"].split(", ")))
    return jobs


def pending_jobs(study_file: str) -> list[Pending]:
    """Every pending job and its state.

    ``outdated``: its outputs are there and have to be made anew; ``pending``: it has run well, and
    outputs were taken away since; ``resumable``: it stopped and has a state to go on from; ``failed``:
    it stopped and has none; ``waiting``: it has not run.
    """
    study = Expansion(config.load(study_file))
    logs, states = study.path("logs"), study.path("state")
    result = []
    for job in dry_run(study_file):
        name = str(job.log.relative_to(logs).with_suffix(""))
        if all(Path(path).exists() for path in job.outputs):
            state = "outdated"
        elif job.ran_well:
            state = "pending"
        elif any(path.name not in PROGRESS for path in Path(states, name).glob("*/*")):
            state = "resumable"
        else:
            state = "failed" if job.log.exists() else "waiting"
        result.append(Pending(job.rule, name, state))
    return result


def show(study_file: str) -> None:
    """Prints the pending jobs."""
    jobs = pending_jobs(study_file)
    for job in jobs:
        print(f"{job.state:10} {job.rule:18} {job.name}")
    print(f"{len(jobs)} jobs pending" if jobs else "nothing is pending")
