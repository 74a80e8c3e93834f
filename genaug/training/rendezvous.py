"""Which processes train together: those of a process group that call ``fit`` with the same arguments.

They meet in the group's store before any collective operation: a process that is somewhere else in its program, at a
barrier of its own for instance, would answer one with the wrong thing, or never.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from genaug import errors
from genaug.errors import GenaugError, InputError, TrainingError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

ALONE_AFTER = 20.0  # seconds that rank 0 waits before it trains alone, in a process group that is the caller's own
PATIENCE = 600.0  # seconds that a process waits for the others at the most
_POLL = 0.05
_TELL_AFTER = 5.0
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

    ``call`` is what has to be the same in all of them, and ``out``: if each process has another one, each trains alone.
    With ``may_train_alone``, the process of rank 0 does so as well if none of the others comes. ``problem`` is why rank
    0 can't train; it is raised there, and in all processes that would train with it.

    Raises ``InputError``, in all processes, if their calls differ, and ``TrainingError`` if not all of them come.
    """
    while True:
        number: int = store.add(_ROUND, 0)
        place = f"genaug/{number}"
        store.set(f"{place}/{rank}", json.dumps(call))
        if rank == 0:
            verdict = _verdict(store, place, size, call, may_train_alone, say, problem)
            store.add(_ROUND, 1)
            store.set(f"{place}/verdict", json.dumps(verdict))
            if problem is not None:
                raise problem
        else:
            verdict = _verdict_of_first(store, place, say)
        if verdict["how"] == "together":
            return number
        if verdict["how"] == "apart" or (rank == 0 and verdict["how"] == "alone"):
            return None
        if verdict["how"] == "different":
            raise InputError(verdict["message"])
        if verdict["how"] == "failed":
            raise getattr(errors, verdict["error"])(verdict["message"])
        if verdict["how"] == "missing":
            raise TrainingError(verdict["message"])
        # rank 0 trains alone since before this process came: wait for its next call


def _verdict_of_first(store: "Store", place: str, say: Callable[[str], None]) -> dict[str, str]:
    key = f"{place}/verdict"
    if not _wait(lambda: store.check([key]), PATIENCE, lambda: say(_waiting([0]))):
        raise TrainingError(_missing([0]))
    verdict: dict[str, str] = json.loads(store.get(key))
    return verdict


def _verdict(
    store: "Store",
    place: str,
    size: int,
    call: Mapping[str, Any],
    may_train_alone: bool,
    say: Callable[[str], None],
    problem: GenaugError | None,
) -> dict[str, str]:
    def absent() -> list[int]:
        return [rank for rank in range(1, size) if not store.check([f"{place}/{rank}"])]

    def nobody_waits() -> bool:
        return len(absent()) == size - 1

    def tell() -> None:
        say(_waiting(absent()))

    if may_train_alone:
        _wait(lambda: not nobody_waits(), ALONE_AFTER, tell)
        if nobody_waits():
            if problem is None:
                say(
                    f"{_named(absent())} didn't call fit within {ALONE_AFTER:.0f} s: process 0 trains alone. To train "
                    "in all of them together, call fit in all of them."
                )
            return {"how": "alone"}
    if not _wait(lambda: not absent(), PATIENCE, tell):
        return {"how": "missing", "message": _missing(absent())}
    calls = [dict(call), *(json.loads(store.get(f"{place}/{rank}")) for rank in range(1, size))]
    if len({each["out"] for each in calls}) == size:
        return {"how": "apart"}
    if problem is not None:
        return {"how": "failed", "error": type(problem).__name__, "message": str(problem)}
    for rank, other in enumerate(calls):
        names = [name for name in call if other.get(name) != call[name]]
        if names:
            differences = "; ".join(f"{name} is {call[name]!r} there and {other.get(name)!r} here" for name in names)
            return {
                "how": "different",
                "message": "the processes of a process group train one generator together, but their calls of fit "
                f"differ between process 0 (there) and {rank} (here): {differences}. Pass the same arguments in all of "
                "them; to train a generator in each process, pass another out= in each.",
            }
    return {"how": "together"}


def _wait(condition: Callable[[], bool], seconds: float, tell: Callable[[], None]) -> bool:
    """Whether the condition holds in time; ``tell`` is called once if it doesn't soon."""
    began, told = time.monotonic(), False
    while not condition():
        waited = time.monotonic() - began
        if waited > seconds:
            return False
        if waited > _TELL_AFTER and not told:
            tell()
            told = True
        time.sleep(_POLL)
    return True


def _named(ranks: list[int]) -> str:
    return f"process{'es' if ranks[1:] else ''} {', '.join(map(str, ranks[:8]))}{', …' if ranks[8:] else ''}"


def _waiting(ranks: list[int]) -> str:
    return f"waiting for {_named(ranks)} of this process group to call fit."


def _missing(ranks: list[int]) -> str:
    return (
        f"{_named(ranks)} of this process group didn't call fit within {PATIENCE / 60:.0f} minutes. Under torchrun all "
        "processes train one generator together: call fit in all of them, or start the script without torchrun."
    )
