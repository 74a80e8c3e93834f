"""The columns of a table: what each holds, and how its raw values become network inputs.

A raw value is an int64: an integer or date as it is, the bits of a float64, or the number of a category. ``MISSING``
stands for a missing value.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import one_hot

from genaug.modalities.frozen import FrozenModel
from genaug.modalities.scales import MAX_SLOTS, AnyScale, ByValue

MISSING = -(2**63)

Name = Annotated[str, Field(max_length=1000)] | int
Level = bool | int | Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=10_000)]
Int64 = Annotated[int, Field(gt=MISSING, lt=2**63)]
Null = Literal["nan", "none", "na", "nat"]


class Column(FrozenModel):
    """Base of the columns.

    ``dtype`` is pandas' name of the data type; ``missing`` says whether values may be missing, and ``null`` which
    object stands for that in a column of Python objects.
    """

    name: Name
    dtype: Annotated[str, Field(max_length=200)]
    null: Null | None = None
    missing: bool = False

    @property
    def has_scalar(self) -> bool:
        """Whether a value has a number within its slot."""
        return False

    @property
    def slots(self) -> int:
        """The number of one-hot slots, without that of missing values."""
        return 0

    @property
    def choices(self) -> int:
        """The number of one-hot slots, with that of missing values, which is the last one."""
        return self.slots + self.missing

    @property
    def width(self) -> int:
        """The number of network inputs: none for a constant column."""
        return self.has_scalar + (self.choices if self.choices > 1 else 0)

    @property
    def is_constant(self) -> bool:
        return self.width == 0

    def encode(self, raw: Tensor) -> Tensor:
        """Raw values (N,) as float32 (N, ``width``): the scalar, if any, and the one-hot slot."""
        absent = raw == MISSING
        scalars, slots = self._encode(raw.masked_fill(absent, 0))
        if self.missing:
            slots = slots.masked_fill(absent, self.slots)
        parts = [scalars.masked_fill(absent, 0)[:, None]] if self.has_scalar else []
        if self.choices > 1:
            parts.append(one_hot(slots, self.choices).float())
        return torch.cat(parts, 1) if parts else raw.new_zeros((len(raw), 0), dtype=torch.float32)

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        """Raw values (N,) of scalars, which are ignored if the column has none, and slots that aren't missing."""
        raise NotImplementedError

    def _encode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def text(self, raw: int) -> str:
        """A raw value that isn't missing, for a picture."""
        return str(raw)

    def flatten(self, raw: Tensor) -> Tensor:
        """Raw values as float32 (N, D), at most about 1 apart."""
        slots = self._encode(raw.masked_fill(raw == MISSING, 0))[1]
        if self.missing:
            slots = slots.masked_fill(raw == MISSING, self.slots)
        flat: Tensor = one_hot(slots, max(self.choices, 1)).float() * 0.5**0.5
        return flat


class Category(Column):
    """Categories, or booleans. ``levels`` are the numbers of the categories that occur: only they are generated."""

    kind: Literal["category", "boolean"] = "category"
    categories: Annotated[tuple[Level, ...], Field(max_length=MAX_SLOTS)]
    categories_dtype: Annotated[str, Field(max_length=200)] | None = None
    ordered: bool = False
    levels: Annotated[tuple[Annotated[int, Field(ge=0, lt=MAX_SLOTS)], ...], Field(max_length=MAX_SLOTS)]

    @model_validator(mode="after")
    def _levels_exist(self) -> "Category":
        if any(one >= other for one, other in pairwise(self.levels)):
            raise ValueError("levels must be ascending")
        if self.levels and self.levels[-1] >= len(self.categories):
            raise ValueError("a level is not the number of a category")
        if len({(type(value), value) for value in self.categories}) < len(self.categories):
            raise ValueError("categories repeat")
        return self

    @property
    def slots(self) -> int:
        return len(self.levels)

    @cached_property
    def _levels(self) -> Tensor:
        return torch.tensor(self.levels, dtype=torch.int64, device="cpu")

    def _encode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return raw.new_zeros(len(raw), dtype=torch.float32), _positions(raw, self._levels)

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        return self._levels.to(slots.device)[slots]

    def text(self, raw: int) -> str:
        return str(self.categories[raw])


