"""Running somebody else's code so that what it raises, prints or waits for spoils nothing but itself."""

import io
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from genaug.escaping import one_line

TIME_LIMIT = 10.0  # seconds in which a plugin has to say what it brings

_log = logging.getLogger("genaug.backends.registry")


class TooSlowError(BaseException):
    """The time is up. No ``Exception``, so that code which catches those doesn't go on."""


def is_interrupt(error: BaseException) -> bool:
    """Whether an error is the user's Ctrl-C, which nothing may swallow. Any other is the fault of the code that ran:
    SystemExit, and what pytest, asyncio or Rust derive from BaseException, too."""
    return isinstance(error, KeyboardInterrupt)


@contextmanager
def quiet(owner: str) -> Iterator[None]:
    """Keep what the block prints from the console; ``--debug`` shows it, as the log "genaug.backends.registry".

    What doesn't go through Python (a library in C, another process) is sent from stdout to stderr, so that stdout holds
    only what the command says.
    """
    printed = io.StringIO()
    try:
        with _stdout_to_stderr(), redirect_stdout(printed), redirect_stderr(printed):
            yield
    finally:
        if text := one_line(printed.getvalue()):
            _log.debug("%s printed: %s", owner, text)


@contextmanager
def limited_to(seconds: float) -> Iterator[None]:
    """Raise ``TooSlowError`` in the block after so many seconds.

    By a timer's signal, so in the main thread of systems that have one, unless somebody else uses it; elsewhere there
    is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.getsignal(signal.SIGALRM)
    if before is None or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise TooSlowError(f"it takes more than {seconds:g} s")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """The file descriptors 1 and 2, whatever ``sys.stdout`` is; nothing if either is closed."""
    kept = None
    with suppress(OSError):
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)
