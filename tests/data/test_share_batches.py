"""Exact shares of several datasets in every batch, for any number of ranks."""

import pickle
from collections import Counter
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
import torch
from helpers.shares import check_shares, share_lists
from hypothesis import given, settings, strategies as st
from torch.utils.data import BatchSampler, ConcatDataset, DataLoader, IterableDataset, TensorDataset

from genaug.data import ShareBatchSampler
from genaug.data.apportion import round_to
from genaug.data.shares import counts_in_batches
from genaug.errors import InputError
from genaug.randomness import stream


@settings(max_examples=300)
@given(share_lists, st.integers(1, 400), st.integers(1, 70), st.integers(0, 99), st.booleans())
def test_every_count_is_floor_or_ceiling_of_the_share(shares, length, batch_size, seed, real_is_fixed):
    shares = [*shares, 1 - sum(shares)]
    quotas = [share * length for share in shares]
    totals = round_to(quotas, length).tolist()
    if real_is_fixed:
        rest = round(quotas[-1])
        totals = [*round_to(quotas[:-1], length - rest).tolist(), rest]
    counts = counts_in_batches(totals, shares, batch_size, stream(seed))
    sizes = counts.sum(1)
    assert counts.sum(0).tolist() == totals
    assert sizes.tolist() == [batch_size] * (length // batch_size) + [length % batch_size] * (length % batch_size > 0)
    for row, size in zip(counts, sizes, strict=True):
        check_shares(row.tolist(), shares, int(size))


@pytest.mark.parametrize(
    ("totals", "units", "batch_size"),
    [([10, 10, 0, 0, 1], [27, 27, 1, 1, 4], 20), ([26, 26, 26, 38, 38], [10, 10, 10, 15, 15], 30)],
)
def test_totals_without_counts_of_floor_and_ceiling_are_off_by_one(totals, units, batch_size):
    shares = [Fraction(unit, 60) for unit in units]
    counts = counts_in_batches(totals, shares, batch_size, stream(0))
    assert counts.sum(0).tolist() == totals
    assert set(counts.sum(1)[:-1].tolist()) == {batch_size}
    for row in counts:
        check_shares(row.tolist(), shares, int(row.sum()))


def datasets_of(*sizes):
    return [TensorDataset(torch.full((size,), number), torch.arange(size)) for number, size in enumerate(sizes)]


@settings(max_examples=60)
@given(
    share_lists,
    st.lists(st.integers(1, 60), min_size=5, max_size=5),
    st.integers(1, 40),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_each_rank_gets_batches_with_the_shares(shares, sizes, batch_size, drop_last, ranks, epoch):
    shares = [1 - sum(shares), *shares]
    sets = datasets_of(*sizes[: len(shares)])
    both = ConcatDataset(sets)
    samplers = [
        ShareBatchSampler(
            sets, list(map(float, shares)), batch_size, drop_last=drop_last, num_replicas=ranks, rank=rank
        )
        for rank in range(ranks)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    per_rank = [list(sampler) for sampler in samplers]
    assert len({len(batches) for batches in per_rank} | {len(sampler) for sampler in samplers}) == 1
    flat = [batch for step in zip(*per_rank, strict=True) for batch in step]
    for batch in flat:
        numbers = Counter(int(both[index][0]) for index in batch)
        check_shares([numbers[number] for number in range(len(shares))], shares, len(batch))
    if not drop_last:
        seen = flat[: -(-samplers[0]._total() // batch_size)]
        counts = Counter(chain(*seen))
        assert all(counts[index] == 1 for index in range(sizes[0])), "every item of the first dataset once"
        assert sum(counts.values()) == samplers[0]._total()
        start = sizes[0]
        for size in sizes[1 : len(shares)]:
            uses = [counts[index] for index in range(start, start + size)]
            assert max(uses) - min(uses) <= 1, "all items before one is repeated"
            start += size
    else:
        assert all(len(batch) == batch_size for batch in flat)


def test_epochs_have_their_own_order_and_items():
    sets = datasets_of(20, 200)
    sampler = ShareBatchSampler(sets, [0.5, 0.5], 8)
    first, again = list(sampler), list(sampler)
    assert first == again == list(ShareBatchSampler(sets, [0.5, 0.5], 8)) == list(pickle.loads(pickle.dumps(sampler)))
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert set(chain(*sampler)) != set(chain(*first)), "other items of the larger dataset"
    assert list(ShareBatchSampler(sets, [0.5, 0.5], 8, seed=1)) != first
    assert isinstance(sampler, BatchSampler)
    sampler.sampler.set_epoch(0)  # as Lightning and accelerate set the epoch
    assert list(sampler) == first


def test_names_and_a_share_that_is_left_out():
    real, gan, hub = datasets_of(70, 30, 30)
    named = ShareBatchSampler({"real": real, "gan": gan, "hub": hub}, {"gan": 0.2, "hub": 0.1}, 10)
    listed = ShareBatchSampler([real, gan, hub], [0.7, 0.2, 0.1], 10)
    concat = ShareBatchSampler(ConcatDataset([real, gan, hub]), np.array([0.7, 0.2, 0.1], dtype=np.float32), 10)
    assert list(named) == list(listed) == list(concat)
    loader = DataLoader(ConcatDataset([real, gan, hub]), batch_sampler=named)
    assert [torch.bincount(numbers).tolist() for numbers, _ in loader] == [[7, 2, 1]] * 10


def test_the_ranks_of_torch_distributed_are_used(monkeypatch):
    sets = datasets_of(32, 16)
    expected = list(ShareBatchSampler(sets, [0.5, 0.5], 8))
    sampler = ShareBatchSampler(sets, [0.5, 0.5], 8)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert list(sampler) == expected[1::2]
    assert list(ShareBatchSampler(sets, [0.5, 0.5], 8, num_replicas=1, rank=0)) == expected


class Streamed(IterableDataset):
    def __iter__(self):
        return iter(())


A, B, EMPTY = datasets_of(4, 4, 0)


@pytest.mark.parametrize(
    ("datasets", "shares", "options", "message"),
    [
        ([A, B], [0.5, 0.6], {}, "must sum to 1, but they sum to 1.1"),
        ([A, B], [0.5, 0.4], {}, "must sum to 1, but they sum to 0.9"),
        ([A, B], [0.5], {}, "one number per dataset, 2 in all"),
        ([A, B], [1.5, -0.5], {}, "the share of dataset 0 must be a number from 0 to 1"),
        ([A, B], [float("nan"), 0.5], {}, "from 0 to 1"),
        ([A, B], [True, False], {}, "must be a number, got True"),
        ([A, B], [0, 1], {}, "the first dataset has a share of 0"),
        ([A, B], {"a": 1}, {}, "both be lists or both be mappings"),
        ({"a": A, "b": B}, {"a": 0.5, "c": 0.5}, {}, "shares are for 'a', 'c', but the datasets are 'a', 'b'"),
        ({"a": A, "b": B, "c": B}, {"a": 0.5}, {}, "one dataset may be left out"),
        ({"a": A, "b": B}, {"a": 0.5, "b": 0.6}, {}, "must sum to 1"),
        ([], [], {}, "at least one dataset"),
        (A, [1], {}, "must be a list or a mapping"),
        ([A, Streamed()], [0.5, 0.5], {}, "dataset 1 must be a map-style dataset"),
        ([A, EMPTY], [0.5, 0.5], {}, "dataset 1 is empty"),
        ([EMPTY, A], [0.5, 0.5], {}, "dataset 0 is empty"),
        ([A, B], [1e-9, 1 - 1e-9], {}, "more than 2\\^31"),
        ([A, B], [0.5, 0.5], {"batch_size": 0}, "batch_size"),
        ([A, B], [0.5, 0.5], {"seed": -1}, "seed"),
        ([A, B], [0.5, 0.5], {"rank": 1}, "go together"),
        ([A, B], [0.5, 0.5], {"rank": 2, "num_replicas": 2}, "rank must be 1 at most"),
    ],
)
def test_bad_input(datasets, shares, options, message):
    with pytest.raises(InputError, match=message):
        ShareBatchSampler(datasets, shares, **{"batch_size": 4, **options})
