"""The project's named errors."""


class InputError(ValueError):
    """Bad input; the message says what, where and how to mend it."""


class DivergedError(InputError):
    """A loss, a gradient or a model's output that is not finite."""
