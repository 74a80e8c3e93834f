"""The generated samples of a blend: a pool per source, and which of its samples an epoch uses."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.blend.curriculum import Curriculum, Ranking
from genaug.blend.plan import draw_slots, fit_into
from genaug.blend.sources import BlendSource, naming
from genaug.data.apportion import Ints
from genaug.errors import InputError
from genaug.randomness import derive_seed
from genaug.sources.pool import SamplePool
from genaug.sources.shared import SharedArray
from genaug.sources.source import Source, check_supply


class GeneratedSamples:
    """The samples of one source, sorted by class.

    Args:
        source: a ``SamplePool`` is drawn from as it is; any other source fills a pool that belongs to the blend.
        needed: the largest number of samples that an epoch uses, per class of the real set, int64 (classes,).
        match: the source's class for each of these, int64 (classes,).
        seed: decides, with the epoch, what is generated.
        refresh: whether the blend's own pool is filled again for every epoch.
        max_bytes: the limit of that pool's memory.
        ranking: decides, for a pool, which of its samples an epoch draws from; all by default.

    Raises ``InputError`` if a pool has no sample of a class, and if there is no room for one sample per class.
    """

    def __init__(
        self,
        source: Source,
        needed: Ints,
        match: Ints,
        *,
        seed: int,
        refresh: bool,
        max_bytes: int,
        ranking: Callable[[SamplePool], Ranking] | None = None,
    ) -> None:
        self._needed, self._match, self._seed = needed, match, seed
        most = int(needed.sum())
        self._count, self._labels, self._slots = SharedArray((1,)), SharedArray((most,)), SharedArray((most,))
        self.pool = open_pool(source, needed, match, seed=seed, max_bytes=max_bytes)
        self._owns_pool = self.pool is not source
        self.refills = refresh and self.pool is not None and self._owns_pool
        self._ranking = None if ranking is None or self.pool is None else ranking(self.pool)

    def __len__(self) -> int:
        return int(self._count.array[0])

    def __getitem__(self, position: int) -> tuple[NDArray[Any], int]:
        """A copy of a raw sample, and its class as the real set numbers it."""
        assert self.pool is not None
        return self.pool.image(int(self._slots.array[position])), int(self._labels.array[position])

    def take(self, positions: Ints) -> tuple[NDArray[Any], Ints]:
        """``__getitem__`` at many positions: raw samples (len(positions), ...) and their classes."""
        assert self.pool is not None
        return self.pool.take(self._slots.array[positions]), self._labels.array[positions]

    @property
    def labels(self) -> Ints:
        """The classes of this epoch's samples, int64 (len(self),)."""
        return np.array(self._labels.array[: len(self)])

    @property
    def example(self) -> tuple[NDArray[np.uint8], int] | None:
        """A raw sample and its class, in any epoch; None if no epoch has one."""
        if self.pool is None:
            return None
        label = int(np.flatnonzero(self._needed)[0])
        source_class = self._match[label]
        return self.pool.take([self.pool.counts[:source_class].sum()])[0], label

    def draw(self, added: Ints, epoch: int, rng: np.random.Generator) -> None:
        """Draw which samples of the pool an epoch uses, ``added`` per class of the real set, int64 (classes,)."""
        count = int(added.sum())
        self._count.array[0] = count
        if self.pool is None or count == 0:
            return
        available = self.pool.counts
        starts = (np.cumsum(available) - available)[self._match]
        available = available[self._match]
        if self._ranking is None:
            slots = draw_slots(added, available, starts, rng)
        else:
            slots = self._ranking.slots(draw_slots(added, self._ranking.usable(available, epoch), starts, rng))
        self._slots.array[:count] = slots
        self._labels.array[:count] = np.repeat(np.arange(len(added)), added)

    def refill(self, epoch: int) -> None:
        """Fill the blend's own pool with the samples of an epoch."""
        seed = derive_seed(self._seed, "epoch", epoch)
        if self.refills and self.pool is not None and self.pool.seed != seed:
            self.pool.refill(seed)

    @property
    def can_refill(self) -> bool:
        """False for a copy that would fill its pool for every epoch but has no source."""
        return not self.refills or self.pool is None or self.pool.can_refill

    def __deepcopy__(self, memo: dict[int, Any]) -> "GeneratedSamples":
        twin = copy.copy(self)
        memo[id(self)] = twin
        twin.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        if self._owns_pool and self.pool is not None and twin.pool is not None:
            twin.pool.take_source(self.pool)  # a copy of a pool has none
        return twin


