"""The classifiers of tables that are built in, and what they make of a DataFrame's columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def boosting() -> Any:
    """Gradient-boosted trees (scikit-learn's HistGradientBoosting), which take missing values as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    return make_pipeline(_columns(_numbers(), categories), HistGradientBoostingClassifier())


def logistic() -> Any:
    """Logistic regression on standardized numbers, with their median for missing ones, and one-hot categories."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(_numbers(), SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    return make_pipeline(_columns(numbers, OneHotEncoder(handle_unknown="ignore")), LogisticRegression(max_iter=1000))


def _numbers() -> Any:
    from sklearn.preprocessing import FunctionTransformer

    return FunctionTransformer(as_numbers)


def _columns(numbers: Any, categories: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    text = make_pipeline(FunctionTransformer(as_text), categories)
    return ColumnTransformer([("numbers", numbers, numeric_columns), ("categories", text, other_columns)])


def numeric_columns(features: Any) -> list[int]:
    """The positions of the columns of numbers, booleans and dates; of an array, all."""
    return [i for i in range(features.shape[1]) if not hasattr(features, "iloc") or _is_numeric(features.iloc[:, i])]


def other_columns(features: Any) -> list[int]:
    """The positions of the columns of categories."""
    numeric = set(numeric_columns(features))
    return [i for i in range(features.shape[1]) if i not in numeric]


def _is_numeric(series: Any) -> bool:
    from pandas.api import types

    dtype = series.dtype
    checks = (types.is_numeric_dtype, types.is_datetime64_any_dtype, types.is_timedelta64_dtype)
    return any(check(dtype) for check in checks)


def as_numbers(features: Any) -> NDArray[np.float64]:
    """Columns of numbers, booleans and dates as float64 (N, columns), with NaN for missing values."""
    if not hasattr(features, "iloc"):
        return np.asarray(features, dtype=np.float64)
    columns = [_numbers_of(features.iloc[:, i]) for i in range(features.shape[1])]
    return np.stack(columns, 1) if columns else np.empty((len(features), 0))


def _numbers_of(series: Any) -> NDArray[np.float64]:
    if getattr(series.dtype, "kind", "") in "mM":
        times = series.to_numpy(dtype=f"{series.dtype.kind}8[ns]").view(np.int64)
        return np.where(series.isna().to_numpy(bool), np.nan, times.astype(np.float64))
    numbers: NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def as_text(features: Any) -> NDArray[np.object_]:
    """Columns of categories as text, object (N, columns), with None for missing values."""
    columns = []
    for i in range(features.shape[1]):  # of an array, only if there are none
        series = features.iloc[:, i]
        text = np.array([str(value) for value in series], dtype=object)
        text[series.isna().to_numpy(bool)] = None
        columns.append(text)
    return np.stack(columns, 1) if columns else np.empty((len(features), 0), dtype=object)
