"""The processes of one job, which torchrun starts.

Every rank holds the whole batch, as token ids, and computes its share of it; rank 0 alone publishes.  One process
is a rank, too, and needs none of torch's process groups.
"""

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator

import torch
import torch.distributed as dist


def start() -> None:
    """Joins the other processes, if torchrun started more than one; rank 0 alone prints."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("cpu:gloo,cuda:nccl")
    else:
        dist.init_process_group("gloo")
    # Left to the interpreter's end, the threads of the group now and then abort a process whose work is done.
    atexit.register(dist.destroy_process_group)
    if not is_main():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def share(items: list) -> list:
    """This rank's items: every n-th of n ranks."""
    return items[rank() :: world()]


def gather(items: list) -> list:
    """The items of all ranks in the order in which ``share`` dealt them."""
    if world() == 1:
        return items
    shares: list = [None] * world()
    dist.all_gather_object(shares, items)
    result = [None] * sum(map(len, shares))
    for first, own in enumerate(shares):
        result[first :: world()] = own
    return result


def tell(value):
    """Rank 0's value, on every rank."""
    if world() == 1:
        return value
    told = [value]
    dist.broadcast_object_list(told)
    return told[0]


def total(figures: dict[str, float]) -> dict[str, float]:
    """The sums of figures over the ranks, of which each may have some that others lack."""
    sums: dict[str, float] = {}
    for own in gather([figures]):
        for name, value in own.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def add_up(tensors: list[torch.Tensor]) -> None:
    """Replaces every tensor by its sum over the ranks."""
    if world() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


@contextlib.contextmanager
def together(kind: type[Exception]) -> Iterator[None]:
    """An error of this kind in the block of one rank is raised on every rank, so that none waits for another."""
    error = None
    try:
        yield
    except kind as raised:
        error = raised
    messages = [one for one in gather([error and str(error)]) if one]
    if messages:
        raise error or kind(messages[0])


def wait() -> None:
    """Until every rank is here."""
    if world() > 1:
        dist.barrier()
