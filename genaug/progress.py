"""Progress of a long command: a bar with the time left on a terminal, plain lines elsewhere, nothing if not wanted."""

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """Count units of work towards ``total``, on stderr.

    Use it as a context manager; ``tell`` says what is being done, ``advance`` what was finished, ``say`` what is to
    stay. Without a terminal, ``tell`` prints a line, at most one every ``line_every`` seconds.
    """

    def __init__(self, title: str, total: float, shown: bool = True, line_every: float = 0.0) -> None:
        self._title, self._total, self._done, self._before = title, total, 0.0, 0.0
        self._shown, self._line_every = shown, line_every
        self._started = self._last_line = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        self._started = self._last_line = time.monotonic()
        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                BarColumn(24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                TextColumn("left:"),
                TimeRemainingColumn(),
            )
            told = TextColumn("{task.description}", markup=False)
            self._bar = Bar(*columns, told, console=Console(stderr=True), speed_estimate_period=600)
            self._task = self._bar.add_task(self._title, total=self._total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start_at(self, done: float) -> None:
        """So much was done by an earlier process: it counts as done, but not towards the speed."""
        self._done = self._before = done
        self._started = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def seconds(self) -> float:
        """How long this process has been at it."""
        return time.monotonic() - self._started

    def units_per_second(self) -> float:
        return (self._done - self._before) / max(self.seconds(), 1e-9)

    def advance(self, units: float = 1) -> None:
        self._done += units
        if self._bar is not None:
            self._bar.advance(self._task, units)

    def tell(self, what: str) -> None:
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, description=what)
        elif self._shown and now - self._last_line >= self._line_every:
            self._last_line = now
            share = 100 * self._done / self._total if self._total else 100
            self._print(f"{self._title}: {share:3.0f} %{self._left()}  {what}")

    def say(self, text: str) -> None:
        """One line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif self._shown:
            self._print(text)

    def _left(self) -> str:
        rate = self.units_per_second()
        return f", about {duration((self._total - self._done) / rate)} left" if rate else ""

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """ "45 s", "3 min 20 s", "2 h 05 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
