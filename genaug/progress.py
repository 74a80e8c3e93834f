"""Progress of a long command: a bar with the time left on a terminal, plain lines elsewhere, nothing if not wanted."""

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """Count units of work towards ``total``, on stderr.

    Use it as a context manager; ``tell`` says what is being done, ``advance`` what was finished.
    """

    def __init__(self, title: str, total: float, shown: bool = True) -> None:
        self._title, self._total, self._done = title, total, 0.0
        self._shown = shown
        self._started = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        self._started = time.monotonic()
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

    def tell(self, what: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=what)
        elif self._shown:
            print(
                f"{self._title}: {100 * self._done / self._total:3.0f} %{self._left()}  {what}",
                file=sys.stderr,
                flush=True,
            )

    def advance(self, units: float) -> None:
        self._done += units
        if self._bar is not None:
            self._bar.advance(self._task, units)

    def _left(self) -> str:
        if not self._done:
            return ""
        seconds = (time.monotonic() - self._started) * (self._total / self._done - 1)
        return f", about {seconds:.0f} s left"
