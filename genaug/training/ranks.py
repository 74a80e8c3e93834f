"""Several processes on one training: launched by ``torchrun``, gradients averaged with one flat all-reduce.

Modules stay unwrapped: DistributedDataParallel gives silently wrong gradients when the adversarial loss and a gradient
penalty run in separate backwards.
"""

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genaug.errors import InputError, TrainingError


@dataclass(frozen=True)
class Share:
    """This process's part of a global batch: the ``rank``-th of ``size`` equal slices."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def of(self, rows: Tensor) -> Tensor:
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]


def is_first() -> bool:
    """Whether this will be the process of rank 0, before the processes that torchrun started have joined."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: torch.device, batch_size: int) -> Iterator[tuple[Share, torch.device]]:
    """Join the processes that torchrun started, if it did; gives this one's share and its device.

    Raises ``InputError`` where the batch can't be cut into equal shares.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Share(), device
        return
    if batch_size % size:
        raise InputError(f"batch_size is {batch_size}, which {size} processes can't share equally. Use a multiple.")
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if not dist.is_initialized():  # for good: a group that is left can't be joined a second time
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    yield Share(dist.get_rank(), size), device


def average_gradients(parameters: Sequence[nn.Parameter], share: Share) -> None:
    """Replace each gradient by its mean over the processes, in one all-reduce of all of them.

    A parameter that has one in some processes only counts as having 0 in the others, and has the mean in all.
    """
    if share.size == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    there = torch.tensor([p.grad is not None for p in parameters]).to(gradients[0])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), there])
    with _answers():
        dist.all_reduce(flat)
    *sums, have = flat.split([*(p.numel() for p in parameters), len(there)])
    for parameter, gradient, total, count in zip(parameters, gradients, sums, have.tolist(), strict=True):
        if count:
            parameter.grad = gradient.copy_(total.view_as(parameter) / share.size)


def any_of(flag: bool, share: Share, device: torch.device) -> bool:
    """Whether the flag is set in any process; all must ask."""
    if share.size == 1:
        return flag
    votes = torch.tensor(int(flag), device=device)
    with _answers():
        dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes)


def wait_for_all(share: Share) -> None:
    if share.size > 1:
        with _answers():
            dist.barrier()


@contextmanager
def _answers() -> Iterator[None]:
    """Turns what gloo and nccl raise when another process is gone into a sentence that says how to go on."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            "another process of this training has ended or doesn't answer; torchrun tells which one and why. The run's "
            f"folder holds the last checkpoint: the same torchrun goes on from there with --resume. ({reason})"
        ) from error
