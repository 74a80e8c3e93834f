"""Progress of a long command: a bar with the remaining time on a terminal, plain lines otherwise."""

import math
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar


class Progress:
    """Report units of work completed out of ``total`` (None: not known yet) on stderr; nothing unless ``enabled``.

    Use it as a context manager. ``tell`` describes the current work, ``advance`` counts completed units, and ``say``
    prints a permanent line. Without a terminal, ``tell`` prints a line at most every ``line_every`` seconds. Within
    the block of another one that reports, this one reports nothing.
    """

    _reporting: ClassVar["Progress | None"] = None

    def __init__(self, title: str, total: float | None, enabled: bool = True, line_every: float = 0.0) -> None:
        self._title, self._total, self._done, self._before = title, total, 0.0, 0.0
        self._enabled, self._line_every, self._deadline = enabled, line_every, math.inf
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        self._started = self._last_line = time.monotonic()
        self._enabled = self._enabled and Progress._reporting is None
        if self._enabled:
            Progress._reporting = self
        if self._enabled and _on_a_terminal():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress as Bar,
                ProgressColumn,
                Task,
                TaskProgressColumn,
                TextColumn,
                TimeElapsedColumn,
            )
            from rich.table import Column
            from rich.text import Text

            progress = self

            class Left(ProgressColumn):
                def render(self, task: Task) -> Text:
                    return Text(progress._left(), style="progress.remaining")

            self._bar = Bar(
                BarColumn(24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                Left(Column(no_wrap=True)),
                TextColumn("{task.description}", markup=False),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if Progress._reporting is self:
            Progress._reporting = None
        if self._bar is not None:
            self._bar.stop()

    def start_at(self, done: float) -> None:
        """Start with ``done`` units that an earlier process completed; they don't count towards the speed."""
        self._done = self._before = done
        self._started = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def set_total(self, total: float) -> None:
        """Set the number of units once it is known."""
        self._total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def limit(self, deadline: float) -> None:
        """Set the latest end of the work, as a value of ``time.monotonic()``."""
        self._deadline = deadline

    def seconds(self) -> float:
        """Seconds that this process has been working."""
        return time.monotonic() - self._started

    def units_per_second(self) -> float:
        return (self._done - self._before) / max(self.seconds(), 1e-9)

    def advance(self, units: float = 1) -> None:
        self._done += units
        if self._bar is not None:
            self._bar.advance(self._task, units)

    def tell(self, what: str, now: bool = False) -> None:
        """Describe the current work; with ``now``, print the line however recent the last one is."""
        moment = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, description=what)
        elif self._enabled and (now or moment - self._last_line >= self._line_every):
            self._last_line = moment
            state = ", ".join(filter(None, (self._share(), self._left())))
            write_line(f"{self._title}: {state}  {what}" if state else f"{self._title}: {what}")

    def say(self, text: str) -> None:
        """Print a permanent line."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif self._enabled:
            write_line(text)

    def seconds_left(self) -> float | None:
        """The remaining seconds at the speed so far, at most until the deadline; None if neither is known."""
        rate = self.units_per_second()
        needed = (self._total - self._done) / rate if self._total is not None and rate else math.inf
        left = min(needed, max(0.0, self._deadline - time.monotonic()))
        return None if left == math.inf else left

    def _left(self) -> str:
        left = self.seconds_left()
        return "" if left is None else f"about {duration(left)} left"

    def _share(self) -> str:
        if self._total is None:
            return ""
        return f"{100 * self._done / self._total if self._total else 100:3.0f}%"


def write_line(text: str) -> None:
    """Print a line on stderr, or drop it if it can't be written: reporting progress must not fail."""
    stream = sys.stderr
    with suppress(AttributeError, ValueError, OSError):  # no stderr (pythonw), or a closed one
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:
            print(text.encode("ascii", "backslashreplace").decode(), file=stream, flush=True)


def _on_a_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def duration(seconds: float) -> str:
    """ "45 s", "3 min 20 s", "2 h 05 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
