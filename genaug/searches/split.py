"""Holding out a part of the training images, for a search and for the choice of a step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from genaug.backends.spec import Spec
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
    if not data.spec.sample.is_augmentable:  # series with missing values and rows of tables aren't plain items
        return SamplesInMemory(data)
    if data.labels is None:
        return UnlabelledImages(data.x)
    return LabelledSamples(data.x, data.labels, data.spec.class_names)


class SamplesInMemory(Dataset[Tensor]):
    """Raw samples that ``read_samples`` takes as they are."""

    noun, joining = "a set of samples", ""

    def __init__(self, data: Samples) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data.x)

    def __getitem__(self, index: int) -> Tensor:
        return self._data.x[index]

    def read_rows(self, rows: Sequence[int] | None = None, *, ignore_labels: bool = False) -> Samples:
        """Samples and labels, by default all, with the modality fitted to these only."""
        picked = torch.arange(len(self)) if rows is None else torch.tensor(rows, dtype=torch.int64)
        x, labels = self._data.x[picked], None if ignore_labels else self._data.labels
        classes = None if labels is None else self._data.spec.classes
        spec = Spec(sample=self._data.spec.sample.fitted(x), classes=classes)
        return Samples(x, None if labels is None else labels[picked], spec)
