"""Runs a command of Switchpoint in several processes of this machine, one per GPU: torchrun, with our exit codes.

``python -m switchpoint.training.launch 8 sft --job ...`` ends with the code of the process that failed first, or with 75
after a signal that asks for a stop (the processes have saved by then).  Without torchrun's report: the message of the
process is above it.
"""

import os
import signal
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

PATIENCE = 900  # seconds to finish a step and to save, after the signal; or after another process has failed
# SIGUSR1 is what SLURM is asked to send before the time limit; by itself it would end torchrun and leave its processes.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


def main(arguments: list[str]) -> int:
    """The exit code of the command in so many processes."""
    [processes, *command] = arguments
    options = [
        "--standalone", "--nproc-per-node", processes, "--shutdown-timeout", str(PATIENCE),
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
