"""The labelled images that labels are learned from: read, held against what they must not contain, cut into folds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.classes import class_label
from genaug.data.reading import Samples, read_samples, sample_digests, shared_samples
from genaug.errors import InputError
from genaug.randomness import derive_seed

_LEAST_PER_CLASS = 2  # one to learn from and one to check with
_SHOWN = 5


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (N, C, H, W), int64 labels (N,), the fold that each is held out in, int64 (N,), and their spec."""

    images: Tensor
    labels: Tensor
    folds: Tensor
    spec: Spec

    def held_out(self) -> list[Tensor]:
        """For each fold, which images are held out, bool (N,)."""
        return [self.folds == fold for fold in self.folds.unique().tolist()]


def read_labelled(
    dataset: Any, shape: tuple[int, ...], *, image_size: int | None, exclude: Any, folds: int, seed: int
) -> LabelledImages:
    """Read a labelled set of images of a shape. Images that repeat are taken once, so that no fold holds out a copy.

    Raises ``InputError`` for what ``read_samples`` refuses, a set without labels, of other shapes or of one class only,
    for a class with fewer than 2 different images, and for images that ``exclude`` has too.
    """
    data = read_samples(dataset, image_size, what="labelled_set")
    if data.labels is None:
        raise InputError("labelled_set has images without labels: expected items (image, label) with an integer label.")
    _check_shape(data.spec.shape, shape)
    if exclude is not None:
        _check_apart(data, exclude, image_size)
    first: dict[tuple[bytes, int], int] = {}
    for index, key in enumerate(zip(sample_digests(data.x), data.labels.tolist(), strict=True)):
        first.setdefault(key, index)
    kept = torch.tensor(list(first.values()))
    _check_classes(data, data.labels[kept])
    labels = data.labels[kept]
    return LabelledImages(data.x[kept], labels, deal(labels, folds, seed), data.spec)


def deal(labels: Tensor, folds: int, seed: int) -> Tensor:
    """A fold for each sample, int64 (N,): every class is shuffled and dealt out, each going on where the last ended.

    Fold sizes, in all and within a class, then differ by one at most.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "folds"))
    dealt = torch.zeros_like(labels)
    start = 0
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label).flatten()
        shuffled = members[torch.randperm(len(members), generator=draws)]
        dealt[shuffled] = (torch.arange(len(members)) + start) % folds
        start += len(members)
    return dealt


def _check_shape(got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got == expected:
        return
    remedy = "Convert them with a transform" if got[0] != expected[0] else "Pass image_size= as in training"
    raise InputError(
        f"labelled_set has images of shape {got} (C, H, W), and the generator makes {expected}. {remedy}, so that both "
        "are alike."
    )


def _check_classes(data: Samples, labels: Tensor) -> None:
    spec = data.spec
    if spec.num_classes < 2:
        raise InputError("labelled_set has one class only; labels need at least two to tell apart.")
    counts = torch.bincount(labels, minlength=spec.num_classes)
    few = torch.nonzero(counts < _LEAST_PER_CLASS).flatten().tolist()
    if few:
        shown = ", ".join(
            f"class {class_label(label, spec.class_names)} has {int(counts[label])}" for label in few[:_SHOWN]
        )
        raise InputError(
            f"labelled_set has too few different images of {len(few)} of its {spec.describe_classes()}: {shown}"
            f"{', …' if len(few) > _SHOWN else ''}. Cross-fitting needs {_LEAST_PER_CLASS} of each at least, one to "
            "learn from and one to check with."
        )


def _check_apart(data: Samples, exclude: Any, image_size: int | None) -> None:
    others = read_samples(_ImagesOnly(exclude), image_size, what="exclude")
    if others.spec.shape != data.spec.shape:
        raise InputError(
            f"exclude has images of shape {others.spec.shape} (C, H, W) and labelled_set of {data.spec.shape}, so a "
            "picture that both have would not be found. Give both the same transform, or image_size=."
        )
    both = [index for index, _ in shared_samples(data.x, others.x)]
    if both:
        shown = ", ".join(map(str, both[:_SHOWN])) + (", …" if len(both) > _SHOWN else "")
        raise InputError(
            f"{len(both)} of the {len(data.x)} images of labelled_set are in exclude too (items {shown} of "
            "labelled_set): labels learned from them would leak into what is held out. Remove them from labelled_set."
        )


class _ImagesOnly:
    """A dataset without its labels, whatever these are."""

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(f"exclude must be a map-style dataset of images, got {type(dataset).__name__}.")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        return item[0] if isinstance(item, (tuple, list)) and item else item
