"""Honest backends pass the checks, and each wrong one fails the check that is named after what is wrong with it."""

import re
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from genaug.backends import Backend, BackendConfig, Categorical, Classes, Condition, Fakes, Loss, Player, adam
from genaug.errors import InputError, PluginError
from genaug.modalities import Image
from genaug.nn.objectives import OBJECTIVES, zero_centered_penalty
from genaug.testing import CHECKS, ConformanceError, check_backend, checks_of, parametrize_with_checks


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
    """A conditional GAN with batch normalization, dropout and a lazy penalty, none of which a check may object to."""

    class Config(BackendConfig):
        latent_size: int = 4

    def build(self, config, spec):
        pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]
        generator = nn.Module()
        generator.body = Net(config.latent_size, pixels, spec.num_classes, norm=True)
        generator.shape = spec.shape
        return nn.ModuleDict({"generator": generator, "critic": Net(pixels, 1, spec.num_classes)})

    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], inputs).tanh()

    def unbounded(self, generator, inputs):
        return generator.body(inputs.latents["z"], inputs.labels).unflatten(1, generator.shape)

    def player(self, name, parameters, **options):
        return Player(name, parameters, lambda *arguments: self.loss(name, *arguments), adam(1e-3), **options)

    def players(self, config, nets):
        return [self.player(name, nets[name].parameters()) for name in ("generator", "critic")]

    def fakes(self, nets, batch, step):
        def make():
            inputs = step.inputs(batch)
            return Fakes(self.generate(nets, inputs), inputs)

        return step.fakes(make).x

    def loss(self, player, nets, batch, step):
        """The loss of both players; backends that are wrong change it."""
        labels, objective = batch.labels, OBJECTIVES["nonsaturating"]
        if player == "generator":
            score = nets["critic"](self.fakes(nets, batch, step), labels)
            return Loss(objective.generator(score, score))
        fake = nets["critic"](self.fakes(nets, batch, step).detach(), labels)
        with step.float32():
            images = batch.x.clone().requires_grad_()
            real = nets["critic"](images, labels)
            value = objective.discriminator(real, fake)
            if step.index % 4 == 0:
                value = value + zero_centered_penalty(real, images)
        return Loss(value, {"real": real.mean().detach()})


class Unconditional(Honest):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"classes": None})


class Untrained(Honest):
    """A source that genaug doesn't train, such as a wrapped pipeline."""

    players = Backend.players


class FewSizes(Honest):
    def describe(self, config, data):
        if data.shape[1] % 4 or not data.takes_labels:
            raise InputError("this backend makes labelled images of sides that are multiples of 4.")
        return super().describe(config, data)


class RestsInTurns(Honest):
    """Its generator rests in every other step."""

    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        return Loss(loss.value * (step.index % 2), loss.log) if player == "generator" else loss


class Complete(Honest):
    """All optional features: kept networks that read samples, conditions, noise, and data that are partly labeled."""

    keeps = ("generator", "critic", "reader", "classifier")
    conditions = ("source",)
    takes_unlabelled = True

    def build(self, config, spec):
        nets = super().build(config, spec)
        pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]
        nets["reader"] = Net(pixels, config.latent_size, 0, norm=True)
        nets["classifier"] = Net(pixels, max(1, spec.num_classes), 0)
        return nets

    def generate(self, nets, inputs):
        pixels = self.unbounded(nets["generator"], inputs)
        return (pixels + inputs.conditions["source"] + 0.01 * inputs.noise(*pixels.shape[1:])).tanh()

    def encode(self, nets, x, labels):
        return {"z": nets["reader"](x, None)}

    def classify(self, nets, x):
        return nets["classifier"](x, None)

    def score(self, nets, x, labels):
        return nets["critic"](x, labels)[:, 0]

    def reverse(self, nets, inputs):
        return 0.5 * inputs.conditions["source"]

    def players(self, config, nets):
        return [*super().players(config, nets), self.player("reader", nets["reader"].parameters()), *self.more(nets)]

    def more(self, nets):
        return [self.player("classifier", nets["classifier"].parameters())]

    def discriminator_blocks(self, nets):
        return [nets["critic"].first]

    def loss(self, player, nets, batch, step):
        labeled = None if batch.labels is None else batch.labels >= 0
        labels = None
        if labeled is not None:  # samples without a label get the classes in turn
            labels = batch.labels.where(labeled, torch.arange(len(batch.x), device=batch.x.device) % 3)
        batch = replace(batch, labels=labels)
        if player == "reader":
            inputs = step.inputs(batch)
            read = nets["reader"](self.generate(nets, inputs), None)
            return Loss((read - inputs.latents["z"]).square().mean())
        if player == "classifier":
            logits = nets["classifier"](batch.x, None)
            if labeled is None:
                return Loss(logits.square().mean())
            losses = cross_entropy(logits, labels, reduction="none")
            return Loss((losses * labeled).mean())
        return super().loss(player, nets, batch, step)


