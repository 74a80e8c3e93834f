"""Images as users have them (PIL, uint8, float in [0, 1]) and as genaug stores them (uint8, channels first)."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from genaug.checks import SIDE
from genaug.errors import InputError
from genaug.modalities.base import Modality

Side = Annotated[int, Field(ge=1, le=SIDE)]

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_OUTSIDE = (
    "float images must lie in [0, 1], torchvision v2's convention, but these range over [{:.3g}, {:.3g}]. They look "
)


class Image(Modality):
    """An image: uint8 in [0, 255], channels first; floats in [-1, 1] for networks. ``Image(3, 32, 32)``."""

    kind: Literal["image"] = "image"
    channels: Annotated[int, Field(ge=1, le=4)]
    height: Side
    width: Side

    noun: ClassVar[str] = "images"
    dtype: ClassVar[torch.dtype] = torch.uint8
    in_bfloat16: ClassVar[bool] = True
    is_augmentable: ClassVar[bool] = True
    item: ClassVar[str] = "image"
    classifiers: ClassVar[tuple[str, ...]] = ("small",)
    same_size: ClassVar[str] = "Pass image_size= (--image-size), or convert all to the same channels with a transform."
    data: ClassVar[str] = "a dataset of images (--data folder:PATH)"
    axes: ClassVar[str] = "(C, H, W)"
    arrays: ClassVar[str] = "uint8 (N, C, H, W)"
    features: ClassVar[str] = "rows of pixels, uint8 (N, H*W*C)"
    has_pictures: ClassVar[bool] = True
    has_size: ClassVar[bool] = True
    in_batches: ClassVar[bool] = True
    float_dtypes: ClassVar[tuple[torch.dtype, ...]] = (torch.float32, torch.float16, torch.bfloat16, torch.float64)

    if TYPE_CHECKING:

        def __init__(self, channels: int, height: int, width: int, *, kind: Literal["image"] = "image") -> None: ...
    else:

        def __init__(self, *size, **fields):
            if len(size) > 3:
                raise TypeError(f"Image takes channels, height and width, got {len(size)} numbers: {size}")
            super().__init__(**dict(zip(("channels", "height", "width"), size, strict=False)), **fields)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    @property
    def positions(self) -> int:
        return self.height * self.width

    def encode(self, samples: Tensor) -> Tensor:
        """uint8 to float32 in [-1, 1], channels last in memory."""
        return samples.to(torch.float32).div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)

    def decode(self, outputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Values in [-1, 1], clipped to that range, to uint8 or to floats in [0, 1]."""
        unit = outputs.add(1).mul(0.5).clamp(0, 1)
        return unit.mul(255).round().to(torch.uint8) if dtype == torch.uint8 else unit.to(dtype)

    def flatten(self, samples: Tensor) -> Tensor:
        """Pixels in [0, 1]."""
        return samples.flatten(1).to(torch.float32) / 255

    def as_features(self, samples: Tensor) -> Any:
        """Rows of pixels, uint8 (N, H·W·C), in the order of scikit-learn's datasets and of ``genaug.features``."""
        return samples.permute(0, 2, 3, 1).flatten(1).numpy()

    def with_noise(self, samples: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
        clean = to_float(samples)
        noisy = clean + deviation * torch.randn(clean.shape, generator=draws)
        return noisy.clamp(0, 1).mul(255).round().to(torch.uint8)

    def floats(self, samples: Tensor) -> Tensor:
        """Pixels in [0, 1]."""
        return to_float(samples) if samples.dtype == torch.uint8 else samples.float()

    def check_batch(self, batch: Tensor, remedy: str | None) -> None:
        if batch.dtype != torch.uint8 and not batch.is_floating_point():
            raise InputError(f"images must be uint8 or floats in [0, 1], got {batch.dtype}.")
        if batch.is_floating_point() and remedy is not None:
            check_unit_range(batch, remedy)

    def picture(self, sample: Tensor) -> PIL.Image.Image:
        return to_pil(sample)

    @classmethod
    def accepts(cls, item: Any) -> bool:
        return isinstance(item, PIL.Image.Image) or getattr(item, "ndim", 0) in (2, 3)

    @classmethod
    def read(cls, item: Any) -> Tensor:
        return to_uint8(item)

    @classmethod
    def of(cls, sample: Tensor) -> "Image":
        channels, height, width = sample.shape
        if max(height, width) > SIDE:
            raise InputError(f"images of {width}x{height} are too large. Pass image_size= (--image-size).")
        return cls(channels, height, width)

    @classmethod
    def examples(cls, labels: Tensor, shape: tuple[int, ...]) -> Tensor:
        rng = torch.Generator().manual_seed(0)
        patterns = torch.randint(0, 256, (int(labels.max()) + 1, *shape), generator=rng)
        noise = torch.randint(-16, 17, (len(labels), *shape), generator=rng)
        return (patterns[labels] + noise).clamp(0, 255).to(torch.uint8)


def check_unit_range(images: Tensor, remedy: str) -> None:
    """Raises ``InputError`` for NaN and for floats outside [0, 1], plus 1e-4; ``remedy`` ends the message."""
    if images.numel() == 0:
        return
    low, high = (float(v) for v in torch.aminmax(images))
    if not (low >= -1e-4 and high <= 1 + 1e-4):
        like_uint8 = low >= 0 and 20 < high <= 255
        look = "like uint8's range: divide them by 255." if like_uint8 else f"normalized: {remedy}"
        raise InputError(_OUTSIDE.format(low, high) + look)


def to_uint8(image: Any) -> Tensor:
    """One image as a uint8 tensor (C, H, W).

    Takes PIL images (mode L, LA, RGB, RGBA kept; 1 becomes L; P and others RGB), uint8 tensors and arrays, and
    floats in [0, 1]; tensors are (C, H, W) or (H, W), arrays are (H, W) or (H, W, C). Raises ``InputError`` for
    anything else, for PIL images with more than 8 bits per channel, for floats outside [0, 1] and for an empty image.
    """
    expected = "(C, H, W)"
    if isinstance(image, PIL.Image.Image):
        if image.mode.startswith(("I", "F")):
            raise InputError(
                f"the image has more than 8 bits per channel (PIL's mode {image.mode}). Convert it to 8 bits first, "
                "with a scale that suits your data."
            )
        if image.mode not in _MODES.values():
            image = image.convert("L" if image.mode == "1" else "RGB")
        image = np.array(image)
    if isinstance(image, np.ndarray):
        expected = "(H, W, C)"
        if image.ndim == 3:
            image = image.transpose(2, 0, 1)
        image = torch.from_numpy(np.ascontiguousarray(native_order(image)))
    if not isinstance(image, Tensor):
        raise InputError(
            f"expected an image (PIL, uint8 or float in [0, 1]), got {type(image).__name__}. "
            "Items of the dataset must be (image, label) or an image."
        )
    pixels: Tensor = Tensor.detach(image.as_subclass(Tensor))
    remedy = "pass the dataset without its Normalize transform."
    if pixels.ndim == 2:
        pixels = pixels.unsqueeze(0)
        remedy += " If they are series of several channels, pass genaug.data.SeriesDataset(series, labels)."
    if pixels.ndim != 3 or not 1 <= pixels.shape[0] <= 4 or pixels.numel() == 0:
        shape = tuple(pixels.shape)
        if expected == "(H, W, C)":
            shape, expected = (*shape[1:], shape[0]), "(H, W, C), the layout of arrays,"
        raise InputError(f"expected an image of shape {expected} with 1 to 4 channels, got one of shape {shape}.")
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise InputError(f"expected uint8 or float images, got {pixels.dtype}. Convert them to uint8 in [0, 255].")
    check_unit_range(pixels, remedy)
    return (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)


def native_order(value: Any) -> Any:
    """An array in this machine's byte order, which torch requires; anything else unchanged."""
    return value.astype(value.dtype.newbyteorder("="), copy=False) if isinstance(value, np.ndarray) else value


def to_pil(image: Tensor | NDArray[np.uint8]) -> PIL.Image.Image:
    """A uint8 tensor or array (C, H, W) as a PIL image of mode L, LA, RGB or RGBA.

    The pixels of a gray image aren't copied, until PIL changes them.
    """
    array = image.numpy() if isinstance(image, Tensor) else image
    channels, height, width = array.shape
    mode, pixels = _MODES[channels], array[0] if channels == 1 else array.transpose(1, 2, 0)
    # as Image.fromarray, without its search for the mode
    return PIL.Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """uint8 in [0, 255] as floats in [0, 1], any shape."""
    return images.to(dtype) / 255
