"""Numbers that change with the epoch: the ratio of a blend, or the share of samples that a curriculum uses.

``MixedDataset(real, generator, ratio=schedules.linear(0.5, 0, epochs=20))`` starts with half of the samples generated
and ends with none; ``mixed.set_epoch(epoch)`` sets the ratio.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from genaug.checks import as_whole
from genaug.errors import InputError

_EPOCHS = 100_000


@dataclass(frozen=True)
class Schedule:
    """One number in [0, 1] per epoch; after the last epoch, its number stays.

    ``Schedule([0.5, 0.4, 0.2])`` is any schedule of your own, and ``schedule(epoch)`` the number of an epoch, which
    counts from 0. Raises ``InputError`` for no numbers, and for numbers outside [0, 1].
    """

    values: Sequence[float]
    description: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.values, str) or not hasattr(self.values, "__iter__"):
            raise InputError(f"a schedule must be a list of numbers, one per epoch, got {self.values!r}.")
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise InputError("a schedule needs a number for at least one epoch, got none.")
        for epoch, value in enumerate(self.values):
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
                raise InputError(f"a schedule must stay in [0, 1], but has {value!r} in epoch {epoch}.")

    def __call__(self, epoch: int) -> float:
        return self.values[min(as_whole(epoch, "epoch", 0), len(self.values) - 1)]

    @property
    def epochs(self) -> int:
        """The number of epochs until the number stays the same."""
        return len(self.values)

    def over(self, epochs: int) -> "Schedule":
        """The same course over another number of epochs: each of the numbers lasts for an equal part of them.

        ``linear(0.8, 0, epochs=5).over(100)`` keeps each of the five numbers for 20 epochs. Epoch e has the number of
        epoch ``e * self.epochs // epochs``.
        """
        epochs = as_whole(epochs, "epochs", 1, _EPOCHS)
        return Schedule(
            [self.values[epoch * self.epochs // epochs] for epoch in range(epochs)], f"{self!r}.over({epochs})"
        )

    def __repr__(self) -> str:
        return self.description or f"Schedule([{', '.join(map(str, self.values))}])"


def constant(value: float) -> Schedule:
    """The same number in every epoch."""
    return Schedule((value,), f"constant({value})")


def linear(start: float, end: float, epochs: int) -> Schedule:
    """From ``start`` in epoch 0 to ``end`` in epoch ``epochs - 1`` in equal steps, and ``end`` from then on."""
    return _between("linear", start, end, epochs, lambda progress: progress)


def cosine(start: float, end: float, epochs: int) -> Schedule:
    """From ``start`` in epoch 0 to ``end`` in epoch ``epochs - 1`` along half a period of the cosine, as the learning
    rate of SGDR (Loshchilov and Hutter 2017, equation 5): slow at first and in the end. ``end`` from then on."""
    return _between("cosine", start, end, epochs, lambda progress: (1 - math.cos(math.pi * progress)) / 2)


def steps(values: Mapping[int, float]) -> Schedule:
    """``steps({0: 0.5, 10: 0.2})``: a mapping of the epoch from which a number applies to this number.

    Raises ``InputError`` if epoch 0 has none.
    """
    if not isinstance(values, Mapping) or not values:
        raise InputError(
            f"steps needs a mapping of first epoch to number, such as {{0: 0.5, 10: 0.2}}, got {values!r}."
        )
    starts = sorted(as_whole(epoch, "the epoch of a step", 0, _EPOCHS) for epoch in values)
    if starts[0] != 0:
        raise InputError(f"steps must begin with epoch 0, got {starts[0]} as the first epoch.")
    by_epoch = {as_whole(epoch, "the epoch of a step", 0, _EPOCHS): value for epoch, value in values.items()}
    numbers: list[float] = []
    for start, end in zip(starts, [*starts[1:], starts[-1] + 1], strict=True):
        numbers += [by_epoch[start]] * (end - start)
    return Schedule(numbers, f"steps({dict(sorted(by_epoch.items()))})")


def pretrain(epochs: int, ratio: float = 1, then: float = 0) -> Schedule:
    """Pretraining on generated samples and fine-tuning on real ones: ``ratio`` for ``epochs`` epochs, ``then`` after.

    The default pretrains on generated samples only, which needs ``MixedDataset(mode="replace")``.
    """
    epochs = as_whole(epochs, "epochs", 1, _EPOCHS)
    return Schedule([ratio] * epochs + [then], f"pretrain({epochs}, ratio={ratio}, then={then})")


def _between(name: str, start: float, end: float, epochs: int, curve: Any) -> Schedule:
    epochs = as_whole(epochs, "epochs", 1, _EPOCHS)
    for value in (start, end):
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
            raise InputError(f"{name} must start and end with numbers in [0, 1], got {value!r}.")
    low, high = sorted((float(start), float(end)))
    values = [float(end)]
    if epochs > 1:
        progress = [curve(epoch / (epochs - 1)) for epoch in range(epochs - 1)]
        values = [min(max((1 - part) * start + part * end, low), high) for part in progress] + values
    return Schedule(values, f"{name}({start}, {end}, epochs={epochs})")
