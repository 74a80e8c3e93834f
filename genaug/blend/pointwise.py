"""Transforms that treat every pixel alike, such as ``ToTensor`` and ``Normalize``, applied to many images at once."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import transforms as v1, tv_tensors
from torchvision.transforms import v2

_TO_TENSOR = (v1.ToTensor, v2.ToTensor)
_FIRST = (*_TO_TENSOR, v1.PILToTensor, v2.PILToTensor, v2.ToImage)  # what makes tensors of PIL images
_LATER = (v1.ConvertImageDtype, v1.Normalize, v2.ConvertImageDtype, v2.Normalize, v2.ToDtype, v2.ToPureTensor)


def split_pointwise(transform: Any) -> tuple[list[Any], list[Any]]:
    """The steps of a transform of PIL images: those that many images can go through at once, and those after them.

    The first are a step that makes tensors, and the steps right after it that treat every pixel alike. They give each
    image the same values as one by one. Subclasses don't count, since they may do anything.
    """
    steps = list(transform.transforms) if type(transform) in (v1.Compose, v2.Compose) else [transform]
    if not steps or type(steps[0]) not in _FIRST:
        return [], steps
    count = next((i for i, step in enumerate(steps[1:], 1) if type(step) not in _LATER), len(steps))
    return steps[:count], steps[count:]


def transform_all(images: NDArray[Any], pointwise: list[Callable[[Any], Any]], rest: list[Any]) -> list[Any]:
    """What the steps of ``split_pointwise`` make of images, uint8 (N, C, H, W). Tensors are views of one memory."""
    first, *later = pointwise
    batch: Any
    if type(first) in _TO_TENSOR:
        batch = torch.from_numpy(images).to(torch.get_default_dtype()).div(255)
    else:
        batch = torch.as_tensor(images)  # unlike ToTensor, these have tensors on torch's default device
    if type(first) is v2.ToImage:
        batch = tv_tensors.Image(batch)
    for step in later:
        batch = step(batch)
    wrapped = isinstance(batch, tv_tensors.Image)
    items: list[Any] = list(batch.as_subclass(Tensor).unbind())
    if wrapped:
        items = [each.as_subclass(tv_tensors.Image) for each in items]
    for step in rest:
        items = [step(each) for each in items]
    return items
