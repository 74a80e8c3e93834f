"""Batches with the same share of generated samples in each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import SequentialSampler

from genaug.data.share_batches import RankBatches
from genaug.data.shares import batches_with_shares
from genaug.errors import InputError
from genaug.randomness import stream


class MixedBatchSampler(RankBatches):
    """Every index of a ``MixedDataset`` once per epoch, in batches with the same share of each source.

    ``MixedBatchSampler(sampler, batch_size, drop_last)``, as any batch sampler, so that Lightning can create it again
    under distributed training. ``sampler`` is the blend itself or a sampler of it, whose order isn't used. One with
    ``num_replicas`` and ``rank``, such as torch's ``DistributedSampler``, gets every ``num_replicas``-th batch from
    ``rank`` on: all ranks have the same number of batches, each with the exact shares. If their number isn't divisible,
    the first ones are repeated or, with ``drop_last``, the last ones are left out. The epoch of such a sampler becomes
    the blend's.

    Raises ``InputError`` for a sampler of anything but a blend.
    """

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool) -> None:
        super().__init__(batch_size, drop_last)
        self.dataset = _blend_of(sampler)
        self.sampler = SequentialSampler(sampler) if sampler is self.dataset else sampler
        self._sampler_epoch = getattr(self.sampler, "epoch", None)

    def set_epoch(self, epoch: int) -> None:
        """Set the dataset's epoch, for loops that call this method of their sampler and not of their dataset."""
        if callable(set_epoch := getattr(self.sampler, "set_epoch", None)):
            set_epoch(epoch)
            self._sampler_epoch = epoch
        self.dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        epoch = getattr(self.sampler, "epoch", None)
        if epoch != self._sampler_epoch:
            self._sampler_epoch = epoch
            self.dataset.follow_epoch(epoch)
        yield from super().__iter__()

    def _total(self) -> int:
        return len(self.dataset)

    def _batches(self) -> list[list[int]]:
        rng = stream(self.dataset.seed, "batches", self.dataset.epoch)
        numbers, shares = self.dataset.source_numbers(), list(self.dataset.planned_shares.values())
        groups = [np.flatnonzero(numbers == number) for number in [*range(len(shares)), -1]]
        return batches_with_shares(groups, [*shares, 1 - sum(shares)], self.batch_size, rng)

    def _rank(self) -> tuple[int, int]:
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
