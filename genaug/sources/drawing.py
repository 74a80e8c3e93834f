"""Drawing stored samples so that none is repeated before all of its class have been drawn."""

import numpy as np
from numpy.typing import NDArray

from genaug.data.apportion import Ints


def draw_without_repeats(labels: Ints, counts: Ints, draws: NDArray[np.float64]) -> Ints:
    """For each label c an index in [0, counts[c]), int64 (len(labels),), from as many draws of U[0, 1).

    All indices of a class come before one is repeated, and an index doesn't depend on the labels after it: each class
    is shuffled by Fisher and Yates' algorithm, one swap per label, with only the swapped places in memory.
    """
    indices, swapped = np.empty(len(labels), dtype=np.int64), dict[tuple[int, int], int]()
    columns = (labels, ranks_in_class(labels), counts[labels], draws)
    for row, (label, rank, count, draw) in enumerate(zip(*(column.tolist() for column in columns), strict=True)):
        here = rank % count
        there = here + int(draw * (count - here))
        indices[row] = index = swapped.get((label, there), there)
        swapped[label, there] = swapped.get((label, here), here)
        swapped[label, here] = index
    return indices


def ranks_in_class(labels: Ints) -> Ints:
    """The number of equal labels before each, int64 (len(labels),)."""
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[np.argsort(classes, kind="stable")] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return ranks
