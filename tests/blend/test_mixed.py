import random
from itertools import chain

import numpy as np
import pytest
import torch
from helpers.fakes import FailingSource, FakeReal, FakeSource, UnlabelledSource, is_fake, label_in, pixels_of
from hypothesis import given, settings, strategies as st
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    IterableDataset,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from genaug import GenerativeAugment, MixedDataset, SamplePool
from genaug.data.reading import read_samples
from genaug.errors import BlendWarning, InputError

LABELS = [0] * 8 + [1] * 5 + [2] * 4 + [3] * 3
labels_lists = st.lists(st.integers(0, 3), min_size=1, max_size=40)


def pixels(dataset):
    return torch.stack([pixels_of(dataset[i][0]) for i in range(len(dataset))])


def counts(mixed):
    return torch.bincount(mixed.targets, minlength=4).tolist()


def named(labels=LABELS, names=("ant", "bee", "cat", "dog"), **options):
    real = FakeReal(labels, **options)
    real.classes = list(names)
    return real


@settings(max_examples=30)
@given(labels_lists, st.floats(0, 0.9), st.sampled_from(["match", "uniform"]), st.integers(0, 3))
def test_expand_keeps_every_real_sample_at_its_index(labels, ratio, balance, epoch):
    real = FakeReal(labels)
    mixed = MixedDataset(real, FakeSource(), ratio=ratio, balance=balance)
    mixed.set_epoch(epoch)
    n = len(labels)
    assert len(mixed) == n + round(n * ratio / (1 - ratio))
    items = [mixed[i] for i in range(len(mixed))]
    for i, (image, label) in enumerate(items):
        content = pixels_of(image)
        assert mixed.is_generated(i) == is_fake(content) == (i >= n)
        assert label_in(content) == label == mixed.targets[i]
        if i < n:
            assert torch.equal(content, real.pixels(i))


@settings(max_examples=30)
@given(labels_lists, st.floats(0, 1), st.sampled_from(["match", "uniform"]), st.integers(0, 3))
def test_replace_keeps_the_length(labels, ratio, balance, epoch):
    real = FakeReal(labels)
    mixed = MixedDataset(real, FakeSource(), ratio=ratio, mode="replace", balance=balance)
    mixed.set_epoch(epoch)
    assert len(mixed) == len(labels)
    fakes = [is_fake(image) for image in pixels(mixed)]
    assert sum(fakes) == round(len(labels) * ratio) == round(mixed.ratio * len(mixed))
    for i, fake in enumerate(fakes):
        image, label = mixed[i]
        assert mixed.is_generated(i) == fake
        assert label == label_in(pixels_of(image)) == mixed.targets[i]
        if balance == "match" or not fake:
            assert label == labels[i]
        if not fake:
            assert torch.equal(pixels_of(image), real.pixels(i))


def test_replace_draws_other_places_in_each_epoch():
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.4, mode="replace", refresh=None)
    masks = []
    for epoch in range(4):
        mixed.set_epoch(epoch)
        masks.append(tuple(mixed.generated_mask().tolist()))
    assert len(set(masks)) == 4
    mixed.set_epoch(0)
    assert tuple(mixed.generated_mask().tolist()) == masks[0]


def test_balance():
    def make(**options):
        return MixedDataset(named(), FakeSource(classes=("dog", "cat", "bee", "ant")), **options)

    assert counts(make(ratio=0.5)) == [16, 10, 8, 6]
    assert counts(make(ratio=0.5, balance="uniform")) == [10, 10, 10, 10]
    assert counts(make(balance={"dog": 5, 0: 1})) == [9, 5, 4, 8]
    replaced = make(balance={"dog": 3, 0: 1}, mode="replace")
    assert counts(replaced) == [8, 5, 4, 3]
    assert torch.bincount(replaced.targets[torch.from_numpy(replaced.generated_mask())]).tolist() == [1, 0, 0, 3]
    assert counts(make(ratio=0.2, mode="replace", balance="uniform")) == [5, 5, 5, 5]


