"""Real and generated samples as one map-style dataset."""

import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from genaug.blend.batches import MixedBatchSampler
from genaug.blend.generated import GeneratedItems
from genaug.blend.items import RealItems, check_map_style
from genaug.blend.plan import Mode, Plan, draw_places, make_plan
from genaug.blend.samples import GeneratedSamples
from genaug.blend.transform import adapter_for
from genaug.checks import as_whole
from genaug.data.apportion import Ints
from genaug.data.classes import class_names, given_counts, match_classes, matching_note
from genaug.data.items import parts_of
from genaug.data.labels import labels_of
from genaug.errors import BlendWarning, InputError
from genaug.randomness import check_seed, derive_seed, seeded, stream
from genaug.sources.pool import SamplePool
from genaug.sources.shared import SharedArray
from genaug.sources.source import Source, check_source, checked_sample


class MixedDataset(Dataset[Any]):
    """A dataset of (image, label) items, of which a given share is generated.

    Args:
        real: a map-style dataset of (image, label) items.
        source: what generates: a ``Generator``, a ``SamplePool`` (also one of existing images, ``from_dataset``), or
            any ``genaug.sources.source.Source`` that takes labels.
        ratio: generated / (real + generated), 0 <= ratio < 1, and up to 1 in mode "replace".
        mode: "expand" keeps every real sample at its own index and appends the nearest integer to n·r/(1-r)
            generated ones. "replace" keeps the length: the nearest integer to n·r real samples, drawn again each
            epoch, are replaced with generated ones.
        balance: "match" keeps the real class shares (in "replace", a generated sample takes the place of a real one
            of its own class). "uniform" makes the classes as equal as it can: generated samples go to the rarest
            classes and, in "replace", take the places of real ones of the most common, so ``targets`` then change
            with the epoch. A mapping of class (number or name) to number of generated samples goes without ``ratio``;
            in "replace" they take the places of real samples of the same class.
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
    uint8, or floats in [0, 1] of the same dtype, as the real ones do. The constructor compares a few items.

    Classes are matched with the source's by name, or by number if only one side has names, with a
    ``BlendWarning``.

    Item i of an epoch is the same sample, before random transforms, for any number of workers.

    Raises ``InputError`` for arguments, datasets and sources that can't be used, and if real and generated items
    would not fit into one batch.
    """

    def __init__(
        self,
        real: Any,
        source: Source,
        *,
        ratio: float | None = None,
        mode: Mode = "expand",
        balance: Literal["match", "uniform"] | Mapping[Any, int] = "match",
        seed: int = 0,
        refresh: Literal["epoch"] | None = "epoch",
        labels: Any = None,
        generated_transform: Callable[[Any], Any] | None = None,
        make_item: Callable[[Any, Any], Any] | None = None,
        max_pool_bytes: int = 2**30,
    ) -> None:
        check_map_style(real)
        spec = check_source(source)
        if spec.sample.blended:
            raise InputError(f"MixedDataset doesn't blend {spec.sample.noun}. {spec.sample.blended}")
        if refresh not in ("epoch", None):
            raise InputError(f"refresh must be 'epoch' or None, got {refresh!r}.")
        self.real, self.mode, self.seed, self.refresh = real, mode, check_seed(seed), refresh
        self._balance = balance if isinstance(balance, str) else "counts per class"
        for inner in _blends_in(real):
            if inner.mode == "replace" and inner._balance != "match":
                raise InputError(
                    "the real set is a blend whose labels change with every epoch (mode='replace' with balance="
                    f"{inner._balance!r}), which another blend can't build on. Make it the outer one."
                )
        with seeded(None):
            labels = labels_of(real, labels)
            self._labels: Ints = labels.numpy()
            self._names = class_names(real, labels)
            if note := matching_note(real, self._names, spec):
                warnings.warn(note, BlendWarning, stacklevel=2)
            match = match_classes(np.unique(self._labels).tolist(), self._names, spec)
            if isinstance(balance, Mapping):
                balance = given_counts(balance, match, self._names, spec)  # type: ignore[assignment]
            counts = np.bincount(self._labels, minlength=len(match))
            self._plan: Plan = make_plan(counts.tolist(), ratio=ratio, mode=mode, balance=balance)
            adapter = adapter_for(spec.sample, real, generated_transform)
            self._generated_items = GeneratedItems(real, self._labels, adapter, make_item)
            self._real_items = RealItems(real, self._labels, self._plan.generated > 0 and make_item is None)
            if self._plan.generated:
                self._probe(source, match)
        self._samples = GeneratedSamples(
            source, self._plan.added, match, seed=self.seed, refresh=refresh == "epoch", max_bytes=max_pool_bytes
        )
        self._replacements = SharedArray((len(real),)) if mode == "replace" else None
        self._epoch = SharedArray((1,))
        self._draw(0)

    @property
    def pool(self) -> SamplePool | None:
        """The pool from which generated samples are drawn; None if there are none."""
        return self._samples.pool

    @property
    def epoch(self) -> int:
        """The epoch that ``set_epoch`` set last; 0 at first."""
        return int(self._epoch.array[0])

    @property
    def ratio(self) -> float:
        """The actual generated share of the items, after rounding."""
        return self._plan.generated / len(self)

    @property
    def planned_ratio(self) -> Fraction:
        """The requested generated share."""
        return self._plan.ratio

    @property
    def targets(self) -> Tensor:
        """The label of every item in this epoch, int64 (len(self),)."""
        if self._replacements is None:
            return torch.from_numpy(np.concatenate([self._labels, self._samples.labels]))
        labels, mask = self._labels.copy(), self.generated_mask()
        labels[mask] = self._samples.labels[self._replacements.array[mask]]
        return torch.from_numpy(labels)

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
        if transform is None or not self._plan.generated:
            return
        try:
            with seeded(None):
                self._generated_items.compare(*self._samples[0], stacklevel=3)
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
        for inner in _blends_in(self.real):
            inner.set_epoch(epoch)
        self._samples.refill(epoch)
        self._draw(epoch)

    def follow_epoch(self, epoch: int) -> None:
        """``set_epoch`` for samplers that have an epoch of their own. A blend without its generator, as in a process
        that was spawned for distributed training, draws again from the samples that it has, and warns."""
        if self.pool is not None and self._samples.refills and not self.pool.can_refill:
            self._generated_items.warn_once(
                "spawned",
                "this process got the blend without its generator (it was spawned), so every epoch draws from the same "
                f"{len(self.pool):,} generated images. Launch it with torchrun, or strategy='ddp', for new ones.",
                4,
            )
            self._draw(as_whole(epoch, "epoch", 0))
        else:
            self.set_epoch(epoch)

    def is_generated(self, index: int) -> bool:
        """Whether item ``index`` is a generated one in this epoch."""
        return self._position(self._in_range(index)) >= 0

    def generated_mask(self) -> NDArray[np.bool_]:
        """Which items are generated ones in this epoch, bool (len(self),)."""
        if self._replacements is None:
            return np.arange(len(self)) >= len(self._labels)
        return self._replacements.array >= 0

    def batch_sampler(self, batch_size: int, *, drop_last: bool = False) -> MixedBatchSampler:
        """For ``DataLoader(mixed, batch_sampler=...)``: each index once an epoch, in random order, and in every batch
        floor or ceiling of ratio·batch generated ones. The order depends on (seed, epoch), so call ``set_epoch``.

        Lightning distributes the batches among several processes. In your own loop,
        ``MixedBatchSampler(DistributedSampler(mixed), batch_size, drop_last)`` of ``genaug.blend.batches`` does so."""
        return MixedBatchSampler(self, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._labels) + (self._plan.generated if self._replacements is None else 0)

    def __getitem__(self, index: int) -> Any:
        index = self._in_range(index)
        position = self._position(index)
        return self._real_items[index] if position < 0 else self._generated_items.build(*self._samples[position])

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        items = [(index, self._position(index)) for index in map(self._in_range, indices)]
        last = max((position for _, position in items), default=-1)
        if self._generated_items.sizes_open and last >= 0:
            with seeded(None):
                self._generated_items.compare(*self._samples[last], in_batch=True, stacklevel=3)
            self._generated_items.sizes_open = False
        real = iter(self._real_items.read([index for index, position in items if position < 0]))
        return [
            next(real) if position < 0 else self._generated_items.build(*self._samples[position])
            for _, position in items
        ]

    def __repr__(self) -> str:
        real = len(self) - self._plan.generated
        return (
            f"MixedDataset({real:,} real + {self._plan.generated:,} generated ({self.ratio:.1%}), mode={self.mode!r}, "
            f"balance={self._balance!r}, refresh={self.refresh!r}, seed={self.seed}, epoch={self.epoch}, "
            f"real={type(self.real).__name__}, pool={self.pool!r})"
        )

    def _in_range(self, index: int) -> int:
        index, length = operator.index(index), len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for a MixedDataset of {length} items")
        return index % length

    def _position(self, index: int) -> int:
        """The position of an item among the generated ones; negative for a real one."""
        return index - len(self._labels) if self._replacements is None else int(self._replacements.array[index])

    def _draw(self, epoch: int) -> None:
        rng = stream(self.seed, "blend", epoch)
        self._samples.draw(rng)
        if self._replacements is not None:
            self._replacements.array[:] = -1
            self._replacements.array[draw_places(self._labels, self._plan, rng)] = np.arange(self._plan.generated)
        self._epoch.array[0] = epoch

    def _probe(self, source: Source, match: Ints) -> None:
        """Compare one generated item with real ones, before many are generated."""
        label = int(np.flatnonzero(self._plan.added)[0])
        labels = torch.tensor([match[label]], device="cpu")
        sample = checked_sample(source, 1, labels, derive_seed(self.seed, "probe"))[0]
        self._generated_items.compare(sample.cpu().numpy(), label, stacklevel=4)


def _blends_in(real: Any) -> list[MixedDataset]:
    """The blends that a real set consists of, through Subset and ConcatDataset."""
    if isinstance(real, MixedDataset):
        return [real]
    return [inner for part in parts_of(real) for inner in _blends_in(part)]
