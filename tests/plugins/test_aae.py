"""The aae backend: its losses by hand, its priors, what labels may touch, and what it learns from the digits."""

import math

import pytest
import torch
from helpers.players import batch_of, check_labels_are_ignored, generate, loss_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Mixture, Normal, Spec, SwissRoll, adam, registry
from genaug.data import load_data
from genaug.data.reading import read_samples
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.nn.objectives import labeled_cross_entropy
from genaug.sources.generator import Generator
from genaug.testing import check_backend
from genaug_aae.backend import AAE
from genaug_aae.losses import category_prior, known_or_predicted, representative
from genaug_aae.options import AAEConfig

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
TINY = {
    "mlp": {"hidden": (16, 8), "discriminator_hidden": (8,), "latent_size": 4},
    "conv": {"kind": "conv", "width": 4, "max_width": 8, "discriminator_hidden": (8,), "latent_size": 4},
}
PLAYERS = ("autoencoder", "discriminator", "encoder")


@pytest.fixture
def backend():
    return registry.resolve("aae")


def configure(kind="mlp", **options):
    return AAEConfig(**{**TINY[kind], **options})


def spec_of(config, shape=(1, 8, 8), classes=3):
    return AAE().describe(config, Spec(sample=Image(*shape), classes=classes))


class TestLossesByHand:
    LOGITS = torch.tensor([[1.0, 3.0], [2.0, 6.0]]).log()

    def test_the_label_loss_is_the_cross_entropy_of_the_labeled_rows(self):
        expected = -(math.log(3 / 4) + math.log(2 / 8)) / 2
        assert labeled_cross_entropy(self.LOGITS, torch.tensor([1, 0])).item() == pytest.approx(expected)
        assert labeled_cross_entropy(self.LOGITS, torch.tensor([-1, 1])).item() == pytest.approx(-math.log(6 / 8))

    def test_without_labels_it_is_zero_with_a_gradient_of_zero(self):
        logits = self.LOGITS.clone().requires_grad_()
        loss = labeled_cross_entropy(logits, torch.tensor([-1, -1]))
        loss.backward()
        assert loss.item() == 0
        assert logits.grad.abs().max() == 0

    def test_a_known_label_is_certain_and_an_unknown_one_is_predicted(self):
        probabilities = known_or_predicted(torch.tensor([1, -1]), self.LOGITS)
        assert probabilities.flatten().tolist() == pytest.approx([0, 1, 2 / 8, 6 / 8])

    def test_classes_are_as_frequent_in_the_prior_as_among_the_labels(self):
        uniform = torch.tensor([0.0, 0.3, 0.34, 0.7, 0.999])
        drawn = category_prior(torch.tensor([-1, 2, 0, -1, 2]), 4, uniform)
        assert drawn.argmax(1).tolist() == [2, 2, 0, 2, 2]
        assert drawn.sum(1).tolist() == [1] * 5
        assert drawn.dtype == torch.float32

    def test_without_labels_all_classes_are_equally_frequent_in_it(self):
        drawn = category_prior(torch.tensor([-1, -1, -1]), 4, torch.tensor([0.0, 0.3, 1.0]))
        assert drawn.argmax(1).tolist() == [0, 1, 3]

    def test_rows_without_a_label_represent_the_data_or_all_if_there_are_none(self):
        assert representative(torch.tensor([2, -1, 0, -1])).tolist() == [False, True, False, True]
        assert representative(torch.tensor([2, 0])).tolist() == [True, True]


class StubEncoder(nn.Module):
    """With the image's pixels a and b: the code w a, and the logits (b, -b) if there are classes."""

    def __init__(self, classes):
        super().__init__()
        self.weight, self.classes, self.inputs = nn.Parameter(torch.tensor(0.7)), classes, []

    def forward(self, images):
        self.inputs.append(images.detach())
        a, b = images.flatten(1).T
        return (self.weight * a)[:, None], torch.stack([b, -b], 1) * self.weight if self.classes else None


