"""Features of scikit-learn, in any of their types, as DataFrames and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from genaug.errors import InputError
from genaug.modalities.frames import read_column
from genaug.modalities.restoring import import_pandas
from genaug.modalities.table import MAX_COLUMNS


def dense_frame(X: Any) -> Any:  # noqa: N803
    """Features as a DataFrame of its own with an index from 0 and without sparse columns; an array's columns are
    numbered. Raises ``InputError`` for too many columns."""
    pd = import_pandas()
    if X.shape[1] > MAX_COLUMNS:
        raise InputError(f"X has {X.shape[1]:,} columns; at most {MAX_COLUMNS:,} are possible.")
    if not isinstance(X, pd.DataFrame):
        return pd.DataFrame(X.toarray() if sparse.issparse(X) else X)
    frame = X.reset_index(drop=True)
    is_sparse = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.SparseDtype)]
    return frame.astype({name: frame[name].dtype.subtype for name in is_sparse})


def with_categories(frame: Any, requested: Any) -> tuple[Any, NDArray[np.int64]]:
    """The frame with the ``requested`` columns as categories, and the indices of all columns that hold categories."""
    positions = [] if isinstance(requested, str) else _positions(requested, list(frame.columns))
    categorical = []
    frame = frame.copy(deep=False)
    for position, name in enumerate(list(frame.columns)):
        is_category = read_column(name, frame.iloc[:, position]).kind in ("category", "boolean")
        if position in positions and not is_category:
            frame[name] = frame[name].astype("category")
        if is_category or position in positions:
            categorical.append(position)
    return frame, np.array(categorical, dtype=np.int64)


def _positions(requested: Any, names: list[Any]) -> list[int]:
    """The indices of columns that are passed as indices, names, or a mask. Raises ``InputError`` for unknown ones."""
    values = np.asarray(requested)
    if values.ndim == 1 and values.dtype == bool:
        if len(values) != len(names):
            raise InputError(f"categorical_features is a mask of {len(values)} columns, and X has {len(names)}.")
        return [int(position) for position in np.flatnonzero(values)]
    positions = []
    for value in values.tolist() if values.ndim == 1 else [requested]:
        if isinstance(value, str) and value in names:
            positions.append(names.index(value))
        elif type(value) is int and -len(names) <= value < len(names):
            positions.append(value % len(names))
        else:
            known = ", ".join(repr(name) for name in names[:20]) + (", …" if names[20:] else "")
            raise InputError(
                f'categorical_features has {value!r}, which isn\'t a column of X. Expected "auto", or a list of '
                f"indices, of names of a DataFrame's columns ({known}), or of {len(names)} booleans."
            )
    return positions


def joined(X: Any, generated: Any) -> Any:  # noqa: N803
    """The rows of ``X`` and the generated ones, of the type of ``X``."""
    pd = import_pandas()
    if isinstance(X, pd.DataFrame):
        return pd.concat([X, generated.astype(X.dtypes)], ignore_index=True)
    rows = np.empty(generated.shape, dtype=X.dtype)
    for position, name in enumerate(generated.columns):
        rows[:, position] = generated[name].to_numpy(dtype=X.dtype)
    if sparse.issparse(X):
        return sparse.vstack([X, sparse.csr_matrix(rows)], format=X.format)
    return np.concatenate([X, rows])
