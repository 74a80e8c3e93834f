"""Batches for one arm: real images in the same order for every arm of a seed, mixed with generated ones."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import count, islice

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
_CHUNK = 4096


class NoisyCopies:
    """The control, as a source: real images of the requested labels plus Gaussian pixel noise of standard deviation
    0.1, for pixels in [0, 1]."""

    def __init__(self, real: Images, spec: Spec) -> None:
        self._real, self.spec = real, spec

    def sample(
        self, n: int | None = None, *, labels: Tensor | None = None, seed: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        draws = torch.Generator().manual_seed(derive_seed(seed or 0, "noise"))
        if labels is None:
            labels = self._real.labels[torch.randint(len(self._real), (n or 0,), generator=draws)]
        rows = torch.empty_like(labels)
        for label in labels.unique().tolist():
            candidates, requested = torch.nonzero(self._real.labels == label).flatten(), labels == label
            rows[requested] = candidates[torch.randint(len(candidates), (int(requested.sum()),), generator=draws)]
        clean = to_float(self._real.images[rows])
        noisy = clean + NOISE_STD * torch.randn(clean.shape, generator=draws)
        return noisy.clamp(0, 1).mul(255).round().to(torch.uint8), labels


def generate(source: Source, like: Images, size: int, seed: int) -> Images:
    """``size`` images from a source, with the labels and class shares of ``like`` (by largest remainder); fewer from a
    pool that doesn't contain enough different ones.

    Raises ``InputError`` if the source lacks a class or its samples don't fit its spec.
    """
    match = torch.from_numpy(match_classes(like.labels.unique().tolist(), like.classes, source.spec))
    counts = torch.from_numpy(largest_remainder(size, like.labels.bincount().tolist()))
    labels = distinct_labels(source, torch.arange(len(counts)).repeat_interleave(counts), match)
    chunk = _CHUNK if supply_of(source) is None else size  # no image of a pool comes twice in one call
    parts = [
        checked_sample(source, len(part), match[part], derive_seed(seed, "pool", number)).cpu()
        for number, part in enumerate(labels.split(chunk))
    ]
    return Images(torch.cat(parts), labels, like.classes)


def blended(
    real: Images, fake: Images | None, ratio: float, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches, uint8 (batch_size, C, H, W) and int64 labels, with the share ``ratio`` of generated images.

    Every batch has floor or ceiling of ratio · batch_size generated images, and exactly that on average, like
    ``MixedDataset.batch_sampler``. Real and generated images are each used up in random order before one is repeated.
    The order of the real ones depends on the seed only: with a larger ratio, the same updates show fewer of them.
    """
    share = Fraction(ratio).limit_denominator(10**9) * batch_size if fake is not None else Fraction(0)
    real_rows = _shuffled(len(real), derive_seed(seed, "real order"))
    fake_rows = _shuffled(0 if fake is None else len(fake), derive_seed(seed, "generated order"))
    for update in count():
        generated = math.floor((update + 1) * share) - math.floor(update * share)
        rows = list(islice(real_rows, batch_size - generated))
        images, labels = real.images[rows], real.labels[rows]
        if fake is not None and generated:
            rows = list(islice(fake_rows, generated))
            images, labels = torch.cat([images, fake.images[rows]]), torch.cat([labels, fake.labels[rows]])
        yield images, labels


def _shuffled(length: int, seed: int) -> Iterator[int]:
    """The numbers below ``length``, again and again, each time in another random order."""
    draws = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(length, generator=draws).tolist()
