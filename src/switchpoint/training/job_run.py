"""What every job shares: its configuration slice, its resumable state, its ``run.json``."""

import fcntl
import importlib.metadata
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TextIO

from switchpoint import files
from switchpoint.errors import InputError, StoppedError
from switchpoint.study import made, paths
from switchpoint.study.jobs import Job
from switchpoint.training.engine import ranks
from switchpoint.training.limit import Limit

PACKAGES = ["torch", "transformers", "math-verify", "numpy", "pandas", "scipy"]


class Progress:
    """A progress line that rewrites itself on a terminal, and plain lines in a log."""

    def __init__(self, label: str, total: int, every_seconds: float = 5.0):
        self.label, self.total, self.every = label, total, every_seconds
        self.started = self.shown = time.monotonic()

    def __call__(self, step: int, **figures: float) -> None:
        """Shows the step and its figures (on a log at most every few seconds, and the last)."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if not ranks.is_main():
            return
        if not terminal and step < self.total and now - self.shown < self.every:
            return
        self.shown = now
        text = " ".join(f"{name} {value:.4g}" for name, value in figures.items())
        line = f"{self.label} {step}/{self.total} {text} ({now - self.started:.0f} s)"
        end = "\n" if not terminal or step == self.total else ""
        print(("\r\x1b[K" if terminal else "") + line, end=end, file=sys.stderr, flush=True)


class JobRun:
    """One job: where its state lives, how it resumes, what it records.

    The state sits in ``state/<job>/<fingerprint>`` beside the outputs and is never
    declared to Snakemake, which deletes the outputs of a failed job.  The fingerprint
    covers the configuration slice (with the recipe number) and the inputs' contents, so
    a changed learning rate or data set never resumes an old run.  An input is a file, or a
    model directory.  ``settings`` are what else the state depends on; ``exclude`` and
    ``exclude_inputs`` are the fields of the job and the inputs that it does not cover.

    Nothing of the state is used but what a record, written after it, says of it (``files.Record``):
    what is otherwise, by a power cut or a bad disk, is discarded with a line, and made again.
    ``checkpoint`` is what to resume from, None at the start.  Of several ranks the first alone looks and writes.
    """

    def __init__(
        self,
        job: Job,
        inputs: dict[str, str],
        state_dir: str | Path,
        *,
        settings: dict | None = None,
        exclude: dict | None = None,
        exclude_inputs: Collection[str] = (),
        limit: Limit | None = None,
    ) -> None:
        ranks.start()
        self.limit = limit or Limit()
        self.step_began = None  # before the first step of this attempt
        self.longest_step, self.saving, self.unsaved = 0.0, 0.0, True
        self.job, self.started = job.model_dump(mode="json"), time.time()
        self.covered: files.Record = {}
        self.saves, self.checkpoint = 0, None
        if ranks.is_main():
            self.open(job, inputs, Path(state_dir), settings, exclude, exclude_inputs)
        told = ("inputs", "fingerprint", "state", "saves", "checkpoint")
        self.__dict__ |= ranks.tell({name: getattr(self, name, None) for name in told})

    def open(
        self, job: Job, inputs: dict[str, str], state_dir: Path, settings: dict | None, exclude: dict | None,
        exclude_inputs: Collection[str],
    ) -> None:  # fmt: skip
        """Locks the state, and finds what there is of this very job."""
        self.lock = lock(state_dir)
        self.inputs = {name: content_hash(path) for name, path in sorted(inputs.items())}
        covered = {name: sha256 for name, sha256 in self.inputs.items() if name not in exclude_inputs}
        self.fingerprint = files.digest(
            {"job": job.model_dump(mode="json", exclude=exclude), "inputs": covered, "settings": settings}
        )
        self.state = state_dir / self.fingerprint
        self.state.mkdir(parents=True, exist_ok=True)
        self.attempt = self.record_attempt()
        self.find_checkpoint()

    def record_attempt(self) -> int:
        """Counts the attempts of this very job."""
        path = self.state / "attempts"
        try:
            before = int(path.read_text()) if path.exists() else 0
        except ValueError:
            before = 0
            print(f"{path} is no number; the attempts are counted anew", flush=True)
        files.write_text(path, str(before + 1))
        return before + 1

    def find_checkpoint(self) -> None:
        """Goes back to the last save that is whole; drops later ones, and what killed attempts left half."""
        saves = {int(path.stem.partition("_")[2]) for path in self.state.glob("state_*.json")}
        for number in sorted(saves, reverse=True):
            if self.holds(f"state_{number}"):
                self.saves, self.checkpoint = number, self.state / f"state_{number}.pt"
                for saved in self.inside(self.checkpoint.name):
                    del self.covered[saved]
                break
        self.drop_saves({number for number in saves if number <= self.saves})
        for half in self.state.rglob(".*.tmp"):
            half.unlink()

    def made(self, directory: Path) -> files.Record | None:
        """The record of a whole model directory that this job made of these inputs; None where there is none."""
        if not made.is_made(directory, self.job):
            return None
        found = files.read_run(directory)
        if found["inputs"] != self.inputs:
            return None
        return found["outputs"] | files.measure(directory, ["run.json"])

    def save(self, write: Callable[[Path], None]) -> None:
        """Makes a state to resume from: what all ranks ``write``, a file or a directory, and all covered by now.

        The last two are kept.  The record is written when the rest is on disk.
        """
        began = time.monotonic()
        if ranks.is_main():
            self.drop_saves({self.saves})
        self.saves += 1
        name = f"state_{self.saves}"
        write(self.state / f"{name}.pt")
        if ranks.is_main():
            record = self.covered | files.measure(self.state, self.inside(f"{name}.pt"))
            files.write_record(self.state / f"{name}.json", {"outputs": record})
        self.unsaved, self.saving = False, time.monotonic() - began
        if self.step_began is not None:
            self.step_began += self.saving  # which is no part of the step

    def stop_if_due(self, where: str, write: Callable[[Path], None] | None = None) -> None:
        """Before each step (or block): StoppedError, the state saved, when there is no time for another.

        That is when the limit is nearer than twice the longest step so far and the last save took.  Every
        attempt makes a step, so that attempts however short come to an end.  Without ``write`` there is
        nothing to save.
        """
        if self.step_began is not None:
            self.longest_step = max(self.longest_step, time.monotonic() - self.step_began)
            due = self.limit.is_due(2 * self.longest_step + self.saving)
            if ranks.total({"due": float(due)})["due"]:  # one rank's time is everybody's
                if write is not None and self.unsaved:
                    self.save(write)
                raise StoppedError(f"saved at {where}; run the same command to go on")
        self.step_began, self.unsaved = time.monotonic(), True

    def drop_saves(self, kept: Collection[int]) -> None:
        """Removes the other saves, the records first."""
        for path in sorted(self.state.glob("state_*")):
            if path.stem not in {f"state_{number}" for number in kept}:
                files.remove(path)

    def cover(self, *names: str) -> None:
        """From now on these files of the state, or all in these directories, belong to it as they are."""
        if ranks.is_main():
            for name in names:
                self.covered |= files.measure(self.state, self.inside(name))

    def inside(self, name: str) -> list[str]:
        """The names of a file of the state, or of all files in a directory of it."""
        path = self.state / name
        found = [path] if not path.is_dir() else [one for one in path.rglob("*") if one.is_file()]
        return sorted(str(one.relative_to(self.state)) for one in found)

    def keep(self, name: str) -> None:
        """Covers a file of the state by a record of its own, by which another attempt ``holds`` it."""
        self.cover(name)
        record = {name: self.covered[name]}
        files.write_record(self.state / f"{Path(name).stem}.json", {"outputs": record})

    def holds(self, record: str) -> bool:
        """Whether there is this record, and all that it covers is as it was; what is not is discarded with a line."""
        path = self.state / f"{record}.json"
        if not path.exists():
            return False
        try:
            covered = files.read_record(path)["outputs"]
        except InputError:
            return discard(f"{path} is not as it was written", path)
        for name, measured in covered.items():
            if problem := files.damage(self.state / name, measured):
                return discard(problem, path, self.state / name)
        self.covered |= covered
        return True

    def verified(self, name: str) -> Path:
        """The path of a covered file; InputError unless it is as it was."""
        path = self.state / name
        if problem := files.damage(path, self.covered[name]):
            raise InputError(f"{problem}; run the job again, which goes back to what is whole")
        return path

    def publish(self, directory: str, target: str | Path) -> files.Record:
        """Puts the covered files of a directory of the state into ``target``, too; returns their record there.

        The state keeps them: Snakemake deletes the outputs of a failed job, and the next
        attempt then has them still.
        """
        target = Path(target)
        names = [name for name in self.covered if name.startswith(f"{directory}/")]
        sources = [self.verified(name) for name in names]
        for source in sources:
            files.place(source, target / source.name)
        return {source.name: self.covered[name] for source, name in zip(sources, names, strict=True)}

    def origin(self) -> dict:
        """Where an output comes from: configuration slice, input hashes, package versions."""
        versions = {name: importlib.metadata.version(name) for name in ["switchpoint", *PACKAGES]}
        return {
            "job": self.job,
            "inputs": self.inputs,
            "fingerprint": self.fingerprint,
            "versions": versions,
        }

    def finish(
        self, path: str | Path, status: str, outputs: files.Record, *, keep_state: bool = False, **figures
    ) -> None:
        """Writes ``run.json`` and drops the state (or all but its own); call it after every other output.

        ``outputs`` measures these, by their names relative to ``path``.
        """
        files.write_record(
            path,
            {
                "status": status,
                "outputs": outputs,
                **self.origin(),
                "attempt": self.attempt,
                "seconds": round(time.time() - self.started, 1),
                "cpu_seconds": round(cpu_seconds(), 1),
                "slurm_job": os.environ.get("SLURM_JOB_ID"),
                **figures,
            },
        )
        if not keep_state:
            self.drop_saves(())  # first, so that no attempt resumes half a state
            shutil.rmtree(self.state.parent)
            return
        for old in self.state.parent.iterdir():
            if old != self.state:
                shutil.rmtree(old)


def content_hash(path: str | Path) -> str:
    """Hash of a file, or of all that a model directory's model is made of; InputError when there is no such input.

    The hash of large weights stands in the record of the job that made them.
    """
    if not Path(path).is_dir():
        try:
            return files.sha256(path)
        except OSError as error:
            raise InputError(f"{path}: {str(error.strerror).lower()}; {files.remake(Path(path))}") from None
    recorded = made.record(Path(path, "run.json")).get("outputs", {})
    hashes = {}
    for file in map(Path, paths.given_model(path)):
        measured = recorded.get(file.name)
        known = (
            file.stat().st_size > files.HASHED and measured and not files.damage(file, measured, files.HASHED)
        )
        hashes[file.name] = measured["sha256"] if known else files.sha256(file)
    return files.digest(hashes)


def discard(problem: str, *paths: Path) -> bool:
    """Removes parts of a state that are no use any more, and says so; False: there is no such state."""
    print(f"{problem}; discarded, to be made again", flush=True)
    for path in paths:
        files.remove(path)
    return False


def lock(state: Path) -> TextIO:
    """The lock file beside a job's state, locked until this process ends, however it ends.

    InputError when another process has it.  Of the kind that a process's children do not inherit, as those
    that outlive a killed job would hold it.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    file = state.with_name(f"{state.name}.lock").open("a+")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        holder = file.read() or "another process"
        raise InputError(f"{state}: {holder} runs this very job; wait for its end, or end it") from None
    except OSError as error:
        print(f"{file.name}: no lock ({error.strerror}); see to it that no other process runs this job")
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}")
    file.flush()
    return file


def cpu_seconds() -> float:
    """Processor time since the process began, its imports and its children that have ended included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
