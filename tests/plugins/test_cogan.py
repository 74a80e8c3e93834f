"""The cogan backend: its losses by hand, what its networks share, pairs from one latent, and its classifier."""

import math

import pytest
import torch
from helpers.players import loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import softplus
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Spec, adam
from genaug.data import Unpaired, load_data
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.labelling.judges import OwnClassifier
from genaug.labelling.labelled_set import read_labelled
from genaug.modalities.image import Image, to_uint8
from genaug.studies.classifiers import predicted
from genaug.training.trainer import Trainer
from genaug_cogan.backend import CoGAN, CoGANConfig
from genaug_cogan.networks import CoupledDiscriminator, CoupledGenerator, DomainConv, chosen, pair_distance

TINY = CoGAN.tiny
SPEC = Spec(sample=Image(1, 4, 4), classes=("ink", "light"), recognized=("one", "two"))


class Sides(nn.Module):
    """A generator of images that are 0.5 everywhere in the first domain and -1 in the second one, times a parameter."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(1.0))

    def forward(self, z):
        values = torch.tensor([0.5, -1.0])[:, None, None, None].expand(2, 1, 4, 4)
        return self.factor * values.expand(len(z), -1, -1, -1, -1)


class Means(nn.Module):
    """A discriminator whose score is an image's mean, twice as much in the second domain; its features are the mean
    and 3. The class logits are (0, score), the domain logits (0, mean)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.classify = True

    def of_domain(self, images):
        mean = images.mean((1, 2, 3))
        return torch.stack([torch.zeros_like(mean), mean], 1)

    def forward(self, images, domains):
        mean = images.mean((1, 2, 3))
        score = self.weight[domains] * mean
        return score, torch.stack([mean, torch.full_like(mean, 3)], 1), torch.stack([torch.zeros_like(score), score], 1)


def losses(targets=(1, -1), policy=(), **options):
    """Both losses for an image of the first domain, which is 1, and one of the second domain, which is 0.25."""
    config = CoGANConfig(**options)
    nets = nn.ModuleDict({"generator": Sides(), "discriminator": Means()})
    x = torch.tensor([1.0, 0.25])[:, None, None, None].expand(2, 1, 4, 4)
    batch = Batch(x, torch.tensor([0, 1]), {}, None if targets is None else torch.tensor(targets))
    step = step_of(config, CoGAN().describe(config, SPEC), policy=policy)
    return {name: loss_of(name, CoGAN(), nets, batch, step) for name in ("discriminator", "generator")}


class TestLossesByHand:
    """Real scores are 1 and 0.5; those of the generated pair 0.5 and -2. The features of the pair differ by 1.5."""

    def adversarial(self):
        real, fake = torch.tensor([1.0, 0.5]), torch.tensor([0.5, -2.0])
        return float(softplus(-real).mean() + softplus(fake).mean())

    def test_discriminators(self):
        loss = losses(pair_weight=0.1, class_weight=3)["discriminator"]
        of_class = -math.log(math.e / (1 + math.e))  # the first image is of class 1; the second one has no label
        of_domain = (math.log(1 + math.e) + math.log(1 + math.exp(-0.25))) / 2
        expected = self.adversarial() + 0.1 * 1.5**2 + 3 * of_class + of_domain
        assert loss.value.item() == pytest.approx(expected, rel=1e-5)
        assert loss.log["pair_distance"].item() == pytest.approx(2.25)
        assert loss.log["class"].item() == pytest.approx(of_class, rel=1e-5)
        assert loss.log["real_above_fake"] == 1

    def test_without_labels_there_is_no_classifier(self):
        loss = losses(targets=None, pair_weight=0)["discriminator"]
        assert loss.value.item() == pytest.approx(self.adversarial(), rel=1e-5)
        assert "class" not in loss.log

    def test_the_domain_is_learned_from_images_without_augmentation(self, monkeypatch):
        seen = []
        monkeypatch.setattr(Means, "of_domain", lambda self, images: seen.append(images) or torch.zeros(2, 2))
        losses(policy=("affine",))
        assert [image.unique().tolist() for image in seen[0]] == [[1.0], [0.25]]

    def test_generators(self):
        value = losses()["generator"].value.item()
        assert value == pytest.approx(float(softplus(torch.tensor([-0.5, 2.0])).mean()), rel=1e-5)

    def test_other_objectives(self):
        values = losses(loss="least_squares", pair_weight=0, targets=None)
        assert values["discriminator"].value.item() == pytest.approx((0 + 0.25) / 4 + (0.25 + 4) / 4)
        assert values["generator"].value.item() == pytest.approx((0.25 + 9) / 4)

    def test_the_distance_of_more_domains_is_the_mean_over_all_pairs(self):
        features = torch.tensor([[[0.0, 1.0], [2.0, 1.0], [5.0, 2.0]]])
        assert pair_distance(features).item() == pytest.approx((4 + (25 + 1) + (9 + 1)) / 3)

    def test_the_classifier_weighs_the_domains(self):
        nets = nn.ModuleDict({"discriminator": Means()})
        logits = CoGAN().classify(nets, torch.full((1, 1, 4, 4), 0.5))
        first = math.exp(0.5) / (1 + math.exp(0.5))  # p(class 1 | x, domain 0), and p(domain 1 | x)
        second = math.e / (1 + math.e)
        assert logits.softmax(1)[0, 1].item() == pytest.approx((1 - first) * first + first * second, rel=1e-5)


