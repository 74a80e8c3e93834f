"""The pix2pix backend: its losses by hand, and a translation that it learns from pairs."""

from math import exp, log

import pytest
import torch
from helpers.players import loss_of, step_of
from helpers.stand_ins import Scale
from torch import nn
from torch.nn.functional import l1_loss

import genaug
from genaug.backends import Batch, Condition, Inputs, Spec, registry
from genaug.data import Pairs, load_data
from genaug.errors import InputError
from genaug.modalities.image import Image, to_uint8
from genaug.nn.patches import PatchDiscriminator
from genaug_pix2pix.backend import Pix2PixConfig

SMALL = {"width": 4, "max_width": 8}


def spec_of(shape=(1, 8, 8), source=None):
    condition = Condition(name="source", sample=Image(*(source or shape)))
    return Spec(sample=Image(*shape), conditions=(condition,))


def softplus(x):
    return log(1 + exp(x))


def test_losses_by_hand():
    """Sources of 0.5 become 0.2 where 0.7 is right, and a patch's score is the sum of both images: 1.2 and 0.7."""
    backend, config = registry.resolve("pix2pix"), Pix2PixConfig()
    nets = nn.ModuleDict({"generator": Scale(0.4), "discriminator": Scale(1.0, total=True)})
    batch = Batch(torch.full((2, 1, 4, 4), 0.7), None, {"source": torch.full((2, 1, 4, 4), 0.5)})
    step = step_of(config, spec_of((1, 4, 4)))
    discriminator = loss_of("discriminator", backend, nets, batch, step)
    generator = loss_of("generator", backend, nets, batch, step)
    assert discriminator.value.item() == pytest.approx(0.5 * (softplus(-1.2) + softplus(0.7)), rel=1e-5)
    assert generator.value.item() == pytest.approx(softplus(-0.7) + 100 * 0.5, rel=1e-5)
    assert float(generator.log["l1"]) == pytest.approx(0.5, rel=1e-5)
    assert float(discriminator.log["real_above_fake"]) == 1


def test_weights_of_the_losses_by_hand():
    backend = registry.resolve("pix2pix")
    config = Pix2PixConfig(l1=2.0, adversarial=3.0, loss="least_squares")
    nets = nn.ModuleDict({"generator": Scale(0.4), "discriminator": Scale(1.0, total=True)})
    batch = Batch(torch.full((2, 1, 4, 4), 0.7), None, {"source": torch.full((2, 1, 4, 4), 0.5)})
    loss = loss_of("generator", backend, nets, batch, step_of(config, spec_of((1, 4, 4))))
    assert loss.value.item() == pytest.approx(3 * 0.5 * (0.7 - 1) ** 2 + 2 * 0.5, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 32, 32), (1, 28, 28), (4, 9, 14), (3, 64, 40)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_and_channels(shape, channels):
    backend, config = registry.resolve("pix2pix"), Pix2PixConfig(**SMALL)
    spec = backend.describe(config, spec_of(shape, (channels, *shape[1:])))
    nets = backend.build(config, spec).eval()
    sources = torch.rand(2, channels, *shape[1:])
    images = backend.generate(nets, Inputs({}, None, None, {"source": sources}))
    assert images.shape == (2, *shape)
    scores = nets["discriminator"](torch.cat([sources, images], dim=1))
    assert scores.ndim == 4
    assert min(scores.shape[2:]) >= 2, "of patches, not of the image"


@pytest.mark.parametrize(("side", "pixels"), [(128, 70), (48, 34), (20, 16), (8, 7)])
def test_a_score_depends_on_as_many_pixels_as_documented(side, pixels):
    network = PatchDiscriminator((1, side, side), 4, 8, nn.Identity)
    image = torch.zeros(1, 1, side, side, requires_grad=True)
    scores = network(image)
    middle = scores.shape[2] // 2
    rows = torch.autograd.grad(scores[0, 0, middle, middle], image)[0][0, 0].abs().sum(1).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == pixels


def test_images_below_four_pixels_are_one_sentence():
    with pytest.raises(InputError, match="sides of at least 4 pixels"):
        registry.resolve("pix2pix").describe(Pix2PixConfig(), spec_of((1, 3, 8)))


@pytest.fixture(scope="module")
def pairs():
    """Digits, and the same ones inverted."""
    images = [to_uint8(image) for image, _ in load_data("digits")][:400]
    return Pairs(images, [255 - image for image in images], names=("ink", "light"))


@pytest.fixture(scope="module")
def run(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("pix2pix") / "run"
    config = {"width": 8, "max_width": 8, "lr": 2e-3, "dropout": 0.0}
    options = {"steps": 120, "batch_size": 32, "device": "cpu", "progress": False}
    genaug.fit("pix2pix", pairs, out=out, config=config, **options)
    return out


def test_it_learns_a_translation_from_pairs(run, pairs):
    generator = genaug.load(run, device="cpu")
    sources = torch.stack([pairs[i][2]["source"] for i in range(100)])
    translated = generator.translate(sources)
    assert generator.domains == ("ink", "light")
    assert torch.equal(generator.translate(sources[:3], to="light"), translated[:3])
    assert l1_loss(translated.float(), 255.0 - sources) < 0.2 * l1_loss(sources.float(), 255.0 - sources)


def test_there_is_a_grid_of_input_beside_output_and_truth(run):
    from PIL import Image as Picture

    grid = Picture.open(run / "samples" / "step-00000120.png")
    assert grid.width > 3 * 4 * 48, "three blocks of four columns"


def test_it_translates_one_way(run):
    generator = genaug.load(run, device="cpu")
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"only from 'ink' to 'light', not back.*both ways: cyclegan"):
        generator.translate(images, to="ink")
    with pytest.raises(InputError, match=r"doesn't know the domain 'dusk': it translates from 'ink' to 'light'\."):
        generator.translate(images, to="dusk")
