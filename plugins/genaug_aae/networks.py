"""Encoders to codes and classes, decoders, and the discriminators of both.

The dense networks follow Makhzani et al. 2015, appendix A; there is batch normalization in the encoder.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot

from genaug.nn.blocks import SLOPE, ConvFeatures, ConvGenerator


class Encoder(nn.Module):
    """Images (N, C, H, W) in [-1, 1] to codes (N, latent_size) and class logits (N, K), or None without classes.

    ``body`` maps images to ``width`` features each. The label isn't an input, so that the classes can be predicted.
    """

    def __init__(self, body: nn.Module, width: int, latent_size: int, num_classes: int) -> None:
        super().__init__()
        self.body, self.code = body, nn.Linear(width, latent_size)
        self.category = nn.Linear(width, num_classes) if num_classes else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.body(images)
        return self.code(features).float(), None if self.category is None else self.category(features).float()


class Decoder(nn.Module):
    """Codes (N, latent_size) and labels (N,) int64, or None without classes, to images (N, C, H, W) in [-1, 1].

    ``body`` maps codes, followed by the probabilities of ``num_classes`` classes, to the log-odds of white.
    """

    def __init__(self, body: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.body, self.num_classes = body, num_classes

    def log_odds(self, code: Tensor, category: Tensor | None) -> Tensor:
        """The last layer's values, float32 (N, C, H, W); ``category`` are probabilities (N, K)."""
        values: Tensor = self.body(code if category is None else torch.cat([code, category], dim=1))
        return values.float()

    def forward(self, code: Tensor, labels: Tensor | None) -> Tensor:
        category = None
        if labels is not None and self.num_classes:
            category = one_hot(labels, self.num_classes).to(code.dtype)
        return torch.tanh(self.log_odds(code, category) / 2)  # tanh(x / 2) is 2 sigmoid(x) - 1


class ConvBody(ConvGenerator):
    """The convolutional generator up to its last convolution: rows (N, inputs) to values (N, C, H, W)."""

    def __init__(self, inputs: int, shape: tuple[int, ...], base: int, widest: int) -> None:
        super().__init__(shape, 0, inputs, base, widest)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return cast("Tensor", self.image(leaky_relu(self.features(z, labels), SLOPE)))


def conv_networks(
    shape: tuple[int, ...], base: int, widest: int, latent_size: int, num_classes: int
) -> dict[str, nn.Module]:
    """Encoder and decoder with strided convolutions; ``base`` channels at the image's side, at most ``widest``."""
    features = ConvFeatures(shape, base, widest, normalized=True)
    return {
        "generator": Decoder(ConvBody(latent_size + num_classes, shape, base, widest), num_classes),
        "encoder": Encoder(features, features.width, latent_size, num_classes),
    }


def dense_networks(
    shape: tuple[int, ...], widths: Sequence[int], latent_size: int, num_classes: int
) -> dict[str, nn.Module]:
    """Encoder with hidden layers of these widths, and a decoder with them in reverse order."""
    pixels, reverse = prod(shape), widths[::-1]
    body = nn.Sequential(nn.Flatten(), *dense(pixels, widths, normalized=True))
    decoding = [*dense(latent_size + num_classes, reverse), nn.Linear(reverse[-1], pixels), nn.Unflatten(1, shape)]
    return {
        "generator": Decoder(nn.Sequential(*decoding), num_classes),
        "encoder": Encoder(body, widths[-1], latent_size, num_classes),
    }


def code_discriminator(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Codes or probabilities (N, inputs) to the logits (N, 1) of being drawn from the prior."""
    return nn.Sequential(*dense(inputs, widths), nn.Linear(widths[-1], 1))


def dense(inputs: int, widths: Sequence[int], *, normalized: bool = False) -> list[nn.Module]:
    """Dense layers with ReLU, after batch normalization if ``normalized``."""
    layers: list[nn.Module] = []
    for before, after in pairwise([inputs, *widths]):
        layers += [nn.Linear(before, after), *([nn.BatchNorm1d(after)] if normalized else []), nn.ReLU()]
    return layers
