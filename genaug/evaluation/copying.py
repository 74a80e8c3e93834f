"""Does a generator copy its training set? Its samples' distances to it, compared with those of new real samples."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from torch import Tensor

from genaug.checks import as_whole
from genaug.device import torch_defaults
from genaug.evaluation.arrays import Interval, check_features
from genaug.evaluation.c_t import Floats, Ints, c_t, cell_distances
from genaug.nn.neighbours import nearest
from genaug.randomness import check_seed, derive_seed

LEAST = 200
_HELD_OUT_PER_CELL, _TRAIN_PER_CELL, _MOST_CELLS = 100, 20, 50
_CHANCE = 0.01  # the quantile of the held-out samples' nearness below which a sample counts as copied
_MOST_COPIED, _LEAST_RATIO = 0.05, 0.85
_FEWEST_COPIES = 2  # a single coincidence decides nothing
_PRACTICALLY_NEVER = 0.001  # the quantile of the held-out samples' nearness below which a sample is a near duplicate
RULE = (
    f"fails if at least {_FEWEST_COPIES} generated samples are identical to a training sample, or nearer to one than "
    f"all but {_PRACTICALLY_NEVER:.1%} of the real held-out samples are, and their share is larger than among real "
    f"samples; if more than {_MOST_COPIED:.0%} of them lie nearer to a training sample, relative to a held-out one, "
    f"than {1 - _CHANCE:.0%} of the real held-out samples do; or if the nearest-neighbor ratio is below "
    f"{_LEAST_RATIO}. In each case the entire 95% interval has to lie beyond the limit"
)


class Copying(TypedDict):
    """The result of ``copying``; each ``low`` and ``high`` bound a 95% bootstrap interval.

    ``c_t`` is 0 on average for new real samples and far below 0 for copies; ``z`` is ``c_t`` over its standard
    deviation for new real samples. ``nearest_ratio`` is 1 for new real samples and 0 for copies. ``copied`` is the
    share of generated samples that count as copies, about 0.01 for new real ones. ``exact`` is the share that is
    identical to a training sample, ``near`` the share that is nearer to one than held-out samples practically ever
    are, with 95% intervals of Clopper and Pearson (1934); ``exact_limit`` and ``near_limit`` are the shares that real
    samples may have.
    """

    c_t: float
    c_t_low: float
    c_t_high: float
    z: float
    cells: int
    nearest_ratio: float
    nearest_ratio_low: float
    nearest_ratio_high: float
    copied: float
    copied_low: float
    copied_high: float
    exact: float
    exact_low: float
    exact_high: float
    exact_limit: float
    near: float
    near_low: float
    near_high: float
    near_limit: float
    passed: bool


@torch_defaults()
def copying(
    train: Any, held_out: Any, fake: Any, *, cells: int | None = None, bootstrap: int = 200, seed: int = 0
) -> Copying:
    """Compare how near generated and real held-out samples lie to the training set, given features (N, d) of each.

    * C_T of Meehan et al. 2020 (section 3): the training set is cut into ``cells`` by k-means. In each, the z-scored
      Mann-Whitney statistic compares the generated samples' distances to the cell's nearest training sample with the
      held-out ones'; C_T is the mean over the cells, weighted by their share of held-out samples. Cells with fewer
      than 20 generated or 10 held-out samples are left out; if none remains, all samples are compared at once. The
      default is one cell per 100 held-out samples, but at most one per 20 training samples, 1 to 50. C_T also falls
      below 0 for samples that are more typical than real ones, and above 0 for poor ones, so it decides nothing.
    * The nearest-neighbor ratio: the distance to the nearest training sample over that to the nearest held-out one;
      the median over generated samples, divided by that over the held-out samples themselves. How typical or poor
      samples are cancels out, and so do the sizes of the two sets.
    * ``copied``: the share of generated samples whose own ratio is below all but 1% of the held-out samples' ratios.
    * ``exact``: the share of generated samples that equal a training sample in every feature. Real samples may do so
      too, in data with duplicates: ``exact_limit`` is the share of held-out and training samples that equal another
      training sample, but at most the upper limit of the held-out samples' own share, so that a training set whose
      samples were repeated on purpose excuses no copies.
    * ``near``: the share of generated samples whose own ratio is below that of all but 0.1% of the held-out samples
      (of all of them, if there are fewer than 2,000). The number of new samples below the m-th smallest of n ratios
      follows a distribution that doesn't depend on the data, Beta(m, n + 1 - m); ``near_limit`` is its 97.5% quantile.
    * ``passed``: false if the entire interval of ``exact`` or of ``near`` lies above its limit and at least two
      samples are affected, if that of ``copied`` lies above 0.05 or that of the ratio below 0.85, and if any of these
      figures is NaN. These limits are our own choice; ``benchmarks/studies/copying_check.py`` measures what they
      detect.

    Held-out samples must be drawn as the training samples were: if they come from other cameras, patients or writers,
    they lie nearer to each other than to the training set, and a generator that copies nothing looks bad.

    Intervals come from ``bootstrap`` resamples of the generated and the held-out samples, with the training set fixed;
    without resamples both ends are the value itself. Copies are found in the given features. A network trained on
    ``train`` itself sets the training samples apart from all others, so use pixels or a network trained on other data.

    Raises ``InputError`` for fewer than 200 held-out or generated samples, an empty training set, NaN and infinity,
    different widths, and ``cells`` below 1 or above the number of training samples.
    """
    return copying_and_nearness(train, held_out, fake, cells=cells, bootstrap=bootstrap, seed=seed)[0]


def copying_and_nearness(
    train: Any,
    held_out: Any,
    fake: Any,
    *,
    cells: int | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    identity: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Copying, Floats]:
    """As ``copying``, and how near to the training set each generated sample lies (``relative_nearness``).

    ``identity`` are the arrays of the three sides by which samples are identical, if not the features: uint8 images.
    """
    (train,) = check_features({"training": train}, 1, "the copying check")
    held_out, fake = check_features({"held-out": held_out, "generated": fake}, LEAST, "the copying check")
    check_features({"training": train[:1], "held-out": held_out[:1]}, 1, "the copying check")  # compares the widths
    by_size = max(1, min(len(held_out) // _HELD_OUT_PER_CELL, len(train) // _TRAIN_PER_CELL, _MOST_CELLS))
    cells = by_size if cells is None else as_whole(cells, "cells", 1, len(train))
    sides = cell_distances(train, held_out, fake, cells, check_seed(seed))
    nearness = relative_nearness(train, held_out, fake)
    rows = np.arange(len(held_out)), np.arange(len(fake))
    draws = np.random.Generator(np.random.Philox(key=derive_seed(seed, "copying")))
    resamples = []
    for _ in range(bootstrap):
        sample_rows = [np.sort(draws.integers(len(side), size=len(side))) for side in rows]
        resamples.append((c_t(*sides, *sample_rows).mean, *_ratios(nearness, *sample_rows)))
    statistic = c_t(*sides, *rows)
    ratio, copied = _ratios(nearness, *rows)
    low, high = np.quantile(resamples, [0.025, 0.975], axis=0) if bootstrap else [(statistic.mean, ratio, copied)] * 2
    exact, near = _exact_copies(*(identity or (train, held_out, fake))), _near_duplicates(*nearness)
    result: Copying = {
        "c_t": statistic.mean,
        "c_t_low": float(low[0]),
        "c_t_high": float(high[0]),
        "z": statistic.z,
        "cells": statistic.cells,
        "nearest_ratio": ratio,
        "nearest_ratio_low": float(low[1]),
        "nearest_ratio_high": float(high[1]),
        "copied": copied,
        "copied_low": float(low[2]),
        "copied_high": float(high[2]),
        "exact": exact.number / len(fake),
        "exact_low": exact.interval.low,
        "exact_high": exact.interval.high,
        "exact_limit": exact.limit,
        "near": near.number / len(fake),
        "near_low": near.interval.low,
        "near_high": near.interval.high,
        "near_limit": near.limit,
        "passed": False,
    }
    result["passed"] = not (
        any(math.isnan(value) for value in result.values() if isinstance(value, float))
        or result["copied_low"] > _MOST_COPIED
        or result["nearest_ratio_high"] < _LEAST_RATIO
        or any(kind.number >= _FEWEST_COPIES and kind.interval.low > kind.limit for kind in (exact, near))
    )
    return result, nearness[1]


class _Copies(NamedTuple):
    """How many generated samples are copies, the 95% interval of their share, and the share that real ones may have."""

    number: int
    interval: Interval
    limit: float


def _exact_copies(train: Tensor, held_out: Tensor, fake: Tensor) -> _Copies:
    counts = Counter(_digests(train))
    copies, coincidences = (sum(digest in counts for digest in _digests(side)) for side in (fake, held_out))
    duplicates = sum(count for count in counts.values() if count > 1)
    usual = (coincidences + duplicates) / (len(held_out) + len(train))
    limit = min(usual, share_bounds(coincidences, len(held_out)).high)  # repeating images on purpose excuses nothing
    return _Copies(copies, share_bounds(copies, len(fake)), limit)


def _digests(rows: Tensor) -> Iterator[bytes]:
    """A hash per row, the same for equal rows only: -0 equals 0, and a number is the same in every dtype."""
    for row in rows.flatten(1):
        yield hashlib.sha256((row.to(torch.float64) + 0.0).numpy().data).digest()


def _near_duplicates(held_out: Floats, fake: Floats) -> _Copies:
    """``held_out`` and ``fake`` are the sides' nearness (``relative_nearness``)."""
    from scipy.stats import beta

    rank = max(1, int(_PRACTICALLY_NEVER * len(held_out)))
    count = int((fake < np.sort(held_out)[rank - 1]).sum())
    return _Copies(count, share_bounds(count, len(fake)), float(beta.ppf(0.975, rank, len(held_out) + 1 - rank)))


