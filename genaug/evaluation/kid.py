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

    ``a`` and ``b`` are arrays or tensors of shape (N, d); say whose features they are wherever the number is quoted.
    Unbiased, so that it can be slightly negative where both come from one distribution. The mean over ``subsets``
    random subsets of ``subset_size`` (or of as many as there are), in float64.

    Raises ``InputError`` for fewer than 200 samples on a side, NaN and infinity, and different widths.
    """
    first, second = check_features({"first": a, "second": b}, LEAST, "KID")
    return kernel_distance(first, second, subset_size=subset_size, subsets=subsets, seed=seed)


def kernel_distance(a: Tensor, b: Tensor, *, subset_size: int = 1000, subsets: int = 50, seed: int = 0) -> float:
    """The same of checked features, whatever their number."""
    from torchmetrics.image.kid import poly_mmd

    size = min(subset_size, len(a), len(b))
    if size == len(a) == len(b):
        subsets = 1  # every subset is the whole
    draws = np.random.Generator(np.random.Philox(key=check_seed(seed)))
    total = 0.0
    for _ in range(subsets):
        mine, theirs = (torch.from_numpy(draws.permutation(len(side))[:size]) for side in (a, b))
        total += float(poly_mmd(a[mine].to(torch.float64), b[theirs].to(torch.float64)))
    return total / subsets
