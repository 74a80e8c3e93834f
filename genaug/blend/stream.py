"""Real and generated samples as one stream: ``MixedStream``."""

import operator
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.utils.data import IterableDataset, get_worker_info

from genaug.blend.comparison import check_alike
from genaug.blend.formats import convert_like, format_of
from genaug.blend.samples import open_pool
from genaug.blend.sources import checked_spec
from genaug.checks import as_whole
from genaug.data.apportion import Ints, largest_remainder
from genaug.data.classes import class_label, match_classes, matched_by_number
from genaug.data.shares import as_share
from genaug.errors import BlendWarning, InputError
from genaug.modalities.base import Modality
from genaug.modalities.image import Image
from genaug.randomness import check_seed, derive_seed, stream
from genaug.sources.pool import SamplePool
from genaug.sources.shared import SharedArray
from genaug.sources.source import Source

_RECENT = 1000  # real labels that those of generated samples are drawn from
_REMEDY = "Pass transform=, which is applied to real and generated samples alike, so that both get one shape and type."


class MixedStream(IterableDataset[tuple[Any, Any]]):
    """A stream of (image, label) items with an exact share of generated ones: ``MixedDataset`` for iterable datasets.

    Args:
        real: An iterable of (image, label) items, or of mappings that have both under ``keys``, such as a webdataset or
            a streamed dataset of ``datasets``. Other fields are left out. If several processes or workers read it, it
            must distribute its items among them itself, or pass ``shard=True``.
        source: What generates: a ``Generator``, a ``SamplePool`` or any ``Source`` that takes labels.
        ratio: generated / (real + generated), 0 <= ratio < 1.
        transform: Applied to the image of every item, real or generated. Real images must not be normalized before.
        keys: The keys of image and label in items that are mappings.
        classes: The names of the real labels, in their order, to match them with the source's classes by name; by
            number without. Issues a ``BlendWarning`` if only one side has names.
        balance: "match" draws the label of each generated sample from the last 1,000 real ones that this process or
            worker has read. "uniform" generates equally many of all classes.
        shard: For an iterable that yields the same items everywhere: each process and worker reads its part of them.
        pool_size: The number of generated samples that an epoch draws from, equally many of each class. They are used
            in random order, the same one at the same time in no two processes and workers, and all before one is
            repeated.
        seed: Decides, with the epoch, what is generated.
        refresh: "epoch" generates new samples at every ``set_epoch``; None only draws again from the existing ones, as
            from a ``SamplePool``.
        max_pool_bytes: The limit of the pool's memory; beyond it there are fewer samples.

    Any ``batch_size`` consecutive items have floor or ceiling of ratio·batch_size generated ones, so every batch of a
    ``DataLoader`` has, with any number of workers. The first item is a real one, whose format generated images get: PIL
    of the same mode, uint8, or floats in [0, 1]. A stream ends where the real one does.

    Raises ``InputError`` for arguments and sources that can't be used and, when it is read, for items that can't: a
    label that isn't an integer or that the source doesn't know, and a first item that is normalized, or that doesn't
    fit into a batch with generated ones.
    """

    def __init__(
        self,
        real: Iterable[Any],
        source: Source,
        *,
        ratio: float,
        transform: Callable[[Any], Any] | None = None,
        keys: tuple[Any, Any] = ("image", "label"),
        classes: Sequence[str] | None = None,
        balance: Literal["match", "uniform"] = "match",
        shard: bool = False,
        pool_size: int = 10_000,
        seed: int = 0,
        refresh: Literal["epoch"] | None = "epoch",
        max_pool_bytes: int = 2**30,
    ) -> None:
        self.real, self.transform, self.keys, self.shard = _checked_stream(real), transform, keys, shard
        self.ratio = as_share(ratio, "ratio")
        if self.ratio == 1:
            raise InputError("ratio must be less than 1: a stream ends where the real one does.")
        if balance not in ("match", "uniform"):
            raise InputError(f"balance must be 'match' or 'uniform', got {balance!r}.")
        if refresh not in ("epoch", None):
            raise InputError(f"refresh must be 'epoch' or None, got {refresh!r}.")
        if not isinstance(keys, tuple | list) or len(keys) != 2:
            raise InputError(f"keys must be two keys, of the image and of the label, got {keys!r}.")
        if classes is not None and (not classes or not all(isinstance(name, str) for name in classes)):
            raise InputError(f"classes must be the names of the real labels, in their order, got {classes!r}.")
        if transform is not None and not callable(transform):
            raise InputError(f"transform must be callable, got {type(transform).__name__}.")
        max_pool_bytes = as_whole(max_pool_bytes, "max_pool_bytes", 1, 2**63)
        self.balance, self.seed = balance, check_seed(seed)
        spec = checked_spec({"source": source})
        self._sample: Modality = spec.sample
        if note := matched_by_number(classes, spec):
            warnings.warn(note, BlendWarning, stacklevel=2)
        self.classes = None if classes is None else list(classes)
        self._match = match_classes(
            range(spec.num_classes if self.classes is None else len(self.classes)), self.classes, spec
        )
        pool_size = as_whole(pool_size, "pool_size", len(self._match))
        needed = largest_remainder(pool_size, [1] * len(self._match))
        pool = open_pool(source, needed, self._match, seed=self.seed, max_bytes=max_pool_bytes)
        assert pool is not None
        self.pool = pool
        self._refills = refresh == "epoch" and pool is not source and self.ratio > 0
        self._epoch = SharedArray((1,))

    @property
    def epoch(self) -> int:
        """The epoch that ``set_epoch`` set last; 0 at first."""
        return int(self._epoch.array[0])

    def set_epoch(self, epoch: int) -> None:
        """Generate this epoch's samples, or with ``refresh=None`` draw again from the existing ones; ``real`` follows
        if it has a ``set_epoch``. Call it in the main process, between epochs; persistent workers see the change."""
        epoch = as_whole(epoch, "epoch", 0)
        if get_worker_info() is not None:
            raise InputError("set_epoch must be called in the main process; workers see its effect.")
        if callable(getattr(self.real, "set_epoch", None)):
            self.real.set_epoch(epoch)  # type: ignore[attr-defined]
        if self._refills:
            self.pool.refill(derive_seed(self.seed, "epoch", epoch))
        self._epoch.array[0] = epoch

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        part, parts = _part()
        rng = stream(self.seed, "stream", self.epoch, part)
        labels = _Labels(self.balance, len(self._match), rng)
        draws = _Draws(self.pool, derive_seed(self.seed, "order", self.epoch), part, parts)
        step, one = self.ratio.numerator, self.ratio.denominator
        due = int(rng.integers(one - step))  # the part of a generated sample that is due, of ``one``
        convert: Callable[[NDArray[Any]], Any] | None = None
        compared = False
        items = iter(self.real)
        for image, label in map(self._pair, islice(items, part, None, parts) if self.shard else items):
            if convert is None:
                convert = self._conversion(image)
            labels.add(self._number(label))
            real = self._transformed(image), label
            yield real
            due += step
            while due + step >= one:
                due += step - one
                number = labels.draw()
                sample = draws.sample(int(self._match[number]))
                generated = self._transformed(convert(sample)), _label_like(number, label)
                if not compared:
                    shape, noun = sample.shape, self._sample.noun
                    check_alike([real], generated, shape, sizes=True, noun=noun, remedy=_REMEDY)
                    compared = True
                yield generated

    def _pair(self, item: Any) -> tuple[Any, Any]:
        """The image and the label of an item of the real stream."""
        try:
            if isinstance(item, Mapping):
                return item[self.keys[0]], item[self.keys[1]]
            if isinstance(item, tuple | list) and len(item) >= 2:
                return item[0], item[1]
        except KeyError as error:
            got = ", ".join(map(repr, item))
            raise InputError(f"an item of the real stream has no {error}, only {got}. Pass its keys=.") from error
        raise InputError(f"an item of the real stream must be (image, label) or a mapping, got {type(item).__name__}.")

    def _number(self, label: Any) -> int:
        """A real label as a number, which the source knows."""
        try:
            number = operator.index(label.item() if isinstance(label, np.ndarray) and label.ndim == 0 else label)
        except (TypeError, ValueError) as error:
            raise InputError(f"labels must be integers, and the real stream has {label!r}.") from error
        if not 0 <= number < len(self._match):
            known = (
                self.pool.spec.describe_classes() if self.classes is None else f"{len(self.classes)} names in classes="
            )
            raise InputError(f"the real stream has class {class_label(number, self.classes)}, the source {known}.")
        return number

    def _transformed(self, image: Any) -> Any:
        return image if self.transform is None else self.transform(image)

    def _conversion(self, image: Any) -> Callable[[NDArray[Any]], Any]:
        """What converts raw samples to the form of a real image, before the transform."""
        if not isinstance(self._sample, Image):
            return partial(self._sample.like, example=image)
        image_format = format_of(image)
        if image_format is None:
            raise InputError(
                f"images of the real stream must be PIL images, or uint8 or float tensors or arrays, got "
                f"{type(image).__name__}. Decode them before the blend."
            )
        if not image_format.unit:
            raise InputError(
                "the real stream's float images lie outside [0, 1]: they look normalized. Leave that out of the "
                "stream, and pass transform=, which normalizes real and generated images alike."
            )
        return partial(convert_like, target=image_format)


