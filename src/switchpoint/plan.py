"""``switchpoint plan``: what is pending, and what of it can be resumed."""

import collections
import csv
import io
import subprocess
from pathlib import Path

from switchpoint import study as studies
from switchpoint.errors import InputError


def pending_files(study_file: str) -> list[dict]:
    """Snakemake's own summary of the output files that a run would make (columns of ``--summary``)."""
    command = ["snakemake", "--summary", "--nolock", "--configfile", study_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"snakemake could not plan the study:\n{done.stderr.strip()}")
    rows = csv.DictReader(io.StringIO(done.stdout), delimiter="\t")
    return [row for row in rows if row["plan"] == "update pending"]


def pending_jobs(study_file: str) -> list[dict]:
    """One row per pending job: rule, log file, state (``failed``, ``resumable`` or ``waiting``)."""
    study = studies.load(study_file)
    jobs = collections.OrderedDict()
    for row in pending_files(study_file):
        jobs.setdefault(row["log-file(s)"], row["rule"])
    logs, states = study.path("logs"), study.path("state")
    result = []
    for log, rule in jobs.items():
        name = str(Path(log).relative_to(logs).with_suffix(""))
        state = "waiting"
        if Path(log).exists():
            state = "failed"
        if any(Path(states, name).glob("*/state.pt")):
            state = "resumable"
        result.append({"rule": rule, "job": name, "state": state})
    return result


def show(study_file: str) -> None:
    """Prints the pending jobs."""
    jobs = pending_jobs(study_file)
    for job in jobs:
        print(f"{job['state']:10} {job['rule']:18} {job['job']}")
    print(f"{len(jobs)} jobs pending" if jobs else "nothing is pending")
