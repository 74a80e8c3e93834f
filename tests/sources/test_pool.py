import copy
import errno
import os
import pickle
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from helpers.fakes import FailingSource, FakeSource, UnlabelledSource, label_in
from hypothesis import given, strategies as st
from PIL import Image
from torch.utils.data import TensorDataset
from torchvision.datasets import ImageFolder

import genaug.sources.shared as shared
from genaug import MixedDataset, SamplePool
from genaug.data.datasets import load_data
from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.sources.drawing import draw_without_repeats
from genaug.sources.source import Source, check_supply, distinct_labels


def contents(pool):
    return torch.stack([torch.from_numpy(pool.image(slot)) for slot in range(len(pool))])


def test_is_a_source_and_knows_its_bytes():
    pool = SamplePool(FakeSource(), size=10)
    assert isinstance(pool, Source)
    assert pool.nbytes == 10 * 36
    assert pool.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    assert [label_in(image) for image in contents(pool)] == pool.labels.tolist()
    assert "10 of 1x6x6" in repr(pool)


@pytest.mark.parametrize("shares", [[0, 3, 1, 0], {1: 3, 2: 1}, {"b": 0.75, "c": 0.25}, torch.tensor([0, 3, 1, 0])])
def test_class_shares(shares):
    pool = SamplePool(FakeSource(classes=("a", "b", "c", "d")), size=8, labels=shares)
    assert pool.counts.tolist() == [0, 6, 2, 0]


@pytest.mark.parametrize("shares", [[1, 1], [0, 0, 0, 0], [1, -1, 1, 1], [1, float("nan"), 1, 1], {7: 1}, {"cat": 1}])
def test_invalid_shares(shares):
    with pytest.raises(InputError, match="labels="):
        SamplePool(FakeSource(), size=8, labels=shares)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_invalid_sizes(size):
    with pytest.raises(InputError, match="size"):
        SamplePool(FakeSource(), size=size)


def test_sampling_is_by_label_and_independent_of_the_number():
    pool = SamplePool(FakeSource(), size=40)
    images, labels = pool.sample(labels=torch.tensor([3, 1, 1, 0]), seed=5)
    assert labels.tolist() == [3, 1, 1, 0] == [label_in(image) for image in images]
    longer, _ = pool.sample(labels=torch.tensor([3, 1, 1, 0, 2, 2]), seed=5)
    assert torch.equal(longer[:4], images)
    few, many = pool.sample(7, seed=9), pool.sample(50, seed=9)
    assert torch.equal(few[0], many[0][:7])
    assert torch.equal(few[1], many[1][:7])
    assert set(many[1].tolist()) == {0, 1, 2, 3}
    assert not torch.equal(pool.sample(7, seed=10)[0], few[0])
    assert (few[0].dtype, few[1].dtype) == (torch.uint8, torch.int64)


def test_no_image_is_repeated_before_all_of_its_class_are_drawn():
    pool = SamplePool(FakeSource(), size=40, labels=[1, 2, 7, 30])
    for seed in range(20):
        images, _ = pool.sample(labels=pool.labels.flip(0), seed=seed)
        assert len({bytes(image) for image in images.numpy()}) == 40
    twice, _ = pool.sample(labels=torch.full((15,), 2), seed=0)
    assert sorted(Counter(bytes(image) for image in twice.numpy()).values()) == [2] * 6 + [3]


@given(
    st.lists(st.integers(0, 5), max_size=60), st.lists(st.integers(1, 30), min_size=6, max_size=6), st.integers(0, 99)
)
def test_draws_without_repeats(labels, counts, seed):
    labels, counts = np.array(labels, dtype=np.int64), np.array(counts)
    uniform = np.random.default_rng(seed).random(len(labels))
    indices = draw_without_repeats(labels, counts, uniform)
    assert ((indices >= 0) & (indices < counts[labels])).all()
    for label in np.unique(labels):
        times = np.bincount(indices[labels == label], minlength=counts[label])
        assert times.max() - times.min() <= 1
    assert np.array_equal(draw_without_repeats(labels[:7], counts, uniform[:7]), indices[:7])


