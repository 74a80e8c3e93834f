"""The U-Net of pix2pix (Isola et al. 2017, section 3.2.1), for images of any size."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad, relu

from genaug.nn.blocks import SLOPE, stage_sizes

_DROPPING = 3  # stages with dropout, from the smallest map on


class Down(nn.Module):
    """A feature map to one with half the sides, rounded up."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor) -> Tensor:
        x = leaky_relu(x, SLOPE)
        smaller: Tensor = self.norm(self.conv(pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))))
        return smaller


class Up(nn.Module):
    """A feature map to one with twice the sides, cropped to those of ``skip``, which follows it."""

    def __init__(self, before: int, after: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        self.norm, self.dropout = nn.BatchNorm2d(after), nn.Dropout(dropout)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        larger = self.conv(relu(x))[:, :, : skip.shape[2], : skip.shape[3]]
        return torch.cat([self.dropout(self.norm(larger)), skip], dim=1)


class UNet(nn.Module):
    """Images (N, ``before``, H, W) to images (N, ``after``, H, W) in [-1, 1].

    The sides are halved down to 4 to 7 pixels and doubled again; each map on the way up is followed by the one of its
    size on the way down. There are ``base`` channels at the image's side, doubled at each halving, at most ``widest``.
    """

    def __init__(self, before: int, after: int, size: tuple[int, int], base: int, widest: int, dropout: float) -> None:
        super().__init__()
        widths = [min(widest, base * 2**i) for i in range(len(stage_sizes(*size)))]
        self.first = nn.Conv2d(before, base, 3, padding=1)
        self.downs = nn.ModuleList(Down(*pair) for pair in pairwise(widths))
        ups: list[Up] = []
        channels = widths[-1]
        for i, width in enumerate(widths[-2::-1]):
            ups.append(Up(channels, width, dropout if i < _DROPPING else 0.0))
            channels = 2 * width
        self.ups = nn.ModuleList(ups)
        self.image = nn.Conv2d(channels, after, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        maps = [self.first(images)]
        for down in self.downs:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in self.ups:
            x = up(x, maps.pop())
        return torch.tanh(self.image(relu(x)))
