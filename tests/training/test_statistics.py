"""The averaged networks' batch-norm statistics are those of their own activations."""

import copy
import random

import numpy as np
import pytest
import torch
from helpers.players import generate
from torch import nn

import genaug
from genaug.backends import Backend, BackendConfig, Categorical, Condition, Normal, Spec, Uniform, registry
from genaug.data.datasets import load_data
from genaug.data.reading import Samples, read_samples
from genaug.modalities.image import Image
from genaug.training import statistics
from genaug.training.statistics import recompute_statistics

pytestmark = pytest.mark.usefixtures("all_samples_for_statistics")

BACKENDS = ("cgan", "infogan", "mad-gan", "wgan-gp")
RECOMPUTED_FROM = 15_000
CLOSE = 0.01  # standard deviations


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def random_inputs(spec, labels, count, seed):
    """Random latents and labels, drawn without the code under test."""
    generator, latents = torch.Generator().manual_seed(seed), {}
    for latent in spec.latents:
        if latent.kind == "normal":
            latents[latent.name] = torch.randn(count, latent.size, generator=generator)
        elif latent.kind == "uniform":
            latents[latent.name] = 2 * torch.rand(count, latent.size, generator=generator) - 1
        else:
            latents[latent.name] = torch.randint(latent.size, (count,), generator=generator)
    part = labels[torch.randint(len(labels), (count,), generator=generator)] if spec.takes_labels else None
    return latents, part


@torch.no_grad()
def in_one_batch(backend, network, latents, labels):
    """A copy of a network with the statistics of one batch: every layer is normalized by those of the batch itself."""
    network = copy.deepcopy(network).train()
    for norm in norms(network):
        norm.momentum = 1.0
    generate(backend, nn.ModuleDict({"generator": network}), latents, labels)
    return network


def distances(network, other):
    """The distances of means and standard deviations, in standard deviations: a tensor (channels,) for each layer and
    both of them."""
    values = []
    for one, two in zip(norms(network), norms(other), strict=True):
        values.append((one.running_mean - two.running_mean).abs() / two.running_var.sqrt())
        values.append((one.running_var.sqrt() / two.running_var.sqrt() - 1).abs())
    return values


def largest_root_mean_square(distances):
    return max(float(distance.square().mean().sqrt()) for distance in distances)


def check_backend(name, folder, config, steps):
    """The criterion: stored and recomputed statistics are 0.01 standard deviations apart at most, in the root mean
    square over a layer's channels. 15,000 random latents leave an error of 1 / sqrt(15000) = 0.0082 themselves in a
    layer without positions. The live generator's statistics are further away, and by more than that in some channel."""
    digits = load_data("digits", split="train")
    generator = genaug.fit(
        name, digits, out=folder, steps=steps, config=config, device="cpu", precision="float32", progress=False
    )
    backend, labels = registry.resolve(name), read_samples(digits).labels
    network = genaug.load(folder, device="cpu").network
    inputs = random_inputs(generator.spec, labels, RECOMPUTED_FROM, seed=99)
    recomputed = in_one_batch(backend, network, *inputs)
    stored = largest_root_mean_square(distances(network, recomputed))
    assert stored <= CLOSE
    state = torch.load(max((folder / "checkpoints").glob("*.pt")), weights_only=True)["ema"]
    live = copy.deepcopy(network)
    part = "module.generator."
    live.load_state_dict({key.removeprefix(part): value for key, value in state.items() if key.startswith(part)})
    assert all(torch.equal(a, b) for a, b in zip(live.parameters(), network.parameters(), strict=True))
    assert largest_root_mean_square(distances(live, recomputed)) > stored
    assert max(float(distance.max()) for distance in distances(live, network)) > CLOSE


@pytest.mark.parametrize("name", BACKENDS)
def test_stored_statistics_are_those_of_the_averaged_weights(name, tmp_path):
    faster = {"lr": 1e-3} if name == "wgan-gp" else {}
    check_backend(name, tmp_path / "run", {**registry.resolve(name).tiny, **faster}, steps=20)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_stored_statistics_are_those_of_the_averaged_weights_after_250_steps(name, tmp_path):
    check_backend(name, tmp_path / "run", {}, steps=250)


