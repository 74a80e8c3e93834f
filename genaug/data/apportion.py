"""Dividing a number of samples among classes."""

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
    quotas = [total * weight / sum(exact) for weight in exact]
    counts = [math.floor(quota) for quota in quotas]
    for label in sorted(range(len(exact)), key=lambda c: counts[c] - quotas[c])[: total - sum(counts)]:
        counts[label] += 1
    return np.array(counts, dtype=np.int64)
