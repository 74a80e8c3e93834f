"""The infogan backend's continuous codes as gains and offsets of the generator's last feature map."""

import pytest
import torch
from torch.nn.functional import leaky_relu

import genaug
from genaug.backends import Spec, registry
from genaug.modalities.image import Image
from genaug_infogan.backend import InfoGANConfig

TINY = {"width": 4, "max_width": 8, "hidden": 16, "latent_size": 4, "continuous_as": "modulation"}


@pytest.fixture
def network():
    backend, config = registry.resolve("infogan"), InfoGANConfig(**TINY, categories=[3], continuous=2)
    torch.manual_seed(0)
    return backend.build(config, backend.describe(config, Spec(sample=Image(1, 16, 16))))["generator"].eval()


@pytest.fixture
def latents():
    return {
        "z": torch.randn(6, 4, generator=torch.Generator().manual_seed(0)),
        "c1": torch.arange(6) % 3,
        "u1": torch.linspace(-1, 1, 6)[:, None],
        "u2": torch.full((6, 1), 0.5),
    }


def test_by_hand(network, latents):
    """Perez et al. 2018, eq. 2, with the gain written as 1 + gamma, between normalization and activation."""
    weight, bias = torch.arange(16.0).reshape(8, 2) / 10 - 0.7, torch.arange(8.0) / 4
    network.modulation.linear.weight.data, network.modulation.linear.bias.data = weight, bias
    images = network(latents).double()
    network.double()
    stem, (first, last), image = network.network.stem, network.network.stages, network.network.image
    noise = torch.cat([latents["z"], torch.eye(3)[latents["c1"]]], 1).double()
    before = last(leaky_relu(first(leaky_relu(stem(network.hidden(noise), None), 0.2), None), 0.2), None)
    modulation = torch.cat([latents["u1"], latents["u2"]], 1).double() @ weight.double().T + bias.double()
    scaled = before * (1 + modulation[:, :4, None, None]) + modulation[:, 4:, None, None]
    assert torch.allclose(images, image(leaky_relu(scaled, 0.2)).tanh(), atol=1e-5)


def test_modulation_is_neutral_at_first_and_trained_from_the_first_step(network, latents):
    images = network(latents)
    assert torch.equal(images, network({**latents, "u1": -latents["u1"]}))
    images.square().sum().backward()
    assert float(network.modulation.linear.weight.grad.abs().min()) > 0


def test_trained_saved_and_loaded(tmp_path, tiny_set):
    settings = {"steps": 4, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False}
    trained = genaug.fit("infogan", tiny_set, out=tmp_path / "run", config=TINY, **settings)
    loaded = genaug.load(trained.save(tmp_path / "saved"), device="cpu")
    images, _ = loaded.sample(8, seed=0, u1=1.0)
    assert torch.equal(images, trained.sample(8, seed=0, u1=1.0)[0])
    assert not torch.equal(images, loaded.sample(8, seed=0, u1=-1.0)[0])