class FreezesNothing(Complete):
    def discriminator_blocks(self, nets):
        return []


class FreezesEverything(Honest):
    def discriminator_blocks(self, nets):
        return [nets]


class ConcatenatesLabelsFirst(Honest):
    """And declares that the classes come last."""

    after_classes = {"generator.body.first.weight": 0}  # noqa: RUF012

    def build(self, config, spec):
        nets, pixels = super().build(config, spec), spec.shape[0] * spec.shape[1] * spec.shape[2]
        nets["generator"].body = Net(spec.num_classes + config.latent_size, pixels, 0, norm=True)
        return nets

    def unbounded(self, generator, inputs):
        z = inputs.latents["z"]
        if inputs.labels is not None:
            labels = one_hot(inputs.labels, generator.body.first.in_features - z.shape[1]).float()
            z = torch.cat([labels, z], 1)
        return generator.body(z, None).unflatten(1, generator.shape)


class Codes(Unconditional):
    """Has no classes, and classifies the categories of its first categorical latent."""

    keeps = ("generator", "critic")

    def describe(self, config, data):
        spec = super().describe(config, data)
        codes = (Categorical(name="c1", size=5), Categorical(name="c2", size=2))
        return spec.model_copy(update={"latents": (*spec.latents, *codes)})

    def build(self, config, spec):
        nets = super().build(config, spec)
        pixels = spec.shape[0] * spec.shape[1] * spec.shape[2]
        nets["generator"].codes = nn.ModuleList([nn.Embedding(5, pixels), nn.Embedding(2, pixels)])
        nets["critic"].categories = nn.Linear(pixels, 5)
        return nets

    def unbounded(self, generator, inputs):
        codes = [generator.codes[i](inputs.latents[name]) for i, name in enumerate(("c1", "c2"))]
        return super().unbounded(generator, inputs) + sum(codes).unflatten(1, generator.shape)

    def classify(self, nets, x):
        return nets["critic"].categories(x.flatten(1))

    def encode(self, nets, x, labels):
        return {"c1": self.classify(nets, x).argmax(1)}


# Wrong backends, some in two variants ---------------------------------------------------------------------------------


class Unbounded(Honest):
    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], inputs)


class UnitRange(Honest):
    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], inputs).sigmoid()


class Bytes(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, inputs)
        return images if torch.is_grad_enabled() else (images * 127).to(torch.int8)


class Doubles(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, inputs)
        return images if torch.is_grad_enabled() else images.double()


class IgnoresLabels(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, replace(inputs, labels=None))


class LearnsNoLabels(Honest):
    """Its generator takes labels, but no loss compares images with labels."""

    def loss(self, player, nets, batch, step):
        critic = nets["critic"]
        blind = {"generator": nets["generator"], "critic": lambda images, labels: critic(images, None)}
        return super().loss(player, blind, batch, step)


class GlobalNoise(Honest):
    def loss(self, player, nets, batch, step):
        noisy = batch.x + 0.1 * torch.randn_like(batch.x)
        return super().loss(player, nets, replace(batch, x=noisy), step)


class GlobalSeed(Honest):
    def generate(self, nets, inputs):
        torch.manual_seed(0)
        return super().generate(nets, inputs)


