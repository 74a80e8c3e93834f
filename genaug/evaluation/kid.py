"""Kernel Inception Distance (Binkowski et al. 2018) on feature arrays of any network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genaug.device import torch_defaults
from genaug.evaluation.arrays import check_features
from genaug.randomness import check_seed

LEAST = 200


@torch_defaults()
def kid(a: Any, b: Any, *, subset_size: int = 1000, subsets: int = 50, seed: int = 0) -> float:
    """Squared maximum mean discrepancy with the kernel (x·y / d + 1)^3: Binkowski et al. 2018, section 4.

    ``a`` and ``b`` are arrays or tensors of shape (N, d); name the features wherever you quote the number.
    Unbiased, so it can be slightly negative if both come from the same distribution. The mean over ``subsets`` random
    subsets of ``subset_size`` samples (or of all, if there are fewer), in float64.

    Raises ``InputError`` for fewer than 200 samples on a side, NaN and infinity, and different widths.
    """
    return kernel_distance(
        *check_features({"first": a, "second": b}, LEAST, "KID"), subset_size=subset_size, subsets=subsets, seed=seed
    )


def kernel_distance(a: Tensor, b: Tensor, *, subset_size: int = 1000, subsets: int = 50, seed: int = 0) -> float:
    """``kid`` of checked features, whatever their number."""
    from torchmetrics.image.kid import poly_mmd

    size = min(subset_size, len(a), len(b))
    if size == len(a) == len(b):
        subsets = 1  # all subsets are the same
    draws = np.random.Generator(np.random.Philox(key=check_seed(seed)))
    total = 0.0
    for _ in range(subsets):
        first, second = (side[torch.from_numpy(draws.permutation(len(side))[:size])].double() for side in (a, b))
        total += float(poly_mmd(first, second))
    return total / subsets
