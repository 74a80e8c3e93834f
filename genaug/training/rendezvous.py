"""Which processes train together: those of a process group that call ``fit`` with the same arguments.

They meet in the group's store before any collective operation: a process that is elsewhere in its program, for
instance at a barrier of its own, would respond to such an operation with the wrong data, or never.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from genaug import errors
from genaug.errors import GenaugError, InputError, TrainingError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

ALONE_AFTER = 20.0  # seconds that rank 0 waits before it trains alone, in a process group of the caller's
PATIENCE = 600.0  # seconds that a process waits for the others at most
_POLL = 0.05
_MESSAGE_AFTER = 5.0
_ROUND = "genaug/round"


def meet(
    store: "Store",
    rank: int,
    size: int,
    call: Mapping[str, Any],
    may_train_alone: bool,
    say: Callable[[str], None],
    problem: GenaugError | None = None,
) -> int | None:
    """The number of the meeting if all processes train together; None if this one trains alone.

    ``call`` is what has to be the same in all of them, and ``out``: if each process has a different one, each trains
    alone. With ``may_train_alone``, the process of rank 0 also trains alone if none of the others comes. ``problem`` is
    the reason why rank 0 can't train; it is raised there, and in all processes that would train with it.

    Raises ``InputError``, in all processes, if their calls differ, and ``TrainingError`` if not all of them come.
    """
    while True:
        number: int = store.add(_ROUND, 0)
        prefix = f"genaug/{number}"
        store.set(f"{prefix}/{rank}", json.dumps(call))
        if rank == 0:
            verdict = _verdict(store, prefix, size, call, may_train_alone, say, problem)
            store.add(_ROUND, 1)
            store.set(f"{prefix}/verdict", json.dumps(verdict))
            if problem is not None:
                raise problem
        else:
            verdict = _verdict_of_first(store, prefix, say)
        if verdict["how"] == "together":
            return number
        if verdict["how"] == "apart" or (rank == 0 and verdict["how"] == "alone"):
            return None
        if verdict["how"] == "failed":
            raise getattr(errors, verdict["error"])(verdict["message"])
        # rank 0 began to train alone before this process came: wait for its next call


def _verdict_of_first(store: "Store", prefix: str, say: Callable[[str], None]) -> dict[str, str]:
    key = f"{prefix}/verdict"
    if not _wait(lambda: store.check([key]), PATIENCE, lambda: say(_waiting([0]))):
        raise TrainingError(_missing([0]))
    return cast("dict[str, str]", json.loads(store.get(key)))


def _verdict(
    store: "Store",
    prefix: str,
    size: int,
    call: Mapping[str, Any],
    may_train_alone: bool,
    say: Callable[[str], None],
    problem: GenaugError | None,
) -> dict[str, str]:
    def absent() -> list[int]:
        return [rank for rank in range(1, size) if not store.check([f"{prefix}/{rank}"])]

    def say_waiting() -> None:
        say(_waiting(absent()))

    if may_train_alone and not _wait(lambda: len(absent()) < size - 1, ALONE_AFTER, say_waiting):
        if problem is None:
            say(
                f"{_processes(range(1, size))} didn't call fit within {ALONE_AFTER:.0f} s: process 0 trains alone. To "
                "train in all of them together, call fit in all of them."
            )
        return {"how": "alone"}
    if not _wait(lambda: not absent(), PATIENCE, say_waiting):
        return _failure(TrainingError(_missing(absent())))
    calls = [dict(call), *(json.loads(store.get(f"{prefix}/{rank}")) for rank in range(1, size))]
    if len({each["out"] for each in calls}) == size:
        return {"how": "apart"}
    if problem is not None:
        return _failure(problem)
    for rank, other in enumerate(calls):
        differences = [
            f"{name} is {call[name]!r} there and {other.get(name)!r} here"
            for name in call
            if other.get(name) != call[name]
        ]
        if differences:
            return _failure(
                InputError(
                    "the processes of a process group train one generator together, but their calls of fit differ "
                    f"between process 0 (there) and {rank} (here): {'; '.join(differences)}. Pass the same arguments "
                    "in all of them; to train a separate generator in each process, pass a different out= in each."
                )
            )
    return {"how": "together"}


def _failure(error: GenaugError) -> dict[str, str]:
    return {"how": "failed", "error": type(error).__name__, "message": str(error)}


def _wait(condition: Callable[[], bool], seconds: float, say_waiting: Callable[[], None]) -> bool:
    """Whether the condition holds within ``seconds``; ``say_waiting`` is called once if it takes a while."""
    began, silent = time.monotonic(), True
    while not condition():
        elapsed = time.monotonic() - began
        if elapsed > seconds:
            return condition()
        if elapsed > _MESSAGE_AFTER and silent:
            say_waiting()
            silent = False
        time.sleep(_POLL)
    return True


def _processes(ranks: Sequence[int]) -> str:
    return f"process{'es' if ranks[1:] else ''} {', '.join(map(str, ranks[:8]))}{', …' if ranks[8:] else ''}"


def _waiting(ranks: Sequence[int]) -> str:
    return f"waiting for {_processes(ranks)} of this process group to call fit."


def _missing(ranks: Sequence[int]) -> str:
    return (
        f"{_processes(ranks)} of this process group didn't call fit within {PATIENCE / 60:.0f} minutes. Under torchrun "
        "all processes train one generator together: call fit in all of them, or start the script without torchrun."
    )
