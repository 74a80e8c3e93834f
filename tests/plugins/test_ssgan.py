"""The ssgan backend: its losses by hand, what labels may touch, its networks, and a few labels on the digits."""

import math

import pytest
import torch
from helpers.players import batch_of, check_losses, loss_of, losses_of, step_of
from pydantic import ValidationError
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Spec, adam, registry
from genaug.errors import InputError
from genaug.modalities.image import Image, to_uint8
from genaug.nn.objectives import labeled_cross_entropy
from genaug.testing import check_backend
from genaug_ssgan.backend import SSGAN, SSGANConfig
from genaug_ssgan.losses import feature_distance, real_score, representative, unsupervised_loss
from genaug_ssgan.networks import ConvDiscriminator, DenseDiscriminator, DenseGenerator, Noise, normalized

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
TINY = {
    "mlp": {"hidden": (16, 8), "generator_hidden": (16,), "latent_size": 4},
    "conv": {"kind": "conv", "width": 4, "max_width": 8, "latent_size": 4},
}
QUIET = {"input_noise": 0.0, "hidden_noise": 0.0}


@pytest.fixture
def backend():
    return registry.resolve("ssgan")


def configure(kind="mlp", **options):
    return SSGANConfig(**{**TINY[kind], **options})


def spec_of(config, shape=(1, 8, 8), classes=3):
    return SSGAN().describe(config, Spec(sample=Image(*shape), classes=classes))


class TestLossesByHand:
    """Z = 1 + 3 = 4 and Z = 2 + 4 = 6 on real images, 1 + 1 = 2 on a generated one."""

    REAL = torch.tensor([[1.0, 3.0], [2.0, 4.0]]).log()
    FAKE = torch.tensor([[1.0, 1.0]]).log()

    def test_the_score_is_log_z(self):
        assert real_score(self.REAL).tolist() == pytest.approx([math.log(4), math.log(6)])
        assert real_score(self.REAL.bfloat16()).dtype == torch.float32

    def test_supervised_is_the_cross_entropy_of_the_labeled_rows(self):
        assert labeled_cross_entropy(self.REAL, torch.tensor([1, 0])).item() == pytest.approx(
            -(math.log(3 / 4) + math.log(2 / 6)) / 2
        )
        assert labeled_cross_entropy(self.REAL, torch.tensor([-1, 1])).item() == pytest.approx(-math.log(4 / 6))

    def test_without_labels_it_is_zero_with_a_gradient_of_zero(self):
        logits = self.REAL.clone().requires_grad_()
        loss = labeled_cross_entropy(logits, torch.tensor([-1, -1]))
        loss.backward()
        assert loss.item() == 0
        assert logits.grad.abs().max() == 0

    def test_a_row_without_a_label_has_no_part_in_it(self):
        logits = self.REAL.clone().requires_grad_()
        labeled_cross_entropy(logits, torch.tensor([-1, 1])).backward()
        assert logits.grad[0].tolist() == [0, 0]
        assert logits.grad[1].tolist() == pytest.approx([2 / 6, 4 / 6 - 1])

    def test_unsupervised_is_that_of_d_equal_to_z_over_z_plus_1(self):
        expected = -0.5 * (math.log(4 / 5) + math.log(6 / 7)) / 2 - 0.5 * math.log(1 - 2 / 3)
        assert unsupervised_loss(self.REAL, self.FAKE).item() == pytest.approx(expected)

    def test_it_is_the_cross_entropy_of_k_plus_1_classes_with_the_last_output_at_0(self):
        real, fake = (torch.cat([x, torch.zeros(len(x), 1)], 1).softmax(1)[:, -1] for x in (self.REAL, self.FAKE))
        expected = -0.5 * (1 - real).log().mean() - 0.5 * fake.log().mean()
        assert unsupervised_loss(self.REAL, self.FAKE).item() == pytest.approx(expected.item())

    def test_large_outputs_stay_finite(self):
        loss = unsupervised_loss(torch.tensor([[500.0, 400.0]]), torch.tensor([[-500.0, -400.0]]))
        assert loss.item() == pytest.approx(0)
        loss = unsupervised_loss(torch.tensor([[-500.0, -600.0]]), torch.tensor([[500.0, 400.0]]))
        assert loss.item() == pytest.approx(500)

    def test_feature_matching_compares_means(self):
        real, fake = torch.tensor([[0.0, 4.0], [2.0, 0.0]]), torch.tensor([[3.0, 2.0], [1.0, 4.0], [2.0, 3.0]])
        assert feature_distance(real, fake).item() == pytest.approx(((2 - 1) ** 2 + (3 - 2) ** 2) / 2)

    def test_rows_without_a_label_represent_the_data_or_all_if_there_are_none(self):
        assert representative(torch.tensor([2, -1, 0, -1])).tolist() == [False, True, False, True]
        assert representative(torch.tensor([2, 0])).tolist() == [True, True]
        assert representative(torch.tensor([-1, -1])).tolist() == [True, True]


