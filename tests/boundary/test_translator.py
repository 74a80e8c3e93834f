"""The contract of a backend allows a translator (Isola et al. 2017): images made from other images, the condition."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import l1_loss, softplus

import genaug
from genaug.backends import Backend, BackendConfig, Fakes, Inputs, Loss, Player, adam
from genaug.backends.registry import added
from genaug.modalities.image import to_uint8
from genaug.testing import check_backend


class Translator(Backend):
    """An image-to-image network with a discriminator of pairs, and noise as a further input."""

    class Config(BackendConfig):
        width: int = 16
        l1: float = 20.0

    conditions = ("source",)
    tiny: ClassVar = {"width": 4}

    def describe(self, config, data):
        return data.model_copy(update={"classes": None, "latents": ()})

    def build(self, config, spec):
        before, after = spec.conditions[0].sample.shape[0], spec.shape[0]
        layers = [nn.Conv2d(before + 1, config.width, 3, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(config.width, after, 3, padding=1), nn.Tanh()]
        judge = [nn.Conv2d(before + after, config.width, 3, padding=1), nn.LeakyReLU(0.2)]
        judge += [nn.Conv2d(config.width, 1, 3, padding=1)]
        return nn.ModuleDict({"generator": nn.Sequential(*layers), "discriminator": nn.Sequential(*judge)})

    def generate(self, nets, inputs: Inputs):
        source = inputs.conditions["source"]
        return nets["generator"](torch.cat([source, 0.1 * inputs.noise(1, *source.shape[2:])], dim=1))

    def players(self, config, nets):
        return [
            Player("generator", nets["generator"].parameters(), self.generator_loss, adam(5e-3, (0.5, 0.99))),
            Player("discriminator", nets["discriminator"].parameters(), self.discriminator_loss, adam(1e-3)),
        ]

    def fakes(self, nets, batch, step):
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets, batch, step):
        fake = step.fakes(lambda: self.fakes(nets, batch, step)).x
        score = nets["discriminator"](torch.cat([batch.conditions["source"], fake], dim=1))
        return Loss(softplus(-score).mean() + step.config.l1 * l1_loss(fake, batch.x))

    def discriminator_loss(self, nets, batch, step):
        fake = step.fakes(lambda: self.fakes(nets, batch, step)).x.detach()
        pairs = [torch.cat([batch.conditions["source"], images], dim=1) for images in (batch.x, fake)]
        real, fake = (nets["discriminator"](pair) for pair in pairs)
        return Loss(softplus(-real).mean() + softplus(fake).mean())


@pytest.fixture(scope="module")
def pairs():
    """Inverted digits, each with the digit itself as its source."""
    images = [to_uint8(image) for image, _ in genaug.data.load_data("digits")]
    return [(255 - image, None, {"source": image}) for image in images[:500]]


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    with added("translator", Translator):
        folder = tmp_path_factory.mktemp("translator") / "run"
        genaug.fit("translator", pairs, out=folder, steps=300, device="cpu", progress=False)
        yield genaug.load(folder, device="cpu")


def test_it_fulfills_the_contract():
    with added("translator", Translator):
        assert "check_conditions_reach_samples" in {result.check for result in check_backend("translator")}


def test_it_has_learned_to_translate(trained, pairs):
    sources = torch.stack([item[2]["source"] for item in pairs[:100]])
    samples = trained.translate(sources, seed=0)
    assert samples.dtype == torch.uint8
    assert l1_loss(samples.float(), 255.0 - sources) < 0.25 * l1_loss(sources.float(), 255.0 - sources)


def test_sample_i_of_a_seed_does_not_depend_on_the_number_of_samples(trained, pairs):
    sources = torch.stack([item[2]["source"] for item in pairs[:300]])
    samples = trained.translate(sources, seed=3)
    assert torch.equal(trained.translate(sources[:5], seed=3), samples[:5])
    assert not torch.equal(trained.translate(sources[:5], seed=4), samples[:5])  # different noise


def test_missing_conditions_are_named(trained, tmp_path):
    with pytest.raises(genaug.GenaugError, match=r"makes samples from others \(source\): call translate"):
        trained.sample(3)
    with pytest.raises(genaug.GenaugError, match=r"of shape \(2, 3, 8, 8\); expected .*\(2, 1, 8, 8\)"):
        trained.translate(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with added("translator", Translator), pytest.raises(genaug.GenaugError, match="lacks the condition 'source'"):
        genaug.fit("translator", [(torch.zeros(1, 8, 8), 0)], out=tmp_path / "run", steps=1, progress=False)
