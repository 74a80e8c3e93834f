"""Series as datasets: arrays, or lists of series of various lengths, with labels."""

import operator
import warnings
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from genaug.backends.spec import MAX_NAME, Classes, Spec, count_of_classes
from genaug.data.labels import as_labels
from genaug.data.reading import Samples
from genaug.errors import DataWarning, InputError
from genaug.modalities.image import native_order
from genaug.modalities.restoring import Ints
from genaug.modalities.series import Series
from genaug.modalities.series_values import lengths_of


class SeriesDataset(Dataset[Any]):
    """Series for ``genaug.fit`` and wherever a dataset is expected.

    Args:
        x: An array or tensor (N, channels, steps), or (N, steps) for one channel; or a list of series (channels, steps)
            or (steps,), whose lengths may differ. Any integers or floats. What aeon's loaders return fits:
            ``SeriesDataset(*load_gunpoint())``.
        y: A label per series: integers from 0, or names (strings, or any other integers), whose sorted values are the
            classes. None: no classes.
        lengths: The number of steps of each series, (N,), if ``x`` is an array whose shorter series are padded.
        mask: True where there is a value and false where it is missing, like ``x``, or (N, steps) for all channels.
            What ``x`` holds at missing values doesn't matter. A series ends with its last value: steps that are missing
            after it in all channels count as padding. By default that of ``x``, if it is a ``numpy.ma`` array.
        classes: The names of the classes in order, if they aren't the sorted values of ``y``: those of the training set
            for a test set, ``classes=train.classes``. Integers in ``y`` that are all among the names stand for these,
            otherwise for the classes' numbers.
        transform: A function of a series (channels, steps), applied to items.

    Items are pairs of a series, float32 (channels, steps), and its label, or series alone. NaN stands for missing
    values and for the steps after the end of a series, which is padded to the longest one; ``lengths`` are the numbers
    of steps until the last value. ``targets`` are the labels, and ``classes`` the names of the classes, or None.

    A ``DataWarning`` names constant channels, and a shape that is probably transposed. Raises ``InputError`` for NaN
    without a mask, lengths or labels that don't fit, a label per step, series of one step, values that float32 can't
    hold, and if there is nothing to learn.
    """

    noun: ClassVar[str] = "a set of series"
    joining: ClassVar[str] = "Join the arrays first: numpy.concatenate([...])."

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        lengths: Any = None,
        mask: Any = None,
        classes: Sequence[str] | None = None,
        transform: Callable[[Tensor], Any] | None = None,
    ) -> None:
        self._x, self._has_lengths = _read(x, lengths, mask)
        self.classes, self.targets = _labels(y, len(self._x), self._x.shape[2], classes)
        self.transform = transform
        sample = Series.of(self._x[0]).fitted(self._x)
        for remark in sample.remarks(self._x):
            warnings.warn(remark, DataWarning, stacklevel=2)

    @property
    def lengths(self) -> Tensor:
        """The number of steps of each series, int64 (N,)."""
        return lengths_of(self._x)

    @property
    def summary(self) -> str:
        """What was read, in one line."""
        count, channels, steps = self._x.shape
        shortest = int(self.lengths.min())
        lengths = f"{steps:,} steps"
        if shortest < steps:
            absent = f"{lengths}, up to {steps - shortest:,} missing at the end"
            lengths = f"{shortest:,} to {lengths}" if self._has_lengths else absent
        sensors = "1 channel" if channels == 1 else f"{channels:,} channels"
        classes = f", {count_of_classes(len(set(self.targets)))}" if self.targets[0] >= 0 else ""
        return f"{count:,} series, {sensors}, {lengths}{classes}"

    def take(self, rows: Sequence[int] | Ints) -> "SeriesDataset":
        """The dataset of these series only, with the same classes."""
        part = copy(self)
        picked = np.asarray(rows, dtype=np.int64)
        part._x = self._x[torch.from_numpy(picked)]
        part.targets = [self.targets[row] for row in picked.tolist()]
        return part

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, index: int) -> Any:
        try:
            index = operator.index(index)
        except TypeError as error:
            raise InputError(
                f"a series is read by its number, got {index!r}. For several series, use take([...])."
            ) from error
        series: Any = self._x[index].clone()
        if self.transform is not None:
            series = self.transform(series)
        return (series, self.targets[index]) if self.targets[index] >= 0 else series

    def read_rows(self, rows: Sequence[int] | None = None, *, ignore_labels: bool = False) -> Samples:
        """Raw samples and labels of series, by default all, without the transform; scales are fitted to these only."""
        picked = torch.arange(len(self)) if rows is None else torch.tensor(rows, dtype=torch.int64)
        x = self._x[picked]
        sample = Series.of(x[0]).fitted(x)
        if ignore_labels or self.targets[0] < 0:
            return Samples(x, None, Spec(sample=sample))
        labels = torch.tensor(self.targets)[picked]
        names = self.classes
        usable = names is not None and len(set(names)) == len(names) and max(map(len, names)) <= MAX_NAME
        count = max(self.targets) + 1 if names is None else len(names)
        spec = Spec(sample=sample, classes=Classes(count=count, names=tuple(names) if usable and names else None))
        return Samples(x, labels, spec)

    def __repr__(self) -> str:
        return f"SeriesDataset({self.summary})"


