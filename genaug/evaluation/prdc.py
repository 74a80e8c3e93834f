"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020) on feature arrays."""

from typing import Any, TypedDict

import torch
from torch import Tensor

from genaug.device import torch_defaults
from genaug.errors import InputError
from genaug.evaluation.arrays import check_features
from genaug.evaluation.neighbours import kth_squared_radii, squared_distances

LEAST = 200
# A point this close to a ball's surface lies on it, and so outside: copies of real images do, and which way their
# rounding errors fall must not decide.
_SURFACE = 1 - 1e-9


class PRDC(TypedDict):
    """Each a share in [0, 1], but density, which is at least 0 and about 1 where both sides are alike."""

    precision: float
    recall: float
    density: float
    coverage: float


@torch_defaults()
def prdc(real: Any, fake: Any, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of ``fake`` against ``real``, features of shape (N, d) and (M, d).

    A real point's ball reaches to the ``k``-th nearest other real point, a generated point's likewise; a point on the
    surface is outside. Precision is the share of generated points in any real ball, recall the share of real points
    in any generated ball (Kynkäänniemi et al. 2019, equations 2 and 3); density is the mean number of real balls that
    a generated point lies in, over ``k``, coverage the share of real balls with a generated point in them (Naeem et
    al. 2020, equations 3 and 4). A ball of radius 0, that of a point with ``k`` exact duplicates, is empty: it holds
    not even copies of its own centre. So duplicates among the real points count for nothing in precision, density and
    coverage, and a generator that makes one picture over and over has a recall of 0. For equal distributions and
    sides, density is 1 and coverage 1 - 2^-k on average.
    In float64, in chunks: memory grows with N + M.

    Raises ``InputError`` for fewer than 200 samples on a side, NaN and infinity, different widths, and a ``k`` that
    isn't smaller than the number of samples.
    """
    first, second = check_features({"real": real, "generated": fake}, LEAST, "PRDC")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < min(len(first), len(second)):
        raise InputError(f"k must be an integer from 1 to the number of samples less one, got {k!r}.")
    return manifold_overlap(first, second, k)


def manifold_overlap(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """The same of checked features, whatever their number."""
    real_radii = kth_squared_radii(real, k) * _SURFACE
    fake_radii = kth_squared_radii(fake, k) * _SURFACE
    balls = torch.zeros(len(fake), dtype=torch.int64)  # how many real balls each generated point lies in
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    for mine, theirs, squared in squared_distances(real, fake):
        inside = squared < real_radii[mine, None]
        balls[theirs] += inside.sum(0)
        covered[mine] |= inside.any(1)
        recalled[mine] |= (squared < fake_radii[theirs]).any(1)
    return {
        "precision": int((balls > 0).sum()) / len(fake),
        "recall": int(recalled.sum()) / len(real),
        "density": int(balls.sum()) / (k * len(fake)),
        "coverage": int(covered.sum()) / len(real),
    }
