"""Batches in which each of several groups of items has the same share: arithmetic and drawing, without a dataset."""

import math
from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np

from genaug.data.apportion import Ints
from genaug.errors import InputError


def as_number(value: Any, name: str = "ratio") -> Any:
    """A share as a number that Fraction takes: NumPy's are read as they print, so that float32's 0.3 is 0.3.

    Raises ``InputError`` for anything but a real number.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{name} must be a number, got {value!r}.")
    return float(str(value)) if isinstance(value, np.number) else value


def as_share(value: Any, name: str) -> Fraction:
    """A number from 0 to 1 as an exact fraction, so that 0.3 of 10 is 3. Raises ``InputError`` for anything else."""
    number = as_number(value, name)
    if not 0 <= number <= 1:  # false for NaN too
        raise InputError(f"{name} must be a number from 0 to 1, got {value!r}.")
    return Fraction(number).limit_denominator(10**9)


def generated_in_batches(sizes: Ints, generated: int, ratio: Fraction, rng: np.random.Generator) -> Ints:
    """How many generated samples each batch gets, int64: floor or ceiling of ratio·size, ``generated`` in all.

    Needs ``generated`` to be a nearest integer to ratio·sizes.sum(). Which batches round up is drawn at random.
    """
    exact = [ratio * int(size) for size in sizes]
    counts = np.array([math.floor(share) for share in exact], dtype=np.int64)
    rounded = np.flatnonzero([share.denominator > 1 for share in exact])
    counts[rng.permutation(rounded)[: generated - int(counts.sum())]] += 1
    return counts


def counts_in_batches(
    totals: Sequence[int], shares: Sequence[Fraction], batch_size: int, rng: np.random.Generator
) -> Ints:
    """How many items of each group every batch gets, int64 (batches, groups), ``totals`` in all.

    ``shares`` sum to 1, and ``totals[g]`` is share·sum(totals), rounded down or up. All batches have ``batch_size``
    items, except for the last one if that doesn't divide their number. Each count is then floor or ceiling of
    share·size. Rarely, with five groups or more, no such counts exist; some are then off by one.
    """
    sizes = _sizes(sum(totals), batch_size)
    if len(totals) == 2:
        first = generated_in_batches(sizes, totals[0], shares[0], rng)
        return np.stack([first, sizes - first], axis=1)
    counts = np.zeros((len(sizes), len(totals)), dtype=np.int64)
    remaining = np.asarray(totals, dtype=np.int64)
    full, last = divmod(sum(totals), batch_size)
    if last:
        counts[-1] = _last_batch(remaining, shares, batch_size, full, last, rng)
        remaining = remaining - counts[-1]
    if full:
        # The items that can't be divided among the full batches are listed group by group, and item j goes to batch j
        # modulo their number: no batch gets two of a group, and all get the same number.
        extra = np.repeat(np.arange(len(totals)), remaining % full)
        rows = rng.permutation(full)[np.arange(len(extra)) % full]
        counts[:full] = remaining // full
        np.add.at(counts, (rows, extra), 1)
    return counts


def _last_batch(
    totals: Ints, shares: Sequence[Fraction], batch_size: int, full: int, size: int, rng: np.random.Generator
) -> Ints:
    """Counts of a last batch of ``size`` items that leave a multiple of ``full`` batches with exact shares."""
    pairs = list(zip(totals.tolist(), shares, strict=True))
    least = [max(math.floor(s * size), total - full * math.ceil(s * batch_size)) for total, s in pairs]
    most = [min(math.ceil(s * size), total - full * math.floor(s * batch_size)) for total, s in pairs]
    counts = np.array(least, dtype=np.int64)
    open_groups = rng.permutation(np.flatnonzero(np.array(most) > counts))
    counts[open_groups[: max(0, size - int(counts.sum()))]] += 1
    excess = counts - np.array([float(share * size) for share in shares])
    while int(counts.sum()) > size:  # the rare case
        group = int(np.argmax(np.where(counts > 0, excess, -np.inf)))
        counts[group] -= 1
        excess[group] -= 1
    while int(counts.sum()) < size:
        group = int(np.argmin(np.where(counts < totals, excess, np.inf)))
        counts[group] += 1
        excess[group] += 1
    return counts


def batches_with_shares(
    groups: Sequence[Ints], shares: Sequence[Fraction], batch_size: int, rng: np.random.Generator
) -> list[list[int]]:
    """All items of the groups in random order, in batches as ``counts_in_batches`` has them."""
    counts = counts_in_batches([len(group) for group in groups], shares, batch_size, rng)
    columns = [
        np.split(rng.permutation(group), np.cumsum(column)) for group, column in zip(groups, counts.T, strict=True)
    ]
    return [
        rng.permutation(np.concatenate([column[batch] for column in columns])).tolist() for batch in range(len(counts))
    ]


def _sizes(total: int, batch_size: int) -> Ints:
    """The sizes of all batches, int64."""
    return np.diff(np.append(np.arange(0, total, batch_size), total))
