"""The images that a seed trains on, those that it holds out to choose an arm, and whether the datasets fit together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from genaug.data.classes import class_labels, renumbered
from genaug.data.reading import Samples, shared_samples
from genaug.errors import InputError
from genaug.randomness import derive_seed

_HELD_OUT = 0.2  # the share of each class that the inner split holds out


class Images(Dataset[Any]):
    """Images in memory as a map-style dataset: items (uint8 (C, H, W), int), with ``targets`` and ``classes``."""

    def __init__(self, images: Tensor, labels: Tensor, classes: Sequence[str] | None) -> None:
        self.images, self.labels = images, labels
        self.targets: list[int] = labels.tolist()
        self.classes = None if classes is None else list(classes)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.targets[index]

    def part(self, rows: Tensor) -> "Images":
        return Images(self.images[rows], self.labels[rows], self.classes)


def labelled(data: Samples, what: str) -> Images:
    """A dataset that was read. Raises ``InputError`` if it has no labels."""
    if data.labels is None:
        raise InputError(f"{what} has no labels: expected (image, label) items.")
    return Images(data.x, data.labels, data.spec.class_names)


def check_sets(train: Images, test: Images) -> Images:
    """The test set with its labels in the training set's numbering.

    Raises ``InputError`` if the datasets don't fit together: images of different shapes, different classes, a class
    that only one of them has, a test image that is also a training image, byte for byte.
    """
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = ["x".join(map(str, s.images.shape[1:])) for s in (train, test)]
        raise InputError(f"training images are {shapes[0]}, test images {shapes[1]}. Pass image_size= (--image-size).")
    if train.classes is not None and test.classes is not None:
        labels = renumbered(test.labels, test.classes, train.classes, "the test set")
        test = Images(test.images, labels, train.classes)
    for what, images, others in (("training", train, test), ("test", test, train)):
        missing = sorted(set(others.targets) - set(images.targets))
        if missing:
            raise InputError(
                f"the {what} set has no image of class {class_labels(missing, train.classes)}; both sets need images "
                "of every class."
            )
    shared = shared_samples(test.images, train.images)
    if shared:
        raise InputError(
            f"{len(shared)} of {len(test):,} test images are in the training set too, byte for byte (first: test image "
            f"{shared[0][0]} is training image {shared[0][1]}), so accuracy on them would mean nothing. Remove them "
            "from one of the sets."
        )
    return test


def without_images(train: Images, num_classes: int) -> str | None:
    """A note for the report on classes without images; None if there are none."""
    missing = sorted(set(range(num_classes)) - set(train.targets))
    if not missing:
        return None
    return f"No image is of class {class_labels(missing, train.classes)}, so the study says nothing about it."


@dataclass(frozen=True)
class Subsets:
    """The training images of every seed, as int64 indices, and the expected share of them that two seeds have in
    common, averaged over classes, in [0, 1]: 0 if the subsets are disjoint, 1 if all seeds train on the same images."""

    rows: dict[int, Tensor]
    overlap: float


def draw_subsets(labels: Tensor, per_class: int | None, seeds: Sequence[int]) -> Subsets:
    """``per_class`` images of each class for every seed, or all images if it is None.

    The images of a class that has enough of them are divided among the seeds, so that no image is in two subsets. Of
    other classes, every seed draws its own images, without replacement: two seeds then share per_class / N of a class
    of N images on average. A class without any images is ignored. Raises ``InputError`` naming a class that has fewer
    than two images, or fewer than ``per_class``.
    """
    counts = labels.bincount()
    least = int(torch.where(counts > 0, counts, len(labels) + 1).argmin())
    if int(counts[least]) < (per_class or 2):
        raise InputError(
            f"class {least} has {int(counts[least])} training images, fewer than the {per_class or 2} needed."
        )
    if per_class is None:
        return Subsets({seed: torch.arange(len(labels)) for seed in seeds}, float(len(seeds) > 1))
    disjoint = (counts >= per_class * len(seeds)).tolist()
    rows: dict[int, Tensor] = {}
    for number, seed in enumerate(seeds):
        common, own = (torch.Generator().manual_seed(derive_seed(source, "subsets")) for source in (seeds[0], seed))
        parts = []
        for label, is_disjoint in enumerate(disjoint):
            candidates = torch.nonzero(labels == label).flatten()
            common_order, own_order = (torch.randperm(len(candidates), generator=draws) for draws in (common, own))
            order = common_order[number * per_class :] if is_disjoint else own_order
            parts.append(candidates[order[:per_class]])
        rows[seed] = torch.cat(parts).sort().values
    shares = [
        0.0 if is_disjoint else per_class / n for is_disjoint, n in zip(disjoint, counts.tolist(), strict=True) if n
    ]
    return Subsets(rows, sum(shares) / len(shares))


def inner_split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and indices to choose an arm by, int64: about a fifth of every class, and at least one image,
    is held out.

    Each class must have two images.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "inner split"))
    train, held_out = [], []
    for label in labels.unique().tolist():
        rows = torch.nonzero(labels == label).flatten()
        rows = rows[torch.randperm(len(rows), generator=draws)]
        cut = max(1, round(_HELD_OUT * len(rows)))
        held_out.append(rows[:cut])
        train.append(rows[cut:])
    return torch.cat(train).sort().values, torch.cat(held_out).sort().values
