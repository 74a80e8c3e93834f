"""A stream of real and generated samples: exact shares, equal forms, and a part for every process and worker."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchvision.transforms import v2

from genaug import MixedStream, SamplePool
from genaug.backends.spec import Classes
from genaug.errors import BlendWarning, InputError
from tests.helpers.fakes import MARK, FakeReal, FakeSource, UnlabelledSource, is_fake, label_in, pixels_of

TO_FLOAT = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


class Stream(IterableDataset):
    """The items of ``FakeReal``, one after the other."""

    def __init__(self, labels, item=lambda item: item, **look):
        self.data, self.item, self.epochs = FakeReal(labels, **look), item, []

    def __iter__(self):
        return map(self.item, map(self.data.__getitem__, range(len(self.data))))

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


def mixed(real=None, ratio=0.25, source=None, **options):
    real = Stream([0, 1, 2, 3] * 50, kind="uint8") if real is None else real
    return MixedStream(real, source or FakeSource(), ratio=ratio, **{"pool_size": 40, **options})


def fakes(stream):
    return [(image, label) for image, label in stream if is_fake(pixels_of(image))]


@given(
    ratio=st.fractions(0, 1, max_denominator=100).filter(lambda ratio: ratio < 1),
    batch=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_any_batch_of_consecutive_items_has_the_exact_share(ratio, batch, seed):
    flags = [is_fake(image) for image, _ in mixed(ratio=ratio, seed=seed)]
    assert not flags[0]
    assert flags.count(False) == 200
    for start in range(0, len(flags) - batch + 1, batch):
        assert abs(sum(flags[start : start + batch]) - ratio * batch) < 1


@pytest.mark.parametrize("workers", [0, 2])
def test_every_batch_of_a_loader_has_the_exact_share_and_every_real_item_comes_once(workers):
    stream = mixed(ratio=0.3, shard=True)
    seen = []
    for images, _ in DataLoader(stream, batch_size=20, num_workers=workers):
        flags = [is_fake(image) for image in images]
        if len(flags) == 20:
            assert sum(flags) == 6
        seen += [int(image[0, 0, 2]) for image, flag in zip(images, flags, strict=True) if not flag]
    assert sorted(seen) == list(range(200))


def numbered_pool(count):
    """A pool of images that all differ."""
    images = torch.zeros(count, 1, 6, 6, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0], images[:, 0, 1, 1] = (
        MARK,
        torch.arange(count) % 256,
        torch.arange(count) // 256,
    )
    return SamplePool.from_dataset(TensorDataset(images, torch.arange(count) % 4))


def test_no_two_workers_use_the_same_generated_sample():
    loader = DataLoader(mixed(ratio=0.5, shard=True, source=numbered_pool(800)), batch_size=10, num_workers=2)
    used = Counter(image.numpy().tobytes() for images, _ in loader for image in images if is_fake(image))
    assert sum(used.values()) >= 195
    assert max(used.values()) == 1


def test_no_sample_is_repeated_before_all_of_its_class_were_used():
    used = Counter(image.numpy().tobytes() for image, _ in fakes(mixed(ratio=0.5, source=numbered_pool(40))))
    assert len(used) == 40
    used = Counter(
        image.numpy().tobytes() for image, _ in fakes(mixed(ratio=0.5, source=numbered_pool(40), balance="uniform"))
    )
    assert max(used.values()) - min(used.values()) <= 1


def test_processes_take_different_parts(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    parts = []
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        stream = mixed(ratio=0.5, shard=True, source=numbered_pool(800))
        parts.append({image.numpy().tobytes() for image, _ in stream})
    assert not parts[0] & parts[1]
    assert sum(map(len, parts)) >= 398


def test_labels_are_as_frequent_as_the_real_ones_or_uniform():
    real = Stream([0] * 10 + [0, 0, 0, 1] * 400, kind="uint8")
    items = fakes(mixed(real, ratio=0.5))
    assert all(label_in(image) == label for image, label in items)
    counts = Counter(label for _, label in items)
    assert set(counts) == {0, 1}
    assert counts[1] / len(items) == pytest.approx(0.25, abs=0.04)
    counts = Counter(label for _, label in fakes(mixed(real, ratio=0.5, balance="uniform")))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_classes_are_matched_by_name():
    source = FakeSource(classes=Classes(count=3, names=("cat", "dog", "owl")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = mixed(Stream([0, 1] * 40, kind="uint8"), source=source, classes=["owl", "cat"])
    assert {(label, label_in(image)) for image, label in fakes(stream)} == {(0, 2), (1, 0)}
    with pytest.warns(BlendWarning, match="no class names"):
        mixed(source=source)
    with pytest.raises(InputError, match="doesn't know the real set's class 0 \\('fox'\\)"):
        mixed(source=source, classes=["fox"])


@pytest.mark.parametrize("kind", ["pil", "uint8", "tv", "array", torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 6, 6)])
def test_generated_images_have_the_form_of_real_ones(kind, shape):
    items = list(mixed(Stream([0, 1] * 10, kind=kind, shape=shape), ratio=0.5))
    assert any(is_fake(pixels_of(image)) for image, _ in items)
    assert {pixels_of(image).shape for image, _ in items} == {shape}
    forms = {(type(image), image.mode if isinstance(image, Image.Image) else image.dtype) for image, _ in items}
    assert len(forms) == 1


@pytest.mark.parametrize("label_type", [int, np.int64, torch.tensor, np.array])
def test_labels_have_the_type_of_the_real_ones(label_type):
    stream = mixed(Stream([0, 1] * 10, kind="uint8", label_type=label_type), ratio=0.5)
    assert len({(type(label), getattr(label, "dtype", None)) for _, label in stream}) == 1
    next(iter(DataLoader(stream, batch_size=8)))


@pytest.mark.parametrize(
    ("item", "options"),
    [
        (lambda item: {"image": item[0], "label": item[1], "path": "x"}, {}),
        (lambda item: {"__key__": "x", "png": item[0], "cls": item[1]}, {"keys": ("png", "cls")}),
        (lambda item: (*item, {"path": "x"}), {}),
        (list, {}),
    ],
)
def test_items_of_other_libraries_become_pairs(item, options):
    stream = mixed(Stream([0, 1, 2, 3] * 5, item=item, kind="pil"), ratio=0.5, transform=TO_FLOAT, **options)
    images, labels = next(iter(DataLoader(stream, batch_size=10)))
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


def test_the_transform_is_applied_to_both():
    values = {float(image.max()) for image, _ in mixed(transform=lambda image: image.float() * 0 + 3, ratio=0.5)}
    assert values == {3.0}


def test_epochs_differ_and_repeat_exactly():
    stream = mixed(ratio=0.5)

    def read():
        return [(image.numpy().tobytes(), int(label)) for image, label in stream]

    first, again = read(), read()
    stream.set_epoch(1)
    second = read()
    stream.set_epoch(0)
    assert first == again == read()
    assert first != second
    assert stream.real.epochs == [1, 0]


def test_persistent_workers_follow_the_epoch():
    stream = mixed(ratio=0.5, shard=True)
    loader = DataLoader(stream, batch_size=20, num_workers=2, persistent_workers=True)

    def read():
        return {image.numpy().tobytes() for images, _ in loader for image in images if is_fake(image)}

    first = read()
    stream.set_epoch(1)
    assert not first & read()
    stream.set_epoch(0)
    assert first == read()


def test_a_pool_belongs_to_the_user_and_is_not_refilled():
    pool = SamplePool(FakeSource(), size=40)
    stream = mixed(source=pool)
    before = pool.images
    stream.set_epoch(3)
    assert torch.equal(before, pool.images)
    assert stream.pool is pool
    with pytest.raises(InputError, match="SamplePool has no sample of class 2, and some are needed"):
        mixed(source=SamplePool(FakeSource(), size=10, labels={0: 1, 1: 1}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1}, "ratio must be less than 1"),
        ({"ratio": -0.1}, "ratio must be a number from 0 to 1"),
        ({"balance": "equal"}, "balance must be"),
        ({"refresh": "never"}, "refresh must be"),
        ({"keys": "ab"}, "keys must be two keys"),
        ({"classes": []}, "classes must be the names"),
        ({"classes": [1, 2]}, "classes must be the names"),
        ({"transform": 3}, "transform must be callable"),
        ({"max_pool_bytes": 1.5}, "max_pool_bytes"),
        ({"pool_size": 3}, "pool_size"),
        ({"max_pool_bytes": 100}, "has room for 2 generated images of 36 bytes; 4 classes need"),
        ({"real": FakeReal([0, 1])}, r"blend it with genaug\.MixedDataset"),
        ({"real": 3}, "must be iterable"),
        ({"real": iter([1, 2])}, "can be read only once"),
        ({"source": UnlabelledSource()}, "the source has no labels"),
        ({"source": "digits"}, "got the string 'digits'"),
    ],
)
def test_arguments_that_cannot_be_used(options, message):
    with pytest.raises(InputError, match=message):
        mixed(**options)


@pytest.mark.parametrize(
    ("real", "message"),
    [
        (Stream([0, 1], kind="uint8", label_type=float), "labels must be integers, and the real stream has 0.0"),
        (Stream([0, 9], kind="uint8"), "the real stream has class 9, the source 4 classes"),
        (Stream([0, 1], item=lambda item: item[0]), "must be \\(image, label\\) or a mapping"),
        (Stream([0, 1], item=lambda item: {"jpg": item[0]}), "has no 'image', only 'jpg'. Pass its keys="),
        (Stream([0, 1], item=lambda item: (b"bytes", item[1])), "got bytes. Decode them"),
        (Stream([0, 1], kind=torch.float32, item=lambda item: (item[0] * 4 - 2, item[1])), "pass transform="),
        (Stream([0, 1] * 8, kind="uint8", shape=(1, 8, 8)), "Pass transform="),
    ],
)
def test_items_that_cannot_be_used(real, message):
    with pytest.raises(InputError, match=message):
        list(mixed(real, ratio=0.5))
