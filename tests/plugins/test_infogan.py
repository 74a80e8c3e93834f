"""The infogan backend: the bound by hand, who is trained by it, and that labels never enter."""

import math

import pytest
import torch
from helpers.players import (
    CPU,
    batch_of,
    check_losses,
    generate,
    loss_of,
    losses_of,
    step_of,
)
from pydantic import ValidationError
from scipy.special import log_softmax
from scipy.stats import norm
from torch import nn
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Categorical, Spec, Uniform, adam, registry
from genaug.data.reading import Samples
from genaug.errors import InputError
from genaug.modalities.image import Image
from genaug.training.checkpoint import newest_checkpoint
from genaug.training.run_folder import RunFolder
from genaug.training.trainer import Trainer
from genaug_infogan.backend import InfoGAN, InfoGANConfig
from genaug_infogan.information import codes_of, entropy, information, log_likelihood, outputs_of

SHAPES = [(1, 1, 1), (1, 4, 4), (1, 8, 8), (1, 28, 28), (1, 27, 27), (2, 13, 40), (3, 32, 32), (4, 5, 9)]
LOSSES = ["nonsaturating", "relativistic", "least_squares", "hinge", "minimax"]
CODES = [
    {},
    {"categories": [3, 4], "continuous": 0},
    {"categories": [], "continuous": 3, "variance": "predicted"},
    {"continuous_as": "modulation"},
    {"continuous": 0, "continuous_as": "modulation"},
]
C, U = Categorical(name="c1", size=5), Uniform(name="u1", size=2)
TINY = {"width": 4, "max_width": 8, "hidden": 16, "latent_size": 4}


@pytest.fixture
def backend():
    return registry.resolve("infogan")


def configure(**options):
    return InfoGANConfig(**{**TINY, **options})


def no_fakes():
    raise AssertionError("the fakes of this step are there already")


def spec_of(config, shape=(1, 8, 8), classes=3):
    return InfoGAN().describe(config, Spec(sample=Image(*shape), classes=classes))


def fit(out, dataset, steps=4, **options):
    config = {**TINY, **options.pop("config", {})}
    settings = {"steps": steps, "batch_size": 8, "device": "cpu", "precision": "float32", "progress": False, **options}
    return genaug.fit("infogan", dataset, out=out, config=config, **settings)


def weights_of(run):
    state, _ = newest_checkpoint(RunFolder(run), CPU)
    return state["nets"]


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("codes", CODES)
    def test_build_generate_loss_backward(self, backend, shape, codes):
        config = configure(**codes)
        spec = spec_of(config, shape)
        nets, step = backend.build(config, spec), step_of(config, spec)
        images = generate(backend, nets, step.latents(4), None)
        assert images.shape == (4, *shape)
        assert float(images.detach().abs().max()) <= 1
        check_losses(backend, config, spec, batch_of(shape), 0)

    def test_a_trained_network_predicts_codes_from_a_single_image(self, backend):
        config = configure()
        torch.manual_seed(0)
        critic, images = backend.build(config, spec_of(config))["discriminator"].eval(), batch_of((1, 8, 8), 6).x
        score, read = critic(images)
        assert score.shape == (6, 1)
        assert {name: tuple(numbers.shape) for name, numbers in read.items()} == {
            "c1": (6, 10),
            "u1": (6, 1),
            "u2": (6, 1),
        }
        for i in range(6):
            alone, alone_read = critic(images[i : i + 1])
            assert torch.allclose(alone, score[i : i + 1], atol=1e-5)
            assert torch.allclose(alone_read["c1"], read["c1"][i : i + 1], atol=1e-5)


class TestSpec:
    def test_codes_have_names_and_there_are_no_labels(self):
        config = configure(categories=[10, 3], continuous=2, latent_size=7)
        spec = InfoGAN().describe(config, Spec(sample=Image(1, 8, 8), classes=("a", "b")))
        assert (spec.num_classes, spec.classes, spec.takes_labels) == (0, None, False)
        assert [(latent.name, latent.kind, latent.size) for latent in spec.latents] == [
            ("z", "normal", 7),
            ("c1", "categorical", 10),
            ("c2", "categorical", 3),
            ("u1", "uniform", 1),
            ("u2", "uniform", 1),
        ]
        assert [code.name for code in codes_of(spec)] == ["c1", "c2", "u1", "u2"]
        assert InfoGAN().describe(config, spec.model_copy(update={"latents": ()})) == spec

    def test_every_code_and_the_noise_reach_the_image(self, backend):
        config = configure()
        spec = spec_of(config)
        torch.manual_seed(0)
        nets = backend.build(config, spec).eval()
        one = {name: rows[:1] for name, rows in step_of(config, spec).latents(1).items()}
        before = generate(backend, nets, one, None)
        for name, rows in one.items():
            changed = (rows + 1) % 10 if name == "c1" else rows + 0.5
            assert not torch.allclose(generate(backend, nets, {**one, name: changed}, None), before)


