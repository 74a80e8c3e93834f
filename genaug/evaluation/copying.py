"""Does a generator copy its training set? Distances to it, against those of real samples that it has not seen."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.evaluation.arrays import Interval, check_features
from genaug.evaluation.neighbours import nearest
from genaug.randomness import check_seed, derive_seed

LEAST = 200
# A cell counts where it holds at least so many generated samples (the authors' tau times their number) and so many
# held-out ones (enough for U to be about normal).
_FEWEST_GENERATED, _FEWEST_HELD_OUT = 20, 10
_HELD_OUT_A_CELL, _TRAIN_A_CELL, _MOST_CELLS = 100, 20, 50
_FOR_CELLS = 10_000
_CHANCE = 0.01  # the quantile of the held-out samples' nearness that a copy must fall below
_COPIES, _NEAREST_RATIO = 0.05, 0.85
_FEWEST_COPIES = 2  # one coincidence decides nothing
_PRACTICALLY_NEVER = 0.001  # the quantile of the held-out samples' nearness below which a sample is a near duplicate
RULE = (
    f"fails if at least {_FEWEST_COPIES} generated samples are identical to a training sample, or nearer to one than "
    f"all but {_PRACTICALLY_NEVER:.1%} of the real held-out samples are, and their share is above what real samples "
    f"have; if more than {_COPIES:.0%} of them lie nearer to a training sample, relative to a held-out one, than "
    f"{1 - _CHANCE:.0%} of the real held-out samples do; or if the nearest-neighbour ratio is below "
    f"{_NEAREST_RATIO}: in each case the whole 95 % interval"
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Copying(TypedDict):
    """What ``copying`` found; each ``low`` and ``high`` bound a 95 % bootstrap interval.

    ``c_t`` is 0 on average for fresh real samples and far below 0 for copies; ``z`` is ``c_t`` over its standard
    deviation for fresh samples. ``nearest_ratio`` is 1 for fresh real samples and 0 for copies. ``copied`` is the
    share of generated samples that count as copies, about .01 for fresh real ones. ``exact`` is the share that is
    identical to a training sample, ``near`` the share that is nearer to one than held-out samples practically ever are,
    with 95 % intervals of Clopper and Pearson (1934); ``exact_limit`` and ``near_limit`` are the shares that real
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
    """Compare generated with real held-out samples by how near they lie to the training set; features (N, d) of each.

    * C_T of Meehan et al. 2020 (section 3): the training set is cut into ``cells`` by k-means; in each, the z-scored
      Mann-Whitney statistic of the generated samples' distances to the cell's nearest training sample, against the
      held-out ones'; then the mean over the cells, weighted by their share of held-out samples. Cells with fewer than
      20 generated or 10 held-out samples are left out; where none is left, all samples are compared at once. By
      default a cell for each 100 held-out samples, 1 to 50. It also falls below 0 for samples that are more typical
      than real ones, and above 0 for poor ones, so it decides nothing.
    * The nearest-neighbour ratio: the distance to the nearest training sample over that to the nearest held-out one;
      the median over generated samples, over the same of the held-out samples themselves. How typical or poor
      samples are cancels out, and so do the sizes of the two sets.
    * ``copied``: the share of generated samples whose own ratio is below all but 1 % of the held-out samples' ratios.
    * ``exact``: the share of generated samples that equal a training sample in every feature. Real samples may do so
      too, in data that hold some twice: ``exact_limit`` is the share of held-out and training samples that equal
      another training sample, but no more than the upper limit of the held-out samples' own share, so that a training
      set whose samples were repeated on purpose excuses no copies.
    * ``near``: the share of generated samples whose own ratio is below that of all but 0.1 % of the held-out samples
      (of all of them, if there are fewer than 2,000). How many fresh samples lie below the m-th smallest of n ratios
      has a distribution of its own, Beta(m, n + 1 - m), whatever the data; ``near_limit`` is its 97.5 % quantile.
    * ``passed``: false if the whole interval of ``exact`` or of ``near`` lies above its limit and at least two
      samples are meant, if that of ``copied`` lies above .05 or that of the ratio below .85, and if any of these
      figures is NaN. These limits are our own choice; ``benchmarks/studies/copying_check.py`` shows what they tell
      apart.

    Held-out samples must be drawn as the training samples were: where they come from other cameras, patients or
    writers, they lie nearer to each other than to the training set, and a generator that copies nobody looks bad.

    Intervals come from ``bootstrap`` resamples of the generated and the held-out samples, the training set as given;
    without resamples both ends are the value itself. Copies are found in the features that are given: those of a
    network trained on ``train`` itself place the training samples apart from all others, so use pixels or somebody
    else's network.

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
    """The same, and how near to the training set each generated sample lies (``relative_nearness``).

    ``identity`` are what samples are identical by, of the three sides, if not their features: images, uint8.
    """
    references = check_features({"training": train}, 1, "the copying check")[0]
    unseen, made = check_features({"held-out": held_out, "generated": fake}, LEAST, "the copying check")
    check_features({"training": references[:1], "held-out": unseen[:1]}, 1, "the copying check")  # of one width
    if cells is None:
        cells = max(1, min(len(unseen) // _HELD_OUT_A_CELL, len(references) // _TRAIN_A_CELL, _MOST_CELLS))
    elif isinstance(cells, bool) or not isinstance(cells, int) or not 1 <= cells <= len(references):
        raise InputError(f"cells must be from 1 to the {len(references):,} training samples, got {cells!r}.")
    sides = _sides(references, unseen, made, cells, check_seed(seed))
    nearness = relative_nearness(references, unseen, made)
    whole = np.arange(len(unseen)), np.arange(len(made))
    draws = np.random.Generator(np.random.Philox(key=derive_seed(seed, "copying")))
    resampled = []
    for _ in range(bootstrap):
        rows = [np.sort(draws.integers(len(side), size=len(side))) for side in whole]
        resampled.append((_c_t(sides, *rows).mean, *_ratios(nearness, *rows)))
    found = _c_t(sides, *whole)
    ratio, copied = _ratios(nearness, *whole)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0) if bootstrap else [(found.mean, ratio, copied)] * 2
    result: Copying = {
        "c_t": found.mean,
        "c_t_low": float(low[0]),
        "c_t_high": float(high[0]),
        "z": found.z,
        "cells": found.cells,
        "nearest_ratio": ratio,
        "nearest_ratio_low": float(low[1]),
        "nearest_ratio_high": float(high[1]),
        "copied": copied,
        "copied_low": float(low[2]),
        "copied_high": float(high[2]),
        **_exact_copies(*(identity or (references, unseen, made))),
        **_near_duplicates(*nearness),
        "passed": False,
    }
    result["passed"] = not (
        any(math.isnan(value) for value in result.values() if isinstance(value, float))
        or result["copied_low"] > _COPIES
        or result["nearest_ratio_high"] < _NEAREST_RATIO
        or (result["exact"] * len(made) > _FEWEST_COPIES - 0.5 and result["exact_low"] > result["exact_limit"])
        or (result["near"] * len(made) > _FEWEST_COPIES - 0.5 and result["near_low"] > result["near_limit"])
    )
    return result, nearness[1]


class _Exact(TypedDict):
    exact: float
    exact_low: float
    exact_high: float
    exact_limit: float


class _Near(TypedDict):
    near: float
    near_low: float
    near_high: float
    near_limit: float


def _exact_copies(train: Tensor, held_out: Tensor, fake: Tensor) -> _Exact:
    times = Counter(_keys(train))
    generated = sum(key in times for key in _keys(fake))
    unseen = sum(key in times for key in _keys(held_out))
    twins = sum(count for count in times.values() if count > 1)
    usual = (unseen + twins) / (len(held_out) + len(train))
    low, high = share_bounds(generated, len(fake))
    limit = min(usual, share_bounds(unseen, len(held_out)).high)
    return {"exact": generated / len(fake), "exact_low": low, "exact_high": high, "exact_limit": limit}


def _keys(rows: Tensor) -> Iterator[bytes]:
    """What only equal rows share; -0 equals 0, and a number is the same in every dtype."""
    for part in rows.flatten(1).split(1024):
        values = part if part.dtype == torch.uint8 else part.to(torch.float64) + 0.0
        yield from (hashlib.sha256(row.to(torch.float64).numpy().data).digest() for row in values)


def _near_duplicates(held_out: Floats, fake: Floats) -> _Near:
    """``held_out`` and ``fake`` are the sides' nearness (``relative_nearness``)."""
    from scipy.stats import beta

    rank = max(1, int(_PRACTICALLY_NEVER * len(held_out)))
    threshold = np.sort(held_out)[rank - 1]
    count = int((fake < threshold).sum())
    low, high = share_bounds(count, len(fake))
    limit = float(beta.ppf(0.975, rank, len(held_out) + 1 - rank))
    return {"near": count / len(fake), "near_low": low, "near_high": high, "near_limit": limit}