class TestNetworks:
    def test_domains_share_all_of_the_generator_but_the_image_layer(self):
        generator = CoupledGenerator(2, (1, 16, 16), 5, 4, 16)
        images = generator(torch.randn(3, 5))
        assert images.shape == (3, 2, 1, 16, 16)
        images[:, 0].sum().backward()
        assert generator.trunk.stem.project.weight.grad.abs().sum() > 0
        assert generator.image.weight.grad[0].abs().sum() > 0
        assert not generator.image.weight.grad[1].any()

    def test_domains_share_all_of_the_discriminator_but_the_first_layer(self):
        judge = CoupledDiscriminator(2, 3, (1, 16, 16), 4, 16)
        judge(torch.randn(3, 1, 16, 16), torch.ones(3, dtype=torch.int64))[0].sum().backward()
        assert not judge.first.weight.grad[0].any()
        assert judge.first.weight.grad[1].abs().sum() > 0
        assert judge.convs[0].weight.grad.abs().sum() > 0

    def test_the_layers_of_a_domain_are_ordinary_convolutions(self):
        torch.manual_seed(0)
        layer, conv, x = DomainConv(2, 3, 4), nn.Conv2d(3, 4, 5, padding=2), torch.randn(2, 3, 6, 7)
        spreads = [float(each.weight.detach().std()) for each in (layer, conv)]
        assert spreads[0] == pytest.approx(spreads[1], rel=0.15), "initial weights are as large as those of torch"
        with torch.no_grad():
            conv.weight.copy_(layer.weight[1].unflatten(1, (3, 5, 5)))
            conv.bias.copy_(layer.bias[1])
        assert torch.allclose(chosen(layer(x), torch.tensor([1, 1])), conv(x), atol=1e-5)

    @pytest.mark.parametrize(
        ("side", "channels"), [(4, [20, 50]), (16, [20, 50]), (28, [20, 50]), (32, [20, 50, 100]), (64, [20, 50, 100])]
    )
    def test_the_widths_of_the_discriminator_are_those_of_the_paper(self, side, channels):
        judge = CoupledDiscriminator(2, 0, (1, side, side), 20, 100)
        widths = [judge.first.bias.shape[1], *(conv.out_channels for conv in judge.convs)]
        assert widths[: len(channels)] == channels
        assert judge.score.in_features == 500
        assert judge(torch.zeros(2, 1, side, side), torch.tensor([0, 1]))[2] is None


def test_the_defaults():
    config = CoGANConfig()
    players = CoGAN().players(config, CoGAN().build(config, CoGAN().describe(config, SPEC)))
    assert [(player.name, player.updates) for player in players] == [("discriminator", 1), ("generator", 1)]
    assert all(player.optimizer == adam(6e-4, (0.5, 0.999), decay=0.5) for player in players)


