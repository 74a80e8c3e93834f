"""A training run: the loop around the game, with checkpoints, logs, a clean end and an exact resumption."""

import math
import signal
import time
import warnings
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch
from torch import Tensor

from genaug.artifacts.manifest import encode_generator
from genaug.backends.backend import Backend
from genaug.backends.registry import described
from genaug.data.reading import TrainingImages
from genaug.errors import InputError, SaveError, TrainingError, TrainingWarning
from genaug.progress import Progress
from genaug.sources.generator import Generator
from genaug.training.checkpoint import newest_checkpoint, newest_step, write_checkpoint
from genaug.training.distributed import Share, any_of, from_first, wait_for_all
from genaug.training.game import EMA_DECAY, Game
from genaug.training.guards import DiscriminatorGuard
from genaug.training.monitor import Monitor
from genaug.training.plan import TRIAL, WARM_UP, Budget, Plan
from genaug.training.run_folder import RunFolder
from genaug.training.signals import caught_signals, leave
from genaug.training.streams import BatchStream, TrainingStep

LOG_EVERY = 50
FIRST_LOGGED = (1, 5, 10)  # steps, so that there is something to see soon
_ASK_EVERY = 10  # steps between two questions to the other processes whether to stop
_LINE_EVERY = 15.0  # seconds between lines of progress where there is no terminal


