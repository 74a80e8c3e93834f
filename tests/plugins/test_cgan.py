"""The cgan backend: networks for all shapes, the use of labels, and its loss by hand."""

import pytest
import torch
from helpers.players import (
    batch_of,
    check_labels_are_ignored,
    check_losses,
    check_penalties_are_float32,
    generate,
    loss_of,
    losses_of,
    step_of,
)
from pydantic import ValidationError
from torch import nn

import genaug
from genaug.backends import Normal, Spec, registry
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.training.trainer import Trainer
from genaug_cgan.backend import CGAN, CGANConfig
from genaug_cgan.networks import Discriminator

SHAPES = [(1, 1, 1), (1, 4, 4), (1, 8, 8), (1, 28, 28), (1, 27, 27), (2, 13, 40), (3, 32, 32), (3, 64, 64), (4, 5, 9)]
LOSSES = ["relativistic", "nonsaturating", "least_squares", "hinge", "minimax"]


@pytest.fixture
def backend():
    return registry.resolve("cgan")


@pytest.fixture
def configure(tiny_config):
    return lambda **options: CGANConfig(**{**tiny_config, **options})


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("classes", [3, 0])
    def test_build_generate_loss_backward(self, backend, configure, shape, classes):
        config = configure()
        spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes))
        nets, step = backend.build(config, spec), step_of(config, spec)
        labels = torch.arange(4) % 3 if classes else None
        images = generate(backend, nets, step.latents(4), labels)
        assert images.shape == (4, *shape)
        assert float(images.detach().abs().max()) <= 1
        check_losses(backend, config, spec, batch_of(shape, 4, classes))

    def test_each_score_depends_only_on_its_own_image(self):
        torch.manual_seed(0)
        critic, batch = Discriminator((1, 8, 8), 3, 4, 8), batch_of((1, 8, 8), 6)
        scores, _ = critic(batch.x, batch.labels)
        assert scores.shape == (6, 1)
        alone = torch.cat([critic(batch.x[i : i + 1], batch.labels[i : i + 1])[0] for i in range(6)])
        assert torch.allclose(scores, alone, atol=1e-5)


class TestLabels:
    def test_the_spec_takes_the_datas_classes(self, backend, configure):
        data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
        assert backend.describe(configure(), data) == data.model_copy(update={"latents": (Normal(size=4),)})
        off = backend.describe(configure(conditional=False), data)
        assert (off.num_classes, off.classes, off.takes_labels) == (0, None, False)

    def test_an_unconditional_gan_ignores_the_labels_of_the_data(self, backend, configure):
        check_labels_are_ignored(backend, configure(conditional=False))

    def test_the_label_changes_the_image_of_the_same_latent(self, backend, configure):
        config = configure()
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        images = torch.stack([torch.full((8, 8), value) for value in (0, 128, 255)]).to(torch.uint8)[:, None]
        data = Samples(images.repeat(8, 1, 1, 1), torch.arange(24) % 3, spec)
        trainer = Trainer(backend, config, data, batch_size=12)
        for index in range(20):
            trainer.step(index)
        z = torch.randn(1, 4).repeat(3, 1)
        images = generate(backend, trainer.nets.eval(), {"z": z}, torch.arange(3)).detach().flatten(1)
        assert float(torch.nn.functional.pdist(images).min()) > 0.1

    @pytest.mark.parametrize("conditioning", ["projection", "embedding", "concatenation"])
    def test_labels_reach_the_score(self, backend, configure, conditioning):
        config = configure(conditioning=conditioning)
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)))
        images = batch_of((1, 8, 8)).x
        scores = [nets["discriminator"](images, torch.full((4,), label))[0] for label in range(3)]
        assert not torch.allclose(scores[0], scores[1])
        assert not torch.allclose(scores[1], scores[2])

    def test_without_conditioning_only_the_classifier_knows_labels(self, backend, configure):
        with pytest.raises(ValidationError, match='conditioning "none" needs classifier_weight above 0'):
            configure(conditioning="none")
        config = configure(conditioning="none", classifier_weight=1.0)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        nets, batch = backend.build(config, spec), batch_of((1, 8, 8))
        one, other = (nets["discriminator"](batch.x, torch.full((4,), label)) for label in (0, 1))
        assert torch.equal(one[0], other[0])
        assert one[1].shape == (4, 3)
        _, gradients = losses_of(backend, config, spec, batch)
        assert all(gradient is not None for name in gradients for gradient in gradients[name])

    @pytest.mark.parametrize("options", [{"classifier_weight": 1.0}, {"conditioning": "embedding"}])
    def test_options_for_labels_are_rejected_without_labels(self, backend, configure, options):
        with pytest.raises(ValidationError, match="which conditional=false disables"):
            configure(conditional=False, **options)
        if "classifier_weight" in options:
            with pytest.raises(InputError, match="these have no labels"):
                backend.describe(configure(**options), Spec(sample=Image(1, 8, 8)))

    @pytest.mark.parametrize("conditioning", ["embedding", "concatenation"])
    @pytest.mark.parametrize("shape", [(1, 1, 1), (2, 13, 40)])
    def test_planes_fit_every_shape(self, backend, configure, shape, conditioning):
        config = configure(conditioning=conditioning, classifier_weight=1.0)
        spec = backend.describe(config, Spec(sample=Image(*shape), classes=3))
        losses, gradients = losses_of(backend, config, spec, batch_of(shape))
        assert all(loss.value.isfinite() for loss in losses.values())
        assert all(gradient.isfinite().all() for name in gradients for gradient in gradients[name])

    def test_latents_reach_the_image(self, backend, configure):
        config = configure()
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)))
        z = torch.zeros(2, 4, requires_grad=True)
        generate(backend, nets.eval(), {"z": z}, torch.tensor([0, 1])).square().sum().backward()
        assert bool((z.grad != 0).all())


