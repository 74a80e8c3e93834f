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
    """Every index of a ``MixedDataset`` once per epoch, in batches with the same generated share.

    ``MixedBatchSampler(sampler, batch_size, drop_last)``, as any batch sampler, so that Lightning can create it again
    under distributed training. ``sampler`` is the blend itself or a sampler of it, whose order isn't used. One with
    ``num_replicas`` and ``rank``, such as torch's ``DistributedSampler``, gets every ``num_replicas``-th batch from
    ``rank`` on: all ranks have the same number of batches, each with the exact share. If their number isn't divisible,
    the first ones are repeated or, with ``drop_last``, the last ones are left out. The epoch of such a sampler becomes
    the blend's.

    Raises ``InputError`` for a sampler of anything but a blend.
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        self.dataset = _blend_of(sampler)
        self.sampler = SequentialSampler(sampler) if sampler is self.dataset else sampler
        self.batch_size = as_whole(batch_size, "batch_size", 1)
        self.drop_last = drop_last
        self._sampler_epoch = getattr(self.sampler, "epoch", None)

    def set_epoch(self, epoch: int) -> None:
        """Set the dataset's epoch, for loops that call this method of their sampler and not of their dataset."""
        if callable(set_epoch := getattr(self.sampler, "set_epoch", None)):
            set_epoch(epoch)
            self._sampler_epoch = epoch
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        batches, (_, world_size) = self._count(), self._rank()
        return batches // world_size if self.drop_last else -(-batches // world_size)

    def __iter__(self) -> Iterator[list[int]]:
        epoch = getattr(self.sampler, "epoch", None)
        if epoch != self._sampler_epoch:
            self._sampler_epoch = epoch
            self.dataset.follow_epoch(epoch)
        batches = self._batches()
        rank, world_size = self._rank()
        for number in range(len(self)):
            yield batches[(rank + world_size * number) % len(batches)]

    def _batches(self) -> list[list[int]]:
        """The batches of all ranks."""
        rng = stream(self.dataset.seed, "batches", self.dataset.epoch)
        mask = self.dataset.generated_mask()
        sizes = np.diff(np.append(np.arange(0, len(mask), self.batch_size), len(mask)))
        counts = generated_in_batches(sizes, int(mask.sum()), self.dataset.planned_ratio, rng)
        generated = np.split(rng.permutation(np.flatnonzero(mask)), np.cumsum(counts))
        real = np.split(rng.permutation(np.flatnonzero(~mask)), np.cumsum(sizes - counts))
        return [rng.permutation(np.concatenate([generated[i], real[i]])).tolist() for i in range(self._count())]

    def _count(self) -> int:
        """The number of batches of all ranks together."""
        total = len(self.dataset)
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def _rank(self) -> tuple[int, int]:
        """The rank and the world size."""
        return getattr(self.sampler, "rank", 0), getattr(self.sampler, "num_replicas", 1)


def _blend_of(sampler: Any) -> Any:
    """The blend that a sampler samples from, also through wrappers."""
    inner, depth = sampler, 0
    while not hasattr(inner, "generated_mask"):
        parts = (getattr(inner, name, None) for name in ("data_source", "dataset", "sampler", "_sampler"))
        inner, depth = next((part for part in parts if part is not None), None), depth + 1
        if inner is None or depth > 8:
            raise InputError(
                f"MixedBatchSampler needs a MixedDataset or a sampler of one, got {type(sampler).__name__}. "
                "mixed.batch_sampler(batch_size) returns one."
            )
    return inner
