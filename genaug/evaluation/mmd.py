"""The maximum mean discrepancy (Gretton et al. 2012) of two sets of vectors, with Gaussian kernels."""

import torch
from torch import Tensor

_WIDTHS = (0.5, 1.0, 2.0)  # times the bandwidth: a single width sees differences of one size only


def bandwidth_of(vectors: Tensor) -> float:
    """The median distance of two different rows of (N, D); 0 if most are equal, or there are less than two."""
    return float(torch.nn.functional.pdist(vectors.double()).median()) if len(vectors) > 1 else 0.0


def kernel_matrix(vectors: Tensor, bandwidth: float) -> Tensor:
    """The mean of Gaussian kernels of half, one and two times the bandwidth, of all pairs of rows, float64 (N, N)."""
    squared = torch.cdist(vectors.double(), vectors.double()).square()
    kernels = [torch.exp(-squared / (2 * (width * bandwidth) ** 2)) for width in _WIDTHS]
    return torch.stack(kernels).mean(0)


def squared_mmd(matrix: Tensor, rows: Tensor, others: Tensor) -> float:
    """The unbiased estimate of MMD² between two disjoint sets of rows of a kernel matrix, with two rows or more each:
    Gretton et al. 2012, equation 3. 0 on average for equal distributions, and so sometimes below."""
    within = 0.0
    for side in (rows, others):
        own = matrix[side][:, side]
        within += float((own.sum() - own.diagonal().sum()) / (len(side) * (len(side) - 1)))
    return within - 2 * float(matrix[rows][:, others].mean())