class StubDecoder(nn.Module):
    """Log-odds v z + 2 p for both pixels, with the probability p of the last class."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.5))

    def log_odds(self, code, category):
        values = self.weight * code[:, 0] + (0 if category is None else 2 * category[:, -1])
        return values[:, None, None, None].expand(-1, 1, 1, 2)


class StubDiscriminator(nn.Module):
    """The score s (x_0 - 0.2 + x_last / 2)."""

    def __init__(self, slope):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, rows):
        return self.slope * (rows[:, :1] - 0.2 + rows[:, -1:] / 2)


class TestPlayers:
    LABELS = (-1, 1, -1, 0, -1)

    @pytest.fixture
    def hand(self):
        """The losses of all players with stub networks, for images of two pixels."""

        def losses(labels, noise=0.0, policy=()):
            config = AAEConfig(latent_size=1, input_noise=noise)
            spec = spec_of(config, (1, 1, 2), 2 if labels is not None else 0)
            judges = {"code": StubDiscriminator(0.9)}
            if labels is not None:
                judges["category"] = StubDiscriminator(-1.1)
            nets = nn.ModuleDict(
                {
                    "generator": StubDecoder(),
                    "encoder": StubEncoder(labels is not None),
                    "discriminator": nn.ModuleDict(judges),
                }
            )
            batch = Batch(batch_of((1, 1, 2), 5).x, None if labels is None else torch.tensor(labels))
            step = step_of(config, spec, policy=policy)
            return {name: loss_of(name, AAE(), nets, batch, step) for name in PLAYERS}, nets, batch, config, spec

        return losses

    @pytest.mark.parametrize("labels", [LABELS, (1, 0, 1, 1, 0), (-1, -1, -1, -1, -1), None])
    def test_by_hand(self, hand, labels):
        losses, _, batch, config, spec = hand(labels)
        pixels = batch.x.double().flatten(1).tolist()
        chosen = [i for i in range(5) if labels is None or labels[i] < 0] or list(range(5))
        codes = [0.7 * a for a, _ in pixels]
        predicted = [1 / (1 + math.exp(-2 * 0.7 * b)) for _, b in pixels]  # of class 0

        if labels is not None:  # the probability of class 1, certain if the label is known
            last = [float(labels[i] == 1) if labels[i] >= 0 else 1 - predicted[i] for i in range(5)]
        misfit = 0.0
        for i in chosen:
            white = 1 / (1 + math.exp(-(1.5 * codes[i] + (2 * last[i] if labels is not None else 0))))
            for pixel in pixels[i]:
                share = (pixel + 1) / 2
                misfit -= share * math.log(white) + (1 - share) * math.log(1 - white)
        assert losses["autoencoder"].value.item() == pytest.approx(misfit / (2 * len(chosen)), rel=1e-5)

        step = step_of(config, spec)
        z = step.latents(5)["z"][:, 0].tolist()
        with_class = [last if labels is not None else rows for rows in (z, codes)]
        rows = [[(values[i], others[i]) for i in chosen] for values, others in zip((z, codes), with_class, strict=True)]
        scores = {"code": (0.9, *rows)}
        if labels is not None:
            drawn = category_prior(batch.labels, 2, step.uniform(5)).tolist()
            scores["category"] = (-1.1, drawn, [(predicted[i], 1 - predicted[i]) for i in chosen])
        for name, (slope, real, fake) in scores.items():
            certain = [[1 / (1 + math.exp(-slope * (a - 0.2 + b / 2))) for a, b in rows] for rows in (real, fake)]
            judged = -sum(map(math.log, certain[0])) / len(real) - sum(math.log(1 - p) for p in certain[1]) / len(fake)
            fooled = -sum(map(math.log, certain[1])) / len(chosen)
            assert losses["discriminator"].log[f"discriminator/{name}"].item() == pytest.approx(judged, rel=1e-5)
            assert losses["encoder"].log[f"encoder/{name}"].item() == pytest.approx(fooled, rel=1e-5)

        if labels is not None:
            known = [i for i in range(5) if labels[i] >= 0]
            terms = [math.log(predicted[i] if labels[i] == 0 else 1 - predicted[i]) for i in known]
            expected = -sum(terms) / len(known) if known else 0
            assert losses["encoder"].log["label"].item() == pytest.approx(expected, rel=1e-5)
        for name in ("discriminator", "encoder"):
            terms = losses[name].log
            assert losses[name].value.item() == pytest.approx(sum(float(v) for v in terms.values()), rel=1e-5)
            assert not any(value.requires_grad for value in terms.values())

    def test_noise_and_augmentation_are_for_the_encoder_only(self, hand):
        """Noise of 0.4 on pixels from 0 to 1 is 0.8 on those from -1 to 1; the image without it is reconstructed."""
        (plain, *_), (noisy, nets, batch, config, spec) = hand(None), hand(None, noise=0.4)
        expected = batch.x + 0.8 * step_of(config, spec).normal(5, 1, 1, 2)
        assert torch.allclose(nets["encoder"].inputs[0], expected)
        assert plain["autoencoder"].value != noisy["autoencoder"].value
        _, augmented, *_ = hand(None, policy=("translation",))
        assert not any(torch.equal(x, batch.x) for x in augmented["encoder"].inputs)
        code = 0.7 * nets["encoder"].inputs[0].flatten(1)[:, 0]
        odds = (1.5 * code)[:, None].expand(5, 2)
        target = (batch.x.flatten(1) + 1) / 2
        misfit = nn.functional.binary_cross_entropy_with_logits(odds, target)
        assert noisy["autoencoder"].value.item() == pytest.approx(misfit.item(), rel=1e-5)

    def test_each_phase_trains_its_own_networks(self, hand):
        losses, nets, *_ = hand(self.LABELS)
        for name, roles in (
            ("discriminator", {"discriminator"}),
            ("encoder", {"discriminator", "encoder"}),  # the trainer freezes the discriminator
            ("autoencoder", {"generator", "encoder"}),
        ):
            nets.zero_grad()
            losses[name].value.backward()
            trained = {role for role in nets if any(p.grad is not None for p in nets[role].parameters())}
            assert trained == roles

    @pytest.mark.parametrize("kind", TINY)
    @pytest.mark.parametrize("labels", [(0, 1, 2, 0), (-1, -1, -1, -1), (-1, 2, -1, -1), None])
    @pytest.mark.parametrize("policy", [(), ("translation", "affine")])
    def test_every_mix_of_labels_runs(self, backend, kind, labels, policy):
        config = configure(kind)
        spec = spec_of(config, classes=3 if labels else 0)
        nets, step = backend.build(config, spec), step_of(config, spec, policy=policy)
        batch = Batch(batch_of((1, 8, 8)).x, torch.tensor(labels) if labels else None)
        for player in backend.players(config, nets):
            loss = player.loss(nets, batch, step)
            gradients = torch.autograd.grad(loss.value, list(player.parameters), allow_unused=True)
            assert loss.value.isfinite()
            assert any(g is not None and float(g.abs().sum()) > 0 for g in gradients)

    @pytest.mark.parametrize(("labels", "n"), [((0, -1, 1), 3), (None, 1)])
    def test_one_image_to_normalize_over_is_rejected(self, backend, labels, n):
        config = configure()
        spec = spec_of(config, classes=3 if labels else 0)
        batch = Batch(batch_of((1, 8, 8), n).x, torch.tensor(labels) if labels else None)
        with pytest.raises(InputError, match="at least 2 images, or 2 unlabeled ones"):
            loss_of("autoencoder", backend, backend.build(config, spec), batch, step_of(config, spec))

    def test_rates(self, backend):
        config = configure(lr=0.01, adversarial_lr=0.02, decay=0.25, beta1=0.3)
        players = backend.players(config, backend.build(config, spec_of(config)))
        assert [player.name for player in players] == list(PLAYERS)
        own, against = adam(0.01, (0.9, 0.999), decay=0.25), adam(0.02, (0.3, 0.999), decay=0.25)
        assert [player.optimizer for player in players] == [own, against, against]


class TestNetworks:
    @pytest.mark.parametrize("kind", TINY)
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("classes", [3, 0])
    def test_every_kind_of_network_fits_every_shape(self, backend, kind, shape, classes):
        config = configure(kind)
        spec = spec_of(config, shape, classes)
        nets, batch = backend.build(config, spec), batch_of(shape, 4, classes)
        images = generate(backend, nets, step_of(config, spec).latents(4), batch.labels)
        assert images.shape == (4, *shape)
        assert float(images.detach().abs().max()) <= 1
        assert backend.encode(nets, batch.x, None)["z"].shape == (4, 4)
        if classes:
            assert backend.classify(nets, batch.x).shape == (4, 3)

    def test_the_decoder_has_the_encoders_layers_in_reverse(self, backend):
        config = configure(hidden=(24, 12, 6))
        nets = backend.build(config, spec_of(config))
        widths = {
            role: [m.out_features for m in nets[role].modules() if isinstance(m, nn.Linear)] for role in backend.keeps
        }
        assert widths == {"encoder": [24, 12, 6, 4, 3], "generator": [6, 12, 24, 64]}

    @pytest.mark.parametrize("kind", TINY)
    def test_a_label_is_a_certain_category_for_the_decoder(self, backend, kind):
        config = configure(kind)
        nets = backend.build(config, spec_of(config)).eval()
        z, labels = torch.randn(3, 4), torch.arange(3)
        odds = nets["generator"].log_odds(z, torch.eye(3))
        assert torch.allclose(generate(backend, nets, {"z": z}, labels), 2 * odds.sigmoid() - 1, atol=1e-6)

    def test_the_code_does_not_depend_on_the_label(self, backend):
        config = configure()
        nets, x = backend.build(config, spec_of(config)).eval(), batch_of((1, 8, 8), 3).x
        codes = [backend.encode(nets, x, labels)["z"] for labels in (torch.arange(3), torch.zeros(3).long(), None)]
        assert all(torch.equal(codes[0], other) for other in codes)


class TestPriors:
    @pytest.mark.parametrize(
        ("prior", "latent"),
        [("gaussian", Normal(size=6)), ("mixture", Mixture(size=6)), ("swiss_roll", SwissRoll(size=6))],
    )
    def test_each_is_a_latent_of_the_spec(self, backend, prior, latent):
        assert spec_of(configure(latent_size=6, prior=prior)).latents == (latent,)

    @pytest.mark.parametrize("prior", ["mixture", "swiss_roll"])
    def test_it_fulfills_the_contract_with_each(self, prior):
        results = check_backend("aae", config={**TINY["mlp"], "prior": prior})
        assert all(result.outcome != "failed" for result in results)

    @pytest.mark.parametrize("prior", ["mixture", "swiss_roll"])
    def test_their_generators_are_sampled_varied_traversed_and_saved(self, tmp_path, backend, prior):
        config = configure(prior=prior)
        spec = spec_of(config, classes=0)
        nets = nn.ModuleDict({role: backend.build(config, spec)[role] for role in backend.keeps})
        made = Generator("aae", backend, config, spec, nets, {})
        loaded = genaug.load(made.save(tmp_path / "saved"), device="cpu")
        images, _ = loaded.sample(6, seed=0)
        assert torch.equal(images, made.sample(6, seed=0)[0])
        assert loaded.vary(images, strength=0.5, seed=0).shape == images.shape
        assert set(loaded.traverse(steps=3)) == {"grid_z.0_z.1", "interpolation"}

    @pytest.mark.parametrize("prior", ["mixture", "swiss_roll"])
    def test_planes_need_an_even_number_of_dimensions(self, prior):
        with pytest.raises(ValidationError, match="latent_size must be even, got 5"):
            AAEConfig(prior=prior, latent_size=5)


class TestLabels:
    def test_an_unconditional_one_ignores_the_labels_of_the_data(self, backend):
        check_labels_are_ignored(backend, configure(conditional=False))

    def test_without_labels_it_cannot_classify(self, tmp_path, tiny_set):
        images = tiny_set.tensors[0]
        options = {"steps": 2, "batch_size": 8, "device": "cpu", "progress": False, "config": dict(TINY["mlp"])}
        generator = genaug.fit("aae", TensorDataset(images), out=tmp_path / "run", **options)
        assert generator.encode(images)["z"].shape == (len(images), 4)
        with pytest.raises(InputError, match="trained without labels, so it can't classify"):
            generator.classify(images)

    def test_it_fulfills_the_contract_with_convolutions(self):
        outcomes = {
            result.check: result.outcome
            for result in check_backend("aae", config={**TINY["conv"], "hidden": AAEConfig().hidden})
        }
        checks = ("check_unlabelled_samples", "check_classify", "check_encode", "check_classes_can_be_matched")
        assert all(outcomes[name] == "passed" for name in checks)
        assert "failed" not in outcomes.values()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An adversarial autoencoder of the embedded digits, ten of each class with a label, loaded from its folder."""
    out, digits = tmp_path_factory.mktemp("aae") / "run", load_data("digits", split="train")
    few = genaug.data.few_per_class(digits, 10)
    config = {"hidden": (128, 64), "discriminator_hidden": (128, 128), "latent_size": 4}
    fixed = {
        "steps": 800,
        "batch_size": 64,
        "config": config,
        "device": "cpu",
        "precision": "float32",
        "progress": False,
    }
    genaug.fit("aae", few, unlabelled=digits, out=out, **fixed)
    return genaug.load(out, device="cpu")