class _Labels:
    """Draws the labels of generated samples, as numbers of the real stream's classes."""

    def __init__(self, balance: str, classes: int, rng: np.random.Generator) -> None:
        self._balance, self._classes, self._rng = balance, classes, rng
        self._recent: deque[int] = deque(maxlen=_RECENT)
        self._left: list[int] = []

    def add(self, number: int) -> None:
        """Count a real label."""
        self._recent.append(number)

    def draw(self) -> int:
        if self._balance == "match":
            return self._recent[int(self._rng.integers(len(self._recent)))]
        if not self._left:
            self._left = self._rng.permutation(self._classes).tolist()
        return self._left.pop()


class _Draws:
    """Draws a pool's samples by class, in a random order that all processes and workers share; each takes its part."""

    def __init__(self, pool: SamplePool, seed: int, part: int, parts: int) -> None:
        self._pool, self._seed, self._parts = pool, seed, parts
        self._starts = np.cumsum(pool.counts) - pool.counts
        self._next = [part] * len(pool.counts)
        self._orders: dict[int, tuple[int, Ints]] = {}

    def sample(self, label: int) -> NDArray[Any]:
        """A raw sample of a class of the pool."""
        turn, index = divmod(self._next[label], int(self._pool.counts[label]))
        self._next[label] += self._parts
        if self._orders.get(label, (-1,))[0] != turn:
            order = stream(self._seed, label, turn).permutation(int(self._pool.counts[label]))
            self._orders[label] = turn, order
        return self._pool.image(int(self._starts[label] + self._orders[label][1][index]))


