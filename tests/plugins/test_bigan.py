"""The bigan backend: its losses by hand, what labels reach, its networks, and codes and features of the digits."""

import math

import pytest
import torch
from helpers.players import batch_of, check_labels_are_ignored, check_losses, generate, loss_of, losses_of, step_of
from pydantic import ValidationError
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from torch import nn

import genaug
from genaug.backends import Batch, Spec, Uniform, adam, registry
from genaug.data import few_per_class, load_data
from genaug.data.reading import read_samples
from genaug.errors import InputError
from genaug.modalities.image import Image, to_float
from genaug.testing import check_backend
from genaug_bigan.backend import BiGAN, BiGANConfig

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
TINY = {
    "mlp": {"latent_size": 4, "hidden": 16},
    "conv": {"kind": "conv", "latent_size": 4, "hidden": 16, "width": 4, "max_width": 8},
}
KINDS = list(TINY)


@pytest.fixture
def backend():
    return registry.resolve("bigan")


def configure(kind="mlp", **options):
    return BiGANConfig(**{**TINY[kind], **options})


def spec_of(config, shape=(1, 8, 8), classes=3):
    return BiGAN().describe(config, Spec(sample=Image(*shape), classes=classes))


def built(kind="mlp", classes=3, **options):
    config = configure(kind, **options)
    torch.manual_seed(0)
    return BiGAN().build(config, spec_of(config, classes=classes)).eval()


class StubGenerator(nn.Module):
    """Makes w z_0 everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, z, labels):
        self.labels = labels
        return (self.weight * z[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)


class StubEncoder(nn.Module):
    """With the image's sum s: the code v s."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(-0.2))

    def forward(self, images):
        return (self.weight * images.flatten(1).sum(1))[:, None]


