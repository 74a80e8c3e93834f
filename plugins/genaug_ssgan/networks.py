"""Discriminators with one output per class, weight normalization and Gaussian noise, and generators for them.

The networks for digits follow Salimans et al. 2016, section 6.1 and the authors' code. Their scales are set by the
first batch; here they are fixed, so that processes that train together begin with the same weights.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu, softplus
from torch.nn.utils.parametrizations import weight_norm

from genaug.nn.blocks import SLOPE, stage_widths

_PIXEL_VARIANCE = 0.1  # of images in [0, 1], roughly: MNIST 0.07, CIFAR-10 0.06, the embedded digits 0.14
_FEATURE_VARIANCE = 0.34  # of relu(x), x ~ N(0, 1): 1/2 - 1/(2 pi)


def normalized(layer: nn.Linear | nn.Conv2d, gain: float, *, learned: bool = False) -> nn.Module:
    """The layer with weight vectors of length ``gain`` per unit: w = g v / |v| (Salimans & Kingma 2016, eq. 2).

    The gain is learned only if ``learned``. Inputs of the variance 1 / gain² have outputs of the variance 1 at first.
    """
    nn.init.normal_(layer.weight, std=0.1)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    weight = weight_norm(layer).parametrizations["weight"]
    gains = torch.full_like(weight.original0, gain)
    if learned:
        weight.original0 = nn.Parameter(gains)
    else:
        del weight.original0
        weight.register_buffer("original0", gains)
    return layer


class Noise(nn.Module):
    """Adds N(0, sigma²) to every value, in training only."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sigma * torch.randn_like(x) if self.training and self.sigma else x


class Discriminator(nn.Module):
    """Images in [-1, 1], (N, C, H, W), to class logits (N, K) and the features (N, F) that the generator matches.

    Features are the last hidden layer, before its noise. Noise is added to the images, scaled to [0, 1], and after
    every hidden layer. Subclasses have ``layers`` and say how wide their features are.
    """

    layers: nn.ModuleList

    def __init__(self, width: int, num_classes: int, input_noise: float, hidden_noise: float) -> None:
        super().__init__()
        self.input_noise, self.hidden_noise = Noise(input_noise), Noise(hidden_noise)
        gain = _gain(_FEATURE_VARIANCE, hidden_noise)
        self.logits = normalized(nn.Linear(width, num_classes), gain, learned=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(self.input_noise((images + 1) / 2))
        return self.logits(self.hidden_noise(features)), features

    def features(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class DenseDiscriminator(Discriminator):
    """Dense layers of these widths."""

    def __init__(
        self, shape: tuple[int, ...], num_classes: int, widths: Sequence[int], input_noise: float, hidden_noise: float
    ) -> None:
        super().__init__(widths[-1], num_classes, input_noise, hidden_noise)
        gains = [_gain(_PIXEL_VARIANCE, input_noise)] + [_gain(_FEATURE_VARIANCE, hidden_noise)] * (len(widths) - 1)
        sizes = pairwise([prod(shape), *widths])
        self.layers = nn.ModuleList(
            normalized(nn.Linear(before, after), gain) for (before, after), gain in zip(sizes, gains, strict=True)
        )

    def features(self, x: Tensor) -> Tensor:
        x = relu(self.layers[0](x.flatten(1)))
        for layer in self.layers[1:]:
            x = relu(layer(self.hidden_noise(x)))
        return x


class ConvDiscriminator(Discriminator):
    """Stages of a convolution and one with stride 2, while the shorter side is 6 pixels or more; then the mean over
    positions. ``base`` channels at the image's side are doubled at each halving, up to ``widest``."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_classes: int,
        base: int,
        widest: int,
        input_noise: float,
        hidden_noise: float,
    ) -> None:
        channels, height, width = shape
        halvings = 0
        while min(height, width) // 2**halvings >= 6:
            halvings += 1
        widths = stage_widths(halvings + 1, base, widest)[::-1]
        super().__init__(widths[-1], num_classes, input_noise, hidden_noise)
        first = nn.Conv2d(channels, base, 3, padding=1)
        self.layers = nn.ModuleList([normalized(first, _gain(_PIXEL_VARIANCE, input_noise))])
        for before, after in pairwise(widths):
            halving, conv = nn.Conv2d(before, after, 3, stride=2, padding=1), nn.Conv2d(after, after, 3, padding=1)
            self.layers.append(normalized(halving, _gain(_FEATURE_VARIANCE, 0)))
            self.layers.append(normalized(conv, _gain(_FEATURE_VARIANCE, hidden_noise)))

    def features(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = leaky_relu(layer(x), SLOPE)
            x = self.hidden_noise(x) if layer.stride == (2, 2) else x
        return x.mean((2, 3))


class DenseGenerator(nn.Module):
    """Latents (N, latent_size) and labels (N,) int64 to images in [-1, 1], (N, C, H, W).

    Softplus and batch normalization, and an output with normalized weights. The label is a learned offset per class
    after the first normalization, where it can't take the latents' share of the variance.
    """

    def __init__(self, shape: tuple[int, ...], num_classes: int, latent_size: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.shape = shape
        sizes = list(pairwise([latent_size, *widths]))
        layers = [nn.Linear(before, after, bias=False) for before, after in sizes]
        for layer in layers:
            nn.init.normal_(layer.weight, std=0.05)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for _, after in sizes)
        self.label = nn.Embedding(num_classes, widths[0])
        self.image = normalized(nn.Linear(widths[-1], prod(shape)), 1.0, learned=True)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = z
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x))
            x = softplus(x + self.label(labels) if index == 0 else x)
        images: Tensor = torch.tanh(self.image(x) / 2).unflatten(1, self.shape)  # 2 sigmoid(x) - 1
        return images


def _gain(variance: float, sigma: float) -> float:
    """The gain with which inputs of this variance, and noise, have outputs of the variance 1."""
    return float((variance + sigma**2) ** -0.5)
