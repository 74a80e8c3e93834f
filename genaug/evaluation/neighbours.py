"""Nearest neighbours, exact, block by block: memory doesn't grow with the number of pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 2048  # rows and columns of distances held at once: 32 MiB
_NEAR = 1e-6  # of the squared norms: below it, the expansion's rounding error is more than 1e-9 of a squared distance


def squared_distances(
    rows: Tensor, columns: Tensor, dtype: torch.dtype = torch.float64
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Squared Euclidean distances of all pairs in blocks; the two slices say which rows and columns.

    Expanded as |x|² + |y|² - 2 x·y, so that a matrix product does the work, around the columns' mean, which keeps
    the rounding errors near 1e-15 (in float32 1e-6) of the squared spread. In float64, pairs that are much closer than
    the spread are computed again from their differences: exactly 0 for equal points, and right to 1e-9 for the others,
    whatever the blocks, the order and the distance from the origin.
    """
    centre = torch.zeros(columns.shape[1], dtype=torch.float64)
    for theirs in _blocks(len(columns)):
        centre += columns[theirs].sum(0, dtype=torch.float64) / len(columns)
    for mine in _blocks(len(rows)):
        x = (rows[mine] - centre).to(dtype)
        for theirs in _blocks(len(columns)):
            y = (columns[theirs] - centre).to(dtype)
            sizes = x.square().sum(1), y.square().sum(1)
            squared = torch.addmm(sizes[1], x, y.T, alpha=-2).add_(sizes[0][:, None])
            if dtype == torch.float64:
                _recompute_near(squared, rows[mine], columns[theirs], *sizes)
            yield mine, theirs, squared.clamp_(min=0)


def _recompute_near(squared: Tensor, x: Tensor, y: Tensor, x_sizes: Tensor, y_sizes: Tensor) -> None:
    near = torch.nonzero(squared <= _NEAR * (x_sizes[:, None] + y_sizes))
    for pairs in near.split(max(1, _BLOCK**2 // x.shape[1])):
        first, second = pairs.unbind(1)
        squared[first, second] = _exact(x[first], y[second]).square()


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def kth_squared_radii(points: Tensor, k: int) -> Tensor:
    """Squared distance of every point to the ``k``-th nearest of the others, float64 (N,)."""
    smallest = torch.full((len(points), k), torch.inf, dtype=torch.float64)
    for mine, theirs, squared in squared_distances(points, points):
        _without_self(squared, mine, theirs)
        both = torch.cat([smallest[mine], squared], dim=1)
        smallest[mine] = both.topk(k, dim=1, largest=False).values
    return smallest.amax(1)


def nearest(queries: Tensor, references: Tensor, *, same: bool = False) -> tuple[Tensor, Tensor]:
    """Distance, float64 (N,), and index, int64 (N,), of every query's nearest reference.

    ``same`` says that both are the same points, of which none is its own neighbour. The search runs in float32, twice
    as fast: of neighbours that are equally far to 1e-6 of the spread it may find either. The distance is exact.
    """
    least = torch.full((len(queries),), torch.inf)
    indices = torch.zeros(len(queries), dtype=torch.int64)
    for mine, theirs, squared in squared_distances(queries, references, torch.float32):
        if same:
            _without_self(squared, mine, theirs)
        found, where = squared.min(1)
        closer = found < least[mine]
        least[mine] = torch.where(closer, found, least[mine])
        indices[mine] = torch.where(closer, where + theirs.start, indices[mine])
    distances = torch.empty(len(queries), dtype=torch.float64)
    for part in _blocks(len(queries)):
        distances[part] = _exact(queries[part], references[indices[part]])
    return distances, indices


def _without_self(squared: Tensor, mine: slice, theirs: slice) -> None:
    if mine == theirs:
        squared.fill_diagonal_(torch.inf)


def _exact(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, by differences: exactly 0 for copies, where the expansion leaves a rounding error."""
    return (a.to(torch.float64) - b.to(torch.float64)).square().sum(1).sqrt()
