"""When an attempt at a job has to end."""

import math
import os
import signal
import time

from switchpoint.errors import InputError

RESERVE = 60  # seconds of a SLURM job that are left for its end


class Limit:
    """When an attempt has to end: at a moment (seconds since 1970), and as soon as it can once it was ``asked``."""

    def __init__(self, end: float = math.inf) -> None:
        self.end, self.asked = end, False

    @classmethod
    def of_process(cls, seconds: float | None = None) -> "Limit":
        """This process's: in ``seconds``, else ``RESERVE`` before its SLURM job's end; SIGTERM and SIGUSR1 ask.

        InputError when SLURM's end is no number.
        """
        slurm = os.environ.get("SLURM_JOB_END_TIME")
        if seconds is not None:
            limit = cls(time.time() + seconds)
        elif slurm is None or slurm.isdecimal():
            limit = cls(float(slurm or math.inf) - RESERVE)
        else:
            raise InputError(
                f"SLURM_JOB_END_TIME is {slurm!r}, no number of seconds; unset it, or give --deadline"
            )
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, limit.ask)
        return limit

    def ask(self, *_) -> None:
        """Asks the attempt to end."""
        self.asked = True

    def is_due(self, ahead: float) -> bool:
        """Whether it is time to end, if the next thing to do takes ``ahead`` seconds."""
        return self.asked or time.time() + ahead > self.end