@pytest.mark.parametrize("options", [{"pair_weight": -1}, {"class_weight": -1}, {"loss": "wasserstein"}])
def test_options_out_of_bounds(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        CoGANConfig(**options)


def images_of(count, low, high, shape=(1, 8, 8), seed=0):
    return torch.randint(low, high, (count, *shape), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_batches_have_as_many_images_of_the_smaller_domain():
    x, labels = images_of(100, 0, 256), (torch.arange(100) >= 90).long()
    data = Samples(x, labels, Spec(sample=Image(1, 8, 8), classes=2))
    trainer = Trainer(CoGAN(), CoGANConfig(**TINY), data, batch_size=50)
    assert sum(int(trainer.batches.batch(index).labels.sum()) for index in range(2)) == 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    a = TensorDataset(images_of(30, 0, 100), torch.arange(30) % 3)
    data = Unpaired(a, TensorDataset(images_of(44, 150, 256, seed=1)), names=("dark", "bright"))
    out = tmp_path_factory.mktemp("cogan") / "run"
    genaug.fit("cogan", data, out=out, steps=3, batch_size=8, config=TINY, device="cpu", progress=False)
    return out


class TestARun:
    def test_the_domains_are_the_classes_and_the_classes_are_recognized(self, folder):
        generator = genaug.load(folder, device="cpu")
        assert generator.spec.class_names == ("dark", "bright")
        assert generator.spec.recognized.count == 3
        assert generator.spec.conditions == ()
        assert generator.classify(images_of(5, 0, 256)).shape == (5, 3)
        assert generator.score(images_of(5, 0, 256), [0, 1, 0, 1, 1]).shape == (5,)

    def test_the_same_seed_is_a_pair_in_both_domains(self, folder):
        generator = genaug.load(folder, device="cpu")
        dark, bright = (generator.sample(labels=[domain] * 6, seed=7)[0] for domain in (0, 1))
        mixed, labels = generator.sample(labels=[0, 1, 0, 1, 0, 1], seed=7)
        rows = torch.arange(6)
        assert torch.equal(mixed, torch.stack([dark, bright], 1)[rows, labels])
        calls = []
        trunk = generator.nets["generator"].trunk  # both images of a pair come from one feature map
        handle = trunk.register_forward_hook(lambda module, inputs, output: calls.append(output[:6]))
        [generator.sample(labels=[domain] * 6, seed=7) for domain in (0, 1)]
        handle.remove()
        assert torch.equal(*calls)
        assert not torch.equal(dark, bright)

    def test_its_classifier_labels_samples_and_is_judged_by_the_classes_that_it_recognizes(self, folder):
        generator = genaug.load(folder, device="cpu")
        images, labels = images_of(30, 0, 256, seed=2), torch.arange(30) % 3
        arguments = {"image_size": None, "exclude": None, "folds": 2, "seed": 0}
        labelled = read_labelled(TensorDataset(images, labels), (1, 8, 8), **arguments)
        assert OwnClassifier(generator, labelled).held_out.shape == (30, 3)
        spec = Spec(sample=Image(1, 8, 8), classes=3)
        predictions = predicted(generator, images, spec, [0, 1, 2])
        assert torch.equal(predictions.labels, generator.classify(images).argmax(1))

    def test_without_labels_it_trains_and_classify_says_what_is_missing(self, tmp_path):
        sets = [TensorDataset(images_of(12, *bounds)) for bounds in ((0, 100), (150, 256))]
        options = {"config": TINY, "batch_size": 8, "device": "cpu", "progress": False}
        generator = genaug.fit("cogan", Unpaired(*sets), out=tmp_path / "run", steps=1, **options)
        assert generator.spec.class_names == ("a", "b")
        with pytest.raises(InputError, match="has no classifier: the images of the first domain had no labels"):
            generator.classify(images_of(2, 0, 256))

    def test_a_dataset_labeled_by_domain_is_enough_and_may_have_more_than_two(self, tmp_path):
        data = TensorDataset(images_of(30, 0, 256), torch.arange(30) % 3)
        options = {"config": TINY, "batch_size": 9, "device": "cpu", "progress": False}
        generator = genaug.fit("cogan", data, out=tmp_path / "run", steps=1, **options)
        assert generator.spec.num_classes == 3
        assert generator.sample(labels=[0, 1, 2], seed=0)[0].shape == (3, 1, 8, 8)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (TensorDataset(images_of(9, 0, 256)), "cogan needs images of two domains"),
            (
                TensorDataset(images_of(9, 0, 256), torch.zeros(9, dtype=torch.int64)),
                "cogan needs images of two domains",
            ),
            (TensorDataset(images_of(9, 0, 256, (1, 3, 8)), torch.arange(9) % 2), "sides of at least 4 pixels"),
            (
                Unpaired(TensorDataset(images_of(9, 0, 256)), TensorDataset(images_of(9, 0, 256, (3, 8, 8)))),
                "'a' has 1x8x8, 'b' 3x8x8",
            ),
        ],
    )
    def test_data_of_one_domain_or_of_different_forms_are_one_sentence(self, tmp_path, data, message):
        with pytest.raises(InputError, match=message):
            genaug.fit("cogan", data, out=tmp_path / "run", steps=1, config=TINY, device="cpu", progress=False)


