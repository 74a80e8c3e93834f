"""The vae backend: networks of all kinds and shapes, the terms of its bound by hand, and what it reconstructs."""

import math

import pytest
import torch
from helpers.players import batch_of, check_labels_are_ignored, generate, loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import mse_loss

import genaug
from genaug.backends import Batch, Normal, Spec, registry
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.modalities.image import Image
from genaug_vae.bound import bernoulli_misfit, divergence, gaussian_misfit
from genaug_vae.vae import VAEConfig

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 32, 32), (3, 64, 64), (4, 5, 9)]
KINDS = ["mlp", "deep", "conv"]


@pytest.fixture
def backend():
    return registry.resolve("vae")


@pytest.fixture
def configure(backend):
    return lambda **options: VAEConfig(**{**backend.tiny, **options})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A conditional VAE of the embedded digits, loaded from its folder."""
    config = {"kind": "mlp", "hidden": 128, "latent_size": 8, "lr": 3e-3}
    out, digits = tmp_path_factory.mktemp("vae") / "run", load_data("digits", split="train")
    genaug.fit("vae", digits, out=out, steps=600, config=config, device="cpu", precision="float32", progress=False)
    return genaug.load(out, device="cpu")


@pytest.fixture(scope="module")
def test_set():
    return read_samples(load_data("digits", split="test"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("classes", [3, 0])
def test_every_kind_of_network_trains_on_every_shape(backend, configure, kind, shape, classes):
    config = configure(kind=kind)
    spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes))
    nets, step, batch = backend.build(config, spec), step_of(config, spec), batch_of(shape, 4, classes)
    images = generate(backend, nets, step.latents(4), batch.labels)
    assert images.shape == (4, *shape)
    assert float(images.detach().abs().max()) <= 1
    assert backend.encode(nets, batch.x, batch.labels)["z"].shape == (4, 3)
    loss = loss_of("autoencoder", backend, nets, batch, step)
    loss.value.backward()
    assert loss.value.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in nets.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_deep_has_three_hidden_layers_and_the_others_are_as_large_as_their_options_say(backend, kind):
    config = VAEConfig(kind=kind, hidden=24, width=8, max_width=16, latent_size=5)
    nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 16, 16))))
    layers = {role: [m for m in nets[role].modules() if getattr(m, "weight", None) is not None] for role in nets}
    sizes = {role: [getattr(m, "out_channels", len(m.weight)) for m in layers[role]] for role in layers}
    assert (
        sizes
        == {
            "mlp": {"encoder": [24, 10], "generator": [24, 256]},
            "deep": {"encoder": [24, 24, 24, 10], "generator": [24, 24, 24, 256]},
            "conv": {"encoder": [16, 16, 10], "generator": [16 * 4 * 4, 16, 8, 1]},
        }[kind]
    )


def test_the_code_of_an_image_depends_on_nothing_else_in_its_batch(backend, configure):
    config = configure()
    nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)))
    batch = batch_of((1, 8, 8), 6)
    codes = backend.encode(nets, batch.x, batch.labels)["z"]
    alone = [backend.encode(nets, batch.x[i : i + 1], batch.labels[i : i + 1])["z"] for i in range(6)]
    assert torch.allclose(codes, torch.cat(alone), atol=1e-5)


class TestLabels:
    def test_the_spec_takes_the_datas_classes_unless_the_option_is_off(self, backend, configure):
        data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
        assert backend.describe(configure(), data) == data.model_copy(update={"latents": (Normal(size=3),)})
        assert backend.describe(configure(conditional=False), data).classes is None

    def test_an_unconditional_vae_ignores_the_labels_of_the_data(self, backend, configure):
        check_labels_are_ignored(backend, configure(conditional=False))

    @pytest.mark.parametrize("kind", KINDS)
    def test_labels_reach_the_code_and_the_image(self, backend, configure, kind):
        config = configure(kind=kind)
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)))
        x, z = batch_of((1, 8, 8), 1).x.expand(3, -1, -1, -1), torch.zeros(3, 3)
        for values in (
            backend.encode(nets, x, torch.arange(3))["z"],
            generate(backend, nets, {"z": z}, torch.arange(3)).flatten(1),
        ):
            assert float(torch.nn.functional.pdist(values.detach()).min()) > 1e-4


class TestBound:
    def test_the_divergence_by_hand(self):
        """Per dimension (mean² + variance - 1 - log variance) / 2; the second row is the prior."""
        mean = torch.tensor([[1.0, -2.0], [0.0, 0.0]])
        log_variance = torch.tensor([[0.0, math.log(4)], [0.0, 0.0]])
        first = (1 + 1 - 1 - 0) / 2 + (4 + 4 - 1 - math.log(4)) / 2
        assert divergence(mean, log_variance).item() == pytest.approx(first / 2)
        assert divergence(mean[1:], log_variance[1:]).item() == 0

    def test_bernoulli_pixels_by_hand(self):
        """Log-odds 0 and log 3 are probabilities 1/2 and 3/4; a gray pixel of 0.4 counts 0.4 white and 0.6 black."""
        logits = torch.tensor([[0.0, math.log(3)]]).reshape(1, 1, 1, 2)
        expected = {(1, 0): -math.log(1 / 2) - math.log(1 / 4), (0, 1): -math.log(1 / 2) - math.log(3 / 4)}
        expected[0.4, 0.4] = -math.log(1 / 2) - 0.4 * math.log(3 / 4) - 0.6 * math.log(1 / 4)
        for pixels, value in expected.items():
            x = torch.tensor(pixels, dtype=torch.float32).reshape(1, 1, 1, 2)
            assert bernoulli_misfit(logits, x).item() == pytest.approx(value)

    def test_gaussian_pixels_by_hand(self):
        """-log N(0.2; 0.1, 0.5²) - log N(0.6; 0.9, 0.5²), with its constants."""
        x, mean = (torch.tensor(values).reshape(1, 1, 2, 1) for values in ([0.2, 0.6], [0.1, 0.9]))
        expected = (0.1**2 + 0.3**2) / (2 * 0.5**2) + 2 * (math.log(0.5) + math.log(2 * math.pi) / 2)
        assert gaussian_misfit(mean, x, 0.5).item() == pytest.approx(expected)
        assert gaussian_misfit(mean.repeat(4, 1, 1, 1), x.repeat(4, 1, 1, 1), 0.5).item() == pytest.approx(expected)


class StubEncoder(nn.Module):
    """Mean w x_0 and log-variance v x_1, for one latent."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.7, -0.4]))

    def forward(self, x, labels):
        return self.weight * x.flatten(1)[:, :2]


