import copy
import errno
import os
import pickle

import numpy as np
import pytest
import torch
from fakes import FailingSource, FakeSource, UnlabelledSource, label_in

import genaug.blend.shared as shared
from genaug import SamplePool
from genaug.errors import InputError, OutputExistsError, SaveError
from genaug.spec import Source


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
def test_bad_shares(shares):
    with pytest.raises(InputError, match="labels="):
        SamplePool(FakeSource(), size=8, labels=shares)


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_bad_sizes(size):
    with pytest.raises(InputError, match="size"):
        SamplePool(FakeSource(), size=size)


def test_sampling_is_by_label_and_prefix_stable():
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


def test_seed_none_draws_from_torchs_rng():
    pool = SamplePool(FakeSource(), size=40)
    torch.manual_seed(1)
    one, two = pool.sample(9)[0], pool.sample(9)[0]
    torch.manual_seed(1)
    assert torch.equal(pool.sample(9)[0], one)
    assert not torch.equal(one, two)


def test_labels_the_pool_lacks_are_refused():
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
    anew = contents(pool)
    assert not torch.equal(at_first, anew)
    pool.refill(2)
    pool.refill(1)
    assert torch.equal(contents(pool), anew)
    assert torch.equal(contents(other), at_first)
    assert pool.seed == 1


def test_filled_in_batches(monkeypatch):
    monkeypatch.setattr("genaug.blend.pool._BATCH", 5)
    source = FakeSource()
    pool = SamplePool(source, size=12)
    assert source.calls == 3
    assert len({bytes(image) for image in contents(pool).numpy()}) == 12


def test_a_failing_source_never_leaves_a_pool_that_reads(monkeypatch):
    with pytest.raises(InputError, match="failed after 0 of 8 samples of a pool: the network exploded"):
        SamplePool(FailingSource(), size=8)
    monkeypatch.setattr("genaug.blend.pool._BATCH", 4)
    source = FailingSource(3)
    pool = SamplePool(source, size=8)
    with pytest.raises(InputError, match="failed after 4 of 8 "):
        pool.refill(1)
    for read in (lambda: pool.image(0), lambda: pool.sample(1)):
        with pytest.raises(InputError, match="incomplete"):
            read()
    source.calls_before_failing = 100
    pool.refill(1)
    assert pool.image(7).shape == (1, 6, 6)


def test_a_source_that_breaks_its_spec_is_refused():
    source = FakeSource()
    source.sample = lambda n=None, *, labels=None, seed=None: (torch.zeros(len(labels), 3, 6, 6), labels)
    with pytest.raises(InputError, match=r"torch.float32 of shape"):
        SamplePool(source, size=8)


@pytest.mark.parametrize("source", [None, "owner/name", torch.nn.Linear(1, 1)])
def test_no_source(source):
    with pytest.raises(InputError, match="spec and sample"):
        SamplePool(source, size=8)


def test_copies_have_no_generator_and_own_no_memory():
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


def test_no_file_is_left_behind_by_a_failure(tmp_path):
    with pytest.raises(InputError, match="exploded"):
        SamplePool(FailingSource(), size=8, path=tmp_path / "pool.bin")
    with pytest.raises(SaveError, match="missing"):
        SamplePool(FakeSource(), size=8, path=tmp_path / "missing" / "pool.bin")
    assert os.listdir(tmp_path) == []


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