class Remembers(Honest):
    """An average of the real images outside the networks, which the generator's loss uses."""

    def __init__(self):
        self.mean = 0

    def loss(self, player, nets, batch, step):
        self.mean = 0.5 * self.mean + 0.5 * batch.x.mean(0).detach()
        loss = super().loss(player, nets, batch, step)
        if player == "critic":
            return loss
        return Loss(loss.value + (self.fakes(nets, batch, step).mean(0) - self.mean).square().mean())


class KeepsItOffTheStateDict(Honest):
    """A plain tensor on the generator, changed in training."""

    def build(self, config, spec):
        nets = super().build(config, spec)
        nets["generator"].shift = torch.zeros(1)
        return nets

    def generate(self, nets, inputs):
        return (self.unbounded(nets["generator"], inputs) + nets["generator"].shift).tanh()

    def loss(self, player, nets, batch, step):
        nets["generator"].shift = nets["generator"].shift + 0.1
        return super().loss(player, nets, batch, step)


class ByTheClock(Honest):
    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        return Loss(loss.value * (1 + time.perf_counter_ns() % 9973 / 9973))


class KeepsAll(Honest):
    kept: list[Any] = []  # noqa: RUF012

    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        self.kept.append(self.fakes(nets, batch, step).detach())
        return loss


class KeepsTheGraph(Honest):
    total: Any = 0

    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        type(self).total = self.total + loss.value
        return loss


class KeepsSamples(Honest):
    kept: list[Any] = []  # noqa: RUF012

    def generate(self, nets, inputs):
        images = super().generate(nets, inputs)
        if not torch.is_grad_enabled():
            self.kept.append(images)
        return images


class EvenSides(Honest):
    def generate(self, nets, inputs):
        images = super().generate(nets, inputs)
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
        loss = super().loss(player, nets, batch, step)
        score = nets["critic"](batch.x, batch.labels)
        return Loss(loss.value + binary_cross_entropy_with_logits(score, torch.ones(len(score), 1)))


class NoiseOnTheCPU(Honest):
    """``linear`` accepts tensors of several devices on the meta device."""

    def generate(self, nets, inputs):
        shift = nn.functional.linear(inputs.latents["z"], torch.zeros(1, inputs.latents["z"].shape[1]))
        return (self.unbounded(nets["generator"], inputs) + shift[:, :, None, None]).tanh()


class Reshapes(Honest):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"sample": Image(data.shape[0], 8, 12)})


class Unstable(Honest):
    def describe(self, config, data):
        return (
            super().describe(config, data).model_copy(update={"classes": Classes(count=max(1, data.num_classes - 1))})
        )


class IgnoresLatents(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, replace(inputs, latents={"z": 0 * inputs.latents["z"]}))


class LooksAtTheBatch(Honest):
    def generate(self, nets, inputs):
        return (self.unbounded(nets["generator"], inputs) + inputs.latents["z"].mean()).tanh()


class UsesTheCritic(Honest):
    def generate(self, nets, inputs):
        return super().generate(nets, inputs) * nets["critic"].last.weight.mean()


class Counts(Honest):
    def build(self, config, spec):
        nets = super().build(config, spec)
        nets["generator"].register_buffer("calls", torch.zeros(()))
        return nets

    def generate(self, nets, inputs):
        nets["generator"].calls += 1
        return super().generate(nets, inputs)


class SameNames(Honest):
    def players(self, config, nets):
        return [self.player("both", nets[name].parameters()) for name in ("generator", "critic")]


class ForeignParameters(Honest):
    def players(self, config, nets):
        return [*super().players(config, nets), self.player("third", [nn.Parameter(torch.zeros(2))])]


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
        loss = super().loss(player, nets, batch, step)
        return Loss(loss.value * 0) if player == "generator" else loss


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


class EncodesByPosition(Complete):
    def encode(self, nets, x, labels):
        return super().encode(nets, x, labels)["z"]


class EncodesNothing(Complete):
    def encode(self, nets, x, labels):
        return {}


