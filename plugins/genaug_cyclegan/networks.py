"""The residual generator of CycleGAN (Zhu et al. 2017, appendix 7.2), for images of any size from 4 pixels."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

_HALVINGS = 2
_SMALLEST = 8  # the shorter side of a map that is halved


class Residual(nn.Module):
    """A feature map plus what two convolutions make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.convs(x)
        return result


class ResidualGenerator(nn.Module):
    """Images (N, C, H, W) to images of the same shape in [-1, 1].

    A 7x7 convolution, two that halve the sides (one for sides of 8 to 15 pixels, none below), ``blocks`` residual
    blocks, and the same in reverse; with instance normalization and padding by reflection.
    """

    def __init__(self, shape: tuple[int, ...], base: int, blocks: int) -> None:
        super().__init__()
        channels, *size = shape
        halvings = 0
        while min(size) >= _SMALLEST and halvings < _HALVINGS:
            size, halvings = [-(-side // 2) for side in size], halvings + 1
        widths = [base * 2**i for i in range(halvings + 1)]
        self.first = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(channels, base, 7), nn.InstanceNorm2d(base))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), nn.InstanceNorm2d(2 * width))
            for width in widths[:-1]
        )
        self.blocks = nn.Sequential(*(Residual(widths[-1]) for _ in range(blocks)))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1) for width in widths[-2::-1]
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(width) for width in widths[-2::-1])
        self.image = nn.Conv2d(base, channels, 7)

    def forward(self, images: Tensor) -> Tensor:
        x = relu(self.first(images))
        sizes = []
        for down in self.downs:
            sizes.append(x.shape[2:])
            x = relu(down(x))
        x = self.blocks(x)
        for up, norm, (height, width) in zip(self.ups, self.norms, reversed(sizes), strict=True):
            x = relu(norm(up(x)[:, :, :height, :width]))
        return torch.tanh(self.image(pad(x, (3, 3, 3, 3), "reflect")))