def test_another_domain_can_be_added_by_fine_tuning(tmp_path):
    options = {"config": TINY, "batch_size": 9, "device": "cpu", "progress": False}
    two = genaug.fit("cogan", domains_of(2), out=tmp_path / "two", steps=1, **options)
    three = genaug.fit("cogan", domains_of(3), out=tmp_path / "three", steps=1, init=tmp_path / "two", **options)
    assert three.spec.num_classes == 3
    assert two.spec.num_classes == 2


@pytest.mark.parametrize("classes", [0, 5])
def test_fine_tuning_on_other_classes_starts_with_a_new_layer_for_them(folder, tmp_path, classes):
    images = images_of(30, 0, 100)
    a = TensorDataset(images, torch.arange(30) % classes) if classes else TensorDataset(images)
    data = Unpaired(a, TensorDataset(images_of(44, 150, 256, seed=1)), names=("dark", "bright"))
    options = {"steps": 1, "batch_size": 8, "device": "cpu", "progress": False}
    generator = genaug.fit("cogan", data, out=tmp_path / "run", init=folder, **options)
    assert (generator.spec.recognized and generator.spec.recognized.count) == (classes or None)
    before = genaug.load(folder, device="cpu").tensors()
    name = next(name for name in before if name.startswith("generator.trunk.") and before[name].ndim > 1)
    assert torch.allclose(generator.tensors()[name], before[name], atol=0.01)


def domains_of(count):
    data = TensorDataset(images_of(30, 0, 256), torch.arange(30) % count)
    data.classes = [f"domain {i}" for i in range(count)]
    return data


@pytest.mark.slow
def test_pairs_correspond_and_labels_reach_the_other_domain(tmp_path):
    digits, test = ([(to_uint8(x), label) for x, label in load_data("digits", split=s)] for s in ("train", "test"))
    a, b = digits[:700], [(255 - image, label) for image, label in digits[700:]]
    config = {"width": 16, "lr": 1e-3}
    options = {"steps": 1500, "batch_size": 64, "config": config, "device": "cpu", "progress": False}
    generator = genaug.fit("cogan", Unpaired(a, b, names=("ink", "light")), out=tmp_path / "run", **options)
    ink, light = (generator.sample(labels=[domain] * 200, seed=0)[0].float() for domain in (0, 1))
    apart = (ink - (255 - light)).abs().mean()
    assert apart < 0.7 * (ink - (255 - light.roll(1, 0))).abs().mean(), "nearer than those of other latents"
    images, labels = torch.stack([image for image, _ in test]), torch.tensor([label for _, label in test])
    for version in (images, 255 - images):
        assert (generator.classify(version).argmax(1) == labels).float().mean() > 0.8
