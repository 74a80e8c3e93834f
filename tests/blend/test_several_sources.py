"""Several sources in one blend, each with its exact share of every batch."""

import copy
import pickle
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from helpers.fakes import FailingSource, FakeReal, FakeSource, is_fake, label_in, pixels_of
from helpers.shares import check_shares, share_lists
from hypothesis import given, settings, strategies as st
from torch.utils.data import DataLoader, DistributedSampler
from torchvision.transforms import v2

from genaug import MixedDataset, SamplePool
from genaug.blend.batches import MixedBatchSampler
from genaug.data.apportion import largest_remainder
from genaug.errors import InputError
from genaug.schedules import linear

LABELS = [0] * 8 + [1] * 5 + [2] * 4 + [3] * 3
NAMES = ("gan", "hub", "vae", "pool")


class Tagged(FakeSource):
    """Images whose pixel (0, 2) tells the source."""

    def __init__(self, tag, **kwargs):
        super().__init__(**kwargs)
        self.tag = tag

    def sample(self, n=None, *, labels=None, seed=None):
        images, labels = super().sample(n, labels=labels, seed=seed)
        images[:, :, 0, 2] = self.tag
        return images, labels


def sources(count=2):
    return {name: Tagged(100 + number) for number, name in enumerate(NAMES[:count])}


def blend(real=None, ratio=None, **options):
    ratio = ratio or {"gan": 0.2, "hub": 0.1}
    return MixedDataset(real or FakeReal(LABELS * 3), sources(len(ratio)), ratio=ratio, **options)


def tag_of(image):
    return int(pixels_of(image)[0, 0, 2]) - 100


@settings(max_examples=60)
@given(
    share_lists,
    st.integers(1, 60),
    st.integers(1, 40),
    st.sampled_from(["expand", "replace"]),
    st.sampled_from(["match", "uniform"]),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 2),
)
def test_every_batch_of_every_rank_has_the_share_of_each_source(
    shares, n, batch_size, mode, balance, ranks, drop_last, epoch
):
    ratio = {name: float(share) for name, share in zip(NAMES, shares, strict=False)}
    mixed = blend(FakeReal((LABELS * 3)[:n]), ratio, mode=mode, balance=balance)
    mixed.set_epoch(epoch)
    numbers = mixed.source_numbers()
    samplers = [
        MixedBatchSampler(DistributedSampler(mixed, ranks, rank), batch_size, drop_last) for rank in range(ranks)
    ]
    for sampler in samplers:
        sampler.sampler.set_epoch(epoch)
    per_rank = [list(sampler) for sampler in samplers]
    assert len({len(batches) for batches in per_rank}) == 1
    flat = [batch for step in zip(*per_rank, strict=True) for batch in step]
    for batch in flat:
        counts = Counter(numbers[batch].tolist())
        expected = [*shares, 1 - sum(shares)]
        check_shares([counts[number] for number in [*range(len(shares)), -1]], expected, len(batch))
    if not drop_last:
        alone = list(chain(*mixed.batch_sampler(batch_size)))
        assert sorted(alone) == list(range(len(mixed))), "every item once"
        assert set(alone) == set(chain(*flat))


@settings(max_examples=40)
@given(
    share_lists,
    st.integers(1, 60),
    st.sampled_from(["expand", "replace"]),
    st.sampled_from(["match", "uniform"]),
    st.integers(0, 2),
)
def test_items_are_those_of_their_source(shares, n, mode, balance, epoch):
    labels = (LABELS * 3)[:n]
    ratio = {name: float(share) for name, share in zip(NAMES, shares, strict=False)}
    real = FakeReal(labels)
    mixed = blend(real, ratio, mode=mode, balance=balance)
    mixed.set_epoch(epoch)
    alone = MixedDataset(real, FakeSource(), ratio=sum(shares), mode=mode, balance=balance)
    assert len(mixed) == len(alone)
    assert mixed.targets.sort().values.tolist() == alone.targets.sort().values.tolist()
    counts = Counter()
    for index in range(len(mixed)):
        image, label = mixed[index]
        content = pixels_of(image)
        assert label == label_in(content) == mixed.targets[index]
        assert mixed.is_generated(index) == is_fake(content) == mixed.generated_mask()[index]
        source = mixed.source_of(index)
        counts[source] += 1
        if source is None:
            assert torch.equal(content, real.pixels(index))
            assert mixed.source_numbers()[index] == -1
        else:
            assert NAMES.index(source) == tag_of(image) == mixed.source_numbers()[index]
    assert [mixed.is_generated(index) for index in range(n)].count(False) == counts[None]
    assert mode == "replace" or counts[None] == n, "every real item stays"
    assert mixed.planned_shares == dict(zip(NAMES, shares, strict=False))
    check_shares([counts[name] for name in mixed.planned_shares], shares, len(mixed))


