"""Feature arrays: input checks, and confidence intervals by subsampling."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.image import native_order
from genaug.randomness import check_seed, derive_seed

_DTYPES = (torch.uint8, torch.float32, torch.float64)
Z = 1.959964  # two-sided 95% quantile of the normal distribution


class Interval(NamedTuple):
    """The ends of a 95% interval."""

    low: float
    high: float


def check_features(sides: Mapping[str, Any], least: int, measure: str) -> list[Tensor]:
    """Each side as a tensor (N, d) on the CPU: uint8, float32 and float64 keep their dtype, others become float64.

    Takes arrays and tensors of real numbers. Raises ``InputError`` for anything else, for NaN and infinity, if the
    widths differ, and if a side has fewer than the ``least`` samples that ``measure`` needs (naming both).
    """
    tensors = {name: _as_features(values, name) for name, values in sides.items()}
    for name, features in tensors.items():
        if len(features) < least:
            raise InputError(
                f"{measure} needs at least {least:,} samples on each side, got {len(features):,} {name} ones. With "
                "fewer, the value says more about the number of samples than about the samples. Use more."
            )
    if len({features.shape[1] for features in tensors.values()}) > 1:
        widths = ", ".join(f"{features.shape[1]} ({name})" for name, features in tensors.items())
        raise InputError(f"features must have the same width, got {widths}. Use the same features on every side.")
    return list(tensors.values())


def _as_features(values: Any, name: str) -> Tensor:
    try:
        features = torch.as_tensor(native_order(values)).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} features must be an array or a tensor of shape (N, d) ({error}).") from error
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(f"{name} features must have shape (N, d), got {tuple(features.shape)}.")
    if features.is_complex() or features.dtype == torch.bool:
        raise InputError(f"{name} features must be real numbers, got {features.dtype}.")
    features = features.to("cpu", features.dtype if features.dtype in _DTYPES else torch.float64)
    finite = torch.isfinite(features).all(1)
    if not finite.all():
        row = int(torch.nonzero(~finite)[0])
        raise InputError(f"{name} features contain NaN or infinity, first in row {row}. Check how they are computed.")
    return features


def half_sample_intervals(
    measure: Callable[[Tensor, Tensor], Mapping[str, float]],
    value: Mapping[str, float],
    sizes: tuple[int, int],
    *,
    replicates: int,
    seed: int,
    on_replicate: Callable[[], None] | None = None,
) -> dict[str, Interval]:
    """95% intervals, ``value`` ± 1.96 standard errors, from random halves of both sides.

    ``measure`` takes the row indices of both sides, int64, and returns the statistics of these rows alone. A statistic
    of a random half, drawn without replacement, varies around that of all samples as that of all samples varies around
    the truth (subsampling: Politis, Romano and Wolf 1999, section 2; the delete-half jackknife of Shao and Wu 1989).
    The ordinary bootstrap draws rows twice, which a k-nearest-neighbor radius takes for perfect copies and which adds
    to FID's bias. The interval is for the expectation at this number of samples: it doesn't remove a bias.
    """
    draws = np.random.Generator(np.random.Philox(key=derive_seed(check_seed(seed), "halves")))
    statistics: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(replicates if value else 0):
        halves = [torch.from_numpy(np.sort(draws.permutation(size)[: size // 2])) for size in sizes]
        for name, statistic in measure(*halves).items():
            statistics[name].append(statistic)
        if on_replicate is not None:
            on_replicate()
    return {name: _normal_interval(value[name], statistics[name]) for name in value}


def _normal_interval(value: float, replicates: Sequence[float]) -> Interval:
    """NaN for fewer than two replicates."""
    margin = Z * float(np.std(replicates, ddof=1)) if len(replicates) > 1 else math.nan
    return Interval(value - margin, value + margin)