class EncodesAnotherLatent(Complete):
    def encode(self, nets, x, labels):
        return {"style": super().encode(nets, x, labels)["z"]}


class EncodesAnotherSize(Complete):
    def encode(self, nets, x, labels):
        return {"z": super().encode(nets, x, labels)["z"][:, 1:]}


class EncodesOneForAll(Complete):
    def encode(self, nets, x, labels):
        return {"z": super().encode(nets, x, labels)["z"][:1]}


class EncodesNaN(Complete):
    def encode(self, nets, x, labels):
        return {"z": super().encode(nets, x, labels)["z"] * float("nan")}


class EncodesLogits(Codes):
    def encode(self, nets, x, labels):
        return {"c1": self.classify(nets, x)}


class EncodesWithADroppedNetwork(Complete):
    keeps = ("generator", "critic", "classifier")


class ClassifiesOneClassMore(Complete):
    def classify(self, nets, x):
        logits = super().classify(nets, x)
        return torch.cat([logits, logits[:, :1]], 1)


class ClassifiesAsLabels(Complete):
    def classify(self, nets, x):
        return super().classify(nets, x).argmax(1)


class ClassifiesNaN(Complete):
    def classify(self, nets, x):
        return super().classify(nets, x) * float("nan")


class ClassifiesTheSecondCode(Codes):
    def classify(self, nets, x):
        return super().classify(nets, x)[:, :2]


class ScoresAsColumn(Complete):
    def score(self, nets, x, labels):
        return nets["critic"](x, labels)


class ScoresOnce(Complete):
    def score(self, nets, x, labels):
        return super().score(nets, x, labels).mean()


class ScoresInfinity(Complete):
    def score(self, nets, x, labels):
        return super().score(nets, x, labels) / 0


class ScoresOnlyWithLabels(Complete):
    scores_without_labels = True

    def score(self, nets, x, labels):
        return super().score(nets, x, labels) + labels.sign()


class IgnoresConditions(Complete):
    def generate(self, nets, inputs):
        nothing = {"source": 0 * inputs.conditions["source"]}
        return super().generate(nets, replace(inputs, conditions=nothing))


class LooksAtOtherConditions(Complete):
    def generate(self, nets, inputs):
        neighbours = {"source": inputs.conditions["source"].roll(1, 0)}
        return super().generate(nets, replace(inputs, conditions=neighbours))


class DropsConditions(Complete):
    def describe(self, config, data):
        return super().describe(config, data).model_copy(update={"conditions": ()})

    def generate(self, nets, inputs):
        return self.unbounded(nets["generator"], inputs).tanh()


class InventsConditions(Complete):
    def describe(self, config, data):
        more = Condition(name="more", sample=data.sample)
        return super().describe(config, data).model_copy(update={"conditions": (*data.conditions, more)})


class ReversesToALargerSize(Complete):
    def reverse(self, nets, inputs):
        return super().reverse(nets, inputs).repeat(1, 1, 2, 2)


class ReversesEverythingToTheSame(Complete):
    def reverse(self, nets, inputs):
        return 0 * super().reverse(nets, inputs)


class ReversesWithADroppedNetwork(Complete):
    """Networks that it doesn't keep aren't there when it is loaded."""

    keeps = ("generator", "reader", "classifier")

    def reverse(self, nets, inputs):
        return super().reverse(nets, inputs) + nets["critic"](inputs.conditions["source"], None)[:, :, None, None]


class LogOfTheLabel(Complete):
    """Unlabeled samples give a loss that isn't finite."""

    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        return loss if batch.labels is None else Loss(loss.value + 0 * (batch.labels + 1.0).log().mean(), loss.log)


class TakesHiddenLabelsForTheLastClass(Complete):
    """-1 is an index from the end, as in log_probabilities[rows, labels]."""

    def loss(self, player, nets, batch, step):
        if player == "classifier" and batch.labels is not None:
            chosen = nets["classifier"](batch.x, None).log_softmax(1)[torch.arange(len(batch.x)), batch.labels]
            return Loss(-chosen.mean())
        return super().loss(player, nets, batch, step)


