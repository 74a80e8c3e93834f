"""pandas DataFrames as raw values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.columns import MISSING, Category, Column, Level, Null
from genaug.modalities.restoring import ARROW_STRING, Ints, import_pandas, series_of
from genaug.modalities.scales import MAX_SLOTS

LARGEST = 1e100  # of continuous numbers, so that sums of squares are finite

Kind = Literal["continuous", "integer", "date", "category", "boolean"]


@dataclass(frozen=True)
class Values:
    """A column as it is read: raw values (N,), and what restores them."""

    name: str | int
    kind: Kind
    dtype: str
    raw: Ints
    null: Null | None = None
    categories: tuple[Level, ...] = ()
    categories_dtype: str | None = None
    ordered: bool = False

    @property
    def present(self) -> Ints:
        """The raw values that aren't missing."""
        present: Ints = self.raw[self.raw != MISSING]
        return present


def as_frame(data: Any) -> Any:
    """A DataFrame, or a mapping of arrays as one, with usable column names. Raises ``InputError`` for anything else."""
    pd = import_pandas()
    if not isinstance(data, pd.DataFrame):
        if not hasattr(data, "keys"):
            raise InputError(f"expected a DataFrame or a mapping of names to arrays, got {type(data).__name__}.")
        try:
            data = pd.DataFrame({name: data[name] for name in data.keys()})  # noqa: SIM118  # not every mapping iterates
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the mapping isn't a table ({error}). Expected arrays of equal length by name."
            ) from error
    names = list(data.columns)
    for name in names:
        if not isinstance(name, (str, int, np.integer)) or isinstance(name, bool):
            raise InputError(
                f"column names must be strings or integers, got {name!r}. Rename the columns: frame.columns = [...]."
            )
        _check_text(name, "a column name")
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"the column {repeated[0]!r} occurs twice. Rename one of them.")
    return data


def read_column(name: Any, series: Any) -> Values:
    """The raw values of a Series. Raises ``InputError`` for a type or a value that a table can't hold."""
    pd = import_pandas()
    values: Values | None
    name = int(name) if isinstance(name, np.integer) else name
    where, dtype, types = f"column {name!r}", series.dtype, pd.api.types
    if isinstance(dtype, pd.CategoricalDtype):
        values = _category(name, series, where)
    elif types.is_bool_dtype(dtype):
        values = Values(name, "boolean", str(dtype), _filled(series, False, np.int64), None, (False, True))
    elif types.is_integer_dtype(dtype):
        _check_int64(series.max(), series.min(), where)
        values = Values(name, "integer", str(dtype), _filled(series, 0, np.int64))
    elif types.is_float_dtype(dtype):
        values = Values(
            name, "continuous", str(dtype), _float_bits(series.to_numpy(np.float64, na_value=np.nan), where)
        )
    elif types.is_datetime64_any_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        times = series.dt.tz_convert("UTC").dt.tz_localize(None) if getattr(dtype, "tz", None) else series
        values = Values(name, "date", str(dtype), np.array(times.to_numpy()).view(np.int64))
    elif types.is_string_dtype(dtype) and not types.is_object_dtype(dtype):
        values = _texts(name, series, _string_dtype(dtype), None, where)
    elif types.is_object_dtype(dtype):
        values = _objects(name, series, where)
    else:
        values = None
    if values is None or not _is_restorable(values, dtype):
        raise InputError(
            f"{where} has the dtype {dtype}, which tables don't support. Expected numbers, strings, categories, "
            "booleans, dates or time differences: convert it, or leave it out (ignore=)."
        )
    return values


def _is_restorable(values: Values, dtype: Any) -> bool:
    try:
        restored = series_of(values, values.raw[:0]).dtype
    except (TypeError, ValueError, ImportError):
        return False
    return bool(restored == dtype)


def _filled(series: Any, filler: Any, dtype: Any) -> Ints:
    """Values as int64, with ``MISSING`` where they are missing."""
    absent = series.isna().to_numpy(bool)
    raw: Ints = (series.fillna(filler) if absent.any() else series).to_numpy(dtype).astype(np.int64)
    return np.where(absent, MISSING, raw)


def _check_int64(most: Any, least: Any, where: str) -> None:
    if isinstance(most, (int, np.integer)) and (int(most) >= 2**63 or int(least) <= MISSING):
        raise InputError(
            f"{where} has integers outside of (-2^63, 2^63), which can't be stored. Convert them to strings or floats."
        )


def _float_bits(values: NDArray[np.float64], where: str) -> Ints:
    if np.isinf(values).any():
        raise InputError(
            f"{where} holds infinite values. Replace them, by NaN for missing values or by numbers, or drop these rows."
        )
    if (np.abs(values) > LARGEST).any():
        raise InputError(f"{where} holds numbers above {LARGEST:.0e}. Divide the column by a constant.")
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)  # 0.0 for -0.0, whose bits stand for a missing value
    return np.where(np.isnan(values), MISSING, bits)


def _category(name: Any, series: Any, where: str) -> Values:
    pd = import_pandas()
    categories = series.cat.categories
    kind = pd.api.types.infer_dtype(categories, skipna=False)
    if kind not in ("string", "integer", "floating", "boolean", "empty"):
        raise InputError(
            f"{where} has categories of type {kind}. Expected strings, integers, floats or booleans: convert them, for "
            f"example with frame[{name!r}].astype(str)."
        )
    levels = tuple(_plain(value, where) for value in categories)
    _check_count(levels, where, name)
    codes = series.cat.codes.to_numpy(np.int64)
    text = _string_dtype(categories.dtype) if kind == "string" else str(categories.dtype)
    raw = np.where(codes < 0, MISSING, codes)
    return Values(name, "category", "category", raw, None, levels, text, bool(series.cat.ordered))


