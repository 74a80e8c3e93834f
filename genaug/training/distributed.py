"""Several processes on one training: launched by ``torchrun``, gradients averaged with one flat all-reduce.

Modules stay unwrapped: DistributedDataParallel gives silently wrong gradients when the adversarial loss and a gradient
penalty run in separate backwards.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genaug.errors import GenaugError, InputError, TrainingError
from genaug.progress import write_line
from genaug.training.rendezvous import meet

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_T = TypeVar("_T")
_ENVIRONMENT = ("RANK", "MASTER_ADDR", "MASTER_PORT")
_alone: ContextVar[bool] = ContextVar("alone", default=False)
_store: "Store | None" = None  # torchrun's, or the one that rank 0 keeps for the others while it lives


class Link:
    """Holds the process group of a training, so that nothing else does when the training is over.

    A group that lives until the interpreter ends has threads that can abort the process then.
    """

    group: Any = None

    def close(self) -> None:
        group, self.group = self.group, None
        dist.destroy_process_group(group)


@dataclass(frozen=True)
class Share:
    """This process's part of a global batch: the ``rank``-th of ``size`` equal slices."""

    rank: int = 0
    size: int = 1
    link: Link = field(default_factory=Link, compare=False, repr=False)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def of(self, rows: Tensor) -> Tensor:
        each = len(rows) // self.size
        return rows[self.rank * each : (self.rank + 1) * each]


def is_first() -> bool:
    """Whether this is the process of rank 0, before it has joined those of the caller's process group or torchrun's."""
    if _alone.get():
        return True
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def training_alone() -> Iterator[None]:
    """Inside, this process trains without the others of its process group."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def joined(
    device: torch.device,
    batch_size: int,
    call: Mapping[str, Any] | None = None,
    show: bool = False,
    problem: GenaugError | None = None,
) -> Iterator[tuple[Share, torch.device]]:
    """Join the processes of the caller's process group, or else those that torchrun started; gives this one's share
    and its device. ``call`` is what has to be the same in all of them, and ``problem`` why rank 0 can't train, see
    ``meet``.

    Raises ``InputError`` if the batch can't be cut into equal shares, and ``problem``.
    """
    theirs = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if theirs else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or _alone.get():
        if problem is not None:
            raise problem
        yield Share(), device
        return
    if not theirs:
        _check_divisible(batch_size, size)
    rank, store = (dist.get_rank(), dist.distributed_c10d._get_default_store()) if theirs else _torchruns_store()
    if device.type == "cuda" and device.index is None:
        local = os.environ.get("LOCAL_RANK")
        device = torch.device("cuda", torch.cuda.current_device() if local is None else int(local))
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        with _answers():
            call, say = {"out": "", **(call or {})}, write_line if show else _silent
            number = meet(store, rank, size, call, theirs, say, problem)
        if number is None:
            yield Share(), device
            return
        _check_divisible(batch_size, size)
        link, backend = Link(), "nccl" if device.type == "cuda" else "gloo"
        with _answers():
            if theirs:  # one of our own: it fits the device, and doesn't mix with what else goes on in theirs
                link.group = dist.new_group(backend=backend)
            else:
                place = dist.PrefixStore(f"genaug/group/{number}", store)  # type: ignore[attr-defined]
                dist.init_process_group(backend, store=place, rank=rank, world_size=size)
                link.group = dist.group.WORLD
        stack.callback(link.close)
        yield Share(rank, size, link), device


def _check_divisible(batch_size: int, size: int) -> None:
    if batch_size % size:
        raise InputError(f"batch_size is {batch_size}, which {size} processes can't share equally. Use a multiple.")


def _silent(_: str) -> None: ...


def _torchruns_store() -> tuple[int, "Store"]:
    """This process's rank and the store that the environment names."""
    global _store
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    if missing:
        raise InputError(
            f"the environment has WORLD_SIZE={os.environ['WORLD_SIZE']}, but no {' or '.join(missing)}. torchrun sets "
            "all of them; to train in a single process, unset WORLD_SIZE."
        )
    if _store is None:
        with _answers():
            _store, _, _ = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    return int(os.environ["RANK"]), _store


def from_first(share: Share, device: torch.device, action: "Callable[[], _T]") -> _T:
    """What ``action`` returns in the process of rank 0, in all processes; its ``GenaugError`` is raised in all."""
    if share.size == 1:
        return action()
    outcome: list[Any] = [None, None]
    if share.first:
        try:
            outcome[0] = action()
        except GenaugError as error:
            outcome[1] = error
    with _answers():
        dist.broadcast_object_list(outcome, 0, group=share.link.group, device=device)
    if outcome[1] is not None:
        raise outcome[1]
    result: _T = outcome[0]
    return result


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
        dist.all_reduce(flat, group=share.link.group)
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
        dist.all_reduce(votes, dist.ReduceOp.MAX, group=share.link.group)
    return bool(votes)


def wait_for_all(share: Share) -> None:
    if share.size > 1:
        with _answers():
            dist.barrier(group=share.link.group)


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