def share_bounds(count: int, total: int) -> Interval:
    """95 % interval of a share, ``count`` of ``total``: Clopper and Pearson 1934, exact also for few and for none."""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, total - count)) if count < total else 1.0
    return Interval(low, high)


class _Side(NamedTuple):
    """Held-out or generated samples: in which cell each lies and how far from the cell's nearest training sample."""

    cells: Ints
    distances: Floats


def _sides(train: Tensor, held_out: Tensor, fake: Tensor, count: int, seed: int) -> tuple[_Side, _Side]:
    owners, *places = [torch.zeros(len(side)) for side in (train, held_out, fake)]
    if count > 1:
        centres = _k_means(train, count, seed)
        owners, *places = [nearest(side, centres)[1] for side in (train, held_out, fake)]
    found = []
    for side, cell_of in zip((held_out, fake), places, strict=True):
        distances = torch.full((len(side),), torch.inf, dtype=torch.float64)
        for cell in owners.unique():
            inside = cell_of == cell
            distances[inside] = nearest(side[inside], train[owners == cell])[0]
        found.append(_Side(cell_of.numpy().astype(np.int64), distances.numpy()))
    return found[0], found[1]


def _k_means(train: Tensor, count: int, seed: int) -> Tensor:
    """Centres of cells, found on at most 10,000 training samples: (count, d)."""
    from sklearn.cluster import KMeans

    draws = torch.Generator().manual_seed(derive_seed(seed, "cells"))
    some = train[torch.randperm(len(train), generator=draws)[:_FOR_CELLS]].to(torch.float32)
    model = KMeans(count, n_init=1, random_state=derive_seed(seed, "cells") % 2**32).fit(some.numpy())
    return torch.from_numpy(model.cluster_centers_)


