"""The project's named errors."""


class InputError(ValueError):
    """Bad input; the message says what, where and how to mend it."""
