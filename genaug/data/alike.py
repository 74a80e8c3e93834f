"""Rows of a second table, such as a test set, as the columns and classes of the first describe them."""

from typing import Any

import torch
from torch import Tensor

from genaug.data.reading import Samples, rows_dataset
from genaug.errors import InputError
from genaug.modalities.columns import Category, Numeric, class_labels, levels_of
from genaug.modalities.frames import as_frame, raw_of
from genaug.modalities.table import Table


def rows_like(first: Samples, second: Any, what: str) -> Samples:
    """The rows of a DataFrame, or of a ``TableDataset`` or a ``Subset`` of one, with the columns, categories and
    classes of the table ``first``.

    Other columns are ignored. A category that the first table doesn't have counts as missing. ``what`` is the second
    table's name in messages. Raises ``InputError`` if a column is missing or holds other types, for a class that the
    first table doesn't have, and for rows without one.
    """
    table = first.spec.sample
    assert isinstance(table, Table)
    dataset = rows_dataset(second) if not hasattr(second, "columns") else None
    if dataset is None and not hasattr(second, "columns"):
        raise InputError(
            f"{what} must be a table like the training set, a TableDataset or a DataFrame, got {type(second).__name__}."
        )
    frame = as_frame(second if dataset is None else dataset.frame)
    if len(frame) == 0:
        raise InputError(f"{what} is empty: expected at least one row.")
    if table.target is None:
        raise InputError("the training set has no labels: expected a TableDataset with a target.")
    if table.target not in frame.columns:
        raise InputError(f"{what} lacks the target {table.target!r}.")
    frame = frame.reset_index(drop=True)
    adapted = {column.name: _adapted(column, frame[column.name]) for column in table.stored if column.name in frame}
    adapted[table.target] = frame[table.target]
    origin = f"{what} doesn't fit the training set: it has"
    labels = _labels(table, frame, what)
    import pandas as pd

    raw = raw_of(table.stored, pd.DataFrame(adapted), origin)
    return Samples(raw, labels, first.spec)


def _adapted(column: Any, series: Any) -> Any:
    """A column with unknown categories as missing ones, and with floats as integers if it is one of integers."""
    if isinstance(column, Category):
        known = series.isin(list(column.categories))
        return series if (known | series.isna()).all() else series.where(known)
    is_float = getattr(series.dtype, "kind", "") == "f"
    if isinstance(column, Numeric) and column.kind == "integer" and is_float and (series.dropna() % 1 == 0).all():
        return series.astype("Int64")
    return series


def _labels(table: Table, frame: Any, what: str) -> Tensor:
    """The classes of rows, int64 (N,), by the target's value or interval."""
    column, series = table.target_column, frame[table.target]
    if absent := int(series.isna().sum()):
        raise InputError(
            f"{absent:,} rows of {what} have no value in the target {table.target!r}. Drop them: "
            f"frame.dropna(subset=[{table.target!r}])."
        )
    if table.bins is None and not (known := series.isin(list(levels_of(column)))).all():
        raise InputError(
            f"{what} has the class {series[~known].iloc[0]!r} in {table.target!r}, which the training set lacks."
        )
    raw = raw_of((column,), frame[[table.target]], f"{what} has, in the target,")[:, 0]
    if table.bins is None:
        return class_labels(column, raw)
    bins = torch.tensor(table.bins, dtype=torch.float64)
    return torch.searchsorted(bins, column.numbers(raw.contiguous()).double(), right=True)