class StubDecoder(nn.Module):
    """Output u z for both pixels."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.5))

    def output(self, z, labels):
        return (self.weight * z).reshape(-1, 1, 1, 1).expand(-1, 1, 1, 2)


class TestLoss:
    @pytest.fixture
    def hand(self, backend):
        """The loss of stub networks, and its terms with plain numbers: of z = mean + deviation * noise."""

        def compute(policy=(), **options):
            config = VAEConfig(latent_size=1, conditional=False, **options)
            spec = backend.describe(config, Spec(sample=Image(1, 1, 2)))
            nets = nn.ModuleDict({"generator": StubDecoder(), "encoder": StubEncoder()})
            batch = batch_of((1, 1, 2), 4, 0)
            loss = loss_of("autoencoder", backend, nets, batch, step_of(config, spec, policy=policy))
            noise = step_of(config, spec).normal(4, 1)
            misfit = kl = 0.0
            for (first, second), e in zip(batch.x.flatten(1).tolist(), noise[:, 0].tolist(), strict=True):
                mean, log_variance = 0.7 * first, -0.4 * second
                output = 1.5 * (mean + math.exp(log_variance / 2) * e)
                white = 1 / (1 + math.exp(-output))
                for pixel in ((first + 1) / 2, (second + 1) / 2):
                    if config.likelihood == "bernoulli":
                        misfit -= pixel * math.log(white) + (1 - pixel) * math.log(1 - white)
                    else:  # a pixel of -1 to 1 as one of 0 to 1
                        squared = (pixel - (output + 1) / 2) ** 2
                        misfit += squared / (2 * config.scale**2) + math.log(config.scale * math.sqrt(2 * math.pi))
                kl += (mean**2 + math.exp(log_variance) - 1 - log_variance) / 2
            return loss, misfit / 4, kl / 4, nets

        return compute

    @pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
    @pytest.mark.parametrize("likelihood", [{"likelihood": "bernoulli"}, {"scale": 0.3}])
    def test_by_hand(self, hand, beta, likelihood):
        loss, misfit, kl, _ = hand(beta=beta, **likelihood)
        assert loss.value.item() == pytest.approx(misfit + beta * kl, rel=1e-5)
        assert loss.log["misfit"].item() == pytest.approx(misfit, rel=1e-5)
        assert loss.log["divergence"].item() == pytest.approx(kl, rel=1e-5)
        assert not any(value.requires_grad for value in loss.log.values())

    def test_the_noise_of_the_latents_is_reparameterized_so_the_variance_gets_a_gradient(self, hand):
        loss, _, _, nets = hand(beta=0.0)
        loss.value.backward()
        assert bool((nets["encoder"].weight.grad != 0).all())
        assert float(nets["generator"].weight.grad) != 0

    def test_images_are_not_augmented(self, hand):
        plain, augmented = (hand(policy=policy)[0].value for policy in ((), ("translation", "color")))
        assert torch.equal(plain, augmented)

    def test_the_encoder_gives_the_posteriors_mean(self, backend):
        nets = nn.ModuleDict({"generator": StubDecoder(), "encoder": StubEncoder()})
        x = torch.tensor([[[[0.5, -1.0]]]])
        assert backend.encode(nets, x, None)["z"].tolist() == [[pytest.approx(0.35)]]

    @pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
    def test_an_image_shows_the_means_of_the_pixels(self, backend, configure, likelihood):
        """The decoder's output is a pixel from -1 to 1, or the log-odds of white."""
        config = configure(likelihood=likelihood)
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8))))
        z = 50 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        output = nets["generator"].output(z, None)
        assert float(output.detach().abs().max()) > 1
        expected = 2 * output.sigmoid() - 1 if likelihood == "bernoulli" else output.clamp(-1, 1)
        assert torch.allclose(generate(backend, nets, {"z": z}), expected, atol=1e-6)


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"latent_size": 0},
            {"kind": "resnet"},
            {"hidden": 3},
            {"width": 3},
            {"likelihood": "laplace"},
            {"scale": 0},
            {"beta": -1},
            {"lr": 0},
            {"color": 1},
        ],
    )
    def test_options_out_of_bounds(self, options):
        with pytest.raises(ValidationError, match=list(options)[-1]):
            VAEConfig(**options)

    def test_a_scale_that_would_have_no_effect_is_rejected(self):
        with pytest.raises(ValidationError, match=r'scale has no effect with likelihood="bernoulli"'):
            VAEConfig(scale=0.2, likelihood="bernoulli")
        assert VAEConfig(scale=0.2).scale == 0.2


