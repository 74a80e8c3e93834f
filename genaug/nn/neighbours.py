"""Exact nearest neighbors, block by block: memory doesn't grow with the number of pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 2048  # rows and columns of distances in memory at once: 32 MiB
_NEAR = 1e-6  # of the squared norms: below it, the expansion's rounding error exceeds 1e-9 of a squared distance


def squared_distances(
    rows: Tensor, columns: Tensor, dtype: torch.dtype = torch.float64
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Squared Euclidean distances of all pairs, in blocks: the rows and the columns of each block, and its distances.

    Expanded as |x|² + |y|² - 2 x·y, so that a matrix product does the work, around the columns' mean, which keeps
    the rounding errors near 1e-15 (in float32 1e-6) of the squared spread. In float64, pairs that are much closer than
    the spread are computed again from their differences: exactly 0 for equal points, and accurate to 1e-9 for others,
    regardless of the blocks, the order and the distance from the origin.
    """
    center = torch.zeros(columns.shape[1], dtype=torch.float64)
    for block in _blocks(len(columns)):
        center += columns[block].sum(0, dtype=torch.float64) / len(columns)
    for row_block in _blocks(len(rows)):
        x = (rows[row_block] - center).to(dtype)
        for column_block in _blocks(len(columns)):
            y = (columns[column_block] - center).to(dtype)
            norms = x.square().sum(1), y.square().sum(1)
            squared = torch.addmm(norms[1], x, y.T, alpha=-2).add_(norms[0][:, None])
            if dtype == torch.float64:
                _recompute_near(squared, rows[row_block], columns[column_block], *norms)
            yield row_block, column_block, squared.clamp_(min=0)


def _recompute_near(squared: Tensor, x: Tensor, y: Tensor, x_norms: Tensor, y_norms: Tensor) -> None:
    near = torch.nonzero(squared <= _NEAR * (x_norms[:, None] + y_norms))
    for pairs in near.split(max(1, _BLOCK**2 // x.shape[1])):
        first, second = pairs.unbind(1)
        squared[first, second] = _exact(x[first], y[second]).square()


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def kth_squared_radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of each point to the ``k``-th nearest of the others, float64 (N,)."""
    smallest = torch.full((len(points), k), torch.inf, dtype=torch.float64)
    for rows, columns, squared in squared_distances(points, points):
        _exclude_self(squared, rows, columns)
        smallest[rows] = torch.cat([smallest[rows], squared], dim=1).topk(k, dim=1, largest=False).values
    return smallest.amax(1)


def nearest(queries: Tensor, references: Tensor, *, same: bool = False) -> tuple[Tensor, Tensor]:
    """Distance, float64 (N,), and index, int64 (N,), of each query's nearest reference.

    ``same`` means that both are the same points, and no point is its own neighbor. The search runs in float32, twice
    as fast: it may return any of several neighbors whose distances agree to 1e-6 of the spread. The distance is exact.
    """
    least = torch.full((len(queries),), torch.inf)
    indices = torch.zeros(len(queries), dtype=torch.int64)
    for rows, columns, squared in squared_distances(queries, references, torch.float32):
        if same:
            _exclude_self(squared, rows, columns)
        block_least, block_indices = squared.min(1)
        closer = block_least < least[rows]
        least[rows] = torch.where(closer, block_least, least[rows])
        indices[rows] = torch.where(closer, block_indices + columns.start, indices[rows])
    distances = torch.empty(len(queries), dtype=torch.float64)
    for part in _blocks(len(queries)):
        distances[part] = _exact(queries[part], references[indices[part]])
    return distances, indices


def _exclude_self(squared: Tensor, rows: slice, columns: slice) -> None:
    if rows == columns:
        squared.fill_diagonal_(torch.inf)


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Distances of corresponding rows from their differences: exactly 0 for copies, without rounding errors."""
    return (a.to(torch.float64) - b.to(torch.float64)).square().sum(1).sqrt()
