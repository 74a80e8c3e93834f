"""The contract of a backend allows a semi-supervised GAN that classifies (Odena 2016; Salimans 2016)."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, softplus

import genaug
from genaug.backends import Backend, BackendConfig, Fakes, Loss, Normal, Player, adam
from genaug.backends.registry import added
from genaug.modalities.image import to_uint8
from genaug.nn.blocks import ConvFeatures, ConvGenerator
from genaug.testing import check_backend


class Classifier(nn.Module):
    """Logits of K classes; real with probability Z / (Z + 1), Z = sum exp of them (Salimans et al. 2016, section 5)."""

    def __init__(self, spec, classes, width):
        super().__init__()
        self.body = ConvFeatures(spec.shape, width, 8 * width)
        self.head = nn.Linear(self.body.width, classes)

    def forward(self, images):
        return self.head(self.body(images))


class SemiSupervised(Backend):
    class Config(BackendConfig):
        latent_size: int = 16
        width: int = 16
        classes: int = 10

    keeps = ("generator", "classifier")
    takes_unlabelled = True
    tiny: ClassVar = {"width": 4, "latent_size": 4, "classes": 3}

    def describe(self, config, data):
        return data.model_copy(update={"latents": (Normal(size=config.latent_size),)})

    def build(self, config, spec):
        generator = ConvGenerator(spec.shape, spec.num_classes, config.latent_size, config.width, 8 * config.width)
        classifier = Classifier(spec, spec.num_classes or config.classes, config.width)
        return nn.ModuleDict({"generator": generator, "classifier": classifier})

    def generate(self, nets, inputs):
        return nets["generator"](inputs.latents["z"], inputs.labels)

    def classify(self, nets, x):
        return nets["classifier"](x)

    def score(self, nets, x, labels):
        return nets["classifier"](x).logsumexp(1)

    def players(self, config, nets):
        return [
            Player("classifier", nets["classifier"].parameters(), self.classifier_loss, adam(1e-3, (0.5, 0.99))),
            Player("generator", nets["generator"].parameters(), self.generator_loss, adam(1e-3, (0.5, 0.99))),
        ]

    def fakes(self, nets, batch, step):
        inputs = step.inputs(batch)
        if inputs.labels is not None:  # samples without a label get the classes in turn
            turns = torch.arange(len(batch.x), device=batch.x.device) % step.spec.num_classes
            inputs = type(inputs)(inputs.latents, inputs.labels.where(inputs.labels >= 0, turns), inputs.noise)
        return Fakes(self.generate(nets, inputs), inputs)

    def classifier_loss(self, nets, batch, step):
        fake = step.fakes(lambda: self.fakes(nets, batch, step)).x.detach()
        real, fake_scores = nets["classifier"](batch.x), nets["classifier"](fake).logsumexp(1)
        value = softplus(-real.logsumexp(1)).mean() + softplus(fake_scores).mean()
        known = batch.labels is not None and batch.labels >= 0
        if batch.labels is not None and known.any():
            value = value + cross_entropy(real[known], batch.labels[known])
        return Loss(value)

    def generator_loss(self, nets, batch, step):
        fakes = step.fakes(lambda: self.fakes(nets, batch, step))
        logits = nets["classifier"](fakes.x)
        value = softplus(-logits.logsumexp(1)).mean()
        return Loss(value if batch.labels is None else value + cross_entropy(logits, fakes.inputs.labels))


def test_it_fulfills_the_contract():
    with added("semi", SemiSupervised):
        assert {result.check for result in check_backend("semi")} >= {"check_unlabelled_samples", "check_classify"}


def test_it_classifies_digits_from_ten_labels_per_class_and_all_images(tmp_path):
    data, test = (genaug.data.load_data("digits", split=split) for split in ("train", "test"))
    few = set(genaug.data.few_per_class(data, 10).indices)
    mixed = [(image, label if index in few else -1) for index, (image, label) in enumerate(data)]
    with added("semi", SemiSupervised):
        generator = genaug.fit("semi", mixed, out=tmp_path / "run", steps=300, device="cpu", progress=False)
        logits = genaug.load(tmp_path / "run", device="cpu").classify(
            torch.stack([to_uint8(image) for image, _ in test])
        )
    assert generator.spec.num_classes == 10
    accuracy = (logits.argmax(1) == torch.tensor([label for _, label in test])).float().mean()
    assert accuracy > 0.8  # ten guesses in a hundred are right by chance


def test_other_backends_reject_unlabeled_images(tmp_path):
    data = [(torch.zeros(1, 8, 8), index % 3 - 1) for index in range(12)]
    with pytest.raises(genaug.GenaugError, match="labels must be 0 or more, got -1"):
        genaug.fit("cgan", data, out=tmp_path / "run", steps=1, progress=False)
