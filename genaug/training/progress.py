"""What a person sees of a training run: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

_LINE_EVERY = 15.0  # seconds between lines where there is no terminal


class TrainingProgress:
    """Steps done, images a second, time left and the latest losses, on stderr."""

    def __init__(self, steps: int, batch_size: int, shown: bool) -> None:
        self._steps, self._first, self._batch_size, self._shown = steps, 0, batch_size, shown
        self._start = self._last_line = time.monotonic()
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task("training", total=steps, note="")

    def __enter__(self) -> "TrainingProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, first: int) -> None:
        """Steps before ``first`` were done by an earlier process and don't count towards the rate."""
        self._first, self._start = first, time.monotonic()
        self.advance(first)

    def images_per_second(self, done: int) -> float:
        return (done - self._first) * self._batch_size / max(time.monotonic() - self._start, 1e-9)

    def advance(self, done: int) -> None:
        """Steps done; on a terminal only."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def report(self, done: int, metrics: Mapping[str, float]) -> None:
        """The latest measurements."""
        rate = self.images_per_second(done)
        note = f"{rate:,.0f} images/s  " + "  ".join(
            f"{name.removeprefix('loss/')} {value:.3g}" for name, value in metrics.items() if name.startswith("loss/")
        )
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note)
        elif self._shown and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            left = (self._steps - done) * self._batch_size / max(rate, 1e-9)
            self.say(f"step {done}/{self._steps}  {note}  {duration(left)} left")

    def say(self, text: str) -> None:
        """One line that stays."""
        if not self._shown:
            return
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """ "45 s", "3 min 20 s", "2 h 05 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
