"""The source that ``with_labels`` returns, and its report on the quality of the labels."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.checks import as_whole
from genaug.data.labels import as_labels
from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.randomness import category_rows, check_seed
from genaug.sources.source import Source, check_source, image_shape


@dataclass(frozen=True)
class LabelReport:
    """How labels are assigned and how good they are, estimated from the labeled images.

    Attributes:
        method: "classifier", "classify" or "codes".
        labelled_images: the number of different labeled images.
        acceptance_rate: the share of the generator's own samples that can be used.
        acceptance_per_class: the share that can be used as each class; they sum to ``acceptance_rate``.
        wrong_share: the estimated share of wrong labels among equal numbers of samples of each class; None if it can't
            be estimated.
        basis: what the estimate is based on, in a sentence.
        held_out_wrong_share: the share counted on held-out labeled images; None if none was accepted.
        held_out_wrong_share_upper: the upper end of its one-sided 95% interval.
        thresholds: the confidence above which samples of each class are accepted; None for "codes".
        temperature: the divisor of the classifiers' logits; None for "codes".
        categories: the class of each category, -1 for an unused one; None unless for "codes".
    """

    method: str
    labelled_images: int
    acceptance_rate: float
    acceptance_per_class: tuple[float, ...]
    wrong_share: float | None
    basis: str
    held_out_wrong_share: float | None
    held_out_wrong_share_upper: float
    thresholds: tuple[float, ...] | None = None
    temperature: float | None = None
    categories: tuple[int, ...] | None = None


class LabelledSource(ABC):
    """A source that takes labels, made by ``genaug.with_labels`` from one that doesn't.

    It can be used in a ``MixedDataset``, a ``SamplePool`` or a ``GenerativeAugment`` like any generator. ``spec`` has
    the labeled set's classes, and ``report`` describes how good the labels are.
    """

    report: LabelReport

    def __init__(self, source: Source, spec: Spec) -> None:
        self._source: Any = source
        self._spec = spec

    @property
    def spec(self) -> Spec:
        """The shape of the images, and the labeled set's classes with their names."""
        return self._spec

    @property
    def inner(self) -> Any:
        """The source without labels."""
        return self._source

    @property
    def device(self) -> torch.device:
        """The device of the generator and the classifier."""
        return device_of(self._source)

    def to(self, device: str | torch.device) -> "LabelledSource":
        """Move the generator and the classifier to a device, in place."""
        if not callable(getattr(self._source, "to", None)):
            raise InputError(f"a {type(self._source).__name__} can't be moved to a device.")
        self._source.to(device)
        self._move(self.device)
        return self

    @property
    def training(self) -> dict[str, Any]:
        """The generator's training record, if it has one, and the number of labeled images."""
        record = getattr(self._source, "training", None)
        return {**(record if isinstance(record, Mapping) else {}), "labelled_images": self.report.labelled_images}

    def __repr__(self) -> str:
        report = self.report
        share = "unknown" if report.wrong_share is None else f"{report.wrong_share:.1%}"
        return (
            f"{type(self).__name__}({self._source!r}, {self.spec.describe_classes()}, "
            f"{report.acceptance_rate:.1%} accepted, {share} wrong labels estimated)"
        )

    @torch_defaults()
    def sample(self, n: int | None = None, *, labels: Any = None, seed: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw ``n`` samples with random labels, uniformly distributed, or one sample for each of ``labels``.

        Returns uint8 images (N, C, H, W) and int64 labels (N,), on the generator's device. Sample i of a seed doesn't
        depend on the number of samples; ``seed=None`` draws a seed from torch's RNG.

        Raises ``InputError`` for unknown labels, for both or neither of ``n`` and ``labels``, and if a class isn't
        found among the generator's samples.
        """
        if (n is None) == (labels is None):
            raise InputError("sample takes either n= (a number) or labels= (one per sample).")
        count = None if n is None else as_whole(n, "n", 0)
        seed = int(torch.randint(2**62, (1,))) if seed is None else check_seed(seed)
        classes = self.spec.num_classes
        labels = as_labels(labels).cpu() if count is None else category_rows(classes, seed, "labels", 0, count)
        unknown = labels[labels >= classes]
        if len(unknown):
            raise InputError(
                f"label {int(unknown[0])} is unknown: the labeled set has {self.spec.describe_classes()}, from 0."
            )
        images = self._draw(labels, seed)
        return images, labels.to(images.device)

    @abstractmethod
    def class_probabilities(self, images: Tensor) -> Tensor:
        """The classifier's probability of each class, float32 (N, classes), for uint8 images (N, C, H, W)."""

    def least_certain(self, per_class: int = 10, *, among: int = 200, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """For visual inspection: of ``among`` samples per class, those with the least certain labels, worst first.

        Returns uint8 images (classes · per_class, C, H, W), int64 labels and float32 probabilities of these labels, all
        on the CPU, class by class.
        """
        among = as_whole(among, "among", as_whole(per_class, "per_class", 1))
        images, labels = self.sample(labels=torch.arange(self.spec.num_classes).repeat_interleave(among), seed=seed)
        certainty = self.class_probabilities(images).gather(1, labels[:, None])[:, 0].reshape(-1, among)
        worst = certainty.argsort(dim=1, stable=True)[:, :per_class]
        rows = (worst + among * torch.arange(len(worst), device=worst.device)[:, None]).flatten()
        return images[rows].cpu(), labels[rows].cpu(), certainty.flatten()[rows].cpu()

    @abstractmethod
    def _draw(self, labels: Tensor, seed: int) -> Tensor:
        """One image for each of the labels, int64 (N,), valid and on the CPU."""

    @abstractmethod
    def _move(self, device: torch.device) -> None:
        """Move the classifier."""


def check_unlabelled(source: Any, *, may_have_labels: bool = False) -> Source:
    """A source of images, without labels unless it ``may_have_labels``. Raises ``InputError`` for anything else."""
    spec = check_source(source)
    image_shape(spec, "with_labels")
    if spec.takes_labels and not may_have_labels:
        raise InputError(
            f"this source takes labels already ({spec.describe_classes()}). Use it directly, without with_labels."
        )
    checked: Source = source
    return checked


def device_of(source: Any) -> torch.device:
    """The device of a source; the CPU if it has no such attribute."""
    return torch.device(getattr(source, "device", "cpu"))