@pytest.mark.parametrize("mode", ["expand", "replace"])
def test_each_source_has_the_real_class_shares(mode):
    mixed = blend(FakeReal(LABELS * 50), mode=mode)
    numbers = mixed.source_numbers()
    for number in range(2):
        labels = mixed.targets[torch.from_numpy(numbers == number)]
        counts = labels.bincount().numpy()
        assert np.abs(counts - largest_remainder(len(labels), [8, 5, 4, 3])).max() <= 1
    if mode == "replace":
        assert mixed.targets.tolist() == LABELS * 50


def test_one_named_source_is_like_one_without_a_name():
    named = MixedDataset(FakeReal(LABELS), {"gan": FakeSource()}, ratio={"gan": 0.3})
    alone = MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.3)
    assert list(named.batch_sampler(8)) == list(alone.batch_sampler(8))
    assert named.targets.tolist() == alone.targets.tolist()
    assert (named.source_of(25), alone.source_of(25), alone.source_of(0)) == ("gan", "source", None)


def test_one_generator_under_two_names_makes_different_samples():
    source = FakeSource()
    mixed = MixedDataset(FakeReal(LABELS), {"a": source, "b": source}, ratio={"a": 0.4, "b": 0.4})
    images = [pixels_of(mixed[index][0]).numpy().tobytes() for index in range(20, len(mixed))]
    assert len(set(images)) == len(images) == 80


def test_pools_and_refreshing():
    pool = SamplePool(Tagged(101), size=40)
    mixed = MixedDataset(FakeReal(LABELS), {"gan": Tagged(100), "hub": pool}, ratio={"gan": 0.3, "hub": 0.2})
    assert mixed.pool is None
    assert mixed.pools["hub"] is pool
    before, own = pool.images, mixed.pools["gan"].images
    mixed.set_epoch(1)
    assert torch.equal(pool.images, before)
    assert not torch.equal(mixed.pools["gan"].images, own)
    fixed = blend(refresh=None)
    own = fixed.pools["gan"].images
    fixed.set_epoch(1)
    assert torch.equal(fixed.pools["gan"].images, own)
    assert "pools={'gan': SamplePool" in repr(mixed)
    assert "ratio={'gan': 0.3, 'hub': 0.2}" in repr(mixed)


def test_the_memory_is_divided_among_the_sources():
    ratio = {"gan": 0.6, "hub": 0.3}
    assert {name: len(pool) for name, pool in blend(FakeReal(LABELS), ratio).pools.items()} == {"gan": 120, "hub": 60}
    small = blend(FakeReal(LABELS), ratio, max_pool_bytes=36 * 90)
    assert {name: len(pool) for name, pool in small.pools.items()} == {"gan": 60, "hub": 30}
    assert len(small) == 200
    with pytest.raises(InputError, match="source 'hub': max_pool_bytes=108 has room for 3"):
        blend(FakeReal(LABELS), ratio, max_pool_bytes=36 * 9)


def collate(items):
    return torch.stack([pixels_of(image) for image, _ in items]), torch.tensor([label for _, label in items])


@pytest.mark.parametrize("mode", ["expand", "replace"])
@pytest.mark.parametrize("duplicate", [None, copy.deepcopy, lambda mixed: pickle.loads(pickle.dumps(mixed))])
def test_persistent_workers_follow_the_epoch(mode, duplicate):
    mixed = blend(ratio={"gan": 0.2, "hub": linear(0.5, 0, 3)}, mode=mode, refresh=None)
    twin = mixed if duplicate is None else duplicate(mixed)
    loader = DataLoader(
        twin, batch_sampler=twin.batch_sampler(8), collate_fn=collate, num_workers=2, persistent_workers=True
    )
    for epoch in range(3):
        mixed.set_epoch(epoch)
        twin.set_epoch(epoch)
        here = [collate([mixed[index] for index in batch]) for batch in mixed.batch_sampler(8)]
        workers = list(loader)
        assert len(workers) == len(here)
        for one, other in zip(workers, here, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])


def test_sources_of_different_sizes_need_a_transform_that_makes_them_equal():
    pair = {"gan": Tagged(100), "hub": Tagged(101, shape=(1, 8, 8))}
    ratio = {"gan": 0.3, "hub": 0.3}
    with pytest.raises(InputError, match=r"source 'gan' makes .*6x6.* and source 'hub' makes .*8x8"):
        MixedDataset(FakeReal(LABELS), pair, ratio=ratio)
    with pytest.raises(InputError, match=r"source 'hub': the real set gives .*6x6.*8x8"):
        MixedDataset(FakeReal(LABELS, transform=v2.PILToTensor()), pair, ratio=ratio)
    resize = v2.Compose([v2.Resize((4, 4)), v2.PILToTensor()])
    mixed = MixedDataset(FakeReal(LABELS, transform=resize), pair, ratio=ratio)
    assert next(iter(DataLoader(mixed, len(mixed))))[0].shape == (len(mixed), 1, 4, 4)
    with pytest.raises(InputError, match="6x6"):
        mixed.transform = v2.PILToTensor()
    assert mixed.transform is resize


