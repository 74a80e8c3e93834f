"""Batches for one arm: real images in the same order for every arm of a seed, and generated ones in between."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import count

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.data.apportion import largest_remainder
from genaug.data.classes import match_classes
from genaug.modalities.image import to_float
from genaug.randomness import derive_seed
from genaug.sources.source import Source, checked_sample, distinct_labels, supply_of
from genaug.studies.splits import Images

NOISE_STD = 0.1
_AT_ONCE = 4096


class NoisyCopies:
    """The control, as a source: real images of the wanted labels with Gaussian pixel noise of standard deviation .1,
    in units of [0, 1], added."""

    def __init__(self, real: Images, spec: Spec) -> None:
        self._real, self._spec = real, spec

    @property
    def spec(self) -> Spec:
        return self._spec

    def sample(
        self, n: int | None = None, *, labels: Tensor | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        draws = torch.Generator().manual_seed(derive_seed(seed or 0, "noise"))
        if labels is None:
            labels = self._real.labels[torch.randint(len(self._real), (n or 0,), generator=draws)]
        rows = torch.empty_like(labels)
        for label in labels.unique().tolist():
            members, wanted = torch.nonzero(self._real.labels == label).flatten(), labels == label
            rows[wanted] = members[torch.randint(len(members), (int(wanted.sum()),), generator=draws)]
        clean = to_float(self._real.images[rows])
        noisy = clean + NOISE_STD * torch.randn(clean.shape, generator=draws)
        return noisy.clamp(0, 1).mul(255).round().to(torch.uint8), labels


def generate(source: Source, like: Images, size: int, seed: int) -> Images:
    """``size`` images from a source, with the class shares of ``like`` (by largest remainder) and its labels; of a pool
    no more than it has without one that comes twice.

    Raises ``InputError`` where the source lacks a class or makes what its spec doesn't say.
    """
    present = like.labels.unique().tolist()
    match = torch.from_numpy(match_classes(present, like.classes, source.spec))
    shares = largest_remainder(size, like.labels.bincount().tolist())
    labels = torch.from_numpy(shares).new_tensor(range(len(shares))).repeat_interleave(torch.from_numpy(shares))
    labels = distinct_labels(source, labels, match)
    at_once = _AT_ONCE if supply_of(source) is None else size
    parts = [
        checked_sample(source, len(part), match[part], derive_seed(seed, "pool", number)).cpu()
        for number, part in enumerate(labels.split(at_once))
    ]
    return Images(torch.cat(parts), labels, like.classes)


def blended(
    real: Images, made: Images | None, ratio: float, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, uint8 (batch_size, C, H, W) and int64 labels, of which ``ratio`` is generated.

    Every batch has floor or ceiling of ratio · batch_size generated images, on average exactly, as
    ``MixedDataset.batch_sampler`` has. Each kind runs through all its images in random order before one comes again.
    The order of the real ones depends on the seed only: with less room for them, as many updates show fewer.
    """
    share = Fraction(ratio).limit_denominator(10**9) * batch_size if made is not None else Fraction(0)
    reals = _Shuffled(len(real), derive_seed(seed, "real order"))
    fakes = _Shuffled(len(made), derive_seed(seed, "generated order")) if made is not None else None
    for update in count():
        room = math.floor((update + 1) * share) - math.floor(update * share)
        rows = reals.take(batch_size - room)
        images, labels = real.images[rows], real.labels[rows]
        if made is not None and fakes is not None and room:
            rows = fakes.take(room)
            images, labels = torch.cat([images, made.images[rows]]), torch.cat([labels, made.labels[rows]])
        yield images, labels


class _Shuffled:
    """The numbers below ``length`` in random order, again and again, each time in another."""

    def __init__(self, length: int, seed: int) -> None:
        self._length, self._draws = length, torch.Generator().manual_seed(seed)
        self._left = torch.empty(0, dtype=torch.int64)

    def take(self, wanted: int) -> Tensor:
        while len(self._left) < wanted:
            self._left = torch.cat([self._left, torch.randperm(self._length, generator=self._draws)])
        taken, self._left = self._left[:wanted], self._left[wanted:]
        return taken