class TestBound:
    """L_I against float64 values from scipy."""

    def test_categorical(self):
        logits, values = (
            torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) * 3,
            torch.tensor([0, 4, 2, 2, 1, 3]),
        )
        expected = log_softmax(logits.double().numpy(), axis=1)[range(6), values.numpy()]
        assert log_likelihood(C, logits, values).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
        assert information(C, logits, values).item() == pytest.approx(expected.mean() + math.log(5), rel=1e-4)

    def test_the_information_is_log_k_for_exact_predictions_and_zero_for_uniform_ones(self):
        values = torch.arange(5)
        assert information(C, 1e3 * torch.eye(5), values).item() == pytest.approx(math.log(5))
        assert information(C, torch.zeros(5, 5), values).item() == pytest.approx(0, abs=1e-6)

    @pytest.mark.parametrize("variance", ["fixed", "predicted"])
    def test_continuous(self, variance):
        draws = torch.Generator().manual_seed(0)
        outputs, values = (
            torch.randn(6, outputs_of(U, variance), generator=draws),
            torch.rand(6, 2, generator=draws) * 2 - 1,
        )
        mean, raw = outputs[:, :2].double(), outputs[:, 2:].double()
        deviation = (1e-3 + (1 + raw.exp()).log()).sqrt().numpy() if variance == "predicted" else 1.0
        expected = norm.logpdf(values.double().numpy(), mean.numpy(), deviation).sum(1)
        assert log_likelihood(U, outputs, values).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
        assert information(U, outputs, values).item() == pytest.approx(expected.mean() + 2 * math.log(2), rel=1e-4)

    def test_it_is_taken_in_float32(self):
        read = information(C, torch.randn(4, 5).bfloat16(), torch.tensor([0, 1, 2, 3]))
        assert read.dtype == torch.float32

    def test_entropies_are_those_of_the_priors(self):
        assert entropy(C) == pytest.approx(-math.log(1 / 5))
        assert entropy(U) == pytest.approx(-2 * math.log(1 / 2))  # a density of 1/2 over [-1, 1], twice


class StubGenerator(nn.Module):
    """Makes w z_0 everywhere."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, latents):
        return (self.weight * latents["z"][:, 0])[:, None, None, None].expand(-1, 1, 2, 2)


class StubDiscriminator(nn.Module):
    """Scores v times the image's sum s; reads the category as logits (s, 0, ...) and the code as 2 s."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, images):
        total = images.flatten(1).sum(1, keepdim=True)
        return self.weight * total, {"c1": torch.cat([total, torch.zeros(len(total), 2)], 1), "u1": 2 * total}


class TestLoss:
    @pytest.fixture
    def hand(self):
        """Both losses with stub networks; the scores and the bounds worked out by hand in float64."""

        def losses(index=0, **options):
            config = configure(categories=[3], continuous=1, **options)
            spec = spec_of(config, (1, 2, 2))
            nets = nn.ModuleDict({"generator": StubGenerator(), "discriminator": StubDiscriminator()})
            batch = batch_of((1, 2, 2))
            values = step_of(config, spec, index).latents(4)
            step = step_of(config, spec, index)
            got = [loss_of(player, InfoGAN(), nets, batch, step) for player in ("generator", "discriminator")]
            total = (4 * 0.3 * values["z"][:, 0]).double()
            logits = torch.stack([total, 0 * total, 0 * total], 1).numpy()
            category = log_softmax(logits, axis=1)[range(4), values["c1"].numpy()].mean() + math.log(3)
            code = norm.logpdf(values["u1"][:, 0].double().numpy(), 2 * total.numpy()).mean() + math.log(2)
            real = 0.3 * batch.x.double().flatten(1).sum(1)
            return got, real, 0.3 * total, (category, code), nets

        return losses

    def test_by_hand(self, hand):
        """Chen et al. 2016, eq. 6, with its V in the form of Goodfellow et al. 2014, section 3."""
        options = {"category_weight": 0.7, "continuous_weight": 0.1}
        (generator, discriminator), real, fake, (category, code), _ = hand(**options)
        weighted = 0.7 * category + 0.1 * code
        assert generator.value.item() == pytest.approx(float((1 + (-fake).exp()).log().mean()) - weighted, rel=1e-5)
        adversarial = float((1 + (-real).exp()).log().mean() + (1 + fake.exp()).log().mean())
        assert discriminator.value.item() == pytest.approx(adversarial - weighted, rel=1e-5)
        assert discriminator.log["information/c1"].item() == pytest.approx(category, rel=1e-4)
        assert discriminator.log["information/u1"].item() == pytest.approx(code, rel=1e-4)
        assert discriminator.log["real_score"].item() == pytest.approx(float(real.mean()), rel=1e-5)
        assert not any(value.requires_grad for value in discriminator.log.values())

    def test_the_discriminators_loss_has_no_gradient_for_the_generator(self, hand):
        (_, discriminator), _, _, _, nets = hand(0)
        discriminator.value.backward()
        assert nets["generator"].weight.grad is None

    def test_a_batch_of_one_is_rejected(self, backend):
        config = configure()
        with pytest.raises(InputError, match="need at least 2 images: use a larger batch_size"):
            losses_of(backend, config, spec_of(config), batch_of((1, 8, 8), 1))

    def test_generated_and_real_images_are_normalized_separately(self, backend):
        config = configure()
        spec = spec_of(config)
        torch.manual_seed(0)
        nets, images, scores = backend.build(config, spec), batch_of((1, 8, 8)).x, []
        for brightness in (1.0, 0.1):
            step, batch = step_of(config, spec), Batch(images * brightness, None)
            loss_of("generator", backend, nets, batch, step)
            scores.append(loss_of("discriminator", backend, nets, batch, step).log["fake_score"].item())
        assert scores[0] == pytest.approx(scores[1], abs=1e-6)

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("policy", [(), ("translation", "color")])
    def test_every_objective_runs(self, backend, loss, policy):
        config = configure(loss=loss)
        losses, gradients = losses_of(backend, config, spec_of(config), batch_of((1, 8, 8)), 0, policy)
        assert all(loss.value.isfinite() for loss in losses.values())
        assert all(any(float(g.abs().sum()) > 0 for g in gradients[name]) for name in losses)


