"""What every use asks of a source of samples, and what it checks of what it gets."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.classes import class_label
from genaug.errors import InputError
from genaug.modalities.image import Image


@runtime_checkable
class Source(Protocol):
    """Anything that samples can be drawn from: a ``Generator``, a ``SamplePool``, somebody's own pipeline."""

    @property
    def spec(self) -> Spec: ...

    def sample(
        self,
        n: int | None = None,
        *,
        labels: Tensor | None = None,
        seed: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw ``n`` samples, or one for each of ``labels``.

        Returns raw samples, shape (N, ``*spec.shape``) (images are uint8 in [0, 255], channels first), and int64 labels
        of shape (N,), or None for a source without labels. The same seed gives the same samples.
        """
        ...


def supply_of(source: Any) -> list[int] | None:
    """How many distinct samples a source has per class (one entry if it takes no labels); None: endless.

    A source says so in its attribute ``supply``; one without such an attribute is endless. Raises ``InputError`` if
    that isn't one count per class.
    """
    supply = getattr(source, "supply", None)
    if supply is None:
        return None
    counts = [int(count) for count in supply]
    if len(counts) != max(source.spec.num_classes, 1) or min(counts) < 0:
        raise InputError(
            f"{type(source).__name__}.supply must be one count of 0 or more for each of "
            f"{source.spec.describe_classes()}, got {counts}."
        )
    return counts


def check_supply(source: Any, classes: Sequence[int] | Any) -> None:
    """Raises ``InputError`` if a source has no sample of one of these classes."""
    supply = supply_of(source)
    for label in () if supply is None else classes:
        if supply is not None and supply[label] == 0:
            shown = class_label(label, source.spec.class_names)
            raise InputError(f"{type(source).__name__} holds no sample of class {shown}, and some are needed.")


def distinct_labels(source: Any, labels: Tensor, match: Tensor) -> Tensor:
    """As many labels, int64, as a source can answer with a sample each that no other gets.

    All of ``labels`` from an endless source; else all, or fewer of each class in the same shares (by largest
    remainder). ``match`` gives the source's class for a label.
    """
    supply = supply_of(source)
    if supply is None:
        return labels
    weights = labels.bincount(minlength=len(match))
    asked = torch.nonzero(weights)[:, 0]
    held = torch.as_tensor(supply, device="cpu")[match[asked]]
    size = int(min(len(labels), *(held * len(labels) // weights[asked] + 1).tolist()))
    while (torch.from_numpy(largest_remainder(size, weights.tolist()))[asked] > held).any():
        size -= 1
    if size == len(labels):
        return labels
    return torch.arange(len(match), device="cpu").repeat_interleave(
        torch.from_numpy(largest_remainder(size, weights.tolist()))
    )


def check_source(source: Any) -> Spec:
    """The spec of a source. Raises ``InputError`` for anything else."""
    if isinstance(source, str):
        raise InputError(
            f"source must be an object with spec and sample, got the string {source!r}: genaug.load({source!r})? "
            "For a folder of images there is SamplePool.from_dataset."
        )
    spec = getattr(source, "spec", None)
    if not isinstance(spec, Spec) or not callable(getattr(source, "sample", None)):
        raise InputError(
            f"source must have spec and sample (see genaug.sources.source.Source), got {type(source).__name__}."
        )
    return spec


def image_shape(spec: Spec, what: str) -> tuple[int, int, int]:
    """The shape (channels, height, width) of the images that a spec describes.

    Raises ``InputError``, saying that ``what`` works on images, for another modality.
    """
    if not isinstance(spec.sample, Image):
        raise InputError(f"{what} works on images, and these are {spec.sample.noun}.")
    return spec.sample.shape


def checked_sample(source: Source, n: int, labels: Tensor | None, seed: int) -> Tensor:
    """``n`` raw samples from a source, on its device. Raises ``InputError`` if they aren't what its spec says."""
    samples, _ = source.sample(n, seed=seed) if labels is None else source.sample(labels=labels, seed=seed)
    return source.spec.sample.check(samples, n, f"{type(source).__name__}.sample returned")