def test_gray_and_color_sources_come_out_alike():
    pair = {"gan": FakeSource(shape=(1, 6, 6)), "hub": FakeSource(shape=(3, 6, 6))}
    real = FakeReal(LABELS, shape=(3, 6, 6), transform=v2.PILToTensor())
    mixed = MixedDataset(real, pair, ratio={"gan": 0.3, "hub": 0.3})
    assert next(iter(DataLoader(mixed, len(mixed))))[0].shape == (len(mixed), 3, 6, 6)


def named_real():
    real = FakeReal(LABELS)
    real.classes = ["ant", "bee", "cat", "dog"]
    return real


def test_classes_of_each_source_are_matched_by_name():
    pair = {"gan": FakeSource(classes=("dog", "cat", "bee", "ant")), "hub": FakeSource(5, classes=tuple("abcde"))}
    with pytest.raises(InputError, match="source 'hub': the source doesn't know the real set's classes"):
        MixedDataset(named_real(), pair, ratio={"gan": 0.2, "hub": 0.2})
    pair["hub"] = FakeSource(5, classes=("eel", "dog", "ant", "bee", "cat"))
    mixed = MixedDataset(named_real(), pair, ratio={"gan": 0.3, "hub": 0.3})
    for index in range(len(LABELS), len(mixed)):
        image, label = mixed[index]
        names = pair[mixed.source_of(index)].spec.class_names
        assert names[label_in(pixels_of(image))] == mixed.classes[label]


@pytest.mark.parametrize(
    ("source", "ratio", "options", "message"),
    [
        ({}, {}, {}, "mapping of sources is empty"),
        (sources(), 0.3, {}, "must have a share for each of them"),
        (sources(), None, {}, "must have a share for each of them"),
        (sources(), None, {"balance": {0: 1}}, "must have a share for each of them"),
        (sources(), {"gan": 0.2, "hub": 0.1}, {"balance": {0: 1}}, "balance= as a mapping is for one source"),
        (sources(), {"gan": 0.2}, {}, "ratio= has shares for 'gan', but the sources are 'gan', 'hub'"),
        (sources(), {"gan": 0.2, "hub": 0.1, "vae": 0.1}, {}, "Use the same names"),
        (sources(), {}, {}, "shares for no source"),
        (FakeSource(), {"gan": 0.2}, {}, "one source was passed without a name"),
        ({3: FakeSource()}, {3: 0.2}, {}, "names of sources must be strings"),
        (sources(), {"gan": 0.7, "hub": 0.3}, {}, "must be less than 1 in all, but 'gan': 0.7, 'hub': 0.3 sum to 1"),
        (sources(), {"gan": 0.9, "hub": 0.3}, {}, "sum to 1.2"),
        (sources(), {"gan": 0.9, "hub": 0.3}, {"mode": "replace"}, "can't be more than 1 in all"),
        (sources(), {"gan": -0.1, "hub": 0.3}, {}, r"ratio\['gan'\] must be a number from 0 to 1"),
        (sources(), {"gan": float("nan"), "hub": 0.3}, {}, r"ratio\['gan'\] must be a number from 0 to 1"),
        (sources(), {"gan": "half", "hub": 0.3}, {}, r"ratio\['gan'\] must be a number, got 'half'"),
        ({"gan": FakeSource(), "hub": "owner/name"}, {"gan": 0.2, "hub": 0.1}, {}, "source 'hub': .*genaug.load"),
        ({"gan": FakeSource(), "hub": FakeSource(0)}, {"gan": 0.2, "hub": 0.1}, {}, "source 'hub': .* no labels"),
        ({"gan": FakeSource(), "hub": FakeSource(3)}, {"gan": 0.2, "hub": 0.1}, {}, "source 'hub': .* class 3"),
        ({"gan": FakeSource(), "hub": FailingSource(1)}, {"gan": 0.2, "hub": 0.1}, {}, "source 'hub': .*exploded"),
        (
            {"gan": FakeSource(), "hub": SamplePool(FakeSource(), size=3, labels=[1, 1, 1, 0])},
            {"gan": 0.2, "hub": 0.5},
            {},
            "source 'hub': .*no sample of class 3",
        ),
    ],
)
def test_bad_input_is_one_sentence(source, ratio, options, message):
    with pytest.raises(InputError, match=message) as raised:
        MixedDataset(FakeReal(LABELS), source, ratio=ratio, **options)
    assert "\n" not in str(raised.value)


def test_all_items_may_be_generated_in_mode_replace():
    mixed = blend(ratio={"gan": 0.7, "hub": 0.3}, mode="replace")
    assert Counter(mixed.source_numbers().tolist()) == {0: 42, 1: 18}
    assert all(Counter(mixed.source_numbers()[batch].tolist()) == {0: 7, 1: 3} for batch in mixed.batch_sampler(10))