class Stub(nn.Module):
    """A generator that makes w z_0 everywhere, and a critic whose score is v times the image's sum, plus the label."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.weight = kind, nn.Parameter(torch.tensor(0.3))

    def forward(self, x, labels):
        if self.kind == "generator":
            return (self.weight * x[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)
        total = x.flatten(1).sum(1, keepdim=True)
        logits = torch.cat([0.1 * total, torch.zeros(len(x), 2)], 1) if self.kind == "classifier" else None
        return self.weight * total + labels[:, None], logits


class TestLoss:
    @pytest.fixture
    def hand(self, configure):
        """Both losses with stub networks and the scores worked out by hand."""

        def losses(index=0, kind="discriminator", **options):
            config = configure(loss="relativistic", **options)
            spec = CGAN().describe(config, Spec(sample=Image(1, 2, 2), classes=3))
            nets = nn.ModuleDict({"generator": Stub("generator"), "discriminator": Stub(kind)})
            batch = batch_of((1, 2, 2))
            z = step_of(config, spec, index).latents(4)["z"]
            step = step_of(config, spec, index)
            got = [loss_of(player, CGAN(), nets, batch, step) for player in ("generator", "discriminator")]
            real = 0.3 * batch.x.flatten(1).sum(1) + batch.labels
            fake = 0.3 * (4 * 0.3 * z[:, 0]) + batch.labels
            return got, real.detach(), fake.detach(), nets

        return losses

    def test_by_hand(self, hand):
        (generator, discriminator), real, fake, _ = hand(gamma=0.5, penalty_every=4)
        assert generator.value.item() == pytest.approx(float((1 + (real - fake).exp()).log().mean()), rel=1e-5)
        penalty = 2 * 4 * 0.3**2  # R1 + R2: the gradient is 0.3 in each of four pixels
        expected = float((1 + (fake - real).exp()).log().mean()) + 0.5 / 2 * 4 * penalty
        assert discriminator.value.item() == pytest.approx(expected, rel=1e-5)
        assert discriminator.log["penalty"].item() == pytest.approx(penalty, rel=1e-5)
        assert discriminator.log["real_score"].item() == pytest.approx(float(real.mean()), rel=1e-5)
        assert discriminator.log["fake_score"].item() == pytest.approx(float(fake.mean()), rel=1e-5)
        assert not any(value.requires_grad for value in discriminator.log.values())

    @pytest.mark.parametrize("gamma", [0.0, 1.0])
    def test_the_classification_loss_by_hand(self, hand, gamma):
        with_it, real, fake, _ = hand(kind="classifier", classifier_weight=0.7, gamma=gamma)
        without, _, _, _ = hand(gamma=gamma)
        labels = batch_of((1, 2, 2)).labels

        def minus_log_probability(scores):
            first = 0.1 * ((scores - labels) / 0.3).double()
            expected = torch.where(labels == 0, first, torch.zeros_like(first))
            return float((torch.log(first.exp() + 2) - expected).mean())

        extra = [with_it[player].value.item() - without[player].value.item() for player in (0, 1)]
        on_real, on_fake = minus_log_probability(real), minus_log_probability(fake)
        assert extra[0] == pytest.approx(0.7 * on_fake, rel=1e-4)
        assert extra[1] == pytest.approx(0.7 * (on_real + on_fake), rel=1e-4)

    @pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2, 3]), (3, [0, 3, 6])])
    def test_penalties_are_evaluated_every_few_steps(self, hand, every, steps):
        taken = [index for index in range(steps[-1] + 1) if "penalty" in hand(index, penalty_every=every)[0][1].log]
        assert taken == steps

    def test_with_and_without_penalty_the_adversarial_part_is_the_same(self, hand):
        (_, with_penalty), _, _, _ = hand(0, gamma=2.0, penalty_every=2)
        (_, without), _, _, _ = hand(0, gamma=0.0, penalty_every=2)
        assert with_penalty.value.item() - 2 * with_penalty.log["penalty"].item() == pytest.approx(without.value.item())

    @pytest.mark.parametrize("loss", LOSSES)
    def test_without_gamma_there_is_no_penalty(self, backend, configure, loss):
        config = configure(loss=loss, gamma=0.0, penalty_every=1)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        losses, _ = losses_of(backend, config, spec, batch_of((1, 8, 8)))
        assert set(losses["discriminator"].log) == {"real_score", "fake_score", "real_above_fake"}

    def test_the_discriminators_loss_has_no_gradient_for_the_generator(self, hand):
        (_, discriminator), _, _, nets = hand(0)
        discriminator.value.backward()
        assert nets["generator"].weight.grad is None
        assert nets["discriminator"].weight.grad is not None

    def test_the_batch_is_not_modified(self, backend, configure):
        config = configure(penalty_every=1)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        batch = batch_of((1, 8, 8))
        before = batch.x.clone()
        losses_of(backend, config, spec, batch)
        assert torch.equal(batch.x, before)
        assert not batch.x.requires_grad

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("policy", [(), ("translation", "affine", "color", "cutout")])
    def test_every_objective_runs_and_a_step_helps_its_player(self, backend, configure, loss, policy):
        config = configure(loss=loss)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        for index in (0, 1):  # with and without penalty
            losses, gradients = losses_of(backend, config, spec, batch_of((1, 8, 8)), index, policy)
            assert all(loss.value.isfinite() for loss in losses.values())
            assert all(any(float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_penalties_are_taken_in_float32(self, backend, configure):
        config = configure(penalty_every=1, gamma=1.0)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        check_penalties_are_float32(backend, config, spec, "score")


@pytest.mark.parametrize(
    "options",
    [
        {"latent_size": 0},
        {"width": 3},
        {"loss": "wgan"},
        {"gamma": -1},
        {"penalty_every": 0},
        {"lr": 0},
        {"lr": float("nan")},
        {"beta2": 1},
        {"color": 1},
    ],
)
def test_options_out_of_bounds(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        CGANConfig(**options)


def test_a_wasserstein_loss_is_rejected_with_a_reason():
    with pytest.raises(ValidationError, match=r"a gradient norm of 1 .* the backend wgan-gp"):
        CGANConfig(loss="wasserstein")


class TestBinaryPixels:
    @pytest.mark.parametrize("loss", ["boundary_seeking", "relativistic", "nonsaturating"])
    def test_both_players_learn_from_black_and_white_pixels(self, backend, configure, loss):
        config = configure(loss=loss, binary=True)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        for index in (0, 1):  # with and without penalty
            losses, gradients = losses_of(backend, config, spec, batch_of((1, 8, 8)), index)
            assert all(loss.value.isfinite() for loss in losses.values())
            assert all(any(float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_samples_are_black_and_white_and_depend_on_their_seed(self, tmp_path, tiny_config):
        config = {**tiny_config, "binary": True, "loss": "boundary_seeking", "draws": 3}
        images = [(torch.randint(0, 256, (1, 8, 8), dtype=torch.uint8), index % 3) for index in range(40)]
        generator = genaug.fit("cgan", images, out=tmp_path / "run", steps=3, config=config, progress=False)
        samples, labels = generator.sample(20, seed=1)
        assert set(samples.unique().tolist()) == {0, 255}
        again = genaug.load(tmp_path / "run").sample(labels=labels[:5], seed=1)[0]
        assert torch.equal(again, samples[:5])
        assert not torch.equal(generator.sample(labels=labels, seed=2)[0], samples)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"draws": 5}, "draws has an effect only with binary pixels"),
            ({"draws": 5, "binary": True}, "draws has an effect only with binary pixels"),
            (
                {"binary": True, "loss": "boundary_seeking", "classifier_weight": 1.0},
                "has no gradient for a classifier",
            ),
        ],
    )
    def test_options_without_an_effect_are_rejected(self, options, message):
        with pytest.raises(ValidationError, match=message):
            CGANConfig(**options)
