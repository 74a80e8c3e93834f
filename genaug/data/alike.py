"""A second set, such as a test set, in the form of the first: rows of a table with its columns and classes, and series
padded to the same length."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genaug.data.reading import Samples, rows_dataset
from genaug.errors import InputError
from genaug.modalities.columns import Category, Numeric, class_labels, levels_of
from genaug.modalities.frames import as_frame, raw_of
from genaug.modalities.series import Series
from genaug.modalities.series_values import padded
from genaug.modalities.table import Table


def padded_alike(first: Samples, second: Samples, steps: int = 0) -> tuple[Samples, Samples]:
    """Two sets of series padded to the longest of both, or to this number of steps if that is more. The first has the
    scales of both; lengths vary, or values are missing, if they do in either.

    Raises ``InputError`` if the channels differ, or the number of steps although neither has series of several lengths.
    """
    one, other = first.spec.sample, second.spec.sample
    if not (isinstance(one, Series) and isinstance(other, Series)):
        raise InputError(f"one set has {one.noun}, the other {other.noun}. Expected series in both.")
    if one.channels != other.channels:
        raise InputError(
            f"one set has series of {one.channels} channels, the other of {other.channels}. Expected the same "
            "channels, in the same order."
        )
    if one.steps != other.steps and one.shortest is None and other.shortest is None:
        raise InputError(
            f"one set has series of {one.steps} steps, the other of {other.steps}, and neither has several lengths. "
            "Cut or resample them to the same number of steps."
        )
    steps = max(steps, one.steps, other.steps)
    lengths = [own.steps if own.shortest is None else own.shortest for own in (one, other)]
    sample = Series(
        one.channels,
        steps,
        scales=one.scales,
        shortest=min(lengths) if min(lengths) < steps else None,
        has_missing=one.has_missing or other.has_missing,
    )
    return tuple(  # type: ignore[return-value]  # two of them
        replace(data, x=padded(data.x, steps), spec=data.spec.model_copy(update={"sample": sample}))
        for data in (first, second)
    )


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
