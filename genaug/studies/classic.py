"""Classic augmentation: built in, or the user's own, of single images or of batches."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.image import check_unit_range
from genaug.nn import diffaugment
from genaug.nn.classifier import as_unit
from genaug.randomness import derive_seed

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class OnBatches:
    """A transform of batches, such as v2's ``CutMix``, for ``classic=``.

    It is called as ``transform(images, labels)`` with floats (N, C, H, W) in [0, 1] and int64 (N,), and returns both;
    the returned labels may be class probabilities (N, classes).
    """

    transform: Callable[[Tensor, Tensor], Batch]


def classic_augmentation(images: Tensor, draws: torch.Generator) -> Tensor:
    """Rotate, scale and shift each image a little, as the images of the generator's discriminator are."""
    return diffaugment.affine(images, torch.rand(len(images), 4, generator=draws))


def augmented(data: Iterable[Batch], classic: Any, seed: int) -> Iterator[Batch]:
    """Batches (uint8 or floats) as floats in [0, 1] after classic augmentation.

    ``classic`` is None for the built-in one, an ``OnBatches``, or a transform of one image, uint8 (C, H, W), to uint8
    or float in [0, 1] of the same shape, which draws from torch's global RNG.
    """
    draws = torch.Generator().manual_seed(derive_seed(seed, "augment"))
    for images, labels in data:
        if classic is None:
            yield classic_augmentation(as_unit(images), draws), labels
        elif isinstance(classic, OnBatches):
            yield classic.transform(as_unit(images), labels)
        else:
            yield torch.stack([as_unit(torch.as_tensor(classic(image))) for image in images]), labels


def check_classic(classic: Any, images: Tensor, labels: Tensor) -> None:
    """Try a transform on a few images, uint8 (N, C, H, W), before anything is trained.

    Raises ``InputError`` if it isn't callable, fails, changes the shape or leaves [0, 1].
    """
    on_batches = isinstance(classic, OnBatches)
    transform = classic.transform if on_batches else classic
    if transform is not None and not callable(transform):
        raise InputError(f"classic= must be a transform (a callable), got {type(transform).__name__}.")
    unit, hint = "one image, uint8 (C, H, W)", " Wrap a transform of batches in genaug.studies.OnBatches(...)."
    if on_batches:
        unit, hint = "a batch", ""
    try:
        with torch.random.fork_rng(devices=[]):
            output, soft_labels = next(augmented([(images, labels)], classic, 0))
    except Exception as error:
        raise InputError(f"classic= failed on {unit} ({type(error).__name__}: {error}).{hint}") from error
    if output.shape != images.shape or len(soft_labels) != len(labels):
        raise InputError(
            f"classic= turned images of shape {tuple(images.shape)} into {tuple(output.shape)}; it must keep their "
            f"shape.{hint}"
        )
    check_unit_range(output, "omit Normalize in classic=; the classifier gets floats in [0, 1].")
