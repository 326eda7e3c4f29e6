"""The order in which a run sees its rows: a function of (seed, position) alone."""

import functools
import random


@functools.lru_cache(maxsize=4)
def permutation(size: int, key: str) -> tuple[int, ...]:
    """One epoch's order of ``size`` rows."""
    return tuple(random.Random(key).sample(range(size), size))


def rows(size: int, seed: int, first: int, count: int) -> list[int]:
    """Rows at positions ``first .. first + count - 1`` of the endless shuffled stream.

    Every epoch holds each row once, in an order of its own; there is nothing to restore
    when a run resumes.
    """
    positions = (divmod(position, size) for position in range(first, first + count))
    return [permutation(size, f"{seed}/{epoch}")[index] for epoch, index in positions]
