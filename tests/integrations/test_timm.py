"""timm's loaders take a MixedDataset, or a GenerativeAugment as their collate function, as they are."""

import pytest
import torch
from helpers.fakes import MARK, FakeReal, FakeSource
from helpers.tiny_files import write_jpegs

from genaug import GenerativeAugment, MixedDataset, SamplePool

timm_data = pytest.importorskip("timm.data")

LABELS = [0, 1, 2, 3] * 6
SIZE = (3, 16, 16)
MEAN, STD = (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
# Nothing random and no resampling: what comes out shows which images went in.
STILL = {"no_aug": True, "mean": MEAN, "std": STD, "persistent_workers": False, "device": torch.device("cpu")}


def load(dataset, batch_size=8, workers=0, **options):
    return timm_data.create_loader(dataset, SIZE, batch_size, is_training=True, num_workers=workers, **STILL, **options)


def pixels(images):
    """Normalized floats back to bytes."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((images * std + mean) * 255).round().to(torch.uint8)


def check(loader, generated):
    """Each image has its label, and ``generated`` of them are generated."""
    batches = list(loader)
    images, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    assert images.shape[1:] == SIZE
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert torch.equal(pixels(images)[:, 0, 0, 1], labels.to(torch.uint8))
    assert int((pixels(images)[:, 0, 0, 0] == MARK).sum()) == generated
    return batches


@pytest.fixture
def mixed():
    return MixedDataset(FakeReal(LABELS, SIZE), FakeSource(shape=SIZE), ratio=0.25)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("prefetcher", [True, False])
def test_create_loader_blends(mixed, prefetcher, workers):
    check(load(mixed, use_prefetcher=prefetcher, workers=workers), generated=8)


@pytest.mark.parametrize("prefetcher", [True, False])
def test_mixup_after_the_loader(mixed, prefetcher):
    mixup = timm_data.Mixup(cutmix_alpha=1.0, num_classes=4)
    for images, labels in load(mixed, use_prefetcher=prefetcher):
        mixed_images, soft = mixup(images, labels)
        assert mixed_images.shape == (8, *SIZE)
        assert torch.allclose(soft.sum(1), torch.ones(8))


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_mixup_while_collating(mixed, mode):
    before = [mixed.pool.image(slot).copy() for slot in range(len(mixed.pool))]
    collate = timm_data.FastCollateMixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=4, mode=mode)
    batches = list(load(mixed, collate_fn=collate, use_prefetcher=True))
    assert [labels.shape for _, labels in batches] == [(8, 4)] * 4
    assert all((mixed.pool.image(slot) == image).all() for slot, image in enumerate(before))


@pytest.mark.parametrize("workers", [0, 2])
def test_collate_on_bytes_under_the_prefetcher(workers):
    augment = GenerativeAugment(SamplePool(FakeSource(shape=SIZE), size=40), ratio=0.25)
    real = FakeReal(LABELS, SIZE)
    batches = check(load(real, collate_fn=augment.collate, use_prefetcher=True, workers=workers), generated=6)
    assert all(int((pixels(images)[:, 0, 0, 0] == MARK).sum()) == 2 for images, _ in batches)


def test_collate_on_normalized_floats_without_the_prefetcher():
    augment = GenerativeAugment(FakeSource(shape=SIZE), ratio=0.25, normalize=(MEAN, STD))
    check(load(FakeReal(LABELS, SIZE), collate_fn=augment.collate, use_prefetcher=False), generated=6)


def test_augmentation_splits(mixed):
    splits = timm_data.AugMixDataset(mixed, num_splits=2)
    loader = timm_data.create_loader(
        splits, SIZE, 8, is_training=True, num_aug_splits=2, num_workers=0, persistent_workers=False,
        device=torch.device("cpu"),
    )  # fmt: skip
    images, labels = next(iter(loader))
    assert images.shape == (16, *SIZE)
    assert torch.equal(labels[:8], labels[8:])


def test_timms_own_folder_dataset(tmp_path):
    write_jpegs(tmp_path)
    photos = timm_data.create_dataset("", root=str(tmp_path))
    mixed = MixedDataset(photos, FakeSource(2, (3, 8, 8)), ratio=0.5)
    assert len(mixed) == 24
    assert mixed.targets.bincount().tolist() == [12, 12]
    images, labels = next(iter(load(mixed, 24)))
    assert images.shape == (24, *SIZE)
    assert labels.bincount().tolist() == [12, 12]
