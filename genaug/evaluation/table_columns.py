"""How a table's columns are distributed and associated, in generated rows and in real ones."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.evaluation.aligned_rows import AlignedRows
from genaug.evaluation.arrays import half_sample_intervals
from genaug.evaluation.report import Findings, PageTable, measure
from genaug.modalities.columns import MISSING, Numeric
from genaug.modalities.table_preview import Groups, associations, grouped
from genaug.randomness import derive_seed

_MOST_ASSOCIATED = 60  # columns, evenly spaced if there are more: the number of pairs grows with the square
_WORST = 20  # rows of a table


def marginal_distances(aligned: AlignedRows, real: Tensor, other: Tensor) -> list[float]:
    """The distance of each column's distributions in two sets of raw rows, in [0, 1].

    Of numbers and dates, it is the Kolmogorov-Smirnov statistic, the largest difference of the distribution functions,
    where missing values are below all numbers; of categories and booleans the total variation, half of the sum of the
    differences of all shares, that of missing values among them.
    """
    return [_distance(column, real[:, i], other[:, i]) for i, column in enumerate(aligned.columns)]


def _distance(column: Any, real: Tensor, other: Tensor) -> float:
    from scipy.stats import ks_2samp

    if isinstance(column, Numeric):
        sides = []
        for raw in (real, other):
            absent = raw == MISSING
            numbers = column.numbers(raw.masked_fill(absent, 0)).double()
            sides.append(numbers.masked_fill(absent, -torch.inf).numpy())
        return float(ks_2samp(*sides, method="asymp").statistic)
    counts = len(column.categories)
    shares = [_shares(raw, counts) for raw in (real, other)]
    return float((shares[0] - shares[1]).abs().sum() / 2)


def _shares(raw: Tensor, count: int) -> Tensor:
    return raw.masked_fill(raw == MISSING, count).bincount(minlength=count + 1).double() / max(len(raw), 1)


def association_difference(groups: list[Groups], other: list[Groups]) -> float:
    """Mean absolute difference of Cramér's V over all pairs of columns, in [0, 1]."""
    difference = np.abs(associations(groups) - associations(other))
    return float(difference[np.triu_indices(len(groups), 1)].mean())


def compare_columns(aligned: AlignedRows, rows: Tensor, findings: Findings, *, replicates: int, seed: int) -> None:
    """``marginals`` and ``association``: ``rows`` of the real side against the generated one."""
    real, fake, unseen = aligned.rows["real"][rows], aligned.rows["generated"], aligned.rows.get("held_out")
    distances = marginal_distances(aligned, real, fake)
    # for the reference, as many real rows as there are held-out ones at most: the statistics depend on the numbers
    size = 0 if unseen is None else min(len(unseen), len(fake), len(real))
    references = None
    if unseen is not None and size >= _least(len(fake)):
        references = marginal_distances(aligned, real[:size], unseen[_spread(len(unseen), size)])
    names = [str(name) for name in aligned.names]
    intervals = half_sample_intervals(
        lambda a, b: {"marginals": _mean(marginal_distances(aligned, real[a], fake[b]))},
        {"marginals": _mean(distances)},
        (len(real), len(fake)),
        replicates=replicates,
        seed=derive_seed(seed, "marginals"),
    )
    findings.metrics["marginals"] = measure(
        _mean(distances),
        intervals["marginals"],
        (0.0, 1.0),
        samples=len(fake),
        real_samples=len(real),
        features="each column: Kolmogorov-Smirnov statistic of numbers, total variation of categories; the mean",
        higher_is_better=False,
        reference=None if references is None else _mean(references),
        details={"columns": dict(zip(names, distances, strict=True))},
    )
    findings.tables.append(_page_table(aligned, names, distances, references))
    _compare_associations(aligned, real, findings, size, replicates=replicates, seed=seed)


def _compare_associations(
    aligned: AlignedRows, real: Tensor, findings: Findings, size: int, *, replicates: int, seed: int
) -> None:
    fake, unseen = aligned.rows["generated"], aligned.rows.get("held_out")
    count = len(aligned.columns)
    if count < 2:
        findings.missing["association"] = "needs two columns that aren't constant"
        return
    shown = np.unique(np.linspace(0, count - 1, min(count, _MOST_ASSOCIATED)).astype(np.int64)).tolist()
    pairs = [grouped(aligned.columns[i], real[:, i], fake[:, i])[:2] for i in shown]
    real_groups, fake_groups = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def difference(a: Tensor, b: Tensor) -> dict[str, float]:
        halves = [group[a.numpy()] for group in real_groups], [group[b.numpy()] for group in fake_groups]
        return {"association": association_difference(*halves)}

    value = association_difference(real_groups, fake_groups)
    intervals = half_sample_intervals(
        difference,
        {"association": value},
        (len(real), len(fake)),
        replicates=replicates,
        seed=derive_seed(seed, "association"),
    )
    reference = None
    if unseen is not None and size >= _least(len(fake)):
        held_out = unseen[_spread(len(unseen), size)]
        others = [grouped(aligned.columns[i], real[:size, i], held_out[:, i])[:2] for i in shown]
        reference = association_difference([pair[0] for pair in others], [pair[1] for pair in others])
    gaps = np.abs(associations(real_groups) - associations(fake_groups))
    findings.metrics["association"] = measure(
        value,
        intervals["association"],
        (0.0, 1.0),
        samples=len(fake),
        real_samples=len(real),
        features=f"Cramér's V of all pairs of {len(shown)} columns, numbers in 10 groups; the mean difference",
        higher_is_better=False,
        reference=reference,
    )
    largest = sorted(combinations(range(len(shown)), 2), key=lambda pair: -gaps[pair])[:_WORST]
    sides = associations(real_groups), associations(fake_groups)
    rows = [_pair_row(aligned, shown, sides, pair) for pair in largest]
    findings.tables.append(
        PageTable("Association of columns", ["columns", "real", "generated"], rows, "Cramér's V, largest gaps first.")
    )


def _pair_row(
    aligned: AlignedRows, shown: list[int], sides: tuple[NDArray[np.float64], ...], pair: tuple[int, int]
) -> list[str]:
    one, other = (str(aligned.names[shown[i]]) for i in pair)
    return [f"{one} and {other}", *(f"{side[pair]:.3f}" for side in sides)]


def _page_table(
    aligned: AlignedRows, names: list[str], distances: list[float], references: list[float] | None
) -> PageTable:
    rows = []
    for i in sorted(range(len(names)), key=lambda i: -distances[i])[:_WORST]:
        kind = "Kolmogorov-Smirnov" if isinstance(aligned.columns[i], Numeric) else "total variation"
        reference = "–" if references is None else f"{references[i]:.3f}"
        rows.append([names[i], kind, f"{distances[i]:.3f}", reference])
    text = "The distance of each column's distribution from the real one, 0 to 1, largest first."
    return PageTable("Distributions of columns", ["column", "distance", "generated", "held-out rows"], rows, text)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _least(samples: int) -> int:
    """The fewest held-out rows for a reference, which falls with the number of rows."""
    return samples // 2


def _spread(count: int, size: int) -> Tensor:
    """``size`` evenly spaced indices below ``count``."""
    return torch.arange(size) * count // max(size, 1)
