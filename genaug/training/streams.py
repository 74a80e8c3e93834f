"""What a training step draws: batches, latents, random numbers. They depend on (seed, step) only.

A resumed run therefore draws what an uninterrupted one would have, and no random state is saved. Everything is drawn
for the global batch and then sliced by rank, so that it doesn't depend on the number of processes either.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from genaug.backends.backend import Batch, Fakes, Inputs
from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.reading import Samples
from genaug.device import autocast
from genaug.nn.diffaugment import augment
from genaug.randomness import derive_seed
from genaug.training.distributed import World

_ENCODED_BYTES = 2**30  # of samples that are encoded once


class _Order:
    """The numbers below ``count`` in an endless, seeded order: consecutive permutations."""

    def __init__(self, count: int, seed: int, stream: str, device: torch.device) -> None:
        self._count, self._seed, self._stream, self._device = count, seed, stream, device
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def part(self, start: int, stop: int) -> Tensor:
        """Those at the positions from ``start`` to ``stop``."""
        parts = []
        while start < stop:
            epoch, offset = divmod(start, self._count)
            parts.append(self._permutation(epoch)[offset : offset + stop - start])
            start += len(parts[-1])
        return torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self._seed, self._stream, epoch))
            order = torch.randperm(self._count, generator=generator)
            self._epoch, self._order = epoch, order.to(self._device)  # once per epoch
        return self._order


class _BalancedOrder(_Order):
    """Row numbers in an endless, seeded order, in which classes have the given shares.

    An epoch has as many rows as the data. The rows of each class come from consecutive permutations of its own.
    """

    def __init__(self, labels: Tensor, shares: Tensor, seed: int, stream: str, device: torch.device) -> None:
        super().__init__(len(labels), seed, stream, device)
        labels = labels.cpu()
        self._counts = largest_remainder(len(labels), shares.tolist()).tolist()
        self._members = [torch.nonzero(labels == label).flatten() for label in range(len(shares))]
        cpu = torch.device("cpu")
        self._orders = [
            _Order(len(members), seed, f"{stream}, class {label}", cpu) for label, members in enumerate(self._members)
        ]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            parts = [
                members[order.part(epoch * count, (epoch + 1) * count)]
                for members, order, count in zip(self._members, self._orders, self._counts, strict=True)
                if count
            ]
            generator = torch.Generator().manual_seed(derive_seed(self._seed, self._stream, epoch))
            rows = torch.cat(parts)
            self._epoch = epoch
            self._order = rows[torch.randperm(len(rows), generator=generator)].to(self._device)
        return self._order


class Batches:
    """Real batches in an endless, seeded order: consecutive permutations of the data, divided into batches.

    If only some samples have labels, batches alternate between a labeled sample, from permutations of these, and one
    from permutations of all samples, whose label is hidden (-1): half of each batch teaches classes, and the other half
    represents the data (as in Salimans et al. 2016, section 5, whose code draws two batches).

    In unpaired data, samples and conditions come from permutations of their own, and all about labels is about the
    conditions, whose labels they are.

    With ``shares``, weights of the classes (K,), 0 for one without samples, classes are as frequent in batches as these
    say; all samples must have labels then.
    """

    def __init__(
        self,
        data: Samples,
        spec: Spec,
        batch_size: int,
        seed: int,
        device: torch.device,
        world: World,
        shares: Tensor | None = None,
    ) -> None:
        self._sample, self._device = spec.sample, device
        self._x = data.x if data.is_mapped else data.x.to(device)
        size = 4 * len(data.x) * prod(spec.sample.encoded_shape)
        self._encoded = spec.sample.encode(self._x) if spec.sample.encodes_once and size <= _ENCODED_BYTES else None
        self._labels = data.labels.to(device) if spec.takes_labels and data.labels is not None else None
        self._targets = None if data.targets is None else data.targets.to(device)
        self._conditions = {c.name: (c.sample, data.conditions[c.name].to(device)) for c in spec.conditions}
        self._batch_size, self._world = batch_size, world
        rows = [len(values) for _, values in self._conditions.values()] if data.unpaired else []
        self._count = rows[0] if rows else len(self._x)
        self._partners = _Order(len(self._x), seed, "order of partners", device) if rows else None
        self._order = _Order(self._count, seed, "order", device)
        if shares is not None and self._labels is not None:
            self._order = _BalancedOrder(self._labels, shares, seed, "order", device)
        labeled = torch.empty(0) if self._labels is None else torch.nonzero(self._labels >= 0).flatten()
        self._labeled = labeled if 0 < len(labeled) < self._count else None
        self._labeled_order = _Order(len(labeled), seed, "order of labeled samples", device)

    def batch(self, index: int) -> Batch:
        """This process's slice of the ``index``-th batch of the run."""
        rows, labels = self._global(index)
        rows = partners = self._world.local(rows)
        if self._partners is not None:
            start = index * self._batch_size
            partners = self._world.local(self._partners.part(start, start + self._batch_size))
        return Batch(
            self._sample.encode(self._samples(partners)) if self._encoded is None else self._encoded[partners],
            None if labels is None else self._world.local(labels),
            {name: sample.encode(x[rows]) for name, (sample, x) in self._conditions.items()},
            None if self._targets is None else self._targets[rows],
        )

    def _samples(self, rows: Tensor) -> Tensor:
        """The raw samples of these rows, on the training's device."""
        return self._x[rows.to(self._x.device)].to(self._device)

    def _global(self, index: int) -> tuple[Tensor, Tensor | None]:
        """The samples of a batch and their labels, int64 (batch size,)."""
        others = self._batch_size if self._labeled is None else self._batch_size // 2
        rows = self._order.part(index * others, (index + 1) * others) if others else None
        if self._labels is None or self._labeled is None:
            assert rows is not None
            return rows, None if self._labels is None else self._labels[rows]
        labeled = self._batch_size - others
        mixed = torch.empty(self._batch_size, dtype=torch.int64, device=self._device)
        mixed[::2] = self._labeled[self._labeled_order.part(index * labeled, (index + 1) * labeled)]
        labels = torch.full_like(mixed, -1)
        labels[::2] = self._labels[mixed[::2]]
        if rows is not None:
            mixed[1::2] = rows
        return mixed, labels


