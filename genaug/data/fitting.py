"""Fitting the columns of a table to its values: bounds, steps, scales, and combinations of missing values."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genaug.modalities.columns import MISSING, Category, Numeric
from genaug.modalities.frames import Values
from genaug.modalities.restoring import Ints
from genaug.modalities.scales import MAX_SLOTS, ByValue, Modes, Quantiles
from genaug.modalities.table import MAX_PATTERNS

Normalization = Literal["modes", "quantiles"]

_FEW = 20  # at most this many different numbers, each in 10 rows on average, have a slot each
_ROWS_PER_VALUE = 10
_DECIMALS = 6


def column_of(
    values: Values, raw: Ints, *, by_value: bool = False, normalization: Normalization = "modes"
) -> Numeric | Category:
    """The column that describes ``raw``, the raw values of some rows of ``values``.

    ``by_value``: each number has a slot, as in a target, if there aren't more than slots.
    """
    present = raw[raw != MISSING]
    common: dict[str, Any] = {"name": values.name, "dtype": values.dtype, "null": values.null}
    common["missing"] = len(present) < len(raw)
    if values.kind in ("category", "boolean"):
        return Category(
            **common,
            kind=values.kind,
            categories=values.categories,
            categories_dtype=values.categories_dtype,
            ordered=values.ordered,
            levels=tuple(np.unique(present).tolist()),
        )
    continuous = values.kind == "continuous"
    distinct = np.unique(present.view(np.float64) if continuous else present)
    ends = distinct[[0, -1]].tolist() if len(distinct) else [0.0 if continuous else 0] * 2
    common |= {"kind": values.kind, "low": ends[0], "high": ends[1]}
    common |= {"decimals": _decimals(distinct)} if continuous else {"step": _step(distinct)}
    few = len(distinct) <= 1 or len(distinct) <= min(_FEW, len(present) // _ROWS_PER_VALUE)
    if few or (by_value and len(distinct) <= MAX_SLOTS):
        return Numeric(**common, scale=ByValue(values=tuple(distinct.tolist())))
    unit = Numeric(**common, scale=ByValue(values=())).unit(torch.from_numpy(present)).numpy()
    return Numeric(**common, scale=Quantiles.fit(unit) if normalization == "quantiles" else Modes.fit(unit))


def _decimals(distinct: NDArray[np.float64]) -> int | None:
    """The number of decimals to which all numbers are rounded; None if there are more than 6."""
    if len(distinct) == 0 or float(np.abs(distinct).max()) > 1e9:
        return None
    return next((n for n in range(_DECIMALS + 1) if np.array_equal(np.round(distinct, n), distinct)), None)


def _step(distinct: Ints) -> int:
    """The largest number that divides all differences."""
    if len(distinct) < 2 or int(distinct[-1]) - int(distinct[0]) >= 2**62:
        return 1
    return int(np.gcd.reduce(distinct - distinct[0]))


def edges_of(numbers: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """The inner ends of at most ``bins`` intervals with about equally many numbers; each contains its lower end, which
    is one of the numbers, so that none is empty. Empty if all numbers are the same."""
    quantiles = np.quantile(numbers, np.arange(1, bins) / bins, method="higher")
    edges = np.unique(quantiles[quantiles > numbers.min()])
    if len(edges) == 0 and numbers.max() > numbers.min():
        edges = np.array([numbers[numbers > numbers.min()].min()])
    return tuple(edges.tolist())


def patterns_of(raw: Ints, columns: Sequence[int]) -> tuple[tuple[int, ...], ...] | None:
    """The combinations of ``columns`` that are missing together; None if there is one column, or too many of them."""
    if len(columns) < 2:
        return None
    patterns = np.unique(raw[:, list(columns)] == MISSING, axis=0)
    if len(patterns) > MAX_PATTERNS:
        return None
    return tuple(tuple(np.array(columns)[pattern].tolist()) for pattern in patterns)