class TakesHiddenLabelsForTheFirstClass(Complete):
    def loss(self, player, nets, batch, step):
        labels = None if batch.labels is None else batch.labels.clamp(min=0)
        return super().loss(player, nets, replace(batch, labels=labels), step)


class LooksUpTheLabel(Complete):
    """Unlabeled samples have no row in its table."""

    def loss(self, player, nets, batch, step):
        loss = super().loss(player, nets, batch, step)
        return loss if batch.labels is None else Loss(loss.value + 0 * nets["critic"].embed(batch.labels).sum())


class KeepsAnUntrainedNetwork(Complete):
    def more(self, nets):
        return []


MAIN = {  # with all checks that they fail
    Unbounded: {"check_image_range"},
    Doubles: {"check_image_dtype"},
    IgnoresLabels: {"check_labels_reach_images"},
    GlobalNoise: {"check_global_rng_is_untouched"},
    Remembers: {"check_state_lives_in_networks"},
    ByTheClock: {"check_reproducible", "check_state_lives_in_networks"},
    KeepsAll: {"check_memory_is_flat"},
    EvenSides: {"check_image_shape"},
    Opaque: {"check_config_is_serializable", "check_save_and_load"},
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
    Lossy: "check_config_is_serializable",
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
    EncodesByPosition: "check_encode",
    EncodesNothing: "check_encode",
    EncodesAnotherLatent: "check_encode",
    EncodesAnotherSize: "check_encode",
    EncodesOneForAll: "check_encode",
    EncodesNaN: "check_encode",
    EncodesLogits: "check_encode",
    EncodesWithADroppedNetwork: "check_encode",
    ClassifiesOneClassMore: "check_classify",
    ClassifiesAsLabels: "check_classify",
    ClassifiesNaN: "check_classify",
    ClassifiesTheSecondCode: "check_classify",
    ScoresAsColumn: "check_score",
    ScoresOnce: "check_score",
    ScoresInfinity: "check_score",
    ScoresOnlyWithLabels: "check_score",
    IgnoresConditions: "check_conditions_reach_samples",
    LooksAtOtherConditions: "check_samples_are_independent",
    DropsConditions: "check_conditions_reach_samples",
    InventsConditions: "check_conditions_reach_samples",
    ReversesToALargerSize: "check_reverse",
    ReversesEverythingToTheSame: "check_reverse",
    ReversesWithADroppedNetwork: "check_reverse",
    LogOfTheLabel: "check_unlabelled_samples",
    FreezesNothing: "check_discriminator_blocks",
    FreezesEverything: "check_discriminator_blocks",
    ConcatenatesLabelsFirst: "check_classes_can_be_matched",
    LooksUpTheLabel: "check_unlabelled_samples",
    TakesHiddenLabelsForTheLastClass: "check_hidden_labels_stay_hidden",
    TakesHiddenLabelsForTheFirstClass: "check_hidden_labels_stay_hidden",
    KeepsAnUntrainedNetwork: "check_all_kept_networks_are_trained",
}
OPTIONAL = {
    "check_encode",
    "check_classify",
    "check_score",
    "check_conditions_reach_samples",
    "check_reverse",
    "check_unlabelled_samples",
    "check_hidden_labels_stay_hidden",
    "check_all_kept_networks_are_trained",
    "check_discriminator_blocks",
}
BY_NAME = {check.__name__: check for check in CHECKS}


@pytest.mark.parametrize("backend", [Honest, Unconditional, Untrained, FewSizes, RestsInTurns])
def test_honest_backends_pass(register_backend, backend):
    register_backend("honest", backend)
    before = torch.random.get_rng_state()
    results = check_backend("honest")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [result.check for result in results] == [name for name in BY_NAME if name not in OPTIONAL]
    skipped = {result.check for result in results if result.outcome == "skipped"}
    assert "check_image_range" not in skipped
    assert bool(skipped) == (backend in (Unconditional, Untrained))


def test_a_backend_with_all_optional_features_passes_every_check(register_backend):
    register_backend("complete", Complete)
    assert [result.check for result in check_backend("complete") if result.outcome == "passed"] == list(BY_NAME)


