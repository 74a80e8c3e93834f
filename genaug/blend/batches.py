"""Batches with the same share of generated samples in each."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler, SequentialSampler

from genaug.checks import as_whole
from genaug.data.apportion import Ints
from genaug.errors import InputError
from genaug.randomness import stream


def generated_in_batches(sizes: Ints, generated: int, ratio: Fraction, rng: np.random.Generator) -> Ints:
    """How many generated samples each batch gets, int64: floor or ceiling of ratio·size, ``generated`` in all.

    Needs ``generated`` to be a nearest integer to ratio·sizes.sum(). Which batches round up is drawn at random.
    """
    exact = [ratio * int(size) for size in sizes]
    counts = np.array([math.floor(share) for share in exact], dtype=np.int64)
    rounded = np.flatnonzero([share.denominator > 1 for share in exact])
    counts[rng.permutation(rounded)[: generated - int(counts.sum())]] += 1
    return counts


class MixedBatchSampler(BatchSampler):
    """Every index of a ``MixedDataset`` once an epoch, in batches of one generated share; see its ``batch_sampler``.

    ``MixedBatchSampler(sampler, batch_size, drop_last)``, as any batch sampler, so that Lightning can make it again
    under distributed training. ``sampler`` is the blend itself or a sampler of it, whose order isn't used. One with
    ``num_replicas`` and ``rank``, such as torch's ``DistributedSampler``, gets every ``num_replicas``-th batch from
    ``rank`` on: all ranks have as many batches, each of the exact share, and, if their number doesn't divide, the first
    ones come again, or, with ``drop_last``, the last ones are left out. The epoch that such a sampler is set to becomes
    the blend's.

    Raises ``InputError`` for a sampler of something else than a blend.
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        self.dataset = _blend_of(sampler)
        self.sampler = SequentialSampler(sampler) if sampler is self.dataset else sampler
        self.batch_size = as_whole(batch_size, "batch_size", 1)
        self.drop_last = drop_last
        self._followed = getattr(sampler, "epoch", None) if sampler is not self.dataset else None

    def set_epoch(self, epoch: int) -> None:
        """Set the dataset's epoch, for loops that tell their sampler and not their dataset."""
        if callable(tell := getattr(self.sampler, "set_epoch", None)):
            tell(epoch)
            self._followed = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        batches, replicas = self._count(), self._place()[1]
        return batches // replicas if self.drop_last else -(-batches // replicas)

    def __iter__(self) -> Iterator[list[int]]:
        self._follow_epoch()
        rank, replicas = self._place()
        if replicas == 1:
            yield from self._all()
            return
        batches = list(self._all())
        for number in range(len(self)):
            yield batches[(rank + replicas * number) % len(batches)]

    def _all(self) -> Iterator[list[int]]:
        """The batches of all ranks."""
        rng = stream(self.dataset.seed, "batches", self.dataset.epoch)
        made = self.dataset.generated_mask()
        total = len(made)
        sizes = np.diff(np.append(np.arange(0, total, self.batch_size), total))
        counts = generated_in_batches(sizes, int(made.sum()), self.dataset.planned_ratio, rng)
        generated, real = (rng.permutation(np.flatnonzero(which)) for which in (made, ~made))
        ends = np.cumsum(counts)
        real_ends = np.cumsum(sizes - counts)
        for number in range(self._count()):
            some = generated[ends[number] - counts[number] : ends[number]]
            others = real[real_ends[number] - (sizes[number] - counts[number]) : real_ends[number]]
            yield rng.permutation(np.concatenate([some, others])).tolist()

    def _count(self) -> int:
        """The number of batches of all ranks together."""
        total = len(self.dataset)
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def _place(self) -> tuple[int, int]:
        """The rank, and how many there are."""
        return getattr(self.sampler, "rank", 0), getattr(self.sampler, "num_replicas", 1)

    def _follow_epoch(self) -> None:
        epoch = getattr(self.sampler, "epoch", None)
        if epoch != self._followed:
            self._followed = epoch
            self.dataset.follow_epoch(epoch)


def _blend_of(sampler: Any) -> Any:
    """The blend that a sampler samples, through what others wrap around it."""
    inner, depth = sampler, 0
    while not hasattr(inner, "generated_mask"):
        parts = (getattr(inner, name, None) for name in ("data_source", "dataset", "sampler", "_sampler"))
        inner, depth = next((part for part in parts if part is not None), None), depth + 1
        if inner is None or depth > 8:
            raise InputError(
                f"MixedBatchSampler needs a MixedDataset or a sampler of one, got {type(sampler).__name__}. "
                "mixed.batch_sampler(batch_size) makes one."
            )
    return inner
