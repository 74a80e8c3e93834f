"""Ctrl-C and SIGTERM during training: acknowledged at once and handled after the step, when everything can be saved."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def caught_signals(say: Callable[[str], None]) -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM instead of ending; a second one acts as usual. Main thread only.

    ``say`` acknowledges the signal at once. A signal that is ignored (nohup, a job in the background) stays ignored.
    """
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {number: handler for number, handler in usual.items() if handler not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def collect(number: int, frame: Any) -> None:
        signals.append(number)
        restore()
        with suppress(RuntimeError):  # the signal interrupted a line that is just being written
            say(
                f"{signal.Signals(number).name} received: finishing this step, then saving. A second one ends at once, "
                "without saving."
            )

    for number in usual:
        signal.signal(number, collect)
    try:
        yield signals
    finally:
        restore()


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit``, so that locks are released and unfinished files are removed.

    Main thread only, and only if nobody else handles it.
    """
    is_default = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if is_default:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def leave(number: int | None, message: str) -> None:
    """End as the signal would have, now that the state is saved; without a signal, do nothing."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt(message)
    if number is not None:
        raise SystemExit(128 + number)
