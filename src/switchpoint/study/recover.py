"""``switchpoint recover``: after Snakemake itself was killed.

Its jobs in SLURM go on, its lock stays, and outputs that were being written are marked in `.snakemake/incomplete`.
"""

import base64
import os
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import queue
from switchpoint.study.resources import PATIENCE

MIGRATION = "migration_underway"  # a file of Snakemake's that is no mark


def run(directory: Path, wait: bool, force: bool) -> list[str]:
    """Leaves the folder so that the same ``snakemake`` command goes on; returns what was done, a sentence each.

    Orphaned jobs are cancelled, or with ``wait`` waited for.  Of the outputs that they were to make, those that are whole
    stay.  InputError, with nothing touched, while a Snakemake runs in the folder, or a job of SLURM's that may be one and
    is not ``force``d; or when a job does not end.
    """
    refuse_running(directory, force)
    done = end_orphans(directory, wait)
    if running := queue.holders(directory):
        shown = "; ".join(f"{job}: {holder}" for job, holder in running.items())
        raise InputError(f"jobs run here that are not SLURM's ({shown}); end them or wait, and recover again")
    kept, removed = clear_marks(directory / ".snakemake/incomplete", directory)
    if kept:
        done.append(f"kept {len(kept)} outputs that are whole: {listed(kept)}")
    if removed:
        done.append(f"removed {len(removed)} outputs that were not: {listed(removed)}")
    locks = sorted((directory / ".snakemake/locks").glob("*"))
    for lock in locks:
        lock.unlink()
    if locks:
        done.append("removed Snakemake's lock")
    if not done and not (directory / ".snakemake").is_dir():
        raise InputError("no Snakemake has run in this folder (no .snakemake); go to the clone of the study")
    return done or ["nothing to recover: no orphaned job, no half-written output, no lock"]


def about_lock(directory: Path) -> str | None:
    """What to know before Snakemake says that its lock is there, and to remove it by force; None where there is none."""
    if not any((directory / ".snakemake/locks").glob("*")):
        return None
    running = [pid for pid in queue.controllers(directory) if pid != os.getpid()]
    if running:
        pids = " ".join(map(str, running))
        return f"Another Snakemake runs in this folder (process {pids}): wait for it, or end it (kill -INT {pids})."
    return (
        "Snakemake's lock lies in this folder, and none runs on this machine.  If one was killed, `switchpoint recover` ends "
        "its jobs, keeps what is whole and removes the lock (--unlock would leave its jobs writing)."
    )


def refuse_running(directory: Path, force: bool) -> None:
    """InputError while a Snakemake runs in the folder, as far as can be seen from this machine."""
    if running := queue.controllers(directory):
        pids = " ".join(map(str, running))
        raise InputError(
            f"Snakemake runs here (process {pids}); end it (kill -INT {pids}), which cancels its jobs itself"
        )
    others = [job for job in queue.jobs(directory) if job.is_active and not job.is_of_snakemake]
    if others and not force:
        shown = ", ".join(f"{job.id} ({job.name})" for job in others)
        raise InputError(
            f"SLURM's job {shown} was submitted from this folder and is none of Snakemake's: if Snakemake runs in it, "
            f"end it (scancel --signal=INT --full {others[0].id}); else give --force"
        )


def end_orphans(directory: Path, wait: bool) -> list[str]:
    """Ends the jobs that Snakemake left in SLURM, or waits for their end; returns what was done."""
    orphans = [job for job in queue.jobs(directory) if job.is_active and job.is_of_snakemake]
    if not orphans:
        return []
    ids = [job.id for job in orphans]
    if not wait:
        queue.cancel(ids)
    if left := queue.wait(directory, ids, float("inf") if wait else PATIENCE):
        shown = ", ".join(f"{job.id} ({job.title}, {job.state})" for job in left)
        raise InputError(f"SLURM has not ended {shown} in {PATIENCE} s; recover again when it has")
    shown = ", ".join(f"{job.id} ({job.title})" for job in orphans)
    return [f"{'waited for' if wait else 'cancelled'} {len(orphans)} orphaned jobs: {shown}"]


def clear_marks(marks: Path, directory: Path) -> tuple[list[str], list[str]]:
    """Removes the marks of unfinished outputs, and the outputs that are not whole; returns those kept and those removed."""
    kept, removed = [], []
    for mark in sorted(path for path in marks.rglob("*") if path.is_file() and path.name != MIGRATION):
        output = marked(mark.relative_to(marks))
        path = directory / output
        if path.is_file() and is_whole(path):
            kept.append(output)
        elif path.exists():
            files.remove(path)
            removed.append(output)
        mark.unlink()
    return kept, removed


def marked(mark: Path) -> str:
    """The output that a mark is of: its name says it in base 64, a long one in folders that begin with @."""
    name = "".join(part.removeprefix("@") for part in mark.parts)
    return base64.urlsafe_b64decode(name).decode()


def is_whole(path: Path) -> bool:
    """Whether an output is as the record of its job says, which is written last."""
    records = [path] if path.name == "run.json" else []
    records += [
        path.with_name(path.name + files.RECORD),
        path.parent / "run.json",
        path.parent.parent / "run.json",
    ]
    for record in filter(Path.is_file, records):
        try:
            outputs = files.read_record(record)["outputs"]
        except InputError:
            continue
        if record == path:
            return not any(
                files.damage(path.parent / name, measured, files.HASHED) for name, measured in outputs.items()
            )
        if path.is_relative_to(record.parent):
            measured = outputs.get(str(path.relative_to(record.parent)))
            if measured is not None:
                return files.damage(path, measured, files.HASHED) is None
    return False


def listed(outputs: list[str]) -> str:
    """The first few of them."""
    more = f" and {len(outputs) - 5} more" if len(outputs) > 5 else ""
    return ", ".join(outputs[:5]) + more
