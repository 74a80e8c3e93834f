"""Paired timings."""

import statistics
from collections.abc import Iterable

from scipy.stats import binom


def median_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """The median and its 95% interval from order statistics (binomial, without assumptions on the noise)."""
    ordered = sorted(values)
    outside = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return statistics.median(ordered), ordered[outside - 1], ordered[-outside]
