"""Raw values as pandas DataFrames, with the dtypes, categories and order of columns that the data had."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.errors import InputError
from genaug.modalities.columns import MISSING, Column, Identifier

ARROW_STRING = "arrow string"  # of pandas.ArrowDtype; "string[pyarrow]" is another dtype

Ints = NDArray[np.int64]


def import_pandas() -> Any:
    """pandas. Raises ``InputError``, which says how to install it, if it is missing."""
    try:
        import pandas as pd
    except ImportError as error:
        raise InputError('tables need pandas, which isn\'t installed: pip install "genaug[table]"') from error
    return pd


def series_of(values: Any, raw: Ints) -> Any:
    """Raw values as a Series with the dtype of the column, an index from 0, and no name."""
    pd = import_pandas()
    absent = raw == MISSING
    kind, categories = getattr(values, "kind", ""), getattr(values, "categories", ())
    if values.dtype == "category":
        index = pd.Index(list(categories), dtype=installed(getattr(values, "categories_dtype", None) or "object"))
        dtype = pd.CategoricalDtype(index, ordered=getattr(values, "ordered", False))
        return pd.Series(pd.Categorical.from_codes(np.where(absent, -1, raw), dtype=dtype))
    if kind == "date":
        dtype = pd.api.types.pandas_dtype(values.dtype)
        if isinstance(dtype, pd.DatetimeTZDtype):
            times = pd.Series(raw.view(f"datetime64[{dtype.unit}]"))
            return times.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
        return pd.Series(raw.view(dtype))
    if kind == "continuous":
        numbers = np.where(absent, 0, raw).view(np.float64)
        objects = numbers.astype(object) if values.dtype == "object" or absent.any() else numbers
    elif kind == "integer":
        objects = raw.astype(object) if values.dtype == "object" or absent.any() else raw
    else:
        objects = np.array([*categories, None], dtype=object)[np.where(absent, len(categories), raw)]
    if absent.any():
        nulls = {"none": None, "na": pd.NA, "nat": pd.NaT}
        dtype_nulls = np.nan if values.dtype in ("object", "float64", "float32", "float16") else pd.NA
        objects[absent] = nulls.get(values.null, np.nan) if values.null else dtype_nulls
    return pd.Series(objects, dtype=installed(values.dtype))


def installed(dtype: str) -> Any:
    """The dtype, or a similar one without pyarrow if that isn't installed."""
    if dtype not in ("string[pyarrow]", ARROW_STRING):
        return dtype
    try:
        import pyarrow
    except ImportError:
        return "string[python]"
    return import_pandas().ArrowDtype(pyarrow.string()) if dtype == ARROW_STRING else dtype


def frame_of(columns: Sequence[Column], raw: Mapping[str | int, Ints], count: int) -> Any:
    """A DataFrame of ``count`` rows with these columns, from the raw values of each but the identifiers."""
    pd = import_pandas()
    parts = {
        number: _identifiers(column, count) if isinstance(column, Identifier) else series_of(column, raw[column.name])
        for number, column in enumerate(columns)
    }
    frame = pd.DataFrame(parts, index=range(count))
    frame.columns = pd.Index([column.name for column in columns])
    return frame


def features_of(columns: Sequence[tuple[Column, Ints]], count: int) -> Any:
    """A DataFrame of ``count`` rows, for classifiers, from columns and their raw values.

    Columns whose dtype can't hold the missing values among these rows have floats or objects instead.
    """
    pd = import_pandas()
    frame = pd.DataFrame(dict(enumerate(_feature(*pair) for pair in columns)), index=range(count))
    frame.columns = pd.Index([column.name for column, _ in columns])
    return frame


def _feature(column: Column, raw: Ints) -> Any:
    pd = import_pandas()
    absent, kind = raw == MISSING, getattr(column, "kind", "")
    if absent.any() and isinstance(pd.api.types.pandas_dtype(installed(column.dtype)), np.dtype):
        if kind == "integer":
            return pd.Series(np.where(absent, np.nan, raw.astype(np.float64)))
        if kind == "boolean":
            return pd.Series(raw.astype(bool)).astype(object).mask(absent, None)
    return series_of(column, raw)


def _identifiers(column: Identifier, count: int) -> Any:
    pd = import_pandas()
    if column.last is None:
        return pd.Series([f"generated-{number}" for number in range(count)], dtype=installed(column.dtype))
    numbers = [column.last + 1 + number for number in range(count)]
    try:
        return pd.Series(numbers, dtype=column.dtype)
    except (OverflowError, ValueError):
        return pd.Series(numbers)  # more of them than the dtype has