def _checked_stream(real: Any) -> Iterable[Any]:
    if hasattr(real, "__len__") and hasattr(real, "__getitem__") and not isinstance(real, IterableDataset):
        raise InputError(
            f"the real dataset has a length and items by index ({type(real).__name__}): blend it with "
            "genaug.MixedDataset."
        )
    if not hasattr(real, "__iter__"):
        raise InputError(f"the real stream must be iterable, got {type(real).__name__}.")
    if iter(real) is real:
        raise InputError(
            f"the real stream ({type(real).__name__}) can be read only once. Pass an iterable that starts again with "
            "every epoch, such as a torch.utils.data.IterableDataset."
        )
    return real  # type: ignore[no-any-return]


def _part() -> tuple[int, int]:
    """The number of this worker among those of all processes, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        rank, processes = distributed.get_rank(), distributed.get_world_size()
    else:  # also in a worker that was spawned by a process of a group
        rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    worker = get_worker_info()
    number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
    return rank * workers + number, processes * workers


def _label_like(number: int, label: Any) -> Any:
    """A label of the type of another one."""
    if isinstance(label, Tensor):
        return torch.full_like(label, number)
    if isinstance(label, np.ndarray):
        return np.full_like(label, number)
    return type(label)(number) if isinstance(label, np.integer) else number
