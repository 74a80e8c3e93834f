"""Dividing a number of samples among classes or sources."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def largest_remainder(total: int, weights: Sequence[float]) -> Ints:
    """Divide ``total`` samples in proportion to ``weights``, int64: each class gets its quota, rounded down or up.

    Exact for integer weights. Ties go to the lower class. All zero if ``total`` is 0.
    """
    exact = [Fraction(weight) for weight in weights]
    if total == 0:
        return np.zeros(len(exact), dtype=np.int64)
    return round_to([total * weight / sum(exact) for weight in exact], total)


def round_to(quotas: Sequence[Fraction], total: int) -> Ints:
    """Each of ``quotas`` rounded down or up, ``total`` in all, int64: up for the largest fractional parts.

    ``total`` must lie between the sum of the quotas rounded down and that of the quotas rounded up. Ties go to the
    first.
    """
    counts = [math.floor(quota) for quota in quotas]
    for index in sorted(range(len(quotas)), key=lambda i: counts[i] - quotas[i])[: total - sum(counts)]:
        counts[index] += 1
    return np.array(counts, dtype=np.int64)
