"""Tables as datasets: a DataFrame with a target column, from memory or from a file."""

import operator
import warnings
from collections.abc import Collection, Hashable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from genaug.backends.spec import MAX_NAME, Classes, Spec, count_of_classes
from genaug.checks import as_whole
from genaug.data.fitting import Normalization, column_of, edges_of, patterns_of
from genaug.data.reading import Samples
from genaug.errors import DataWarning, InputError
from genaug.escaping import escaped
from genaug.modalities.columns import MISSING, Identifier, Numeric, class_labels, levels_of
from genaug.modalities.frames import Values, as_frame, check_categories, read_column
from genaug.modalities.restoring import Ints, import_pandas, series_of
from genaug.modalities.scales import ByValue
from genaug.modalities.table import MAX_COLUMNS, Table

BINS = 10
_CLASSES = 20  # a numeric target with at most this many integers has them as classes
_LEAST_ROWS = 20  # of a column of identifiers
_MAX_SCHEMA = 2**19  # bytes; config.json has 1 MiB at most


class TableDataset(Dataset[Any]):
    """A table for ``genaug.fit`` and wherever a dataset is expected.

    Args:
        data: A pandas DataFrame (pandas 2 or 3), or a mapping of names to arrays of equal length.
        target: The column that generated rows are conditioned on. Strings, categories, booleans, and at most 20
            integers are classes as they are; other numbers and dates are divided into intervals. None: no classes.
        bins: The number of intervals, each with about equally many rows, of a numeric target; 10 by default. If
            it is passed, a target of few integers is divided, too.
        ignore: Columns that are left out, also of generated tables.
        normalization: How continuous columns become network inputs: "modes" (Xu et al. 2019) or "quantiles".

    Columns hold integers, floats, booleans, strings, categories, dates or time differences, or Python objects of one of
    the types str, int, float and bool; values may be missing, except in the target. A column of strings or categories
    has 1,000 different ones at most. Columns that identify rows, and those with a single value, are not learned: a
    ``DataWarning`` names them, as does ``summary``. Generated tables have new identifiers, and the single value.
    Identifiers are strings that differ in all of at least 20 rows, and integers that do and follow one another or whose
    name is or ends in "id".

    Items are pairs of a raw row, int64 (columns,), and its label; ``genaug.fit`` doesn't read them, but the
    complete table. ``targets`` are the labels and ``classes`` the names of the classes.

    Raises ``InputError`` for an empty table, columns that can't be learned, infinite numbers, a missing target, and if
    pandas isn't installed.
    """

    noun: ClassVar[str] = "a table"
    joining: ClassVar[str] = "Join the frames first: pandas.concat([...])."

    def __init__(
        self,
        data: Any,
        target: Hashable | None = None,
        *,
        bins: int | None = None,
        ignore: Collection[Any] = (),
        normalization: Normalization = "modes",
    ) -> None:
        if normalization not in ("modes", "quantiles"):
            raise InputError(f"normalization must be 'modes' or 'quantiles', got {normalization!r}.")
        frame = as_frame(data)
        names = list(frame.columns)
        _check_names(names, target, ignore)
        self._normalization: Normalization = normalization
        self._target: Any = target
        frame = frame[[name for name in names if name not in set(ignore)]]
        if len(frame) == 0 or frame.shape[1] == 0:
            raise InputError("the table is empty: expected at least one row and one column to learn.")
        if frame.shape[1] > MAX_COLUMNS:
            raise InputError(f"the table has {frame.shape[1]:,} columns; at most {MAX_COLUMNS:,} are possible.")
        values = [read_column(name, frame.iloc[:, i]) for i, name in enumerate(frame.columns)]
        self.identifiers = [one.name for one in values if one.name != target and _identifies(one)]
        self.constants = [one.name for one in values if one.name != target and _is_constant(one)]
        for one in values:
            if one.name not in self.identifiers:
                check_categories(one)
        self._values = values
        self._bins: tuple[float, ...] | None = None
        self._class_column: Any = None
        self.targets: list[int] = [-1] * len(frame) if target is None else self._labels(target, bins).tolist()
        self._rows = len(frame)
        if len(self.identifiers) + len(self.constants) + (target is not None and self._bins is None) == len(values):
            raise InputError("no column can be learned: all are the target, identifiers, or have a single value.")
        if self._left_out:
            warnings.warn(f"not learned: {self._left_out}.", DataWarning, stacklevel=2)
        if self._sparse_classes:
            warnings.warn(f"{self._sparse_classes}.", DataWarning, stacklevel=2)

    def _labels(self, target: Any, bins: int | None) -> Tensor:
        """The labels of the rows; also sets ``classes`` and the ends of the intervals."""
        values = next(one for one in self._values if one.name == target)
        absent = int((values.raw == MISSING).sum())
        if absent:
            count = "1 row has" if absent == 1 else f"{absent:,} rows have"
            raise InputError(
                f"{count} no value in the target {target!r}. Drop them: frame.dropna(subset=[{target!r}])."
            )
        column, raw = column_of(values, values.raw, by_value=True), torch.from_numpy(values.raw)
        if bins is not None:
            bins = as_whole(bins, "bins", 2, 1000)
            if not isinstance(column, Numeric):
                raise InputError(f"the target {target!r} has categories as classes, not numbers: leave bins= out.")
        if isinstance(column, Numeric) and (bins is not None or not _has_few(column)):
            numbers = column.numbers(raw).double().numpy()
            edges = edges_of(numbers, BINS if bins is None else bins)
            if edges:
                self._bins = edges
                self.classes = _interval_names(column, edges)
                return torch.from_numpy(np.searchsorted(np.array(edges), numbers, side="right").astype(np.int64))
        if isinstance(column, Numeric) and not isinstance(column.scale, ByValue):
            raise InputError(f"the target {target!r} can't be divided into intervals. Choose another target.")
        self._class_column = column
        self.classes = [str(level) for level in levels_of(column)]
        return class_labels(column, raw)

    @property
    def target(self) -> Any:
        """The name of the target column, or None."""
        return self._target

    @property
    def _left_out(self) -> str:
        parts = []
        if self.identifiers:
            parts.append(f"{_listing(self.identifiers)} (different in every row: generated tables have new ones)")
        if self.constants:
            parts.append(f"{_listing(self.constants)} (a single value)")
        return ", ".join(parts)

    @property
    def _sparse_classes(self) -> str:
        """A sentence if the rows have almost as many classes as there are rows; otherwise empty."""
        if self._target is None or self._rows < _LEAST_ROWS or 2 * len(self.classes) <= self._rows:
            return ""
        return (
            f"the target {escaped(repr(self._target))} has {len(self.classes):,} classes in {self._rows:,} rows, too "
            "few rows per class to learn from: choose another target, or group its values"
        )

    @property
    def summary(self) -> str:
        """What was read, in one line."""
        classes = ""
        if self._target is not None:
            classes = f", {count_of_classes(len(self.classes))} ({escaped(str(self._target))})"
        left_out = f"; not learned: {self._left_out}" if self._left_out else ""
        sparse = f"; {self._sparse_classes}" if self._sparse_classes else ""
        return f"{self._rows:,} rows, {len(self._values)} columns{classes}{left_out}{sparse}"

    @property
    def frame(self) -> Any:
        """All rows as a DataFrame with the columns, categories and dtypes that were read, identifiers included."""
        pd = import_pandas()
        frame = pd.DataFrame({number: series_of(one, one.raw) for number, one in enumerate(self._values)})
        frame.columns = pd.Index([one.name for one in self._values])
        return frame

    def take(self, rows: Sequence[int] | Ints) -> "TableDataset":
        """The dataset of these rows only, with the same categories and classes.

        ``rows`` are indices, also from the end, or one boolean per row. Raises ``InputError`` for a row that the table
        doesn't have.
        """
        part = copy(self)
        picked = self._indices(rows)
        part._values = [replace(one, raw=one.raw[picked]) for one in self._values]
        part.targets = [self.targets[row] for row in picked.tolist()]
        part._rows = len(picked)
        return part

    def _indices(self, rows: Any) -> Ints:
        array = np.asarray(rows)
        if array.dtype == bool and array.shape == (self._rows,):
            return np.flatnonzero(array).astype(np.int64)
        if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
            raise InputError(f"rows must be a list of indices or one boolean for each of {self._rows:,} rows.")
        indices = array.astype(np.int64)
        outside = indices[(indices < -self._rows) | (indices >= self._rows)]
        if len(outside):
            raise InputError(f"the table has {self._rows:,} rows, so there is no row {outside[0]}. Count them from 0.")
        return indices

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        try:
            index = operator.index(index)
        except TypeError as error:
            raise InputError(
                f"a row is read by its number, got {index!r}. For several rows, use take([...])."
            ) from error
        if not -self._rows <= index < self._rows:
            raise IndexError(f"row {index} of a table of {self._rows} rows")
        stored = [one.raw[index] for one in self._values if self._is_stored(one)]
        return torch.tensor(np.array(stored, dtype=np.int64)), self.targets[index]

    def _is_stored(self, values: Values) -> bool:
        return values.name not in self.identifiers and (values.name != self._target or self._bins is not None)

    def read_rows(self, rows: Sequence[int] | None = None, *, ignore_labels: bool = False) -> Samples:
        """Raw samples and labels of rows, by default all; the columns' scales are fitted to these rows only."""
        picked = np.arange(self._rows) if rows is None else np.asarray(rows, dtype=np.int64)
        columns: list[Any] = []
        for one in self._values:
            if one.name in self.identifiers:
                last = int(one.present.max()) if one.kind == "integer" else None
                columns.append(Identifier(name=one.name, dtype=one.dtype, last=last))
                continue
            if one.name == self._target and self._bins is None:
                columns.append(self._class_column)
                continue
            columns.append(column_of(one, one.raw[picked], normalization=self._normalization))
        x = np.stack([one.raw[picked] for one in self._values if self._is_stored(one)], 1)
        labels = None if self._target is None else torch.tensor(self.targets)[torch.from_numpy(picked)]
        names = {one.name: i for i, one in enumerate(one for one in self._values if self._is_stored(one))}
        table = Table(
            columns=tuple(columns),
            target=self._target,
            bins=self._bins,
            class_shares=_shares(labels, len(self.classes)) if labels is not None else None,
            patterns=patterns_of(x, [names[c.name] for c in columns if c.name in names and c.missing and c.slots]),
        )
        size = len(table.model_dump_json())
        if size > _MAX_SCHEMA:
            raise InputError(
                f"the description of the columns takes {size:,} bytes; at most {_MAX_SCHEMA:,} can be saved. Shorten "
                "the names of categories, or leave columns out: ignore=[...]."
            )
        classes = None if labels is None or ignore_labels else _classes(self.classes)
        return Samples(torch.from_numpy(x), None if ignore_labels else labels, Spec(sample=table, classes=classes))

    def __repr__(self) -> str:
        return f"TableDataset({self.summary})"


