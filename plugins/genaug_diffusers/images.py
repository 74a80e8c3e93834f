"""Images on their way into and out of a pipeline: floats in [0, 1] there, uint8 outside, resized with antialiasing."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import center_crop, resize

from genaug.errors import InputError


def fitted(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (N, C, H, W) resized with antialiasing until they cover ``size``, (height, width), and cropped to it."""
    height, width = images.shape[-2:]
    if (height, width) == size:
        return images
    scale = max(size[0] / height, size[1] / width)
    covering = [max(size[0], round(height * scale)), max(size[1], round(width * scale))]
    cropped: Tensor = center_crop(resize(images, covering, InterpolationMode.BICUBIC, antialias=True), list(size))
    return cropped


def to_uint8(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Floats in [0, 1] as uint8 images of a size. Raises ``InputError`` for NaN and infinity."""
    images = images.float()
    if not bool(images.isfinite().all()):
        raise InputError(
            "the pipeline made images with NaN or infinite values; expected finite ones. Its weights may be damaged, "
            "or exceed float16's range on this GPU: use another revision, or device='cpu'."
        )
    return fitted(images.clamp(0, 1), size).clamp(0, 1).mul(255).round().to(torch.uint8)


def to_input(images: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """uint8 images (N, 1 or ``channels``, H, W) as floats in [0, 1] of a pipeline's channels and size."""
    values = fitted(images.float() / 255, size).clamp(0, 1)
    return values.expand(-1, channels, -1, -1) if values.shape[1] == 1 else values
