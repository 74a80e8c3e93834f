"""The generated samples of a blend: a pool that is filled from the source, and which of its samples an epoch uses."""

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.blend.plan import draw_slots, fit_into
from genaug.data.apportion import Ints
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.pool import SamplePool
from genaug.sources.shared import SharedArray
from genaug.sources.source import Source, check_supply


class GeneratedSamples:
    """The samples of a plan, sorted by class.

    Args:
        source: a ``SamplePool`` is drawn from as it is; any other source fills a pool that belongs to the blend.
        added: the number of samples per class of the real set, int64 (classes,).
        match: the source's class for each of these, int64 (classes,).
        seed: decides, with the epoch, what is generated.
        refresh: whether the blend's own pool is filled again for every epoch.
        max_bytes: the limit of that pool's memory.

    Raises ``InputError`` if a pool has no sample of a class, and if there is no room for one sample per class.
    """

    def __init__(self, source: Source, added: Ints, match: Ints, *, seed: int, refresh: bool, max_bytes: int) -> None:
        self.labels: Ints = np.repeat(np.arange(len(match)), added)
        self._added, self._match, self._seed = added, match, seed
        self._slots = SharedArray((len(self.labels),))
        self.pool = self._open_pool(source, max_bytes)
        self._owns_pool = self.pool is not source
        self.refills = refresh and self.pool is not None and self._owns_pool

    def __getitem__(self, position: int) -> tuple[NDArray[np.uint8], int]:
        """A raw sample and its class, as the real set numbers it."""
        assert self.pool is not None
        return self.pool.image(int(self._slots.array[position])), int(self.labels[position])

    def draw(self, rng: np.random.Generator) -> None:
        """Draw which samples of the pool are used."""
        if self.pool is not None:
            counts = self.pool.counts
            starts = np.cumsum(counts) - counts
            self._slots.array[:] = draw_slots(self._added, counts[self._match], starts[self._match], rng)

    def refill(self, epoch: int) -> None:
        """Fill the blend's own pool with the samples of an epoch."""
        seed = derive_seed(self._seed, "epoch", epoch)
        if self.refills and self.pool is not None and self.pool.seed != seed:
            self.pool.refill(seed)

    def __deepcopy__(self, memo: dict[int, Any]) -> "GeneratedSamples":
        twin = copy.copy(self)
        memo[id(self)] = twin
        twin.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        if self._owns_pool and self.pool is not None and twin.pool is not None:
            twin.pool.take_source(self.pool)  # a copy of a pool has none
        return twin

    def _open_pool(self, source: Source, max_bytes: int) -> SamplePool | None:
        classes = np.flatnonzero(self._added)
        if len(classes) == 0:
            return None
        check_supply(source, self._match[classes])
        if isinstance(source, SamplePool):
            return source
        nbytes = source.spec.sample.nbytes
        room = max_bytes // nbytes
        if room < len(classes):
            raise InputError(
                f"max_pool_bytes={max_bytes:,} has room for {room} generated images of {nbytes:,} bytes; "
                f"{len(classes)} classes need at least one each."
            )
        counts = np.zeros(source.spec.num_classes, dtype=np.int64)
        np.add.at(counts, self._match[classes], fit_into(room, self._added)[classes])
        return SamplePool.with_counts(source, counts.tolist(), seed=derive_seed(self._seed, "epoch", 0))
