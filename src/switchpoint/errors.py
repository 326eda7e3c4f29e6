"""The project's named errors."""


class InputError(ValueError):
    """Bad input; the message says what, where and how to mend it."""


class DivergedError(InputError):
    """A loss, a gradient or a model's output that is not finite."""


class StoppedError(Exception):
    """A job that stopped in time, its state saved: the same command goes on from there."""