@pytest.fixture(scope="module")
def test_set():
    return read_samples(load_data("digits", split="test"))


class TestTrained:
    """After a short training with ten labels per class."""

    def test_it_classifies(self, trained, test_set):
        accuracy = (trained.classify(test_set.x).argmax(1) == test_set.labels).float().mean()
        assert accuracy > 0.88

    def test_samples_show_their_label(self, trained):
        images, labels = trained.sample(labels=torch.arange(10).repeat(20), seed=0)
        assert (trained.classify(images).argmax(1) == labels).float().mean() > 0.9

    def test_codes_are_as_the_prior(self, trained, test_set):
        codes = trained.encode(test_set.x, test_set.labels)["z"]
        assert codes.mean(0).abs().max() < 0.5
        assert 0.5 < codes.square().mean() < 1.5

    def test_the_style_of_a_digit_with_another_label_is_another_digit(self, trained, test_set):
        other = (test_set.labels + 1) % 10
        images = trained.vary(test_set.x, other, strength=0, own_labels=test_set.labels)
        assert (trained.classify(images).argmax(1) == other).float().mean() > 0.8

    def test_variations_begin_at_the_reconstruction_and_move_away(self, trained, test_set):
        images, labels = test_set.x, test_set.labels
        decoded = trained.decode(trained.encode(images, labels)["z"], labels)
        assert torch.equal(trained.vary(images, labels, strength=0), decoded)
        distances = [
            mse_loss(trained.vary(images, labels, strength=s, seed=0) / 255, images / 255).item() for s in (0, 0.5, 1)
        ]
        assert distances == sorted(distances)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "deep"}, "kind"),
        ({"prior": "uniform"}, "prior"),
        ({"latent_size": 0}, "latent_size"),
        ({"hidden": ()}, "hidden"),
        ({"discriminator_hidden": (0,)}, "discriminator_hidden"),
        ({"input_noise": -0.1}, "input_noise"),
        ({"lr": 0}, "lr"),
        ({"adversarial_lr": 1}, "adversarial_lr"),
        ({"beta1": 1}, "beta1"),
        ({"kind": "conv", "hidden": (10,)}, "hidden has no effect with kind 'conv': leave it out, or set"),
        ({"width": 8}, "width has no effect with kind 'mlp'"),
        ({"max_width": 8}, "max_width has no effect"),
        ({"classes": 10}, "classes"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(ValidationError, match=message):
        AAEConfig(**options)


def test_options_survive_being_written_out_in_full():
    for kind in TINY:
        config = configure(kind, prior="mixture")
        assert AAEConfig(**config.model_dump(mode="json")) == config
