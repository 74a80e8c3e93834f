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
    symmetric. It is only "the" FID on Inception's features: say whose features these are wherever the number is
    quoted. Biased upwards, the more the fewer samples (Chong and Forsyth 2020): compare at equal numbers only.

    Raises ``InputError`` for fewer than 2,048 samples on a side, NaN and infinity, and different widths.
    """
    first, second = check_features({"first": a, "second": b}, LEAST, "FID")
    return frechet_distance(first, second)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """The same of checked features, whatever their number."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    as_they_are = nn.Identity()
    as_they_are.num_features = a.shape[1]  # type: ignore[assignment]
    metric = FrechetInceptionDistance(feature=as_they_are)
    centre = a.mean(0, dtype=torch.float64)  # it sums squares before it subtracts the mean's: exact only near zero
    metric.update(a - centre, real=True)
    metric.update(b - centre, real=False)
    return max(0.0, float(metric.compute()))