class StubDiscriminator(nn.Module):
    """The score a s + b z_0 + s z_0, of the image's sum s."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.7, -1.1]))
        self.labels = []

    def forward(self, images, z, labels):
        self.labels.append(labels)
        total = images.flatten(1).sum(1)
        return self.weight[0] * total + self.weight[1] * z[:, 0] + total * z[:, 0]


def softplus(x):
    return math.log1p(math.exp(x))


class TestLosses:
    @pytest.fixture
    def hand(self):
        """The losses of both players with stub networks, and the scores of both kinds of pairs in plain numbers."""

        def compute(labels=None, order=("discriminator", "generator")):
            config = configure(latent_size=1)
            spec = spec_of(config, (1, 2, 2), 3 if labels is not None else 0)
            nets = nn.ModuleDict(
                {"generator": StubGenerator(), "encoder": StubEncoder(), "discriminator": StubDiscriminator()}
            )
            batch = Batch(batch_of((1, 2, 2), 5).x, labels)
            step = step_of(config, spec)
            losses = {name: loss_of(name, BiGAN(), nets, batch, step) for name in order}
            z = step_of(config, spec).latents(5)["z"][:, 0].tolist()
            sums = batch.x.flatten(1).sum(1).tolist()
            real = [0.7 * s - 1.1 * (-0.2 * s) + s * (-0.2 * s) for s in sums]  # (x, E(x))
            fake = [0.7 * 4 * 0.3 * v - 1.1 * v + 4 * 0.3 * v * v for v in z]  # (G(z), z)
            return losses, real, fake, nets

        return compute

    def test_the_discriminator_tells_images_with_codes_from_latents_with_images(self, hand):
        losses, real, fake, _ = hand()
        expected = sum(softplus(-r) for r in real) / 5 + sum(softplus(f) for f in fake) / 5
        assert losses["discriminator"].value.item() == pytest.approx(expected, rel=1e-5)
        log = losses["discriminator"].log
        assert log["real_score"].item() == pytest.approx(sum(real) / 5, rel=1e-5)
        assert log["fake_score"].item() == pytest.approx(sum(fake) / 5, rel=1e-5)
        assert not any(value.requires_grad for loss in losses.values() for value in loss.log.values())

    def test_generator_and_encoder_have_its_loss_with_swapped_targets(self, hand):
        losses, real, fake, _ = hand()
        expected = sum(softplus(r) for r in real) / 5 + sum(softplus(-f) for f in fake) / 5
        assert losses["generator"].value.item() == pytest.approx(expected, rel=1e-5)

    def test_the_gradients_of_generator_and_encoder(self, hand):
        """d softplus(r) / dv through the code of a real image, d softplus(-f) / dw through a generated image."""
        losses, real, fake, nets = hand()
        losses["generator"].value.backward()
        sums = batch_of((1, 2, 2), 5).x.flatten(1).sum(1).tolist()
        z = step_of(configure(latent_size=1), spec_of(configure(latent_size=1), (1, 2, 2), 0)).latents(5)["z"]
        sigmoid = [1 / (1 + math.exp(-r)) for r in real]
        of_encoder = sum(p * (-1.1 + s) * s for p, s in zip(sigmoid, sums, strict=True)) / 5
        assert nets["encoder"].weight.grad.item() == pytest.approx(of_encoder, rel=1e-4)
        pairs = zip(fake, z[:, 0].tolist(), strict=True)
        of_generator = sum(-1 / (1 + math.exp(f)) * (0.7 + v) * 4 * v for f, v in pairs) / 5
        assert nets["generator"].weight.grad.item() == pytest.approx(of_generator, rel=1e-4)

    def test_the_discriminators_loss_has_no_gradient_for_the_others(self, hand):
        losses, *_, nets = hand()
        losses["discriminator"].value.backward()
        assert nets["discriminator"].weight.grad is not None
        assert nets["generator"].weight.grad is None
        assert nets["encoder"].weight.grad is None

    @pytest.mark.parametrize("labels", [None, torch.tensor([0, -1, 2, -1, 2])])
    def test_the_order_of_the_players_does_not_matter(self, hand, labels):
        one, other = (
            hand(labels, order)[0] for order in (("discriminator", "generator"), ("generator", "discriminator"))
        )
        assert all(one[name].value.item() == pytest.approx(other[name].value.item()) for name in one)

    def test_the_discriminator_sees_the_same_labels_beside_both_kinds_of_pairs(self, hand):
        labels = torch.tensor([0, -1, 2, -1, 2])
        nets = hand(labels)[-1]
        assert len(nets["discriminator"].labels) == 4
        assert all(torch.equal(seen, labels) for seen in nets["discriminator"].labels)

    def test_images_without_a_label_are_matched_by_images_of_the_labeled_classes(self, hand):
        made = hand(torch.tensor([0, -1, 2, -1, 2]))[-1]["generator"].labels
        assert made[[0, 2, 4]].tolist() == [0, 2, 2]
        assert set(made[[1, 3]].tolist()) <= {0, 2}

    def test_without_any_label_they_are_of_all_classes(self, hand):
        made = hand(torch.full((5,), -1))[-1]["generator"].labels
        assert set(made.tolist()) <= {0, 1, 2}
        assert len(set(made.tolist())) > 1

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("labels", [None, (0, 1, 2, 0), (-1, -1, -1, -1), (-1, 2, -1, -1)])
    @pytest.mark.parametrize("policy", [(), ("translation", "affine")])
    def test_every_mix_of_labels_trains_all_networks(self, backend, kind, labels, policy):
        config = configure(kind)
        spec = spec_of(config, classes=3 if labels else 0)
        batch = Batch(batch_of((1, 8, 8)).x, torch.tensor(labels) if labels else None)
        losses, gradients = losses_of(backend, config, spec, batch, 0, policy)
        assert all(loss.value.isfinite() for loss in losses.values())
        assert all(any(g is not None and float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_augmentation_is_for_the_discriminators_images_only(self, backend):
        config, batch = configure(), batch_of((1, 8, 8))
        nets, seen = built(), []
        nets["encoder"].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        loss_of("generator", backend, nets, batch, step_of(config, spec_of(config), policy=("translation",)))
        assert torch.equal(seen[0], batch.x)

    def test_a_single_image_is_rejected(self, backend):
        config = configure()
        with pytest.raises(InputError, match="at least 2 images"):
            losses_of(backend, config, spec_of(config), batch_of((1, 8, 8), 1))

    def test_rates_and_players(self, backend):
        config = configure(lr=0.01, decay=0.25, beta1=0.3)
        nets = built(lr=0.01)
        players = backend.players(config, nets)
        assert [player.name for player in players] == ["discriminator", "generator"]
        assert all(player.optimizer == adam(0.01, (0.3, 0.999), decay=0.25) for player in players)
        together = {id(p) for role in ("generator", "encoder") for p in nets[role].parameters()}
        assert {id(p) for p in players[1].parameters} == together


class TestNetworks:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("classes", [3, 0])
    def test_build_generate_encode_loss_backward(self, backend, kind, shape, classes):
        config = configure(kind)
        spec = spec_of(config, shape, classes)
        nets, batch = backend.build(config, spec), batch_of(shape, 4, classes)
        images = generate(backend, nets, step_of(config, spec).latents(4), batch.labels)
        assert images.shape == (4, *shape)
        assert float(images.detach().abs().max()) <= 1
        assert backend.encode(nets, images, batch.labels)["z"].shape == (4, 4)
        assert backend.score(nets, images, batch.labels).shape == (4,)
        check_losses(backend, config, spec, batch)

    def test_the_latent_is_uniform_and_the_labels_are_the_datas_unless_the_option_is_off(self, backend):
        data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
        assert backend.describe(configure(), data) == data.model_copy(update={"latents": (Uniform(size=4),)})
        assert backend.describe(configure(conditional=False), data).classes is None

    def test_an_unconditional_bigan_ignores_the_labels_of_the_data(self, backend):
        check_labels_are_ignored(backend, configure(conditional=False))

    def test_the_dense_networks_are_those_of_the_paper(self, backend):
        config = BiGANConfig()
        nets = backend.build(config, spec_of(config, (1, 28, 28), 0))
        sizes = {role: sorted(tuple(p.shape) for p in nets[role].parameters() if p.ndim == 2) for role in nets}
        square = (1024, 1024)
        assert sizes["encoder"] == [(50, 1024), (1024, 784), square]
        assert sizes["generator"] == [(784, 1024), (1024, 50), (1024, 50), square]
        assert sizes["discriminator"] == [(1, 1024), (1024, 50), (1024, 784), square]

    def test_image_and_latent_have_about_the_same_share_of_the_discriminators_hidden_layer_at_first(self, backend):
        torch.manual_seed(0)
        config = BiGANConfig()
        discriminator = backend.build(config, spec_of(config, (1, 28, 28), 0))["discriminator"]
        images = (torch.rand(200, 1, 28, 28) < 0.1).float() * 2 - 1  # with the mean square of MNIST's pixels, 0.1
        image = discriminator.image(discriminator.body(images)).square().mean().sqrt().item()
        latent = discriminator.latent(torch.rand(200, 50) * 2 - 1).square().mean().sqrt().item()
        assert image == pytest.approx(0.08, rel=0.3)
        assert latent == pytest.approx(0.08, rel=0.3)

    @pytest.mark.parametrize("kind", KINDS)
    def test_codes_lie_in_the_range_of_the_prior(self, kind):
        nets = built(kind)
        with torch.no_grad():
            nets["encoder"].code.weight.mul_(1e6)
        codes = nets["encoder"](batch_of((1, 8, 8), 6).x).detach()
        assert 0.99 < float(codes.abs().max()) <= 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_code_and_a_score_depend_on_their_own_image_only_after_training(self, backend, kind):
        nets, batch = built(kind), batch_of((1, 8, 8), 4)
        codes, scores = backend.encode(nets, batch.x, None)["z"], backend.score(nets, batch.x, batch.labels)
        for i in range(4):
            x, label = batch.x[i : i + 1], batch.labels[i : i + 1]
            assert torch.allclose(backend.encode(nets, x, None)["z"], codes[i : i + 1], atol=1e-6)
            assert torch.allclose(backend.score(nets, x, label), scores[i : i + 1], atol=1e-6)

    @pytest.mark.parametrize("kind", KINDS)
    def test_latent_and_label_reach_the_image(self, backend, kind):
        nets, z = built(kind), torch.rand(2, 4) * 2 - 1
        if kind == "conv":  # its generator begins with the same map for all classes
            nn.init.normal_(nets["generator"].stem.maps.weight)
        by_label = generate(backend, nets, {"z": z[:1].expand(2, 4)}, torch.tensor([0, 1]))
        by_latent = generate(backend, nets, {"z": z}, torch.tensor([1, 1]))
        assert not torch.allclose(by_label[0], by_label[1])
        assert not torch.allclose(by_latent[0], by_latent[1])

    @pytest.mark.parametrize("kind", KINDS)
    def test_image_latent_and_label_reach_the_score_and_a_missing_label_adds_nothing(self, kind):
        discriminator = built(kind)["discriminator"]
        x, z = batch_of((1, 8, 8), 2).x, torch.rand(2, 4)
        score = discriminator(x, z, torch.tensor([1, 1]))
        assert not torch.allclose(discriminator(x.flip(0), z, torch.tensor([1, 1])), score)
        assert not torch.allclose(discriminator(x, z.flip(0), torch.tensor([1, 1])), score)
        assert not torch.allclose(discriminator(x, z, torch.tensor([2, 1]))[0], score[0])
        unknown = discriminator(x, z, torch.tensor([-1, 1]))
        assert torch.equal(unknown[1], score[1])
        with torch.no_grad():
            discriminator.label.weight.zero_()
        assert torch.equal(discriminator(x, z, torch.tensor([1, 1]))[0], unknown[0])

    def test_the_blocks_of_the_discriminator_are_the_layers_before_the_latent_enters(self, backend):
        assert [type(block) for block in backend.discriminator_blocks(built())] == [nn.Linear]
        nets = built("conv")
        blocks = backend.discriminator_blocks(nets)
        assert [block[0] for block in blocks] == list(nets["discriminator"].body.convs)


SMALL = {"hidden": 128, "latent_size": 16, "lr": 1e-3}
OPTIONS = {"steps": 600, "device": "cpu", "precision": "float32", "progress": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A BiGAN of the embedded digits without labels, loaded from its folder."""
    out, digits = tmp_path_factory.mktemp("bigan") / "run", load_data("digits", split="train")
    genaug.fit("bigan", digits, out=out, config={**SMALL, "conditional": False}, **OPTIONS)
    return genaug.load(out, device="cpu")