def test_all_orders_are_equally_frequent():
    rng, twice = np.random.default_rng(0), np.zeros(6, dtype=np.int64)
    orders = Counter()
    for _ in range(6000):
        indices = draw_without_repeats(twice, np.array([3]), rng.random(6)).tolist()
        orders[tuple(indices[:3]), tuple(indices[3:])] += 1
    assert len(orders) == 36
    assert all(abs(times - 6000 / 36) < 5 * 13 for times in orders.values())


def test_seed_none_draws_from_torchs_rng():
    pool = SamplePool(FakeSource(), size=40)
    torch.manual_seed(1)
    one, two = pool.sample(9)[0], pool.sample(9)[0]
    torch.manual_seed(1)
    assert torch.equal(pool.sample(9)[0], one)
    assert not torch.equal(one, two)


def test_labels_that_are_not_in_the_pool_are_rejected():
    pool = SamplePool(FakeSource(), size=8, labels=[1, 1, 0, 0])
    for label in (2, 4):
        with pytest.raises(InputError, match=f"no sample of class {label}"):
            pool.sample(labels=torch.tensor([0, label]))
    for arguments in ({}, {"n": 1, "labels": torch.tensor([0])}, {"n": -1}):
        with pytest.raises(InputError):
            pool.sample(**arguments)


def test_unlabelled_source():
    pool = SamplePool(UnlabelledSource(), size=6)
    images, labels = pool.sample(4, seed=0)
    assert images.shape == (4, 1, 6, 6)
    assert labels is None
    assert pool.labels is None
    with pytest.raises(InputError, match="no labels"):
        pool.sample(labels=torch.tensor([0]))
    with pytest.raises(InputError, match="no labels"):
        SamplePool(UnlabelledSource(), size=6, labels=[1.0])


def test_refill_is_deterministic_and_in_place():
    pool = SamplePool(FakeSource(), size=12)
    at_first, other = contents(pool), pickle.loads(pickle.dumps(pool))
    pool.refill(1)
    refilled = contents(pool)
    assert not torch.equal(at_first, refilled)
    pool.refill(2)
    pool.refill(1)
    assert torch.equal(contents(pool), refilled)
    assert torch.equal(contents(other), at_first)
    assert pool.seed == 1


def test_filled_in_batches(monkeypatch):
    monkeypatch.setattr("genaug.sources.pool._BATCH", 5)
    source = FakeSource()
    pool = SamplePool(source, size=12)
    assert source.calls == 3
    assert len({bytes(image) for image in contents(pool).numpy()}) == 12


def test_after_a_failure_of_the_source_the_pool_cannot_be_read(monkeypatch):
    with pytest.raises(InputError, match="failed in batch 1 of 1 of a pool: the network exploded"):
        SamplePool(FailingSource(), size=8)
    monkeypatch.setattr("genaug.sources.pool._BATCH", 4)
    source = FailingSource(3)
    pool = SamplePool(source, size=8)
    with pytest.raises(InputError, match="failed in batch 2 of 2 "):
        pool.refill(1)
    for read in (lambda: pool.image(0), lambda: pool.sample(1)):
        with pytest.raises(InputError, match="incomplete"):
            read()
    source.calls_before_failing = 100
    pool.refill(1)
    assert pool.image(7).shape == (1, 6, 6)


def test_a_source_whose_samples_do_not_fit_its_spec_is_rejected():
    source = FakeSource()
    source.sample = lambda n=None, *, labels=None, seed=None: (torch.zeros(len(labels), 3, 6, 6), labels)
    with pytest.raises(InputError, match=r"torch.float32 of shape"):
        SamplePool(source, size=8)


@pytest.mark.parametrize("source", [None, "owner/name", torch.nn.Linear(1, 1)])
def test_an_object_that_is_not_a_source(source):
    with pytest.raises(InputError, match="spec and sample"):
        SamplePool(source, size=8)


