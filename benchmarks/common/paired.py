"""Comparisons of pairs: two classifications of the same test images, and differences over seeds."""

import statistics

import numpy as np
from scipy.stats import t as student
from torch import Tensor

RESAMPLES = 10_000


def gain(one: Tensor, other: Tensor, seed: int, resamples: int = RESAMPLES) -> tuple[float, float, float]:
    """How much more often ``one`` is right than ``other``, bool (N,), and the bounds of its 95% interval.

    The interval is that of a paired bootstrap: images are drawn with replacement, each with both of its results. Since
    an image counts -1, 0 or 1, that is the same as drawing how many of each there are.
    """
    differences = one.long() - other.long()
    counts = np.array([int((differences == value).sum()) for value in (-1, 0, 1)])
    draws = np.random.default_rng(seed).multinomial(len(differences), counts / len(differences), size=resamples)
    low, high = np.quantile((draws[:, 2] - draws[:, 0]) / len(differences), [0.025, 0.975])
    return float(differences.float().mean()), float(low), float(high)


def interval(values: list[float]) -> tuple[float, float | None, float | None]:
    """The mean and its 95% interval by Student's t; no interval for a single value."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return mean, None, None
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return mean, mean - half, mean + half
