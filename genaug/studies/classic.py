"""Classic augmentation: the built-in one, the user's own on single images, the user's own on batches."""

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
    """A transform of whole batches, such as v2's ``CutMix``, for ``classic=``.

    It is called as ``transform(images, labels)`` with floats (N, C, H, W) in [0, 1] and int64 (N,), and returns both;
    labels may then be class probabilities (N, classes).
    """

    transform: Callable[[Tensor, Tensor], Batch]


def classic_augmentation(images: Tensor, draws: torch.Generator) -> Tensor:
    """Each image rotated, scaled and shifted a little: what the generator's discriminator is shown too."""
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

    Raises ``InputError`` where it isn't one, fails, changes the shape or leaves [0, 1].
    """
    transform = classic.transform if isinstance(classic, OnBatches) else classic
    if transform is not None and not callable(transform):
        raise InputError(f"classic= must be a transform (something to call), got {type(transform).__name__}.")
    of = "a batch" if isinstance(classic, OnBatches) else "one image, uint8 (C, H, W)"
    more = "" if isinstance(classic, OnBatches) else " One that needs a batch goes into genaug.studies.OnBatches(...)."
    try:
        with torch.random.fork_rng(devices=[]):
            made, soft = next(augmented([(images, labels)], classic, 0))
    except Exception as error:
        raise InputError(f"classic= failed on {of} ({type(error).__name__}: {error}).{more}") from error
    if made.shape != images.shape or len(soft) != len(labels):
        raise InputError(
            f"classic= made {tuple(made.shape)} of images {tuple(images.shape)}; it must keep their shape.{more}"
        )
    check_unit_range(made, "leave Normalize out of classic=; the classifier gets floats in [0, 1].")
