"""Batch samplers with exact shares: batches for each rank, and ``ShareBatchSampler`` for datasets side by side."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch.distributed
from torch.utils.data import BatchSampler, ConcatDataset

from genaug.checks import as_whole
from genaug.data.apportion import Ints, round_to
from genaug.data.items import check_map_style
from genaug.data.shares import as_share, batches_with_shares
from genaug.errors import InputError
from genaug.randomness import check_seed, stream


class RankBatches(BatchSampler):
    """Batches of indices, of which each rank gets every ``world_size``-th.

    All ranks have the same number of batches. If their number isn't divisible, the first ones are repeated or, with
    ``drop_last``, the last ones are left out. ``drop_last`` also leaves out a last batch that is incomplete.
    """

    def __init__(self, batch_size: int, drop_last: bool) -> None:
        self.batch_size = as_whole(batch_size, "batch_size", 1)
        self.drop_last = drop_last

    def __len__(self) -> int:
        batches, (_, world_size) = self._count(), self._rank()
        return batches // world_size if self.drop_last else -(-batches // world_size)

    def __iter__(self) -> Iterator[list[int]]:
        batches, (rank, world_size) = self._batches()[: self._count()], self._rank()
        for number in range(len(self)):
            yield batches[(rank + world_size * number) % len(batches)]

    def _count(self) -> int:
        """The number of batches of all ranks together."""
        total = self._total()
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def _total(self) -> int:
        """The number of items of all ranks together."""
        raise NotImplementedError

    def _batches(self) -> list[list[int]]:
        """The batches of all ranks, a last incomplete one included."""
        raise NotImplementedError

    def _rank(self) -> tuple[int, int]:
        """The rank and the world size."""
        raise NotImplementedError


class ShareBatchSampler(RankBatches):
    """Batches in which each of several datasets has an exact share: for ``DataLoader(ConcatDataset(datasets),
    batch_sampler=ShareBatchSampler(datasets, shares, batch_size))``.

    Args:
        datasets: Map-style datasets, in the order of the ConcatDataset; or a mapping of name to dataset, whose values
            are in that order; or the ConcatDataset itself.
        shares: The share of each dataset in every batch, which sum to 1: one number per dataset, or a mapping of the
            same names. A mapping may leave out one dataset, which gets the rest.
        batch_size: The number of items in a batch.
        drop_last: Leave out a last, incomplete batch.
        seed: Decides, with the epoch, the order and which items of a larger dataset are used.
        num_replicas: The number of processes; by default that of ``torch.distributed`` if it is initialized, else 1.
        rank: The number of this process; by default that of ``torch.distributed``.

    An epoch uses every item of the first dataset once. Of each other dataset it uses as many as its share requires:
    different ones if there are enough, and otherwise all before one is repeated. Every batch has floor or ceiling of
    share·size items of each, the last one included (with five datasets or more, off by one if no division has that).
    Each process gets every ``num_replicas``-th batch, and all have the same number; if that isn't divisible, the first
    ones are repeated or, with ``drop_last``, the last ones are left out.

    Call ``set_epoch`` before every epoch for another order. Lightning can't create this sampler again for several
    processes: pass ``use_distributed_sampler=False`` to its Trainer.

    Raises ``InputError`` for shares that don't sum to 1 or that don't fit the datasets, a share of 0 for the first
    dataset, and datasets that are empty or aren't map-style.
    """

    def __init__(
        self,
        datasets: Sequence[Any] | Mapping[str, Any] | ConcatDataset[Any],
        shares: Sequence[float] | Mapping[str, float],
        batch_size: int,
        *,
        drop_last: bool = False,
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        super().__init__(batch_size, drop_last)
        named = _named(datasets)
        self.shares = _checked_shares(shares, list(named), isinstance(datasets, Mapping))
        self.seed, self.epoch = check_seed(seed), 0
        self.sampler: Any = self  # Lightning, Fabric and accelerate set the epoch of a batch sampler's ``sampler``
        for name, dataset in named.items():
            check_map_style(dataset, name)
        self._sizes = [len(dataset) for dataset in named.values()]
        self._totals = _totals(self._sizes, self.shares)
        if (num_replicas is None) != (rank is None):
            raise InputError("num_replicas= and rank= go together: pass both or neither.")
        if num_replicas is not None and rank is not None:
            num_replicas = as_whole(num_replicas, "num_replicas", 1)
            rank = as_whole(rank, "rank", 0, num_replicas - 1)
        self.num_replicas, self.rank = num_replicas, rank

    def set_epoch(self, epoch: int) -> None:
        """Draw another order, and other items of the datasets that have more than are used."""
        self.epoch = as_whole(epoch, "epoch", 0)

    def _total(self) -> int:
        return sum(self._totals)

    def _batches(self) -> list[list[int]]:
        rng = stream(self.seed, "batches", self.epoch)
        starts = np.cumsum([0, *self._sizes[:-1]])
        groups = [
            start + _draw(size, total, rng)
            for start, size, total in zip(starts, self._sizes, self._totals, strict=True)
        ]
        return batches_with_shares(groups, self.shares, self.batch_size, rng)

    def _rank(self) -> tuple[int, int]:
        if self.num_replicas is not None and self.rank is not None:
            return self.rank, self.num_replicas
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return 0, 1


def _named(datasets: Any) -> dict[str, Any]:
    """The datasets by name, or as "dataset 0" and so on."""
    if isinstance(datasets, Mapping):
        named = {str(name): dataset for name, dataset in datasets.items()}
    else:
        parts = datasets.datasets if isinstance(datasets, ConcatDataset) else datasets
        if not isinstance(parts, Sequence) or isinstance(parts, str):
            raise InputError(f"datasets must be a list or a mapping of map-style datasets, got {parts!r}.")
        named = {f"dataset {number}": dataset for number, dataset in enumerate(parts)}
    if not named:
        raise InputError("datasets is empty: ShareBatchSampler needs at least one dataset.")
    return named


def _checked_shares(shares: Any, names: list[str], by_name: bool) -> list[Fraction]:
    """One exact share per dataset, which sum to 1."""
    if isinstance(shares, Mapping) != by_name:
        raise InputError("datasets and shares must both be lists or both be mappings.")
    if by_name:
        exact = {str(name): as_share(share, f"the share of {name!r}") for name, share in shares.items()}
        unknown, missing = [n for n in exact if n not in names], [n for n in names if n not in exact]
        if unknown or len(missing) > 1:
            raise InputError(
                f"shares are for {', '.join(map(repr, exact))}, but the datasets are {', '.join(map(repr, names))}. "
                "Use the same names; one dataset may be left out and gets the rest."
            )
        if missing and sum(exact.values()) <= 1:
            exact[missing[0]] = 1 - sum(exact.values(), Fraction(0))
        values = [exact.get(name, Fraction(0)) for name in names]
    else:
        if not isinstance(shares, Sequence | np.ndarray) or len(shares) != len(names):
            raise InputError(f"shares must be one number per dataset, {len(names)} in all, got {shares!r}.")
        values = [as_share(share, f"the share of {name}") for name, share in zip(names, shares, strict=True)]
    total = sum(values)
    if total != 1:
        raise InputError(f"shares are of every batch and must sum to 1, but they sum to {float(total):g}.")
    if values[0] == 0:
        raise InputError("the first dataset has a share of 0, but an epoch uses each of its items once. Reorder them.")
    return values


def _totals(sizes: list[int], shares: list[Fraction]) -> list[int]:
    """How many items of each dataset an epoch has, so that all of the first one come once."""
    others = 1 - shares[0]
    count = round(sizes[0] * others / shares[0])
    if sizes[0] + count > 2**31:
        raise InputError(
            f"an epoch with each of the first dataset's {sizes[0]:,} items once would have {sizes[0] + count:.3g} "
            "items, more than 2^31. Give it a larger share."
        )
    length = sizes[0] + count
    return [sizes[0], *round_to([share * length for share in shares[1:]], count).tolist()]


def _draw(size: int, count: int, rng: np.random.Generator) -> Ints:
    """``count`` of ``size`` items in random order, all before one is repeated, int64."""
    rounds = [rng.permutation(size) for _ in range(-(-count // size))]
    return np.concatenate([np.zeros(0, dtype=np.int64), *rounds])[:count]
