"""The wgan-gp backend: its loss by hand, what the critic's estimate is worth, options, and a run from start to load."""

import json

import numpy as np
import pytest
import torch
from helpers.players import (
    batch_of,
    check_labels_are_ignored,
    check_losses,
    generate,
    loss_of,
    losses_of,
    step_of,
)
from pydantic import ValidationError
from torch import nn

import genaug
from genaug.backends import Batch, Normal, Spec, adam, registry
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug_wgan_gp.backend import WGANGP, WGANGPConfig

SHAPES = [(1, 1, 1), (1, 8, 8), (1, 27, 27), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
LOSSES = ["wasserstein", "nonsaturating", "relativistic"]


@pytest.fixture
def backend():
    return registry.resolve("wgan-gp")


@pytest.fixture
def configure(tiny_config):
    return lambda **options: WGANGPConfig(**{**tiny_config, **options})


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("classes", [3, 0])
    def test_build_generate_loss_backward(self, backend, configure, shape, classes):
        config = configure()
        spec = backend.describe(config, Spec(sample=Image(*shape), classes=classes))
        nets, step = backend.build(config, spec), step_of(config, spec)
        labels = torch.arange(4) % 3 if classes else None
        assert generate(backend, nets, step.latents(4), labels).shape == (4, *shape)
        assert check_losses(backend, config, spec, batch_of(shape, 4, classes)) == ["critic", "generator"]


class TestLabels:
    def test_the_spec_takes_the_datas_classes(self, backend, configure):
        data = Spec(sample=Image(1, 8, 8), classes=("a", "b"))
        assert backend.describe(configure(), data) == data.model_copy(update={"latents": (Normal(size=4),)})
        off = backend.describe(configure(conditional=False), data)
        assert (off.num_classes, off.classes, off.takes_labels) == (0, None, False)

    def test_without_conditional_the_labels_of_the_data_are_ignored(self, backend, configure):
        check_labels_are_ignored(backend, configure(conditional=False))

    @pytest.mark.parametrize("player", ["critic", "generator"])
    def test_labels_reach_both_players_losses(self, backend, configure, player):
        config = configure()
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        batch = batch_of((1, 8, 8))
        other = Batch(batch.x, (batch.labels + 1) % 3)
        values = [losses_of(backend, config, spec, one)[0][player].value for one in (batch, other)]
        assert not torch.equal(*values)


class Generator(nn.Module):
    """Makes 0.3 z_0 everywhere in an image 1x2x2, and remembers the latents."""

    def __init__(self):
        super().__init__()
        self.weight, self.latents = nn.Parameter(torch.tensor(0.3)), []

    def forward(self, z, labels):
        self.latents.append(z)
        return (self.weight * z[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)


class LinearCritic(nn.Module):
    """D(x, y) = w . x + y: its slope is |w| = 3 wherever x lies."""

    def __init__(self):
        super().__init__()
        self.weight, self.types = nn.Parameter(torch.tensor([1.0, -2.0, 0.0, 2.0])), []

    def forward(self, images, labels):
        score = nn.functional.linear(images.flatten(1), self.weight[None])
        self.types.append(score.dtype)
        return score + labels[:, None]


class RoundCritic(LinearCritic):
    """D(x, y) = |x|^2 / 2: its slope at x is |x|."""

    def forward(self, images, labels):
        return images.square().flatten(1).sum(1, keepdim=True) / 2 * self.weight[0]


class TestLoss:
    @pytest.fixture
    def hand(self):
        """The losses of both players with stub networks; scores and slopes in float64, from the same draws."""

        def losses(critic, **options):
            config = WGANGPConfig(latent_size=4, **options)
            spec = WGANGP().describe(config, Spec(sample=Image(1, 2, 2), classes=3))
            nets, batch = nn.ModuleDict({"generator": Generator(), "critic": critic}), batch_of((1, 2, 2))
            draws = step_of(config, spec)
            z, weight, later = draws.latents(4)["z"], draws.uniform(4, 1, 1, 1), draws.latents(4)["z"]
            step = step_of(config, spec)
            losses = [loss_of(player, WGANGP(), nets, batch, step) for player in ("critic", "generator")]
            real = batch.x.flatten(1).double().numpy()
            fakes = [np.repeat(0.3 * code[:, :1].double().numpy(), 4, axis=1) for code in (z, later)]
            return *losses, real, *fakes, weight.flatten(1).double().numpy(), batch.labels.numpy(), nets

        return losses

    def test_by_hand(self, hand):
        critic, generator, real, fake, later, _, labels, _ = hand(LinearCritic(), penalty_weight=7)
        w = np.array([1.0, -2.0, 0.0, 2.0])
        estimate = (real @ w + labels).mean() - (fake @ w + labels).mean()
        assert critic.value.item() == pytest.approx(-estimate + 7 * (3 - 1) ** 2, rel=1e-5)
        assert critic.log["wasserstein_estimate"].item() == pytest.approx(estimate, rel=1e-5)
        assert critic.log["gradient_penalty"].item() == pytest.approx(4, rel=1e-5)
        assert not any(value.requires_grad for value in critic.log.values())
        assert generator.value.item() == pytest.approx(-(later @ w + labels).mean(), rel=1e-5)

    def test_weights_are_clipped_instead_of_penalized(self, hand):
        critic, generator, real, fake, later, _, labels, nets = hand(LinearCritic(), clip=0.5)
        w = np.array([0.5, -0.5, 0.0, 0.5])
        estimate = (real @ w + labels).mean() - (fake @ w + labels).mean()
        assert critic.value.item() == pytest.approx(-estimate, rel=1e-5)
        assert set(critic.log) == {"wasserstein_estimate"}
        assert nets["critic"].weight.tolist() == w.tolist()
        # without the penalty's draws, the generator's latents are the next ones
        assert generator.value.item() != pytest.approx(-(later @ w + labels).mean(), rel=1e-5)

    def test_the_gradient_is_taken_between_real_and_generated_images(self, hand):
        critic, _, real, fake, _, weight, _, _ = hand(RoundCritic())
        slopes = np.linalg.norm(weight * real + (1 - weight) * fake, axis=1)
        assert critic.log["gradient_penalty"].item() == pytest.approx(((slopes - 1) ** 2).mean(), rel=1e-5)

    @pytest.mark.parametrize(
        ("loss", "of_critic", "of_generator"),
        [
            (
                "nonsaturating",
                lambda real, fake: np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).mean(),
                lambda real, fake: np.log1p(np.exp(-fake)).mean(),
            ),
            (
                "relativistic",
                lambda real, fake: np.log1p(np.exp(fake - real)).mean(),
                lambda real, fake: np.log1p(np.exp(real - fake)).mean(),
            ),
        ],
    )
    def test_other_objectives_by_hand(self, hand, loss, of_critic, of_generator):
        critic, generator, real, fake, later, _, labels, _ = hand(LinearCritic(), loss=loss)
        w = np.array([1.0, -2.0, 0.0, 2.0])
        real, fake, later = (images @ w + labels for images in (real, fake, later))
        assert critic.value.item() == pytest.approx(of_critic(real, fake) + 40, rel=1e-5)
        assert generator.value.item() == pytest.approx(of_generator(real, later), rel=1e-5)
        assert critic.log["score_gap"].item() == pytest.approx(real.mean() - fake.mean(), rel=1e-5)
        assert "wasserstein_estimate" not in critic.log  # the critic doesn't maximise it

    def test_each_update_has_its_own_latents(self, backend):
        config = WGANGPConfig(latent_size=4)
        spec = backend.describe(config, Spec(sample=Image(1, 2, 2), classes=3))
        nets = nn.ModuleDict({"generator": Generator(), "critic": LinearCritic()})
        step = step_of(config, spec)
        for player in ["critic"] * 5 + ["generator"]:
            loss_of(player, backend, nets, batch_of((1, 2, 2)), step)
        latents = torch.stack(nets["generator"].latents)
        assert len(latents) == 6
        assert len(latents.flatten(1).unique(dim=0)) == 6

    def test_the_critics_loss_changes_neither_the_generator_nor_the_batch(self, hand):
        critic, *_, nets = hand(LinearCritic())
        critic.value.backward()
        assert nets["generator"].weight.grad is None
        assert nets["critic"].weight.grad is not None

    def test_the_batch_is_not_modified(self, backend, configure):
        config, batch = configure(), batch_of((1, 8, 8))
        before = batch.x.clone()
        losses_of(backend, config, backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3)), batch)
        assert torch.equal(batch.x, before)
        assert not batch.x.requires_grad

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("policy", [(), ("translation", "affine", "color", "cutout")])
    def test_every_objective_runs_with_and_without_augmentation(self, backend, configure, loss, policy):
        config = configure(loss=loss)
        spec = backend.describe(config, Spec(sample=Image(1, 8, 8), classes=3))
        losses, gradients = losses_of(backend, config, spec, batch_of((1, 8, 8)), policy=policy)
        assert all(value.value.isfinite() for value in losses.values())
        assert all(any(float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)

    def test_only_the_penalty_leaves_bfloat16(self, backend):
        config = WGANGPConfig(latent_size=4)
        spec = backend.describe(config, Spec(sample=Image(1, 2, 2), classes=3))
        nets = nn.ModuleDict({"generator": Generator(), "critic": LinearCritic()})
        step = step_of(config, spec, dtype=torch.bfloat16)
        with step.networks():
            loss = loss_of("critic", backend, nets, batch_of((1, 2, 2)), step)
        assert nets["critic"].types == [torch.bfloat16, torch.float32]
        assert loss.value.dtype == torch.float32
        assert loss.log["gradient_penalty"].item() == pytest.approx(4, rel=1e-5)


def test_the_estimate_of_a_trained_critic_is_the_distance(backend):
    """All real images are 0.5 and all generated ones 0, so that the distance is |0.5 - 0| over 16 pixels: 2."""
    torch.manual_seed(0)
    config = WGANGPConfig(width=8, max_width=16, latent_size=4)
    spec = backend.describe(config, Spec(sample=Image(1, 4, 4)))
    nets, step = backend.build(config, spec), step_of(config, spec)
    for parameter in nets["generator"].image.parameters():
        nn.init.zeros_(parameter)
    adam = torch.optim.Adam(nets["critic"].parameters(), 3e-3, (0.0, 0.9))
    batch = Batch(torch.full((16, 1, 4, 4), 0.5), None)
    for _ in range(150):
        loss = loss_of("critic", backend, nets, batch, step)
        adam.zero_grad()
        loss.value.backward()
        adam.step()
    assert loss.log["wasserstein_estimate"].item() == pytest.approx(2, rel=0.1)


class TestOptions:
    def test_the_defaults_are_the_papers(self, backend):
        config = WGANGPConfig()
        nets = backend.build(config, backend.describe(config, Spec(sample=Image(1, 8, 8))))
        critic, generator = backend.players(config, nets)
        assert (critic.name, critic.optimizer, critic.updates) == ("critic", adam(1e-4, (0.0, 0.9)), 5)
        assert (generator.name, generator.optimizer, generator.updates) == ("generator", adam(1e-4, (0.0, 0.9)), 1)
        assert (config.loss, config.penalty_weight) == ("wasserstein", 10)

    @pytest.mark.parametrize(
        ("loss", "reason"), [("least_squares", "contradict"), ("hinge", "flat"), ("minimax", "gradient vanishes")]
    )
    def test_an_objective_that_contradicts_the_penalty_is_rejected_with_the_reason(
        self, tiny_set, tmp_path, loss, reason
    ):
        with pytest.raises(InputError, match=rf"loss: .*'{loss}' .*penalty.*{reason}.*'wasserstein'"):
            genaug.fit("wgan-gp", tiny_set, out=tmp_path / "run", steps=1, config={"loss": loss})
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize(
        "options",
        [
            {"latent_size": 0},
            {"width": 3},
            {"loss": "wgan"},
            {"loss": ["hinge"]},
            {"penalty_weight": 0},
            {"n_critic": 0},
            {"lr": float("nan")},
            {"beta2": 1},
            {"gamma": 1},
        ],
    )
    def test_options_out_of_bounds(self, options):
        with pytest.raises(ValidationError, match=next(iter(options))):
            WGANGPConfig(**options)


class TestARun:
    @pytest.fixture
    def fit(self, tiny_set, tiny_config):
        def run(out, steps=6, **arguments):
            config = {**tiny_config, "n_critic": 2, **arguments.pop("config", {})}
            fixed = {"batch_size": 8, "checkpoint_every": 3, "device": "cpu", "precision": "float32", "progress": False}
            return genaug.fit("wgan-gp", tiny_set, out=out, steps=steps, config=config, **fixed, **arguments)

        return run

    @staticmethod
    def logged(folder):
        """The log without times, and without the diversity at step 3, where one of the runs ended: the statistics of a
        last step are computed from more samples."""
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [
            {
                name: value
                for name, value in line.items()
                if name not in ("images_per_s", "seconds") and (line["step"] != 3 or not name.startswith("diversity"))
            }
            for line in lines
        ]

    @pytest.mark.parametrize("conditional", [True, False])
    def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(self, fit, tmp_path, conditional):
        config = {"conditional": conditional}
        fit(tmp_path / "uninterrupted", config=config)
        fit(tmp_path / "halves", steps=3, config=config)
        fit(tmp_path / "halves", resume=True, config=config)
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("uninterrupted", "halves")]
        assert weights[0] == weights[1]
        assert self.logged(tmp_path / "uninterrupted") == self.logged(tmp_path / "halves")
        states = [
            torch.load(tmp_path / name / "checkpoints" / "step-00000006.pt", weights_only=True)
            for name in ("uninterrupted", "halves")
        ]
        for one, other in zip(*(state["nets"].values() for state in states), strict=True):
            assert torch.equal(one, other)

    def test_sample_save_and_load(self, fit, tmp_path):
        generator = fit(tmp_path / "run")
        labels = torch.arange(4)
        images, _ = generator.sample(labels=labels, seed=1)
        assert images.shape == (4, 1, 8, 8)
        generator.save(tmp_path / "saved")
        for folder in ("run", "saved"):
            loaded = genaug.load(tmp_path / folder, device="cpu")
            assert loaded.spec == generator.spec
            assert torch.equal(loaded.sample(labels=labels, seed=1)[0], images)

    def test_the_estimate_is_logged_and_the_discriminator_guard_does_not_apply(self, fit, tmp_path):
        fit(tmp_path / "run")
        for line in self.logged(tmp_path / "run"):
            assert {"wasserstein_estimate", "gradient_penalty", "loss/critic", "loss/generator"} <= set(line)
            assert "real_above_fake" not in line  # 1 is what a good critic has


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.01, "penalty_weight": 5}, "clip replaces the gradient"),
        ({"clip": 0.01, "loss": "relativistic"}, "clip bounds the critic"),
    ],
)
def test_clipping_excludes_the_penalty_and_other_losses(options, message):
    with pytest.raises(ValidationError, match=message):
        WGANGPConfig(**options)


def test_the_critic_of_a_run_stays_clipped(tmp_path, tiny_config):
    images = [(torch.randint(0, 256, (1, 8, 8), dtype=torch.uint8), index % 3) for index in range(40)]
    config = {**tiny_config, "clip": 0.01, "lr": 5e-3}
    weights = []

    def look(snapshot):
        weights.append(snapshot.metrics["loss/critic"])

    genaug.fit("wgan-gp", images, out=tmp_path / "run", steps=4, config=config, callbacks=[look], progress=False)
    assert all(abs(value) < 1 for value in weights), "scores of weights up to 0.01 are small"
