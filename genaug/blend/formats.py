"""What an image looks like to its dataset's user (PIL, uint8, float, array), and a generated one made to look so."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

from genaug.modalities.image import to_pil

# Modes that 8-bit images of so many channels can be converted to without a loss of meaning.
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
_GREY_FITS = ("RGB", "RGBA", "RGBX", "P")  # modes that a grey image can be converted to as well
_WIDE = 257  # 0 to 255 times this is 0 to 65,535


Kind = Literal["pil", "tensor", "tv_tensor", "array"]


@dataclass(frozen=True)
class Look:
    """The outside of one image: what holds it, its dtype or PIL mode, and how its axes lie.

    ``shape`` is (C, H, W). ``unit`` is false for float images outside [0, 1].
    """

    kind: Kind
    dtype: Any
    shape: tuple[int, int, int]
    axes: Literal["HW", "CHW", "HWC"]
    unit: bool = True


def look_of(image: Any) -> Look | None:
    """The look of a PIL image, of a uint8, uint16 or float tensor (C, H, W) or (H, W), or of such an array, also
    (H, W, C). None for anything else.
    """
    if isinstance(image, Image.Image):
        known = _MODE_CHANNELS.get(image.mode)
        return None if known is None else Look("pil", image.mode, (known, image.height, image.width), "HWC")
    if not isinstance(image, (Tensor, np.ndarray)) or image.ndim not in (2, 3) or 0 in image.shape:
        return None
    if isinstance(image, tv_tensors.TVTensor) and not isinstance(image, tv_tensors.Image):
        return None
    if image.dtype not in (torch.uint8, np.uint8, torch.uint16, np.uint16) and not _is_float(image):
        return None
    unit = not _is_float(image) or bool(image.min() >= -1e-4 and image.max() <= 1 + 1e-4)  # false for NaN
    kind: Kind = "array"
    if isinstance(image, Tensor):
        kind = "tv_tensor" if isinstance(image, tv_tensors.Image) else "tensor"
    if image.ndim == 2:
        return Look(kind, image.dtype, (1, *image.shape), "HW", unit)
    first, second, third = image.shape
    if kind == "array" and not first <= 4 < third:
        return Look(kind, image.dtype, (third, first, second), "HWC", unit)
    return Look(kind, image.dtype, (first, second, third), "CHW", unit)


def _is_float(image: Any) -> bool:
    if isinstance(image, Tensor):
        return image.is_floating_point()
    return bool(np.issubdtype(image.dtype, np.floating))


def is_grey(image: Any) -> bool:
    """Whether an image has no colour, whatever its channels: ``ImageFolder`` opens grey files as RGB."""
    look = look_of(image)
    if look is None or look.shape[0] < 3:
        return True
    if look.kind == "pil":
        image = np.asarray(image.convert("RGB"))
    channels = image if look.axes == "CHW" and look.kind != "pil" else image.transpose(2, 0, 1)
    return bool((channels[0] == channels[1]).all() and (channels[0] == channels[2]).all())


def dress(image: NDArray[Any], look: Look | None) -> Any:
    """A uint8 array (C, H, W) as an image of a look; as PIL, of the mode that fits its channels, where that is None.

    A grey one becomes RGB where the look is; another number of channels is left to what comes after. 16 bits hold
    257 times the value, so that white stays white.
    """
    if look is None or look.kind == "pil":
        picture = to_pil(torch.from_numpy(image))
        if look is None or look.dtype == picture.mode:
            return picture
        if look.dtype == "I;16":
            return Image.fromarray(image[0].astype(np.uint16) * _WIDE) if image.shape[0] == 1 else picture
        fits = _MODE_CHANNELS[look.dtype] == image.shape[0] or (image.shape[0] == 1 and look.dtype in _GREY_FITS)
        return picture.convert(look.dtype) if fits else picture
    if image.shape[0] == 1 and look.shape[0] == 3:
        image = np.repeat(image, 3, axis=0)
    if look.dtype in (torch.uint16, np.uint16):
        image = image.astype(np.uint16) * np.uint16(_WIDE)
    tensor = torch.from_numpy(image[0] if look.axes == "HW" and image.shape[0] == 1 else image)
    if look.kind == "array":
        laid = np.ascontiguousarray(image.transpose(1, 2, 0)) if look.axes == "HWC" else tensor.numpy()
        return laid if laid.dtype == look.dtype else (laid / np.float64(255)).astype(look.dtype)
    if tensor.dtype != look.dtype:
        tensor = (tensor.float() / 255).to(look.dtype)
    return tv_tensors.Image(tensor) if look.kind == "tv_tensor" else tensor
