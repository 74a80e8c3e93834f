"""Which items a blend has in an epoch: real ones, and generated ones after them or in the places of some of them."""

from typing import Literal

import numpy as np

from genaug.blend.plan import Mode, Plan, draw_places
from genaug.blend.samples import SamplesOfSources
from genaug.blend.shares import Plans
from genaug.data.apportion import Ints
from genaug.randomness import stream
from genaug.sources.shared import SharedArray


class Composition:
    """The items of a blend in the current epoch, which workers see change.

    Args:
        labels: the real set's labels, int64 (n,).
        plans: how many samples of each class every source adds, by epoch.
        samples: the generated samples. Those of an epoch have positions from 0 on.
        mode: whether they come after the real items ("expand") or take the places of some ("replace"), which are
            drawn for every epoch.
        seed: decides, with the epoch, the samples and places.
    """

    def __init__(self, labels: Ints, plans: Plans, samples: SamplesOfSources, mode: Mode, seed: int) -> None:
        self.plans, self.samples = plans, samples
        self._labels, self._seed = labels, seed
        self._replacements = SharedArray((len(labels),)) if mode == "replace" else None
        self._epoch = SharedArray((1,))
        self.draw(0)

    @property
    def epoch(self) -> int:
        return int(self._epoch.array[0])

    @property
    def plan(self) -> Plan:
        """This epoch's plan."""
        return self.plans.of_epoch(self.epoch)

    @property
    def changes(self) -> Literal["labels", "length"] | None:
        """What changes with the epoch apart from images; None if nothing else does."""
        if self._replacements is None:
            return "length" if self.plans.scheduled else None
        return None if self.plans.keep_labels else "labels"

    def __len__(self) -> int:
        return len(self._labels) + (len(self.samples) if self._replacements is None else 0)

    def position(self, index: int) -> int:
        """The position of an item's generated sample; negative for a real item."""
        return index - len(self._labels) if self._replacements is None else int(self._replacements.array[index])

    def positions_at(self, indices: Ints) -> Ints:
        """The positions of the generated samples of items, int64 (len(indices),); negative for real items."""
        return indices - len(self._labels) if self._replacements is None else self._replacements.array[indices]

    @property
    def positions(self) -> Ints:
        """The position of every item's generated sample, int64 (len(self),); negative for real items."""
        if self._replacements is None:
            return np.arange(-len(self._labels), len(self.samples))
        return np.array(self._replacements.array)

    @property
    def labels(self) -> Ints:
        """The label of every item, int64 (len(self),)."""
        positions, labels = self.positions, np.empty(len(self), dtype=np.int64)
        labels[: len(self._labels)] = self._labels
        labels[positions >= 0] = self.samples.labels[positions[positions >= 0]]
        return labels

    @property
    def sources(self) -> Ints:
        """The number of every item's source, int64 (len(self),); -1 for real items."""
        positions, numbers = self.positions, np.full(len(self), -1)
        numbers[positions >= 0] = self.samples.numbers[positions[positions >= 0]]
        return numbers

    def source_of(self, index: int) -> str | None:
        """The name of an item's source; None for a real item."""
        position = self.position(index)
        return None if position < 0 else self.plans.names[self.samples.number(position)]

    def refill(self, epoch: int) -> None:
        """Generate the samples of an epoch, if the blend does so for every epoch."""
        self.samples.refill(self.plans.of_epoch(epoch).parts, epoch)

    def draw(self, epoch: int) -> None:
        """Draw the samples and places of an epoch."""
        rng, plan = stream(self._seed, "blend", epoch), self.plans.of_epoch(epoch)
        self.samples.draw(plan.parts, epoch, rng)
        if self._replacements is not None:
            self._replacements.array[:] = -1
            by_class = np.argsort(self.samples.labels, kind="stable")
            self._replacements.array[draw_places(self._labels, plan, rng)] = by_class
        self._epoch.array[0] = epoch
