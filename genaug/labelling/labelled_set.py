"""The labeled images that labels are learned from: reading, checking for overlap, and splitting into folds."""

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
    """uint8 images (N, C, H, W), int64 labels (N,), the fold in which each is held out, int64 (N,), and their spec."""

    images: Tensor
    labels: Tensor
    folds: Tensor
    spec: Spec

    def held_out(self) -> list[Tensor]:
        """The images that each fold holds out, bool (N,)."""
        return [self.folds == fold for fold in self.folds.unique().tolist()]


def read_labelled(
    dataset: Any, shape: tuple[int, ...], *, image_size: int | None, exclude: Any, folds: int, seed: int
) -> LabelledImages:
    """Read a labeled dataset of images of a shape. Repeated images are used once, so that no fold holds out a copy.

    Raises ``InputError`` for datasets that ``read_samples`` rejects, that have no labels, another shape or a single
    class, for a class with fewer than 2 different images, and for images that are in ``exclude`` too.
    """
    data = read_samples(dataset, image_size, what="labelled_set")
    if data.labels is None:
        raise InputError("labelled_set has images without labels: expected items (image, label) with an integer label.")
    if data.spec.shape != shape:
        channels_differ = data.spec.shape[0] != shape[0]
        remedy = "Convert them with a transform" if channels_differ else "Pass image_size= as in training"
        raise InputError(
            f"labelled_set has images of shape {data.spec.shape} (C, H, W), and the generator makes {shape}. {remedy}, "
            "so that the shapes agree."
        )
    if exclude is not None:
        _check_disjoint(data, exclude, image_size)
    digests = zip(sample_digests(data.x), data.labels.tolist(), strict=True)
    first = {key: index for index, key in reversed(list(enumerate(digests)))}
    rows = torch.tensor(sorted(first.values()))
    labels = data.labels[rows]
    _check_classes(data.spec, labels)
    return LabelledImages(data.x[rows], labels, deal(labels, folds, seed), data.spec)


def deal(labels: Tensor, folds: int, seed: int) -> Tensor:
    """A fold for each sample, int64 (N,): every class is shuffled and dealt out, continuing after the previous class.

    Fold sizes, overall and within a class, then differ by at most one.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "folds"))
    assignment = torch.zeros_like(labels)
    start = 0
    for label in labels.unique().tolist():
        rows = torch.nonzero(labels == label).flatten()
        shuffled = rows[torch.randperm(len(rows), generator=draws)]
        assignment[shuffled] = (torch.arange(len(rows)) + start) % folds
        start += len(rows)
    return assignment


def _check_classes(spec: Spec, labels: Tensor) -> None:
    if spec.num_classes < 2:
        raise InputError("labelled_set has a single class; expected at least two to tell apart.")
    counts = torch.bincount(labels, minlength=spec.num_classes)
    few = torch.nonzero(counts < _LEAST_PER_CLASS).flatten().tolist()
    if few:
        listing = ", ".join(
            f"class {class_label(label, spec.class_names)} has {int(counts[label])}" for label in few[:_SHOWN]
        )
        raise InputError(
            f"labelled_set has too few different images of {len(few)} of its {spec.describe_classes()}: {listing}"
            f"{', …' if len(few) > _SHOWN else ''}. Cross-fitting needs at least {_LEAST_PER_CLASS} per class, one to "
            "learn from and one to check with."
        )


def _check_disjoint(data: Samples, exclude: Any, image_size: int | None) -> None:
    others = read_samples(_ImagesOnly(exclude), image_size, what="exclude")
    if others.spec.shape != data.spec.shape:
        raise InputError(
            f"exclude has images of shape {others.spec.shape} (C, H, W) and labelled_set of {data.spec.shape}, so "
            "images in both would not be found. Give both the same transform, or pass image_size=."
        )
    shared = [index for index, _ in shared_samples(data.x, others.x)]
    if shared:
        listing = ", ".join(map(str, shared[:_SHOWN])) + (", …" if len(shared) > _SHOWN else "")
        raise InputError(
            f"{len(shared)} of the {len(data.x)} images of labelled_set are in exclude too (items {listing} of "
            "labelled_set): labels learned from them would leak into the held-out data. Remove them from labelled_set."
        )


class _ImagesOnly:
    """A dataset without its labels, of any kind."""

    def __init__(self, dataset: Any) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise InputError(f"exclude must be a map-style dataset of images, got {type(dataset).__name__}.")
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        item = self.dataset[index]
        return item[0] if isinstance(item, (tuple, list)) and item else item
