"""Paired differences over seeds: how much an arm gained, how certain that is, and what to conclude."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from genaug.errors import InputError

Verdict = Literal["helps", "hurts", "no evidence"]


@dataclass(frozen=True)
class Summary:
    """Mean and standard deviation (with n - 1) of one arm's values; ``sd`` is None for a single value."""

    n: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Difference:
    """The paired difference, arm minus baseline, over ``n`` seeds.

    ``low`` and ``high`` bound the interval in which the mean difference lies with ``confidence``, ``p`` is the
    two-sided p-value of no difference, both by Student's t; ``effect`` is Cohen's d of paired values, mean / sd. They
    and ``sd`` are None for fewer than two seeds, and ``effect`` also if all differences are equal.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None
    confidence: float
    p: float | None = None
    effect: float | None = None

    @property
    def verdict(self) -> Verdict:
        """``helps`` or ``hurts`` if the interval lies on one side of zero, otherwise ``no evidence``."""
        if self.low is not None and self.low > 0:
            return "helps"
        if self.high is not None and self.high < 0:
            return "hurts"
        return "no evidence"

    def summary(self, baseline: str) -> str:
        """The numbers in words: values are shares, and are written in percentage points."""
        gain = f"{100 * self.mean:+.1f} points against {baseline}"
        if self.low is None or self.high is None:
            return gain
        return f"{gain} ({100 * self.confidence:.4g}% interval {100 * self.low:+.1f} to {100 * self.high:+.1f})"

    def sentence(self, arm: str, baseline: str) -> str:
        """The verdict in words."""
        numbers = f"{self.summary(baseline)}, {self.n} seed{'s' * (self.n != 1)}"
        if self.low is None or self.high is None:
            return f"{arm}: no evidence either way from one seed: {numbers}. Run more seeds."
        if self.verdict == "no evidence":
            return f"{arm}: no evidence that it helps or hurts: {numbers}."
        return f"{arm} {self.verdict}: {numbers}."


def summarize(values: Sequence[float]) -> Summary:
    """Mean and standard deviation. Raises ``InputError`` if there are no values."""
    n = len(values)
    if n == 0:
        raise InputError("there are no values to summarize.")
    mean = math.fsum(values) / n
    return Summary(n, mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else None)


def paired_difference(
    arm: Sequence[float],
    baseline: Sequence[float],
    confidence: float = 0.95,
    *,
    correction: float = 0.0,
    resolution: float = 0.0,
) -> Difference:
    """Compare two arms seed by seed: ``arm[i]`` and ``baseline[i]`` must come from the same seed.

    The interval is mean ± t · se with n - 1 degrees of freedom and se = sqrt((1/n + correction) · sd²). Without a
    correction this is Student's paired t, which takes the seeds as independent. Runs whose training images overlap
    aren't: ``overlap_correction`` gives the ``correction`` for them. ``resolution`` is the step between two possible
    values, 1 / n_test for an accuracy (``Metric.resolution``). An sd below resolution / sqrt(6), that of the rounding
    of two values, reflects rounding only and is raised to this value, so that two seeds that happen to agree prove
    nothing.

    Raises ``InputError`` for arms of different lengths, empty ones, a confidence outside (0, 1), a negative correction
    and a negative resolution.
    """
    if len(arm) != len(baseline):
        raise InputError(f"paired arms must have the same number of seeds, got {len(arm)} and {len(baseline)}.")
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}.")
    for name, value in (("correction", correction), ("resolution", resolution)):
        if not 0 <= value < math.inf:
            raise InputError(f"{name} must be finite and 0 or more, got {value}.")
    summary = summarize([a - b for a, b in zip(arm, baseline, strict=True)])
    n, mean, sd = summary.n, summary.mean, summary.sd
    if sd is None:
        return Difference(n, mean, None, None, None, confidence)
    from scipy.special import stdtr, stdtrit

    error = math.sqrt(1 / n + correction) * floored(sd, resolution)
    half = float(stdtrit(n - 1, 0.5 + confidence / 2)) * error
    p = 2 * float(stdtr(n - 1, -abs(mean) / error)) if error else float(mean == 0)
    return Difference(n, mean, sd, mean - half, mean + half, confidence, p, mean / sd if sd else None)


def floored(sd: float, resolution: float) -> float:
    """A standard deviation of differences, at least that of the rounding of the two values to ``resolution``."""
    return max(sd, resolution / math.sqrt(6))


def overlap_correction(overlap: float, variance_share: float = 1.0) -> float:
    """The term to add to 1/n because the seeds' training images overlap, while all are judged on the same test set.

    Two seeds share ``overlap`` of their training images on average (f, in [0, 1)), and ``variance_share`` of the
    variance of a difference comes from the choice of training images (v, in (0, 1]; the rest from initial weights and
    the order of batches). Then the differences of two seeds correlate by ρ = v·f, since the mean over a random n of N
    images has covariance var/N with that over another random n. The mean of n differences has the variance
    σ² (ρ + (1 - ρ) / n), and their sample variance the expectation σ² (1 - ρ): the ratio is 1/n + ρ / (1 - ρ).
    Nadeau and Bengio (2003, section 3) use the same form with ρ = n_test / (n_test + n_train) for runs that also draw
    a new test set each.

    v = 1 gives the widest interval. With ``overlap`` = 1 every seed trains on the same images, which says nothing
    about others, and 0 is returned: the interval then covers the noise of training only.

    Raises ``InputError`` for values outside these ranges.
    """
    if not 0 <= overlap <= 1:
        raise InputError(f"overlap must be a share of training images in [0, 1], got {overlap}.")
    if not 0 < variance_share <= 1:
        raise InputError(f"variance_share must lie in (0, 1], got {variance_share}.")
    correlation = variance_share * overlap
    return 0.0 if overlap == 1 else correlation / (1 - correlation)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down procedure (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Reduction:
    """The share of the baseline's error that an arm removes; the bounds are None if they are not finite."""

    mean: float
    low: float | None
    high: float | None
    confidence: float