class _CT(NamedTuple):
    mean: float
    z: float
    cells: int


def _c_t(sides: tuple[_Side, _Side], real: Ints, generated: Ints) -> _CT:
    """C_T of these held-out and generated samples; for fresh ones its variance is the sum of the squared weights."""
    unseen, made = (_Side(s.cells[rows], s.distances[rows]) for s, rows in zip(sides, (real, generated), strict=True))
    scores, weights = [], []
    for cell in np.unique(made.cells):
        mine, theirs = made.distances[made.cells == cell], unseen.distances[unseen.cells == cell]
        if len(mine) >= _FEWEST_GENERATED and len(theirs) >= _FEWEST_HELD_OUT:
            scores.append(mann_whitney_z(mine, theirs))
            weights.append(len(theirs))
    if not scores:
        scores, weights = [mann_whitney_z(made.distances, unseen.distances)], [1]
    share = np.array(weights) / sum(weights)
    mean = float(share @ np.array(scores))
    return _CT(mean, mean / float(np.sqrt(np.square(share).sum())), len(scores))


def mann_whitney_z(first: Floats, second: Floats) -> float:
    """The number of pairs in which ``first`` is larger, ties as halves, less its mean and over its standard deviation
    where both come from one distribution (Meehan et al. 2020, section 3, without their continuity correction)."""
    from scipy.stats import rankdata

    n, m = len(first), len(second)
    larger = rankdata(np.concatenate([first, second]))[:n].sum() - n * (n + 1) / 2
    return float((larger - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def relative_nearness(train: Tensor, held_out: Tensor, fake: Tensor) -> tuple[Floats, Floats]:
    """d(x, train) / (d(x, train) + d(x, held-out)) of every held-out sample, itself left out, and of every generated
    one: 0 for a copy of a training sample, 1 for a copy of a held-out one, in [0, 1]; 1/2 for a copy of both."""
    found = []
    for side, same in ((held_out, True), (fake, False)):
        seen = nearest(side, train)[0].numpy()
        both = seen + nearest(side, held_out, same=same)[0].numpy()
        found.append(np.divide(seen, both, out=np.full(len(side), 0.5), where=both > 0))
    return found[0], found[1]


def _ratios(nearness: tuple[Floats, Floats], real: Ints, generated: Ints) -> tuple[float, float]:
    """The nearest-neighbour ratio and the copied share."""
    unseen, made = nearness[0][real], nearness[1][generated]
    usual, ours = float(np.median(unseen)), float(np.median(made))
    ratio = _odds(ours) / _odds(usual) if usual > 0 else math.nan
    return ratio, float((made <= np.quantile(unseen, _CHANCE, method="inverted_cdf")).mean())


def _odds(nearness: float) -> float:
    """d(x, train) / d(x, held-out)."""
    return nearness / (1 - nearness) if nearness < 1 else math.inf