def test_copies_have_no_source_and_cannot_be_refilled():
    pool = SamplePool(FakeSource(), size=8)
    for clone in (pickle.loads(pickle.dumps(pool)), copy.deepcopy(pool)):
        assert torch.equal(contents(clone), contents(pool))
        with pytest.raises(InputError, match="main process"):
            clone.refill(3)


def test_images_are_copies():
    pool = SamplePool(FakeSource(), size=8)
    before = contents(pool)
    pool.image(0)[:] = 0
    pool.sample(labels=torch.tensor([0, 1]))[0][:] = 0
    assert torch.equal(contents(pool), before)


def test_file(tmp_path):
    path = tmp_path / "pool.bin"
    pool = SamplePool(FakeSource(), size=12, path=path)
    assert torch.equal(contents(pool), contents(SamplePool(FakeSource(), size=12)))
    assert path.stat().st_size == pool.nbytes
    assert os.listdir(tmp_path) == ["pool.bin"]
    clone = pickle.loads(pickle.dumps(pool))
    pool.refill(4)
    assert torch.equal(contents(clone), contents(pool))  # the same file
    assert len(pickle.dumps(pool)) < 3000
    with pytest.raises(OutputExistsError, match="exists already"):
        SamplePool(FakeSource(), size=12, path=path)
    with pytest.raises(OutputExistsError, match="exists already"):
        SamplePool.from_dataset(None, path=path)  # before anything is read


def test_no_file_is_left_behind_by_a_failure(tmp_path):
    with pytest.raises(InputError, match="exploded"):
        SamplePool(FailingSource(), size=8, path=tmp_path / "pool.bin")
    with pytest.raises(SaveError, match="missing"):
        SamplePool(FakeSource(), size=8, path=tmp_path / "missing" / "pool.bin")
    assert os.listdir(tmp_path) == []


def test_files_of_a_killed_process_are_removed_by_the_next_pool(tmp_path):
    if (child := os.fork()) == 0:
        shared.FileArray((1000,), tmp_path / "pool.bin", torch.uint8)
        os._exit(9)
    os.waitpid(child, 0)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [1000]
    (tmp_path / ".rsync.part").write_text("mine")
    SamplePool(FakeSource(), size=12, path=tmp_path / "other.bin")
    assert sorted(os.listdir(tmp_path)) == [".rsync.part", "other.bin"]


def test_full_disk(tmp_path, monkeypatch):
    def full(file, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SaveError, match="No space left"):
        SamplePool(FakeSource(), size=8, path=tmp_path / "pool.bin")
    assert os.listdir(tmp_path) == []


def test_too_little_shared_memory(monkeypatch):
    monkeypatch.setattr(shared, "free_bytes", lambda folder: 100)
    source = FakeSource()
    with pytest.raises(InputError, match="288 bytes of shared memory"):
        SamplePool(source, size=8)
    assert source.calls == 0


def test_device():
    source = FakeSource()
    with pytest.raises(InputError, match="can't"):
        SamplePool(source, size=8, device="cpu")
    visited = []
    source.device, source.to = "home", visited.append
    SamplePool(source, size=8, device="away")
    assert visited == ["away", "home"]


def test_exact_counts():
    pool = SamplePool.with_counts(FakeSource(), [0, 2, 0, 1], seed=3)
    assert [label_in(image) for image in contents(pool)] == [1, 1, 3]
    assert np.array_equal(pool.counts, [0, 2, 0, 1])
    with pytest.raises(InputError):
        SamplePool.with_counts(FakeSource(), [0, 0, 0, 0])


def class_folders(tmp_path, counts=(2, 1, 3)):
    """Class folders of gray images whose value encodes their class and number."""
    for label, count in enumerate(counts):
        (tmp_path / "abcd"[label]).mkdir(parents=True)
        for number in range(count):
            image = Image.new("L", (6, 6), 10 * label + number)
            image.save(tmp_path / "abcd"[label] / f"{number}.png")
    return tmp_path


