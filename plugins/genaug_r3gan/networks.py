"""R3GAN's generator and discriminator (Huang et al. 2024, section 3 and appendix), for images of any shape.

At 32, 64, 128, ... pixels and with the paper's settings they are the functions of its published networks, with the
same parameters under other names. The networks have no normalization; a block starts as the identity (fix-up, Zhang et
al. 2019).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, pad

from genaug.nn.blocks import SLOPE, stage_sizes

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)

GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""He et al. 2015, eq. 15: weights of this gain keep the variance through a leaky ReLU."""


@dataclass(frozen=True)
class Architecture:
    """The dimensions that both networks share, in the order of the generator: from the smallest feature map up.

    Args:
        sizes: Height and width of each stage's feature maps.
        widths: Channels of each stage.
        blocks: Residual blocks per stage.
        expansion: A block's inner channels, as a multiple of its width.
        group_width: Channels per group of the 3x3 convolutions. If the inner channels aren't a multiple of it, their
            greatest common divisor.
    """

    sizes: Sequence[tuple[int, int]]
    widths: Sequence[int]
    blocks: int = 2
    expansion: int = 2
    group_width: int = 16

    def residual_blocks(self, width: int) -> nn.ModuleList:
        total = self.blocks * len(self.widths)
        inner = width * self.expansion
        groups = inner // math.gcd(inner, self.group_width)
        return nn.ModuleList(ResidualBlock(width, inner, groups, total) for _ in range(self.blocks))


