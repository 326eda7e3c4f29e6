"""What every job shares: its configuration slice, its resumable state, its ``run.json``."""

import importlib.metadata
import os
import resource
import shutil
import sys
import time
from collections.abc import Collection
from pathlib import Path

from switchpoint import files
from switchpoint.study import made, paths
from switchpoint.study.jobs import Job

PACKAGES = ["torch", "transformers", "math-verify", "numpy", "pandas", "scipy"]


class Progress:
    """A progress line that rewrites itself on a terminal, and plain lines in a log."""

    def __init__(self, label: str, total: int, every_seconds: float = 5.0):
        self.label, self.total, self.every = label, total, every_seconds
        self.started = self.shown = time.monotonic()

    def __call__(self, step: int, **figures: float) -> None:
        """Shows the step and its figures (on a log at most every few seconds, and the last)."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
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
    ) -> None:
        self.job, self.started = job.model_dump(mode="json"), time.time()
        self.inputs = {name: content_hash(path) for name, path in sorted(inputs.items())}
        covered = {name: sha256 for name, sha256 in self.inputs.items() if name not in exclude_inputs}
        self.fingerprint = files.digest(
            {"job": job.model_dump(mode="json", exclude=exclude), "inputs": covered, "settings": settings}
        )
        self.state = Path(state_dir) / self.fingerprint
        self.state.mkdir(parents=True, exist_ok=True)
        self.attempt = self.record_attempt()

    def record_attempt(self) -> int:
        """Counts the attempts of this very job."""
        path = self.state / "attempts"
        attempt = 1 + (int(path.read_text()) if path.exists() else 0)
        files.write_text(path, str(attempt))
        return attempt

    @property
    def checkpoint(self) -> Path:
        """The resumable training state."""
        return self.state / "state.pt"

    def made(self, directory: Path) -> bool:
        """Whether a whole model directory is there that this job made of these inputs."""
        return (
            made.is_made(directory, self.job) and made.record(directory / "run.json")["inputs"] == self.inputs
        )

    def publish(self, directory: str, target: str | Path) -> None:
        """Puts the files of a directory of the state into ``target``, by hard link and rename.

        The state keeps it: Snakemake deletes the outputs of a failed job, and the next
        attempt then has it still.
        """
        target = Path(target)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted((self.state / directory).iterdir()):
            temporary = target / f".{file.name}.tmp"
            temporary.unlink(missing_ok=True)
            os.link(file, temporary)
            temporary.replace(target / file.name)

    def origin(self) -> dict:
        """Where an output comes from: configuration slice, input hashes, package versions."""
        versions = {name: importlib.metadata.version(name) for name in ["switchpoint", *PACKAGES]}
        return {
            "job": self.job,
            "inputs": self.inputs,
            "fingerprint": self.fingerprint,
            "versions": versions,
        }

    def finish(self, path: str | Path, status: str, *, keep_state: bool = False, **figures) -> None:
        """Writes ``run.json`` and drops the state (or all but its own); call it after every other output."""
        files.write_json(
            path,
            {
                "status": status,
                **self.origin(),
                "attempt": self.attempt,
                "seconds": round(time.time() - self.started, 1),
                "cpu_seconds": round(cpu_seconds(), 1),
                "slurm_job": os.environ.get("SLURM_JOB_ID"),
                **figures,
            },
        )
        if not keep_state:
            self.checkpoint.unlink(missing_ok=True)  # first, so that no attempt resumes half a state
            shutil.rmtree(self.state.parent)
            return
        for old in self.state.parent.iterdir():
            if old != self.state:
                shutil.rmtree(old)


def content_hash(path: str | Path) -> str:
    """Hash of a file, or of all that a model directory's model is made of."""
    if not Path(path).is_dir():
        return files.sha256(path)
    return files.digest({Path(file).name: files.sha256(file) for file in paths.given_model(path)})


def cpu_seconds() -> float:
    """Processor time since the process began, its imports and its children that have ended included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
