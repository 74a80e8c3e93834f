"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020) on feature arrays."""

from typing import Any, TypedDict

import torch
from torch import Tensor

from genaug.checks import as_whole
from genaug.device import torch_defaults
from genaug.evaluation.arrays import check_features
from genaug.nn.neighbours import kth_squared_radii, squared_distances

LEAST = 200
# A point this close to a ball's surface counts as on it, and so outside: copies of real images lie there, and rounding
# errors must not decide.
_SURFACE = 1 - 1e-9


class PRDC(TypedDict):
    """Shares in [0, 1], except for density, which is at least 0 and about 1 if both sides are alike."""

    precision: float
    recall: float
    density: float
    coverage: float


@torch_defaults()
def prdc(real: Any, fake: Any, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of ``fake`` against ``real``, features of shape (N, d) and (M, d).

    A real point's ball reaches to the ``k``-th nearest other real point, and likewise for generated points; a point on
    the surface is outside. Precision is the share of generated points in any real ball, recall the share of real points
    in any generated ball (Kynkäänniemi et al. 2019, equations 2 and 3). Density is the mean number of real balls that
    contain a generated point, divided by ``k``, and coverage the share of real balls that contain a generated point
    (Naeem et al. 2020, equations 3 and 4). A ball of radius 0, that of a point with ``k`` exact duplicates, is empty:
    it doesn't even contain copies of its own center. So duplicates among the real points don't count in precision,
    density and coverage, and a generator that always makes the same picture has a recall of 0. For equal distributions
    and numbers of samples, density is 1 and coverage 1 - 2^-k on average.

    Computed in float64, in blocks: memory grows with N + M.

    Raises ``InputError`` for fewer than 200 samples on a side, NaN and infinity, different widths, and a ``k`` that
    isn't smaller than the number of samples on either side.
    """
    real, fake = check_features({"real": real, "generated": fake}, LEAST, "PRDC")
    return manifold_overlap(real, fake, as_whole(k, "k", 1, min(len(real), len(fake)) - 1))


def manifold_overlap(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """``prdc`` of checked features, whatever their number."""
    real_radii = kth_squared_radii(real, k) * _SURFACE
    fake_radii = kth_squared_radii(fake, k) * _SURFACE
    balls = torch.zeros(len(fake), dtype=torch.int64)  # the number of real balls that contain each generated point
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool)
    for rows, columns, squared in squared_distances(real, fake):
        inside = squared < real_radii[rows, None]
        balls[columns] += inside.sum(0)
        covered[rows] |= inside.any(1)
        recalled[rows] |= (squared < fake_radii[columns]).any(1)
    return {
        "precision": int((balls > 0).sum()) / len(fake),
        "recall": int(recalled.sum()) / len(real),
        "density": int(balls.sum()) / (k * len(fake)),
        "coverage": int(covered.sum()) / len(real),
    }
