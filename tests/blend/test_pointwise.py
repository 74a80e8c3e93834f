"""Generated images of a batch go through transforms of single pixels together, with the values they have one by one."""

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal
from torchvision import transforms as v1, tv_tensors
from torchvision.transforms import v2

from genaug import MixedDataset, SamplePool
from genaug.blend.pointwise import split_pointwise

LABELS = [0, 1, 2, 3] * 5
TO_FLOAT = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]


class Noise:
    """A source of random images."""

    def __init__(self, channels):
        self.spec = SamplePool.from_dataset(FakeReal(LABELS, (channels, 6, 8))).spec

    def sample(self, n=None, *, labels, seed=None):
        rng = np.random.default_rng(seed)
        images = torch.from_numpy(rng.integers(0, 256, (len(labels), *self.spec.shape), dtype=np.uint8))
        return images, torch.as_tensor(labels)


def normalize(version, channels):
    return version.Normalize([0.2] * channels, [0.3] * channels)


TRANSFORMS = {
    "v1.ToTensor": lambda channels: v1.ToTensor(),
    "v1": lambda channels: v1.Compose([v1.ToTensor(), normalize(v1, channels)]),
    "v1.PILToTensor": lambda channels: v1.Compose([v1.PILToTensor(), v1.ConvertImageDtype(torch.float64)]),
    "v2.ToImage": lambda channels: v2.ToImage(),
    "v2": lambda channels: v2.Compose([*TO_FLOAT, normalize(v2, channels)]),
    "v2, plain": lambda channels: v2.Compose([v2.PILToTensor(), v2.ToDtype(torch.bfloat16, scale=True)]),
    "v2, unwrapped": lambda channels: v2.Compose([*TO_FLOAT, v2.ToPureTensor()]),
    "v2, and others": lambda channels: v2.Compose([*TO_FLOAT, v2.RandomHorizontalFlip(1.0), normalize(v2, channels)]),
}


@pytest.mark.parametrize("mode", ["L", "RGB", "L to RGB"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_batch_has_the_items_of_its_indices(name, mode):
    channels = 1 if mode == "L" else 3
    real = FakeReal(LABELS, (channels, 6, 8))
    real.transform = TRANSFORMS[name](channels)
    mixed = MixedDataset(real, Noise(1 if mode == "L to RGB" else channels), ratio=0.5)
    indices = list(range(15, 30))
    for one, (batched, label) in zip([mixed[index] for index in indices], mixed.__getitems__(indices), strict=True):
        assert type(batched) is type(one[0])
        assert batched.dtype == one[0].dtype
        assert torch.equal(batched, one[0])
        assert label == one[1]


def test_steps_of_single_pixels_run_once_per_batch(monkeypatch):
    shapes = []
    original = v2.Normalize.transform
    monkeypatch.setattr(
        v2.Normalize, "transform", lambda self, *args: shapes.append(args[0].shape) or original(self, *args)
    )
    real = FakeReal(LABELS, (3, 6, 8))
    real.transform = v2.Compose([*TO_FLOAT, normalize(v2, 3)])
    mixed = MixedDataset(real, Noise(3), ratio=0.5)
    shapes.clear()
    mixed.__getitems__(list(range(20, 40)))
    assert shapes == [(20, 3, 6, 8)]


class Shifted(v2.Normalize):
    """Does anything, as subclasses may."""


@pytest.mark.parametrize(
    "transform",
    [
        None,
        lambda image: image,
        v2.RandomHorizontalFlip(),
        v2.Compose([v2.RandomCrop(4), *TO_FLOAT]),
        v1.Compose([]),
        v2.RandomApply([v2.ToImage()]),
    ],
)
def test_other_transforms_have_no_such_steps(transform):
    assert split_pointwise(transform)[0] == []


def test_steps_end_where_images_may_be_treated_differently():
    subclass, crop = Shifted([0.5], [0.5]), v2.RandomCrop(4)
    assert split_pointwise(v2.Compose([*TO_FLOAT, subclass])) == (TO_FLOAT, [subclass])
    pointwise, rest = split_pointwise(v1.Compose([v1.ToTensor(), crop, v1.Normalize([0.5], [0.5])]))
    assert [type(step) for step in pointwise] == [v1.ToTensor]
    assert rest[0] is crop
    assert len(rest) == 2


def test_random_steps_see_one_image_at_a_time():
    real = FakeReal(LABELS, (3, 6, 8))
    seen = []
    real.transform = v2.Compose([v2.ToImage(), v2.Lambda(lambda image: seen.append(type(image)) or image)])
    mixed = MixedDataset(real, Noise(3), ratio=0.5)
    seen.clear()
    items = mixed.__getitems__([20, 21, 22])
    assert seen == [tv_tensors.Image] * 3
    assert [item[0].shape for item in items] == [(3, 6, 8)] * 3


def test_pictures_of_other_modes_are_transformed_one_by_one():
    real = FakeReal(LABELS, (3, 6, 8))
    pictures = [(image.convert("HSV"), label) for image, label in real]

    class Converted(FakeReal):
        def __getitem__(self, index):
            image, label = pictures[index]
            return self.transform(image), label

    hsv = Converted(LABELS, (3, 6, 8))
    hsv.transform = v2.PILToTensor()
    mixed = MixedDataset(hsv, Noise(3), ratio=0.5)
    for index, (batched, _) in zip((20, 21), mixed.__getitems__([20, 21]), strict=True):
        assert torch.equal(batched, mixed[index][0])
