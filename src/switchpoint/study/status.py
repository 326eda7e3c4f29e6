"""``switchpoint status``: what of a study is running, done, pending, or failed and why."""

import collections
import re
from pathlib import Path

from switchpoint.errors import InputError
from switchpoint.study import config, plan, queue, refusals
from switchpoint.study.expand import Expansion

SAVED = re.compile(
    r"saved at .*; run the same command to go on$"
)  # the last line of a job that stopped in time


def show(study_file: str, lines: int, scale: str | None = None) -> None:
    """Prints it, of a failed job so many of the last lines of its log."""
    study, here = Expansion(config.load(study_file, scale)), Path.cwd()
    try:
        ours = [job for job in queue.jobs(here) if job.is_of_snakemake]
    except InputError as error:  # what this machine knows is worth saying
        print(f"without SLURM's jobs: {error}")
        ours = []
    active = {job.title: job for job in ours if job.is_active}
    held = queue.holders(here)
    pending = plan.dry_run(study_file, scale)
    counts: collections.Counter[str] = collections.Counter()
    for job in pending:
        name = plan.name_of(job, study)
        found = active.get(job.title) or held.get(study.path(f"state/{name}"))
        said = state_of(job, study, name, found)
        counts[said] += 1
        if said not in ("waiting", "outdated", "pending"):
            print(f"{said:10} {job.rule:18} {name:40} {where(found)}".rstrip())
        if said == "failed":
            print("".join(f"           | {line}\n" for line in plan.last_lines(job.log, lines)), end="")
    logs = {path for path in Path(study.path("logs")).rglob("*.log") if plan.ended_well(path)}
    done = len(logs - {job.log for job in pending})
    titles = {job.title for job in pending}
    for title, job in active.items():
        if title not in titles:  # several rules in one job
            print(f"{job.state.lower():10} {title} {where(job)}")
    for job in ours:
        if job.state == "PREEMPTED" and job.title in titles - set(active):
            print(
                f"preempted  {job.title} (SLURM {job.id}) without time to save and end: Snakemake waits for it to come back; "
                "stop it (Ctrl-C) and run it again"
            )
    logs_of_snakemake = sorted((here / ".snakemake/log").glob("*.log"))
    if counts["failed"] and logs_of_snakemake:
        print("".join(f"{sentence}\n" for sentence in refusals.explain(logs_of_snakemake[-1])), end="")
    counted = ", ".join(f"{count} {said}" for said, count in sorted(counts.items()))
    print(f"{done} jobs done, {counted or 'nothing pending'}")


def state_of(job: plan.Planned, study: Expansion, name: str, found: queue.Queued | str | None) -> str:
    """As ``plan.pending_jobs`` says it, and ``running``, ``queued`` or ``failed`` where the plan says how it goes on."""
    if isinstance(found, queue.Queued) and found.state == "PENDING":
        return "queued"
    if found:
        return "running"
    planned = plan.state_of(job, study, name)
    if planned == "resumable":
        last = plan.last_lines(job.log, 1)
        return "stopped" if last and SAVED.search(last[0]) else "failed"
    return planned


def where(found: queue.Queued | str | None) -> str:
    """Where a job runs, and for how long, or why it waits."""
    if isinstance(found, queue.Queued):
        return f"SLURM {found.id}, {found.elapsed}, {found.where}"
    return found or ""
