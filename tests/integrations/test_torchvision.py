"""torchvision's data sets, from files in their own formats, and torch's samplers and wrappers."""

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, is_fake, label_in, pixels_of
from helpers.tiny_files import CIFAR_CLASSES, write_cifar10, write_fashion_mnist
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    Subset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)
from torchvision import datasets, tv_tensors
from torchvision.transforms import v2

import genaug
from genaug import GenerativeAugment, MixedDataset
from genaug.data.datasets import load_data

LABELS = [0] * 12 + [1] * 6 + [2] * 4 + [3] * 2
FLOATS = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


@pytest.fixture(params=["CIFAR10", "FashionMNIST"])
def named_set(request, tmp_path, monkeypatch):
    """One of the two sets, and a source of its images."""
    if request.param == "CIFAR10":
        write_cifar10(tmp_path, monkeypatch)
        return datasets.CIFAR10(str(tmp_path)), FakeSource(10, (3, 32, 32), tuple(reversed(CIFAR_CLASSES)))
    write_fashion_mnist(tmp_path)
    return datasets.FashionMNIST(str(tmp_path)), FakeSource(10, (1, 28, 28))


def test_named_sets_blend_as_they_are(named_set):
    real, source = named_set
    mixed = MixedDataset(real, source, ratio=0.5)
    assert len(mixed) == 2 * len(real)
    assert mixed.targets.bincount().tolist() == [2 * len(real) // 10] * 10
    assert mixed.classes == real.classes
    image, label = mixed[len(real) + 3]
    assert (image.mode, image.size) == (real[0][0].mode, real[0][0].size)
    source_label = label_in(pixels_of(image))  # classes match by name: CIFAR-10's source has them in the opposite order
    assert source_label == (9 - label if source.spec.class_names else label)
    mixed.transform = FLOATS
    images, labels = next(iter(DataLoader(mixed, len(mixed))))
    assert images.shape == (len(mixed), *source.spec.shape)
    assert torch.equal(labels, mixed.targets)


def test_named_sets_train_a_generator_that_fits_them(named_set, tmp_path):
    real, _ = named_set
    config = {"width": 4, "max_width": 8, "latent_size": 4}
    generator = genaug.fit("cgan", real, out=tmp_path / "run", steps=1, batch_size=4, config=config, progress=False)
    assert generator.spec.class_names == tuple(real.classes)
    assert len(MixedDataset(real, generator, ratio=0.1)) == round(len(real) / 0.9)


def test_load_data_reads_the_same_files(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    write_fashion_mnist(tmp_path)
    assert [len(load_data("torchvision:CIFAR10", root=tmp_path, split=split)) for split in ("train", "test")] == [
        100,
        20,
    ]
    assert len(load_data("torchvision:fashionmnist", root=tmp_path, split="test")) == 20


@pytest.mark.parametrize("soften", [v2.CutMix(num_classes=4), v2.MixUp(num_classes=4)])
@pytest.mark.parametrize("workers", [0, 2])
def test_cutmix_and_mixup_while_collating(soften, workers):
    class Collate:
        def __call__(self, samples):
            return soften(*default_collate(samples))

    mixed = MixedDataset(FakeReal(LABELS, transform=FLOATS), FakeSource(), ratio=0.5)
    loader = DataLoader(mixed, 8, collate_fn=Collate(), num_workers=workers, multiprocessing_context=_fork(workers))
    batches = list(loader)
    assert [labels.shape for _, labels in batches] == [(8, 4)] * 6
    assert all(torch.allclose(labels.sum(1), torch.ones(8)) for _, labels in batches)


def _fork(workers):
    return "fork" if workers else None


def test_generative_augment_comes_before_mixup_in_a_batch_pipeline():
    pipeline = v2.Compose([
        GenerativeAugment(FakeSource(), ratio=0.5), v2.ToDtype(torch.float32, scale=True),
        v2.RandomChoice([v2.MixUp(num_classes=4), v2.CutMix(num_classes=4)]),
    ])  # fmt: skip
    for images, labels in DataLoader(FakeReal(LABELS, transform=v2.PILToTensor()), 8):
        generated, soft = pipeline(images, labels)
        assert (generated.dtype, generated.shape, soft.shape) == (torch.float32, images.shape, (8, 4))


def test_tv_tensors_go_through_v2_transforms():
    v2_pipeline = v2.Compose([v2.RandomHorizontalFlip(1.0), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()])
    mixed = MixedDataset(FakeReal(LABELS, kind="tv", transform=v2_pipeline), FakeSource(), ratio=0.5)
    images, labels = next(iter(DataLoader(mixed, 48)))
    flipped = pixels_of_all(images.flip(3))
    assert [label_in(image) for image in flipped] == labels.tolist()
    assert [is_fake(image) for image in flipped] == [False] * 24 + [True] * 24
    batch = tv_tensors.Image(torch.zeros(4, 1, 6, 6, dtype=torch.uint8)), torch.arange(4)
    assert type(GenerativeAugment(FakeSource(), ratio=1)(*batch)[0]) is tv_tensors.Image


def pixels_of_all(images):
    return [pixels_of(image) for image in images]


def test_mixed_sets_work_inside_subsets_and_concatenations():
    mixed = MixedDataset(FakeReal(LABELS, transform=FLOATS), FakeSource(), ratio=0.5)
    some, rest = random_split(mixed, [30, 18])
    both = ConcatDataset([Subset(mixed, range(20, 30)), FakeReal([3] * 5, transform=FLOATS)])
    for part, length in ((some, 30), (rest, 18), (both, 15)):
        images, labels = next(iter(DataLoader(part, length)))
        assert images.shape == (length, 1, 6, 6)
        assert [label_in(image) for image in pixels_of_all(images)] == labels.tolist()


def test_weighted_sampling_by_the_mixed_targets_balances_the_classes():
    mixed = MixedDataset(FakeReal(LABELS, transform=FLOATS), FakeSource(), ratio=0.5)
    weights = 1 / mixed.targets.bincount()[mixed.targets]
    sampler = WeightedRandomSampler(weights, 1000, generator=torch.Generator().manual_seed(0))
    labels = torch.cat([labels for _, labels in DataLoader(mixed, 500, sampler=sampler)])
    assert (labels.bincount() / 1000 - 0.25).abs().max() < 0.06


@pytest.mark.parametrize("mode", ["expand", "replace"])
def test_distributed_samplers_divide_one_epoch(mode):
    """Each process has a MixedDataset of its own; the same seed and epoch give all of them the same samples."""
    epochs = {}
    for epoch in range(2):
        parts = []
        for rank in range(3):
            mixed = MixedDataset(FakeReal(LABELS, transform=FLOATS), FakeSource(), ratio=0.5, mode=mode, seed=4)
            sampler = DistributedSampler(mixed, num_replicas=3, rank=rank, seed=4)
            mixed.set_epoch(epoch)
            sampler.set_epoch(epoch)
            parts.append(torch.cat([images for images, _ in DataLoader(mixed, 4, sampler=sampler)]))
        complete = torch.stack([mixed[i][0] for i in range(len(mixed))])
        assert sorted(map(bytes, torch.cat(parts).numpy())) == sorted(map(bytes, complete.numpy()))
        epochs[epoch] = complete
    assert not torch.equal(epochs[0], epochs[1])
