"""Dividing a number of samples among classes."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def largest_remainder(total: int, weights: Sequence[float]) -> Ints:
    """``total`` things divided in proportion to ``weights``, int64: each class gets its quota rounded down or up.

    Exact for integer weights. Ties go to the lower class. All zero where ``total`` is 0.
    """
    exact = [Fraction(weight) for weight in weights]
    whole = sum(exact)
    if total == 0:
        return np.zeros(len(exact), dtype=np.int64)
    quotas = [total * weight / whole for weight in exact]
    floors = [math.floor(quota) for quota in quotas]
    order = sorted(range(len(exact)), key=lambda c: floors[c] - quotas[c])
    for c in order[: total - sum(floors)]:
        floors[c] += 1
    return np.array(floors, dtype=np.int64)
