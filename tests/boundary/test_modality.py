"""The core doesn't depend on images: a toy modality, points of two measurements, works from training to reports."""

from typing import ClassVar, Literal

import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.nn.functional import softplus
from torch.utils.data import DataLoader, TensorDataset

import genaug
from genaug.backends import Backend, BackendConfig, Fakes, Loss, Player, adam
from genaug.backends.registry import added
from genaug.errors import InputError
from genaug.modalities import Modality
from genaug.modalities.known import MODALITIES
from genaug.testing import check_backend


class Point(Modality):
    """Two measurements around 100, float32."""

    kind: Literal["point"] = "point"
    noun: ClassVar[str] = "points"
    dtype: ClassVar[torch.dtype] = torch.float32

    @property
    def shape(self):
        return (2,)

    def encode(self, samples):
        return (samples - 100) / 10

    def decode(self, outputs, dtype):
        return outputs * 10 + 100

    def flatten(self, samples):
        return samples

    def picture(self, sample):
        picture = Image.new("RGB", (32, 32), "white")
        x, y = (sample.clamp(70, 130) - 70).tolist()
        ImageDraw.Draw(picture).ellipse([x / 2, y / 2, x / 2 + 3, y / 2 + 3], "black")
        return picture

    @classmethod
    def accepts(cls, item):
        return getattr(item, "shape", None) == (2,)

    @classmethod
    def read(cls, item):
        return torch.as_tensor(item, dtype=torch.float32)

    @classmethod
    def of(cls, sample):
        return cls()

    @classmethod
    def examples(cls, labels, shape):
        generator = torch.Generator().manual_seed(0)
        return 100 + 10 * (labels[:, None] - 1) + torch.randn(len(labels), 2, generator=generator)


class PointGAN(Backend):
    class Config(BackendConfig):
        latent_size: int = 2

    modalities = ("point",)

    def build(self, config, spec):
        def net(before, after):
            return nn.Sequential(nn.Linear(before + spec.num_classes, 32), nn.ReLU(), nn.Linear(32, after))

        return nn.ModuleDict({"generator": net(config.latent_size, 2), "discriminator": net(2, 1)})

    def _with_labels(self, net, x, labels):
        return net(x if labels is None else torch.cat([x, nn.functional.one_hot(labels, net[0].in_features - 2)], 1))

    def generate(self, nets, inputs):
        return self._with_labels(nets["generator"], inputs.latents["z"], inputs.labels)

    def players(self, config, nets):
        losses = {"discriminator": self.discriminator_loss, "generator": self.generator_loss}
        return [Player(name, nets[name].parameters(), loss, adam(2e-3, (0.5, 0.99))) for name, loss in losses.items()]

    def fakes(self, nets, batch, step):
        inputs = step.inputs(batch)
        return Fakes(self.generate(nets, inputs), inputs)

    def generator_loss(self, nets, batch, step):
        fake = step.fakes(lambda: self.fakes(nets, batch, step)).x
        return Loss(softplus(-self._with_labels(nets["discriminator"], fake, batch.labels)).mean())

    def discriminator_loss(self, nets, batch, step):
        fake = step.fakes(lambda: self.fakes(nets, batch, step)).x.detach()
        real, fake_scores = (self._with_labels(nets["discriminator"], x, batch.labels) for x in (batch.x, fake))
        return Loss(softplus(-real).mean() + softplus(fake_scores).mean())


@pytest.fixture(autouse=True)
def points(monkeypatch):
    """300 points of three classes; the modality and its backend are registered within the fixture."""
    monkeypatch.setitem(MODALITIES, "point", Point)
    labels = torch.arange(300) % 3
    with added("point-gan", PointGAN):
        yield TensorDataset(Point.examples(labels, ()), labels)


def test_its_backend_fulfills_the_contract():
    checks = {result.check: result.outcome for result in check_backend("point-gan")}
    assert "passed" in checks.values()
    assert "check_image_range" not in checks


def test_points_are_learned_saved_blended_and_drawn(points, tmp_path):
    genaug.fit("point-gan", points, out=tmp_path / "run", steps=600, device="cpu", progress=False)
    generator = genaug.load(tmp_path / "run", device="cpu")
    assert generator.spec.sample == Point()
    samples, labels = generator.sample(300, seed=0)
    assert samples.dtype == torch.float32
    for label in range(3):
        assert (samples[labels == label].mean(0) - (90 + 10 * label)).abs().max() < 3
    assert len(list((tmp_path / "run" / "samples").iterdir())) == 2  # steps 500 and 600

    pool = genaug.SamplePool(generator, size=30)
    assert pool.nbytes == 30 * 2 * 4
    mixed = genaug.MixedDataset(points, pool, ratio=0.25)
    batch, targets = next(iter(DataLoader(mixed, batch_sampler=mixed.batch_sampler(64))))
    assert batch.shape == (64, 2)
    assert batch.dtype == torch.float32
    assert sorted(targets.unique().tolist()) == [0, 1, 2]
    generated = [mixed[index][0] for index in range(300, len(mixed))]
    assert len(generated) == 100
    assert {tuple(point.tolist()) for point in generated} <= {tuple(point) for point in pool.images.tolist()}


def test_functions_for_images_say_so(points, tmp_path):
    generator = genaug.fit("point-gan", points, out=tmp_path / "run", steps=1, device="cpu", progress=False)
    for use in (
        lambda: genaug.GenerativeAugment(generator, ratio=0.5),
        lambda: genaug.evaluate(generator, points),
        lambda: genaug.with_labels(generator, points, method="classifier"),
    ):
        with pytest.raises(InputError, match=r"works on (images|samples of kind image).*, and these are points"):
            use()
    with pytest.raises(InputError, match="'cgan' can't be trained on points: it is for samples of kind image"):
        genaug.fit("cgan", points, out=tmp_path / "other", steps=1, progress=False)