def test_classes_match_by_name():
    source = FakeSource(5, classes=("dog", "cat", "bee", "ant", "eel"))
    mixed = MixedDataset(named(), source, ratio=0.5)
    for i in range(20, 40):
        image, label = mixed[i]
        assert source.spec.class_names[label_in(pixels_of(image))] == mixed.classes[label]
    with pytest.raises(InputError, match=r"'eel'.*ant, bee, cat, eel.*ant, bee, cat, dog"):
        MixedDataset(
            named(names=("ant", "bee", "cat", "eel")), FakeSource(classes=("ant", "bee", "cat", "dog")), ratio=0.5
        )
    with pytest.raises(InputError, match=r"class 3: the real set has classes 0 to 3, the source 3 classes; .* number"):
        MixedDataset(FakeReal(LABELS), FakeSource(3), ratio=0.5)
    MixedDataset(FakeReal([0, 1, 2]), FakeSource(classes=("a", "b", "c", "d")), balance={"d": 2})


def test_numpy_numbers_are_accepted():
    pool = SamplePool(FakeSource(), size=np.int64(20))
    mixed = MixedDataset(FakeReal(LABELS), pool, ratio=np.float32(0.5))
    mixed.set_epoch(np.int64(2))
    assert (mixed.epoch, len(mixed)) == (2, 40)
    assert len(list(mixed.batch_sampler(np.int32(8)))) == 5
    assert GenerativeAugment(FakeSource(), ratio=np.float32(0.5)).ratio == 0.5
    for epoch in (1.0, True, -1):
        with pytest.raises(InputError, match="epoch must be an integer of 0 or more"):
            mixed.set_epoch(epoch)


def test_epochs_differ_and_are_reproducible():
    def make():
        return MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5, seed=3)

    mixed = make()
    first = pixels(mixed)
    mixed.set_epoch(1)
    second = pixels(mixed)
    assert mixed.epoch == 1
    assert torch.equal(first[:20], second[:20])
    assert not torch.equal(first[20:], second[20:])
    same = make()
    same.set_epoch(1)
    assert torch.equal(pixels(same), second)
    mixed.set_epoch(0)
    assert torch.equal(pixels(mixed), first)
    other = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5, seed=4)
    assert not torch.equal(pixels(other), first)


def test_refresh_none_draws_from_the_same_pool():
    source = FakeSource()
    mixed = MixedDataset(FakeReal(LABELS), source, ratio=0.5, refresh=None)
    calls, first = source.calls, pixels(mixed)[20:]
    mixed.set_epoch(1)
    second = pixels(mixed)[20:]
    assert source.calls == calls
    assert not torch.equal(first, second)
    assert {bytes(i.numpy()) for i in first} == {bytes(i.numpy()) for i in second}


def test_the_users_pool_is_not_refilled():
    source = FakeSource()
    pool = SamplePool(source, size=8)
    calls = source.calls
    mixed = MixedDataset(FakeReal(LABELS), pool, ratio=0.5)
    stored = {pool.image(i).tobytes() for i in range(8)}
    for epoch in range(2):
        mixed.set_epoch(epoch)
        assert {bytes(image.numpy()) for image in pixels(mixed)[20:]} <= stored
    assert source.calls == calls
    assert mixed.pool is pool
    with pytest.raises(InputError, match="no sample of class 3"):
        MixedDataset(FakeReal(LABELS), SamplePool(source, size=8, labels=[1, 1, 1, 0]), balance={3: 2})
    with pytest.raises(InputError, match="no sample of class 3, and"):
        MixedDataset(FakeReal(LABELS), SamplePool(source, size=8, labels=[1, 1, 1, 0]), ratio=0.5)


def test_max_pool_bytes():
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.9, max_pool_bytes=36 * 9)
    assert (len(mixed), mixed.pool.nbytes) == (200, 36 * 9)
    assert counts(mixed) == [80, 50, 40, 30]
    assert len({bytes(i.numpy()) for i in pixels(mixed)[20:]}) == 9
    with pytest.raises(InputError, match="max_pool_bytes=100 has room for 2"):
        MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.9, max_pool_bytes=100)


def test_indices():
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5)
    assert torch.equal(pixels_of(mixed[-1][0]), pixels_of(mixed[39][0]))
    assert torch.equal(pixels_of(mixed[torch.tensor(25)][0]), pixels_of(mixed[np.int64(25)][0]))
    for index in (40, -41):
        with pytest.raises(IndexError):
            mixed[index]
        with pytest.raises(IndexError):
            mixed.is_generated(index)
    assert len(list(mixed)) == 40  # iteration ends by IndexError


