"""Blends whose ratio changes with the epoch."""

import pickle
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
import torch
from helpers.fakes import FakeReal, FakeSource, is_fake, pixels_of
from hypothesis import given, settings, strategies as st
from torch.utils.data import DataLoader, DistributedSampler, Subset

from genaug import MixedDataset, SamplePool
from genaug.blend.batches import MixedBatchSampler
from genaug.errors import InputError
from genaug.schedules import Schedule, constant, linear, pretrain, steps

LABELS = [0] * 8 + [1] * 5 + [2] * 4 + [3] * 3


def blend(ratio, source=None, **options):
    return MixedDataset(FakeReal(LABELS), source or FakeSource(), ratio=ratio, **options)


def contents(mixed):
    return [(pixels_of(image).numpy().tobytes(), label) for image, label in mixed]


@settings(max_examples=30)
@given(
    st.lists(st.floats(0, 0.8), min_size=1, max_size=4),
    st.sampled_from(["expand", "replace"]),
    st.sampled_from(["match", "uniform"]),
    st.integers(0, 5),
    st.booleans(),
)
def test_each_epoch_is_a_blend_of_its_ratio(ratios, mode, balance, epoch, refresh):
    options = {"mode": mode, "balance": balance}
    schedule = Schedule(ratios)
    mixed = blend(schedule, refresh="epoch" if refresh else None, **options)
    fixed = blend(schedule(epoch), **options)
    mixed.set_epoch(epoch)
    assert len(mixed) == len(fixed)
    assert mixed.planned_ratio == fixed.planned_ratio
    assert mixed.targets.sort().values.tolist() == fixed.targets.sort().values.tolist()
    for index, (image, label) in enumerate(mixed):
        assert is_fake(pixels_of(image)) == mixed.is_generated(index) == (mixed.source_of(index) is not None)
        assert int(pixels_of(image)[0, 0, 1]) == label == mixed.targets[index]
    assert list(map(len, mixed.batch_sampler(8))) == list(map(len, fixed.batch_sampler(8)))
    assert sorted(chain(*mixed.batch_sampler(8))) == list(range(len(mixed)))
    if mode == "expand":
        assert not mixed.generated_mask()[: len(LABELS)].any(), "every real sample stays"


def test_epochs_without_a_generated_sample_generate_none():
    source = FakeSource()
    mixed = blend(pretrain(2, ratio=0.5), source)
    after_construction = source.calls
    mixed.set_epoch(1)
    assert source.calls == after_construction + 1
    mixed.set_epoch(2)
    assert source.calls == after_construction + 1
    assert (len(mixed), mixed.ratio, len(mixed.pool)) == (20, 0, 20)
    mixed.set_epoch(1)
    assert len(mixed) == 40


def test_the_largest_number_is_generated_once_without_refresh():
    source = FakeSource()
    mixed = blend(linear(0.0, 0.5, 3), source, refresh=None)
    calls = source.calls
    lengths = []
    for epoch in range(4):
        mixed.set_epoch(epoch)
        lengths.append(len(mixed))
    assert lengths == [20, 27, 40, 40]
    assert source.calls == calls
    assert len(mixed.pool) == 20


def test_numbers_of_numpy_are_read_as_they_print():
    mixed = blend(Schedule(np.array([0.3], dtype=np.float32)))
    pair = {"gan": FakeSource(), "hub": FakeSource()}
    several = MixedDataset(FakeReal(LABELS), pair, ratio={"gan": np.float32(0.1), "hub": np.float64(0.2)})
    assert mixed.planned_ratio == several.planned_ratio == Fraction(3, 10)


def test_a_schedule_may_start_at_zero():
    mixed = blend(steps({0: 0, 2: 0.5}))
    assert (len(mixed), mixed.pool is None) == (20, False)
    mixed.set_epoch(2)
    assert len({content for content, _ in contents(mixed)[20:]}) == 20
    assert blend(constant(0)).pool is None


def test_pretraining_on_generated_samples_only_in_mode_replace():
    mixed = blend(pretrain(1), mode="replace")
    assert all(is_fake(pixels_of(image)) for image, _ in mixed)
    mixed.set_epoch(1)
    assert not any(is_fake(pixels_of(image)) for image, _ in mixed)
    assert mixed.targets.tolist() == LABELS


