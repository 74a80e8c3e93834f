"""How many steps a run takes: the number it was called with, or what fits into a time budget.

With a budget, the number is fixed once, after the first steps have shown how fast the machine is. It goes into
``run.json``, so that a resumed run keeps it together with the learning rates that depend on it.
"""

import math
import time
from dataclasses import dataclass

WARM_UP = 5  # steps that aren't timed: the first ones allocate memory and choose kernels
TRIAL = 20  # steps before the number is fixed, at the least
_SHARE_FOR_TRIAL = 0.02  # of the budget: steps of a few milliseconds are timed for longer, in doubled numbers of steps
_SHARE_TO_USE = 0.95  # of the budget: the rest is for what can't be foreseen
_TOLERANCE = 0.05  # of the budget: a run that has a plan may end this much late rather than a few steps short


@dataclass(frozen=True)
class Plan:
    """``steps`` is what the run was called with; ``planned`` was fixed after ``fixed_after`` steps and replaces it."""

    steps: int | None
    planned: int | None = None
    fixed_after: int = 0

    @property
    def end(self) -> int | None:
        """The number of steps of the complete run; None while only the time limits it."""
        return self.steps if self.planned is None else self.planned

    def record(self) -> dict[str, int]:
        """Its part of ``run.json``."""
        return {} if self.planned is None else {"planned_steps": self.planned, "planned_after": self.fixed_after}

    def length(self, index: int) -> int | None:
        """The length of the run that decides the learning rate of step ``index``; None if rates stay as they are."""
        return self.planned if self.planned is not None and index >= self.fixed_after else self.steps


class Budget:
    """The time that a run may take, from ``began`` (a ``time.monotonic()``) on, and how fast its steps are."""

    def __init__(self, minutes: float | None, began: float) -> None:
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._began, self._clock, self._timed_from, self._left_out, self._per_save = began, began, 0, 0.0, 0.0

    @property
    def is_limited(self) -> bool:
        return self._seconds < math.inf

    def ends(self, has_plan: bool) -> float:
        """When training stops, finished or not, and the state is saved: a ``time.monotonic()``."""
        return self._began + self._seconds * (1 + _TOLERANCE * has_plan) - self._per_save

    def start_clock(self, played: int) -> None:
        """Time the steps from here on, after ``played`` steps of this call."""
        self._clock, self._timed_from, self._left_out = time.monotonic(), played, 0.0

    def leave_out(self, seconds: float, saved: bool) -> None:
        """So much of the time went into the log, or into a save, and not into steps."""
        self._left_out += seconds
        self._per_save = seconds if saved else self._per_save

    def has_timed_enough(self) -> bool:
        return self._seconds_of_steps() >= _SHARE_FOR_TRIAL * self._seconds

    def steps_that_fit(self, played: int, checkpoint_every: int) -> int:
        """How many more steps there is time for, with a save every ``checkpoint_every`` steps and one at the end, if
        they take as long as the last one did."""
        per_step = max(self._seconds_of_steps(), 1e-9) / (played - self._timed_from)
        left = self._began + _SHARE_TO_USE * self._seconds - time.monotonic() - self._per_save
        return max(0, int(left / (per_step + self._per_save / checkpoint_every)))

    def _seconds_of_steps(self) -> float:
        return time.monotonic() - self._clock - self._left_out