def _read(x: Any, lengths: Any, mask: Any) -> tuple[Tensor, bool]:
    """Raw samples (N, channels, steps), and whether lengths were passed, or differ in a list."""
    if not hasattr(x, "__len__") or isinstance(x, str | bytes | dict):
        raise InputError(f"x must be an array (N, channels, steps) or a list of series, got {type(x).__name__}.")
    if len(x) == 0:
        raise InputError("there are no series: expected at least one.")
    ndim = getattr(x, "ndim", None)
    is_list = ndim is None or getattr(getattr(x, "dtype", None), "kind", "") == "O"
    if not is_list and ndim not in (2, 3):
        raise InputError(f"x must be an array (N, channels, steps) or (N, steps), got one of shape {tuple(x.shape)}.")
    if is_list and lengths is not None:
        raise InputError("lengths are for an array whose series are padded; those of a list are known. Leave it out.")
    masks = None if mask is None else _per_series(mask, len(x))
    ends = _lengths(lengths, len(x), x.shape[-1]) if lengths is not None else None
    series = []
    for index, item in enumerate(x):
        try:
            series.append(_one(item, None if ends is None else ends[index], None if masks is None else masks[index]))
        except InputError as error:
            raise InputError(f"series {index}: {error}") from error
        if len(series[-1]) != len(series[0]):
            raise InputError(
                f"series {index} has {len(series[-1])} channels, the ones before it {len(series[0])}. Expected the "
                "same channels in all, (channels, steps); series of various lengths differ in the last dimension only."
            )
    longest = max(one.shape[1] for one in series)
    padded = torch.full((len(series), len(series[0]), longest), torch.nan)
    for row, one in zip(padded, series, strict=True):
        row[:, : one.shape[1]] = one
    return padded, lengths is not None or min(one.shape[1] for one in series) < longest


def _one(item: Any, length: int | None, mask: Any) -> Tensor:
    """One series, float32 (channels, length), with NaN at missing values."""
    if isinstance(item, Tensor):
        item = (item.float() if item.dtype == torch.bfloat16 else item).detach().cpu()  # NumPy has no bfloat16
    if isinstance(item, np.ma.MaskedArray):
        if mask is not None:
            raise InputError("the series is a masked array, and mask= is passed as well. Pass one of them.")
        mask, item = ~np.ma.getmaskarray(item), item.filled(0)
    values = _matrix(
        item,
        "its channels differ in their number of steps. Expected (channels, steps): pad the shorter channels with NaN, "
        "and pass mask=, false there.",
    )
    values = (values[None] if values.ndim == 1 else values)[..., :length]
    if mask is None:
        return Series.read(values)
    observed = _matrix(mask, f"the mask is ragged. Expected booleans like the series, shape {values.shape}.")
    observed = (observed[None] if observed.ndim == 1 else observed)[..., :length]
    if observed.dtype != bool or observed.shape not in (values.shape, (1, *values.shape[1:])):
        raise InputError(
            f"the mask must be booleans like the series, shape {values.shape}, true where there is a value, got "
            f"{observed.dtype} of shape {observed.shape}."
        )
    observed = np.broadcast_to(observed, values.shape)
    return Series.read(np.where(observed, values, 0)).masked_fill(torch.from_numpy(~observed), torch.nan)


