"""Coupled networks: generators that share all layers but the last, discriminators that share all but the first.

After Liu & Tuzel 2016, supplementary tables of the domain adaptation experiment, for images of any size from 4 pixels.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from genaug.nn.blocks import ConvFeatures, Trunk, stage_sizes, stage_widths

KERNEL = 5
_SMALLEST = 8  # the shorter side of a map that is halved once more
_SECOND, _HIDDEN = 2.5, 25  # widths of the discriminators' second and last hidden layer: 20, 50 and 500 in the paper


class DomainConv(nn.Module):
    """A 5x5 convolution per domain: maps (N, before, H, W) to (N, domains, after, H, W).

    All domains are computed for all rows: the layers that aren't shared are small, and a row's result then doesn't
    depend on the others. Weights have one entry per domain, so that fine-tuning can match domains.
    """

    def __init__(self, domains: int, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        bound = 1 / math.sqrt(before * KERNEL**2)  # as in nn.Conv2d
        self.weight = nn.Parameter(torch.empty(domains, after, before * KERNEL**2).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(domains, after).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.flatten(0, 1).unflatten(1, (self.before, KERNEL, KERNEL))
        maps: Tensor = conv2d(x, weight, self.bias.flatten(), padding=KERNEL // 2).unflatten(1, self.bias.shape)
        return maps


def chosen(values: Tensor, domains: Tensor) -> Tensor:
    """Of values (N, domains, ...), those of each row's domain, (N, ...)."""
    return values[torch.arange(len(values), device=values.device), domains]


class CoupledGenerator(nn.Module):
    """Latents (N, size) to images in [-1, 1]: a shared trunk, and one image layer per domain."""

    def __init__(self, domains: int, shape: tuple[int, ...], latent_size: int, base: int, widest: int) -> None:
        super().__init__()
        channels, height, width = shape
        sizes = stage_sizes(height, width)
        widths = stage_widths(len(sizes), base, widest)
        self.trunk = Trunk(latent_size, 0, sizes, widths)
        self.image = DomainConv(domains, widths[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        """The images of each latent in all domains, (N, domains, C, H, W)."""
        return torch.tanh(self.image(self.trunk(z, None)))


class CoupledDiscriminator(nn.Module):
    """Images (N, C, H, W) and domains (N,) to scores (N,), features (N, F) and class logits, (N, classes) or None.

    A convolution per domain, then shared ones, each followed by max pooling, then a hidden layer, the features.
    ``of_domain`` is another network, which tells the domains of images apart, (N, domains): a classifier needs it for
    images whose domain isn't known.
    """

    def __init__(self, domains: int, classes: int, shape: tuple[int, ...], base: int, widest: int) -> None:
        super().__init__()
        channels, *size = shape
        halvings = 1
        while min(size) // 2**halvings >= _SMALLEST or halvings < 2:
            halvings += 1
        widths = [min(widest, base)]
        widths += [min(widest, round(_SECOND * base) * 2**i) for i in range(halvings - 1)]
        self.first = DomainConv(domains, channels, widths[0])
        self.convs = nn.ModuleList(nn.Conv2d(*pair, KERNEL, padding=KERNEL // 2) for pair in pairwise(widths))
        self.pool = nn.MaxPool2d(2)
        positions = math.prod(side // 2**halvings for side in size)
        features = _HIDDEN * base
        self.hidden = nn.Sequential(nn.Linear(widths[-1] * positions, features), nn.PReLU())
        self.score = nn.Linear(features, 1)
        self.classify = nn.Linear(features, classes) if classes else None
        body = ConvFeatures(shape, base, widest)
        self.of_domain = nn.Sequential(body, nn.Linear(body.width, domains)) if classes else nn.Identity()

    def forward(self, images: Tensor, domains: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x = self.pool(chosen(self.first(images), domains))
        for conv in self.convs:
            x = self.pool(conv(x))
        features = self.hidden(x.flatten(1))
        return self.score(features).squeeze(1), features, None if self.classify is None else self.classify(features)


def pair_distance(features: Tensor) -> Tensor:
    """E |h_1 - h_2|² for the features of the images of a latent, (N, domains, F); with more than two domains, the mean
    over all pairs of domains."""
    around = features - features.mean(1, keepdim=True)
    return 2 / (features.shape[1] - 1) * around.square().sum((1, 2)).mean()
