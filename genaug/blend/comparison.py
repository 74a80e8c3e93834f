"""Comparing generated items with real ones: whether they fit into one batch, and show as much detail and color."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves

from genaug.blend.formats import ImageFormat
from genaug.errors import InputError

_MIN_ENLARGEMENT = 4
_REMEDY = "Give the real set a transform that brings both to one shape and type, or pass generated_transform=."


def _leaves(item: Any) -> list[tuple[str, tuple[int, ...]]]:
    """The type of each part of an item, in order, and its size; () for what isn't an image or several numbers.

    A tv_tensors.Image counts as a tensor: both go into one batch.
    """
    leaves: list[tuple[str, tuple[int, ...]]] = []
    for leaf in tree_leaves(item):
        if isinstance(leaf, Image.Image):
            leaves.append((f"PIL {leaf.mode}", (leaf.height, leaf.width)))
        elif isinstance(leaf, (Tensor, np.ndarray)):
            container = "tensor" if isinstance(leaf, Tensor) else "array"
            size = tuple(leaf.shape) if np.prod(leaf.shape) > 1 else ()
            leaves.append((f"{container} {str(leaf.dtype).removeprefix('torch.')}", size))
        else:
            leaves.append(("plain", ()))
    return leaves


def _sizes(item: Any) -> list[tuple[int, ...]]:
    return [size for _, size in _leaves(item) if size]


def sizes_agree(real_items: Sequence[Any], generated: Any) -> bool:
    """Whether a generated item has the real ones' sizes, or these differ among themselves."""
    first, *others = map(_sizes, real_items)
    return any(sizes != first for sizes in others) or _sizes(generated) == first


def check_alike(
    real_items: Sequence[Any],
    generated: Any,
    source_shape: tuple[int, ...],
    *,
    sizes: bool,
    noun: str = "images",
    remedy: str = _REMEDY,
) -> None:
    """Raises ``InputError``, showing both sides, for a generated item that doesn't fit into a batch of real ones.

    ``noun`` is what several samples are called. Sizes are compared if ``sizes`` is true and the real ones don't differ
    among themselves. ``remedy`` ends the message then.
    """
    real = real_items[0]
    if type(generated) is not type(real) or _outline(generated) != _outline(real):
        raise InputError(
            f"make_item gives {_outline(generated)}, but the real set's items are {_outline(real)}. Build the same."
        )
    scalars, real_scalars = ([kind for kind, size in _leaves(item) if not size] for item in (generated, real))
    if scalars != real_scalars:
        raise InputError(
            f"make_item gives {', '.join(scalars)} beside the image, but the real set's items have "
            f"{', '.join(real_scalars)}, which doesn't go into one batch. Build the same."
        )
    kinds, real_kinds = ([kind for kind, size in _leaves(item) if size] for item in (generated, real))
    if kinds != real_kinds or (sizes and not sizes_agree(real_items, generated)):
        raise InputError(
            f"the real set gives {_images(real)}, but generated {noun} come out as {_images(generated)} (the "
            f"source makes {'x'.join(map(str, source_shape))}). {remedy}"
        )


def _images(item: Any) -> str:
    images = [f"{kind} {'x'.join(map(str, size))}" for kind, size in _leaves(item) if size]
    return ", ".join(images) or "no image"


def _outline(item: Any) -> str:
    if isinstance(item, dict):
        return f"a dict of {', '.join(map(str, item))}"
    if isinstance(item, (tuple, list)):
        return f"a {type(item).__name__} of {len(item)}"
    return f"a {type(item).__name__}"


def enlarged(real: Sequence[ImageFormat], source_shape: tuple[int, ...], out: ImageFormat) -> str | None:
    """A sentence if generated images are enlarged at least fourfold more than real ones; None otherwise.

    ``real`` are the formats of real images before their transform, ``out`` is that of a generated image in the end.
    Sides are compared after the transform: images of 256 pixels that are scaled down to 32 show no more than
    generated ones of 32.
    """
    side, target = min(source_shape[1:]), min(out.shape[1:])
    typical = median(min(image_format.shape[1:]) for image_format in real)
    if min(typical, target) < _MIN_ENLARGEMENT * min(side, target):
        return None
    return (
        f"generated images of {source_shape[2]}x{source_shape[1]} pixels are enlarged {target / side:.3g}-fold, to "
        f"{out.shape[2]}x{out.shape[1]}, beside real ones of about {typical:g} pixels: they show much less detail, and "
        "a model can tell them apart by that alone. Use a generator of about the size at which you train."
    )


def recolored(
    real: Sequence[ImageFormat], real_is_gray: bool, source_shape: tuple[int, ...], out: ImageFormat
) -> str | None:
    """A sentence if generated images change their number of channels on the way and real ones don't; None otherwise."""
    channels, real_channels = source_shape[0], real[0].shape[0]
    if channels == real_channels or channels == out.shape[0] or (channels == 1 and real_is_gray):
        return None
    expected = _describe_channels(real_channels)
    return (
        f"generated images have {_describe_channels(channels)} and come out with {_describe_channels(out.shape[0])}, "
        f"while the real ones have {expected}: a model can tell them apart by that alone. Use a generator that was "
        f"trained on images with {expected}, or give the real set a transform that changes its images accordingly."
    )


def _describe_channels(channels: int) -> str:
    return {1: "1 channel (gray)", 3: "3 channels (color)"}.get(channels, f"{channels} channels")