class Numeric(Column):
    """Numbers or dates in [``low``, ``high``].

    Integers and dates (int64, in the unit of the dtype) are multiples of ``step`` above ``low``; continuous numbers are
    rounded to ``decimals``, if that isn't None.
    """

    kind: Literal["continuous", "integer", "date"]
    low: Int64 | Annotated[float, Field(allow_inf_nan=False)]
    high: Int64 | Annotated[float, Field(allow_inf_nan=False)]
    step: Annotated[int, Field(ge=1, lt=2**62)] = 1
    decimals: Annotated[int, Field(ge=0, le=20)] | None = None
    scale: AnyScale

    @model_validator(mode="after")
    def _bounds_fit(self) -> "Numeric":
        numbers = [self.low, self.high, *(self.scale.values if isinstance(self.scale, ByValue) else ())]
        if any(isinstance(number, float) == self.is_whole for number in numbers):
            raise ValueError("low, high and values must be floats in a continuous column and integers in others")
        if self.low > self.high:
            raise ValueError("low is above high")
        return self

    @property
    def is_whole(self) -> bool:
        """Whether values are integers or dates."""
        return self.kind != "continuous"

    @property
    def has_scalar(self) -> bool:
        return self.scale.has_scalar

    @property
    def slots(self) -> int:
        return self.scale.slots

    @cached_property
    def _values(self) -> Tensor:
        values = self.scale.values if isinstance(self.scale, ByValue) else ()
        return torch.tensor(values, dtype=torch.int64 if self.is_whole else torch.float64, device="cpu")

    def _encode(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.scale, ByValue):
            return raw.new_zeros(len(raw), dtype=torch.float32), _positions(self.numbers(raw), self._values)
        return self.scale.encode(self.unit(raw))

    def numbers(self, raw: Tensor) -> Tensor:
        """Raw values as int64, or float64 if the column is continuous."""
        return raw if self.is_whole else raw.view(torch.float64)

    def unit(self, raw: Tensor) -> Tensor:
        """Raw values as float64 from 0 (``low``) to 1 (``high``)."""
        numbers = self.clipped(self.numbers(raw))
        if self.is_whole:
            exact = self.high - self.low < 2**62
            offset = (numbers - self.low).double() if exact else numbers.double() - float(self.low)
        else:
            offset = numbers - self.low
        return (offset / (self._range or 1.0)).clamp(0, 1)

    @property
    def _range(self) -> float:
        return float(self.high - self.low)

    def decode(self, scalars: Tensor, slots: Tensor) -> Tensor:
        if isinstance(self.scale, ByValue):
            numbers = self._values.to(slots.device)[slots]
            return numbers if self.is_whole else numbers.view(torch.int64)
        unit = self.scale.decode(scalars, slots).clamp(0, 1)
        if self.is_whole:
            return self._whole(unit)
        numbers = self.low + unit * self._range
        if self.decimals is not None:
            numbers = numbers.round(decimals=self.decimals)
        # 0.0, since the bits of -0.0 are those of a missing value
        return (self.clipped(numbers) + 0.0).contiguous().view(torch.int64)

    def _whole(self, unit: Tensor) -> Tensor:
        steps = (int(self.high) - int(self.low)) // self.step
        if steps < 2**53:
            return int(self.low) + (unit * steps).round().long() * self.step
        # int64 can't hold the range, or float64 not each number in it
        numbers = float(self.low) + unit * self._range
        largest = float(2**63 - 1024)
        integers = self.clipped(numbers.clamp(-largest, largest).long())
        low, high = integers.new_tensor(self.low), integers.new_tensor(self.high)
        return integers.where(unit > 0, low).where(unit < 1, high)

    def is_outside(self, raw: Tensor) -> Tensor:
        """Which raw values, none of them missing, this column doesn't generate, bool (N,): they are out of its range,
        or none of its few values."""
        numbers = self.numbers(raw.contiguous())
        if isinstance(self.scale, ByValue):
            return ~torch.isin(numbers, self._values)
        return (numbers < numbers.new_tensor(self.low)) | (numbers > numbers.new_tensor(self.high))

    def clipped(self, numbers: Tensor) -> Tensor:
        """Numbers within the bounds, which are tensors, since torch rounds large integers to float64 otherwise."""
        return numbers.clamp(numbers.new_tensor(self.low), numbers.new_tensor(self.high))

    def flatten(self, raw: Tensor) -> Tensor:
        absent = raw == MISSING
        unit = self.unit(raw.masked_fill(absent, 0)).masked_fill(absent, 0.5).float()[:, None]
        return torch.cat([unit, absent.float()[:, None]], 1) if self.missing else unit

    def text(self, raw: int) -> str:
        return str(raw) if self.is_whole else f"{float(self.numbers(torch.tensor([raw]))[0]):.6g}"


class Identifier(Column):
    """Identifiers: different in every row, so they are not learned and not stored; samples get new ones.

    Integers continue after the largest one of the data, ``last``; texts are "generated-0" and so on.
    """

    kind: Literal["identifier"] = "identifier"
    last: Int64 | None = None


AnyColumn = Annotated[Numeric | Category | Identifier, Field(discriminator="kind")]


def _positions(values: Tensor, among: Tensor) -> Tensor:
    """The index of each value in the ascending ``among``: of the next one, or the last, if it isn't there."""
    if len(among) == 0:
        return values.new_zeros(len(values), dtype=torch.int64)
    return torch.searchsorted(among.to(values.device), values.contiguous()).clamp(max=len(among) - 1)


def class_labels(column: Column, raw: Tensor) -> Tensor:
    """The class of each raw value of a target column, int64 (N,): its slot."""
    return column._encode(raw)[1]


def levels_of(column: Column) -> Sequence[Level]:
    """The classes of a target column, in the order of their labels."""
    if isinstance(column, Category):
        return [column.categories[level] for level in column.levels]
    if isinstance(column, Numeric) and isinstance(column.scale, ByValue):
        return column.scale.values
    return []