def test_epochs_are_reproducible_in_any_order():
    mixed, other = blend(linear(0.5, 0.1, 4)), blend(linear(0.5, 0.1, 4))
    by_epoch = {}
    for epoch in range(4):
        mixed.set_epoch(epoch)
        by_epoch[epoch] = contents(mixed)
    for epoch in (3, 1, 2, 0):
        other.set_epoch(epoch)
        assert contents(other) == by_epoch[epoch]


def collate(items):
    return torch.stack([pixels_of(image) for image, _ in items]), torch.tensor([label for _, label in items])


@pytest.mark.parametrize(("mode", "context"), [("expand", "fork"), ("replace", "fork"), ("expand", "forkserver")])
def test_persistent_workers_and_a_random_sampler_follow_the_ratio(mode, context):
    mixed = blend(linear(0.5, 0, 3), mode=mode)
    loader = DataLoader(
        mixed,
        batch_size=7,
        shuffle=True,
        collate_fn=collate,
        num_workers=1,
        persistent_workers=True,
        multiprocessing_context=context,
    )
    for epoch in range(3):
        mixed.set_epoch(epoch)
        images = torch.cat([images for images, _ in loader])
        assert len(images) == len(mixed)
        assert sorted(image.numpy().tobytes() for image in images) == sorted(content for content, _ in contents(mixed))


def test_the_batch_sampler_follows_a_distributed_sampler_whose_length_stays():
    mixed = blend(linear(0.5, 0, 3))
    sampler = MixedBatchSampler(DistributedSampler(mixed, 2, 0), 4, False)
    for epoch, length in enumerate((40, 27, 20)):
        sampler.sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(mixed) == length
        assert len(batches) == len(sampler) == -(-length // 8)


def test_a_copy_without_its_generator_keeps_the_schedule():
    mixed = blend(linear(0.5, 0, 3), refresh=None)
    twin = pickle.loads(pickle.dumps(mixed))
    for epoch in range(3):
        mixed.set_epoch(epoch)
        twin.set_epoch(epoch)
        assert contents(twin) == contents(mixed)


def test_another_blend_cannot_build_on_a_length_that_changes():
    changing = blend(linear(0.5, 0, 3))
    assert changing.changes == "length"
    with pytest.raises(InputError, match="number of items changes with the epoch"):
        MixedDataset(Subset(changing, range(10)), FakeSource(), ratio=0.3)
    inner = blend(linear(0.5, 0, 3), mode="replace")
    outer = MixedDataset(inner, FakeSource(), ratio=0.5)
    outer.set_epoch(2)
    assert (inner.changes, inner.ratio, len(outer)) == (None, 0, 40)
    assert blend(0.5, mode="replace", balance="uniform").changes == "labels"


def test_users_pools_and_repr():
    mixed = blend(linear(0.5, 0, 3), SamplePool(FakeSource(), size=40))
    assert "ratio=linear(0.5, 0, epochs=3)" in repr(mixed)
    assert len(mixed.pool) == 40


@pytest.mark.parametrize(
    ("ratio", "options", "message"),
    [
        (pretrain(2), {}, "in epoch 0 of the schedule, ratio=1 leaves no room for real samples"),
        (linear(0.2, 1, 5), {}, "in epoch 4 of the schedule, ratio=1"),
        (lambda epoch: 0.5, {}, "a number or a schedule of genaug.schedules"),
        (constant(0.3), {"balance": {0: 1}}, "left out"),
        ([0.5, 0.3], {}, "ratio must be a number"),
    ],
)
def test_bad_input(ratio, options, message):
    with pytest.raises(InputError, match=message) as raised:
        blend(ratio, **options)
    assert "\n" not in str(raised.value)


def test_shares_that_sum_to_1_in_some_epoch_are_an_error():
    pair = {"gan": FakeSource(), "hub": FakeSource()}
    with pytest.raises(InputError, match=r"in epoch 2 of the schedule, the sources' shares must be less than 1 in all"):
        MixedDataset(FakeReal(LABELS), pair, ratio={"gan": linear(0.1, 0.5, 3), "hub": 0.5})