def _matrix(values: Any, problem: str) -> NDArray[Any]:
    """Values as an array. Raises ``InputError``, which says the ``problem``, for nested lists of different lengths."""
    try:
        return np.asarray(native_order(values))
    except ValueError as error:
        raise InputError(problem) from error


def _per_series(mask: Any, count: int) -> list[Any]:
    if not hasattr(mask, "__len__") or len(mask) != count:
        raise InputError(f"the mask must have an entry per series, {count:,}.")
    return [one.numpy() if isinstance(one, Tensor) else one for one in mask]


def _lengths(lengths: Any, count: int, steps: int) -> list[int]:
    values: list[int] = as_labels(lengths, "lengths", least=1).tolist()
    if len(values) != count or max(values) > steps:
        raise InputError(
            f"lengths must be one number of steps per series, {count:,} from 1 to {steps:,}; got {len(values):,} up to "
            f"{max(values, default=0):,}."
        )
    return values


def _labels(y: Any, count: int, steps: int, classes: Sequence[str] | None) -> tuple[list[str] | None, list[int]]:
    """The names of the classes, if there are any, and a label per series: -1 without ``y``."""
    if y is None:
        if classes is not None:
            raise InputError("classes are the names of the labels y: pass both, or neither.")
        return None, [-1] * count
    ragged = "y holds lists of different lengths. Expected one label per series."
    values = y.detach().cpu().numpy() if isinstance(y, Tensor) else _matrix(y, ragged)
    if values.ndim == 2 and values.shape == (count, 1):
        values = values[:, 0]
    if values.ndim == 2 and len(values) == count:
        per_step = values.shape[1] == steps
        raise InputError(
            f"y has shape {values.shape}, "
            + ("a label per step" if per_step else "several numbers per series")
            + ". Expected one label per series: cut series into windows of one class, or pass y.argmax(1) if y is "
            "one-hot."
        )
    if values.shape != (count,):
        raise InputError(f"y must be one label per series, shape ({count},), got shape {values.shape}.")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise InputError("y holds numbers that aren't integers. Expected classes: divide the numbers into intervals.")
    values = values.astype(np.int64) if values.dtype.kind in "fb" else values
    if values.dtype.kind in "UO" and not all(isinstance(value, int | str) for value in np.asarray(y, object).flat):
        raise InputError("y must be integers or strings, one per series, without missing ones.")
    distinct = sorted(set(values.tolist()), key=lambda value: (not isinstance(value, int), value))
    is_numbered = all(isinstance(value, int) for value in distinct)
    if is_numbered and (distinct == list(range(len(distinct))) or (classes is not None and distinct[0] >= 0)):
        named = [str(name) for name in classes or ()]
        if not named or not {str(value) for value in distinct} <= set(named):
            if named and distinct[-1] >= len(named):
                raise InputError(f"y goes up to {distinct[-1]}, but there are names of {len(named)} classes, from 0.")
            return named or None, values.tolist()
    names = [str(value) for value in _in_order(distinct)] if classes is None else [str(name) for name in classes]
    numbers = {name: number for number, name in enumerate(names)}
    absent = [value for value in distinct if str(value) not in numbers]
    if absent:
        raise InputError(f"y has the class {str(absent[0])!r}, which isn't one of classes=: {', '.join(names[:20])}.")
    return names, [numbers[str(value)] for value in values.tolist()]


def _in_order(distinct: list[Any]) -> list[Any]:
    """Values sorted as numbers if all of them are, as with labels from .ts files, and else by name."""
    try:
        return sorted(distinct, key=float)
    except ValueError:
        return distinct
