"""Real samples and generated ones as one map-style dataset."""

import copy
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, get_worker_info

from genaug.backends.spec import Spec
from genaug.blend.batches import MixedBatchSampler
from genaug.blend.detail import enlarged, recoloured
from genaug.blend.items import check_alike, check_labels, check_map_style, sizes_agree
from genaug.blend.plan import Mode, Plan, draw_places, draw_slots, make_plan
from genaug.blend.transform import adapter_for, look_in
from genaug.checks import as_whole
from genaug.data.apportion import Ints, largest_remainder
from genaug.data.classes import class_names, given_counts, match_classes, matched_by_number
from genaug.data.items import read_item
from genaug.data.labels import disagreement, labels_of, number_of
from genaug.errors import BlendWarning, InputError
from genaug.randomness import check_seed, derive_seed, seeded, stream
from genaug.sources.pool import SamplePool
from genaug.sources.shared import SharedArray
from genaug.sources.source import Source, check_source, check_supply, checked_sample

_PROBES = 8


class MixedDataset(Dataset[Any]):
    """A dataset of (image, label) items with a share of generated ones.

    Args:
        real: a map-style dataset of (image, label) items.
        source: what generates: a ``Generator``, a ``SamplePool`` (also one of images made before, ``from_dataset``),
            any ``genaug.sources.source.Source`` that takes labels.
        ratio: generated / (real + generated), 0 <= ratio < 1, and up to 1 in mode "replace".
        mode: "expand" keeps every real sample at its own index and appends the nearest integer to n·r/(1-r)
            generated ones. "replace" keeps the length, and the nearest integer to n·r real samples, drawn anew each
            epoch, give way to generated ones.
        balance: "match" keeps the real class shares (in "replace", a generated sample takes the place of a real one
            of its own class). "uniform" makes the classes as equal as it can: generated samples go to the rarest
            classes and, in "replace", take the places of real ones of the commonest, so ``targets`` then change with
            the epoch. A mapping of class (number or name) to number of generated samples goes without ``ratio``; in
            "replace" they take the places of real samples of the same class.
        seed: decides, with the epoch, what is generated and where it stands.
        refresh: "epoch" generates anew at every ``set_epoch``; None only draws anew from what there is. A
            ``SamplePool`` given as the source is the user's: it is drawn from and never refilled.
        labels: integer labels of the real set, in any container; else its ``.targets``, else one pass over its items.
            An item that turns out to carry another label is an error when it is read.
        generated_transform: PIL image to what the real items hold, in place of the real set's own transform.
        make_item: ``make_item(image, label)`` builds a generated item where real ones aren't (image, label).
        max_pool_bytes: bound of the images held; beyond it they are fewer and drawn with replacement.

    Generated images look like the real set's: they reach its ``transform`` (found through Subset and ConcatDataset)
    as the real ones do, as PIL in nearly all sets, and without a transform they come out as PIL of the same mode,
    uint8, or floats in [0, 1] of the same dtype, as the real ones do. The constructor compares a few items.

    Classes are matched with the source's by name, or by number if only one side has names, with a
    ``BlendWarning``.

    Item i of an epoch is the same sample, before random transforms, whatever the number of workers.

    Raises ``InputError`` for arguments, datasets and sources that can't be used as asked, and where real and
    generated items would not fit in one batch.
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
        if refresh not in ("epoch", None):
            raise InputError(f"refresh must be 'epoch' or None, got {refresh!r}.")
        self.real, self.mode, self.seed, self.refresh = real, mode, check_seed(seed), refresh
        self._balance = balance if isinstance(balance, str) else "given counts"
        self._make_item = make_item
        self._sizes_open = False  # whether real and generated sizes are still to be compared, in the first batch
        self._warned: set[str | None] = set()
        for inner in _mixed_within(real):
            if inner.mode == "replace" and inner._balance != "match":
                raise InputError(
                    "the real set is a blend whose labels change with every epoch (mode='replace' with balance="
                    f"{inner._balance!r}), which another blend can't build on. Make it the outer one."
                )
        with seeded(None):
            known = labels_of(real, labels)
            self._labels: Ints = known.numpy()
            names = class_names(real, known)
            if by_number := _matched_by_number(real, names, spec):
                warnings.warn(by_number, BlendWarning, stacklevel=2)
            match = match_classes(np.unique(self._labels).tolist(), names, spec)
            if isinstance(balance, Mapping):
                balance = given_counts(balance, match, names, spec)  # type: ignore[assignment]
            counts = np.bincount(self._labels, minlength=len(match))
            self._plan: Plan = make_plan(counts.tolist(), ratio=ratio, mode=mode, balance=balance)
            self._made_labels: Ints = np.repeat(np.arange(len(match)), self._plan.added)
            self._names = names
            self._pipeline = adapter_for(spec.sample, real, generated_transform)
            self._check_items(source, match)
        self.pool, self._owned = self._open_pool(source, match, max_pool_bytes)
        self._match = match
        self._slots = SharedArray((self._plan.generated,))
        self._stands_in = SharedArray((len(real),)) if mode == "replace" else None
        self._epoch = SharedArray((1,))
        self._draw(0)

    @property
    def epoch(self) -> int:
        """The epoch that ``set_epoch`` set last; 0 at first."""
        return int(self._epoch.array[0])

    @property
    def ratio(self) -> float:
        """The generated share of the items as it is, after rounding."""
        return self._plan.generated / len(self)

    @property
    def planned_ratio(self) -> Fraction:
        """The generated share that was asked for."""
        return self._plan.ratio

    @property
    def targets(self) -> Tensor:
        """The label of every item in this epoch, int64 (len(self),)."""
        if self._stands_in is None:
            return torch.from_numpy(np.concatenate([self._labels, self._made_labels]))
        made = self._stands_in.array
        labels = self._labels.copy()
        labels[made >= 0] = self._made_labels[made[made >= 0]]
        return torch.from_numpy(labels)

    @property
    def classes(self) -> list[str] | None:
        """The real set's class names in label order; None where it has none."""
        return None if self._names is None else list(self._names)

    @property
    def transform(self) -> Any:
        """The real set's transform.

        Assigning one, as timm's create_loader does, sets it for real and generated images alike: on the datasets inside
        Subset and ConcatDataset, so for whoever else uses those too. Raises ``InputError``, and sets none, where no
        such dataset has a transform, and where real and generated images would come out unlike each other.
        """
        return self._pipeline.transform

    @transform.setter
    def transform(self, transform: Any) -> None:
        before = self._pipeline.transform
        self._pipeline.assign(transform)
        if transform is None or not self._plan.generated:
            return
        try:
            with seeded(None):
                self._check_alike(self._image(0), int(self._made_labels[0]), stacklevel=3)
        except InputError:
            self._pipeline.assign(before)
            raise

    def set_epoch(self, epoch: int) -> None:
        """Draw, and with ``refresh="epoch"`` generate, this epoch's samples. Call it in the main process, between
        epochs; persistent workers see the change. Blends that the real set is made of get it too. Raises
        ``InputError`` in a worker and where the source fails."""
        epoch = as_whole(epoch, "epoch", 0)
        if get_worker_info() is not None:
            raise InputError("set_epoch must be called in the main process; workers see its effect.")
        for inner in _mixed_within(self.real):
            inner.set_epoch(epoch)
        if self.pool is not None and self._owned and self.refresh == "epoch":
            fresh = derive_seed(self.seed, "epoch", epoch)
            if self.pool.seed != fresh:
                self.pool.refill(fresh)
        self._draw(epoch)

    def follow_epoch(self, epoch: int) -> None:
        """``set_epoch`` for samplers that are told the epoch. A blend without its generator, as a process that was
        spawned for distributed training has it, draws again from the samples that it holds, and warns."""
        if self.pool is not None and self._owned and self.refresh == "epoch" and not self.pool.can_refill:
            self._warn(
                "this process got the blend without its generator (it was spawned), so every epoch draws from the same "
                f"{len(self.pool):,} generated images. Launch it with torchrun, or strategy='ddp', for new ones.",
                4,
            )
            self._draw(as_whole(epoch, "epoch", 0))
        else:
            self.set_epoch(epoch)

    def is_generated(self, index: int) -> bool:
        """Whether item ``index`` is a generated one in this epoch."""
        return self._made(self._checked(index)) >= 0

    def generated_mask(self) -> NDArray[np.bool_]:
        """Which items are generated ones in this epoch, bool (len(self),)."""
        if self._stands_in is None:
            return np.arange(len(self)) >= len(self._labels)
        return self._stands_in.array >= 0

    def batch_sampler(self, batch_size: int, *, drop_last: bool = False) -> MixedBatchSampler:
        """For ``DataLoader(mixed, batch_sampler=...)``: each index once an epoch, in random order, and in every batch
        floor or ceiling of ratio·batch generated ones. The order follows (seed, epoch), so call ``set_epoch``.

        Lightning gives each of several processes its share of the batches. In a loop of your own,
        ``MixedBatchSampler(DistributedSampler(mixed), batch_size, drop_last)`` of ``genaug.blend.batches`` does so."""
        return MixedBatchSampler(self, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._labels) + (self._plan.generated if self._stands_in is None else 0)

    def __getitem__(self, index: int) -> Any:
        index = self._checked(index)
        made = self._made(index)
        return self._real(index) if made < 0 else self._item(self._image(made), int(self._made_labels[made]))

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        checked = [self._checked(index) for index in indices]
        made = [self._made(index) for index in checked]
        if self._sizes_open and (first := max(made, default=-1)) >= 0:
            with seeded(None):
                self._check_alike(self._image(first), int(self._made_labels[first]), in_batch=True, stacklevel=3)
            self._sizes_open = False
        real = iter(self._reals([index for index, which in zip(checked, made, strict=True) if which < 0]))
        return [
            next(real) if which < 0 else self._item(self._image(which), int(self._made_labels[which])) for which in made
        ]

    def __repr__(self) -> str:
        real = len(self) - self._plan.generated
        return (
            f"MixedDataset({real:,} real + {self._plan.generated:,} generated ({self.ratio:.1%}), mode={self.mode!r}, "
            f"balance={self._balance!r}, refresh={self.refresh!r}, seed={self.seed}, epoch={self.epoch}, "
            f"real={type(self.real).__name__}, pool={self.pool!r})"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> "MixedDataset":
        """A blend with shared memory of its own that draws from the same source."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update({name: copy.deepcopy(value, memo) for name, value in self.__dict__.items()})
        if self.pool is not None and twin.pool is not None and self._owned:
            twin.pool.take_source(self.pool)  # copies of a pool have none
        return twin

    def _checked(self, index: int) -> int:
        index, length = operator.index(index), len(self)
        if not -length <= index < length:
            raise IndexError(f"index {index} is out of range for a MixedDataset of {length} items")
        return index % length

    def _real(self, index: int) -> Any:
        return self._label_checked(index, read_item(self.real, index, "the real set"))

    def _reals(self, indices: list[int]) -> list[Any]:
        at_once = getattr(self.real, "__getitems__", None)
        if not indices or not callable(at_once):
            return [self._real(index) for index in indices]
        try:
            items = list(at_once(indices))
        except Exception:
            return [self._real(index) for index in indices]  # one of these names what can't be read
        return [self._label_checked(index, item) for index, item in zip(indices, items, strict=True)]

    def _label_checked(self, index: int, item: Any) -> Any:
        """A real item that carries the label which the blend was planned with."""
        if self._plan.generated and self._make_item is None:
            carried, known = number_of(item[1]), int(self._labels[index])
            if carried != known:
                raise InputError(disagreement(index, "the real set", carried, known, "labels= or .targets"))
        return item

    def _made(self, index: int) -> int:
        """Which generated sample stands at an index; negative for a real one."""
        return index - len(self._labels) if self._stands_in is None else int(self._stands_in.array[index])

    def _image(self, made: int) -> NDArray[np.uint8]:
        assert self.pool is not None
        return self.pool.image(int(self._slots.array[made]))

    def _item(self, image: NDArray[np.uint8], label: int) -> Any:
        dressed = self._pipeline(image)
        if self._make_item is not None:
            return self._make_item(dressed, self._label(label))
        pair = (dressed, self._label(label))
        return pair if self._container is tuple else self._build(pair)

    def _build(self, pair: tuple[Any, Any]) -> Any:
        return self._container(*pair) if hasattr(self._container, "_fields") else self._container(pair)

    def _draw(self, epoch: int) -> None:
        rng = stream(self.seed, "blend", epoch)
        if self.pool is not None:
            starts = np.cumsum(self.pool.counts) - self.pool.counts
            held = self.pool.counts[self._match]
            self._slots.array[:] = draw_slots(self._plan.added, held, starts[self._match], rng)
        if self._stands_in is not None:
            self._stands_in.array[:] = -1
            self._stands_in.array[draw_places(self._labels, self._plan, rng)] = np.arange(self._plan.generated)
        self._epoch.array[0] = epoch

    def _open_pool(self, source: Source, match: Ints, max_bytes: int) -> tuple[SamplePool | None, bool]:
        """The pool to read from, and whether it is ours to refill."""
        added = self._plan.added
        wanted = np.flatnonzero(added)
        if len(wanted) == 0:
            return None, False
        check_supply(source, match[wanted])
        if isinstance(source, SamplePool):
            return source, False
        room = max_bytes // source.spec.sample.nbytes
        if room < len(wanted):
            raise InputError(
                f"max_pool_bytes={max_bytes:,} has room for {room} generated images of {source.spec.sample.nbytes:,} "
                f"bytes; {len(wanted)} classes need one each at least."
            )
        if added.sum() > room:
            added = np.minimum(added, 1)
            added = added + largest_remainder(room - len(wanted), self._plan.added.tolist())
        counts = np.zeros(source.spec.num_classes, dtype=np.int64)
        np.add.at(counts, match[wanted], added[wanted])
        return SamplePool.with_counts(source, counts.tolist(), seed=derive_seed(self.seed, "epoch", 0)), True

    def _check_items(self, source: Source, match: Ints) -> None:
        """Compare one generated item with real ones, before many are generated."""
        if not self._plan.generated:
            return
        label = int(self._made_labels[0])
        labels = torch.tensor([match[label]], device="cpu")
        image = checked_sample(source, 1, labels, derive_seed(self.seed, "probe"))[0]
        self._check_alike(image.cpu().numpy(), label, stacklevel=4)

    def _check_alike(self, image: NDArray[np.uint8], label: int, *, in_batch: bool = False, stacklevel: int) -> None:
        """Learn how the real set treats its images, and compare a generated item with real ones.

        Sizes count once a transform has had its say; without one they are compared when the first batch is made, since
        one may still be assigned.
        """
        starts = [0, *self.real.cumulative_sizes[:-1]] if isinstance(self.real, ConcatDataset) else [0]
        spread = np.linspace(0, len(self.real) - 1, _PROBES).astype(int).tolist()
        indices = sorted({*starts[:_PROBES], *spread})
        items = self._pipeline.learn(self.real, indices)
        self._label = check_labels(items, indices, self._labels, self._make_item is not None)
        self._container: Any = type(items[0])
        try:
            made = self._item(image, label)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"a generated image, {'x'.join(map(str, image.shape))}, doesn't go through the real set's pipeline "
                f"({type(error).__name__}: {error}). Pass generated_transform=, or mend make_item where one was given."
            ) from error
        final = in_batch or self._pipeline.transform is not None
        check_alike(items, made, image.shape, sizes=final)
        self._sizes_open = not sizes_agree(items, made)
        looks, out = self._pipeline.real_looks, look_in(made)
        self._warn(recoloured(looks, self._pipeline.real_is_grey, image.shape, out), stacklevel + 1)
        if final:
            self._warn(enlarged(looks, image.shape, out), stacklevel + 1)

    def _warn(self, message: str | None, stacklevel: int) -> None:
        """Once in the life of a blend, whatever is assigned to it later."""
        kind = None if message is None else message.split(" and come out")[0].split(" are enlarged")[0]
        if message is not None and kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, BlendWarning, stacklevel=stacklevel)


def _matched_by_number(real: Any, names: Sequence[str] | None, spec: Spec) -> str | None:
    """What the owner should know if classes can't be matched by name."""
    if names is None and spec.class_names is not None and (relabelled := _relabelled(real)):
        return (
            f"{relabelled} has a target_transform, so its class names don't tell what its labels are; they are "
            f"matched with the generator's classes by number (0: {spec.class_names[0]!r}, ...)."
        )
    return matched_by_number(names, spec)


def _relabelled(real: Any) -> str | None:
    """The type of a dataset with class names that changes its labels, through Subset and ConcatDataset."""
    if isinstance(real, Subset | ConcatDataset):
        parts = [real.dataset] if isinstance(real, Subset) else real.datasets
        return next((found for part in parts if (found := _relabelled(part))), None)
    changed = getattr(real, "target_transform", None) is not None and getattr(real, "classes", None)
    return type(real).__name__ if changed else None


def _mixed_within(real: Any) -> list[MixedDataset]:
    """The blends that a real set is made of, through Subset and ConcatDataset."""
    if isinstance(real, MixedDataset):
        return [real]
    if isinstance(real, Subset):
        return _mixed_within(real.dataset)
    if isinstance(real, ConcatDataset):
        return [inner for part in real.datasets for inner in _mixed_within(part)]
    return []