def architecture(
    height: int,
    width: int,
    channels: int,
    full_width_until: int = 32,
    blocks: int = 2,
    expansion: int = 2,
    group_width: int = 16,
) -> Architecture:
    """``channels`` up to feature maps whose shorter side is ``full_width_until`` pixels, halved at each larger one."""
    sizes = stage_sizes(height, width)
    larger = [sum(min(s) > full_width_until for s in sizes[: i + 1]) for i in range(len(sizes))]
    widths = [max(1, channels // 2**halvings) for halvings in larger]
    return Architecture(sizes, widths, blocks, expansion, group_width)


class ResidualBlock(nn.Module):
    """x + reduce(f(grouped(f(expand(x))))): 1x1, grouped 3x3 and 1x1 convolutions, f the leaky ReLU of slope 0.2.

    Fix-up initialization for ``total`` blocks of three layers: the first two have the gain sqrt(2 / 1.04) ·
    total^(-1/4), and the last one is 0.
    """

    def __init__(self, width: int, inner: int, groups: int, total: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, inner, 1)
        self.grouped = nn.Conv2d(inner, inner, 3, padding=1, groups=groups)
        self.reduce = nn.Conv2d(inner, width, 1, bias=False)
        for conv in (self.expand, self.grouped):
            initialize(conv, GAIN * total**-0.25)
        initialize(self.reduce, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        y = leaky_relu(self.expand(x), SLOPE)
        change: Tensor = self.reduce(leaky_relu(self.grouped(y), SLOPE))
        return x + change


class Basis(nn.Module):
    """Vectors (N, ``inputs``) to the smallest feature map: learned maps (``width``, H, W), scaled per sample."""

    def __init__(self, inputs: int, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.empty(width, *size))
        nn.init.normal_(self.maps)
        self.project = initialize(nn.Linear(inputs, width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.project(x)
        return self.maps * scale[:, :, None, None]


class Up(nn.Module):
    """A feature map to one of ``size``, twice as large: a 1x1 convolution if the width changes, and interpolation."""

    def __init__(self, before: int, after: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.conv = initialize(nn.Conv2d(before, after, 1, bias=False)) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.size
        return upsample(x if self.conv is None else self.conv(x))[:, :, :height, :width]


class Down(nn.Module):
    """A feature map to one half as large, rounded up: interpolation, and a 1x1 convolution if the width changes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = initialize(nn.Conv2d(before, after, 1, bias=False)) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        x = downsample(x)
        return x if self.conv is None else self.conv(x)


class Head(nn.Module):
    """The smallest feature map to vectors (N, ``outputs``): its product with one learned map per channel, and a
    linear layer."""

    def __init__(self, width: int, outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.maps = initialize(nn.Conv2d(width, width, size, groups=width, bias=False))
        self.project = initialize(nn.Linear(width, outputs, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.project(self.maps(x).flatten(1))
        return outputs


class GeneratorStage(nn.Module):
    """The transition to a feature map, and its residual blocks."""

    def __init__(self, transition: nn.Module, blocks: nn.ModuleList) -> None:
        super().__init__()
        self.transition, self.blocks = transition, blocks

    def forward(self, x: Tensor) -> Tensor:
        x = self.transition(x)
        for block in self.blocks:
            x = block(x)
        return x


class DiscriminatorStage(nn.Module):
    """The residual blocks of a feature map, and the transition from it."""

    def __init__(self, blocks: nn.ModuleList, transition: nn.Module) -> None:
        super().__init__()
        self.blocks, self.transition = blocks, transition

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        after: Tensor = self.transition(x)
        return after


class Generator(nn.Module):
    """Latents (N, latent_size) and labels (N,) int64, or None without classes, to images (N, C, H, W).

    The last layer is linear: values may lie outside [-1, 1]. A label is a learned vector next to the latent.
    """

    def __init__(self, channels: int, num_classes: int, latent_size: int, sizes: Architecture) -> None:
        super().__init__()
        widths = sizes.widths
        inputs = latent_size + (latent_size if num_classes else 0)
        transitions = [
            Basis(inputs, widths[0], sizes.sizes[0]),
            *(Up(*pair, size) for pair, size in zip(pairwise(widths), sizes.sizes[1:], strict=True)),
        ]
        self.embed = nn.Embedding(num_classes, latent_size) if num_classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=num_classes**-0.5)
        self.stages = nn.ModuleList(
            GeneratorStage(transition, sizes.residual_blocks(width))
            for transition, width in zip(transitions, widths, strict=True)
        )
        self.image = initialize(nn.Conv2d(widths[-1], channels, 1, bias=False))

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        x = z if self.embed is None else torch.cat([z, self.embed(labels)], dim=1)
        for stage in self.stages:
            x = stage(x)
        images: Tensor = self.image(x)
        return images


class Discriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,) int64, or None without classes, to scores (N, 1).

    With classes, the score is the inner product of the features with the label's vector, and nothing else (Miyato &
    Koyama 2018, eq. 3, without its unconditional part). ``stages`` are in the order of the computation, from the image.
    """

    def __init__(self, channels: int, num_classes: int, sizes: Architecture) -> None:
        super().__init__()
        widths = sizes.widths[::-1]
        outputs = widths[-1] if num_classes else 1
        transitions = [*(Down(*pair) for pair in pairwise(widths)), Head(widths[-1], outputs, sizes.sizes[0])]
        self.image = initialize(nn.Conv2d(channels, widths[0], 1, bias=False))
        self.stages = nn.ModuleList(
            DiscriminatorStage(sizes.residual_blocks(width), transition)
            for width, transition in zip(widths, transitions, strict=True)
        )
        self.embed = nn.Embedding(num_classes, outputs) if num_classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=(num_classes * outputs) ** -0.5)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        x: Tensor = self.image(images)
        for stage in self.stages:
            x = stage(x)
        return x if self.embed is None else (x * self.embed(labels)).sum(1, keepdim=True)


def upsample(x: Tensor) -> Tensor:
    """Bilinear, by 2 in both directions, with zeros beyond the edges."""
    kernel = 4 * _kernel(x)
    return conv_transpose2d(x, kernel, stride=2, padding=1, groups=x.shape[1])


def downsample(x: Tensor) -> Tensor:
    """By 2 in both directions, rounded up, with the filter of ``upsample`` and zeros beyond the edges."""
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        x = pad(x, (0, width % 2, 0, height % 2))
    return conv2d(x, _kernel(x), stride=2, padding=1, groups=x.shape[1])


def _kernel(x: Tensor) -> Tensor:
    """[1, 3, 3, 1] / 8 in both directions, which is [1, 2, 1] after the doubling of a pixel: (channels, 1, 4, 4)."""
    line = (2 - (torch.arange(4, device=x.device, dtype=x.dtype) - 1.5).abs()) / 4
    return (line[:, None] * line).expand(x.shape[1], 1, 4, 4)


def initialize(layer: Layer, gain: float = 1.0) -> Layer:
    """Normal weights of standard deviation gain / sqrt(fan-in), and a bias of 0: variance is kept for a gain of 1."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
