"""A generator that takes codes beside its noise, and a discriminator whose body also reads the codes off an image.

Both are built like those of Chen et al. 2016, appendix C.1: a wide dense layer next to the convolutions, and batch
normalisation everywhere but at the images' side.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genaug.networks import SLOPE, ConvFeatures, ConvGenerator
from genaug.spec import Spec
from genaug_infogan.information import codes_of, outputs_of

_HIDDEN = 128  # of Q's own head


class CodeGenerator(nn.Module):
    """The spec's latents by name, (N, size) or int64 (N,), to images in [-1, 1] of shape (N, C, H, W)."""

    def __init__(self, spec: Spec, hidden: int, base: int, widest: int) -> None:
        super().__init__()
        self.latents = spec.latents
        self.hidden = dense(sum(latent.size for latent in spec.latents), hidden)
        self.network = ConvGenerator(spec.shape, 0, hidden, base, widest)

    def forward(self, latents: Mapping[str, Tensor]) -> Tensor:
        parts = [
            one_hot(latents[latent.name], latent.size).float() if latent.kind == "categorical" else latents[latent.name]
            for latent in self.latents
        ]
        images: Tensor = self.network(self.hidden(torch.cat(parts, dim=1)), None)
        return images


class InfoDiscriminator(nn.Module):
    """Images (N, C, H, W) to scores (N, 1) and, for each code, the numbers that describe Q(c|x). Both share the body.

    In training real and generated images are batches of their own, each normalised by itself.
    """

    def __init__(self, spec: Spec, variance: str, hidden: int, base: int, widest: int) -> None:
        super().__init__()
        features = ConvFeatures(spec.shape, base, widest, normalised=True)
        self.body = nn.Sequential(features, dense(features.width, hidden))
        self.score = nn.Linear(hidden, 1)
        self.hidden = dense(hidden, _HIDDEN)
        self.codes = nn.ModuleDict(
            {code.name: nn.Linear(_HIDDEN, outputs_of(code, variance)) for code in codes_of(spec)}
        )

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.body(images)
        hidden = self.hidden(features)
        return self.score(features), {name: read(hidden) for name, read in self.codes.items()}


def dense(before: int, after: int) -> nn.Sequential:
    """A dense layer, (N, before) to (N, after), normalised over the batch."""
    return nn.Sequential(nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.LeakyReLU(SLOPE))