class Batched(FakeReal):
    indices = None

    def __getitems__(self, indices):
        self.indices = list(indices)
        return [self[i] for i in indices]


@pytest.mark.parametrize("mode", ["expand", "replace"])
@pytest.mark.parametrize("wrap", [lambda real: real, lambda real: Subset(real, range(19, -1, -1))])
def test_getitems_returns_complete_batches_in_order(mode, wrap):
    real = Batched(LABELS)
    mixed = MixedDataset(wrap(real), FakeSource(), ratio=0.5, mode=mode)
    order = torch.randperm(len(mixed), generator=torch.Generator().manual_seed(0)).tolist()
    items = mixed.__getitems__(order)
    assert len(real.indices) == sum(not mixed.is_generated(i) for i in order)
    for index, (image, label) in zip(order, items, strict=True):
        assert torch.equal(pixels_of(image), pixels_of(mixed[index][0]))
        assert label == mixed[index][1]
    assert mixed.__getitems__([]) == []
    real.indices = None
    generated = [i for i in range(len(mixed)) if mixed.is_generated(i)]
    assert len(mixed.__getitems__(generated)) == len(generated)
    assert real.indices is None


def test_batch_sampler_covers_everything_once():
    mixed = MixedDataset(FakeReal(LABELS * 5), FakeSource(), ratio=0.3, seed=1)
    batches = mixed.batch_sampler(16)
    epochs = []
    for epoch in range(3):
        mixed.set_epoch(epoch)
        state = torch.random.get_rng_state()
        order = list(batches)
        assert torch.equal(state, torch.random.get_rng_state())
        assert len(order) == len(batches) == 9
        assert [len(b) for b in order] == [16] * 8 + [15]
        assert sorted(chain(*order)) == list(range(143))
        assert {sum(map(mixed.is_generated, b)) for b in order} <= {4, 5}
        assert {mixed.is_generated(b[-1]) for b in order} == {True, False}  # shuffled within the batch as well
        epochs.append(order)
    assert epochs[0] != epochs[1] != epochs[2]
    batches.set_epoch(1)
    assert list(batches) == epochs[1]
    dropped = mixed.batch_sampler(16, drop_last=True)
    assert list(dropped) == epochs[1][:8]
    assert len(dropped) == 8
    sizes = [len(labels) for _, labels in DataLoader(mixed, batch_sampler=batches, collate_fn=columns)]
    assert sum(sizes) == 143
    with pytest.raises(InputError, match="batch_size"):
        mixed.batch_sampler(0)


def columns(items):
    return tuple(zip(*items, strict=True))


def test_batch_sampler_in_replace_mode():
    mixed = MixedDataset(FakeReal(LABELS * 5), FakeSource(), ratio=0.25, mode="replace")
    for epoch in range(2):
        mixed.set_epoch(epoch)
        batches = list(mixed.batch_sampler(8))
        assert sorted(chain(*batches)) == list(range(100))
        assert [sum(map(mixed.is_generated, b)) for b in batches] == [2] * 12 + [1]


def test_targets_and_classes_can_be_used_by_samplers():
    mixed = MixedDataset(named(), FakeSource(), ratio=0.5)
    assert (mixed.targets.dtype, mixed.targets.shape) == (torch.int64, (40,))
    assert mixed.classes == ["ant", "bee", "cat", "dog"]
    sampler = WeightedRandomSampler(1 / torch.bincount(mixed.targets)[mixed.targets], 40)
    assert len(list(DataLoader(mixed, 8, sampler=sampler, collate_fn=columns))) == 5
    nested = MixedDataset(mixed, FakeSource(), ratio=0.5)
    assert len(nested) == 80
    assert nested.transform is None


def test_repr():
    mixed = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.5, seed=7)
    for part in ("20 real + 20 generated (50.0%)", "'expand'", "'match'", "seed=7", "FakeReal"):
        assert part in repr(mixed)