def share_bounds(count: int, total: int) -> Interval:
    """95% interval of the share ``count / total``: Clopper and Pearson 1934, exact also for small counts and for 0."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, total - count)) if count < total else 1.0
    return Interval(low, high)


def relative_nearness(train: Tensor, held_out: Tensor, fake: Tensor) -> tuple[Floats, Floats]:
    """d(x, train) / (d(x, train) + d(x, held-out)) of each held-out sample (which isn't its own neighbor) and of each
    generated one, in [0, 1]: 0 for a copy of a training sample, 1 for a copy of a held-out one, 1/2 for both."""
    sides = []
    for side, same in ((held_out, True), (fake, False)):
        to_train = nearest(side, train)[0].numpy()
        total = to_train + nearest(side, held_out, same=same)[0].numpy()
        sides.append(np.divide(to_train, total, out=np.full(len(side), 0.5), where=total > 0))
    return sides[0], sides[1]


def _ratios(nearness: tuple[Floats, Floats], held_out_rows: Ints, fake_rows: Ints) -> tuple[float, float]:
    """The nearest-neighbor ratio and the copied share."""
    held_out, fake = nearness[0][held_out_rows], nearness[1][fake_rows]
    usual = float(np.median(held_out))
    ratio = _odds(float(np.median(fake))) / _odds(usual) if usual > 0 else math.nan
    return ratio, float((fake <= np.quantile(held_out, _CHANCE, method="inverted_cdf")).mean())


def _odds(nearness: float) -> float:
    """d(x, train) / d(x, held-out)."""
    return nearness / (1 - nearness) if nearness < 1 else math.inf
