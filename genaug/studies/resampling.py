"""Filling up rare classes from a seed's own training rows: repeated rows, and SMOTE's.

Each function gets the training rows of one seed, without those that its inner split holds out, and nothing else: the
resampled rows can't contain anything of the rows that the classifiers are judged on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.errors import InputError
from genaug.studies.feature_columns import as_numbers, as_text, numeric_columns, other_columns

NEIGHBORS = 5  # of SMOTE, as in Chawla et al. 2002; fewer if a class has fewer rows

Ints = NDArray[np.int64]


def to_fill(labels: Ints) -> dict[int, int]:
    """How many rows each class lacks to have as many as the largest."""
    classes, counts = np.unique(labels, return_counts=True)
    most = int(counts.max())
    return {int(label): most - int(n) for label, n in zip(classes, counts, strict=True) if n < most}


def repeated_rows(labels: Ints, lacking: dict[int, int], seed: int) -> Ints:
    """Random over-sampling: the rows to repeat, as indices, with replacement."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(np.flatnonzero(labels == label), size=count) for label, count in lacking.items()]
    return np.concatenate([np.zeros(0, dtype=np.int64), *rows])


def import_smote() -> Any:
    """imbalanced-learn's over-samplers. Raises ``InputError``, which says how to install it, if it is missing."""
    try:
        from imblearn import over_sampling
    except ImportError as error:
        raise InputError(
            "'smote' needs imbalanced-learn, which isn't installed: pip install \"genaug[table]\", or leave it out of "
            "baselines=."
        ) from error
    return over_sampling


def smote(features: Any, labels: Ints, lacking: dict[int, int], seed: int) -> tuple[Any, Ints]:
    """Rows between neighbors of a class, as many as ``lacking`` says, and their labels.

    SMOTE (Chawla et al. 2002) for numbers, SMOTE-NC if there are categories, too, and SMOTE-N if there is nothing else.
    Missing numbers count as their column's median, and a missing category as a category of its own. Integers are
    rounded. Raises ``InputError`` if a class to fill up has one row.
    """
    over_sampling = import_smote()
    lacking = {label: count for label, count in lacking.items() if count}
    sizes = {label: int((labels == label).sum()) for label in lacking}
    if single := [label for label, size in sizes.items() if size < 2]:
        raise InputError(f"SMOTE needs two rows of each class, and class {single[0]} has {sizes[single[0]]}.")
    if not lacking:
        return _columns(features, list(range(features.shape[1])))[:0], labels[:0]
    numeric, others = numeric_columns(features), other_columns(features)
    numbers = as_numbers(_columns(features, numeric))
    medians = [np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in numbers.T]
    numbers = np.where(np.isnan(numbers), np.array(medians)[None, :], numbers) if numeric else numbers
    codes, levels = _codes(as_text(_columns(features, others)))
    options: dict[str, Any] = {
        "sampling_strategy": {label: sizes[label] + count for label, count in lacking.items()},
        "k_neighbors": min(NEIGHBORS, *(size - 1 for size in sizes.values())),
        "random_state": seed % 2**32,
    }
    if not others:
        sampler = over_sampling.SMOTE(**options)
    elif not numeric:
        sampler = over_sampling.SMOTEN(**options)
    else:
        positions = list(range(len(numeric), len(numeric) + len(others)))
        sampler = over_sampling.SMOTENC(categorical_features=positions, **options)
    matrix, own = sampler.fit_resample(np.concatenate([numbers, codes], 1), labels)
    matrix, own = matrix[len(labels) :], own[len(labels) :]
    return _restored(features, matrix, numeric, others, levels), own


def joined(parts: Sequence[Any]) -> Any:
    """Features as one DataFrame or array."""
    parts = [part for part in parts if len(part)]
    if not hasattr(parts[0], "iloc"):
        return np.concatenate(parts)
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def _columns(features: Any, positions: list[int]) -> Any:
    return features.iloc[:, positions] if hasattr(features, "iloc") else features[:, positions]


def _codes(text: NDArray[np.object_]) -> tuple[NDArray[np.float64], list[list[Any]]]:
    """Categories as numbers, and the category of each number; None, for a missing value, is one of them."""
    levels: list[list[Any]] = [sorted(set(column), key=lambda value: (value is None, value or "")) for column in text.T]
    numbers = [{level: i for i, level in enumerate(own)} for own in levels]
    codes = [[own[value] for value in column] for own, column in zip(numbers, text.T, strict=True)]
    return np.array(codes, dtype=np.float64).T.reshape(len(text), len(levels)), levels


def _restored(features: Any, matrix: Any, numeric: list[int], others: list[int], levels: list[list[Any]]) -> Any:
    """Rows of numbers as features with the columns and dtypes of ``features``."""
    if not hasattr(features, "iloc"):
        return matrix.astype(features.dtype) if features.dtype.kind == "f" else matrix.round().astype(features.dtype)
    import pandas as pd

    columns: dict[int, Any] = {}
    for place, position in enumerate(numeric):
        columns[position] = _numeric(matrix[:, place], features.iloc[:, position].dtype)
    for place, position in enumerate(others):
        series = features.iloc[:, position]
        by_text = {str(value): value for value in series[series.notna()].unique()}
        texts = [levels[place][int(code)] for code in matrix[:, len(numeric) + place]]
        columns[position] = pd.Series([by_text.get(text) for text in texts], dtype=series.dtype)
    frame = pd.DataFrame({position: columns[position] for position in range(features.shape[1])})
    frame.columns = features.columns
    return frame


def _numeric(values: NDArray[np.float64], dtype: Any) -> Any:
    """Numbers as a Series of this dtype, which is that of a column of numbers, booleans or dates."""
    import pandas as pd

    kind = getattr(dtype, "kind", "f")
    if kind == "m":
        return pd.Series(pd.to_timedelta(values.round().astype(np.int64))).astype(dtype)
    if kind == "M":
        times = pd.Series(pd.to_datetime(values.round().astype(np.int64), utc=True))
        return times.astype(dtype) if getattr(dtype, "tz", None) else times.dt.tz_localize(None).astype(dtype)
    return pd.Series(values.round() if kind in "iub" else values).astype(dtype)
