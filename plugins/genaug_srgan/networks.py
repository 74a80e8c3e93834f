"""The upscaler of the ``srgan`` backend, and the small images that it is trained on."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu
from torchvision.transforms.v2 import InterpolationMode, functional as F

from genaug.nn.blocks import SLOPE, ResidualBlock

_CHUNK = 4096  # images that are resized at once


def downsampled(images: Tensor, factor: int) -> Tensor:
    """Raw images (N, C, H, W) at 1/``factor`` of their size, with an antialiased bicubic filter."""
    size = [side // factor for side in images.shape[2:]]
    parts = [
        F.resize(part, size, interpolation=InterpolationMode.BICUBIC, antialias=True) for part in images.split(_CHUNK)
    ]
    return torch.cat(parts)


def enlarged(images: Tensor, factor: int) -> Tensor:
    """Floats (N, C, H, W) at ``factor`` times their size, by bicubic interpolation."""
    return interpolate(images, scale_factor=factor, mode="bicubic", align_corners=False)


class Upscaler(nn.Module):
    """Images (N, C, h, w) in [-1, 1] to images ``factor`` times as high and wide, a power of 2.

    The network of Ledig et al. 2017 (figure 4): residual blocks at the small size with a connection around all of them,
    then a sub-pixel convolution for each doubling; without normalization (Wang et al. 2018, section 3.1). What it
    computes is added to the bicubic enlargement, and the last layer starts at 0, so that an untrained one is bicubic.
    Its values may leave [-1, 1].
    """

    def __init__(self, channels: int, factor: int, width: int, blocks: int) -> None:
        super().__init__()
        self.factor = factor
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(width) for _ in range(blocks)), nn.Conv2d(width, width, 3, padding=1)
        )
        self.doublings = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.LeakyReLU(SLOPE))
            for _ in range(int(math.log2(factor)))
        )
        self.image = nn.Conv2d(width, channels, 3, padding=1)
        nn.init.zeros_(self.image.weight)
        nn.init.zeros_(self.image.bias)  # type: ignore[arg-type]

    def forward(self, small: Tensor) -> Tensor:
        x = leaky_relu(self.head(small), SLOPE)
        x = x + self.blocks(x)
        for doubling in self.doublings:
            x = doubling(x)
        return torch.add(enlarged(small, self.factor), self.image(x))
