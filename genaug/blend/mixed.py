"""Real and generated samples as one map-style dataset."""

import operator
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from genaug.blend.batches import MixedBatchSampler
from genaug.blend.composition import Composition
from genaug.blend.curriculum import Curriculum
from genaug.blend.generated import GeneratedItems
from genaug.blend.items import RealItems
from genaug.blend.nested import blends_in, check_blends_in
from genaug.blend.plan import Mode
from genaug.blend.samples import open_samples
from genaug.blend.shares import Plans, named_sources
from genaug.blend.sources import check_sizes, checked_spec, matched_sources, naming
from genaug.blend.transform import adapter_for
from genaug.checks import as_whole
from genaug.data.apportion import Ints
from genaug.data.classes import class_names, given_counts
from genaug.data.items import check_map_style
from genaug.data.labels import labels_of
from genaug.errors import InputError
from genaug.randomness import check_seed, seeded
from genaug.schedules import Schedule
from genaug.sources.pool import SamplePool
from genaug.sources.source import Source


class MixedDataset(Dataset[Any]):
    """A dataset of (image, label) items, of which a given share is generated.

    Args:
        real: a map-style dataset of (image, label) items.
        source: what generates: a ``Generator``, a ``SamplePool`` (also one of existing images, ``from_dataset``), or
            any ``genaug.sources.source.Source`` that takes labels; or several, as a mapping of name to source.
        ratio: generated / (real + generated), 0 <= ratio < 1, and up to 1 in mode "replace"; or a schedule of
            ``genaug.schedules``, whose number ``set_epoch`` sets. For several sources, a mapping of the same names to
            these: each source's share of all items, less than 1 in sum.
        mode: "expand" keeps every real sample at its own index and appends the nearest integer to n·r/(1-r)
            generated ones. "replace" keeps the length: the nearest integer to n·r real samples, drawn again each
            epoch, are replaced with generated ones.
        balance: "match" keeps the real class shares (in "replace", a generated sample takes the place of a real one
            of its own class). "uniform" makes the classes as equal as it can: generated samples go to the rarest
            classes and, in "replace", take the places of real ones of the most common, so ``targets`` then change
            with the epoch. A mapping of class (number or name) to number of generated samples goes without ``ratio``;
            in "replace" they take the places of real samples of the same class.
        curriculum: a ``Curriculum`` that decides which of the generated samples each epoch draws from.
        seed: decides, with the epoch, what is generated and at which index.
        refresh: "epoch" generates new samples at every ``set_epoch``; None only draws again from the existing ones. A
            ``SamplePool`` that is passed as the source belongs to the user: samples are drawn from it, and it is never
            refilled.
        labels: integer labels of the real set, in any container; by default its ``.targets``, or one pass over its
            items. An item that turns out to have another label is an error when it is read.
        generated_transform: PIL image to what the real items contain, instead of the real set's own transform.
        make_item: ``make_item(image, label)`` builds a generated item if real ones aren't (image, label).
        max_pool_bytes: the limit of the memory for images; beyond it there are fewer, drawn with replacement.

    Generated images look like the real set's: they reach its ``transform`` (found through Subset and ConcatDataset)
    as the real ones do, as PIL in nearly all sets, and without a transform they come out as PIL of the same mode,
    uint8, or floats in [0, 1] of the same dtype, as the real ones do. Series come out in the container and the dtype of
    the real ones. The constructor compares a few items.

    Classes are matched with the source's by name, or by number if only one side has names, with a
    ``BlendWarning``.

    With a schedule in mode "expand", the number of items changes with the epoch. The memory is that of the largest
    number of samples of each class that an epoch needs, and they are generated at once.

    Item i of an epoch is the same sample, before random transforms, for any number of workers.

    Raises ``InputError`` for arguments, datasets and sources that can't be used, and if real and generated items
    would not fit into one batch.
    """

    def __init__(
        self,
        real: Any,
        source: Source | Mapping[str, Source],
        *,
        ratio: float | Schedule | Mapping[str, float | Schedule] | None = None,
        mode: Mode = "expand",
        balance: Literal["match", "uniform"] | Mapping[Any, int] = "match",
        curriculum: Curriculum | None = None,
        seed: int = 0,
        refresh: Literal["epoch"] | None = "epoch",
        labels: Any = None,
        generated_transform: Callable[[Any], Any] | None = None,
        make_item: Callable[[Any, Any], Any] | None = None,
        max_pool_bytes: int = 2**30,
    ) -> None:
        check_map_style(real, "the real dataset")
        named = named_sources(source, ratio)
        spec = checked_spec(named)
        if refresh not in ("epoch", None):
            raise InputError(f"refresh must be 'epoch' or None, got {refresh!r}.")
        if not isinstance(curriculum, Curriculum | None):
            raise InputError(f"curriculum must be a genaug.Curriculum, got {type(curriculum).__name__}.")
        if curriculum is not None and curriculum.classifier is None:
            raise InputError(
                "this curriculum has no classifier, which only a study can do without. Pass one as "
                "genaug.Curriculum(classifier, share)."
            )
        self.real, self.mode, self.seed, self.refresh = real, mode, check_seed(seed), refresh
        self.balance = balance if isinstance(balance, str) else "counts per class"
        check_blends_in(real)
        with seeded(None):
            labels = labels_of(real, labels)
            self._labels: Ints = labels.numpy()
            self._names = class_names(real, labels)
            sources = matched_sources(named, real, self._labels, self._names)
            match = sources[0].match
            if isinstance(balance, Mapping):
                balance = given_counts(balance, match, self._names, spec)  # type: ignore[assignment]
            counts = np.bincount(self._labels, minlength=len(match))
            plans = Plans(counts.tolist(), list(named), ratio, mode=mode, balance=balance)
            adapter = adapter_for(spec.sample, real, generated_transform)
            if adapter.transform is None and generated_transform is None:
                check_sizes(named)
            self._generated_items = GeneratedItems(real, self._labels, adapter, make_item)
            needed = plans.needed
            self._real_items = RealItems(real, self._labels, any(map(np.any, needed)) and make_item is None)
            for each, most in zip(sources, needed, strict=True):
                if most.any():  # compare one item, before many are generated
                    label = int(np.flatnonzero(most)[0])
                    with naming(each.name):
                        sample = each.sample(label, each.seed(self.seed))
                        self._generated_items.compare(sample, label, stacklevel=3)
        pools = {"seed": self.seed, "max_bytes": max_pool_bytes}
        samples = open_samples(sources, needed, curriculum, self._names, refresh=refresh == "epoch", **pools)
        self._items = Composition(self._labels, plans, samples, mode, self.seed)

    @property
    def pools(self) -> dict[str, SamplePool]:
        """The pools from which generated samples are drawn, by the name of their source."""
        pairs = zip(self._items.plans.names, self._items.samples.parts, strict=True)
        return {name: part.pool for name, part in pairs if part.pool is not None}

    @property
    def pool(self) -> SamplePool | None:
        """The pool from which generated samples are drawn; None if there are none, or several sources."""
        parts = self._items.samples.parts
        return parts[0].pool if len(parts) == 1 else None

    @property
    def epoch(self) -> int:
        """The epoch that ``set_epoch`` set last; 0 at first."""
        return self._items.epoch

    @property
    def ratio(self) -> float:
        """The actual generated share of the items, after rounding."""
        return len(self._items.samples) / len(self)

    @property
    def changes(self) -> Literal["labels", "length"] | None:
        """What ``set_epoch`` changes apart from images: "labels" in mode "replace" with ``balance="uniform"``,
        "length" with a schedule in mode "expand", otherwise None."""
        return self._items.changes

    @property
    def planned_ratio(self) -> Fraction:
        """The requested generated share in this epoch."""
        return self._items.plan.ratio

    @property
    def planned_shares(self) -> dict[str, Fraction]:
        """The requested share of each source in this epoch; with one source, its name is "source"."""
        return dict(zip(self._items.plans.names, self._items.plan.shares, strict=True))

    @property
    def targets(self) -> Tensor:
        """The label of every item in this epoch, int64 (len(self),)."""
        return torch.from_numpy(self._items.labels)

    @property
    def classes(self) -> list[str] | None:
        """The real set's class names in label order; None if it has none."""
        return None if self._names is None else list(self._names)

    @property
    def transform(self) -> Any:
        """The real set's transform.

        Assigning one, as timm's create_loader does, sets it for real and generated images alike: on the datasets inside
        Subset and ConcatDataset, so for all other users of those too. Raises ``InputError``, and sets none, if no
        such dataset has a transform, and if real and generated images would come out unlike each other.
        """
        return self._generated_items.adapter.transform

    @transform.setter
    def transform(self, transform: Any) -> None:
        adapter = self._generated_items.adapter
        previous = adapter.transform
        adapter.assign(transform)
        if transform is None:
            return
        try:
            with seeded(None):
                self._generated_items.compare_all(self._items.samples.examples, stacklevel=3)
        except InputError:
            adapter.assign(previous)
            raise

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's samples, or with ``refresh="epoch"`` generate them. Call it in the main process, between
        epochs; persistent workers see the change. Blends within the real set follow. Raises ``InputError`` in a
        worker and if the source fails."""
        epoch = as_whole(epoch, "epoch", 0)
        if get_worker_info() is not None:
            raise InputError("set_epoch must be called in the main process; workers see its effect.")
        for inner in blends_in(self.real):
            inner.set_epoch(epoch)
        self._items.refill(epoch)
        self._items.draw(epoch)

    def follow_epoch(self, epoch: int) -> None:
        """``set_epoch`` for samplers that have an epoch of their own. A blend without its generator, as in a process
        that was spawned for distributed training, draws again from the samples that it has, and warns."""
        if not all(part.can_refill for part in self._items.samples.parts):
            self._generated_items.warn_once(
                "spawned",
                "this process got the blend without its generator (it was spawned), so every epoch draws from the same "
                f"{sum(map(len, self.pools.values())):,} generated images. Launch it with torchrun, or strategy='ddp', "
                "for new ones.",
                4,
            )
            self._items.draw(as_whole(epoch, "epoch", 0))
        else:
            self.set_epoch(epoch)

    def is_generated(self, index: int) -> bool:
        """Whether item ``index`` is a generated one in this epoch."""
        return self._items.position(_in_range(index, len(self))) >= 0

    def source_of(self, index: int) -> str | None:
        """The name of the source of item ``index`` in this epoch; None for a real item. A source that was passed
        without a name is "source"."""
        return self._items.source_of(_in_range(index, len(self)))

    def generated_mask(self) -> NDArray[np.bool_]:
        """Which items are generated ones in this epoch, bool (len(self),)."""
        return self._items.positions >= 0

    def source_numbers(self) -> Ints:
        """The source of every item in this epoch, as its number in the order of the sources, int64 (len(self),); -1 for
        a real item."""
        return self._items.sources

    def batch_sampler(self, batch_size: int, *, drop_last: bool = False) -> MixedBatchSampler:
        """For ``DataLoader(mixed, batch_sampler=...)``: each index once an epoch, in random order, and in every batch
        floor or ceiling of share·batch samples of each source (with four sources or more, off by one if no division
        has that). The order depends on (seed, epoch), so call ``set_epoch``.

        Lightning distributes the batches among several processes. In your own loop,
        ``MixedBatchSampler(DistributedSampler(mixed), batch_size, drop_last)`` of ``genaug.blend.batches`` does so."""
        return MixedBatchSampler(self, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        index = _in_range(index, len(self))
        position = self._items.position(index)
        if position < 0:
            return self._real_items[index]
        sample, label = self._items.samples[position]
        return self._generated_items.build([sample], [label])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        length, integers = len(self), [*map(operator.index, indices)]
        with suppress(OverflowError):  # of integers that no dataset has
            numbers = np.array(integers, dtype=np.int64)
            integers = numbers[(numbers < -length) | (numbers >= length)].tolist()
        for index in integers:
            _in_range(index, length)  # raises
        numbers %= length
        positions = self._items.positions_at(numbers)
        is_generated = positions >= 0
        real = self._real_items.read(numbers[~is_generated].tolist())
        if not is_generated.any():
            return real
        if self._generated_items.sizes_open:
            with seeded(None):
                self._generated_items.compare_all(self._items.samples.examples, in_batch=True, stacklevel=3)
            self._generated_items.sizes_open = False
        generated = self._generated_items.build(*self._items.samples.take(positions[is_generated]))
        items = iter(real), iter(generated)
        return [next(items[each]) for each in is_generated.tolist()]

    def __repr__(self) -> str:
        generated, plans = len(self._items.samples), self._items.plans
        pool = f"pool={self.pool!r}" if len(plans.names) == 1 else f"pools={self.pools!r}"
        return (
            f"MixedDataset({len(self) - generated:,} real + {generated:,} generated ({self.ratio:.1%}), "
            f"{plans.describe()}mode={self.mode!r}, balance={self.balance!r}, refresh={self.refresh!r}, "
            f"seed={self.seed}, epoch={self.epoch}, real={type(self.real).__name__}, {pool})"
        )


def _in_range(index: int, length: int) -> int:
    """An index from 0 on. Raises ``IndexError`` if a dataset of ``length`` items doesn't have it."""
    index = operator.index(index)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range for a MixedDataset of {length} items")
    return index % length
