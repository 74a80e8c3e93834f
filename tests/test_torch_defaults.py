"""The caller's default dtype, default device and gradient mode don't affect what genaug builds, samples and blends."""

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, pixels_of
from torch.utils.data import ConcatDataset, Subset
from torchvision.transforms import v2

import genaug
from genaug import GenerativeAugment, MixedDataset, SamplePool
from genaug.device import torch_defaults
from genaug.evaluation import kid, prdc
from genaug.nn.classifier import accuracy, new_classifier, shuffled_batches, train_classifier

LABELS = [0, 1, 2, 3] * 5


@pytest.fixture(params=["float64", "meta device", "no gradients", "inference"])
def surroundings(request):
    """Settings that a caller might have: float64, as in scientific code, and a device that isn't the CPU ("meta" stands
    for "cuda")."""
    if request.param == "float64":
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)
    elif request.param == "meta device":
        torch.set_default_device("meta")
        yield
        torch.set_default_device(None)
    else:
        with torch.no_grad() if request.param == "no gradients" else torch.inference_mode():
            yield


@pytest.fixture
def folder(make_generator, tmp_path):
    return make_generator().save(tmp_path / "generator")


@pytest.fixture
def expected(folder):
    return genaug.load(folder, device="cpu").sample(6, seed=3)[0]


def test_load_sample_and_decode(folder, expected, surroundings):
    generator = genaug.load(folder, device="cpu")
    assert torch.equal(generator.sample(6, seed=3)[0], expected)
    assert generator.sample(labels=[0, 1], seed=1)[0].device.type == "cpu"
    assert generator.sample(2, dtype=torch.float32)[0].dtype == torch.float32
    assert generator.sample(2, z=0.5)[0].shape == (2, 1, 8, 8)


def test_pools_and_blends(folder, surroundings):
    generator = genaug.load(folder, device="cpu")
    pool = SamplePool(generator, size=12)
    assert pool.sample(4, seed=0)[0].device.type == "cpu"
    assert pool.sample(labels=[3, 3])[1].tolist() == [3, 3]
    assert pool.images.dtype == torch.uint8
    real = FakeReal(LABELS, (1, 8, 8), transform=v2.PILToTensor())
    for part in (real, Subset(real, range(20)), ConcatDataset([real, real])):
        mixed = MixedDataset(part, generator, ratio=0.5)
        mixed.set_epoch(1)
        batch = mixed.__getitems__(next(iter(mixed.batch_sampler(8))))
        assert {image.dtype for image, _ in batch} == {torch.uint8}
        assert len({image.device for image, _ in batch}) == 1, "as the transform leaves them"
        assert mixed.targets.device.type == "cpu"
    pool_of_real = SamplePool.from_dataset(FakeReal(LABELS))
    assert torch.equal(pool_of_real.images[0], pixels_of(FakeReal(LABELS)[0][0]))


def test_labels_that_are_tensors_stay_together(surroundings):
    mixed = MixedDataset(FakeReal(LABELS, label_type=lambda x: torch.tensor(x, device="cpu")), FakeSource(), ratio=0.5)
    assert mixed[0][1].device == mixed[25][1].device


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_generative_augment(dtype, surroundings):
    images = torch.zeros((40, 1, 6, 6), dtype=dtype, device="cpu")
    labels = torch.as_tensor(LABELS * 2, device="cpu")
    normalize = None if dtype == torch.uint8 else (0.5, 0.25)
    blended, same = GenerativeAugment(FakeSource(), ratio=0.5, normalize=normalize)(images, labels)
    assert blended.dtype == dtype
    assert blended.device.type == "cpu"
    assert int((blended != 0).flatten(1).any(1).sum()) == 20
    assert same is labels


def test_classifiers_train_and_measures_run(surroundings):
    with torch.device("cpu"):
        images, labels = torch.randint(0, 255, (40, 1, 8, 8), dtype=torch.uint8), torch.arange(40) % 2
        features = torch.rand(200, 3, dtype=torch.float32)
    model = new_classifier((1, 8, 8), 2, 0, width=4)
    assert next(model.parameters()).dtype == torch.float32
    with torch_defaults():
        batches = shuffled_batches(images, labels, 8, 0)
    assert train_classifier(model, batches, updates=2, seed=0).last > 0
    assert 0 <= accuracy(model, images, labels) <= 1
    assert prdc(features, features)["precision"] == 1
    assert kid(features, features) == pytest.approx(0, abs=0.1)


@torch_defaults()
def fails_inside():
    assert torch.zeros(()).device.type == "cpu"
    assert torch.zeros(()).dtype == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    raise ZeroDivisionError


def test_the_callers_settings_are_restored_afterwards():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"), torch.inference_mode():
            with pytest.raises(ZeroDivisionError):
                fails_inside()
            assert torch.get_default_dtype() == torch.float64
            assert torch.zeros(()).device.type == "meta"
            assert torch.is_inference_mode_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
