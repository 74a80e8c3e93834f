"""The labeled images that labels are learned from: reading, checking for overlap, and splitting into folds."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.classes import class_label
from genaug.data.overlap import check_disjoint
from genaug.data.reading import Samples, read_samples, sample_digests
from genaug.errors import InputError
from genaug.randomness import derive_seed

_LEAST_PER_CLASS = 2  # one to learn from and one to check with
_SHOWN = 5


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (N, C, H, W), int64 labels (N,), the fold in which each is held out, int64 (N,), and their spec.

    ``data`` has the images as they were read, repetitions included.
    """

    images: Tensor
    labels: Tensor
    folds: Tensor
    spec: Spec
    data: Samples

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
        check_disjoint(data.x, exclude, image_size, "labelled_set")
    digests = zip(sample_digests(data.x), data.labels.tolist(), strict=True)
    first = {key: index for index, key in reversed(list(enumerate(digests)))}
    rows = torch.tensor(sorted(first.values()))
    labels = data.labels[rows]
    _check_classes(data.spec, labels)
    return LabelledImages(data.x[rows], labels, deal(labels, folds, seed), data.spec, data)


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
