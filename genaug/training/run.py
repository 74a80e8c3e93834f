"""A training run: the loop around the trainer, with checkpoints, logs, clean interruption and exact resumption."""

import math
import signal
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.artifacts.manifest import encode_generator
from genaug.errors import TrainingError, TrainingWarning
from genaug.progress import Progress
from genaug.sources.generator import Generator
from genaug.sources.loading import load_folder
from genaug.training.callbacks import Callback, DiscriminatorGuard, SampleGrids, Snapshot, draws_sample_grids
from genaug.training.checkpoint import newest_checkpoint, newest_step, write_checkpoint
from genaug.training.distributed import any_of, from_first, wait_for_all
from genaug.training.keeping import KeepBest, Keeper
from genaug.training.plan import TRIAL, WARM_UP, Budget, Plan
from genaug.training.run_folder import RunFolder
from genaug.training.signals import caught_signals, leave
from genaug.training.trainer import EMA_DECAY, Trainer

LOG_EVERY = 50
FIRST_LOGGED = (1, 5, 10)  # further logged steps, so that the log begins soon
_AGREE_EVERY = 10  # steps after which the processes agree on whether to stop
_LINE_EVERY = 15.0  # seconds between lines of progress without a terminal


@dataclass(frozen=True)
class RunSettings:
    """The settings and the data of a run: most of ``run.json``, and of the generator's ``training``."""

    backend: str
    config: dict[str, Any]
    steps: int | None
    batch_size: int
    seed: int
    precision: str
    augment: list[str]
    image_size: int | None
    torch: str
    genaug: str
    plugin: str
    data: str = ""
    images: int = 0
    data_sha256: str = ""
    labels: int = 0  # that the training reads; the others stay unknown to it
    unlabelled: dict[str, Any] | None = None  # the name, number and hash of the images from ``unlabelled=``
    labelled_sha256: str | None = None  # of the other images, with their labels
    init: dict[str, Any] | None = None
    freeze_discriminator: int | None = None
    balance: str | None = None
    keep: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        """The settings by name, as values for JSON."""
        return asdict(self)