class Layers(nn.Module):
    """Latents and labels through three normalized layers, and dropout, which is off in sampling."""

    def __init__(self, classes):
        super().__init__()
        self.embed = nn.Embedding(max(1, classes), 6)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(6, 16),
            nn.BatchNorm1d(16),
            nn.Unflatten(1, (4, 2, 2)),
            nn.ReLU(),
            nn.Conv2d(4, 3, 1),
            nn.BatchNorm2d(3),
            nn.Flatten(),
            nn.Linear(12, 4),
        )

    def forward(self, z, labels):
        labels = torch.zeros(len(z), dtype=torch.int64) if labels is None else labels
        return torch.tanh(self.layers(self.embed(labels) + z)).unflatten(1, (1, 2, 2))


class Toy(Backend):
    class Config(BackendConfig):
        latent_size: int = 6

    def build(self, config, spec):
        return nn.ModuleDict({"generator": Layers(spec.num_classes)})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.latents["z"], inputs.labels)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = Layers(classes=2).eval()
        nn.init.normal_(network.embed.weight, std=3.0)
        return network


SPEC = Spec(sample=Image(1, 2, 2), classes=2, latents=(Normal(size=6),))
DATA = Samples(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), None, SPEC)


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def recompute(network, labels=None, seed=0):
    data = Samples(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), labels, SPEC)
    recompute_statistics(Toy(), SPEC, nn.ModuleDict({"generator": network}), data, seed)
    return state(network)


def test_they_depend_on_weights_labels_and_seed_only(network):
    before = state(network)
    after = recompute(network)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        f"layers.{layer}.running_{what}" for layer in (0, 4, 8) for what in ("mean", "var")
    }
    for norm in norms(network):
        norm.running_mean.uniform_(-5, 5)
        norm.running_var.uniform_(0.1, 9)
    torch.manual_seed(11)
    assert same(recompute(network), after)
    assert not same(recompute(network, seed=1), after)
    assert not same(recompute(network, labels=torch.zeros(5, dtype=torch.int64)), after)


def test_they_follow_the_frequencies_of_the_labels(network):
    labels = torch.tensor([1] * 9 + [0])
    recompute(network, labels)
    expected = 0.1 * network.embed.weight[0] + 0.9 * network.embed.weight[1]
    assert torch.allclose(norms(network)[0].running_mean, expected, atol=0.01)
    recompute(network)
    assert torch.allclose(norms(network)[0].running_mean, network.embed.weight.mean(0), atol=0.01)


def test_every_layer_gets_the_same_inputs_as_in_sampling(network):
    """After layers that normalize by their running statistics, and without dropout."""
    recompute(network)
    latents, labels = random_inputs(SPEC, torch.arange(2), 200_000, seed=5)
    for norm in norms(network):
        norm.register_forward_pre_hook(lambda norm, args: setattr(norm, "seen", args[0].detach()))
    generate(Toy(), nn.ModuleDict({"generator": network}), latents, labels)
    for norm in norms(network):
        seen = norm.seen.transpose(0, 1).flatten(1)
        assert torch.allclose(norm.running_mean, seen.mean(1), atol=0.01 * float(seen.std(1).max()))
        assert torch.allclose(norm.running_var.sqrt(), seen.std(1), rtol=0.01)


def test_they_do_not_depend_on_the_chunk_size(network, monkeypatch):
    """Large images run one by one, and a batch of one would have no variance."""
    monkeypatch.setattr(statistics, "SAMPLES", 256)
    after = recompute(network)
    monkeypatch.setattr(statistics, "chunk_size", lambda *_: 1)
    for name, tensor in recompute(network).items():
        assert torch.allclose(tensor.float(), after[name].float(), rtol=1e-3, atol=1e-3), name


