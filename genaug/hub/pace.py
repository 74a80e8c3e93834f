"""A minimum rate for transfers: they are aborted if a window of time has too few bytes.

A timeout bounds only the wait for the next byte, so a server that sends one now and then could block us forever.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from threading import Thread
from typing import Any

from huggingface_hub.utils import httpx

LEAST_RATE = 1000  # bytes per second, on average over a window
_CHUNK = 2**16  # bytes; a chunk of a request counts as sent once the next one is requested
_GRACE = 1.0  # seconds, so that a silent connection ends with its timeout, which says more


class TooSlowError(Exception):
    """A transfer had fewer bytes in a window than ``LEAST_RATE`` requires."""


class TooLongError(Exception):
    """An answer has too many bytes or redirects."""


class Pace:
    """Counts the bytes of a transfer in windows of ``window`` seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._bytes, self._start = 0, time.monotonic()

    def add(self, count: int) -> None:
        """Count transferred bytes. Raises ``TooSlowError`` at the end of a window with too few of them."""
        self._bytes += count
        self.check()

    def check(self) -> None:
        """Raise ``TooSlowError`` if a window is over and had too few bytes."""
        if self.remaining() > 0:
            return
        if self._bytes < LEAST_RATE * self.window:
            amount = f"{self._bytes:,} bytes" if self._bytes else "no complete answer"
            raise TooSlowError(f"{amount} in {self.window:.3g} s")
        self._bytes, self._start = 0, time.monotonic()

    def remaining(self) -> float:
        """Seconds until the window is over."""
        return self._start + self.window - time.monotonic()


class PacedStream(httpx.SyncByteStream):
    """The body of a request or response, whose bytes are counted and limited to ``limit``."""

    def __init__(self, stream: Any, pace: Pace, limit: int | None = None) -> None:
        self._stream, self._pace, self.limit = stream, pace, limit

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        for chunk in self._stream:
            total += len(chunk)
            if self.limit is not None and total > self.limit:
                raise TooLongError(f"more than {self.limit:,} bytes")
            for start in range(0, len(chunk), _CHUNK):
                part = chunk[start : start + _CHUNK]
                self._pace.add(len(part))
                yield part

    def close(self) -> None:
        self._stream.close()


def paced_send(send: Callable[..., Any], request: Any, window: float, limit: int | None = None, **options: Any) -> Any:
    """The streaming response from a client's ``send``, with a minimum rate and a maximum size.

    Raises ``TooSlowError`` here and while the answer is read, and ``TooLongError`` for an answer of more than ``limit``
    bytes.
    """
    pace = Pace(window)
    request.stream = PacedStream(request.stream, pace)
    response = _call_in_thread(lambda: send(request, **{**options, "stream": True}), pace)
    response.stream = PacedStream(response.stream, pace, limit)
    return response


def _call_in_thread(call: Callable[[], Any], pace: Pace) -> Any:
    """The result of ``call``, which runs in a thread, since nothing else can abort reading headers that trickle in."""
    future: Future[Any] = Future()
    abandoned = False

    def work() -> None:
        try:
            response = call()
            if abandoned:
                response.close()
            future.set_result(response)
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        while not wait([future], max(pace.remaining(), 0.0) + _GRACE).done:
            pace.check()
    except BaseException:
        abandoned = True
        raise
    return future.result()
