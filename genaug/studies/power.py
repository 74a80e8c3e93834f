"""The power of a study: the gain that its seeds would have shown, and the number of seeds that a gain takes."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from genaug.studies.compare import Difference, floored

POWER = 0.8
GAIN = 0.02  # a relevant gain in the metric, for which the necessary number of seeds is reported
_MOST_SEEDS = 2**13


@dataclass(frozen=True)
class Sensitivity:
    """``gain`` is the smallest gain in the metric over the best baseline that the study would have shown with a
    probability of at least ``power``; None if no gain below 1 would have been. ``seeds`` is the number of seeds that
    would show a gain of ``of`` with that probability; None if no number does, because the training images overlap too
    much."""

    gain: float | None
    seeds: int | None
    of: float = GAIN
    power: float = POWER


def power(gain: float, sd: float, n: int, *, confidence: float = 0.95, correction: float = 0.0) -> float:
    """The probability that the paired t interval of ``n`` differences lies above 0.

    ``gain`` is their true mean and ``sd`` their standard deviation; ``correction`` as in ``paired_difference``. By the
    noncentral t distribution with n - 1 degrees of freedom and noncentrality gain / (sd · sqrt(1/n + correction)).
    """
    from scipy.special import nctdtr, stdtrit

    if n < 2:
        return 0.0
    if sd == 0:
        return float(gain > 0)
    noncentrality = gain / (sd * math.sqrt(1 / n + correction))
    if noncentrality > 30:  # nctdtr loses its precision there, and nothing is left to doubt
        return 1.0
    return 1.0 - float(nctdtr(n - 1, noncentrality, stdtrit(n - 1, 0.5 + confidence / 2)))


def sensitivity(against: Sequence[Difference], *, correction: float = 0.0, resolution: float = 0.0) -> Sensitivity:
    """The gain that a study with these differences could have shown, if it must show against every baseline.

    ``against`` are the chosen arm's differences from each baseline, over the same two or more seeds; each 95% interval
    must lie above 0. The measured differences between the baselines are taken as given. All intervals lie above 0 with
    a probability of at least 1 - Σ (1 - power of each) (Bonferroni). The equation is solved for this bound, so the
    figures err on the large side.
    """
    spreads = [floored(difference.sd or 0.0, resolution) for difference in against]
    better = min(difference.mean for difference in against)
    gaps = [difference.mean - better for difference in against]

    def joint(gain: float, seeds: int) -> float:
        pairs = zip(gaps, spreads, strict=True)
        return 1 - sum(1 - power(gain + gap, sd, seeds, correction=correction) for gap, sd in pairs)

    from scipy.optimize import brentq

    n = against[0].n
    detectable = float(brentq(lambda value: joint(value, n) - POWER, 0, 1, xtol=1e-5)) if joint(1, n) > POWER else None
    seeds = 2 + bisect_left(range(2, _MOST_SEEDS + 1), True, key=lambda number: joint(GAIN, number) >= POWER)
    return Sensitivity(detectable, seeds if seeds <= _MOST_SEEDS else None)
