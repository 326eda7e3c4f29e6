"""``switchpoint plan``: what is pending, and what of it can be resumed."""

import re
import subprocess
from pathlib import Path

from switchpoint.errors import InputError
from switchpoint.study import config
from switchpoint.study.expand import Expansion

JOB = re.compile(r"^(?:local)?rule (?P<rule>\w+):\n(?P<fields>(?:    .*\n)+)", re.MULTILINE)


def dry_run(study_file: str) -> list[dict]:
    """Rule, log file and output files of every job of ``snakemake -n``."""
    command = ["snakemake", "--dry-run", "--nolock", "--nocolor", "--configfile", study_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"snakemake could not plan the study:\n{(done.stdout + done.stderr).strip()}")
    jobs = []
    for found in JOB.finditer(done.stdout + done.stderr):
        fields = dict(line.strip().split(": ", 1) for line in found["fields"].splitlines() if ": " in line)
        if "log" in fields:  # rule all has none, and does nothing
            outputs = fields["output"].split(", ")
            jobs.append({"rule": found["rule"], "log": fields["log"], "outputs": outputs})
    return jobs


def pending_jobs(study_file: str) -> list[dict]:
    """One row per pending job: rule, job, state.

    ``resumable``: it stopped and has a state to go on from; ``failed``: it ran, and its
    outputs are not there; ``outdated``: its outputs are there and have to be made anew;
    ``waiting``: it has not run.
    """
    study = Expansion(config.load(study_file))
    logs, states = study.path("logs"), study.path("state")
    result = []
    for job in dry_run(study_file):
        name = str(Path(job["log"]).relative_to(logs).with_suffix(""))
        if any(
            path.name not in ("attempts", "losses.csv", "points.csv")
            for path in Path(states, name).glob("*/*")
        ):
            state = "resumable"
        elif all(Path(path).exists() for path in job["outputs"]):
            state = "outdated"
        else:
            state = "failed" if Path(job["log"]).exists() else "waiting"
        result.append({"rule": job["rule"], "job": name, "state": state})
    return result


def show(study_file: str) -> None:
    """Prints the pending jobs."""
    jobs = pending_jobs(study_file)
    for job in jobs:
        print(f"{job['state']:10} {job['rule']:18} {job['job']}")
    print(f"{len(jobs)} jobs pending" if jobs else "nothing is pending")
