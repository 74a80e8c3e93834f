"""The batch sampler under distributed training: created again as Lightning does, part of the batches per rank."""

import pytest
import torch
from helpers.fakes import FakeReal, FakeSource
from torch.utils.data import BatchSampler, DataLoader, Dataset, SequentialSampler
from torch.utils.data.distributed import DistributedSampler

from genaug import MixedDataset
from genaug.blend.batches import MixedBatchSampler
from genaug.errors import BlendWarning, InputError

LABELS = [0, 1, 2, 3] * 12


class SamplerAsDataset(Dataset):
    """What Lightning's DistributedSamplerWrapper puts around a sampler."""

    def __init__(self, sampler):
        self._sampler = sampler

    def __len__(self):
        return len(self._sampler)


def loaders_of(loader, ranks, wrapped=False):
    """Loaders of all ranks as Lightning creates them (lightning.pytorch.utilities.data, 2.6): of the same dataset, with
    ``type(batch_sampler)(sampler, batch_size=..., drop_last=...)``."""
    batch_sampler, loaders = loader.batch_sampler, []
    for rank in range(ranks):
        inner = SamplerAsDataset(loader.sampler) if wrapped else loader.dataset
        sampler = DistributedSampler(inner, num_replicas=ranks, rank=rank, shuffle=False, seed=0)
        again = type(batch_sampler)(sampler, batch_size=batch_sampler.batch_size, drop_last=batch_sampler.drop_last)
        loaders.append(DataLoader(loader.dataset, batch_sampler=again, collate_fn=list))
    return loaders


def set_epoch(loader, epoch):
    """As Lightning and Fabric set the epoch of a loader."""
    for sampler in {id(s): s for s in (loader.sampler, loader.batch_sampler.sampler)}.values():
        if callable(tell := getattr(sampler, "set_epoch", None)):
            tell(epoch)


def blend(mode="expand"):
    return MixedDataset(FakeReal(LABELS), FakeSource(), ratio=0.25, mode=mode)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("mode", ["expand", "replace"])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_share_the_batches_and_each_has_the_exact_ratio(ranks, drop_last, mode, wrapped):
    mixed = blend(mode)
    alone = DataLoader(mixed, batch_sampler=mixed.batch_sampler(4, drop_last=drop_last), collate_fn=list)
    expected = list(alone.batch_sampler)
    shares = [list(loader.batch_sampler) for loader in loaders_of(alone, ranks, wrapped)]
    assert len({len(share) for share in shares}) == 1, "or a process would wait for the others for ever"
    assert [len(loader) for loader in loaders_of(alone, ranks, wrapped)] == [len(share) for share in shares]
    flat = [batch for step in zip(*shares, strict=True) for batch in step]
    usable = len(expected) // ranks * ranks if drop_last else len(expected)
    assert flat[:usable] == expected[:usable]
    assert flat[usable:] == expected[: len(flat) - usable]
    assert len(flat) - usable < ranks
    mask = mixed.generated_mask()
    assert all(mask[batch].sum() == 1 for batch in flat if len(batch) == 4)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_have_the_exact_share_of_each_of_several_sources(ranks, wrapped):
    pair = {"gan": FakeSource(), "hub": FakeSource()}
    mixed = MixedDataset(FakeReal(LABELS), pair, ratio={"gan": 0.25, "hub": 0.125})
    loaders = loaders_of(DataLoader(mixed, batch_sampler=mixed.batch_sampler(8)), ranks, wrapped)
    for loader in loaders:
        set_epoch(loader, 1)
    batches = [batch for loader in loaders for batch in loader.batch_sampler]
    assert mixed.epoch == 1
    sources = [[mixed.source_of(index) for index in batch] for batch in batches if len(batch) == 8]
    assert {(names.count("gan"), names.count("hub")) for names in sources} == {(2, 1)}
    assert {index for batch in batches for index in batch} == set(range(len(mixed)))


def test_the_epoch_of_the_distributed_sampler_becomes_the_blends():
    mixed = blend()
    (loader,) = loaders_of(DataLoader(mixed, batch_sampler=mixed.batch_sampler(4)), 1)
    epochs = []
    for epoch in range(3):
        set_epoch(loader, epoch)
        epochs.append(list(loader.batch_sampler))
        assert mixed.epoch == epoch
    assert epochs[0] != epochs[1] != epochs[2]
    mixed.set_epoch(7)  # on the blend, and not on the sampler
    list(loader.batch_sampler)
    assert mixed.epoch == 7
    loader.batch_sampler.set_epoch(8)
    assert (mixed.epoch, loader.batch_sampler.sampler.epoch) == (8, 8)


def test_a_spawned_process_without_the_generator_continues_with_its_samples():
    mixed = blend()
    mixed.pool._source = None  # as pickling leaves it
    (loader,) = loaders_of(DataLoader(mixed, batch_sampler=mixed.batch_sampler(4)), 1)
    set_epoch(loader, 1)
    with pytest.warns(BlendWarning, match="without its generator"):
        first = list(loader.batch_sampler)
    set_epoch(loader, 2)
    assert list(loader.batch_sampler) != first
    assert mixed.epoch == 2


def test_it_is_a_batch_sampler_whose_arguments_can_be_read():
    mixed = blend()
    sampler = mixed.batch_sampler(4, drop_last=True)
    assert isinstance(sampler, BatchSampler)
    assert isinstance(sampler.sampler, SequentialSampler)
    again = MixedBatchSampler(sampler.sampler, sampler.batch_size, sampler.drop_last)
    assert list(again) == list(sampler) == list(MixedBatchSampler(mixed, 4, True))


@pytest.mark.parametrize("sampler", [SequentialSampler([1, 2]), range(3), None, DistributedSampler([1], 1, 0)])
def test_samplers_of_other_datasets_are_an_error(sampler):
    with pytest.raises(InputError, match="MixedDataset or a sampler of one"):
        MixedBatchSampler(sampler, 4, False)


def test_batches_load():
    mixed = blend()
    loaders = loaders_of(DataLoader(mixed, batch_sampler=mixed.batch_sampler(4)), 2)
    labels = torch.tensor([label for loader in loaders for batch in loader for _, label in batch])
    assert torch.equal(labels.sort().values, mixed.targets.sort().values)