class TestInformationTrains:
    """With the score's weights at 0 no adversarial gradient passes them: what moves, the information moved."""

    @staticmethod
    def one_step(**options):
        """The networks before and after one step of the trainer."""
        config = configure(**options)
        spec = spec_of(config)
        data = Samples(torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8), None, spec)
        trainer = Trainer(InfoGAN(), config, data, batch_size=8)
        nn.init.zeros_(trainer.nets["discriminator"].score.weight)
        before = {name: weight.clone() for name, weight in trainer.nets.named_parameters()}
        trainer.step(0)
        return before, dict(trainer.nets.named_parameters())

    @pytest.mark.parametrize("weight", ["category_weight", "continuous_weight"])
    def test_information_trains_the_shared_body_q_and_the_generator(self, weight):
        silent = {"category_weight": 0.0, "continuous_weight": 0.0}
        before, after = self.one_step(**{**silent, weight: 1.0})
        assert any(".body." in name for name in before)
        code = "c1" if weight == "category_weight" else "u1"
        for name in before:
            ours = name.startswith("generator.") or any(p in name for p in (".body.", ".hidden.", f".codes.{code}."))
            bias_before_norm = name == "generator.network.stem.project.bias"  # batch normalisation takes it out
            if ours and not bias_before_norm:
                assert not torch.equal(before[name], after[name]), f"{name} isn't trained by the information"

    def test_without_information_only_the_score_is_trained(self):
        before, after = self.one_step(category_weight=0.0, continuous_weight=0.0)
        moved = [name for name in before if not torch.equal(before[name], after[name])]
        assert set(moved) == {"discriminator.score.weight", "discriminator.score.bias"}

    def test_q_belongs_to_the_discriminator_and_each_player_has_its_rate(self, backend):
        config = configure(generator_lr=0.02, discriminator_lr=0.01, beta1=0.3)
        nets = backend.build(config, spec_of(config))
        generator, discriminator = backend.players(config, nets)
        assert (generator.name, generator.optimizer) == ("generator", adam(0.02, (0.3, 0.999)))
        assert (discriminator.name, discriminator.optimizer) == ("discriminator", adam(0.01, (0.3, 0.999)))
        owned = {id(parameter) for parameter in discriminator.parameters}
        critic = nets["discriminator"]
        assert all(id(p) in owned for part in (critic.body, critic.hidden, critic.codes) for p in part.parameters())

    def test_images_learn_to_show_their_category(self, tmp_path, tiny_set):
        fit(
            tmp_path / "run",
            tiny_set,
            150,
            batch_size=32,
            config={"width": 8, "discriminator_lr": 2e-3, "categories": [3]},
        )
        lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
        first, last = (float(line.split('"information/c1": ')[1].split(",")[0]) for line in (lines[0], lines[-1]))
        assert last > max(0.5 * math.log(3), first)


