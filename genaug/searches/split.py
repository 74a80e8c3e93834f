"""Holding out a part of the training images, for a search and for the choice of a step."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from genaug.data.holdout import held_out
from genaug.data.reading import Samples, read_samples
from genaug.studies.recipes import UnlabelledImages
from genaug.studies.splits import LabelledSamples

SHARE = 0.2  # of each class


def split(data: Samples, share: float = SHARE) -> tuple[Samples, Samples]:
    """``data`` without and with the held-out ``share`` of each class: always the same items of the same dataset.

    Raises ``InputError`` for a share outside (0, 1), and for a class with fewer than two samples.
    """
    chosen = _rows(data, share)
    return _part(data, ~chosen), _part(data, chosen)


def without_held_out(dataset: Any, image_size: int | None = None) -> Any:
    """A map-style dataset without what ``split`` holds out of it by default."""
    data = read_samples(dataset, image_size, needs_labels=False)
    return Subset(dataset, torch.nonzero(~_rows(data, SHARE))[:, 0].tolist())


def _rows(data: Samples, share: float) -> Tensor:
    """Which samples are held out, bool (N,)."""
    labels = [0] * len(data.x) if data.labels is None else data.labels.tolist()
    names = None if data.labels is None else data.spec.class_names or [str(c) for c in range(data.spec.num_classes)]
    return torch.tensor(held_out([str(index) for index in range(len(labels))], labels, share, classes=names))


def _part(data: Samples, rows: Tensor) -> Samples:
    return replace(data, x=data.x[rows], labels=None if data.labels is None else data.labels[rows])


def as_dataset(data: Samples) -> Any:
    """Samples in memory as a map-style dataset, which ``fit`` takes."""
    if data.labels is None:
        return UnlabelledImages(data.x)
    return LabelledSamples(data.x, data.labels, data.spec.class_names)
