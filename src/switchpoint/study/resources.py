"""What a job of each stage needs of the cluster: nodes, GPUs, processors, memory and time.

It is in no job's slice: who asks for more reruns nothing.  The rules hand it to Snakemake under the names of its SLURM
executor; account and partition are the cluster's, and stand in `profiles/slurm`.
"""

import math
from typing import Annotated

from pydantic import Field, model_validator

from switchpoint.study.quantities import Count, Unit
from switchpoint.study.strict import Strict

SPARE = 2  # submissions beyond those that the hours ask for: nodes fail
PATIENCE = 900  # seconds to finish a step and to save, after a signal, or after another process has ended
PYTHON = "python -m switchpoint"
LAUNCH = "python -m switchpoint.training.launch"


class Needs(Strict):
    """What a job of a stage needs."""

    gpus: Annotated[int, Unit("GPUs")] = Field(0, ge=0, le=64, description="GPUs on each of its nodes.")
    cpus: Annotated[Count, Unit("processors")] | None = Field(
        None, description="Processors on each of its nodes; none: one per process, and 16 to read real data."
    )
    memory: Annotated[float, Unit("GB")] = Field(
        4, ge=1, le=100_000, description="Memory on each of its nodes."
    )
    hours: Annotated[float, Unit("hours")] | None = Field(
        None, ge=1 / 30, le=8760,
        description="The longest that one submission may take: then the job saves its state, stops, and is submitted again. "
        "None: the profile's `runtime`.",
    )  # fmt: skip
    total_hours: Annotated[float, Unit("hours")] | None = Field(
        None, gt=0, le=87_600,
        description="What a job takes in all: so many submissions are allowed, and two more. None: the profile's `retries`.",
    )  # fmt: skip

    @model_validator(mode="after")
    def hours_fit(self):
        """Refuses a total without the hours of a submission."""
        if self.total_hours is not None and self.hours is None:
            raise ValueError("total_hours is given, but not the hours of one submission; give hours, too")
        return self

    @property
    def retries(self) -> int | None:
        """How often a job is submitted again, at most; None: the profile says it."""
        return math.ceil(self.total_hours / self.hours) - 1 + SPARE if self.total_hours else None

    @property
    def runtime(self) -> int | None:
        """The minutes of one submission."""
        return None if self.hours is None else round(60 * self.hours)


class TrainingNeeds(Needs):
    """What a training job needs, which may be of several processes on several nodes."""

    nodes: Annotated[int, Unit("nodes")] = Field(1, ge=1, le=1024, description="Nodes; several need SLURM.")
    processes: Annotated[int, Unit("processes")] | None = Field(
        None, ge=1, le=1024, description="Processes on each node, which torchrun starts; none: one per GPU."
    )

    @property
    def on_each_node(self) -> int:
        """Processes on each node."""
        return self.processes or max(self.gpus, 1)


class Resources(Strict):
    """What the jobs of each stage need."""

    data: Needs = Field(Needs(), description="Curation: reading, selecting, decontaminating.")
    base: Needs = Field(Needs(), description="`make_base` or `convert_base`.")
    solver: TrainingNeeds = Field(TrainingNeeds(), description="The weak solver's SFT.")
    win_rates: Needs = Field(Needs(), description="Each part of the win rates' measurement.")
    sft: TrainingNeeds = Field(TrainingNeeds(), description="Each SFT run, or segment of one.")
    rl: TrainingNeeds = Field(TrainingNeeds(), description="Each RL run.")
    evaluation: Needs = Field(Needs(), description="Each evaluation, or part of one.")
    analysis: Needs = Field(
        Needs(memory=2, hours=0.2),
        description="Collecting, fitting, advising, reporting: one job in SLURM, of the hours of five after one another.",
    )


def asked(needs: Needs, cpus: int) -> dict[str, int | str]:
    """A stage's resources, by the names that Snakemake's SLURM executor reads; what is not asked for is the profile's.

    ``gpus`` counts those of all nodes, for `--resources gpus=N` on one machine.  Several nodes have one task each, which
    starts its node's processes.
    """
    nodes = getattr(needs, "nodes", 1)
    # Snakemake lowers a rule's threads to what this machine has.
    named: dict[str, int | str] = {"mem_mb": round(1000 * needs.memory), "cpus_per_task": cpus}
    if needs.runtime is not None:
        named["runtime"] = needs.runtime
    if needs.gpus:
        named |= {"gres": f"gpu:{needs.gpus}", "gpus": nodes * needs.gpus}
    if nodes > 1:
        named |= {"mpi": "srun", "nodes": nodes, "tasks": nodes}
        if needs.gpus:
            named["tasks_per_gpu"] = 0  # else the executor asks for so many as there are tasks
    return named


def launcher(needs: TrainingNeeds, cpus: int) -> str:
    """What starts a training command: Python, or several processes of it, on one node or on each of several."""
    processes = needs.on_each_node
    if needs.nodes == 1:
        return PYTHON if processes == 1 else f"{LAUNCH} {processes}"
    gpus = f" --gres=gpu:{needs.gpus}" if needs.gpus else ""
    srun = f"srun --nodes={needs.nodes} --ntasks-per-node=1 --cpus-per-task={cpus}{gpus} --wait={PATIENCE}"
    return f"{srun} {LAUNCH} {needs.nodes}x{processes}"