def open_pool(source: Source, needed: Ints, match: Ints, *, seed: int, max_bytes: int) -> SamplePool | None:
    """A pool with the samples of epoch 0, ``needed`` per class of the real set or fewer if ``max_bytes`` has no room
    for them; ``source`` itself if it is one. None if no sample is needed. The arguments are those of
    ``GeneratedSamples``, and so are the errors."""
    classes = np.flatnonzero(needed)
    if len(classes) == 0:
        return None
    check_supply(source, match[classes])
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
    np.add.at(counts, match[classes], fit_into(room, needed)[classes])
    return SamplePool.with_counts(source, counts.tolist(), seed=derive_seed(seed, "epoch", 0))


class SamplesOfSources:
    """The samples of all sources of a blend: those of the first one, then those of the second, and so on."""

    def __init__(self, parts: Sequence[GeneratedSamples]) -> None:
        self.parts = list(parts)

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, position: int) -> tuple[NDArray[Any], int]:
        number, position = self._find(position)
        return self.parts[number][position]

    def take(self, positions: Ints) -> tuple[NDArray[Any] | list[NDArray[Any]], list[int]]:
        """``__getitem__`` at many positions: an array of raw samples if there is one source, else a list, and their
        classes."""
        if len(self.parts) > 1:
            pairs = [self[position] for position in positions.tolist()]
            return [sample for sample, _ in pairs], [label for _, label in pairs]
        samples, labels = self.parts[0].take(positions)
        return samples, labels.tolist()

    def number(self, position: int) -> int:
        """The number of the source of a sample."""
        return self._find(position)[0]

    @property
    def numbers(self) -> Ints:
        """The number of the source of every sample, int64 (len(self),)."""
        return np.repeat(np.arange(len(self.parts)), [len(part) for part in self.parts])

    @property
    def labels(self) -> Ints:
        """The class of every sample, int64 (len(self),)."""
        return np.concatenate([part.labels for part in self.parts])

    @property
    def examples(self) -> list[tuple[NDArray[np.uint8], int]]:
        """A raw sample and its class of each source that the blend uses."""
        return [example for part in self.parts if (example := part.example) is not None]

    def refill(self, added: Sequence[Ints], epoch: int) -> None:
        """Fill the blend's own pools with the samples of an epoch, except for those of which it uses none."""
        for part, counts in zip(self.parts, added, strict=True):
            if counts.any():
                part.refill(epoch)

    def draw(self, added: Sequence[Ints], epoch: int, rng: np.random.Generator) -> None:
        """Draw which samples an epoch uses: of each source, ``added`` per class of the real set."""
        for part, counts in zip(self.parts, added, strict=True):
            part.draw(counts, epoch, rng)

    def _find(self, position: int) -> tuple[int, int]:
        for number, part in enumerate(self.parts):
            if position < len(part):
                return number, position
            position -= len(part)
        raise IndexError("there are fewer generated samples in this epoch")


def open_samples(
    sources: Sequence[BlendSource],
    needed: Sequence[Ints],
    curriculum: Curriculum | None,
    names: Sequence[str] | None,
    *,
    seed: int,
    refresh: bool,
    max_bytes: int,
) -> SamplesOfSources:
    """The samples of all sources. The memory is divided among them in proportion to what they need.

    ``needed`` has the largest number of samples per class that an epoch uses, of each source; ``names`` are the real
    set's class names. Raises the errors of ``GeneratedSamples``.
    """
    nbytes = [
        0 if isinstance(each.source, SamplePool) else int(most.sum()) * each.spec.sample.nbytes
        for each, most in zip(sources, needed, strict=True)
    ]
    parts = []
    for each, most, size in zip(sources, needed, nbytes, strict=True):
        ranking = None if curriculum is None else partial(Ranking, curriculum, each.match, most, names)
        with naming(each.name):
            parts.append(
                GeneratedSamples(
                    each.source,
                    most,
                    each.match,
                    seed=each.seed(seed),
                    refresh=refresh,
                    max_bytes=max_bytes if sum(nbytes) <= max_bytes else max_bytes * size // sum(nbytes),
                    ranking=ranking,
                )
            )
    return SamplesOfSources(parts)
