"""Honest backends pass the checks, and each wrong one fails the check that is named after what is wrong with it."""

import re
import time
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from genaug.backends import Backend, BackendConfig, Loss, Player
from genaug.errors import InputError, PluginError
from genaug.nn.objectives import OBJECTIVES, zero_centred_penalty
from genaug.testing import CHECKS, ConformanceError, check_backend, parametrize_with_checks


class Net(nn.Module):
    """Latents and labels, or images and labels, to numbers: fully connected."""

    def __init__(self, inputs, outputs, classes, norm=False):
        super().__init__()
        self.first = nn.Linear(inputs, 12)
        self.embed = nn.Embedding(max(1, classes), 12)
        self.norm = nn.BatchNorm1d(12) if norm else nn.Dropout(0.1)
        self.last = nn.Linear(12, outputs)

    def forward(self, x, labels):
        x = self.first(x.flatten(1))
        if labels is not None:
            x = x + self.embed(labels)
        return self.last(self.norm(x).relu())


class Honest(Backend):
    """A conditional GAN with batch normalisation, dropout and a lazy penalty, none of which a check may object to."""

    class Config(BackendConfig):
        latent_size: int = 4

    def build(self, config, spec):
        pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]
        generator = nn.Module()
        generator.body = Net(config.latent_size, pixels, spec.num_classes, norm=True)
        generator.shape = spec.shape
        return nn.ModuleDict({"generator": generator, "critic": Net(pixels, 1, spec.num_classes)})

    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], latents, labels).tanh()

    def unbounded(self, generator, latents, labels):
        return generator.body(latents["z"], labels).unflatten(1, generator.shape)

    def players(self, config, nets):
        return [Player(name, nets[name].parameters(), 1e-3) for name in ("generator", "critic")]

    def loss(self, player, nets, batch, step):
        labels = batch.labels if step.spec.takes_labels else None
        objective = OBJECTIVES["nonsaturating"]
        if player == "generator":
            step.cache["fake"] = self.generate(nets, step.latents(len(batch.x)), labels)
            score = nets["critic"](step.cache["fake"], labels)
            return Loss(objective.generator(score, score))
        fake = nets["critic"](step.cache["fake"].detach(), labels)
        with step.float32():
            images = batch.x.clone().requires_grad_()
            real = nets["critic"](images, labels)
            value = objective.discriminator(real, fake)
            if step.index % 4 == 0:
                value = value + zero_centred_penalty(real, images)
        return Loss(value, {"real": real.mean().detach()})


class Unconditional(Honest):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"classes": None})


class Untrained(Honest):
    """A source that genaug doesn't train, such as a wrapped pipeline."""

    players, loss = Backend.players, Backend.loss


class FewSizes(Honest):
    def describe(self, config, data):
        if data.shape[1] % 4 or not data.takes_labels:
            raise InputError("this backend makes labelled images of sides that are multiples of 4.")
        return super().describe(config, data)


class TakesTurns(Honest):
    """Its generator rests in every other step."""

    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        return Loss(found.value * (step.index % 2), found.log) if player == "generator" else found


# The ten, some of them in two ways ------------------------------------------------------------------------------------


class Unbounded(Honest):
    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], latents, labels)


class UnitRange(Honest):
    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], latents, labels).sigmoid()


class Bytes(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, latents, labels)
        return images if torch.is_grad_enabled() else (images * 127).to(torch.int8)


class Doubles(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, latents, labels)
        return images if torch.is_grad_enabled() else images.double()


class IgnoresLabels(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, latents, None)


class LearnsNoLabels(Honest):
    """Its generator takes labels, and nobody ever compares an image with one."""

    def loss(self, player, nets, batch, step):
        critic = nets["critic"]
        blind = {"generator": nets["generator"], "critic": lambda images, labels: critic(images, None)}
        return super().loss(player, blind, batch, step)


class GlobalNoise(Honest):
    def loss(self, player, nets, batch, step):
        noisy = batch.x + 0.1 * torch.randn_like(batch.x)
        return super().loss(player, nets, type(batch)(noisy, batch.labels), step)


class GlobalSeed(Honest):
    def generate(self, nets, inputs):
        torch.manual_seed(0)
        return super().generate(nets, latents, labels)


class Remembers(Honest):
    """An average of the real images outside the networks, which the generator's loss uses."""

    def __init__(self):
        self.mean = 0

    def loss(self, player, nets, batch, step):
        self.mean = 0.5 * self.mean + 0.5 * batch.x.mean(0).detach()
        found = super().loss(player, nets, batch, step)
        if player == "critic":
            return found
        return Loss(found.value + (step.cache["fake"].mean(0) - self.mean).square().mean())


