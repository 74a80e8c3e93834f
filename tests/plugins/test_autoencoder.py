"""The autoencoder backend: its loss by hand, the distribution of its codes, and what noise in training is good for."""

import pytest
import torch
from helpers.players import batch_of, check_labels_are_ignored, generate, loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import mse_loss

import genaug
from genaug.backends import Normal, Spec, registry
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.modalities.image import Image
from genaug_vae.autoencoder import AutoencoderConfig, Codes

SHAPES = [(1, 1, 1), (1, 8, 8), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
KINDS = ["mlp", "deep", "conv"]


@pytest.fixture
def backend():
    return registry.resolve("autoencoder")


@pytest.fixture
def configure(backend):
    return lambda **options: AutoencoderConfig(**{**backend.tiny, **options})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 4])
def test_every_kind_of_network_trains_on_every_shape(backend, configure, kind, shape, count):
    """A single image too, whose codes have no covariance."""
    config = configure(kind=kind, noise=0.2)
    spec = backend.describe(config, Spec(sample=Image(*shape)))
    nets, step, batch = backend.build(config, spec), step_of(config, spec), batch_of(shape, count, 0)
    loss = loss_of("autoencoder", backend, nets, batch, step)
    loss.value.backward()
    assert loss.value.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in nets.parameters())
    codes = backend.encode(nets, batch.x, None)
    assert codes["z"].shape == (count, 3)
    images = generate(backend, nets, codes)
    assert images.shape == (count, *shape)
    assert images.isfinite().all()
    assert float(images.detach().abs().max()) <= 1


def test_it_takes_no_labels(backend, configure):
    data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
    expected = data.model_copy(update={"latents": (Normal(size=3),), "classes": None})
    assert backend.describe(configure(), data) == expected
    check_labels_are_ignored(backend, configure())


class Mirror(nn.Module):
    """An encoder whose codes are the image's two pixels, and which keeps its inputs."""

    def __init__(self):
        super().__init__()
        self.weight, self.inputs = nn.Parameter(torch.ones(())), []

    def forward(self, x, labels):
        self.inputs.append(x.detach())
        return self.weight * x.flatten(1)


class Fade(nn.Module):
    """A generator that decodes codes to pixels half as bright, and is its own decoder."""

    def __init__(self):
        super().__init__()
        self.codes = Codes(2)

    @property
    def decoder(self):
        return self

    def output(self, code, labels):
        return (code / 2).reshape(-1, 1, 1, 2)


class TestLoss:
    @pytest.fixture
    def hand(self, backend):
        def compute(noise, policy=()):
            config = AutoencoderConfig(latent_size=2, noise=noise)
            spec = backend.describe(config, Spec(sample=Image(1, 1, 2)))
            nets, batch = nn.ModuleDict({"generator": Fade(), "encoder": Mirror()}), batch_of((1, 1, 2), 4, 0)
            loss = loss_of("autoencoder", backend, nets, batch, step_of(config, spec, policy=policy))
            return loss, nets, batch.x, step_of(config, spec).normal(4, 1, 1, 2)

        return compute

    @pytest.mark.parametrize("policy", [(), ("translation", "color")])
    def test_plain_by_hand(self, hand, policy):
        """Pixels x from -1 to 1 come back as x / 2; the error is that of (x + 1) / 2, which is from 0 to 1."""
        loss, nets, x, _ = hand(0.0, policy)
        assert torch.equal(nets["encoder"].inputs[0], x)
        expected = sum(((pixel + 1) / 2 - (pixel / 2 + 1) / 2) ** 2 for pixel in x.flatten().tolist()) / x.numel()
        assert loss.value.item() == pytest.approx(expected, rel=1e-5)

    def test_denoising_by_hand(self, hand):
        """Noise of 0.4 on pixels from 0 to 1 is 0.8 on those from -1 to 1; the loss takes the image without it."""
        loss, nets, x, noise = hand(0.4)
        noisy = (x + 0.8 * noise).clamp(-1, 1)
        assert torch.allclose(nets["encoder"].inputs[0], noisy)
        assert float(nets["encoder"].inputs[0].abs().max()) == 1
        assert loss.value.item() == pytest.approx(float((noisy / 2 - x).square().mean()) / 4, rel=1e-5)

    def test_the_distribution_of_the_codes_is_not_trained(self, hand):
        loss, nets, _, _ = hand(0.0)
        loss.value.backward()
        assert float(nets["encoder"].weight.grad) != 0
        assert not any(buffer.requires_grad for buffer in nets["generator"].codes.buffers())
        assert not list(nets["generator"].codes.parameters())


