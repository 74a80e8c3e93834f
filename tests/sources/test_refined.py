"""Samples of a source that pass through an image-to-image generator."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from typer.testing import CliRunner

import genaug
from genaug.backends import Backend, BackendConfig, Condition, Spec
from genaug.cli import app
from genaug.data.reading import fingerprint, read_samples
from genaug.errors import InputError, OutputExistsError
from genaug.evaluation.subject import learned_from
from genaug.modalities import Image
from genaug.sources.generator import Generator


class Enlarged(nn.Module):
    def __init__(self):
        super().__init__()
        self.contrast = nn.Parameter(torch.tensor(0.5))

    def forward(self, images):
        return nn.functional.interpolate(images, scale_factor=2) * self.contrast


class Doubling(Backend):
    """Images twice as large, with less contrast, some noise, and brighter by the label."""

    class Config(BackendConfig):
        pass

    conditions = ("small",)

    def describe(self, config, data):
        return data

    def build(self, config, spec):
        return nn.ModuleDict({"generator": Enlarged()})

    def generate(self, nets, inputs):
        images = nets["generator"](inputs.conditions["small"])
        shift = 0 if inputs.labels is None else inputs.labels[:, None, None, None] / 4
        return (images + 0.1 * inputs.noise(*images.shape[1:]) + shift).clamp(-1, 1)


def doubling(sample=None, classes=None, **training):
    sample = sample or Image(1, 8, 8)
    large = Image(sample.channels, 2 * sample.height, 2 * sample.width)
    spec = Spec(sample=large, classes=classes, conditions=(Condition(name="small", sample=sample),))
    backend = Doubling()
    return Generator("doubling", backend, Doubling.Config(), spec, backend.build(None, spec), training)


NAMES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def small(make_generator):
    return make_generator(classes=NAMES)


@pytest.fixture
def source(small):
    return genaug.refined(small, doubling())


def test_samples_are_the_sources_translated_and_labels_stay(small, source):
    images, labels = source.sample(labels=[3, 0, 2], seed=5)
    own, _ = small.sample(labels=[3, 0, 2], seed=5)
    assert images.shape == (3, *source.spec.shape) == (3, 1, 16, 16)
    assert labels.tolist() == [3, 0, 2]
    assert source.spec.classes == small.spec.classes
    reduced = nn.functional.avg_pool2d(images.float(), 2)
    assert (reduced - (own.float() / 2 + 63.75)).abs().mean() < 10
    assert torch.equal(source.sample(8, seed=5)[1], small.sample(8, seed=5)[1])


def test_samples_depend_on_the_seed_and_not_on_the_number(source):
    images, labels = source.sample(300, seed=3)
    few, few_labels = source.sample(6, seed=3)
    assert torch.equal(images[:6], few)
    assert torch.equal(labels[:6], few_labels)
    assert not torch.equal(source.sample(6, seed=4)[0], few)


def test_a_source_without_labels_stays_one(make_generator):
    images, labels = genaug.refined(make_generator(conditional=False), doubling()).sample(3, seed=0)
    assert images.shape == (3, 1, 16, 16)
    assert labels is None


def test_a_refiner_that_takes_labels_gets_those_of_the_same_name(small):
    with_labels = doubling(classes=("dog", "cat", "bee", "ant"))
    images, _ = genaug.refined(small, with_labels).sample(labels=[0, 3], seed=0)
    own, _ = small.sample(labels=[0, 3], seed=0)
    shift = images.float().mean((1, 2, 3)) - (own.float().mean((1, 2, 3)) / 2 + 63.75)
    assert shift[0] > 60, "ant is the refiner's class 3"
    assert abs(shift[1]) < 10, "dog is its class 0"
    with pytest.raises(InputError, match=r"the refiner takes labels .*with_labels"):
        genaug.refined(SimpleNamespace(spec=Spec(sample=Image(1, 8, 8)), sample=small.sample), with_labels)


def test_refiners_can_be_chained(source):
    twice = genaug.refined(source, doubling(Image(1, 16, 16)))
    assert twice.sample(2, seed=0)[0].shape == (2, 1, 32, 32)


def test_it_is_blended_pooled_and_filtered(source):
    large = TensorDataset(torch.zeros(40, 1, 16, 16, dtype=torch.uint8), torch.arange(40) % 4)
    large.classes = NAMES
    mixed = genaug.MixedDataset(large, source, ratio=0.5)
    images, labels = next(iter(DataLoader(mixed, batch_size=80, num_workers=1)))
    assert images.shape == (80, 1, 16, 16)
    assert labels.bincount().tolist() == [20] * 4
    pool = genaug.SamplePool(source, size=12)
    assert pool.supply == [3] * 4
    certain = lambda x: nn.functional.one_hot(torch.zeros(len(x), dtype=torch.int64), 4).float()  # noqa: E731
    assert genaug.filtered(source, agree=certain).sample(labels=[0, 0], seed=0)[0].shape == (2, 1, 16, 16)


def test_a_pool_keeps_its_supply(small):
    source = genaug.refined(genaug.SamplePool(small, size=8), doubling())
    assert source.supply == [2] * 4
    assert len({bytes(image.numpy()) for image in source.sample(labels=[1, 1], seed=0)[0]}) == 2


def test_a_folder_is_not_continued_with_another_refiner(source, small, tmp_path, register_backend):
    register_backend("doubling", Doubling)
    kept = genaug.SamplePool.in_folder(source, tmp_path / "pool", per_class=2)
    again = genaug.SamplePool.in_folder(genaug.refined(small, doubling()), tmp_path / "pool", per_class=2)
    assert torch.equal(kept.images, again.images)
    other = doubling()
    nn.init.constant_(other.network.contrast, 0.4)
    with pytest.raises(OutputExistsError, match="samples with other settings: identity was"):
        genaug.SamplePool.in_folder(genaug.refined(small, other), tmp_path / "pool", per_class=2)


def test_a_study_takes_it_and_notices_that_the_refiner_saw_the_test_set(source, small, tmp_path):
    images = torch.randint(0, 256, (60, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    large = TensorDataset(images, torch.arange(60) % 4)
    samples = read_samples(large)
    seen = genaug.refined(small, doubling(data_sha256=fingerprint(samples), image_size=16))
    assert seen.training["image_size"] == 16
    assert learned_from(seen, samples)
    assert not learned_from(source, samples)
    test_set = TensorDataset(255 - large.tensors[0], large.tensors[1])
    options = {"ratios": [0.5], "seeds": 2, "updates": 2, "progress": False}
    report = genaug.study(large, test_set, sources={"refined": source}, **options)
    assert report.source in ("refined", None)
    with pytest.raises(InputError, match="was trained on the test set"):
        genaug.study(test_set, large, sources={"refined": seen}, **options)


@pytest.mark.parametrize(
    ("refiner", "words"),
    [
        (doubling(Image(1, 9, 9)), r"takes images of 1x9x9, and the source makes images of 1x8x8\. Train"),
        (doubling(Image(3, 8, 8)), r"takes images of 3x8x8, and the source makes images of 1x8x8"),
        (object(), r"the refiner is object, which can't translate samples\. Expected a generator with one condition"),
        (SimpleNamespace(translate=lambda samples, labels=None, *, seed=None: samples), "has no spec"),
        (SimpleNamespace(translate=lambda samples: samples), r"translate can't be called as needed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error(small, refiner, words):
    with pytest.raises(InputError, match=words):
        genaug.refined(small, refiner)


def test_generators_without_a_condition_are_no_refiners(small):
    with pytest.raises(InputError, match="has 0 conditions"):
        genaug.refined(small, small)
    with pytest.raises(InputError, match="source must be an object with spec and sample"):
        genaug.refined("runs/gan", doubling())


def test_what_a_refiner_returns_is_checked(small):
    broken = SimpleNamespace(spec=doubling().spec, translate=lambda samples, labels=None, *, seed=None: samples)
    with pytest.raises(InputError, match=r"translate returned .*expected torch.uint8 of shape \(2, 1, 16, 16\)"):
        genaug.refined(small, broken).sample(2, seed=0)


def test_it_is_loaded_by_name_on_the_command_line_too(small, tmp_path, register_backend):
    register_backend("doubling", Doubling)
    small.save(tmp_path / "small")
    doubling().save(tmp_path / "doubling")
    where, refiner = f"refined:{tmp_path / 'small'}", str(tmp_path / "doubling")
    source = genaug.load(where, refiner=refiner, device="cpu")
    expected, _ = genaug.refined(small, doubling()).sample(4, seed=2)
    assert torch.equal(source.sample(4, seed=2)[0], expected)
    with pytest.raises(InputError, match="missing a required argument: 'refiner'"):
        genaug.load(where)
    command = ["sample", where, "--set", f"refiner={refiner}", "--n", "4", "--out", str(tmp_path / "samples.png")]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (tmp_path / "samples.png").is_file()
