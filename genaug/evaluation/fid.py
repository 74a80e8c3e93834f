"""The Fréchet distance between feature distributions (Heusel et al. 2017), on features of any network."""

from typing import Any

import torch
from torch import Tensor, nn

from genaug.device import torch_defaults
from genaug.evaluation.arrays import check_features

LEAST = 2048


@torch_defaults()
def fid(a: Any, b: Any) -> float:
    """|μa - μb|² + tr(Σa + Σb - 2 (Σa Σb)^½) of two sets of features: Heusel et al. 2017, equation 6.

    ``a`` and ``b`` are arrays or tensors of shape (N, d); computed in float64 by torchmetrics. At least 0, and
    symmetric. It is "the" FID on Inception's features only: name the features wherever you quote the number. Biased
    upwards, more so with fewer samples (Chong and Forsyth 2020): compare values at equal numbers of samples only.

    Raises ``InputError`` for fewer than 2,048 samples on a side, NaN and infinity, and different widths.
    """
    return frechet_distance(*check_features({"first": a, "second": b}, LEAST, "FID"))


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """``fid`` of checked features, whatever their number."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    identity = nn.Identity()
    identity.num_features = a.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=identity)
    center = a.mean(0, dtype=torch.float64)  # torchmetrics subtracts the mean from sums of squares: exact only near 0
    metric.update(a - center, real=True)
    metric.update(b - center, real=False)
    return max(0.0, float(metric.compute()))
