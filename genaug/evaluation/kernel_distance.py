"""Kernel Inception Distance (Binkowski et al. 2018) on feature arrays of any network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genaug.errors import InputError

LEAST = 200


def kid(real: Any, fake: Any, *, subset_size: int = 1000, subsets: int = 50, seed: int = 0) -> float:
    """Squared maximum mean discrepancy with the kernel (a·b / d + 1)^3: Binkowski et al. 2018, section 4.

    ``real`` and ``fake`` are features, arrays or tensors of shape (N, d); say which network's wherever the result is
    quoted. Unbiased, so that it can be slightly negative where both come from one distribution. The mean over
    ``subsets`` random subsets of ``subset_size`` (or all, where there are fewer).

    Raises ``InputError`` for fewer than 200 samples on a side and for features of different widths.
    """
    from torchmetrics.image.kid import poly_mmd

    one, other = _features(real, "real"), _features(fake, "fake")
    if one.shape[1] != other.shape[1]:
        raise InputError(f"features must be of one width, got {one.shape[1]} (real) and {other.shape[1]} (fake).")
    size = min(subset_size, len(one), len(other))
    draws = np.random.Generator(np.random.Philox(key=seed))
    total = 0.0
    for _ in range(subsets):
        mine, theirs = (torch.from_numpy(draws.permutation(len(side))[:size]) for side in (one, other))
        total += float(poly_mmd(one[mine], other[theirs]))
    return total / subsets


def _features(values: Any, name: str) -> Tensor:
    features = torch.as_tensor(values).to(torch.float64)
    if features.ndim != 2:
        raise InputError(f"{name} features must have shape (N, d), got {tuple(features.shape)}.")
    if len(features) < LEAST:
        raise InputError(f"KID of {len(features)} {name} samples would be mostly noise; use at least {LEAST}.")
    return features