class StubGenerator(nn.Module):
    """Makes w z_0 everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, z, labels):
        self.labels = labels
        return (self.weight * z[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)


class StubDiscriminator(nn.Module):
    """With the image's sum s: outputs (v s, -v s), and the features (s, 2 s)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.7))

    def forward(self, images):
        total = images.flatten(1).sum(1)
        outputs = self.weight * total
        return torch.stack([outputs, -outputs], 1), torch.stack([total, 2 * total], 1)


class TestPlayers:
    LABELS = torch.tensor([-1, 1, -1, 0, -1])

    @pytest.fixture
    def hand(self):
        """The losses of both players with stub networks, and the sums that they are made of, in float64."""

        def losses(labels, order=("discriminator", "generator"), **options):
            config = configure(**options)
            spec = spec_of(config, (1, 2, 2), 2)
            nets = nn.ModuleDict({"generator": StubGenerator(), "discriminator": StubDiscriminator()})
            batch = Batch(batch_of((1, 2, 2), 5).x, labels)
            step = step_of(config, spec)
            got = {name: loss_of(name, SSGAN(), nets, batch, step) for name in order}
            real = batch.x.double().flatten(1).sum(1)
            chosen = labels < 0 if (labels < 0).any() else labels >= 0
            z = step_of(config, spec).latents(int(chosen.sum()))["z"][:, 0].double()
            return got, real, chosen, 4 * 0.3 * z, nets

        return losses

    @pytest.mark.parametrize("labels", [LABELS, torch.tensor([1, 0, 1, 1, 0]), torch.full((5,), -1)])
    def test_by_hand(self, hand, labels):
        got, real, chosen, fake, _ = hand(labels, unlabelled_weight=0.6, label_weight=0.2)
        log_z = {name: (2 * (0.7 * x).cosh()).log() for name, x in {"real": real, "fake": fake}.items()}
        known = labels >= 0
        terms = log_z["real"] - torch.where(labels == 0, 0.7 * real, -0.7 * real)
        supervised = terms[known].mean().item() if known.any() else 0.0
        real_term = -(log_z["real"].exp() / (1 + log_z["real"].exp())).log()[chosen].mean().item()
        fake_term = (1 + log_z["fake"].exp()).log().mean().item()
        expected = supervised + 0.6 * (real_term + fake_term) / 2
        assert got["discriminator"].value.item() == pytest.approx(expected, rel=1e-5)
        distance = (real[chosen].mean() - fake.mean()) ** 2 * (1 + 4) / 2
        requested = torch.where(real[chosen] >= 0, 0.7 * fake, -0.7 * fake)  # the real images' predicted classes
        label = (log_z["fake"] - requested).mean()
        assert got["generator"].value.item() == pytest.approx(float(distance + 0.2 * label), rel=1e-5)
        assert got["generator"].log["feature_distance"].item() == pytest.approx(float(distance), rel=1e-5)
        assert not any(value.requires_grad for loss in got.values() for value in loss.log.values())

    def test_the_order_of_the_players_does_not_matter(self, hand):
        one, other = (
            hand(self.LABELS, order)[0] for order in (("discriminator", "generator"), ("generator", "discriminator"))
        )
        assert all(one[name].value.item() == pytest.approx(other[name].value.item()) for name in one)

    def test_the_discriminators_loss_has_no_gradient_for_the_generator(self, hand):
        losses, *_, nets = hand(self.LABELS)
        losses["discriminator"].value.backward()
        assert nets["generator"].weight.grad is None
        assert nets["discriminator"].weight.grad is not None

    def test_the_generator_is_asked_for_the_classes_that_the_real_images_seem_to_have(self, hand):
        _, real, chosen, _, nets = hand(self.LABELS)
        assert torch.equal(nets["generator"].labels, (real[chosen] < 0).long())

    @pytest.mark.parametrize("kind", ["mlp", "conv"])
    @pytest.mark.parametrize("labels", [(0, 1, 2, 0), (-1, -1, -1, -1), (-1, 2, -1, -1)])
    @pytest.mark.parametrize("policy", [(), ("translation", "affine")])
    def test_every_mix_of_labels_runs_and_trains_both(self, backend, kind, labels, policy):
        config = configure(kind)
        batch = Batch(batch_of((1, 8, 8)).x, torch.tensor(labels))
        losses, gradients = losses_of(backend, config, spec_of(config), batch, 0, policy)
        assert all(loss.value.isfinite() for loss in losses.values())
        assert all(any(g is not None and float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_one_image_to_normalize_over_is_rejected(self, backend):
        config = configure()
        batch = Batch(batch_of((1, 8, 8), 3).x, torch.tensor([0, -1, 1]))
        with pytest.raises(InputError, match="at least 2 images, or 2 unlabeled ones"):
            losses_of(backend, config, spec_of(config), batch)

    def test_rates(self, backend):
        config = configure(lr=0.01, decay=0.25, beta1=0.3)
        players = backend.players(config, backend.build(config, spec_of(config)))
        assert [player.name for player in players] == ["discriminator", "generator"]
        assert all(player.optimizer == adam(0.01, (0.3, 0.999), decay=0.25) for player in players)


class TestNetworks:
    @pytest.mark.parametrize("kind", ["mlp", "conv"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_build_generate_loss_backward(self, backend, kind, shape):
        config = configure(kind)
        spec = spec_of(config, shape)
        nets = backend.build(config, spec)
        images = nets["generator"](torch.randn(4, 4), torch.arange(4) % 3)
        assert images.shape == (4, *shape)
        assert float(images.detach().abs().max()) <= 1
        logits, features = nets["discriminator"](images)
        assert logits.shape == (4, 3)
        assert features.shape[0] == 4
        check_losses(backend, config, spec, batch_of(shape))

    def test_weights_are_normalized_to_their_gain(self):
        layer = normalized(nn.Linear(5, 3), 2.0)
        with torch.no_grad():
            layer.parametrizations.weight.original1[0] *= 100
            layer.bias.fill_(0.5)
        units = torch.stack([layer(row) for row in torch.eye(5)]).T - 0.5
        assert units.norm(dim=1).tolist() == pytest.approx([2, 2, 2])

    @pytest.mark.parametrize("learned", [True, False])
    def test_only_a_learned_gain_is_a_parameter_and_both_are_saved(self, learned):
        layer = normalized(nn.Linear(5, 3), 2.0, learned=learned)
        gain = "parametrizations.weight.original0"
        assert (gain in dict(layer.named_parameters())) is learned
        assert layer.state_dict()[gain].flatten().tolist() == [2, 2, 2]

    def test_convolutions_are_normalized_per_output_channel(self):
        layer = normalized(nn.Conv2d(1, 2, 3, padding=1), 1.5)
        impulse = torch.zeros(1, 1, 5, 5)
        impulse[0, 0, 2, 2] = 1
        assert layer(impulse)[0].flatten(1).norm(dim=1).tolist() == pytest.approx([1.5, 1.5])

    @pytest.mark.parametrize("network", [DenseDiscriminator, ConvDiscriminator])
    def test_noise_is_for_training_only_and_an_output_depends_on_its_own_image(self, network):
        sizes = [(16, 8)] if network is DenseDiscriminator else [4, 8]
        discriminator = network((1, 8, 8), 3, *sizes, 0.3, 0.5)
        images = batch_of((1, 8, 8), 4).x
        assert not torch.equal(discriminator(images)[0], discriminator(images)[0])
        discriminator.eval()
        logits = discriminator(images)[0]
        assert torch.equal(discriminator(images)[0], logits)
        for i in range(4):
            assert torch.allclose(discriminator(images[i : i + 1])[0], logits[i : i + 1], atol=1e-6)

    def test_noise_has_its_standard_deviation_on_images_in_0_to_1(self):
        torch.manual_seed(0)
        assert Noise(0.3)(torch.zeros(100_000)).std().item() == pytest.approx(0.3, rel=0.02)
        seen = []
        discriminator = DenseDiscriminator((1, 8, 8), 3, (16, 8), 0.0, 0.0)
        discriminator.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        discriminator(torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 1, 8, 8))
        assert seen[0].unique(dim=1).tolist() == [[0], [1]]

    def test_hidden_units_of_the_papers_network_begin_with_a_variance_of_about_1(self):
        torch.manual_seed(0)
        images = (torch.rand(400, 1, 28, 28) < 0.13).float() * 2 - 1  # with the variance of MNIST's, 0.1
        discriminator = DenseDiscriminator((1, 28, 28), 10, (1000, 500, 250, 250, 250), 0.3, 0.5)
        deviations = []
        for layer in [*discriminator.layers, discriminator.logits]:
            layer.register_forward_hook(lambda m, i, output: deviations.append(output.std(0).mean().item()))
        discriminator(images)
        assert len(deviations) == 6
        assert deviations == pytest.approx([1] * 6, abs=0.2)

    def test_the_label_and_the_latent_reach_the_image(self):
        torch.manual_seed(0)
        generator = DenseGenerator((1, 8, 8), 3, 4, (16, 16)).eval()
        z, labels = torch.randn(2, 4), torch.tensor([0, 1])
        images = generator(z[:1].expand(2, 4), labels)
        assert not torch.allclose(images[0], images[1])
        assert not torch.allclose(generator(z, labels * 0)[0], generator(z, labels * 0)[1])


class TestTraining:
    @pytest.mark.parametrize("kind", ["mlp", "conv"])
    def test_it_fulfills_the_contract(self, kind):
        defaults = {name: getattr(SSGANConfig(), name) for name in ("hidden", "generator_hidden")}
        config = {**TINY["conv"], **defaults} if kind == "conv" else None
        outcomes = {result.check: result.outcome for result in check_backend("ssgan", config=config)}
        checks = ("check_unlabelled_samples", "check_classify", "check_all_kept_networks_are_trained")
        assert all(outcomes[name] == "passed" for name in checks)

    def test_images_without_any_label_are_rejected(self, tmp_path, tiny_set):
        with pytest.raises(InputError, match="ssgan needs the labels of some images"):
            genaug.fit("ssgan", TensorDataset(tiny_set.tensors[0]), out=tmp_path / "run", steps=1, progress=False)

    def test_it_is_saved_with_its_classifier(self, tmp_path, tiny_set):
        images, labels = tiny_set.tensors
        hidden = labels.where(torch.arange(len(labels)) % 3 == 0, -1)
        options = {"steps": 4, "batch_size": 8, "device": "cpu", "progress": False, "config": dict(TINY["mlp"])}
        trained = genaug.fit("ssgan", TensorDataset(images, hidden), out=tmp_path / "run", **options)
        loaded = genaug.load(trained.save(tmp_path / "saved"), device="cpu")
        assert torch.equal(loaded.classify(images), trained.classify(images))
        assert torch.equal(loaded.score(images, labels), loaded.classify(images).logsumexp(1))
        assert torch.equal(loaded.score(images), loaded.score(images, labels))
        assert loaded.sample(labels=[0, 1, 2], seed=0)[0].shape == (3, *images.shape[1:])

    def test_ten_labels_per_class_and_all_images_are_enough_for_digits(self, tmp_path):
        data, test = (genaug.data.load_data("digits", split=split) for split in ("train", "test"))
        few = set(genaug.data.few_per_class(data, 10).indices)
        mixed = [(image, label if index in few else -1) for index, (image, label) in enumerate(data)]
        config = {"hidden": (128, 64), "generator_hidden": (64,), "latent_size": 16, "label_weight": 0.1}
        generator = genaug.fit(
            "ssgan", mixed, out=tmp_path / "run", steps=600, device="cpu", progress=False, config=config
        )
        logits = generator.classify(torch.stack([to_uint8(image) for image, _ in test]))
        accuracy = (logits.argmax(1) == torch.tensor([label for _, label in test])).float().mean().item()
        assert accuracy > 0.88
        images, labels = generator.sample(labels=torch.arange(10).repeat(20), seed=0)
        assert (generator.classify(images).argmax(1) == labels).float().mean() > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "deep"}, "kind"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (0,)}, "hidden"),
        ({"input_noise": -0.1}, "input_noise"),
        ({"hidden_noise": float("nan")}, "hidden_noise"),
        ({"unlabelled_weight": 0}, "unlabelled_weight"),
        ({"label_weight": 0}, "label_weight"),
        ({"lr": 0}, "lr"),
        ({"beta1": 1}, "beta1"),
        ({"kind": "conv", "hidden": (10,)}, "hidden has no effect with kind 'conv': leave it out, or set"),
        ({"kind": "conv", "generator_hidden": (10,)}, "generator_hidden has no effect"),
        ({"width": 8}, "width has no effect with kind 'mlp'"),
        ({"max_width": 8}, "max_width has no effect"),
        ({"classes": 10}, "classes"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(ValidationError, match=message):
        SSGANConfig(**options)


def test_options_survive_being_written_out_in_full():
    for kind in TINY:
        config = configure(kind)
        assert SSGANConfig(**config.model_dump(mode="json")) == config