def test_modes_and_random_states_are_unchanged(network):
    network.layers[4].train()
    modes = [module.training for module in network.modules()]
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    recompute(network)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), streams[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == streams[1:]
    assert all(not module._forward_pre_hooks for module in network.modules())


def test_latents_with_more_dimensions_than_the_sequence(monkeypatch):
    """``z`` has more dimensions than a Sobol sequence."""
    monkeypatch.setattr(statistics.SobolEngine, "MAXDIM", 4)
    latents = (Normal(size=6), Categorical(name="c", size=3), Uniform(name="u", size=2))
    spec = SPEC.model_copy(update={"latents": latents})
    parts = list(statistics._draws(spec, DATA, 0, torch.device("cpu"), statistics.SAMPLES))
    z, c, u = (torch.cat([inputs.latents[name] for inputs in parts]) for name in ("z", "c", "u"))
    assert z.shape == (statistics.SAMPLES, 6)
    assert torch.allclose(z.mean(0), torch.zeros(6), atol=0.06)
    assert torch.allclose(z.std(0), torch.ones(6), atol=0.06)
    assert c.bincount().tolist() == pytest.approx([statistics.SAMPLES / 3] * 3, rel=0.1)
    assert float(u.abs().max()) <= 1
    assert torch.allclose(u.std(0), torch.full((2,), 3**-0.5), atol=0.03)


def test_a_generator_without_batch_normalization_is_not_run():
    network = nn.Linear(6, 4)
    recompute_statistics(Backend.__new__(Toy), SPEC, nn.ModuleDict({"generator": network}), DATA, 0)


class Reading(Toy):
    """Keeps an encoder beside the generator, which it runs in ``encode`` only, on real samples."""

    keeps = ("generator", "encoder")

    def build(self, config, spec):
        encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 6))
        return nn.ModuleDict({**super().build(config, spec), "encoder": encoder})

    def encode(self, nets, x, labels):
        return {"z": nets["encoder"](x)}


class Conditional(Toy):
    """Makes its samples of a condition alone."""

    conditions = ("source",)

    def build(self, config, spec):
        return nn.ModuleDict({"generator": nn.Sequential(nn.BatchNorm2d(1), nn.Tanh())})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.conditions["source"])


def test_a_network_that_reads_samples_has_the_statistics_of_the_real_ones():
    x = torch.randint(0, 256, (300, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    nets = Reading().build(None, SPEC)
    recompute_statistics(Reading(), SPEC, nets, Samples(x, torch.arange(300) % 2, SPEC), 0)
    values = SPEC.sample.encode(x).flatten(1)
    assert torch.allclose(nets["encoder"][1].running_mean, values.mean(0), atol=1e-5)
    assert torch.allclose(nets["encoder"][1].running_var, values.var(0, correction=0), rtol=1e-4)


@pytest.mark.parametrize("rest", [0, 17])
def test_data_that_are_sorted_by_class_are_read_from_all_classes(rest):
    """Twice as many samples as are read, the dark ones first; so is a generator's condition."""
    count = 2 * statistics.SAMPLES + rest
    x = torch.where(torch.arange(count) < count // 2, 0, 255).to(torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    nets = Reading().build(None, SPEC)
    recompute_statistics(Reading(), SPEC, nets, Samples(x, torch.arange(count) % 2, SPEC), 0)
    assert nets["encoder"][1].running_mean.abs().max() < 0.01
    spec = Spec(sample=Image(1, 2, 2), conditions=[Condition(name="source", sample=Image(1, 2, 2))])
    nets = Conditional().build(None, spec)
    recompute_statistics(Conditional(), spec, nets, Samples(x, None, spec, None, {"source": x}), 0)
    assert nets["generator"][0].running_mean.abs().item() < 0.01


def test_a_generator_with_conditions_gets_those_of_the_data():
    spec = Spec(sample=Image(1, 2, 2), conditions=[Condition(name="source", sample=Image(1, 2, 2))])
    x = torch.randint(0, 256, (statistics.SAMPLES, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    data = Samples(torch.zeros_like(x).to(torch.uint8), None, spec, None, {"source": x.to(torch.uint8)})
    nets = Conditional().build(None, spec)
    recompute_statistics(Conditional(), spec, nets, data, 0)
    values = spec.sample.encode(x.to(torch.uint8))
    assert nets["generator"][0].running_mean.item() == pytest.approx(values.mean().item(), abs=1e-5)
    assert nets["generator"][0].running_var.item() == pytest.approx(values.var(correction=0).item(), rel=1e-4)
