"""The networks of a thesis's kick-off on generative data augmentation with MAD-GAN: 28x28x1, no labels.

``with_thesis_networks()`` is the plugin with these networks, and ``OPTIONS`` are those of the kick-off.
Its tables give layers and parameter counts. What they leave open is that of the Keras DCGAN example whose layers they
are: slope 0.3, dropout 0.3, batch normalization with epsilon 1e-3 and momentum 0.99.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.papers.points import Unlabelled, with_networks
from genaug.backends import Backend
from genaug_mad_gan.networks import MultiGenerator

SHAPE = (1, 28, 28)
OPTIONS: dict[str, Any] = {
    "generators": 5,
    "latent_size": 256,
    "loss": "madgan",
    "full_batch": True,
    "gamma": 0.0,
    "lr": 2e-4,  # the kick-off leaves the optimizer open
    "decay": 0.0,
    "beta1": 0.5,
    "beta2": 0.999,
    "conditional": False,
}

_SLOPE = 0.3


def thesis_generator(latent_size: int) -> Unlabelled:
    """Latents (N, latent_size) to images (N, 1, 28, 28): 4,262,336 trainable parameters for 256 latent dimensions."""
    return Unlabelled(
        nn.Linear(latent_size, 256 * 7 * 7, bias=False),
        nn.BatchNorm1d(256 * 7 * 7, eps=1e-3, momentum=0.01),
        nn.LeakyReLU(_SLOPE),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, padding=2, bias=False),
        nn.BatchNorm2d(128, eps=1e-3, momentum=0.01),
        nn.LeakyReLU(_SLOPE),
        nn.ConvTranspose2d(128, 64, 5, stride=2, padding=2, output_padding=1, bias=False),
        nn.BatchNorm2d(64, eps=1e-3, momentum=0.01),
        nn.LeakyReLU(_SLOPE),
        nn.ConvTranspose2d(64, 1, 5, stride=2, padding=2, output_padding=1, bias=False),
        nn.Tanh(),
    )


def thesis_discriminator(generators: int) -> Unlabelled:
    """Images (N, 1, 28, 28) to k + 1 raw outputs: 244,230 parameters for k = 5."""
    return Unlabelled(
        nn.Conv2d(1, 64, 5, stride=2, padding=2),
        nn.LeakyReLU(_SLOPE),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, 5, stride=2, padding=2),
        nn.LeakyReLU(_SLOPE),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(128 * 7 * 7, generators + 1),
    )


class SeparateHeads(nn.Module):
    """A separate head for each generator: ``networks[i](features, labels)``."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, parts: Sequence[Tensor], members: Sequence[int], labels: Tensor | None) -> Tensor:
        return torch.cat([self.networks[member](part, None) for member, part in zip(members, parts, strict=True)])


def with_thesis_networks(generators: int = OPTIONS["generators"], latent_size: int = OPTIONS["latent_size"]) -> Backend:
    """``mad-gan`` with the kick-off's networks, for images of ``SHAPE`` and as many generators as its config says.

    A generator normalizes over its own samples, so it needs at least two of them in each step.
    """

    def heads() -> nn.Module:
        networks = [thesis_generator(latent_size) for _ in range(generators)]
        return MultiGenerator(generators, Unlabelled(), SeparateHeads(networks))

    return with_networks("mad-gan", heads, lambda: thesis_discriminator(generators))