class TestLabels:
    """Labels of the data are never used: codes come from their prior."""

    def test_labels_change_nothing(self, tmp_path, tiny_set):
        images, labels = tiny_set.tensors
        sets = {"right": tiny_set, "wrong": TensorDataset(images, labels.flip(0)), "none": TensorDataset(images)}
        weights = {}
        for name, dataset in sets.items():
            assert not fit(tmp_path / name, dataset).spec.takes_labels
            weights[name] = weights_of(tmp_path / name)
        for name, weight in weights["right"].items():
            assert torch.equal(weight, weights["wrong"][name])
            assert torch.equal(weight, weights["none"][name])

    def test_the_codes_of_a_step_follow_the_prior(self, backend):
        config = configure()
        spec = spec_of(config)
        nets, batch = backend.build(config, spec), batch_of((1, 8, 8), 400)
        step = step_of(config, spec)
        loss_of("generator", backend, nets, batch, step)
        values, expected = step.fakes(no_fakes).inputs.latents, step_of(config, spec).latents(400)
        assert all(torch.equal(values[name], expected[name]) for name in expected)
        assert float((values["c1"] % 3 == batch.labels).float().mean()) < 0.5
        assert values["c1"].bincount(minlength=10).min() > 20
        assert -1 <= float(values["u1"].min()) < -0.9 < 0.9 < float(values["u1"].max()) <= 1


class TestGenerator:
    def test_resuming_is_exact_bit_for_bit(self, tmp_path, tiny_set):
        fit(tmp_path / "uninterrupted", tiny_set, 6)
        fit(tmp_path / "parts", tiny_set, 3)
        fit(tmp_path / "parts", tiny_set, 6, resume=True)
        uninterrupted, parts = weights_of(tmp_path / "uninterrupted"), weights_of(tmp_path / "parts")
        assert any(name.startswith("discriminator.codes.") for name in uninterrupted)
        assert all(torch.equal(uninterrupted[name], parts[name]) for name in uninterrupted)

    def test_saved_loaded_and_decoded_by_name(self, tmp_path, tiny_set):
        trained = fit(tmp_path / "run", tiny_set, config={"categories": [4], "continuous": 2})
        loaded = genaug.load(trained.save(tmp_path / "saved"), device="cpu")
        assert loaded.spec == trained.spec
        z, c1 = torch.randn(6, 4), torch.arange(6) % 4
        u1, u2 = torch.linspace(-1, 1, 6), torch.zeros(6, 1)
        images = loaded.decode(z, c1=c1, u1=u1, u2=u2)
        assert images.shape == (6, 1, 8, 8)
        assert torch.equal(images, trained.decode(z, c1=c1, u1=u1[:, None], u2=u2))
        assert not torch.equal(images, loaded.decode(z, c1=(c1 + 1) % 4, u1=u1, u2=u2))

    def test_codes_can_be_fixed_by_name_and_the_others_are_random(self, tmp_path, tiny_set):
        trained = fit(tmp_path / "run", tiny_set)
        free, labels = trained.sample(20, seed=0)
        assert labels is None
        assert not torch.equal(trained.sample(20, seed=0, c1=3)[0], free)
        sweep = torch.linspace(-1, 1, 20)
        assert torch.equal(trained.sample(20, seed=0, u1=sweep)[0], trained.sample(20, seed=0, u1=sweep[:, None])[0])
        assert not torch.equal(trained.sample(20, seed=0, u1=sweep)[0], trained.sample(20, seed=0, u1=0.5)[0])

    def test_codes_can_be_set_on_the_command_line(self, tmp_path):
        from typer.testing import CliRunner

        from genaug.cli import app

        sets = [f"--set={pair}" for pair in ("categories=[10, 2]", "continuous=1", "width=4", "max_width=8")]
        command = ["train", "infogan", "--out", str(tmp_path / "run"), "--steps", "1", "--batch-size", "8", *sets]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        assert [latent.name for latent in genaug.load(tmp_path / "run").spec.latents] == ["z", "c1", "c2", "u1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "wasserstein"}, "a gradient norm of 1"),
        ({"loss": "wgan"}, "relativistic"),
        ({"categories": [], "continuous": 0}, "needs a code"),
        ({"categories": [1]}, "categories"),
        ({"categories": 10}, "categories"),
        ({"continuous": -1}, "continuous"),
        ({"category_weight": -1}, "category_weight"),
        ({"continuous_weight": float("nan")}, "continuous_weight"),
        ({"variance": 2}, "variance"),
        ({"continuous_as": "style"}, "continuous_as"),
        ({"gamma": 1}, "gamma"),
        ({"generator_lr": 0}, "generator_lr"),
        ({"beta1": 1}, "beta1"),
        ({"labels": 1}, "labels"),
    ],
)
def test_options_out_of_bounds(options, message):
    with pytest.raises(ValidationError, match=message):
        InfoGANConfig(**options)
