"""The srgan backend: its small images, its losses by hand, its options, and an upscaled generator."""

import pytest
import torch
from helpers.players import loss_of, losses_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Condition, Fakes, Inputs, Spec, adam
from genaug.errors import InputError
from genaug.modalities import Image
from genaug_srgan.backend import SRGAN, SRGANConfig
from genaug_srgan.networks import Upscaler, downsampled

TINY = SRGAN.tiny


def spec_of(config, shape=(1, 8, 8)):
    channels, height, width = shape
    small = Image(channels, height // config.factor, width // config.factor)
    return SRGAN().describe(
        config, Spec(sample=Image(*shape), classes=3, conditions=[Condition(name="small", sample=small)])
    )


def batch_of(shape=(1, 8, 8), factor=2, n=4):
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return Batch(x, None, {"small": avg_pool2d(x, factor)})


def smooth_images(n=64, side=16):
    coarse = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return (interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1) * 255).round().to(torch.uint8)


class TestSmallImages:
    def test_they_are_antialiased(self):
        stripes = torch.tensor([0, 255]).to(torch.uint8).repeat(1, 1, 8, 4)
        assert downsampled(stripes, 2)[0, 0, 1:-1, 1:-1].float().sub(127.5).abs().max() < 20, "neither black nor white"
        assert torch.equal(downsampled(torch.full((2, 3, 8, 4), 9, dtype=torch.uint8), 4), torch.full((2, 3, 2, 1), 9))

    def test_fit_derives_them_from_ordinary_images(self, tiny_set, tmp_path):
        generator = genaug.fit(
            "srgan", tiny_set, out=tmp_path / "run", steps=1, config=TINY, batch_size=8, progress=False
        )
        (condition,) = generator.spec.conditions
        assert (condition.name, condition.sample) == ("small", Image(1, 4, 4))
        assert generator.spec.classes is None
        assert genaug.load(tmp_path / "run").spec == generator.spec

    @pytest.mark.parametrize(("shape", "factor"), [((1, 9, 8), 2), ((3, 8, 6), 4)])
    def test_sides_that_the_factor_does_not_divide_are_an_error(self, shape, factor, tmp_path):
        images = TensorDataset(torch.zeros(4, *shape, dtype=torch.uint8))
        with pytest.raises(InputError, match=rf"by {factor}, which doesn't divide the sides .*Pass image_size="):
            genaug.fit("srgan", images, out=tmp_path / "run", steps=1, config={"factor": factor}, progress=False)
        assert not (tmp_path / "run").exists()

    def test_a_small_image_of_another_size_is_an_error(self):
        spec = Spec(sample=Image(1, 8, 8), conditions=[Condition(name="small", sample=Image(1, 2, 2))])
        with pytest.raises(InputError, match=r"makes images of 1x8x8 from ones of 1x4x4, not of 1x2x2"):
            SRGAN().describe(SRGANConfig(), spec)


class TestNetworks:
    @pytest.mark.parametrize("factor", [2, 4])
    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_an_untrained_upscaler_is_bicubic(self, factor, channels):
        small = torch.rand(2, channels, 5, 3) * 2 - 1
        large = Upscaler(channels, factor, 4, 1)(small)
        assert large.shape == (2, channels, 5 * factor, 3 * factor)
        assert torch.equal(large, interpolate(small, scale_factor=factor, mode="bicubic"))

    def test_samples_are_in_range_and_losses_have_a_gradient_outside_of_it(self):
        config = SRGANConfig(**TINY)
        nets = SRGAN().build(config, spec_of(config))
        nn.init.constant_(nets["generator"].image.bias, 9.0)
        small = torch.zeros(2, 1, 4, 4)
        assert (SRGAN().generate(nets, Inputs({}, None, None, {"small": small})) == 1).all()
        loss_of("generator", SRGAN(), nets, batch_of(), step_of(config, spec_of(config))).value.backward()
        assert nets["generator"].image.bias.grad.abs() > 1


