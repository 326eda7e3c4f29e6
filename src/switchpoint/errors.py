"""The project's named errors."""


class InputError(ValueError):
    """Bad input; the message says what, where and how to mend it."""


class DivergedError(InputError):
    """A loss, a gradient or a model's output that is not finite."""


def installing(extra: str) -> str:
    """The command that installs an extra, for a message."""
    return f"pip install 'switchpoint[{extra}]', or in a clone: pip install '.[{extra}]'"


class StoppedError(Exception):
    """A job that stopped in time, its state saved: the same command goes on from there."""
