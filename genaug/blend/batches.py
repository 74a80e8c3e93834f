"""Batches with the same share of generated samples in each."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from genaug.blend.plan import Ints, as_whole, stream


def generated_in_batches(sizes: Ints, generated: int, ratio: Fraction, rng: np.random.Generator) -> Ints:
    """How many generated samples each batch gets, int64: floor or ceiling of ratio·size, ``generated`` in all.

    Needs ``generated`` to be a nearest integer to ratio·sizes.sum(). Which batches round up is drawn at random.
    """
    exact = [ratio * int(size) for size in sizes]
    counts = np.array([math.floor(share) for share in exact], dtype=np.int64)
    rounded = np.flatnonzero([share.denominator > 1 for share in exact])
    counts[rng.permutation(rounded)[: generated - int(counts.sum())]] += 1
    return counts


class MixedBatchSampler(Sampler[list[int]]):
    """Every index of a ``MixedDataset`` once an epoch, in batches of one generated share; see its ``batch_sampler``."""

    def __init__(self, dataset: Any, batch_size: int, drop_last: bool) -> None:
        self.dataset = dataset
        self.batch_size = as_whole(batch_size, "batch_size", 1)
        self.drop_last = drop_last

    def set_epoch(self, epoch: int) -> None:
        """Set the dataset's epoch, for loops that tell their sampler and not their dataset."""
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        total = len(self.dataset)
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = stream(self.dataset.seed, "batches", self.dataset.epoch)
        made = self.dataset.generated_mask()
        total = len(made)
        sizes = np.diff(np.append(np.arange(0, total, self.batch_size), total))
        counts = generated_in_batches(sizes, int(made.sum()), self.dataset.planned_ratio, rng)
        generated, real = (rng.permutation(np.flatnonzero(which)) for which in (made, ~made))
        ends = np.cumsum(counts)
        real_ends = np.cumsum(sizes - counts)
        for number in range(len(self)):
            some = generated[ends[number] - counts[number] : ends[number]]
            others = real[real_ends[number] - (sizes[number] - counts[number]) : real_ends[number]]
            yield rng.permutation(np.concatenate([some, others])).tolist()
