"""The length of a run: the number of steps it was called with, or the number that fits into a time budget.

With a budget, the number is fixed once, after the first steps have shown how fast the machine is. It is written to
``run.json``, so that a resumed run keeps it together with the learning rates that depend on it.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genaug.errors import InputError
from genaug.training.checkpoint import newest_step
from genaug.training.run_folder import RunFolder

WARM_UP = 5  # steps that aren't timed: the first ones allocate memory and choose kernels
TRIAL = 20  # the least number of steps before the number is fixed
_TRIAL_SHARE = 0.02  # of the budget: steps of a few milliseconds are timed for longer, in doubled numbers of steps
_USED_SHARE = 0.95  # of the budget: the rest is a reserve
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
        """The plan's entries in ``run.json``."""
        return {} if self.planned is None else {"planned_steps": self.planned, "planned_after": self.fixed_after}

    def length(self, index: int) -> int | None:
        """The length of the run that decides the learning rate of step ``index``; None if rates stay as they are."""
        return self.planned if self.planned is not None and index >= self.fixed_after else self.steps


def plan_run(steps: int | None, max_minutes: float | None, record: Mapping[str, Any], folder: RunFolder) -> Plan:
    """The plan of a new run, or of the run in ``folder`` whose ``run.json`` has the content ``record``.

    Raises ``InputError`` if there is neither a number of steps nor a time limit, and if a run would become shorter.
    """
    if not record:
        if steps is None and max_minutes is None:
            raise InputError("fit needs a length: pass steps= (--steps), max_minutes= (--max-minutes) or both.")
        return Plan(steps)
    plan = Plan(record.get("steps"), record.get("planned_steps"), record.get("planned_after", 0))
    if steps is None or steps in (plan.steps, plan.end):
        if plan.end is None and max_minutes is None:
            raise InputError(
                f"the run in {folder.path} was limited by time only, and stopped before its number of steps was fixed. "
                "Pass steps= (--steps) or max_minutes= (--max-minutes)."
            )
        return plan
    least = plan.end if plan.end is not None else newest_step(folder.checkpoints) or 0
    if steps < least:
        raise InputError(
            f"the run in {folder.path} can't be resumed: steps was {least}, now it is {steps}. A run can be made "
            "longer, not shorter: leave steps out, or start a new run in another folder."
        )
    return Plan(steps)


class Budget:
    """The time that a run may take from ``began`` (a ``time.monotonic()``), and how fast its steps are."""

    def __init__(self, minutes: float | None, began: float) -> None:
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._began, self._clock, self._timed_from, self._excluded, self._per_save = began, began, 0, 0.0, 0.0

    @property
    def is_limited(self) -> bool:
        return self._seconds < math.inf

    def ends(self, has_plan: bool) -> float:
        """When training stops, finished or not, and the state is saved: a ``time.monotonic()``."""
        return self._began + self._seconds * (1 + _TOLERANCE * has_plan) - self._per_save

    def start_clock(self, count: int) -> None:
        """Time the steps from here on, after ``count`` steps of this call."""
        self._clock, self._timed_from, self._excluded = time.monotonic(), count, 0.0

    def exclude(self, seconds: float, saved: bool) -> None:
        """Don't count these seconds as time for steps: they went into the log, or into a save."""
        self._excluded += seconds
        self._per_save = seconds if saved else self._per_save

    def has_timed_enough(self) -> bool:
        return self._seconds_of_steps() >= _TRIAL_SHARE * self._seconds

    def steps_that_fit(self, count: int, checkpoint_every: int) -> int:
        """How many more steps there is time for, after ``count`` steps of this call, at their speed so far.

        With a save every ``checkpoint_every`` steps and one at the end, each as long as the last one.
        """
        per_step = max(self._seconds_of_steps(), 1e-9) / (count - self._timed_from)
        left = self._began + _USED_SHARE * self._seconds - time.monotonic() - self._per_save
        return max(0, int(left / (per_step + self._per_save / checkpoint_every)))

    def _seconds_of_steps(self) -> float:
        return time.monotonic() - self._clock - self._excluded