class TrainingRun:
    """One process's side of a run; the process of rank 0 writes and shows."""

    def __init__(
        self,
        backend: Backend,
        config: Any,
        data: TrainingImages,
        folder: RunFolder,
        asked: dict[str, Any],
        *,
        plan: Plan,
        private: Mapping[str, Any],
        policy: tuple[str, ...],
        device: torch.device,
        dtype: torch.dtype,
        share: Share,
        show_progress: bool,
    ) -> None:
        self._spec = described(backend, config, data.spec)
        seed = asked["seed"]
        self._game = Game(backend, config, self._spec, seed, device, share, plan.steps)
        self._step = TrainingStep(config, self._spec, seed=seed, device=device, dtype=dtype, share=share, policy=policy)
        self._batches = BatchStream(data, asked["batch_size"], seed, device, share)
        self._backend, self._config, self._folder, self._asked = backend, config, folder, asked
        self._device, self._share = device, share
        self._labels = data.labels
        self._newest: Generator | None = None
        self._monitor = Monitor(data, self._spec, folder)
        self._means, self._guard = _RunningMeans(), DiscriminatorGuard()
        self._shows = show_progress and share.first
        self._plan, self._private = plan, private
        self._progress = Progress("training", plan.end, self._shows, _LINE_EVERY)

    def train(self, *, resume: bool, checkpoint_every: int, budget: Budget) -> Generator:
        """Train up to the planned step, or until a signal or the budget ends it, and return the generator."""
        changed = from_first(self._share, self._device, lambda: self._open(resume))
        self._progress.limit(budget.ends(False))
        with closing(self._folder), caught_signals(self._progress.say) as signals, self._progress:
            done = first = self._restore(changed) if resume else 0
            self._progress.start_at(first)
            while self._plan.end is None or done < self._plan.end:
                self.play(done)
                done += 1
                over = time.monotonic() > budget.ends(self._plan.planned is not None)
                stopping = self._agreed(bool(signals) or over, done)
                planning = not stopping and self._trial_ends(done - first, budget)
                saving = stopping or planning or done == self._plan.end or done % checkpoint_every == 0
                saving |= self._is_on_trial(budget) and done - first == TRIAL // 2  # the first save is a slow one
                if saving or done % LOG_EVERY == 0 or done in FIRST_LOGGED:
                    began = time.monotonic()
                    self._take_stock(done, saving)
                    budget.leave_out(time.monotonic() - began, saving)
                if planning:
                    self._fix_plan(done, budget.steps_that_fit(done - first, checkpoint_every))
                if stopping and done != self._plan.end:
                    reason = signals[0] if signals else None
                    farewell = self._farewell(reason, done)
                    self._progress.say(farewell)
                    wait_for_all(self._share)
                    leave(reason, farewell)
                    return self.generator(done)
            if signals:  # it came too late to stop anything
                farewell = f"{signal.Signals(signals[0]).name} received; training is finished and saved."
                self._progress.say(farewell)
                leave(signals[0], farewell)
            generator = self.generator(done)
            wait_for_all(self._share)
        return generator

    def play(self, index: int) -> None:
        """One training step, without waiting for its losses."""
        self._game.steps = self._plan.length(index)
        self._step.begin(index)
        self._means.add(self._game.play(self._step, self._batches))
        self._progress.advance()

    def _is_on_trial(self, budget: Budget) -> bool:
        """Whether the first steps are being timed, to plan how many fit into the budget."""
        return budget.is_limited and self._plan.planned is None

    def _trial_ends(self, played: int, budget: Budget) -> bool:
        """Whether the steps were timed for long enough, as rank 0 finds after 20, 40, 80, … steps of this call."""
        if not self._is_on_trial(budget):
            return False
        if played == WARM_UP:
            self._wait_for_device()
            budget.start_clock(played)
        if played % TRIAL or (played // TRIAL).bit_count() != 1:
            return False
        self._wait_for_device()
        return from_first(self._share, self._device, budget.has_timed_enough)

    def _fix_plan(self, done: int, more: int) -> None:
        """So many more steps fit into the budget."""
        end = done + from_first(self._share, self._device, lambda: more)
        self._plan = Plan(self._plan.steps, min(end, self._plan.steps or end), done)
        if self._share.first:
            self._folder.add_to_record(self._plan.record())
        self._progress.set_total(self._plan.planned or done)
        self._progress.say(f"planned: {self._plan.planned} steps in the time that is left.")

    def _wait_for_device(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _open(self, resume: bool) -> str | None:
        return self._folder.open({**self._asked, **self._plan.record(), **self._private}, resume)

    def generator(self, done: int) -> Generator:
        """The averaged generator after ``done`` steps, which have just been played; made once per step."""
        if self._newest is None or self._newest.training["steps"] != done:
            record = {**self._asked, "steps": done, "ema_decay": EMA_DECAY}
            network = self._game.averaged_generator(self._labels, quick=done != self._plan.end)
            self._newest = Generator(self._asked["backend"], self._backend, self._config, self._spec, network, record)
        return self._newest

    def _take_stock(self, done: int, saving: bool) -> None:
        """Read the losses, look at the generator, log, save the state. Nothing that isn't finite is ever saved.

        The state comes last: a run that is killed on the way does all of this again, so that no log line is lost.
        """
        metrics = self._means.read()
        self._check_finite(metrics, done, saving)
        rate = self._progress.units_per_second() * self._asked["batch_size"]
        if not self._share.first:
            return
        self._guard.look(metrics, done, self._progress.say)
        if saving:
            metrics |= self._look(done)
        speed = {"images_per_s": round(rate, 1), "seconds": round(self._progress.seconds(), 1)}
        self._folder.log(done, {**metrics, **speed})
        losses = [f"{name.removeprefix('loss/')} {v:.3g}" for name, v in metrics.items() if name.startswith("loss/")]
        self._progress.tell("  ".join([f"step {done}", f"{rate:,.0f} images/s", *losses]), now=done in FIRST_LOGGED)
        if saving:
            write_checkpoint(self._folder, done, {"step": done, **self._game.state()})
            self._export(done)

    def _look(self, done: int) -> dict[str, float]:
        """A look that fails, for lack of memory or disk space or at images that aren't finite, must not cost the
        state."""
        try:
            return self._monitor.look(self.generator(done), done, self._progress.say)
        except (RuntimeError, InputError, SaveError) as error:
            self._progress.say(f"warning: no look at the generator after step {done}: {error}")
            return {}

    def _check_finite(self, metrics: dict[str, float], done: int, saving: bool) -> None:
        broken = [name for name, value in metrics.items() if not math.isfinite(value)]
        if saving and not broken and not self._game.is_finite():  # a finite loss can have a gradient that isn't
            broken = ["a weight"]
        if broken:
            good = newest_step(self._folder.checkpoints)
            state = f"{self._folder.path} holds the state of step {good}"
            state = "Nothing was saved before" if good is None else state
            raise TrainingError(
                f"{', '.join(broken)} is no longer finite (NaN or Inf) by step {done}. {state}. Start anew with a "
                "lower learning rate or precision='float32'."
            )

    def _export(self, done: int) -> None:
        generator = self.generator(done)
        self._folder.write(encode_generator(generator.manifest_fields(), generator.network.state_dict()))

    def _restore(self, changed: str | None) -> int:
        if changed is not None:
            self._warn(changed)
        state, passed_over = newest_checkpoint(self._folder, self._device)
        for sentence in passed_over:
            self._warn(sentence)
        if state is None:
            first = 0
            self._warn(f"{self._folder.path} holds no complete checkpoint: starting at step 0.")
        else:
            first = int(state.pop("step"))
            self._game.restore(state)
            self._progress.say(f"resuming at step {first}.")
        if self._share.first:
            for sentence in self._folder.forget_after(first):
                self._warn(sentence)
            if first:
                self._export(first)  # one that was cut off is put right
        wait_for_all(self._share)
        return first

    def _agreed(self, stop: bool, done: int) -> bool:
        """Whether all processes stop after this step; alone, one stops at once."""
        if self._share.size > 1 and done % _ASK_EVERY:
            return False
        return any_of(stop, self._share, self._device)

    def _warn(self, text: str) -> None:
        """For ``_restore``: shown, or else a warning that points at the caller of ``fit``."""
        if self._shows:
            self._progress.say(text)
        elif self._share.first:
            warnings.warn(text, TrainingWarning, stacklevel=5)

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
