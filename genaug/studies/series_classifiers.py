"""Classifiers of series that aren't networks: aeon's Rocket family, and scikit-learn's estimators on flat series."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genaug.errors import InputError

Floats = NDArray[np.float32]

_CLASSES = {"rocket": "RocketClassifier", "minirocket": "MiniRocketClassifier", "multirocket": "MultiRocketClassifier"}


def _aeon(name: str) -> Any:
    """A pipeline that fills in what is missing and the classifier of aeon's with this name.

    Raises ``InputError``, which says how to install it, if aeon is missing.
    """
    try:
        from aeon.classification import convolution_based
    except ImportError as error:
        raise InputError(
            f"classifier {name!r} needs aeon, which isn't installed: pip install \"genaug[series]\". Or pass 'small', "
            "a CNN."
        ) from error
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(filled), getattr(convolution_based, _CLASSES[name])())


BUILT_IN: Mapping[str, Callable[[], Any]] = {name: partial(_aeon, name) for name in _CLASSES}


def filled(series: Floats) -> Floats:
    """Series (N, channels, steps) without NaN: missing values by linear interpolation, and those before the first and
    after the last value of a channel as that value; 0 for a channel without any."""
    result = np.array(series)
    steps = np.arange(series.shape[2])
    for curve in result.reshape(-1, series.shape[2]):
        missing = np.isnan(curve)
        if missing.all():
            curve[:] = 0
        elif missing.any():
            curve[missing] = np.interp(steps[missing], steps[~missing], curve[~missing])
    return result


def takes_rows(estimator: Any) -> bool:
    """Whether this is an estimator of scikit-learn, which takes rows (N, numbers) rather than series (N, channels,
    steps); of a pipeline, its first step decides."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    if getattr(estimator, "func", None) is filled:
        return False
    return type(estimator).__module__.partition(".")[0] == "sklearn"
