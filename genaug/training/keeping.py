"""Keeping the best generator of a training instead of the last one, and ending a training that no longer improves."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genaug.checks import as_whole
from genaug.errors import TrainingError
from genaug.sources.generator import Generator
from genaug.training.run_folder import RunFolder


@dataclass(frozen=True)
class KeepBest:
    """For ``fit(keep=...)``: at every checkpoint ``measure(generator)`` is computed, and the run's folder keeps the
    generator for which it was best.

    ``name`` is that of the measure, in the log as "objective/NAME"; ``higher`` says whether higher is better. With
    ``patience``, the training ends after that many measurements without a better one.
    ``genaug.searches.keep_best`` returns one that measures held-out training images.
    """

    measure: Callable[[Generator], float]
    name: str
    higher: bool
    patience: int | None = None

    def __post_init__(self) -> None:
        if self.patience is not None:
            as_whole(self.patience, "patience", 1)

    @property
    def metric(self) -> str:
        return f"objective/{self.name}"

    def record(self) -> dict[str, Any]:
        """What ``run.json`` says about it."""
        return {"objective": self.name, "higher_is_better": self.higher, "patience": self.patience}


class Keeper:
    """The measurements of a run, for a ``KeepBest``."""

    def __init__(self, rule: KeepBest) -> None:
        self._rule = rule
        self._values: dict[int, float] = {}

    def restore(self, folder: RunFolder) -> None:
        """Continue with the measurements in the log of a run."""
        self._values = folder.logged(self._rule.metric)

    @property
    def best_step(self) -> int | None:
        """The step of the best measurement, the first of equal ones; None before any."""
        if not self._values:
            return None
        return (max if self._rule.higher else min)(self._values, key=lambda step: self._values[step])

    def measure(self, step: int, generator: Generator) -> dict[str, float]:
        """The measure of the generator of a step, by its name in the log. Raises ``TrainingError`` if it is NaN."""
        value = float(self._rule.measure(generator))
        if math.isnan(value):
            raise TrainingError(f"{self._rule.name} of the generator of step {step} is NaN, so the best can't be kept.")
        self._values[step] = value
        return {self._rule.metric: value}

    @property
    def reason_to_end(self) -> str:
        """Why the training ends, or "" if it goes on."""
        best, patience = self.best_step, self._rule.patience
        if best is None or patience is None or sum(step > best for step in self._values) < patience:
            return ""
        return f"{self._rule.name} was best at step {best}, and not better in {patience} measurements since"