def _objects(name: Any, series: Any, where: str) -> Values:
    """A column of Python objects that are all of one type, if they aren't missing."""
    pd = import_pandas()
    kind = pd.api.types.infer_dtype(series, skipna=True)
    absent = series.isna().to_numpy(bool)
    null = _null(series[absent].iloc[0]) if absent.any() else None
    present = series[~absent]
    if kind == "string":
        return _texts(name, series, "object", null, where)
    if kind == "boolean":
        raw = np.full(len(series), MISSING)
        raw[~absent] = present.to_numpy(bool)
        return Values(name, "boolean", "object", raw, null, (False, True))
    if kind == "integer":
        _check_int64(present.max(), present.min(), where)
        raw = np.full(len(series), MISSING)
        raw[~absent] = present.to_numpy(np.int64)
        return Values(name, "integer", "object", raw, null)
    if kind in ("floating", "empty"):
        numbers = np.full(len(series), np.nan)
        numbers[~absent] = present.to_numpy(np.float64)
        return Values(name, "continuous", "object", _float_bits(numbers, where), null)
    types = sorted({type(value).__name__ for value in present})
    raise InputError(
        f"{where} holds objects of type {' and '.join(types[:3])}. Expected one of str, int, float or bool: convert "
        f"them, for example with frame[{name!r}].astype(str)."
    )


def _texts(name: Any, series: Any, dtype: str, null: Null | None, where: str) -> Values:
    """Strings, whose categories are sorted, so that they don't depend on the order of the rows."""
    absent = series.isna().to_numpy(bool)
    texts = [str(text) for text in series[~absent]]
    categories = sorted(set(texts))
    for text in categories:
        _check_text(text, where)
    numbers = {text: number for number, text in enumerate(categories)}
    raw = np.full(len(series), MISSING)
    raw[~absent] = [numbers[text] for text in texts]
    return Values(name, "category", dtype, raw, null, tuple(categories))


def _check_text(text: Any, where: str) -> None:
    try:
        str(text).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} holds text that isn't valid Unicode: {text!r}. Decode it with its encoding."
        ) from error


def check_categories(values: Values) -> None:
    """Raises ``InputError`` if a column has more categories than can be learned."""
    _check_count(values.categories, f"column {values.name!r}", values.name)


def _check_count(categories: tuple[Level, ...], where: str, name: Any) -> None:
    if len(categories) > MAX_SLOTS:
        raise InputError(
            f"{where} has {len(categories):,} categories; at most {MAX_SLOTS:,} can be learned. Group the rare ones, "
            f"remove unused ones (.cat.remove_unused_categories()), or leave the column out: ignore=[{name!r}]."
        )
    longest = max((len(value) for value in categories if isinstance(value, str)), default=0)
    if longest > 1000:
        raise InputError(
            f"{where} holds texts of {longest:,} characters; categories have 1,000 at most. Shorten them, or leave the "
            f"column out: ignore=[{name!r}]."
        )


def _plain(value: Any, where: str) -> Level:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        _check_text(value, where)
        return str(value)
    if isinstance(value, float) and not np.isfinite(value):
        raise InputError(f"{where} has the category {value}. Rename it, or make these values missing.")
    return value  # type: ignore[no-any-return]


def _null(value: Any) -> Null:
    pd = import_pandas()
    return "none" if value is None else "na" if value is pd.NA else "nat" if value is pd.NaT else "nan"


def _string_dtype(dtype: Any) -> str:
    """The name of a dtype of strings from which pandas restores it; "str" is that of pandas 3."""
    pd = import_pandas()
    if isinstance(dtype, pd.StringDtype):
        return "str" if dtype == "str" and dtype.na_value is not pd.NA else f"string[{dtype.storage}]"
    return ARROW_STRING if isinstance(dtype, pd.ArrowDtype) and str(dtype) == "string[pyarrow]" else str(dtype)


def raw_of(stored: Sequence[Column], frame: Any, origin: str) -> Tensor:
    """The raw samples of a DataFrame with these columns, in any order; others are ignored.

    Raises ``InputError`` if a column is missing, of another kind, or holds a category that it doesn't have.
    """
    columns = []
    for column in stored:
        if column.name not in frame.columns:
            raise InputError(f"{origin} a DataFrame without the column {column.name!r}.")
        columns.append(_raw_like(column, read_column(column.name, frame[column.name]), origin))
    raw = np.stack(columns, 1) if columns else np.empty((len(frame), 0), np.int64)
    return torch.from_numpy(np.ascontiguousarray(raw))


def _raw_like(column: Any, values: Values, origin: str) -> Ints:
    """Raw values as this column of a table has them."""
    absent = values.raw == MISSING
    if absent.any() and not column.missing:
        raise InputError(f"{origin} missing values in column {column.name!r}, which has none.")
    if absent.all():
        return values.raw
    if not isinstance(column, Category):
        if values.kind == "integer" and column.kind == "continuous":
            return np.where(absent, MISSING, (values.raw.astype(np.float64) + 0.0).view(np.int64))
        if values.kind == column.kind:
            return values.raw
    elif values.kind in ("category", "boolean"):
        known = {(type(level), level): number for number, level in enumerate(column.categories)}
        known = {level: number for level, number in known.items() if number in set(column.levels)}
        numbers = [known.get((type(level), level), -1) for level in values.categories]
        raw = np.array([*numbers, MISSING])[np.where(absent, len(numbers), values.raw)]
        if (raw == -1).any():
            unknown = values.categories[values.raw[int(np.argmax(raw == -1))]]
            raise InputError(
                f"{origin} the category {unknown!r} in column {column.name!r}, which has no such category."
            )
        return raw
    raise InputError(f"{origin} column {column.name!r} of kind {values.kind}; expected {column.kind}.")
