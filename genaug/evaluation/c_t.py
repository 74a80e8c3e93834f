"""C_T (Meehan et al. 2020): do generated samples lie nearer to the training set than new real samples do?"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.nn.neighbours import nearest
from genaug.randomness import derive_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# A cell counts if it contains at least this many generated samples (the authors' tau times their number) and this many
# held-out ones (enough for U to be approximately normal).
_FEWEST_GENERATED, _FEWEST_HELD_OUT = 20, 10
_CLUSTERED = 10_000  # training samples that the cells are computed from, at most


class CellDistances(NamedTuple):
    """The cell of each held-out or generated sample, and its distance to the nearest training sample of that cell."""

    cells: Ints
    distances: Floats


class CT(NamedTuple):
    """C_T, C_T over its standard deviation for new real samples, and the number of cells that counted."""

    mean: float
    z: float
    cells: int


def cell_distances(
    train: Tensor, held_out: Tensor, fake: Tensor, count: int, seed: int
) -> tuple[CellDistances, CellDistances]:
    """Cut the training set into ``count`` cells by k-means; for held-out and generated samples."""
    train_cells, *side_cells = [torch.zeros(len(side)) for side in (train, held_out, fake)]
    if count > 1:
        centers = _k_means(train, count, seed)
        train_cells, *side_cells = [nearest(side, centers)[1] for side in (train, held_out, fake)]
    sides = []
    for side, cells in zip((held_out, fake), side_cells, strict=True):
        distances = torch.full((len(side),), torch.inf, dtype=torch.float64)
        for cell in train_cells.unique():
            distances[cells == cell] = nearest(side[cells == cell], train[train_cells == cell])[0]
        sides.append(CellDistances(cells.numpy().astype(np.int64), distances.numpy()))
    return sides[0], sides[1]


def _k_means(train: Tensor, count: int, seed: int) -> Tensor:
    """The cells' centers, (count, d), from at most 10,000 training samples."""
    from sklearn.cluster import KMeans

    seed = derive_seed(seed, "cells")
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:_CLUSTERED]
    model = KMeans(count, n_init=1, random_state=seed % 2**32).fit(train[rows].to(torch.float32).numpy())
    return torch.from_numpy(model.cluster_centers_)


def c_t(held_out: CellDistances, fake: CellDistances, held_out_rows: Ints, fake_rows: Ints) -> CT:
    """C_T of these rows. For new real samples its variance is the sum of the squared weights."""
    real, generated = held_out.distances[held_out_rows], fake.distances[fake_rows]
    real_cells, generated_cells = held_out.cells[held_out_rows], fake.cells[fake_rows]
    scores, weights = [], []
    for cell in np.unique(generated_cells):
        synthetic, unseen = generated[generated_cells == cell], real[real_cells == cell]
        if len(synthetic) >= _FEWEST_GENERATED and len(unseen) >= _FEWEST_HELD_OUT:
            scores.append(mann_whitney_z(synthetic, unseen))
            weights.append(len(unseen))
    if not scores:
        scores, weights = [mann_whitney_z(generated, real)], [1]
    shares = np.array(weights) / sum(weights)
    mean = float(shares @ np.array(scores))
    return CT(mean, mean / float(np.sqrt(np.square(shares).sum())), len(scores))


def mann_whitney_z(first: Floats, second: Floats) -> float:
    """The number of pairs in which ``first`` is larger, ties counting 1/2, standardized for equal distributions.

    Meehan et al. 2020, section 3, without their continuity correction.
    """
    from scipy.stats import rankdata

    n, m = len(first), len(second)
    larger = rankdata(np.concatenate([first, second]))[:n].sum() - n * (n + 1) / 2
    return float((larger - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))