class TrainingStep:
    """The trainer's implementation of ``genaug.backends.Step``; one object serves all steps of a run."""

    def __init__(
        self,
        config: Any,
        spec: Spec,
        parameters: Sequence[nn.Parameter],
        *,
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
        world: World,
        policy: tuple[str, ...],
    ) -> None:
        self.config, self.spec, self.index = config, spec, 0
        self._parameters = parameters
        self._fakes: Fakes | None = None
        self._seed, self._device, self._world, self._policy = seed, device, world, policy
        self._dtype = dtype
        self._generator = torch.Generator(device)

    def begin(self, index: int) -> None:
        """Start step ``index`` with its own random streams; torch's global RNG is seeded too, for layers such as
        dropout, differently in each process."""
        self.index, self._fakes = index, None
        self._generator.manual_seed(derive_seed(self._seed, "step", index))
        seed_layers(derive_seed(self._seed, "layers", index, self._world.rank), self._device)

    def latents(self, n: int) -> dict[str, Tensor]:
        return {latent.name: latent.draw(self, n) for latent in self.spec.latents}

    def inputs(self, batch: Batch) -> Inputs:
        n = len(batch.x)
        return Inputs(self.latents(n), batch.labels, lambda *shape: self.normal(n, *shape), batch.conditions)

    def fakes(self, make: Callable[[], Fakes]) -> Fakes:
        if self._fakes is None:
            frozen = [parameter for parameter in self._parameters if not parameter.requires_grad]
            for parameter in frozen:
                parameter.requires_grad_(True)
            try:
                self._fakes = make()
            finally:
                for parameter in frozen:
                    parameter.requires_grad_(False)
        return self._fakes

    def normal(self, *shape: int) -> Tensor:
        return self._world.local(torch.randn(self._global(shape), generator=self._generator, device=self._device))

    def uniform(self, *shape: int) -> Tensor:
        return self._world.local(torch.rand(self._global(shape), generator=self._generator, device=self._device))

    def augment(self, images: Tensor) -> Tensor:
        return augment(images, self._policy, self.uniform)

    def float32(self) -> AbstractContextManager[object]:
        return autocast(torch.float32, self._device)

    def networks(self) -> AbstractContextManager[object]:
        """The context in which losses are computed: autocast to the run's precision."""
        return autocast(self._dtype, self._device)

    def _global(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0] * self._world.size, *shape[1:])


def seed_layers(seed: int, device: torch.device) -> None:
    """Seed torch's global RNGs of the CPU and of the run's device; those of other devices aren't touched."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
