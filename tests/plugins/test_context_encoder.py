"""The context-encoder backend: its losses by hand, what it is shown, and what it fills in."""

import pytest
import torch
from helpers.players import loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import interpolate, softplus
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Condition, Inputs, Spec, adam
from genaug.errors import InputError
from genaug.modalities import Image
from genaug_context_encoder.backend import ContextEncoder, ContextEncoderConfig
from genaug_context_encoder.networks import ContextNetwork

TINY = ContextEncoder.tiny


def spec_of(shape=(1, 8, 8)):
    erased = Image(shape[0] + 1, *shape[1:])
    data = Spec(sample=Image(*shape), classes=3, conditions=[Condition(name="erased", sample=erased)])
    return ContextEncoder().describe(ContextEncoderConfig(), data)


class Gray(nn.Module):
    """Fills in the value 0.5."""

    def __init__(self):
        super().__init__()
        self.value, self.seen = nn.Parameter(torch.tensor(0.5)), []

    def forward(self, erased):
        self.seen.append(erased)
        return self.value.expand(len(erased), erased.shape[1] - 1, *erased.shape[2:])


class Score(nn.Module):
    """The mean of an image, (N, 1)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return self.weight * images.flatten(1).mean(1, keepdim=True)


def losses(**options):
    """The losses for two images of value 0 and -0.2, whose center is filled in with 0.5."""
    config = ContextEncoderConfig(masks="center", **options)
    x = torch.tensor([0.0, -0.2])[:, None, None, None].expand(-1, 1, 8, 8)
    nets, step = nn.ModuleDict({"generator": Gray(), "discriminator": Score()}), step_of(config, spec_of())
    batch = Batch(x, None, {"erased": torch.zeros(2, 2, 8, 8)})
    return {player.name: player.loss(nets, batch, step) for player in ContextEncoder().players(config, nets)}, nets


class TestLosses:
    def test_squared_error_of_the_erased_pixels_and_the_adversarial_loss(self):
        values, _ = losses(adversarial_weight=0.1)
        reconstruction = (0.5**2 + 0.7**2) / 2
        fake = torch.tensor([0.5 / 4, 0.5 / 4 - 0.2 * 3 / 4])
        expected = 0.9 * reconstruction + 0.1 * softplus(-fake).mean().item()
        assert values["generator"].value.item() == pytest.approx(expected, rel=1e-5)
        assert values["generator"].log["reconstruction"].item() == pytest.approx(reconstruction, rel=1e-5)
        expected = softplus(torch.tensor([-0.0, 0.2])).mean() + softplus(fake).mean()
        assert values["discriminator"].value.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_without_a_weight_there_is_no_discriminator(self):
        values, _ = losses(adversarial_weight=0)
        assert values.keys() == {"generator"}
        assert values["generator"].value.item() == pytest.approx((0.5**2 + 0.7**2) / 2, rel=1e-5)
        config = ContextEncoderConfig(**{**TINY, "adversarial_weight": 0})
        assert list(ContextEncoder().build(config, spec_of())) == ["generator"]

    def test_the_network_never_sees_what_it_has_to_fill_in(self):
        _, nets = losses()
        (condition,) = nets["generator"].seen
        unknown = condition[:, 1] < 0
        assert unknown.float().mean() == 0.25
        assert (condition[:, 0][unknown] == -1).all()
        assert (condition[:, 1][~unknown] == 1).all()
        assert torch.equal(condition[:, 0, 0, 0], torch.tensor([0.0, -0.2]))

    def test_every_step_erases_other_parts(self):
        config, masks = ContextEncoderConfig(masks="block"), []
        for index in range(2):
            nets = nn.ModuleDict({"generator": Gray(), "discriminator": Score()})
            batch = Batch(torch.zeros(4, 1, 8, 8), None, {"erased": torch.zeros(4, 2, 8, 8)})
            loss_of("generator", ContextEncoder(), nets, batch, step_of(config, spec_of(), index))
            masks.append(nets["generator"].seen[0][:, 1])
        assert not torch.equal(*masks)


class TestNetwork:
    @pytest.mark.parametrize("shape", [(1, 4, 4), (3, 9, 7), (3, 32, 32), (2, 5, 30)])
    def test_images_of_any_shape(self, shape):
        images = ContextNetwork(shape, 4, 8)(torch.rand(2, shape[0] + 1, *shape[1:]) * 2 - 1)
        assert images.shape == (2, *shape)

    def test_the_smallest_map_spreads_information_across_the_image(self):
        network, condition = ContextNetwork((1, 32, 32), 4, 8).eval(), torch.zeros(1, 2, 32, 32)
        other = condition.clone()
        other[..., 0, 0] = 1
        assert (network(condition) != network(other))[..., -1, -1].all()

    def test_known_pixels_stay(self):
        config = ContextEncoderConfig(**TINY)
        nets = ContextEncoder().build(config, spec_of()).eval()
        condition = torch.rand(3, 2, 8, 8) * 2 - 1
        condition[:, 1] = condition[:, 1].sign()
        images = ContextEncoder().generate(nets, Inputs({}, None, None, {"erased": condition}))
        known = condition[:, 1] > 0
        assert torch.equal(images[:, 0][known], condition[:, 0][known])
        assert not torch.isclose(images[:, 0][~known], condition[:, 0][~known]).any()


class TestOptions:
    def test_the_defaults(self):
        config = ContextEncoderConfig()
        players = ContextEncoder().players(config, ContextEncoder().build(config, spec_of()))
        assert [(p.name, p.optimizer) for p in players] == [
            (name, adam(1e-3, (0.5, 0.999), decay=0.5)) for name in ("generator", "discriminator")
        ]
        assert (config.masks, config.area, config.adversarial_weight) == ("block", 0.25, 1e-3)

    @pytest.mark.parametrize(
        "options",
        [{"masks": "stripes"}, {"area": 0}, {"area": 0.95}, {"adversarial_weight": 1}, {"loss": "wasserstein"}],
    )
    def test_options_out_of_bounds(self, options):
        with pytest.raises(ValidationError, match=next(iter(options))):
            ContextEncoderConfig(**options)


@pytest.mark.parametrize("shape", [(4, 8, 8), (1, 3, 8)])
def test_images_that_it_cannot_take_are_an_error(shape, tmp_path):
    images = TensorDataset(torch.zeros(4, *shape, dtype=torch.uint8))
    with pytest.raises(InputError, match="takes images of 1 to 3 channels with sides of at least 4 pixels"):
        genaug.fit("context-encoder", images, out=tmp_path / "run", steps=1, progress=False)


def test_it_fills_in_better_than_the_mean_of_the_known_pixels(tmp_path):
    coarse = torch.rand(96, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    images = (interpolate(coarse, size=(12, 12), mode="bilinear") * 255).round().to(torch.uint8)
    generator = genaug.fit(
        "context-encoder",
        TensorDataset(images, torch.arange(96) % 3),
        out=tmp_path / "run",
        steps=150,
        batch_size=16,
        config={"width": 8, "max_width": 16, "lr": 5e-3, "adversarial_weight": 0},
        device="cpu",
        progress=False,
    )
    assert (generator.spec.sample, generator.spec.conditions[0].sample) == (Image(1, 12, 12), Image(2, 12, 12))
    mask = torch.zeros(12, 12, dtype=torch.bool)
    mask[4:9, 3:8] = True
    completed = generator.complete(images, mask, seed=0).float()
    mean = images[..., ~mask].float().mean(-1)[..., None, None]
    errors = [(filled - images)[..., mask].square().mean() for filled in (completed, mean.expand_as(completed))]
    assert errors[0] < 0.5 * errors[1]
