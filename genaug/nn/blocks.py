"""Convolutional building blocks for backends, for images of any shape (after DCGAN, Radford et al. 2016).

A backend may use them or its own; nothing else in genaug depends on them.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

SLOPE = 0.2


def stage_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Feature map sizes from the smallest, whose shorter side is 4 to 7 pixels, to the image's.

    Each is half of the next, rounded up: 28 gives 7, 14, 28; 27 gives 7, 14, 27; a side below 8 gives one size.
    """
    sizes = [(height, width)]
    while min(sizes[-1]) >= 8:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def stage_widths(stages: int, base: int, widest: int) -> list[int]:
    """Channels from the smallest feature map to the image's: ``base`` at the image, doubled at each halving."""
    return [min(widest, base * 2**i) for i in range(stages)][::-1]


class ClassNorm(nn.Module):
    """Batch normalization with a gain and an offset per class (de Vries et al. 2017); one pair without labels."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(max(1, num_classes), channels)
        self.offset = nn.Embedding(max(1, num_classes), channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.offset.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            labels = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        normalized: Tensor = self.norm(x)
        # In the feature map's dtype: under autocast, a float32 gain would make float32 of a bfloat16 map.
        gain, offset = (each(labels)[:, :, None, None].to(normalized.dtype) for each in (self.gain, self.offset))
        return torch.addcmul(offset, normalized, gain)


class Stem(nn.Module):
    """Latents (N, latent_size) and labels (N,) int64, or None without classes, to the smallest feature map.

    The label enters after the normalization, as a learned map per class. When it entered before, its share grew until
    the normalization left little of the latent's, and all samples of a class looked the same.
    """

    def __init__(self, latent_size: int, num_classes: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.project = nn.Linear(latent_size, channels * math.prod(size))
        self.norm = ClassNorm(channels, num_classes)
        self.maps = nn.Embedding(num_classes, channels * math.prod(size)) if num_classes else None
        if self.maps is not None:
            nn.init.zeros_(self.maps.weight)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The feature map before its activation."""
        x: Tensor = self.norm(self.project(z).unflatten(1, (-1, *self.size)), labels)
        if self.maps is not None:
            x = x + self.maps(labels).unflatten(1, (-1, *self.size)).to(x.dtype)
        return x


class UpStage(nn.Module):
    """An activated feature map to one with sides twice as long, cropped to ``size``, before its activation."""

    def __init__(self, before: int, after: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.size = size
        self.up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
        self.norm = ClassNorm(after, num_classes)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        height, width = self.size
        larger: Tensor = self.norm(self.up(x)[:, :, :height, :width], labels)
        return larger


class Trunk(nn.Module):
    """Latents (N, latent_size) and labels (N,), or None, to a feature map, through stages of these sizes."""

    def __init__(self, latent_size: int, num_classes: int, sizes: list[tuple[int, int]], widths: list[int]) -> None:
        super().__init__()
        self.stem = Stem(latent_size, num_classes, widths[0], sizes[0])
        self.stages = nn.ModuleList(
            UpStage(before, after, size, num_classes)
            for (before, after), size in zip(pairwise(widths), sizes[1:], strict=True)
        )

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return leaky_relu(self.features(z, labels), SLOPE)

    def features(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The last feature map before its activation, (N, ``widths[-1]``, ``*sizes[-1]``)."""
        x: Tensor = self.stem(z, labels)
        for stage in self.stages:
            x = stage(leaky_relu(x, SLOPE), labels)
        return x


class ConvGenerator(Trunk):
    """Latents (N, latent_size) and labels (N,), or None, to images in [-1, 1] of shape (N, C, H, W).

    ``binary`` says that these are the expected pixels of black-and-white images (``genaug.nn.binary``).
    """

    binary: bool = False

    def __init__(self, shape: tuple[int, ...], num_classes: int, latent_size: int, base: int, widest: int) -> None:
        channels, height, width = shape
        sizes = stage_sizes(height, width)
        widths = stage_widths(len(sizes), base, widest)
        super().__init__(latent_size, num_classes, sizes, widths)
        self.image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.to_image(self.features(z, labels))

    def to_image(self, features: Tensor) -> Tensor:
        """The last feature map, before its activation, to images."""
        return torch.tanh(self.image(leaky_relu(features, SLOPE)))


class ResidualBlock(nn.Module):
    """A feature map (N, ``width``, H, W) plus what two 3x3 convolutions make of it; there is no normalization."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.second(leaky_relu(self.first(x), SLOPE)))


class ConvFeatures(nn.Module):
    """Images (N, C, H, W) to features (N, ``width``): the body of a discriminator.

    Strided convolutions while the shorter side is 6 pixels or more. Without ``normalized``, a score depends only on its
    own image, as gradient penalties require; with it, there is batch normalization after all convolutions but the
    first, as in DCGAN. There is no hidden layer after the convolutions: the penalty was less stable with one.
    """

    def __init__(self, shape: tuple[int, ...], base: int, widest: int, *, normalized: bool = False) -> None:
        super().__init__()
        channels, height, width = shape
        convs: list[nn.Conv2d] = []
        while min(height, width) >= 6:
            after = min(widest, 2 * base * 2 ** len(convs))
            convs.append(nn.Conv2d(channels, after, 4, stride=2, padding=1, bias=not (normalized and convs)))
            channels, height, width = after, height // 2, width // 2
        if not convs:
            convs.append(nn.Conv2d(channels, 2 * base, 3, padding=1))
            channels = 2 * base
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(conv.out_channels) if normalized and i else nn.Identity() for i, conv in enumerate(convs)
        )
        self.width = channels * height * width

    @property
    def blocks(self) -> list[nn.Module]:
        """The convolutions, each with its normalization, from the images on."""
        return [nn.ModuleList(pair) for pair in zip(self.convs, self.norms, strict=True)]

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = leaky_relu(norm(conv(x)), SLOPE)
        return x.flatten(1)


class ProjectionDiscriminator(nn.Module):
    """Images (N, C, H, W) and labels (N,) int64, or None without classes, to one score each, shape (N, 1).

    The score is an unconditional part plus an inner product of the features with the label's embedding (Miyato & Koyama
    2018, eq. 3). Without normalization, a score depends only on its own image, so this also works as a critic.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, base: int, widest: int) -> None:
        super().__init__()
        self.body = ConvFeatures(shape, base, widest)
        self.score = nn.Linear(self.body.width, 1)
        self.embed = nn.Embedding(num_classes, self.body.width) if num_classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=self.body.width**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        features = self.body(images)
        score: Tensor = self.score(features)
        if self.embed is not None:
            score = score + (self.embed(labels) * features).sum(1, keepdim=True)
        return score
