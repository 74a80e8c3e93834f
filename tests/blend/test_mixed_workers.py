"""The same samples for any number of workers, forked or spawned, and epochs that reach them."""

import copy
import pickle

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, pixels_of
from hypothesis import given, settings, strategies as st
from torch.utils.data import DataLoader, Dataset

from genaug import MixedDataset, SamplePool
from genaug.errors import InputError

LABELS = [0] * 8 + [1] * 5 + [2] * 4 + [3] * 3


class Unpicklable(FakeSource):
    def __getstate__(self):
        raise AssertionError("the generator was sent to a worker")

    def sample(self, n=None, *, labels=None, seed=None):
        assert torch.utils.data.get_worker_info() is None
        return super().sample(n, labels=labels, seed=seed)


def collate(items):
    return torch.stack([pixels_of(image) for image, _ in items]), torch.tensor([label for _, label in items])


def load(loader):
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


class Together(Dataset):
    """Several sets side by side, so that one pair of spawned workers, which take 20 s to start, reads them all."""

    def __init__(self, parts):
        self.parts = parts

    def __len__(self):
        return min(map(len, self.parts))

    def __getitem__(self, index):
        return [part[index] for part in self.parts]


def collate_together(items):
    images, labels = zip(*(collate(column) for column in zip(*items, strict=True)), strict=True)
    return torch.stack(images, 1), torch.stack(labels, 1)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_persistent_workers_follow_the_epoch(context, tmp_path):
    sources = [
        Unpicklable(),
        SamplePool(Unpicklable(), size=40),
        SamplePool(Unpicklable(), size=40, path=tmp_path / "pool"),
    ]
    parts = [MixedDataset(FakeReal(LABELS), source, ratio=0.4) for source in sources]
    parts.append(MixedDataset(FakeReal(LABELS + LABELS[:13]), Unpicklable(), ratio=0.4, mode="replace"))
    together = Together(parts)
    workers = DataLoader(
        together,
        4,
        collate_fn=collate_together,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context=context,
    )
    here = DataLoader(together, 4, collate_fn=collate_together)
    epochs = []
    for epoch in range(3):
        for mixed in parts:
            mixed.set_epoch(epoch)
        images, labels = load(workers)
        expected, expected_labels = load(here)
        assert len(images) == 33
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)
        epochs.append(images)
    for part in range(4):
        assert not torch.equal(epochs[0][:, part], epochs[1][:, part])
        assert not torch.equal(epochs[1][:, part], epochs[2][:, part])


@pytest.mark.parametrize("mode", ["expand", "replace"])
def test_batches_are_the_same_in_workers(mode):
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.4, mode=mode)
    batches = mixed.batch_sampler(4)
    mixed.set_epoch(1)
    forked = DataLoader(mixed, batch_sampler=batches, collate_fn=collate, num_workers=2, multiprocessing_context="fork")
    for one, other in zip(
        load(forked), load(DataLoader(mixed, batch_sampler=batches, collate_fn=collate)), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@settings(max_examples=6)
@given(
    st.integers(0, 3), st.sampled_from(["expand", "replace"]), st.integers(1, 7), st.integers(0, 5), st.floats(0, 0.9)
)
def test_the_number_of_workers_changes_nothing(workers, mode, batch_size, epoch, ratio):
    def read(workers):
        mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=ratio, mode=mode)
        mixed.set_epoch(epoch)
        context = "fork" if workers else None
        batches = mixed.batch_sampler(batch_size)
        loader = DataLoader(
            mixed, batch_sampler=batches, collate_fn=collate, num_workers=workers, multiprocessing_context=context
        )
        return load(loader)

    for one, other in zip(read(workers), read(0), strict=True):
        assert torch.equal(one, other)


def test_pickling_drops_the_generator():
    mixed = MixedDataset(FakeReal(LABELS), Unpicklable(), ratio=0.4)
    copy = pickle.loads(pickle.dumps(mixed))
    assert torch.equal(pixels_of(copy[25][0]), pixels_of(mixed[25][0]))
    with pytest.raises(InputError, match="This one has none"):
        copy.set_epoch(1)


def epochs_in_persistent_workers(mixed):
    loader = DataLoader(mixed, 8, collate_fn=collate, num_workers=1, persistent_workers=True)
    images = []
    for epoch in range(2):
        mixed.set_epoch(epoch)
        images.append(load(loader)[0])
    return images


def through_pickle(mixed):
    return pickle.loads(pickle.dumps(mixed))


@pytest.mark.parametrize("mode", ["expand", "replace"])
@pytest.mark.parametrize(
    ("duplicate", "of_a_pool"),
    [(copy.deepcopy, True), (copy.deepcopy, False), (copy.copy, True), (copy.copy, False), (through_pickle, True)],
)
def test_copies_are_blends_with_their_own_memory(duplicate, of_a_pool, mode):
    source = SamplePool(FakeSource(), size=40) if of_a_pool else FakeSource()
    mixed = MixedDataset(FakeReal(LABELS), source, ratio=0.4, mode=mode)
    expected = epochs_in_persistent_workers(mixed)
    mixed.set_epoch(0)
    twin = duplicate(mixed)
    assert all(torch.equal(one, other) for one, other in zip(epochs_in_persistent_workers(twin), expected, strict=True))
    assert not torch.equal(*expected)
    if duplicate is not copy.copy:
        assert (mixed.epoch, twin.epoch) == (0, 1)
        assert torch.equal(torch.stack([pixels_of(image) for image, _ in mixed]), expected[0][torch.arange(len(mixed))])


class SetsEpoch(Dataset):
    def __init__(self, mixed):
        self.mixed = mixed

    def __len__(self):
        return 1

    def __getitem__(self, index):
        with pytest.raises(InputError, match="main process"):
            self.mixed.set_epoch(3)
        return 1


def test_set_epoch_is_an_error_in_a_worker():
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.4, refresh=None)
    assert list(DataLoader(SetsEpoch(mixed), num_workers=1, multiprocessing_context="fork")) == [torch.tensor([1])]
    assert mixed.epoch == 0