def _check_names(names: list[Any], target: Any, ignore: Any) -> None:
    if isinstance(ignore, str) or not isinstance(ignore, Collection):
        raise InputError(f"ignore must be a list of columns, got {ignore!r}.")
    known = ", ".join(repr(name) for name in names[:20]) + (", …" if names[20:] else "")
    for name in ([] if target is None else [target]) + list(ignore):
        if name not in names:
            raise InputError(f"the table has no column {name!r}. Its columns: {known}.")
    if target is not None and target in ignore:
        raise InputError(f"the target {target!r} can't be ignored.")


def _identifies(values: Values) -> bool:
    """Whether a column identifies rows: see ``TableDataset``."""
    raw = values.raw
    if len(raw) < _LEAST_ROWS or (raw == MISSING).any() or len(np.unique(raw)) < len(raw):
        return False
    if values.kind == "integer":
        named = str(values.name).lower().replace("-", "_").split("_")[-1] in ("id", "uuid", "index")
        return named or int(raw.max()) - int(raw.min()) == len(raw) - 1
    return values.kind == "category" and values.dtype != "category"


def _is_constant(values: Values) -> bool:
    return len(np.unique(values.raw)) == 1


def _has_few(column: Numeric) -> bool:
    """Whether a numeric target has few different numbers, all of them integers."""
    values = column.scale.values if isinstance(column.scale, ByValue) else None
    return column.kind != "date" and values is not None and len(values) <= _CLASSES and all(v == int(v) for v in values)


def _interval_names(column: Numeric, edges: Sequence[float]) -> list[str]:
    ends = [float(column.low), *edges, float(column.high)]
    texts = [f"{end:.6g}" for end in ends]
    if column.kind == "date":
        from genaug.modalities.restoring import series_of

        texts = [str(value) for value in series_of(column, np.array(ends).astype(np.int64))]
    closing = [")"] * (len(ends) - 2) + ["]"]
    return [f"[{low}, {high}{end}" for low, high, end in zip(texts[:-1], texts[1:], closing, strict=True)]


def _classes(names: Sequence[str]) -> Classes:
    usable = len(set(names)) == len(names) and max(map(len, names)) <= MAX_NAME
    return Classes(count=len(names), names=tuple(names) if usable else None)


def _shares(labels: Tensor, classes: int) -> tuple[float, ...]:
    counts = labels.bincount(minlength=classes)
    return tuple((counts / counts.sum()).tolist())


def _listing(names: Sequence[Any]) -> str:
    return ", ".join(escaped(repr(name)) for name in names[:8]) + (", …" if names[8:] else "")