def test_ratio_zero_and_one():
    source = FakeSource()
    mixed = MixedDataset(FakeReal(LABELS), source, ratio=0)
    assert (len(mixed), mixed.pool, source.calls) == (20, None, 0)
    mixed.set_epoch(2)
    assert sorted(chain(*mixed.batch_sampler(8))) == list(range(20))
    full = MixedDataset(FakeReal(LABELS), source, ratio=1, mode="replace")
    assert all(is_fake(image) for image in pixels(full))
    assert sorted(chain(*full.batch_sampler(8))) == list(range(20))


def test_labels_argument_and_one_pass():
    real = FakeReal(LABELS)
    bare = [real[i] for i in range(20)]  # a list has no .targets
    assert counts(MixedDataset(bare, FakeSource(), ratio=0.5)) == [16, 10, 8, 6]
    assert counts(MixedDataset(bare, FakeSource(), ratio=0.5, labels=np.array(LABELS))) == [16, 10, 8, 6]
    with pytest.raises(InputError, match="19 entries"):
        MixedDataset(bare, FakeSource(), ratio=0.5, labels=LABELS[:-1])
    with pytest.raises(InputError, match="item 0 of the real set carries the label 0"):
        MixedDataset(bare, FakeSource(), ratio=0.5, labels=LABELS[::-1])


def test_through_subset_and_concat():
    real = FakeReal(LABELS)
    both = ConcatDataset([Subset(real, [0, 8]), Subset(real, [13, 17, 18, 19])])
    mixed = MixedDataset(both, FakeSource(), ratio=0.5)
    assert counts(mixed) == [2, 2, 2, 6]


def test_global_rng_is_left_alone():
    def noisy(image):
        torch.rand(1), np.random.rand(), random.random()
        return image

    real = FakeReal(LABELS, transform=noisy)
    states = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    mixed = MixedDataset(real, FakeSource(), ratio=0.5)
    mixed.set_epoch(1)
    mixed.transform = noisy
    after = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]


class Streamed(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("real", "options", "message"),
    [
        ([], {"ratio": 0.5}, "empty"),
        (Streamed(), {"ratio": 0.5}, "map-style"),
        (FakeReal(LABELS), {}, "ratio= is required"),
        (FakeReal(LABELS), {"ratio": 0.5, "balance": {0: 1}}, "left out"),
        (FakeReal(LABELS), {"ratio": float("nan")}, "ratio"),
        (FakeReal(LABELS), {"ratio": 1.0}, "ratio=1"),
        (FakeReal(LABELS), {"ratio": -0.5}, "ratio"),
        (FakeReal(LABELS), {"ratio": 1.5, "mode": "replace"}, "ratio"),
        (FakeReal(LABELS), {"ratio": 0.5, "mode": "insert"}, "mode"),
        (FakeReal(LABELS), {"ratio": 0.5, "balance": "even"}, "balance"),
        (FakeReal(LABELS), {"balance": {0: 1.5}}, "integers"),
        (FakeReal(LABELS), {"balance": {0: -1}}, "integers"),
        (FakeReal(LABELS), {"balance": {"cat": 1}}, "unknown class 'cat'"),
        (FakeReal(LABELS), {"balance": {9: 1}}, "unknown class 9"),
        (FakeReal(LABELS), {"balance": {3: 4}, "mode": "replace"}, "class 3, which has 3"),
        (FakeReal(LABELS), {"ratio": 0.5, "seed": -1}, "seed"),
        (FakeReal(LABELS), {"ratio": 0.5, "refresh": "batch"}, "refresh"),
        (TensorDataset(torch.zeros(4, 1, 6, 6), torch.eye(4)), {"ratio": 0.5}, "[Ss]oft"),
        (TensorDataset(torch.zeros(4, 1, 6, 6), torch.rand(4)), {"ratio": 0.5}, "integers"),
        (TensorDataset(torch.zeros(4, 1, 6, 6)), {"ratio": 0.5}, "no label"),
        (TensorDataset(torch.zeros(4, 1, 6, 6), torch.arange(4), torch.arange(4)), {"ratio": 0.5}, "make_item"),
    ],
)
def test_bad_input(real, options, message):
    with pytest.raises(InputError, match=message):
        MixedDataset(real, FakeSource(), **options)