class Score(nn.Module):
    """Ten times the mean of an image, (N, 1)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(10.0))

    def forward(self, images):
        return self.weight * images.flatten(1).mean(1, keepdim=True)


class TestLosses:
    """Two images of 1x2x2: fakes are 0.1 and -0.2, originals 0.3 and 0.2 everywhere."""

    REAL, FAKE = torch.tensor([0.3, 0.2]), torch.tensor([0.1, -0.2])

    def losses(self, **options):
        config = SRGANConfig(**options)
        real, fake = (values[:, None, None, None].expand(-1, 1, 2, 2) for values in (self.REAL, self.FAKE))
        spec = spec_of(config, (1, 2, 2) if config.factor == 2 else (1, 4, 4))
        nets, step = nn.ModuleDict({"generator": nn.Linear(1, 1), "discriminator": Score()}), step_of(config, spec)
        step.fakes(lambda: Fakes(fake + nets["generator"].bias * 0, None))
        batch = Batch(real, None, {"small": real[:, :, :1, :1]})
        return {p.name: p.loss(nets, batch, step) for p in SRGAN().players(config, nets)}

    def test_content_and_adversarial_loss(self):
        losses = self.losses(adversarial_weight=0.5)
        content = (0.2**2 + 0.4**2) / 2
        adversarial = (torch.log1p(torch.exp(torch.tensor(-1.0))) + torch.log1p(torch.exp(torch.tensor(2.0)))) / 2
        assert losses["generator"].value.item() == pytest.approx(content + 0.5 * adversarial.item(), rel=1e-5)
        assert losses["generator"].log["content"].item() == pytest.approx(content, rel=1e-5)
        real, fake = (nn.functional.softplus(s).mean() for s in (-10 * self.REAL, 10 * self.FAKE))
        assert losses["discriminator"].value.item() == pytest.approx((real + fake).item(), rel=1e-5)
        assert losses["discriminator"].log["real_above_fake"] == 1

    def test_the_relativistic_loss_compares_an_image_with_its_original(self):
        losses = self.losses(adversarial_weight=0.5, loss="relativistic", content="l1")
        gap = 10 * (self.REAL - self.FAKE)
        assert losses["generator"].value.item() == pytest.approx(
            0.3 + 0.5 * nn.functional.softplus(gap).mean().item(), rel=1e-5
        )
        assert losses["discriminator"].value.item() == pytest.approx(
            nn.functional.softplus(-gap).mean().item(), rel=1e-5
        )

    def test_without_a_weight_there_is_no_discriminator(self):
        config = SRGANConfig(**{**TINY, "adversarial_weight": 0})
        spec = spec_of(config)
        losses, _ = losses_of(SRGAN(), config, spec, batch_of())
        assert list(losses) == list(SRGAN().build(config, spec)) == ["generator"]
        batch = batch_of()
        bicubic = interpolate(batch.conditions["small"], scale_factor=2, mode="bicubic")
        assert losses["generator"].value.item() == pytest.approx((bicubic - batch.x).square().mean().item(), rel=1e-5)
        assert self.losses(adversarial_weight=0).keys() == {"generator"}


class TestOptions:
    def test_the_defaults(self):
        config = SRGANConfig()
        players = SRGAN().players(config, SRGAN().build(config, spec_of(config)))
        assert [(p.name, p.optimizer, p.updates) for p in players] == [
            (name, adam(2e-4, (0.9, 0.999), decay=0.5), 1) for name in ("generator", "discriminator")
        ]
        assert (config.factor, config.content, config.loss, config.adversarial_weight) == (
            2,
            "mse",
            "nonsaturating",
            1e-3,
        )

    @pytest.mark.parametrize(
        "options",
        [{"factor": 3}, {"content": "vgg"}, {"loss": "wasserstein"}, {"blocks": 0}, {"adversarial_weight": -1}],
    )
    def test_options_out_of_bounds(self, options):
        with pytest.raises(ValidationError, match=next(iter(options))):
            SRGANConfig(**options)


@pytest.fixture(scope="module")
def upscaler(tmp_path_factory):
    images = TensorDataset(smooth_images(), torch.arange(64) % 4)
    config = {**TINY, "width": 8, "adversarial_weight": 0, "lr": 5e-3}
    out = tmp_path_factory.mktemp("srgan") / "content"
    return genaug.fit("srgan", images, out=out, steps=60, batch_size=16, config=config, device="cpu", progress=False)


class TestARun:
    def test_it_is_nearer_to_the_originals_than_bicubic(self, upscaler):
        images = smooth_images()
        small = downsampled(images, 2)
        bicubic = interpolate(small.float(), scale_factor=2, mode="bicubic")
        errors = [(large.float() - images).square().mean() for large in (upscaler.translate(small, seed=0), bicubic)]
        assert errors[0] < 0.9 * errors[1]

    def test_it_continues_with_a_discriminator(self, upscaler, tmp_path):
        data = TensorDataset(smooth_images(), torch.arange(64) % 4)
        config = {"adversarial_weight": 1e-3}
        run = {"init": upscaler, "batch_size": 16, "config": config, "device": "cpu", "progress": False}
        gan = genaug.fit("srgan", data, out=tmp_path / "gan", steps=1, **run)
        small = downsampled(smooth_images(), 2)
        before, after = (one.translate(small, seed=0).float() for one in (upscaler, gan))
        assert (before - after).abs().max() < 8, "it starts from the upscaler's weights"

    def test_a_generator_of_small_images_makes_large_ones(self, upscaler, make_generator):
        source = genaug.refined(make_generator(), upscaler)
        images, labels = source.sample(6, seed=1)
        assert images.shape == (6, 1, 16, 16)
        assert torch.equal(labels, source.source.sample(6, seed=1)[1])
        with pytest.raises(InputError, match=r"takes images of 1x8x8, and the source makes images of 1x9x9"):
            genaug.refined(make_generator(shape=(1, 9, 9)), upscaler)
