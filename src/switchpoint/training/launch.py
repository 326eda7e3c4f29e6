"""Runs a command of Switchpoint in several processes, one per GPU: torchrun, with our exit codes.

``python -m switchpoint.training.launch 8 sft --job ...`` has 8 processes on this machine; with ``2x8``, started by srun once
on each of 2 nodes, 8 on each.  It ends with the code of the process that failed first, or with 75 after a signal that asks
for a stop (the processes have saved by then).  Without torchrun's report: the message of the process is above it.
"""

import os
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from switchpoint.errors import InputError
from switchpoint.study.resources import PATIENCE

# SIGUSR1 is what SLURM is asked to send before the time limit; by itself it would end torchrun and leave its processes.
PORTS = range(20_000, 30_000)
SRUN = ("SLURM_NODEID", "SLURM_JOB_ID", "SLURM_LAUNCH_NODE_IPADDR")  # what srun tells each of its tasks
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def rendezvous(nodes: int) -> list[str]:
    """torchrun's options by which the processes find each other: on one node by themselves; else at the node from which
    srun was called, the first of the job, at a port of the job's own.  InputError without srun.
    """
    if nodes == 1:
        return ["--standalone"]
    try:
        node, job, address = (os.environ[name] for name in SRUN)
    except KeyError as error:
        raise InputError(
            f"{nodes} nodes are asked for, but there is no {error.args[0]}: srun has to start this, once on each; "
            "run it by `snakemake --profile slurm`, or ask for one node (resources)"
        ) from None
    port = os.environ.get("MASTER_PORT") or str(PORTS.start + int(job) % len(PORTS))
    address = os.environ.get("MASTER_ADDR") or address
    return [
        f"--nnodes={nodes}", f"--node-rank={node}", "--rdzv-backend=static", f"--master-addr={address}",
        f"--master-port={port}",
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """The exit code of the command in so many processes."""
    [number, *command] = arguments
    nodes, _, processes = number.rpartition("x")
    try:
        found = rendezvous(int(nodes or 1))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # The rule's processors are those of all processes of this node.
    threads = int(os.environ.get("OMP_NUM_THREADS") or 1) // int(processes)
    os.environ["OMP_NUM_THREADS"] = str(max(threads, 1))
    options = [
        *found, "--nproc-per-node", processes, "--shutdown-timeout", str(PATIENCE),
        "--signals-to-handle", ",".join(one.name for one in SIGNALS),
    ]  # fmt: skip
    try:
        # Behind the `--`, an option of the command is none of torchrun's.
        run.main([*options, "-m", "--", "switchpoint", *command])
    except SignalException:
        return os.EX_TEMPFAIL
    except ChildFailedError as error:
        [_, failure] = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
