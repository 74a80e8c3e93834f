"""Encoders and decoders of three kinds, for images of any shape.

There is no batch normalization: a code depends only on its own image, and an image only on its own code.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, one_hot

from genaug.backends import BackendConfig
from genaug.backends.options import Decay, LatentSize, LearningRate, MaxWidth, Width
from genaug.nn.blocks import SLOPE, ConvFeatures, stage_sizes, stage_widths

DEPTH = {"mlp": 1, "deep": 3}  # hidden layers of the encoder and of the decoder


class NetworkConfig(BackendConfig):
    """The options that both backends have."""

    kind: Annotated[
        Literal["conv", "mlp", "deep"],
        Field(description="networks: convolutional, or fully connected with one or three hidden layers"),
    ] = "conv"
    latent_size: LatentSize = 32
    hidden: Annotated[int, Field(ge=4, le=8192, description="units of each hidden layer of mlp and deep")] = 512
    width: Annotated[Width, Field(description="channels of conv at the image's side; doubled at each halving")] = 32
    max_width: Annotated[MaxWidth, Field(description="most channels of any layer of conv")] = 256
    lr: LearningRate = 1e-3
    decay: Decay = 0.5


class Encoder(nn.Module):
    """Images (N, C, H, W) in [-1, 1] and labels (N,) int64, or None without classes, to (N, outputs), float32.

    The label enters as a further input channel, learned per class.
    """

    def __init__(self, config: NetworkConfig, shape: tuple[int, ...], num_classes: int, outputs: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.size = (height, width)
        self.planes = nn.Embedding(num_classes, height * width) if num_classes else None
        shape = (channels + (num_classes > 0), height, width)
        if config.kind == "conv":
            features = ConvFeatures(shape, config.width, config.max_width)
            self.body: nn.Module = features
            inputs = features.width
        else:
            self.body = dense(torch.Size(shape).numel(), config)
            inputs = config.hidden
        self.code = nn.Linear(inputs, outputs)

    def forward(self, images: Tensor, labels: Tensor | None) -> Tensor:
        if self.planes is not None:
            plane = self.planes(labels).unflatten(1, (1, *self.size))
            images = torch.cat([images, plane.to(images.dtype)], dim=1)
        code: Tensor = self.code(self.body(images))
        return code.float()


class Decoder(nn.Module):
    """Latents (N, latent_size) and labels (N,) int64, or None without classes, to images in [-1, 1], (N, C, H, W).

    The label enters as further latents, one per class. What ``output`` returns are the log-odds of white if
    ``log_odds``, otherwise pixels that may leave [-1, 1]: the gradient of a squared error vanishes for pixels that a
    bounded function has driven to black.
    """

    def __init__(self, config: NetworkConfig, shape: tuple[int, ...], num_classes: int, log_odds: bool) -> None:
        super().__init__()
        self.num_classes, self.log_odds = num_classes, log_odds
        inputs = config.latent_size + num_classes
        if config.kind == "conv":
            self.body: nn.Module = ConvDecoder(inputs, shape, config.width, config.max_width)
        else:
            pixels = nn.Linear(config.hidden, torch.Size(shape).numel())
            self.body = dense(inputs, config).extend([pixels, nn.Unflatten(1, shape)])

    def output(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The last layer's values, float32 (N, C, H, W)."""
        if labels is not None and self.num_classes:
            z = torch.cat([z, one_hot(labels, self.num_classes).to(z.dtype)], dim=1)
        values: Tensor = self.body(z)
        return values.float()

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        values = self.output(z, labels)
        return torch.tanh(values / 2) if self.log_odds else values.clamp(-1, 1)  # tanh(x / 2) is 2 sigmoid(x) - 1


class ConvDecoder(nn.Module):
    """Rows (N, inputs) to feature maps (N, C, H, W), through stages that double their sides."""

    def __init__(self, inputs: int, shape: tuple[int, ...], base: int, widest: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.sizes = stage_sizes(height, width)
        widths = stage_widths(len(self.sizes), base, widest)
        self.first = nn.Linear(inputs, widths[0] * torch.Size(self.sizes[0]).numel())
        self.stages = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1) for before, after in pairwise(widths)
        )
        self.image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, rows: Tensor) -> Tensor:
        x = leaky_relu(self.first(rows), SLOPE).unflatten(1, (-1, *self.sizes[0]))
        for stage, (height, width) in zip(self.stages, self.sizes[1:], strict=True):
            x = leaky_relu(stage(x)[:, :, :height, :width], SLOPE)
        image: Tensor = self.image(x)
        return image


def dense(inputs: int, config: NetworkConfig) -> nn.Sequential:
    """Hidden layers of ``mlp`` and ``deep``: (N, ...) with ``inputs`` values each, to (N, hidden)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([inputs, *[config.hidden] * DEPTH[config.kind]]):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)
