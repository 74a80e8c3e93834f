"""Arrays and tensors of images, in the layouts that NumPy, torch and scikit-learn users have them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.errors import InputError
from genaug.modalities.image import check_unit_range, native_order
from genaug.sources.source import image_shape


def image_array(values: Any, spec: Spec, what: str) -> Tensor:
    """Images as uint8 (N, C, H, W) on the CPU, of the shape that the spec describes.

    ``values`` are (N, C, H, W), (N, H, W, C), (N, H, W) or rows (N, H·W·C) in this order, uint8 or floats in [0, 1].
    Raises ``InputError`` for anything else; ``what`` begins its message.
    """
    channels, height, width = shape = image_shape(spec, what)
    try:
        values = values if isinstance(values, Tensor) else torch.as_tensor(native_order(np.asarray(values)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{what} takes arrays of images ({error}).") from error
    tensor: Tensor = values.detach().cpu()
    size, pixels = tuple(tensor.shape[1:]), channels * height * width
    flat = [(pixels,), (height, width)] if channels == 1 else [(pixels,)]
    if size == shape:
        images = tensor
    elif size == (height, width, channels) or size in flat:
        images = tensor.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    else:
        raise InputError(
            f"{what} takes images of shape {shape} (channels first or last) or rows of {pixels} values, as the "
            f"generator makes them, got an array of shape {tuple(tensor.shape)}.{_hint(tuple(tensor.shape), shape)}"
        )
    if tensor.is_floating_point():
        if bool(images.isnan().any()):
            raise InputError(f"{what} takes uint8 images or floats in [0, 1], but some of these pixels are NaN.")
        check_unit_range(images, "undo the normalization.")
        return images.clamp(0, 1).mul(255).round().to(torch.uint8)
    if tensor.dtype != torch.uint8:
        wider = None if tensor.dtype == torch.bool or tensor.is_complex() else images.to(torch.int64)
        if wider is None or (wider.numel() and not 0 <= int(wider.min()) <= int(wider.max()) <= 255):
            raise InputError(f"{what} takes uint8 images or floats in [0, 1], got {tensor.dtype}.")
    return images.to(torch.uint8)


def _hint(got: tuple[int, ...], shape: tuple[int, int, int]) -> str:
    """What to do about a single image."""
    channels, height, width = shape
    single = [shape, (height, width, channels), *([(height, width)] if channels == 1 else [])]
    return " It is a single image: pass image[None]." if got in single else ""
