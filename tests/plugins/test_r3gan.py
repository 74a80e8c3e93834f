"""The r3gan backend: the paper's dimensions, its initialization and resampling, and its losses by hand."""

import math

import pytest
import torch
from helpers.players import batch_of, check_labels_are_ignored, check_losses, generate, loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import interpolate

from genaug.backends import Spec, registry
from genaug.modalities.image import Image
from genaug_r3gan.backend import R3GANConfig, _augment, dimensions, gamma_at
from genaug_r3gan.networks import Basis, Discriminator, Generator, ResidualBlock, architecture, downsample, upsample

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 28, 28), (1, 27, 27), (2, 13, 40), (3, 32, 32), (3, 64, 64)]


@pytest.fixture
def backend():
    return registry.resolve("r3gan")


@pytest.fixture
def configure(backend):
    return lambda **options: R3GANConfig(**{**backend.tiny, **options})


class Linear(nn.Module):
    """A network whose value is its parameter: a generator of constant images, or a score of the weighted sum."""

    def __init__(self, value, shape=None):
        super().__init__()
        self.value, self.shape = nn.Parameter(torch.tensor(value)), shape

    def forward(self, x, labels):
        if self.shape is not None:
            return self.value.expand(len(x), *self.shape)
        return (self.value * x).sum((1, 2, 3))[:, None]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [3, 0])
def test_build_generate_loss_backward(backend, configure, shape, classes):
    config = configure()
    spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes or None))
    nets, step = backend.build(config, spec), step_of(config, spec)
    labels = torch.arange(5) % 3 if classes else None
    images = generate(backend, nets, step.latents(5), labels)
    assert images.shape == (5, *shape)
    assert float(images.detach().abs().max()) <= 1
    assert nets["discriminator"](images, labels).shape == (5, 1)
    assert check_losses(backend, config, spec, batch_of(shape, 5, classes)) == ["generator", "discriminator"]


def test_labels_are_ignored_if_it_isnt_conditional(backend, configure):
    check_labels_are_ignored(backend, configure(conditional=False))


class TestPaper:
    def test_the_cifar_10_networks_have_20_8_and_21_3_million_parameters(self, backend):
        config = R3GANConfig(width=768, full_width_until=32)
        spec = backend.describe(config, Spec(sample=Image(3, 32, 32), classes=10))
        with torch.device("meta"):
            nets = backend.build(config, spec)
        counts = [sum(p.numel() for p in nets[role].parameters()) for role in ("generator", "discriminator")]
        assert counts == [20_781_952, 21_280_512]
        grouped = nets["generator"].stages[0].blocks[0].grouped
        assert grouped.groups == 96
        assert grouped.weight.shape == (1536, 16, 3, 3)

    @pytest.mark.parametrize(
        ("side", "until", "widths"),
        [
            (32, 32, [768] * 4),
            (64, 32, [768] * 4 + [384]),
            (256, 32, [768] * 4 + [384, 192, 96]),
            (64, 64, [768] * 5),
            (32, 8, [768, 768, 384, 192]),
        ],
    )
    def test_widths_halve_above_a_size(self, side, until, widths):
        sizes = architecture(side, side, 768, until)
        assert sizes.widths == widths
        assert sizes.sizes[0] == (4, 4)

    def test_the_discriminators_stages_are_ordered_from_the_image(self):
        sizes = architecture(64, 64, 8, 32)
        assert [stage.blocks[0].expand.in_channels for stage in Discriminator(3, 0, sizes).stages] == [4, 8, 8, 8, 8]


class TestInitialization:
    def test_a_block_starts_as_the_identity(self):
        torch.manual_seed(0)
        x = torch.randn(2, 8, 4, 4)
        assert torch.equal(ResidualBlock(8, 16, 4, 8)(x), x)

    def test_weights_have_the_gain_of_fix_up(self):
        torch.manual_seed(0)
        block = ResidualBlock(64, 128, 8, 16)
        gain = math.sqrt(2 / 1.04) / 2  # 16^(-1/4)
        assert float(block.expand.weight.detach().std()) == pytest.approx(gain / 8, rel=0.05)
        assert float(block.grouped.weight.detach().std()) == pytest.approx(gain / 12, rel=0.05)
        assert not block.expand.bias.any()

    def test_blocks_count_over_all_stages(self):
        torch.manual_seed(0)
        generator = Generator(3, 0, 4, architecture(32, 32, 128, 32, blocks=4))
        expected = math.sqrt(2 / 1.04) / 2 / math.sqrt(128)
        assert float(generator.stages[2].blocks[1].expand.weight.detach().std()) == pytest.approx(expected, rel=0.05)

    def test_a_basis_scales_its_maps(self):
        basis = Basis(2, 3, (4, 5))
        x = torch.tensor([[1.0, -2.0]])
        expected = basis.maps * (basis.project.weight @ x[0])[:, None, None]
        assert torch.allclose(basis(x)[0], expected)


