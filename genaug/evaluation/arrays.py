"""Feature arrays as the measures take them: checked at the door, and sampled again for an interval."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genaug.errors import InputError
from genaug.modalities.image import native_order
from genaug.randomness import check_seed, derive_seed

_KEPT = (torch.uint8, torch.float32, torch.float64)
Z = 1.959964  # two-sided 95 % of the normal distribution


class Interval(NamedTuple):
    """The ends of a 95 % interval."""

    low: float
    high: float


def check_features(sides: Mapping[str, Any], least: int, measure: str) -> list[Tensor]:
    """Every side as a tensor (N, d) on the CPU, its dtype kept (bytes are smaller) but for half precision.

    Takes arrays and tensors of real numbers. Raises ``InputError`` for anything else, NaN and infinity, different
    widths, and fewer than ``least`` samples on a side (naming the side, and ``measure``, which needs them).
    """
    checked = [_as_features(values, name) for name, values in sides.items()]
    for name, features in zip(sides, checked, strict=True):
        if len(features) < least:
            raise InputError(
                f"{measure} needs at least {least:,} samples on each side, got {len(features):,} {name} ones: with "
                "fewer it says more about their number than about what they show. Use more samples."
            )
    if len({features.shape[1] for features in checked}) > 1:
        told = ", ".join(f"{f.shape[1]} ({name})" for name, f in zip(sides, checked, strict=True))
        raise InputError(f"features must be of one width, got {told}. Use the same features on every side.")
    return checked


def _as_features(values: Any, name: str) -> Tensor:
    try:
        features = torch.as_tensor(native_order(values)).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} features must be an array or a tensor of shape (N, d) ({error}).") from error
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(f"{name} features must have shape (N, d), got {tuple(features.shape)}.")
    if features.is_complex() or features.dtype == torch.bool:
        raise InputError(f"{name} features must be real numbers, got {features.dtype}.")
    features = features.cpu() if features.dtype in _KEPT else features.to("cpu", torch.float64)
    if not torch.isfinite(features).all():
        row = int(torch.nonzero(~torch.isfinite(features).all(1))[0])
        raise InputError(f"{name} features hold NaN or infinity, first in row {row}. Look at what computed them.")
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
    """95 % intervals, ``value`` ± 1.96 standard errors, from random halves of both sides.

    ``measure`` takes the rows of either side, int64, and gives the statistics of these rows alone. A statistic of a
    random half, drawn without replacement, varies around that of the whole as that of the whole does around the
    truth (subsampling: Politis, Romano and Wolf 1999, section 2; the delete-half jackknife of Shao and Wu 1989). The
    bootstrap proper draws rows twice, which a k-nearest-neighbour radius takes for a perfect copy and which adds to
    FID's bias. The interval is for the expectation at this number of samples: it doesn't take out a bias.
    """
    draws = np.random.Generator(np.random.Philox(key=derive_seed(check_seed(seed), "halves")))
    found: dict[str, list[float]] = {name: [] for name in value}
    for _ in range(replicates if value else 0):
        halves = [torch.from_numpy(np.sort(draws.permutation(size)[: size // 2])) for size in sizes]
        for name, statistic in measure(*halves).items():
            found[name].append(statistic)
        if on_replicate is not None:
            on_replicate()
    return {name: normal_interval(value[name], standard_deviation(found[name])) for name in value}


def normal_interval(value: float, error: float) -> Interval:
    return Interval(value - Z * error, value + Z * error)


def standard_deviation(values: Iterable[float]) -> float:
    """With n - 1; NaN for fewer than two values."""
    values = list(values)
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
