"""Tables: rows of numbers, categories, booleans and dates, with missing values."""

import warnings
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from PIL.Image import Image as Picture
from pydantic import Field, model_validator
from torch import Tensor

from genaug.errors import DataWarning, InputError
from genaug.modalities.base import Modality
from genaug.modalities.columns import (
    MISSING,
    AnyColumn,
    Category,
    Column,
    Identifier,
    Name,
    Numeric,
    levels_of,
)
from genaug.modalities.scales import Finite, Modes

MAX_COLUMNS = 4096
MAX_WIDTH = 65_536
MAX_PATTERNS = 256

Share = Annotated[float, Field(ge=0, le=1)]


class Span(NamedTuple):
    """Network outputs from ``start`` to ``stop`` that belong together: the one-hot slots of a column if
    ``is_softmax``, else one number in [-1, 1]."""

    start: int
    stop: int
    is_softmax: bool


class Table(Modality):
    """A row of a table.

    A raw sample holds the int64 values of the columns that are ``stored`` (see ``genaug.modalities.columns``). Networks
    take float32 (N, ``encoded_shape``): for each stored column a number in [-1, 1], if it has one, and a one-hot group
    of its modes, values or categories, with a last slot for a missing value; ``spans`` says where. Users get pandas
    DataFrames with all columns in their order, which needs pandas (``pip install "genaug[table]"``).

    ``target`` is the name of the column that the class labels come from: its values are the classes, so that it isn't
    stored, or, with ``bins``, the intervals between these numbers are. ``class_shares`` are the classes' shares in the
    training data. ``patterns``, if any, are the combinations of columns (their indices among the stored ones) that may
    be missing together.
    """

    kind: Literal["table"] = "table"
    columns: Annotated[tuple[AnyColumn, ...], Field(min_length=1, max_length=MAX_COLUMNS)]
    target: Name | None = None
    bins: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=1000)] | None = None
    class_shares: Annotated[tuple[Share, ...], Field(min_length=1, max_length=100_000)] | None = None
    patterns: Annotated[tuple[tuple[int, ...], ...], Field(min_length=1, max_length=MAX_PATTERNS)] | None = None

    noun: ClassVar[str] = "rows"
    long_noun: ClassVar[str] = "rows of a table"
    dtype: ClassVar[torch.dtype] = torch.int64
    encodes_once: ClassVar[bool] = True
    item: ClassVar[str] = "row"
    arrays: ClassVar[str] = "a DataFrame without the target"
    features: ClassVar[str] = "a DataFrame without the target"
    batch_size: ClassVar[int] = 500  # Xu et al. 2019
    may_coincide: ClassVar[bool] = True
    classifiers: ClassVar[tuple[str, ...]] = ("boosting", "logistic")
    data: ClassVar[str] = "genaug.data.TableDataset(frame) (--data table:FILE.csv)"
    files: ClassVar[tuple[str, ...]] = (".csv", ".parquet")
    blended: ClassVar[str] = "Join DataFrames instead: pandas.concat([frame, generator.sample(n)[0]])."

    @model_validator(mode="after")
    def _fits_together(self) -> "Table":
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            raise ValueError("column names repeat")
        if self.target is not None and self.target not in names:
            raise ValueError(f"the target {self.target!r} is not a column")
        if self.bins is not None and not (
            isinstance(self.target_column, Numeric) and all(one < other for one, other in pairwise(self.bins))
        ):
            raise ValueError("bins must be ascending, for a numeric target")
        if self.target is not None and self.bins is None and not levels_of(self.target_column):
            raise ValueError("the target has no classes")
        if not 1 <= self.encoded_shape[0] <= MAX_WIDTH:
            raise ValueError(f"the columns have {self.encoded_shape[0]} network inputs; 1 to {MAX_WIDTH} are possible")
        for pattern in self.patterns or ():
            if not set(pattern) <= set(self._uncertain):
                raise ValueError("a pattern of missing values has a column without any")
        return self

    @cached_property
    def target_column(self) -> Any:
        """The column that the labels come from; None without one."""
        return next((column for column in self.columns if column.name == self.target), None)

    @cached_property
    def stored(self) -> tuple[Column, ...]:
        """The columns of a raw sample."""
        hidden = self.target if self.bins is None else None
        return tuple(c for c in self.columns if not isinstance(c, Identifier) and (hidden is None or c.name != hidden))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.stored),)

    @cached_property
    def encoded_shape(self) -> tuple[int, ...]:
        return (sum(column.width for column in self.stored),)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The groups of network inputs, in order."""
        spans, start = [], 0
        for column in self.stored:
            for width, is_softmax in ((int(column.has_scalar), False), (column.width - column.has_scalar, True)):
                if width:
                    spans.append(Span(start, start + width, is_softmax))
                    start += width
        return tuple(spans)

    @cached_property
    def _uncertain(self) -> tuple[int, ...]:
        """The indices of the columns that are missing in some rows and present in others."""
        return tuple(i for i, column in enumerate(self.stored) if column.missing and column.slots)

    def encode(self, samples: Tensor) -> Tensor:
        return torch.cat([column.encode(samples[:, i]) for i, column in enumerate(self.stored)], 1)

    def decode(self, outputs: Tensor, dtype: torch.dtype) -> Tensor:
        """Raw rows: the likeliest slot of each group, and the likeliest of the ``patterns`` of missing values."""
        scalars, groups = self._parts(outputs)
        absent = self._absent(groups)
        raw = torch.empty((len(outputs), len(self.stored)), dtype=torch.int64, device=outputs.device)
        for i, column in enumerate(self.stored):
            if column.slots == 0:  # nothing but missing values
                raw[:, i] = MISSING
                continue
            values = column.decode(scalars[i], groups[i][:, : column.slots].argmax(1))
            raw[:, i] = values.masked_fill(absent[:, i], MISSING)
        return raw

    def _parts(self, outputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The scalars (N,) and the slots' weights (N, choices) of each stored column."""
        scalars, groups, start = [], [], 0
        for column in self.stored:
            own = outputs[:, start : start + column.width]
            start += column.width
            scalars.append(own[:, 0] if column.has_scalar and column.width else outputs.new_zeros(len(outputs)))
            groups.append(own[:, column.has_scalar :] if column.choices > 1 else outputs.new_ones((len(outputs), 1)))
        return scalars, groups

    def _absent(self, groups: list[Tensor]) -> Tensor:
        """Which values are missing, bool (N, columns)."""
        absent = torch.zeros((len(groups[0]), len(groups)), dtype=torch.bool, device=groups[0].device)
        if self.patterns is None:
            for i in self._uncertain:
                absent[:, i] = groups[i].argmax(1) == self.stored[i].slots
            return absent
        columns = list(self._uncertain)
        shares = torch.stack([groups[i][:, -1] / groups[i].sum(1).clamp(min=1e-12) for i in columns], 1)
        shares = shares.double().clamp(1e-9, 1 - 1e-9)
        allowed = torch.tensor([[i in pattern for i in columns] for pattern in self.patterns], device=shares.device)
        odds = (shares / (1 - shares)).log() @ allowed.double().T  # and the log-odds of a pattern, up to a constant
        absent[:, columns] = allowed[odds.argmax(1)]
        return absent

    def flatten(self, samples: Tensor) -> Tensor:
        """Numbers between 0 (the column's lowest) and 1 (its highest); different categories are 1 apart."""
        return torch.cat([column.flatten(samples[:, i]) for i, column in enumerate(self.stored)], 1)

    def as_features(self, samples: Tensor) -> Any:
        """The rows as a DataFrame with their dtypes, without the target and columns of identifiers."""
        from genaug.modalities.restoring import features_of

        columns = [(c, samples[:, i].contiguous().numpy()) for i, c in enumerate(self.stored) if c.name != self.target]
        return features_of(columns, len(samples))

    def as_arrays(self, samples: Tensor) -> Any:
        return self.as_features(samples)

    def with_noise(self, samples: Tensor, deviation: float, draws: torch.Generator) -> Tensor:
        """Numbers get noise of this share of their column's standard deviation, within the range of these rows, not of
        the table's; categories, dates and missing values stay as they are."""
        noisy = samples.clone()
        for i, column in enumerate(self.stored):
            raw = samples[:, i]
            present = raw != MISSING
            if not isinstance(column, Numeric) or column.kind == "date" or int(present.sum()) < 2:
                continue
            numbers = column.numbers(raw[present].contiguous()).double()
            noise = torch.randn(len(numbers), generator=draws, dtype=torch.float64)
            moved = (numbers + deviation * numbers.std() * noise).clamp(numbers.min(), numbers.max())
            noisy[present, i] = moved.round().long() if column.is_whole else (moved + 0.0).view(torch.int64)
        return noisy

    def present(self, samples: Tensor, labels: Tensor | None) -> Any:
        """Raw samples (N, ...) and their labels as a DataFrame with the columns and dtypes of the training data."""
        from genaug.modalities.restoring import frame_of

        raw = {column.name: samples[:, i].cpu().contiguous() for i, column in enumerate(self.stored)}
        if self.target is not None and labels is not None:
            labels = labels.cpu()
            if self.bins is not None:
                raw[self.target] = self.within_bins(raw[self.target], labels)
            else:
                raw[self.target] = self.target_column.decode(torch.zeros(len(labels)), labels)
        elif self.target is not None and self.bins is None:
            raise InputError(
                f"the column {self.target!r} is the class, but these rows have no labels. Use a backend that takes "
                "labels, or train on a table without a target."
            )
        return frame_of(self.columns, {name: values.numpy() for name, values in raw.items()}, len(samples))

    def write(self, path: Path, suffix: str, samples: Tensor, labels: Tensor | None, names: Any) -> None:
        """Write CSV with a header, or Parquet, which needs pyarrow."""
        frame: Any = self.present(samples, labels)
        if suffix == ".csv":
            frame.to_csv(path, index=False, lineterminator="\n")
            return
        frame.columns = [str(name) for name in frame.columns]  # as Parquet requires
        try:
            frame.to_parquet(path, index=False)
        except ImportError as error:
            raise InputError("Parquet files need pyarrow, which isn't installed: pip install pyarrow.") from error

    def within_bins(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Raw values (N,) of a target with ``bins``, moved into the intervals of their labels where they aren't."""
        column, bins = self.target_column, torch.tensor(self.bins or (), dtype=torch.float64)
        ends = torch.cat([bins.new_tensor([float(column.low)]), bins, bins.new_tensor([float(column.high)])])
        low, high, is_last = ends[labels], ends[labels + 1], labels == len(bins)
        moved: Tensor
        if column.is_whole:
            high = high.ceil() - (~is_last).double()
            moved = column.clipped(raw.clamp(low.ceil().long(), high.long()))
        else:
            below = torch.nextafter(high, torch.full_like(high, -torch.inf))
            moved = raw.view(torch.float64).clamp(low, high.where(is_last, below)).add(0.0).view(torch.int64)
        return moved.where(raw != MISSING, raw)

    def check(self, samples: Any, count: int, origin: str) -> Tensor:
        """``samples`` as raw ones: a DataFrame with the table's columns, or raw samples.

        Raises ``InputError`` for anything else, and for values that the columns don't have.
        """
        if isinstance(samples, Tensor) or not hasattr(samples, "columns"):
            return super().check(samples, count, origin)
        from genaug.modalities.frames import raw_of

        return super().check(raw_of(self.stored, samples, origin), count, origin)

    def adopt(
        self, samples: Tensor, labels: Tensor | None, other: Modality, origin: str
    ) -> tuple[Modality, Tensor, Tensor | None]:
        """Rows of a table with the same columns, in these columns' scales and categories.

        The classes and their shares are those of ``other``; of a target with intervals, the intervals are these.
        Raises ``InputError`` if a column is missing, of another kind, or holds a category or a missing value that this
        one lacks. Warns (``DataWarning``) of numbers outside of a column's range, which become the nearest ones in it.
        """
        if self == other:
            return self, samples, labels
        if not isinstance(other, Table):
            return super().adopt(samples, labels, other, origin)
        if (self.target, self.bins is None) != (other.target, other.bins is None):
            raise InputError(
                f"{origin} generates rows conditioned on the target {self.target!r}, and the training data have the "
                f"target {other.target!r}, or divide it otherwise. Pass a TableDataset with the same target (--target)."
            )
        frame = other.present(samples, labels)
        known, names = [column.name for column in self.columns], list(frame.columns)
        if set(known) != set(names):
            differing = sorted(map(str, set(known) ^ set(names)))
            raise InputError(
                f"{origin} generates {len(known)} columns, and the training data have others: {', '.join(differing)} "
                "only occur on one side. Fine-tuning needs the same columns: rename or leave out (ignore=) what "
                "differs, or train without init=."
            )
        raw = self.check(frame, len(samples), f"the training data don't fit {origin}: they have")
        self._warn_of_other_numbers(raw, origin)
        columns = tuple(other.target_column if c.name == self.target and self.bins is None else c for c in self.columns)
        changes: dict[str, Any] = {"columns": columns, "class_shares": other.class_shares, "patterns": None}
        if self.patterns is not None:
            changes["patterns"] = self._joined_patterns(raw)
        if self.bins is not None and labels is not None:
            place = self.stored.index(self.target_column)
            numbers = self.target_column.numbers(raw[:, place].contiguous()).double()
            labels = torch.searchsorted(torch.tensor(self.bins, dtype=torch.float64), numbers, right=True)
            counts = labels.bincount(minlength=len(self.bins) + 1)
            changes["class_shares"] = tuple((counts / counts.sum()).tolist())
        return Table(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes}), raw, labels

    def _warn_of_other_numbers(self, raw: Tensor, origin: str) -> None:
        counts = {}
        for i, column in enumerate(self.stored):
            own = raw[:, i][raw[:, i] != MISSING]
            if isinstance(column, Numeric) and (count := int(column.is_outside(own).sum())):
                counts[column.name] = count
        if counts:
            listing = ", ".join(f"{name!r} ({count:,})" for name, count in list(counts.items())[:8])
            warnings.warn(
                f"{origin} doesn't know some numbers of the training data, which become the nearest ones that it "
                f"generates: {listing}. To learn them, train without init=.",
                DataWarning,
                stacklevel=5,
            )

    def _joined_patterns(self, raw: Tensor) -> tuple[tuple[int, ...], ...] | None:
        """These patterns of missing values and those of raw rows; None, for any, if there are too many."""
        rows = (raw[:, list(self._uncertain)] == MISSING).unique(dim=0).tolist()
        own = {tuple(i for i, absent in zip(self._uncertain, row, strict=True) if absent) for row in rows}
        joined = sorted(own | set(self.patterns or ()))
        return tuple(joined) if len(joined) <= MAX_PATTERNS else None

    def draw_labels(self, uniform: Tensor) -> Tensor | None:
        """Labels as frequent as in the training data, for U[0, 1) numbers (N,)."""
        if self.class_shares is None:
            return None
        sums = torch.tensor(self.class_shares, dtype=torch.float64).cumsum(0)
        return torch.searchsorted(sums / sums[-1], uniform, right=True).clamp(max=len(sums) - 1)

    def describe(self) -> str:
        return f"{len(self.columns)} columns"

    def describe_all(self) -> str:
        return f"rows of a table with {len(self.columns)} columns"

    def describe_batch(self, count: int) -> str:
        return f"a pandas DataFrame of {count} rows"

    @property
    def identity(self) -> bytes:
        """The names and categories of the columns, which raw values don't tell."""
        parts = [(type(c).__name__, c.name, getattr(c, "categories", None)) for c in self.columns]
        return repr((parts, self.target)).encode("utf-8", "surrogatepass")

    def preview(self, real: Tensor, generated: Tensor) -> Picture:
        from genaug.modalities.table_preview import draw_preview

        return draw_preview(self.stored, real, generated)

    def picture(self, sample: Tensor) -> Picture:
        """The row's values as lines of text."""
        from genaug.modalities.table_preview import draw_row

        return draw_row(self.stored, sample)

    @classmethod
    def accepts(cls, item: Any) -> bool:
        """A row says nothing of its table: datasets of rows are read at once (``TableDataset``)."""
        return False

    @classmethod
    def read(cls, item: Any) -> Tensor:
        raise InputError("rows are read from a genaug.data.TableDataset, not one by one.")

    @classmethod
    def of(cls, sample: Tensor) -> "Table":
        raise InputError("a row doesn't describe its table. Expected a genaug.data.TableDataset.")

    @classmethod
    def examples(cls, labels: Tensor, shape: tuple[int, ...]) -> Tensor:
        return cls.example(labels, shape)[1]

    @classmethod
    def example(cls, labels: Tensor, shape: tuple[int, ...]) -> tuple["Table", Tensor]:
        """A table of a number with two modes, a category with missing values, an integer, and a constant."""
        rng = torch.Generator().manual_seed(0)
        count = len(labels)
        modes = Modes(weights=(0.5, 0.5), means=(0.3, 0.7), deviations=(0.05, 0.05))
        columns: tuple[AnyColumn, ...] = (
            Numeric(name="size", dtype="float64", kind="continuous", low=0.0, high=10.0, scale=modes),
            Category(name="color", dtype="object", missing=True, categories=("blue", "green", "red"), levels=(0, 1, 2)),
            Numeric(name="count", dtype="int64", kind="integer", low=0, high=100, scale=modes),
            Category(name="unit", dtype="object", categories=("cm",), levels=(0,)),
        )
        size = (3 + 2 * labels.double() + 0.2 * torch.randn(count, generator=rng, dtype=torch.float64)).clamp(0, 10)
        color = (labels % 3).masked_fill(torch.rand(count, generator=rng) < 0.1, MISSING)
        number = 30 + 20 * labels + torch.randint(-5, 6, (count,), generator=rng)
        raw = torch.stack([size.view(torch.int64), color, number.clamp(0, 100), torch.zeros_like(labels)], 1)
        return cls(columns=columns), raw
