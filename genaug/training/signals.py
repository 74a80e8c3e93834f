"""Ctrl-C and SIGTERM during training: answered at once and acted upon after the step, when everything can be saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def caught_signals(say: Callable[[str], None]) -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM instead of dying of it; a second one acts as usual. Main thread only.

    ``say`` tells at once that the signal was received. A signal that is ignored (nohup, a job in the background) stays
    ignored.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        with suppress(RuntimeError):  # it interrupted a line that is just being written
            say(
                f"{signal.Signals(number).name} received: finishing this step, then saving. A second one ends at once, "
                "without saving."
            )

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit``, so that what is held is released and what is being written is put right.

    Main thread only, and only where nobody else handles it.
    """
    usual = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if usual:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if usual:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def leave(reason: int | None, message: str) -> None:
    """End as the signal would have, now that the state is saved; without one, do nothing."""
    if reason == signal.SIGINT:
        raise KeyboardInterrupt(message)
    if reason is not None:
        raise SystemExit(128 + reason)