class TrainingRun:
    """A run as seen by one process; the process of rank 0 writes files and shows progress.

    ``private`` holds further fields of ``run.json``, which aren't part of the generator's record.
    """

    def __init__(
        self,
        trainer: Trainer,
        settings: RunSettings,
        folder: RunFolder,
        *,
        plan: Plan,
        private: Mapping[str, Any],
        callbacks: Sequence[Callback],
        keep: KeepBest | None,
        show_progress: bool,
    ) -> None:
        self._trainer, self._settings, self._folder = trainer, settings, folder
        self._device, self._world = trainer.device, trainer.world
        self._newest: Generator | None = None
        self._scalars: defaultdict[str, list[Tensor]] = defaultdict(list)  # logged since the last snapshot
        draws = self._world.is_first and draws_sample_grids()
        grids = [SampleGrids(trainer.data, trainer.spec, folder)] if draws else []
        self._callbacks: list[Callback] = [DiscriminatorGuard(), *grids, *callbacks]
        self._keeper = None if keep is None else Keeper(keep)
        self._shows = show_progress and self._world.is_first
        self._plan, self._private = plan, private
        self._progress = Progress("training", plan.end, self._shows, _LINE_EVERY)

    def train(self, *, resume: bool, checkpoint_every: int, budget: Budget) -> Generator:
        """Train up to the planned step, or until a signal or the budget ends the run, and return the generator."""
        record = {**self._settings.record(), **self._plan.record(), **self._private}
        self._progress.limit(budget.ends(False))
        with closing(self._folder), caught_signals(self._progress.say) as signals, self._progress:
            if not resume:  # what can't be trained, such as too small a batch, fails before anything changes on disk
                self.step(0)
            warning = from_first(self._world, self._device, lambda: self._folder.open(record, resume))
            done = first = 0
            if resume:
                done = first = self._restore(warning)
                self._progress.start_at(first)
            ended = self._reason_to_end()
            while not ended and (self._plan.end is None or done < self._plan.end):
                if resume or done:
                    self.step(done)
                done += 1
                self._progress.advance()
                time_is_up = time.monotonic() > budget.ends(self._plan.planned is not None)
                stopping = self._agree_to_stop(bool(signals) or time_is_up, done)
                planning = not stopping and self._trial_ends(done - first, budget)
                saving = stopping or planning or done == self._plan.end or done % checkpoint_every == 0
                saving |= self._is_on_trial(budget) and done - first == TRIAL // 2  # the first save is a slow one
                if saving or done % LOG_EVERY == 0 or done in FIRST_LOGGED:
                    began = time.monotonic()
                    measuring = done == self._plan.end or done % checkpoint_every == 0
                    self._log_and_save(done, saving, measuring)
                    ended = self._reason_to_end() if measuring else ""
                    budget.exclude(time.monotonic() - began, saving)
                if planning:
                    self._fix_plan(done, budget.steps_that_fit(done - first, checkpoint_every))
                if stopping and done != self._plan.end:
                    break
            number = signals[0] if signals else None
            message = self._last_message(number, done, ended)
            if message:
                self._progress.say(message)
            wait_for_all(self._world)
            leave(number, message)
            return self.generator(done) if self._keeper is None else load_folder(self._folder.path, self._device)

    def step(self, index: int) -> None:
        """One training step, without waiting for its losses."""
        self._trainer.steps = self._plan.length(index)
        for name, value in self._trainer.step(index).items():
            self._scalars[name].append(value)

    def _read_means(self) -> dict[str, float]:
        """Means of the logged scalars since the last call; until then they stay on the device."""
        means = torch.stack([torch.stack(values).float().mean() for values in self._scalars.values()]).tolist()
        metrics = dict(zip(self._scalars, means, strict=True))
        self._scalars.clear()
        return metrics

    def _is_on_trial(self, budget: Budget) -> bool:
        """Whether the first steps are being timed, to find out how many fit into the budget."""
        return budget.is_limited and self._plan.planned is None

    def _trial_ends(self, count: int, budget: Budget) -> bool:
        """Whether the ``count`` steps of this call were timed for long enough: decided by rank 0 at 20, 40, 80, …"""
        if not self._is_on_trial(budget):
            return False
        if count == WARM_UP:
            self._wait_for_device()
            budget.start_clock(count)
        if count % TRIAL or (count // TRIAL).bit_count() != 1:
            return False
        self._wait_for_device()
        return from_first(self._world, self._device, budget.has_timed_enough)

    def _fix_plan(self, done: int, more: int) -> None:
        """Fix the plan after ``done`` steps, if ``more`` steps fit into the budget."""
        end = done + from_first(self._world, self._device, lambda: more)
        self._plan = Plan(self._plan.steps, min(end, self._plan.steps or end), done)
        if self._world.is_first:
            self._folder.add_to_record(self._plan.record())
        self._progress.set_total(self._plan.planned or done)
        self._progress.say(f"planned: {self._plan.planned} steps in the remaining time.")

    def _wait_for_device(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def generator(self, done: int) -> Generator:
        """The averaged generator, now that ``done`` steps were made; it is computed once per step."""
        if self._newest is None or self._newest.training["steps"] != done:
            record = {**self._settings.record(), "steps": done, "ema_decay": EMA_DECAY}
            trainer, name = self._trainer, self._settings.backend
            nets = trainer.averaged(quick=done != self._plan.end and self._keeper is None)
            self._newest = Generator(name, trainer.backend, trainer.config, trainer.spec, nets, record)
        return self._newest

    def _reason_to_end(self) -> str:
        """In all processes, why the training ends before its last step, or ""."""
        keeper = self._keeper
        return "" if keeper is None else from_first(self._world, self._device, lambda: keeper.reason_to_end)

    def _log_and_save(self, done: int, saving: bool, measuring: bool) -> None:
        """Read the losses, call the callbacks, log, and save the state if ``saving``. Only finite weights are saved.
        If ``measuring``, the generator is compared with those of earlier steps.

        The state comes last: a run that is killed before that repeats all of this, so that no log line is lost.
        """
        metrics = self._read_means()
        self._check_finite(metrics, done, saving)
        rate = self._progress.units_per_second() * self._settings.batch_size
        if not self._world.is_first:
            return
        snapshot = Snapshot(done, metrics, saving, lambda: self.generator(done), self._folder.path, self._progress.say)
        for callback in self._callbacks:
            callback(snapshot)
        if measuring and self._keeper is not None:
            metrics |= self._keeper.measure(done, self.generator(done))
        speed = {"images_per_s": round(rate, 1), "seconds": round(self._progress.seconds(), 1)}
        self._folder.log(done, {**metrics, **speed})
        losses = [f"{name.removeprefix('loss/')} {v:.3g}" for name, v in metrics.items() if name.startswith("loss/")]
        pace = f"{rate:,.0f} {self._trainer.spec.sample.noun}/s"
        self._progress.tell("  ".join([f"step {done}", pace, *losses]), now=done in FIRST_LOGGED)
        if saving:
            write_checkpoint(self._folder, done, {"step": done, **self._trainer.state()})
            if self._keeper is None or self._keeper.best_step in (None, done):
                self._export(done)

    def _check_finite(self, metrics: dict[str, float], done: int, saving: bool) -> None:
        names = [name for name, value in metrics.items() if not math.isfinite(value)]
        if saving and not names and not self._trainer.is_finite():  # a finite loss can have a gradient that isn't
            names = ["a weight"]
        if names:
            saved = newest_step(self._folder.checkpoints)
            state = "No state was saved" if saved is None else f"{self._folder.path} holds the state of step {saved}"
            raise TrainingError(
                f"{', '.join(names)} is no longer finite (NaN or infinite) at step {done}. {state}. Start a new run "
                "with a lower learning rate or precision='float32'."
            )

    def _export(self, done: int) -> None:
        generator = self.generator(done)
        self._folder.write(encode_generator(generator.manifest_fields(), generator.tensors()))

    def _restore(self, warning: str | None) -> int:
        """Restore the newest complete checkpoint; returns its step, or 0."""
        state, skipped = newest_checkpoint(self._folder, self._device)
        for sentence in [warning, *skipped] if warning else skipped:
            self._warn(sentence)
        first = 0 if state is None else int(state["step"])
        if state is None and self._settings.init is not None and not self._trainer.is_tuning:
            raise TrainingError(
                f"{self._folder.path} holds no complete checkpoint, so the fine-tuning has to start again. Pass "
                "overwrite=True (--overwrite) instead of resume, with the same init= (--init)."
            )
        if state is None:
            self._warn(f"{self._folder.path} holds no complete checkpoint: starting at step 0.")
        else:
            self._trainer.restore(state)
            self._progress.say(f"resuming at step {first}.")
        if self._world.is_first:
            for sentence in self._folder.forget_after(first):
                self._warn(sentence)
            if self._keeper is not None:
                self._keeper.restore(self._folder)
            if first and (self._keeper is None or self._keeper.best_step in (None, first)):
                self._export(first)  # the last export may have been interrupted
        wait_for_all(self._world)
        return first

    def _agree_to_stop(self, stop: bool, done: int) -> bool:
        """Whether all processes stop after this step; a single process stops at once."""
        if self._world.size > 1 and done % _AGREE_EVERY:
            return False
        return any_of(stop, self._world, self._device)

    def _warn(self, text: str) -> None:
        """For ``_restore``: show the text, or else issue a warning that points at the caller of ``fit``."""
        if self._shows:
            self._progress.say(text)
        elif self._world.is_first:
            warnings.warn(text, TrainingWarning, stacklevel=5)

    def _last_message(self, number: int | None, done: int, ended: str) -> str:
        """Why the run stops before its end, or which signal came too late for that; empty if it just finishes."""
        if ended and number is None:
            return f"stopped after step {done}: {ended}. {self._folder.path} holds the best generator."
        reason = "the time is up" if number is None else f"{signal.Signals(number).name} received"
        if done == self._plan.end:
            return "" if number is None else f"{reason}; training is finished and saved."
        return (
            f"stopped after step {done}: {reason}. {self._folder.path} holds the state so far: genaug.load takes it, "
            "and --resume (resume=True) continues exactly from here."
        )