class TestTrained:
    """Conditional VAEs of the embedded digits after a short training."""

    def test_decoding_a_code_gives_the_digit_again(self, trained, test_set):
        """The error is a quarter of that between two digits of the same class."""
        images, labels = test_set.x, test_set.labels
        decoded = trained.decode(trained.encode(images, labels)["z"], labels, dtype=torch.float32)
        order = labels.argsort(stable=True)
        other = images[order].roll(1, 0)[order.argsort()] / 255
        assert mse_loss(decoded, images / 255) < mse_loss(other, images / 255) / 4

    def test_codes_stay_close_to_the_prior(self, trained, test_set):
        codes = trained.encode(test_set.x, test_set.labels)["z"]
        assert codes.mean(0).abs().max() < 0.5
        assert 0.5 < codes.square().mean() < 2

    def test_the_mean_sample_of_a_class_is_nearest_to_that_class(self, trained, test_set):
        means = torch.stack([test_set.x[test_set.labels == label].float().mean(0) for label in range(10)]).flatten(1)
        images, labels = trained.sample(labels=torch.arange(1000) % 10, seed=0)
        samples = torch.stack([images[labels == label].float().mean(0) for label in range(10)]).flatten(1)
        assert torch.cdist(samples, means).argmin(1).tolist() == list(range(10))


def test_a_single_image_is_a_batch(backend, configure):
    config = configure()
    spec = backend.describe(config, Spec(sample=Image(1, 8, 8)))
    batch = Batch(batch_of((1, 8, 8), 1, 0).x, None)
    assert loss_of("autoencoder", backend, backend.build(config, spec), batch, step_of(config, spec)).value.isfinite()