class TestCodes:
    def test_running_averages_by_hand(self):
        """The first batch replaces the initial values, the second has weight 1/2, and no later one less than 1/100."""
        codes = Codes(1)
        for batch, mean, variance in (
            ([0.0, 2.0], 1.0, 1.0),
            ([3.0, 3.0], 2.0, (1 + (3 - 2) ** 2) / 2),
        ):
            codes.update(torch.tensor(batch)[:, None])
            assert float(codes.mean) == pytest.approx(mean)
            assert float(codes.covariance) == pytest.approx(variance)
        codes.batches.fill_(1000)
        codes.update(torch.tensor([[102.0]]))
        assert float(codes.mean) == pytest.approx(3)

    def test_latents_have_the_codes_mean_and_covariance_removed_and_restored(self):
        torch.manual_seed(0)
        drawn = torch.randn(5000, 3) @ torch.tensor([[2.0, 1, 0], [0, 0.5, -1], [0, 0, 0.3]]) + torch.tensor(
            [5.0, 0, -2]
        )
        codes = Codes(3)
        codes.update(drawn)
        latents = codes.latents(drawn)
        assert torch.allclose(latents.mean(0), torch.zeros(3), atol=1e-3)
        assert torch.allclose(latents.T.cov(), torch.eye(3), atol=3e-2)
        assert torch.allclose(codes(latents), drawn, atol=1e-4)
        samples = codes(torch.randn(20_000, 3))
        assert torch.allclose(samples.mean(0), drawn.mean(0), atol=0.1)
        assert torch.allclose(samples.T.cov(), drawn.T.cov(), atol=0.2)

    def test_dimensions_without_variance_do_no_harm(self):
        codes = Codes(3)
        codes.update(torch.tensor([[1.0, 5.0, 1.0], [3.0, 5.0, 3.0]]))
        values = torch.tensor([[2.0, 5.0, 2.0]])
        assert torch.allclose(codes(codes.latents(values)), values, atol=1e-4)
        assert codes(torch.ones(1, 3)).isfinite().all()
        constant = Codes(2)
        constant.update(torch.zeros(4, 2))
        assert torch.allclose(constant(torch.ones(1, 2)), torch.zeros(1, 2), atol=1e-3)


@pytest.fixture(scope="module")
def generators(tmp_path_factory):
    """Autoencoders of the embedded digits, loaded from their folders: plain, and trained with noise of 0.5."""
    folder, digits = tmp_path_factory.mktemp("autoencoders"), load_data("digits", split="train")
    config = {"kind": "mlp", "hidden": 128, "latent_size": 8, "lr": 3e-3}
    fixed = {"steps": 500, "device": "cpu", "precision": "float32", "progress": False}
    for name, noise in (("plain", 0.0), ("denoising", 0.5)):
        genaug.fit("autoencoder", digits, out=folder / name, config={**config, "noise": noise}, **fixed)
    return {name: genaug.load(folder / name, device="cpu") for name in ("plain", "denoising")}


@pytest.fixture(scope="module")
def images():
    return read_samples(load_data("digits", split="test")).x


class TestTrained:
    """Autoencoders of the embedded digits after a short training, plain and denoising."""

    @staticmethod
    def reconstruct(generator, images):
        return generator.decode(generator.encode(images)["z"], dtype=torch.float32)

    def test_decoding_a_code_gives_the_digit_again(self, generators, images):
        error, usual = (
            mse_loss(other, images / 255)
            for other in (self.reconstruct(generators["plain"], images), images.roll(1, 0) / 255)
        )
        assert error < usual / 6

    @pytest.mark.parametrize("name", ["plain", "denoising"])
    def test_the_latents_of_real_images_are_as_the_prior(self, generators, images, name):
        z = generators[name].encode(images)["z"]
        assert z.mean(0).abs().max() < 0.3
        assert 0.7 < z.square().mean() < 1.4

    def test_only_the_denoising_one_removes_noise(self, generators, images):
        noise = 0.5 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
        noisy = ((images / 255 + noise).clamp(0, 1) * 255).round().to(torch.uint8)
        errors = {name: mse_loss(self.reconstruct(g, noisy), images / 255) for name, g in generators.items()}
        assert errors["denoising"] < 0.9 * errors["plain"]
        assert errors["denoising"] < mse_loss(noisy / 255, images / 255) / 2

    def test_samples_are_images_without_labels(self, generators):
        images, labels = generators["plain"].sample(8, seed=0)
        assert (images.shape, images.dtype, labels) == ((8, 1, 8, 8), torch.uint8, None)


@pytest.mark.parametrize("options", [{"noise": -0.1}, {"noise": 2}, {"kind": "vae"}, {"beta": 1}])
def test_options_out_of_bounds(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        AutoencoderConfig(**options)
