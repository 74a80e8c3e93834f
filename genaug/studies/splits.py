"""Which images a seed trains on, which it holds back to choose by, and whether the sets may be used together."""

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

HELD = 0.2  # the share of each class that the inner split holds back


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
    """Raises ``InputError`` for a set without labels."""
    if data.labels is None:
        raise InputError(f"{what} carries no labels: expected (image, label) items.")
    return Images(data.x, data.labels, data.spec.class_names)


def check_sets(train: Images, test: Images) -> Images:
    """The test set with its labels in the training set's numbering.

    Raises ``InputError`` if the sets don't fit each other: unlike images or classes, a class that only one of them
    has, a test image that is also a training image, to the byte.
    """
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = ["x".join(map(str, s.images.shape[1:])) for s in (train, test)]
        raise InputError(f"training images are {shapes[0]}, test images {shapes[1]}. Pass image_size= (--image-size).")
    if train.classes is not None and test.classes is not None:
        test = Images(
            test.images, renumbered(test.labels, test.classes, train.classes, "the test set"), list(train.classes)
        )
    present = [set(s.labels.unique().tolist()) for s in (train, test)]
    for what, lacking in (("training", present[1] - present[0]), ("test", present[0] - present[1])):
        if lacking:
            called = class_labels(sorted(lacking), train.classes)
            raise InputError(f"the {what} set has no image of class {called}; both sets need images of every class.")
    found = shared_samples(test.images, train.images)
    if found:
        raise InputError(
            f"{len(found)} of {len(test):,} test images are in the training set too, to the byte (first: test image "
            f"{found[0][0]} is training image {found[0][1]}), so accuracy on them would tell nothing. Remove them from "
            "one of the sets."
        )
    return test


def without_images(train: Images, num_classes: int) -> str | None:
    """What a report says of classes that no image is of; None if there are none."""
    absent = sorted(set(range(num_classes)) - set(train.targets))
    if not absent:
        return None
    return f"No image is of class {class_labels(absent, train.classes)}, so the study says nothing about it."


@dataclass(frozen=True)
class Subsets:
    """The training images of every seed, as int64 indices, and the share of them that two seeds have in common: the
    expected one, averaged over classes, in [0, 1]. 0 if the seeds share the images out, 1 if all train on the same."""

    rows: dict[int, Tensor]
    overlap: float


def draw_subsets(labels: Tensor, per_class: int | None, seeds: Sequence[int]) -> Subsets:
    """``per_class`` images of each class for every seed, or all images for each if it is None.

    The seeds share out the images of a class that has enough of them, so that no image is in two subsets. Of the
    others every seed draws its own, without replacement: two seeds then share per_class / N of a class of N images on
    average. A class without any images is left out. Raises ``InputError`` naming a class that has fewer than two
    images, or fewer than ``per_class``.
    """
    counts = labels.bincount()
    if per_class is not None and per_class < 2:
        raise InputError(
            f"labels_per_class must be 2 or more, got {per_class}: one image of each class is held back to choose by."
        )
    least = int(torch.where(counts > 0, counts, len(labels) + 1).argmin())
    if int(counts[least]) < (per_class or 2):
        raise InputError(
            f"class {least} has {int(counts[least])} training images, fewer than the {per_class or 2} needed."
        )
    if per_class is None:
        return Subsets({seed: torch.arange(len(labels)) for seed in seeds}, float(len(seeds) > 1))
    enough = (counts >= per_class * len(seeds)).tolist()
    rows: dict[int, Tensor] = {}
    for number, seed in enumerate(seeds):
        common, own = (torch.Generator().manual_seed(derive_seed(source, "subsets")) for source in (seeds[0], seed))
        parts = []
        for label, shared_out in enumerate(enough):
            members = torch.nonzero(labels == label).flatten()
            dealt, drawn = (torch.randperm(len(members), generator=draws) for draws in (common, own))
            start = number * per_class
            parts.append(members[dealt[start : start + per_class] if shared_out else drawn[:per_class]])
        rows[seed] = torch.cat(parts).sort().values
    shares = [0.0 if shared_out else per_class / n for shared_out, n in zip(enough, counts.tolist(), strict=True) if n]
    return Subsets(rows, sum(shares) / len(shares))


def inner_split(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices to train on and to choose by, int64: of every class about a fifth, and one image at least, is held back.

    Each class must have two images.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "inner split"))
    kept, held = [], []
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label).flatten()
        members = members[torch.randperm(len(members), generator=draws)]
        cut = max(1, round(HELD * len(members)))
        held.append(members[:cut])
        kept.append(members[cut:])
    return torch.cat(kept).sort().values, torch.cat(held).sort().values