def test_bad_sources():
    real = FakeReal(LABELS)
    with pytest.raises(InputError, match=r"trained with labels"):
        MixedDataset(real, UnlabelledSource(), ratio=0.5)
    with pytest.raises(InputError, match=r"genaug\.load\('owner/name'\)"):
        MixedDataset(real, "owner/name", ratio=0.5)
    with pytest.raises(InputError, match="exploded"):
        MixedDataset(real, FailingSource(1), ratio=0.5)


def test_an_epoch_that_failed_is_not_used():
    mixed = MixedDataset(FakeReal(LABELS), FailingSource(2), ratio=0.5)
    with pytest.raises(InputError, match="exploded"):
        mixed.set_epoch(1)
    with pytest.raises(InputError, match="incomplete"):
        mixed[30]
    for epoch in (-1, 1.5, True):
        with pytest.raises(InputError, match="epoch"):
            mixed.set_epoch(epoch)


def test_a_blend_of_a_blend_passes_the_epoch_on():
    inner = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.3)
    outer = MixedDataset(Subset(inner, range(len(inner))), FakeSource(), ratio=0.3)
    outer.set_epoch(3)
    assert inner.epoch == outer.epoch == 3
    changing = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.3, mode="replace", balance="uniform")
    with pytest.raises(InputError, match="labels change with every epoch"):
        MixedDataset(changing, FakeSource(), ratio=0.3)


def test_relabeled_classes_are_matched_by_number_with_a_warning():
    real = named()
    real.target_transform = lambda label: 3 - label
    source = FakeSource(classes=("dog", "cat", "bee", "ant"))
    with pytest.warns(BlendWarning, match=r"FakeReal has a target_transform.* by number \(0: 'dog', ...\)"):
        MixedDataset(Subset(real, range(len(LABELS))), source, ratio=0.5, labels=LABELS)


def test_an_item_whose_label_differs_from_targets_is_an_error_at_any_index():
    real = FakeReal(LABELS)
    wrong = next(i for i in range(1, len(LABELS)) if i not in np.linspace(0, len(LABELS) - 1, 8).astype(int))
    real.targets = torch.tensor(LABELS)
    real.targets[wrong] = (LABELS[wrong] + 1) % 4
    real.pixels = FakeReal(LABELS).pixels
    get = type(real).__getitem__

    class Disagreeing(FakeReal):
        def __getitem__(self, index):
            return get(self, index)[0], LABELS[index]

    real.__class__ = Disagreeing
    mixed = MixedDataset(real, FakeSource(), ratio=0.5)
    with pytest.raises(InputError, match=rf"item {wrong} of the real set carries the label {LABELS[wrong]}"):
        [mixed[i] for i in range(len(LABELS))]
    with pytest.raises(InputError, match=rf"item {wrong} of the real set"):
        list(DataLoader(mixed, batch_size=8, collate_fn=list))
    with pytest.raises(InputError, match=rf"item {wrong} of the dataset carries the label {LABELS[wrong]}"):
        read_samples(real)


@pytest.mark.parametrize("label", [[3], (3,), [np.int64(3)], np.array([3]), torch.tensor(3, dtype=torch.uint8)])
def test_labels_of_generated_items_have_the_type_of_the_real_ones(label):
    items = [(FakeReal([3])[0][0], label)] * 8
    mixed = MixedDataset(items, FakeSource(), ratio=0.5)
    generated = mixed[len(items)][1]
    assert type(generated) is type(label)
    assert str(default_collate([label, generated])) == str(default_collate([label, label]))


@pytest.mark.parametrize("at_once", [True, False])
def test_an_item_that_cannot_be_read_is_named_with_its_file(at_once):
    class Files(FakeReal):
        samples = [(f"photos/{i}.jpg", label) for i, label in enumerate(LABELS)]  # noqa: RUF012

        def __getitem__(self, index):
            if index == 1:
                raise OSError("image file is truncated")
            return super().__getitem__(index)

    if at_once:
        Files.__getitems__ = lambda self, indices: [self[i] for i in indices]
    mixed = MixedDataset(Files(LABELS), FakeSource(), ratio=0.5)
    with pytest.raises(InputError, match=r"item 1 of the real set \(photos/1\.jpg\) can't be read \(OSError"):
        mixed.__getitems__([0, 1]) if at_once else mixed[1]