class KeepsItOffTheStateDict(Honest):
    """A plain tensor on the generator, changed in training."""

    def build(self, config, spec):
        nets = super().build(config, spec)
        nets["generator"].shift = torch.zeros(1)
        return nets

    def generate(self, nets, inputs):
        return (self.unbounded(nets["generator"], latents, labels) + nets["generator"].shift).tanh()

    def loss(self, player, nets, batch, step):
        nets["generator"].shift = nets["generator"].shift + 0.1
        return super().loss(player, nets, batch, step)


class ByTheClock(Honest):
    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        return Loss(found.value * (1 + time.perf_counter_ns() % 9973 / 9973))


class KeepsAll(Honest):
    kept: list[Any] = []  # noqa: RUF012

    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        self.kept.append(step.cache["fake"].detach())
        return found


class KeepsTheGraph(Honest):
    total: Any = 0

    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        type(self).total = self.total + found.value
        return found


class KeepsSamples(Honest):
    kept: list[Any] = []  # noqa: RUF012

    def generate(self, nets, inputs):
        images = super().generate(nets, latents, labels)
        if not torch.is_grad_enabled():
            self.kept.append(images)
        return images


class EvenSides(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, latents, labels)
        height, width = images.shape[2] // 2 * 2, images.shape[3] // 2 * 2
        return images if torch.is_grad_enabled() else images[:, :, :height, :width]


class FailsOnOddSides(Honest):
    def loss(self, player, nets, batch, step):
        if batch.x.shape[2] % 2:
            raise RuntimeError("The size of tensor a (9) must match the size of tensor b (8)")
        return super().loss(player, nets, batch, step)


class Opaque(Honest):
    class Config(BackendConfig):
        latent_size: int = 4
        activation: Any = torch.tanh


class Lossy(Honest):
    class Config(BackendConfig):
        latent_size: int = 4
        betas: Any = (0.0, 0.99)


class OnesOnTheCPU(Honest):
    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        score = nets["critic"](batch.x, batch.labels)
        return Loss(found.value + binary_cross_entropy_with_logits(score, torch.ones(len(score), 1)))


class NoiseOnTheCPU(Honest):
    """``linear`` is one of those that don't object on the meta device."""

    def generate(self, nets, inputs):
        shift = nn.functional.linear(latents["z"], torch.zeros(1, latents["z"].shape[1]))
        return (self.unbounded(nets["generator"], latents, labels) + shift[:, :, None, None]).tanh()


class Reshapes(Honest):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"shape": (data.shape[0], 8, 12)})


class Unstable(Honest):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"num_classes": max(0, data.num_classes - 1)})


class IgnoresLatents(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, {"z": 0 * latents["z"]}, labels)


class LooksAtTheBatch(Honest):
    def generate(self, nets, inputs):
        return (self.unbounded(nets["generator"], latents, labels) + latents["z"].mean()).tanh()


class UsesTheCritic(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, latents, labels) * nets["critic"].last.weight.mean()


class Counts(Honest):
    def build(self, config, spec):
        nets = super().build(config, spec)
        nets["generator"].register_buffer("calls", torch.zeros(()))
        return nets

    def generate(self, nets, inputs):
        nets["generator"].calls += 1
        return super().generate(nets, latents, labels)


class SameNames(Honest):
    def players(self, config, nets):
        return [Player("both", nets[name].parameters(), 1e-3) for name in ("generator", "critic")]


class ForeignParameters(Honest):
    def players(self, config, nets):
        return [*super().players(config, nets), Player("third", [nn.Parameter(torch.zeros(2))], 1e-3)]


class CriticOnly(Honest):
    def players(self, config, nets):
        return super().players(config, nets)[1:]

    def loss(self, player, nets, batch, step):
        super().loss("generator", nets, batch, step)
        return super().loss(player, nets, batch, step)


class LogsTheGraph(Honest):
    def loss(self, player, nets, batch, step):
        value = super().loss(player, nets, batch, step).value
        return Loss(value, {"twice": 2 * value})


class NoGradient(Honest):
    def loss(self, player, nets, batch, step):
        found = super().loss(player, nets, batch, step)
        return Loss(found.value * 0) if player == "generator" else found


class NotFinite(Honest):
    def loss(self, player, nets, batch, step):
        return Loss(super().loss(player, nets, batch, step).value / 0)


class NotAScalar(Honest):
    def loss(self, player, nets, batch, step):
        return Loss(super().loss(player, nets, batch, step).value.expand(2))


