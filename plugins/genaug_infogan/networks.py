"""A generator that takes codes in addition to noise, and a discriminator whose body also predicts the codes.

Both follow Chen et al. 2016, appendix C.1: a wide dense layer in addition to the convolutions, and batch normalization
in all layers but those next to the image.
"""

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genaug.backends import Categorical, Latent, Spec, Uniform
from genaug.nn.blocks import SLOPE, ConvFeatures, ConvGenerator
from genaug_infogan.information import codes_of, outputs_of

_HIDDEN = 128  # units of Q's head


class CodeGenerator(nn.Module):
    """The spec's latents by name, (N, size) or int64 (N,), to images in [-1, 1] of shape (N, C, H, W).

    With ``modulation``, the continuous codes aren't part of its input: they scale and shift the last feature map,
    between its normalization and its activation.
    """

    def __init__(self, spec: Spec, modulation: bool, hidden: int, base: int, widest: int) -> None:
        super().__init__()
        late = [latent for latent in spec.latents if modulation and isinstance(latent, Uniform)]
        self.input = [latent for latent in spec.latents if latent not in late]
        self.late = [latent.name for latent in late]
        self.hidden = dense(sum(map(_width, self.input)), hidden)
        self.network = ConvGenerator(spec.shape, 0, hidden, base, widest)
        self.modulation: Modulation | None = None
        if late:
            self.modulation = Modulation(sum(latent.dimensions for latent in late), self.network.image.in_channels)

    def forward(self, latents: Mapping[str, Tensor]) -> Tensor:
        parts = [
            one_hot(latents[latent.name], latent.size).float()
            if isinstance(latent, Categorical)
            else latents[latent.name]
            for latent in self.input
        ]
        features = self.network.features(self.hidden(torch.cat(parts, dim=1)), None)
        if self.modulation is not None:
            features = self.modulation(features, torch.cat([latents[name] for name in self.late], dim=1))
        return self.network.to_image(features)


def _width(latent: Latent) -> int:
    """The number of the generator's inputs that a latent takes."""
    return latent.size if isinstance(latent, Categorical) else prod(latent.shape)


class Modulation(nn.Module):
    """Codes (N, size) as a gain and an offset for each channel of a feature map (N, C, H, W), constant over positions
    (Perez et al. 2018, eq. 2). Initialized to gain 1 and offset 0."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor, codes: Tensor) -> Tensor:
        gain, offset = self.linear(codes)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(offset, features, 1 + gain)


class InfoDiscriminator(nn.Module):
    """Images (N, C, H, W) to scores (N, 1) and, for each code, the parameters of Q(c|x). Both share the body.

    In training, real and generated images are separate batches, each with its own statistics.
    """

    def __init__(self, spec: Spec, variance: str, hidden: int, base: int, widest: int) -> None:
        super().__init__()
        features = ConvFeatures(spec.shape, base, widest, normalized=True)
        self.body = nn.Sequential(features, dense(features.width, hidden))
        self.score = nn.Linear(hidden, 1)
        self.hidden = dense(hidden, _HIDDEN)
        self.codes = nn.ModuleDict(
            {code.name: nn.Linear(_HIDDEN, outputs_of(code, variance)) for code in codes_of(spec)}
        )

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.body(images)
        hidden = self.hidden(features)
        return self.score(features), {name: head(hidden) for name, head in self.codes.items()}


def dense(before: int, after: int) -> nn.Sequential:
    """A dense layer, (N, before) to (N, after), with batch normalization."""
    return nn.Sequential(nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.LeakyReLU(SLOPE))
