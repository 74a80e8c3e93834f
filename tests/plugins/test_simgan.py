"""The simgan backend: its losses by hand, its history of refined images, and labels that stay."""

import pytest
import torch
from helpers.players import step_of
from pydantic import ValidationError
from torch import nn
from torch.nn.functional import softplus
from torch.utils.data import TensorDataset

import genaug
from genaug.backends import Batch, Condition, Spec, adam
from genaug.data import Unpaired
from genaug.errors import InputError
from genaug.modalities import Image
from genaug.nn.image_pool import ImagePool
from genaug_simgan.backend import Refiner, SimGAN, SimGANConfig

TINY = SimGAN.tiny
SPEC = Spec(sample=Image(1, 8, 8), conditions=[Condition(name="source", sample=Image(1, 8, 8))])


def images_of(count, low, high, seed=0):
    return torch.randint(low, high, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


class TestRefiner:
    @pytest.mark.parametrize("shape", [(1, 4, 5), (3, 9, 7), (4, 8, 8)])
    def test_an_untrained_one_changes_nothing(self, shape):
        images = torch.rand(2, *shape) * 2 - 1
        assert torch.equal(Refiner(shape[0], 4, 2)(images), images)

    def test_each_pixel_depends_on_its_surroundings_only(self):
        refiner, images = Refiner(1, 4, 1), torch.zeros(1, 1, 16, 16)
        nn.init.normal_(refiner.image.weight)
        changed = images.clone()
        changed[..., 0, 0] = 1
        difference = (refiner(changed) - refiner(images)).abs()
        assert difference[..., :4, :4].any()
        assert not difference[..., 8:, 8:].any()


class Shift(nn.Module):
    """A refiner that adds 0.25 to every pixel."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.25))

    def forward(self, images):
        return images + self.shift


class Patches(nn.Module):
    """Twice the mean of the left and of the right half of an image, (N, 1, 1, 2)."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, images):
        return self.weight * nn.functional.adaptive_avg_pool2d(images, (1, 2))


def losses(history=0, **options):
    """The losses for an image whose halves are 0 and 0.5 when rendered, and 0.75 and -0.5 when real."""
    config = SimGANConfig(history=history, **options)
    rendered, real = (torch.tensor([[[values]]]).float().repeat(2, 1, 1, 1) for values in ([0, 0.5], [0.75, -0.5]))
    nets = nn.ModuleDict(
        {"generator": Shift(), "discriminator": Patches(), "history": ImagePool(history, rendered.shape[1:])}
    )
    step, batch = step_of(config, SPEC), Batch(real, None, {"source": rendered})
    return {player.name: player.loss(nets, batch, step) for player in SimGAN().players(config, nets)}, nets


class TestLosses:
    def test_realism_is_judged_by_patch_and_changes_are_penalized(self):
        values, _ = losses(regularization=3.0)
        fake, real = torch.tensor([0.5, 1.5]), torch.tensor([1.5, -1.0])
        expected = softplus(-fake).mean() + 3 * 0.25
        assert values["generator"].value.item() == pytest.approx(expected.item(), rel=1e-5)
        assert values["generator"].log["change"].item() == pytest.approx(0.25)
        expected = softplus(-real).mean() + softplus(fake).mean()
        assert values["discriminator"].value.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_only_the_refiner_learns_from_the_regularization(self):
        values, nets = losses(regularization=3.0)
        values["generator"].value.backward()
        slope = -torch.tensor([0.5, 1.5]).neg().sigmoid().mean() * 2 + 3
        assert nets["generator"].shift.grad.item() == pytest.approx(slope.item(), rel=1e-5)

    def test_refined_images_are_remembered(self):
        _, nets = losses(history=5)
        assert nets["history"].count == 2
        assert torch.allclose(nets["history"].images[:2], torch.tensor([0.25, 0.75]))
        assert not nets["history"].images[2:].any()


def test_the_defaults():
    config = SimGANConfig()
    spec = SimGAN().describe(config, SPEC)
    refiner, judge = SimGAN().players(config, SimGAN().build(config, spec))
    assert (refiner.name, refiner.updates, judge.name, judge.updates) == ("generator", 2, "discriminator", 1)
    assert refiner.optimizer == judge.optimizer == adam(2e-4, (0.5, 0.999), decay=0.5)


@pytest.mark.parametrize(
    "options", [{"regularization": -1}, {"history": -1}, {"refiner_updates": 0}, {"loss": "minimax"}]
)
def test_options_out_of_bounds(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        SimGANConfig(**options)


class TestARun:
    @pytest.fixture
    def fit(self):
        rendered = TensorDataset(images_of(30, 0, 100), torch.arange(30) % 3)
        data = Unpaired(rendered, TensorDataset(images_of(44, 150, 256, seed=1)))

        def run(out, steps=8, **arguments):
            fixed = {"batch_size": 8, "checkpoint_every": 4, "device": "cpu", "precision": "float32", "progress": False}
            config = {**TINY, "lr": 1e-2, "decay": 0, **arguments.pop("config", {})}
            return genaug.fit("simgan", data, out=out, steps=steps, config=config, **fixed, **arguments)

        return run

    def test_a_resumed_run_is_the_uninterrupted_one_with_its_history(self, fit, tmp_path):
        fit(tmp_path / "uninterrupted")
        fit(tmp_path / "halves", steps=4)
        fit(tmp_path / "halves", steps=8, resume=True)
        states = [
            torch.load(tmp_path / name / "checkpoints" / "step-00000008.pt", weights_only=True)["nets"]
            for name in ("uninterrupted", "halves")
        ]
        assert states[0]["history.count"] == 20
        for name, tensor in states[0].items():
            assert torch.equal(tensor, states[1][name]), name
        assert not any(name.startswith("history") for name in genaug.load(tmp_path / "halves").tensors())

    def test_refined_images_move_towards_real_ones_and_keep_their_labels(self, fit, tmp_path):
        refiner = fit(tmp_path / "run", steps=60, config={"regularization": 0.1})
        images, labels = images_of(30, 0, 100), torch.arange(30) % 3
        assert refiner.translate(images, seed=0).float().mean() > images.float().mean() + 30
        source = genaug.variations(refiner, TensorDataset(images, labels))
        refined, own = source.sample(labels=[2, 0], seed=0)
        assert own.tolist() == [2, 0]
        expected = refiner.translate(images, seed=0)
        for image, label in zip(refined, own, strict=True):
            assert any(torch.equal(image, other) for other in expected[labels == label])

    def test_sizes_and_channels_have_to_agree(self, tmp_path):
        rendered = TensorDataset(images_of(8, 0, 256))
        for shape in ((1, 9, 8), (3, 8, 8)):
            real = TensorDataset(torch.zeros(8, *shape, dtype=torch.uint8))
            with pytest.raises(InputError, match="images of both domains must have the same"):
                genaug.fit("simgan", Unpaired(rendered, real), out=tmp_path / "run", steps=1, progress=False)
