"""How much the samples of one class differ, which neither label agreement nor a sample grid shows."""

import torch
from torch import Tensor

from genaug.errors import InputError


def within_class_distance(samples: Tensor, labels: Tensor) -> float:
    """Mean Euclidean distance between two different samples of one class, averaged over classes.

    ``samples`` are uint8 images (N, C, H, W), for a distance in units of [0, 1] pixels, or vectors (N, D) such as
    those of ``Modality.flatten``. Classes with fewer than two samples are left out. Raises ``InputError`` if no class
    has two.
    """
    distances = class_distances(samples, labels)
    if not distances:
        raise InputError("no class has two images, so their distance can't be measured.")
    return sum(distances.values()) / len(distances)


def class_distances(samples: Tensor, labels: Tensor) -> dict[int, float]:
    """Mean Euclidean distance between two different samples of each class that has two, by label; the arguments are
    those of ``within_class_distance``."""
    flat = _vectors(samples)
    members = {label: flat[labels == label] for label in labels.unique().tolist()}
    return {label: float(torch.nn.functional.pdist(rows).mean()) for label, rows in members.items() if len(rows) >= 2}


def pair_distance(a: Tensor, b: Tensor) -> float:
    """Mean Euclidean distance between ``a[i]`` and ``b[i]``, both as in ``within_class_distance``."""
    return float(torch.linalg.vector_norm(_vectors(a) - _vectors(b), dim=1).mean())


def _vectors(samples: Tensor) -> Tensor:
    return samples if samples.is_floating_point() else samples.flatten(1).to(torch.float32) / 255


def distance_ratio(real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor) -> float:
    """The within-class distance of generated images divided by that of real ones: near 0 if a class's images are alike,
    1 if they differ as much as real ones. NaN if no class has two images or the real ones don't differ."""
    if any(len(labels) == len(labels.unique()) for labels in (real_labels, fake_labels)):
        return float("nan")
    expected = within_class_distance(real, real_labels)
    return within_class_distance(fake, fake_labels) / expected if expected > 0 else float("nan")


def first_per_class(labels: Tensor, limit: int) -> Tensor:
    """Indices of the first ``limit`` items of every class, in order, int64."""
    return torch.cat([torch.nonzero(labels == label)[:limit, 0] for label in labels.unique().tolist()])