def error_reduction(
    arm: Sequence[float], baseline: Sequence[float], confidence: float = 0.95, *, correction: float = 0.0
) -> Reduction:
    """The relative error reduction, 1 - mean error of ``arm`` / mean error of ``baseline``, of paired accuracies.

    The interval is Fieller's (1954): all reductions that the paired t-test of (error of arm - (1 - reduction) · error
    of baseline) doesn't reject; ``correction`` as in ``paired_difference``. Raises ``InputError`` if the baseline makes
    no error, and as ``paired_difference`` does.
    """
    errors, base_errors = [1 - a for a in arm], [1 - b for b in baseline]
    n = paired_difference(arm, baseline, confidence, correction=correction).n
    mean, base = math.fsum(errors) / n, math.fsum(base_errors) / n
    if base <= 0:
        raise InputError("the baseline makes no error, so there is none to reduce.")
    if n == 1:
        return Reduction(1 - mean / base, None, None, confidence)
    from scipy.special import stdtrit

    scale = float(stdtrit(n - 1, 0.5 + confidence / 2)) ** 2 * (1 / n + correction) / (n - 1)
    xx = scale * math.fsum((a - mean) ** 2 for a in errors)
    yy = scale * math.fsum((b - base) ** 2 for b in base_errors)
    xy = scale * math.fsum((a - mean) * (b - base) for a, b in zip(errors, base_errors, strict=True))
    # The ratios q with (mean - q base)² <= xx - 2 q xy + q² yy: between the roots if the quadratic opens upwards.
    square, linear, constant = base**2 - yy, mean * base - xy, mean**2 - xx
    if square <= 0:
        return Reduction(1 - mean / base, None, None, confidence)
    root = math.sqrt(max(0.0, linear**2 - square * constant))
    return Reduction(1 - mean / base, 1 - (linear + root) / square, 1 - (linear - root) / square, confidence)
