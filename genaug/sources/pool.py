"""Samples that are generated once, in the main process, and read by all workers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
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
from genaug.data.datasets import load_data
from genaug.data.reading import Samples, read_samples
from genaug.errors import InputError
from genaug.randomness import check_seed, derive_seed, uniform_rows
from genaug.sources.arguments import count_and_labels, pick_seed
from genaug.sources.drawing import draw_without_repeats
from genaug.sources.export import write_samples
from genaug.sources.shared import FileArray, SharedArray, check_new
from genaug.sources.source import Source, check_source, checked_sample, supply_of

_BATCH = 4096
_BATCH_BYTES = 2**26


class SamplePool:
    """A store of generated images, itself a source.

    Args:
        source: The source of the images. It runs in this process, in batches, on its own device.
        size: The number of images.
        labels: Class shares: a mapping of class (number or name) to share, or one share per class. Images are
            apportioned by largest remainder. Uniform by default; not for sources without labels.
        device: The device of the source while the pool is filled, after which it is moved back. Needs ``source.to``.
        path: A file to map into memory instead of using shared memory. It must not exist, and isn't removed.

    The images are uint8 (size, C, H, W) in shared memory, ``nbytes`` in total, sorted by class. Workers only read: a
    pickled pool, such as a spawned worker gets, has no source. The same source and size give the same pool.

    ``spec`` is the source's spec, ``training`` its record of its training, or None. ``counts`` has the number of images
    of each class.

    Raises ``InputError`` for an invalid size or shares, too little shared memory, and a source that fails or whose
    samples don't fit its spec; ``SaveError`` and ``OutputExistsError`` for the file.
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
        """A pool of samples that were generated elsewhere: ``SamplePool.from_dataset(ImageFolder("generated"))``.

        ``dataset`` is a map-style dataset of images (PIL, uint8, float in [0, 1]) with integer labels or without, whose
        shorter side ``image_size`` resizes before the center is cropped, or a ``SeriesDataset``. Class names come from
        the dataset. Such a pool can't be refilled. Raises ``InputError`` for a dataset that can't be read, or whose
        samples vary in size.
        """
        if path is not None:
            check_new(path)  # before the dataset is read
        return cls.of_samples(read_samples(dataset, image_size, what="the pool's dataset"), path)

    @classmethod
    def of_samples(cls, data: Samples, path: str | Path | None = None) -> "SamplePool":
        """A pool of samples in memory. Raises the errors of ``from_dataset`` for the file."""
        labels = torch.zeros(len(data.x), dtype=torch.int64, device="cpu") if data.labels is None else data.labels
        counts, order = labels.bincount(minlength=data.spec.num_classes).numpy(), labels.argsort(stable=True)
        pool = cls.__new__(cls)
        with pool._allocated(None, data.spec, counts, path):
            np.take(data.x.numpy(), order.numpy(), axis=0, out=pool._images.array, mode="clip")  # no copy
        return pool

    @classmethod
    def in_folder(
        cls,
        source: Source,
        folder: str | Path,
        *,
        n: int | None = None,
        per_class: int | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> "SamplePool":
        """A pool of images that a slow source generates once, into class folders that later runs read.

        The arguments are those of ``write_samples``: a run that was stopped continues, and one with other settings is
        rejected. Training record and classes are the source's. Such a pool can't be refilled. Raises the errors of
        ``write_samples``.
        """
        from torchvision.transforms import v2

        place = write_samples(source, folder, n=n, per_class=per_class, seed=seed, progress=progress)
        images: Any = load_data(f"folder:{place}")
        images.transform = v2.Grayscale() if source.spec.shape[0] == 1 else v2.RGB()
        pool = cls.of_samples(replace(read_samples(images, None, what=str(place)), spec=source.spec))
        pool.training = getattr(source, "training", None)
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
        """Allocate memory for the images, to be filled within the context; a file gets its name if that succeeds."""
        self._source, self.spec, self.counts = source, spec, counts
        self.training: Any = getattr(source, "training", None)
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
    def supply(self) -> list[int]:
        """The number of samples of each class; one entry for a source without labels."""
        return [int(count) for count in self.counts]

    @property
    def nbytes(self) -> int:
        """Bytes of all images: size · C · H · W."""
        return len(self) * self.spec.sample.nbytes

    @property
    def seed(self) -> int | None:
        """The seed that the pool was filled from; None while it is incomplete."""
        return int(self._filled.array[0]) if self._filled.array[0] >= 0 else None

    @property
    def labels(self) -> Tensor | None:
        """The images' labels, int64 (size,), in order; None for a source without labels."""
        if not self.spec.takes_labels:
            return None
        return torch.from_numpy(np.repeat(np.arange(len(self.counts)), self.counts))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __repr__(self) -> str:
        samples, classes = self.spec.sample.describe(), self.spec.describe_classes()
        return f"SamplePool({len(self):,} of {samples}, {classes}, {self.nbytes:,} bytes)"

    def refill(self, seed: int) -> None:
        """Generate all images again, in place; the same seed gives the same images. In the main process only.

        Raises ``InputError`` if the source fails. The pool is then incomplete and can't be read until a refill
        succeeds.
        """
        check_seed(seed)
        if self._source is None or get_worker_info() is not None:
            raise InputError(
                "a pool can only be filled in the main process, from its source. This one has none: it is a copy in a "
                "worker, or was unpickled, or contains the images of a dataset."
            )
        self._filled.array[0] = -1
        device = _move(self._source, self._device)
        try:
            self._fill(self._source, seed)
        finally:
            _move(self._source, device)
        self._filled.array[0] = seed

    def _fill(self, source: Source, seed: int) -> None:
        labels = self.labels
        batch = max(1, min(_BATCH, _BATCH_BYTES // self.spec.sample.nbytes))
        if supply_of(source) is not None:
            batch = len(self)  # a source with a limited supply repeats no sample within a call
        batches = -(-len(self) // batch)
        for number in range(batches):
            # Each batch has all classes, in their shares: a source that labels its own samples then rejects few.
            slots = slice(number, len(self), batches)
            count = len(range(len(self))[slots])
            part = None if labels is None else labels[slots]
            try:
                images = checked_sample(source, count, part, derive_seed(seed, "pool", number))
            except Exception as error:
                raise InputError(
                    f"{type(source).__name__} failed in batch {number + 1:,} of {batches:,} of a pool: {error} The "
                    "pool is incomplete and can't be read until a refill succeeds."
                ) from error
            self._images.array[slots] = images.cpu().numpy()

    @property
    def images(self) -> Tensor:
        """A copy of all images, uint8 (size, C, H, W), in the order of ``labels``."""
        self._check_filled()
        return torch.from_numpy(self._images.array.copy())

    def image(self, slot: int) -> NDArray[np.uint8]:
        """A copy of one image, uint8 (C, H, W)."""
        self._check_filled()
        return np.array(self._images.array[slot])

    def take(self, slots: Sequence[int] | Ints) -> NDArray[Any]:
        """Copies of the images in these slots, uint8 (len(slots), C, H, W)."""
        self._check_filled()
        images: NDArray[Any] = self._images.array[np.asarray(slots, dtype=np.int64)]
        return images

    def sample(self, n: int | None = None, *, labels: Any = None, seed: int | None = None) -> tuple[Any, Tensor | None]:
        """Draw ``n`` images with uniformly drawn labels of the classes in the pool, or one for each of ``labels``.

        No image is repeated in a call before all of its class have been drawn. Returns uint8 (N, C, H, W) and int64
        (N,), or None for a pool without labels. Sample i of a seed doesn't depend on the number of samples;
        ``seed=None`` draws a seed from torch's RNG. Raises ``InputError`` for labels that aren't in the pool.
        """
        self._check_filled()
        count, requested = count_and_labels(n, labels)
        classes = None if requested is None else self._known(requested.numpy())
        draws = uniform_rows(pick_seed(seed), "pool", 0, count, 2)
        if classes is None:
            present = np.flatnonzero(self.counts)
            classes = present[(draws[:, 0] * len(present)).astype(np.int64)]
        starts = np.cumsum(self.counts) - self.counts
        images = self._images.array[starts[classes] + draw_without_repeats(classes, self.counts, draws[:, 1])]
        labels = torch.from_numpy(classes) if self.spec.takes_labels else None
        return self.spec.sample.present(torch.from_numpy(images), labels), labels

    def _known(self, labels: Ints) -> Ints:
        """The labels, if the pool has images of all of them; raises ``InputError`` otherwise."""
        if not self.spec.takes_labels:
            raise InputError("this pool has no labels; sample it with n=.")
        known = labels < len(self.counts)
        absent = labels[~known | (self.counts[np.where(known, labels, 0)] == 0)]
        if len(absent):
            raise InputError(
                f"the pool has no sample of class {absent[0]}: it was filled from a source with "
                f"{self.spec.describe_classes()}, and its counts are {self.counts.tolist()}."
            )
        return labels

    def _check_filled(self) -> None:
        if self._filled.array[0] < 0:
            raise InputError(
                "the pool is incomplete: it is being refilled, or its last refill failed or was interrupted. Call "
                "refill(seed), or set_epoch, only between epochs, and call it again if it failed."
            )

    @property
    def can_refill(self) -> bool:
        """Whether the pool has a source to refill from."""
        return self._source is not None

    def take_source(self, other: "SamplePool") -> None:
        """Refill from the source of another pool from now on: for a copy of that pool."""
        self._source = other._source

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_source": None}


def _class_counts(spec: Spec, size: int, shares: Mapping[Any, float] | Sequence[float] | None) -> Ints:
    if not spec.takes_labels:
        if shares is not None:
            raise InputError("this source has no labels: leave labels= out.")
        return np.array([size], dtype=np.int64)
    if isinstance(shares, Mapping):
        weights: list[Any] = [0] * spec.num_classes
        for key, share in shares.items():
            weights[class_index(key, spec.class_names, spec.num_classes, "labels=")] = share
    else:
        values = [1] * spec.num_classes if shares is None else shares
        weights = [share.item() if isinstance(share, (Tensor, np.generic)) else share for share in values]
    valid = len(weights) == spec.num_classes and all(
        isinstance(w, (int, float)) and not isinstance(w, bool) and 0 <= w < float("inf") for w in weights
    )
    if not valid or sum(weights) == 0:
        raise InputError(
            f"labels= must be shares of 0 or more, not all 0, for {spec.describe_classes()}; got {shares!r}."
        )
    return largest_remainder(size, weights)


def _move(source: Any, device: Any) -> Any:
    """Move a source and return its previous device. Does nothing if ``device`` is None."""
    if device is None:
        return None
    if not callable(getattr(source, "to", None)) or not hasattr(source, "device"):
        raise InputError(f"device= needs a source that can be moved (.to and .device); {type(source).__name__} can't.")
    previous = source.device
    source.to(device)
    return previous
