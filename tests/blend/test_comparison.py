"""Sizes are compared after the transform; generated images that show much less than real ones get a warning."""

import warnings

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset, default_collate
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from genaug import GenerativeAugment, MixedDataset
from genaug.errors import BlendWarning, InputError

TO = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
RESIZE = v2.Compose([v2.Resize((16, 16)), TO])


@pytest.fixture
def photos(tmp_path):
    """Writes color photos of two classes, all of one size: ``photos(width, height)``."""

    def write(width=24, height=24, mode="RGB", transform=None):
        rng = np.random.default_rng(0)
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir(exist_ok=True)
            for number in range(6):
                pixels = rng.integers(0, 255, (height, width, 3)).astype(np.uint8)
                Image.fromarray(pixels).convert(mode).save(tmp_path / name / f"{number}.png")
        return ImageFolder(tmp_path, transform=transform)

    return write


def source(size, channels=3):
    return FakeSource(2, (channels, size, size), ("cat", "dog"))


def first_batch(mixed, **options):
    return next(iter(DataLoader(mixed, len(mixed), **options)))


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: Subset(x, range(12)), lambda x: ConcatDataset([x, x])])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_transform_that_is_assigned_later_may_resize_photos_to_the_size_of_the_samples(photos, wrap, workers):
    mixed = MixedDataset(wrap(photos()), source(12), ratio=0.3)
    mixed.transform = RESIZE
    assert first_batch(mixed, num_workers=workers)[0].shape == (len(mixed), 3, 16, 16)


def test_a_transform_that_is_assigned_to_the_inner_set_is_used_as_well(photos):
    inner = photos()
    mixed = MixedDataset(inner, source(12), ratio=0.3)
    inner.transform = RESIZE
    assert first_batch(mixed)[0].shape == (len(mixed), 3, 16, 16)


def test_a_wrapper_may_transform_the_items(photos):
    class Transformed(torch.utils.data.Dataset):
        def __init__(self, inner):
            self.inner = inner

        def __len__(self):
            return len(self.inner)

        def __getitem__(self, index):
            image, label = self.inner[index]
            return RESIZE(image), label

    mixed = Transformed(MixedDataset(photos(), source(12), ratio=0.3))
    assert first_batch(mixed)[0].shape == (len(mixed), 3, 16, 16)


@pytest.mark.parametrize("workers", [0, 1])
def test_without_a_transform_the_first_batch_is_an_error(photos, workers):
    mixed = MixedDataset(photos(), source(12), ratio=0.3)
    assert mixed[0][0].size == (24, 24)
    assert mixed[-1][0].size == (12, 12)
    with pytest.raises(InputError, match=r"PIL RGB 24x24, but generated images come out as PIL RGB 12x12"):
        first_batch(mixed, collate_fn=list, num_workers=workers)


def test_the_comparison_leaves_random_numbers_as_they_were(photos):
    inner = photos()
    mixed = MixedDataset(inner, source(12), ratio=0.3)
    inner.transform = v2.Compose([RESIZE, v2.GaussianNoise()])
    torch.manual_seed(0)
    one = first_batch(mixed)[0]
    torch.manual_seed(0)
    assert torch.equal(one, first_batch(mixed)[0])


def test_assigning_a_transform_after_which_sizes_differ_is_an_error_and_is_undone(photos):
    mixed = MixedDataset(photos(30, 24), source(12), ratio=0.3)
    with pytest.raises(InputError, match="tensor float32 3x16x20"):
        mixed.transform = v2.Compose([v2.Resize(16), TO])
    assert mixed.transform is None
    with pytest.raises(InputError, match="24x30"):
        first_batch(mixed, collate_fn=list)
    with pytest.raises(InputError, match="3x24x24"):
        MixedDataset(photos(transform=TO), source(12), ratio=0.3)


@pytest.mark.parametrize("transform", [RESIZE, v2.Compose([v2.RandomResizedCrop(64), TO])])
def test_gray_digits_among_color_photos_get_a_warning(photos, transform):
    with pytest.warns(BlendWarning) as raised:
        MixedDataset(photos(64, 64, transform=transform), source(3, channels=1), ratio=0.3)
    size = transform.transforms[0].size[0]
    assert [str(warning.message).split(":")[0] for warning in raised] == [
        "generated images have 1 channel (gray) and come out with 3 channels (color), while the real ones have 3 "
        "channels (color)",
        f"generated images of 3x3 pixels are enlarged {size / 3:.3g}-fold, to {size}x{size}, beside real ones of about "
        "64 pixels",
    ]
    assert {warning.filename for warning in raised} == {__file__}


def test_warnings_are_issued_once_and_where_the_transform_is_assigned(photos):
    mixed = MixedDataset(photos(64, 64), source(8), ratio=0.3)
    with pytest.warns(BlendWarning, match=r"8x8 pixels are enlarged 4-fold, to 32x32") as raised:
        mixed.transform = v2.Compose([v2.Resize((32, 32)), TO])
    assert {warning.filename for warning in raised} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixed.transform = v2.Compose([v2.Resize((48, 48)), TO])
        first_batch(mixed)


@pytest.mark.parametrize(
    ("real", "generated", "out", "channels"),
    [
        (64, 32, 224, 3),  # real photos are enlarged as well
        (32, 32, 224, 3),
        (128, 16, 16, 3),  # real photos are scaled down to what the generator makes
        (64, 17, 224, 3),
    ],
)
def test_no_warning_if_both_show_about_as_much(photos, real, generated, out, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform = v2.Compose([v2.Resize((out, out)), TO])
        first_batch(MixedDataset(photos(real, real, transform=transform), source(generated, channels), ratio=0.3))


def test_no_warning_if_channels_are_unchanged(photos):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MixedDataset(
            photos(mode="L", transform=TO), source(24, channels=1), ratio=0.3
        )  # ImageFolder opens gray files as RGB
        gray = v2.Compose([v2.Grayscale(), TO])
        MixedDataset(photos(transform=gray), source(24, channels=1), ratio=0.3)
        MixedDataset(FakeReal([0, 1] * 5, (1, 6, 6), "uint8"), FakeSource(2), ratio=0.3)


def test_generative_augment_sees_images_after_their_transform_only(photos):
    augment = GenerativeAugment(source(16), ratio=0.5)
    loader = DataLoader(photos(transform=RESIZE), 12, collate_fn=augment.collate)
    assert next(iter(loader))[0].shape == (12, 3, 16, 16)
    with pytest.raises(InputError, match=r"\(3, 24, 24\).*\(3, 16, 16\)"):
        augment(default_collate([(TO(image), label) for image, label in photos()]))
