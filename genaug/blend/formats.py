"""The format of images in a user's dataset (PIL, uint8, float, array), and generated images converted to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torchvision import tv_tensors

from genaug.modalities.image import to_pil

# PIL modes, with the number of channels of the 8-bit images that can be converted to them without a loss of meaning.
_MODE_CHANNELS = {
    "L": 1,
    "1": 1,
    "LA": 2,
    "RGB": 3,
    "P": 3,
    "YCbCr": 3,
    "HSV": 3,
    "LAB": 3,
    "RGBA": 4,
    "CMYK": 3,
    "RGBX": 3,
    "I;16": 1,
}
_GRAY_FITS = ("RGB", "RGBA", "RGBX", "P")  # modes that a gray image can be converted to as well
_SCALE_16 = 257  # 0 to 255 times this is 0 to 65,535


Kind = Literal["pil", "tensor", "tv_tensor", "array"]


@dataclass(frozen=True)
class ImageFormat:
    """How one image is stored: its container, its dtype or PIL mode, and the order of its axes.

    ``shape`` is (C, H, W). ``unit`` is false for float images with values outside [0, 1].
    """

    kind: Kind
    dtype: Any
    shape: tuple[int, int, int]
    axes: Literal["HW", "CHW", "HWC"]
    unit: bool = True


def format_of(image: Any) -> ImageFormat | None:
    """The format of a PIL image, of a uint8, uint16 or float tensor (C, H, W) or (H, W), or of such an array, also
    (H, W, C). None for anything else.
    """
    if isinstance(image, Image.Image):
        channels = _MODE_CHANNELS.get(image.mode)
        if channels is None:
            return None
        return ImageFormat("pil", image.mode, (channels, image.height, image.width), "HWC")
    if not isinstance(image, (Tensor, np.ndarray)) or image.ndim not in (2, 3) or 0 in image.shape:
        return None
    if isinstance(image, tv_tensors.TVTensor) and not isinstance(image, tv_tensors.Image):
        return None
    if image.dtype not in (torch.uint8, np.uint8, torch.uint16, np.uint16) and not _is_float(image):
        return None
    unit = not _is_float(image) or bool(image.min() >= -1e-4 and image.max() <= 1 + 1e-4)  # false for NaN
    is_tv_tensor = isinstance(image, tv_tensors.Image)
    kind: Kind = "tv_tensor" if is_tv_tensor else "tensor" if isinstance(image, Tensor) else "array"
    if image.ndim == 2:
        return ImageFormat(kind, image.dtype, (1, *image.shape), "HW", unit)
    first, second, third = image.shape
    if kind == "array" and not first <= 4 < third:
        return ImageFormat(kind, image.dtype, (third, first, second), "HWC", unit)
    return ImageFormat(kind, image.dtype, (first, second, third), "CHW", unit)


def image_in(item: Any) -> Any:
    """The first image in an item of a known format; None if there is none."""
    return next((leaf for leaf in tree_leaves(item) if format_of(leaf) is not None), None)


def _is_float(image: Any) -> bool:
    return image.is_floating_point() if isinstance(image, Tensor) else np.issubdtype(image.dtype, np.floating)


def is_gray(image: Any) -> bool:
    """Whether an image has no color, whatever its channels: ``ImageFolder`` opens gray files as RGB."""
    image_format = format_of(image)
    if image_format is None or image_format.shape[0] < 3:
        return True
    if image_format.kind == "pil":
        image = np.asarray(image.convert("RGB"))
    channels = image if image_format.axes == "CHW" else image.transpose(2, 0, 1)
    return bool((channels[0] == channels[1]).all() and (channels[0] == channels[2]).all())


def convert_like(image: NDArray[Any], target: ImageFormat | None) -> Any:
    """Convert a uint8 array (C, H, W) to an image format; to PIL, in the mode that fits its channels, for None.

    A gray image becomes RGB if the format has three channels; any other number of channels stays as it is. 16 bits
    hold 257 times the value, so that white stays white.
    """
    return convert_all_like(image[None], target)[0]


def convert_all_like(images: NDArray[Any], target: ImageFormat | None) -> Sequence[Any]:
    """``convert_like`` for uint8 images (N, C, H, W). Tensors and arrays are views of the same memory."""
    if target is None or target.kind == "pil":
        return [_picture(image, target) for image in images]
    if images.shape[1] == 1 and target.shape[0] == 3:
        images = np.repeat(images, 3, axis=1)
    if target.dtype in (torch.uint16, np.uint16):
        images = images.astype(np.uint16) * np.uint16(_SCALE_16)
    if target.axes == "HW" and images.shape[1] == 1:
        images = images[:, 0]
    if target.kind == "array":
        arrays = np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if target.axes == "HWC" else images
        return list(arrays if arrays.dtype == target.dtype else (arrays / np.float64(255)).astype(target.dtype))
    tensor = torch.from_numpy(images)
    if tensor.dtype != target.dtype:
        tensor = (tensor.float() / 255).to(target.dtype)
    tensors = tensor.unbind()
    return [tv_tensors.Image(each) for each in tensors] if target.kind == "tv_tensor" else tensors


def pixels_like(images: NDArray[Any], target: ImageFormat | None) -> NDArray[Any] | None:
    """The pixels, uint8 (N, C, H, W), of the gray or RGB pictures that ``convert_all_like`` makes; None if it makes
    anything else."""
    if target is None or target.kind != "pil" or target.dtype not in ("L", "RGB") or images.shape[1] not in (1, 3):
        return None
    return np.repeat(images, 3, axis=1) if images.shape[1] == 1 and target.dtype == "RGB" else images


def _picture(image: NDArray[Any], target: ImageFormat | None) -> Image.Image:
    picture = to_pil(image)
    gray = image.shape[0] == 1
    if target is None or not (_MODE_CHANNELS[target.dtype] == image.shape[0] or (gray and target.dtype in _GRAY_FITS)):
        return picture
    if target.dtype == "I;16":
        return Image.fromarray(image[0].astype(np.uint16) * _SCALE_16)
    return picture if picture.mode == target.dtype else picture.convert(target.dtype)
