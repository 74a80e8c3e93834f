"""Running somebody else's code so that its errors, its output and its waiting harm nothing else."""

import io
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from genaug.escaping import one_line

TIME_LIMIT = 10.0  # seconds for a plugin to register what it provides

_log = logging.getLogger(__name__)


class TooSlowError(BaseException):
    """The time limit is exceeded. Not an ``Exception``, so that code which catches those doesn't continue."""


@contextmanager
def quiet(owner: str) -> Iterator[None]:
    """Redirect what the block prints from the console to this module's log, which ``--debug`` shows.

    Output that doesn't go through Python (a C library, another process) is sent from stdout to stderr, so that stdout
    contains only the command's own output.
    """
    output = io.StringIO()
    try:
        with _stdout_to_stderr(), redirect_stdout(output), redirect_stderr(output):
            yield
    finally:
        if text := one_line(output.getvalue()):
            _log.debug("%s printed: %s", owner, text)


@contextmanager
def limited_to(seconds: float) -> Iterator[None]:
    """Raise ``TooSlowError`` in the block after ``seconds``.

    Uses a timer's signal: there is no limit outside the main thread, on systems without one, and if other code already
    uses it.
    """
    available = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    handler = signal.getsignal(signal.SIGALRM) if available else None
    if handler is None or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise TooSlowError(f"it takes more than {seconds:g} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect file descriptor 1 to 2, regardless of ``sys.stdout``; does nothing if either is closed."""
    stdout = None
    with suppress(OSError):
        stdout = os.dup(1)
        os.dup2(2, 1)
    try:
        yield
    finally:
        if stdout is not None:
            os.dup2(stdout, 1)
            os.close(stdout)
