"""Real, held-out and generated rows of a table, with the same columns, categories and scales."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.data.fitting import column_of
from genaug.errors import InputError
from genaug.modalities.columns import MISSING, Category, Column, Identifier, Numeric, class_labels, levels_of
from genaug.modalities.frames import Values, read_column
from genaug.modalities.restoring import import_pandas
from genaug.modalities.table import Table

_MOST_NATIVE = 255  # categories that a gradient-boosted classifier takes as such
_KINDS = {"integer": "number", "continuous": "number", "boolean": "category"}


@dataclass(frozen=True)
class AlignedRows:
    """``rows`` are the raw rows, int64 (N, columns), of each side: "real", "held_out" and "generated".

    ``columns`` have the scales of the real rows, and the categories of all sides. Constants and identifiers are left
    out. ``target`` is the name of the column of the classes, and ``bins`` divide it into intervals, if it has numbers.
    """

    columns: tuple[Any, ...]
    rows: dict[str, Tensor]
    target: Any = None
    bins: tuple[float, ...] | None = None

    @property
    def names(self) -> list[Any]:
        return [column.name for column in self.columns]

    @cached_property
    def table(self) -> Table:
        return Table(columns=self.columns)

    def without_target(self) -> "AlignedRows":
        """The same rows without the column of the classes, which classifiers predict."""
        kept = [i for i, name in enumerate(self.names) if name != self.target]
        rows = {side: raw[:, kept] for side, raw in self.rows.items()}
        return AlignedRows(tuple(self.columns[i] for i in kept), rows)

    def vectors(self, raw: Tensor) -> Tensor:
        """Raw rows as float32 (N, D): numbers from 0 to 1, and different categories 1 apart."""
        return self.table.flatten(raw)

    def inputs(self, raw: Tensor) -> NDArray[np.float32]:
        """Raw rows as float32 (N, D) for linear models: numbers by their quantiles in [-1, 1], and one-hot groups."""
        encoded: NDArray[np.float32] = self.table.encode(raw).numpy()
        return encoded

    def values(self, raw: Tensor) -> NDArray[np.float64]:
        """Raw rows as float64 (N, columns) for trees: numbers, numbers of categories, and NaN for missing values."""
        columns = []
        for i, column in enumerate(self.columns):
            absent = raw[:, i] == MISSING
            own = raw[:, i].masked_fill(absent, 0)
            numbers = column.numbers(own) if isinstance(column, Numeric) else own
            columns.append(numbers.double().masked_fill(absent, torch.nan))
        return torch.stack(columns, 1).numpy()

    @property
    def native(self) -> list[int] | None:
        """The columns of ``values`` that a gradient-boosted classifier takes as categories; None without any."""
        return [i for i, own in enumerate(self.columns) if _is_native(own)] or None

    def labels(self, raw: Tensor) -> Tensor | None:
        """The classes of raw rows, int64 (N,); None without a target."""
        if self.target not in self.names:
            return None
        column = self.columns[self.names.index(self.target)]
        own = raw[:, self.names.index(self.target)]
        if self.bins is not None:
            numbers = column.numbers(own).double()
            return torch.searchsorted(torch.tensor(self.bins, dtype=torch.float64), numbers.contiguous(), right=True)
        return class_labels(column, own)

    def class_names(self, intervals: Sequence[str]) -> list[str]:
        """The names of the classes; ``intervals`` are those of a target with ``bins``."""
        if self.bins is not None:
            return list(intervals)
        return [str(level) for level in levels_of(self.columns[self.names.index(self.target)])]


def _is_native(column: Column) -> bool:
    return isinstance(column, Category) and len(column.categories) <= _MOST_NATIVE


def align(real_table: Table, frames: dict[str, Any]) -> AlignedRows:
    """The rows of DataFrames by side, "real" among them, whose table is ``real_table``.

    Raises ``InputError`` if a side lacks a column, or has another kind of values in it.
    """
    columns: list[Any] = []
    rows: dict[str, list[Tensor]] = {side: [] for side in frames}
    for described in real_table.columns:
        if isinstance(described, Identifier):
            continue
        values, parts = _read(described, frames)
        if len(parts["real"].unique()) == 1:
            continue
        columns.append(_column(described, values, parts, is_class=described.name == real_table.target))
        for side, raw in parts.items():
            rows[side].append(raw)
    if not columns:
        raise InputError("no column of the real rows can be compared: all are identifiers or have a single value.")
    stacked = {side: torch.stack(own, 1) for side, own in rows.items()}
    return AlignedRows(tuple(columns), stacked, real_table.target, real_table.bins)


def _read(described: Column, frames: dict[str, Any]) -> tuple[Values, dict[str, Tensor]]:
    """The values of a column on all sides together, and the raw values of each."""
    name = described.name
    for side, frame in frames.items():
        if name not in frame.columns:
            raise InputError(f"the {_words(side)} rows lack the column {name!r} of the real ones.")
        kind = read_column(name, frame[name]).kind
        expected = described.kind  # type: ignore[attr-defined]  # of every column that isn't an identifier
        if frame[name].notna().any() and _KINDS.get(kind, kind) != _KINDS.get(expected, expected):
            raise InputError(
                f"the column {name!r} holds {kind} values in the {_words(side)} rows, and {expected} ones in the real "
                "rows. Convert it to the same type."
            )
    joined = import_pandas().concat([frame[name] for frame in frames.values()], ignore_index=True)
    values = read_column(name, joined)
    lengths = [len(frame) for frame in frames.values()]
    return values, dict(zip(frames, torch.from_numpy(values.raw).split(lengths), strict=True))


def _column(described: Column, values: Values, parts: dict[str, Tensor], *, is_class: bool) -> Numeric | Category:
    fitted = values.raw if values.kind in ("category", "boolean") else parts["real"].numpy()
    by_value = is_class and isinstance(described, Numeric)
    column = column_of(values, fitted, by_value=by_value, normalization="quantiles")
    return column.model_copy(update={"missing": bool((values.raw == MISSING).any())})


def _words(side: str) -> str:
    return side.replace("_", "-")
