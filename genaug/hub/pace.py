"""A bound on transfers as a whole: each window of time has to move a least number of bytes, or we give up.

A timeout bounds the wait for the next byte only: a server that sends one now and then would hold us for ever.
"""

import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

from huggingface_hub.utils import httpx

LEAST_RATE = 1000  # bytes per second, on average over a window
_CHUNK = 2**16  # bytes; a part of a request that counts as sent once the next one is asked for
_GRACE = 1.0  # seconds, so that the timeout of a silent connection comes first, which says more


class TooSlowError(Exception):
    """A transfer that moved fewer bytes in a window than ``LEAST_RATE`` asks for."""


class Pace:
    """Counts the bytes of one transfer, in windows of ``window`` seconds."""

    def __init__(self, window: float) -> None:
        self.window = window
        self._bytes, self._start = 0, time.monotonic()

    def add(self, count: int) -> None:
        """Count bytes that were moved. Raises ``TooSlowError`` at the end of a window with too few of them."""
        self._bytes += count
        self.check()

    def check(self) -> None:
        """Raise ``TooSlowError`` if a window is over and moved too few bytes."""
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
    """The body of a request or a response: its bytes count, and it has at most ``limit`` of them."""

    def __init__(self, stream: Any, pace: Pace, limit: int | None = None) -> None:
        self._stream, self._pace, self.limit = stream, pace, limit

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        for chunk in self._stream:
            total += len(chunk)
            if self.limit is not None and total > self.limit:
                raise ValueError(f"more than {self.limit:,} bytes")
            for start in range(0, len(chunk), _CHUNK):
                part = chunk[start : start + _CHUNK]
                self._pace.add(len(part))
                yield part

    def close(self) -> None:
        self._stream.close()


def paced_send(send: Callable[..., Any], request: Any, window: float, limit: int | None = None, **options: Any) -> Any:
    """The streaming response that a client's ``send`` gives, with a bound on its duration and on the answer's size.

    Raises ``TooSlowError`` here and while the answer is read, and ``ValueError`` for an answer of more than ``limit``
    bytes.
    """
    pace = Pace(window)
    request.stream = PacedStream(request.stream, pace)
    response = _watched(lambda: send(request, **{**options, "stream": True}), pace)
    response.stream = PacedStream(response.stream, pace, limit)
    return response


def _watched(call: Callable[[], Any], pace: Pace) -> Any:
    """What ``call`` returns. It runs in a thread, since nothing else ends the reading of headers that come in drips."""
    results: list[Any] = []
    errors: list[BaseException] = []
    abandoned = False

    def work() -> None:
        try:
            results.append(call())
            if abandoned:
                results[0].close()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(max(pace.remaining(), 0.0) + _GRACE)
            if thread.is_alive():
                pace.check()
    except BaseException:
        abandoned = True
        raise
    if errors:
        raise errors[0]
    return results[0]