def test_a_pool_of_existing_images(tmp_path):
    pool = SamplePool.from_dataset(load_data(f"folder:{class_folders(tmp_path)}"))
    assert isinstance(pool, Source)
    assert (pool.spec.shape, pool.spec.class_names) == ((1, 6, 6), ("a", "b", "c"))
    assert contents(pool)[:, 0, 0, 0].tolist() == [0, 1, 10, 20, 21, 22]
    images, labels = pool.sample(labels=torch.tensor([2, 0, 2]), seed=1)
    assert (images[:, 0, 0, 0] // 10).tolist() == [2, 0, 2] == labels.tolist()
    with pytest.raises(InputError, match="has none"):
        pool.refill(1)
    assert torch.equal(contents(pickle.loads(pickle.dumps(pool))), contents(pool))


def test_existing_images_are_blended_by_the_names_of_their_folders(tmp_path):
    generated = SamplePool.from_dataset(load_data(f"folder:{class_folders(tmp_path / 'generated', (1, 4, 4))}"))
    real = class_folders(tmp_path / "real", (1, 2, 2))
    shutil.rmtree(real / "a")
    real = load_data(f"folder:{real}")
    mixed = MixedDataset(real, generated, ratio=0.5)
    assert len(mixed) == 8
    assert [mixed[i][0].getpixel((0, 0)) // 10 for i in range(4, 8)] == [1, 1, 2, 2]
    assert [real.classes[mixed[i][1]] for i in range(4, 8)] == ["b", "b", "c", "c"]
    before = [mixed[i][0].tobytes() for i in range(4, 8)]
    orders = set()
    for epoch in range(8):
        mixed.set_epoch(epoch)
        orders.add(tuple(mixed[i][0].tobytes() for i in range(4, 8)))
    assert len(orders) > 1
    assert tuple(before) in orders


def test_datasets_out_of_order_and_without_names_or_labels(tmp_path):
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 2, 2)
    pool = SamplePool.from_dataset(TensorDataset(images, torch.tensor([2, 0, 2, 0, 2])), path=tmp_path / "pool.bin")
    assert pool.counts.tolist() == [2, 0, 3]
    assert contents(pool)[:, 0, 0, 0].tolist() == [1, 3, 0, 2, 4]
    assert os.listdir(tmp_path) == ["pool.bin"]
    plain = SamplePool.from_dataset(list(images))
    assert (plain.labels, len(plain), plain.sample(2, seed=0)[1]) == (None, 5, None)


def test_existing_images_of_several_sizes(tmp_path):
    class_folders(tmp_path)
    Image.new("L", (9, 6)).save(tmp_path / "a" / "wide.png")
    with pytest.raises(InputError, match="image_size="):
        SamplePool.from_dataset(ImageFolder(tmp_path), path=tmp_path / "pool.bin")
    assert not (tmp_path / "pool.bin").exists()
    assert SamplePool.from_dataset(ImageFolder(tmp_path), image_size=4).spec.shape == (3, 4, 4)


def test_a_pool_of_a_pool_repeats_no_image(tmp_path, monkeypatch):
    monkeypatch.setattr("genaug.sources.pool._BATCH", 5)
    pool = SamplePool(FakeSource(), size=40)
    copy = SamplePool(pool, size=40)
    assert len({bytes(image) for image in contents(copy).numpy()}) == 40
    assert sorted(map(bytes, copy.images.numpy())) == sorted(map(bytes, contents(pool).numpy()))


def test_the_supply_of_a_pool():
    pool = SamplePool(FakeSource(classes=("a", "b", "c", "d")), size=6, labels=[1, 2, 3, 0])
    assert pool.supply == [1, 2, 3, 0]
    check_supply(pool, [0, 2])
    with pytest.raises(InputError, match=r"no sample of class 3 \('d'\)"):
        check_supply(pool, [1, 3])
    labels, same = torch.tensor([2, 0, 2, 1, 0, 2]), torch.arange(4)
    assert distinct_labels(pool, labels, same).tolist() == [0, 1, 2, 2]
    assert distinct_labels(pool, labels[3:4], same).tolist() == [1]
    assert distinct_labels(pool, labels - labels, torch.tensor([2])).tolist() == [0] * 3
