"""Classic augmentation: built in, or the user's own, of single images or of batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.data.series_transforms import random_transform
from genaug.errors import InputError
from genaug.modalities.base import Modality
from genaug.modalities.image import check_unit_range
from genaug.nn import diffaugment
from genaug.nn.classifier import as_unit
from genaug.randomness import derive_seed

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class OnBatches:
    """A transform of batches, such as v2's ``CutMix``, for ``classic=``.

    It is called as ``transform(images, labels)`` with floats (N, C, H, W) in [0, 1], or series (N, channels, steps) in
    their own units, and int64 (N,), and returns both; the returned labels may be class probabilities (N, classes).
    """

    transform: Callable[[Tensor, Tensor], Batch]


def classic_augmentation(images: Tensor, draws: torch.Generator) -> Tensor:
    """Rotate, scale and shift each image a little, as the images of the generator's discriminator are."""
    return diffaugment.affine(images, torch.rand(len(images), 4, generator=draws))


def augmented(data: Iterable[Batch], classic: Any, seed: int) -> Iterator[Batch]:
    """Batches (uint8 or floats) as floats in [0, 1] after classic augmentation.

    ``classic`` is None for the built-in one, an ``OnBatches``, or a transform of one image, uint8 (C, H, W), to uint8
    or float in [0, 1] of the same shape, which draws from torch's global RNG. Series are floats in their own units
    throughout, and have no built-in augmentation here: ``built_in`` returns it.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "augment"))
    for images, labels in data:
        if classic is None:
            yield classic_augmentation(as_unit(images), draws), labels
        elif isinstance(classic, OnBatches):
            yield classic.transform(as_unit(images), labels)
        else:
            yield torch.stack([as_unit(torch.as_tensor(classic(image))) for image in images]), labels


def built_in(classic: Any, modality: Modality) -> Any:
    """The transform of ``classic``, which None stands for if the samples aren't images."""
    return random_transform if classic is None and not modality.is_augmentable else classic


def built_in_name(modality: Modality) -> str:
    """The built-in augmentation as the argument of ``augmented``, for code."""
    transform = built_in(None, modality)
    return "None" if transform is None else str(transform.__name__)


def check_classic(classic: Any, images: Tensor, labels: Tensor) -> None:
    """Try a transform on a few images, uint8 (N, C, H, W), or series, before anything is trained.

    Raises ``InputError`` if it isn't callable, fails, changes the shape, leaves [0, 1], or makes infinite values.
    """
    on_batches = isinstance(classic, OnBatches)
    transform = classic.transform if on_batches else classic
    if transform is not None and not callable(transform):
        raise InputError(f"classic= must be a transform (a callable), got {type(transform).__name__}.")
    is_series = images.is_floating_point()
    what, each = ("series", "one series (channels, steps)") if is_series else ("images", "one image, uint8 (C, H, W)")
    unit, hint = each, " Wrap a transform of batches in genaug.studies.OnBatches(...)."
    if on_batches:
        unit, hint = "a batch", ""
    try:
        with torch.random.fork_rng(devices=[]):
            output, soft_labels = next(augmented([(images, labels)], classic, 0))
    except Exception as error:
        raise InputError(f"classic= failed on {unit} ({type(error).__name__}: {error}).{hint}") from error
    if output.shape != images.shape or len(soft_labels) != len(labels):
        raise InputError(
            f"classic= turned {what} of shape {tuple(images.shape)} into {tuple(output.shape)}; it must keep their "
            f"shape.{hint}"
        )
    if is_series:
        if bool(output.isinf().any()) or bool((output.isnan() & ~images.isnan()).flatten(1).all(1).any()):
            raise InputError("classic= turned series into ones without values, or with infinite ones.")
        return
    check_unit_range(output, "omit Normalize in classic=; the classifier gets floats in [0, 1].")
