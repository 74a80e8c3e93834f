"""Samples generated once, in the main process, and read by every worker."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.apportion import Ints, largest_remainder
from genaug.data.classes import class_index
from genaug.data.labels import as_labels
from genaug.data.reading import read_samples
from genaug.errors import InputError
from genaug.randomness import check_seed, derive_seed, uniform_rows
from genaug.sources.shared import FileArray, SharedArray, check_new
from genaug.sources.source import Source, check_source, checked_sample, supply_of

_BATCH = 4096
_BATCH_BYTES = 2**26


class SamplePool:
    """A store of generated images, itself a source.

    Args:
        source: what generates, in batches, in this process, on its own device.
        size: how many images to hold.
        labels: class shares, a mapping of class (number or name) to share or one share for each class; divided by
            largest remainder. Uniform by default. Sources without labels take none.
        device: where the source runs while the pool is filled; it goes back afterwards. Needs ``source.to``.
        path: a file to map into memory in place of shared memory; it must not exist, and stays when the pool is gone.

    The images are uint8 (size, C, H, W) in shared memory, ``nbytes`` in all, class after class. Workers only read: a
    pickled pool, such as a spawned worker gets, has no generator. The same source and size give the same pool.

    Raises ``InputError`` for a bad size or shares, too little shared memory, and a source that fails or makes what
    its spec doesn't say; ``SaveError`` and ``OutputExistsError`` for the file.
    """

    def __init__(
        self,
        source: Source,
        *,
        size: int,
        labels: Mapping[Any, float] | Sequence[float] | None = None,
        device: str | torch.device | None = None,
        path: str | Path | None = None,
    ) -> None:
        spec = check_source(source)
        size = as_whole(size, "size", 1)
        self._start(source, _class_counts(spec, size, labels), 0, device, path)

    @classmethod
    def from_dataset(
        cls, dataset: Any, *, image_size: int | None = None, path: str | Path | None = None
    ) -> "SamplePool":
        """A pool of images that were generated before, by whatever: ``SamplePool.from_dataset(ImageFolder("made"))``.

        ``dataset`` is a map-style dataset of images (PIL, uint8, float in [0, 1]) with integer labels or without;
        ``image_size`` resizes the shorter side and crops the centre. Class names come from the dataset. Nothing can
        refill such a pool. Raises ``InputError`` for a dataset that can't be read, or whose images vary in size.
        """
        if path is not None:
            check_new(path)  # before the dataset is read
        found = read_samples(dataset, image_size, what="the pool's dataset")
        counts = np.array([len(found.x)], dtype=np.int64)
        order = torch.arange(len(found.x), device="cpu")
        if found.labels is not None:
            counts = found.labels.bincount(minlength=found.spec.num_classes).numpy()
            order = found.labels.argsort(stable=True)
        pool = cls.__new__(cls)
        with pool._allocated(None, found.spec, counts, path):
            np.take(found.x.numpy(), order.numpy(), axis=0, out=pool._images.array, mode="clip")  # no copy
        return pool

    @classmethod
    def with_counts(cls, source: Source, counts: Sequence[int], *, seed: int = 0) -> "SamplePool":
        """A pool with exactly ``counts[c]`` images of class c (one entry for a source without labels)."""
        spec = check_source(source)
        if len(counts) != max(spec.num_classes, 1) or min(counts) < 0 or sum(counts) < 1:
            raise InputError(f"expected one count of 0 or more for each of {spec.describe_classes()}, got {counts!r}.")
        pool = cls.__new__(cls)
        pool._start(source, np.asarray(counts, dtype=np.int64), seed, None, None)
        return pool

    def _start(self, source: Source, counts: Ints, seed: int, device: Any, path: Any) -> None:
        with self._allocated(source, source.spec, counts, path):
            self._device = device
            self.refill(seed)

    @contextmanager
    def _allocated(self, source: Source | None, spec: Spec, counts: Ints, path: Any) -> Iterator[None]:
        """Memory for the images, to be filled in the block; a file gets its name when that has succeeded."""
        self._source, self._spec, self.counts = source, spec, counts
        self._training = getattr(source, "training", None)
        shape = (len(self), *spec.shape)
        self._filled = SharedArray((1,))
        self._images: FileArray | SharedArray
        if path is None:
            self._images = SharedArray(shape, spec.sample.dtype)
            yield
            return
        self._images = FileArray(shape, path, spec.sample.dtype)
        try:
            yield
            self._images.publish()
        except BaseException:
            self._images.discard()
            raise

    @property
    def spec(self) -> Spec:
        """The source's spec."""
        return self._spec

    @property
    def training(self) -> Any:
        """The source's record of its training, None where it has none."""
        return self._training

    @property
    def supply(self) -> list[int]:
        """How many samples of each class it holds; one entry for a source without labels."""
        return [int(count) for count in self.counts]

    @property
    def nbytes(self) -> int:
        """Bytes of all the images: size · C · H · W, known before the first is generated."""
        return len(self) * self._spec.sample.nbytes

    @property
    def seed(self) -> int | None:
        """The seed of what the pool holds; None while it is incomplete."""
        seed = int(self._filled.array[0])
        return None if seed < 0 else seed

    @property
    def labels(self) -> Tensor | None:
        """The images' labels, int64 (size,), in order; None for a source without labels."""
        if not self._spec.takes_labels:
            return None
        return torch.from_numpy(np.repeat(np.arange(len(self.counts)), self.counts))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __repr__(self) -> str:
        spec = self._spec
        return (
            f"SamplePool({len(self):,} of {spec.sample.describe()}, {spec.describe_classes()}, {self.nbytes:,} bytes)"
        )

    def refill(self, seed: int) -> None:
        """Generate all images anew, in place; the same seed gives the same images. In the main process only.

        Raises ``InputError`` where the source fails. The pool is then incomplete and refuses to be read until a
        refill succeeds.
        """
        check_seed(seed)
        if self._source is None or get_worker_info() is not None:
            raise InputError(
                "a pool is filled in the main process only, from its generator. This one has none: it is a copy in a "
                "worker, or unpickled, or holds the images of a data set."
            )
        self._filled.array[0] = -1
        home = _moved(self._source, self._device)
        try:
            self._fill(self._source, seed)
        finally:
            _moved(self._source, home)
        self._filled.array[0] = seed

    def _fill(self, source: Source, seed: int) -> None:
        labels = self.labels
        batch = max(1, min(_BATCH, _BATCH_BYTES // self._spec.sample.nbytes))
        if supply_of(source) is not None:
            batch = len(self)  # no sample comes twice in one call
        batches = -(-len(self) // batch)
        done = 0
        for number in range(batches):
            # Every batch asks for all classes, in their shares: a source that sorts samples into classes wastes few.
            slots = slice(number, len(self), batches)
            count = len(range(len(self))[slots])
            part = None if labels is None else labels[slots]
            try:
                images = checked_sample(source, count, part, derive_seed(seed, "pool", number))
            except Exception as error:
                raise InputError(
                    f"{type(source).__name__} failed after {done:,} of {len(self):,} samples of a pool: {error} "
                    "The pool is incomplete and can't be read until a refill succeeds."
                ) from error
            self._images.array[slots] = images.cpu().numpy()
            done += count

    @property
    def images(self) -> Tensor:
        """A copy of all images, uint8 (size, C, H, W), in the order of ``labels``."""
        self._check_filled()
        return torch.from_numpy(self._images.array.copy())

    def image(self, slot: int) -> NDArray[np.uint8]:
        """A copy of one image, uint8 (C, H, W)."""
        self._check_filled()
        copy: NDArray[np.uint8] = self._images.array[slot].copy()
        return copy

    def sample(
        self, n: int | None = None, *, labels: Any = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` images, of uniformly drawn classes of those held, or one for each of ``labels``.

        No image comes twice in a call before all of its class have come once. Returns uint8 (N, C, H, W) and int64
        (N,), or None for a pool without labels. Sample i of a seed is the same however many are asked for;
        ``seed=None`` draws one from torch's RNG. Raises ``InputError`` for labels the pool doesn't hold.
        """
        self._check_filled()
        wanted = self._wanted(n, labels)
        count = len(wanted) if wanted is not None else int(n or 0)
        seed = int(torch.randint(2**62, (1,), device="cpu")) if seed is None else check_seed(seed)
        draws = uniform_rows(seed, "pool", 0, count, 2)
        if wanted is None:
            held = np.flatnonzero(self.counts)
            wanted = held[(draws[:, 0] * len(held)).astype(np.int64)]
        starts = np.cumsum(self.counts) - self.counts
        slots = starts[wanted] + draw_without_repeats(wanted, self.counts, draws[:, 1])
        images = torch.from_numpy(self._images.array[slots])
        return images, torch.from_numpy(wanted) if self._spec.takes_labels else None

    def _wanted(self, n: int | None, labels: Any) -> Ints | None:
        if (n is None) == (labels is None):
            raise InputError("sample takes either n= (how many) or labels= (one for each sample).")
        if labels is None:
            as_whole(n, "n", 0)
            return None
        if not self._spec.takes_labels:
            raise InputError("this pool has no labels; sample it with n=.")
        wanted: Ints = as_labels(labels).cpu().numpy()
        known = wanted < len(self.counts)
        absent = wanted[~known | (self.counts[np.where(known, wanted, 0)] == 0)]
        if len(absent):
            raise InputError(
                f"the pool holds no sample of class {absent[0]}: it was filled from a source with "
                f"{self._spec.describe_classes()}, and its counts are {self.counts.tolist()}."
            )
        return wanted

    def _check_filled(self) -> None:
        if self._filled.array[0] < 0:
            raise InputError(
                "the pool is incomplete: it is being refilled, or its last refill failed or was interrupted. Call "
                "refill(seed), or set_epoch, between epochs only, and again where it failed."
            )

    @property
    def can_refill(self) -> bool:
        """Whether the pool has a source to refill from."""
        return self._source is not None

    def take_source(self, other: "SamplePool") -> None:
        """Refill from another pool's source from now on: for a copy of that pool."""
        self._source = other._source

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_source": None}


def _class_counts(spec: Spec, size: int, shares: Mapping[Any, float] | Sequence[float] | None) -> Ints:
    if not spec.takes_labels:
        if shares is not None:
            raise InputError("labels= can't be given: this source has no labels.")
        return np.array([size], dtype=np.int64)
    if shares is None:
        weights: list[Any] = [1] * spec.num_classes
    elif isinstance(shares, Mapping):
        weights = [0] * spec.num_classes
        for key, share in shares.items():
            weights[class_index(key, spec.class_names, spec.num_classes, "labels=")] = share
    else:
        weights = [share.item() if isinstance(share, (Tensor, np.generic)) else share for share in shares]
    good = len(weights) == spec.num_classes and all(
        isinstance(w, (int, float)) and not isinstance(w, bool) and 0 <= w < float("inf") for w in weights
    )
    if not good or sum(weights) == 0:
        raise InputError(
            f"labels= must give shares of 0 or more, not all 0, for {spec.describe_classes()}; got {shares!r}."
        )
    return largest_remainder(size, weights)


def _moved(source: Any, device: Any) -> Any:
    """Move a source that can be moved; returns where it was. Does nothing where ``device`` is None."""
    if device is None:
        return None
    if not callable(getattr(source, "to", None)) or not hasattr(source, "device"):
        raise InputError(f"device= needs a source that can be moved (.to and .device); {type(source).__name__} can't.")
    home = source.device
    source.to(device)
    return home


def draw_without_repeats(wanted: Ints, counts: Ints, draws: NDArray[np.float64]) -> Ints:
    """A member in [0, counts[c]) for each wanted class c, int64 (len(wanted),), from as many draws of U[0, 1).

    All members of a class come before one comes again, and what a sample gets doesn't depend on those that follow:
    each class is shuffled as Fisher and Yates do, one place a sample, with only the touched places in memory.
    """
    members, moved = np.empty(len(wanted), dtype=np.int64), dict[tuple[int, int], int]()
    columns = (wanted, ranks_in_class(wanted), counts[wanted], draws)
    for index, (label, rank, held, draw) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        here = rank % held
        there = here + int(draw * (held - here))
        members[index] = drawn = moved.get((label, there), there)
        moved[label, there] = moved.get((label, here), here)
        moved[label, here] = drawn
    return members


def ranks_in_class(labels: Ints) -> Ints:
    """How many of the same label come before each, int64 (len(labels),)."""
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[np.argsort(which, kind="stable")] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ranks