class InPlace(Honest):
    def loss(self, player, nets, batch, step):
        batch.x.mul_(0.5)
        return super().loss(player, nets, batch, step)


class NeedsLabels(Honest):
    def loss(self, player, nets, batch, step):
        assert batch.labels.max() < 3
        return super().loss(player, nets, batch, step)


class Float32Only(Honest):
    def loss(self, player, nets, batch, step):
        nets["critic"](batch.x, batch.labels).detach().numpy()
        return super().loss(player, nets, batch, step)


TEN = {  # and what they fail besides, since that follows from it
    Unbounded: {"check_image_range"},
    Doubles: {"check_image_dtype"},
    IgnoresLabels: {"check_labels_reach_images"},
    GlobalNoise: {"check_global_rng_is_untouched"},
    Remembers: {"check_state_lives_in_networks"},
    ByTheClock: {"check_reproducible", "check_state_lives_in_networks"},
    KeepsAll: {"check_memory_is_flat"},
    EvenSides: {"check_image_shape"},
    Opaque: {"check_config_is_serialisable", "check_save_and_load"},
    OnesOnTheCPU: {"check_one_device"},
}
OTHERS = {
    UnitRange: "check_image_range",
    Bytes: "check_image_dtype",
    LearnsNoLabels: "check_labels_reach_losses",
    GlobalSeed: "check_global_rng_is_untouched",
    KeepsItOffTheStateDict: "check_save_and_load",
    KeepsTheGraph: "check_memory_is_flat",
    KeepsSamples: "check_memory_is_flat",
    FailsOnOddSides: "check_image_shape",
    Lossy: "check_config_is_serialisable",
    NoiseOnTheCPU: "check_one_device",
    Reshapes: "check_spec_is_stable",
    Unstable: "check_spec_is_stable",
    IgnoresLatents: "check_latents_reach_images",
    LooksAtTheBatch: "check_samples_are_independent",
    UsesTheCritic: "check_generator_suffices",
    Counts: "check_generator_suffices",
    SameNames: "check_players",
    ForeignParameters: "check_players",
    CriticOnly: "check_training_changes_the_generator",
    LogsTheGraph: "check_losses",
    NoGradient: "check_losses",
    NotFinite: "check_losses",
    NotAScalar: "check_losses",
    InPlace: "check_losses",
    NeedsLabels: "check_unlabelled_data",
    Float32Only: "check_bfloat16",
}
BY_NAME = {check.__name__: check for check in CHECKS}


@pytest.mark.parametrize("backend", [Honest, Unconditional, Untrained, FewSizes, TakesTurns])
def test_honest_backends_pass(register_backend, backend):
    register_backend("honest", backend)
    before = torch.random.get_rng_state()
    results = check_backend("honest")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [result.check for result in results] == list(BY_NAME)
    skipped = {result.check for result in results if result.outcome == "skipped"}
    assert "check_image_range" not in skipped
    assert bool(skipped) == (backend in (Unconditional, Untrained))


@pytest.mark.parametrize("backend", TEN)
def test_a_wrong_backend_fails_the_check_that_says_why_and_no_other(register_backend, backend):
    register_backend("wrong", backend)
    with pytest.raises(ConformanceError, match="backend 'wrong' fails") as caught:
        check_backend("wrong")
    assert set(re.findall(r"^  (check_\w+): ", str(caught.value), re.MULTILINE)) == TEN[backend]


@pytest.mark.parametrize("backend", OTHERS)
def test_more_ways_to_be_wrong(register_backend, backend):
    register_backend("wrong", backend)
    with pytest.raises((ConformanceError, PluginError, RuntimeError, TypeError, AttributeError)):
        BY_NAME[OTHERS[backend]]("wrong")


def test_there_is_a_wrong_backend_for_every_check():
    assert set().union(*TEN.values(), OTHERS.values()) == set(BY_NAME)


def test_options_reach_the_backend(register_backend):
    seen = []

    class Curious(Honest):
        def build(self, config, spec):
            seen.append(config.latent_size)
            return super().build(config, spec)

    register_backend("curious", Curious)
    BY_NAME["check_image_dtype"]("curious", {"latent_size": 3})
    Curious.tiny = {"latent_size": 5}
    BY_NAME["check_image_dtype"]("curious")
    assert set(seen) == {3, 5}
    with pytest.raises(InputError, match="latent_size: Input should be a valid integer"):
        check_backend("curious", config={"latent_size": "many"})


def test_names():
    with pytest.raises(PluginError, match="no backend 'nonesuch'"):
        check_backend("nonesuch")
    with pytest.raises(InputError, match=r"\['cgan'\]"):
        parametrize_with_checks("cgan")