class TestResampling:
    def test_upsampling_is_bilinear_inside_and_has_zeros_beyond_the_edges(self):
        x = torch.rand(2, 3, 5, 6)
        up = upsample(x)
        assert torch.allclose(up[:, :, 1:-1, 1:-1], interpolate(x, scale_factor=2, mode="bilinear")[:, :, 1:-1, 1:-1])
        assert torch.allclose(up[:, :, 0, 0], x[:, :, 0, 0] * 9 / 16)

    def test_downsampling_by_hand(self):
        """[1, 3, 3, 1] / 8 in both directions on a single bright pixel."""
        x = torch.zeros(1, 1, 4, 4)
        x[0, 0, 1, 2] = 64
        assert torch.allclose(downsample(x)[0, 0], torch.tensor([[3.0, 9.0], [1.0, 3.0]]))

    @pytest.mark.parametrize(("side", "expected"), [(7, 4), (8, 4), (1, 1)])
    def test_downsampling_rounds_up(self, side, expected):
        assert downsample(torch.ones(1, 2, side, side)).shape == (1, 2, expected, expected)


class TestLosses:
    """A generator of constant images of 0.5, and D(x) = sum(0.3 x), on four pixels: the gradient is 0.3 in each."""

    def losses(self, backend, index=0, **options):
        config = R3GANConfig(conditional=False, **options)
        spec = backend.describe(config, Spec(sample=Image(1, 2, 2)))
        nets = nn.ModuleDict({"generator": Linear(0.5, (1, 2, 2)), "discriminator": Linear(0.3)})
        batch = batch_of((1, 2, 2), 4, 0)
        step = step_of(config, spec, index)
        losses = [loss_of(name, backend, nets, batch, step) for name in ("generator", "discriminator")]
        return *losses, 0.3 * batch.x.sum((1, 2, 3)), torch.tensor(0.3 * 0.5 * 4)

    def test_relativistic_pairs(self, backend):
        generator, discriminator, real, fake = self.losses(backend, index=1)
        assert generator.value.item() == pytest.approx(float((1 + (real - fake).exp()).log().mean()))
        assert discriminator.value.item() == pytest.approx(float((1 + (fake - real).exp()).log().mean()))
        assert "penalty" not in discriminator.log

    def test_penalties_on_real_and_generated_images(self, backend):
        _, discriminator, real, fake = self.losses(backend, gamma=0.5, penalty_every=4)
        penalty = 2 * 4 * 0.3**2
        expected = float((1 + (fake - real).exp()).log().mean()) + 0.5 / 2 * 4 * penalty
        assert discriminator.log["penalty"].item() == pytest.approx(penalty)
        assert discriminator.value.item() == pytest.approx(expected)

    def test_gamma_burns_in_along_a_cosine(self, backend):
        config = R3GANConfig(gamma=0.2, burn_in=100)
        assert [gamma_at(config, step) for step in (0, 50, 100, 500)] == pytest.approx([2, 1.1, 0.2, 0.2])
        assert gamma_at(R3GANConfig(gamma=0.2), 0) == 0.2
        _, first, *_ = self.losses(backend, gamma=0.5, burn_in=100)
        _, constant, *_ = self.losses(backend, gamma=5.0)
        assert first.value.item() == pytest.approx(constant.value.item())

    def test_generated_images_outside_the_range_keep_their_gradient(self, backend):
        config = R3GANConfig(conditional=False)
        spec = backend.describe(config, Spec(sample=Image(1, 2, 2)))
        nets = nn.ModuleDict({"generator": Linear(3.0, (1, 2, 2)), "discriminator": Linear(0.3)})
        step = step_of(config, spec)
        loss_of("generator", backend, nets, batch_of((1, 2, 2), 4, 0), step).value.backward()
        assert float(nets["generator"].value.grad) < 0
        assert float(generate(backend, nets, step.latents(2)).detach().max()) == 1


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.3, 0.25, 0.35), (1.0, 1, 1)])
def test_a_share_of_the_images_is_augmented(backend, probability, least, most):
    config = R3GANConfig(augment_probability=probability)
    spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
    images = batch_of((1, 8, 8), 2000).x
    changed = (_augment(step_of(config, spec, policy=("color",)), images) != images).flatten(1).any(1)
    assert least <= float(changed.float().mean()) <= most


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"blocks": 0}, {"group_width": 0}, {"augment_probability": 1.5}, {"burn_in": -1}]
)
def test_bad_options_are_rejected(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        R3GANConfig(**options)


def test_any_width_can_be_grouped(backend):
    config = R3GANConfig(width=15, group_width=16)
    spec = backend.describe(config, Spec(sample=Image(3, 32, 32), classes=10))
    backend.build(config, spec)
    assert dimensions(config, spec).widths == [15, 15, 7, 3]
