"""A generator of stripes, whose anomaly scores can be computed by hand."""

import torch
from torch import nn

from genaug.backends import Backend, BackendConfig, Normal, Spec
from genaug.modalities import Image
from genaug.sources.generator import Generator

SHAPE = (1, 6, 6)


class Painted(Backend):
    """All rows of an image are tanh of the latent, darker by the label."""

    Config = BackendConfig

    def build(self, config, spec):
        return nn.ModuleDict(
            {"generator": nn.Flatten(), "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(36, 3))}
        )

    def generate(self, nets, inputs):
        shift = 0 if inputs.labels is None else inputs.labels[:, None] * 0.5
        return (nets["generator"](inputs.latents["z"]).tanh() - shift)[:, None, None, :].expand(-1, 1, 6, 6)


class Stripes(Painted):
    """It also encodes images, by the mean of each column."""

    def encode(self, nets, x, labels):
        shift = 0 if labels is None else labels[:, None] * 0.5
        return {"z": (x.mean(2)[:, 0] + shift).clamp(-0.999, 0.999).atanh()}


class Judged(Painted):
    """Instead, its discriminator scores images, by how little a column varies."""

    keeps = ("generator", "discriminator")

    def score(self, nets, x, labels):
        nets["discriminator"](x)
        return -(x - x.mean(2, keepdim=True)).square().flatten(1).mean(1) - (0 if labels is None else labels)

    def discriminator_blocks(self, nets):
        return [nets["discriminator"][1]]


def generator_of(backend_class=Stripes, classes=None, **training):
    spec = Spec(sample=Image(*SHAPE), classes=classes, latents=(Normal(size=6),))
    backend = backend_class()
    torch.manual_seed(0)
    nets = backend.build(None, spec)
    kept = nn.ModuleDict({role: nets[role] for role in backend.keeps})
    return Generator("stripes", backend, BackendConfig(), spec, kept, training)


def stripes(count, seed=0, noise=10):
    """Normal images, uint8: vertical stripes with a little noise."""
    rng = torch.Generator().manual_seed(seed)
    columns = torch.randint(20, 236, (count, 1, 1, 6), generator=rng)
    return (columns + torch.randint(-noise, noise + 1, (count, *SHAPE), generator=rng)).clamp(0, 255).to(torch.uint8)


def bars(count, seed=1):
    """Anomalous images, uint8: horizontal stripes."""
    return stripes(count, seed).transpose(2, 3).contiguous()


def column_variance(images):
    """The score that ``Stripes`` and the method "reconstruction" give: pixels are from 0 to 1."""
    x = images.double() / 255
    return (x - x.mean(2, keepdim=True)).square().flatten(1).mean(1)