@pytest.fixture(scope="module")
def test_set():
    return read_samples(load_data("digits", split="test"))


class TestTraining:
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_fulfills_the_contract(self, kind):
        outcomes = {result.check: result.outcome for result in check_backend("bigan", config=TINY[kind])}
        checks = ("check_encode", "check_score", "check_unlabelled_samples", "check_discriminator_blocks")
        assert all(outcomes[name] == "passed" for name in checks)

    def test_a_reconstruction_is_nearer_to_its_image_than_to_others(self, trained, test_set):
        images = to_float(test_set.x)
        made = trained.decode(**trained.encode(test_set.x), dtype=torch.float32)
        error = (images - made).flatten(1).norm(dim=1).mean()
        assert error < 0.9 * (images.roll(1, 0) - made).flatten(1).norm(dim=1).mean()

    def test_features_are_those_of_the_layer_before_the_code(self, trained, test_set):
        features = genaug.features(trained, layer="encoder.features").transform(test_set.x)
        assert features.shape == (len(test_set.x), 128)
        encoder = trained.nets["encoder"]
        codes = torch.tanh(encoder.code(torch.from_numpy(features)) / 2)
        assert torch.allclose(codes, trained.encode(test_set.x)["z"], atol=1e-4)

    def test_features_tell_the_digits_apart(self, trained, test_set):
        train = read_samples(load_data("digits", split="train"))
        features = genaug.features(trained, layer="encoder.features")
        nearest = make_pipeline(features, KNeighborsClassifier(1)).fit(train.x.numpy(), train.labels)
        assert nearest.score(test_set.x.numpy(), test_set.labels) > 0.9

    def test_the_score_is_that_of_an_image_with_its_code(self, trained, test_set):
        x = test_set.spec.sample.encode(test_set.x[:50])
        expected = trained.nets["discriminator"](x, trained.encode(test_set.x[:50])["z"], None)
        assert torch.allclose(trained.score(test_set.x[:50]), expected, atol=1e-4)

    def test_variations_begin_at_the_reconstruction_and_move_away(self, trained, test_set):
        some = test_set.x[:40]
        own = trained.decode(**trained.encode(some))
        assert torch.equal(trained.vary(some, strength=0, seed=0), own)
        distances = [
            (to_float(trained.vary(some, strength=s, seed=0)) - to_float(own)).flatten(1).norm(dim=1).mean()
            for s in (0.2, 0.5, 1)
        ]
        assert distances == sorted(distances)
        assert distances[0] > 0

    def test_labels_of_a_few_images_decide_the_class_of_samples_and_variations(self, tmp_path, test_set):
        """The other images are unlabeled; a classifier of real digits recognizes the requested ones."""
        data = load_data("digits", split="train")
        few, out = few_per_class(data, 30), tmp_path / "run"
        generator = genaug.fit("bigan", few, unlabelled=data, out=out, config=SMALL, **OPTIONS)
        assert generator.training["labels"] == 300
        train, labels = read_samples(data), torch.arange(10).repeat(30)
        nearest = KNeighborsClassifier(3).fit(train.x.flatten(1).numpy(), train.labels)
        images, _ = generator.sample(labels=labels, seed=0)
        assert nearest.score(images.flatten(1).numpy(), labels) > 0.8
        varied = generator.vary(test_set.x, test_set.labels, seed=0)
        assert nearest.score(varied.flatten(1).numpy(), test_set.labels) > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "deep"}, "kind"),
        ({"latent_size": 0}, "latent_size"),
        ({"hidden": 3}, "hidden"),
        ({"lr": 0}, "lr"),
        ({"decay": 1.5}, "decay"),
        ({"beta1": 1}, "beta1"),
        ({"width": 8}, "width has no effect with kind 'mlp': leave it out, or set kind to 'conv'"),
        ({"max_width": 8}, "max_width has no effect"),
        ({"classes": 10}, "classes"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(ValidationError, match=message):
        BiGANConfig(**options)


def test_options_survive_being_written_out_in_full():
    for kind in KINDS:
        config = configure(kind)
        assert BiGANConfig(**config.model_dump(mode="json")) == config