def test_a_backend_that_reads_categories_without_classes_passes(register_backend):
    register_backend("codes", Codes)
    passed = {result.check for result in check_backend("codes") if result.outcome == "passed"}
    assert {"check_encode", "check_classify", "check_all_kept_networks_are_trained"} <= passed


def test_checks_apply_to_what_a_backend_declares(register_backend):
    register_backend("complete", Complete)
    register_backend("honest", Honest)
    assert {check.__name__ for check in checks_of("complete")} == set(BY_NAME)
    assert {check.__name__ for check in checks_of("honest")} == set(BY_NAME) - OPTIONAL
    assert checks_of("nonesuch") == CHECKS  # each check then says that there is no such backend


@pytest.mark.parametrize("backend", MAIN)
def test_a_wrong_backend_fails_the_check_that_says_why_and_no_other(register_backend, backend):
    register_backend("wrong", backend)
    with pytest.raises(ConformanceError, match="backend 'wrong' fails") as caught:
        check_backend("wrong")
    assert set(re.findall(r"^  (check_\w+): ", str(caught.value), re.MULTILINE)) == MAIN[backend]


@pytest.mark.parametrize("backend", OTHERS)
def test_more_ways_to_be_wrong(register_backend, backend):
    register_backend("wrong", backend)
    with pytest.raises((ConformanceError, PluginError, RuntimeError, TypeError, AttributeError, LookupError)):
        BY_NAME[OTHERS[backend]]("wrong")


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        (EncodesByPosition, r"encode must return values of the latents \['z'\] by name"),
        (EncodesAnotherSize, r"encode: latent 'z' must have shape \(N, 4\), got \(6, 3\)"),
        (EncodesOneForAll, "encode returned 1 values of 'z' for 6 samples"),
        (EncodesLogits, "encode: latent 'c1' must be an int64 tensor"),
        (ClassifiesOneClassMore, r"classify must return finite numbers of shape \(6, 3\), got shape \(6, 4\)"),
        (ClassifiesTheSecondCode, r"classify must return finite numbers of shape \(6, 5\), got shape \(6, 2\)"),
        (ScoresAsColumn, r"score must return finite numbers of shape \(6,\), got shape \(6, 1\)"),
        (IgnoresConditions, "the samples don't depend on the condition 'source'"),
        (InventsConditions, r"describe must keep the conditions \('source',\) of the data"),
        (ReversesToALargerSize, r"reverse must return finite samples of shape \(6, 1, 8, 8\), got \(6, 1, 16, 16\)"),
        (ReversesEverythingToTheSame, "the samples of reverse don't depend on its input"),
        (LogOfTheLabel, "the loss of player 'generator' is -?(nan|inf) with unlabeled samples"),
        (KeepsAnUntrainedNetwork, r"nets\['classifier'\] is kept, but no player trains its parameters"),
    ],
)
def test_the_checks_of_what_is_optional_say_what_is_wrong(register_backend, backend, message):
    register_backend("wrong", backend)
    with pytest.raises(ConformanceError, match=message):
        BY_NAME[OTHERS[backend]]("wrong")


def test_there_is_a_wrong_backend_for_every_check():
    assert set().union(*MAIN.values(), OTHERS.values()) == set(BY_NAME)


def test_options_reach_the_backend(register_backend):
    sizes = []

    class Curious(Honest):
        def build(self, config, spec):
            sizes.append(config.latent_size)
            return super().build(config, spec)

    register_backend("curious", Curious)
    BY_NAME["check_image_dtype"]("curious", {"latent_size": 3})
    Curious.tiny = {"latent_size": 5}
    BY_NAME["check_image_dtype"]("curious")
    assert set(sizes) == {3, 5}
    with pytest.raises(InputError, match="latent_size must be an integer"):
        check_backend("curious", config={"latent_size": "many"})


def test_names():
    with pytest.raises(PluginError, match="no backend 'nonesuch'"):
        check_backend("nonesuch")
    with pytest.raises(InputError, match=r"\['cgan'\]"):
        parametrize_with_checks("cgan")
