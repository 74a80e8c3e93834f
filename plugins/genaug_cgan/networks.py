"""Class-conditional convolutional networks that adapt to the data's shape (after DCGAN, Radford et al. 2016)."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

SLOPE = 0.2


def stage_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Feature map sizes from the smallest, whose shorter side is 4 to 7 pixels, to the image's.

    Each is half of the next, rounded up: 28 gives 7, 14, 28; 27 gives 7, 14, 27; below 8 there is one.
    """
    sizes = [(height, width)]
    while min(sizes[-1]) >= 8:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes[::-1]


def stage_widths(stages: int, base: int, widest: int) -> list[int]:
    """Channels from the smallest feature map to the image's: ``base`` at the image, doubled at each halving."""
    return [min(widest, base * 2**i) for i in range(stages)][::-1]


class ClassNorm(nn.Module):
    """Batch normalisation with a gain and an offset for each class (de Vries et al. 2017); one pair without labels."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(max(1, num_classes), channels)
        self.offset = nn.Embedding(max(1, num_classes), channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.offset.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        gain, offset = self.gain(labels)[:, :, None, None], self.offset(labels)[:, :, None, None]
        return torch.addcmul(offset, self.norm(x), gain)


class ConvGenerator(nn.Module):
    """Latents (N, latent_size) and labels (N,) to images in [-1, 1] of any shape."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, latent_size: int, base: int, widest: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.sizes = stage_sizes(height, width)
        widths = stage_widths(len(self.sizes), base, widest)
        self.embed = nn.Embedding(num_classes, latent_size) if num_classes else None
        self.project = nn.Linear(latent_size * (2 if num_classes else 1), widths[0] * math.prod(self.sizes[0]))
        self.norms = nn.ModuleList(ClassNorm(width, num_classes) for width in widths)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False) for before, after in pairwise(widths)
        )
        self.image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            labels = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        if self.embed is not None:
            z = torch.cat([z, self.embed(labels)], dim=1)
        x = self.project(z).unflatten(1, (-1, *self.sizes[0]))
        x = leaky_relu(self.norms[0](x, labels), SLOPE)
        for (height, width), up, norm in zip(self.sizes[1:], self.ups, list(self.norms)[1:], strict=True):
            x = up(x)[:, :, :height, :width]
            x = leaky_relu(norm(x, labels), SLOPE)
        return torch.tanh(self.image(x))


class ProjectionDiscriminator(nn.Module):
    """Images and labels to one score each: an unconditional part plus an inner product with the label's embedding
    (Miyato & Koyama 2018, eq. 3). No normalisation, so that each score depends on its own image only; no hidden layer
    behind the convolutions, with which the gradient penalty was less stable."""

    def __init__(self, shape: tuple[int, int, int], num_classes: int, base: int, widest: int) -> None:
        super().__init__()
        channels, height, width = shape
        convs: list[nn.Module] = []
        while min(height, width) >= 6:
            after = min(widest, 2 * base * 2 ** len(convs))
            convs.append(nn.Conv2d(channels, after, 4, stride=2, padding=1))
            channels, height, width = after, height // 2, width // 2
        if not convs:
            convs.append(nn.Conv2d(channels, 2 * base, 3, padding=1))
            channels = 2 * base
        self.convs = nn.ModuleList(convs)
        features = channels * height * width
        self.score = nn.Linear(features, 1)
        self.embed = nn.Embedding(num_classes, features) if num_classes else None
        if self.embed is not None:
            nn.init.normal_(self.embed.weight, std=features**-0.5)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        x = images
        for conv in self.convs:
            x = leaky_relu(conv(x), SLOPE)
        features = x.flatten(1)
        score: Tensor = self.score(features)
        if self.embed is not None:
            score = score + (self.embed(labels) * features).sum(1, keepdim=True)
        return score
