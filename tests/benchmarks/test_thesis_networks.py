"""The networks of the thesis's kick-off: its tables, and a few steps of training."""

import torch
from torch import nn

from benchmarks.papers.thesis_networks import (
    OPTIONS,
    SHAPE,
    thesis_discriminator,
    thesis_generator,
    with_thesis_networks,
)
from genaug.backends import Spec
from genaug.data.reading import Samples
from genaug.modalities import Image
from genaug.sources.generator import Generator
from genaug.training.trainer import Trainer
from genaug_mad_gan.backend import MADGANConfig


def test_they_have_the_parameters_of_the_kick_off():
    backend, config = with_thesis_networks(), MADGANConfig(**OPTIONS)
    spec = backend.describe(config, Spec(sample=Image(*SHAPE), classes=10))
    assert [latent.size for latent in spec.latents] == [256, 5]
    nets = backend.build(config, spec)
    networks = nets["generator"].heads.networks
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [4_262_336] * 5
    assert sum(p.numel() for p in nets["generator"].parameters()) == 5 * 4_262_336
    assert sum(b.numel() for n, b in networks[0].named_buffers() if "running" in n) == 25_472
    assert sum(p.numel() for p in nets["discriminator"].parameters()) == 244_230


def test_their_layers_have_the_shapes_of_the_kick_off():
    def shapes(network, x):
        inputs = []
        for layer in network:
            x = layer(x)
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Flatten | nn.Unflatten):
                inputs.append(tuple(x.shape[1:]))
        return inputs

    generated = shapes(thesis_generator(256), torch.randn(2, 256))
    assert generated == [(12544,), (256, 7, 7), (128, 7, 7), (64, 14, 14), (1, 28, 28)]
    assert shapes(thesis_discriminator(5), torch.randn(2, *SHAPE)) == [(64, 14, 14), (128, 7, 7), (6272,), (6,)]


def test_the_plugin_trains_them():
    config = MADGANConfig(**{**OPTIONS, "generators": 2, "latent_size": 8})
    images = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8)
    data = Samples(images, torch.tensor([0, 1, 0, 1]), Spec(sample=Image(*SHAPE), classes=2))
    backend = with_thesis_networks(2, 8)
    trainer = Trainer(backend, config, data, batch_size=4)
    before = [p.clone() for p in trainer.nets.parameters()]
    log = trainer.step(0)
    assert all(value.isfinite() for value in log.values())
    assert not any(torch.equal(p, q) for p, q in zip(before, trainer.nets.parameters(), strict=True))
    samples, _ = Generator("mad-gan", backend, config, trainer.spec, trainer.averaged(), {}).sample(3, seed=0)
    assert samples.shape == (3, *SHAPE)
