"""What one arm learns from: real samples in the same order for every arm of a seed, and generated ones."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, islice

import torch
from torch import Tensor

from genaug.backends.spec import Spec
from genaug.blend.plan import generated_count, level_up
from genaug.data.apportion import largest_remainder
from genaug.data.classes import match_classes
from genaug.randomness import derive_seed
from genaug.sources.source import Source, distinct_labels, supply_of
from genaug.studies.splits import LabelledSamples

NOISE_STD = 0.1
_CHUNK = 4096


@dataclass(frozen=True)
class Part:
    """A part of a training: the share of generated samples, and which ones they are drawn from, None if there are
    none."""

    ratio: float
    generated: LabelledSamples | None

    @property
    def share(self) -> Fraction:
        """The ratio as an exact fraction; 0 without generated samples."""
        return Fraction(0) if self.generated is None else Fraction(self.ratio).limit_denominator(10**9)


class NoisyCopies:
    """The control, as a source: real samples of the requested labels plus Gaussian noise of standard deviation 0.1, for
    pixels in [0, 1] and for columns of standard deviation 1."""

    def __init__(self, real: LabelledSamples, spec: Spec) -> None:
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
        return self.spec.sample.with_noise(self._real.samples[rows], NOISE_STD, draws), labels


def class_counts(real: Tensor, ratio: float, size: int, *, fill: bool) -> Tensor:
    """How many of ``size`` generated samples are of each class, int64 (classes,), for real labels (N,).

    They have the shares of the real ones (by largest remainder) or, if ``fill``, those with which the generated share
    ``ratio`` fills up the rarest classes first, as ``MixedDataset(balance="uniform")`` does.
    """
    shares = real.bincount().numpy()
    if fill:
        present = shares > 0
        if ratio == 1:  # of generated samples only
            shares[present] = 1
        else:
            shares[present] = level_up(shares[present], generated_count(len(real), ratio, "expand"))
    return torch.from_numpy(largest_remainder(size, shares.tolist()))


def generate(
    source: Source, like: LabelledSamples, counts: Sequence[int] | Tensor, seed: int, spec: Spec
) -> LabelledSamples:
    """``counts`` samples of each class from a source, raw as ``spec`` has them, with the classes of ``like``; fewer
    from a pool that doesn't contain enough different ones.

    Raises ``InputError`` if the source lacks a class, its samples don't fit its spec, or they don't fit ``spec``.
    """
    counts = torch.as_tensor(counts)
    match = torch.from_numpy(match_classes(torch.nonzero(counts).flatten().tolist(), like.classes, source.spec))
    labels = distinct_labels(source, torch.arange(len(counts)).repeat_interleave(counts), match)
    chunk = _CHUNK if supply_of(source) is None else max(1, len(labels))  # no sample of a pool comes twice in one call
    parts = [
        draw(source, match[part], derive_seed(seed, "pool", number), spec)
        for number, part in enumerate(labels.split(chunk))
    ]
    return LabelledSamples(torch.cat(parts), labels, like.classes)


def draw(source: Source, labels: Tensor, seed: int, spec: Spec) -> Tensor:
    """A raw sample for each of the source's ``labels``, on the CPU, of the modality that ``spec`` describes.

    Raises ``InputError`` if it doesn't fit: of another size, or rows with other columns or categories.
    """
    origin, own = f"{type(source).__name__}.sample returned", source.spec.sample
    samples, _ = source.sample(labels=labels, seed=seed)
    if own == spec.sample:
        return own.check(samples, len(labels), origin).cpu()
    raw = own.check(samples, len(labels), origin).cpu()
    return spec.sample.check(own.present(raw, labels.cpu()), len(labels), origin)


def part_of(pool: LabelledSamples, counts: Tensor) -> LabelledSamples:
    """The first ``counts`` samples of each class; if the pool has too few of one, fewer of all, in the same shares."""
    available = pool.labels.bincount(minlength=len(counts))
    if bool((available <= counts).all()):
        return pool
    needed = counts > 0
    share = min(1.0, float((available[needed] / counts[needed]).min())) if needed.any() else 0.0
    if share < 1:
        counts = (counts * share).long()
    rows = [torch.nonzero(pool.labels == label)[: int(n), 0] for label, n in enumerate(counts.tolist())]
    return pool.part(torch.cat(rows))


def blended(
    real: LabelledSamples,
    parts: Sequence[Part],
    updates: int,
    batch_size: int,
    seed: int,
    *,
    oversample: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches, raw samples (batch_size, ...) and int64 labels, of which a share is generated.

    ``parts`` are the shares, in turn; each lasts for an equal part of the ``updates``, as ``Schedule.over(updates)``
    spreads numbers, and the last one goes on. Without any, all samples are real. Within a part, every batch has floor
    or ceiling of ratio · batch_size generated samples, and exactly that on average, like
    ``MixedDataset.batch_sampler``. Real and generated samples are each used up in random order before one is repeated.
    The order of the real ones depends on the seed only: with a larger ratio, the same updates show fewer of them.
    With ``oversample``, real samples of each class are shown equally often, like by a weighted sampler.
    """
    order = derive_seed(seed, "real order")
    real_rows = _by_class(real.labels, order) if oversample else _shuffled(len(real), order)
    pools = {id(part.generated): part.generated for part in parts if part.generated is not None}
    orders = {
        key: _shuffled(len(pool), derive_seed(seed, "generated order", *([number] if number else [])))
        for number, (key, pool) in enumerate(pools.items())
    }
    due = Fraction(0)  # generated samples until the current update
    for update in count():
        part = parts[min(update * len(parts) // updates, len(parts) - 1)] if parts else Part(0.0, None)
        fake, before = part.generated, due
        due += part.share * batch_size
        generated = math.floor(due) - math.floor(before)
        rows = list(islice(real_rows, batch_size - generated))
        samples, labels = real.samples[rows], real.labels[rows]
        if fake is not None and generated:
            rows = list(islice(orders[id(fake)], generated))
            samples, labels = torch.cat([samples, fake.samples[rows]]), torch.cat([labels, fake.labels[rows]])
        yield samples, labels


def _shuffled(length: int, seed: int) -> Iterator[int]:
    """The numbers below ``length``, again and again, each time in another random order."""
    draws = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(length, generator=draws).tolist()


def _by_class(labels: Tensor, seed: int) -> Iterator[int]:
    """Indices of samples, one of each class in every round, in random order; those of a class are used up in random
    order before one is repeated."""
    classes = labels.unique().tolist()
    members = [torch.nonzero(labels == label).flatten().tolist() for label in classes]
    orders = [
        _shuffled(len(rows), derive_seed(seed, "class", label)) for label, rows in zip(classes, members, strict=True)
    ]
    for position in _shuffled(len(classes), seed):
        yield members[position][next(orders[position])]
