"""Training in several processes: started by ``torchrun``, gradients averaged with one flat all-reduce.

Modules stay unwrapped: DistributedDataParallel gives silently wrong gradients when the adversarial loss and a gradient
penalty run in separate backward passes.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

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
_store: "Store | None" = None  # torchrun's; rank 0 may host it, so it lives as long as the process


class Link:
    """The only reference to the process group of a training, so that the group is gone when the training is over.

    A group that lives until the interpreter exits has threads that can abort the process then.
    """

    group: Any = None

    def close(self) -> None:
        group, self.group = self.group, None
        dist.destroy_process_group(group)


@dataclass(frozen=True)
class World:
    """The processes that train together: this one's ``rank`` and their number, ``size``.

    Each process gets one of ``size`` equal slices of every global batch, in the order of the ranks.
    """

    rank: int = 0
    size: int = 1
    link: Link = field(default_factory=Link, compare=False, repr=False)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def local(self, rows: Tensor) -> Tensor:
        """This process's slice of the rows of a global batch."""
        count = len(rows) // self.size
        return rows[self.rank * count : (self.rank + 1) * count]


def is_first() -> bool:
    """Whether this process has rank 0 in the caller's process group or under torchrun, before a training joins it."""
    if _alone.get():
        return True
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@contextmanager
def training_alone() -> Iterator[None]:
    """In this context, the process trains without the others of its process group."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def process_group(
    device: torch.device,
    batch_size: int,
    call: Mapping[str, Any] | None = None,
    show: bool = False,
    problem: GenaugError | None = None,
) -> Iterator[tuple[World, torch.device]]:
    """Join the processes of the caller's process group, or else those that torchrun started.

    Yields the world and this process's device. ``call`` is what has to be the same in all processes, and ``problem``
    the reason why rank 0 can't train; see ``meet``.

    Raises ``InputError`` if the batch can't be divided equally among the processes, and ``problem``.
    """
    external = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if external else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or _alone.get():
        if problem is not None:
            raise problem
        yield World(), device
        return
    if not external:
        _check_divisible(batch_size, size)
    rank, store = (dist.get_rank(), dist.distributed_c10d._get_default_store()) if external else _torchrun_store()
    if device.type == "cuda" and device.index is None:
        local_rank = os.environ.get("LOCAL_RANK")
        device = torch.device("cuda", torch.cuda.current_device() if local_rank is None else int(local_rank))
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        with _lost_process_errors():
            say = write_line if show else lambda _: None
            number = meet(store, rank, size, {"out": "", **(call or {})}, external, say, problem)
        if number is None:
            yield World(), device
            return
        _check_divisible(batch_size, size)
        link, backend = Link(), "nccl" if device.type == "cuda" else "gloo"
        with _lost_process_errors():
            if external:  # a separate group fits the device and doesn't interfere with the caller's operations
                link.group = dist.new_group(backend=backend)
            else:
                prefixed = dist.PrefixStore(f"genaug/group/{number}", store)  # type: ignore[attr-defined]
                dist.init_process_group(backend, store=prefixed, rank=rank, world_size=size)
                link.group = dist.group.WORLD
        stack.callback(link.close)
        yield World(rank, size, link), device


def _check_divisible(batch_size: int, size: int) -> None:
    if batch_size % size:
        raise InputError(
            f"batch_size is {batch_size}, which can't be divided equally among {size} processes. Use a multiple of "
            f"{size}."
        )


def _torchrun_store() -> tuple[int, "Store"]:
    """This process's rank and the store that the environment names."""
    global _store
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    if missing:
        raise InputError(
            f"the environment sets WORLD_SIZE={os.environ['WORLD_SIZE']}, but not {' or '.join(missing)}. torchrun "
            "sets all of them; to train in a single process, unset WORLD_SIZE."
        )
    if _store is None:
        with _lost_process_errors():
            _store, _, _ = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    return int(os.environ["RANK"]), _store


def from_first(world: World, device: torch.device, action: "Callable[[], _T]") -> _T:
    """In all processes, the result of ``action`` in the process of rank 0; its ``GenaugError`` is raised in all."""
    if world.size == 1:
        return action()
    outcome: list[Any] = [None, None]
    if world.is_first:
        try:
            outcome[0] = action()
        except GenaugError as error:
            outcome[1] = error
    with _lost_process_errors():
        dist.broadcast_object_list(outcome, 0, group=world.link.group, device=device)
    if outcome[1] is not None:
        raise outcome[1]
    return cast("_T", outcome[0])


def average_gradients(parameters: Sequence[nn.Parameter], world: World) -> None:
    """Replace each gradient by its mean over the processes, in a single all-reduce.

    If only some processes have a gradient for a parameter, it counts as 0 in the others, and all get the mean.
    """
    if world.size == 1:
        return
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    present = torch.tensor([p.grad is not None for p in parameters]).to(gradients[0])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), present])
    with _lost_process_errors():
        dist.all_reduce(flat, group=world.link.group)
    *sums, counts = flat.split([*(p.numel() for p in parameters), len(present)])
    for parameter, gradient, total, count in zip(parameters, gradients, sums, counts.tolist(), strict=True):
        if count:
            parameter.grad = gradient.copy_(total.view_as(parameter) / world.size)


def any_of(flag: bool, world: World, device: torch.device) -> bool:
    """Whether the flag is set in any process. All processes must call this."""
    if world.size == 1:
        return flag
    votes = torch.tensor(int(flag), device=device)
    with _lost_process_errors():
        dist.all_reduce(votes, dist.ReduceOp.MAX, group=world.link.group)
    return bool(votes)


def wait_for_all(world: World) -> None:
    if world.size > 1:
        with _lost_process_errors():
            dist.barrier(group=world.link.group)


@contextmanager
def _lost_process_errors() -> Iterator[None]:
    """Turn what gloo and nccl raise when another process is gone into a ``TrainingError`` that says what to do."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(
            "another process of this training has ended or doesn't respond; torchrun reports which one and why. The "
            "run's folder holds the last checkpoint: run the same torchrun command with --resume to continue from it. "
            f"({reason})"
        ) from error
