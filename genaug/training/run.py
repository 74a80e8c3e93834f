"""A training run: the loop around the game, with checkpoints, logs, a clean end and an exact resumption."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from genaug.backend import Backend
from genaug.errors import TrainingError
from genaug.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step, write_checkpoint
from genaug.training.game import EMA_DECAY, Game
from genaug.training.monitor import Monitor
from genaug.training.progress import TrainingProgress
from genaug.training.reading import TrainingImages
from genaug.training.run_folder import RunFolder
from genaug.training.streams import BatchStream, Share, TrainingStep

LOG_EVERY = 50


class TrainingRun:
    def __init__(
        self,
        backend: Backend,
        config: Any,
        data: TrainingImages,
        folder: RunFolder,
        asked: dict[str, Any],
        *,
        policy: tuple[str, ...],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._spec = backend.describe(config, data.spec)
        seed, share = asked["seed"], Share()
        self._game = Game(backend, config, self._spec, seed, device)
        self._step = TrainingStep(config, self._spec, seed=seed, device=device, dtype=dtype, share=share, policy=policy)
        self._batches = BatchStream(data, asked["batch_size"], seed, device, share)
        self._backend, self._config, self._folder, self._asked, self._device = backend, config, folder, asked, device
        self._monitor = Monitor(data, folder)

    def train(
        self, *, resume: bool, checkpoint_every: int, max_minutes: float | None, show_progress: bool
    ) -> Generator:
        """Train up to the step asked for, or until a signal or the budget ends it, and return the generator."""
        steps: int = self._asked["steps"]
        self._folder.open(self._asked, resume)
        deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
        with _caught_signals() as signals, TrainingProgress(steps, self._asked["batch_size"], show_progress) as shown:
            first = self._restore(shown) if resume else 0
            shown.start(first)
            sums = _RunningMeans()
            for index in range(first, steps):
                self._step.begin(index)
                sums.add(self._game.play(self._step, self._batches))
                done = index + 1
                stopping = bool(signals) or time.monotonic() > deadline
                saving = stopping or done == steps or done % checkpoint_every == 0
                if saving or done % LOG_EVERY == 0:
                    metrics = self._read(sums, done, saving)
                    metrics["images_per_s"] = round(shown.images_per_second(done), 1)
                    if saving:
                        metrics |= self._monitor.look(self.generator(done), done, shown.say)
                    self._folder.log(done, metrics)
                    shown.report(done, metrics)
                if saving:
                    self._save(done)
                shown.advance(done)
                if stopping and done < steps:
                    reason = signals[0] if signals else None
                    shown.say(self._farewell(reason, done))
                    _leave(reason)
                    return self.generator(done)
            if signals:  # it came too late to stop anything
                shown.say(f"{signal.Signals(signals[0]).name} received; training is finished and saved.")
                _leave(signals[0])
        return self.generator(max(first, steps))

    def generator(self, done: int) -> Generator:
        """The averaged generator after ``done`` steps; it shares the run's memory."""
        record = {**self._asked, "steps": done, "ema_decay": EMA_DECAY}
        network = self._game.averaged_generator()
        return Generator(self._asked["backend"], self._backend, self._config, self._spec, network, record)

    def _save(self, done: int) -> None:
        write_checkpoint(self._folder.checkpoints, done, {"step": done, **self._game.state()})
        self.generator(done).save(self._folder.path, overwrite=True)

    def _restore(self, shown: TrainingProgress) -> int:
        state, damaged = newest_checkpoint(self._folder.checkpoints, self._device)
        for sentence in damaged:
            shown.say(sentence)
        first = 0 if state is None else int(state.pop("step"))
        if state is None:
            shown.say(f"no whole checkpoint in {self._folder.checkpoints}: starting at step 0.")
        else:
            self._game.restore(state)
            shown.say(f"resuming at step {first}.")
        self._folder.forget_after(first)
        if first:
            self.generator(first).save(self._folder.path, overwrite=True)  # an export that was cut off is put right
        return first

    def _read(self, sums: "_RunningMeans", done: int, saving: bool) -> dict[str, float]:
        metrics = sums.read()
        broken = [name for name, value in metrics.items() if not math.isfinite(value)]
        if saving and not broken and not self._game.is_finite():  # a finite loss can have a gradient that isn't
            broken = ["a weight"]
        if broken:
            good = newest_step(self._folder.checkpoints)
            state = f"{self._folder.path} holds the state of step {good}"
            state = "Nothing was saved before" if good is None else state
            raise TrainingError(
                f"{', '.join(broken)} is no longer finite (NaN or Inf) by step {done}. {state}. Start anew with a "
                "lower learning rate (--set lr=...) or precision='float32'."
            )
        return metrics

    def _farewell(self, reason: int | None, done: int) -> str:
        why = "the time is up" if reason is None else f"{signal.Signals(reason).name} received"
        return (
            f"stopped after step {done}: {why}. {self._folder.path} holds the state so far: genaug.load takes it, "
            "and --resume (resume=True) goes on exactly from here."
        )


class _RunningMeans:
    """Means of logged scalars since the last read; they stay on the device until then, so no step waits for them."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, scalars: dict[str, Tensor]) -> None:
        for name, value in scalars.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value.float()
            self._counts[name] = self._counts.get(name, 0) + 1

    def read(self) -> dict[str, float]:
        values = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        means = {name: value / self._counts[name] for name, value in zip(self._sums, values, strict=True)}
        self._sums.clear()
        self._counts.clear()
        return means


@contextmanager
def _caught_signals() -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM instead of dying of it; a second one acts as usual. Main thread only.

    A signal that is ignored (nohup, a job in the background) stays ignored.
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

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(reason: int | None) -> None:
    """End as the signal would have, now that the state is saved; a spent time budget is no error."""
    if reason == signal.SIGINT:
        raise KeyboardInterrupt
    if reason is not None:
        raise SystemExit(128 + reason)
